//! What the program is told by its surroundings, read once.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

/// The surroundings. `main` reads them; everything else gets them as an argument.
#[derive(Debug, Clone)]
pub struct Env {
    /// The environment variables; bytes that are not UTF-8 are kept.
    pub vars: Vec<(OsString, OsString)>,
    /// The command line, the program's name first.
    pub args: Vec<OsString>,
    /// The working folder.
    pub cwd: PathBuf,
    /// Whether stdin is a terminal.
    pub stdin_is_terminal: bool,
    /// Whether stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether stderr is a terminal.
    pub stderr_is_terminal: bool,
}

impl Env {
    /// Reads them. Fails if the working folder is gone.
    pub fn read() -> io::Result<Self> {
        Ok(Self {
            vars: std::env::vars_os().collect(),
            args: std::env::args_os().collect(),
            cwd: std::env::current_dir()?,
            stdin_is_terminal: io::stdin().is_terminal(),
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal(),
        })
    }

    /// The value of a variable.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.vars.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }
}
