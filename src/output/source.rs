//! One process's output: its descriptor, the line that is not finished yet, its last lines.
//!
//! It belongs to the pump's thread, which says when to read and gives the buffer that lines go
//! to. It never writes anywhere, and knows nothing of other processes.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsRawFd as _, RawFd};

use super::format::Format;
use super::lines::{LineBuffer, Piece};
use super::log::Log;
use super::prefix::Prefix;
use super::tail::Tail;
use crate::model::InstanceId;
use crate::supervisor::event::Run;

/// One run's output.
pub(super) struct Source {
    run: Run,
    id: InstanceId,
    stream: Stream,
    output: File,
    lines: LineBuffer,
    tail: Tail,
    voice: Voice,
    log: Option<Log>,
    readiness: Readiness,
}

/// Which output of a process it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stream {
    /// Stdout, or both where they are one.
    Stdout,
    Stderr,
}

impl Stream {
    pub(super) const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// How its lines are shown.
#[derive(Debug)]
pub(super) enum Voice {
    /// Behind this.
    Shown(Prefix),
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
        run: Run,
        id: InstanceId,
        stream: Stream,
        output: File,
        voice: Voice,
        log: Option<Log>,
    ) -> Self {
        let (lines, tail, readiness) = (LineBuffer::default(), Tail::default(), Readiness::Readable);
        Self { run, id, stream, output, lines, tail, voice, log, readiness }
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

    /// Reads once, as much as `chunk` takes, and appends the lines that are whole by now to `out`.
    pub(super) fn read(&mut self, chunk: &mut [u8], format: &Format, out: &mut Vec<u8>) -> State {
        match self.output.read(chunk) {
            Ok(0) => return State::Closed,
            Ok(count) => {
                // A short read has emptied the pipe: the next byte is a new change.
                if count < chunk.len() && self.readiness == Readiness::Readable {
                    self.readiness = Readiness::Empty;
                }
                self.take(&chunk[..count], format, out);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readiness = Readiness::Empty,
            // EIO is the end of a pty (pty(7)); anything else is an end as well.
            Err(_) => return State::Closed,
        }
        State::Open
    }

    fn take(&mut self, chunk: &[u8], format: &Format, out: &mut Vec<u8>) {
        match (&mut self.voice, format) {
            (Voice::Shown(prefix), Format::Text(renderer)) => {
                self.lines.push(chunk, |line| renderer.line(out, prefix, line));
            }
            (Voice::Shown(prefix), Format::Json(json)) => {
                self.lines.push_pieces(chunk, |piece| json.line(out, prefix, piece));
            }
            (Voice::Muted, _) => {}
        }
        self.tail.push(chunk);
        if let Some(log) = &self.log {
            log.push(chunk);
        }
    }

    /// Ends it: a last line without a newline is appended to `out`. Answers whose last lines
    /// they are.
    pub(super) fn finish(mut self, format: &Format, out: &mut Vec<u8>) -> (InstanceId, Stream, Tail) {
        match (&mut self.voice, format) {
            (Voice::Shown(prefix), Format::Text(renderer)) => {
                self.lines.finish(|line| renderer.line(out, prefix, line));
            }
            (Voice::Shown(prefix), Format::Json(json)) => {
                self.lines.finish(|line| json.line(out, prefix, Piece { bytes: line, cut: false }));
            }
            (Voice::Muted, _) => {}
        }
        (self.id, self.stream, self.tail)
    }
}
