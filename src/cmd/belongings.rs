//! What belongs to each process of the app besides its leader, and which of it was asked to stop.
//!
//! A part of [`OsChildren`](super::children::OsChildren). Nothing here decides when anybody is asked; that
//! is the machine's to say, and the driver collects what one scan of all processes can serve.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{InstanceId, Sig};
use crate::os::descendants::{self, Claim, Process, Tie};
use crate::os::{group, shells};
use crate::supervisor::driver::Act;
use crate::supervisor::event::{Left, Leftover, Pgid, Run, Slot};
use crate::supervisor::machine::Whom;

/// What belongs to the present runs.
#[derive(Debug, Default)]
pub(super) struct Belongings {
    of: HashMap<Slot, Belonging>,
    /// What the last look has found. It is written on another thread.
    found: Arc<Mutex<HashMap<Run, Vec<Found>>>>,
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
}

impl Belongings {
    /// A run has begun.
    pub(super) fn begins(&mut self, run: Run, id: &InstanceId, pid: i32) {
        let claim = Claim { pgid: pid, session: group::session_of(pid), mark: format!("PS={id}") };
        let asked = HashSet::new();
        let belonging = Belonging { run, claim, asked, group_is_asked: false, sig: Sig::TERM };
        self.of.insert(run.slot, belonging);
    }

    /// See [`Children::ask`](crate::supervisor::driver::Children::ask).
    pub(super) fn ask(&mut self, slot: Slot, pgid: Pgid, sig: Sig, whom: Whom) {
        let Some(it) = self.of.get_mut(&slot).filter(|it| it.claim.pgid == pgid.0) else { return };
        it.sig = sig;
        match (whom, descendants::look_at(pgid.0)) {
            (Whom::First, Some(leader)) => {
                // The shell comes first, so that it does not go on to its next program.
                for process in shells::through(leader, sig) {
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
        let orphans = self.strangers();
        let is_left = |slot: &Slot| {
            let Some(it) = self.of.get_mut(slot) else { return false };
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
        let (runs, claims): (Vec<Run>, Vec<Claim>) =
            running.iter().filter_map(|slot| self.of.get(slot).map(|it| (it.run, it.claim.clone()))).unzip();
        let (of, found): (HashSet<Run>, _) = (of.iter().copied().collect(), self.found.clone());
        Some(move || {
            let mut all: HashMap<Run, Vec<Found>> = HashMap::new();
            let claimed = if shows_all { descendants::claimed(&claims) } else { members(&claims) };
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
        let Some(it) = self.of.get_mut(&run.slot).filter(|it| it.run == run) else { return Vec::new() };
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
            match act {
                _ if tie == Tie::Stray && !strays => {}
                Act::Kill => descendants::signal(process, Sig::KILL),
                Act::Ask if tie == Tie::Group && it.group_is_asked || it.is_asked(&process) => {}
                Act::Ask => it.ask(process),
                Act::Look => {}
            }
            let left_group = name.map(|name| Leftover { name, pid: process.pid });
            left.extend(left_group.map(|program| Left { program, is_stray: tie == Tie::Stray }));
        }
        left
    }

    fn found(&self) -> MutexGuard<'_, HashMap<Run, Vec<Found>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the scan for what belongs to none of these runs.
    pub(super) fn unclaimed(&self, running: &[Slot]) -> impl FnOnce() -> Vec<Process> + Send + use<> {
        let claims = self.claims(running);
        move || {
            let claimed = descendants::claimed(&claims);
            let claimed: HashSet<Process> = claimed.into_iter().map(|(.., process)| process).collect();
            descendants::find().into_iter().filter(|process| !claimed.contains(process)).collect()
        }
    }

    fn claims(&self, running: &[Slot]) -> Vec<Claim> {
        running.iter().filter_map(|slot| Some(self.of.get(slot)?.claim.clone())).collect()
    }

    /// Our children that are neither leaders of these runs nor of their terminals.
    fn strangers(&self) -> Vec<Process> {
        let is_known =
            |pid: i32| self.of.values().any(|it| it.claim.pgid == pid || it.claim.session == Some(pid));
        let unknown = descendants::children().into_iter().filter(|pid| !is_known(*pid));
        unknown.filter_map(descendants::look_at).filter(descendants::is_alive).collect()
    }

    /// Whether nothing can be left of runs whose leaders are dead: what a dead process leaves is our child, as
    /// we are a subreaper. That takes no look at all processes of the machine.
    fn has_nothing_left(&self, of: &[Run]) -> bool {
        if !descendants::lists_children() {
            return false;
        }
        let children = descendants::children();
        let is_dead = |run: &Run| self.of.get(&run.slot).is_none_or(|it| !children.contains(&it.claim.pgid));
        of.iter().all(is_dead) && self.strangers().is_empty()
    }
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

    /// Asks a process. One that is stopped does not react until it is continued.
    fn ask(&mut self, process: Process) {
        descendants::signal(process, self.sig);
        descendants::signal(process, Sig::CONT);
        self.asked.insert(process);
    }
}
