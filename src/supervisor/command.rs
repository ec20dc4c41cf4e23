//! The words between the driver and whoever commands it from outside. No behaviour.

use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::UnboundedSender;

use super::event::{Ended, Run};
use super::fleet::Order;
use crate::config::environment::Environment;
use crate::config::formation::FormationError;
use crate::error::Error;
use crate::model::{InstanceId, Port, ProcessName, Recipients, Sig};
use crate::plan::Planner;

/// Something to do, and where the answer goes. It is answered once; a receiver that has gone is
/// no fault.
#[derive(Debug, Clone)]
pub struct Command {
    /// What to do.
    pub what: What,
    /// Where the answer goes.
    pub answer: UnboundedSender<Answer>,
}

/// See [`Command`].
#[derive(Debug, Clone)]
pub enum What {
    /// Say what runs.
    Status,
    /// Bring these up, or down, or start them anew.
    Order {
        /// Types and instances; none: all.
        names: Vec<String>,
        /// What is wanted of them.
        order: Order,
        /// Answer when it is done, and not at once.
        wait: bool,
    },
    /// Have as many of each type as the list says, `web=2`.
    Scale {
        /// The list.
        counts: Vec<String>,
        /// As above.
        wait: bool,
    },
    /// End everything, as TERM does. Answered at once.
    End,
    /// Go on with these files.
    Reload {
        /// What they say.
        planner: Box<Planner>,
        /// As above.
        wait: bool,
    },
    /// Send a signal to processes that run.
    Signal {
        /// The signal.
        sig: Sig,
        /// Types and instances, at least one.
        names: Vec<String>,
        /// Which of their processes get it.
        to: Recipients,
    },
    /// Say when all of these are ready, or that one of them will not be; with `now`, at once.
    Wait {
        /// Types and instances; none: all.
        names: Vec<String>,
        /// Whether to answer at once.
        now: bool,
    },
    /// Say what environment a process was started with, or is to be.
    Environment(InstanceId),
}

/// What was done.
#[derive(Debug, Clone)]
pub enum Answer {
    /// All processes, in the order of their slots, and how many of each type there are.
    Status(Vec<Status>, Formation),
    /// What was done with each process, and how many of each type there are now.
    Done(Vec<Done>, Formation),
    /// The signal was sent to these, each with the pid of its leader.
    Signaled(Sig, Vec<(InstanceId, i32)>),
    /// Which are ready.
    Awaited(Vec<Awaited>),
    /// Everything ends.
    Ending,
    /// An environment.
    Environment(Environment),
    /// Nothing was done, and why.
    Refused(Refused),
}

/// Whether a process is ready that somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// Which one.
    pub id: InstanceId,
    /// Whether it is.
    pub is_ready: bool,
    /// It will not be, unless somebody starts it.
    pub never: bool,
    /// Why it is not.
    pub why: Option<String>,
    /// What the user can do about it.
    pub hint: Option<String>,
}

/// How many of each type there are, in the order of the Procfile.
pub type Formation = Vec<(ProcessName, usize)>;

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The words of the command are wrong; otherwise the world is.
    pub is_usage: bool,
}

impl From<FormationError> for Refused {
    fn from(error: FormationError) -> Self {
        Self { message: error.to_string(), hint: error.hint(), is_usage: true }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let is_usage = error.exit_status() == crate::error::USAGE;
        Self { message: error.to_string(), hint: error.hint(), is_usage }
    }
}

/// What was done with one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Which one.
    pub id: InstanceId,
    /// Its port.
    pub port: Option<Port>,
    /// What.
    pub what: Did,
}

/// See [`Done`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    /// It was not up and is now; its pid.
    Started(i32),
    /// A new run of it is up; its pid.
    Restarted(i32),
    /// It was up already; its pid.
    WasUp(i32),
    /// It is down; how it ended.
    Stopped(Option<Ended>),
    /// It was down already.
    WasDown,
    /// It is not as it should be, and why.
    Failed(String),
    /// A later command wants something else of it.
    Superseded,
    /// It was ordered, and nobody waits for it.
    Ordered,
}

/// What one process is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub id: InstanceId,
    /// What the shell got.
    pub command: OsString,
    /// Its leader, while it is alive.
    pub pid: Option<i32>,
    /// Its port.
    pub port: Option<Port>,
    /// Where it is.
    pub state: Stage,
    /// Since when.
    pub since: SystemTime,
    /// How many runs there were.
    pub runs: u32,
    /// How long it still waits for its next run, if it ended and does.
    pub again: Option<Duration>,
    /// How often it has failed in a row.
    pub crashes: u32,
    /// How the last one that is over ended.
    pub last: Option<Ended>,
    /// Whether it is known to be ready. One that has done its work is.
    pub ready: bool,
    /// Where whoever asks may look whether it is, if nobody has.
    pub unseen: Option<Unseen>,
    /// The user has said what shows that it is ready, and that is still looked for.
    pub settling: bool,
    /// It was not ready in the time that a wait may take.
    pub late: bool,
    /// What it waits for, if it is to start and does.
    pub waits_for: Vec<String>,
}

/// A run of which nobody knows yet whether it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unseen {
    /// The run.
    pub run: Run,
    /// It is ready when something of its own listens here.
    pub port: Port,
    /// The pid of its leader.
    pub leader: i32,
}

/// Where a process is, as people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is to start, but not before something else has happened.
    Waiting,
    /// Its start was ordered, or waits for its time.
    Starting,
    /// It runs.
    Up,
    /// It was asked to stop, or something of it is still there.
    Stopping,
    /// It does not run, and that is as it should be.
    Stopped,
    /// It ended and should not have, and nothing starts it by itself.
    Crashed,
}

impl Stage {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
        }
    }
}
