//! Process groups, and processes by their pid.

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, getsid};

#[cfg(target_os = "linux")]
use super::descendants;
use crate::model::Sig;

/// Signals every member of a group whose leader has not been reaped: the kernel does not give
/// the number to anybody else while the leader is there, even dead.
pub fn signal(pgid: i32, sig: Sig) {
    // ESRCH: all are dead. EPERM: a member changed its user; macOS says it of zombies too.
    send(-pgid, sig);
}

/// The only place that sends a signal by number (kill(2)): nix has no name for real-time signals, and
/// dropped them.
#[allow(unsafe_code)]
fn send(target: i32, sig: Sig) {
    // SAFETY: two integers.
    unsafe { libc::kill(target, sig.number()) };
}

/// Signals what is left of groups whose leaders were reaped. Their numbers may belong to unrelated
/// processes by now, so only members that descend from us are signaled.
#[cfg(target_os = "linux")]
pub fn signal_rest(groups: &[(i32, Sig)]) {
    if groups.is_empty() {
        return;
    }
    let all = descendants::find();
    let sees_all = descendants::sees_all();
    for (pgid, sig) in groups {
        let rest: Vec<_> = all.iter().filter(|process| process.pgid == *pgid).collect();
        if !sees_all && !rest.is_empty() {
            // A child of ours is in it, so the number is still this group's.
            signal(*pgid, *sig);
        } else {
            for process in rest {
                descendants::signal(*process, *sig);
            }
        }
    }
}

/// See the Linux version. Here the number is all there is; a group that still has members keeps
/// its number, so only an empty one could be mistaken.
#[cfg(not(target_os = "linux"))]
pub fn signal_rest(groups: &[(i32, Sig)]) {
    groups.iter().for_each(|(pgid, sig)| signal(*pgid, *sig));
}

/// Whether no process has this group. A group of a stranger that got the number counts as not
/// empty; a time limit of the caller ends that.
pub fn is_empty(pgid: i32) -> bool {
    kill(Pid::from_raw(-pgid), None) == Err(Errno::ESRCH)
}

/// Whether there is such a process. It may be a stranger that got the number.
pub fn exists(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

/// Signals one process that is our child and has not been reaped.
pub fn signal_child(pid: i32, sig: Sig) {
    send(pid, sig);
}

/// Whether this process has a controlling terminal, in the foreground or not.
pub fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Whether this process is in the session of another one, and so on its terminal if it has one.
pub fn in_session_of(pid: i32) -> bool {
    let own = getsid(None);
    own.is_ok() && own == getsid(Some(Pid::from_raw(pid)))
}
