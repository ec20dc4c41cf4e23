//! The processes as they really are, in the place of the system's.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::rc::Rc;

use crate::config::environment::Environment;
use crate::model::{Port, Sig};
use crate::plan::{Planner, ProcessSpec};
use crate::supervisor::driver::{Act, Children, Message};
use crate::supervisor::event::{Ended, Epoch, Event, Left, Pgid, Run, Slot, StartError};
use crate::supervisor::machine::Whom;
use crate::supervisor::watch::{Watch, WatchId};

/// How a process takes a signal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Temper {
    /// It dies of TERM at once.
    Tame,
    /// It dies of KILL only.
    Stubborn,
    /// It dies of TERM, and leaves something in its group that dies of KILL only.
    Untidy,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "they change in any order")]
pub(super) struct Process {
    pub(super) run: Run,
    pub(super) id: String,
    pub(super) pid: i32,
    pub(super) command: OsString,
    pub(super) port: Option<Port>,
    pub(super) temper: Temper,
    /// Its leader is not dead.
    pub(super) is_alive: bool,
    /// It was asked to stop.
    pub(super) is_asked: bool,
    /// Nothing is left of its group.
    pub(super) is_gone: bool,
    /// The driver has reaped it.
    pub(super) is_reaped: bool,
}

/// The processes as they really are, and what the files say.
#[derive(Debug)]
pub(super) struct World {
    /// What the next run of each slot gets.
    pub(super) specs: Vec<ProcessSpec>,
    pub(super) processes: Vec<Process>,
    pub(super) tempers: Vec<Temper>,
    pub(super) dead: VecDeque<(i32, Ended)>,
    pub(super) inbox: VecDeque<Message>,
    /// How many looks at what belongs to runs were begun, and whether the last goes on.
    pub(super) looks: usize,
    pub(super) is_looking: bool,
    pub(super) watches: BTreeMap<WatchId, Watch>,
    pub(super) broken: BTreeSet<String>,
    pub(super) busy: BTreeSet<Port>,
    /// The files that were applied last.
    pub(super) current: Planner,
    /// Processes that need not be up: they have died or could not start since they were last ordered up.
    pub(super) excused: BTreeSet<String>,
    /// Processes about which the last command was a reload: each has its port when it starts.
    pub(super) reloaded: BTreeSet<String>,
}

impl World {
    pub(super) fn live(&self, id: &str) -> Option<&Process> {
        self.processes.iter().rev().find(|it| it.id == id && !(it.is_gone && it.is_reaped))
    }

    /// Whether it runs and is to go on.
    pub(super) fn up(&self, id: &str) -> Option<&Process> {
        self.live(id).filter(|it| it.is_alive && !it.is_asked)
    }

    pub(super) fn die(&mut self, at: usize, end: Ended) {
        let it = &mut self.processes[at];
        if !it.is_alive {
            return;
        }
        it.is_alive = false;
        let (pid, is_tidy) = (it.pid, !matches!(it.temper, Temper::Untidy));
        self.dead.push_back((pid, end));
        self.inbox.push_back(Message::ChildDied);
        if is_tidy {
            self.empty(at);
        }
    }

    /// Ends what is left of the group of a dead leader.
    pub(super) fn empty(&mut self, at: usize) {
        let it = &mut self.processes[at];
        if !it.is_gone {
            it.is_gone = true;
            let run = it.run;
            self.inbox.push_back(Message::ChildDied);
            self.inbox.push_back(Message::OutputClosed(run));
        }
    }

    pub(super) fn at(&self, pid: i32) -> Option<usize> {
        self.processes.iter().position(|it| it.pid == pid)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Fake(pub(super) Rc<RefCell<World>>);

impl Fake {
    pub(super) fn start(&mut self, run: Run) -> Result<Pgid, StartError> {
        let mut world = self.0.borrow_mut();
        let spec = world.specs[run.slot.0].clone();
        let id = spec.id.to_string();
        assert!(world.live(&id).is_none(), "{id} is started while a run of it is there");
        if let Some(port) = spec.port
            && let Some(other) = world.processes.iter().find(|it| !it.is_gone && it.port == Some(port))
        {
            panic!("{id} is started while {} has its port {port}", other.id);
        }
        let now = world.current.instance(&spec.id).expect("a port").expect("a type that the files have");
        assert_eq!((&spec.command, spec.port), (&now.command, now.port), "{id} is started from old files");
        if world.broken.contains(spec.id.name.as_str()) {
            return Err(StartError { message: "broken".into(), hint: None });
        }
        let number = world.processes.len();
        let pid = i32::try_from(number).expect("few") + 100;
        let temper = world.tempers[number % world.tempers.len()];
        let ProcessSpec { command, port, .. } = spec;
        let it = Process {
            run,
            id,
            pid,
            command,
            port,
            temper,
            is_alive: true,
            is_asked: false,
            is_gone: false,
            is_reaped: false,
        };
        world.processes.push(it);
        Ok(Pgid(pid))
    }
}

impl Children for Fake {
    fn spawn(&mut self, runs: &[Run]) -> Vec<Result<Pgid, StartError>> {
        let mut results = Vec::new();
        for run in runs {
            results.push(self.start(*run));
            if results.iter().any(Result::is_err) {
                break;
            }
        }
        results
    }

    fn signal(&mut self, pgid: Pgid, sig: Sig) {
        let mut world = self.0.borrow_mut();
        let Some(at) = world.at(pgid.0) else { return };
        let it = &mut world.processes[at];
        it.is_asked |= it.is_alive && matches!(sig, Sig::TERM | Sig::KILL);
        match (it.temper, sig) {
            (_, Sig::KILL) => {
                world.die(at, Ended::Signaled(sig));
                world.empty(at);
            }
            (Temper::Tame | Temper::Untidy, Sig::TERM) => world.die(at, Ended::Signaled(sig)),
            _ => {}
        }
    }

    fn signal_program(&mut self, pgid: Pgid, sig: Sig) {
        self.signal(pgid, sig);
    }

    fn signal_rest(&mut self, groups: &[(Pgid, Sig)]) {
        let mut world = self.0.borrow_mut();
        for (pgid, sig) in groups {
            let Some(at) = world.at(pgid.0) else { continue };
            if *sig == Sig::KILL {
                world.empty(at);
            }
        }
    }

    fn hire(&mut self, spec: ProcessSpec) {
        self.0.borrow_mut().specs.push(spec);
    }

    fn change(&mut self, slot: Slot, spec: ProcessSpec) {
        self.0.borrow_mut().specs[slot.0] = spec;
    }

    fn environment(&self, _: Slot) -> Environment {
        Environment::default()
    }

    fn is_in_use(&mut self, port: Port) -> bool {
        let world = self.0.borrow();
        let is_ours = world.processes.iter().any(|it| !it.is_gone && it.port == Some(port));
        is_ours || world.busy.contains(&port)
    }

    fn find_holder(&mut self, port: Port) {
        self.0.borrow_mut().inbox.push_back(Message::PortHolder(port, None));
    }

    fn ask(&mut self, _: Slot, pgid: Pgid, sig: Sig, _: Whom) {
        self.signal(pgid, sig);
    }

    fn first_are_left(&mut self, slots: &[Slot]) -> Vec<bool> {
        vec![false; slots.len()]
    }

    fn look(&mut self, _: &[Run], _: &[Slot]) -> bool {
        let mut world = self.0.borrow_mut();
        assert!(!world.is_looking, "one look at a time");
        world.looks += 1;
        // Every other one takes some time.
        world.is_looking = world.looks % 2 == 1;
        if world.is_looking {
            world.inbox.push_back(Message::Looked);
        }
        !world.is_looking
    }

    fn act(&mut self, run: Run, act: Act, _: bool) -> Vec<Left> {
        let mut world = self.0.borrow_mut();
        let at = world.processes.iter().rposition(|it| it.run.slot == run.slot);
        let at = at.filter(|at| world.processes[*at].run == run).expect("the present run");
        if act == Act::Kill {
            world.empty(at);
        }
        Vec::new()
    }

    fn watch(&mut self, id: WatchId, watch: &Watch) {
        self.0.borrow_mut().watches.insert(id, watch.clone());
    }

    fn unwatch(&mut self, id: WatchId) {
        self.0.borrow_mut().watches.remove(&id);
    }

    fn group_is_empty(&mut self, pgid: Pgid) -> bool {
        let world = self.0.borrow();
        world.at(pgid.0).is_none_or(|at| world.processes[at].is_gone)
    }

    fn next_dead(&mut self) -> Option<(i32, Ended)> {
        self.0.borrow().dead.front().cloned()
    }

    fn reap(&mut self, pid: i32) {
        let mut world = self.0.borrow_mut();
        world.dead.retain(|(dead, _)| *dead != pid);
        if let Some(at) = world.at(pid) {
            world.processes[at].is_reaped = true;
            let (id, is_asked) = (world.processes[at].id.clone(), world.processes[at].is_asked);
            if !is_asked {
                world.excused.insert(id);
            }
        }
    }

    fn close_output(&mut self, _: Run) {}

    fn tell(&mut self, event: Event) {
        if let Event::Ended { id, end: Ended::NotStarted(error), .. } = event {
            let mut world = self.0.borrow_mut();
            let is_in_use = error.message.contains("in use") && world.busy.is_empty();
            assert!(!(is_in_use && world.reloaded.contains(&id.to_string())), "{id}: {}", error.message);
            world.excused.insert(id.to_string());
        }
    }

    fn suspended(&mut self, _: Epoch) {}

    fn stop_ganger(&mut self) {}

    fn resumed(&mut self) {}

    fn resized(&mut self) {}

    fn killing(&mut self) {}

    fn alone(&mut self, _: &[Slot]) {}
}
