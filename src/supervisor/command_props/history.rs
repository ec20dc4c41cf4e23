//! A history as it is played: the driver, its world, and what its clients were promised.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::moves::{Ask, Files, Move, TYPES};
use super::world::{Fake, Temper, World};
use crate::model::{InstanceId, Port, ProcessName, Sig};
use crate::plan::ProcessSpec;
use crate::supervisor::busy::Busy;
use crate::supervisor::command::{Answer, Command, What};
use crate::supervisor::driver::{Driver, Member, Message};
use crate::supervisor::driver_tests::signal;
use crate::supervisor::event::{Ended, OnExit};
use crate::supervisor::fleet::{Fleet, Order, Phase, Via};
use crate::supervisor::watch::Finding;

/// What the clients were promised of one instance of the formation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Promise {
    /// The last command wants it down.
    pub(super) is_stopped: bool,
}

#[derive(Debug)]
pub(super) struct Client {
    /// The number of its request.
    pub(super) number: usize,
    pub(super) ask: Ask,
    pub(super) waits: bool,
    /// How many processes had been started when it asked.
    pub(super) started: usize,
    pub(super) answers: Option<UnboundedReceiver<Answer>>,
    pub(super) is_answered: bool,
}

pub(super) struct History {
    pub(super) driver: Driver<Fake>,
    pub(super) world: Rc<RefCell<World>>,
    pub(super) on_exit: OnExit,
    /// The formation.
    pub(super) promised: BTreeMap<String, Promise>,
    /// The last request that has changed an instance.
    pub(super) last: BTreeMap<String, usize>,
    pub(super) clients: Vec<Client>,
    pub(super) runtime: Rc<tokio::runtime::Runtime>,
}

pub(super) fn name_of(id: &str) -> &str {
    id.split('.').next().expect("a name")
}

impl History {
    pub(super) fn new(
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
            looks: 0,
            is_looking: false,
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

    pub(super) fn is_running(&self) -> bool {
        self.driver.fleet.phase() == Phase::Running
    }

    pub(super) fn after_input(&mut self) {
        self.driver.after_input();
        self.read_answers();
    }

    pub(super) fn hear(&mut self, message: Message) {
        if matches!(message, Message::Looked) {
            self.world.borrow_mut().is_looking = false;
        }
        self.driver.hear(message);
        self.after_input();
    }

    /// Handles one message or chore. Returns whether there was any.
    pub(super) fn handle(&mut self) -> bool {
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

    pub(super) fn is_over(&self) -> bool {
        self.driver.outcome.is_some()
    }

    pub(super) fn play(&mut self, it: Move) {
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

    pub(super) fn find(&mut self, at: usize, is_there: bool) {
        let watch =
            self.world.borrow().watches.iter().nth(at).map(|(id, watch)| (*id, watch.limit.is_some()));
        match watch {
            Some((id, _)) if is_there => self.hear(Message::Found(id, Finding::There)),
            Some((id, true)) => self.hear(Message::Found(id, Finding::GaveUp)),
            Some((_, false)) | None => {}
        }
    }

    /// Time passes only when nothing else is to do.
    pub(super) fn sleep(&mut self, time: Duration) {
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

    pub(super) fn ask(&mut self, ask: Ask, waits: bool) {
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
        let failing = self.driver.busy.len();
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
        // The refusal comes later.
        let all = &self.driver.busy;
        let is_failing = all.len() > failing && all.last().is_some_and(Busy::is_of_command);
        self.clients[number].is_answered |= is_refused.is_some();
        if is_refused.is_some() || is_failing {
            (self.promised, self.last) = (before.0, before.1);
            let mut world = self.world.borrow_mut();
            (world.current, world.excused) = before.2;
        }
        self.after_input();
    }

    /// What this request promises, if it is accepted.
    pub(super) fn promise(&mut self, ask: &Ask, number: usize) {
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

    /// Lets everything come to rest.
    pub(super) fn settle(&mut self) {
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
}
