//! Random histories of commands that overlap, against a model of what they promise: for each process the
//! last order wins, each run begins with the files that were applied last, and each client gets one true
//! answer.
//!
//! The driver takes one message, chore or timer at a time here, so a history is repeatable. More histories:
//! `GANGER_HISTORIES=100000 cargo test --release --lib command_props`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::command::{Answer, Command, Did, Done, Stage, What};
use super::driver::{Act, Children, Driver, Holder, Look, Member, Message};
use super::driver_tests::signal;
use super::event::{Ended, Event, Left, OnExit, Pgid, Run, Slot, StartError};
use super::fleet::{Fleet, Order, Phase, Via};
use super::machine::Whom;
use super::watch::{Finding, Watch, WatchId};
use crate::config::environment::Environment;
use crate::config::procfile;
use crate::config::scoped::Scoped;
use crate::config::source::Source;
use crate::config::waits::Wait;
use crate::model::{InstanceId, Port, ProcessName, Sig};
use crate::plan::{Planner, Ports, ProcessSpec, Wishes};

const TYPES: [&str; 3] = ["a", "b", "c"];

/// The app's files.
#[derive(Debug, Clone)]
struct Files {
    /// The command of each type; `None`: it is not in the Procfile.
    commands: [Option<u8>; 3],
    /// `b` is before `a`, so they have each other's ports.
    is_swapped: bool,
    has_ports: bool,
    /// Which process waits for what.
    waits: u8,
}

impl Files {
    fn planner(&self, on_exit: OnExit) -> Planner {
        let mut order = [0, 1, 2];
        if self.is_swapped {
            order.swap(0, 1);
        }
        let line = |at: usize| Some(format!("{}: {}\n", TYPES[at], self.commands[at]?));
        let text: String = order.into_iter().filter_map(line).collect();
        let procfile = if text.is_empty() {
            procfile::Procfile::default()
        } else {
            procfile::parse(&Source::new("Procfile", text)).expect("a good Procfile")
        };
        // The process that waits, the one it waits for, and the probe.
        let waits: &[(usize, usize, &str)] = match self.waits {
            0 => &[],
            1 => &[(2, 0, "a")],
            2 => &[(2, 0, "log:a:x")],
            _ => &[(1, 0, "a"), (2, 1, "b")],
        };
        let is_there = |at: usize| self.commands[at].is_some();
        let waits = waits.iter().filter(|(who, whom, _)| is_there(*who) && is_there(*whom));
        let waits = waits.map(|(who, _, probe)| Wait {
            who: TYPES[*who].parse().expect("a name"),
            probe: probe.parse().expect("a probe"),
            at: None,
        });
        let ports = Ports { base: Port::new(5000).expect("a port"), step: 100 };
        Planner {
            procfile,
            ports: self.has_ports.then_some(ports),
            wishes: Wishes {
                on_exit: Scoped::general(Some(on_exit)),
                waits: waits.collect(),
                ..Wishes::default()
            },
            ..Planner::default()
        }
    }
}

/// What a client asks for.
#[derive(Debug, Clone)]
enum Ask {
    Scale(usize, u16),
    ScaleAll(u16),
    Order(Vec<String>, Order),
    Reload(Files),
    Wait(Vec<String>),
    Status,
    End,
}

#[derive(Debug, Clone)]
enum Move {
    /// Whether the client waits for the end.
    Ask(Ask, bool),
    /// One of the clients disconnects.
    Gone(usize),
    /// One of the processes that are alive dies.
    Dies(usize, u8),
    /// Something that is looked for is there, or is given up.
    Found(usize, bool),
    /// From now on the type can or cannot be started.
    Broken(usize, bool),
    /// From now on this port is in use by another program, or not.
    Busy(u16, bool),
    /// So many messages and chores are handled.
    Handle(usize),
    Sleep(u64),
    Suspend,
    Resume,
    Terminate,
}

fn files() -> impl Strategy<Value = Files> {
    let command = || proptest::option::weighted(0.85, 0..3_u8);
    ((command(), command(), command()), any::<bool>(), proptest::bool::weighted(0.8), 0..4_u8).prop_map(
        |((a, b, c), is_swapped, has_ports, waits)| Files {
            commands: [a, b, c],
            is_swapped,
            has_ports,
            waits,
        },
    )
}

fn names() -> impl Strategy<Value = Vec<String>> {
    let name = || {
        prop_oneof![
            4 => (0..3_usize).prop_map(|at| TYPES[at].to_owned()),
            2 => (0..3_usize, 1..4_u16).prop_map(|(at, number)| format!("{}.{number}", TYPES[at])),
        ]
    };
    prop_oneof![1 => Just(Vec::new()), 4 => name().prop_map(|name| vec![name]), 1 => (name(), name()).prop_map(|(a, b)| vec![a, b])]
}

fn asks() -> impl Strategy<Value = Ask> {
    let order = prop_oneof![2 => Just(Order::Up), 3 => Just(Order::Stop), 3 => Just(Order::Restart)];
    prop_oneof![
        4 => (0..3_usize, 0..4_u16).prop_map(|(at, count)| Ask::Scale(at, count)),
        1 => (0..3_u16).prop_map(Ask::ScaleAll),
        7 => (names(), order).prop_map(|(names, order)| Ask::Order(names, order)),
        5 => files().prop_map(Ask::Reload),
        1 => names().prop_map(Ask::Wait),
        1 => Just(Ask::Status),
    ]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        60 => (asks(), proptest::bool::weighted(0.8)).prop_map(|(ask, wait)| Move::Ask(ask, wait)),
        4 => (0..8_usize).prop_map(Move::Gone),
        8 => (0..8_usize, 0..2_u8).prop_map(|(at, code)| Move::Dies(at, code)),
        12 => (0..4_usize, proptest::bool::weighted(0.8)).prop_map(|(at, is_there)| Move::Found(at, is_there)),
        3 => (0..3_usize, any::<bool>()).prop_map(|(at, it)| Move::Broken(at, it)),
        2 => (0..3_u16, any::<bool>()).prop_map(|(at, it)| Move::Busy(at, it)),
        40 => (1..6_usize).prop_map(Move::Handle),
        15 => prop_oneof![Just(100), Just(2_000), Just(12_000), Just(61_000)].prop_map(Move::Sleep),
        1 => Just(Move::Suspend),
        2 => Just(Move::Resume),
        1 => Just(Move::Ask(Ask::End, true)),
        1 => Just(Move::Terminate),
    ];
    proptest::collection::vec(one, 1..40)
}

/// How a process takes a signal.
#[derive(Debug, Clone, Copy)]
enum Temper {
    /// It dies of TERM at once.
    Tame,
    /// It dies of KILL only.
    Stubborn,
    /// It dies of TERM, and leaves something in its group that dies of KILL only.
    Untidy,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "they change in any order")]
struct Process {
    run: Run,
    id: String,
    pid: i32,
    command: OsString,
    port: Option<Port>,
    temper: Temper,
    /// Its leader is not dead.
    is_alive: bool,
    /// It was asked to stop.
    is_asked: bool,
    /// Nothing is left of its group.
    is_gone: bool,
    /// The driver has reaped it.
    is_reaped: bool,
}

/// The processes as they really are, and what the files say.
#[derive(Debug)]
struct World {
    /// What the next run of each slot gets.
    specs: Vec<ProcessSpec>,
    processes: Vec<Process>,
    tempers: Vec<Temper>,
    dead: VecDeque<(i32, Ended)>,
    inbox: VecDeque<Message>,
    watches: BTreeMap<WatchId, Watch>,
    broken: BTreeSet<String>,
    busy: BTreeSet<Port>,
    /// The files that were applied last.
    current: Planner,
    /// Processes that need not be up: they have died or could not start since they were last ordered up.
    excused: BTreeSet<String>,
    /// Processes about which the last command was a reload: each has its port when it starts.
    reloaded: BTreeSet<String>,
}

impl World {
    fn live(&self, id: &str) -> Option<&Process> {
        self.processes.iter().rev().find(|it| it.id == id && !(it.is_gone && it.is_reaped))
    }

    /// Whether it runs and is to go on.
    fn up(&self, id: &str) -> Option<&Process> {
        self.live(id).filter(|it| it.is_alive && !it.is_asked)
    }

    fn die(&mut self, at: usize, end: Ended) {
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
    fn empty(&mut self, at: usize) {
        let it = &mut self.processes[at];
        if !it.is_gone {
            it.is_gone = true;
            let run = it.run;
            self.inbox.push_back(Message::ChildDied);
            self.inbox.push_back(Message::OutputClosed(run));
        }
    }

    fn at(&self, pid: i32) -> Option<usize> {
        self.processes.iter().position(|it| it.pid == pid)
    }
}

#[derive(Debug, Clone)]
struct Fake(Rc<RefCell<World>>);

impl Fake {
    fn start(&mut self, run: Run) -> Result<Pgid, StartError> {
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

    fn port_holder(&mut self, port: Port) -> Option<Holder> {
        let world = self.0.borrow();
        let is_ours = world.processes.iter().any(|it| !it.is_gone && it.port == Some(port));
        (is_ours || world.busy.contains(&port)).then_some(Holder(None))
    }

    fn ask(&mut self, _: Slot, pgid: Pgid, sig: Sig, _: Whom) {
        self.signal(pgid, sig);
    }

    fn first_are_left(&mut self, slots: &[Slot]) -> Vec<bool> {
        vec![false; slots.len()]
    }

    fn look(&mut self, of: &[Look], _: &[Slot]) -> Vec<Vec<Left>> {
        let mut world = self.0.borrow_mut();
        for look in of.iter().filter(|look| look.act == Act::Kill) {
            if let Some(at) = world.processes.iter().position(|it| it.run.slot == look.slot && !it.is_gone) {
                world.empty(at);
            }
        }
        vec![Vec::new(); of.len()]
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

    fn suspended(&mut self) {}

    fn resumed(&mut self) {}

    fn resized(&mut self) {}

    fn killing(&mut self) {}

    fn alone(&mut self, _: &[Slot]) {}
}

/// What the clients were promised of one instance of the formation.
#[derive(Debug, Clone, Copy, Default)]
struct Promise {
    /// The last command wants it down.
    is_stopped: bool,
}

#[derive(Debug)]
struct Client {
    /// The number of its request.
    number: usize,
    ask: Ask,
    waits: bool,
    /// How many processes had been started when it asked.
    started: usize,
    answers: Option<UnboundedReceiver<Answer>>,
    is_answered: bool,
}

struct History {
    driver: Driver<Fake>,
    world: Rc<RefCell<World>>,
    on_exit: OnExit,
    /// The formation.
    promised: BTreeMap<String, Promise>,
    /// The last request that has changed an instance.
    last: BTreeMap<String, usize>,
    clients: Vec<Client>,
    runtime: Rc<tokio::runtime::Runtime>,
}

fn name_of(id: &str) -> &str {
    id.split('.').next().expect("a name")
}

impl History {
    fn new(
        runtime: Rc<tokio::runtime::Runtime>,
        files: &Files,
        on_exit: OnExit,
        tempers: Vec<Temper>,
    ) -> Self {
        let planner = files.planner(on_exit);
        let id = |name: ProcessName| InstanceId::new(name, 1);
        let specs: Vec<ProcessSpec> = planner
            .types()
            .into_iter()
            .map(|name| planner.instance(&id(name)).expect("a port").expect("a type"))
            .collect();
        let promised = specs.iter().map(|spec| (spec.id.to_string(), Promise::default())).collect();
        let world = Rc::new(RefCell::new(World {
            specs: specs.clone(),
            processes: Vec::new(),
            tempers,
            dead: VecDeque::new(),
            inbox: VecDeque::new(),
            watches: BTreeMap::new(),
            broken: BTreeSet::new(),
            busy: BTreeSet::new(),
            current: planner.clone(),
            excused: BTreeSet::new(),
            reloaded: BTreeSet::new(),
        }));
        let fleet = Fleet::new(specs.iter().map(|spec| spec.policy.clone()));
        let members = specs.iter().map(Member::of).collect();
        let (_, inbox) = unbounded_channel();
        let driver = Driver::start(fleet, members, planner, Fake(world.clone()), inbox);
        let mut it =
            Self { driver, world, on_exit, promised, last: BTreeMap::new(), clients: Vec::new(), runtime };
        it.after_input();
        it
    }

    fn is_running(&self) -> bool {
        self.driver.fleet.phase() == Phase::Running
    }

    fn after_input(&mut self) {
        self.driver.after_input();
        self.read_answers();
    }

    fn hear(&mut self, message: Message) {
        self.driver.hear(message);
        self.after_input();
    }

    /// Handles one message or chore. Returns whether there was any.
    fn handle(&mut self) -> bool {
        let message = self.world.borrow_mut().inbox.pop_front();
        if let Some(message) = message {
            self.hear(message);
        } else if self.driver.has_chores() {
            self.driver.do_chore();
            self.after_input();
        } else {
            return false;
        }
        true
    }

    fn is_over(&self) -> bool {
        self.driver.outcome.is_some()
    }

    fn play(&mut self, it: Move) {
        if self.is_over() {
            return;
        }
        match it {
            Move::Ask(ask, waits) => self.ask(ask, waits),
            Move::Gone(at) => {
                if let Some(client) = self.clients.iter_mut().rev().nth(at) {
                    client.answers = None;
                }
            }
            Move::Dies(at, code) => {
                let mut world = self.world.borrow_mut();
                let alive: Vec<usize> =
                    (0..world.processes.len()).filter(|at| world.processes[*at].is_alive).collect();
                if let Some(at) = alive.get(at) {
                    world.die(*at, Ended::Exited(code));
                }
            }
            Move::Found(at, is_there) => self.find(at, is_there),
            Move::Broken(at, it) => {
                let mut world = self.world.borrow_mut();
                if it {
                    world.broken.insert(TYPES[at].to_owned());
                } else {
                    world.broken.remove(TYPES[at]);
                }
            }
            Move::Busy(at, it) => {
                let port = Port::new(u32::from(5100 + 100 * at)).expect("a port");
                let mut world = self.world.borrow_mut();
                if it {
                    world.busy.insert(port);
                } else {
                    world.busy.remove(&port);
                }
            }
            Move::Handle(count) => {
                for _ in 0..count {
                    self.handle();
                }
            }
            Move::Sleep(millis) => self.sleep(Duration::from_millis(millis)),
            Move::Suspend => self.hear(signal(Sig::TSTP, Via::Guard)),
            Move::Resume => self.hear(signal(Sig::CONT, Via::Guard)),
            Move::Terminate => self.hear(signal(Sig::TERM, Via::Guard)),
        }
    }

    fn find(&mut self, at: usize, is_there: bool) {
        let watch =
            self.world.borrow().watches.iter().nth(at).map(|(id, watch)| (*id, watch.limit.is_some()));
        match watch {
            Some((id, _)) if is_there => self.hear(Message::Found(id, Finding::There)),
            Some((id, true)) => self.hear(Message::Found(id, Finding::GaveUp)),
            Some((_, false)) | None => {}
        }
    }

    /// Time passes only when nothing else is to do.
    fn sleep(&mut self, time: Duration) {
        let mut left = time;
        loop {
            while !self.is_over() && self.handle() {}
            let next = self.driver.timers.until_next().filter(|next| *next <= left);
            let step = next.unwrap_or(left);
            self.runtime.block_on(tokio::time::advance(step));
            left -= step;
            match self.driver.timers.take_due() {
                Some((timer, epoch)) if !self.is_over() => {
                    self.driver.ring(timer, epoch);
                    self.after_input();
                }
                Some(_) | None if next.is_none() || self.is_over() => return,
                Some(_) | None => {}
            }
        }
    }

    fn ask(&mut self, ask: Ask, waits: bool) {
        let (answer, answers) = unbounded_channel();
        let counts = |name: &str, count: u16| vec![format!("{name}={count}")];
        let what = match &ask {
            Ask::Scale(at, count) => What::Scale { counts: counts(TYPES[*at], *count), wait: waits },
            Ask::ScaleAll(count) => What::Scale { counts: counts("all", *count), wait: waits },
            Ask::Order(names, order) => What::Order { names: names.clone(), order: *order, wait: waits },
            Ask::Reload(files) => {
                What::Reload { planner: Box::new(files.planner(self.on_exit)), wait: waits }
            }
            Ask::Wait(names) => What::Wait { names: names.clone(), now: false },
            Ask::Status => What::Status,
            Ask::End => What::End,
        };
        let number = self.clients.len();
        let before = (self.promised.clone(), self.last.clone(), {
            let world = self.world.borrow();
            (world.current.clone(), world.excused.clone())
        });
        if self.is_running() {
            self.promise(&ask, number);
        }
        let started = self.world.borrow().processes.len();
        self.clients.push(Client { number, ask, waits, started, answers: Some(answers), is_answered: false });
        self.driver.hear(Message::Command(Command { what, answer }));
        let is_refused = {
            let answers = self.clients[number].answers.as_mut().expect("it is there");
            match answers.try_recv() {
                Ok(refused @ Answer::Refused(_)) => Some(refused),
                Ok(answer) => {
                    self.clients[number].is_answered = true;
                    self.check(number, &answer);
                    None
                }
                Err(_) => None,
            }
        };
        if is_refused.is_some() {
            self.clients[number].is_answered = true;
            (self.promised, self.last) = (before.0, before.1);
            let mut world = self.world.borrow_mut();
            (world.current, world.excused) = before.2;
        }
        self.after_input();
    }

    /// What this request promises, if it is accepted.
    fn promise(&mut self, ask: &Ask, number: usize) {
        let mut world = self.world.borrow_mut();
        match ask {
            Ask::Scale(..) | Ask::ScaleAll(_) => {
                let types = world.current.types();
                let (of, count): (Vec<String>, u16) = match ask {
                    Ask::Scale(at, count) => (vec![TYPES[*at].to_owned()], *count),
                    Ask::ScaleAll(count) => (types.iter().map(ToString::to_string).collect(), *count),
                    _ => unreachable!("these are the two"),
                };
                for name in of {
                    for at in 1..=4 {
                        let id = format!("{name}.{at}");
                        if at <= count {
                            world.excused.remove(&id);
                            self.last.insert(id.clone(), number);
                            self.promised.insert(id, Promise::default());
                        } else if self.promised.remove(&id).is_some() {
                            self.last.insert(id, number);
                        }
                    }
                }
            }
            Ask::Order(names, order) => {
                let mut ids: Vec<String> = Vec::new();
                for name in names {
                    let of_it = self.promised.keys().filter(|id| *id == name || name_of(id) == name);
                    let of_it: Vec<String> = of_it.cloned().collect();
                    if of_it.is_empty() && *order == Order::Up && !name.contains('.') {
                        ids.push(format!("{name}.1"));
                    }
                    ids.extend(of_it);
                }
                if names.is_empty() {
                    ids = self
                        .promised
                        .iter()
                        .filter(|(_, it)| !it.is_stopped)
                        .map(|(id, _)| id.clone())
                        .collect();
                }
                for id in ids {
                    let is_stopped = *order == Order::Stop;
                    // One that could not be started counts as stopped, and is left alone without its name.
                    if !is_stopped && !names.is_empty() {
                        world.excused.remove(&id);
                    }
                    self.last.insert(id.clone(), number);
                    self.promised.insert(id, Promise { is_stopped });
                }
            }
            Ask::Reload(files) => {
                let new = files.planner(self.on_exit);
                let types: Vec<String> = new.types().iter().map(ToString::to_string).collect();
                let old: Vec<String> = world.current.types().iter().map(ToString::to_string).collect();
                for id in self.promised.keys().cloned().collect::<Vec<_>>() {
                    self.last.insert(id.clone(), number);
                    if !types.iter().any(|name| name == name_of(&id)) {
                        self.promised.remove(&id);
                    }
                }
                for name in types.iter().filter(|name| !old.contains(name)) {
                    let id = format!("{name}.1");
                    world.excused.remove(&id);
                    self.last.insert(id.clone(), number);
                    self.promised.insert(id, Promise::default());
                }
                world.current = new;
            }
            Ask::Wait(_) | Ask::Status | Ask::End => {}
        }
        let is_reload = matches!(ask, Ask::Reload(_));
        for (id, _) in self.last.iter().filter(|(_, last)| **last == number) {
            if is_reload {
                world.reloaded.insert(id.clone());
            } else {
                world.reloaded.remove(id);
            }
        }
    }

    fn read_answers(&mut self) {
        for at in 0..self.clients.len() {
            let Some(answers) = &mut self.clients[at].answers else { continue };
            if let Ok(answer) = answers.try_recv() {
                assert!(!self.clients[at].is_answered, "answered twice: {:?}", self.clients[at]);
                self.clients[at].is_answered = true;
                self.check(at, &answer);
            }
        }
    }

    /// Whether what a client hears is true.
    fn check(&self, client: usize, answer: &Answer) {
        let client = &self.clients[client];
        match answer {
            Answer::Done(all, formation) => {
                for (name, count) in formation {
                    let promised = self.promised.keys().filter(|id| name_of(id) == name.as_str()).count();
                    assert_eq!(*count, promised, "{name}: {answer:?}, {:?}", self.promised);
                }
                let ids: BTreeSet<String> = all.iter().map(|done| done.id.to_string()).collect();
                assert_eq!(ids.len(), all.len(), "each process once: {all:?}");
                for done in all {
                    self.check_done(client, done);
                }
            }
            Answer::Awaited(all) => {
                assert!(!all.is_empty());
                for it in all.iter().filter(|it| it.never) {
                    assert!(self.world.borrow().live(&it.id.to_string()).is_none(), "{it:?} is there");
                }
            }
            Answer::Status(..) | Answer::Ending | Answer::Environment(_) | Answer::Refused(_) => {}
        }
    }

    fn check_done(&self, client: &Client, done: &Done) {
        let (world, id) = (self.world.borrow(), done.id.to_string());
        let context = format!("{done:?} for {client:?}; it is {:?}", world.live(&id));
        let up = world.up(&id);
        // It was true when the client still waited for another process.
        let has_changed = self.last.get(&id) > Some(&client.number) || !self.is_running();
        let has_died = |pid: i32| {
            world.at(pid).is_some_and(|at| world.processes[at].id == id && !world.processes[at].is_alive)
        };
        match &done.what {
            Did::Started(pid) | Did::Restarted(pid) => {
                assert!(up.is_some_and(|it| it.pid == *pid) || has_died(*pid) || has_changed, "{context}");
                let place = world.at(*pid).expect("it was started");
                assert!(place >= client.started, "it was there before: {context}");
                if matches!(done.what, Did::Restarted(_)) {
                    assert!(
                        world.processes.iter().filter(|it| it.id == id).count() > 1
                            || world.processes[place].run.number > 1,
                        "{context}"
                    );
                }
            }
            Did::WasUp(pid) => {
                assert!(up.is_some_and(|it| it.pid == *pid) || has_died(*pid) || has_changed, "{context}");
                assert!(!matches!(client.ask, Ask::Order(_, Order::Restart)), "{context}");
            }
            Did::Stopped(_) | Did::WasDown => assert!(world.live(&id).is_none() || has_changed, "{context}"),
            Did::Failed(_) => assert!(up.is_none(), "{context}"),
            Did::Superseded => assert!(has_changed, "{context}"),
            Did::Ordered => assert!(!client.waits, "{context}"),
        }
    }

    /// Lets everything come to rest.
    fn settle(&mut self) {
        self.play(Move::Resume);
        // Where something is started again and again there is always a timer left.
        for _ in 0..200 {
            while !self.is_over() && self.handle() {}
            if self.is_over() {
                return;
            }
            if self.world.borrow().watches.is_empty() {
                let Some(left) = self.driver.timers.until_next() else { return };
                self.sleep(left);
            } else {
                self.find(0, true);
            }
        }
    }

    fn end(&mut self) {
        self.settle();
        for client in &self.clients {
            // What is started again and again may still become ready.
            let may_wait = matches!(client.ask, Ask::Wait(_)) && self.driver.timers.until_next().is_some();
            let is_answered = client.is_answered || client.answers.is_none() || may_wait;
            assert!(is_answered, "never answered: {client:?}");
        }
        if self.is_running() {
            self.check_at_rest();
            self.hear(signal(Sig::INT, Via::Guard));
            self.settle();
        }
        assert!(self.is_over(), "it has ended");
        let world = self.world.borrow();
        assert!(world.processes.iter().all(|it| it.is_gone), "nothing is left");
    }

    fn check_at_rest(&mut self) {
        let world = self.world.borrow();
        for it in world.processes.iter().filter(|it| !(it.is_gone && it.is_reaped)) {
            let promise =
                self.promised.get(&it.id).unwrap_or_else(|| panic!("{it:?} is not part of the formation"));
            assert!(!promise.is_stopped, "{it:?} was stopped");
            let id = &world.specs[it.run.slot.0].id;
            let now = world.current.instance(id).expect("a port").expect("a type");
            assert_eq!((&it.command, it.port), (&now.command, now.port), "{it:?} is not as the files say");
        }
        for id in self.promised.iter().filter(|(_, it)| !it.is_stopped).map(|(id, _)| id) {
            assert!(world.excused.contains(id) || world.up(id).is_some(), "{id} is not up");
        }
        drop(world);
        self.check_status();
    }

    /// What `ps` says is what there is.
    fn check_status(&mut self) {
        let (answer, mut answers) = unbounded_channel();
        self.hear(Message::Command(Command { what: What::Status, answer }));
        let Ok(Answer::Status(all, _)) = answers.try_recv() else { panic!("no status") };
        let world = self.world.borrow();
        for status in &all {
            let up = world.up(&status.id.to_string());
            assert_eq!(status.state == Stage::Up, up.is_some(), "{status:?}, {up:?}");
            if let Some(up) = up {
                let said = (status.pid, &status.command, status.port);
                assert_eq!(said, (Some(up.pid), &up.command, up.port), "{status:?}");
            }
        }
        let shown: BTreeSet<String> = all.iter().map(|status| status.id.to_string()).collect();
        assert!(self.promised.keys().all(|id| shown.contains(id)), "{shown:?}, {:?}", self.promised);
    }
}

fn tempers() -> impl Strategy<Value = Vec<Temper>> {
    let one = prop_oneof![3 => Just(Temper::Tame), 1 => Just(Temper::Stubborn), 1 => Just(Temper::Untidy)];
    proptest::collection::vec(one, 1..6)
}

/// How many histories there are, unless a variable says another number.
const HISTORIES: u32 = 1000;

#[test]
fn overlapping_commands_keep_their_promises() {
    let count = std::env::var("GANGER_HISTORIES").ok().and_then(|count| count.parse().ok());
    let mut config = ProptestConfig::with_cases(count.unwrap_or(HISTORIES));
    config.failure_persistence = None;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = Rc::new(runtime.expect("a runtime"));
    let _guard = runtime.enter();
    let on_exit = prop_oneof![1 => Just(OnExit::Stop), 3 => Just(OnExit::Ignore), 2 => Just(OnExit::Restart)];
    let histories = (files(), on_exit, tempers(), moves());
    let played = TestRunner::new(config).run(&histories, |(files, on_exit, tempers, moves)| {
        let mut history = History::new(runtime.clone(), &files, on_exit, tempers);
        for it in moves {
            history.play(it);
        }
        history.end();
        Ok(())
    });
    if let Err(error) = played {
        panic!("{error}");
    }
}

/// Two processes are released at once, and the start of the first lets the second go, which fails.
#[test]
fn a_timer_of_an_outer_step_does_not_replace_a_newer_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = Rc::new(runtime.expect("a runtime"));
    let _guard = runtime.enter();
    let files =
        |has_ports, waits| Files { commands: [Some(0), Some(0), None], is_swapped: false, has_ports, waits };
    let mut history = History::new(runtime.clone(), &files(true, 0), OnExit::Restart, vec![Temper::Tame]);
    history.play(Move::Ask(Ask::Reload(files(false, 3)), false));
    history.play(Move::Broken(1, true));
    history.play(Move::Ask(Ask::Wait(Vec::new()), false));
    history.end();
}
