//! The lock file beside a socket. It is held for as long as any process of the instance lives, and
//! contains the pid. If the socket is in another directory, its path is in the second line.
//!
//! It may be at a path that the user named, where any file may be, even another user's. So a file is
//! opened, locked or changed only if it can be a lock file of ours: a regular file of this user without
//! further hard links, empty or with a pid in it, and perhaps the path of a socket with the name of the
//! lock file. A link, a FIFO or a device is not even opened.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::place::MAX_PATH;
use crate::os::{group, user};

/// The longest pid (`u32`), the longest path of a socket, and their line ends, in bytes.
const MAX_SIGNATURE: u64 = 11 + MAX_PATH as u64 + 1;

/// How long an instance that has taken its place may need until it listens there. It takes milliseconds.
const START: Duration = Duration::from_secs(2);

/// A file, by device and inode.
pub(super) type FileId = (u64, u64);

/// Why the lock was not taken.
#[derive(Debug)]
pub(super) enum NotLocked {
    /// Another instance holds it; its pid, if it is written there.
    Held(Option<u32>),
    /// Something else is at its path, or it cannot be created.
    Unusable(io::Error),
}

/// Returns the path of the lock file of a socket.
pub fn lock_path(socket: &Path) -> PathBuf {
    let mut path = socket.to_owned().into_os_string();
    path.push(".lock");
    path.into()
}

/// Returns the identity of a file.
pub(super) fn id(about: &Metadata) -> FileId {
    (about.dev(), about.ino())
}

/// Returns whether `path` still is this file.
pub(super) fn is_at(path: &Path, it: FileId) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|now| id(&now) == it)
}

/// Removes `path` if it still is this file.
pub(super) fn remove(path: &Path, it: FileId) {
    if is_at(path, it) {
        let _ = std::fs::remove_file(path);
    }
}

/// Takes the lock for as long as the file or a fork of this process lives.
pub(super) fn take(path: &Path) -> Result<File, NotLocked> {
    let mut pauses = [1, 5, 20, 50].into_iter();
    loop {
        let mut lock = open_or_make(path).map_err(NotLocked::Unusable)?;
        match lock.try_lock() {
            // An instance that ended may have removed the file between the two calls. Then the next
            // one would create a new file and not see our lock.
            Ok(()) => {
                let about = lock.metadata().map_err(NotLocked::Unusable)?;
                if !is_at(path, id(&about)) {
                    continue;
                }
                if about.mode() & 0o077 != 0 {
                    // Any process that can open a file can lock it.
                    lock.set_permissions(Permissions::from_mode(0o600)).map_err(NotLocked::Unusable)?;
                }
                return Ok(lock);
            }
            Err(TryLockError::WouldBlock) => {
                let holder = signature(&mut lock);
                // The holder may be about to write its pid, having just taken the lock or passed it on. And a
                // start that only removes leftovers releases it at once.
                match pauses.next() {
                    Some(pause) if !holder.is_some_and(is_alive) => {
                        std::thread::sleep(Duration::from_millis(pause));
                    }
                    _ => return Err(NotLocked::Held(holder)),
                }
            }
            Err(TryLockError::Error(error)) => return Err(NotLocked::Unusable(error)),
        }
    }
}

/// Writes the pid that a user would signal, and where the socket is, if it is elsewhere.
pub(super) fn sign(lock: &mut File, pid: u32, socket: Option<&Path>) -> io::Result<()> {
    // A new file is empty already, and to say so again costs as much as to write.
    if lock.metadata()?.len() > 0 {
        lock.set_len(0)?;
        lock.rewind()?;
    }
    let mut text = format!("{pid}\n").into_bytes();
    if let Some(socket) = socket {
        text.extend([socket.as_os_str().as_bytes(), b"\n"].concat());
    }
    lock.write_all(&text)
}

/// Opens an existing lock file, if it can be one of ours.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let about = std::fs::symlink_metadata(path)?;
    check_kind(path, &about)?;
    // It may have changed between the two calls.
    let mut lock = options().open(path)?;
    check_kind(path, &lock.metadata()?)?;
    check_text(path, &mut lock)?;
    Ok(lock)
}

fn open_or_make(path: &Path) -> io::Result<File> {
    loop {
        let opened = match open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                options().create_new(true).mode(0o600).open(path)
            }
            opened => opened,
        };
        match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened,
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

fn check_kind(path: &Path, about: &Metadata) -> io::Result<()> {
    let wrong = if !about.is_file() {
        "is not a regular file"
    } else if about.uid() != user::id() {
        "belongs to another user"
    } else if about.nlink() != 1 {
        "has more than one hard link"
    } else if about.len() > MAX_SIGNATURE {
        "is not a ganger lock file"
    } else {
        return Ok(());
    };
    Err(io::Error::other(format!("{} {wrong}", path.display())))
}

fn check_text(path: &Path, lock: &mut File) -> io::Result<()> {
    let text = text(lock)?;
    // It may be half written.
    let (pid, socket) = lines(&text);
    let is_other = |socket: &Path| socket.is_absolute() && lock_path(socket).file_name() == path.file_name();
    if pid.iter().all(u8::is_ascii_digit) && socket.is_none_or(is_other) {
        return Ok(());
    }
    Err(io::Error::other(format!("{} is not a ganger lock file", path.display())))
}

fn text(lock: &mut File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    lock.rewind()?;
    lock.take(MAX_SIGNATURE + 1).read_to_end(&mut text)?;
    lock.rewind()?;
    Ok(text)
}

/// Returns the first line, and the second as a path.
fn lines(text: &[u8]) -> (&[u8], Option<&Path>) {
    let (pid, rest) = text.split_at(text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len()));
    let path = rest.get(1..).filter(|path| !path.is_empty());
    (pid, path.map(|path| Path::new(OsStr::from_bytes(path.strip_suffix(b"\n").unwrap_or(path)))))
}

/// Returns the pid in the lock file.
pub(super) fn signature(lock: &mut File) -> Option<u32> {
    let text = text(lock).ok()?;
    // A pid without a line end may be half written.
    let (pid, _) = lines(&text);
    text.get(pid.len()).and_then(|_| str::from_utf8(pid).ok()?.parse().ok())
}

/// Returns the path of the socket that the lock file contains.
pub(super) fn socket_in(lock: &mut File) -> Option<PathBuf> {
    let text = text(lock).ok()?;
    lines(&text).1.filter(|_| text.ends_with(b"\n")).map(Path::to_owned)
}

/// Returns the same of the lock file beside `socket`.
pub(super) fn socket_of(socket: &Path) -> Option<PathBuf> {
    socket_in(&mut open(&lock_path(socket)).ok()?)
}

/// Fails if a process holds the lock at `path`. Takes nothing.
pub(super) fn check_free(path: &Path) -> Result<(), NotLocked> {
    let mut lock = open(path).map_err(NotLocked::Unusable)?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Err(NotLocked::Held(signature(&mut lock))),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// Returns whether an instance runs at `socket`: a killed one has left its lock file, and by now another program may
/// have its pid. Only then is the lock tried, so that an instance that is starting finds it free.
pub(super) fn is_running(socket: &Path) -> bool {
    holder(socket).is_some_and(is_alive) && matches!(check_free(&lock_path(socket)), Err(NotLocked::Held(_)))
}

/// Returns whether there is a process with this pid.
pub(super) fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| pid > 0 && group::exists(pid))
}

/// Returns the pid of the instance at `socket`, according to its lock file.
pub fn holder(socket: &Path) -> Option<u32> {
    signature(&mut open(&lock_path(socket)).ok()?)
}

/// Returns whether an instance has taken this place in the last 2 s and lives, so that it is about to listen.
/// It only looks: to try the lock could take it from one that is just starting.
pub fn is_starting(socket: &Path) -> bool {
    let signed = open(&lock_path(socket)).and_then(|mut lock| {
        let is_new = lock.metadata()?.modified()?.elapsed().is_ok_and(|age| age < START);
        let is_new = is_new && socket_in(&mut lock).is_none();
        Ok(is_new.then(|| signature(&mut lock)).flatten())
    });
    signed.ok().flatten().is_some_and(is_alive)
}

/// A running instance, for commands that wait until nothing of it is left.
#[derive(Debug)]
pub struct Holder {
    /// Its lock file, if it is one of ours.
    lock: Option<File>,
    pid: Option<u32>,
}

impl Holder {
    /// The instance at `socket`; `pid` is used if the lock file has none.
    pub fn of(socket: &Path, pid: Option<u32>) -> Self {
        let mut lock = open(&lock_path(socket)).ok();
        let pid = lock.as_mut().and_then(signature).or(pid);
        Self { lock, pid }
    }

    /// Returns whether it is gone.
    pub fn is_gone(&mut self) -> bool {
        let is_dead = !self.pid.is_some_and(is_alive);
        match &mut self.lock {
            None => is_dead,
            Some(lock) => match lock.try_lock_shared() {
                // Another instance holds it by now, or an unrelated program.
                Err(TryLockError::WouldBlock) => {
                    let pid = signature(lock);
                    pid.is_some() && pid != self.pid
                }
                Ok(()) | Err(TryLockError::Error(_)) => true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_instance_whose_pid_another_program_has_does_not_run() {
        let directory = tempfile::tempdir().expect("made");
        let socket = directory.path().join("x");
        let mut lock = take(&lock_path(&socket)).expect("free");
        sign(&mut lock, std::process::id(), None).expect("written");
        assert!(is_running(&socket));
        drop(lock);
        assert_eq!(holder(&socket), Some(std::process::id()));
        assert!(!is_running(&socket));
    }
}
