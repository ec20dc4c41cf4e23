//! Starting processes, those together that the fleet wants together. A part of the [`Driver`].

use std::collections::VecDeque;

use tokio::time::Instant;

use super::busy::Failing;
use super::children::Children;
use super::driver::Driver;
use super::event::{Pgid, Run, Slot, StartError};
use super::fleet::{self, Effect};
use super::machine;
use crate::model::Port;

impl<C: Children> Driver<C> {
    /// Takes from `effects` all that are to be started together with `first`: those that follow with nothing
    /// between them but timers, which are of other processes and are set at once.
    pub(super) fn batch(&mut self, first: Run, effects: &mut VecDeque<Effect>) -> Vec<Run> {
        use machine::Effect::{Arm, Disarm, Spawn};
        let mut runs = vec![first];
        while let Some(Effect::One(_, Spawn(_) | Arm(..) | Disarm)) = effects.front() {
            match effects.pop_front() {
                Some(Effect::One(_, Spawn(run))) => runs.push(run),
                Some(Effect::One(slot, timer)) => self.perform(slot, timer),
                _ => {}
            }
        }
        runs
    }

    /// Starts these in order, and returns what the fleet wants in response. It learns of all that were
    /// started together before any of that is done: what is done then finds every process that runs known.
    ///
    /// After a failure the others are started only if the fleet still wants them. A process that was being
    /// started beside the one that failed runs, and is stopped like all others if everything ends.
    pub(super) fn spawn(&mut self, runs: Vec<Run>) -> Vec<Effect> {
        let mut effects = Vec::new();
        // Before the first of them is started: afterwards a port in use may be its own.
        let mut left: VecDeque<(Run, Option<Port>)> =
            runs.into_iter().map(|run| (run, self.busy_port(run.slot))).collect();
        for (run, _) in &left {
            self.times.remove(&run.slot);
        }
        while let Some((run, busy)) = left.pop_front() {
            if !self.fleet.wants(run) {
                effects.extend(self.feed(machine::Input::SpawnFailed(run, withdrawn()), run.slot));
            } else if let Some(port) = busy {
                self.begin_times(run.slot);
                self.fails(port, Failing::Start(run));
            } else {
                let others = left.iter().take_while(|(run, busy)| busy.is_none() && self.fleet.wants(*run));
                let batch: Vec<Run> = [run].into_iter().chain(others.map(|(run, _)| *run)).collect();
                let began = Instant::now();
                let results = self.children.spawn(&batch);
                left.drain(..results.len().saturating_sub(1));
                for (run, result) in batch.into_iter().zip(results) {
                    self.times.insert(run.slot, (began, None));
                    effects.extend(self.spawned(run, result));
                }
            }
        }
        effects
    }

    fn spawned(&mut self, run: Run, result: Result<Pgid, StartError>) -> Vec<Effect> {
        let slot = run.slot;
        let pgid = match result {
            Ok(pgid) => pgid,
            Err(error) => return self.feed(machine::Input::SpawnFailed(run, error), slot),
        };
        self.leaders.insert(pgid.0, run);
        let mut effects = self.feed(machine::Input::Spawned(run, pgid), slot);
        if self.fleet.last() == Some(slot) {
            // It writes where it likes: nothing of it comes by us.
            effects.extend(self.feed(machine::Input::OutputClosed(run), slot));
        }
        effects
    }

    fn feed(&mut self, input: machine::Input, slot: Slot) -> Vec<Effect> {
        let effects = self.fleet.step(fleet::Input::One(slot, input));
        self.note_stop(false);
        effects
    }

    /// Returns the port of a process that a command wants up, if it is in use. At the start of everything all
    /// ports were tried before.
    fn busy_port(&mut self, slot: Slot) -> Option<Port> {
        let port = self.members[slot.0].port.filter(|_| self.fleet.is_ordered(slot))?;
        self.children.is_in_use(port).then_some(port)
    }
}

/// How a start ends that is not wanted any more.
pub(super) fn withdrawn() -> StartError {
    StartError { message: "not started".into(), hint: None }
}
