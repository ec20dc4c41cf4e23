//! One process: its states, and what each input does in each of them. Pure.
//!
//! The machine never acts. [`Machine::step`] takes an input and answers with effects; the
//! driver performs them in order. Inputs of an older [`Run`] or [`Epoch`] change nothing, so
//! nobody has to cancel anything.
//!
//! A process has ended when its leader is dead, its process group is empty and its output is
//! closed. The three come in any order and none implies another: `sh -c 'sleep 2 & echo hi'`
//! exits at once, while `sleep` keeps the group and the pipe for two seconds.

use std::time::Duration;

use super::backoff::{Record, Verdict};
use super::event::{Ended, Epoch, KillMode, OnExit, Pgid, Policy, Run, Slot};
use super::state::{Draining, Force, Open, Output, State, Stopping, Then, Waiting};
pub use super::step::{Effect, Input, Whom};
use crate::model::Sig;

/// How long output may stay open after the leader has ended and the group is empty or was
/// killed. Only a process that left the group can hold it then.
pub const DRAIN: Duration = Duration::from_secs(1);

/// One process.
#[derive(Debug, Clone)]
pub struct Machine {
    slot: Slot,
    policy: Policy,
    state: State,
    pub(super) runs: u32,
    pub(super) epoch: Epoch,
    /// What its last runs were like.
    pub(super) record: Record,
    /// How long it may wait before each of its runs, if it has something to wait for.
    pub(super) wait: Option<Duration>,
    /// Its next run does not begin yet, whatever it waits for.
    pub(super) is_held: bool,
}

impl Machine {
    /// A process that has not run yet.
    pub fn new(slot: Slot, policy: Policy) -> Self {
        let (state, epoch, record) = (State::Down, Epoch(0), Record::default());
        Self { slot, policy, state, runs: 0, epoch, record, wait: None, is_held: false }
    }

    /// Where it is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How it is stopped and what its end means.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes another policy; a time that runs already is the old one.
    pub fn change(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// How many runs were ordered.
    pub fn runs(&self) -> u32 {
        self.runs
    }

    /// How often it has failed in a row, since it was last well.
    pub fn crashes(&self) -> u32 {
        self.record.crashes()
    }

    /// Whether nothing of it is alive and nothing will start by itself.
    pub fn is_at_rest(&self) -> bool {
        match self.state {
            State::Down | State::Over { .. } | State::Crashed { .. } => true,
            State::Waiting(_)
            | State::Starting { .. }
            | State::Up { .. }
            | State::Stopping(_)
            | State::Draining(_)
            | State::Backoff { .. } => false,
        }
    }

    /// The run that is there, as long as there may be anything of it.
    pub fn run(&self) -> Option<Run> {
        match &self.state {
            State::Up { run, .. }
            | State::Stopping(Stopping { run, .. })
            | State::Draining(Draining { run, .. }) => Some(*run),
            State::Down
            | State::Waiting(_)
            | State::Starting { .. }
            | State::Backoff { .. }
            | State::Over { .. }
            | State::Crashed { .. } => None,
        }
    }

    /// The group to signal while its leader has not been reaped.
    pub fn live_group(&self) -> Option<Pgid> {
        match self.state {
            State::Up { pgid, .. } | State::Stopping(Stopping { pgid, .. }) => Some(pgid),
            State::Down
            | State::Waiting(_)
            | State::Starting { .. }
            | State::Draining(_)
            | State::Backoff { .. }
            | State::Over { .. }
            | State::Crashed { .. } => None,
        }
    }

    /// The group of a dead leader that has to become empty.
    pub fn draining_group(&self) -> Option<(Run, Pgid)> {
        let Draining { run, pgid, .. } = self.state.draining().filter(|now| now.awaits_group())?;
        Some((*run, *pgid))
    }

    /// Whether all of it has ended but for its output, which is still open.
    pub fn awaits_output(&self) -> bool {
        self.state.draining().is_some_and(|now| !now.awaits_group())
    }

    /// Whether only those that are asked first have been, and the leader is dead.
    pub fn awaits_first(&self) -> bool {
        self.state.draining().is_some_and(|now| matches!(now.force, Force::First(_)) && now.awaits_group())
    }

    /// Whether its leader is dead and all others were asked to stop, but not killed.
    pub fn is_asked(&self) -> bool {
        self.state.draining().is_some_and(|now| matches!(now.force, Force::Early(_) | Force::Asked))
    }

    /// Takes one input and answers what to do.
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        let state = std::mem::replace(&mut self.state, State::Down);
        self.state = match state {
            State::Down => self.at_rest(&input, State::Down, &mut effects),
            State::Over { end } => self.at_rest(&input, State::Over { end }, &mut effects),
            State::Crashed { end } => self.at_rest(&input, State::Crashed { end }, &mut effects),
            State::Backoff { end } => self.backing_off(&input, end, &mut effects),
            State::Waiting(now) => self.waiting(input, now, &mut effects),
            State::Starting { run, then } => self.starting(input, run, then, &mut effects),
            State::Up { run, pgid, output } => self.up(input, run, pgid, output, &mut effects),
            State::Stopping(now) => self.stopping(input, now, &mut effects),
            State::Draining(now) => self.draining(&input, now, &mut effects),
        };
        effects
    }

    fn at_rest(&mut self, input: &Input, same: State, effects: &mut Vec<Effect>) -> State {
        match input {
            Input::Start | Input::Restart => {
                self.record.forget();
                self.begin(same.end().cloned(), effects)
            }
            Input::Stop
            | Input::Kill
            | Input::Spawned(..)
            | Input::SpawnFailed(..)
            | Input::Exited(..)
            | Input::FirstEnded(_)
            | Input::GroupEmpty(_)
            | Input::OutputClosed(_)
            | Input::Timeout(_)
            | Input::Go(_)
            | Input::GiveUp(..) => same,
        }
    }

    fn backing_off(&mut self, input: &Input, end: Ended, effects: &mut Vec<Effect>) -> State {
        match input {
            Input::Start | Input::Restart => {
                self.record.forget();
                self.begin(Some(end), effects)
            }
            Input::Timeout(epoch) if *epoch == self.epoch => self.begin(Some(end), effects),
            Input::Stop | Input::Kill => State::Over { end },
            Input::Timeout(_)
            | Input::Go(_)
            | Input::GiveUp(..)
            | Input::Spawned(..)
            | Input::SpawnFailed(..)
            | Input::Exited(..)
            | Input::FirstEnded(_)
            | Input::GroupEmpty(_)
            | Input::OutputClosed(_) => State::Backoff { end },
        }
    }

    fn starting(&mut self, input: Input, run: Run, then: Then, effects: &mut Vec<Effect>) -> State {
        match input {
            Input::Stop | Input::Kill => State::Starting { run, then: Then::Rest },
            Input::Start | Input::Restart => State::Starting { run, then: Then::Policy },
            Input::Spawned(spawned, pgid) if spawned == run => match then {
                Then::Rest => self.stop(run, pgid, Output::Open, Then::Rest, effects),
                Then::Restart | Then::Policy => {
                    if self.policy.on_exit == OnExit::Restart {
                        let first = self.record.began();
                        self.arm(first, effects);
                    } else {
                        self.record.began_unwatched();
                    }
                    State::Up { run, pgid, output: Output::Open }
                }
            },
            Input::SpawnFailed(failed, error) if failed == run => {
                self.finish(run, Ended::NotStarted(error), then, effects)
            }
            Input::Spawned(..)
            | Input::SpawnFailed(..)
            | Input::Exited(..)
            | Input::FirstEnded(_)
            | Input::GroupEmpty(_)
            | Input::OutputClosed(_)
            | Input::Timeout(_)
            | Input::Go(_)
            | Input::GiveUp(..) => State::Starting { run, then },
        }
    }

    fn up(&mut self, input: Input, run: Run, pgid: Pgid, output: Output, effects: &mut Vec<Effect>) -> State {
        match input {
            Input::Stop => self.stop(run, pgid, output, Then::Rest, effects),
            Input::Restart => self.stop(run, pgid, output, Then::Restart, effects),
            Input::Kill => {
                effects.extend([Effect::Signal(pgid, Sig::KILL), Effect::KillRest]);
                State::Stopping(Stopping { run, pgid, output, then: Then::Rest, force: Force::Killed })
            }
            Input::Exited(exited, end) if exited == run => {
                // What the leader left in its group is asked now, while the number is surely ours.
                self.ask_all(pgid, effects);
                let (then, open, force) = (Then::Policy, output.with_group(), Force::Asked);
                State::Draining(Draining { run, pgid, end, then, open, force })
            }
            Input::Timeout(epoch) => {
                if epoch == self.epoch
                    && let Some(more) = self.record.lasted()
                {
                    self.arm(more, effects);
                }
                State::Up { run, pgid, output }
            }
            Input::OutputClosed(closed) if closed == run => State::Up { run, pgid, output: Output::Closed },
            Input::Start
            | Input::Spawned(..)
            | Input::SpawnFailed(..)
            | Input::Exited(..)
            | Input::FirstEnded(_)
            | Input::GroupEmpty(_)
            | Input::OutputClosed(_)
            | Input::Go(_)
            | Input::GiveUp(..) => State::Up { run, pgid, output },
        }
    }

    fn stopping(&mut self, input: Input, mut now: Stopping, effects: &mut Vec<Effect>) -> State {
        match input {
            Input::Kill => {
                effects.extend([Effect::Signal(now.pgid, Sig::KILL), Effect::KillRest]);
                now.then = Then::Rest;
                now.force = Force::Killed;
            }
            Input::Timeout(epoch) if epoch == self.epoch => match now.force {
                Force::First(half) | Force::Early(half) => {
                    self.half_time(&mut now.force, half, effects);
                }
                Force::Asked => {
                    let kill = [Effect::Signal(now.pgid, Sig::KILL), Effect::KillRest];
                    effects.push(Effect::Overdue);
                    effects.extend(kill);
                    now.force = Force::Killed;
                }
                Force::Killed => {}
            },
            Input::Stop => now.then = Then::Rest,
            Input::Start => now.then = Then::Restart,
            Input::Exited(exited, end) if exited == now.run => {
                let Stopping { run, pgid, output, then, force } = now;
                match force {
                    // The grace timer runs on. What was not asked with the leader is asked when all that was
                    // has ended.
                    Force::First(_) | Force::Early(_) | Force::Asked => {}
                    Force::Killed => self.arm(DRAIN, effects),
                }
                return State::Draining(Draining { run, pgid, end, then, open: output.with_group(), force });
            }
            Input::OutputClosed(closed) if closed == now.run => now.output = Output::Closed,
            Input::Restart
            | Input::Timeout(_)
            | Input::Spawned(..)
            | Input::SpawnFailed(..)
            | Input::Exited(..)
            | Input::FirstEnded(_)
            | Input::GroupEmpty(_)
            | Input::OutputClosed(_)
            | Input::Go(_)
            | Input::GiveUp(..) => {}
        }
        State::Stopping(now)
    }

    fn draining(&mut self, input: &Input, mut now: Draining, effects: &mut Vec<Effect>) -> State {
        match (input, now.open) {
            (Input::GroupEmpty(run), Open::GroupAndOutput) if *run == now.run => {
                // After a kill that is what the timer is at.
                if now.force != Force::Killed {
                    self.arm(DRAIN, effects);
                }
                now.open = Open::Output;
            }
            (Input::OutputClosed(run), Open::GroupAndOutput) if *run == now.run => now.open = Open::Group,
            (Input::GroupEmpty(run), Open::Group) | (Input::OutputClosed(run), Open::Output)
                if *run == now.run =>
            {
                return self.finish(now.run, now.end, now.then, effects);
            }
            (Input::FirstEnded(run), Open::GroupAndOutput | Open::Group) if *run == now.run => {
                if let Force::First(half) = now.force {
                    effects.push(Effect::AskRest);
                    now.force = Force::Early(half);
                }
            }
            (Input::Timeout(epoch), open) if *epoch == self.epoch => match (open, now.force) {
                (Open::GroupAndOutput | Open::Group, Force::First(half) | Force::Early(half)) => {
                    self.half_time(&mut now.force, half, effects);
                }
                (Open::GroupAndOutput | Open::Group, Force::Asked) => {
                    effects.push(Effect::Overdue);
                    self.kill_rest(&mut now, effects);
                }
                (Open::Output, Force::First(_) | Force::Early(_) | Force::Asked | Force::Killed)
                | (Open::GroupAndOutput | Open::Group, Force::Killed) => {
                    effects.push(Effect::CloseOutput(now.run));
                    return self.finish(now.run, now.end, now.then, effects);
                }
            },
            (Input::Stop, _) => now.then = Then::Rest,
            (Input::Kill, open) => {
                now.then = Then::Rest;
                match open {
                    Open::GroupAndOutput | Open::Group => self.kill_rest(&mut now, effects),
                    Open::Output => {
                        effects.push(Effect::CloseOutput(now.run));
                        return self.finish(now.run, now.end, now.then, effects);
                    }
                }
            }
            (Input::Start, _) => now.then = Then::Restart,
            (
                Input::Restart
                | Input::Timeout(_)
                | Input::Spawned(..)
                | Input::SpawnFailed(..)
                | Input::Exited(..)
                | Input::FirstEnded(_)
                | Input::GroupEmpty(_)
                | Input::OutputClosed(_)
                | Input::Go(_)
                | Input::GiveUp(..),
                _,
            ) => {}
        }
        State::Draining(now)
    }

    fn kill_rest(&mut self, now: &mut Draining, effects: &mut Vec<Effect>) {
        effects.push(Effect::KillRest);
        if now.force != Force::Killed {
            self.arm(DRAIN, effects);
        }
        now.force = Force::Killed;
    }

    fn stop(&mut self, run: Run, pgid: Pgid, output: Output, then: Then, effects: &mut Vec<Effect>) -> State {
        let force = match self.policy.kill_mode {
            KillMode::Mixed => {
                self.ask(pgid, Whom::First, effects);
                let half = self.policy.grace / 2;
                self.arm(half, effects);
                Force::First(self.policy.grace.saturating_sub(half))
            }
            KillMode::Group => {
                self.ask_all(pgid, effects);
                Force::Asked
            }
        };
        State::Stopping(Stopping { run, pgid, output, then, force })
    }

    /// Asks the whole group to stop, and what else belongs to it.
    fn ask_all(&mut self, pgid: Pgid, effects: &mut Vec<Effect>) {
        self.ask(pgid, Whom::Group, effects);
        effects.push(Effect::AskRest);
        self.arm(self.policy.grace, effects);
    }

    /// A stopped process (Ctrl-Z, SIGSTOP) does not react until it is continued, so that follows, as with
    /// service managers.
    fn ask(&mut self, pgid: Pgid, whom: Whom, effects: &mut Vec<Effect>) {
        effects.push(Effect::Ask(pgid, self.policy.stop_signal, whom));
        effects.push(Effect::Signal(pgid, Sig::CONT));
    }

    /// Half of the time is over: the rest is asked, if it was not, and has the other half.
    fn half_time(&mut self, force: &mut Force, half: Duration, effects: &mut Vec<Effect>) {
        if matches!(force, Force::First(_)) {
            effects.push(Effect::AskRest);
        }
        self.arm(half, effects);
        *force = Force::Asked;
    }

    pub(super) fn finish(&mut self, run: Run, end: Ended, then: Then, effects: &mut Vec<Effect>) -> State {
        match (then, self.policy.on_exit) {
            (Then::Restart, _) => {
                self.record.forget();
                effects.push(Effect::Finished { run, end: end.clone(), again: Some(Duration::ZERO) });
                self.begin(Some(end), effects)
            }
            (Then::Policy, OnExit::Restart) => match self.record.ended(&end) {
                Verdict::Again(delay) => {
                    effects.push(Effect::Finished { run, end: end.clone(), again: Some(delay) });
                    self.arm(delay, effects);
                    State::Backoff { end }
                }
                Verdict::GiveUp => {
                    effects.push(Effect::Finished { run, end: end.clone(), again: None });
                    State::Crashed { end }
                }
            },
            (Then::Rest, _) | (Then::Policy, OnExit::Stop | OnExit::Ignore) => {
                effects.push(Effect::Finished { run, end: end.clone(), again: None });
                State::Over { end }
            }
        }
    }

    /// The next run, or the wait before it; `last` is the end of the one before.
    fn begin(&mut self, last: Option<Ended>, effects: &mut Vec<Effect>) -> State {
        if self.wait.is_none() && !self.is_held {
            return self.spawn(effects);
        }
        self.begin_wait(effects);
        State::Waiting(Waiting { epoch: self.epoch, last })
    }

    pub(super) fn next_run(&mut self) -> Run {
        self.runs += 1;
        Run { slot: self.slot, number: self.runs }
    }

    pub(super) fn spawn(&mut self, effects: &mut Vec<Effect>) -> State {
        let run = self.next_run();
        effects.push(Effect::Spawn(run));
        State::Starting { run, then: Then::Policy }
    }

    pub(super) fn arm(&mut self, after: Duration, effects: &mut Vec<Effect>) {
        self.epoch = Epoch(self.epoch.0 + 1);
        effects.push(Effect::Arm(self.epoch, after));
    }
}
