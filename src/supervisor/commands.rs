//! What the driver does for those who command it from outside.
//!
//! A part of the [`Driver`]: it runs on its task, between two messages, and never waits. What takes
//! its time is a [`Job`] that is looked at after each message and answered when it is done. What
//! happens to a process is the fleet's decision; which processes are meant is decided here, and
//! everything that can be wrong is found before the first of them is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::UnboundedSender;

use super::busy::Failing;
use super::command::{Answer, Command, Formation, Refused, Stage, Status, Unseen, What};
use super::driver::{Children, Driver, Member};
use super::event::{Ended, Event, Pgid, Slot};
use super::fleet::{self, Cause, Order, Phase};
use super::jobs::{Goal, Job};
use super::state::State;
use super::timers::Timer;
use crate::config::formation::{self, Target};
use crate::config::names::Names;
use crate::config::probe::ReadyProbe;
use crate::error::Error;
use crate::model::{InstanceId, Port, ProcessName, Recipients, Sig};
use crate::plan::{Planner, ProcessSpec, check_count};

/// What is to be ordered, slot by slot.
type Orders = Vec<(Slot, Order)>;

/// Why a command does nothing.
pub(super) enum Vain {
    /// It is refused.
    Refused(Refused),
    /// This process would not get its port. Which program has it is to be found.
    Busy { port: Port, id: InstanceId, is_pinned: bool },
}

impl Vain {
    /// The answer where no port is asked for.
    pub(super) fn refused(self) -> Refused {
        match self {
            Self::Refused(refused) => refused,
            Self::Busy { port, id, is_pinned } => {
                Error::PortInUse { port, id, is_pinned, holder: None }.into()
            }
        }
    }
}

impl<T: Into<Refused>> From<T> for Vain {
    fn from(refused: T) -> Self {
        Self::Refused(refused.into())
    }
}

impl<C: Children> Driver<C> {
    pub(super) fn command(&mut self, command: Command) {
        let Command { what, answer } = command;
        if let Some(refused) = self.refusal(&what) {
            // Whoever asked may have gone.
            return drop(answer.send(Answer::Refused(refused)));
        }
        let done = match what {
            What::Status => {
                let all = self.slots().filter(|slot| self.is_shown(*slot));
                Ok(Answer::Status(all.map(|slot| self.status(slot)).collect(), self.formation()))
            }
            What::Environment(id) => self.environment(&id),
            What::Signal { sig, names, to } => self.signal_named(sig, &names, to),
            What::Wait { names, now } => return self.wait(&names, now, answer),
            What::End => {
                self.step(fleet::Input::End);
                Ok(Answer::Ending)
            }
            What::Order { names, order, wait } => match self.named(&names, order) {
                Ok(orders) => return self.carry_out(orders, wait, answer),
                Err(Vain::Busy { port, id, is_pinned }) => {
                    return self.fails(port, Failing::Command { id, is_pinned, answer });
                }
                Err(Vain::Refused(refused)) => Err(refused),
            },
            What::Scale { counts, wait } => match self.scaled(&counts) {
                Ok(orders) => return self.carry_out(orders, wait, answer),
                Err(Vain::Busy { port, id, is_pinned }) => {
                    return self.fails(port, Failing::Command { id, is_pinned, answer });
                }
                Err(Vain::Refused(refused)) => Err(refused),
            },
            What::Reload { planner, wait } => match self.reloaded(*planner) {
                Ok(orders) => {
                    self.fleet.hold(&orders);
                    return self.carry_out(orders, wait, answer);
                }
                Err(refused) => Err(refused),
            },
        };
        let _ = answer.send(done.unwrap_or_else(Answer::Refused));
    }

    /// Why this is no time for it, if it is none.
    fn refusal(&self, what: &What) -> Option<Refused> {
        match what {
            // A process that is stopping can still be signaled, for a dump of its threads for example.
            What::Status
            | What::Environment(_)
            | What::Signal { .. }
            | What::End
            | What::Wait { now: true, .. } => None,
            What::Wait { .. } if self.fleet.phase() == Phase::Releasing => None,
            What::Order { .. } | What::Scale { .. } | What::Reload { .. } | What::Wait { .. } => {
                match self.fleet.phase() {
                    Phase::Running => None,
                    Phase::Releasing => {
                        let hint = "the processes start when it has ended".to_owned();
                        Some(failed("the release runs".to_owned(), Some(hint)))
                    }
                    Phase::Stopping | Phase::Killing | Phase::Done => {
                        Some(failed("everything is being stopped".to_owned(), None))
                    }
                }
            }
        }
    }

    fn carry_out(&mut self, orders: Orders, wait: bool, answer: UnboundedSender<Answer>) {
        let goals = self.order(orders);
        self.jobs.push(Job::new(goals, wait, answer));
    }

    /// Gives orders and says what is to come of them.
    fn order(&mut self, mut orders: Orders) -> Vec<Goal> {
        for (slot, order) in &mut orders {
            self.jobs.iter_mut().for_each(|job| job.supersede(*slot, *order));
            // What is to be up is to run as the files say.
            if *order == Order::Up && self.is_outdated(*slot) {
                *order = Order::Restart;
            }
        }
        let orders = self.fleet.in_turn(orders);
        let goal = |(slot, order): &(Slot, Order)| Goal::new(*slot, *order, self.fleet.machine(*slot));
        let goals = orders.iter().map(goal).collect();
        self.step(fleet::Input::Orders(orders));
        goals
    }

    /// Looks which jobs are done, and answers them.
    pub(super) fn settle(&mut self) {
        for mut job in std::mem::take(&mut self.jobs) {
            job.look(&self.fleet);
            if job.is_done() {
                let who = |slot: Slot| (self.members[slot.0].id.clone(), self.members[slot.0].port);
                let (done, answer) = job.done(who);
                let _ = answer.send(Answer::Done(done, self.formation()));
            } else if !job.is_abandoned() {
                self.jobs.push(job);
            }
        }
    }

    /// The processes that are meant, and what to do with each.
    pub(super) fn named(&mut self, names: &[String], order: Order) -> Result<Orders, Vain> {
        let wanted = Names::parse(names, &self.planner.types())?;
        let mut slots: Vec<Slot> = self.ours().collect();
        if names.is_empty() {
            // All, but what somebody stopped stays so.
            slots.retain(|slot| !self.fleet.is_left_alone(*slot));
        } else {
            slots.retain(|slot| wanted.contains(&self.members[slot.0].id));
            let found = |id: &InstanceId| slots.iter().any(|slot| self.members[slot.0].id == *id);
            if let Some(id) = wanted.instances().iter().find(|id| !found(id)) {
                return Err(no_instance(id).into());
            }
            let absent =
                |name: &&ProcessName| !slots.iter().any(|slot| self.members[slot.0].id.name == **name);
            // A name may be given twice.
            let mut seen = BTreeSet::new();
            let absent = wanted.types().iter().filter(absent).filter(|name| seen.insert(*name));
            let absent: Vec<InstanceId> = absent.map(|name| InstanceId::new(name.clone(), 1)).collect();
            match (order, absent.first()) {
                (Order::Up, _) => slots.extend(self.hire(&absent)?),
                (_, Some(id)) => return Err(no_instance(id).into()),
                (_, None) => {}
            }
        }
        if order == Order::Up {
            self.check_ports(&slots)?;
        }
        Ok(slots.into_iter().map(|slot| (slot, order)).collect())
    }

    /// Signals the processes that are meant: a named instance has to run, and of a type those that do.
    fn signal_named(&mut self, sig: Sig, names: &[String], to: Recipients) -> Result<Answer, Refused> {
        if names.is_empty() {
            let hint = "name a process, as in `ganger signal HUP web`".to_owned();
            return Err(Refused { is_usage: true, ..failed("a name is missing".to_owned(), Some(hint)) });
        }
        let wanted = Names::parse(names, &self.planner.types())?;
        let mut slots: Vec<Slot> = self.slots().filter(|slot| self.is_shown(*slot)).collect();
        slots.retain(|slot| wanted.contains(&self.members[slot.0].id));
        let live = |slot: &Slot| Some((*slot, self.fleet.machine(*slot).live_group()?));
        let live: Vec<(Slot, Pgid)> = slots.iter().filter_map(live).collect();
        for id in wanted.instances() {
            if !live.iter().any(|(slot, _)| self.members[slot.0].id == *id) {
                return Err(self.not_running(id, &slots));
            }
        }
        for name in wanted.types() {
            if !live.iter().any(|(slot, _)| self.members[slot.0].id.name == *name) {
                let first = slots.iter().map(|slot| &self.members[slot.0].id).find(|id| id.name == *name);
                let id = first.cloned().unwrap_or_else(|| InstanceId::new(name.clone(), 1));
                return Err(self.not_running(&id, &slots));
            }
        }
        let mut done = Vec::new();
        for (slot, pgid) in live {
            let id = self.id(slot);
            // Before it is sent: the lines that follow from it come after this one.
            self.children.tell(Event::Signaled { id: id.clone(), sig });
            match to {
                Recipients::Group => self.children.signal(pgid, sig),
                Recipients::Program => self.children.signal_program(pgid, sig),
            }
            done.push((id, pgid.0));
        }
        Ok(Answer::Signaled(sig, done))
    }

    /// Why a process among `slots` cannot be signaled.
    fn not_running(&self, id: &InstanceId, slots: &[Slot]) -> Refused {
        let Some(slot) = slots.iter().find(|slot| self.members[slot.0].id == *id) else {
            return no_instance(id);
        };
        let stage = self.stage(*slot);
        let hint = match stage {
            Stage::Waiting | Stage::Starting | Stage::Up => "`ganger ps` shows when it is up".to_owned(),
            Stage::Stopping | Stage::Stopped | Stage::Crashed => format!("start it with `ganger up {id}`"),
        };
        failed(format!("{id} is not running: it is {}", stage.as_str()), Some(hint))
    }

    /// What has to come and to go for these counts.
    fn scaled(&mut self, counts: &[String]) -> Result<Orders, Vain> {
        let wanted = self.counts(counts)?;
        check_count(wanted.values().copied())?;
        let (mut ups, mut downs) = (Vec::new(), Vec::new());
        for (name, count) in &wanted {
            ups.extend((1..=*count).map(|number| InstanceId::new(name.clone(), number)));
            let of_type = self.ours().filter(|slot| self.members[slot.0].id.name == *name);
            downs.extend(of_type.filter(|slot| self.members[slot.0].id.number > *count));
        }
        let ups = self.hire(&ups)?;
        self.check_ports(&ups)?;
        // The highest first.
        downs.sort_by_key(|slot| std::cmp::Reverse(self.members[slot.0].id.number));
        let downs = downs.into_iter().map(|slot| (slot, Order::Retire));
        Ok(downs.chain(ups.into_iter().map(|slot| (slot, Order::Up))).collect())
    }

    /// `web=2`, `all=0` as a count for each type that is meant.
    fn counts(&self, texts: &[String]) -> Result<BTreeMap<ProcessName, u16>, Refused> {
        let (types, mut counts) = (self.planner.types(), BTreeMap::new());
        let list = formation::Formation::parse(texts)?;
        for item in list.counts() {
            let Some(count) = item.count else {
                let hint = "write NAME=COUNT, as in `web=2`".to_owned();
                return Err(Refused {
                    is_usage: true,
                    ..failed("a count is missing".to_owned(), Some(hint))
                });
            };
            match &item.target {
                Target::Name(name) if !types.contains(name) => {
                    return Err(formation::unknown(name, &types).into());
                }
                Target::Name(name) => drop(counts.insert(name.clone(), count)),
                Target::All => {
                    for name in types.iter().filter(|name| name.as_str() != ProcessName::RELEASE) {
                        counts.entry(name.clone()).or_insert(count);
                    }
                }
            }
        }
        Ok(counts)
    }

    /// The slots of these instances; those that never ran get one.
    fn hire(&mut self, ids: &[InstanceId]) -> Result<Vec<Slot>, Vain> {
        let known = |all: &[Member], id: &InstanceId| all.iter().position(|member| member.id == *id);
        let mut specs: Vec<ProcessSpec> = Vec::new();
        for id in ids {
            match known(&self.members, id) {
                Some(slot) if self.is_planned(Slot(slot)) => {}
                // The files may have changed since it was one of ours, and it may not have a port with these.
                Some(_) => drop(self.planner.instance(id)?),
                None => specs.extend(self.planner.instance(id)?),
            }
        }
        for spec in &specs {
            if let Some(port) = spec.port
                && self.children.is_in_use(port)
            {
                return Err(Vain::Busy { port, id: spec.id.clone(), is_pinned: spec.port_is_pinned });
            }
        }
        for spec in specs {
            self.add(spec);
        }
        self.link();
        Ok(ids.iter().filter_map(|id| known(&self.members, id).map(Slot)).collect())
    }

    /// Whether what is not up could have its port.
    fn check_ports(&mut self, slots: &[Slot]) -> Result<(), Vain> {
        for slot in slots.iter().filter(|slot| self.fleet.machine(**slot).is_at_rest()) {
            let Member { id, port, port_is_pinned, .. } = &self.members[slot.0];
            if let Some(port) = *port
                && self.children.is_in_use(port)
            {
                return Err(Vain::Busy { port, id: id.clone(), is_pinned: *port_is_pinned });
            }
        }
        Ok(())
    }

    /// What has to go and what has to come with these files. From here on they are the app's.
    fn reloaded(&mut self, planner: Planner) -> Result<Orders, Refused> {
        let mut orders = Vec::new();
        for slot in self.ours() {
            let Some(new) = planner.instance(&self.members[slot.0].id)? else {
                orders.push((slot, Order::Retire));
                continue;
            };
            // What somebody stopped stays so, and runs as the files say when it is wanted again.
            if !self.fleet.is_left_alone(slot) && self.differs(slot, &new) {
                let is_at_rest = self.fleet.machine(slot).is_at_rest();
                orders.push((slot, if is_at_rest { Order::Up } else { Order::Restart }));
            }
        }
        let known = self.planner.types();
        let news = planner.types().into_iter().filter(|name| !known.contains(name));
        let news = news.flat_map(|name| {
            let count = formation::count_of(&name, &planner.wishes.selection);
            (1..=count).map(move |number| InstanceId::new(name.clone(), number))
        });
        let news: Vec<InstanceId> = news.collect();
        // All that can go wrong is behind us but the ports of the new ones.
        for id in &news {
            planner.instance(id)?;
        }
        self.adopt(planner);
        let slots: Vec<Slot> = self.hire_all(&news);
        orders.extend(slots.into_iter().map(|slot| (slot, Order::Up)));
        Ok(orders)
    }

    /// As [`Driver::hire`]; a port that is in use is told when the process is to start, since it
    /// may be one that another is about to give up.
    fn hire_all(&mut self, ids: &[InstanceId]) -> Vec<Slot> {
        let mut slots = Vec::new();
        for id in ids {
            if let Some(known) = self.members.iter().position(|member| member.id == *id) {
                slots.push(Slot(known));
            } else if let Ok(Some(spec)) = self.planner.instance(id) {
                slots.push(self.add(spec));
            }
        }
        self.link();
        slots
    }

    fn add(&mut self, spec: ProcessSpec) -> Slot {
        self.members.push(Member::of(&spec));
        self.plans.push(self.planner.clone());
        let slot = self.fleet.add(spec.policy.clone());
        self.children.hire(spec);
        slot
    }

    /// What a process was started with; one that is down, what its next run gets.
    fn environment(&self, id: &InstanceId) -> Result<Answer, Refused> {
        match self.slots().find(|slot| self.members[slot.0].id == *id && self.is_shown(*slot)) {
            Some(slot) => Ok(Answer::Environment(self.children.environment(slot))),
            None if self.planner.types().contains(&id.name) => Err(no_instance(id)),
            None => Err(formation::unknown(&id.name, &self.planner.types()).into()),
        }
    }

    /// Notes since when each process is where it is.
    pub(super) fn note_stages(&mut self) {
        let now = SystemTime::now();
        for slot in self.slots() {
            let stage = self.stage(slot);
            let since = self.since.entry(slot).or_insert((stage, now));
            if since.0 != stage {
                *since = (stage, now);
            }
        }
    }

    fn slots(&self) -> impl Iterator<Item = Slot> + use<C> {
        (0..self.members.len()).map(Slot)
    }

    /// Those that are part of the formation.
    pub(super) fn ours(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots().filter(|slot| self.fleet.has(*slot))
    }

    /// What goes away is shown until it is gone.
    fn is_shown(&self, slot: Slot) -> bool {
        let is_going = !self.fleet.machine(slot).is_at_rest() && self.fleet.last() != Some(slot);
        self.fleet.has(slot) || is_going
    }

    fn formation(&self) -> Formation {
        let count =
            |name: &ProcessName| self.ours().filter(|slot| self.members[slot.0].id.name == *name).count();
        self.planner.types().into_iter().map(|name| (name.clone(), count(&name))).collect()
    }

    fn status(&self, slot: Slot) -> Status {
        let (member, machine) = (&self.members[slot.0], self.fleet.machine(slot));
        Status {
            id: member.id.clone(),
            command: member.command.clone(),
            pid: machine.live_group().map(|pgid| pgid.0),
            port: member.port,
            state: self.stage(slot),
            since: self.since.get(&slot).map_or_else(SystemTime::now, |(_, since)| *since),
            runs: machine.runs(),
            again: self.next_start(slot),
            crashes: machine.crashes(),
            last: self.ends.get(&slot).cloned(),
            ready: self.fleet.is_ready(slot),
            unseen: self.unseen(slot),
            settling: self.is_settling(slot),
            late: self.is_late(slot),
            waits_for: self.waits_for(slot),
        }
    }

    /// What whoever asks can look at himself, of a process of which nobody has wanted to know yet
    /// whether it is ready.
    fn unseen(&self, slot: Slot) -> Option<Unseen> {
        let (member, run) = (&self.members[slot.0], self.fleet.present(slot)?);
        let is_open = member.ready == Some(ReadyProbe::Port) && !self.fleet.is_ready(slot);
        let leader = self.fleet.machine(slot).live_group()?;
        Some(Unseen { run, port: member.port.filter(|_| is_open)?, leader: leader.0 })
    }

    /// How long a process that ended still waits for its next run.
    fn next_start(&self, slot: Slot) -> Option<Duration> {
        match self.fleet.machine(slot).state() {
            State::Backoff { .. } => self.timers.left(Timer::Process(slot)),
            State::Down
            | State::Waiting(_)
            | State::Starting { .. }
            | State::Up { .. }
            | State::Stopping(_)
            | State::Draining(_)
            | State::Over { .. }
            | State::Crashed { .. } => None,
        }
    }

    pub(super) fn stage(&self, slot: Slot) -> Stage {
        match self.fleet.machine(slot).state() {
            State::Down if self.fleet.phase() == Phase::Releasing => Stage::Waiting,
            State::Waiting(_) if self.fleet.is_held(slot) => Stage::Starting,
            State::Waiting(_) => Stage::Waiting,
            State::Down => Stage::Stopped,
            State::Starting { .. } | State::Backoff { .. } => Stage::Starting,
            State::Up { .. } => Stage::Up,
            State::Stopping(_) | State::Draining(_) => Stage::Stopping,
            State::Crashed { .. } | State::Over { end: Ended::NotStarted(_) } => Stage::Crashed,
            State::Over { .. } => match self.fleet.cause() {
                Some(Cause::Process { run, end }) if run.slot == slot && !end.is_success() => Stage::Crashed,
                Some(_) | None => Stage::Stopped,
            },
        }
    }
}

fn failed(message: String, hint: Option<String>) -> Refused {
    Refused { message, hint, is_usage: false }
}

fn no_instance(id: &InstanceId) -> Refused {
    let InstanceId { name, number } = id;
    let hint = format!("`ganger scale {name}={number}` starts it, `ganger ps` shows what there is");
    Refused { is_usage: true, ..failed(format!("there is no {id}"), Some(hint)) }
}
