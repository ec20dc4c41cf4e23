//! The app's environment: the shell's variables and the env files in layers, and where each
//! value comes from.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dotenv::EnvFile;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The environment ganger was started in.
    Shell,
    /// An env file and the line of the key in it.
    File(PathBuf, usize),
    /// ganger sets it; why.
    Ganger(&'static str),
}

impl Origin {
    /// Whether these words, as they are displayed, say that ganger sets it.
    pub fn is_ganger(words: &str) -> bool {
        words.starts_with("ganger (") && words.ends_with(')')
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell => f.write_str("shell"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Ganger(why) => write!(f, "ganger ({why})"),
        }
    }
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The value. Bytes that are not UTF-8 are kept.
    pub value: OsString,
    /// Where it comes from.
    pub origin: Origin,
}

/// Variables by name.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Variables shared with other environments.
    common: Arc<Common>,
    /// This environment's own variables; they override the shared ones.
    variables: BTreeMap<OsString, Variable>,
    precedence: Precedence,
}

/// Variables that many environments share, and their size.
#[derive(Debug, Clone, Default)]
struct Common {
    variables: BTreeMap<OsString, Variable>,
    size: Size,
}

/// An upper bound on the size of the variables as a new process gets them: `NAME=value`, a NUL and a
/// pointer each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// The total.
    pub all: usize,
    /// The longest `NAME=value`.
    pub longest: usize,
}

impl Size {
    fn and(self, key: &OsStr, variable: &Variable) -> Self {
        let length = key.len() + 1 + variable.value.len();
        Self { all: self.all + length + 1 + size_of::<usize>(), longest: self.longest.max(length) }
    }
}

impl PartialEq for Environment {
    fn eq(&self, other: &Self) -> bool {
        self.precedence == other.precedence && self.iter().eq(other.iter())
    }
}

impl Eq for Environment {}

/// Who wins where the shell and a file have the same variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precedence {
    /// The files, as with `heroku local`.
    #[default]
    Files,
    /// The shell: `--shell-env-wins`.
    Shell,
}

impl Environment {
    /// The shell's variables, overlaid by the files; a later file overlays an earlier one.
    /// An empty `PATH` in a file means the shell's: nothing would start without one.
    pub fn layered<'a>(
        shell: &[(OsString, OsString)],
        files: impl IntoIterator<Item = (&'a Path, &'a EnvFile)>,
        precedence: Precedence,
    ) -> Self {
        let mut all = Self { precedence, ..Self::default() };
        for (key, value) in shell {
            all.set(key.clone(), value.clone(), Origin::Shell);
        }
        for (path, file) in files {
            for it in &file.assignments {
                all.overlay(&it.key, &it.value, path, it.line);
            }
        }
        all
    }

    /// Sets a variable as one more file does. What ganger has set stays.
    pub fn overlay(&mut self, key: &OsStr, value: &OsStr, path: &Path, line: usize) {
        let stays = match self.get(key).map(|found| &found.origin) {
            Some(Origin::Shell) => self.precedence == Precedence::Shell,
            Some(Origin::Ganger(_)) => true,
            Some(Origin::File(..)) | None => false,
        };
        let keeps_path = key == "PATH" && value.is_empty();
        if !(stays || keeps_path) {
            self.set(key, value, Origin::File(path.to_owned(), line));
        }
    }

    /// Sets a variable, whatever was there.
    pub fn set(&mut self, key: impl Into<OsString>, value: impl Into<OsString>, origin: Origin) {
        self.variables.insert(key.into(), Variable { value: value.into(), origin });
    }

    /// Unsets a variable.
    pub fn remove(&mut self, key: &str) {
        self.variables.remove(OsStr::new(key));
        if self.common.variables.contains_key(OsStr::new(key)) {
            // Its size stays an upper bound.
            Arc::make_mut(&mut self.common).variables.remove(OsStr::new(key));
        }
    }

    /// Shares the present variables with all clones, which then need no memory for them.
    pub fn share(&mut self) {
        let mut variables = self.common.variables.clone();
        variables.append(&mut self.variables);
        let size = variables.iter().fold(Size::default(), |size, (key, it)| size.and(key, it));
        self.common = Arc::new(Common { variables, size });
    }

    /// Returns an upper bound on its size.
    pub fn size(&self) -> Size {
        self.variables.iter().fold(self.common.size, |size, (key, it)| size.and(key, it))
    }

    /// A variable.
    pub fn get(&self, key: impl AsRef<OsStr>) -> Option<&Variable> {
        self.variables.get(key.as_ref()).or_else(|| self.common.variables.get(key.as_ref()))
    }

    /// A value that is set and not empty.
    pub fn value(&self, key: &str) -> Option<&OsStr> {
        self.get(key).map(|found| found.value.as_os_str()).filter(|value| !value.is_empty())
    }

    /// All variables, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsString, &Variable)> {
        let (mut own, mut common) =
            (self.variables.iter().peekable(), self.common.variables.iter().peekable());
        std::iter::from_fn(move || {
            if let (Some((own, _)), Some((other, _))) = (own.peek(), common.peek()) {
                match own.cmp(other) {
                    Ordering::Less => {}
                    Ordering::Equal => drop(common.next()),
                    Ordering::Greater => return common.next(),
                }
            }
            own.next().or_else(|| common.next())
        })
    }

    /// Names and values, as a process gets them.
    pub fn pairs(&self) -> Vec<(OsString, OsString)> {
        self.iter().map(|(key, variable)| (key.clone(), variable.value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::dotenv;
    use crate::config::source::Source;

    fn file(path: &str, text: &str) -> (PathBuf, EnvFile) {
        (path.into(), dotenv::parse(&Source::new(path, text), None).expect("a good file"))
    }

    fn layered(shell: &[(&str, &str)], files: &[(PathBuf, EnvFile)], precedence: Precedence) -> Environment {
        let shell: Vec<(OsString, OsString)> =
            shell.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let files = files.iter().map(|(path, file)| (path.as_path(), file));
        Environment::layered(&shell, files, precedence)
    }

    #[test]
    fn files_win_over_the_shell_and_later_files_over_earlier_ones() {
        let files = [file("a.env", "A=1\nB=1\nA=2\n"), file("b.env", "\nB=2\n")];
        let all = layered(&[("A", "0"), ("C", "0")], &files, Precedence::Files);
        let shown: Vec<String> = all
            .iter()
            .map(|(key, it)| format!("{}={} {}", key.display(), it.value.display(), it.origin))
            .collect();
        assert_eq!(shown, ["A=2 a.env:3", "B=2 b.env:2", "C=0 shell"]);
    }

    #[test]
    fn the_shell_can_win() {
        let files = [file("a.env", "A=1\nB=1\nB=2\n")];
        let all = layered(&[("A", "0")], &files, Precedence::Shell);
        assert_eq!(all.value("A"), Some(OsStr::new("0")));
        assert_eq!(all.value("B"), Some(OsStr::new("2")));
    }

    #[test]
    fn shared_variables_can_be_overridden() {
        let mut all =
            layered(&[("B", "shell"), ("D", "shell")], &[file("a.env", "A=1\n")], Precedence::Files);
        let alone = all.clone();
        all.share();
        assert_eq!((&all, all.size()), (&alone, alone.size()));
        for (key, value) in [("0", "x"), ("B", "own"), ("C", "x"), ("E", "x")] {
            all.overlay(OsStr::new(key), OsStr::new(value), Path::new("b.env"), 1);
        }
        let pairs: Vec<String> =
            all.pairs().iter().map(|(key, value)| format!("{}={}", key.display(), value.display())).collect();
        assert_eq!(pairs, ["0=x", "A=1", "B=own", "C=x", "D=shell", "E=x"]);
        assert_eq!(all.value("B"), Some(OsStr::new("own")));
        assert_eq!(all.size().longest, 7);
    }

    #[test]
    fn an_empty_path_is_the_shells() {
        let files = [file(".env", "PATH=\nHOME=\n")];
        let all = layered(&[("PATH", "/bin"), ("HOME", "/root")], &files, Precedence::Files);
        assert_eq!(all.value("PATH"), Some(OsStr::new("/bin")));
        assert_eq!(all.get("HOME").map(|it| it.value.is_empty()), Some(true));
    }
}
