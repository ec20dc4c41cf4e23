//! The words between the driver and whoever commands it from outside. No behaviour.

use std::ffi::OsString;
use std::time::SystemTime;

use tokio::sync::mpsc::UnboundedSender;

use super::event::Ended;
use crate::model::{InstanceId, Port};

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
}

/// What was done.
#[derive(Debug, Clone)]
pub enum Answer {
    /// All processes, in the order of their slots.
    Status(Vec<Status>),
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
    /// How the last one that is over ended.
    pub last: Option<Ended>,
}

/// Where a process is, as people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its start was ordered, or waits for its time.
    Starting,
    /// It runs.
    Up,
    /// It was asked to stop, or something of it is still there.
    Stopping,
    /// It does not run, and that is as it should be.
    Stopped,
    /// It ended and should not have.
    Crashed,
}

impl Stage {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
        }
    }
}
