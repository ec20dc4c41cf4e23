//! What the driver looks for and when it stops, on a paused clock with the processes of `driver_tests`:
//! what is found is said by the test.

use std::cell::RefCell;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

use super::command::{Answer, Command, What};
use super::driver::{Member, Message};
use super::driver_tests::{Did, Record, Stage, Temper, die, on_paused_clock, signal, stage_with};
use super::event::{Ended, Event, OnExit, Policy, Run, Slot};
use super::fleet::{Outcome, Via};
use super::watch::{Finding, Goal, Sought, WatchId};
use crate::config::probe::{Probe, ReadyProbe};
use crate::model::{InstanceId, Sig};
use crate::plan::Planner;

/// `web`, which waits for these, and `db`, which is ready when `ready` is.
fn app(waits: &[&str], ready: Option<&str>, policies: [OnExit; 2]) -> Stage {
    app_with(waits, ready, policies, |_| {})
}

fn app_with(
    waits: &[&str],
    ready: Option<&str>,
    policies: [OnExit; 2],
    change: impl FnOnce(&mut [Member]),
) -> Stage {
    let policy = |on_exit| Policy { on_exit, ..Policy::default() };
    let planner = Planner { procfile: two_types(), ..Planner::default() };
    stage_with(&[Temper::Tame; 2], policies.map(policy).into(), planner, |members| {
        members[1].id = InstanceId::new("db".parse().expect("a name"), 1);
        members[0].waits = waits.iter().map(|text| text.parse().expect("a probe")).collect();
        members[1].ready = ready.map(|text| text.parse().expect("a probe"));
        (members[0].port, members[1].port) = ("5000".parse().ok(), "5100".parse().ok());
        change(members);
    })
}

const STOP: [OnExit; 2] = [OnExit::Stop, OnExit::Stop];

/// What is looked for, in words, and under which number.
fn sought(record: &RefCell<Record>) -> Vec<(WatchId, String)> {
    let words = |what: &Sought| match what {
        Sought::Port(port, leader) => format!("port {port} of {}", leader.0),
        Sought::Probe(probe) => probe.to_string(),
        Sought::Line(probe, runs) => {
            format!("{probe} in {:?}", runs.iter().map(|(run, _)| run).collect::<Vec<_>>())
        }
    };
    record.borrow().watches.iter().map(|(id, watch)| (*id, words(&watch.what))).collect()
}

fn words(record: &RefCell<Record>) -> Vec<String> {
    sought(record).into_iter().map(|(_, words)| words).collect()
}

/// Says that the first of what is looked for is there.
fn found(record: &RefCell<Record>, outbox: &UnboundedSender<Message>) {
    let first = sought(record)[0].0;
    outbox.send(Message::Found(first, Finding::There)).expect("heard");
}

/// Lives as the driver does, while `script` is played; its failure is the test's.
async fn play(stage: Stage, script: impl Future<Output = ()> + 'static) -> Outcome {
    let script = tokio::task::spawn_local(script);
    let failure = async {
        script.await.expect("the script is played to its end");
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = failure => unreachable!("it goes on for ever"),
        (outcome, ..) = stage.driver.run() => outcome,
    }
}

/// Lets the driver do what it has to.
async fn settle() {
    sleep(Duration::from_millis(10)).await;
}

fn starts(record: &RefCell<Record>, slot: usize) -> Vec<u64> {
    let record = record.borrow();
    let of_slot = record.did.iter().filter(|(_, did)| matches!(did, Did::Spawned(run) if run.slot.0 == slot));
    of_slot.map(|(at, _)| at.as_secs()).collect()
}

fn run(slot: usize, number: u32) -> Run {
    Run { slot: Slot(slot), number }
}

fn end(outbox: &UnboundedSender<Message>) {
    outbox.send(signal(Sig::TERM, Via::Guard)).expect("heard");
}

fn told(record: &RefCell<Record>) -> Vec<String> {
    let record = record.borrow();
    record.told.iter().map(crate::output::words::describe).collect()
}

#[test]
fn a_wait_ends_after_a_minute_and_the_end_names_what_was_missing() {
    on_paused_clock(async {
        let stage = app(&["db", "tcp:9", "cmd:x"], Some("port"), STOP);
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        let watching = record.clone();
        let script = async move {
            settle().await;
            let all = sought(&watching);
            let not_yet = |why: &str| Finding::NotYet(why.into());
            outbox.send(Message::Found(all[0].0, not_yet("connection refused"))).expect("heard");
            outbox.send(Message::Found(all[1].0, Finding::There)).expect("heard");
        };
        let outcome = play(stage, script).await;
        assert_eq!((outcome, starts(&record, 0)), (Outcome::Exit(1), vec![]));
        assert_eq!(
            told(&record).last().map(String::as_str),
            Some(
                "web.1 could not be started: it has waited 60 s for db (db.1 does not listen on its PORT 5100) \
             and for tcp:9 (connection refused) and ended the run"
            )
        );
        assert!(record.borrow().watches.is_empty(), "nobody looks any more");
        let hints = record.borrow().told.iter().any(|event| matches!(event,
            Event::Ended { end: Ended::NotStarted(error), .. } if error.hint.as_ref().is_some_and(|it| it.contains("`ready` in ganger.toml"))));
        assert!(hints);
    });
}

#[test]
fn a_first_wait_in_vain_is_not_tried_again_whatever_the_policy() {
    on_paused_clock(async {
        for policy in [OnExit::Stop, OnExit::Ignore, OnExit::Restart] {
            let stage = app(&["tcp:9"], None, [policy, OnExit::Restart]);
            let record = stage.record.clone();
            let outcome = play(stage, async {}).await;
            assert_eq!(outcome, Outcome::Exit(1));
            let first = "web.1 could not be started: it has waited 60 s for tcp:9; everything stops with it";
            assert_eq!(told(&record)[1], first, "{policy:?}");
        }
    });
}

#[test]
fn what_is_found_is_looked_for_no_more() {
    on_paused_clock(async {
        let stage = app(&["db", "tcp:9"], Some("port"), STOP);
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        let script = async move {
            settle().await;
            assert_eq!(words(&record), ["tcp:9", "port 5100 of 101"]);
            found(&record, &outbox);
            settle().await;
            assert_eq!(words(&record), ["port 5100 of 101"]);
            found(&record, &outbox);
            settle().await;
            // web's own port is nobody's to ask for.
            assert!(words(&record).is_empty());
            assert_eq!(told(&record), ["web.1 waits for db, tcp:9", "db.1 is ready after 0.0 s"]);
            assert_eq!(starts(&record, 0), [0]);
            // A new run of it waits again.
            sleep(Duration::from_secs(5)).await;
            end(&outbox);
        };
        let outcome = play(stage, script).await;
        assert_eq!(outcome, Outcome::Signal(Sig::TERM));
    });
}

#[test]
fn a_process_that_is_started_again_waits_again_and_is_ready_anew() {
    on_paused_clock(async {
        let stage = app(&["db"], Some("tcp:9"), [OnExit::Restart, OnExit::Restart]);
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        let script = async move {
            settle().await;
            found(&record, &outbox);
            settle().await;
            die(&record, &outbox, run(1, 1), Ended::Exited(1));
            settle().await;
            assert!(words(&record).is_empty(), "nobody waits for it");
            die(&record, &outbox, run(0, 1), Ended::Exited(1));
            sleep(Duration::from_secs(3)).await;
            assert_eq!((words(&record), starts(&record, 0).len()), (vec!["tcp:9".to_owned()], 1));
            found(&record, &outbox);
            settle().await;
            assert_eq!(starts(&record, 0), [0, 3]);
            end(&outbox);
        };
        play(stage, script).await;
    });
}

#[test]
fn a_line_is_looked_for_in_the_run_that_writes_it_and_found_once() {
    on_paused_clock(async {
        let stage = app(&["log:db:up"], None, [OnExit::Restart, OnExit::Restart]);
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        let script = async move {
            settle().await;
            assert_eq!(words(&record), ["log:db:up in [1#1]"]);
            die(&record, &outbox, run(1, 1), Ended::Exited(1));
            settle().await;
            assert_eq!(words(&record), ["log:db:up in [1#1]"], "its last lines count");
            sleep(Duration::from_secs(2)).await;
            assert_eq!(words(&record), ["log:db:up in [1#2]"]);
            found(&record, &outbox);
            settle().await;
            assert_eq!(starts(&record, 0), [2]);
            // What this run has written it has written, though it may not be kept.
            die(&record, &outbox, run(0, 1), Ended::Exited(1));
            sleep(Duration::from_secs(2)).await;
            assert_eq!((words(&record), starts(&record, 0).len()), (vec![], 2));
            end(&outbox);
        };
        play(stage, script).await;
    });
}

#[test]
fn a_line_of_one_that_has_ended_is_looked_for_once_more() {
    on_paused_clock(async {
        let stage = app(&["log:db:up"], None, [OnExit::Stop, OnExit::Ignore]);
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        let watching = record.clone();
        let script = async move {
            settle().await;
            die(&watching, &outbox, run(1, 1), Ended::Exited(0));
            settle().await;
            let (id, limit) =
                watching.borrow().watches.iter().map(|(id, it)| (*id, it.limit)).next().expect("one");
            assert_eq!(limit, Some(Duration::ZERO));
            outbox.send(Message::Found(id, Finding::GaveUp)).expect("heard");
        };
        let outcome = play(stage, script).await;
        assert_eq!(outcome, Outcome::Exit(1));
        assert_eq!(
            told(&record).last().map(String::as_str),
            Some(
                "web.1 could not be started: it waits for log:db:up, and db has ended without such a line and \
             ended the run"
            )
        );
    });
}

#[test]
fn a_word_of_ones_own_is_looked_at_for_a_minute_if_nobody_waits() {
    on_paused_clock(async {
        let stage = app_with(&[], Some("tcp:9"), STOP, |members| members[1].ready_is_said = true);
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        let script = async move {
            settle().await;
            let (id, watch) =
                record.borrow().watches.iter().map(|(id, it)| (*id, it.clone())).next().expect("one");
            assert_eq!((watch.limit, watch.goal), (Some(Duration::from_mins(1)), Goal::Ready(run(1, 1))));
            outbox.send(Message::Found(id, Finding::GaveUp)).expect("heard");
            settle().await;
            assert!(words(&record).is_empty());
            // Somebody wants to know after all.
            let mut answers = wait(&outbox, &["db"], false);
            settle().await;
            assert_eq!(words(&record), ["tcp:9"]);
            assert_eq!(record.borrow().watches.values().next().and_then(|it| it.limit), None);
            found(&record, &outbox);
            assert_eq!(awaited(&mut answers).await, [("db.1".to_owned(), true, false)]);
            end(&outbox);
        };
        play(stage, script).await;
    });
}

fn wait(outbox: &UnboundedSender<Message>, names: &[&str], now: bool) -> UnboundedReceiver<Answer> {
    let (answer, answers) = unbounded_channel();
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    outbox.send(Message::Command(Command { what: What::Wait { names, now }, answer })).expect("heard");
    answers
}

/// Name, whether it is ready, whether it never will be.
async fn awaited(answers: &mut UnboundedReceiver<Answer>) -> Vec<(String, bool, bool)> {
    match answers.recv().await {
        Some(Answer::Awaited(all)) => {
            all.into_iter().map(|it| (it.id.to_string(), it.is_ready, it.never)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_asks_is_answered_when_it_is_ready_or_never_will_be() {
    on_paused_clock(async {
        let stage = app(&[], Some("port"), [OnExit::Ignore, OnExit::Restart]);
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        let script = async move {
            settle().await;
            assert!(words(&record).is_empty(), "nobody wants to know");
            let mut first = wait(&outbox, &["db"], false);
            settle().await;
            assert_eq!(words(&record), ["port 5100 of 101"]);
            assert_eq!(
                awaited(&mut wait(&outbox, &["db", "web"], true)).await,
                [("web.1".to_owned(), true, false), ("db.1".to_owned(), false, false)]
            );
            // Who has gone wants nothing any more.
            drop(first);
            outbox.send(Message::ClientGone).expect("heard");
            settle().await;
            assert!(words(&record).is_empty());
            first = wait(&outbox, &["db"], false);
            for number in 1..=5 {
                while !record.borrow().running.contains(&run(1, number)) {
                    settle().await;
                }
                die(&record, &outbox, run(1, number), Ended::Exited(127));
            }
            assert_eq!(awaited(&mut first).await, [("db.1".to_owned(), false, true)]);
            end(&outbox);
        };
        play(stage, script).await;
    });
}

fn two_types() -> crate::config::procfile::Procfile {
    let source = crate::config::source::Source::new("Procfile", "web: x\ndb: x\n");
    crate::config::procfile::parse(&source).expect("a good Procfile")
}

#[test]
fn a_process_can_be_ready_when_another_type_is() {
    on_paused_clock(async {
        let db = Probe::Process("db".parse().expect("a name"));
        let ready = Some(ReadyProbe::Probe(db));
        let stage = app_with(&["tcp:1"], None, STOP, |members| members[0].ready = ready);
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        let script = async move {
            settle().await;
            assert_eq!(words(&record), ["tcp:1"]);
            end(&outbox);
            settle().await;
            assert!(words(&record).is_empty(), "the end of everything ends it");
        };
        play(stage, script).await;
    });
}
