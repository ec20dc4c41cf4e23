//! The second guard, between the first one and the supervisor.
//!
//! It has one reason to be: guard and supervisor may be killed in the same moment (`killall -9
//! ganger`, the out-of-memory killer, an impatient script), and then somebody has to be left
//! who is an ancestor of every process and a subreaper. Any two of the three can die. It is in a
//! session of its own, so that killing ganger's process group spares it.
//!
//! It acts on no signal and sends no message. It wakes up when the supervisor or the guard ends, and twice
//! after the start: to ignore signals, and to give memory back. It must never decide about an orderly end:
//! what left its group is then the guard's to ask, with the time and the haste that the guard knows of.
//!
//! When the guard is dead, the supervisor ends everything and then itself. A frozen one does not, and there
//! is no other process left to act, so the reserve continues it, and kills it if that was not enough.

use std::process::exit;
use std::time::Duration;

use nix::sys::signal::Signal;

#[cfg(target_os = "linux")]
use super::guard::HEAD_START;
use super::guard::{CRASH_GRACE, is_orderly};
use super::keep::Keep;
use super::reap::{self, How};
#[cfg(target_os = "linux")]
use super::title::{self, Arguments};
#[cfg(target_os = "linux")]
use super::{group, memory};
use super::{signals, sweep};
#[cfg(target_os = "linux")]
use crate::model::Sig;

/// What `ps` shows: not `ganger`, so that `killall -9 ganger` and `pkill -9 -f ganger` leave
/// somebody to clean up.
#[cfg(target_os = "linux")]
const TITLE: &std::ffi::CStr = c"guard";

/// How long the supervisor may take to end once the guard is dead. It kills what has not ended after
/// [`CRASH_GRACE`], and then waits for readers of its output that still make progress.
#[cfg(target_os = "linux")]
const ORPHAN_GRACE: Duration = Duration::from_secs(5);

/// Stands by until the supervisor ends, then ends in the same way. `guard_is_gone` tells
/// whether the process above is dead.
pub(super) fn stand_by(supervisor: i32, guard_is_gone: impl Fn() -> bool, keep: &Keep) -> ! {
    #[cfg(target_os = "linux")]
    title::set(TITLE, Arguments::find());
    // `timeout -s KILL` and `timeout -k` kill their whole group. A session and not only a group:
    // as the supervisor's parent in the same session, we would keep the group from counting as
    // orphaned (setpgid(2)) when the shell dies, and the kernel would not hang up on it when stopped.
    let _ = nix::unistd::setsid();
    // The rest can wait, as signals are held back.
    #[cfg(target_os = "linux")]
    let is_quiet = signals::no_child_within(HEAD_START);
    // Whoever signals the whole group or every process of ganger means the other two. Ignored
    // and not only blocked, so that none is pending at the end.
    signals::ignore_all_but(&[]);
    let _ = signals::block_only(&[Signal::SIGCHLD]);
    // After that, as an ignored CHLD would be lost. A guard that has died before is noticed all the same.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGCHLD);
    // Elsewhere there is nothing that could be given back.
    #[cfg(target_os = "linux")]
    if is_quiet && signals::no_child_within(memory::SETTLED) {
        memory::forget_the_start();
    }
    #[cfg(target_os = "linux")]
    if !ends_before(supervisor, &guard_is_gone) && !ends_within(supervisor, ORPHAN_GRACE) {
        group::signal_child(supervisor, Sig::KILL);
    }
    let Some(how) = reap::wait_for(supervisor) else { exit(1) };
    if !is_orderly(how) {
        sweep::end_all(CRASH_GRACE, keep);
    } else if guard_is_gone() {
        // The supervisor has asked everybody already.
        sweep::end_all(Duration::ZERO, keep);
    }
    match how {
        How::Exited(code) => exit(code.into()),
        How::Signaled(sig) => signals::die(sig),
    }
}

/// Sleeps until the supervisor ends; returns false if the guard ends first. The supervisor is not reaped.
#[cfg(target_os = "linux")]
fn ends_before(supervisor: i32, guard_is_gone: impl Fn() -> bool) -> bool {
    loop {
        if reap::is_dead(supervisor) {
            return true;
        }
        if guard_is_gone() {
            // SIGSTOP would hide that from it.
            group::signal_child(supervisor, Sig::CONT);
            return false;
        }
        signals::next_child();
    }
}

/// Sleeps until the supervisor ends, at most for `limit`. Returns whether it did.
#[cfg(target_os = "linux")]
fn ends_within(supervisor: i32, limit: Duration) -> bool {
    let end = std::time::Instant::now() + limit;
    loop {
        if reap::is_dead(supervisor) {
            return true;
        }
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return false;
        }
        signals::no_child_within(left);
    }
}
