//! What the driver has looked for, and what it does about what is found.
//!
//! A part of the [`Driver`]. What has to be looked for follows from what the fleet waits for and from who
//! asks; after each message it is compared with what is looked for already. So nobody has to call a
//! search off, and none is left when nobody wants to know.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::command::{Answer, Awaited, Refused};
use super::commands::Vain;
use super::driver::{Children, Driver};
use super::event::{Epoch, Event, Run, Slot, StartError};
use super::fleet::{self, Condition, ReadyWhen};
use super::machine;
use super::watch::{Finding, Goal, Sought, Watch, WatchId};
use crate::config::formation::main_type;
use crate::config::probe::{Probe, ReadyProbe};
use crate::model::{InstanceId, Port};
use crate::plan::pin_hint;

/// Why a process is not ready that has no other word for it.
const NO_PORT: &str = "does not listen on its PORT";

/// How many ports are named on which a process listens instead of its own.
const MOST_PORTS: usize = 3;

/// What is looked for now, and what is known of it.
#[derive(Debug, Default)]
pub(super) struct Watching {
    next: u64,
    now: HashMap<Key, Search>,
    /// What each of them is for.
    keys: HashMap<WatchId, Key>,
    /// Runs that were not ready in time, though nobody waited for them.
    late: HashSet<Run>,
    /// Runs that nothing looked at for a time while they could have become ready: when they did is unknown.
    unwatched: HashSet<Run>,
    /// Lines that were found, by probe, so that they need not be in what is kept of the output.
    lines: HashSet<(Run, Probe)>,
    /// The waits that were told.
    told: HashSet<(Slot, Epoch)>,
    /// Clients that want to know when processes are ready.
    clients: Vec<Client>,
}

/// There is one search for each.
type Key = (Slot, Goal);

#[derive(Debug)]
struct Search {
    id: WatchId,
    watch: Watch,
    /// Why it is not there, as far as that is known.
    why: Option<Arc<str>>,
    /// The ports on which the process listens instead.
    elsewhere: Vec<Port>,
}

#[derive(Debug)]
struct Client {
    slots: Vec<Slot>,
    answer: UnboundedSender<Answer>,
}

impl<C: Children> Driver<C> {
    /// Tells the fleet who waits for what. To be called when processes or files have changed, before the next
    /// input.
    pub(super) fn link(&mut self) {
        let last = self.fleet.last();
        for slot in (0..self.members.len()).map(Slot).filter(|slot| last != Some(*slot)) {
            let conditions = self.members[slot.0].waits.iter().map(|probe| self.condition(probe)).collect();
            let when = match &self.members[slot.0].ready {
                None => ReadyWhen::Started,
                Some(ReadyProbe::Probe(Probe::Process(name))) => ReadyWhen::Like(self.of_type(name.as_str())),
                Some(_) => ReadyWhen::Told,
            };
            let limit = self.members[slot.0].wait_limit;
            self.fleet.waits_for(slot, conditions, limit);
            self.fleet.ready_when(slot, when);
        }
    }

    fn condition(&self, probe: &Probe) -> Condition {
        match probe {
            Probe::Process(name) => Condition::Ready(self.of_type(name.as_str())),
            Probe::Log { process, .. } => Condition::Written(self.of_type(process.as_str())),
            Probe::Tcp { .. } | Probe::Http(_) | Probe::Command(_) => Condition::Outside,
        }
    }

    fn of_type(&self, name: &str) -> BTreeSet<Slot> {
        let of_it = |slot: &Slot| self.members[slot.0].id.name.as_str() == name;
        (0..self.members.len()).map(Slot).filter(of_it).collect()
    }

    /// Has looked for what is to be looked for, and for nothing else.
    pub(super) fn watch(&mut self) {
        // What is known already may start somebody, and then there is more to look for.
        loop {
            self.answer_clients();
            if !self.watch_once() {
                break;
            }
        }
        self.tell_waits();
    }

    fn watch_once(&mut self) -> bool {
        self.watching.late.retain(|run| self.fleet.present(run.slot) == Some(*run));
        self.watching.unwatched.retain(|run| self.fleet.present(run.slot) == Some(*run));
        self.watching.lines.retain(|(run, _)| self.fleet.last_run(run.slot) == Some(*run));
        let (mut before, mut new) = (std::mem::take(&mut self.watching.now), Vec::new());
        let wanted = self.wanted();
        self.note_unwatched(&wanted);
        for watch in wanted {
            let key = (watch.slot, watch.goal);
            match before.remove(&key) {
                Some(search) if search.watch == watch => drop(self.watching.now.insert(key, search)),
                search => {
                    new.push(watch);
                    before.extend(search.map(|search| (key, search)));
                }
            }
        }
        for Search { id, .. } in before.into_values() {
            self.unwatch(id);
        }
        let mut found = false;
        for watch in new {
            if self.was_written(&watch.what) {
                self.there(&watch);
                found = true;
                continue;
            }
            self.watching.next += 1;
            let id = WatchId(self.watching.next);
            self.children.watch(id, &watch);
            let key = (watch.slot, watch.goal);
            self.watching.keys.insert(id, key);
            self.watching.now.insert(key, Search { id, watch, why: None, elsewhere: Vec::new() });
        }
        found
    }

    fn note_unwatched(&mut self, wanted: &[Watch]) {
        let watched = |run: &Run| wanted.iter().any(|watch| watch.goal == Goal::Ready(*run));
        for slot in (0..self.members.len()).map(Slot).filter(|slot| self.members[slot.0].ready.is_some()) {
            let is_up = self.fleet.machine(slot).live_group().is_some() && !self.fleet.is_ready(slot);
            if let Some(run) = self.fleet.present(slot).filter(|run| is_up && !watched(run)) {
                self.watching.unwatched.insert(run);
            }
        }
    }

    fn unwatch(&mut self, id: WatchId) {
        self.watching.keys.remove(&id);
        self.children.unwatch(id);
    }

    /// Nothing is to be done before the next message, though not all of it was looked at after this one.
    #[cfg(test)]
    pub(super) fn assert_settled(&self) {
        let wanted: HashMap<Key, Watch> =
            self.wanted().into_iter().map(|watch| ((watch.slot, watch.goal), watch)).collect();
        let now: HashMap<Key, Watch> =
            self.watching.now.iter().map(|(key, search)| (*key, search.watch.clone())).collect();
        assert_eq!(wanted, now);
        assert_eq!(self.watching.now.len(), self.watching.keys.len());
        let stages = self.since.iter().filter(|(slot, _)| slot.0 < self.members.len());
        assert!(stages.into_iter().all(|(slot, (stage, _))| *stage == self.stage(*slot)));
    }

    /// Whether a line that is looked for has been found before, in the same run.
    fn was_written(&self, what: &Sought) -> bool {
        let Sought::Line(probe, runs) = what else { return false };
        runs.iter().any(|(run, _)| self.watching.lines.contains(&(*run, probe.clone())))
    }

    fn wanted(&self) -> Vec<Watch> {
        let mut wanted = Vec::new();
        for (slot, epoch) in self.fleet.waiting() {
            for place in self.missing_outside(slot) {
                let sought = self.sought(&self.members[slot.0].waits[place]);
                let (goal, limit) = (Goal::Start(epoch, place), self.limit(slot, place));
                wanted.extend(sought.map(|what| Watch { slot, goal, what, limit }));
            }
        }
        let mut awaited = self.fleet.awaited();
        awaited.extend(self.watching.clients.iter().flat_map(|client| &client.slots));
        let awaited = self.fleet.to_be_told(&awaited);
        // What has a word of its own for it is looked at in any case, but not for ever.
        let is_said = |slot: &Slot| self.members[slot.0].ready_is_said;
        let said: BTreeSet<Slot> = (0..self.members.len()).map(Slot).filter(is_said).collect();
        let others = self.fleet.to_be_told(&said).into_iter();
        let others = others.filter(|run| !self.watching.late.contains(run) && !awaited.contains(run));
        let others: Vec<Run> = others.collect();
        let for_ever = awaited.iter().map(|run| (*run, true));
        for (run, for_ever) in for_ever.chain(others.into_iter().map(|run| (run, false))) {
            let (slot, goal) = (run.slot, Goal::Ready(run));
            let limit = (!for_ever).then_some(self.members[slot.0].wait_limit);
            wanted.extend(self.sign(slot).map(|what| Watch { slot, goal, what, limit }));
        }
        wanted
    }

    /// How long a condition is looked for. When all have ended who could write a line, what they have
    /// written is looked through once more.
    fn limit(&self, slot: Slot, place: usize) -> Option<Duration> {
        let Condition::Written(of) = &self.fleet.conditions(slot)[place] else { return None };
        let mut ours = of.iter().filter(|slot| self.fleet.has(**slot)).peekable();
        let is_over = |slot: &Slot| self.fleet.machine(*slot).is_at_rest() && !self.is_to_start(*slot);
        (ours.peek().is_some() && ours.all(is_over)).then_some(Duration::ZERO)
    }

    /// The conditions of a waiting process that are not the fleet's to know.
    fn missing_outside(&self, slot: Slot) -> impl Iterator<Item = usize> + '_ {
        let conditions = self.fleet.conditions(slot);
        let places = self.fleet.missing(slot).into_iter();
        places.filter(|place| !matches!(conditions[*place], Condition::Ready(_)))
    }

    /// What shows that a process which is up is ready.
    fn sign(&self, slot: Slot) -> Option<Sought> {
        let member = &self.members[slot.0];
        match member.ready.as_ref()? {
            ReadyProbe::Port => Some(Sought::Port(member.port?, self.fleet.machine(slot).live_group()?)),
            ReadyProbe::Probe(probe) => self.sought(probe),
        }
    }

    /// What is to be looked for; nothing, while nobody has run who could have written the line.
    fn sought(&self, probe: &Probe) -> Option<Sought> {
        match probe {
            Probe::Tcp { .. } | Probe::Http(_) | Probe::Command(_) => Some(Sought::Probe(probe.clone())),
            Probe::Log { process, .. } => {
                let slots = self.of_type(process.as_str()).into_iter();
                let runs = slots.filter_map(|slot| Some((self.fleet.last_run(slot)?, self.id(slot))));
                let runs: Vec<(Run, InstanceId)> = runs.collect();
                (!runs.is_empty()).then(|| Sought::Line(probe.clone(), runs))
            }
            Probe::Process(_) => None,
        }
    }

    /// A search has shown something.
    pub(super) fn found(&mut self, id: WatchId, finding: Finding) {
        let Some(key) = self.watching.keys.get(&id).copied() else { return };
        if let Finding::NotYet(why) = finding {
            if let Some(search) = self.watching.now.get_mut(&key) {
                search.why = Some(why);
            }
            return;
        }
        if let Finding::Elsewhere(ports) = finding {
            if let Some(search) = self.watching.now.get_mut(&key) {
                search.elsewhere = ports;
            }
            return;
        }
        self.changed = true;
        self.unwatch(id);
        let Some(Search { watch, .. }) = self.watching.now.remove(&key) else { return };
        match (finding, watch.goal) {
            (Finding::There, _) => self.there(&watch),
            (Finding::GaveUp, Goal::Ready(run)) => drop(self.watching.late.insert(run)),
            (Finding::GaveUp, Goal::Start(epoch, place)) => self.in_vain(watch.slot, epoch, place),
            (Finding::NotYet(_) | Finding::Elsewhere(_), _) => {}
        }
    }

    fn there(&mut self, watch: &Watch) {
        if let Sought::Line(probe, runs) = &watch.what {
            self.watching.lines.extend(runs.iter().map(|(run, _)| (*run, probe.clone())));
        }
        match watch.goal {
            Goal::Start(epoch, place) => self.step(fleet::Input::Met(watch.slot, epoch, place)),
            Goal::Ready(run) => {
                let id = self.id(run.slot);
                let after = self.ran_for(run.slot).filter(|_| !self.watching.unwatched.contains(&run));
                self.children.tell(Event::Ready { id, after });
                self.step(fleet::Input::Ready(run));
            }
        }
    }

    /// Says who waits, once for each wait.
    fn tell_waits(&mut self) {
        let waits: HashSet<(Slot, Epoch)> =
            self.fleet.waiting().filter(|(slot, _)| self.fleet.last() != Some(*slot)).collect();
        self.watching.told.retain(|told| waits.contains(told));
        let new: BTreeSet<Slot> = waits.difference(&self.watching.told).map(|(slot, _)| *slot).collect();
        self.watching.told.extend(waits);
        for slot in new {
            let (id, what) = (self.id(slot), self.waits_for(slot));
            self.children.tell(Event::Waiting { id, what });
        }
    }

    /// Says what the command of `start -- CMD` waits for, if it does.
    pub(super) fn tell_command_waits(&mut self) {
        let Some(last) = self.fleet.last() else { return };
        if self.fleet.waiting().all(|(slot, _)| slot != last) {
            return;
        }
        let late: Vec<Slot> = match self.fleet.phase() {
            fleet::Phase::Releasing => self.fleet.live_groups().map(|(slot, _)| slot).collect(),
            _ => self.ours().filter(|it| !self.fleet.is_stopped(*it) && !self.fleet.is_ready(*it)).collect(),
        };
        let what = late.into_iter().map(|slot| self.awaited_of(slot)).collect();
        let program = self.members[last.0].command.to_string_lossy().into_owned();
        self.children.tell(Event::CommandWaiting { program, what });
    }

    /// What a process has still to do before the command starts.
    fn awaited_of(&self, slot: Slot) -> String {
        let (id, member) = (self.id(slot), &self.members[slot.0]);
        let is_up = self.fleet.present(slot).is_some();
        match (&member.ready, member.port) {
            _ if self.fleet.phase() == fleet::Phase::Releasing => format!("{id} to exit"),
            _ if !is_up => format!("{id} to start"),
            (Some(ReadyProbe::Port), Some(port)) => format!("{id} to listen on port {port}"),
            (Some(ReadyProbe::Probe(probe)), _) => format!("{id} to be ready ({probe})"),
            (Some(ReadyProbe::Port) | None, _) => format!("{id} to be ready"),
        }
    }

    /// What a waiting process still waits for.
    pub(super) fn waits_for(&self, slot: Slot) -> Vec<String> {
        if self.fleet.wait_of(slot).is_none() || self.fleet.last() == Some(slot) {
            return Vec::new();
        }
        let probes = &self.members[slot.0].waits;
        self.fleet.missing(slot).into_iter().map(|place| probes[place].to_string()).collect()
    }

    /// It has waited as long as it may.
    pub(super) fn out_of_time(&mut self, slot: Slot, epoch: Epoch) {
        let after = self.members[slot.0].wait_limit.as_secs_f64();
        let missing = self.missing_in_words(slot, epoch);
        let message = if self.fleet.last() == Some(slot) {
            format!("it has waited {after} s until all are ready: {}", missing.join(", "))
        } else {
            format!("it has waited {after} s for {}", missing.join(" and for "))
        };
        let is_missing = |slot: &Slot| missing.iter().any(|why| why.contains(&self.not_ready(*slot)));
        let pin = self.ours().filter(is_missing).find_map(|slot| self.pin_hint(slot));
        let hint = if let Some(pin) = &pin {
            pin
        } else if missing.iter().any(|why| why.contains(NO_PORT)) {
            "what is ready without listening there says so with `ready` in ganger.toml; \
             `--wait-timeout` gives it more time"
        } else {
            "`--wait-timeout` gives it more time"
        };
        self.give_up(slot, epoch, message, Some(hint));
    }

    /// The line it waits for will not come.
    fn in_vain(&mut self, slot: Slot, epoch: Epoch, place: usize) {
        let probe = &self.members[slot.0].waits[place];
        let who = probe.process().map(ToString::to_string).unwrap_or_default();
        let message = format!("it waits for {probe}, and {who} has ended without such a line");
        self.give_up(slot, epoch, message, None);
    }

    fn give_up(&mut self, slot: Slot, epoch: Epoch, message: String, hint: Option<&str>) {
        self.begin_times(slot);
        let error = StartError { message: message.into(), hint: hint.map(Into::into) };
        self.one(slot, machine::Input::GiveUp(epoch, error));
    }

    fn missing_in_words(&self, slot: Slot, epoch: Epoch) -> Vec<String> {
        if self.fleet.last() == Some(slot) {
            let late =
                self.ours().filter(|slot| !self.fleet.is_stopped(*slot) && !self.fleet.is_ready(*slot));
            return late.map(|slot| self.not_ready(slot)).collect();
        }
        let in_words = |place: usize| {
            let probe = &self.members[slot.0].waits[place];
            let why = match (&self.fleet.conditions(slot)[place], self.why(slot, Goal::Start(epoch, place))) {
                (Condition::Written(_), _) => Some("no such line".to_owned()),
                (Condition::Outside, why) => why.map(ToString::to_string),
                (Condition::Ready(slots), _) => {
                    let late = slots.iter().filter(|it| self.fleet.has(**it) && !self.fleet.is_ready(**it));
                    Some(late.map(|slot| self.not_ready(*slot)).collect::<Vec<_>>().join(", "))
                }
            };
            why.map_or_else(|| probe.to_string(), |why| format!("{probe} ({why})"))
        };
        self.fleet.missing(slot).into_iter().map(in_words).collect()
    }

    /// Why a process is not ready.
    fn not_ready(&self, slot: Slot) -> String {
        let (id, stage) = (self.id(slot), self.stage(slot));
        let Some(run) = self.fleet.present(slot) else {
            let waits = self.waits_for(slot);
            let what = if waits.is_empty() { String::new() } else { format!(" for {}", waits.join(", ")) };
            return format!("{id} is {}{what}", stage.as_str());
        };
        let why = self.why(slot, Goal::Ready(run)).map(ToString::to_string);
        match (&self.members[slot.0].ready, why) {
            (Some(ReadyProbe::Port), _) => {
                let others = self.elsewhere(slot);
                if let (Some(port), [_, ..]) = (self.members[slot.0].port, others) {
                    let others: Vec<String> = others.iter().take(MOST_PORTS).map(Port::to_string).collect();
                    return format!("{id} listens on {}, not on its PORT {port}", others.join(" and "));
                }
                let port = self.members[slot.0].port.map(|port| format!(" {port}")).unwrap_or_default();
                format!("{id} {NO_PORT}{port}")
            }
            (Some(ReadyProbe::Probe(probe)), Some(why)) => format!("{id} is not ready: {probe}: {why}"),
            (Some(ReadyProbe::Probe(probe)), None) => format!("{id} is not ready: {probe}"),
            (None, _) => format!("{id} is not ready"),
        }
    }

    /// The ports on which the process listens instead of its own.
    fn elsewhere(&self, slot: Slot) -> &[Port] {
        let search =
            self.fleet.present(slot).and_then(|run| self.watching.now.get(&(slot, Goal::Ready(run))));
        search.map(|search| &search.elsewhere[..]).unwrap_or_default()
    }

    /// What to do about a process that listens on another port than its own.
    fn pin_hint(&self, slot: Slot) -> Option<String> {
        let id = &self.members[slot.0].id;
        let is_main = main_type(&self.planner.types()) == Some(&id.name);
        self.elsewhere(slot).first().map(|port| pin_hint(id, *port, is_main))
    }

    fn why(&self, slot: Slot, goal: Goal) -> Option<&Arc<str>> {
        self.watching.now.get(&(slot, goal))?.why.as_ref()
    }

    /// Notes that a client wants to know when these processes are ready; or, with `now`, tells it how
    /// things are.
    pub(super) fn wait(&mut self, names: &[String], now: bool, answer: UnboundedSender<Answer>) {
        let slots = match self.slots_to_wait_for(names) {
            Ok(slots) => slots,
            Err(refused) => return drop(answer.send(Answer::Refused(refused))),
        };
        let client = Client { slots, answer };
        if now {
            return drop(client.answer.send(Answer::Awaited(self.awaited(&client.slots))));
        }
        self.watching.clients.push(client);
    }

    fn slots_to_wait_for(&mut self, names: &[String]) -> Result<Vec<Slot>, Refused> {
        let slots: Vec<Slot> = self
            .named(names, fleet::Order::Stop)
            .map_err(Vain::refused)?
            .into_iter()
            .map(|(slot, _)| slot)
            .collect();
        if slots.is_empty() {
            let hint = Some("`ganger ps` shows what there is".to_owned());
            return Err(Refused { message: "no process runs".to_owned(), hint, is_usage: false });
        }
        Ok(slots)
    }

    fn answer_clients(&mut self) {
        for client in std::mem::take(&mut self.watching.clients) {
            let slots = &client.slots;
            let all = slots.iter().all(|slot| self.fleet.is_ready(*slot));
            let never = slots.iter().any(|slot| self.fleet.never_ready(*slot) && !self.is_to_start(*slot));
            if all || never {
                // Whoever asked may have gone.
                let _ = client.answer.send(Answer::Awaited(self.awaited(slots)));
            } else if !client.answer.is_closed() {
                self.watching.clients.push(client);
            }
        }
    }

    /// Whether a process that is down starts by itself, since the release runs before it.
    fn is_to_start(&self, slot: Slot) -> bool {
        self.fleet.phase() == fleet::Phase::Releasing && self.fleet.machine(slot).runs() == 0
    }

    fn awaited(&self, slots: &[Slot]) -> Vec<Awaited> {
        let one = |slot: &Slot| {
            let is_ready = self.fleet.is_ready(*slot);
            Awaited {
                id: self.id(*slot),
                is_ready,
                never: self.fleet.never_ready(*slot) && !self.is_to_start(*slot),
                why: (!is_ready).then(|| self.not_ready(*slot)),
                hint: if is_ready { None } else { self.pin_hint(*slot) },
            }
        };
        slots.iter().map(one).collect()
    }

    /// Whether the process has a word of its own for it, and is looked at whether it is ready.
    pub(super) fn is_settling(&self, slot: Slot) -> bool {
        let is_up = self.fleet.present(slot).is_some();
        is_up && self.members[slot.0].ready_is_said && !self.fleet.is_ready(slot) && !self.is_late(slot)
    }

    /// Whether the process was not ready in the time that a wait may take.
    pub(super) fn is_late(&self, slot: Slot) -> bool {
        self.fleet.present(slot).is_some_and(|run| self.watching.late.contains(&run))
    }
}
