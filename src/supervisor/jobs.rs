//! Commands that take their time: what each waits for, and when it is done. Pure.

use tokio::sync::mpsc::UnboundedSender;

use super::command::{Answer, Did, Done};
use super::event::{Ended, Slot};
use super::fleet::{Fleet, Order, Phase};
use super::machine::Machine;
use super::state::State;
use crate::model::{InstanceId, Port};

/// What is to become of one process.
#[derive(Debug)]
pub(super) struct Goal {
    slot: Slot,
    order: Order,
    /// How many runs there were before.
    runs: u32,
    /// Where it was before.
    was: Was,
    did: Option<Did>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Was {
    Up,
    AtRest,
    Between,
}

/// A command that was given.
#[derive(Debug)]
pub(super) struct Job {
    goals: Vec<Goal>,
    /// What is ordered when these are reached.
    later: Vec<(Slot, Order)>,
    finished: Vec<(Slot, Did)>,
    wait: bool,
    pub(super) answer: UnboundedSender<Answer>,
}

impl Goal {
    /// To be made before the order is given.
    pub(super) fn new(slot: Slot, order: Order, machine: &Machine) -> Self {
        let was = match machine.state() {
            State::Up { .. } => Was::Up,
            State::Down | State::Over { .. } | State::Crashed { .. } => Was::AtRest,
            State::Waiting(_)
            | State::Starting { .. }
            | State::Stopping(_)
            | State::Draining(_)
            | State::Backoff { .. } => Was::Between,
        };
        Self { slot, order, runs: machine.runs(), was, did: None }
    }

    fn look(&self, fleet: &Fleet) -> Option<Did> {
        let machine = fleet.machine(self.slot);
        match self.order {
            Order::Up | Order::Restart => self.look_up(fleet, machine),
            Order::Stop | Order::Retire => self.look_down(fleet, machine),
        }
    }

    fn look_up(&self, fleet: &Fleet, machine: &Machine) -> Option<Did> {
        match machine.state() {
            State::Up { .. } if fleet.awaits_turn(self.slot) => None,
            State::Up { run, pgid, .. } => match (run.number > self.runs, self.was) {
                (true, Was::Up) => Some(Did::Restarted(pgid.0)),
                (true, Was::AtRest | Was::Between) if self.order == Order::Restart && self.runs > 0 => {
                    Some(Did::Restarted(pgid.0))
                }
                (true, Was::AtRest | Was::Between) => Some(Did::Started(pgid.0)),
                (false, _) => Some(Did::WasUp(pgid.0)),
            },
            _ if fleet.phase() != Phase::Running => Some(Did::Failed("everything is being stopped".into())),
            State::Waiting(_) | State::Starting { .. } | State::Stopping(_) | State::Draining(_) => None,
            State::Backoff { end } | State::Over { end } | State::Crashed { end } => {
                Some(Did::Failed(failure(end)))
            }
            State::Down => Some(Did::Failed("another command has stopped it".into())),
        }
    }

    fn look_down(&self, fleet: &Fleet, machine: &Machine) -> Option<Did> {
        match machine.state() {
            State::Down => Some(Did::WasDown),
            State::Over { .. } | State::Crashed { .. } if self.was == Was::AtRest => Some(Did::WasDown),
            State::Over { end } | State::Crashed { end } => Some(Did::Stopped(Some(end.clone()))),
            State::Up { .. } if !fleet.awaits_turn(self.slot) => {
                Some(Did::Failed("another command has started it again".into()))
            }
            State::Waiting(_)
            | State::Starting { .. }
            | State::Up { .. }
            | State::Stopping(_)
            | State::Draining(_)
            | State::Backoff { .. } => None,
        }
    }
}

fn failure(end: &Ended) -> String {
    match end {
        Ended::NotStarted(error) => error.message.to_string(),
        Ended::Exited(code) => format!("it exited with code {code}"),
        Ended::Signaled(sig) => format!("it was ended by {sig}"),
    }
}

impl Job {
    /// With `wait` false it is done as soon as everything is ordered that can be ordered at once.
    pub(super) fn new(
        goals: Vec<Goal>,
        later: Vec<(Slot, Order)>,
        wait: bool,
        answer: UnboundedSender<Answer>,
    ) -> Self {
        Self { goals, later, finished: Vec::new(), wait, answer }
    }

    /// Notes which goals are reached.
    pub(super) fn look(&mut self, fleet: &Fleet) {
        for goal in self.goals.iter_mut().filter(|goal| goal.did.is_none()) {
            goal.did = goal.look(fleet);
        }
    }

    /// Whether all goals are reached, or nobody waits for them.
    pub(super) fn is_done(&self) -> bool {
        let waits = self.wait || !self.later.is_empty();
        !waits || self.goals.iter().all(|goal| goal.did.is_some())
    }

    /// Whether more is to be ordered then.
    pub(super) fn has_more(&self) -> bool {
        !self.later.is_empty()
    }

    /// What is to be ordered now; [`Job::goals`] says what is to come of it.
    pub(super) fn next(&mut self) -> Vec<(Slot, Order)> {
        let done = self.goals.drain(..).map(|goal| (goal.slot, goal.did.unwrap_or(Did::Ordered)));
        self.finished.extend(done);
        std::mem::take(&mut self.later)
    }

    /// Goes on to these goals.
    pub(super) fn goals(&mut self, goals: Vec<Goal>) {
        self.goals = goals;
    }

    /// What was done with each process. One that went down to come up again was restarted.
    pub(super) fn done(&mut self, who: impl Fn(Slot) -> (InstanceId, Option<Port>)) -> Vec<Done> {
        let mut all = std::mem::take(&mut self.finished);
        for goal in self.goals.drain(..) {
            let did = goal.did.unwrap_or(Did::Ordered);
            match (all.iter_mut().find(|(slot, _)| *slot == goal.slot), did) {
                (Some((_, before @ Did::Stopped(_))), Did::Started(pid)) => *before = Did::Restarted(pid),
                (Some((_, before)), did) => *before = did,
                (None, did) => all.push((goal.slot, did)),
            }
        }
        let done = |(slot, what)| {
            let (id, port) = who(slot);
            Done { id, port, what }
        };
        all.into_iter().map(done).collect()
    }
}
