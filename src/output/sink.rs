//! The one writer of stdout.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Since when stdout takes nothing, for threads that must not wait for it.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    /// Nanoseconds from `began` to the start of the write under way, or to the last bytes it wrote. 0 while
    /// nothing is written.
    since: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { began: Instant::now(), since: AtomicU64::new(0) }
    }
}

impl Progress {
    /// A write begins, or some of it is out. Returns the time of that.
    fn note(&self) -> Duration {
        let now = self.began.elapsed();
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.since.store(nanos.max(1), Ordering::Relaxed);
        now
    }

    /// Nothing is written any more.
    fn rest(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// Returns how long the write under way has made no progress; `None` while nothing is written.
    pub(super) fn blocked_for(&self) -> Option<Duration> {
        match self.since.load(Ordering::Relaxed) {
            0 => None,
            since => Some(self.began.elapsed().saturating_sub(Duration::from_nanos(since))),
        }
    }
}

/// Collects what one wake-up brings and writes it at once.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) buffer: Vec<u8>,
    out: File,
    /// Bytes written, for whoever has to know whether the reader is stuck.
    written: Arc<AtomicU64>,
    progress: Arc<Progress>,
    gone: bool,
    /// How many more bytes are written in small pieces.
    careful: usize,
}

/// A write that takes longer than this has a slow reader.
const SLOW: Duration = Duration::from_millis(20);

/// How much is written to a slow reader at once. A write to a pipe returns when all of it is out, so a large
/// one would not show for seconds that the reader still reads.
const PIECE: usize = 16 * 1024;

/// How much is written in such pieces after a slow write: what a pipe holds, since a reader that takes much
/// at once makes room for as many quick writes.
const CAREFUL: usize = 1024 * 1024;

/// What the buffer may hold before it is written in the middle of a wake-up.
pub(super) const FULL: usize = 512 * 1024;

impl Sink {
    pub(super) fn new(out: OwnedFd, written: Arc<AtomicU64>, progress: Arc<Progress>) -> Self {
        Self {
            buffer: Vec::with_capacity(FULL),
            out: File::from(out),
            written,
            progress,
            gone: false,
            careful: 0,
        }
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
        let mut before = if self.gone || rest.is_empty() { Duration::ZERO } else { self.progress.note() };
        while !self.gone && !rest.is_empty() {
            let piece = if self.careful == 0 { rest.len() } else { rest.len().min(PIECE) };
            match self.out.write(&rest[..piece]) {
                Ok(count) => {
                    rest = &rest[count..];
                    self.written.fetch_add(count as u64, Ordering::Relaxed);
                    let now = self.progress.note();
                    let is_slow = now.saturating_sub(before) > SLOW;
                    self.careful = if is_slow { CAREFUL } else { self.careful.saturating_sub(count) };
                    before = now;
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
        self.progress.rest();
        self.buffer.clear();
        // A piece of a long line may have made it large.
        self.buffer.shrink_to(2 * FULL);
        result
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[track_caller]
    fn eventually(what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_mins(1), "never: {what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_reader_that_takes_nothing_shows_and_so_does_one_that_reads_slowly() {
        let (mut read, write) = io::pipe().expect("a pipe");
        let (written, progress) = (Arc::new(AtomicU64::new(0)), Arc::new(Progress::default()));
        let mut sink = Sink::new(write.into(), written.clone(), progress.clone());
        assert_eq!(progress.blocked_for(), None);
        sink.buffer.resize(FULL, b'x');
        let writer = std::thread::spawn(move || {
            sink.flush().expect("written");
            sink.buffer.resize(FULL, b'x');
            sink.flush().expect("written");
        });
        eventually("it is blocked", || progress.blocked_for().is_some_and(|blocked| blocked > 2 * SLOW));
        // The first write was slow, so a little of the second one shows.
        let mut first = vec![0; FULL];
        read.read_exact(&mut first).expect("read");
        eventually("a piece is out", || written.load(Ordering::Relaxed) > FULL as u64);
        let mut second = vec![0; FULL];
        read.read_exact(&mut second).expect("read");
        writer.join().expect("no panic");
        assert_eq!(progress.blocked_for(), None);
    }
}
