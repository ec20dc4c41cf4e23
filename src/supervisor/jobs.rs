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
    wait: bool,
    answer: UnboundedSender<Answer>,
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
            State::Down => Some(Did::Superseded),
        }
    }

    fn look_down(&self, fleet: &Fleet, machine: &Machine) -> Option<Did> {
        match machine.state() {
            State::Down => Some(Did::WasDown),
            State::Over { .. } | State::Crashed { .. } if self.was == Was::AtRest => Some(Did::WasDown),
            State::Over { end } | State::Crashed { end } => Some(Did::Stopped(Some(end.clone()))),
            State::Up { .. } if !fleet.awaits_turn(self.slot) => Some(Did::Superseded),
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
    /// With `wait` false it is done at once.
    pub(super) fn new(goals: Vec<Goal>, wait: bool, answer: UnboundedSender<Answer>) -> Self {
        Self { goals, wait, answer }
    }

    /// Notes which goals are reached. A process that could not be started may be up by the time the others are
    /// done, since some are started again.
    pub(super) fn look(&mut self, fleet: &Fleet) {
        for goal in self.goals.iter_mut().filter(|goal| matches!(goal.did, None | Some(Did::Failed(_)))) {
            goal.did = goal.look(fleet).or(goal.did.take());
        }
    }

    /// A later command gives this order. A goal that does not agree with it will not be reached.
    pub(super) fn supersede(&mut self, slot: Slot, order: Order) {
        for goal in self.goals.iter_mut().filter(|goal| goal.slot == slot && goal.did.is_none()) {
            if is_up(goal.order) != is_up(order) {
                goal.did = Some(Did::Superseded);
            }
        }
    }

    /// Whether all goals are reached, or the client does not wait for them.
    pub(super) fn is_done(&self) -> bool {
        !self.wait || self.goals.iter().all(|goal| goal.did.is_some())
    }

    /// Whether the client that waits for it has disconnected.
    pub(super) fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    /// What was done with each process.
    pub(super) fn done(
        self,
        who: impl Fn(Slot) -> (InstanceId, Option<Port>),
    ) -> (Vec<Done>, UnboundedSender<Answer>) {
        let done = |goal: Goal| {
            let (id, port) = who(goal.slot);
            Done { id, port, what: goal.did.unwrap_or(Did::Ordered) }
        };
        (self.goals.into_iter().map(done).collect(), self.answer)
    }
}

/// Whether the process is to be up afterwards.
fn is_up(order: Order) -> bool {
    match order {
        Order::Up | Order::Restart => true,
        Order::Stop | Order::Retire => false,
    }
}
