//! What is left of processes whose leaders are dead, and what was not asked to stop yet.
//!
//! A part of the [`Driver`]. It takes long for many processes at once, so it is done bit by bit, between
//! messages, and everything that needs a scan of all processes is collected meanwhile: one scan serves all.

use std::collections::VecDeque;

use super::children::{Act, Children};
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
    /// What is being looked at, until that is known.
    looks: Option<Vec<Look>>,
}

/// A run whose belongings are looked at.
#[derive(Debug)]
struct Look {
    run: Run,
    /// Whether its group was empty when the look began: then the run is over once nothing else is left.
    is_empty: bool,
    /// What was ordered.
    act: Option<Act>,
}

impl<C: Children> Driver<C> {
    /// Signals wait until all due timers have fired: those of many processes fire together.
    pub(super) fn has_chores(&self) -> bool {
        let Chores { look, cleared, rest, looks } = &self.chores;
        let is_to_look = *look || !rest.is_empty() && !self.timers.is_any_due();
        !cleared.is_empty() || looks.is_none() && is_to_look
    }

    pub(super) fn do_chore(&mut self) {
        if let Some(run) = self.chores.cleared.pop_front() {
            // This may start it again.
            return self.one(run.slot, machine::Input::GroupEmpty(run));
        }
        let empty = if std::mem::take(&mut self.chores.look) { self.empty_groups() } else { Vec::new() };
        let rest = if self.timers.is_any_due() { Vec::new() } else { std::mem::take(&mut self.chores.rest) };
        self.look(empty, rest);
    }

    /// Returns the runs whose groups have to become empty and are.
    fn empty_groups(&mut self) -> Vec<Run> {
        self.look_at_first();
        let draining: Vec<(Run, Pgid)> = self.fleet.draining_groups().collect();
        let is_empty = |(run, pgid): (Run, Pgid)| self.children.group_is_empty(pgid).then_some(run);
        draining.into_iter().filter_map(is_empty).collect()
    }

    /// Looks at what belongs to runs: whether anything is left outside of those groups that are empty, and
    /// what was ordered to be asked or killed meanwhile.
    fn look(&mut self, empty: Vec<Run>, rest: Vec<(Run, Act)>) {
        let look = |run| Look { run, is_empty: true, act: None };
        let mut looks: Vec<Look> = empty.into_iter().map(look).collect();
        for (run, act) in rest.into_iter().filter(|(run, _)| self.is_present(*run)) {
            // The last order counts.
            match looks.iter_mut().find(|look| look.run == run) {
                Some(look) => look.act = Some(act),
                None => looks.push(Look { run, is_empty: false, act: Some(act) }),
            }
        }
        if looks.is_empty() {
            return;
        }
        let runs: Vec<Run> = looks.iter().map(|look| look.run).collect();
        let is_known = self.children.look(&runs, &self.running());
        self.chores.looks = Some(looks);
        if is_known {
            self.looked();
        }
    }

    fn is_present(&self, run: Run) -> bool {
        self.fleet.machine(run.slot).run() == Some(run)
    }

    /// Acts on what was found. What a run is like is asked now, since much may have happened during the look.
    pub(super) fn looked(&mut self) {
        for Look { run, is_empty, act } in self.chores.looks.take().unwrap_or_default() {
            if !self.is_present(run) {
                continue;
            }
            // Not only once: a scan may miss what changes its parent meanwhile.
            let usual = if self.fleet.is_asked(run.slot) { Act::Ask } else { Act::Look };
            let strays = self.fleet.clears(run.slot);
            let left = self.children.act(run, act.unwrap_or(usual), strays);
            self.note_background(run, &left);
            if is_empty && strays {
                self.tell_kept(run.slot);
            }
            if is_empty {
                self.left_outside(run, left.into_iter().filter(|it| strays || !it.is_stray).collect());
            }
        }
    }

    /// The group of this run is empty, and that is left outside of it: in its session, or as a stray that
    /// hinders the next run.
    fn left_outside(&mut self, run: Run, left: Vec<Left>) {
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

    /// Tells what the run at `slot` leaves running on purpose. At the end of everything, that is told together.
    fn tell_kept(&mut self, slot: Slot) {
        let programs = self.children.kept(slot);
        if self.fleet.phase() == Phase::Running && !programs.is_empty() {
            self.children.tell(Event::Kept { id: Some(self.id(slot)), programs });
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

    /// All that have a group.
    pub(super) fn running(&self) -> Vec<Slot> {
        let live = self.fleet.live_groups().map(|(slot, _)| slot);
        live.chain(self.fleet.draining_groups().map(|(run, _)| run.slot)).collect()
    }
}
