//! Ending everything below this process, for good, but for programs that are [kept](super::keep).
//!
//! Two ways to kill, and both are needed. A look at all of `/proc` reaches every descendant at
//! once, in whatever group and however deep, but it takes milliseconds: a process that forks
//! and exits within that time is never there any more when it is signalled. Killing our own
//! children takes microseconds, and each death makes the next generation our children, as we
//! are a subreaper. The first way is for crowds, the second for what runs away.

use std::time::{Duration, Instant};

use super::descendants::Process;
use super::keep::Keep;
use super::reap::{self, Left};
use super::{descendants, group};
use crate::model::Sig;

/// How often processes are looked for again while they are being killed. Only then, and in the first
/// moments of a start, does anything in guard or reserve wake up by itself.
pub const KILL_ROUND: Duration = Duration::from_millis(20);

/// How many generations of children are killed in one round: a few milliseconds' worth. What
/// is left then cannot die yet (uninterruptible sleep) or forks faster than we kill, and
/// spinning on would take the processor from what has to die.
const GENERATIONS: u32 = 100;

/// Signals everything below this process, once. Returns what is kept, and was not signaled.
pub fn signal_all(sig: Sig, keep: &Keep) -> Vec<Process> {
    send_all(&[sig], keep)
}

/// Asks everything below this process to end. What is stopped would not hear it, so it is also
/// told to go on. Returns what is kept.
pub fn ask_all(keep: &Keep) -> Vec<Process> {
    send_all(&[Sig::TERM, Sig::CONT], keep)
}

fn send_all(signals: &[Sig], keep: &Keep) -> Vec<Process> {
    let all = descendants::find_sorted(keep);
    for sig in signals {
        for process in &all.ending {
            descendants::signal(*process, *sig);
        }
    }
    all.kept.into_iter().map(|(process, _)| process).collect()
}

/// Kills everything below this process and lets the dead go. Answers whether anything is left that is not kept:
/// then it has to be called again, after [`KILL_ROUND`].
///
/// Nobody else in this process may reap meanwhile: a child's number is its own until then, and
/// that is why it may be signalled without a look.
pub fn kill_all(keep: &Keep) -> Left {
    let kept = signal_all(Sig::KILL, keep);
    // A look at each child has to be quick, or what runs away gets ahead of us.
    let is_shown = descendants::sees_all();
    let is_kept = |pid: i32| {
        let child = if is_shown { descendants::look_at(pid) } else { None };
        child.is_some_and(|child| kept.contains(&child) || keep.why_now(&child).is_some())
    };
    for _ in 0..GENERATIONS {
        if reap::reap_all(0).1 == Left::None {
            return Left::None;
        }
        let children = descendants::children();
        let ending: Vec<i32> = children.iter().copied().filter(|pid| !is_kept(*pid)).collect();
        if ending.is_empty() && !children.is_empty() {
            break;
        }
        for pid in ending {
            group::signal_child(pid, Sig::KILL);
        }
    }
    match reap::reap_all(0).1 {
        Left::Some if !is_only_kept_left(keep) => Left::Some,
        Left::Some | Left::None => Left::None,
    }
}

/// Returns whether all that is left below this process is kept.
///
/// The list of our children is looked at first. It is complete as long as nothing else in this process reaps, and
/// what a living child of ours has started is its own; so nothing that runs away is overlooked.
pub fn is_only_kept_left(keep: &Keep) -> bool {
    let is_kept = |pid: i32| {
        let child = descendants::look_at(pid).filter(descendants::is_alive);
        child.is_some_and(|child| keep.why(&child).is_some())
    };
    if !descendants::sees_all() || !descendants::children().into_iter().all(is_kept) {
        return false;
    }
    let all = descendants::find_sorted(keep);
    all.ending.is_empty() && !all.kept.is_empty()
}

/// Ends everything below this process: asks, waits up to `grace`, then kills until nothing is
/// left. For whoever finds himself the last one of ganger. Blocks.
pub fn end_all(grace: Duration, keep: &Keep) {
    if !grace.is_zero() {
        let has_kept = !ask_all(keep).is_empty();
        let kill_at = Instant::now() + grace;
        while Instant::now() < kill_at {
            if reap::reap_all(0).1 == Left::None || has_kept && is_only_kept_left(keep) {
                return;
            }
            std::thread::sleep(KILL_ROUND);
        }
    }
    while kill_all(keep) == Left::Some {
        std::thread::sleep(KILL_ROUND);
    }
}
