//! What each process writes, in a file of its own: `--log-dir`. Its bytes as they are or, with
//! `--log-format plain`, lines of text.
//!
//! A thread does the writing, since a file system may take its time and a poll does not tell it.
//! The pump hands it copies of what it reads, through one buffer of bounded size: it waits for a
//! disk that is slow and not for one that is stuck. A file that cannot be written is given up,
//! which is told once. Nothing here ever ends the run.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, SFlag, fstatat};

use super::sanitize::{Allowed, Row, Sanitizer};
use crate::model::InstanceId;
use crate::os::user;
use crate::supervisor::event::Event;

/// What may wait to be written, in bytes. As much again may be in the writer's hands.
const LIMIT: usize = 1 << 20;

/// How many bytes are appended at once: as many as are read at once.
const SOME: usize = 64 * 1024;

/// How long the pump waits for a writer that gets nothing done.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// A disk that wakes up, or writes back what others have left, takes seconds.
    in_run: Duration,
    /// Whoever waits for the end of all output waits a little longer.
    at_end: Duration,
}

const PATIENCE: Patience = Patience { in_run: Duration::from_secs(5), at_end: Duration::from_millis(1500) };

/// How long a pipe in place of a file may be full.
const PIPE_PATIENCE: Duration = Duration::from_secs(1);

const STUCK: &str = "the file system is stuck";

/// A file that takes one process's bytes.
#[derive(Debug)]
pub struct LogFile {
    id: InstanceId,
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Opens `web.1.log` in the folder, which has to be there, and makes it if need be. What is in
    /// it stays.
    pub fn open(folder: &Path, id: &InstanceId) -> io::Result<Self> {
        let path = folder.join(Self::name(id));
        let file = open(&path)?;
        Ok(Self { id: id.clone(), path, file })
    }

    /// What the file of a process is called.
    pub fn name(id: &InstanceId) -> String {
        format!("{id}.log")
    }

    fn write(&mut self, mut bytes: &[u8], written: &AtomicU64) -> io::Result<()> {
        // Somebody who tidies up while we run does not mean to end the log.
        if self.file.metadata()?.nlink() == 0 {
            self.file = open(&self.path)?;
        }
        let patience = PollTimeout::try_from(PIPE_PATIENCE).unwrap_or(PollTimeout::ZERO);
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(count) => {
                    bytes = &bytes[count..];
                    written.fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
                    if poll(&mut fds, patience) == Ok(0) {
                        return Err(io::Error::new(ErrorKind::TimedOut, "nobody reads it"));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Opens a file to append to. A missing file is created for its owner alone, as the output of processes may
/// contain secrets; an existing one keeps its mode.
///
/// In a directory where others can create files, a link could lead to any file of ours, and a file of
/// theirs could be read by them, so neither is written to. Everything is opened relative to the directory
/// that was checked, so that it cannot be exchanged in between.
pub fn open(path: &Path) -> io::Result<File> {
    let (folder, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // A directory without read permission may still have the file in it.
    #[cfg(target_os = "linux")]
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    #[cfg(not(target_os = "linux"))]
    let flags = libc::O_DIRECTORY;
    let follow = if is_link_of_ours(folder)? { 0 } else { libc::O_NOFOLLOW };
    let folder = OpenOptions::new().read(true).custom_flags(flags | follow).open(folder)?;
    let about = folder.metadata()?;
    let is_ours_alone = about.uid() == user::id() && about.mode() & 0o022 == 0;
    let link = if is_ours_alone { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    // A pipe in its place that nobody reads must not hold us up (fifo(7)); a terminal must not
    // become ours. Files do not care.
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let open = |more: OFlag| openat(&folder, name, flags | link | more, Mode::S_IRUSR | Mode::S_IWUSR);
    // The file may appear or vanish meanwhile, so try again.
    for _ in 0..10 {
        let opened = match open(OFlag::empty()) {
            Err(Errno::ENOENT) => match open(OFlag::O_CREAT | OFlag::O_EXCL) {
                // A link to a file that does not exist yet (open(2)).
                Err(Errno::EEXIST) if is_ours_alone => open(OFlag::O_CREAT),
                Err(Errno::EEXIST) => continue,
                made => made,
            },
            found => found,
        };
        let file = match opened {
            Ok(file) => File::from(file),
            Err(Errno::ENXIO) => return Err(no_device(&folder, name)),
            // The BSDs return EMLINK.
            Err(Errno::ELOOP | Errno::EMLINK) if !is_ours_alone => return Err(refused(SYMLINK)),
            Err(Errno::ENOENT) => continue,
            Err(error) => return Err(error.into()),
        };
        check(&file.metadata()?, &about, is_ours_alone)?;
        return Ok(file);
    }
    Err(Errno::ENOENT.into())
}

/// Returns whether the directory is a symbolic link, and one that nobody else can have placed or can
/// replace. Fails if it is another one.
fn is_link_of_ours(folder: &Path) -> io::Result<bool> {
    let about = folder.symlink_metadata()?;
    if !about.is_symlink() {
        return Ok(false);
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.metadata()?;
    let is_trusted = |about: &Metadata| about.uid() == user::id() || about.uid() == 0;
    // In a sticky directory only its owner can replace a link (inode(7)).
    let is_fixed = parent.mode() & 0o022 == 0 || parent.mode() & 0o1000 != 0;
    if is_trusted(&about) && is_trusted(&parent) && is_fixed {
        return Ok(true);
    }
    Err(refused("its directory is a symbolic link that another user can have placed"))
}

const SYMLINK: &str = "it is a symbolic link in a directory that is not yours alone";

fn refused(why: &str) -> io::Error {
    io::Error::other(why)
}

/// Returns an error unless the open file may be written to.
fn check(file: &Metadata, folder: &Metadata, is_ours_alone: bool) -> io::Result<()> {
    if file.file_type().is_block_device() {
        return Err(refused("it is a block device"));
    }
    // The owner of a directory that only they can write to can replace everything in it anyway.
    let is_of_owner = file.uid() == folder.uid() && folder.mode() & 0o022 == 0;
    if !is_ours_alone && file.uid() != user::id() && !is_of_owner {
        return Err(refused("it belongs to another user"));
    }
    if !is_ours_alone && file.is_file() && file.nlink() > 1 {
        return Err(refused("it is a hard link in a directory that is not yours alone"));
    }
    Ok(())
}

/// Returns what ENXIO means here (open(2)).
fn no_device(folder: &File, name: &OsStr) -> io::Error {
    let kind = fstatat(folder, name, AtFlags::empty()).map(|about| about.st_mode & SFlag::S_IFMT.bits());
    match kind.map(SFlag::from_bits_truncate) {
        Ok(SFlag::S_IFSOCK) => refused("it is a socket"),
        Ok(SFlag::S_IFIFO) => refused("it is a pipe without a reader"),
        _ => Errno::ENXIO.into(),
    }
}

/// The pump's side: the thread and what is on its way to it.
pub(super) struct Logs {
    shared: Arc<Shared>,
    places: HashMap<InstanceId, usize>,
    format: LogFormat,
}

/// Takes what one output of a process brings. Dropped, it ends a line that has no end.
pub(super) struct Log {
    shared: Arc<Shared>,
    place: usize,
    /// Makes plain lines, if these are wanted.
    plain: Option<RefCell<Box<Sanitizer>>>,
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Every byte as it comes.
    #[default]
    Raw,
    /// Text in lines, each as it was last.
    Plain,
}

struct Shared {
    state: Mutex<State>,
    /// There is something to write, or the end.
    work: Condvar,
    /// There is room, or everything was written.
    room: Condvar,
    /// Bytes written by anybody; whoever waits sees that it goes on.
    written: Arc<AtomicU64>,
    tell: Box<dyn Fn(Event) + Send + Sync>,
    patience: Patience,
}

#[derive(Default)]
struct State {
    /// What waits to be written.
    pending: Batch,
    /// What the writer has in its hands.
    writing: Vec<usize>,
    targets: Vec<Target>,
    /// Files of processes that have joined, for the writer to take.
    joined: Vec<LogFile>,
    /// The writer got nothing done for too long, and nothing since.
    stuck: bool,
    ended: bool,
}

/// What is known of a file on both sides.
struct Target {
    id: InstanceId,
    path: PathBuf,
    given_up: bool,
}

impl Target {
    fn of(file: &LogFile) -> Self {
        Self { id: file.id.clone(), path: file.path.clone(), given_up: false }
    }
}

/// Bytes for files, in order.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// For which file the next so many bytes are.
    spans: Vec<(usize, usize)>,
}

impl Batch {
    fn push(&mut self, place: usize, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        match self.spans.last_mut() {
            Some((last, length)) if *last == place => *length += bytes.len(),
            _ => self.spans.push((place, bytes.len())),
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// What it holds, in bytes: a span is larger than a short line.
    fn size(&self) -> usize {
        self.bytes.len() + self.spans.len() * size_of::<(usize, usize)>()
    }

    fn places(&self) -> Vec<usize> {
        self.spans.iter().map(|(place, _)| *place).collect()
    }
}

impl Logs {
    /// Starts the thread. What it cannot write it tells; what it writes it adds to `written`.
    pub(super) fn start(
        files: Vec<LogFile>,
        format: LogFormat,
        written: Arc<AtomicU64>,
        tell: impl Fn(Event) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let logs = Self { format, ..Self::new(&files, written, tell, PATIENCE) };
        let shared = logs.shared.clone();
        std::thread::Builder::new().name("logs".into()).spawn(move || shared.write_all(files))?;
        Ok(logs)
    }

    /// Without the thread.
    fn new(
        files: &[LogFile],
        written: Arc<AtomicU64>,
        tell: impl Fn(Event) + Send + Sync + 'static,
        patience: Patience,
    ) -> Self {
        let state = State { targets: files.iter().map(Target::of).collect(), ..State::default() };
        let places = files.iter().enumerate().map(|(place, file)| (file.id.clone(), place)).collect();
        let shared = Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            room: Condvar::new(),
            written,
            tell: Box::new(tell),
            patience,
        };
        Self { shared: Arc::new(shared), places, format: LogFormat::Raw }
    }

    /// One more file.
    pub(super) fn add(&mut self, file: LogFile) {
        let mut state = self.shared.lock();
        self.places.insert(file.id.clone(), state.targets.len());
        state.targets.push(Target::of(&file));
        // Nothing is written to it before the writer has taken it: it does so with each batch.
        state.joined.push(file);
    }

    /// The log of a process, if it has one.
    pub(super) fn of(&self, id: &InstanceId) -> Option<Log> {
        let place = *self.places.get(id)?;
        let sanitizer = || RefCell::new(Box::new(Sanitizer::of_lines(Allowed::TEXT)));
        let plain = (self.format == LogFormat::Plain).then(sanitizer);
        Some(Log { shared: self.shared.clone(), place, plain })
    }

    /// Waits until everything is in the files, or can no more be expected to be.
    pub(super) fn finish(&self) {
        let mut state = self.shared.lock();
        state.ended = true;
        self.shared.work.notify_one();
        let done = |state: &State| state.pending.spans.is_empty() && state.writing.is_empty();
        let (mut state, is_done) = self.shared.wait(state, self.shared.patience.at_end, done);
        if !is_done {
            for place in [state.pending.places(), state.writing.clone()].concat() {
                self.shared.give_up(&mut state, place, &STUCK);
            }
        }
    }
}

impl Log {
    /// Appends what was read, once there is room.
    pub(super) fn push(&self, bytes: &[u8]) {
        match &self.plain {
            None => self.append(bytes),
            Some(plain) => self.append_rows(|emit| plain.borrow_mut().push(bytes, emit)),
        }
    }

    /// Appends the lines that `rows` gives to its argument.
    fn append_rows(&self, rows: impl FnOnce(&mut dyn FnMut(&mut Row))) {
        let mut text = Vec::new();
        rows(&mut |row| {
            row.write(&mut text);
            text.push(b'\n');
        });
        // A line may be as long as all that may wait.
        text.chunks(SOME).for_each(|part| self.append(part));
    }

    fn append(&self, bytes: &[u8]) {
        let state = self.shared.lock();
        if state.targets[self.place].given_up {
            return;
        }
        let patience = if state.stuck { Duration::ZERO } else { self.shared.patience.in_run };
        let fits = |state: &State| state.pending.size() + bytes.len() < LIMIT;
        let (mut state, has_room) = self.shared.wait(state, patience, fits);
        if has_room {
            state.pending.push(self.place, bytes);
            drop(state);
            self.shared.work.notify_one();
        } else {
            state.stuck = true;
            self.shared.give_up(&mut state, self.place, &STUCK);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(plain) = self.plain.take() {
            self.append_rows(|emit| plain.into_inner().finish(emit));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is so, as long as the writer gets anything done.
    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        patience: Duration,
        so: impl Fn(&State) -> bool,
    ) -> (MutexGuard<'a, State>, bool) {
        let (mut written, mut end) = (self.written.load(Ordering::Relaxed), Instant::now() + patience);
        while !so(&state) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return (state, false);
            }
            state = self.room.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            let now = self.written.load(Ordering::Relaxed);
            if now != written {
                (written, end) = (now, Instant::now() + patience);
            }
        }
        (state, true)
    }

    /// No more of this file. Told once.
    fn give_up(&self, state: &mut State, place: usize, error: &dyn Display) {
        let target = &mut state.targets[place];
        if !target.given_up {
            target.given_up = true;
            let (id, path) = (target.id.clone(), target.path.clone());
            (self.tell)(Event::LogLost { id, path, error: error.to_string() });
        }
    }

    /// The thread.
    fn write_all(&self, mut files: Vec<LogFile>) {
        // A file at the limit of `ulimit -f` is an error of the write then, and not our death
        // (setrlimit(2)).
        let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
        let mut batch = Batch::default();
        while self.next(&mut batch, &mut files) {
            let mut rest = &batch.bytes[..];
            for (place, length) in &batch.spans {
                let (bytes, behind) = rest.split_at(*length);
                rest = behind;
                if self.lock().targets[*place].given_up {
                    continue;
                }
                if let Err(error) = files[*place].write(bytes, &self.written) {
                    self.give_up(&mut self.lock(), *place, &error);
                }
            }
        }
    }

    /// Waits for something to write. False at the end.
    fn next(&self, batch: &mut Batch, files: &mut Vec<LogFile>) -> bool {
        batch.clear();
        let mut state = self.lock();
        state.writing.clear();
        state.stuck = false;
        self.room.notify_all();
        while state.pending.spans.is_empty() {
            if state.ended {
                return false;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.pending, batch);
        files.append(&mut state.joined);
        state.writing = batch.places();
        self.room.notify_all();
        true
    }
}

#[cfg(test)]
mod tests;
