//! Commands that take several processes down: whose turn it is. A part of the [`Fleet`]; pure.
//!
//! What holds at the end of everything holds here too: a process is asked when nobody who needs it
//! is on its way down any more. Until then its order waits here, and the process runs on.
//!
//! A reload may give one process the port that another has until it has ended. So what it starts is held
//! until all that it stops, or that is stopping already, is over: as a state of the process that is held, which a
//! later command changes as any other, and not as a second half of the command.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Run, Slot};
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
        let order = match (order, self.turns.remove(&slot)) {
            // It is to run, so it is still to run again.
            (Order::Up, Some(Order::Restart)) => Order::Restart,
            (Order::Up, Some(Order::Up | Order::Stop | Order::Retire)) => {
                self.stays(slot);
                Order::Up
            }
            (order, _) => order,
        };
        let is_up = matches!(self.machine(slot).state(), State::Up { .. });
        self.words[slot.0] = match order {
            Order::Up if is_up && matches!(self.words[slot.0], Word::Stop | Word::Retire) => {
                self.word_of_command(slot)
            }
            Order::Up if is_up => return,
            Order::Up | Order::Restart => Word::Start,
            Order::Stop => Word::Stop,
            Order::Retire => Word::Retire,
        };
        if order != Order::Up && is_up {
            self.turns.insert(slot, order);
        } else {
            self.carry_out(slot, order, effects);
        }
    }

    /// To be called before a reload's orders are given: what they bring up does not start while anything runs
    /// that they take down or that is on its way down already.
    pub fn hold(&mut self, orders: &[(Slot, Order)]) {
        let downs = orders.iter().filter(|(_, order)| *order != Order::Up).map(|(slot, _)| *slot);
        let slots: BTreeSet<Slot> = downs.chain(self.leaving()).collect();
        let runs: BTreeSet<Run> = slots.into_iter().filter_map(|slot| self.machine(slot).run()).collect();
        if runs.is_empty() {
            return;
        }
        for (slot, _) in orders.iter().filter(|(_, order)| matches!(order, Order::Up | Order::Restart)) {
            self.machines[slot.0].hold();
            self.held.entry(*slot).or_default().extend(&runs);
        }
    }

    /// Whether the process is to start, but not before others are gone.
    pub fn is_held(&self, slot: Slot) -> bool {
        self.held.contains_key(&slot)
    }

    /// The process was to go down and is to run on now: nothing waits for its end any more.
    fn stays(&mut self, slot: Slot) {
        if let Some(run) = self.machine(slot).run() {
            self.held.values_mut().for_each(|runs| runs.retain(|other| *other != run));
        }
    }

    /// Lets those start that need not wait for any run to be over. Looked at after each input.
    pub(super) fn release_held(&mut self, effects: &mut Vec<Effect>) {
        if self.held.is_empty() || self.phase != Phase::Running {
            return;
        }
        let machines = &self.machines;
        for runs in self.held.values_mut() {
            runs.retain(|run| machines[run.slot.0].run() == Some(*run));
        }
        let (free, held) = std::mem::take(&mut self.held).into_iter().partition(|(_, runs)| runs.is_empty());
        self.held = held;
        let free: BTreeMap<Slot, BTreeSet<Run>> = free;
        for slot in free.into_keys() {
            let released = self.machines[slot.0].release();
            effects.extend(released.into_iter().map(|effect| Effect::One(slot, effect)));
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
