//! What all processes together can be doing and why, and the words between the
//! [`Fleet`](super::fleet::Fleet) and the driver. Values only.

use std::time::Duration;

use super::event::{Ended, Epoch, Run, Slot};
use super::machine;
use crate::model::Sig;

/// What the whole is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The one that comes before all others runs; the others are down.
    Releasing,
    /// The processes are meant to run.
    Running,
    /// All were asked to stop.
    Stopping,
    /// All are being killed.
    Killing,
    /// Nothing is alive and nothing will start.
    Done,
}

/// Why everything ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A process ended by itself.
    Process {
        /// Its run.
        run: Run,
        /// How it ended.
        end: Ended,
    },
    /// Ganger was told to by a signal.
    Signal(Sig),
    /// Our output cannot be written any more; the end that says so.
    OutputGone(Outcome),
    /// The guard is dead: nobody would clean up after us.
    GuardGone,
    /// Every process has ended and that was fine.
    AllEnded,
}

impl Cause {
    /// How ganger ends for this reason.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Process { end, .. } => Outcome::Exit(end.exit_status()),
            Self::Signal(sig) => Outcome::Signal(*sig),
            Self::OutputGone(outcome) => *outcome,
            Self::GuardGone => Outcome::Exit(Sig::KILL.exit_status()),
            Self::AllEnded => Outcome::Exit(0),
        }
    }
}

/// How ganger ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With this exit status.
    Exit(u8),
    /// By this signal, so that the shell sees what happened.
    Signal(Sig),
}

/// Where a terminating signal was received. One Ctrl-C reaches guard and supervisor both; two
/// of the same place are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The guard handed it on.
    Guard,
    /// It came to the supervisor itself.
    Direct,
}

/// What a command wants of one process. The last one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It is to run.
    Up,
    /// It is to run anew.
    Restart,
    /// It is not to run, until somebody wants it to.
    Stop,
    /// The same, and it is none of ours any more.
    Retire,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Bring all up.
    Start,
    /// Something about one process.
    One(Slot, machine::Input),
    /// A command: what it wants of each process that it is about, all at once. There may be none, where only
    /// what processes wait for has changed.
    Orders(Vec<(Slot, Order)>),
    /// What the process waits for at this place of its conditions is there.
    Met(Slot, Epoch, usize),
    /// The process is ready: somebody has looked.
    Ready(Run),
    /// A command ends everything, as TERM does.
    End,
    /// A signal asks for the end of everything.
    Stop(Sig),
    /// A further wish for that: nothing is asked any more, only killed.
    Kill,
    /// A signal that is handed on to every group and stops nothing.
    Forward(Sig),
    /// Stdout cannot be written; the end that says so.
    OutputGone(Outcome),
    /// The guard is gone.
    GuardGone,
    /// The time that [`Effect::HurryAfter`] asked for is over.
    Hurry,
    /// The time that [`Effect::AwaitSignal`] asked for is over.
    NoSignal,
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Something about one process.
    One(Slot, machine::Effect),
    /// Everything was asked to stop by this signal.
    StopRequested(Sig),
    /// Send [`Input::Hurry`] after this time.
    HurryAfter(Duration),
    /// A process has died of a signal that ends ganger too, and may be on its way to it. Send
    /// [`Input::NoSignal`] after this time; what has ended is not told before.
    AwaitSignal(Duration),
    /// Everything is killed from now on: whoever cleans up afterwards need not ask either.
    Killing,
    /// Nothing is alive any more.
    Done(Outcome),
}
