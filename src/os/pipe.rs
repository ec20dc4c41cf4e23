//! Pipes: making them, and how much they hold.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// What a process's pipe shall hold, in bytes. The default of 64 KiB means more wake-ups of both
/// sides, and so does 256 KiB where one process floods: it waits while we write.
#[cfg(target_os = "linux")]
const OURS: i32 = 1024 * 1024;

/// What it shall hold where many run.
#[cfg(target_os = "linux")]
const OURS_OF_MANY: i32 = 256 * 1024;

/// How many processes are not many. A user's pipes may hold 64 MiB in all; behind that all programs of
/// this user get pipes of two pages (`/proc/sys/fs/pipe-user-pages-soft`, pipe(7)).
#[cfg(target_os = "linux")]
const FEW: usize = 8;

/// What stdout shall hold, in bytes, the best size first. It takes what four processes have
/// written meanwhile without a wait for the reader. More than 1 MiB is for root
/// (`/proc/sys/fs/pipe-max-size`, pipe(7)).
#[cfg(target_os = "linux")]
const STDOUT: [i32; 2] = [1024 * 1024, 256 * 1024];

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

/// A pipe for what one of `count` processes writes: the end to read does not block.
pub(super) fn output_pipe(count: usize) -> io::Result<(File, OwnedFd)> {
    let (read, write) = pipe()?;
    let flags = OFlag::from_bits_retain(fcntl(&read, FcntlArg::F_GETFL)?);
    fcntl(&read, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    #[cfg(target_os = "linux")]
    widen_to(&read, if count <= FEW { &[OURS, OURS_OF_MANY] } else { &[OURS_OF_MANY] });
    #[cfg(not(target_os = "linux"))]
    let _ = count;
    Ok((File::from(read), write))
}

/// Lets our stdout hold more, if it is a pipe that holds less. Whoever made it may have wanted it
/// large; and the system may refuse it to users with many pipes (pipe(7)): then it stays as it is.
pub fn widen(stdout: impl AsFd) {
    #[cfg(target_os = "linux")]
    widen_to(stdout, &STDOUT);
    #[cfg(not(target_os = "linux"))]
    let _ = stdout;
}

/// The first of `sizes` that the system grants; nothing, if it holds as much already.
#[cfg(target_os = "linux")]
fn widen_to(fd: impl AsFd, sizes: &[i32]) {
    let Ok(now) = fcntl(&fd, FcntlArg::F_GETPIPE_SZ) else { return };
    let mut larger = sizes.iter().take_while(|size| **size > now);
    larger.find(|size| fcntl(&fd, FcntlArg::F_SETPIPE_SZ(**size)).is_ok());
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_made_larger_and_never_smaller() {
        let size = |fd: &OwnedFd| fcntl(fd, FcntlArg::F_GETPIPE_SZ).expect("a pipe");
        let (_read, write) = pipe().expect("a pipe");
        widen(&write);
        assert_eq!(size(&write), STDOUT[0]);
        fcntl(&write, FcntlArg::F_SETPIPE_SZ(OURS_OF_MANY / 2)).expect("smaller");
        widen_to(&write, &[i32::MAX, OURS_OF_MANY]);
        assert_eq!(size(&write), OURS_OF_MANY, "the first is refused");
        widen_to(&write, &[OURS_OF_MANY / 2]);
        assert_eq!(size(&write), OURS_OF_MANY);
        for (count, expected) in [(1, OURS), (FEW, OURS), (FEW + 1, OURS_OF_MANY)] {
            assert_eq!(size(&output_pipe(count).expect("a pipe").1), expected, "of {count}");
        }
        // It is no pipe.
        widen(File::open("/dev/null").expect("it is there"));
    }
}
