//! When everything ends, in what order, and how ganger ends then. A part of the [`Fleet`]; pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::event::{Ended, Run, Slot};
use super::fleet::{Cause, Effect, Fleet, Outcome, Phase, Word};
use super::machine::{self, Machine};
use super::signals::TERMINATING;
use super::state::State;
use crate::error::FAILURE;
use crate::model::Sig;

/// How long after the death of a process by a signal the same signal to ganger is the cause of both: a logout,
/// `kill -1` and a service manager signal every process, and not ganger first.
const SAME_CAUSE: Duration = Duration::from_millis(100);

/// A death by a signal that may be on its way to ganger too.
#[derive(Debug)]
pub(super) struct Undecided {
    /// Which signal.
    sig: Sig,
    /// What ends everything if the signal does not come: the first end that does, if one does.
    pub(super) first: Option<Cause>,
}

impl Fleet {
    /// Stops everything for this signal, unless everything is being stopped already.
    pub(super) fn stop_for(&mut self, sig: Sig, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Releasing | Phase::Running => {
                if let Some(Undecided { sig: of_death, first: Some(cause) }) = self.undecided.take()
                    && of_death != sig
                {
                    return self.stop(cause, effects);
                }
                effects.push(Effect::StopRequested(sig));
                self.stop(Cause::Signal(sig), effects);
            }
            Phase::Stopping | Phase::Killing | Phase::Done => {}
        }
    }

    /// The signal that ends ganger, if a process that is up has just died of it. A shell reports the death of
    /// its command by an exit code.
    pub(super) fn suspect(&self, slot: Slot, input: &machine::Input) -> Option<Sig> {
        let (machine::Input::Exited(run, end), State::Up { run: present, .. }) =
            (input, self.machine(slot).state())
        else {
            return None;
        };
        let is_of = |sig: &Sig| match end {
            Ended::Signaled(of) => of == sig,
            Ended::Exited(code) => *code == sig.exit_status(),
            Ended::NotStarted(_) => false,
        };
        let is_running = matches!(self.phase, Phase::Releasing | Phase::Running);
        TERMINATING.into_iter().find(is_of).filter(|_| is_running && run == present)
    }

    /// Decides what a death means when it is known whether the signal comes to ganger too.
    pub(super) fn await_signal(&mut self, sig: Sig, effects: &mut Vec<Effect>) {
        if self.undecided.is_none() {
            self.undecided = Some(Undecided { sig, first: None });
            effects.push(Effect::AwaitSignal(SAME_CAUSE));
        }
    }

    /// No signal has come: what has ended meanwhile means what it says.
    pub(super) fn decide(&mut self, effects: &mut Vec<Effect>) {
        if let Some(Undecided { first: Some(cause), .. }) = self.undecided.take() {
            self.stop(cause, effects);
        }
    }

    /// Whether it is not known yet what an end means.
    pub fn is_undecided(&self) -> bool {
        self.undecided.is_some()
    }

    pub(super) fn stop(&mut self, cause: Cause, effects: &mut Vec<Effect>) {
        // What has ended before is the cause, unless nothing is left to clean up after us.
        let first = self.undecided.take().and_then(|it| it.first);
        let cause = match (cause, first) {
            (cause @ (Cause::Signal(_) | Cause::GuardGone), _) => cause,
            (cause, first) => first.unwrap_or(cause),
        };
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
            let is_by_itself = !matches!(word, Word::Stop | Word::Task);
            matches!(machine.state(), State::Over { .. } | State::Crashed { .. }) && is_by_itself
        };
        self.last.is_none()
            && ours.peek().is_some()
            && ours.all(ended)
            && self.machines.iter().all(Machine::is_at_rest)
    }

    pub(super) fn check_done(&mut self, effects: &mut Vec<Effect>) {
        if self.is_undecided() {
            return;
        }
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
