//! What else runs in a root, for the message of a command that has found no instance there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::lock;
use super::place::{self, NEW, Places};
use crate::env::Env;
use crate::os::user;

/// How many entries of a directory are looked at.
const MOST: usize = 10_000;

/// Returns the names of the instances of this user that run in a root; that without a name is `None`.
pub fn names(root: &Path, env: &Env) -> Vec<Option<String>> {
    let mut found = BTreeSet::new();
    let prefix = place::named_prefix(root);
    for own in Places::own(root, None, env).sockets() {
        let Some(directory) = own.parent().filter(|it| place::is_own_directory(it).unwrap_or(false)) else {
            continue;
        };
        let is_running = |socket: &Path| lock::is_running(socket);
        if is_running(own) {
            found.insert(None);
        }
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().take(MOST);
        for socket in
            entries.map(|entry| entry.path()).filter(|path| path.extension() == Some(OsStr::new("lock")))
        {
            let socket = socket.with_extension("");
            let name = socket.file_name().and_then(|name| name.to_str()?.strip_prefix(&prefix));
            if let Some(name) = name.filter(|_| is_running(&socket)) {
                found.insert(Some(name.to_owned()));
            }
        }
    }
    found.into_iter().collect()
}

/// Returns the user id of another user whose instance runs in a root, if the system tells: its directory cannot
/// be looked into, but the paths of all sockets are public (`/proc/net/unix`, see proc(5)).
pub fn other_user(root: &Path, name: Option<&str>) -> Option<u32> {
    let table = std::fs::read("/proc/net/unix").ok()?;
    let file = place::file_name(root, name);
    table.split(|byte| *byte == b'\n').find_map(|line| {
        let path = Path::new(OsStr::from_bytes(listening(line)?));
        let is_it = |rest: &[u8]| rest.is_empty() || (rest.len() == NEW && rest[0] == b'.');
        path.file_name()?.as_bytes().strip_prefix(file.as_bytes()).filter(|rest| is_it(rest))?;
        owner(path.parent()?).filter(|uid| *uid != user::id())
    })
}

/// Returns the path of a listening socket.
fn listening(line: &[u8]) -> Option<&[u8]> {
    /// `__SO_ACCEPTCON`
    const LISTENS: u32 = 1 << 16;
    let flags = line.split(|byte| *byte == b' ').nth(3)?;
    let flags = u32::from_str_radix(str::from_utf8(flags).ok()?, 16).ok()?;
    // No field before it has a slash.
    let path = line.iter().position(|byte| *byte == b'/').map(|start| &line[start..])?;
    (flags & LISTENS != 0).then_some(path)
}

/// Returns whose directory for sockets this is. Anyone may create a directory with any other name.
fn owner(directory: &Path) -> Option<u32> {
    let (of_user, uid) = match directory.strip_prefix("/run/user") {
        // The user's own directory, into which no other user can look.
        Ok(rest) => (directory.parent()?, rest.parent().filter(|_| rest.ends_with("ganger"))?.to_str()?),
        Err(_) => (directory, directory.to_str()?.strip_prefix("/tmp/ganger-")?),
    };
    let uid: u32 = uid.parse().ok()?;
    std::fs::symlink_metadata(of_user).ok().filter(|found| found.is_dir() && found.uid() == uid).map(|_| uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_with_a_path_are_read() {
        let line = "ffff8880045: 00000002 00000000 00010000 0001 01 32103 /tmp/ganger-7/x y";
        assert_eq!(listening(line.as_bytes()), Some(&b"/tmp/ganger-7/x y"[..]));
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01 1234567 /run/user/7/ganger/x";
        assert_eq!(listening(line.as_bytes()), Some(&b"/run/user/7/ganger/x"[..]));
        for other in [
            "Num       RefCount Protocol Flags    Type St Inode Path",
            "0000000000000000: 00000003 00000000 00000000 0001 03 32104 /tmp/ganger-7/x",
            "0000000000000000: 00000002 00000000 00010000 0001 01 32105",
            "0000000000000000: 00000002 00000000 00010000 0001 01 32105 @abstract",
            "",
        ] {
            assert_eq!(listening(other.as_bytes()), None, "{other}");
        }
    }
}
