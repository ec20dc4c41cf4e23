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

/// One run's output.
pub(super) struct Source {
    run: Run,
    id: InstanceId,
    output: File,
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
    pub(super) fn new(run: Run, id: InstanceId, output: File, prefix: Prefix) -> Self {
        let (lines, tail, readiness) = (LineBuffer::default(), Tail::default(), Readiness::Readable);
        Self { run, id, output, lines, tail, prefix, readiness }
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
    pub(super) fn read(&mut self, chunk: &mut [u8], renderer: &Renderer, out: &mut Vec<u8>) -> State {
        match self.output.read(chunk) {
            Ok(0) => return State::Closed,
            Ok(count) => {
                // A short read has emptied the pipe: the next byte is a new change.
                if count < chunk.len() && self.readiness == Readiness::Readable {
                    self.readiness = Readiness::Empty;
                }
                self.take(&chunk[..count], renderer, out);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readiness = Readiness::Empty,
            // EIO is the end of a pty (pty(7)); anything else is an end as well.
            Err(_) => return State::Closed,
        }
        State::Open
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
