//! What belongs to each process of the app besides its leader, and which of it was asked to stop.
//!
//! A part of [`OsChildren`](super::children::OsChildren). Nothing here decides when anybody is asked; that
//! is the machine's to say, and the driver collects what one scan of all processes can serve.

use std::collections::{HashMap, HashSet};

use crate::model::{InstanceId, Sig};
use crate::os::descendants::{self, Claim, Process, Tie};
use crate::os::{group, shells};
use crate::supervisor::driver::{Act, Look};
use crate::supervisor::event::{Left, Leftover, Pgid, Slot};
use crate::supervisor::machine::Whom;

/// What belongs to the present runs.
#[derive(Debug, Default)]
pub(super) struct Belongings(HashMap<Slot, Belonging>);

/// What belongs to one run.
#[derive(Debug)]
struct Belonging {
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
    pub(super) fn begins(&mut self, slot: Slot, id: &InstanceId, pid: i32) {
        let claim = Claim { pgid: pid, session: group::session_of(pid), mark: format!("PS={id}") };
        let belonging = Belonging { claim, asked: HashSet::new(), group_is_asked: false, sig: Sig::TERM };
        self.0.insert(slot, belonging);
    }

    /// See [`Children::ask`](crate::supervisor::driver::Children::ask).
    pub(super) fn ask(&mut self, slot: Slot, pgid: Pgid, sig: Sig, whom: Whom) {
        let Some(it) = self.0.get_mut(&slot).filter(|it| it.claim.pgid == pgid.0) else { return };
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
            let Some(it) = self.0.get_mut(slot) else { return false };
            for process in &orphans {
                if Some(process.session) == it.claim.session && !it.is_asked(process) {
                    it.ask(*process);
                }
            }
            it.asked.iter().any(descendants::is_alive)
        };
        slots.iter().map(is_left).collect()
    }

    /// See [`Children::look`](crate::supervisor::driver::Children::look).
    pub(super) fn look(&mut self, of: &[Look], running: &[Slot]) -> Vec<Vec<Left>> {
        let mut left = vec![Vec::new(); of.len()];
        if !descendants::sees_all() {
            let signal = |look: &Look| match look.act {
                Act::Kill => Some((self.0.get(&look.slot)?.claim.pgid, Sig::KILL)),
                Act::Look | Act::Ask => None,
            };
            group::signal_rest(&of.iter().filter_map(signal).collect::<Vec<_>>());
            return left;
        }
        if self.has_nothing_left(of) {
            return left;
        }
        let running: Vec<Slot> = running.iter().copied().filter(|slot| self.0.contains_key(slot)).collect();
        for (place, tie, process) in descendants::claimed(&self.claims(&running)) {
            let Some(at) = of.iter().position(|look| look.slot == running[place]) else { continue };
            let look = &of[at];
            let Some(it) = self.0.get_mut(&look.slot) else { continue };
            match look.act {
                _ if tie == Tie::Stray && !look.strays => {}
                Act::Kill => descendants::signal(process, Sig::KILL),
                Act::Ask if tie == Tie::Group && it.group_is_asked || it.is_asked(&process) => {}
                Act::Ask => it.ask(process),
                Act::Look => {}
            }
            if tie != Tie::Group {
                let program = Leftover { name: descendants::name(process), pid: process.pid };
                left[at].push(Left { program, is_stray: tie == Tie::Stray });
            }
        }
        left
    }

    /// What belongs to none of these runs.
    pub(super) fn unclaimed(&self, running: &[Slot]) -> Vec<Process> {
        let claimed = descendants::claimed(&self.claims(running));
        let claimed: HashSet<Process> = claimed.into_iter().map(|(.., process)| process).collect();
        descendants::find().into_iter().filter(|process| !claimed.contains(process)).collect()
    }

    fn claims(&self, running: &[Slot]) -> Vec<Claim> {
        running.iter().filter_map(|slot| Some(self.0.get(slot)?.claim.clone())).collect()
    }

    /// Our children that are neither leaders of these runs nor of their terminals.
    fn strangers(&self) -> Vec<Process> {
        let is_known =
            |pid: i32| self.0.values().any(|it| it.claim.pgid == pid || it.claim.session == Some(pid));
        let unknown = descendants::children().into_iter().filter(|pid| !is_known(*pid));
        unknown.filter_map(descendants::look_at).filter(descendants::is_alive).collect()
    }

    /// Whether nothing can be left of runs whose leaders are dead: what a dead process leaves is our child, as
    /// we are a subreaper. That takes no look at all processes of the machine.
    fn has_nothing_left(&self, of: &[Look]) -> bool {
        if !descendants::lists_children() {
            return false;
        }
        let children = descendants::children();
        let is_dead =
            |look: &Look| self.0.get(&look.slot).is_none_or(|it| !children.contains(&it.claim.pgid));
        of.iter().all(is_dead) && self.strangers().is_empty()
    }
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
