//! Removes the sockets that killed instances of other projects left in the directory of ours.
//!
//! `kill -9` of a whole instance leaves its socket and its lock file, once for each project, and they
//! piled up for as long as the machine ran. Each instance removes some at its end, but never at a path
//! that the user named: other files there are not ganger's.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::lock::{self, lock_path};
use super::place::{NEW, is_own_directory};

/// How many entries of the directory are checked: each costs some microseconds.
const MOST: usize = 64;

/// Removes the leftovers in the directory of our own socket.
pub(super) fn remove(own: &Path) {
    let Some(entries) = own.parent().and_then(|directory| std::fs::read_dir(directory).ok()) else { return };
    let all: Vec<PathBuf> = entries.flatten().take(MOST).map(|entry| entry.path()).collect();
    let locks = all.iter().filter(|path| path.extension() == Some(OsStr::new("lock")));
    for socket in locks.map(|path| path.with_extension("")).filter(|socket| socket != own) {
        remove_of(&socket, &all);
    }
}

/// Removes the socket of a killed instance that was in a directory of ours, and its lock.
pub(super) fn remove_killed(socket: &Path) {
    if socket.parent().is_some_and(|directory| is_own_directory(directory).unwrap_or(false)) {
        remove_of(socket, &[socket.to_owned()]);
    }
}

/// Removes a socket, its lock, and its temporary name if it has one, if the instance is dead.
fn remove_of(socket: &Path, all: &[PathBuf]) {
    let path = lock_path(socket);
    let Ok(mut lock) = lock::open(&path) else { return };
    // Read before trying the lock, so that an instance that is starting finds it free.
    if lock::signature(&mut lock).is_none_or(lock::is_alive) || lock.try_lock().is_err() {
        return;
    }
    let Ok(about) = lock.metadata() else { return };
    let elsewhere = lock::socket_in(&mut lock);
    if !lock::is_at(&path, lock::id(&about)) || lock::signature(&mut lock).is_none_or(lock::is_alive) {
        return;
    }
    for path in all.iter().filter(|path| *path == socket || is_new_of(path, socket)) {
        if let Ok(found) = std::fs::symlink_metadata(path)
            && found.file_type().is_socket()
        {
            lock::remove(path, lock::id(&found));
        }
    }
    lock::remove(&path, lock::id(&about));
    if let Some(elsewhere) = elsewhere.filter(|elsewhere| elsewhere != socket) {
        remove_killed(&elsewhere);
    }
}

/// Returns whether `path` is the temporary name of `socket`.
fn is_new_of(path: &Path, socket: &Path) -> bool {
    let suffix = path.as_os_str().as_bytes().strip_prefix(socket.as_os_str().as_bytes());
    suffix.is_some_and(|suffix| suffix.len() == NEW && suffix[0] == b'.')
}
