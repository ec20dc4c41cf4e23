//! What is left of processes whose leaders are dead, and what was not asked to stop yet.
//!
//! A part of the [`Driver`]. It takes long for many processes at once, so it is done bit by bit, between
//! messages, and everything that needs a scan of all processes is collected meanwhile: one scan serves all.

use std::collections::VecDeque;

use super::children::{Act, Children, Look};
use super::driver::Driver;
use super::event::{Epoch, Event, Left, LeftTo, Pgid, Run, Slot};
use super::fleet::Phase;
use super::leftovers::{Leftovers, SILENCE};
use super::machine;
use super::timers::Timer;

/// Work that takes long for many processes at once. It is done bit by bit, and each bit only when the
/// inbox is empty: Ctrl-C must not wait for all of it. Everything that needs a scan of all processes is
/// collected meanwhile, so that one scan serves all.
#[derive(Debug, Default)]
pub(super) struct Chores {
    /// A group may have become empty.
    pub(super) look: bool,
    /// Their groups are empty, and what left these groups is gone too.
    cleared: VecDeque<Run>,
    /// Whatever belongs to these runs is asked or killed.
    rest: Vec<(Run, Act)>,
}

impl<C: Children> Driver<C> {
    /// Signals wait until all due timers have fired: those of many processes fire together.
    pub(super) fn has_chores(&self) -> bool {
        let Chores { look, cleared, rest } = &self.chores;
        *look || !cleared.is_empty() || !rest.is_empty() && !self.timers.is_any_due()
    }

    pub(super) fn do_chore(&mut self) {
        if let Some(run) = self.chores.cleared.pop_front() {
            // This may start it again.
            self.one(run.slot, machine::Input::GroupEmpty(run));
        } else if std::mem::take(&mut self.chores.look) {
            self.look_at_groups();
        } else {
            self.signal_rest();
        }
    }

    /// Checks which of the groups that have to become empty are, and whether nothing is left outside of them
    /// that belongs to their processes: in their session, or as a stray that hinders the next run.
    fn look_at_groups(&mut self) {
        self.look_at_first();
        let draining: Vec<(Run, Pgid)> = self.fleet.draining_groups().collect();
        let is_empty = |(run, pgid): (Run, Pgid)| self.children.group_is_empty(pgid).then_some(run);
        let empty: Vec<Run> = draining.into_iter().filter_map(is_empty).collect();
        if empty.is_empty() {
            return;
        }
        let look = |run: &Run| {
            // Not only once: a scan may miss what changes its parent meanwhile.
            let act = if self.fleet.is_asked(run.slot) { Act::Ask } else { Act::Look };
            Look { slot: run.slot, strays: self.fleet.clears(run.slot), act }
        };
        let looks: Vec<Look> = empty.iter().map(look).collect();
        let found = self.children.look(&looks, &self.running());
        for ((run, look), left) in empty.into_iter().zip(looks).zip(found) {
            self.note_background(run, &left);
            let left: Vec<Left> = left.into_iter().filter(|it| look.strays || !it.is_stray).collect();
            let is_clear = left.is_empty();
            let strays = Leftovers::strays(&left);
            if self.leftovers.seen(run, left) {
                self.timers.arm(Timer::Silence(run.slot), Epoch(0), SILENCE);
                if self.fleet.phase() == Phase::Running && !strays.is_empty() {
                    let id = self.id(run.slot);
                    self.children.tell(Event::Left { id, programs: strays, what: LeftTo::Stop });
                }
            }
            if is_clear {
                self.timers.disarm(Timer::Silence(run.slot));
                self.chores.cleared.push_back(run);
            }
        }
    }

    /// Notes what a process has left that ended by itself. It may be gone by the time that this end is reported.
    fn note_background(&mut self, run: Run, left: &[Left]) {
        let strays = Leftovers::strays(left);
        if self.fleet.ended_by_itself(run.slot) && !strays.is_empty() {
            self.background.entry(run).or_insert(strays);
        }
    }

    /// Tells what is done with what the run at `slot` has left. Returns whether there is anything.
    pub(super) fn tell_left(&mut self, slot: Slot, what: LeftTo) -> bool {
        let run = self.fleet.machine(slot).run();
        let Some(programs) = run.and_then(|run| self.leftovers.of(run)) else { return false };
        self.children.tell(Event::Left { id: self.id(slot), programs, what });
        true
    }

    /// Checks where all are dead that were asked first: then the others are asked.
    fn look_at_first(&mut self) {
        let waiting: Vec<Run> = self.fleet.await_first().collect();
        if waiting.is_empty() {
            return;
        }
        let slots: Vec<Slot> = waiting.iter().map(|run| run.slot).collect();
        let left = self.children.first_are_left(&slots);
        for (run, _) in waiting.into_iter().zip(left).filter(|(_, is_left)| !is_left) {
            self.one(run.slot, machine::Input::FirstEnded(run));
        }
    }

    pub(super) fn rest(&mut self, slot: Slot, act: Act) {
        if let Some(run) = self.fleet.machine(slot).run() {
            self.chores.rest.push((run, act));
        }
    }

    /// Asks or kills whatever belongs to runs, as was ordered meanwhile.
    fn signal_rest(&mut self) {
        let rest = std::mem::take(&mut self.chores.rest);
        let mut looks: Vec<Look> = Vec::new();
        for (run, act) in rest {
            if self.fleet.machine(run.slot).run() != Some(run) {
                continue;
            }
            let strays = self.fleet.clears(run.slot);
            // The last order counts.
            looks.retain(|look| look.slot != run.slot);
            looks.push(Look { slot: run.slot, strays, act });
        }
        if !looks.is_empty() {
            let found = self.children.look(&looks, &self.running());
            for (look, left) in looks.iter().zip(found) {
                if let Some(run) = self.fleet.machine(look.slot).run() {
                    self.note_background(run, &left);
                }
            }
        }
    }

    /// All that have a group.
    pub(super) fn running(&self) -> Vec<Slot> {
        let live = self.fleet.live_groups().map(|(slot, _)| slot);
        live.chain(self.fleet.draining_groups().map(|(run, _)| run.slot)).collect()
    }
}
