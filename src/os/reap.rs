//! Children that have ended or stopped: learning of them, and reaping them.

use std::io;

use nix::errno::Errno;

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

/// The next dead child, or `None`. It is not reaped yet: until [`reap`], its pid and its group's number belong
/// to no other process, so the group can be signaled without doubt.
pub fn next_dead() -> Option<Death> {
    match wait(Whom::Any, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) {
        Seen::Ended(death) => Some(death),
        Seen::Stopped(_) | Seen::Nothing | Seen::NoChild => None,
    }
}

/// Reaps a child, which is dead or about to be; its pid may be used again from now on.
pub fn reap(pid: i32) {
    wait(Whom::Child(pid), libc::WEXITED);
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
    match wait(Whom::Any, libc::WEXITED | libc::WSTOPPED | libc::WNOHANG) {
        Seen::Ended(death) => Some(Change::Ended(death)),
        Seen::Stopped(pid) => Some(Change::Stopped(pid)),
        Seen::Nothing | Seen::NoChild => None,
    }
}

/// Reaps all dead children and returns whether living ones are left, and how `watched` ended, if it is
/// among the dead.
pub fn reap_all(watched: i32) -> (Option<How>, Left) {
    let mut found = None;
    loop {
        match wait(Whom::Any, libc::WEXITED | libc::WNOHANG) {
            Seen::Ended(Death { pid, how }) if pid == watched => found = Some(how),
            Seen::Ended(_) | Seen::Stopped(_) => {}
            Seen::Nothing => return (found, Left::Some),
            Seen::NoChild => return (found, Left::None),
        }
    }
}

/// Waits until this child ends, and reaps all others that end before it. `None` if it is not a child of
/// ours. Blocks.
pub fn wait_for(pid: i32) -> Option<How> {
    loop {
        match wait(Whom::Any, libc::WEXITED) {
            Seen::Ended(death) if death.pid == pid => return Some(death.how),
            Seen::Ended(_) | Seen::Stopped(_) | Seen::Nothing => {}
            Seen::NoChild => return None,
        }
    }
}

/// Returns whether this child of ours has ended, without reaping it. True for a pid that is not a child of ours.
#[cfg(target_os = "linux")]
pub(super) fn is_dead(pid: i32) -> bool {
    !is_alive(pid)
}

/// Returns whether this is a child of ours that has not ended.
#[cfg(target_os = "linux")]
pub(super) fn is_alive(pid: i32) -> bool {
    wait(Whom::Child(pid), libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) == Seen::Nothing
}

/// Returns whether there is any child of ours, dead or alive.
#[cfg(target_os = "linux")]
pub(super) fn has_children() -> bool {
    wait(Whom::Any, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) != Seen::NoChild
}

/// Which children a look is about.
#[derive(Debug, Clone, Copy)]
enum Whom {
    Any,
    Child(i32),
}

/// What a look at children has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Ended(Death),
    Stopped(i32),
    /// There are such children, and none has done anything.
    Nothing,
    /// There is no such child.
    NoChild,
}

// The libc crate has them for Linux only. They are the same there.
const CLD_EXITED: i32 = 1;
const CLD_KILLED: i32 = 2;
const CLD_DUMPED: i32 = 3;

/// The only place where children are waited for (waitid(2)).
///
/// Codes and signals are plain numbers here and up to [`How`]: nix, as other crates, has no name for a
/// real-time signal and reports a death by one as an error. Taken for "none is dead", that death hides all
/// that come after it.
#[allow(unsafe_code)]
fn wait(whom: Whom, options: i32) -> Seen {
    let (kind, id) = match whom {
        Whom::Any => (libc::P_ALL, 0),
        Whom::Child(pid) => (libc::P_PID, libc::id_t::try_from(pid).unwrap_or(0)),
    };
    loop {
        let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: waitid(2) writes a siginfo_t, which lives through the call.
        let result = Errno::result(unsafe { libc::waitid(kind, id, info.as_mut_ptr(), options) });
        match result {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            // ECHILD. The other errors are of other arguments.
            Err(_) => return Seen::NoChild,
        }
        // SAFETY: all zero bytes are a valid siginfo_t.
        let info = unsafe { info.assume_init() };
        // SAFETY: waitid(2) fills in the fields of a SIGCHLD, or leaves all of it zero (WNOHANG).
        let pid = unsafe { info.si_pid() };
        // SAFETY: as above. Of 32 bits, the low 8 are the code or the signal (exit(3)).
        let status = unsafe { info.si_status() } & 0xff;
        return match info.si_code {
            _ if pid == 0 => Seen::Nothing,
            CLD_EXITED => {
                Seen::Ended(Death { pid, how: How::Exited(u8::try_from(status).unwrap_or(u8::MAX)) })
            }
            CLD_KILLED | CLD_DUMPED => {
                Seen::Ended(Death { pid, how: How::Signaled(Sig::from_number(status)) })
            }
            _ => Seen::Stopped(pid),
        };
    }
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

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn ends_of(script: &str) -> How {
        let command = Command::new("sh").args(["-c", script]).stderr(Stdio::null()).spawn();
        let mut child = command.expect("sh starts");
        // Other tests of this process have children too.
        let pid = i32::try_from(child.id()).expect("a pid");
        let Seen::Ended(death) = wait(Whom::Child(pid), libc::WEXITED | libc::WNOWAIT) else {
            panic!("it has ended")
        };
        assert_eq!(death.pid, pid);
        let status = child.wait().expect("it was not reaped by the look");
        assert_eq!(wait(Whom::Child(pid), libc::WEXITED), Seen::NoChild);
        match death.how {
            How::Exited(code) => assert_eq!(status.code(), Some(code.into())),
            How::Signaled(sig) => assert_eq!(status.signal(), Some(sig.number())),
        }
        death.how
    }

    #[test]
    fn ends_are_exact_for_every_code_and_signal() {
        assert_eq!(ends_of("exit 0"), How::Exited(0));
        assert_eq!(ends_of("exit 255"), How::Exited(255));
        #[cfg(target_os = "linux")]
        let last = 64;
        #[cfg(not(target_os = "linux"))]
        let last = 31;
        // By default these end nothing, or only stop.
        let harmless = [
            libc::SIGCHLD,
            libc::SIGCONT,
            libc::SIGURG,
            libc::SIGWINCH,
            libc::SIGSTOP,
            libc::SIGTSTP,
            libc::SIGTTIN,
            libc::SIGTTOU,
            // The C library's own; they may be ignored since before this program was started.
            32,
            33,
        ];
        for number in (1..=last).filter(|number| !harmless.contains(number)) {
            let how = ends_of(&format!("ulimit -c 0; kill -{number} $$"));
            assert_eq!(how, How::Signaled(Sig::from_number(number)));
        }
    }
}
