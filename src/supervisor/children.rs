//! What the driver does to the world, as a trait: tests have processes in its place that die on command.
//! The one real implementation is [`crate::cmd`]'s.

use std::time::Duration;

use super::event::{Ended, Epoch, Event, Kept, Left, Pgid, Run, Slot, StartError};
use super::machine::Whom;
use super::watch::{Watch, WatchId};
use crate::config::environment::Environment;
use crate::model::{Port, Sig};
use crate::plan::ProcessSpec;

/// What the driver does to the world.
pub trait Children {
    /// Starts these in order: for each, tells [`Event::Started`], then sends its output on. Returns what
    /// became of the first of them, at least of one, in the same order. Once one has failed no other is begun;
    /// those that were being started beside it are among the results and run. It is up to the caller to start
    /// the rest.
    fn spawn(&mut self, runs: &[Run]) -> Vec<Result<Pgid, StartError>>;
    /// Signals a whole group whose leader has not been reaped.
    fn signal(&mut self, pgid: Pgid, sig: Sig);
    /// Signals the program of a group whose leader has not been reaped, without the shells that only run it.
    fn signal_program(&mut self, pgid: Pgid, sig: Sig);
    /// Signals what is left of groups whose leaders were reaped.
    fn signal_rest(&mut self, groups: &[(Pgid, Sig)]);
    /// Makes room for one more process, at the next slot.
    fn hire(&mut self, spec: ProcessSpec);
    /// The next run of the process is to be as `spec` says.
    fn change(&mut self, slot: Slot, spec: ProcessSpec);
    /// What the process was started with, or is to be.
    fn environment(&self, slot: Slot) -> Environment;
    /// Returns whether a port that a process is to get is in use.
    fn is_in_use(&mut self, port: Port) -> bool;
    /// Begins to look for the program that has the port. What is found comes as a [`Message::PortHolder`](super::driver::Message::PortHolder).
    fn find_holder(&mut self, port: Port);
    /// Asks processes of the present run to stop. Its leader has not been reaped.
    fn ask(&mut self, slot: Slot, pgid: Pgid, sig: Sig, whom: Whom);
    /// Returns for each, whose leader is dead, whether any of those is alive that were asked first. What they
    /// have left is asked too.
    fn first_are_left(&mut self, slots: &[Slot]) -> Vec<bool>;
    /// Begins to look for all that belongs to these runs. `running` are all slots that have a group. Returns
    /// whether that was quick enough to be done. If not, [`Message::Looked`](super::driver::Message::Looked) reports the end of the look, and
    /// no other may begin before that. One scan of all processes of the machine serves all of them.
    fn look(&mut self, of: &[Run], running: &[Slot]) -> bool;
    /// Does this to what the last look has found of the run, which is still the present one of its slot; to
    /// what has left its session only with `strays`. Returns what was found outside of its group.
    fn act(&mut self, run: Run, act: Act, strays: bool) -> Vec<Left>;
    /// Returns what [`Children::act`] has found since this was last asked that belongs to the present run and
    /// is left running on purpose. Each program once.
    fn kept(&mut self, slot: Slot) -> Vec<Kept> {
        let _ = slot;
        Vec::new()
    }
    /// Returns all that is left running on purpose.
    fn all_kept(&mut self) -> Vec<Kept> {
        Vec::new()
    }
    /// Looks for something from now on; what is found comes as a [`Message::Found`](super::driver::Message::Found).
    fn watch(&mut self, id: WatchId, watch: &Watch);
    /// Looks no longer, and ends what looks.
    fn unwatch(&mut self, id: WatchId);
    /// Returns whether the group is empty.
    fn group_is_empty(&mut self, pgid: Pgid) -> bool;
    /// The next dead child of any kind, not yet reaped: its pid and its end.
    fn next_dead(&mut self) -> Option<(i32, Ended)>;
    /// Reaps the child that [`Children::next_dead`] named.
    fn reap(&mut self, pid: i32);
    /// Reads what is there and closes the output of this run.
    fn close_output(&mut self, run: Run);
    /// Returns how long our output has taken nothing of what is being written; `None` while nothing is.
    fn output_blocked(&self) -> Option<Duration> {
        None
    }
    /// Tells people.
    fn tell(&mut self, event: Event);
    /// From now on everything is killed; what left its group is not to be asked any more either.
    fn killing(&mut self);
    /// The guard is dead, so that nothing else will ask what belongs to none of these.
    fn alone(&mut self, running: &[Slot]);
    /// All groups are stopped. Begins to stop what left them; [`Message::Suspended`](super::driver::Message::Suspended) reports the end of that
    /// with `epoch`.
    fn suspended(&mut self, epoch: Epoch);
    /// Everything is stopped. Now ganger itself may stop.
    fn stop_ganger(&mut self);
    /// All groups continue; so does what left them.
    fn resumed(&mut self);
    /// Our terminal has another size.
    fn resized(&mut self);
}

/// What is done to all that belongs to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Look,
    /// What was not asked to stop is asked.
    Ask,
    /// It is killed.
    Kill,
}
