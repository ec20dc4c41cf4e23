//! The limits on open files and on what a new process can receive, and how to make room below the first.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Soft and hard limit on open files, as this process was started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    soft: u64,
    hard: u64,
}

impl OpenFiles {
    /// The present limits.
    pub fn now() -> io::Result<Self> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Self { soft, hard })
    }

    /// How many descriptors the process may have now.
    pub fn soft(self) -> u64 {
        self.soft
    }

    /// Raises the soft limit to the hard one: ganger holds descriptors for every process.
    /// Answers the limits before, which the processes get back. macOS refuses more than
    /// `OPEN_MAX` (setrlimit(2)); then nothing changes.
    pub fn raise() -> io::Result<Self> {
        let before = Self::now()?;
        let _ = setrlimit(Resource::RLIMIT_NOFILE, before.hard, before.hard);
        Ok(before)
    }

    /// Sets these limits. Safe between fork and exec.
    pub(super) fn apply(self) -> nix::Result<()> {
        setrlimit(Resource::RLIMIT_NOFILE, self.soft, self.hard)
    }
}

/// The most bytes that a new process can receive as arguments and variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passable {
    /// In one of them, with the NUL at its end.
    pub one: usize,
    /// In all of them together, including the pointers to them.
    pub all: usize,
}

impl Passable {
    /// Returns the present limits. Linux allows 32 pages for one (`MAX_ARG_STRLEN`), and for all a quarter of
    /// the limit on the stack, but not more than 6 MiB (execve(2); `bprm_stack_limits` in the
    /// kernel's fs/exec.c). Elsewhere one may take all of `ARG_MAX`.
    pub fn now() -> Self {
        if cfg!(target_os = "linux") {
            let page = sysconf(libc::_SC_PAGESIZE).unwrap_or(4096);
            let stack = getrlimit(Resource::RLIMIT_STACK).map_or(0, |(soft, _)| soft / 4);
            let all = usize::try_from(stack).unwrap_or(usize::MAX).clamp(128 * 1024, 6 * 1024 * 1024);
            Self { one: 32 * page, all }
        } else {
            let all = sysconf(libc::_SC_ARG_MAX).unwrap_or(256 * 1024);
            Self { one: all, all }
        }
    }
}

#[allow(unsafe_code)]
fn sysconf(name: libc::c_int) -> Option<usize> {
    // SAFETY: it only returns a number.
    usize::try_from(unsafe { libc::sysconf(name) }).ok()
}

/// Has the kernel make its table of our descriptors large enough for `count` of them. Later, when
/// threads share the table, it waits at each growth until all processors have seen it
/// (`expand_fdtable` in the kernel's fs/file.c): some milliseconds at 64, 128, 256 and so on.
///
/// Only a saving, so failures are not told.
#[allow(unsafe_code)]
pub fn expect_files(count: usize) {
    use std::os::fd::FromRawFd as _;
    let Ok(lowest) = i32::try_from(count) else { return };
    if let Ok(fd) = fcntl(io::stdin(), FcntlArg::F_DUPFD_CLOEXEC(lowest)) {
        // SAFETY: the kernel has just given it to us, and nobody else knows of it.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
}

/// Descriptors that nobody else can have while this lives.
#[derive(Debug)]
pub struct Room {
    _held: Vec<OwnedFd>,
}

impl Room {
    /// Keeps `count` of them, for what is opened later and must not fail then.
    pub fn keep(count: usize) -> io::Result<Self> {
        let stdin = io::stdin();
        let held: io::Result<_> = (0..count).map(|_| stdin.as_fd().try_clone_to_owned()).collect();
        Ok(Self { _held: held? })
    }
}
