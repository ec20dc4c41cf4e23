//! All processes: when everything ends, why, and with which exit status. Pure.
//!
//! The fleet owns one [`Machine`] for each slot and the phase of the whole. It applies the
//! "one ended" policy the moment a leader dies, while that process may still be draining. Its
//! first part, what starts when, is in `opening`; the last, from the first signal to the exit
//! status, in `ending`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ending::Undecided;
use super::event::{Consequence, Ended, OnExit, Pgid, Policy, Run, Slot};
use super::machine::{self, Machine};
use super::needs::Needs;
pub use super::phase::{Cause, Effect, Input, Order, Outcome, Phase, Via};
use super::state::{State, Then};
use super::waits::Waits;
pub use super::waits::{Condition, ReadyWhen};
use crate::model::Sig;

/// How long processes are given when the guard is gone: everything must be over in 2 s, and the
/// supervisor may be the next to be killed.
const HURRY: Duration = Duration::from_millis(500);

/// Who had the last word about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It was started with all others, and its end means what its policy says.
    Policy,
    /// A command started it, and has not been answered yet: if it cannot be started, that is the
    /// command's failure and ends nothing.
    Start,
    /// A command started it, and it is a task: when it has ended with 0 it is left alone, as if a command had
    /// stopped it.
    Task,
    /// A command stopped it. As long as there is such a process somebody may want it up again, so
    /// that nothing ends because all others have.
    Stop,
    /// It is none of ours any more, or not yet.
    Retire,
}

/// All processes.
#[derive(Debug)]
pub struct Fleet {
    pub(super) machines: Vec<Machine>,
    /// For each of them.
    pub(super) words: Vec<Word>,
    /// For each of them.
    pub(super) waits: Vec<Waits>,
    /// What runs before all others, and its end starts them.
    pub(super) release: Option<Slot>,
    /// What runs when all others do; see [`Fleet::run_last`].
    pub(super) last: Option<Slot>,
    /// Who is stopped before whom.
    pub(super) needs: Needs,
    /// Orders to go down that wait for others to be gone.
    pub(super) turns: BTreeMap<Slot, Order>,
    /// Processes that do not start before these runs are over.
    pub(super) held: BTreeMap<Slot, BTreeSet<Run>>,
    pub(super) phase: Phase,
    pub(super) cause: Option<Cause>,
    /// What may have been caused by a signal that is on its way to us.
    pub(super) undecided: Option<Undecided>,
    /// Those that were given up, in that order, though some may be up again.
    pub(super) crashed: Vec<(Run, Ended)>,
}

impl Fleet {
    /// One process for each policy; its place is its slot.
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        let machines: Vec<Machine> =
            policies.into_iter().enumerate().map(|(i, policy)| Machine::new(Slot(i), policy)).collect();
        let words = vec![Word::Policy; machines.len()];
        let waits = vec![Waits::default(); machines.len()];
        Self {
            machines,
            words,
            waits,
            release: None,
            last: None,
            needs: Needs::default(),
            turns: BTreeMap::new(),
            held: BTreeMap::new(),
            phase: Phase::Running,
            cause: None,
            undecided: None,
            crashed: Vec::new(),
        }
    }

    /// One more process, which stays down until it is ordered up. Slots are never given up: a
    /// message about an old one can mean nobody else.
    pub fn add(&mut self, policy: Policy) -> Slot {
        let slot = Slot(self.machines.len());
        self.machines.push(Machine::new(slot, policy));
        self.words.push(Word::Retire);
        self.waits.push(Waits::default());
        if let Some(last) = self.last {
            self.needs.add(last, slot);
        }
        slot
    }

    /// How a process is stopped and what its end means, from now on.
    pub fn change(&mut self, slot: Slot, policy: Policy) {
        self.machines[slot.0].change(policy);
    }

    /// `who` needs `whom`: where both are to go down it is stopped before that is.
    pub fn need(&mut self, who: Slot, whom: Slot) {
        self.needs.add(who, whom);
    }

    /// All processes, also those that are none of ours any more.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.machines.len()).map(Slot)
    }

    /// Whether the process is one of ours: not retired.
    pub fn has(&self, slot: Slot) -> bool {
        self.words[slot.0] != Word::Retire
    }

    /// Whether the next start is a command's, and its failure ends nothing.
    pub fn is_ordered(&self, slot: Slot) -> bool {
        self.words[slot.0] == Word::Start
    }

    /// Whether a command stopped it.
    pub fn is_stopped(&self, slot: Slot) -> bool {
        self.words[slot.0] == Word::Stop
    }

    /// Whether it is down, and a command that does not name it leaves it alone.
    pub fn is_left_alone(&self, slot: Slot) -> bool {
        let is_done = matches!(self.machine(slot).state(), State::Over { end } if end.is_success());
        self.is_stopped(slot) || self.words[slot.0] == Word::Task && is_done
    }

    /// What is to come of a process that a command has brought up.
    pub(super) fn word_of_command(&self, slot: Slot) -> Word {
        if self.machine(slot).policy().is_task { Word::Task } else { Word::Policy }
    }

    /// Whether what the process at `slot` has left outside its session is to end with it: before the
    /// next run, the answer to a command, or the end of everything.
    pub fn clears(&self, slot: Slot) -> bool {
        let machine = self.machine(slot);
        let starts_or_answers = match machine.state() {
            State::Stopping(_) => true,
            State::Draining(now) => now.then != Then::Policy || machine.policy().on_exit == OnExit::Restart,
            State::Down
            | State::Waiting(_)
            | State::Starting { .. }
            | State::Up { .. }
            | State::Backoff { .. }
            | State::Over { .. }
            | State::Crashed { .. } => false,
        };
        starts_or_answers || self.phase != Phase::Running
    }

    /// What the whole is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Why everything ends, once it does.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// The process at `slot`.
    pub fn machine(&self, slot: Slot) -> &Machine {
        &self.machines[slot.0]
    }

    /// Groups whose leader is dead and that may have become empty.
    pub fn draining_groups(&self) -> impl Iterator<Item = (Run, Pgid)> {
        self.machines.iter().filter_map(Machine::draining_group)
    }

    /// Runs whose leader is dead, and of which only those were asked to stop that are asked first.
    pub fn await_first(&self) -> impl Iterator<Item = Run> {
        self.machines.iter().filter(|machine| machine.awaits_first()).filter_map(Machine::run)
    }

    /// Whether all that belongs to the process at `slot` is to be asked to stop, or was.
    pub fn is_asked(&self, slot: Slot) -> bool {
        self.machine(slot).is_asked()
    }

    /// Whether the process at `slot` has just ended, and nothing had asked it to.
    pub fn ended_by_itself(&self, slot: Slot) -> bool {
        let Some(now) = self.machine(slot).state().draining() else { return false };
        // When it ends everything, all are stopped, and so is what is left of it.
        let is_cause = matches!(&self.cause, Some(Cause::Process { run, .. }) if *run == now.run);
        now.then == Then::Policy || is_cause
    }

    /// Groups whose leader is alive.
    pub fn live_groups(&self) -> impl Iterator<Item = (Slot, Pgid)> {
        self.machines.iter().enumerate().filter_map(|(i, machine)| Some((Slot(i), machine.live_group()?)))
    }

    /// Whether the ordered run is still wanted. Asked just before the spawn, so that a failure
    /// of one process does not start the ones behind it only to stop them.
    pub fn wants(&self, run: Run) -> bool {
        matches!(self.machine(run.slot).state(),
            State::Starting { run: ordered, then } if *ordered == run && *then != Then::Rest)
    }

    /// What the end of this run leads to, told beside its [`machine::Effect::Finished`].
    pub fn consequence(&self, finished: Run, again: Option<Duration>) -> Consequence {
        let state = self.machine(finished.slot).state();
        match (again, &self.cause) {
            (Some(delay), _) => Consequence::StartsAgain(delay),
            (None, _) if matches!(state, State::Crashed { .. }) => Consequence::GivesUp,
            (None, Some(Cause::Process { run, .. })) if *run == finished => Consequence::StopsAll,
            (None, None) if self.release == Some(finished.slot) && finished.number == 1 => {
                Consequence::StartsOthers
            }
            (None, _) => Consequence::Nothing,
        }
    }

    /// Takes one input and answers what to do.
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Start => self.begin(&mut effects),
            Input::One(slot, input) => self.one(slot, input, &mut effects),
            Input::Orders(orders) => {
                for (slot, order) in orders {
                    self.order(slot, order, &mut effects);
                }
            }
            Input::Met(slot, epoch, place) => self.met(slot, epoch, place),
            Input::Ready(run) => self.told_ready(run),
            Input::End => self.stop_for(Sig::TERM, &mut effects),
            Input::Stop(sig) => self.stop_for(sig, &mut effects),
            Input::Forward(sig) => {
                for (slot, pgid) in self.live_groups() {
                    effects.push(Effect::One(slot, machine::Effect::Signal(pgid, sig)));
                }
            }
            Input::OutputGone(outcome) => self.stop(Cause::OutputGone(outcome), &mut effects),
            Input::GuardGone => {
                effects.push(Effect::HurryAfter(HURRY));
                self.stop(Cause::GuardGone, &mut effects);
            }
            Input::Kill | Input::Hurry => self.kill(&mut effects),
            Input::NoSignal => self.decide(&mut effects),
        }
        self.take_turns(&mut effects);
        self.release_held(&mut effects);
        self.go_on(&mut effects);
        if self.phase == Phase::Stopping {
            self.stop_next(&mut effects);
        }
        self.check_done(&mut effects);
        effects
    }

    fn one(&mut self, slot: Slot, input: machine::Input, effects: &mut Vec<Effect>) {
        let cause = self.cause_in(slot, &input);
        if self.is_ordered(slot) {
            match input {
                machine::Input::Spawned(..) => self.words[slot.0] = self.word_of_command(slot),
                machine::Input::SpawnFailed(..) | machine::Input::GiveUp(..) if !self.tries_again(slot) => {
                    self.words[slot.0] = Word::Stop;
                }
                _ => {}
            }
        }
        let suspect = self.suspect(slot, &input);
        self.feed(slot, input, effects);
        if let Some(sig) = suspect {
            self.await_signal(sig, effects);
        }
        match (cause, &mut self.undecided) {
            (Some(cause), Some(undecided)) => drop(undecided.first.get_or_insert(cause)),
            (Some(cause), None) => self.stop(cause, effects),
            (None, _) => {}
        }
    }

    fn tries_again(&self, slot: Slot) -> bool {
        self.machine(slot).policy().on_exit == OnExit::Restart && !self.first_wait(slot)
    }

    /// Whether it waits for its first run. What has never run is not started again: it would only
    /// wait again.
    fn first_wait(&self, slot: Slot) -> bool {
        matches!(self.machine(slot).state(), State::Waiting(_)) && self.machine(slot).runs() == 0
    }

    /// Whether this input ends everything: a process ended that nobody wanted to, and its policy
    /// does not let that pass.
    fn cause_in(&self, slot: Slot, input: &machine::Input) -> Option<Cause> {
        let machine = self.machine(slot);
        let (run, end) = match (input, machine.state()) {
            (machine::Input::Exited(run, end), State::Up { run: present, .. })
                if run == present && !self.awaits_turn(slot) =>
            {
                (*run, end.clone())
            }
            (
                machine::Input::SpawnFailed(run, error),
                State::Starting { run: ordered, then: Then::Policy },
            ) if run == ordered && !self.is_ordered(slot) => (*run, Ended::NotStarted(error.clone())),
            (machine::Input::GiveUp(epoch, error), State::Waiting(now))
                if *epoch == now.epoch && !self.is_ordered(slot) =>
            {
                (Run { slot, number: machine.runs() + 1 }, Ended::NotStarted(error.clone()))
            }
            _ => return None,
        };
        match machine.policy().on_exit {
            OnExit::Restart if self.tries_again(slot) => None,
            OnExit::Ignore if end.is_success() => None,
            OnExit::Restart | OnExit::Ignore | OnExit::Stop => Some(Cause::Process { run, end }),
        }
    }

    pub(super) fn all(&mut self, input: &machine::Input, effects: &mut Vec<Effect>) {
        for slot in self.slots() {
            self.feed(slot, input.clone(), effects);
        }
    }

    pub(super) fn feed(&mut self, slot: Slot, input: machine::Input, effects: &mut Vec<Effect>) {
        let new = self.machines[slot.0].step(input);
        if let State::Crashed { end } = self.machine(slot).state() {
            let run = Run { slot, number: self.machine(slot).runs() };
            if self.crashed.iter().all(|(before, _)| *before != run) {
                self.crashed.push((run, end.clone()));
            }
        }
        effects.extend(new.into_iter().map(|effect| Effect::One(slot, effect)));
    }
}
