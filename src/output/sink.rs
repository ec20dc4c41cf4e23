//! The one writer of stdout.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Collects what one wake-up brings and writes it at once.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) buffer: Vec<u8>,
    out: File,
    /// Bytes written, for whoever has to know whether the reader is stuck.
    written: Arc<AtomicU64>,
    gone: bool,
}

/// What the buffer may hold before it is written in the middle of a wake-up.
pub(super) const FULL: usize = 512 * 1024;

impl Sink {
    pub(super) fn new(out: OwnedFd, written: Arc<AtomicU64>) -> Self {
        Self { buffer: Vec::with_capacity(FULL), out: File::from(out), written, gone: false }
    }

    /// Nobody reads any more. Answers what a write would have, if none has yet.
    pub(super) fn reader_has_gone(&mut self) -> Option<io::Error> {
        (!std::mem::replace(&mut self.gone, true)).then(|| Errno::EPIPE.into())
    }

    /// Writes what was collected and blocks until it is out. The first failure is answered;
    /// from then on everything is thrown away, so that the processes can still end.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        let mut rest = &self.buffer[..];
        while !self.gone && !rest.is_empty() {
            match self.out.write(rest) {
                Ok(count) => {
                    rest = &rest[count..];
                    self.written.fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Whoever gave us stdout made it non-blocking: wait for it as if it were not.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let _ = poll(&mut [PollFd::new(self.out.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE);
                }
                Err(error) => {
                    self.gone = true;
                    result = Err(error);
                }
            }
        }
        self.buffer.clear();
        // A piece of a long line may have made it large.
        self.buffer.shrink_to(2 * FULL);
        result
    }
}
