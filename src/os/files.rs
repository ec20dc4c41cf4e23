//! Reads a file as a whole, without trusting what it is.
//!
//! A path that a repository or a user names can lead anywhere: to a FIFO without a writer, to
//! `/dev/zero`, to a file that never ends. So the kind is checked before the file is opened (opening
//! a device can have effects) and once more on the open file, which cannot be exchanged any
//! more; opening does not wait for a writer; and no more than [`LIMIT`] bytes are read.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The most bytes of a file.
pub const LIMIT: u64 = 16 * 1024 * 1024;

/// What is read besides files. All of these may wait for a writer, as in any program that is given a
/// pipe on its command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// Nothing.
    Refuse,
    /// Pipes.
    Pipes,
    /// Anything that a descriptor can be, including a terminal.
    Any,
}

/// Why a file was not read.
#[derive(Debug)]
pub enum Unread {
    /// The system refused.
    System(io::Error),
    /// It has more bytes than [`LIMIT`].
    TooLarge,
    /// A pipe where only a file is allowed.
    Pipe,
    /// Neither a file nor a pipe; says what it is.
    Special(&'static str),
}

impl Unread {
    /// Returns the matching kind of a system error.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::System(error) => error.kind(),
            Self::TooLarge => io::ErrorKind::FileTooLarge,
            Self::Pipe | Self::Special(_) => io::ErrorKind::InvalidInput,
        }
    }
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Returns all bytes of the file at `path`.
pub fn read(path: &Path, streams: Streams) -> Result<Vec<u8>, Unread> {
    let found = path.metadata()?;
    check(&found, streams)?;
    let mut options = OpenOptions::new();
    options.read(true);
    if found.is_file() || streams == Streams::Refuse {
        // No effect on a file; a FIFO that has replaced it meanwhile opens at once.
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    } else {
        options.custom_flags(libc::O_NOCTTY);
    }
    let file = options.open(path)?;
    let found = file.metadata()?;
    check(&found, streams)?;
    read_bounded(&file, &found)
}

fn check(found: &Metadata, streams: Streams) -> Result<(), Unread> {
    let kind = found.file_type();
    if kind.is_file() || is_null(found) {
        Ok(())
    } else if kind.is_dir() {
        Err(io::Error::from(io::ErrorKind::IsADirectory).into())
    } else if streams == Streams::Any {
        Ok(())
    } else if kind.is_fifo() {
        if streams == Streams::Pipes { Ok(()) } else { Err(Unread::Pipe) }
    } else if kind.is_socket() {
        Err(Unread::Special("a socket"))
    } else {
        Err(Unread::Special("a device"))
    }
}

/// Returns whether it is `/dev/null`, which reads as an empty file and is named to mean "none".
fn is_null(found: &Metadata) -> bool {
    let null = || Path::new("/dev/null").metadata();
    found.file_type().is_char_device() && null().is_ok_and(|null| null.rdev() == found.rdev())
}

fn read_bounded(file: &File, found: &Metadata) -> Result<Vec<u8>, Unread> {
    // Files in /proc have content and the size 0.
    let size = if found.is_file() { found.len() } else { 0 };
    if size > LIMIT {
        return Err(Unread::TooLarge);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    file.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT { Err(Unread::TooLarge) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn unread(path: &Path) -> Unread {
        read(path, Streams::Refuse).expect_err("refused")
    }

    #[test]
    fn a_file_is_read_up_to_the_limit_and_not_beyond() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("large");
        let file = File::create(&path).expect("created");
        file.set_len(LIMIT).expect("grown");
        assert_eq!(read(&path, Streams::Refuse).expect("read").len() as u64, LIMIT);
        file.set_len(LIMIT + 1).expect("grown");
        assert!(matches!(unread(&path), Unread::TooLarge));
    }

    #[test]
    fn only_files_and_the_null_device_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("bound");
        for name in ["zero", "random", "null", "tty"] {
            symlink(Path::new("/dev").join(name), at(name)).expect("linked");
        }
        std::fs::write(at("text"), "x").expect("written");
        symlink(at("text"), at("link")).expect("linked");
        assert!(matches!(unread(&at("fifo")), Unread::Pipe));
        assert!(matches!(unread(&at("socket")), Unread::Special("a socket")));
        for name in ["zero", "random", "tty"] {
            assert!(matches!(unread(&at(name)), Unread::Special("a device")), "{name}");
        }
        assert_eq!(unread(folder.path()).kind(), io::ErrorKind::IsADirectory);
        assert_eq!(unread(&at("none")).kind(), io::ErrorKind::NotFound);
        assert_eq!(read(&at("null"), Streams::Refuse).expect("read"), b"");
        assert_eq!(read(&at("link"), Streams::Refuse).expect("read"), b"x");
    }

    #[test]
    fn a_stream_is_read_up_to_the_limit() {
        let zero = read(Path::new("/dev/zero"), Streams::Any).expect_err("refused");
        assert!(matches!(zero, Unread::TooLarge));
        let zero = read(Path::new("/dev/zero"), Streams::Pipes).expect_err("refused");
        assert!(matches!(zero, Unread::Special("a device")));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_without_a_size_is_read() {
        let status = read(Path::new("/proc/self/status"), Streams::Refuse).expect("read");
        assert!(status.starts_with(b"Name:"));
    }
}
