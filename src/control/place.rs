//! Where the socket of an instance is, and who may have it.
//!
//! One socket for each project root (and each name of an instance there), in a directory that only its user may
//! enter. Beside it is a lock file ([`lock`]), held by the instance for its whole life (guard included: the lock goes
//! with the last of its processes). The lock holder may replace a socket that a killed instance left;
//! everyone else gets the holder's pid.
//!
//! Which directory is the best depends on the environment, and one user has many: a login, `su`, cron, a Nix
//! shell. So each instance also holds the lock in `/tmp/ganger-UID`, which is the same for all of them, and this lock
//! file contains the path of its socket ([`Places::elsewhere`]). Two starts for one root therefore meet there.
//!
//! Both sides check before they trust. Neither uses a directory that is a link, belongs to another user
//! or lets others in. A path that the user named may be anything: what is there is replaced only if it is
//! a socket of this user on which no process listens, and at the end only the files that we created (by
//! device and inode) are removed.

use std::fs::{DirBuilder, File, Permissions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::leftovers;
use super::lock::{self, FileId, NotLocked, lock_path};
use crate::env::Env;
use crate::os::{ports, unix_socket, user};

/// The longest path of a socket, in bytes: `sun_path` has 108 on Linux and 104 elsewhere, with
/// the NUL at its end (unix(7)).
pub(super) const MAX_PATH: usize = 103;

/// How much longer the temporary name of a new socket is: a dot and three of [`SIGNS`].
pub(super) const NEW: usize = 4;
const SIGNS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// How many temporary names are tried.
const TRIES: u64 = 100;

/// How long connecting may take where no process should listen.
const PROBE: Duration = Duration::from_millis(10);

/// The places where the socket of a root may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// All of them, the best first.
    sockets: Vec<PathBuf>,
    /// Those that do not depend on the environment, in the order in which their locks are tried.
    fixed: Vec<PathBuf>,
    /// `GANGER_SOCKET` names the only one.
    named: bool,
}

/// A place that is ours.
#[derive(Debug)]
pub struct Place {
    socket: PathBuf,
    named: bool,
    lock: Lock,
    /// The lock of a place that is the same in every environment, if the socket is not there.
    fixed: Option<Lock>,
    /// A stale socket, on which no process listens any more.
    stale: Option<FileId>,
    /// The socket that was created.
    made: Arc<OnceLock<FileId>>,
}

/// A lock that is held. Dropped, its file is removed, if it still is the one at its path.
#[derive(Debug)]
struct Lock {
    socket: PathBuf,
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Ok(about) = self.file.metadata() {
            lock::remove(&lock_path(&self.socket), lock::id(&about));
        }
    }
}

/// Why there is no place.
#[derive(Debug)]
pub enum NoPlace {
    /// Another instance has it; its pid, where it has said so.
    Taken(Option<u32>),
    /// No place can be used: each with its reason.
    Unusable(Vec<(PathBuf, io::Error)>),
}

impl Places {
    /// The places for the instance of the project in `root`, or for the one with this name.
    pub fn of(root: &Path, name: Option<&str>, env: &Env) -> Self {
        let named = env.var("GANGER_SOCKET").filter(|value| !value.is_empty() && name.is_none());
        match named {
            Some(path) => Self { sockets: vec![env.cwd.join(path)], fixed: Vec::new(), named: true },
            None => Self::own(root, name, env),
        }
    }

    /// The places of the project in `root`, whatever `GANGER_SOCKET` names.
    pub fn own(root: &Path, name: Option<&str>, env: &Env) -> Self {
        let file = file_name(root, name);
        let in_all = |directories: Vec<PathBuf>| -> Vec<PathBuf> {
            let sockets = directories.into_iter().map(|directory| directory.join(&file));
            sockets.filter(|path| fits(path)).collect()
        };
        Self { sockets: in_all(directories(env)), fixed: in_all(fixed_directories().into()), named: false }
    }

    /// Whether the user has named the place.
    pub fn is_named(&self) -> bool {
        self.named
    }

    /// Where an instance may listen.
    pub fn sockets(&self) -> &[PathBuf] {
        &self.sockets
    }

    /// Returns the sockets of instances that were started in another environment, as their locks in the fixed
    /// places say. They are to be checked like all others.
    pub fn elsewhere(&self) -> Vec<PathBuf> {
        let is_ours =
            |socket: &&PathBuf| socket.parent().is_some_and(|it| is_own_directory(it).unwrap_or(false));
        let found = self.fixed.iter().filter(is_ours).filter_map(|socket| lock::socket_of(socket));
        found.filter(|socket| !self.sockets.contains(socket)).collect()
    }

    /// Takes the first place that can be had, for as long as the answer or a fork of this process
    /// lives. Changes nothing but lock files.
    ///
    /// The fixed places come first: however different the environments of two starts are, both try the same
    /// lock, in the same order. In the other places an instance may hold a lock that could not use those.
    pub fn take(&self) -> Result<Place, NoPlace> {
        let mut unusable: Vec<(PathBuf, io::Error)> = Vec::new();
        let mut fixed = None;
        for socket in &self.fixed {
            match self.lock(socket) {
                Ok(taken) => {
                    fixed = Some(taken);
                    break;
                }
                Err(NotLocked::Unusable(error)) => unusable.push((socket.clone(), error)),
                Err(NotLocked::Held(pid)) => return Err(NoPlace::Taken(pid)),
            }
        }
        let mut own = None;
        for socket in &self.sockets {
            let is_fixed = fixed.as_ref().is_some_and(|(lock, _)| lock.socket == *socket);
            if own.is_some() {
                if !is_fixed {
                    self.check_free(socket)?;
                }
            } else if is_fixed {
                own = fixed.take();
            } else if unusable.iter().all(|(path, _)| path != socket) {
                match self.lock(socket) {
                    Ok(taken) => own = Some(taken),
                    Err(NotLocked::Unusable(error)) => unusable.push((socket.clone(), error)),
                    Err(NotLocked::Held(pid)) => return Err(NoPlace::Taken(pid)),
                }
            }
        }
        if let Some((lock, stale)) = own {
            let (socket, named, made) = (lock.socket.clone(), self.named, Arc::default());
            let fixed = fixed.map(|(lock, stale)| {
                // No process will listen there as long as this lock is held.
                if let Some(stale) = stale {
                    lock::remove(&lock.socket, stale);
                }
                lock
            });
            return Ok(Place { socket, named, lock, fixed, stale, made });
        }
        if unusable.is_empty() {
            let error = io::Error::other("every path would be too long for a socket");
            unusable.push((PathBuf::new(), error));
        }
        // As they are preferred.
        unusable.sort_by_key(|(path, _)| self.sockets.iter().position(|socket| socket == path));
        Err(NoPlace::Unusable(unusable))
    }

    /// Takes the lock of a place. With it comes the stale socket that is there.
    fn lock(&self, socket: &Path) -> Result<(Lock, Option<FileId>), NotLocked> {
        if !fits(socket) {
            return Err(NotLocked::Unusable(io::Error::other(format!("it has more than {MAX_PATH} bytes"))));
        }
        if !self.named {
            own_directory(socket.parent().unwrap_or(Path::new("/"))).map_err(NotLocked::Unusable)?;
        }
        // Before the lock: a path that is not ours does not get a lock file either.
        look_for_stale(socket).map_err(NotLocked::Unusable)?;
        let file = lock::take(&lock_path(socket))?;
        let mut lock = Lock { socket: socket.to_owned(), file };
        // And again, now that no other instance can be there.
        let stale = look_for_stale(socket).map_err(NotLocked::Unusable)?;
        if let Some(listener) = stale.and_then(|_| listener(socket)) {
            return Err(match listener {
                // The lock file of an instance may be lost, as by what cleans up /tmp.
                Listener::Ours(pid) if !self.named => NotLocked::Held(pid),
                _ => NotLocked::Unusable(io::Error::other("another program is listening there")),
            });
        }
        if let Some(killed) = lock::socket_in(&mut lock.file) {
            leftovers::remove_killed(&killed);
        }
        Ok((lock, stale))
    }

    /// Fails if another instance has this place. Takes and creates nothing.
    fn check_free(&self, socket: &Path) -> Result<(), NoPlace> {
        let directory = socket.parent().unwrap_or(Path::new("/"));
        if self.named || !is_own_directory(directory).unwrap_or(false) {
            return Ok(());
        }
        match (lock::check_free(&lock_path(socket)), listener(socket)) {
            (Err(NotLocked::Held(pid)), _) | (_, Some(Listener::Ours(pid))) => Err(NoPlace::Taken(pid)),
            (Ok(()) | Err(NotLocked::Unusable(_)), Some(Listener::Other) | None) => Ok(()),
        }
    }
}

impl Place {
    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What opens the socket, for as long as the place is ours.
    pub fn opener(&self) -> impl FnOnce() -> io::Result<UnixListener> + Send + 'static {
        let (socket, stale, made) = (self.socket.clone(), self.stale, self.made.clone());
        move || listen(&socket, stale, &made)
    }

    /// Says who has the place: the pid a user would signal.
    pub fn sign(&mut self, pid: u32) -> io::Result<()> {
        lock::sign(&mut self.lock.file, pid, None)?;
        match &mut self.fixed {
            Some(fixed) => lock::sign(&mut fixed.file, pid, Some(&self.socket)),
            None => Ok(()),
        }
    }
}

impl Drop for Place {
    /// Removes the socket, then the lock files while they are held, and some leftovers of killed instances. The
    /// last is done at the end, since a start has to be quick.
    fn drop(&mut self) {
        if !self.named {
            let fixed = self.fixed.as_ref().map(|lock| &lock.socket);
            fixed.into_iter().chain([&self.socket]).for_each(|socket| leftovers::remove(socket));
        }
        if let Some(made) = self.made.get() {
            lock::remove(&self.socket, *made);
        }
    }
}

/// A process that listens on a socket.
enum Listener {
    /// One of this user; its pid, if it is known.
    Ours(Option<u32>),
    Other,
}

/// Returns the process that listens on a socket, if there is one.
fn listener(socket: &Path) -> Option<Listener> {
    match unix_socket::connect(socket, PROBE) {
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
            None
        }
        Err(_) => Some(Listener::Other),
        Ok(stream) => Some(match unix_socket::peer(&stream) {
            Ok(peer) if peer.uid == user::id() => {
                Listener::Ours(peer.pid.and_then(|pid| u32::try_from(pid).ok()))
            }
            Ok(_) | Err(_) => Listener::Other,
        }),
    }
}

/// Returns the socket at this path, if there is one, which is stale unless a process listens on it. Anything
/// else there is an error.
fn look_for_stale(socket: &Path) -> io::Result<Option<FileId>> {
    let found = match std::fs::symlink_metadata(socket) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::other("the path exists and is not a socket"));
    }
    if found.uid() != user::id() {
        return Err(io::Error::other(format!(
            "the socket there belongs to another user (uid {})",
            found.uid()
        )));
    }
    Ok(Some(lock::id(&found)))
}

/// Listens in place of a socket that a killed instance has left.
fn listen(socket: &Path, stale: Option<FileId>, made: &OnceLock<FileId>) -> io::Result<UnixListener> {
    let (new, listener) = bind_beside(socket)?;
    let about = std::fs::symlink_metadata(&new)?;
    // The final name appears only when its modes are right, in one step, so that it is never half done.
    // By link, not by rename, which would replace whatever is there.
    let named = std::fs::set_permissions(&new, Permissions::from_mode(0o600)).and_then(|()| {
        if let Some(stale) = stale {
            lock::remove(socket, stale);
        }
        give_name(&new, socket)
    });
    lock::remove(&new, lock::id(&about));
    named?;
    let _ = made.set(lock::id(&about));
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn give_name(new: &Path, socket: &Path) -> io::Result<()> {
    match std::fs::hard_link(new, socket) {
        // A file system without hard links.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EOPNOTSUPP | libc::ENOSYS)) => {
            if std::fs::symlink_metadata(socket).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            std::fs::rename(new, socket)
        }
        linked => linked,
    }
}

/// Binds a socket under an unused temporary name. Binding creates it or fails; it never replaces anything.
fn bind_beside(socket: &Path) -> io::Result<(PathBuf, UnixListener)> {
    let start = RandomState::new().build_hasher().finish() >> 1;
    for number in start..start + TRIES {
        let mut new = socket.to_owned().into_os_string();
        new.push(new_suffix(number));
        let new = PathBuf::from(new);
        match UnixListener::bind(&new) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            result => return result.map(|listener| (new, listener)),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

fn new_suffix(number: u64) -> String {
    let sign = |power: u32| {
        let index = number / 36_u64.pow(power) % 36;
        char::from(SIGNS[usize::try_from(index).unwrap_or(0)])
    };
    [".".to_owned(), (0..3).map(sign).collect()].concat()
}

fn fits(socket: &Path) -> bool {
    socket.as_os_str().len() + NEW <= MAX_PATH
}

/// The directories in which sockets may be, the best first: that of the login, and one in a directory for
/// temporary files. `TMPDIR` is the last: a shell that sets it may also remove it.
fn directories(env: &Env) -> Vec<PathBuf> {
    let absolute = |name| env.var(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let login = absolute("XDG_RUNTIME_DIR").map(|login| login.join("ganger"));
    let temporary = absolute("TMPDIR").map(|temporary| temporary.join(format!("ganger-{}", user::id())));
    let [shared, usual] = fixed_directories();
    let mut directories: Vec<PathBuf> = Vec::new();
    for directory in login.into_iter().chain([usual, shared]).chain(temporary) {
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories
}

/// The directories that are the same in every environment of this user: the one that always can be made, and
/// the usual value of `XDG_RUNTIME_DIR`.
fn fixed_directories() -> [PathBuf; 2] {
    let id = user::id();
    [format!("/tmp/ganger-{id}").into(), format!("/run/user/{id}/ganger").into()]
}

/// Returns the name of the socket of a root, or of its instance `name`.
pub(super) fn file_name(root: &Path, name: Option<&str>) -> String {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    if let Some(name) = name {
        return format!("{}{name}", named_prefix(&root));
    }
    // What a person recognizes, and what is different for each.
    let last = root.file_name().unwrap_or_default().as_bytes();
    let plain = |byte: &u8| if byte.is_ascii_alphanumeric() { char::from(*byte) } else { '-' };
    let tail: String = last.iter().take(20).map(plain).collect();
    format!("{}-{tail}", hash(&root))
}

/// What the names of the sockets of all named instances of a root begin with. No name without one does.
pub(super) fn named_prefix(root: &Path) -> String {
    format!("{}@", hash(&root.canonicalize().unwrap_or_else(|_| root.to_owned())))
}

fn hash(root: &Path) -> String {
    format!("{:016x}", ports::fnv1a(root.as_os_str().as_bytes()))
}

/// Returns whether a client may look for a socket in this directory: false if it does not exist, an error
/// if it is not private to this user.
///
/// The directories above it belong to the system or, like `TMPDIR`, were chosen by the user. If others may
/// rename entries in those, this check is not enough, so the peer is checked too.
pub fn is_own_directory(directory: &Path) -> io::Result<bool> {
    // A link is not followed: in /tmp anybody may have made it.
    match std::fs::symlink_metadata(directory) {
        Ok(found) => check_directory(&found).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn check_directory(found: &std::fs::Metadata) -> io::Result<()> {
    let wrong = if found.is_symlink() {
        "it is a symbolic link".to_owned()
    } else if !found.is_dir() {
        "it is not a directory".to_owned()
    } else if found.uid() != user::id() {
        format!("it belongs to another user (uid {})", found.uid())
    } else if found.mode() & 0o077 != 0 {
        format!("others may enter it (mode {:04o}, not 0700)", found.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(io::Error::other(wrong))
}

/// Creates the directory, or checks that it is private to us.
fn own_directory(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let found = std::fs::symlink_metadata(directory)?;
    if found.is_dir() && found.uid() == user::id() && found.mode() & 0o077 != 0 {
        std::fs::set_permissions(directory, Permissions::from_mode(0o700))?;
        return check_directory(&std::fs::symlink_metadata(directory)?);
    }
    check_directory(&found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names_differ_and_are_short() {
        let all: std::collections::HashSet<String> = (7..7 + TRIES).map(new_suffix).collect();
        assert_eq!(all.len(), usize::try_from(TRIES).expect("small"));
        assert!(all.iter().all(|suffix| suffix.len() == NEW), "{all:?}");
    }

    #[test]
    fn a_new_socket_never_replaces_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("socket");
        std::fs::write(&socket, "precious").expect("written");
        let made = OnceLock::new();
        let error = listen(&socket, None, &made).expect_err("it is taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(made.get(), None);
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(std::fs::read(&socket).expect("there"), b"precious");
    }
}
