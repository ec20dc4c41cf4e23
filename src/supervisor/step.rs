//! What goes into a [`Machine`](super::machine::Machine), and what comes out of it. Values only.

use std::time::Duration;

use super::event::{Ended, Epoch, Pgid, Run, StartError};
use crate::model::Sig;

/// What happened, for one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Somebody wants it up.
    Start,
    /// Somebody wants it down. It has its time, however often that is said.
    Stop,
    /// Somebody wants it down at once.
    Kill,
    /// Somebody wants a new run.
    Restart,
    /// The ordered run is alive.
    Spawned(Run, Pgid),
    /// The ordered run could not be started.
    SpawnFailed(Run, StartError),
    /// The leader is dead. It must not have been reaped yet, so that its group number is ours.
    Exited(Run, Ended),
    /// The leader is dead, and so is whatever else was asked first.
    FirstEnded(Run),
    /// No member of the group is left.
    GroupEmpty(Run),
    /// All output was read.
    OutputClosed(Run),
    /// The timer rang.
    Timeout(Epoch),
    /// All that it waits for in this wait is there.
    Go(Epoch),
    /// What it waits for in this wait will not come, or has not come in time.
    GiveUp(Epoch, StartError),
}

/// Which of a run's processes are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The leader and, where that is a shell that will not pass the signal on, what it runs.
    First,
    /// All of the group.
    Group,
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start the process as this run; answer with [`Input::Spawned`] or [`Input::SpawnFailed`].
    Spawn(Run),
    /// Ask these processes of the run to stop, with this signal. The leader has not been reaped.
    Ask(Pgid, Sig, Whom),
    /// Ask whatever belongs to the run and has not been asked, with the same signal. Only descendants of ours may be signalled.
    AskRest,
    /// Signal the whole group. Its leader has not been reaped: the number is certainly ours.
    Signal(Pgid, Sig),
    /// Kill whatever belongs to the run. The leader may have been reaped, so the number alone proves
    /// nothing: only descendants of ours may be signalled.
    KillRest,
    /// Read what is there and close the output of this run.
    CloseOutput(Run),
    /// Set the timer; it replaces the one before.
    Arm(Epoch, Duration),
    /// Forget the timer.
    Disarm,
    /// It has waited as long as it may; answer with [`Input::GiveUp`], which says for what.
    OutOfTime(Epoch),
    /// The process was killed because it did not stop in time.
    Overdue,
    /// The run is completely over.
    Finished {
        /// Which run.
        run: Run,
        /// How its leader ended.
        end: Ended,
        /// When the next run starts, if one does.
        again: Option<Duration>,
    },
}
