//! Commands that take several processes down: whose turn it is. A part of the [`Fleet`]; pure.
//!
//! What holds at the end of everything holds here too: a process is asked when nobody who needs it
//! is on its way down any more. Until then its order waits here, and the process runs on.

use std::collections::BTreeSet;

use super::event::Slot;
use super::fleet::{Effect, Fleet, Order, Phase, Word};
use super::machine;
use super::state::State;

impl Fleet {
    /// These orders in their turn: what goes down first, whoever needs others before those, and what
    /// comes up after whatever it needs. Given in any other order, a process would not know that somebody
    /// who needs it is about to go, or would not wait for what is about to come back.
    pub fn in_turn(&self, mut orders: Vec<(Slot, Order)>) -> Vec<(Slot, Order)> {
        let those = |up: bool| orders.iter().filter(move |(_, order)| (*order == Order::Up) == up);
        let downs = self.waves(those(false).map(|(slot, _)| *slot).collect());
        let ups = self.waves(those(true).map(|(slot, _)| *slot).collect());
        let place = |waves: &[BTreeSet<Slot>], slot| waves.iter().position(|wave| wave.contains(&slot));
        orders.sort_by_key(|(slot, order)| match order {
            Order::Restart | Order::Stop | Order::Retire => place(&downs, *slot).unwrap_or(0),
            Order::Up => downs.len() + ups.len() - place(&ups, *slot).unwrap_or(0),
        });
        orders
    }

    /// Those who need others before those.
    fn waves(&self, mut left: BTreeSet<Slot>) -> Vec<BTreeSet<Slot>> {
        let mut waves = Vec::new();
        while !left.is_empty() {
            let next = self.needs.next_to_stop(&left);
            left.retain(|slot| !next.contains(slot));
            waves.push(next);
        }
        waves
    }

    /// Whether a command wants the process down that runs on until those who need it are gone.
    pub fn awaits_turn(&self, slot: Slot) -> bool {
        self.turns.contains_key(&slot)
    }

    /// Once everything ends, commands change nothing any more. The last order counts.
    pub(super) fn order(&mut self, slot: Slot, order: Order, effects: &mut Vec<Effect>) {
        if self.phase != Phase::Running {
            return;
        }
        let waited = self.turns.remove(&slot).is_some();
        let is_up = matches!(self.machine(slot).state(), State::Up { .. });
        self.words[slot.0] = match order {
            Order::Up if is_up && waited => Word::Policy,
            Order::Up if is_up => return,
            Order::Up | Order::Restart => Word::Start,
            Order::Stop => Word::Stop,
            Order::Retire => Word::Retire,
        };
        if order != Order::Up && is_up {
            self.turns.insert(slot, order);
            self.take_turns(effects);
        } else {
            self.carry_out(slot, order, effects);
        }
    }

    /// Gives the orders whose turn has come. Looked at after each input, before anybody who waits
    /// goes on: that one would find up what is about to go down.
    pub(super) fn take_turns(&mut self, effects: &mut Vec<Effect>) {
        while self.phase == Phase::Running
            && let Some((slot, order)) = self.next_turn()
        {
            self.turns.remove(&slot);
            self.carry_out(slot, order, effects);
        }
    }

    fn next_turn(&self) -> Option<(Slot, Order)> {
        if self.turns.is_empty() {
            return None;
        }
        let next = self.needs.next_to_stop(&self.leaving());
        // What has ended by itself meanwhile has nothing to wait for.
        let is_due = |slot: Slot| next.contains(&slot) || self.present(slot).is_none();
        self.turns.iter().find(|(slot, _)| is_due(**slot)).map(|(slot, order)| (*slot, *order))
    }

    /// Those that are on their way down, or wait for their turn.
    fn leaving(&self) -> BTreeSet<Slot> {
        let goes = |slot: &Slot| match self.machine(*slot).state() {
            State::Stopping(_) | State::Draining(_) => true,
            State::Up { .. } => self.awaits_turn(*slot),
            State::Down
            | State::Waiting(_)
            | State::Starting { .. }
            | State::Backoff { .. }
            | State::Over { .. }
            | State::Crashed { .. } => false,
        };
        self.slots().filter(goes).collect()
    }

    fn carry_out(&mut self, slot: Slot, order: Order, effects: &mut Vec<Effect>) {
        let input = match (order, self.machine(slot).state()) {
            // What is up is wanted so.
            (Order::Up, State::Up { .. }) => return,
            // What is on its way down comes up again when it is there.
            (Order::Up, _) | (Order::Restart, State::Stopping(_) | State::Draining(_)) => {
                machine::Input::Start
            }
            (Order::Restart, _) => machine::Input::Restart,
            (Order::Stop | Order::Retire, _) => machine::Input::Stop,
        };
        self.feed(slot, input, effects);
    }
}
