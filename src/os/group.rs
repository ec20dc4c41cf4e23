//! Process groups, and processes by their pid.

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, getpgid, getpgrp, getppid, getsid};

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

/// Whether SIGTSTP stops this process. It does not stop process 1, nor a process of an orphaned group, which no
/// shell could continue: one in which no member has a parent in another group of the session (setpgid(2)).
pub fn can_be_suspended() -> bool {
    std::process::id() != 1 && (is_watched(getppid().as_raw()) || is_other_member_watched())
}

/// Whether this parent of a member of our group would continue it.
fn is_watched(parent: i32) -> bool {
    let parent = Pid::from_raw(parent);
    getsid(Some(parent)).is_ok_and(|session| getsid(None) == Ok(session))
        && getpgid(Some(parent)).is_ok_and(|group| group != getpgrp())
}

#[cfg(target_os = "linux")]
fn is_other_member_watched() -> bool {
    let group = getpgrp().as_raw();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents = all.filter_map(|entry| parent_of_member(entry.file_name().to_str()?, group));
    parents.into_iter().any(is_watched)
}

/// The parent of this process, if it is a living member of the group.
#[cfg(target_os = "linux")]
fn parent_of_member(pid: &str, group: i32) -> Option<i32> {
    let _: i32 = pid.parse().ok()?;
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may have anything in it: state, parent, group (proc_pid_stat(5)).
    let fields = stat.rsplit(|byte| *byte == b')').next()?;
    let mut fields = std::str::from_utf8(fields).ok()?.split_ascii_whitespace();
    let is_alive = !matches!(fields.next()?, "Z" | "X");
    let (parent, of): (i32, i32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (is_alive && of == group).then_some(parent)
}

#[cfg(not(target_os = "linux"))]
fn is_other_member_watched() -> bool {
    false
}

/// Returns the session of a child of ours that has not been reaped, if it is not our own.
pub fn session_of(pid: i32) -> Option<i32> {
    let session = getsid(Some(Pid::from_raw(pid))).ok()?;
    (Ok(session) != getsid(None)).then_some(session.as_raw())
}

/// Whether this process is in the session of another one, and so on its terminal if it has one.
pub fn in_session_of(pid: i32) -> bool {
    let own = getsid(None);
    own.is_ok() && own == getsid(Some(Pid::from_raw(pid)))
}
