//! Finding and reading an app's files.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::complain_in_lines;
use crate::cli::{AppArgs, Cli, misread, readable};
use crate::config::diagnostic::Diagnostic;
use crate::config::dotenv::{self, Assignment, EnvFile};
use crate::config::environment::{Environment, Origin, Precedence, Variable};
use crate::config::formation::closest_by;
use crate::config::keys::{is_option_variable, option_variables};
use crate::config::problems::{MOST_SHOWN, Problems};
use crate::config::procfile::{self, Procfile};
use crate::config::settings::{ProcessTable, Settings};
use crate::config::source::Source;
use crate::env::Env;
use crate::error::{Error, Severity, render_diagnostics};
use crate::model::{Port, ProcessName, mask_path, quoted, sentence};
use crate::os::files::{self, Streams, Unread};
use crate::os::keep;
use crate::output::style::ColorChoice;
use crate::plan::{self, App, PortWish, Ports};

/// An app's files, read.
#[derive(Debug)]
pub(super) struct Project {
    /// The folder every process runs in, absolute.
    pub(super) root: PathBuf,
    /// The Procfile; without types, if the command needs none and there is none.
    pub(super) procfile: Procfile,
    /// The shell's variables overlaid by the env files.
    pub(super) environment: Environment,
    /// What `ganger.toml` says.
    pub(super) settings: Arc<Settings>,
    /// What is odd in `ganger.toml` and the env files.
    pub(super) warnings: Vec<Diagnostic>,
    /// What is odd beside that, each with a hint.
    pub(super) remarks: Vec<(String, String)>,
    /// The directory ganger was started in, and the root, as `pwd` of a shell shows them.
    started_in: PathBuf,
    logical_root: PathBuf,
    env_files: Vec<(Source, EnvFile)>,
    /// `PORT` of the shell.
    shell_port: Option<OsString>,
    /// Whether the shell has the mark of programs that are left running.
    shell_has_mark: bool,
}

/// Whether a command can do without a Procfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Procfile,
    Nothing,
}

impl Project {
    /// Reads the files that the arguments name.
    pub(super) fn load(args: &AppArgs, env: &Env, need: Need) -> Result<Self, Error> {
        Self::read(args, env, need, Streams::Any)
    }

    /// Reads the files for a running app. What came through a pipe is gone, and waiting for more would
    /// keep the run from ending.
    pub(super) fn load_again(args: &AppArgs, env: &Env) -> Result<Self, Error> {
        Self::read(args, env, Need::Procfile, Streams::Refuse)
    }

    /// With `streams`, pipes that the command line or a variable names are read too.
    fn read(args: &AppArgs, env: &Env, need: Need, streams: Streams) -> Result<Self, Error> {
        if let Some(root) = &args.root {
            check_root(root, args, env)?;
        }
        let path = procfile_path(args, env);
        let mut remarks = unknown_variables(env);
        let procfile = match read(&path, env, named_by_user(&path, "procfile", args, streams)) {
            Ok(source) => {
                let procfile = procfile::parse(&source).map_err(Error::Files)?;
                let types: Vec<ProcessName> = procfile.names().cloned().collect();
                let problems = args.settings.check(&types);
                if !problems.is_empty() {
                    return Err(Error::Files(problems));
                }
                procfile
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match need {
                Need::Nothing if args.procfile.is_none() => {
                    remarks.extend(app_above(args, env).map(|above| {
                        let above = mask_path(&above);
                        let message =
                            format!("there is no Procfile here, and the app in {above} is not used");
                        (message, format!("use it with `ganger -d {above}`"))
                    }));
                    Procfile { entries: Vec::new() }
                }
                Need::Nothing | Need::Procfile => {
                    let option = if args.procfile.is_some() { "procfile" } else { "root" };
                    return Err(args.place(option, 0, no_procfile(&path, args, env)));
                }
            },
            Err(error) => return Err(args.place("procfile", 0, unreadable(&path, &error))),
        };
        let folder = folder(args, &path, env);
        let env_files = read_env_files(args, env, &folder, streams, &mut remarks)?;
        let mut environment = environment(args, env, &env_files);
        // Everything that every process starts would inherit it.
        environment.remove(keep::VARIABLE);
        let (started_in, logical_root) = logical(env, &folder);
        Ok(Self {
            root: absolute(&env.cwd, &folder),
            remarks,
            started_in,
            logical_root,
            procfile,
            environment,
            warnings: args
                .settings
                .idle(!args.no_port)
                .into_iter()
                .chain(env_files.iter().flat_map(|(_, file)| file.warnings.clone()))
                .chain(env_files.iter().filter_map(|(source, file)| mark_in(source, file)))
                .collect(),
            settings: args.settings.clone(),
            env_files,
            shell_port: env.var("PORT").map(OsStr::to_owned),
            shell_has_mark: env.var(keep::VARIABLE).is_some_and(|value| !value.is_empty()),
        })
    }

    /// Says on stderr what is odd in the files.
    pub(super) fn warn(&self) {
        if !self.warnings.is_empty() {
            complain_in_lines(&render_diagnostics(Severity::Warning, &self.warnings));
        }
        if self.shell_has_mark {
            let (name, hint) = (keep::VARIABLE, MARK_HINT);
            complain_in_lines(&format!(
                "ganger: warning: {name} of the shell is not passed on to processes\n  hint: {hint}"
            ));
        }
        for (message, hint) in &self.remarks {
            let (message, hint) = (sentence(message), sentence(hint));
            complain_in_lines(&format!("ganger: {}: {message}\n  hint: {hint}", Severity::Warning));
        }
    }

    /// Says which variables in values of env files are not expanded: nothing of the values but a name that
    /// there is.
    pub(super) fn unexpanded(&self) -> Option<String> {
        let named = |(source, it): (&Source, &Assignment)| {
            let name = names_in(&it.value).find(|name| self.environment.get(name).is_some())?;
            let place = format!("{}:{}", mask_path(source.path()), it.line);
            (!is_in_single_quotes(source, it)).then(|| (quoted(name), place))
        };
        let all = self.env_files.iter();
        let all = all.flat_map(|(source, file)| file.assignments.iter().map(move |it| (source, it)));
        let mut all = all.filter_map(named);
        let (name, place) = all.next()?;
        let more = match all.count() {
            0 => String::new(),
            more => format!(" ({more} more of this kind)"),
        };
        Some(format!("`${name}` is not expanded at {place}{more}; --expand expands it"))
    }

    /// Says where a command runs that is started in the root without a shell: the `PWD` that we have is the
    /// caller's, and `make` and others believe it.
    pub(super) fn move_to_root(&self, environment: &mut Environment) {
        if self.started_in != self.logical_root {
            environment.remove("OLDPWD");
        }
        // Where there is none, nothing is wrong.
        let is_wrong = |it: &Variable| it.value != self.logical_root.as_os_str();
        if environment.get("PWD").is_some_and(is_wrong) {
            environment.set("PWD", self.logical_root.clone(), Origin::Ganger("the root"));
        }
    }

    /// The folder that a type runs in, absolute.
    pub(super) fn folder_of(&self, name: &ProcessName) -> PathBuf {
        match self.settings.process(name).and_then(ProcessTable::cwd) {
            Some((folder, _)) => self.root.join(folder),
            None => self.root.clone(),
        }
    }

    /// Fails if a type is to run in a folder that is not there.
    pub(super) fn check_folders<'a>(
        &self,
        types: impl IntoIterator<Item = &'a ProcessName>,
    ) -> Result<(), Error> {
        let missing = |name| {
            let (_, span) = self.settings.process(name)?.cwd()?;
            let folder = self.folder_of(name);
            let message = match folder.metadata() {
                Ok(found) if found.is_dir() => return None,
                Ok(_) => "this is no folder".to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => "there is no such folder".to_owned(),
                Err(error) => error.to_string(),
            };
            let hint =
                format!("`cwd` is a folder, from the root of the app; looked for was {}", mask_path(&folder));
            Some((span, self.settings.error(span, message).hint(hint)))
        };
        let Some(source) = self.settings.source() else { return Ok(()) };
        let mut problems = Problems::default();
        for (span, problem) in types.into_iter().filter_map(missing) {
            problems.add(span, || problem);
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Files(problems.finish(source))) }
    }

    /// The app with its ports. `fits` chooses among the bases of `-p auto`: false is the next one's
    /// turn, and an error too, which is the answer if no base is without one.
    pub(super) fn app(
        &self,
        args: &AppArgs,
        fits: impl Fn(Ports) -> Result<bool, Error>,
    ) -> Result<App<'_>, Error> {
        let at = |base| Ports { base, step: args.port_step };
        let said = || plan::base(self.shell_port.as_deref(), &self.env_files, precedence(args));
        let ports = match port_wish(args) {
            _ if args.no_port => None,
            Some(PortWish::At(port)) => Some(at(port)),
            Some(PortWish::Auto) => {
                let plain = match args.port {
                    Some(PortWish::At(port)) => Some(port),
                    Some(PortWish::Auto) => None,
                    None => said().ok(),
                };
                let avoid = plain.filter(|_| args.name.is_some());
                Some(at(self.automatic(args.name.as_deref(), avoid, |base| fits(at(base)))?))
            }
            None => Some(at(said()?)),
        };
        Ok(App { ports, ..self.app_without_ports() })
    }

    /// The app, before its ports are known.
    pub(super) fn app_without_ports(&self) -> App<'_> {
        let Self { procfile, environment, settings, .. } = self;
        App { procfile, environment, settings, ports: None }
    }

    fn automatic(
        &self,
        name: Option<&str>,
        avoid: Option<Port>,
        fits: impl Fn(Port) -> Result<bool, Error>,
    ) -> Result<Port, Error> {
        // The folder as the system knows it, so that a link to it gets the same ports.
        let folder = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        let (mut taken, mut wrong) = (false, None);
        for base in crate::os::ports::candidates(&folder, name, avoid) {
            match fits(base) {
                Ok(true) => return Ok(base),
                Ok(false) => taken = true,
                Err(error) => wrong = Some(error),
            }
        }
        Err(wrong.filter(|_| !taken).unwrap_or(Error::NoFreePorts))
    }
}

/// What to do with a mark that is in every environment.
const MARK_HINT: &str =
    "set it for one program, as in `GANGER_KEEP=1 watchman`, or list programs: `--keep watchman`";

/// The mark of programs that are left running, in an env file.
fn mark_in(source: &Source, file: &EnvFile) -> Option<Diagnostic> {
    let it = file.assignments.iter().find(|it| it.key == keep::VARIABLE)?;
    let message = format!("`{}` is not passed on to processes", keep::VARIABLE);
    Some(source.error_without_text(it.span, message).hint(MARK_HINT))
}

/// Returns whether the app can be found, also if the working directory is not known.
pub(super) fn is_found(args: &AppArgs, env: &Env) -> bool {
    let given = args.root.as_ref().or(args.procfile.as_ref());
    !env.cwd.as_os_str().is_empty() || given.is_some_and(|path| path.is_absolute())
}

/// Returns the port that the options ask for. What the files and `PORT` say is for the instance without a name;
/// one that has a name takes a free block, unless it is given a port itself.
pub(super) fn port_wish(args: &AppArgs) -> Option<PortWish> {
    match args.port {
        _ if args.name.is_some() && !args.options.is_above_file("port") => Some(PortWish::Auto),
        wish => wish,
    }
}

/// The folder of the app, absolute, for a command that reads none of its files. It may be gone: what
/// runs there does not end by that.
pub(super) fn root_of(args: &AppArgs, env: &Env) -> Result<PathBuf, Error> {
    if let Some(root) = args.root.as_ref().filter(|root| env.cwd.join(root).exists()) {
        check_root(root, args, env)?;
    }
    Ok(absolute(&env.cwd, &folder(args, &procfile_path(args, env), env)))
}

/// The command line with the `ganger.toml` under it that lies beside the Procfile, if one does.
/// Which Procfile, only command line and variables say.
pub(super) fn with_settings(cli: Cli, env: &Env) -> Result<Cli, Error> {
    let Some((settings, problems)) = settings(&cli.app, env)? else { return Ok(cli) };
    if problems.is_empty() { cli.over(settings, &env.args) } else { Err(Error::Files(problems)) }
}

/// The same for a command that speaks with a running instance. It needs to know where that is, and
/// has to work while somebody is writing the file: what is wrong in it counts as not written.
pub(super) fn with_good_settings(cli: Cli, env: &Env) -> Result<Cli, Error> {
    match settings(&cli.app, env) {
        Ok(Some((settings, _))) => cli.over(readable(settings), &env.args),
        Ok(None) | Err(_) => Ok(cli),
    }
}

/// What the file says, and everything that is wrong with it.
fn settings(args: &AppArgs, env: &Env) -> Result<Option<(Settings, Vec<Diagnostic>)>, Error> {
    let path = folder(args, &procfile_path(args, env), env).join("ganger.toml");
    let source = match read(&path, env, Streams::Refuse) {
        Ok(source) => source,
        // A folder that is none is told with the Procfile.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(&path, &error)),
    };
    let (settings, mut problems) = Settings::read(source);
    // The rest is read once these are fixed.
    if problems.len() < MOST_SHOWN {
        problems.extend(misread(&settings));
    }
    problems.sort_by_key(|problem| (problem.line(), problem.column()));
    Ok(Some((settings, problems)))
}

/// The folder of the app whose Procfile is at `path`, as it was given.
fn folder(args: &AppArgs, path: &Path, env: &Env) -> PathBuf {
    match (&args.root, path.parent()) {
        (Some(root), _) => root.clone(),
        (None, Some(folder)) if !is_stream(path, env) => folder.to_owned(),
        (None, _) => PathBuf::new(),
    }
}

fn check_root(root: &Path, args: &AppArgs, env: &Env) -> Result<(), Error> {
    let message = match env.cwd.join(root).metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => "it is no folder".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "there is no such folder".to_owned(),
        Err(error) => error.to_string(),
    };
    let text = format!("{}: {message}", mask_path(root));
    Err(args.refuse("root", &text, Some("name the folder the Procfile is in".to_owned())))
}

/// Whether a Procfile comes through a pipe or another descriptor, as with `-f /dev/stdin` and
/// `-f <(…)`: the folder of that name is not the app's.
fn is_stream(path: &Path, env: &Env) -> bool {
    let descriptors = ["/dev", "/dev/fd", "/proc/self/fd"];
    let path = env.cwd.join(path);
    path.metadata().is_ok_and(|found| !found.is_file())
        || descriptors.iter().any(|folder| path.parent() == Some(Path::new(folder)))
}

/// A file named beside `-d` is looked for in that folder first, then in ours. What `ganger.toml`
/// names has its folder before it already.
fn named_file(file: &Path, option: &str, args: &AppArgs, env: &Env) -> PathBuf {
    if args.options.is_of_file(option) {
        return file.to_owned();
    }
    let in_root = args.root.as_deref().map(|root| root.join(file));
    in_root.filter(|path| env.cwd.join(path).exists()).unwrap_or_else(|| file.to_owned())
}

fn procfile_path(args: &AppArgs, env: &Env) -> PathBuf {
    match &args.procfile {
        Some(file) => named_file(file, "procfile", args, env),
        None => args.root.as_deref().unwrap_or(Path::new("")).join("Procfile"),
    }
}

/// The most env files, and the most bytes of all their variables. The environment of a process holds less.
const MOST_ENV_FILES: usize = 100;
const MOST_ENV_BYTES: usize = 32 * 1024 * 1024;

fn read_env_files(
    args: &AppArgs,
    env: &Env,
    folder: &Path,
    streams: Streams,
    remarks: &mut Vec<(String, String)>,
) -> Result<Vec<(Source, EnvFile)>, Error> {
    if args.no_env {
        return Ok(Vec::new());
    }
    let in_list = |(index, list): (usize, &OsString)| split_list(list).into_iter().map(move |it| (index, it));
    let named: Vec<(usize, OsString)> = args.env.iter().enumerate().flat_map(in_list).collect();
    let default = if named.is_empty() { Some((0, folder.join(".env"), true)) } else { None };
    let named = named.iter().map(|(at, file)| {
        let (file, may_be_missing) = optional(file);
        (*at, named_file(file, "env", args, env), may_be_missing)
    });
    let paths: Vec<(usize, PathBuf, bool)> = named.chain(default).collect();
    if paths.len() > MOST_ENV_FILES {
        let message = format!("too many env files: {} (the limit is {MOST_ENV_FILES})", paths.len());
        return Err(args.place("env", 0, Error::usage(message, "merge some of them")));
    }
    let mut files: Vec<(Source, EnvFile)> = Vec::new();
    let mut left = MOST_ENV_BYTES;
    for (at, path, may_be_missing) in paths {
        let source = match read(&path, env, named_by_user(&path, "env", args, streams)) {
            Ok(source) => source,
            Err(error) if may_be_missing && error.kind() == io::ErrorKind::NotFound => {
                if env.cwd.join(&path).is_symlink() {
                    let message = format!("{} is a broken symbolic link", mask_path(&path));
                    remarks.push((message, "restore the file it names, or remove the link".to_owned()));
                }
                continue;
            }
            Err(error) => return Err(args.place("env", at, unreadable(&path, &error))),
        };
        let known = environment(args, env, &files);
        let lookup = |name: &OsStr| known.get(name).map(|it| it.value.clone());
        let file = dotenv::parse(&source, if args.expand { Some(&lookup) } else { None });
        let file = file.map_err(|error| Error::Files(vec![error]))?;
        let size: usize = file.assignments.iter().map(|it| it.key.len() + it.value.len()).sum();
        left = left.checked_sub(size).ok_or_else(|| {
            let message = format!("the env files are too large in total (at {})", mask_path(&path));
            let hint = format!("the limit is {} MiB of names and values", MOST_ENV_BYTES >> 20);
            Error::usage(message, hint)
        })?;
        files.push((source, file));
    }
    Ok(files)
}

/// A file of the list, and whether it may be missing: `.env.local?`. One whose name ends with `?` is
/// written with one more.
fn optional(file: &OsStr) -> (&Path, bool) {
    use std::os::unix::ffi::OsStrExt as _;
    match file.as_bytes().strip_suffix(b"?") {
        Some(file) if !file.is_empty() => (Path::new(OsStr::from_bytes(file)), true),
        _ => (Path::new(file), false),
    }
}

fn precedence(args: &AppArgs) -> Precedence {
    if args.shell_env_wins { Precedence::Shell } else { Precedence::Files }
}

fn environment(args: &AppArgs, env: &Env, files: &[(Source, EnvFile)]) -> Environment {
    let files = files.iter().map(|(source, file)| (source.path(), file));
    let is_option = |(key, _): &(OsString, OsString)| key.to_str().is_some_and(is_option_variable);
    let mut shell = Cow::Borrowed(&env.vars[..]);
    if shell.iter().any(is_option) {
        shell.to_mut().retain(|variable| !is_option(variable));
    }
    let mut environment = Environment::layered(&shell, files, precedence(args));
    if args.color == ColorChoice::Never {
        environment.set("NO_COLOR", "1", Origin::Ganger("--color never"));
    }
    environment
}

/// The items of a comma list, trimmed, without empty ones.
fn split_list(list: &OsStr) -> Vec<OsString> {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let items = list.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    items.filter(|item| !item.is_empty()).map(|item| OsString::from_vec(item.to_vec())).collect()
}

/// Reads a file; in messages it has the path as it was given.
fn read(path: &Path, env: &Env, streams: Streams) -> Result<Source, Unread> {
    Ok(Source::new(path, files::read(&env.cwd.join(path), streams)?))
}

/// Pipes are only for files that the user named for this run, and terminals only for descriptors. A
/// pipe found where a file is expected, or named in a `ganger.toml`, came with the repository.
fn named_by_user(path: &Path, option: &str, args: &AppArgs, streams: Streams) -> Streams {
    let is_descriptor = path == Path::new("/dev/stdin")
        || ["/dev/fd", "/proc/self/fd"].iter().any(|folder| path.parent() == Some(Path::new(folder)));
    match streams {
        _ if !args.options.is_above_file(option) => Streams::Refuse,
        Streams::Any if !is_descriptor => Streams::Pipes,
        streams => streams,
    }
}

fn unreadable(path: &Path, error: &Unread) -> Error {
    let cannot = |why: String| format!("cannot read {}: {why}", mask_path(path));
    match error {
        Unread::System(error) => Error::unreadable(path, error),
        Unread::TooLarge => Error::usage(
            cannot(format!("file too large (the limit is {} MiB)", files::LIMIT >> 20)),
            "check the path: is it the file you meant?",
        ),
        Unread::Pipe => Error::usage(
            cannot("it is a named pipe (FIFO), not a file".to_owned()),
            "use a regular file; a pipe is read only when the app starts, and only if -f or -e names it",
        ),
        Unread::Special(what) => {
            Error::usage(cannot(format!("it is {what}, not a file")), "use a regular file")
        }
    }
}

/// Variables of ganger's that are probably misspelled; it would ignore them.
fn unknown_variables(env: &Env) -> Vec<(String, String)> {
    let ours = env.vars.iter().filter_map(|(key, _)| key.to_str().filter(|it| it.starts_with("GANGER_")));
    let is_known = |name: &str| is_option_variable(name) || [SOCKET, keep::VARIABLE].contains(&name);
    let strangers: Vec<&str> = ours.filter(|it| !is_known(it)).collect();
    if strangers.is_empty() {
        return Vec::new();
    }
    let known: Vec<String> = option_variables().chain([SOCKET.to_owned()]).collect();
    let remark = |name: &str| {
        let close = closest_by(name, known.iter(), |known| known)?;
        Some((format!("there is no option `{name}`; it has no effect"), format!("did you mean `{close}`?")))
    };
    strangers.into_iter().filter_map(remark).collect()
}

/// The variable with the path of the socket, which commands in processes need too.
const SOCKET: &str = "GANGER_SOCKET";

/// There is no Procfile at `path`.
fn no_procfile(path: &Path, args: &AppArgs, env: &Env) -> Error {
    let error = Error::no_procfile(path, &env.cwd);
    let dev = path.with_file_name("Procfile.dev");
    let above = || app_above(args, env).map(|above| mask_path(&above));
    let hint = if args.procfile.is_none() && env.cwd.join(&dev).is_file() {
        format!("use {} with `ganger -f Procfile.dev`", mask_path(&dev))
    } else if let Some(above) = above() {
        format!("there is one in {above}: use it with `ganger -d {above}`")
    } else {
        return error;
    };
    Error::Usage { message: error.to_string(), hint: Some(hint) }
}

/// The nearest directory above the one ganger was started in that has a Procfile, as in `../..`, if no
/// option says where the app is.
fn app_above(args: &AppArgs, env: &Env) -> Option<PathBuf> {
    if args.procfile.is_some() || args.root.is_some() {
        return None;
    }
    let mut above = PathBuf::new();
    env.cwd.ancestors().skip(1).find_map(|folder| {
        above.push("..");
        folder.join("Procfile").is_file().then(|| above.clone())
    })
}

/// The names in `$NAME` and `${NAME}`.
fn names_in(value: &OsStr) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let value = value.to_str().unwrap_or_default();
    value.split('$').skip(1).filter_map(move |rest| {
        let (rest, closed) = rest.strip_prefix('{').map_or((rest, false), |rest| (rest, true));
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        (end > 0 && (!closed || rest[end..].starts_with('}'))).then(|| &rest[..end])
    })
}

/// In single quotes `$` is meant as it is.
fn is_in_single_quotes(source: &Source, it: &Assignment) -> bool {
    let line = source.slice(source.line_span(it.span.end));
    let mut value = line.splitn(2, |byte| *byte == b'=').skip(1);
    value.next().is_some_and(|value| value.trim_ascii_start().starts_with(b"'"))
}

/// The directory ganger was started in and the root, absolute, with links as the user knows them: by the
/// shell's `PWD` where that is true, and with each `..` taken back as by `cd`.
fn logical(env: &Env, folder: &Path) -> (PathBuf, PathBuf) {
    let is_same = |one: &Path, other: &Path| {
        let id = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
        id(one).is_some_and(|one| id(other) == Some(one))
    };
    let pwd = env.var("PWD").map(PathBuf::from).filter(|pwd| pwd.is_absolute() && is_same(pwd, &env.cwd));
    let started_in = pwd.unwrap_or_else(|| env.cwd.clone());
    let mut root = PathBuf::new();
    for component in started_in.join(folder).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(root.pop()),
            other => root.push(other),
        }
    }
    let physical = absolute(&env.cwd, folder);
    if !is_same(&root, &physical) {
        root = physical.canonicalize().unwrap_or(physical);
    }
    (started_in, root)
}

fn absolute(cwd: &Path, folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() { cwd.to_owned() } else { cwd.join(folder) }
}
