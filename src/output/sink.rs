//! The one writer of stdout.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::os::console;

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
    fn time(&self) -> Duration {
        self.began.elapsed()
    }

    /// A write begins, or some of it is out. Returns the time of that.
    fn note(&self) -> Duration {
        let now = self.time();
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
    /// What is to be written. While stdout is stuck, what it has not taken is here, too.
    pub(super) buffer: Vec<u8>,
    out: File,
    /// What a write fails with when nothing reads any more.
    end: Errno,
    /// Stdout is a terminal, and a write does not block.
    is_patient: bool,
    /// The terminal has taken nothing for so long that it is not waited for.
    is_stuck: bool,
    /// How much it has to take until it is waited for as long as any other.
    distrust: usize,
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

/// How long a terminal may take nothing before it is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same for one that was stuck, until it has taken [`TRUSTED`]: Ctrl-C makes room in a terminal that is
/// not read (`n_tty_receive_signal_char` in `n_tty.c` empties it), and that is not worth two seconds.
const LITTLE_PATIENCE: Duration = Duration::from_millis(100);

/// More than the system itself holds for a terminal.
const TRUSTED: usize = 64 * 1024;

/// How long to wait if a terminal that can be written to takes nothing: one byte of room is too little for
/// a newline that becomes two.
const NO_ROOM: Duration = Duration::from_millis(10);

/// What the buffer may hold before it is written in the middle of a wake-up.
pub(super) const FULL: usize = 512 * 1024;

impl Sink {
    pub(super) fn new(out: OwnedFd, written: Arc<AtomicU64>, progress: Arc<Progress>) -> Self {
        // Where that fails, a write blocks as it does for a pipe.
        let is_terminal = out.is_terminal();
        let own = is_terminal.then(|| console::open_again(&out)).and_then(Result::ok);
        Self {
            buffer: Vec::with_capacity(FULL),
            end: if is_terminal { Errno::EIO } else { Errno::EPIPE },
            is_patient: own.is_none(),
            out: own.unwrap_or_else(|| File::from(out)),
            is_stuck: false,
            distrust: 0,
            written,
            progress,
            gone: false,
            careful: 0,
        }
    }

    /// Nothing reads any more. Returns the error that a write would have, if none has had it yet.
    pub(super) fn reader_has_gone(&mut self) -> Option<io::Error> {
        (!std::mem::replace(&mut self.gone, true)).then(|| self.end.into())
    }

    /// Writes what was collected and blocks until it is out. A terminal that takes nothing for too long is
    /// stuck from then on ([`Self::is_stuck`]), and what is left stays in the buffer. The first failure is
    /// answered; from then on everything is thrown away, so that the processes can still end.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.is_stuck {
            return Ok(());
        }
        let mut result = Ok(());
        let mut rest = &self.buffer[..];
        let mut before = if self.gone || rest.is_empty() { Duration::ZERO } else { self.progress.note() };
        let mut refused = 0;
        while !self.gone && !rest.is_empty() {
            let piece = if self.careful == 0 { rest.len() } else { rest.len().min(PIECE) };
            match self.out.write(&rest[..piece]) {
                Ok(count) => {
                    rest = &rest[count..];
                    self.written.fetch_add(count as u64, Ordering::Relaxed);
                    let now = self.progress.note();
                    let is_slow = now.saturating_sub(before) > SLOW;
                    self.careful = if is_slow { CAREFUL } else { self.careful.saturating_sub(count) };
                    self.distrust = self.distrust.saturating_sub(count);
                    (before, refused) = (now, 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.is_patient => {
                    let patience = if self.distrust > 0 { LITTLE_PATIENCE } else { PATIENCE };
                    let left = patience.saturating_sub(self.progress.time().saturating_sub(before));
                    if left.is_zero() {
                        (self.is_stuck, self.distrust) = (true, TRUSTED);
                        break;
                    }
                    if refused > 0 {
                        std::thread::sleep(left.min(NO_ROOM));
                    }
                    refused += 1;
                    wait_for_room(&self.out, Some(left));
                }
                // Whoever gave us stdout made it non-blocking: wait for it as if it were not.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait_for_room(&self.out, None);
                }
                Err(error) => {
                    self.gone = true;
                    result = Err(error);
                }
            }
        }
        self.progress.rest();
        let left = if self.is_stuck { rest.len() } else { 0 };
        self.keep_last(left);
        result
    }

    /// Whether the terminal has taken nothing for so long that nothing is written any more.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Writes as much of what is left as a stuck terminal takes now. When all is out, it is not stuck any
    /// more; neither is it if it is gone.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        let mut rest = &self.buffer[..];
        let mut result = Ok(());
        while self.is_stuck && !rest.is_empty() {
            match self.out.write(rest) {
                Ok(count) => {
                    rest = &rest[count..];
                    self.written.fetch_add(count as u64, Ordering::Relaxed);
                    self.distrust = self.distrust.saturating_sub(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    rest = &[];
                    self.gone = true;
                    result = Err(error);
                }
            }
        }
        let left = rest.len();
        self.is_stuck &= left > 0;
        self.keep_last(left);
        result
    }

    /// Waits for the terminal as long as it takes, now and from now on: nothing tells when it takes more.
    pub(super) fn be_patient(&mut self) -> io::Result<()> {
        (self.is_patient, self.is_stuck) = (true, false);
        self.flush()
    }

    fn keep_last(&mut self, count: usize) {
        self.buffer.drain(..self.buffer.len() - count);
        // A piece of a long line may have made it large.
        self.buffer.shrink_to(2 * FULL);
    }
}

impl AsRawFd for Sink {
    fn as_raw_fd(&self) -> RawFd {
        self.out.as_raw_fd()
    }
}

fn wait_for_room(out: &File, limit: Option<Duration>) {
    let limit =
        limit.map_or(PollTimeout::NONE, |limit| PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX));
    let _ = poll(&mut [PollFd::new(out.as_fd(), PollFlags::POLLOUT)], limit);
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
