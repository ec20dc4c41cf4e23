//! All processes together, case by case. What holds in every order is in `fleet_props`, whose
//! world these play in.

use super::event::{Ended, OnExit, Pgid, Policy, Run, Slot};
use super::fleet::{Cause, Effect, Fleet, Input, Order, Outcome, Phase, Via};
use super::fleet_props::{Move, World, refused};
use super::machine;
use super::state::State;
use crate::model::Sig;

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

pub(super) fn world(count: usize) -> World {
    let mut world = World::new(vec![Policy::default(); count]);
    world.feed(Input::Start);
    world
}

pub(super) fn ends(world: &mut World, slot: usize) {
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
    let mut ended = world(2);
    ended.play(Move::Ordered(0, Order::Stop));
    ended.play(Move::End);
    ended.play(Move::Ordered(0, Order::Up));
    let mut impatient = world(2);
    impatient.play(Move::End);
    impatient.play(Move::Terminate(Via::Guard));
    assert_eq!(impatient.killed, [Slot(0), Slot(1)], "the stop was the first wish");
    for slot in 0..2 {
        ends(&mut ended, slot);
    }
    assert_eq!(ended.done, [Outcome::Signal(Sig::TERM)]);
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

/// A chain, each of which needs the next.
pub(super) fn chain(count: usize) -> World {
    let mut world = world(count);
    for slot in 1..count {
        world.need(slot - 1, slot);
    }
    world
}

pub(super) fn asked(world: &World) -> Vec<usize> {
    let stopping = |slot: &usize| matches!(world.fleet.machine(Slot(*slot)).state(), State::Stopping(_));
    (0..world.slots).filter(stopping).collect()
}

#[test]
fn what_needs_others_is_stopped_before_them() {
    let mut world = chain(3);
    world.play(Move::Terminate(Via::Guard));
    assert_eq!(asked(&world), [0]);
    ends(&mut world, 0);
    assert_eq!(asked(&world), [1]);
    // Dead is not gone: what drains may still need the others.
    world.play(Move::Dies(1, 0));
    assert_eq!(asked(&world), [0_usize; 0]);
    world.play(Move::Empties(1));
    world.play(Move::Closes(1));
    assert_eq!(asked(&world), [2]);
    ends(&mut world, 2);
    assert_eq!(world.done, [Outcome::Signal(Sig::INT)]);
}

#[test]
fn what_waits_for_its_turn_and_dies_meanwhile_is_not_started_again() {
    let mut world = with(&[OnExit::Stop, OnExit::Restart]);
    world.need(0, 1);
    world.play(Move::Terminate(Via::Guard));
    ends(&mut world, 1);
    assert!(world.fleet.machine(Slot(1)).is_at_rest());
    ends(&mut world, 0);
    assert_eq!(world.done, [Outcome::Signal(Sig::INT)]);
}

#[test]
fn whoever_is_impatient_or_in_a_hurry_waits_for_no_turn() {
    let mut world = chain(3);
    world.play(Move::Terminate(Via::Guard));
    world.play(Move::Terminate(Via::Guard));
    assert_eq!(world.killed, [0, 1, 2].map(Slot));
    let mut world = chain(3);
    world.play(Move::GuardGone);
    assert_eq!(asked(&world), [0, 1, 2]);
}

#[test]
fn a_failure_stops_in_order_too_and_a_wait_is_none_to_wait_for() {
    let mut world = with(&[OnExit::Restart, OnExit::Stop, OnExit::Stop]);
    for slot in [0, 2] {
        world.need(slot, 1);
    }
    // It waits for its next start.
    ends(&mut world, 0);
    world.play(Move::Dies(2, 3));
    assert_eq!(asked(&world), [0_usize; 0]);
    world.play(Move::Empties(2));
    world.play(Move::Closes(2));
    assert_eq!(asked(&world), [1]);
    ends(&mut world, 1);
    assert_eq!(world.done, [Outcome::Exit(3)]);
}

/// A release, and two that wait for it.
fn released(release: OnExit) -> World {
    let policy = |on_exit| Policy { on_exit, ..Policy::default() };
    let mut world = World::new([release, OnExit::Stop, OnExit::Stop].map(policy).into());
    world.fleet.release_first(Slot(0));
    world.feed(Input::Start);
    assert_eq!(world.fleet.phase(), Phase::Releasing);
    assert_eq!(world.alive.keys().copied().collect::<Vec<_>>(), [Slot(0)]);
    world
}

#[test]
fn a_release_that_ends_with_0_starts_the_others() {
    let mut world = released(OnExit::Ignore);
    world.play(Move::Dies(0, 0));
    world.play(Move::Empties(0));
    assert!(world.alive.is_empty(), "it may still write");
    world.play(Move::Closes(0));
    assert_eq!((world.fleet.phase(), world.alive.len()), (Phase::Running, 2));
    assert!(!world.fleet.has(Slot(0)), "it is none of ours any more");
    ends(&mut world, 1);
    ends(&mut world, 2);
    assert_eq!(world.done, [Outcome::Exit(1)]);
}

#[test]
fn a_release_that_fails_is_all_that_ran() {
    let mut world = released(OnExit::Ignore);
    world.play(Move::Dies(0, 3));
    world.play(Move::Empties(0));
    world.play(Move::Closes(0));
    assert_eq!((world.done, world.alive.len()), (vec![Outcome::Exit(3)], 0));
    assert_eq!(world.fleet.machine(Slot(1)).runs(), 0);
}

#[test]
fn while_the_release_runs_signals_are_heard_and_orders_are_not() {
    let mut world = released(OnExit::Ignore);
    for order in [Order::Up, Order::Restart, Order::Stop] {
        world.play(Move::Ordered(0, order));
        world.play(Move::Ordered(1, order));
    }
    assert_eq!(world.alive.len(), 1);
    world.play(Move::Terminate(Via::Guard));
    assert_eq!(asked(&world), [0]);
    world.play(Move::Terminate(Via::Guard));
    assert_eq!(world.killed, [Slot(0)]);
    world.play(Move::Dies(0, 0));
    world.play(Move::Empties(0));
    world.play(Move::Closes(0));
    assert_eq!(world.done, [Outcome::Signal(Sig::INT)]);
    assert_eq!(world.fleet.machine(Slot(1)).runs(), 0);
}

#[test]
fn a_release_alone_ends_the_run() {
    let mut world = World::new(vec![Policy { on_exit: OnExit::Ignore, ..Policy::default() }]);
    world.fleet.release_first(Slot(0));
    world.feed(Input::Start);
    world.play(Move::Dies(0, 0));
    world.play(Move::Empties(0));
    world.play(Move::Closes(0));
    assert_eq!(world.done, [Outcome::Exit(0)]);
}

/// These, and one that comes last.
fn with_last(policies: &[OnExit]) -> (World, Slot) {
    let policy = |on_exit: &OnExit| Policy { on_exit: *on_exit, ..Policy::default() };
    let last = Slot(policies.len());
    let mut world = World::new(policies.iter().map(policy).chain([Policy::default()]).collect());
    world.fleet.run_last(last, std::time::Duration::from_mins(1));
    (world, last)
}

#[test]
fn the_last_starts_when_all_others_have_and_ends_everything() {
    for (code, outcome) in [(0, Outcome::Exit(0)), (4, Outcome::Exit(4))] {
        let (mut world, last) = with_last(&[OnExit::Restart, OnExit::Ignore]);
        world.feed(Input::Start);
        assert!(world.alive.contains_key(&last) && world.fleet.last_has_its_turn());
        assert!(!world.fleet.has(last), "commands do not know it");
        // What is done is no reason to end, and what is started again none to wait.
        ends(&mut world, 0);
        world.play(Move::Dies(1, 0));
        world.play(Move::Empties(1));
        world.play(Move::Closes(1));
        assert_eq!(world.fleet.phase(), Phase::Running);
        world.play(Move::Rings(0));
        world.play(Move::Dies(last.0, code));
        world.play(Move::Empties(last.0));
        world.play(Move::Closes(last.0));
        assert_eq!(asked(&world), [0]);
        ends(&mut world, 0);
        assert_eq!(world.done, [outcome]);
    }
}

#[test]
fn the_last_is_stopped_before_all_others() {
    let (mut world, last) = with_last(&[OnExit::Stop, OnExit::Stop]);
    world.feed(Input::Start);
    world.play(Move::Dies(0, 5));
    world.play(Move::Empties(0));
    world.play(Move::Closes(0));
    assert_eq!(asked(&world), [last.0]);
    assert!(!world.fleet.last_has_its_turn(), "Ctrl-C is ours again");
    ends(&mut world, last.0);
    assert_eq!(asked(&world), [1]);
    ends(&mut world, 1);
    assert_eq!(world.done, [Outcome::Exit(5)], "the cause says how");
}

#[test]
fn a_good_end_of_another_is_no_success_of_the_last() {
    let (mut world, last) = with_last(&[OnExit::Stop]);
    world.feed(Input::Start);
    world.play(Move::Dies(0, 0));
    world.play(Move::Empties(0));
    world.play(Move::Closes(0));
    ends(&mut world, last.0);
    assert_eq!(world.done, [Outcome::Exit(1)]);
}

#[test]
fn the_last_does_not_start_beside_what_cannot() {
    let (mut world, last) = with_last(&[OnExit::Stop, OnExit::Stop]);
    world.unstartable = Some(Slot(1));
    world.feed(Input::Start);
    ends(&mut world, 0);
    assert_eq!((world.done, world.fleet.machine(last).runs()), (vec![Outcome::Exit(1)], 0));
    // Nor before the release has ended, nor beside what waits to be started again.
    let (mut world, last) = with_last(&[OnExit::Ignore, OnExit::Restart]);
    world.fleet.release_first(Slot(0));
    world.unstartable = Some(Slot(1));
    world.feed(Input::Start);
    world.play(Move::Dies(0, 0));
    world.play(Move::Empties(0));
    world.play(Move::Closes(0));
    for _ in 1..5 {
        assert_eq!(world.fleet.machine(last).runs(), 0);
        world.play(Move::Rings(1));
    }
    assert_eq!(world.done, [Outcome::Exit(1)], "what is given up will never be ready");
}

#[test]
fn a_death_by_the_signal_that_ends_ganger_is_no_cause() {
    // All that die meanwhile have died of it, and the others are asked once it is here.
    let mut world = world(3);
    world.play(Move::DiesOfIt(1));
    world.play(Move::Empties(1));
    world.play(Move::Closes(1));
    world.play(Move::Dies(2, 3));
    assert_eq!((world.fleet.phase(), asked(&world)), (Phase::Running, vec![]));
    world.play(Move::Terminate(Via::Guard));
    assert_eq!(asked(&world), [0]);
    world.play(Move::Empties(2));
    world.play(Move::Closes(2));
    ends(&mut world, 0);
    assert_eq!(world.done, [Outcome::Signal(Sig::INT)]);
    assert_eq!(world.killed, [], "it is one wish");
}

#[test]
fn a_death_by_a_signal_that_does_not_come_is_the_cause() {
    let mut world = world(2);
    world.play(Move::DiesOfIt(1));
    world.play(Move::Empties(1));
    world.play(Move::Closes(1));
    assert_eq!(world.fleet.phase(), Phase::Running);
    world.play(Move::NoSignal);
    assert_eq!(asked(&world), [0]);
    ends(&mut world, 0);
    assert_eq!(world.done, [Outcome::Exit(130)]);
    // Nothing ends or starts before that is known.
    let mut world = with(&[OnExit::Ignore]);
    world.play(Move::DiesOfIt(0));
    world.play(Move::Empties(0));
    world.play(Move::Closes(0));
    assert!(world.done.is_empty());
    world.play(Move::NoSignal);
    assert_eq!(world.done, [Outcome::Exit(130)]);
    let mut world = released(OnExit::Ignore);
    world.play(Move::DiesOfIt(0));
    world.play(Move::Empties(0));
    world.play(Move::Closes(0));
    assert!(world.alive.is_empty());
    world.play(Move::NoSignal);
    assert_eq!((world.done, world.alive.len()), (vec![Outcome::Exit(130)], 0));
}

#[test]
fn a_death_by_another_signal_is_the_cause() {
    let mut world = world(2);
    let died =
        machine::Input::Exited(Run { slot: Slot(1), number: 1 }, Ended::Exited(Sig::TERM.exit_status()));
    world.feed(Input::One(Slot(1), died));
    world.feed(Input::Stop(Sig::INT));
    assert!(matches!(world.fleet.cause(), Some(Cause::Process { run, .. }) if run.slot == Slot(1)));
}
