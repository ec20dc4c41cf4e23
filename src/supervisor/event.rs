//! The words between the pure part, the driver and the output. No behaviour.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{InstanceId, Port, Sig};

/// The place of a process in the plan, from 0. It never changes while ganger runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub usize);

/// One attempt to run a process. A message that carries an old run is stale and changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Run {
    /// Whose run.
    pub slot: Slot,
    /// Counts the runs of the slot, from 1.
    pub number: u32,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.slot.0, self.number)
    }
}

/// One setting of a process's timer. A timer of an older epoch changes nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u32);

/// A process group, which is also the pid of its leader.
///
/// Kept by us because the leader's pid is gone once it was reaped, while its group lives on
/// with its other members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pgid(pub i32);

/// How a process came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code, 0 to 255.
    Exited(u8),
    /// A signal killed it.
    Signaled(Sig),
    /// It never ran.
    NotStarted(StartError),
}

impl Ended {
    /// Whether nothing went wrong.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exited(0))
    }

    /// The exit status ganger ends with when this end was the cause: the code, or 128 + signal
    /// as a shell would show it.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Exited(code) => *code,
            Self::Signaled(sig) => sig.exit_status(),
            Self::NotStarted(_) => 1,
        }
    }
}

/// Why a process could not be started: one line for the user, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError {
    /// What the system said.
    pub message: Arc<str>,
    /// What the user can do, where we know.
    pub hint: Option<Arc<str>>,
}

/// What is done when a process ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExit {
    /// Everything ends, as with `heroku local`.
    #[default]
    Stop,
    /// An end with 0 is fine; any other ends everything.
    Ignore,
    /// It is started again, after 1, 2, 4 … 60 s, as long as [`super::backoff`] sees a point in it.
    Restart,
}

/// Which processes of a group are asked first when it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KillMode {
    /// The leader and, where that is a shell, what it runs; the others once these have ended, at the latest
    /// after half of the time.
    #[default]
    Mixed,
    /// All at once.
    Group,
}

/// How one process is stopped and what its end means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What asks it to stop.
    pub stop_signal: Sig,
    /// Which of its processes are asked first.
    pub kill_mode: KillMode,
    /// How long it may take before it is killed.
    pub grace: Duration,
    /// What its end means for the others.
    pub on_exit: OnExit,
    /// It does some work and ends, like the release. Where a command started it, its end with 0 leaves
    /// the others as if it had not run.
    pub is_task: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            stop_signal: Sig::TERM,
            kill_mode: KillMode::default(),
            grace: Duration::from_secs(10),
            on_exit: OnExit::default(),
            is_task: false,
        }
    }
}

/// What people are told. Rendered by the output, in the order they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The process runs.
    Started {
        /// Which one.
        id: InstanceId,
        /// Its leader's pid.
        pid: i32,
        /// The port it was given.
        port: Option<Port>,
        /// Whether it is of the main type.
        is_main: bool,
    },
    /// The process is to start, and waits.
    Waiting {
        /// Which one.
        id: InstanceId,
        /// For what: probes, as they were written.
        what: Vec<String>,
    },
    /// The process is ready. Told of those that somebody waits for, or that have a word for it.
    Ready {
        /// Which one.
        id: InstanceId,
        /// How long after its start, if it was looked at from then on.
        after: Option<Duration>,
    },
    /// The process has ended, and all it wrote was handed on before.
    Ended {
        /// Which one.
        id: InstanceId,
        /// How.
        end: Ended,
        /// How long it ran.
        after: Duration,
        /// What follows from it.
        then: Consequence,
    },
    /// The command that is to run beside the processes has waited for a while.
    CommandWaiting {
        /// Its program.
        program: String,
        /// For what: a process and what it has still to do.
        what: Vec<String>,
    },
    /// The command that ran beside the processes has ended.
    CommandEnded {
        /// Its program.
        program: String,
        /// How.
        end: Ended,
        /// How long it ran.
        after: Duration,
        /// What follows from it.
        then: Consequence,
    },
    /// A command sends a signal to the process.
    Signaled {
        /// Which one.
        id: InstanceId,
        /// The signal.
        sig: Sig,
    },
    /// A signal asked ganger to stop.
    StopRequested(Sig),
    /// Processes that did not stop in time are killed now.
    Killed {
        /// Which one.
        id: InstanceId,
        /// How long it was given.
        after: Duration,
    },
    /// Programs that a process has left running outside of its group.
    Left {
        /// Which one.
        id: InstanceId,
        /// The programs, at least one.
        programs: Vec<Leftover>,
        /// What is done with them.
        what: LeftTo,
    },
    /// The log of a process cannot be written any more. Nothing else changes.
    LogLost {
        /// Whose.
        id: InstanceId,
        /// The file.
        path: PathBuf,
        /// Why.
        error: String,
    },
    /// The output of a process cannot be read. The process gets SIGPIPE when it writes.
    OutputLost {
        /// Whose.
        id: InstanceId,
        /// Why.
        error: String,
    },
    /// What the user can do about what was just told.
    Hint(String),
    /// Programs that are left running on purpose.
    Kept {
        /// Whose they are. At the end of everything: all that there are.
        id: Option<InstanceId>,
        /// The programs, at least one.
        programs: Vec<Kept>,
    },
    /// The last word: who ended first, how, and how it looked.
    Report {
        /// Who.
        id: InstanceId,
        /// How.
        end: Ended,
        /// After how long.
        after: Duration,
    },
}

/// A program that is left running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its name, from the system.
    pub name: String,
    /// Its pid.
    pub pid: i32,
}

/// Why a program is left running on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptBy {
    /// It has the mark in its environment.
    Mark,
    /// Its name is listed.
    Name,
}

/// A program that is left running on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which one.
    pub program: Leftover,
    /// Why.
    pub by: KeptBy,
}

/// A process outside of the group that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Which one.
    pub program: Leftover,
    /// Whether it has left the session too.
    pub is_stray: bool,
}

/// What is done with programs that are left running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftTo {
    /// They are asked to stop.
    Stop,
    /// The end of their process waits for them.
    BeWaitedFor,
    /// They were given this time, and are killed.
    BeKilled(Duration),
}

/// What the end of a process leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing more: it was asked to stop, or others run on.
    Nothing,
    /// The others have waited for it and are started.
    StartsOthers,
    /// Everything is stopped because of it.
    StopsAll,
    /// It is started again after this time (0: at once).
    StartsAgain(Duration),
    /// It failed at once too often, and is not started again by itself.
    GivesUp,
}
