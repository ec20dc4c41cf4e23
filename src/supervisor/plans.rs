//! Which files each process runs by.
//!
//! A part of the [`Driver`]. The files that were read last are the one owner of how a process is started: whenever
//! they change, everything that is known of processes follows, also of those that are none of ours now,
//! since one of them may be wanted again. Only what runs stays as it was started.

use std::sync::Arc;

use super::driver::{Children, Driver};
use super::event::Slot;
use crate::plan::{Planner, ProcessSpec};

impl<C: Children> Driver<C> {
    /// From here on these files are the app's.
    pub(super) fn adopt(&mut self, planner: Planner) {
        self.planner = Arc::new(planner);
        for slot in (0..self.members.len()).map(Slot) {
            self.renew(slot);
        }
    }

    /// Takes over what the files say of a process, if that has not been done. Where it is not part of them
    /// it cannot start either.
    pub(super) fn renew(&mut self, slot: Slot) {
        if self.is_planned(slot) || self.fleet.last() == Some(slot) {
            return;
        }
        let Ok(Some(spec)) = self.planner.instance(&self.members[slot.0].id) else { return };
        self.fleet.change(slot, spec.policy.clone());
        let member = &mut self.members[slot.0];
        member.waits.clone_from(&spec.waits);
        member.wait_limit = spec.wait_limit;
        member.ready.clone_from(&spec.ready);
        member.ready_is_said = spec.ready_is_said;
        if self.fleet.machine(slot).run().is_none() {
            member.command.clone_from(&spec.command);
            member.port = spec.port;
            self.plans[slot.0] = self.planner.clone();
            self.children.change(slot, spec);
        }
    }

    /// Whether the process runs, or will run, by the files that were read last.
    pub(super) fn is_planned(&self, slot: Slot) -> bool {
        Arc::ptr_eq(&self.plans[slot.0], &self.planner)
    }

    /// Whether the process runs, and would have to be started again to run as the files say now.
    pub(super) fn is_outdated(&self, slot: Slot) -> bool {
        if self.is_planned(slot) || self.fleet.machine(slot).run().is_none() {
            return false;
        }
        match self.planner.instance(&self.members[slot.0].id) {
            Ok(Some(new)) => self.differs(slot, &new),
            Ok(None) | Err(_) => true,
        }
    }

    /// Whether a process has to be started again to run as `new` says.
    pub(super) fn differs(&self, slot: Slot, new: &ProcessSpec) -> bool {
        match self.plans[slot.0].instance(&self.members[slot.0].id) {
            Ok(Some(old)) => old.differs(new),
            Ok(None) | Err(_) => true,
        }
    }
}
