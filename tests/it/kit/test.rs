//! The builder: an app, and how ganger is started in it.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use super::world::ganger;
use super::{Finished, Running, World};

/// An app in a folder of its own, and how ganger is to be started there. By default: no
/// arguments, stdin `/dev/null`, the folder as working folder, and an environment of `PATH`,
/// `HOME`, `PORT` (this test's own) and the mark. No controlling terminal.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    world: Rc<World>,
    args: Vec<OsString>,
    vars: Vec<(OsString, OsString)>,
    cwd: PathBuf,
    stdin: Vec<u8>,
    shell: Option<String>,
}

impl Test {
    pub(crate) fn new() -> Self {
        Self::of(World::new())
    }

    /// One of many at once: it has no ports, and its processes get none.
    pub(crate) fn without_ports() -> Self {
        Self::of(World::without_ports()).var("GANGER_NO_PORT", "1")
    }

    fn of(world: World) -> Self {
        let vars = world.vars().into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let cwd = world.dir().to_owned();
        Self { world: Rc::new(world), args: Vec::new(), vars, cwd, stdin: Vec::new(), shell: None }
    }

    /// Writes the Procfile.
    pub(crate) fn procfile(self, text: impl AsRef<[u8]>) -> Self {
        self.file("Procfile", text)
    }

    /// Writes a file, and the folders it is in.
    pub(crate) fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("written");
        self
    }

    /// Arguments of ganger, behind those that are there.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the shell ganger is started from.
    pub(crate) fn var(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self = self.without(key.as_ref());
        self.vars.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Unsets one.
    pub(crate) fn without(mut self, key: impl AsRef<OsStr>) -> Self {
        self.vars.retain(|(known, _)| known != key.as_ref());
        self
    }

    /// Starts ganger in this folder of the app.
    pub(crate) fn cwd(mut self, folder: &str) -> Self {
        self.cwd = self.path(folder);
        self
    }

    /// Gives ganger these bytes as stdin, through a pipe that is then closed.
    pub(crate) fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        bytes.as_ref().clone_into(&mut self.stdin);
        self
    }

    /// Starts ganger by this script for `sh`, in which `"$@"` is ganger with its arguments:
    /// `exec nohup "$@"`, `ulimit -n 20; exec "$@"`, `"$@" | head -1`.
    pub(crate) fn by_shell(mut self, script: &str) -> Self {
        self.shell = Some(script.to_owned());
        self
    }

    /// A path in the app's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.world.dir().join(name)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.world.dir()
    }

    /// The port that `web` gets; the block goes on to 400 more.
    pub(crate) fn port(&self) -> u16 {
        self.world.port()
    }

    pub(crate) fn world(&self) -> &Rc<World> {
        &self.world
    }

    pub(crate) fn vars(&self) -> &[(OsString, OsString)] {
        &self.vars
    }

    /// Runs ganger to its end.
    #[track_caller]
    pub(crate) fn run(&self) -> Finished {
        self.start().wait()
    }

    /// Runs another ganger with these arguments alone to its end, while this app runs: what is alive
    /// then is the app's.
    #[track_caller]
    pub(crate) fn beside<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Finished {
        let output =
            Self { args: Vec::new(), ..self.clone() }.args(args).command().output().expect("ganger starts");
        Finished::new(output.status, output.stdout, output.stderr, self.world.clone())
    }

    /// Starts another ganger with these arguments alone, while this app runs.
    #[track_caller]
    pub(crate) fn start_beside<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Self { args: Vec::new(), ..self.clone() }.args(args).start()
    }

    /// As [`Test::run`], while another app of the same test runs.
    #[track_caller]
    pub(crate) fn run_beside(&self) -> Finished {
        self.start().wait_beside()
    }

    /// Starts ganger.
    #[track_caller]
    pub(crate) fn start(&self) -> Running {
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::new(command.spawn().expect("ganger starts"), &self.stdin, self.world.clone())
    }

    /// The command that starts ganger, for a test that wants other pipes than [`Test::start`].
    #[allow(unsafe_code)]
    pub(crate) fn command(&self) -> Command {
        let mut command = if let Some(script) = &self.shell {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script, "sh"]).arg(ganger());
            command
        } else {
            Command::new(ganger())
        };
        command.args(&self.args).current_dir(&self.cwd).env_clear();
        command.envs(self.vars.iter().map(|(key, value)| (key, value)));
        command.stdin(if self.stdin.is_empty() { Stdio::null() } else { Stdio::piped() });
        // A session of its own: the terminal of whoever runs the tests must not matter.
        // SAFETY: setsid(2) is async-signal-safe.
        unsafe { command.pre_exec(|| Ok(nix::unistd::setsid().map(drop)?)) };
        command
    }
}
