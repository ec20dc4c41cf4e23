//! Ending everything below this process, for good.
//!
//! Two ways to kill, and both are needed. A look at all of `/proc` reaches every descendant at
//! once, in whatever group and however deep, but it takes milliseconds: a process that forks
//! and exits within that time is never there any more when it is signalled. Killing our own
//! children takes microseconds, and each death makes the next generation our children, as we
//! are a subreaper. The first way is for crowds, the second for what runs away.

use std::time::{Duration, Instant};

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

/// Signals everything below this process, once.
pub fn signal_all(sig: Sig) {
    for process in descendants::find() {
        descendants::signal(process, sig);
    }
}

/// Asks everything below this process to end. What is stopped would not hear it, so it is also
/// told to go on.
pub fn ask_all() {
    signal_all(Sig::TERM);
    signal_all(Sig::CONT);
}

/// Kills everything below this process and lets the dead go. Answers whether anything is left:
/// then it has to be called again, after [`KILL_ROUND`].
///
/// Nobody else in this process may reap meanwhile: a child's number is its own until then, and
/// that is why it may be signalled without a look.
pub fn kill_all() -> Left {
    signal_all(Sig::KILL);
    for _ in 0..GENERATIONS {
        if reap::reap_all(0).1 == Left::None {
            return Left::None;
        }
        for pid in descendants::children() {
            group::signal_child(pid, Sig::KILL);
        }
    }
    reap::reap_all(0).1
}

/// Ends everything below this process: asks, waits up to `grace`, then kills until nothing is
/// left. For whoever finds himself the last one of ganger. Blocks.
pub fn end_all(grace: Duration) {
    if !grace.is_zero() {
        ask_all();
        let kill_at = Instant::now() + grace;
        while Instant::now() < kill_at {
            if reap::reap_all(0).1 == Left::None {
                return;
            }
            std::thread::sleep(KILL_ROUND);
        }
    }
    while kill_all() == Left::Some {
        std::thread::sleep(KILL_ROUND);
    }
}
