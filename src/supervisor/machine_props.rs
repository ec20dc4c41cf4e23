//! What must hold of one machine in every order of events, and the table row by row.
//!
//! Moves are generated *relative to the machine* (the present run, an old run) and not as
//! random numbers: random numbers hardly ever name the present run and so miss most faults.

use std::time::Duration;

use proptest::prelude::*;

use super::event::{Ended, Epoch, KillMode, OnExit, Pgid, Policy, Run, Slot, StartError};
use super::machine::{DRAIN, Effect, Input, Machine, Whom};
use super::state::{Force, State, Then};
use crate::model::Sig;

/// Which run or epoch a message carries.
#[derive(Debug, Clone, Copy)]
enum Age {
    Present,
    Old,
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Start,
    Stop,
    Kill,
    Restart,
    SpawnWorks,
    SpawnFails,
    LeaderDies(Age),
    GroupEmpties(Age),
    OutputCloses(Age),
    FirstEnd(Age),
    TimerRings(Age),
    Goes(Age),
    GivesUp(Age),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let age = prop_oneof![4 => Just(Age::Present), 1 => Just(Age::Old)];
    let one = prop_oneof![
        2 => Just(Move::Start),
        2 => Just(Move::Stop),
        1 => Just(Move::Kill),
        2 => Just(Move::Restart),
        6 => Just(Move::SpawnWorks),
        1 => Just(Move::SpawnFails),
        4 => age.clone().prop_map(Move::LeaderDies),
        4 => age.clone().prop_map(Move::GroupEmpties),
        4 => age.clone().prop_map(Move::OutputCloses),
        3 => age.clone().prop_map(Move::FirstEnd),
        3 => age.clone().prop_map(Move::TimerRings),
        4 => age.clone().prop_map(Move::Goes),
        1 => age.prop_map(Move::GivesUp),
    ];
    proptest::collection::vec(one, 1..60)
}

/// Whether it waits before each run.
fn waits() -> impl Strategy<Value = Option<Duration>> {
    proptest::option::of(Just(Duration::from_mins(1)))
}

fn policies() -> impl Strategy<Value = Policy> {
    let on_exit = prop_oneof![Just(OnExit::Stop), Just(OnExit::Ignore), Just(OnExit::Restart)];
    let kill_mode = prop_oneof![Just(KillMode::Mixed), Just(KillMode::Group)];
    (on_exit, kill_mode).prop_map(|(on_exit, kill_mode)| Policy {
        on_exit,
        kill_mode,
        stop_signal: Sig::QUIT,
        ..Policy::default()
    })
}

/// The outside world of one machine: what is really alive, and what was promised.
struct World {
    machine: Machine,
    ordered: Option<Run>,
    alive: Option<Run>,
    group: bool,
    output: bool,
    last: Option<Run>,
    timer: Option<Epoch>,
    asked: Asked,
    clock: Clock,
    unfinished: u32,
    wanted_down: bool,
}

/// Which processes of the present run were signaled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is independent of the others")]
struct Asked {
    leader: bool,
    group: bool,
    rest: bool,
    killed: bool,
}

/// The latest that it can be. Whatever is not the timer happens just before that fires.
#[derive(Debug, Default)]
struct Clock {
    now: Duration,
    due: Duration,
    /// When the present run was first asked to stop.
    asked_at: Option<Duration>,
}

fn pgid_of(run: Run) -> Pgid {
    Pgid(1000 + i32::try_from(run.number).expect("few runs"))
}

impl World {
    fn new(policy: Policy) -> Self {
        Self {
            machine: Machine::new(Slot(0), policy),
            ordered: None,
            alive: None,
            group: false,
            output: false,
            last: None,
            timer: None,
            asked: Asked::default(),
            clock: Clock::default(),
            unfinished: 0,
            wanted_down: false,
        }
    }

    fn waiting(policy: Policy, limit: Option<Duration>) -> Self {
        let mut world = Self::new(policy);
        world.machine.wait(limit);
        world
    }

    /// The present wait, or one before it.
    fn wait(&self, age: Age) -> Option<Epoch> {
        let State::Waiting(now) = self.machine.state() else { return None };
        match age {
            Age::Present => Some(now.epoch),
            Age::Old => Some(Epoch(now.epoch.0.checked_sub(1)?)),
        }
    }

    fn run(&self, age: Age) -> Option<Run> {
        let last = self.last?;
        match age {
            Age::Present => Some(last),
            Age::Old => (last.number > 1).then_some(Run { number: last.number - 1, ..last }),
        }
    }

    /// Turns the move into an input that this world can send, or nothing if it cannot happen.
    fn input(&mut self, it: Move) -> Option<Input> {
        match it {
            Move::Start => {
                self.wanted_down = false;
                Some(Input::Start)
            }
            Move::Restart => {
                // While it stops for good a restart is not heard: the stop is kept.
                self.wanted_down &= !self.machine.is_at_rest() && self.ordered.is_none();
                Some(Input::Restart)
            }
            Move::Stop => {
                self.wanted_down = true;
                Some(Input::Stop)
            }
            Move::Kill => {
                self.wanted_down = true;
                Some(Input::Kill)
            }
            Move::SpawnWorks => {
                let run = self.ordered.take()?;
                (self.alive, self.group, self.output) = (Some(run), true, true);
                self.asked = Asked::default();
                Some(Input::Spawned(run, pgid_of(run)))
            }
            Move::SpawnFails => {
                let run = self.ordered.take()?;
                Some(Input::SpawnFailed(run, refused()))
            }
            Move::LeaderDies(Age::Present) => {
                let run = self.alive.take()?;
                Some(Input::Exited(run, Ended::Exited(1)))
            }
            Move::LeaderDies(Age::Old) => Some(Input::Exited(self.run(Age::Old)?, Ended::Exited(1))),
            Move::GroupEmpties(Age::Present) => {
                let happens = self.group && self.alive.is_none();
                self.group &= !happens;
                happens.then_some(Input::GroupEmpty(self.last?))
            }
            Move::GroupEmpties(Age::Old) => Some(Input::GroupEmpty(self.run(Age::Old)?)),
            Move::OutputCloses(Age::Present) => {
                // Also while the leader lives. It is told once.
                let happens = std::mem::take(&mut self.output);
                happens.then_some(Input::OutputClosed(self.last?))
            }
            Move::OutputCloses(Age::Old) => Some(Input::OutputClosed(self.run(Age::Old)?)),
            Move::FirstEnd(Age::Present) => {
                self.machine.awaits_first().then_some(Input::FirstEnded(self.last?))
            }
            Move::FirstEnd(Age::Old) => Some(Input::FirstEnded(self.run(Age::Old)?)),
            Move::TimerRings(Age::Present) => Some(Input::Timeout(self.timer.take()?)),
            Move::TimerRings(Age::Old) => {
                let Epoch(now) = self.timer?;
                Some(Input::Timeout(Epoch(now.checked_sub(1)?)))
            }
            Move::Goes(age) => Some(Input::Go(self.wait(age)?)),
            Move::GivesUp(age) => Some(Input::GiveUp(self.wait(age)?, refused())),
        }
    }

    /// Feeds the input and checks each effect against what is really there.
    fn feed(&mut self, input: Input) -> Vec<Effect> {
        if let Input::GiveUp(epoch, _) = input
            && self.wait(Age::Present) == Some(epoch)
        {
            // To wait in vain is a run too, though nothing is spawned.
            self.last = Some(Run { slot: Slot(0), number: self.machine.runs() + 1 });
            self.unfinished += 1;
        }
        let waited = self.wait(Age::Present).is_some();
        self.clock.now = self.clock.due;
        let in_time = !matches!(input, Input::Kill);
        let leader_dies = matches!(input, Input::Exited(..));
        let effects = self.machine.step(input);
        for effect in &effects {
            match effect {
                Effect::Spawn(run) => {
                    assert_eq!(self.alive, None, "two runs live at once");
                    assert_eq!(self.ordered, None, "a spawn is ordered while another is unanswered");
                    assert!(!self.wanted_down, "a spawn after a stop");
                    assert_eq!(waited, self.machine.wait.is_some(), "a spawn without the wait");
                    assert!(Some(*run) > self.last, "runs are never used twice");
                    (self.ordered, self.last) = (Some(*run), Some(*run));
                    self.unfinished += 1;
                    assert_eq!(self.unfinished, 1, "the run before was not finished");
                }
                Effect::Signal(pgid, sig) => {
                    let leader_unreaped = self.last.expect("a run");
                    assert_eq!(*pgid, pgid_of(leader_unreaped), "only the present group is signalled");
                    assert_ne!(*sig, self.machine.policy().stop_signal, "that is an `Ask`");
                    self.asked.killed |= *sig == Sig::KILL;
                }
                Effect::Ask(pgid, sig, whom) => {
                    assert_eq!(*pgid, pgid_of(self.last.expect("a run")), "only the present group is asked");
                    assert!(self.alive.is_some() || leader_dies, "its number may be another's");
                    assert_eq!(*sig, self.machine.policy().stop_signal);
                    assert_eq!(self.asked, Asked::default(), "asked twice");
                    self.asked = Asked { leader: true, group: *whom == Whom::Group, ..self.asked };
                    self.clock.asked_at = Some(self.clock.now);
                }
                Effect::AskRest => {
                    assert!(self.asked.leader && !self.asked.rest && !self.asked.killed, "{:?}", self.asked);
                    self.asked.rest = true;
                }
                Effect::KillRest => {
                    assert!(self.asked.rest || !in_time, "killed and not asked");
                    self.asked.killed = true;
                    let asked_at = self.clock.asked_at.unwrap_or(self.clock.now);
                    let due = asked_at + self.machine.policy().grace;
                    assert!(self.clock.now <= due || !in_time, "killed late");
                }
                Effect::CloseOutput(run) => assert_eq!(Some(*run), self.last),
                Effect::Arm(epoch, after) => {
                    self.timer = Some(*epoch);
                    self.clock.due = self.clock.now + *after;
                }
                Effect::Finished { run, .. } => {
                    assert_eq!((Some(*run), self.alive), (self.last, None));
                    self.unfinished -= 1;
                    if let Some(asked_at) = self.clock.asked_at.take() {
                        let limit = self.machine.policy().grace + DRAIN;
                        assert!(self.clock.now <= asked_at + limit, "ended late");
                    }
                }
                Effect::Disarm => self.timer = None,
                Effect::OutOfTime(epoch) => assert_eq!(Some(*epoch), self.wait(Age::Present)),
                Effect::Overdue => {}
            }
        }
        effects
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Two runs never live at once, nothing is spawned after a stop, only the present group is
    /// signaled, each process is asked once and before it is killed, and none has more than its time: asserted
    /// by [`World::feed`] at each step.
    #[test]
    fn every_order_of_events_keeps_the_promises(policy in policies(), moves in moves(), limit in waits()) {
        let mut world = World::waiting(policy, limit);
        for it in moves {
            if let Some(input) = world.input(it) {
                world.feed(input);
            }
        }
    }

    /// However it came there: after a stop two timeouts kill, and the deaths end it.
    #[test]
    fn a_stop_and_two_timeouts_are_always_enough(policy in policies(), moves in moves(), limit in waits()) {
        let mut world = World::waiting(policy, limit);
        for it in moves {
            if let Some(input) = world.input(it) {
                world.feed(input);
            }
        }
        let stop = world.input(Move::Stop).expect("possible");
        world.feed(stop);
        if let Some(spawned) = world.input(Move::SpawnWorks) {
            world.feed(spawned);
        }
        if world.alive.is_some() {
            if !matches!(world.machine.state(), State::Stopping(s) if s.force == Force::Killed) {
                while !world.asked.killed {
                    let rings = world.input(Move::TimerRings(Age::Present)).expect("the grace timer is set");
                    world.feed(rings);
                }
            }
            let dies = world.input(Move::LeaderDies(Age::Present)).expect("alive");
            world.feed(dies);
        }
        // The rest closes by itself, or two more timeouts give it up.
        for it in [Move::TimerRings(Age::Present), Move::TimerRings(Age::Present), Move::TimerRings(Age::Present)] {
            if let Some(input) = world.input(it) {
                world.feed(input);
            }
        }
        prop_assert!(world.machine.is_at_rest(), "{:?}", world.machine.state());
        prop_assert_eq!(world.unfinished, 0);
    }
}

fn refused() -> StartError {
    StartError { message: "no".into(), hint: None }
}

/// A machine that is up, with its run and group.
fn up(on_exit: OnExit) -> (Machine, Run, Pgid) {
    let mut machine = Machine::new(Slot(0), Policy { on_exit, ..Policy::default() });
    let run = Run { slot: Slot(0), number: 1 };
    assert_eq!(machine.step(Input::Start), [Effect::Spawn(run)]);
    machine.step(Input::Spawned(run, Pgid(7)));
    (machine, run, Pgid(7))
}

const GRACE: Duration = Duration::from_secs(10);

#[test]
fn stop_asks_the_group_once_and_gives_it_the_grace_time() {
    let (mut machine, _, pgid) = up(OnExit::Stop);
    machine.change(Policy { kill_mode: KillMode::Group, ..Policy::default() });
    let asked = machine.step(Input::Stop);
    let expected = [
        Effect::Ask(pgid, Sig::TERM, Whom::Group),
        Effect::Signal(pgid, Sig::CONT),
        Effect::AskRest,
        Effect::Arm(Epoch(1), GRACE),
    ];
    assert_eq!(asked, expected);
    assert_eq!(machine.step(Input::Timeout(Epoch(0))), [], "an old timer");
    let killed = [Effect::Overdue, Effect::Signal(pgid, Sig::KILL), Effect::KillRest];
    assert_eq!(machine.step(Input::Timeout(Epoch(1))), killed);
}

#[test]
fn a_leader_that_stays_is_asked_alone_for_half_of_the_time() {
    let (mut machine, _, pgid) = up(OnExit::Stop);
    let asked = machine.step(Input::Stop);
    let expected = [
        Effect::Ask(pgid, Sig::TERM, Whom::First),
        Effect::Signal(pgid, Sig::CONT),
        Effect::Arm(Epoch(1), GRACE / 2),
    ];
    assert_eq!(asked, expected);
    assert_eq!(machine.step(Input::Timeout(Epoch(1))), [Effect::AskRest, Effect::Arm(Epoch(2), GRACE / 2)]);
    let killed = [Effect::Overdue, Effect::Signal(pgid, Sig::KILL), Effect::KillRest];
    assert_eq!(machine.step(Input::Timeout(Epoch(2))), killed);
}

#[test]
fn the_rest_is_asked_when_the_first_have_ended_and_keeps_the_whole_time() {
    let (mut machine, run, _) = up(OnExit::Stop);
    machine.step(Input::Stop);
    assert!(!machine.awaits_first(), "the leader is alive");
    assert_eq!(machine.step(Input::Exited(run, Ended::Signaled(Sig::TERM))), []);
    assert!(machine.awaits_first());
    assert_eq!(machine.step(Input::FirstEnded(run)), [Effect::AskRest]);
    assert_eq!(machine.step(Input::FirstEnded(run)), [], "asked twice");
    assert_eq!(machine.step(Input::Timeout(Epoch(1))), [Effect::Arm(Epoch(2), GRACE / 2)]);
    let killed = [Effect::Overdue, Effect::KillRest, Effect::Arm(Epoch(3), DRAIN)];
    assert_eq!(machine.step(Input::Timeout(Epoch(2))), killed);
}

#[test]
fn a_second_stop_changes_nothing_and_a_kill_kills() {
    let (mut machine, _, pgid) = up(OnExit::Stop);
    machine.step(Input::Stop);
    assert_eq!(machine.step(Input::Stop), []);
    assert_eq!(machine.step(Input::Kill), [Effect::Signal(pgid, Sig::KILL), Effect::KillRest]);
}

#[test]
fn a_leader_that_ends_leaves_a_group_that_is_asked_too() {
    let (mut machine, run, pgid) = up(OnExit::Stop);
    let effects = machine.step(Input::Exited(run, Ended::Exited(0)));
    assert_eq!(effects[0], Effect::Ask(pgid, Sig::TERM, Whom::Group));
    assert_eq!(machine.step(Input::OutputClosed(run)), [], "the group is not empty yet");
    let finished = machine.step(Input::GroupEmpty(run));
    assert_eq!(finished, [Effect::Finished { run, end: Ended::Exited(0), again: None }]);
}

#[test]
fn output_that_closes_before_the_leader_dies_is_not_waited_for() {
    let (mut machine, run, _) = up(OnExit::Stop);
    machine.step(Input::OutputClosed(run));
    machine.step(Input::Stop);
    machine.step(Input::Exited(run, Ended::Signaled(Sig::TERM)));
    let finished = machine.step(Input::GroupEmpty(run));
    assert_eq!(finished, [Effect::Finished { run, end: Ended::Signaled(Sig::TERM), again: None }]);

    let (mut machine, run, _) = up(OnExit::Stop);
    machine.step(Input::Stop);
    machine.step(Input::OutputClosed(run));
    machine.step(Input::Exited(run, Ended::Signaled(Sig::TERM)));
    machine.step(Input::GroupEmpty(run));
    assert!(machine.is_at_rest());
}

#[test]
fn output_that_a_stranger_holds_is_given_up_after_a_while() {
    let (mut machine, run, _) = up(OnExit::Stop);
    machine.step(Input::Exited(run, Ended::Exited(0)));
    assert_eq!(machine.step(Input::GroupEmpty(run)), [Effect::Arm(Epoch(2), DRAIN)]);
    let effects = machine.step(Input::Timeout(Epoch(2)));
    assert_eq!(effects[0], Effect::CloseOutput(run));
    assert!(machine.is_at_rest());
}

#[test]
fn the_rest_of_a_group_keeps_the_grace_time_when_its_leader_dies_first() {
    let (mut machine, run, _) = up(OnExit::Stop);
    machine.change(Policy { kill_mode: KillMode::Group, ..Policy::default() });
    machine.step(Input::Stop);
    assert_eq!(machine.step(Input::Exited(run, Ended::Signaled(Sig::TERM))), [], "asked already");
    assert_eq!(
        machine.step(Input::Timeout(Epoch(1))),
        [Effect::Overdue, Effect::KillRest, Effect::Arm(Epoch(2), DRAIN)]
    );
}

#[test]
fn a_restart_waits_for_the_old_group() {
    let (mut machine, run, _) = up(OnExit::Stop);
    machine.step(Input::Restart);
    machine.step(Input::Exited(run, Ended::Signaled(Sig::TERM)));
    assert_eq!(machine.step(Input::OutputClosed(run)), []);
    let effects = machine.step(Input::GroupEmpty(run));
    assert_eq!(effects[1], Effect::Spawn(Run { number: 2, ..run }));
}

#[test]
fn a_stop_that_overtakes_the_spawn_is_kept() {
    let mut machine = Machine::new(Slot(0), Policy::default());
    let run = Run { slot: Slot(0), number: 1 };
    machine.step(Input::Start);
    machine.step(Input::Stop);
    assert!(matches!(machine.state(), State::Starting { then: Then::Rest, .. }));
    let effects = machine.step(Input::Spawned(run, Pgid(7)));
    assert_eq!(effects[0], Effect::Ask(Pgid(7), Sig::TERM, Whom::First));
}

#[test]
fn restarts_wait_1_2_4_up_to_60_seconds_and_a_healthy_minute_resets() {
    let mut machine = Machine::new(Slot(0), Policy { on_exit: OnExit::Restart, ..Policy::default() });
    let mut effects = machine.step(Input::Start);
    let mut waits = Vec::new();
    for number in 1..=9 {
        let run = Run { slot: Slot(0), number };
        assert_eq!(effects, [Effect::Spawn(run)]);
        // It lives for a second each time, the eighth for a minute.
        let mut armed = machine.step(Input::Spawned(run, Pgid(7)));
        for _ in 0..if number == 8 { 2 } else { 1 } {
            let [Effect::Arm(epoch, _)] = armed[..] else { panic!("{armed:?}") };
            armed = machine.step(Input::Timeout(epoch));
        }
        machine.step(Input::Exited(run, Ended::Exited(1)));
        machine.step(Input::OutputClosed(run));
        let end = machine.step(Input::GroupEmpty(run));
        let [Effect::Finished { again: Some(delay), .. }, Effect::Arm(epoch, after)] = end[..] else {
            panic!("{end:?}")
        };
        assert_eq!(delay, after);
        waits.push(delay.as_secs());
        effects = machine.step(Input::Timeout(epoch));
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 1, 2]);
}

#[test]
fn five_quick_failures_are_the_end_of_restarts_and_a_wish_begins_anew() {
    let mut machine = Machine::new(Slot(0), Policy { on_exit: OnExit::Restart, ..Policy::default() });
    machine.step(Input::Start);
    for number in 1..=5 {
        let run = Run { slot: Slot(0), number };
        machine.step(Input::Spawned(run, Pgid(7)));
        machine.step(Input::Exited(run, Ended::Exited(127)));
        machine.step(Input::OutputClosed(run));
        let end = machine.step(Input::GroupEmpty(run));
        if let [Effect::Finished { again: Some(_), .. }, Effect::Arm(epoch, _)] = end[..] {
            assert_eq!(
                machine.step(Input::Timeout(epoch)),
                [Effect::Spawn(Run { number: number + 1, ..run })]
            );
        } else {
            assert_eq!(end, [Effect::Finished { run, end: Ended::Exited(127), again: None }]);
        }
    }
    let crashed = State::Crashed { end: Ended::Exited(127) };
    assert_eq!((machine.state(), machine.crashes()), (&crashed, 5));
    for input in [Input::Stop, Input::Kill, Input::Timeout(Epoch(99))] {
        assert_eq!(machine.step(input), []);
        assert_eq!(machine.state(), &crashed);
    }
    assert!(machine.is_at_rest());
    assert_eq!(machine.step(Input::Start), [Effect::Spawn(Run { slot: Slot(0), number: 6 })]);
    assert_eq!(machine.crashes(), 0);
}

#[test]
fn a_wish_during_the_wait_starts_at_once_and_a_stop_ends_it() {
    for (input, spawns) in
        [(Input::Start, true), (Input::Restart, true), (Input::Stop, false), (Input::Kill, false)]
    {
        let (mut machine, run, _) = up(OnExit::Restart);
        machine.step(Input::Exited(run, Ended::Exited(1)));
        machine.step(Input::OutputClosed(run));
        let end = machine.step(Input::GroupEmpty(run));
        let [_, Effect::Arm(epoch, _)] = end[..] else { panic!("{end:?}") };
        assert!(matches!(machine.state(), State::Backoff { .. }));
        let next = Effect::Spawn(Run { number: 2, ..run });
        assert_eq!(machine.step(input.clone()).contains(&next), spawns, "{input:?}");
        assert_eq!(machine.step(Input::Timeout(epoch)), [], "the wait is over for good after {input:?}");
    }
}

#[test]
fn a_policy_that_comes_during_a_run_finds_it_healthy() {
    let (mut machine, run, _) = up(OnExit::Stop);
    machine.change(Policy { on_exit: OnExit::Restart, ..Policy::default() });
    machine.step(Input::Exited(run, Ended::Exited(1)));
    machine.step(Input::OutputClosed(run));
    let end = machine.step(Input::GroupEmpty(run));
    let [Effect::Finished { again, .. }, Effect::Arm(..)] = &end[..] else { panic!("{end:?}") };
    assert_eq!(*again, Some(Duration::from_secs(1)));
}
