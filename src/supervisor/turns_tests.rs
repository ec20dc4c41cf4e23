//! Whose turn it is when a command takes several processes down, in the world of `fleet_props`.

use std::time::Duration;

use super::event::Slot;
use super::fleet::{Condition, Order, Outcome, Phase, Via};
use super::fleet_props::{Move, World};
use super::fleet_tests::{asked, chain, ends, world};
use crate::model::Sig;

/// What the fleet is told of the same command, in its order.
fn order_all(world: &mut World, slots: &[usize], order: Order) {
    let orders = slots.iter().map(|slot| (Slot(*slot), order)).collect();
    for (slot, order) in world.fleet.in_turn(orders) {
        world.play(Move::Ordered(slot.0, order));
    }
}

#[test]
fn a_command_takes_down_in_that_order_too() {
    for order in [Order::Stop, Order::Retire, Order::Restart] {
        let mut world = chain(3);
        // However the user has named them.
        order_all(&mut world, &[2, 1, 0], order);
        for slot in 0..3 {
            assert_eq!(asked(&world), [slot], "{order:?}");
            world.play(Move::Dies(slot, 0));
            assert_eq!(asked(&world), [0_usize; 0], "{order:?}: what drains may still need the others");
            world.play(Move::Empties(slot));
            world.play(Move::Closes(slot));
        }
        assert_eq!(world.fleet.phase(), Phase::Running);
        assert_eq!(world.alive.len(), if order == Order::Restart { 3 } else { 0 }, "{order:?}");
    }
}

#[test]
fn a_command_waits_for_nobody_who_stays() {
    let mut world = chain(3);
    order_all(&mut world, &[1, 2], Order::Restart);
    assert_eq!(asked(&world), [1], "0 needs it and was not meant");
    ends(&mut world, 1);
    assert_eq!(asked(&world), [2]);
}

#[test]
fn what_waits_for_its_turn_hears_another_order() {
    // What comes meanwhile for the second, and whether it runs when the first has ended.
    for (order, runs) in [(Order::Up, true), (Order::Restart, false), (Order::Retire, false)] {
        let mut world = chain(2);
        order_all(&mut world, &[0, 1], Order::Stop);
        world.play(Move::Ordered(1, order));
        assert_eq!(asked(&world), [0], "{order:?}");
        ends(&mut world, 0);
        assert_eq!(asked(&world).is_empty(), runs, "{order:?}");
    }
}

#[test]
fn what_waits_for_its_turn_and_ends_by_itself_ends_nothing() {
    for (order, alive) in [(Order::Stop, 0), (Order::Restart, 1)] {
        let mut world = chain(2);
        order_all(&mut world, &[0, 1], order);
        ends(&mut world, 1);
        assert_eq!((world.fleet.phase(), asked(&world)), (Phase::Running, vec![0]));
        assert_eq!(usize::from(world.alive.contains_key(&Slot(1))), alive, "{order:?}");
    }
}

#[test]
fn the_end_of_everything_takes_over_who_waits_for_its_turn() {
    let mut world = chain(3);
    order_all(&mut world, &[0, 1, 2], Order::Restart);
    world.play(Move::Terminate(Via::Guard));
    for slot in 0..3 {
        assert_eq!(asked(&world), [slot]);
        ends(&mut world, slot);
    }
    assert_eq!(world.done, [Outcome::Signal(Sig::INT)]);
}

#[test]
fn who_comes_back_first_waits_for_what_has_not_even_gone() {
    // Two wait for one; it is asked when both are down.
    let mut world = world(3);
    let ready = |slot: usize| Condition::Ready([Slot(slot)].into());
    for slot in 0..2 {
        world.fleet.waits_for(Slot(slot), vec![ready(2)], Duration::from_mins(1));
    }
    order_all(&mut world, &[0, 1, 2], Order::Restart);
    assert_eq!(asked(&world), [0, 1]);
    ends(&mut world, 0);
    assert!(!world.alive.contains_key(&Slot(0)), "2 is up and about to go");
    assert_eq!(world.fleet.last_run(Slot(2)), None, "what it wrote is of no use any more");
    ends(&mut world, 1);
    assert_eq!((asked(&world), world.fleet.last_run(Slot(2))), (vec![2], None));
    ends(&mut world, 2);
    assert_eq!(world.alive.len(), 3);
}

#[test]
fn what_comes_back_into_the_formation_is_waited_for() {
    let mut world = world(2);
    world.fleet.waits_for(Slot(0), vec![Condition::Ready([Slot(1)].into())], Duration::from_mins(1));
    order_all(&mut world, &[0, 1], Order::Retire);
    ends(&mut world, 0);
    ends(&mut world, 1);
    world.unstartable = Some(Slot(1));
    order_all(&mut world, &[0, 1], Order::Up);
    assert!(world.alive.is_empty(), "what it needs is ordered, and could not be started");
}
