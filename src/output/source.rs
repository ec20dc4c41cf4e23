//! One process's output: its descriptor, the line that is not finished yet, its last lines.
//!
//! It belongs to the pump's thread, which says when to read and gives the buffer that lines go
//! to. It never writes anywhere, and knows nothing of other processes.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsRawFd as _, RawFd};

use super::lines::LineBuffer;
use super::render::{Prefix, Renderer};
use super::tail::Tail;
use crate::model::InstanceId;
use crate::supervisor::event::Run;

/// What is behind a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A read brings all there is; the end is 0 bytes.
    Pipe,
    /// A read brings at most 4 KiB on Linux, whatever there is; the end is EIO, and what was
    /// written before it comes first (`n_tty_read` in `n_tty.c`).
    Pty,
}

/// One run's output.
pub(super) struct Source {
    run: Run,
    id: InstanceId,
    output: File,
    kind: Kind,
    lines: LineBuffer,
    tail: Tail,
    prefix: Prefix,
    readiness: Readiness,
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
    pub(super) fn new(run: Run, id: InstanceId, output: File, kind: Kind, prefix: Prefix) -> Self {
        let (lines, tail, readiness) = (LineBuffer::default(), Tail::default(), Readiness::Readable);
        Self { run, id, output, kind, lines, tail, prefix, readiness }
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

    /// Reads as much as `chunk` takes, and appends the lines that are whole by now to `out`.
    pub(super) fn read(&mut self, chunk: &mut [u8], renderer: &Renderer, out: &mut Vec<u8>) -> State {
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
        self.take(&chunk[..filled], renderer, out);
        state
    }

    fn take(&mut self, chunk: &[u8], renderer: &Renderer, out: &mut Vec<u8>) {
        self.lines.push(chunk, |line| renderer.line(out, &mut self.prefix, line));
        self.tail.push(chunk);
    }

    /// Ends it: a last line without a newline is appended to `out`. Answers whose last lines
    /// they are.
    pub(super) fn finish(mut self, renderer: &Renderer, out: &mut Vec<u8>) -> (InstanceId, Tail) {
        self.lines.finish(|line| renderer.line(out, &mut self.prefix, line));
        (self.id, self.tail)
    }
}
