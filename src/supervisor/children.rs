//! What the driver does to the world, as a trait: tests have processes in its place that die on command.
//! The one real implementation is [`crate::cmd`]'s.

use std::time::Duration;

use super::event::{Ended, Event, Left, Pgid, Run, Slot, StartError};
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
    /// Signals what is left of groups whose leaders were reaped.
    fn signal_rest(&mut self, groups: &[(Pgid, Sig)]);
    /// Makes room for one more process, at the next slot.
    fn hire(&mut self, spec: ProcessSpec);
    /// The next run of the process is to be as `spec` says.
    fn change(&mut self, slot: Slot, spec: ProcessSpec);
    /// What the process was started with, or is to be.
    fn environment(&self, slot: Slot) -> Environment;
    /// Who has a port that a process is to get, if anybody has.
    fn port_holder(&mut self, port: Port) -> Option<Holder>;
    /// Asks processes of the present run to stop. Its leader has not been reaped.
    fn ask(&mut self, slot: Slot, pgid: Pgid, sig: Sig, whom: Whom);
    /// Returns for each, whose leader is dead, whether any of those is alive that were asked first. What they
    /// have left is asked too.
    fn first_are_left(&mut self, slots: &[Slot]) -> Vec<bool>;
    /// Looks at all that belongs to each of these, and does what they say. Returns for each what there is
    /// outside of its group. `running` are all slots that have a group. One scan of all processes of the
    /// machine, which takes milliseconds, serves all of them.
    fn look(&mut self, of: &[Look], running: &[Slot]) -> Vec<Vec<Left>>;
    /// Looks for something from now on; what is found comes as a [`Message::Found`](super::driver::Message::Found).
    fn watch(&mut self, id: WatchId, watch: &Watch);
    /// Looks no longer, and ends what looks.
    fn unwatch(&mut self, id: WatchId);
    /// Whether nobody is left in the group.
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
    /// All groups are stopped. What left them is to be stopped too; then ganger itself may stop.
    fn suspended(&mut self);
    /// All groups continue; so does what left them.
    fn resumed(&mut self);
    /// Our terminal has another size.
    fn resized(&mut self);
}

/// What is to be done with all that belongs to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Where the run is.
    pub slot: Slot,
    /// Whether what has left its session is asked or killed too.
    pub strays: bool,
    /// What is done.
    pub act: Act,
}

/// See [`Look`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Look,
    /// What was not asked to stop is asked.
    Ask,
    /// It is killed.
    Kill,
}

/// Who has a port: pid and command, where the system tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(pub Option<(u32, String)>);
