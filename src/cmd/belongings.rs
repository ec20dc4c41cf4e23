//! What belongs to each process of the app besides its leader, and which of it was asked to stop.
//!
//! A part of [`OsChildren`](super::children::OsChildren). Nothing here decides when anybody is asked; that
//! is the machine's to say, and the driver collects what one scan of all processes can serve.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{InstanceId, Sig};
use crate::os::descendants::{self, Claim, Process, Tie};
use crate::os::keep::Keep;
use crate::os::{group, shells};
use crate::supervisor::driver::Act;
use crate::supervisor::event::{Kept, Left, Leftover, Pgid, Run, Slot};
use crate::supervisor::machine::Whom;

/// What belongs to the present runs.
#[derive(Debug)]
pub(super) struct Belongings {
    runs: HashMap<Slot, Belonging>,
    /// The leaders of the runs and of their terminals, by pid.
    leaders: HashMap<i32, Slot>,
    /// What the last look has found. It is written on another thread.
    found: Arc<Mutex<HashMap<Run, Vec<Found>>>>,
    keep: Keep,
}

/// A process that was found, and its name if it is outside of the group.
#[derive(Debug)]
struct Found {
    process: Process,
    tie: Tie,
    name: Option<String>,
}

/// What belongs to one run.
#[derive(Debug)]
struct Belonging {
    run: Run,
    claim: Claim,
    /// What was asked one by one.
    asked: HashSet<Process>,
    /// Whether the group was asked as a whole.
    group_is_asked: bool,
    /// With what.
    sig: Sig,
    /// What was found that is left running.
    kept: HashSet<Process>,
    /// Those of it that were not reported.
    unreported: Vec<Kept>,
}

impl Belongings {
    pub(super) fn new(keep: Keep) -> Self {
        Self { runs: HashMap::new(), leaders: HashMap::new(), found: Arc::default(), keep }
    }

    /// A run has begun, so nothing is left of the one before.
    pub(super) fn begins(&mut self, run: Run, id: &InstanceId, pid: i32) {
        let claim = Claim { pgid: pid, session: group::session_of(pid), mark: format!("PS={id}") };
        let belonging = Belonging {
            run,
            claim,
            asked: HashSet::new(),
            group_is_asked: false,
            sig: Sig::TERM,
            kept: HashSet::new(),
            unreported: Vec::new(),
        };
        let new: Vec<i32> = leaders(&belonging.claim).collect();
        if let Some(old) = self.runs.insert(run.slot, belonging) {
            self.forget_leaders(run.slot, &old.claim, &new);
        }
        self.leaders.extend(new.into_iter().map(|pid| (pid, run.slot)));
    }

    fn forget_leaders(&mut self, slot: Slot, old: &Claim, new: &[i32]) {
        for pid in leaders(old) {
            // By now the number may be that of another run's leader, or of the new one.
            if self.leaders.get(&pid) == Some(&slot) && !new.contains(&pid) {
                self.leaders.remove(&pid);
                self.keep.sessions().remove(pid);
            }
        }
    }

    /// See [`Children::ask`](crate::supervisor::driver::Children::ask).
    pub(super) fn ask(&mut self, slot: Slot, pgid: Pgid, sig: Sig, whom: Whom) {
        let keep = &self.keep;
        let Some(it) = self.runs.get_mut(&slot).filter(|it| it.claim.pgid == pgid.0) else { return };
        it.sig = sig;
        match (whom, descendants::look_at(pgid.0)) {
            (Whom::First, Some(leader)) => {
                // The shell comes first, so that it does not go on to its next program.
                for process in shells::through(leader, sig, |process| keep.why(process).is_some()) {
                    it.ask(process);
                }
            }
            (Whom::Group, _) | (Whom::First, None) => {
                it.group_is_asked = true;
                group::signal(pgid.0, sig);
            }
        }
    }

    /// See [`Children::first_are_left`](crate::supervisor::driver::Children::first_are_left).
    pub(super) fn first_are_left(&mut self, slots: &[Slot]) -> Vec<bool> {
        // What a dead one of them has left is ours now.
        let orphans = self.strangers(&descendants::children());
        let is_left = |slot: &Slot| {
            let Some(it) = self.runs.get_mut(slot) else { return false };
            for process in &orphans {
                if Some(process.session) == it.claim.session && !it.is_asked(process) {
                    it.ask(*process);
                }
            }
            it.asked.iter().any(descendants::is_alive)
        };
        slots.iter().map(is_left).collect()
    }

    /// See [`Children::look`](crate::supervisor::driver::Children::look). Returns the scan that it takes, if
    /// it takes one. That may last: not for the driver's thread.
    pub(super) fn look(&mut self, of: &[Run], running: &[Slot]) -> Option<impl FnOnce() + Send + use<>> {
        self.found().clear();
        let shows_all = descendants::sees_all();
        if cfg!(not(target_os = "linux")) || shows_all && self.has_nothing_left(of) {
            return None;
        }
        let (runs, claims): (Vec<Run>, Vec<Claim>) = running
            .iter()
            .filter_map(|slot| self.runs.get(slot).map(|it| (it.run, it.claim.clone())))
            .unzip();
        let (of, found): (HashSet<Run>, _) = (of.iter().copied().collect(), self.found.clone());
        let keep = self.keep.clone();
        Some(move || {
            let mut all: HashMap<Run, Vec<Found>> = HashMap::new();
            let claimed = if shows_all { descendants::claimed(&claims, &keep) } else { members(&claims) };
            for (place, tie, process) in claimed.into_iter().filter(|(place, ..)| of.contains(&runs[*place]))
            {
                let name = (tie != Tie::Group).then(|| descendants::name(process));
                all.entry(runs[place]).or_default().push(Found { process, tie, name });
            }
            *found.lock().unwrap_or_else(PoisonError::into_inner) = all;
        })
    }

    /// See [`Children::act`](crate::supervisor::driver::Children::act).
    pub(super) fn act(&mut self, run: Run, act: Act, strays: bool) -> Vec<Left> {
        let found = self.found().remove(&run).unwrap_or_default();
        let Some(it) = self.runs.get_mut(&run.slot).filter(|it| it.run == run) else { return Vec::new() };
        if !descendants::sees_all() {
            // A child of ours is in the group, so the number is still its own. Elsewhere the number is all
            // there is.
            if act == Act::Kill && (!found.is_empty() || cfg!(not(target_os = "linux"))) {
                group::signal(it.claim.pgid, Sig::KILL);
            }
            return Vec::new();
        }
        let mut left = Vec::new();
        for Found { process, tie, name } in found {
            let program = name.map(|name| Leftover { name, pid: process.pid });
            if let (Tie::Kept(by), Some(program)) = (tie, &program) {
                it.keep(process, Kept { program: program.clone(), by });
                continue;
            }
            match act {
                _ if tie == Tie::Stray && !strays => {}
                Act::Kill => descendants::signal(process, Sig::KILL),
                Act::Ask if tie == Tie::Group && it.group_is_asked || it.is_asked(&process) => {}
                Act::Ask => it.ask(process),
                Act::Look => {}
            }
            left.extend(program.map(|program| Left { program, is_stray: tie == Tie::Stray }));
        }
        left
    }

    fn found(&self) -> MutexGuard<'_, HashMap<Run, Vec<Found>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Children::kept`](crate::supervisor::driver::Children::kept).
    pub(super) fn kept(&mut self, slot: Slot) -> Vec<Kept> {
        self.runs.get_mut(&slot).map(|it| std::mem::take(&mut it.unreported)).unwrap_or_default()
    }

    /// See [`Children::all_kept`](crate::supervisor::driver::Children::all_kept).
    pub(super) fn all_kept(&self) -> Vec<Kept> {
        if descendants::lists_children() && self.strangers(&descendants::children()).is_empty() {
            return Vec::new();
        }
        let kept = descendants::find_sorted(&self.keep.at_the_end()).kept.into_iter();
        let program = |process: Process| Leftover { name: descendants::name(process), pid: process.pid };
        kept.map(|(process, by)| Kept { program: program(process), by }).collect()
    }

    /// Returns the scan for what belongs to none of these runs, and is not kept.
    pub(super) fn unclaimed(&self, running: &[Slot]) -> impl FnOnce() -> Vec<Process> + Send + use<> {
        let (claims, keep) = (self.claims(running), self.keep.clone());
        move || {
            let claimed = descendants::claimed(&claims, &keep);
            let claimed: HashSet<Process> = claimed.into_iter().map(|(.., process)| process).collect();
            let all = descendants::find_sorted(&keep).ending;
            all.into_iter().filter(|process| !claimed.contains(process)).collect()
        }
    }

    fn claims(&self, running: &[Slot]) -> Vec<Claim> {
        running.iter().filter_map(|slot| Some(self.runs.get(slot)?.claim.clone())).collect()
    }

    /// Those of our children that are neither leaders of these runs nor of their terminals.
    fn strangers(&self, children: &[i32]) -> Vec<Process> {
        let unknown = children.iter().filter(|pid| !self.leaders.contains_key(pid));
        unknown.filter_map(|pid| descendants::look_at(*pid)).filter(descendants::is_alive).collect()
    }

    /// Whether nothing can be left of runs whose leaders are dead: what a dead process leaves is our child, as
    /// we are a subreaper. That takes no look at all processes of the machine.
    fn has_nothing_left(&self, of: &[Run]) -> bool {
        if !descendants::lists_children() {
            return false;
        }
        let mut children = descendants::children();
        children.sort_unstable();
        let is_alive = |pid: i32| children.binary_search(&pid).is_ok();
        let is_dead = |run: &Run| self.runs.get(&run.slot).is_none_or(|it| !is_alive(it.claim.pgid));
        of.iter().all(is_dead) && self.strangers(&children).is_empty()
    }
}

/// The leader of a run, and that of its terminal.
fn leaders(claim: &Claim) -> impl Iterator<Item = i32> + use<> {
    [Some(claim.pgid), claim.session].into_iter().flatten()
}

/// Where `/proc` does not show us: our children in these groups.
fn members(claims: &[Claim]) -> Vec<(usize, Tie, Process)> {
    let claim = |process: &Process| claims.iter().position(|claim| claim.pgid == process.pgid);
    let all = descendants::find().into_iter();
    all.filter_map(|process| Some((claim(&process)?, Tie::Group, process))).collect()
}

impl Belonging {
    fn is_asked(&self, process: &Process) -> bool {
        self.asked.contains(process)
    }

    fn keep(&mut self, process: Process, program: Kept) {
        if self.kept.insert(process) {
            self.unreported.push(program);
        }
    }

    /// Asks a process. One that is stopped does not react until it is continued.
    fn ask(&mut self, process: Process) {
        descendants::signal(process, self.sig);
        descendants::signal(process, Sig::CONT);
        self.asked.insert(process);
    }
}
