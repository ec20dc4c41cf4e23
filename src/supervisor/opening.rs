//! What starts when, at the start of everything. A part of the [`Fleet`]; pure.

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

    /// Brings up what is to start now.
    pub(super) fn begin(&mut self, effects: &mut Vec<Effect>) {
        if let Some(slot) = self.release {
            self.phase = Phase::Releasing;
            self.feed(slot, machine::Input::Start, effects);
        } else {
            self.all(&machine::Input::Start, effects);
        }
    }

    /// Brings up what has waited for what happened. Looked at after each input.
    pub(super) fn go_on(&mut self, effects: &mut Vec<Effect>) {
        let (Phase::Releasing, Some(release)) = (self.phase, self.release) else { return };
        // A failure has ended everything by now, and nobody else can have stopped it.
        if !matches!(self.machine(release).state(), State::Over { .. }) {
            return;
        }
        self.phase = Phase::Running;
        let others: Vec<Slot> = self.slots().filter(|slot| *slot != release).collect();
        if !others.is_empty() {
            self.words[release.0] = Word::Retire;
        }
        for slot in others {
            self.feed(slot, machine::Input::Start, effects);
        }
    }
}
