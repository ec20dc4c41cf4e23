//! What the driver does for those who command it from outside.
//!
//! A part of the [`Driver`](super::driver::Driver): it runs on its task, between two messages, and
//! never waits. The decisions are the fleet's.

use std::time::SystemTime;

use super::command::{Answer, Command, Stage, Status, What};
use super::driver::{Children, Driver};
use super::event::Slot;
use super::fleet::Cause;
use super::state::State;

impl<C: Children> Driver<C> {
    pub(super) fn command(&mut self, command: &Command) {
        let answer = match command.what {
            What::Status => Answer::Status(self.slots().map(|slot| self.status(slot)).collect()),
        };
        // Whoever asked may have gone.
        let _ = command.answer.send(answer);
    }

    /// Notes since when each process is where it is.
    pub(super) fn note_stages(&mut self) {
        let now = SystemTime::now();
        for slot in self.slots() {
            let stage = self.stage(slot);
            let since = self.since.entry(slot).or_insert((stage, now));
            if since.0 != stage {
                *since = (stage, now);
            }
        }
    }

    fn slots(&self) -> impl Iterator<Item = Slot> + use<C> {
        (0..self.members.len()).map(Slot)
    }

    fn status(&self, slot: Slot) -> Status {
        let (member, machine) = (&self.members[slot.0], self.fleet.machine(slot));
        let stage = self.stage(slot);
        Status {
            id: member.id.clone(),
            command: member.command.clone(),
            pid: machine.live_group().map(|pgid| pgid.0),
            port: member.port,
            state: stage,
            since: self.since.get(&slot).map_or_else(SystemTime::now, |(_, since)| *since),
            runs: machine.runs(),
            last: self.ends.get(&slot).cloned(),
        }
    }

    fn stage(&self, slot: Slot) -> Stage {
        match self.fleet.machine(slot).state() {
            State::Down => Stage::Stopped,
            State::Starting { .. } => Stage::Starting,
            State::Up { .. } => Stage::Up,
            State::Stopping(_) | State::Draining(_) => Stage::Stopping,
            State::Backoff { end } if end.is_success() => Stage::Starting,
            State::Backoff { .. } => Stage::Crashed,
            State::Over { .. } => match self.fleet.cause() {
                Some(Cause::Process { run, end }) if run.slot == slot && !end.is_success() => Stage::Crashed,
                Some(_) | None => Stage::Stopped,
            },
        }
    }
}
