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

use super::command::{Command, Stage};
use super::event::{Consequence, Ended, Epoch, Event, Left, LeftTo, Leftover, Pgid, Run, Slot, StartError};
use super::fleet::{self, Cause, Effect, Fleet, Outcome, Phase};
use super::jobs::Job;
use super::leftovers::{Leftovers, SILENCE};
use super::machine::{self, Whom};
use super::queue::Queue;
use super::signals::{Decision, Policy, Signal, StopBy};
use super::timers::{Timer, Timers};
use super::watch::{Finding, Watch, WatchId};
use super::watching::Watching;
use crate::config::environment::Environment;
use crate::config::probe::{Probe, ReadyProbe};
use crate::error::Error;
use crate::model::{InstanceId, Port, Sig};
use crate::plan::{Planner, ProcessSpec};

/// How long our output takes nothing before it counts as blocked at the end of everything.
const BLOCKED: Duration = Duration::from_millis(250);

/// How long the command of `start -- CMD` waits before ganger says what for.
const A_WHILE: Duration = Duration::from_millis(1500);

/// What the driver does to the world. A trait so that tests can put processes that die on
/// command in its place; the one real implementation is [`crate::cmd`]'s.
pub trait Children {
    /// Starts these in order: for each, tells [`Event::Started`], then sends its output on. Returns what
    /// became of the first of them, at least of one, in the same order. Once one has failed no other is begun;
    /// those that were being started beside it are among the results and run. It is up to the caller to start
    /// the rest.
    fn spawn(&mut self, runs: &[Run]) -> Vec<Result<Pgid, StartError>>;
    /// Signals a whole group whose leader has not been reaped.
    fn signal(&mut self, pgid: Pgid, sig: Sig);
    /// Signals what is left of groups whose leaders were reaped.
    fn signal_rest(&mut self, groups: &[(Pgid, Sig)]);
    /// Makes room for one more process, at the next slot.
    fn hire(&mut self, spec: ProcessSpec);
    /// The next run of the process is to be as `spec` says.
    fn change(&mut self, slot: Slot, spec: ProcessSpec);
    /// What the process was started with, or is to be.
    fn environment(&self, slot: Slot) -> Environment;
    /// Who has a port that a process is to get, if anybody has.
    fn port_holder(&mut self, port: Port) -> Option<Holder>;
    /// Asks processes of the present run to stop. Its leader has not been reaped.
    fn ask(&mut self, slot: Slot, pgid: Pgid, sig: Sig, whom: Whom);
    /// Returns for each, whose leader is dead, whether any of those is alive that were asked first. What they
    /// have left is asked too.
    fn first_are_left(&mut self, slots: &[Slot]) -> Vec<bool>;
    /// Looks at all that belongs to each of these, and does what they say. Returns for each what there is
    /// outside of its group. `running` are all slots that have a group. One scan of all processes of the
    /// machine, which takes milliseconds, serves all of them.
    fn look(&mut self, of: &[Look], running: &[Slot]) -> Vec<Vec<Left>>;
    /// Looks for something from now on; what is found comes as a [`Message::Found`].
    fn watch(&mut self, id: WatchId, watch: &Watch);
    /// Looks no longer, and ends what looks.
    fn unwatch(&mut self, id: WatchId);
    /// Whether nobody is left in the group.
    fn group_is_empty(&mut self, pgid: Pgid) -> bool;
    /// The next dead child of any kind, not yet reaped: its pid and its end.
    fn next_dead(&mut self) -> Option<(i32, Ended)>;
    /// Reaps the child that [`Children::next_dead`] named.
    fn reap(&mut self, pid: i32);
    /// Reads what is there and closes the output of this run.
    fn close_output(&mut self, run: Run);
    /// Returns how long our output has taken nothing of what is being written; `None` while nothing is.
    fn output_blocked(&self) -> Option<Duration> {
        None
    }
    /// Tells people.
    fn tell(&mut self, event: Event);
    /// From now on everything is killed; what left its group is not to be asked any more either.
    fn killing(&mut self);
    /// The guard is dead, so that nothing else will ask what belongs to none of these.
    fn alone(&mut self, running: &[Slot]);
    /// All groups are stopped. What left them is to be stopped too; then ganger itself may stop.
    fn suspended(&mut self);
    /// All groups continue; so does what left them.
    fn resumed(&mut self);
    /// Our terminal has another size.
    fn resized(&mut self);
}

/// What is to be done with all that belongs to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Where the run is.
    pub slot: Slot,
    /// Whether what has left its session is asked or killed too.
    pub strays: bool,
    /// What is done.
    pub act: Act,
}

/// See [`Look`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Look,
    /// What was not asked to stop is asked.
    Ask,
    /// It is killed.
    Kill,
}

/// Who has a port: pid and command, where the system tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(pub Option<(u32, String)>);

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
            command: spec.command.clone(),
            waits: spec.waits.clone(),
            wait_limit: spec.wait_limit,
            ready: spec.ready.clone(),
            ready_is_said: spec.ready_is_said,
        }
    }
}

/// Work that takes long for many processes at once. It is done bit by bit, and each bit only when the
/// inbox is empty: Ctrl-C must not wait for all of it. Everything that needs a scan of all processes is
/// collected meanwhile, so that one scan serves all.
#[derive(Debug, Default)]
struct Chores {
    /// A group may have become empty.
    look: bool,
    /// Their groups are empty, and what left these groups is gone too.
    cleared: VecDeque<Run>,
    /// Whatever belongs to these runs is asked or killed.
    rest: Vec<(Run, Act)>,
}

/// An end that was not told yet.
#[derive(Debug)]
struct Untold {
    run: Run,
    end: Ended,
    after: Duration,
    again: Option<Duration>,
    /// What the user can do about it.
    hint: Option<String>,
}

/// The driver. It is born with [`Driver::start`], and [`Driver::run`] is its life.
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
    chores: Chores,
    /// What is left of the dead.
    leftovers: Leftovers,
    /// What those have left that ended by themselves, until their ends are told.
    background: HashMap<Run, Vec<Leftover>>,
    /// What is looked for outside.
    pub(super) watching: Watching,
    queue: Queue,
    /// Something has happened since it was last looked at which jobs are done and what is to be looked for.
    pub(super) changed: bool,
    pub(super) timers: Timers,
    leaders: HashMap<i32, Run>,
    /// When the present run of a slot began, and when its leader ended.
    times: HashMap<Slot, (Instant, Option<Instant>)>,
    /// Where each process is, and since when.
    pub(super) since: HashMap<Slot, (Stage, SystemTime)>,
    /// How the last run of a slot that is over ended.
    pub(super) ends: HashMap<Slot, Ended>,
    pub(super) outcome: Option<Outcome>,
    /// What signals mean.
    policy: Policy,
    /// Ends of which it is not known yet what they lead to.
    untold: Vec<Untold>,
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
        loop {
            self.after_input();
            if let Some(outcome) = self.outcome {
                self.report();
                return (outcome, self.children, self.queue.into_inner(), self.policy);
            }
            tokio::select! {
                // Signals and deaths before timers: a process that ended in time is not killed.
                biased;
                Some(message) = self.queue.next() => self.hear(message),
                () = after_others(), if self.has_chores() => self.do_chore(),
                (timer, epoch) = self.timers.next() => self.ring(timer, epoch),
            }
        }
    }

    /// Does what follows from anything that may have happened.
    pub(super) fn after_input(&mut self) {
        // All of these look at each process. Most messages of 500 searches say that it is not there yet.
        while std::mem::take(&mut self.changed) {
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
                self.children.suspended();
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
    fn note_stop(&mut self, is_command: bool) {
        if self.is_ending() {
            let by = if is_command { StopBy::Command } else { StopBy::Event };
            self.policy.stop_began(by, Instant::now().into_std());
        }
    }

    /// Learns of every death. A leader's is decided on while its pid is still its own; a
    /// stranger (an orphan that came to us) is only reaped.
    fn bury(&mut self) {
        while let Some((pid, end)) = self.children.next_dead() {
            if let Some(run) = self.leaders.remove(&pid) {
                if let Some((_, ended)) = self.times.get_mut(&run.slot) {
                    *ended = Some(Instant::now());
                }
                self.one(run.slot, machine::Input::Exited(run, end));
            }
            self.children.reap(pid);
        }
        self.chores.look = true;
    }

    /// Signals wait until all due timers have fired: those of many processes fire together.
    pub(super) fn has_chores(&self) -> bool {
        let Chores { look, cleared, rest } = &self.chores;
        *look || !cleared.is_empty() || !rest.is_empty() && !self.timers.is_any_due()
    }

    pub(super) fn do_chore(&mut self) {
        if let Some(run) = self.chores.cleared.pop_front() {
            // This may start it again.
            self.one(run.slot, machine::Input::GroupEmpty(run));
        } else if std::mem::take(&mut self.chores.look) {
            self.look_at_groups();
        } else {
            self.signal_rest();
        }
    }

    /// Checks which of the groups that have to become empty are, and whether nothing is left outside of them
    /// that belongs to their processes: in their session, or as a stray that hinders the next run.
    fn look_at_groups(&mut self) {
        self.look_at_first();
        let draining: Vec<(Run, Pgid)> = self.fleet.draining_groups().collect();
        let is_empty = |(run, pgid): (Run, Pgid)| self.children.group_is_empty(pgid).then_some(run);
        let empty: Vec<Run> = draining.into_iter().filter_map(is_empty).collect();
        if empty.is_empty() {
            return;
        }
        let look = |run: &Run| {
            // Not only once: a scan may miss what changes its parent meanwhile.
            let act = if self.fleet.is_asked(run.slot) { Act::Ask } else { Act::Look };
            Look { slot: run.slot, strays: self.fleet.clears(run.slot), act }
        };
        let looks: Vec<Look> = empty.iter().map(look).collect();
        let found = self.children.look(&looks, &self.running());
        for ((run, look), left) in empty.into_iter().zip(looks).zip(found) {
            self.note_background(run, &left);
            let left: Vec<Left> = left.into_iter().filter(|it| look.strays || !it.is_stray).collect();
            let is_clear = left.is_empty();
            let strays = Leftovers::strays(&left);
            if self.leftovers.seen(run, left) {
                self.timers.arm(Timer::Silence(run.slot), Epoch(0), SILENCE);
                if self.fleet.phase() == Phase::Running && !strays.is_empty() {
                    let id = self.id(run.slot);
                    self.children.tell(Event::Left { id, programs: strays, what: LeftTo::Stop });
                }
            }
            if is_clear {
                self.timers.disarm(Timer::Silence(run.slot));
                self.chores.cleared.push_back(run);
            }
        }
    }

    /// Notes what a process has left that ended by itself. It may be gone by the time that this end is reported.
    fn note_background(&mut self, run: Run, left: &[Left]) {
        let strays = Leftovers::strays(left);
        if self.fleet.ended_by_itself(run.slot) && !strays.is_empty() {
            self.background.entry(run).or_insert(strays);
        }
    }

    /// Tells what is done with what the run at `slot` has left. Returns whether there is anything.
    fn tell_left(&mut self, slot: Slot, what: LeftTo) -> bool {
        let run = self.fleet.machine(slot).run();
        let Some(programs) = run.and_then(|run| self.leftovers.of(run)) else { return false };
        self.children.tell(Event::Left { id: self.id(slot), programs, what });
        true
    }

    /// Checks where all are dead that were asked first: then the others are asked.
    fn look_at_first(&mut self) {
        let waiting: Vec<Run> = self.fleet.await_first().collect();
        if waiting.is_empty() {
            return;
        }
        let slots: Vec<Slot> = waiting.iter().map(|run| run.slot).collect();
        let left = self.children.first_are_left(&slots);
        for (run, _) in waiting.into_iter().zip(left).filter(|(_, is_left)| !is_left) {
            self.one(run.slot, machine::Input::FirstEnded(run));
        }
    }

    fn rest(&mut self, slot: Slot, act: Act) {
        if let Some(run) = self.fleet.machine(slot).run() {
            self.chores.rest.push((run, act));
        }
    }

    /// Asks or kills whatever belongs to runs, as was ordered meanwhile.
    fn signal_rest(&mut self) {
        let rest = std::mem::take(&mut self.chores.rest);
        let mut looks: Vec<Look> = Vec::new();
        for (run, act) in rest {
            if self.fleet.machine(run.slot).run() != Some(run) {
                continue;
            }
            let strays = self.fleet.clears(run.slot);
            // The last order counts.
            looks.retain(|look| look.slot != run.slot);
            looks.push(Look { slot: run.slot, strays, act });
        }
        if !looks.is_empty() {
            let found = self.children.look(&looks, &self.running());
            for (look, left) in looks.iter().zip(found) {
                if let Some(run) = self.fleet.machine(look.slot).run() {
                    self.note_background(run, &left);
                }
            }
        }
    }

    /// All that have a group.
    fn running(&self) -> Vec<Slot> {
        let live = self.fleet.live_groups().map(|(slot, _)| slot);
        live.chain(self.fleet.draining_groups().map(|(run, _)| run.slot)).collect()
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

    fn perform(&mut self, slot: Slot, effect: machine::Effect) {
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

    /// Tells of ends once it is known what they lead to.
    fn tell_ends(&mut self) {
        if self.fleet.is_undecided() {
            return;
        }
        for Untold { run, end, after, again, hint } in std::mem::take(&mut self.untold) {
            let again =
                again.filter(|_| self.fleet.machine(run.slot).runs() != run.number || !self.is_ending());
            let then = self.fleet.consequence(run, again);
            self.children.tell(if self.fleet.last() == Some(run.slot) {
                let program = self.members[run.slot.0].command.to_string_lossy().into_owned();
                Event::CommandEnded { program, end, after, then }
            } else {
                Event::Ended { id: self.id(run.slot), end, after, then }
            });
            if let Some(hint) = hint {
                self.children.tell(Event::Hint(hint));
            }
        }
    }

    fn is_ending(&self) -> bool {
        !matches!(self.fleet.phase(), Phase::Releasing | Phase::Running)
    }

    /// From now on it is counted how long the process at `slot` runs.
    pub(super) fn begin_times(&mut self, slot: Slot) {
        self.times.insert(slot, (Instant::now(), None));
    }

    /// Takes from `effects` all that are to be started together with `first`: those that follow with nothing
    /// between them but timers, which are of other processes and are set at once.
    fn batch(&mut self, first: Run, effects: &mut VecDeque<Effect>) -> Vec<Run> {
        use machine::Effect::{Arm, Disarm, Spawn};
        let mut runs = vec![first];
        while let Some(Effect::One(_, Spawn(_) | Arm(..) | Disarm)) = effects.front() {
            match effects.pop_front() {
                Some(Effect::One(_, Spawn(run))) => runs.push(run),
                Some(Effect::One(slot, timer)) => self.perform(slot, timer),
                _ => {}
            }
        }
        runs
    }

    /// Starts these in order, and returns what the fleet wants in response. It is told of all that were
    /// started together before any of that is done: what is done then finds every process that runs known.
    ///
    /// After a failure the others are started only if the fleet still wants them. A process that was being
    /// started beside the one that failed runs, and is stopped like all others if everything ends.
    fn spawn(&mut self, runs: Vec<Run>) -> Vec<Effect> {
        let mut effects = Vec::new();
        // Before the first of them is started: afterwards a port in use may be its own.
        let mut left: VecDeque<(Run, Option<StartError>)> =
            runs.into_iter().map(|run| (run, self.port_error(run.slot))).collect();
        for (run, _) in &left {
            self.times.remove(&run.slot);
        }
        while let Some((run, error)) = left.pop_front() {
            if !self.fleet.wants(run) {
                let withdrawn = StartError { message: "not started".into(), hint: None };
                effects.extend(self.feed(machine::Input::SpawnFailed(run, withdrawn), run.slot));
            } else if let Some(error) = error {
                self.begin_times(run.slot);
                effects.extend(self.feed(machine::Input::SpawnFailed(run, error), run.slot));
            } else {
                let others = left.iter().take_while(|(run, error)| error.is_none() && self.fleet.wants(*run));
                let batch: Vec<Run> = [run].into_iter().chain(others.map(|(run, _)| *run)).collect();
                let began = Instant::now();
                let results = self.children.spawn(&batch);
                left.drain(..results.len().saturating_sub(1));
                for (run, result) in batch.into_iter().zip(results) {
                    self.times.insert(run.slot, (began, None));
                    effects.extend(self.spawned(run, result));
                }
            }
        }
        effects
    }

    fn spawned(&mut self, run: Run, result: Result<Pgid, StartError>) -> Vec<Effect> {
        let slot = run.slot;
        let pgid = match result {
            Ok(pgid) => pgid,
            Err(error) => return self.feed(machine::Input::SpawnFailed(run, error), slot),
        };
        self.leaders.insert(pgid.0, run);
        let mut effects = self.feed(machine::Input::Spawned(run, pgid), slot);
        if self.fleet.last() == Some(slot) {
            // It writes where it likes: nothing of it comes by us.
            effects.extend(self.feed(machine::Input::OutputClosed(run), slot));
        }
        effects
    }

    fn feed(&mut self, input: machine::Input, slot: Slot) -> Vec<Effect> {
        let effects = self.fleet.step(fleet::Input::One(slot, input));
        self.note_stop(false);
        effects
    }

    /// Why a process that a command wants up would not get its port. At the start of everything all
    /// ports were tried before.
    fn port_error(&mut self, slot: Slot) -> Option<StartError> {
        let Member { id, port, .. } = &self.members[slot.0];
        let port = port.filter(|_| self.fleet.is_ordered(slot))?;
        let holder = self.children.port_holder(port)?.0;
        let error = Error::PortInUse { port, id: id.clone(), holder };
        Some(StartError { message: error.to_string().into(), hint: None })
    }

    fn report(&mut self) {
        // The end of a command has been told, and its last lines are on the screen.
        if let Some(Cause::Process { run, end }) = self.fleet.cause().cloned()
            && self.fleet.last() != Some(run.slot)
        {
            self.tell_of_last_that_never_ran();
            let (id, after) = (self.id(run.slot), self.ran_for(run.slot).unwrap_or_default());
            self.children.tell(Event::Report { id, end, after });
        }
    }

    /// Who reads the end wants to know whether the command has done anything.
    fn tell_of_last_that_never_ran(&mut self) {
        let Some(last) = self.fleet.last().filter(|last| self.fleet.machine(*last).runs() == 0) else {
            return;
        };
        let program = self.members[last.0].command.to_string_lossy().into_owned();
        let message = "everything ended before all were ready".into();
        let end = Ended::NotStarted(StartError { message, hint: None });
        self.children.tell(Event::CommandEnded {
            program,
            end,
            after: Duration::ZERO,
            then: Consequence::Nothing,
        });
    }

    pub(super) fn ran_for(&self, slot: Slot) -> Option<Duration> {
        let (began, ended) = self.times.get(&slot)?;
        Some(ended.unwrap_or_else(Instant::now) - *began)
    }

    pub(super) fn id(&self, slot: Slot) -> InstanceId {
        self.members[slot.0].id.clone()
    }
}

/// Returns when all other ready tasks have run: first the runtime learns what can be read, and then
/// the readers put it into the inbox.
async fn after_others() {
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
}
