//! When everything ends, in what order, and how ganger ends then. A part of the [`Fleet`]; pure.

use std::collections::BTreeSet;

use super::event::{Ended, Run, Slot};
use super::fleet::{Cause, Effect, Fleet, Outcome, Phase, Word};
use super::machine::{self, Machine};
use super::state::State;
use crate::error::FAILURE;
use crate::model::Sig;

impl Fleet {
    /// Stops everything for this signal, unless everything is being stopped already.
    pub(super) fn stop_for(&mut self, sig: Sig, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Releasing | Phase::Running => {
                effects.push(Effect::StopRequested(sig));
                self.stop(Cause::Signal(sig), effects);
            }
            Phase::Stopping | Phase::Killing | Phase::Done => {}
        }
    }

    pub(super) fn stop(&mut self, cause: Cause, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Releasing | Phase::Running => {
                self.phase = Phase::Stopping;
                self.cause = Some(cause);
                self.stop_next(effects);
            }
            Phase::Stopping | Phase::Killing | Phase::Done => {}
        }
    }

    /// Asks those whose turn it is, and sees to it that nothing starts any more. Said again after
    /// each input: to hear it twice does nothing to a process.
    pub(super) fn stop_next(&mut self, effects: &mut Vec<Effect>) {
        let left: BTreeSet<Slot> = self.slots().filter(|slot| !self.machine(*slot).is_at_rest()).collect();
        let next = match self.cause {
            // In a hurry there is no time for turns.
            Some(Cause::GuardGone) => left.clone(),
            _ => self.needs.next_to_stop(&left),
        };
        for slot in left {
            // What is up and still needed waits for its turn; what is not up is none to wait for.
            if next.contains(&slot) || !matches!(self.machine(slot).state(), State::Up { .. }) {
                self.feed(slot, machine::Input::Stop, effects);
            }
        }
    }

    pub(super) fn kill(&mut self, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Releasing | Phase::Running | Phase::Stopping => {
                self.phase = Phase::Killing;
                effects.push(Effect::Killing);
                self.all(&machine::Input::Kill, effects);
            }
            Phase::Killing | Phase::Done => {}
        }
    }

    /// The first of those that were given up and have not been started since.
    pub(super) fn first_crashed(&self) -> Option<&(Run, Ended)> {
        let is_left = |(run, _): &&(Run, Ended)| {
            let machine = self.machine(run.slot);
            self.has(run.slot)
                && machine.runs() == run.number
                && matches!(machine.state(), State::Crashed { .. })
        };
        self.crashed.iter().find(is_left)
    }

    /// Whether every process has come to its end by itself. With one that comes last, its end says so.
    fn all_ended(&self) -> bool {
        let mut ours =
            self.machines.iter().zip(&self.words).filter(|(_, word)| **word != Word::Retire).peekable();
        // A machine that is down is still to be started; one that is over has run.
        let ended = |(machine, word): (&Machine, &Word)| {
            matches!(machine.state(), State::Over { .. } | State::Crashed { .. }) && *word != Word::Stop
        };
        self.last.is_none()
            && ours.peek().is_some()
            && ours.all(ended)
            && self.machines.iter().all(Machine::is_at_rest)
    }

    pub(super) fn check_done(&mut self, effects: &mut Vec<Effect>) {
        let done = match self.phase {
            Phase::Running => self.all_ended(),
            Phase::Stopping | Phase::Killing => self.machines.iter().all(Machine::is_at_rest),
            Phase::Releasing | Phase::Done => false,
        };
        if !done {
            return;
        }
        self.phase = Phase::Done;
        let cause = self.cause.take().unwrap_or_else(|| match self.first_crashed() {
            Some((run, end)) => Cause::Process { run: *run, end: end.clone() },
            None => Cause::AllEnded,
        });
        effects.push(Effect::Done(self.outcome(&cause)));
        self.cause = Some(cause);
    }

    /// How ganger ends for this reason. A good end of another process is none for the one that comes
    /// last: it has not done its work, and a script is not to take that for success.
    fn outcome(&self, cause: &Cause) -> Outcome {
        match (cause, cause.outcome()) {
            (Cause::Process { run, .. }, Outcome::Exit(0)) if self.last.is_some_and(|it| it != run.slot) => {
                Outcome::Exit(FAILURE)
            }
            (_, outcome) => outcome,
        }
    }
}
