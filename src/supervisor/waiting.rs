//! One process that is to start and waits for something. A part of the [`Machine`]; pure.
//!
//! What it waits for is the [`Fleet`](super::fleet::Fleet)'s to know. A wait comes before every run,
//! also before the next one of a process that is started again: what it needs may be gone by then.

use std::time::Duration;

use super::event::{Ended, Epoch};
use super::machine::{Effect, Input, Machine};
use super::state::{State, Then, Waiting};

impl Machine {
    /// Before each run from now on it waits, for so long at most; or, without a limit, not.
    pub fn wait(&mut self, limit: Option<Duration>) {
        self.wait = limit;
    }

    /// Its next run begins only after `release`. Time in which it is held is not time that it
    /// waits.
    pub fn hold(&mut self) {
        self.is_held = true;
    }

    /// Lets it begin; what it waits for, it waits for from now on.
    pub(super) fn release(&mut self) -> Vec<Effect> {
        self.is_held = false;
        match (self.state(), self.wait) {
            (State::Waiting(_), Some(_)) => self.step(Input::Restart),
            (State::Waiting(now), None) => self.step(Input::Go(now.epoch)),
            _ => Vec::new(),
        }
    }

    /// Begins a wait, or begins it again.
    pub(super) fn begin_wait(&mut self, effects: &mut Vec<Effect>) {
        if let Some(limit) = self.wait.filter(|_| !self.is_held) {
            self.arm(limit, effects);
        } else {
            self.epoch = Epoch(self.epoch.0 + 1);
            effects.push(Effect::Disarm);
        }
    }

    pub(super) fn waiting(&mut self, input: Input, now: Waiting, effects: &mut Vec<Effect>) -> State {
        match input {
            Input::Go(epoch) if epoch == now.epoch => {
                effects.push(Effect::Disarm);
                self.spawn(effects)
            }
            Input::Timeout(epoch) if epoch == now.epoch => {
                effects.push(Effect::OutOfTime(epoch));
                State::Waiting(now)
            }
            Input::GiveUp(epoch, error) if epoch == now.epoch => {
                effects.push(Effect::Disarm);
                // To wait is an attempt to run. One that has never run would only wait again.
                let then = if self.runs == 0 { Then::Rest } else { Then::Policy };
                let run = self.next_run();
                self.record.waited();
                self.finish(run, Ended::NotStarted(error), then, effects)
            }
            Input::Restart => {
                // Somebody wants it now: it has all its time again.
                self.begin_wait(effects);
                State::Waiting(Waiting { epoch: self.epoch, ..now })
            }
            Input::Stop | Input::Kill => {
                effects.push(Effect::Disarm);
                now.last.map_or(State::Down, |end| State::Over { end })
            }
            Input::Start
            | Input::Spawned(..)
            | Input::SpawnFailed(..)
            | Input::Exited(..)
            | Input::FirstEnded(_)
            | Input::GroupEmpty(_)
            | Input::OutputClosed(_)
            | Input::Timeout(_)
            | Input::Go(_)
            | Input::GiveUp(..) => State::Waiting(now),
        }
    }
}
