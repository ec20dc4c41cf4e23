//! Pipes: making them, and how much they hold.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// What a pipe shall hold. The default of 64 KiB means more wake-ups of both sides; 1 MiB was
/// slower again.
#[cfg(target_os = "linux")]
const SIZE: i32 = 256 * 1024;

pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(target_vendor = "apple"))]
    let ends = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    #[cfg(target_vendor = "apple")]
    let ends = {
        use nix::fcntl::FdFlag;
        let ends = nix::unistd::pipe()?;
        fcntl(&ends.0, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        fcntl(&ends.1, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        ends
    };
    Ok(ends)
}

/// A pipe for what a process writes: the end to read does not block.
pub(super) fn output_pipe() -> io::Result<(File, OwnedFd)> {
    let (read, write) = pipe()?;
    let flags = OFlag::from_bits_retain(fcntl(&read, FcntlArg::F_GETFL)?);
    fcntl(&read, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    widen(&read);
    Ok((File::from(read), write))
}

/// Lets it hold more, if it is a pipe that holds less. Whoever made it may have wanted it large;
/// and the system may refuse it to users with many pipes (pipe(7)): then it stays as it is.
pub fn widen(fd: impl AsFd) {
    #[cfg(target_os = "linux")]
    if fcntl(&fd, FcntlArg::F_GETPIPE_SZ).is_ok_and(|size| size < SIZE) {
        let _ = fcntl(&fd, FcntlArg::F_SETPIPE_SZ(SIZE));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = fd;
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_made_larger_and_never_smaller() {
        let size = |fd: &OwnedFd| fcntl(fd, FcntlArg::F_GETPIPE_SZ).expect("a pipe");
        let (_read, write) = pipe().expect("a pipe");
        widen(&write);
        assert_eq!(size(&write), SIZE);
        fcntl(&write, FcntlArg::F_SETPIPE_SZ(2 * SIZE)).expect("larger");
        widen(&write);
        assert_eq!(size(&write), 2 * SIZE);
        // It is no pipe.
        widen(File::open("/dev/null").expect("it is there"));
    }
}
