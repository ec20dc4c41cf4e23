//! Where the socket of an instance is, and who may have it.
//!
//! One socket for each project root, in a folder that only its user may enter. Beside it is a lock
//! file, held by the instance for its whole life (guard included: the lock goes with the last of
//! its processes). Who has the lock may replace a socket that somebody left; who has not is told
//! whose it is. Nothing here follows a folder of somebody else.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::env::Env;
use crate::os::{group, ports, user};

/// The longest path of a socket, in bytes: `sun_path` has 108 on Linux and 104 elsewhere, with
/// the NUL at its end (unix(7)).
const MAX_PATH: usize = 103;

/// What a new socket has behind its name until it may be found.
const NEW: &str = ".new";

/// How long an instance that has taken its place may need until it listens there. It takes milliseconds.
const START: Duration = Duration::from_secs(2);

/// More than a pid and its line end have, in bytes.
const MAX_SIGNATURE: u64 = 32;

/// The places where the socket of a root may be, the best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    sockets: Vec<PathBuf>,
    /// `GANGER_SOCKET` names the only one.
    named: bool,
}

/// A place that is ours.
#[derive(Debug)]
pub struct Place {
    socket: PathBuf,
    lock: File,
}

/// Why there is no place.
#[derive(Debug)]
pub enum NoPlace {
    /// Another instance has it; its pid, where it has said so.
    Taken(Option<u32>),
    /// No folder can be used; the last reason.
    Unusable(PathBuf, io::Error),
}

impl Places {
    /// The places for the project in `root`.
    pub fn of(root: &Path, env: &Env) -> Self {
        if let Some(named) = env.var("GANGER_SOCKET").filter(|value| !value.is_empty()) {
            return Self { sockets: vec![env.cwd.join(named)], named: true };
        }
        let name = name(&root.canonicalize().unwrap_or_else(|_| root.to_owned()));
        let sockets = folders(env).into_iter().map(|folder| folder.join(&name));
        Self { sockets: sockets.filter(|path| fits(path)).collect(), named: false }
    }

    /// Whether the user has named the place.
    pub fn is_named(&self) -> bool {
        self.named
    }

    /// Where an instance may listen.
    pub fn sockets(&self) -> &[PathBuf] {
        &self.sockets
    }

    /// Takes the first place that can be had, for as long as the answer or a fork of this process
    /// lives. Changes nothing but the lock file. `pid` is who is told to those who come later.
    pub fn take(&self) -> Result<Place, NoPlace> {
        let mut unusable = None;
        for socket in &self.sockets {
            match self.lock(socket) {
                Ok(lock) => return Ok(Place { socket: socket.clone(), lock }),
                Err(NoPlace::Unusable(path, error)) => {
                    unusable.get_or_insert(NoPlace::Unusable(path, error));
                }
                Err(taken @ NoPlace::Taken(_)) => return Err(taken),
            }
        }
        Err(unusable.unwrap_or_else(|| {
            NoPlace::Unusable(PathBuf::new(), io::Error::other("every path would be too long for a socket"))
        }))
    }

    fn lock(&self, socket: &Path) -> Result<File, NoPlace> {
        let unusable = |error| NoPlace::Unusable(socket.to_owned(), error);
        if !fits(socket) {
            return Err(unusable(io::Error::other(format!("it has more than {MAX_PATH} bytes"))));
        }
        let folder = socket.parent().unwrap_or(Path::new("/"));
        if !self.named {
            own_folder(folder).map_err(unusable)?;
        }
        let path = lock_path(socket);
        loop {
            let flags = libc::O_NOFOLLOW;
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
            let mut lock = options.open(&path).map_err(unusable)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(NoPlace::Taken(holder(&mut lock)));
                }
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
            // Whoever had it may have removed the file between our two calls: then the next one
            // makes a new file, and we would not hinder it.
            let ours = lock.metadata().map_err(unusable)?;
            if std::fs::metadata(&path).is_ok_and(|now| (now.dev(), now.ino()) == (ours.dev(), ours.ino())) {
                return Ok(lock);
            }
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
        let socket = self.socket.clone();
        move || listen(&socket)
    }

    /// Says who has the place: the pid a user would signal.
    pub fn sign(&mut self, pid: u32) -> io::Result<()> {
        // A new file is empty already, and to say so again costs as much as to write.
        if self.lock.metadata()?.len() > 0 {
            self.lock.set_len(0)?;
            self.lock.rewind()?;
        }
        self.lock.write_all(format!("{pid}\n").as_bytes())
    }
}

impl Drop for Place {
    /// Removes the socket, and the lock file while it is held.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
        let _ = std::fs::remove_file(lock_path(&self.socket));
    }
}

/// Listens in place of a socket that a killed instance has left.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    let mut new = socket.to_owned().into_os_string();
    new.push(NEW);
    let new = PathBuf::from(new);
    let listener = match UnixListener::bind(&new) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove(&new)?;
            UnixListener::bind(&new)?
        }
        result => result?,
    };
    // Under its own name only when its modes are right, and in one step: nobody finds half of it.
    std::fs::set_permissions(&new, Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(&new, socket))
        .inspect_err(|_| drop(remove(&new)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Who has the place. Whoever has just taken it, or handed it over, is about to say so.
fn holder(lock: &mut File) -> Option<u32> {
    for pause in [0, 1, 5, 20, 50] {
        std::thread::sleep(Duration::from_millis(pause));
        if let Some(pid) = signature(lock) {
            return Some(pid);
        }
    }
    None
}

/// Whom the lock file names.
fn signature(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.rewind().and_then(|()| lock.take(MAX_SIGNATURE).read_to_string(&mut text)).ok()?;
    text.strip_suffix('\n')?.parse().ok()
}

/// Whether somebody has taken this place in the last 2 s and lives, so that he is about to listen.
/// It only looks: to try the lock could take it from one that is just starting.
pub fn is_starting(socket: &Path) -> bool {
    // A FIFO in its place does not hold us up.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let lock = OpenOptions::new().read(true).custom_flags(flags).open(lock_path(socket));
    let signed = lock.and_then(|mut lock| {
        let about = lock.metadata()?;
        let is_new = about.modified()?.elapsed().is_ok_and(|age| age < START);
        let is_ours = about.is_file() && about.uid() == user::id();
        Ok((is_new && is_ours).then(|| signature(&mut lock)).flatten())
    });
    let pid = signed.ok().flatten().and_then(|pid| i32::try_from(pid).ok());
    pid.is_some_and(|pid| pid > 0 && group::exists(pid))
}

/// The lock file of a socket.
pub fn lock_path(socket: &Path) -> PathBuf {
    let mut path = socket.to_owned().into_os_string();
    path.push(".lock");
    path.into()
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn fits(socket: &Path) -> bool {
    socket.as_os_str().len() + NEW.len() <= MAX_PATH
}

/// The folders in which sockets may be: that of the login, and one in the folder for temporary
/// files. An instance may have been started where `XDG_RUNTIME_DIR` is not set (cron, `su`), so
/// its usual value is asked too.
fn folders(env: &Env) -> Vec<PathBuf> {
    let id = user::id();
    let absolute = |name| env.var(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let login = absolute("XDG_RUNTIME_DIR").unwrap_or_else(|| format!("/run/user/{id}").into());
    let temporary = absolute("TMPDIR").unwrap_or_else(|| "/tmp".into());
    let mut folders = vec![login.join("ganger"), temporary.join(format!("ganger-{id}"))];
    folders.push(format!("/tmp/ganger-{id}").into());
    folders.dedup();
    folders
}

/// The name of a root's socket: what a person recognises, and what is different for each.
fn name(root: &Path) -> String {
    let last = root.file_name().unwrap_or_default().as_bytes();
    let plain = |byte: &u8| if byte.is_ascii_alphanumeric() { char::from(*byte) } else { '-' };
    let tail: String = last.iter().take(20).map(plain).collect();
    format!("{:016x}-{tail}", ports::fnv1a(root.as_os_str().as_bytes()))
}

/// Makes the folder, or finds that it is ours and nobody else's.
fn own_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    // A link is not followed: in /tmp anybody may have made it.
    let found = std::fs::symlink_metadata(folder)?;
    if !found.is_dir() {
        return Err(io::Error::other("it is no folder"));
    }
    if found.uid() != user::id() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if found.mode() & 0o077 != 0 {
        std::fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(())
}
