//! The driver with processes that live and die on command, on a paused clock: grace, backoff
//! and drain without waiting for them. Real processes are in `tests/`; a paused clock with
//! real children would jump ahead of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::command::{Command, What};
use super::driver::{Act, Children, Driver, Member, Message};
use super::event::{Ended, Epoch, Event, Left, Pgid, Policy, Run, Slot, StartError};
use super::fleet::{Fleet, Outcome, Via};
use super::machine::Whom;
use super::signals::Signal;
use super::watch::{Watch, WatchId};
use crate::config::environment::Environment;
use crate::model::{InstanceId, Port, Sender, Sig};
use crate::plan::{Planner, ProcessSpec};

/// How a fake process answers a signal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Temper {
    /// Dies of TERM and of KILL.
    Tame,
    /// Dies of KILL only.
    Stubborn,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Did {
    Spawned(Run),
    /// It could not be started.
    Failed(Run),
    Signaled(i32, Sig),
    Suspended,
}

#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) did: Vec<(Duration, Did)>,
    pub(super) told: Vec<Event>,
    pub(super) dead: VecDeque<(i32, Ended)>,
    pub(super) reaped: Vec<i32>,
    pub(super) running: Vec<Run>,
    /// How starts go.
    pub(super) starts: Starts,
    /// The slots of processes that hold a port while they run.
    pub(super) holders: BTreeMap<Port, Slot>,
    /// How often all processes were scanned.
    pub(super) looks: usize,
    /// How long our output has taken nothing.
    pub(super) blocked: Option<Duration>,
    /// Looks do not come to an end by themselves.
    pub(super) looks_are_slow: bool,
    /// Neither do searches for the holders of ports.
    pub(super) searches_are_slow: bool,
    /// How long each suspension takes to stop what left its group.
    pub(super) stops_take: VecDeque<Duration>,
    /// The ports whose holders were looked for.
    pub(super) sought: Vec<Port>,
    /// What is looked for.
    pub(super) watches: BTreeMap<WatchId, Watch>,
}

/// How starts go.
#[derive(Debug, Clone)]
pub(super) struct Starts {
    /// These fail.
    pub(super) failing: BTreeSet<Run>,
    /// One more is being started beside each that fails.
    pub(super) overlaps: bool,
    /// How many are tried in one call at most.
    pub(super) at_once: usize,
}

impl Default for Starts {
    fn default() -> Self {
        Self { failing: BTreeSet::new(), overlaps: false, at_once: usize::MAX }
    }
}

pub(super) struct Fake {
    record: Rc<RefCell<Record>>,
    tempers: Vec<Temper>,
    outbox: UnboundedSender<Message>,
    epoch: Instant,
}

pub(super) fn pid(run: Run) -> i32 {
    i32::try_from(run.slot.0).expect("few") * 100 + i32::try_from(run.number).expect("few")
}

impl Fake {
    fn did(&self, did: Did) {
        self.record.borrow_mut().did.push((self.epoch.elapsed(), did));
    }

    fn die(&self, run: Run, end: Ended) {
        die(&self.record, &self.outbox, run, end);
    }
}

/// Lets a process die, if it runs.
pub(super) fn die(record: &RefCell<Record>, outbox: &UnboundedSender<Message>, run: Run, end: Ended) {
    let mut record = record.borrow_mut();
    if let Some(i) = record.running.iter().position(|it| *it == run) {
        record.running.remove(i);
        record.dead.push_back((pid(run), end));
        let _ = outbox.send(Message::ChildDied);
        if record.blocked.is_none() {
            let _ = outbox.send(Message::OutputClosed(run));
        }
    }
}

impl Children for Fake {
    /// As the real ones: the first alone, then up to two at a time, so that one may be running behind a failure.
    fn spawn(&mut self, runs: &[Run]) -> Vec<Result<Pgid, StartError>> {
        let Starts { failing, overlaps, at_once } = self.record.borrow().starts.clone();
        let mut results: Vec<Result<Pgid, StartError>> = Vec::new();
        let mut more = usize::from(overlaps);
        for run in runs.iter().take(at_once) {
            if results.iter().any(Result::is_err) {
                if more == 0 || results.len() == 1 {
                    break;
                }
                more -= 1;
            }
            if failing.contains(run) {
                self.did(Did::Failed(*run));
                results.push(Err(StartError { message: "no".into(), hint: None }));
                continue;
            }
            self.did(Did::Spawned(*run));
            self.record.borrow_mut().running.push(*run);
            results.push(Ok(Pgid(pid(*run))));
        }
        results
    }

    fn signal(&mut self, pgid: Pgid, sig: Sig) {
        self.did(Did::Signaled(pgid.0, sig));
        let run = self.record.borrow().running.iter().copied().find(|run| pid(*run) == pgid.0);
        if let Some(run) = run {
            match (self.tempers[run.slot.0], sig) {
                (_, Sig::KILL) | (Temper::Tame, Sig::TERM) => self.die(run, Ended::Signaled(sig)),
                _ => {}
            }
        }
    }

    fn signal_program(&mut self, pgid: Pgid, sig: Sig) {
        self.signal(pgid, sig);
    }

    fn signal_rest(&mut self, groups: &[(Pgid, Sig)]) {
        for (pgid, sig) in groups {
            self.did(Did::Signaled(pgid.0, *sig));
        }
    }

    fn hire(&mut self, _: ProcessSpec) {
        self.tempers.push(Temper::Tame);
    }

    fn change(&mut self, _: Slot, _: ProcessSpec) {}

    fn environment(&self, _: Slot) -> Environment {
        Environment::default()
    }

    fn is_in_use(&mut self, port: Port) -> bool {
        let record = self.record.borrow();
        let holder = record.holders.get(&port);
        holder.is_some_and(|slot| record.running.iter().any(|run| run.slot == *slot))
    }

    fn find_holder(&mut self, port: Port) {
        let mut record = self.record.borrow_mut();
        record.sought.push(port);
        if !record.searches_are_slow {
            let _ = self.outbox.send(Message::PortHolder(port, None));
        }
    }

    fn ask(&mut self, _: Slot, pgid: Pgid, sig: Sig, _: Whom) {
        self.signal(pgid, sig);
    }

    fn first_are_left(&mut self, slots: &[Slot]) -> Vec<bool> {
        vec![false; slots.len()]
    }

    fn look(&mut self, _: &[Run], _: &[Slot]) -> bool {
        let mut record = self.record.borrow_mut();
        record.looks += 1;
        !record.looks_are_slow
    }

    fn act(&mut self, _: Run, _: Act, _: bool) -> Vec<Left> {
        Vec::new()
    }

    fn watch(&mut self, id: WatchId, watch: &Watch) {
        self.record.borrow_mut().watches.insert(id, watch.clone());
    }

    fn unwatch(&mut self, id: WatchId) {
        self.record.borrow_mut().watches.remove(&id);
    }

    fn group_is_empty(&mut self, pgid: Pgid) -> bool {
        self.record.borrow().running.iter().all(|run| pid(*run) != pgid.0)
    }

    fn next_dead(&mut self) -> Option<(i32, Ended)> {
        self.record.borrow().dead.front().cloned()
    }

    fn reap(&mut self, pid: i32) {
        let mut record = self.record.borrow_mut();
        record.dead.retain(|(dead, _)| *dead != pid);
        record.reaped.push(pid);
    }

    fn close_output(&mut self, _: Run) {}

    fn output_blocked(&self) -> Option<Duration> {
        self.record.borrow().blocked
    }

    fn tell(&mut self, event: Event) {
        self.record.borrow_mut().told.push(event);
    }

    fn suspended(&mut self, epoch: Epoch) {
        let delay = self.record.borrow_mut().stops_take.pop_front().unwrap_or_default();
        let outbox = self.outbox.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(delay).await;
            let _ = outbox.send(Message::Suspended(epoch));
        });
    }

    fn stop_ganger(&mut self) {
        self.did(Did::Suspended);
    }

    fn resumed(&mut self) {}

    fn resized(&mut self) {}

    fn killing(&mut self) {}

    fn alone(&mut self, _: &[Slot]) {}
}

/// A signal of a process, received now.
pub(super) fn signal(sig: Sig, via: Via) -> Message {
    let sender = Sender::Process(1);
    Message::Signal(Signal { sig, sender, via, at: Instant::now().into_std() })
}

pub(super) struct Stage {
    pub(super) record: Rc<RefCell<Record>>,
    pub(super) outbox: UnboundedSender<Message>,
    pub(super) driver: Driver<Fake>,
}

pub(super) fn stage(tempers: &[Temper], policy: &Policy) -> Stage {
    let policies: Vec<Policy> = tempers.iter().map(|_| policy.clone()).collect();
    stage_of(tempers, policies)
}

pub(super) fn stage_of(tempers: &[Temper], policies: Vec<Policy>) -> Stage {
    stage_with(tempers, policies, Planner::default(), |_| {})
}

/// The first processes start at once: what they are to be like has to be said before.
pub(super) fn stage_with(
    tempers: &[Temper],
    policies: Vec<Policy>,
    planner: Planner,
    change: impl FnOnce(&mut Vec<Member>),
) -> Stage {
    stage_prepared(tempers, policies, planner, |_| {}, change)
}

/// The same for how starts go.
pub(super) fn stage_prepared(
    tempers: &[Temper],
    policies: Vec<Policy>,
    planner: Planner,
    prepare: impl FnOnce(&mut Record),
    change: impl FnOnce(&mut Vec<Member>),
) -> Stage {
    let record = Rc::new(RefCell::new(Record::default()));
    prepare(&mut record.borrow_mut());
    let (outbox, inbox) = unbounded_channel();
    let fake = Fake {
        record: record.clone(),
        tempers: tempers.to_vec(),
        outbox: outbox.clone(),
        epoch: Instant::now(),
    };
    let fleet = Fleet::new(policies);
    let name: crate::model::ProcessName = "web".parse().expect("a name");
    let mut members = (1..=u16::try_from(tempers.len()).expect("few"))
        .map(|n| member(InstanceId::new(name.clone(), n)))
        .collect();
    change(&mut members);
    Stage { record, outbox, driver: Driver::start(fleet, members, planner, fake, inbox) }
}

/// One that waits for nothing.
pub(super) fn member(id: InstanceId) -> Member {
    Member {
        id,
        port: None,
        port_is_pinned: false,
        command: "x".into(),
        waits: Vec::new(),
        wait_limit: Duration::from_mins(1),
        ready: None,
        ready_is_said: false,
    }
}

/// Runs on a clock that jumps to the next timer whenever nothing else is to do.
pub(super) fn on_paused_clock<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), test)
}

fn signals(record: &Record, sig: Sig) -> Vec<(u64, i32)> {
    let times = record.did.iter().filter_map(|(at, did)| match did {
        Did::Signaled(pgid, sent) if *sent == sig => Some((at.as_secs(), *pgid)),
        _ => None,
    });
    times.collect()
}

#[test]
fn a_signal_asks_each_group_once_and_kills_the_stubborn_after_the_grace_time() {
    on_paused_clock(async {
        let stage = stage(&[Temper::Tame, Temper::Stubborn], &Policy::default());
        stage.outbox.send(signal(Sig::INT, Via::Guard)).expect("heard");
        let (outcome, ..) = stage.driver.run().await;
        assert_eq!(outcome, Outcome::Signal(Sig::INT));
        let record = stage.record.borrow();
        assert_eq!(signals(&record, Sig::TERM), [(0, 1), (0, 101)]);
        assert_eq!(signals(&record, Sig::KILL), [(10, 101)]);
        assert_eq!(record.reaped, [1, 101]);
    });
}

#[test]
fn a_kill_does_not_wait_for_a_look_at_all_processes_and_the_end_does() {
    on_paused_clock(async {
        let stage = stage(&[Temper::Tame, Temper::Stubborn], &Policy::default());
        stage.record.borrow_mut().looks_are_slow = true;
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        let began = Instant::now();
        tokio::task::spawn_local(async move {
            outbox.send(signal(Sig::INT, Via::Guard)).expect("heard");
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(record.borrow().looks, 1);
            outbox.send(signal(Sig::INT, Via::Guard)).expect("heard");
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(signals(&record.borrow(), Sig::KILL), [(2, 101)]);
            // Only one at a time.
            assert_eq!(record.borrow().looks, 1);
            tokio::time::sleep(Duration::from_millis(400)).await;
            record.borrow_mut().looks_are_slow = false;
            outbox.send(Message::Looked).expect("heard");
        });
        stage.driver.run().await;
        assert_eq!(began.elapsed(), Duration::from_millis(2500));
        assert!(stage.record.borrow().looks > 1);
    });
}

/// Sends the signals, each so many milliseconds after the one before. Returns when KILL was sent.
fn killed_at(signals_after: &[(u64, Sig, Via)]) -> Vec<(u64, i32)> {
    on_paused_clock(async {
        let stage = stage(&[Temper::Stubborn], &Policy::default());
        let (outbox, later) = (stage.outbox.clone(), signals_after.to_vec());
        tokio::task::spawn_local(async move {
            for (millis, sig, via) in later {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                outbox.send(signal(sig, via)).expect("heard");
            }
        });
        stage.driver.run().await;
        signals(&stage.record.borrow(), Sig::KILL)
    })
}

#[test]
fn a_second_signal_kills_without_waiting() {
    use Via::{Direct, Guard};
    let twice = [(0, Sig::INT, Guard), (1, Sig::INT, Direct), (1000, Sig::INT, Guard), (1, Sig::INT, Direct)];
    assert_eq!(killed_at(&twice), [(1, 1)]);
}

#[test]
fn the_echo_of_a_signal_is_no_second_one() {
    use Via::{Direct, Guard};
    let group = [(0, Sig::TERM, Guard), (100, Sig::TERM, Direct)];
    assert_eq!(killed_at(&group), [(10, 1)], "guard and supervisor, however late");
    let timeout = [(0, Sig::TERM, Guard), (1, Sig::TERM, Guard), (1, Sig::TERM, Direct)];
    assert_eq!(killed_at(&timeout), [(10, 1)], "twice at once");
    let terminal = [(0, Sig::HUP, Guard), (100, Sig::HUP, Guard), (100, Sig::HUP, Guard)];
    assert_eq!(killed_at(&terminal), [(10, 1)], "kernel and shell");
}

#[test]
fn a_signal_after_the_report_of_the_first_is_a_second_one() {
    on_paused_clock(async {
        let stage = stage(&[Temper::Stubborn], &Policy::default());
        let outbox = stage.outbox.clone();
        tokio::task::spawn_local(async move {
            outbox.send(signal(Sig::INT, Via::Guard)).expect("heard");
            outbox.send(Message::StopTold(Instant::now().into_std())).expect("heard");
            tokio::time::sleep(Duration::from_millis(1)).await;
            outbox.send(signal(Sig::INT, Via::Guard)).expect("heard");
        });
        stage.driver.run().await;
        assert_eq!(signals(&stage.record.borrow(), Sig::KILL), [(0, 1)]);
    });
}

#[test]
fn one_signal_after_a_stop_by_a_command_kills() {
    on_paused_clock(async {
        let stage = stage(&[Temper::Stubborn], &Policy::default());
        let (answer, mut answers) = unbounded_channel();
        let outbox = stage.outbox.clone();
        outbox.send(Message::Command(Command { what: What::End, answer })).expect("heard");
        tokio::task::spawn_local(async move {
            // A signal overtakes a command that was not carried out yet.
            answers.recv().await.expect("answered");
            outbox.send(signal(Sig::INT, Via::Guard)).expect("heard");
        });
        let (outcome, ..) = stage.driver.run().await;
        assert_eq!(outcome, Outcome::Signal(Sig::TERM));
        assert_eq!(signals(&stage.record.borrow(), Sig::KILL), [(0, 1)]);
    });
}

#[test]
fn grace_stands_still_while_suspended() {
    on_paused_clock(async {
        let stage = stage(&[Temper::Stubborn], &Policy::default());
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        tokio::task::spawn_local(async move {
            outbox.send(signal(Sig::TERM, Via::Guard)).expect("heard");
            tokio::time::sleep(Duration::from_secs(4)).await;
            outbox.send(signal(Sig::TSTP, Via::Guard)).expect("heard");
            tokio::time::sleep(Duration::from_secs(100)).await;
            outbox.send(signal(Sig::CONT, Via::Guard)).expect("heard");
        });
        stage.driver.run().await;
        let record = record.borrow();
        assert_eq!(signals(&record, Sig::STOP), [(4, 1)]);
        assert!(record.did.iter().any(|(_, did)| *did == Did::Suspended));
        assert_eq!(signals(&record, Sig::KILL), [(110, 1)], "6 s were left at the stop");
    });
}

#[test]
fn ganger_stops_only_when_what_the_last_suspension_stops_is_stopped() {
    on_paused_clock(async {
        let stage = stage(&[Temper::Tame], &Policy::default());
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        record.borrow_mut().stops_take = [3, 5].map(Duration::from_secs).into();
        tokio::task::spawn_local(async move {
            for sig in [Sig::TSTP, Sig::CONT, Sig::TSTP] {
                outbox.send(signal(sig, Via::Guard)).expect("heard");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
            outbox.send(signal(Sig::CONT, Via::Guard)).expect("heard");
            outbox.send(signal(Sig::TERM, Via::Guard)).expect("heard");
        });
        stage.driver.run().await;
        let record = stage.record.borrow();
        let stops = record.did.iter().filter(|(_, did)| *did == Did::Suspended);
        // The first, at 3 s, is of a suspension that is over.
        assert_eq!(stops.map(|(at, _)| at.as_secs()).collect::<Vec<_>>(), [7]);
    });
}

#[test]
fn a_lost_guard_leaves_less_than_a_second() {
    on_paused_clock(async {
        let stage = stage(&[Temper::Stubborn, Temper::Tame], &Policy::default());
        stage.outbox.send(Message::GuardGone).expect("heard");
        let (outcome, ..) = stage.driver.run().await;
        assert_eq!(outcome, Outcome::Exit(137));
        assert_eq!(signals(&stage.record.borrow(), Sig::KILL), [(0, 1)], "the tame one was asked and went");
    });
}

#[test]
fn a_strangers_death_is_reaped_and_ends_nothing() {
    on_paused_clock(async {
        let stage = stage(&[Temper::Tame], &Policy::default());
        let (outbox, record) = (stage.outbox.clone(), stage.record.clone());
        tokio::task::spawn_local(async move {
            record.borrow_mut().dead.push_back((4242, Ended::Exited(9)));
            outbox.send(Message::ChildDied).expect("heard");
            tokio::time::sleep(Duration::from_secs(5)).await;
            outbox.send(signal(Sig::TERM, Via::Direct)).expect("heard");
        });
        let (outcome, ..) = stage.driver.run().await;
        assert_eq!(outcome, Outcome::Signal(Sig::TERM));
        let record = stage.record.borrow();
        assert_eq!(record.reaped, [4242, 1]);
        assert_eq!(signals(&record, Sig::TERM), [(5, 1)]);
    });
}

#[test]
fn a_blocked_output_delays_the_end_by_no_turn() {
    let ended_after = |blocked: Option<u64>| {
        on_paused_clock(async {
            let stage = stage(&[Temper::Tame; 4], &Policy::default());
            let mut driver = stage.driver;
            for slot in 0..3 {
                driver.fleet.need(Slot(slot), Slot(slot + 1));
            }
            stage.record.borrow_mut().blocked = blocked.map(Duration::from_millis);
            let began = Instant::now();
            stage.outbox.send(signal(Sig::TERM, Via::Guard)).expect("heard");
            driver.run().await;
            began.elapsed().as_millis()
        })
    };
    assert_eq!(ended_after(None), 0);
    assert_eq!(ended_after(Some(2000)), 0);
    // Each of the four may still get its last words out.
    assert!((600..1100).contains(&ended_after(Some(100))), "{}", ended_after(Some(100)));
}
