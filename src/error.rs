//! What stops ganger before or beside its processes: one type, one way to show it, one place
//! that knows the exit statuses.

use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;

use crate::config::diagnostic::Diagnostic;
use crate::config::formation::FormationError;
use crate::control::proto::Refusal;
use crate::model::{InstanceId, Port, mask_path, sentence};

/// Wrong usage or wrong files: nothing was started.
pub const USAGE: u8 = 2;
/// The most instances that a message names.
const MOST_NAMES: usize = 5;

/// The system does not let us: a busy port, a failed system call.
pub const FAILURE: u8 = 1;

/// Why ganger cannot do what it was asked. Shown by [`Error::render`], word for word as tested.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files with mistakes. Never empty.
    #[error("{}", .0[0].message())]
    Files(Vec<Diagnostic>),
    /// Wrong words on the command line, in the environment or in a file we only know by name.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The system has no room for ganger itself.
    #[error("cannot start: {message}")]
    Start {
        /// What is missing.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A port that a process is to get is taken.
    #[error("port {port} for {id} is in use{}", holder_text(.holder.as_ref()))]
    PortInUse {
        /// The port.
        port: Port,
        /// The process it was for.
        id: InstanceId,
        /// Whether `ganger.toml` pins it.
        is_pinned: bool,
        /// Who has it, where the system tells: pid and command.
        holder: Option<(u32, String)>,
    },
    /// An instance runs in this project already.
    #[error("{} runs in {} already{}", ganger(.name.as_ref()), .root.display(), .pid.map(|pid| format!(", pid {pid}")).unwrap_or_default())]
    Running {
        /// The project.
        root: PathBuf,
        /// The name of the instance, if it has one.
        name: Option<String>,
        /// The pid to signal.
        pid: Option<u32>,
    },
    /// A command for a running instance, and there is none.
    #[error("{} does not run in {}", ganger(.name.as_ref()), mask_path(.root))]
    NotRunning {
        /// The folder it was asked in.
        root: PathBuf,
        /// The name of the instance, if it has one.
        name: Option<String>,
        /// The instances that run there, by name.
        others: Vec<Option<String>>,
        /// The places that were not searched, each with the reason.
        refused: Vec<String>,
    },
    /// The same, but one of another user runs.
    #[error("{} runs in {}, but not as you: it is an instance of user id {uid}", ganger(.name.as_ref()), mask_path(.root))]
    NotAsYou {
        /// The folder of the project.
        root: PathBuf,
        /// The name of the instance, if it has one.
        name: Option<String>,
        /// The user it runs as.
        uid: u32,
    },
    /// The instance listens but does not respond.
    #[error("the instance{} is not responding", .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Silent {
        /// The pid to signal.
        pid: Option<u32>,
    },
    /// The instance ended while it was asked.
    #[error("ganger in {} has just ended", .root.display())]
    Ended {
        /// Its project.
        root: PathBuf,
    },
    /// The running instance did not do what it was asked.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// `-p auto` found nothing.
    #[error("-p auto: no block of ports is free")]
    NoFreePorts,
    /// A system call that should not fail did.
    #[error("{doing}: {source}")]
    System {
        /// What we were doing, as in "starting the output thread".
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

/// How the instance of this name is written.
fn ganger(name: Option<&String>) -> String {
    name.map_or_else(|| "ganger".to_owned(), |name| format!("`ganger --name {name}`"))
}

fn holder_text(holder: Option<&(u32, String)>) -> String {
    holder.map_or_else(String::new, |(pid, command)| format!(" by pid {pid} ({command})"))
}

impl Error {
    /// Wrong usage, with what to do.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    /// A failed system call.
    pub fn system(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System { doing: doing.into(), source: source.into() }
    }

    /// A file that could not be read: what to do depends on why.
    pub fn unreadable(path: &std::path::Path, error: &io::Error) -> Self {
        let (message, hint) = match error.kind() {
            io::ErrorKind::NotFound => ("there is no such file", "check the path"),
            io::ErrorKind::NotADirectory => ("a part of its path is a file, no folder", "check the path"),
            io::ErrorKind::IsADirectory => ("it is a folder", "give a file"),
            io::ErrorKind::PermissionDenied => {
                ("permission denied", "make it readable for you, as with `chmod u+r`")
            }
            // It says nothing about the file.
            _ if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)) => {
                let error = io::Error::new(error.kind(), error.to_string());
                return Self::system(format!("cannot read {}", mask_path(path)), error);
            }
            _ => {
                return Self::Usage {
                    message: format!("cannot read {}: {error}", mask_path(path)),
                    hint: None,
                };
            }
        };
        Self::usage(format!("cannot read {}: {message}", mask_path(path)), hint)
    }

    /// The working directory was removed, and its path is not known.
    pub fn no_directory() -> Self {
        let refusal = Refusal::failed("the working directory no longer exists");
        Self::Refused(
            refusal.hint("change to another directory with `cd`, or give the app's with `-d /PATH`"),
        )
    }

    /// There is no Procfile at `path`.
    pub fn no_procfile(path: &std::path::Path, cwd: &std::path::Path) -> Self {
        let looked: PathBuf = cwd.join(mask_path(path));
        Self::usage(
            format!("there is no Procfile at {}", looked.display()),
            "create one, with a line such as `web: python -m http.server $PORT`, or name another with -f",
        )
    }

    /// The exit status it leads to.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Files(_) | Self::Usage { .. } => USAGE,
            Self::Refused(refusal) => refusal.status,
            Self::PortInUse { .. }
            | Self::Running { .. }
            | Self::NotRunning { .. }
            | Self::NotAsYou { .. }
            | Self::Silent { .. }
            | Self::Ended { .. }
            | Self::NoFreePorts
            | Self::System { .. }
            | Self::Start { .. } => FAILURE,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } | Self::Start { hint, .. } => hint.clone(),
            Self::PortInUse { id, is_pinned: true, .. } => {
                Some(format!("stop it, or change `port` under `[process.{}]` in ganger.toml", id.name))
            }
            Self::PortInUse { port, .. } => Some(format!(
                "stop it, or use other ports with -p NUMBER or -p auto{}",
                if cfg!(target_os = "macos") && matches!(port.get(), 5000 | 7000) {
                    " (on macOS, AirPlay Receiver has 5000 and 7000: System Settings, AirDrop & Handoff)"
                } else {
                    ""
                }
            )),
            Self::Running { name, .. } => {
                let which = name.as_ref().map(|name| format!("--name {name} ")).unwrap_or_default();
                Some(format!(
                    "`ganger {which}ps` shows what it runs, `ganger {which}stop` ends it; a second one has a name of \
                     its own, as in `ganger --name test`"
                ))
            }
            Self::NotRunning { name, others, refused, .. } => {
                let command = |name: &Option<String>| match name {
                    Some(name) => format!("`ganger --name {name} ps`"),
                    None => "`ganger ps`".to_owned(),
                };
                let others = others.iter().take(MOST_NAMES).map(command).collect::<Vec<_>>().join(", ");
                let mut hint = refused.iter().fold(String::new(), |hint, place| hint + place + "; ");
                if !others.is_empty() {
                    hint = hint + "running there: " + &others + "; ";
                }
                let start = name.as_ref().map_or("ganger".to_owned(), |name| format!("ganger --name {name}"));
                Some(format!("{hint}start it with `{start}`, or name its folder with -d"))
            }
            Self::NotAsYou { uid: 0, .. } => Some("ask it as root, as in `sudo ganger ps`".to_owned()),
            Self::NotAsYou { uid, .. } => Some(format!("ask it as that user, as in `sudo -u '#{uid}' ganger ps`")),
            Self::Silent { pid } => Some(pid.map_or_else(
                || "it may be suspended; find its pid with `ps ax`, then `kill -CONT` or `kill` it".to_owned(),
                |pid| format!("it may be suspended; continue it with `kill -CONT {pid}`, or end it with `kill {pid}`"),
            )),
            Self::Refused(refusal) => refusal.hint.clone(),
            Self::NoFreePorts => Some("name a base with -p".to_owned()),
            Self::Files(_) | Self::System { .. } | Self::Ended { .. } => None,
        }
    }

    /// Returns the whole message for stderr, without the last newline. Text from elsewhere in it is
    /// escaped here, whatever code created the message.
    pub fn render(&self) -> String {
        match self {
            Self::Files(diagnostics) => render_diagnostics(Severity::Error, diagnostics),
            Self::Refused(refusal) => {
                let mut text = format!("ganger: error: {}", sentence(&refusal.message));
                for line in &refusal.details {
                    // An unindented line could be taken for the output of a process.
                    let indent =
                        if line.starts_with(' ') || line.starts_with("ganger: ") { "" } else { "  " };
                    let _ = write!(text, "\n{indent}{}", sentence(line));
                }
                if let Some(hint) = &refusal.hint {
                    let _ = write!(text, "\n  hint: {}", sentence(hint));
                }
                text
            }
            other => {
                let mut text = format!("ganger: error: {}", sentence(&other.to_string()));
                if let Some(hint) = other.hint() {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "\n  hint: {}", sentence(&hint));
                }
                text
            }
        }
    }
}

impl From<FormationError> for Error {
    fn from(error: FormationError) -> Self {
        Self::Usage { message: error.to_string(), hint: error.hint() }
    }
}

/// Whether a diagnostic stops ganger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Diagnostics one below the other, without the last newline.
pub fn render_diagnostics(severity: Severity, diagnostics: &[Diagnostic]) -> String {
    let blocks: Vec<String> = diagnostics.iter().map(|it| format!("ganger: {severity}: {it}")).collect();
    blocks.join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_busy_port_names_process_holder_and_remedies() {
        let error = Error::PortInUse {
            port: Port::DEFAULT,
            id: "web.1".parse().expect("an instance"),
            is_pinned: false,
            holder: Some((4242, "python3 -m http.server 5000".into())),
        };
        assert_eq!(error.exit_status(), 1);
        #[cfg(not(target_os = "macos"))]
        insta::assert_snapshot!(error.render(), @r"
        ganger: error: port 5000 for web.1 is in use by pid 4242 (python3 -m http.server 5000)
          hint: stop it, or use other ports with -p NUMBER or -p auto
        ");
    }

    #[test]
    fn text_from_elsewhere_is_escaped_and_truncated_in_every_error() {
        let hostile = "a\u{1b}]0;t\u{7}\nganger: ok\u{9b}2J\u{202e}";
        let shown = r"a\u{1b}]0;t\u{7}\nganger: ok\u{9b}2J\u{202e}";
        let path = || PathBuf::from(hostile);
        let refusal = Refusal::failed(hostile).hint(hostile);
        for error in [
            Error::usage(hostile, hostile),
            Error::Start { message: hostile.into(), hint: Some(hostile.into()) },
            Error::Running { root: path(), name: None, pid: None },
            Error::NotRunning { root: path(), name: None, others: Vec::new(), refused: Vec::new() },
            Error::NotAsYou { root: path(), name: None, uid: 0 },
            Error::Ended { root: path() },
            Error::Refused(refusal),
            Error::system(hostile, io::Error::other(hostile)),
            Error::unreadable(&path(), &io::ErrorKind::NotFound.into()),
            Error::no_procfile(&path(), Path::new("/")),
            Error::PortInUse {
                port: Port::DEFAULT,
                id: "web.1".parse().expect("an instance"),
                is_pinned: false,
                holder: Some((1, hostile.into())),
            },
        ] {
            let text = error.render();
            assert!(text.contains(shown) && !text.contains(hostile), "{text}");
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines.len() <= 2, "{text}");
            assert!(lines[1..].iter().all(|line| line.starts_with("  hint: ")), "{text}");
        }
        let long = Error::usage("x".repeat(1_000_000), "y".repeat(1_000_000)).render();
        assert!(long.chars().count() < 5000, "{}", long.len());
    }

    #[test]
    fn a_missing_procfile_says_where_it_was_looked_for() {
        let error = Error::no_procfile(Path::new("Procfile"), Path::new("/app"));
        assert_eq!(error.exit_status(), 2);
        insta::assert_snapshot!(error.render(), @r"
        ganger: error: there is no Procfile at /app/Procfile
          hint: create one, with a line such as `web: python -m http.server $PORT`, or name another with -f
        ");
    }

    #[test]
    fn an_unreadable_file_says_why() {
        let render = |kind: io::ErrorKind| Error::unreadable(Path::new("x.env"), &kind.into()).render();
        insta::assert_snapshot!(render(io::ErrorKind::IsADirectory), @r"
        ganger: error: cannot read x.env: it is a folder
          hint: give a file
        ");
        let too_many = io::Error::from_raw_os_error(libc::EMFILE);
        let error = Error::unreadable(Path::new("x.env"), &too_many);
        assert_eq!(error.exit_status(), FAILURE, "it is no mistake in a file");
        assert!(error.render().starts_with("ganger: error: cannot read x.env: Too many open files"));
        insta::assert_snapshot!(render(io::ErrorKind::PermissionDenied), @r"
        ganger: error: cannot read x.env: permission denied
          hint: make it readable for you, as with `chmod u+r`
        ");
    }
}
