//! What must hold of all processes together, in every order of events.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::event::{Ended, OnExit, Pgid, Policy, Run, Slot, StartError};
use super::fleet::{Cause, Condition, Effect, Fleet, Input, Order, Outcome, Phase, ReadyWhen, Via};
use super::machine;
use super::signals::{Decision, Policy as SignalPolicy, Signal, StopBy};
use super::state::State;
use crate::model::{Sender, Sig};

#[derive(Debug, Clone, Copy)]
pub(super) enum Move {
    Dies(usize, u8),
    Empties(usize),
    Closes(usize),
    Terminate(Via),
    OutputGone,
    GuardGone,
    Hurry,
    Forward,
    Rings(usize),
    Ready(usize),
    Ordered(usize, Order),
    End,
    Hired,
    /// Dies of the signal that [`Move::Terminate`] sends to ganger.
    DiesOfIt(usize),
    /// That signal has not come.
    NoSignal,
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
        4 => slot.clone().prop_map(Move::Ready),
        4 => (0..5_usize, orders()).prop_map(|(slot, order)| Move::Ordered(slot, order)),
        1 => Just(Move::End),
        1 => Just(Move::Hired),
        2 => slot.clone().prop_map(Move::DiesOfIt),
        2 => Just(Move::NoSignal),
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
pub(super) struct World {
    pub(super) fleet: Fleet,
    /// What signals mean, as in the driver.
    signals: SignalPolicy,
    clock: Instant,
    pub(super) slots: usize,
    pub(super) alive: HashMap<Slot, Run>,
    draining: HashMap<Slot, (Run, bool, bool)>,
    timers: HashMap<Slot, super::event::Epoch>,
    pub(super) done: Vec<Outcome>,
    pub(super) killed: Vec<Slot>,
    /// The exit status that the first end which stops everything must give.
    expected: Option<Outcome>,
    /// The one that the first end must give if the signal that may have caused it does not come.
    undecided: Option<Outcome>,
    /// Who needs whom, without circles.
    needs: Vec<(usize, usize)>,
    /// Who waits for whom, without circles.
    waits: Vec<(usize, usize)>,
    /// The runs of which somebody has said that they are ready.
    ready: HashSet<Run>,
    /// Those that were given up, in that order.
    crashed: Vec<(Slot, u8)>,
    /// A process that cannot be started.
    pub(super) unstartable: Option<Slot>,
}

impl World {
    pub(super) fn new(policies: Vec<Policy>) -> Self {
        Self {
            slots: policies.len(),
            fleet: Fleet::new(policies),
            signals: SignalPolicy::default(),
            clock: Instant::now(),
            alive: HashMap::new(),
            draining: HashMap::new(),
            timers: HashMap::new(),
            done: Vec::new(),
            killed: Vec::new(),
            expected: None,
            undecided: None,
            needs: Vec::new(),
            waits: Vec::new(),
            ready: HashSet::new(),
            crashed: Vec::new(),
            unstartable: None,
        }
    }

    pub(super) fn feed(&mut self, input: Input) {
        let before: Vec<bool> = (0..self.slots).map(|slot| self.is_up(slot)).collect();
        let by = if input == Input::End { StopBy::Command } else { StopBy::Event };
        let effects = self.fleet.step(input);
        if !matches!(self.fleet.phase(), Phase::Releasing | Phase::Running) {
            self.signals.stop_began(by, self.clock);
        }
        self.assert_turns(&before);
        self.note_crashes();
        self.note_in_vain();
        for effect in effects {
            match effect {
                Effect::One(slot, machine::Effect::Spawn(run)) => {
                    let input = if self.fleet.wants(run) && self.unstartable != Some(slot) {
                        let may = match self.fleet.phase() {
                            Phase::Releasing => slot == Slot(0),
                            Phase::Running => true,
                            Phase::Stopping | Phase::Killing | Phase::Done => false,
                        };
                        assert!(may, "a spawn before its time or after the end began");
                        assert!(!self.alive.contains_key(&slot), "two runs of {slot:?} at once");
                        self.assert_waited(slot);
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
                Effect::One(slot, machine::Effect::Disarm) => drop(self.timers.remove(&slot)),
                Effect::One(slot, machine::Effect::OutOfTime(epoch)) => {
                    let machine = self.fleet.machine(slot);
                    let again = machine.policy().on_exit == OnExit::Restart && machine.runs() > 0;
                    if !self.fleet.is_ordered(slot) && !again {
                        self.expect(Outcome::Exit(1));
                    }
                    self.feed(Input::One(slot, machine::Input::GiveUp(epoch, refused())));
                }
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
                Effect::One(..)
                | Effect::StopRequested(_)
                | Effect::HurryAfter(_)
                | Effect::AwaitSignal(_)
                | Effect::Killing => {}
            }
        }
    }

    pub(super) fn need(&mut self, who: usize, whom: usize) {
        self.fleet.need(Slot(who), Slot(whom));
        self.needs.push((who, whom));
    }

    fn is_up(&self, slot: usize) -> bool {
        matches!(self.fleet.machine(Slot(slot)).state(), State::Up { .. })
    }

    /// The process is up when the one at `whom`, as somebody has said, is ready.
    fn wait_for(&mut self, who: usize, whom: usize) {
        self.waits.push((who, whom));
        let of = |(waiting, whom): &(usize, usize)| (*waiting == who).then_some(Slot(*whom));
        let conditions = self.waits.iter().filter_map(of).map(|whom| Condition::Ready([whom].into()));
        self.fleet.waits_for(Slot(who), conditions.collect(), Duration::from_mins(1));
        self.fleet.ready_when(Slot(whom), ReadyWhen::Told);
        self.needs.push((who, whom));
    }

    /// Nobody starts before what it waits for is ready, as far as anybody has it.
    fn assert_waited(&self, who: Slot) {
        for (_, whom) in self.waits.iter().filter(|(waiting, _)| Slot(*waiting) == who) {
            let (whom, state) = (Slot(*whom), self.fleet.machine(Slot(*whom)).state());
            let is_ready = self.alive.get(&whom).is_some_and(|run| self.ready.contains(run));
            let is_done =
                matches!(state, State::Over { end } if end.is_success()) && !self.fleet.is_stopped(whom);
            assert!(is_ready || is_done || !self.fleet.has(whom), "{who:?} starts before {whom:?} is ready");
        }
    }

    /// Who has waited for what was given up, and has never run, ends everything.
    fn note_in_vain(&mut self) {
        if let (None, Some(Cause::Process { run, end })) = (self.expected, self.fleet.cause())
            && matches!(self.fleet.machine(run.slot).state(), State::Crashed { .. })
        {
            let in_vain = |(who, whom): &(usize, usize)| {
                Slot(*whom) == run.slot && self.fleet.machine(Slot(*who)).runs() == 0
            };
            if self.waits.iter().any(in_vain) {
                self.expected = Some(Outcome::Exit(end.exit_status()));
            }
        }
    }

    /// When everything ends, nobody is asked while somebody needs it; and before that, while somebody
    /// who needs it is on his way down.
    fn assert_turns(&self, was_up: &[bool]) {
        if self.fleet.cause() == Some(&Cause::GuardGone) {
            return;
        }
        for (who, whom) in &self.needs {
            let asked =
                matches!(self.fleet.machine(Slot(*whom)).state(), State::Stopping(_)) && was_up[*whom];
            let state = self.fleet.machine(Slot(*who)).state();
            let is_going = matches!(state, State::Stopping(_) | State::Draining(_));
            let is_needed = match self.fleet.phase() {
                Phase::Releasing | Phase::Running => is_going || self.fleet.awaits_turn(Slot(*who)),
                Phase::Stopping => !self.fleet.machine(Slot(*who)).is_at_rest(),
                Phase::Killing | Phase::Done => false,
            };
            assert!(!(asked && is_needed), "{whom} is asked to stop before {who}");
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
        self.expect_if(self.fleet.is_undecided(), outcome);
    }

    fn expect_if(&mut self, is_undecided: bool, outcome: Outcome) {
        if is_undecided {
            self.undecided.get_or_insert(outcome);
        } else {
            self.expect_at_once(outcome);
        }
    }

    /// Whatever was undecided before.
    fn expect_at_once(&mut self, outcome: Outcome) {
        if matches!(self.fleet.phase(), Phase::Releasing | Phase::Running) {
            self.expected.get_or_insert(outcome);
        }
    }

    fn dies(&mut self, slot: usize, end: Ended) {
        let slot = Slot(slot);
        let Some(run) = self.alive.remove(&slot) else { return };
        self.draining.insert(slot, (run, true, true));
        let policy = self.fleet.machine(slot).policy().on_exit;
        let is_up = matches!(self.fleet.machine(slot).state(), State::Up { .. });
        let by_itself = is_up && !self.fleet.awaits_turn(slot);
        let ends_all = policy == OnExit::Stop || (policy == OnExit::Ignore && !end.is_success());
        let awaits = self.fleet.is_undecided() || (is_up && matches!(end, Ended::Signaled(_)));
        if by_itself && ends_all {
            self.expect_if(awaits, Outcome::Exit(end.exit_status()));
        }
        self.feed(Input::One(slot, machine::Input::Exited(run, end)));
    }

    pub(super) fn play(&mut self, it: Move) {
        match it {
            Move::Dies(slot, code) => self.dies(slot, Ended::Exited(code)),
            Move::DiesOfIt(slot) => self.dies(slot, Ended::Signaled(Sig::INT)),
            Move::NoSignal => {
                if let Some(outcome) = self.undecided.take() {
                    self.expect_at_once(outcome);
                }
                self.feed(Input::NoSignal);
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
                self.expect_at_once(Outcome::Signal(Sig::INT));
                // As often as a person presses a key.
                self.clock += Duration::from_millis(100);
                let signal = Signal { sig: Sig::INT, sender: Sender::Kernel, via, at: self.clock };
                match self.signals.decide(signal, None) {
                    Decision::Stop(sig) => self.feed(Input::Stop(sig)),
                    Decision::Kill => self.feed(Input::Kill),
                    _ => {}
                }
            }
            Move::OutputGone => {
                let outcome = self.undecided.take().unwrap_or(Outcome::Exit(141));
                self.expect_at_once(outcome);
                self.feed(Input::OutputGone(Outcome::Exit(141)));
            }
            Move::GuardGone => {
                self.expect_at_once(Outcome::Exit(137));
                self.feed(Input::GuardGone);
            }
            Move::Hurry => {
                // Only ever sent after HurryAfter, which comes with the end of the guard.
                if !matches!(self.fleet.phase(), Phase::Releasing | Phase::Running) {
                    self.feed(Input::Hurry);
                }
            }
            Move::Ordered(slot, order) => {
                if slot < self.slots {
                    self.feed(Input::Orders(vec![(Slot(slot), order)]));
                }
            }
            Move::End => {
                let outcome = self.undecided.take().unwrap_or(Outcome::Signal(Sig::TERM));
                self.expect_at_once(outcome);
                self.feed(Input::End);
            }
            Move::Hired => {
                if self.slots < 5 {
                    assert_eq!(self.fleet.add(Policy::default()), Slot(self.slots));
                    self.slots += 1;
                }
            }
            Move::Ready(slot) => {
                if let Some(run) = self.alive.get(&Slot(slot)).copied() {
                    self.ready.insert(run);
                    self.feed(Input::Ready(run));
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

pub(super) fn refused() -> StartError {
    StartError { message: "withdrawn".into(), hint: None }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_end_comes_once_with_the_status_of_its_cause(
        policies in policies(),
        moves in moves(),
        unstartable in proptest::option::weighted(0.2, 0..3_usize),
        release in any::<bool>(),
        needs in proptest::collection::vec((0..3_usize, 0..3_usize), 0..4),
        waits in proptest::collection::vec((0..3_usize, 0..3_usize), 0..4),
    ) {
        let mut policies = policies;
        if release {
            policies[0].on_exit = OnExit::Ignore;
        }
        let mut world = World::new(policies);
        if release {
            world.fleet.release_first(Slot(0));
        }
        for (who, whom) in waits.into_iter().filter(|(who, whom)| who > whom) {
            world.wait_for(who, whom);
        }
        for (who, whom) in needs.into_iter().filter(|(who, whom)| who > whom) {
            world.need(who, whom);
        }
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
