//! Starts of several processes at once, with the processes of `driver_tests`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::command::{Answer, Command, Did as Done, What};
use super::driver::{Member, Message};
use super::driver_tests::{Did, Record, Stage, Starts, Temper, on_paused_clock, pid, signal, stage_prepared};
use super::event::{OnExit, Policy, Run, Slot};
use super::fleet::{Order, Outcome, Via};
use crate::config::procfile;
use crate::config::source::Source;
use crate::model::{InstanceId, Port, Sig};
use crate::plan::{Planner, Ports};

fn policy(on_exit: OnExit) -> Policy {
    Policy { on_exit, ..Policy::default() }
}

/// Processes `p0`, `p1` and so on; of each pair of `waits` the first waits for the second.
fn app(policies: Vec<Policy>, waits: &[(usize, usize)], starts: Starts) -> Stage {
    let tempers = vec![Temper::Tame; policies.len()];
    let prepare = |record: &mut Record| record.starts = starts;
    stage_prepared(&tempers, policies, Planner::default(), prepare, |members: &mut Vec<Member>| {
        for (slot, member) in members.iter_mut().enumerate() {
            member.id = InstanceId::new(format!("p{slot}").parse().expect("a name"), 1);
            let for_whom = waits.iter().filter(|(who, _)| *who == slot);
            member.waits = for_whom.map(|(_, whom)| format!("p{whom}").parse().expect("a probe")).collect();
        }
    })
}

fn first(slot: usize) -> Run {
    Run { slot: Slot(slot), number: 1 }
}

/// The runs that were started, in that order.
fn started(record: &Record) -> Vec<Run> {
    let started = record.did.iter().filter_map(|(_, did)| match did {
        Did::Spawned(run) => Some(*run),
        _ => None,
    });
    started.collect()
}

/// Every process that was started is known, and no other is. That some have ended is not known yet.
fn assert_all_known(stage: &Stage) {
    let known: BTreeSet<i32> = stage.driver.fleet.live_groups().map(|(_, pgid)| pgid.0).collect();
    let started: BTreeSet<i32> = started(&stage.record.borrow()).into_iter().map(pid).collect();
    assert_eq!(known, started);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_started_is_known_and_nothing_is_started_after_a_failure(
        policies in proptest::collection::vec(
            prop_oneof![3 => Just(OnExit::Stop), 1 => Just(OnExit::Ignore), 2 => Just(OnExit::Restart)],
            1..7,
        ),
        waits in proptest::collection::vec((0..7_usize, 0..7_usize), 0..5),
        failing in proptest::collection::btree_set(0..7_usize, 0..3),
        overlaps in any::<bool>(),
        at_once in 1..8_usize,
    ) {
        let count = policies.len();
        let waits: Vec<(usize, usize)> =
            waits.into_iter().filter(|(who, whom)| *who < count && who > whom).collect();
        let ends_all = |slot: usize| policies[slot] != OnExit::Restart;
        let starts = Starts {
            failing: failing.iter().map(|slot| first(*slot)).collect(),
            overlaps,
            at_once,
        };
        let stage = app(policies.iter().copied().map(policy).collect(), &waits, starts);
        let record = stage.record.clone();
        {
            let record = record.borrow();
            let failed = |(_, did): &(_, Did)| matches!(did, Did::Failed(run) if ends_all(run.slot.0));
            let tried = record.did.iter().position(failed);
            let after = tried.map_or(0, |place| {
                record.did[place..].iter().filter(|(_, did)| matches!(did, Did::Spawned(_))).count()
            });
            prop_assert!(after <= usize::from(overlaps), "{after} after a failure: {:?}", record.did);
            let all = started(&record);
            prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "started twice");
            let killed = record.did.iter().any(|(_, did)| matches!(did, Did::Signaled(_, Sig::KILL)));
            prop_assert!(!killed, "{:?}", record.did);
            if tried.is_none() {
                // A process that waits for one that has failed waits on.
                let fails = |slot: usize| failing.contains(&slot);
                let waits_for = |slot: usize| waits.iter().filter(move |it| it.0 == slot).map(|it| it.1);
                let mut up: Vec<usize> = Vec::new();
                for slot in 0..count {
                    if !fails(slot) && waits_for(slot).all(|whom| up.contains(&whom)) {
                        up.push(slot);
                    }
                }
                let mut all: Vec<usize> = all.iter().map(|run| run.slot.0).collect();
                all.sort_unstable();
                prop_assert_eq!(all, up);
            }
        }
        assert_all_known(&stage);
        on_paused_clock(async {
            stage.outbox.send(signal(Sig::INT, Via::Guard)).expect("heard");
            stage.driver.run().await;
        });
        let record = record.borrow();
        prop_assert!(record.running.is_empty(), "{:?}", record.running);
        let mut started: Vec<i32> = started(&record).into_iter().map(pid).collect();
        let mut reaped = record.reaped.clone();
        started.sort_unstable();
        reaped.sort_unstable();
        prop_assert_eq!(started, reaped, "each once");
    }
}

#[test]
fn what_has_waited_for_one_of_several_starts_after_all_of_them() {
    // It may go as soon as p1 runs; the others are being started with that one.
    let stage = app(vec![policy(OnExit::Stop); 5], &[(4, 1)], Starts::default());
    assert_eq!(started(&stage.record.borrow()), [0, 1, 2, 3, 4].map(first));
    assert_all_known(&stage);
    end(stage);
}

#[test]
fn a_failure_that_ends_nothing_does_not_keep_the_others_down() {
    let policies = [OnExit::Stop, OnExit::Restart, OnExit::Stop, OnExit::Stop].map(policy).to_vec();
    let stage = app(policies, &[], Starts { failing: [first(1)].into(), ..Starts::default() });
    assert_eq!(started(&stage.record.borrow()), [0, 2, 3].map(first));
    end(stage);
}

#[test]
fn a_port_is_not_in_use_by_the_process_that_gets_it() {
    on_paused_clock(async {
        // p1 to p4 wait for p0: when it has started again, all are started together.
        let waits = [(1, 0), (2, 0), (3, 0), (4, 0)];
        let stage = app(vec![policy(OnExit::Stop); 5], &waits, Starts::default());
        let ports: Vec<Port> = (5000..5005).map(|port| port.to_string().parse().expect("a port")).collect();
        let holders: BTreeMap<Port, Slot> = ports.iter().copied().zip((0..).map(Slot)).collect();
        stage.record.borrow_mut().holders = holders;
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        let mut driver = stage.driver;
        for (member, port) in driver.members.iter_mut().zip(ports) {
            member.port = Some(port);
        }
        let (answer, mut answers) = unbounded_channel();
        let what = What::Order { names: Vec::new(), order: Order::Restart, wait: true };
        outbox.send(Message::Command(Command { what, answer })).expect("heard");
        let script = async move {
            let Some(Answer::Done(done, _)) = answers.recv().await else { panic!("no answer") };
            let second = |slot: usize| pid(Run { slot: Slot(slot), number: 2 });
            // What others wait for is ordered last.
            let restarted: Vec<Done> =
                [1, 2, 3, 4, 0].map(|slot| Done::Restarted(second(slot))).into_iter().collect();
            assert_eq!(done.into_iter().map(|it| it.what).collect::<Vec<_>>(), restarted);
            outbox.send(signal(Sig::TERM, Via::Guard)).expect("heard");
        };
        let ((outcome, ..), ()) = tokio::join!(driver.run(), script);
        assert_eq!(outcome, Outcome::Signal(Sig::TERM));
        assert_eq!(started(&record.borrow()).len(), 10);
    });
}

#[test]
fn a_stop_does_not_wait_for_the_search_for_the_program_that_has_a_port() {
    on_paused_clock(async {
        let stage = app(vec![policy(OnExit::Stop); 2], &[], Starts::default());
        let planner = Planner {
            procfile: procfile::parse(&Source::new("Procfile", "p0: x\np1: x\n".to_owned())).expect("good"),
            ports: Some(Ports { base: "5000".parse().expect("a port"), step: 100 }),
            ..Planner::default()
        };
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        let mut driver = stage.driver;
        let spec = planner.instance(&driver.members[0].id).expect("a port").expect("a type");
        let port = spec.port.expect("a port");
        driver.planner = Arc::new(planner);
        record.borrow_mut().holders = [(port, Slot(1))].into();
        record.borrow_mut().searches_are_slow = true;
        let script = async move {
            let order = |order| {
                let (answer, answers) = unbounded_channel();
                let what = What::Order { names: vec!["p0".to_owned()], order, wait: true };
                outbox.send(Message::Command(Command { what, answer })).expect("heard");
                answers
            };
            let mut restarted = order(Order::Restart);
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut stopped = order(Order::Stop);
            let what = async |answers: &mut UnboundedReceiver<Answer>| match answers.recv().await {
                Some(Answer::Done(done, _)) => done.into_iter().map(|it| it.what).collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            };
            assert_eq!(what(&mut restarted).await, [Done::Superseded]);
            assert!(matches!(what(&mut stopped).await[..], [Done::Stopped(_)]));
            // With nothing to withdraw it, it fails when the search is over.
            let mut up = order(Order::Restart);
            tokio::time::sleep(Duration::from_secs(1)).await;
            outbox.send(Message::PortHolder(port, Some((7, "python".to_owned())))).expect("heard");
            let failed = what(&mut up).await;
            let says = |it: &Done| matches!(it, Done::Failed(why) if why.contains(&format!("port {port}")));
            assert!(failed.iter().all(says), "{failed:?}");
            outbox.send(signal(Sig::TERM, Via::Guard)).expect("heard");
        };
        let ((outcome, ..), ()) = tokio::join!(driver.run(), script);
        assert_eq!(outcome, Outcome::Signal(Sig::TERM));
        assert_eq!(record.borrow().sought, [port; 2]);
    });
}

fn end(stage: Stage) {
    on_paused_clock(async {
        stage.outbox.send(signal(Sig::TERM, Via::Guard)).expect("heard");
        stage.driver.run().await;
    });
}
