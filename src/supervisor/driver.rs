//! The one task that owns all process state. It takes messages, lets the [`Fleet`] decide, and
//! performs the effects, in order.
//!
//! It never waits for output: what it tells people goes into an unbounded channel, so that a
//! stuck terminal cannot delay a signal.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::busy::Busy;
pub use super::children::{Act, Children};
use super::chores::Chores;
use super::command::{Command, Stage};
use super::ends::Untold;
use super::event::{Ended, Epoch, Event, LeftTo, Leftover, Run, Slot};
use super::fleet::{self, Effect, Fleet, Outcome, Phase};
use super::jobs::Job;
use super::leftovers::Leftovers;
use super::machine;
use super::queue::Queue;
use super::signals::{Decision, Policy, Signal, StopBy};
use super::timers::{Timer, Timers};
use super::watch::{Finding, WatchId};
use super::watching::Watching;
use crate::config::probe::{Probe, ReadyProbe};
use crate::model::{InstanceId, Port, Sig};
use crate::plan::{Planner, ProcessSpec};

/// How long our output takes nothing before it counts as blocked at the end of everything.
const BLOCKED: Duration = Duration::from_millis(250);

/// How long the command of `start -- CMD` waits before ganger says what for.
const A_WHILE: Duration = Duration::from_millis(1500);

/// How many findings in a row are handled before what follows from them is done for all. Each time costs a look
/// at every process.
const FINDINGS: usize = 100;

/// What reaches the driver.
#[derive(Debug, Clone)]
pub enum Message {
    /// A signal that guard or supervisor has received.
    Signal(Signal),
    /// The reader of our output can know from this time on that everything is being stopped.
    StopTold(std::time::Instant),
    /// Children have died.
    ChildDied,
    /// All output of this run was read.
    OutputClosed(Run),
    /// Our output cannot be written any more; the end that says so.
    OutputGone(Outcome),
    /// Our terminal has another size.
    Resized,
    /// The guard is dead.
    GuardGone,
    /// Somebody commands us from outside.
    Command(Command),
    /// A client that waited for an answer has disconnected. Its receiver is closed by now.
    ClientGone,
    /// A look at what belongs to runs is over.
    Looked,
    /// Everything is stopped, also what has left its group. Which suspension asked for it.
    Suspended(Epoch),
    /// The program that has this port, its pid and command, where the system says.
    PortHolder(Port, Option<(u32, String)>),
    /// A search has shown something.
    Found(WatchId, Finding),
    /// Somebody has seen, without being asked, that this run is ready.
    Ready(Run),
}

/// Who runs in a slot.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub id: InstanceId,
    /// The port of its present run; without one, of the next.
    pub port: Option<Port>,
    /// Whether `ganger.toml` says which.
    pub port_is_pinned: bool,
    /// What the shell gets, likewise.
    pub command: OsString,
    /// What it waits for before each start.
    pub waits: Vec<Probe>,
    /// How long it may wait.
    pub wait_limit: Duration,
    /// What says that it is ready; nothing: that it has started.
    pub ready: Option<ReadyProbe>,
    /// Whether the user has said what that is.
    pub ready_is_said: bool,
}

impl Member {
    /// Who runs as `spec` says.
    pub fn of(spec: &ProcessSpec) -> Self {
        Self {
            id: spec.id.clone(),
            port: spec.port,
            port_is_pinned: spec.port_is_pinned,
            command: spec.command.clone(),
            waits: spec.waits.clone(),
            wait_limit: spec.wait_limit,
            ready: spec.ready.clone(),
            ready_is_said: spec.ready_is_said,
        }
    }
}

/// The driver. [`Driver::start`] creates it, and [`Driver::run`] runs it to the end.
#[derive(Debug)]
pub struct Driver<C> {
    pub(super) fleet: Fleet,
    pub(super) members: Vec<Member>,
    pub(super) children: C,
    /// The files as they were read last: how each process runs that starts from now on.
    pub(super) planner: Arc<Planner>,
    /// For each member, the files as they were when its present run began; without one, as they were read last.
    pub(super) plans: Vec<Arc<Planner>>,
    /// Commands that are not done.
    pub(super) jobs: Vec<Job>,
    /// Work that waits until the inbox is empty.
    pub(super) chores: Chores,
    /// What is left of the dead.
    pub(super) leftovers: Leftovers,
    /// What those have left that ended by themselves, until their ends are reported.
    pub(super) background: HashMap<Run, Vec<Leftover>>,
    /// What is looked for outside.
    pub(super) watching: Watching,
    queue: Queue,
    /// Something has happened since it was last looked at which jobs are done and what is to be looked for.
    pub(super) changed: bool,
    pub(super) timers: Timers,
    /// The last suspension.
    suspension: Epoch,
    /// What fails since a port is in use.
    pub(super) busy: Vec<Busy>,
    pub(super) leaders: HashMap<i32, Run>,
    /// When the present run of a slot began, and when its leader ended.
    pub(super) times: HashMap<Slot, (Instant, Option<Instant>)>,
    /// Where each process is, and since when.
    pub(super) since: HashMap<Slot, (Stage, SystemTime)>,
    /// How the last run of a slot that is over ended.
    pub(super) ends: HashMap<Slot, Ended>,
    pub(super) outcome: Option<Outcome>,
    /// What signals mean.
    policy: Policy,
    /// Ends of which it is not known yet what they lead to.
    pub(super) untold: Vec<Untold>,
}

impl<C: Children> Driver<C> {
    /// A driver for these members, in the order of the fleet's slots. Whatever is to start first has
    /// been started when this returns; what comes of it is only heard of in [`Driver::run`], so
    /// that the caller can do meanwhile what no process has to wait for.
    pub fn start(
        fleet: Fleet,
        members: Vec<Member>,
        planner: Planner,
        children: C,
        inbox: UnboundedReceiver<Message>,
    ) -> Self {
        let planner = Arc::new(planner);
        let mut driver = Self {
            fleet,
            plans: vec![planner.clone(); members.len()],
            members,
            children,
            planner,
            jobs: Vec::new(),
            chores: Chores::default(),
            leftovers: Leftovers::default(),
            background: HashMap::new(),
            watching: Watching::default(),
            queue: Queue::new(inbox),
            changed: true,
            timers: Timers::default(),
            suspension: Epoch::default(),
            busy: Vec::new(),
            leaders: HashMap::new(),
            times: HashMap::new(),
            since: HashMap::new(),
            ends: HashMap::new(),
            outcome: None,
            policy: Policy::default(),
            untold: Vec::new(),
        };
        driver.link();
        driver.step(fleet::Input::Start);
        if driver.fleet.last().is_some() {
            driver.timers.arm(Timer::Command, Epoch(0), A_WHILE);
        }
        driver
    }

    /// The children's world.
    pub fn children(&self) -> &C {
        &self.children
    }

    /// Returns when everything has ended, with what is left to do for the caller: how to end, and for its
    /// last acts the children's world and what signals mean until then.
    pub async fn run(mut self) -> (Outcome, C, UnboundedReceiver<Message>, Policy) {
        let mut findings = 0;
        loop {
            if findings == 0 {
                self.after_input();
            }
            if let Some(outcome) = self.outcome {
                self.report();
                return (outcome, self.children, self.queue.into_inner(), self.policy);
            }
            tokio::select! {
                // Signals and deaths before timers: a process that ended in time is not killed.
                biased;
                Some(message) = self.queue.next() => {
                    // Hundreds of processes may become ready at the same moment.
                    let is_followed = is_finding(&message) && self.queue.goes_on_with(is_finding);
                    findings = if is_followed { (findings + 1) % FINDINGS } else { 0 };
                    self.hear(message);
                }
                () = after_others(), if self.has_chores() => {
                    findings = 0;
                    self.do_chore();
                }
                (timer, epoch) = self.timers.next() => {
                    findings = 0;
                    self.ring(timer, epoch);
                }
            }
        }
    }

    /// Does what follows from anything that may have happened.
    pub(super) fn after_input(&mut self) {
        // All of these look at each process. Most messages of 500 searches say that it is not there yet.
        while std::mem::take(&mut self.changed) {
            self.withdraw_starts();
            // What is looked for may have been seen before, and start a process that a command waits for.
            self.watch();
            self.settle();
            self.note_stages();
        }
        self.hasten_drains();
        #[cfg(test)]
        self.assert_settled();
    }

    pub(super) fn ring(&mut self, timer: Timer, epoch: Epoch) {
        match timer {
            Timer::Process(slot) => self.one(slot, machine::Input::Timeout(epoch)),
            Timer::Hurry => self.step(fleet::Input::Hurry),
            Timer::Signal => self.step(fleet::Input::NoSignal),
            Timer::Command => self.tell_command_waits(),
            Timer::Silence(slot) => drop(self.tell_left(slot, LeftTo::BeWaitedFor)),
        }
    }

    pub(super) fn hear(&mut self, message: Message) {
        match message {
            Message::Signal(signal) => self.signal(signal),
            Message::StopTold(at) => self.policy.stop_told(at),
            Message::ChildDied => self.bury(),
            Message::OutputClosed(run) => {
                self.one(run.slot, machine::Input::OutputClosed(run));
                // Where orphans do not come to us, closed output is the hint that they are gone.
                self.chores.look = true;
            }
            Message::Command(command) => {
                self.changed = true;
                self.command(command);
            }
            Message::ClientGone => self.changed = true,
            Message::Looked => self.looked(),
            // It may have been continued since, and even suspended again: what that one stops is not stopped yet.
            Message::Suspended(epoch) if self.timers.is_paused() && epoch == self.suspension => {
                self.children.stop_ganger();
            }
            Message::Suspended(_) => {}
            Message::PortHolder(port, holder) => self.port_holder(port, holder.as_ref()),
            Message::Found(id, finding) => self.found(id, finding),
            Message::Ready(run) => self.step(fleet::Input::Ready(run)),
            Message::OutputGone(outcome) => self.step(fleet::Input::OutputGone(outcome)),
            Message::Resized => self.children.resized(),
            Message::GuardGone => {
                self.step(fleet::Input::GuardGone);
                // They have half a second, so nothing waits for those that were asked first.
                let running = self.running();
                for slot in &running {
                    self.rest(*slot, Act::Ask);
                }
                self.children.alone(&running);
            }
        }
    }

    fn signal(&mut self, signal: Signal) {
        match self.policy.decide(signal, self.command_since()) {
            Decision::Stop(sig) => self.step(fleet::Input::Stop(sig)),
            Decision::Kill => self.step(fleet::Input::Kill),
            Decision::Forward(sig) => self.step(fleet::Input::Forward(sig)),
            Decision::Suspend => {
                self.signal_everyone(Sig::STOP);
                self.timers.pause();
                self.suspension.0 += 1;
                self.children.suspended(self.suspension);
            }
            Decision::Resume => {
                self.signal_everyone(Sig::CONT);
                self.timers.resume();
                self.children.resumed();
            }
            Decision::Ignore => {}
        }
    }

    /// While our output is blocked, the end of a process's output is not read, however soon it comes: at the end
    /// of everything it is not waited for. What is in the pipe is read if the reader comes back.
    fn hasten_drains(&mut self) {
        if !matches!(self.fleet.phase(), Phase::Stopping | Phase::Killing) {
            return;
        }
        let Some(blocked) = self.children.output_blocked() else { return };
        let left = BLOCKED.saturating_sub(blocked);
        for slot in self.fleet.slots().filter(|slot| self.fleet.machine(*slot).awaits_output()) {
            self.timers.hasten(Timer::Process(slot), left);
        }
    }

    /// Returns when the command that has the keyboard was started, if one has it.
    fn command_since(&self) -> Option<std::time::Instant> {
        let last = self.fleet.last().filter(|_| self.fleet.last_has_its_turn())?;
        self.times.get(&last).map(|(began, _)| began.into_std())
    }

    /// What began to stop everything without a signal counts as the first wish for that.
    pub(super) fn note_stop(&mut self, is_command: bool) {
        if self.is_ending() {
            let by = if is_command { StopBy::Command } else { StopBy::Event };
            self.policy.stop_began(by, Instant::now().into_std());
        }
    }

    fn signal_everyone(&mut self, sig: Sig) {
        for (_, pgid) in self.fleet.live_groups() {
            self.children.signal(pgid, sig);
        }
        let rest: Vec<_> = self.fleet.draining_groups().map(|(_, pgid)| (pgid, sig)).collect();
        self.children.signal_rest(&rest);
    }

    pub(super) fn one(&mut self, slot: Slot, input: machine::Input) {
        self.step(fleet::Input::One(slot, input));
    }

    pub(super) fn step(&mut self, input: fleet::Input) {
        self.changed = true;
        let is_command = matches!(input, fleet::Input::End);
        let mut effects = VecDeque::from(self.fleet.step(input));
        self.note_stop(is_command);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::One(_, machine::Effect::Spawn(run)) => {
                    let runs = self.batch(run, &mut effects);
                    // What follows from these starts comes before what else the step wanted.
                    for effect in self.spawn(runs).into_iter().rev() {
                        effects.push_front(effect);
                    }
                }
                Effect::One(slot, effect) => self.perform(slot, effect),
                Effect::StopRequested(sig) => self.children.tell(Event::StopRequested(sig)),
                Effect::HurryAfter(after) => {
                    self.timers.arm(Timer::Hurry, Epoch(0), after);
                }
                Effect::AwaitSignal(after) => {
                    self.timers.arm(Timer::Signal, Epoch(0), after);
                }
                Effect::Killing => self.children.killing(),
                Effect::Done(outcome) => self.outcome = Some(outcome),
            }
        }
        self.tell_ends();
    }

    pub(super) fn perform(&mut self, slot: Slot, effect: machine::Effect) {
        match effect {
            // Taken by `step`.
            machine::Effect::Spawn(_) => {}
            machine::Effect::Signal(pgid, sig) => self.children.signal(pgid, sig),
            machine::Effect::Ask(pgid, sig, whom) => self.children.ask(slot, pgid, sig, whom),
            machine::Effect::AskRest => self.rest(slot, Act::Ask),
            machine::Effect::KillRest => self.rest(slot, Act::Kill),
            machine::Effect::CloseOutput(run) => self.children.close_output(run),
            machine::Effect::Disarm => self.timers.disarm(Timer::Process(slot)),
            machine::Effect::OutOfTime(epoch) => self.out_of_time(slot, epoch),
            machine::Effect::Arm(epoch, after) => {
                // What another effect has led to meanwhile may have set a newer one.
                if self.fleet.machine(slot).epoch == epoch {
                    self.timers.arm(Timer::Process(slot), epoch, after);
                }
            }
            machine::Effect::Overdue => {
                let (id, after) = (self.id(slot), self.fleet.machine(slot).policy().grace);
                if !self.tell_left(slot, LeftTo::BeKilled(after)) {
                    self.children.tell(Event::Killed { id, after });
                }
            }
            machine::Effect::Finished { run, end, again } => {
                if again.is_none() {
                    self.timers.disarm(Timer::Process(slot));
                }
                self.timers.disarm(Timer::Silence(slot));
                self.leftovers.seen(run, Vec::new());
                let background = self.background.remove(&run).unwrap_or_default();
                // A start that was withdrawn is no end anybody saw.
                if let Some(after) = self.ran_for(slot) {
                    self.ends.insert(slot, end.clone());
                    let hint = Leftovers::hint(&end, after, &background);
                    self.untold.push(Untold { run, end, after, again, hint });
                    self.tell_ends();
                }
                self.renew(slot);
            }
        }
    }

    pub(super) fn is_ending(&self) -> bool {
        !matches!(self.fleet.phase(), Phase::Releasing | Phase::Running)
    }

    pub(super) fn id(&self, slot: Slot) -> InstanceId {
        self.members[slot.0].id.clone()
    }
}

/// Whether the message says what a search has shown. What follows from it is the same if another one is handled
/// before that is done.
fn is_finding(message: &Message) -> bool {
    matches!(message, Message::Found(..) | Message::Ready(_))
}

/// Returns when all other ready tasks have run: first the runtime learns what can be read, and then
/// the readers put it into the inbox.
async fn after_others() {
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
}
