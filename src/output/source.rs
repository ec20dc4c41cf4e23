//! One process's output: its descriptor, the line that is not finished yet, its last lines.
//!
//! It belongs to the pump's thread, which says when to read and gives the [`Paper`] that lines
//! go to. It never writes anywhere, and knows nothing of other processes.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::time::Instant;

use super::answering::Answering;
use super::format::Format;
use super::history::{History, TrackId};
use super::lines::{LineBuffer, Piece};
use super::log::Log;
use super::modes::Colors;
use super::prefix::Prefix;
use super::sanitize::Sanitizer;
use super::screen::{PATIENCE, Place, Screen};
use crate::model::InstanceId;
use crate::supervisor::event::Run;

/// How many lines are sanitized before the buffer is checked: with the longest link that
/// continues from line to line, less than its size (`sink::FULL`).
const SOME_LINES: usize = 128;

/// What is behind a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A read brings all there is; the end is 0 bytes.
    Pipe,
    /// A read brings at most 4 KiB on Linux, whatever there is; the end is EIO, and what was
    /// written before it comes first (`n_tty_read` in `n_tty.c`).
    Pty,
}

/// What lines are put on.
pub(super) struct Paper<'a> {
    pub(super) format: &'a Format,
    pub(super) out: &'a mut Vec<u8>,
    /// `None` where stdout is no terminal, and for programs.
    pub(super) screen: Option<&'a mut Screen>,
}

/// One run's output.
pub(super) struct Source {
    run: Run,
    id: InstanceId,
    stream: Stream,
    kind: Kind,
    output: File,
    lines: Lines,
    kept: (History, TrackId),
    voice: Voice,
    log: Option<Log>,
    /// Of a pty.
    answering: Option<Box<Answering>>,
    readiness: Readiness,
    /// It was told that it uses the full screen.
    is_full_screen: bool,
}

/// Which output of a process it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Stdout, or both where they are one.
    Stdout,
    /// Stderr, where it is apart.
    Stderr,
}

impl Stream {
    /// All of them, in the order of their descriptors.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// As it is called in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The line that is not finished yet.
enum Lines {
    /// Without a screen the bytes pass as they are.
    Whole(LineBuffer),
    /// With one. A half line is shown when the time has come; no time, nothing to show.
    Screen(Box<Sanitizer>, Option<Instant>),
}

/// How its lines are shown.
#[derive(Debug)]
pub(super) enum Voice {
    /// Behind this.
    Shown(Prefix),
    /// Behind this, but not now: somebody has the process's terminal.
    Held(Prefix),
    /// Not at all.
    Muted,
}

/// What is known of a descriptor. The system tells only changes, so this has to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// A read would block.
    Empty,
    /// There is something to read.
    Readable,
    /// To be read until there is nothing, however short a read is: every writer has closed, or
    /// we are to close.
    Closing,
}

/// What a read has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// More may come.
    Open,
    /// Nothing will come any more.
    Closed,
}

impl Source {
    /// `output` must not block. It counts as ready, since the system may have told it already.
    pub(super) fn new(
        (run, id): (Run, InstanceId),
        (stream, kind, output): (Stream, Kind, File),
        voice: Voice,
        log: Option<Log>,
        history: &History,
        screen: Option<&Screen>,
    ) -> Self {
        let lines = match screen {
            None => Lines::Whole(LineBuffer::default()),
            Some(screen) => Lines::Screen(Box::new(Sanitizer::of_blocks(screen.abilities.allowed)), None),
        };
        let (kept, readiness) = ((history.clone(), history.begin(&id, stream)), Readiness::Readable);
        Self {
            run,
            id,
            stream,
            kind,
            output,
            lines,
            kept,
            voice,
            log,
            answering: None,
            readiness,
            is_full_screen: false,
        }
    }

    /// The same; if it is a terminal, its questions are answered.
    pub(super) fn answering(self, colors: Colors) -> Self {
        let answering = (self.kind == Kind::Pty).then(|| Box::new(Answering::new(colors)));
        Self { answering, ..self }
    }

    pub(super) fn run(&self) -> Run {
        self.run
    }

    pub(super) fn fd(&self) -> RawFd {
        self.output.as_raw_fd()
    }

    /// Whether a read may bring something.
    pub(super) fn is_ready(&self) -> bool {
        self.readiness != Readiness::Empty
    }

    /// There is something to read; if `closing`, nothing will follow it.
    pub(super) fn mark(&mut self, closing: bool) {
        if closing {
            self.readiness = Readiness::Closing;
        } else if self.readiness == Readiness::Empty {
            self.readiness = Readiness::Readable;
        }
    }

    /// Reads and keeps as much as fits into `chunk`. Returns how much that is.
    pub(super) fn read(&mut self, chunk: &mut [u8]) -> (usize, State) {
        let (mut filled, mut state) = (0, State::Open);
        while filled < chunk.len() {
            match self.output.read(&mut chunk[filled..]) {
                Ok(0) => state = State::Closed,
                Ok(count) => {
                    filled += count;
                    // A short read says nothing of a pty: only a read that would block does.
                    if self.kind == Kind::Pty {
                        continue;
                    }
                    // It has emptied a pipe: the next byte is a new change.
                    if filled < chunk.len() && self.readiness == Readiness::Readable {
                        self.readiness = Readiness::Empty;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readiness = Readiness::Empty,
                // EIO is the end of a pty (pty(7)); anything else is an end as well.
                Err(_) => state = State::Closed,
            }
            break;
        }
        if filled > 0 {
            let is_attached = self.kept.0.push(self.kept.1, &chunk[..filled]);
            if let Some(answering) = &mut self.answering {
                answering.look(&chunk[..filled], &self.output, is_attached);
            }
            if let Some(log) = &self.log {
                log.push(&chunk[..filled]);
            }
        }
        (filled, state)
    }

    /// Returns whether the process has asked its terminal something that was not answered yet.
    pub(super) fn is_asking(&self) -> bool {
        self.answering.as_ref().is_some_and(|answering| answering.is_due())
    }

    /// Answers it, if that can be done now. Returns whether that is still to be done.
    pub(super) fn answer(&mut self) -> bool {
        if let Some(answering) = &mut self.answering {
            answering.give(&self.output);
        }
        self.is_asking()
    }

    /// Puts lines on `paper`, and keeps an incomplete line. Returns how much of the chunk it
    /// took: on a terminal that is only some lines.
    pub(super) fn say(&mut self, chunk: &[u8], paper: &mut Paper<'_>) -> usize {
        let Voice::Shown(prefix) = &mut self.voice else { return chunk.len() };
        let Paper { format, out, screen } = paper;
        match (&mut self.lines, format, screen) {
            (Lines::Whole(lines), Format::Text(renderer), _) => {
                lines.push(chunk, |block| renderer.block(out, prefix, block));
            }
            (Lines::Whole(lines), Format::Json(json), _) => {
                lines.push_pieces(chunk, |piece| json.line(out, prefix, piece));
            }
            (Lines::Screen(sanitizer, due), Format::Text(renderer), Some(screen)) => {
                let mut place = Place { run: self.run, prefix, renderer };
                sanitizer.set_columns(screen.columns_of_process(renderer));
                let taken = sanitizer.push_some(chunk, SOME_LINES, |row| {
                    screen.line(&mut place, row, out);
                    *due = None;
                });
                if sanitizer.enters_other_screen() && !std::mem::replace(&mut self.is_full_screen, true) {
                    screen.new_line(out);
                    renderer.notice(out, &full_screen(&self.id, self.kind));
                }
                if sanitizer.is_block() {
                    *due = sanitizer.note(Instant::now());
                    return taken;
                }
                let row = sanitizer.row();
                if !row.is_pending() {
                    *due = None;
                } else if screen.is_in_place(self.run, row, renderer) {
                    screen.half_line(&mut place, row, out);
                    *due = None;
                } else if row.is_empty() && row.is_shown() {
                    *due = None;
                } else if row.is_shown() || due.is_none() {
                    // What was interrupted has to be still, or two progress bars would take turns
                    // to fill the screen.
                    *due = Some(Instant::now() + PATIENCE);
                }
                return taken;
            }
            // The screen is for people, and does not come and go.
            (Lines::Screen(..), _, _) => {}
        }
        chunk.len()
    }

    /// Its lines stand behind what `format` has for them from now on.
    pub(super) fn speak(&mut self, format: &Format) {
        if let Voice::Shown(prefix) | Voice::Held(prefix) = &mut self.voice {
            *prefix = format.prefix(&self.id, self.stream);
        }
    }

    /// Nothing of it is shown from now on. The line that is not finished is whoever's who shows the
    /// rest later.
    pub(super) fn hold(&mut self, paper: &mut Paper<'_>) {
        let Voice::Shown(prefix) = &mut self.voice else { return };
        let Paper { format, out, screen } = paper;
        match (&mut self.lines, format, screen) {
            (Lines::Screen(sanitizer, due), Format::Text(renderer), Some(screen)) => {
                let mut place = Place { run: self.run, prefix, renderer };
                sanitizer.settle(None, |row| screen.line(&mut place, row, out));
                // Blank lines that wait for what comes behind them.
                sanitizer.flush(|row| screen.line(&mut place, row, out));
                **sanitizer = Sanitizer::of_blocks(screen.abilities.allowed);
                *due = None;
            }
            (lines, _, _) => *lines = Lines::Whole(LineBuffer::default()),
        }
        self.voice = Voice::Held(prefix.clone());
    }

    /// It is shown again, from this begin of a line on.
    pub(super) fn go_on(&mut self, rest: &[u8], paper: &mut Paper<'_>) {
        if let Voice::Held(prefix) = &self.voice {
            self.voice = Voice::Shown(prefix.clone());
            let mut rest = rest;
            while !rest.is_empty() {
                rest = &rest[self.say(rest, paper)..];
            }
        }
    }

    pub(super) fn is_shown(&self) -> bool {
        matches!(self.voice, Voice::Shown(_))
    }

    pub(super) fn id(&self) -> &InstanceId {
        &self.id
    }

    /// Where what it reads is kept.
    pub(super) fn track(&self) -> TrackId {
        self.kept.1
    }

    /// When there is a half line to show.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.lines {
            Lines::Whole(_) => None,
            Lines::Screen(_, due) => *due,
        }
    }

    /// Shows the half line.
    pub(super) fn show(&mut self, paper: &mut Paper<'_>) {
        let Voice::Shown(prefix) = &mut self.voice else { return };
        let Paper { format, out, screen } = paper;
        if let (Lines::Screen(sanitizer, due), Format::Text(renderer), Some(screen)) =
            (&mut self.lines, format, screen)
        {
            let mut place = Place { run: self.run, prefix, renderer };
            let now = due.map_or_else(Instant::now, |due| due.max(Instant::now()));
            sanitizer.settle(Some(now), |row| screen.line(&mut place, row, out));
            if sanitizer.is_block() {
                *due = sanitizer.note(now);
                return;
            }
            sanitizer.flush(|row| screen.line(&mut place, row, out));
            if sanitizer.row().is_half() {
                screen.half_line(&mut place, sanitizer.row(), out);
            }
            *due = None;
        }
    }

    /// Ends it: a last line without a newline is put on `paper`.
    pub(super) fn finish(mut self, paper: &mut Paper<'_>) {
        self.finish_line(paper);
        self.kept.0.end(self.kept.1);
    }

    fn finish_line(&mut self, paper: &mut Paper<'_>) {
        let Voice::Shown(prefix) = &mut self.voice else { return };
        let Paper { format, out, screen } = paper;
        match (&mut self.lines, format, screen) {
            (Lines::Whole(lines), Format::Text(renderer), _) => {
                lines.finish(|line| renderer.line(out, prefix, line));
            }
            (Lines::Whole(lines), Format::Json(json), _) => {
                lines.finish(|line| json.line(out, prefix, Piece { bytes: line, cut: false }));
            }
            (Lines::Screen(sanitizer, _), Format::Text(renderer), Some(screen)) => {
                let mut place = Place { run: self.run, prefix, renderer };
                sanitizer.finish(|row| screen.line(&mut place, row, out));
            }
            (Lines::Screen(..), _, _) => {}
        }
    }
}

/// What is shown in place of a display that takes the whole terminal.
fn full_screen(id: &InstanceId, kind: Kind) -> String {
    match kind {
        Kind::Pty => format!("{id} uses the full screen; see it with `ganger attach {id}`"),
        Kind::Pipe => format!("{id} uses the full screen, which is not shown here"),
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
