//! How processes end: what their deaths lead to, and what is reported. A part of the [`Driver`].

use std::time::Duration;

use tokio::time::Instant;

use super::children::Children;
use super::driver::Driver;
use super::event::{Consequence, Ended, Event, Run, Slot, StartError};
use super::fleet::Cause;
use super::machine;

/// An end that was not told yet.
#[derive(Debug)]
pub(super) struct Untold {
    pub(super) run: Run,
    pub(super) end: Ended,
    pub(super) after: Duration,
    pub(super) again: Option<Duration>,
    /// What the user can do about it.
    pub(super) hint: Option<String>,
}

impl<C: Children> Driver<C> {
    /// Learns of every death. A leader's is decided on while its pid is still its own; a
    /// stranger (an orphan that came to us) is only reaped.
    pub(super) fn bury(&mut self) {
        while let Some((pid, end)) = self.children.next_dead() {
            if let Some(run) = self.leaders.remove(&pid) {
                if let Some((_, ended)) = self.times.get_mut(&run.slot) {
                    *ended = Some(Instant::now());
                }
                self.one(run.slot, machine::Input::Exited(run, end));
            }
            self.children.reap(pid);
        }
        self.chores.look = true;
    }

    /// Tells of ends once it is known what they lead to.
    pub(super) fn tell_ends(&mut self) {
        if self.fleet.is_undecided() {
            return;
        }
        for Untold { run, end, after, again, hint } in std::mem::take(&mut self.untold) {
            let again =
                again.filter(|_| self.fleet.machine(run.slot).runs() != run.number || !self.is_ending());
            let then = self.fleet.consequence(run, again);
            self.children.tell(if self.fleet.last() == Some(run.slot) {
                let program = self.members[run.slot.0].command.to_string_lossy().into_owned();
                Event::CommandEnded { program, end, after, then }
            } else {
                Event::Ended { id: self.id(run.slot), end, after, then }
            });
            if let Some(hint) = hint {
                self.children.tell(Event::Hint(hint));
            }
        }
    }

    /// From now on it is counted how long the process at `slot` runs.
    pub(super) fn begin_times(&mut self, slot: Slot) {
        self.times.insert(slot, (Instant::now(), None));
    }

    pub(super) fn ran_for(&self, slot: Slot) -> Option<Duration> {
        let (began, ended) = self.times.get(&slot)?;
        Some(ended.unwrap_or_else(Instant::now) - *began)
    }

    pub(super) fn report(&mut self) {
        let programs = self.children.all_kept();
        if !programs.is_empty() {
            self.children.tell(Event::Kept { id: None, programs });
        }
        // The end of a command has been told, and its last lines are on the screen.
        if let Some(Cause::Process { run, end }) = self.fleet.cause().cloned()
            && self.fleet.last() != Some(run.slot)
        {
            self.tell_of_last_that_never_ran();
            let (id, after) = (self.id(run.slot), self.ran_for(run.slot).unwrap_or_default());
            self.children.tell(Event::Report { id, end, after });
        }
    }

    /// Who reads the end wants to know whether the command has done anything.
    fn tell_of_last_that_never_ran(&mut self) {
        let Some(last) = self.fleet.last().filter(|last| self.fleet.machine(*last).runs() == 0) else {
            return;
        };
        let program = self.members[last.0].command.to_string_lossy().into_owned();
        let message = "everything ended before all were ready".into();
        let end = Ended::NotStarted(StartError { message, hint: None });
        self.children.tell(Event::CommandEnded {
            program,
            end,
            after: Duration::ZERO,
            then: Consequence::Nothing,
        });
    }
}
