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
    /// The working directory. If it was removed, what the shell calls it (`PWD`); empty if that is not known.
    pub cwd: PathBuf,
    /// Whether stdin is a terminal.
    pub stdin_is_terminal: bool,
    /// Whether stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether stderr is a terminal.
    pub stderr_is_terminal: bool,
}

impl Env {
    /// Reads them.
    pub fn read() -> Self {
        let named = || std::env::var_os("PWD").map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            vars: std::env::vars_os().collect(),
            args: std::env::args_os().collect(),
            cwd: std::env::current_dir().ok().or_else(named).unwrap_or_default(),
            stdin_is_terminal: io::stdin().is_terminal(),
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal(),
        }
    }

    /// Returns whether the terminal decodes UTF-8, according to the locale. If none is set, as in many
    /// containers, UTF-8 is assumed, as current terminals use it.
    pub fn is_utf8(&self) -> bool {
        let set = |name: &&str| self.var(name).is_some_and(|value| !value.is_empty());
        // In this order (POSIX, XBD 8.2).
        let named = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(set).and_then(|name| self.var(name));
        let is_utf8 = |locale: &OsStr| {
            let locale = locale.to_string_lossy().to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        };
        named.is_none_or(is_utf8)
    }

    /// The value of a variable.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.vars.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_whether_the_terminal_decodes_utf8() {
        for (vars, expected) in [
            (&[][..], true),
            (&[("LANG", "C")], false),
            (&[("LANG", "POSIX")], false),
            (&[("LANG", "de_DE")], false),
            (&[("LANG", "de_DE.ISO-8859-1")], false),
            (&[("LANG", "ja_JP.eucJP@x")], false),
            (&[("LANG", "C.UTF-8")], true),
            (&[("LANG", "en_US.utf8")], true),
            (&[("LANG", "en_US.utf8@euro")], true),
            (&[("LC_CTYPE", "UTF-8")], true),
            (&[("LANG", "C.UTF-8"), ("LC_CTYPE", "C")], false),
            (&[("LANG", "C"), ("LC_CTYPE", "C.UTF-8")], true),
            (&[("LANG", "C.UTF-8"), ("LC_CTYPE", "C.UTF-8"), ("LC_ALL", "C")], false),
            (&[("LC_ALL", ""), ("LC_CTYPE", ""), ("LANG", "C")], false),
            (&[("LC_MESSAGES", "C"), ("LANG", "")], true),
        ] {
            let env = Env {
                vars: vars.iter().map(|(key, value)| (key.into(), value.into())).collect(),
                args: Vec::new(),
                cwd: PathBuf::new(),
                stdin_is_terminal: true,
                stdout_is_terminal: true,
                stderr_is_terminal: true,
            };
            assert_eq!(env.is_utf8(), expected, "{vars:?}");
        }
    }
}
