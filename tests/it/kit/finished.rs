//! What a ganger that has ended leaves to be looked at.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::rc::Rc;

use nix::sys::signal::Signal;

use super::{Line, World};

/// A run that is over. Each method that asserts answers the value, so that they can be chained.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    /// The bytes as they came.
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    world: Rc<World>,
}

impl Finished {
    pub(crate) fn new(status: ExitStatus, stdout: Vec<u8>, stderr: Vec<u8>, world: Rc<World>) -> Self {
        Self { status, stdout, stderr, world }
    }

    /// It exited with this code; a death by signal is none.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self}");
        self
    }

    /// It was really killed by this signal.
    #[track_caller]
    pub(crate) fn killed_by(self, signal: Signal) -> Self {
        assert_eq!(self.status.signal(), Some(signal as i32), "{self}");
        self
    }

    /// The whole stdout, after [`Finished::tidy`].
    #[track_caller]
    pub(crate) fn stdout(self, expected: &str) -> Self {
        assert_same("stdout", &self.tidy(&self.stdout), expected, &self);
        self
    }

    /// The whole stderr, after [`Finished::tidy`].
    #[track_caller]
    pub(crate) fn stderr(self, expected: &str) -> Self {
        assert_same("stderr", &self.tidy(&self.stderr), expected, &self);
        self
    }

    #[track_caller]
    pub(crate) fn stderr_has(self, text: &str) -> Self {
        assert!(self.tidy(&self.stderr).contains(text), "no `{text}` on stderr\n{self}");
        self
    }

    #[track_caller]
    pub(crate) fn stdout_has(self, text: &str) -> Self {
        assert!(self.tidy(&self.stdout).contains(text), "no `{text}` on stdout\n{self}");
        self
    }

    /// Stdout, in lines.
    pub(crate) fn lines(&self) -> Vec<Line> {
        String::from_utf8_lossy(&self.stdout).lines().filter_map(Line::parse).collect()
    }

    /// What one process wrote, or `system`.
    pub(crate) fn lines_of(&self, name: &str) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.name == name).map(|line| line.text).collect()
    }

    /// The bytes that a process wrote, as they came: what stands behind its prefix in each
    /// line, with a newline.
    pub(crate) fn bytes_of(&self, name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in self.stdout.split_inclusive(|byte| *byte == b'\n') {
            let bar = line.iter().position(|byte| *byte == b'|').unwrap_or(0);
            let head = String::from_utf8_lossy(&line[..bar]);
            if head.split_once(' ').is_some_and(|(_, found)| found.trim_end() == name) {
                bytes.extend_from_slice(&line[bar + 2..]);
            }
        }
        bytes
    }

    /// As text, with what differs from run to run replaced: the time before each line by
    /// `TIME`, pids by `pid N`, durations by `after N s`, the folder by `DIR`, this test's
    /// ports by `PORT` and `PORT+100`.
    pub(crate) fn tidy(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes).replace(self.world.dir().to_str().expect("a text"), "DIR");
        let lines = text.split('\n').map(|line| {
            let is_time = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
            let line = match line.split_at_checked(8) {
                Some((time, rest)) if is_time(time) && rest.starts_with(' ') => format!("TIME{rest}"),
                _ => line.to_owned(),
            };
            self.tidy_words(&line)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn tidy_words(&self, line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, from) = rest.split_at(start);
            let length = from.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(from.len());
            let (word, after) = from.split_at(length);
            out.push_str(before);
            out.push_str(&self.tidy_number(&out, word, after));
            rest = after;
        }
        out + rest
    }

    fn tidy_number(&self, before: &str, word: &str, after: &str) -> String {
        if before.ends_with("pid ") || before.ends_with("after ") && after.starts_with(" s") {
            return "N".into();
        }
        let base = self.world.base();
        let port = word.parse().ok().and_then(|number: u16| number.checked_sub(base?));
        match port {
            Some(0) => "PORT".into(),
            Some(more @ 1..500) => format!("PORT+{more}"),
            _ => word.to_owned(),
        }
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (stdout, stderr) = (self.tidy(&self.stdout), self.tidy(&self.stderr));
        write!(f, "{}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---", self.status)
    }
}

#[track_caller]
fn assert_same(what: &str, actual: &str, expected: &str, all: &Finished) {
    assert!(actual == expected, "{what} is\n{actual}\nand should be\n{expected}\n{all}");
}
