//! Where one process can be: the states of a [`Machine`](super::machine::Machine) and the
//! alternatives inside them. Each set of alternatives is an enum, so that no combination can be
//! written down that cannot happen.

use std::time::Duration;

use super::event::{Ended, Epoch, Pgid, Run};

/// Where a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It has not run yet.
    Down,
    /// It is to start, but not before what it waits for is there.
    Waiting(Waiting),
    /// The spawn was ordered and not answered yet.
    Starting {
        /// The run that was ordered.
        run: Run,
        /// What to do once it is answered: [`Then::Policy`] is the normal case.
        then: Then,
    },
    /// It runs.
    Up {
        /// The present run.
        run: Run,
        /// Its group.
        pgid: Pgid,
        /// Whether it may still write.
        output: Output,
    },
    /// It was asked to stop; the leader is alive.
    Stopping(Stopping),
    /// The leader is dead; its group or its output is not done.
    Draining(Draining),
    /// It ended and starts again when the timer says so.
    Backoff {
        /// How it ended.
        end: Ended,
    },
    /// It has ended and stays so until somebody starts it.
    Over {
        /// How it ended.
        end: Ended,
    },
    /// It has failed at once, too often to be started by itself again.
    Crashed {
        /// How it ended.
        end: Ended,
    },
}

impl State {
    /// How the last run ended, where it is over.
    pub fn end(&self) -> Option<&Ended> {
        match self {
            Self::Backoff { end } | Self::Over { end } | Self::Crashed { end } => Some(end),
            Self::Waiting(now) => now.last.as_ref(),
            Self::Down | Self::Starting { .. } | Self::Up { .. } | Self::Stopping(_) | Self::Draining(_) => {
                None
            }
        }
    }

    /// What is left of a run whose leader is dead.
    pub fn draining(&self) -> Option<&Draining> {
        match self {
            Self::Draining(now) => Some(now),
            Self::Down
            | Self::Waiting(_)
            | Self::Starting { .. }
            | Self::Up { .. }
            | Self::Stopping(_)
            | Self::Backoff { .. }
            | Self::Over { .. }
            | Self::Crashed { .. } => None,
        }
    }
}

/// See [`State::Waiting`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// That of the timer that ends it. It names this wait: what an older one asked for is no answer.
    pub epoch: Epoch,
    /// How its last run ended, if there was one.
    pub last: Option<Ended>,
}

/// See [`State::Stopping`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopping {
    /// The present run.
    pub run: Run,
    /// Its group.
    pub pgid: Pgid,
    /// Whether it may still write.
    pub output: Output,
    /// What follows.
    pub then: Then,
    /// How hard it was asked.
    pub force: Force,
}

/// See [`State::Draining`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draining {
    /// The present run.
    pub run: Run,
    /// What is left of its group.
    pub pgid: Pgid,
    /// How the leader ended.
    pub end: Ended,
    /// What follows.
    pub then: Then,
    /// What we wait for.
    pub open: Open,
    /// How hard the rest of the group was asked.
    pub force: Force,
}

impl Draining {
    /// Whether members of its group, or processes outside of it that belong to the run, may be alive.
    pub fn awaits_group(&self) -> bool {
        match self.open {
            Open::GroupAndOutput | Open::Group => true,
            Open::Output => false,
        }
    }
}

/// What follows the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing: somebody asked it to stop.
    Rest,
    /// A new run at once: somebody asked for it.
    Restart,
    /// It ended by itself: what [`OnExit`](super::event::OnExit) says.
    Policy,
}

/// How hard a group was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// The leader and what it runs as a shell, with the stop signal. The timer is at half of the time; this
    /// is the other half.
    First(Duration),
    /// All, each once; those that were asked first ended early. As above.
    Early(Duration),
    /// All, each once. The timer is at the end of the time.
    Asked,
    /// With SIGKILL.
    Killed,
}

/// Whether the output of a living process is open. It may close it and live on; and when it
/// dies, the end of its output is often seen before its death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Somebody may write to it.
    Open,
    /// All was read.
    Closed,
}

/// What of a process is left after its leader's death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Members of its group live and its output is open.
    GroupAndOutput,
    /// Members of its group live.
    Group,
    /// Its output is open.
    Output,
}

impl Output {
    /// What is open when the leader dies: its group is looked at from then on.
    pub(super) fn with_group(self) -> Open {
        match self {
            Self::Open => Open::GroupAndOutput,
            Self::Closed => Open::Group,
        }
    }
}
