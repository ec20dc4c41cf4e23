//! What starts when, at the start of everything. A part of the [`Fleet`]; pure.

use std::time::Duration;

use super::event::Slot;
use super::fleet::{Effect, Fleet, Phase, Word};
use super::machine;
use super::state::State;

impl Fleet {
    /// The process at `slot` runs before all others, which start when it has ended with 0. From then
    /// on it is none of ours. Its policy has to be [`OnExit::Ignore`](super::event::OnExit::Ignore).
    pub fn release_first(&mut self, slot: Slot) {
        self.release = Some(slot);
    }

    /// The process at `slot` starts when all others are ready, and is stopped before them. Its end
    /// ends everything, whatever the others do. It is none of those that commands know.
    /// It waits for them `limit` at most.
    pub fn run_last(&mut self, slot: Slot, limit: Duration) {
        self.last = Some(slot);
        self.words[slot.0] = Word::Retire;
        self.machines[slot.0].wait(Some(limit));
        for other in self.slots() {
            self.needs.add(slot, other);
        }
    }

    /// The process that comes last, if there is one.
    pub fn last(&self) -> Option<Slot> {
        self.last
    }

    /// Whether the process that comes last is what everything is about just now.
    pub fn last_has_its_turn(&self) -> bool {
        let is_up = |slot: Slot| matches!(self.machine(slot).state(), State::Up { .. });
        self.phase == Phase::Running && self.last.is_some_and(is_up)
    }

    /// Brings up what is to start now.
    pub(super) fn begin(&mut self, effects: &mut Vec<Effect>) {
        if let Some(slot) = self.release {
            self.phase = Phase::Releasing;
            self.feed(slot, machine::Input::Start, effects);
        } else {
            self.start_others(effects);
        }
    }

    fn start_others(&mut self, effects: &mut Vec<Effect>) {
        let release = self.release;
        for slot in self.slots().filter(|slot| release != Some(*slot)) {
            self.feed(slot, machine::Input::Start, effects);
        }
    }

    /// Brings up what has waited for what happened. Looked at after each input.
    pub(super) fn go_on(&mut self, effects: &mut Vec<Effect>) {
        if let (Phase::Releasing, Some(release)) = (self.phase, self.release) {
            self.end_release(release, effects);
        }
        self.go_on_waiting(effects);
    }

    fn end_release(&mut self, release: Slot, effects: &mut Vec<Effect>) {
        // A failure has ended everything by now, and nobody else can have stopped it.
        if self.is_undecided() || !matches!(self.machine(release).state(), State::Over { .. }) {
            return;
        }
        self.phase = Phase::Running;
        if self.slots().count() > 1 {
            self.words[release.0] = Word::Retire;
        }
        self.start_others(effects);
    }
}
