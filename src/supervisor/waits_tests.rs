//! Who waits for whom, case by case, on the pure fleet. What holds in every order is in `fleet_props`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::event::{Epoch, OnExit, Policy, Run, Slot};
use super::fleet::{Cause, Condition, Input, Order, Outcome, Phase, ReadyWhen};
use super::fleet_props::{Move, World, refused};
use super::machine;
use super::state::State;

const MINUTE: Duration = Duration::from_mins(1);

fn slots(numbers: &[usize]) -> BTreeSet<Slot> {
    numbers.iter().copied().map(Slot).collect()
}

fn world(policies: &[OnExit]) -> World {
    let policy = |on_exit: &OnExit| Policy { on_exit: *on_exit, ..Policy::default() };
    World::new(policies.iter().map(policy).collect())
}

/// Two processes: 0 waits for 1, which is ready when somebody says so.
fn pair(first: OnExit, second: OnExit) -> World {
    let mut world = world(&[first, second]);
    world.fleet.waits_for(Slot(0), vec![Condition::Ready(slots(&[1]))], MINUTE);
    world.fleet.ready_when(Slot(1), ReadyWhen::Told);
    world.feed(Input::Start);
    world
}

fn is_waiting(world: &World, slot: usize) -> bool {
    matches!(world.fleet.machine(Slot(slot)).state(), State::Waiting(_))
}

fn is_alive(world: &World, slot: usize) -> bool {
    world.alive.contains_key(&Slot(slot))
}

fn ready(world: &mut World, slot: usize, number: u32) {
    world.feed(Input::Ready(Run { slot: Slot(slot), number }));
}

fn dies(world: &mut World, slot: usize, code: u8) {
    world.play(Move::Dies(slot, code));
    world.play(Move::Empties(slot));
    world.play(Move::Closes(slot));
}

fn epoch(world: &World, slot: usize) -> Epoch {
    let mut waits = world.fleet.waiting();
    waits.find(|(waiting, _)| *waiting == Slot(slot)).expect("it waits").1
}

#[test]
fn a_process_starts_when_the_one_it_waits_for_is_ready() {
    let mut world = pair(OnExit::Stop, OnExit::Stop);
    assert!(is_waiting(&world, 0) && is_alive(&world, 1));
    assert_eq!(world.fleet.awaited(), slots(&[1]));
    assert_eq!(world.fleet.to_be_told(&slots(&[1])), [Run { slot: Slot(1), number: 1 }].into());
    ready(&mut world, 1, 7);
    assert!(is_waiting(&world, 0), "that is no run of it");
    ready(&mut world, 1, 1);
    assert!(is_alive(&world, 0));
    assert_eq!(world.fleet.awaited(), slots(&[]), "nobody looks any more");
}

#[test]
fn what_is_told_of_one_run_says_nothing_of_the_next() {
    let mut world = pair(OnExit::Restart, OnExit::Restart);
    ready(&mut world, 1, 1);
    dies(&mut world, 1, 1);
    dies(&mut world, 0, 1);
    world.play(Move::Rings(0));
    assert!(is_waiting(&world, 0), "it waits again before its next run");
    world.play(Move::Rings(1));
    assert!(is_alive(&world, 1) && is_waiting(&world, 0));
    ready(&mut world, 1, 1);
    assert!(is_waiting(&world, 0));
    ready(&mut world, 1, 2);
    assert!(is_alive(&world, 0));
    ready(&mut world, 1, 1);
    assert!(world.fleet.is_ready(Slot(1)), "nor does what is told too late take anything back");
}

#[test]
fn what_has_done_its_work_is_ready_and_what_was_stopped_is_not() {
    let mut world = pair(OnExit::Ignore, OnExit::Ignore);
    dies(&mut world, 1, 0);
    assert!(is_alive(&world, 0));
    let mut world = pair(OnExit::Ignore, OnExit::Ignore);
    world.play(Move::Ordered(1, Order::Stop));
    dies(&mut world, 1, 0);
    assert!(is_waiting(&world, 0));
    world.play(Move::Ordered(1, Order::Up));
    ready(&mut world, 1, 2);
    assert!(is_alive(&world, 0));
}

#[test]
fn what_is_left_out_is_not_waited_for() {
    let mut world = pair(OnExit::Stop, OnExit::Stop);
    world.play(Move::Ordered(1, Order::Retire));
    assert!(is_alive(&world, 0));
}

#[test]
fn what_ends_while_somebody_waits_for_it_means_what_its_policy_says() {
    let mut world = pair(OnExit::Stop, OnExit::Stop);
    dies(&mut world, 1, 3);
    assert_eq!((world.fleet.machine(Slot(0)).runs(), world.done), (0, vec![Outcome::Exit(3)]));
}

#[test]
fn who_has_never_run_does_not_wait_for_what_was_given_up() {
    let mut world = pair(OnExit::Stop, OnExit::Restart);
    for _ in 0..4 {
        dies(&mut world, 1, 127);
        world.play(Move::Rings(1));
        assert!(is_waiting(&world, 0));
    }
    dies(&mut world, 1, 127);
    assert_eq!((world.fleet.machine(Slot(0)).runs(), world.done), (0, vec![Outcome::Exit(127)]));
    // Who has run waits for somebody to bring it up again.
    let mut world = pair(OnExit::Restart, OnExit::Restart);
    ready(&mut world, 1, 1);
    dies(&mut world, 0, 1);
    for _ in 0..5 {
        dies(&mut world, 1, 127);
        world.play(Move::Rings(1));
    }
    world.play(Move::Rings(0));
    assert!(is_waiting(&world, 0));
    assert_eq!(world.fleet.phase(), Phase::Running);
}

#[test]
fn the_first_wait_in_vain_ends_everything_and_a_later_one_is_a_failure_like_others() {
    for policy in [OnExit::Stop, OnExit::Ignore, OnExit::Restart] {
        let mut world = pair(policy, OnExit::Stop);
        world.play(Move::Rings(0));
        assert!(matches!(world.fleet.cause(), Some(Cause::Process { run, .. }) if run.slot == Slot(0)));
        dies(&mut world, 1, 0);
        assert_eq!(world.done, [Outcome::Exit(1)], "{policy:?}");
    }
    let mut world = pair(OnExit::Restart, OnExit::Restart);
    ready(&mut world, 1, 1);
    dies(&mut world, 1, 1);
    dies(&mut world, 0, 1);
    for _ in 0..10 {
        world.play(Move::Rings(0));
        assert!(is_waiting(&world, 0));
        world.play(Move::Rings(0));
        assert!(matches!(world.fleet.machine(Slot(0)).state(), State::Backoff { .. }), "never given up");
    }
    assert_eq!(world.fleet.phase(), Phase::Running);
}

#[test]
fn what_a_command_wants_and_waits_in_vain_ends_nothing() {
    let mut world = pair(OnExit::Stop, OnExit::Stop);
    ready(&mut world, 1, 1);
    world.play(Move::Ordered(1, Order::Stop));
    dies(&mut world, 1, 0);
    world.play(Move::Ordered(0, Order::Restart));
    dies(&mut world, 0, 0);
    assert!(is_waiting(&world, 0));
    world.play(Move::Rings(0));
    assert_eq!(world.fleet.phase(), Phase::Running);
    assert!(world.fleet.is_stopped(Slot(0)));
}

#[test]
fn a_stop_ends_a_wait_at_once_and_nothing_is_spawned() {
    let stops = [Order::Stop, Order::Retire].map(|order| Input::Orders(vec![(Slot(0), order)]));
    for stop in stops {
        let mut world = pair(OnExit::Stop, OnExit::Stop);
        world.feed(stop);
        assert_eq!(*world.fleet.machine(Slot(0)).state(), State::Down);
        ready(&mut world, 1, 1);
        assert_eq!(world.fleet.machine(Slot(0)).runs(), 0);
    }
    let mut world = pair(OnExit::Stop, OnExit::Stop);
    world.play(Move::Terminate(super::fleet::Via::Guard));
    assert_eq!(*world.fleet.machine(Slot(0)).state(), State::Down);
    ready(&mut world, 1, 1);
    dies(&mut world, 1, 0);
    assert_eq!((world.fleet.machine(Slot(0)).runs(), world.done.len()), (0, 1));
}

#[test]
fn who_waits_for_another_is_stopped_before_it() {
    let mut world = pair(OnExit::Stop, OnExit::Stop);
    ready(&mut world, 1, 1);
    world.play(Move::Terminate(super::fleet::Via::Guard));
    assert!(matches!(world.fleet.machine(Slot(1)).state(), State::Up { .. }));
    dies(&mut world, 0, 0);
    assert!(matches!(world.fleet.machine(Slot(1)).state(), State::Stopping(_)));
}

#[test]
fn what_is_found_in_one_wait_counts_in_no_other() {
    let mut world = world(&[OnExit::Restart, OnExit::Stop]);
    world.fleet.waits_for(Slot(0), vec![Condition::Outside, Condition::Written(slots(&[1]))], MINUTE);
    world.feed(Input::Start);
    let first = epoch(&world, 0);
    world.feed(Input::Met(Slot(0), first, 1));
    assert_eq!(world.fleet.missing(Slot(0)), [0]);
    world.feed(Input::Met(Slot(0), first, 0));
    assert!(is_alive(&world, 0));
    dies(&mut world, 0, 1);
    world.play(Move::Rings(0));
    world.feed(Input::Met(Slot(0), first, 0));
    assert_eq!(world.fleet.missing(Slot(0)), [0, 1]);
    // A line of what is not part of the formation is not waited for.
    world.play(Move::Ordered(1, Order::Retire));
    assert_eq!(world.fleet.missing(Slot(0)), [0]);
    // A new wish is a new wait.
    let second = epoch(&world, 0);
    world.play(Move::Ordered(0, Order::Restart));
    world.feed(Input::Met(Slot(0), second, 0));
    assert_eq!(world.fleet.missing(Slot(0)), [0]);
    let error = machine::Input::GiveUp(second, refused());
    world.feed(Input::One(Slot(0), error));
    assert!(is_waiting(&world, 0), "nor does an old end");
}

#[test]
fn one_can_be_ready_when_others_are() {
    let mut world = world(&[OnExit::Stop, OnExit::Stop, OnExit::Stop]);
    world.fleet.waits_for(Slot(0), vec![Condition::Ready(slots(&[1]))], MINUTE);
    world.fleet.ready_when(Slot(1), ReadyWhen::Like(slots(&[2])));
    world.fleet.ready_when(Slot(2), ReadyWhen::Told);
    world.feed(Input::Start);
    assert_eq!(world.fleet.to_be_told(&world.fleet.awaited()), [Run { slot: Slot(2), number: 1 }].into());
    ready(&mut world, 2, 1);
    assert!(is_alive(&world, 0));
    // A circle is none that anybody comes out of, and does no harm.
    world.fleet.ready_when(Slot(2), ReadyWhen::Like(slots(&[1])));
    assert!(!world.fleet.is_ready(Slot(1)));
    assert!(world.fleet.to_be_told(&slots(&[1])).is_empty());
}

#[test]
fn the_release_waits_too_and_the_others_for_it() {
    let mut world = world(&[OnExit::Ignore, OnExit::Stop]);
    world.fleet.release_first(Slot(0));
    world.fleet.waits_for(Slot(0), vec![Condition::Outside], MINUTE);
    world.fleet.waits_for(Slot(1), vec![Condition::Ready(slots(&[0]))], MINUTE);
    world.feed(Input::Start);
    assert_eq!(world.fleet.phase(), Phase::Releasing);
    let first = epoch(&world, 0);
    world.feed(Input::Met(Slot(0), first, 0));
    dies(&mut world, 0, 0);
    assert!(is_alive(&world, 1));
}

#[test]
fn what_comes_last_waits_until_all_are_ready_and_not_for_ever() {
    let mut world = world(&[OnExit::Stop, OnExit::Stop, OnExit::Stop]);
    world.fleet.run_last(Slot(2), MINUTE);
    world.fleet.ready_when(Slot(0), ReadyWhen::Told);
    world.feed(Input::Start);
    assert_eq!(world.fleet.awaited(), slots(&[0, 1]));
    assert!(is_waiting(&world, 2) && !world.fleet.last_has_its_turn());
    world.play(Move::Rings(2));
    dies(&mut world, 0, 0);
    dies(&mut world, 1, 0);
    assert_eq!((world.fleet.machine(Slot(2)).runs(), world.done), (1, vec![Outcome::Exit(1)]));
}
