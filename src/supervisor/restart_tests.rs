//! Restarts and the waits between them, on a paused clock with the processes of `driver_tests`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, sleep_until};

use super::command::{Answer, Command, Did as Done, Stage as Where, What};
use super::driver::Message;
use super::driver_tests::{Did, Record, Temper, die, on_paused_clock, signal, stage, stage_of};
use super::event::{Consequence, Ended, Event, OnExit, Policy, Run};
use super::fleet::{Order, Outcome, Via};
use crate::model::Sig;

fn restart() -> Policy {
    Policy { on_exit: OnExit::Restart, ..Policy::default() }
}

/// Waits until the process in this slot runs as this run.
async fn running(record: &RefCell<Record>, run: Run) {
    while !record.borrow().running.contains(&run) {
        sleep(Duration::from_millis(10)).await;
    }
}

fn run(slot: usize, number: u32) -> Run {
    Run { slot: super::event::Slot(slot), number }
}

/// The seconds of the starts of `slot`.
fn starts(record: &Record, slot: usize) -> Vec<u64> {
    let of_slot = record.did.iter().filter(|(_, did)| matches!(did, Did::Spawned(run) if run.slot.0 == slot));
    of_slot.map(|(at, _)| at.as_secs()).collect()
}

/// Lets the process in slot 0 live for so many seconds each time.
async fn lives(
    record: &Rc<RefCell<Record>>,
    outbox: &UnboundedSender<Message>,
    first: u32,
    secs: &[u64],
    code: u8,
) {
    for (number, secs) in (first..).zip(secs) {
        running(record, run(0, number)).await;
        sleep(Duration::from_secs(*secs)).await;
        die(record, outbox, run(0, number), Ended::Exited(code));
    }
}

fn terminate(outbox: &UnboundedSender<Message>) {
    outbox.send(signal(Sig::TERM, Via::Guard)).expect("heard");
}

#[test]
fn it_waits_longer_each_time_and_a_healthy_minute_ends_that() {
    on_paused_clock(async {
        let stage = stage(&[Temper::Tame], &restart());
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        tokio::task::spawn_local(async move {
            lives(&record, &outbox, 1, &[2, 2, 2, 60, 2], 1).await;
            running(&record, run(0, 6)).await;
            terminate(&outbox);
        });
        let (outcome, ..) = stage.driver.run().await;
        assert_eq!(outcome, Outcome::Signal(Sig::TERM));
        // Waits of 1, 2, 4 and, after the minute, 1 and 2 s.
        assert_eq!(starts(&stage.record.borrow(), 0), [0, 3, 7, 13, 74, 78]);
    });
}

#[test]
fn ctrl_c_during_the_wait_ends_at_once() {
    on_paused_clock(async {
        let stage = stage(&[Temper::Tame], &restart());
        let (outbox, record, began) = (stage.outbox.clone(), stage.record.clone(), Instant::now());
        tokio::task::spawn_local(async move {
            lives(&record, &outbox, 1, &[2, 2, 2], 1).await;
            sleep(Duration::from_secs(1)).await;
            terminate(&outbox);
        });
        stage.driver.run().await;
        assert_eq!(starts(&stage.record.borrow(), 0), [0, 3, 7]);
        assert_eq!(began.elapsed().as_secs(), 10, "9 s and 1 s, of a wait of 4");
    });
}

#[test]
fn what_fails_at_once_five_times_is_left_and_the_rest_runs_on() {
    on_paused_clock(async {
        let ignore = Policy { on_exit: OnExit::Ignore, ..Policy::default() };
        let stage = stage_of(&[Temper::Tame, Temper::Tame], vec![restart(), ignore]);
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        tokio::task::spawn_local(async move {
            lives(&record, &outbox, 1, &[0; 5], 127).await;
            sleep_until(Instant::now() + Duration::from_hours(1)).await;
            assert_eq!(record.borrow().running, [run(1, 1)]);
            die(&record, &outbox, run(1, 1), Ended::Exited(0));
        });
        let (outcome, ..) = stage.driver.run().await;
        assert_eq!(outcome, Outcome::Exit(127), "nothing is left but what has crashed");
        let record = stage.record.borrow();
        assert_eq!(starts(&record, 0), [0, 1, 3, 7, 15]);
        let ends = record.told.iter().filter_map(|event| match event {
            Event::Ended { then, .. } => Some(*then),
            _ => None,
        });
        let again = |secs| Consequence::StartsAgain(Duration::from_secs(secs));
        let expected = [again(1), again(2), again(4), again(8), Consequence::GivesUp, Consequence::Nothing];
        assert_eq!(ends.collect::<Vec<_>>(), expected);
        assert!(matches!(record.told.last(), Some(Event::Report { end: Ended::Exited(127), .. })));
    });
}

async fn ask(outbox: &UnboundedSender<Message>, what: What) -> Answer {
    let (answer, mut answers) = unbounded_channel();
    outbox.send(Message::Command(Command { what, answer })).expect("heard");
    answers.recv().await.expect("an answer")
}

#[test]
fn a_command_during_the_wait_starts_it_at_once() {
    for order in [Order::Restart, Order::Up] {
        on_paused_clock(async {
            let stage = stage(&[Temper::Tame], &restart());
            let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
            tokio::task::spawn_local(async move {
                lives(&record, &outbox, 1, &[2, 2, 2], 1).await;
                sleep(Duration::from_secs(1)).await;
                let Answer::Status(all, _) = ask(&outbox, What::Status).await else { panic!("no status") };
                let (it, left) = (&all[0], all[0].again.expect("it waits"));
                assert_eq!((it.state, it.crashes, (left.as_millis() + 500) / 1000), (Where::Starting, 3, 3));
                let what = What::Order { names: Vec::new(), order, wait: true };
                let Answer::Done(done, _) = ask(&outbox, what).await else { panic!("not done") };
                assert!(matches!(done[0].what, Done::Started(_) | Done::Restarted(_)), "{done:?}");
                // What was before does not count any more.
                lives(&record, &outbox, 4, &[2], 1).await;
                running(&record, run(0, 5)).await;
                terminate(&outbox);
            });
            stage.driver.run().await;
            assert_eq!(starts(&stage.record.borrow(), 0), [0, 3, 7, 10, 13]);
        });
    }
}

#[test]
fn the_wait_stands_still_while_ganger_does() {
    on_paused_clock(async {
        let stage = stage(&[Temper::Tame], &restart());
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        tokio::task::spawn_local(async move {
            lives(&record, &outbox, 1, &[2, 2], 1).await;
            sleep(Duration::from_secs(1)).await;
            outbox.send(signal(Sig::TSTP, Via::Guard)).expect("heard");
            sleep(Duration::from_secs(100)).await;
            outbox.send(signal(Sig::CONT, Via::Guard)).expect("heard");
            running(&record, run(0, 3)).await;
            terminate(&outbox);
        });
        stage.driver.run().await;
        assert_eq!(starts(&stage.record.borrow(), 0), [0, 3, 107]);
    });
}

#[test]
fn one_scan_serves_all_that_end_together() {
    on_paused_clock(async {
        let stage = stage(&[Temper::Tame; 50], &restart());
        let (record, outbox) = (stage.record.clone(), stage.outbox);
        let end = tokio::task::spawn_local(stage.driver.run());
        for slot in 0..50 {
            running(&record, run(slot, 1)).await;
        }
        for slot in 0..50 {
            die(&record, &outbox, run(slot, 1), Ended::Exited(1));
        }
        for slot in 0..50 {
            running(&record, run(slot, 2)).await;
        }
        assert_eq!(record.borrow().looks, 1);
        terminate(&outbox);
        end.await.expect("no panic");
    });
}

#[test]
fn a_signal_does_not_wait_for_restarts() {
    on_paused_clock(async {
        let stage = stage(&[Temper::Tame; 50], &Policy::default());
        let (record, outbox) = (stage.record.clone(), stage.outbox);
        let (answer, _done) = unbounded_channel();
        let what = What::Order { names: Vec::new(), order: Order::Restart, wait: false };
        outbox.send(Message::Command(Command { what, answer })).expect("heard");
        // As if it came when the first of them starts again.
        let watcher = {
            let (record, outbox) = (record.clone(), outbox.clone());
            async move {
                while !record.borrow().running.iter().any(|run| run.number == 2) {
                    tokio::task::yield_now().await;
                }
                terminate(&outbox);
            }
        };
        let watcher = tokio::task::spawn_local(watcher);
        let (outcome, ..) = stage.driver.run().await;
        watcher.await.expect("no panic");
        assert_eq!(outcome, Outcome::Signal(Sig::TERM));
        let again = record
            .borrow()
            .did
            .iter()
            .filter(|(_, did)| matches!(did, Did::Spawned(run) if run.number == 2))
            .count();
        assert!((1..10).contains(&again), "{again} of 50 were started before the signal was acted on");
    });
}
