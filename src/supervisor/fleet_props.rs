//! What must hold of all processes together, in every order of events.

use std::collections::HashMap;

use proptest::prelude::*;

use super::event::{Ended, OnExit, Pgid, Policy, Run, Slot, StartError};
use super::fleet::{Effect, Fleet, Input, Order, Outcome, Phase, Via};
use super::machine;
use super::state::State;
use crate::model::Sig;

#[derive(Debug, Clone, Copy)]
enum Move {
    Dies(usize, u8),
    Empties(usize),
    Closes(usize),
    Terminate(Via),
    OutputGone,
    GuardGone,
    Hurry,
    Forward,
    Rings(usize),
    Ordered(usize, Order),
    End,
    Hired,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let slot = 0..5_usize;
    let one = prop_oneof![
        3 => (slot.clone(), 0..4_u8).prop_map(|(slot, code)| Move::Dies(slot, code)),
        3 => slot.clone().prop_map(Move::Empties),
        3 => slot.clone().prop_map(Move::Closes),
        2 => prop_oneof![Just(Via::Guard), Just(Via::Direct)].prop_map(Move::Terminate),
        1 => Just(Move::OutputGone),
        1 => Just(Move::GuardGone),
        1 => Just(Move::Hurry),
        1 => Just(Move::Forward),
        2 => slot.clone().prop_map(Move::Rings),
        4 => (0..5_usize, orders()).prop_map(|(slot, order)| Move::Ordered(slot, order)),
        1 => Just(Move::End),
        1 => Just(Move::Hired),
    ];
    proptest::collection::vec(one, 0..50)
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Up), Just(Order::Restart), Just(Order::Stop), Just(Order::Retire)]
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let on_exit = prop_oneof![3 => Just(OnExit::Stop), 1 => Just(OnExit::Ignore), 1 => Just(OnExit::Restart)];
    proptest::collection::vec(on_exit.prop_map(|on_exit| Policy { on_exit, ..Policy::default() }), 3)
}

/// The processes as they really are.
struct World {
    fleet: Fleet,
    slots: usize,
    alive: HashMap<Slot, Run>,
    draining: HashMap<Slot, (Run, bool, bool)>,
    timers: HashMap<Slot, super::event::Epoch>,
    done: Vec<Outcome>,
    killed: Vec<Slot>,
    /// The exit status that the first end which stops everything must give.
    expected: Option<Outcome>,
    /// Those that were given up, in that order.
    crashed: Vec<(Slot, u8)>,
    /// A process that cannot be started.
    unstartable: Option<Slot>,
}

impl World {
    fn new(policies: Vec<Policy>) -> Self {
        Self {
            slots: policies.len(),
            fleet: Fleet::new(policies),
            alive: HashMap::new(),
            draining: HashMap::new(),
            timers: HashMap::new(),
            done: Vec::new(),
            killed: Vec::new(),
            expected: None,
            crashed: Vec::new(),
            unstartable: None,
        }
    }

    fn feed(&mut self, input: Input) {
        let effects = self.fleet.step(input);
        self.note_crashes();
        for effect in effects {
            match effect {
                Effect::One(slot, machine::Effect::Spawn(run)) => {
                    let input = if self.fleet.wants(run) && self.unstartable != Some(slot) {
                        assert_eq!(self.fleet.phase(), Phase::Running, "a spawn after the end began");
                        assert!(!self.alive.contains_key(&slot), "two runs of {slot:?} at once");
                        self.alive.insert(slot, run);
                        machine::Input::Spawned(run, Pgid(i32::try_from(slot.0).expect("few") + 10))
                    } else {
                        let ordered = self.fleet.is_ordered(slot);
                        if !ordered && self.fleet.machine(slot).policy().on_exit != OnExit::Restart {
                            self.expect(Outcome::Exit(1));
                        }
                        machine::Input::SpawnFailed(run, refused())
                    };
                    self.feed(Input::One(slot, input));
                }
                Effect::One(slot, machine::Effect::Signal(pgid, sig)) => {
                    assert_eq!(pgid.0, i32::try_from(slot.0).expect("few") + 10);
                    if sig == Sig::KILL {
                        self.killed.push(slot);
                    }
                }
                Effect::One(slot, machine::Effect::Arm(epoch, _)) => drop(self.timers.insert(slot, epoch)),
                Effect::One(slot, machine::Effect::CloseOutput(_)) => drop(self.draining.remove(&slot)),
                Effect::Done(outcome) => {
                    assert!(self.alive.is_empty(), "done while {:?} live", self.alive);
                    let open = self.draining.values().any(|(_, group, output)| *group || *output);
                    assert!(!open, "done while {:?} drain", self.draining);
                    let ours = self.crashed.iter().find(|(slot, _)| self.fleet.has(*slot));
                    if let Some((_, code)) = ours {
                        self.expected.get_or_insert(Outcome::Exit(*code));
                    }
                    self.done.push(outcome);
                }
                Effect::One(..) | Effect::StopRequested(_) | Effect::HurryAfter(_) | Effect::Killing => {}
            }
        }
    }

    fn note_crashes(&mut self) {
        let state = |slot: Slot| self.fleet.machine(slot).state();
        self.crashed.retain(|(slot, _)| matches!(state(*slot), State::Crashed { .. }));
        for slot in (0..self.slots).map(Slot) {
            if let State::Crashed { end } = state(slot)
                && self.crashed.iter().all(|(before, _)| *before != slot)
            {
                self.crashed.push((slot, end.exit_status()));
            }
        }
    }

    fn expect(&mut self, outcome: Outcome) {
        if self.fleet.phase() == Phase::Running {
            self.expected.get_or_insert(outcome);
        }
    }

    fn play(&mut self, it: Move) {
        match it {
            Move::Dies(slot, code) => {
                let slot = Slot(slot);
                let Some(run) = self.alive.remove(&slot) else { return };
                self.draining.insert(slot, (run, true, true));
                let policy = self.fleet.machine(slot).policy().on_exit;
                let by_itself = matches!(self.fleet.machine(slot).state(), State::Up { .. });
                if by_itself && (policy == OnExit::Stop || (policy == OnExit::Ignore && code != 0)) {
                    self.expect(Outcome::Exit(code));
                }
                self.feed(Input::One(slot, machine::Input::Exited(run, Ended::Exited(code))));
            }
            Move::Empties(slot) => {
                if let Some((run, group @ true, _)) = self.draining.get_mut(&Slot(slot)) {
                    *group = false;
                    let input = machine::Input::GroupEmpty(*run);
                    self.feed(Input::One(Slot(slot), input));
                }
            }
            Move::Closes(slot) => {
                if let Some((run, _, output @ true)) = self.draining.get_mut(&Slot(slot)) {
                    *output = false;
                    let input = machine::Input::OutputClosed(*run);
                    self.feed(Input::One(Slot(slot), input));
                }
            }
            Move::Terminate(via) => {
                self.expect(Outcome::Signal(Sig::INT));
                self.feed(Input::Terminate(Sig::INT, via));
            }
            Move::OutputGone => {
                self.expect(Outcome::Exit(141));
                self.feed(Input::OutputGone(Outcome::Exit(141)));
            }
            Move::GuardGone => {
                self.expect(Outcome::Exit(137));
                self.feed(Input::GuardGone);
            }
            Move::Hurry => {
                // Only ever sent after HurryAfter, which comes with the end of the guard.
                if self.fleet.phase() != Phase::Running {
                    self.feed(Input::Hurry);
                }
            }
            Move::Ordered(slot, order) => {
                if slot < self.slots {
                    self.feed(Input::Order(Slot(slot), order));
                }
            }
            Move::End => {
                self.expect(Outcome::Signal(Sig::TERM));
                self.feed(Input::End);
            }
            Move::Hired => {
                if self.slots < 5 {
                    assert_eq!(self.fleet.add(Policy::default()), Slot(self.slots));
                    self.slots += 1;
                }
            }
            Move::Forward => self.feed(Input::Forward(Sig::USR1)),
            Move::Rings(slot) => {
                if let Some(epoch) = self.timers.remove(&Slot(slot)) {
                    self.feed(Input::One(Slot(slot), machine::Input::Timeout(epoch)));
                }
            }
        }
    }
}

fn refused() -> StartError {
    StartError { message: "withdrawn".into(), hint: None }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_end_comes_once_with_the_status_of_its_cause(
        policies in policies(),
        moves in moves(),
        unstartable in proptest::option::weighted(0.2, 0..3_usize),
    ) {
        let mut world = World::new(policies);
        world.unstartable = unstartable.map(Slot);
        world.feed(Input::Start);
        for it in moves {
            world.play(it);
        }
        // Whatever happened: a signal, deaths and closing pipes end it.
        world.play(Move::Terminate(Via::Guard));
        for slot in 0..world.slots {
            world.play(Move::Dies(slot, 0));
            world.play(Move::Empties(slot));
            world.play(Move::Closes(slot));
        }
        prop_assert_eq!(world.fleet.phase(), Phase::Done);
        // Every process may have ended with 0 under `ignore` before anything else happened.
        prop_assert_eq!(world.done, vec![world.expected.unwrap_or(Outcome::Exit(0))]);
    }

    #[test]
    fn one_signal_seen_in_two_places_kills_nobody(first in prop_oneof![Just(Via::Guard), Just(Via::Direct)]) {
        let mut world = World::new(vec![Policy::default(); 3]);
        world.feed(Input::Start);
        let other = match first { Via::Guard => Via::Direct, Via::Direct => Via::Guard };
        world.play(Move::Terminate(first));
        world.play(Move::Terminate(other));
        prop_assert_eq!(&world.killed, &vec![]);
        world.play(Move::Terminate(first));
        prop_assert_eq!(&world.killed, &vec![Slot(0), Slot(1), Slot(2)]);
        world.play(Move::Terminate(other));
        prop_assert_eq!(world.killed.len(), 3, "killed once");
    }
}

#[test]
fn a_failed_spawn_starts_none_of_the_processes_behind_it() {
    let mut fleet = Fleet::new(vec![Policy::default(); 3]);
    let spawns: Vec<Run> = fleet
        .step(Input::Start)
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::One(_, machine::Effect::Spawn(run)) => Some(run),
            _ => None,
        })
        .collect();
    assert!(fleet.wants(spawns[0]));
    fleet.step(Input::One(Slot(0), machine::Input::Spawned(spawns[0], Pgid(5))));
    fleet.step(Input::One(Slot(1), machine::Input::SpawnFailed(spawns[1], refused())));
    assert!(!fleet.wants(spawns[2]));
    assert_eq!(fleet.phase(), Phase::Stopping);
}

#[test]
fn the_first_signal_while_everything_stops_is_not_impatience() {
    let mut world = World::new(vec![Policy::default(); 3]);
    world.feed(Input::Start);
    world.play(Move::Dies(0, 3));
    world.play(Move::Terminate(Via::Guard));
    assert_eq!(world.killed, []);
    world.play(Move::Terminate(Via::Guard));
    assert_eq!(world.killed, [Slot(1), Slot(2)]);
}

#[test]
fn a_clean_end_under_ignore_lets_the_others_run() {
    let ignore = Policy { on_exit: OnExit::Ignore, ..Policy::default() };
    let mut world = World::new(vec![ignore.clone(), ignore.clone(), ignore]);
    world.feed(Input::Start);
    for slot in 0..3 {
        assert_eq!(world.fleet.phase(), Phase::Running);
        world.play(Move::Dies(slot, 0));
        world.play(Move::Empties(slot));
        world.play(Move::Closes(slot));
    }
    assert_eq!(world.done, [Outcome::Exit(0)]);
}

fn world(count: usize) -> World {
    let mut world = World::new(vec![Policy::default(); count]);
    world.feed(Input::Start);
    world
}

fn ends(world: &mut World, slot: usize) {
    world.play(Move::Dies(slot, 1));
    world.play(Move::Empties(slot));
    world.play(Move::Closes(slot));
}

#[test]
fn what_a_command_stops_ends_nothing_even_if_it_is_the_last() {
    for order in [Order::Stop, Order::Retire] {
        let mut world = world(2);
        for slot in 0..2 {
            world.play(Move::Ordered(slot, order));
            ends(&mut world, slot);
        }
        assert_eq!(world.fleet.phase(), Phase::Running, "{order:?}");
        world.play(Move::Ordered(1, Order::Up));
        assert!(world.alive.contains_key(&Slot(1)));
        world.play(Move::Dies(1, 3));
        world.play(Move::Empties(1));
        world.play(Move::Closes(1));
        assert_eq!(world.done, [Outcome::Exit(3)], "its own end counts again");
    }
}

#[test]
fn all_have_ended_when_those_have_that_are_ours() {
    let ignore = Policy { on_exit: OnExit::Ignore, ..Policy::default() };
    for (order, ended) in [(Order::Stop, false), (Order::Retire, true)] {
        let mut world = World::new(vec![ignore.clone(), ignore.clone()]);
        world.feed(Input::Start);
        world.play(Move::Ordered(0, order));
        ends(&mut world, 0);
        world.play(Move::Dies(1, 0));
        world.play(Move::Empties(1));
        world.play(Move::Closes(1));
        assert_eq!(world.fleet.phase() == Phase::Done, ended, "{order:?}");
    }
}

#[test]
fn a_start_that_a_command_wants_and_that_fails_ends_nothing() {
    let mut world = world(2);
    world.play(Move::Ordered(0, Order::Stop));
    ends(&mut world, 0);
    world.unstartable = Some(Slot(0));
    world.play(Move::Ordered(0, Order::Up));
    assert_eq!(world.fleet.phase(), Phase::Running);
    assert!(world.fleet.is_stopped(Slot(0)));
    world.unstartable = None;
    world.play(Move::Ordered(0, Order::Restart));
    assert!(world.alive.contains_key(&Slot(0)));
}

#[test]
fn the_last_order_counts() {
    // An order while the one before is carried out, and whether a new run follows.
    let table = [
        (Order::Restart, Order::Stop, false),
        (Order::Stop, Order::Restart, true),
        (Order::Stop, Order::Up, true),
        (Order::Restart, Order::Restart, true),
        (Order::Retire, Order::Up, true),
        (Order::Restart, Order::Retire, false),
    ];
    for (first, second, runs) in table {
        let mut world = world(2);
        world.play(Move::Ordered(0, first));
        world.play(Move::Ordered(0, second));
        assert_eq!(world.killed, [], "nobody is impatient");
        ends(&mut world, 0);
        assert_eq!(world.alive.contains_key(&Slot(0)), runs, "{first:?} {second:?}");
    }
}

#[test]
fn a_command_ends_everything_as_term_does() {
    let mut world = world(2);
    world.play(Move::Ordered(0, Order::Stop));
    world.play(Move::End);
    world.play(Move::Ordered(0, Order::Up));
    world.play(Move::Terminate(Via::Guard));
    assert_eq!(world.killed, [], "the first signal is not impatience");
    for slot in 0..2 {
        ends(&mut world, slot);
    }
    assert_eq!(world.done, [Outcome::Signal(Sig::TERM)]);
}

/// Lets it fail at once until it is given up.
fn crashes(world: &mut World, slot: usize, code: u8) {
    for _ in 0..5 {
        world.play(Move::Dies(slot, code));
        world.play(Move::Empties(slot));
        world.play(Move::Closes(slot));
        world.play(Move::Rings(slot));
    }
    assert!(matches!(world.fleet.machine(Slot(slot)).state(), State::Crashed { .. }));
}

fn with(policies: &[OnExit]) -> World {
    let policy = |on_exit: &OnExit| Policy { on_exit: *on_exit, ..Policy::default() };
    let mut world = World::new(policies.iter().map(policy).collect());
    world.feed(Input::Start);
    world
}

#[test]
fn what_is_given_up_ends_nothing_until_it_is_all_that_is_left() {
    use OnExit::{Ignore, Restart};
    let mut world = with(&[Restart, Restart, Ignore]);
    crashes(&mut world, 1, 4);
    crashes(&mut world, 0, 3);
    assert_eq!(world.fleet.phase(), Phase::Running);
    for (it, slot) in [(Move::Dies(2, 0), 2), (Move::Empties(2), 2), (Move::Closes(2), 2)] {
        assert!(world.done.is_empty(), "{slot}");
        world.play(it);
    }
    assert_eq!(world.done, [Outcome::Exit(4)], "the first that was given up says why");
}

#[test]
fn what_was_given_up_and_is_up_again_does_not_count() {
    use OnExit::{Ignore, Restart};
    let mut world = with(&[Restart, Ignore]);
    crashes(&mut world, 0, 4);
    world.play(Move::Ordered(0, Order::Up));
    assert!(world.alive.contains_key(&Slot(0)));
    world.play(Move::Dies(1, 0));
    world.play(Move::Empties(1));
    world.play(Move::Closes(1));
    assert_eq!(world.fleet.phase(), Phase::Running);
    crashes(&mut world, 0, 5);
    assert_eq!(world.done, [Outcome::Exit(5)]);

    // What somebody stopped may come up again, so that there is something to wait for.
    let mut world = with(&[Restart, Ignore]);
    world.play(Move::Ordered(1, Order::Stop));
    ends(&mut world, 1);
    crashes(&mut world, 0, 4);
    assert_eq!(world.fleet.phase(), Phase::Running);
    // And what is none of ours any more says nothing.
    let mut world = with(&[Restart, Ignore]);
    crashes(&mut world, 0, 4);
    world.play(Move::Ordered(0, Order::Retire));
    world.play(Move::Dies(1, 0));
    world.play(Move::Empties(1));
    world.play(Move::Closes(1));
    assert_eq!(world.done, [Outcome::Exit(0)]);
}
