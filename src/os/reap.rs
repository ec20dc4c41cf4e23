//! Learning of deaths, and letting the dead go.

use std::io;

use crate::model::Sig;

/// How a child of ours ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// With this code, 0 to 255.
    Exited(u8),
    /// By this signal.
    Signaled(Sig),
}

/// A dead child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// Its pid.
    pub pid: i32,
    /// How it ended.
    pub how: How,
}

/// The next dead child, or `None`. On Linux it is not reaped yet: until [`reap`], its pid and
/// its group's number belong to nobody else, so the group can be signalled without doubt.
#[cfg(target_os = "linux")]
pub fn next_dead() -> Option<Death> {
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match waitid(Id::All, flags) {
        Ok(WaitStatus::Exited(pid, code)) => Some(exited(pid.as_raw(), code)),
        Ok(WaitStatus::Signaled(pid, signal, _)) => Some(signaled(pid.as_raw(), signal as i32)),
        _ => None,
    }
}

/// See the Linux version. Here the child is gone already: nix has no `waitid` for this system.
#[cfg(not(target_os = "linux"))]
pub fn next_dead() -> Option<Death> {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(pid, code)) => Some(exited(pid.as_raw(), code)),
        Ok(WaitStatus::Signaled(pid, signal, _)) => Some(signaled(pid.as_raw(), signal as i32)),
        _ => None,
    }
}

fn exited(pid: i32, code: i32) -> Death {
    // Only the low 8 bits of a code arrive (exit(3)).
    Death { pid, how: How::Exited(u8::try_from(code & 0xff).unwrap_or(u8::MAX)) }
}

fn signaled(pid: i32, signal: i32) -> Death {
    Death { pid, how: How::Signaled(Sig::from_number(signal)) }
}

/// Lets a dead child go; its pid may be used again from now on.
pub fn reap(pid: i32) {
    if cfg!(target_os = "linux") {
        let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
    }
}

/// What a child did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It ended, and is gone.
    Ended(Death),
    /// This pid was stopped, by Ctrl-Z or by reading the terminal from the background.
    Stopped(i32),
}

/// What the next child did since the last call, or `None`.
pub fn next_change() -> Option<Change> {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
        Ok(WaitStatus::Exited(pid, code)) => Some(Change::Ended(exited(pid.as_raw(), code))),
        Ok(WaitStatus::Signaled(pid, signal, _)) => {
            Some(Change::Ended(signaled(pid.as_raw(), signal as i32)))
        }
        Ok(WaitStatus::Stopped(pid, _)) => Some(Change::Stopped(pid.as_raw())),
        _ => None,
    }
}

/// Lets all dead children go and tells whether living ones are left. Answers the way `watched`
/// ended, if it is among the dead.
pub fn reap_all(watched: i32) -> (Option<How>, Left) {
    use nix::errno::Errno;
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    let mut found = None;
    loop {
        let death = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => exited(pid.as_raw(), code),
            Ok(WaitStatus::Signaled(pid, signal, _)) => signaled(pid.as_raw(), signal as i32),
            Ok(WaitStatus::StillAlive) => return (found, Left::Some),
            Err(Errno::ECHILD) => return (found, Left::None),
            Ok(_) | Err(_) => continue,
        };
        if death.pid == watched {
            found = Some(death.how);
        }
    }
}

/// Waits until this child ends, letting all others go that end before it. `None` if it is no
/// child of ours. Blocks.
pub fn wait_for(pid: i32) -> Option<How> {
    use nix::errno::Errno;
    use nix::sys::wait::{WaitStatus, waitpid};
    loop {
        let death = match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) => exited(pid.as_raw(), code),
            Ok(WaitStatus::Signaled(pid, signal, _)) => signaled(pid.as_raw(), signal as i32),
            Err(Errno::ECHILD) => return None,
            Ok(_) | Err(_) => continue,
        };
        if death.pid == pid {
            return Some(death.how);
        }
    }
}

/// Returns whether this child of ours has ended, without reaping it. True for a pid that is not a child of ours.
#[cfg(target_os = "linux")]
pub(super) fn is_dead(pid: i32) -> bool {
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(nix::unistd::Pid::from_raw(pid)), flags) != Ok(WaitStatus::StillAlive)
}

/// Whether living children are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// There are some.
    Some,
    /// There are none: for a subreaper, no descendant at all is alive.
    None,
}

/// Makes orphaned descendants children of this process instead of init's
/// (`PR_SET_CHILD_SUBREAPER`, prctl(2)). Linux only; elsewhere nothing happens and orphans that
/// left their group cannot be found.
pub fn adopt_orphans() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_child_subreaper(true)?;
    Ok(())
}
