//! Answers what a process asks its terminal, while no client is attached to it.
//!
//! A part of a `Source` whose process has a pty: `modes` says what the answers are, and this one writes them to the
//! master. It never waits for the process: what a program that does not read leaves no room for is dropped.
//!
//! While the terminal echoes and reads whole lines, nothing can be waiting for an answer; the question is part of some
//! text, such as a log with escape sequences in it. The answer would be echoed into the output, and would be input of
//! the next program that reads. But some programs ask first and switch to single keys then (in shell scripts
//! it is usual), so an answer is due for a second.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use super::modes::{Answers, Colors};
use crate::os::pty::{Size, echoes_lines};

/// How long a program may take to switch to single keys after it has asked.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often to look whether it has: nothing reports that.
pub(super) const INTERVAL: Duration = Duration::from_millis(10);

/// How many bytes of answers can be due.
const MAX_DUE: usize = 4096;

/// The answers of one run's terminal.
#[derive(Debug)]
pub(super) struct Answering {
    answers: Answers,
    /// Answers that were not written, and until when they may be.
    due: Vec<u8>,
    until: Instant,
}

impl Answering {
    pub(super) fn new(colors: Colors) -> Self {
        Self { answers: Answers::new(colors), due: Vec::new(), until: Instant::now() }
    }

    /// Looks at what was read from the terminal. Answers it unless the terminal of a client does.
    pub(super) fn look(&mut self, bytes: &[u8], terminal: &File, is_attached: bool) {
        let mut answers = Vec::new();
        self.answers.look(bytes, || Size::of(terminal).unwrap_or(Size::USUAL), &mut answers);
        if answers.is_empty() || is_attached {
            return;
        }
        if self.due.is_empty() {
            self.until = Instant::now() + PATIENCE;
        }
        if self.due.len() + answers.len() <= MAX_DUE {
            self.due.extend(answers);
        }
        self.give(terminal);
    }

    /// Returns whether there are answers that could not be given yet.
    pub(super) fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Gives the answers that are due, if they can be given now.
    pub(super) fn give(&mut self, terminal: &File) {
        if self.due.is_empty() {
            return;
        }
        if !echoes_lines(terminal) {
            // What it does not take now it may never take.
            let mut terminal = terminal;
            let _ = terminal.write(&self.due);
        } else if Instant::now() < self.until {
            return;
        }
        self.due = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use nix::pty::openpty;
    use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

    use super::*;

    #[test]
    fn what_is_asked_on_a_terminal_that_echoes_is_answered_later_or_not_at_all() {
        let pty = openpty(None, None).expect("a pty");
        let (master, mut slave) = (File::from(pty.master), File::from(pty.slave));
        let mut answering = Answering::new(Colors::default());
        answering.look(b"\x1b[5n", &master, true);
        assert!(!answering.is_due(), "the client's terminal answers");
        for _ in 0..1000 {
            answering.look(b"\x1b[c\x1b[6n", &master, false);
        }
        assert!(answering.is_due() && answering.due.len() <= MAX_DUE);
        answering.until = Instant::now();
        answering.give(&master);
        assert!(!answering.is_due(), "it is too late");
        answering.look(b"\x1b[5n", &master, false);
        assert!(answering.is_due());
        let mut modes = tcgetattr(&slave).expect("modes");
        cfmakeraw(&mut modes);
        tcsetattr(&slave, SetArg::TCSANOW, &modes).expect("set");
        answering.give(&master);
        assert!(!answering.is_due());
        let mut answer = [0; 100];
        let count = slave.read(&mut answer).expect("an answer");
        assert_eq!(&answer[..count], b"\x1b[0n");
    }
}
