//! Who waits for what, and who is ready. A part of the [`Fleet`]; pure.
//!
//! What can be said of processes is said here. Whether a port is open somewhere, or a process listens,
//! somebody outside has to look; he is told what to look for by [`Fleet::missing`] and
//! [`Fleet::to_be_told`], and says what he has seen with [`Input::Met`](super::fleet::Input::Met)
//! and [`Input::Ready`](super::fleet::Input::Ready). When nobody waits, there is nothing to look for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::event::{Ended, Epoch, Run, Slot};
use super::fleet::{Cause, Effect, Fleet, Phase, Word};
use super::machine;
use super::state::{State, Then, Waiting};

/// Something that has to be before a process starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All of these are ready. Those that are not part of the formation do not count: whoever leaves
    /// one out has another one elsewhere.
    Ready(BTreeSet<Slot>),
    /// One of these has written something that has to be looked for. It does not count either where none
    /// of them is part of the formation.
    Written(BTreeSet<Slot>),
    /// Something else that has to be looked for.
    Outside,
}

impl Condition {
    /// The processes it is about.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let slots = match self {
            Self::Ready(slots) | Self::Written(slots) => Some(slots),
            Self::Outside => None,
        };
        slots.into_iter().flatten().copied()
    }
}

/// When a process is ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ReadyWhen {
    /// As soon as it runs.
    #[default]
    Started,
    /// When somebody who has looked says so, once for each run.
    Told,
    /// When all of these are, and it runs.
    Like(BTreeSet<Slot>),
}

/// What the fleet knows of one process.
#[derive(Debug, Clone, Default)]
pub(super) struct Waits {
    conditions: Vec<Condition>,
    /// Which of them are met outside, and in which wait.
    met: (Option<Epoch>, BTreeSet<usize>),
    ready_when: ReadyWhen,
    /// The run that is ready.
    ready: Option<Run>,
}

impl Fleet {
    /// Before each run the process waits until all of these are met, `limit` at most. Without any it
    /// does not wait. Of those it waits for it is also said that it needs them.
    pub fn waits_for(&mut self, slot: Slot, conditions: Vec<Condition>, limit: Duration) {
        self.machines[slot.0].wait(if conditions.is_empty() { None } else { Some(limit) });
        self.needs.forget(slot);
        for condition in &conditions {
            for whom in condition.slots() {
                self.needs.add(slot, whom);
            }
        }
        let waits = &mut self.waits[slot.0];
        if waits.conditions != conditions {
            waits.conditions = conditions;
            waits.met = (None, BTreeSet::new());
        }
    }

    /// When the process is ready, from now on.
    pub fn ready_when(&mut self, slot: Slot, when: ReadyWhen) {
        self.waits[slot.0].ready_when = when;
    }

    /// Those that wait, and for how long already their wait is the same one. One that is held has not begun
    /// to.
    pub fn waiting(&self) -> impl Iterator<Item = (Slot, Epoch)> + '_ {
        self.slots().filter(|slot| !self.is_held(*slot)).filter_map(|slot| Some((slot, self.wait_of(slot)?)))
    }

    pub(super) fn wait_of(&self, slot: Slot) -> Option<Epoch> {
        match self.machine(slot).state() {
            State::Waiting(Waiting { epoch, .. }) => Some(*epoch),
            State::Down
            | State::Starting { .. }
            | State::Up { .. }
            | State::Stopping(_)
            | State::Draining(_)
            | State::Backoff { .. }
            | State::Over { .. }
            | State::Crashed { .. } => None,
        }
    }

    /// The places of the conditions that a waiting process still waits for.
    pub fn missing(&self, slot: Slot) -> Vec<usize> {
        let places = 0..self.waits[slot.0].conditions.len();
        places.filter(|place| !self.is_met(slot, *place)).collect()
    }

    /// What has to be before the process starts.
    pub fn conditions(&self, slot: Slot) -> &[Condition] {
        &self.waits[slot.0].conditions
    }

    fn is_met(&self, slot: Slot, place: usize) -> bool {
        let waits = &self.waits[slot.0];
        match &waits.conditions[place] {
            Condition::Ready(slots) => self.all_ready(slots),
            Condition::Written(of) => !of.iter().any(|slot| self.has(*slot)) || self.was_met(slot, place),
            Condition::Outside => self.was_met(slot, place),
        }
    }

    fn was_met(&self, slot: Slot, place: usize) -> bool {
        let (epoch, met) = &self.waits[slot.0].met;
        *epoch == self.wait_of(slot) && met.contains(&place)
    }

    pub(super) fn met(&mut self, slot: Slot, epoch: Epoch, place: usize) {
        if self.wait_of(slot) != Some(epoch) {
            return;
        }
        let (of, met) = &mut self.waits[slot.0].met;
        if *of != Some(epoch) {
            *of = Some(epoch);
            met.clear();
        }
        met.insert(place);
    }

    pub(super) fn told_ready(&mut self, run: Run) {
        if self.present(run.slot) == Some(run) {
            self.waits[run.slot.0].ready = Some(run);
        }
    }

    fn all_ready(&self, slots: &BTreeSet<Slot>) -> bool {
        let is_there = |slot: &Slot| self.is_ready(*slot) && !self.awaits_turn(*slot);
        slots.iter().filter(|slot| self.has(**slot)).all(is_there)
    }

    /// Whether whoever waits for the process need not wait any longer: it is ready, or has done what
    /// it had to do.
    pub fn is_ready(&self, slot: Slot) -> bool {
        // Circles are refused before anything starts. Should there be one, nobody in it is ready.
        self.is_ready_within(slot, self.machines.len())
    }

    fn is_ready_within(&self, slot: Slot, steps: usize) -> bool {
        match self.machine(slot).state() {
            State::Up { run, .. } => match &self.waits[slot.0].ready_when {
                ReadyWhen::Started => true,
                ReadyWhen::Told => self.waits[slot.0].ready == Some(*run),
                ReadyWhen::Like(others) => {
                    let mut ours = others.iter().filter(|other| self.has(**other));
                    steps > 0 && ours.all(|other| self.is_ready_within(*other, steps - 1))
                }
            },
            State::Over { end } => end.is_success() && !self.is_stopped(slot),
            State::Down
            | State::Waiting(_)
            | State::Starting { .. }
            | State::Stopping(_)
            | State::Draining(_)
            | State::Backoff { .. }
            | State::Crashed { .. } => false,
        }
    }

    /// The run of a process that is up.
    pub fn present(&self, slot: Slot) -> Option<Run> {
        match self.machine(slot).state() {
            State::Up { run, .. } => Some(*run),
            State::Down
            | State::Waiting(_)
            | State::Starting { .. }
            | State::Stopping(_)
            | State::Draining(_)
            | State::Backoff { .. }
            | State::Over { .. }
            | State::Crashed { .. } => None,
        }
    }

    /// The run of a process that wrote last, or still writes. What a command is about to start anew has
    /// not written yet.
    pub fn last_run(&self, slot: Slot) -> Option<Run> {
        let machine = self.machine(slot);
        match machine.state() {
            State::Up { run, .. } => (!self.awaits_turn(slot)).then_some(*run),
            State::Stopping(now) => (now.then != Then::Restart).then_some(now.run),
            State::Draining(now) => (now.then != Then::Restart).then_some(now.run),
            State::Backoff { end } | State::Over { end } | State::Crashed { end } => match end {
                Ended::NotStarted(_) => None,
                Ended::Exited(_) | Ended::Signaled(_) => Some(Run { slot, number: machine.runs() }),
            },
            State::Down | State::Waiting(_) | State::Starting { .. } => None,
        }
    }

    /// Those that are waited for: whether they are ready is to be looked at.
    pub fn awaited(&self) -> BTreeSet<Slot> {
        let mut all = BTreeSet::new();
        for (slot, _) in self.waiting() {
            if self.last() == Some(slot) {
                all.extend(self.ours_for_last());
            }
            for place in self.missing(slot) {
                if let Condition::Ready(slots) = &self.waits[slot.0].conditions[place] {
                    all.extend(slots);
                }
            }
        }
        all
    }

    /// The runs that somebody has to look at before any of these processes, or of those they go by,
    /// is ready.
    pub fn to_be_told(&self, slots: &BTreeSet<Slot>) -> BTreeSet<Run> {
        let (mut runs, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut left: Vec<Slot> = slots.iter().copied().collect();
        while let Some(slot) = left.pop() {
            if !seen.insert(slot) || self.is_ready(slot) {
                continue;
            }
            match &self.waits[slot.0].ready_when {
                ReadyWhen::Started => {}
                ReadyWhen::Told => runs.extend(self.present(slot)),
                ReadyWhen::Like(others) => left.extend(others),
            }
        }
        runs
    }

    /// Those that the process which comes last waits for: all that nobody has stopped.
    fn ours_for_last(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots().filter(|slot| self.has(*slot) && !self.is_stopped(*slot))
    }

    fn may_go(&self, slot: Slot) -> bool {
        if self.last() == Some(slot) {
            return self.ours_for_last().all(|slot| self.is_ready(slot));
        }
        self.missing(slot).is_empty()
    }

    /// Starts those whose wait is over, and ends everything if one of the first starts can never be.
    /// Looked at after each input.
    pub(super) fn go_on_waiting(&mut self, effects: &mut Vec<Effect>) {
        let waiting: Vec<(Slot, Epoch)> = self.waiting().collect();
        for (slot, epoch) in waiting {
            let its_turn = match self.phase {
                Phase::Releasing => self.release == Some(slot),
                Phase::Running => true,
                Phase::Stopping | Phase::Killing | Phase::Done => false,
            };
            if !its_turn {
                continue;
            }
            if let Some((run, end)) = self.in_vain(slot) {
                return self.stop(Cause::Process { run, end }, effects);
            }
            if self.may_go(slot) {
                self.feed(slot, machine::Input::Go(epoch), effects);
            }
        }
    }

    /// The process that was given up, and that one which has never run waits for. Whoever has run
    /// waits for somebody to bring it up again, and so does whoever a command wants.
    fn in_vain(&self, slot: Slot) -> Option<(Run, Ended)> {
        if self.last() == Some(slot) {
            return self.first_crashed().cloned();
        }
        if self.machine(slot).runs() > 0 || self.words[slot.0] != Word::Policy {
            return None;
        }
        let places = self.missing(slot).into_iter();
        let mut of = places.flat_map(|place| self.waits[slot.0].conditions[place].slots());
        of.find_map(|other| match self.machine(other).state() {
            State::Crashed { end } if self.has(other) => {
                Some((Run { slot: other, number: self.machine(other).runs() }, end.clone()))
            }
            State::Crashed { .. }
            | State::Down
            | State::Waiting(_)
            | State::Starting { .. }
            | State::Up { .. }
            | State::Stopping(_)
            | State::Draining(_)
            | State::Backoff { .. }
            | State::Over { .. } => None,
        })
    }

    /// Whether the process will not be ready, unless somebody starts it.
    pub fn never_ready(&self, slot: Slot) -> bool {
        self.machine(slot).is_at_rest() && !self.is_ready(slot)
    }
}
