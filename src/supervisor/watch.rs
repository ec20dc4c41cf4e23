//! What is looked for outside, so that the fleet knows who may start and who is ready. Values only.

use std::sync::Arc;
use std::time::Duration;

use super::event::{Epoch, Pgid, Run, Slot};
use crate::config::probe::Probe;
use crate::model::{InstanceId, Port};

/// Names one search as long as it lasts, and never another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId(pub u64);

/// A search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Whose variables and folder a command has that looks.
    pub slot: Slot,
    /// What for.
    pub goal: Goal,
    /// What is looked for.
    pub what: Sought,
    /// How long; without a limit until it is called off.
    pub limit: Option<Duration>,
}

/// What a search is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Goal {
    /// The condition at this place, in this wait of the process.
    Start(Epoch, usize),
    /// Whether this run is ready.
    Ready(Run),
}

/// See [`Watch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// Something of the process with this leader listens on this port.
    Port(Port, Pgid),
    /// What the probe says. It is about no process.
    Probe(Probe),
    /// A line in the output of one of these runs.
    Line(Probe, Vec<(Run, InstanceId)>),
}

/// What a search has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is there; the search is over.
    There,
    /// It is not; why. Said when that has changed.
    NotYet(Arc<str>),
    /// The process does not listen on its port, but on these. Said when that has changed.
    Elsewhere(Vec<Port>),
    /// The time is over, and so is the search.
    GaveUp,
}
