//! Finding and reading an app's files.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::complain;
use crate::cli::AppArgs;
use crate::config::diagnostic::Diagnostic;
use crate::config::dotenv::{self, EnvFile};
use crate::config::environment::{Environment, Origin, Precedence};
use crate::config::procfile::{self, Procfile};
use crate::config::source::Source;
use crate::env::Env;
use crate::error::{Error, Severity, render_diagnostics};
use crate::model::Port;
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
    /// What is odd in the env files.
    pub(super) warnings: Vec<Diagnostic>,
    env_files: Vec<(Source, EnvFile)>,
    /// `PORT` of the shell.
    shell_port: Option<OsString>,
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
        if let Some(root) = &args.root {
            check_root(root, env)?;
        }
        let path = procfile_path(args, env);
        let procfile = match read(&path, env) {
            Ok(source) => procfile::parse(&source).map_err(Error::Files)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => match need {
                Need::Nothing if args.procfile.is_none() => Procfile { entries: Vec::new() },
                Need::Nothing | Need::Procfile => return Err(Error::no_procfile(&path, &env.cwd)),
            },
            Err(error) => return Err(Error::unreadable(&path, &error)),
        };
        let folder = folder(args, &path, env);
        let env_files = read_env_files(args, env, &folder)?;
        Ok(Self {
            root: absolute(&env.cwd, &folder),
            procfile,
            environment: environment(args, env, &env_files),
            warnings: env_files.iter().flat_map(|(_, file)| file.warnings.clone()).collect(),
            env_files,
            shell_port: env.var("PORT").map(OsStr::to_owned),
        })
    }

    /// Says on stderr what is odd in the env files.
    pub(super) fn warn(&self) {
        if !self.warnings.is_empty() {
            complain(&render_diagnostics(Severity::Warning, &self.warnings));
        }
    }

    /// The app with its ports. `fits` chooses among the bases of `-p auto`: false is the next one's
    /// turn, and an error too, which is the answer if no base is without one.
    pub(super) fn app(
        &self,
        args: &AppArgs,
        fits: impl Fn(Ports) -> Result<bool, Error>,
    ) -> Result<App<'_>, Error> {
        let at = |base| Ports { base, step: args.port_step };
        let ports = match args.port {
            _ if args.no_port => None,
            Some(PortWish::At(port)) => Some(at(port)),
            Some(PortWish::Auto) => Some(at(self.automatic(|base| fits(at(base)))?)),
            None => Some(at(plan::base(self.shell_port.as_deref(), &self.env_files, precedence(args))?)),
        };
        Ok(App { procfile: &self.procfile, environment: &self.environment, ports })
    }

    fn automatic(&self, fits: impl Fn(Port) -> Result<bool, Error>) -> Result<Port, Error> {
        // The folder as the system knows it, so that a link to it gets the same ports.
        let folder = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        let (mut taken, mut wrong) = (false, None);
        for base in crate::os::ports::candidates(&folder) {
            match fits(base) {
                Ok(true) => return Ok(base),
                Ok(false) => taken = true,
                Err(error) => wrong = Some(error),
            }
        }
        Err(wrong.filter(|_| !taken).unwrap_or(Error::NoFreePorts))
    }
}

/// The folder of the app, absolute, for a command that reads none of its files. It may be gone: what
/// runs there does not end by that.
pub(super) fn root_of(args: &AppArgs, env: &Env) -> Result<PathBuf, Error> {
    if let Some(root) = args.root.as_ref().filter(|root| env.cwd.join(root).exists()) {
        check_root(root, env)?;
    }
    Ok(absolute(&env.cwd, &folder(args, &procfile_path(args, env), env)))
}

/// The folder of the app whose Procfile is at `path`, as it was given.
fn folder(args: &AppArgs, path: &Path, env: &Env) -> PathBuf {
    match (&args.root, path.parent()) {
        (Some(root), _) => root.clone(),
        (None, Some(folder)) if !is_stream(path, env) => folder.to_owned(),
        (None, _) => PathBuf::new(),
    }
}

fn check_root(root: &Path, env: &Env) -> Result<(), Error> {
    let message = match env.cwd.join(root).metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => "it is no folder".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "there is no such folder".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Error::usage(format!("-d {}: {message}", root.display()), "name the folder the Procfile is in"))
}

/// Whether a Procfile comes through a pipe or another descriptor, as with `-f /dev/stdin` and
/// `-f <(…)`: the folder of that name is not the app's.
fn is_stream(path: &Path, env: &Env) -> bool {
    let descriptors = ["/dev", "/dev/fd", "/proc/self/fd"];
    let path = env.cwd.join(path);
    path.metadata().is_ok_and(|found| !found.is_file())
        || descriptors.iter().any(|folder| path.parent() == Some(Path::new(folder)))
}

/// A file named beside `-d` is looked for in that folder first, then in ours.
fn named_file(file: &Path, args: &AppArgs, env: &Env) -> PathBuf {
    let in_root = args.root.as_deref().map(|root| root.join(file));
    in_root.filter(|path| env.cwd.join(path).exists()).unwrap_or_else(|| file.to_owned())
}

fn procfile_path(args: &AppArgs, env: &Env) -> PathBuf {
    match &args.procfile {
        Some(file) => named_file(file, args, env),
        None => args.root.as_deref().unwrap_or(Path::new("")).join("Procfile"),
    }
}

fn read_env_files(args: &AppArgs, env: &Env, folder: &Path) -> Result<Vec<(Source, EnvFile)>, Error> {
    if args.no_env {
        return Ok(Vec::new());
    }
    let named: Vec<OsString> = args.env.iter().flat_map(|list| split_list(list)).collect();
    let default = if named.is_empty() { Some(folder.join(".env")) } else { None };
    let named = named.iter().map(|file| named_file(Path::new(file), args, env));
    let mut files: Vec<(Source, EnvFile)> = Vec::new();
    for path in named.chain(default.clone()) {
        let source = match read(&path, env) {
            Ok(source) => source,
            Err(error) if default.is_some() && error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::unreadable(&path, &error)),
        };
        let known = environment(args, env, &files);
        let lookup =
            |name: &OsStr| known.iter().find(|(key, _)| *key == name).map(|(_, it)| it.value.clone());
        let file = dotenv::parse(&source, if args.expand { Some(&lookup) } else { None });
        files.push((source, file.map_err(|error| Error::Files(vec![error]))?));
    }
    Ok(files)
}

fn precedence(args: &AppArgs) -> Precedence {
    if args.shell_env_wins { Precedence::Shell } else { Precedence::Files }
}

fn environment(args: &AppArgs, env: &Env, files: &[(Source, EnvFile)]) -> Environment {
    let files = files.iter().map(|(source, file)| (source.path(), file));
    let mut environment = Environment::layered(&env.vars, files, precedence(args));
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
fn read(path: &Path, env: &Env) -> io::Result<Source> {
    Ok(Source::new(path, std::fs::read(env.cwd.join(path))?))
}

fn absolute(cwd: &Path, folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() { cwd.to_owned() } else { cwd.join(folder) }
}
