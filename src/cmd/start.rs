//! `ganger start`: everything before the first process, then guard, driver and pump, then the
//! end.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::again::read_again;
use super::background::Background;
use super::belongings::Belongings;
use super::beside::{self, Beside};
use super::children::{OsChildren, starting};
use super::daemon::{self, Starter};
use super::front::Front;
use super::inbox::{self, Heard};
use super::listen::{Listening, ReadAgain};
use super::passable;
use super::prober::Prober;
use super::project::{Need, Project};
use super::show::{Look, Show};
use super::wishes::{check_wishes, kept, wishes};
use crate::cli::{AppArgs, StartArgs};
use crate::control::seats::Seats;
use crate::env::Env;
use crate::error::{Error, FAILURE};
use crate::model::{Port, ProcessName, Sig, quoted};
use crate::os::guard::{self, Link};
use crate::os::limits::{self, OpenFiles, Room};
use crate::os::spawn::Spawner;
use crate::os::{memory, pipe, ports, signals, sweep};
use crate::output::pump::{Notice, Pump};
use crate::plan::{App, Planner, ProcessSpec};
use crate::supervisor::driver::{Driver, Member, Message};
use crate::supervisor::event::Slot;
use crate::supervisor::fleet::{Fleet, Outcome, Via};
use crate::supervisor::signals::{Decision, Policy, Signal};

/// The descriptors that are opened once processes run: three for the runtime's events and three for those of
/// the background thread, five for signals and the guard's messages, and some for the first clients.
const OWN_FILES: usize = 19;

/// How many descriptors a process may have here: what it writes, its terminal, and what its start
/// takes for a moment.
const FILES_OF_EACH: usize = 4;

/// How long stdout's reader may have taken nothing by the end, or the files of `--log-dir` at the end, before
/// they are not waited for any more.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the end waits for a reader that has taken something lately, and now takes nothing.
const LAST_CHANCE: Duration = Duration::from_millis(500);

/// How often the end looks whether the reader still reads.
const LOOK: Duration = Duration::from_millis(20);

/// How long whoever follows the output from elsewhere may read nothing before the end does not
/// wait for it any more.
const LAST_WORDS: Duration = Duration::from_millis(500);

pub(super) fn start(args: &AppArgs, start: &StartArgs, env: &Env) -> Result<u8, Error> {
    signals::block_as_pid_1().map_err(|error| Error::system("holding signals back", error))?;
    let project = Project::load(args, env, Need::Procfile)?;
    let types: Vec<ProcessName> = project.procfile.names().cloned().collect();
    let wishes = wishes(args, start, &types)?;
    check_wishes(args, &wishes, &types)?;
    let keep = kept(&start.options.keep)?;
    let shown_on = if start.command.is_empty() { env.clone() } else { beside::on_stderr(env) };
    let look = Look::wanted(args, start, &types, &shown_on)?;
    // Before the ports: those of a second start are in use, and that is not what is to be told.
    let listening = Listening::prepare(&project.root, args.name.as_deref(), env)?;
    if start.options.daemon {
        daemon::check(args, start)?;
        listening.socket_for(&args.said("daemon", "true"))?;
    }
    let app = project.app(args, |ports| {
        let app = App { ports: Some(ports), ..project.app_without_ports() };
        for spec in app.plan(&wishes)? {
            // No other base frees a port that is pinned: that is reported below.
            if !spec.port_is_pinned && in_use(&spec)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    let (mut specs, ports) = (app.plan(&wishes)?, app.ports);
    let chosen = types.iter().filter(|name| specs.iter().any(|spec| spec.id.name == **name));
    project.check_folders(chosen)?;
    for spec in &specs {
        // A command that is too long by itself is reported for its own process.
        passable::check(&spec.id, &[], &spec.environment)?;
    }
    project.warn();
    let beside = match Beside::plan(&start.command, &specs, &app, &wishes, &project) {
        Ok(beside) => beside,
        Err(status) => return Ok(status),
    };
    if let (Some((_, spec)), Some(program)) = (&beside, start.command.first()) {
        passable::check(&quoted(&program.to_string_lossy()), &start.command, &spec.environment)?;
    }
    for spec in &specs {
        if let Some(port) = in_use(spec)? {
            let holder = ports::holder(port).map(|holder| (holder.pid, holder.command));
            let (id, is_pinned) = (spec.id.clone(), spec.port_is_pinned);
            return Err(Error::PortInUse { port, id, is_pinned, holder });
        }
    }
    for spec in &specs {
        warn_of_port(spec);
    }

    let front = Front::plan((args, start, env), &specs, &types, &listening, &project.root)?;

    let open_files = OpenFiles::raise().map_err(|error| Error::system("asking for limits", error))?;
    // The last that can go wrong before anything starts: a run that is refused leaves no files.
    let mut show = look.show(&specs)?;
    let beside = beside.map(|(beside, spec)| {
        beside::share_screen(&mut show);
        specs.push(spec);
        beside
    });
    let starter = if start.options.daemon { Starter::leave(show.own.as_ref())? } else { Starter::default() };
    let Project { root, procfile, environment, settings, .. } = project;
    let planner = Planner { procfile, environment, settings, ports, wishes };
    let read = read_again(env, &root, ports);
    let it = It { specs, beside, front, planner, root, listening, read, starter: starter.clone(), keep };
    let outcome = launch(it, show, open_files);
    match outcome.inspect_err(|error| starter.failed(error))? {
        Outcome::Exit(status) => Ok(status),
        Outcome::Signal(sig) => signals::die(sig),
    }
}

/// Forks the guard, and in the supervisor starts everything and stays until everything has ended.
fn launch(mut it: It, show: Show, open_files: OpenFiles) -> Result<Outcome, Error> {
    it.listening.hand_over()?;
    let grace = it.specs.iter().map(|spec| spec.policy.grace).max().unwrap_or_default();
    let link = guard::split(grace, &it.keep).map_err(|error| starting(&error))?;
    start_all(it, show, open_files, link)
        .and_then(|started| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
            runtime?.block_on(supervise(started))
        })
        .map_err(|error| starting(&error))
}

/// The port of `spec`, if another program has it.
fn in_use(spec: &ProcessSpec) -> Result<Option<Port>, Error> {
    let Some(port) = spec.port else { return Ok(None) };
    let in_use = ports::in_use(port).map_err(|error| Error::system(format!("trying port {port}"), error))?;
    Ok(in_use.then_some(port))
}

/// Says that the port of `spec` is one that only root may listen on: the program may not say why it fails.
fn warn_of_port(spec: &ProcessSpec) {
    const FIRST_FREE: u16 = 1024;
    if let Some(port) = spec.port.filter(|port| port.get() < FIRST_FREE && ports::is_forbidden(*port)) {
        super::complain_in_lines(&format!(
            "ganger: warning: port {port} for {}: permission denied: this user may not listen on it\n  \
             hint: use a port from {FIRST_FREE} on",
            spec.id
        ));
    }
}

/// What runs.
struct It {
    specs: Vec<ProcessSpec>,
    beside: Option<Beside>,
    front: Option<Front>,
    planner: Planner,
    root: PathBuf,
    listening: Listening,
    read: ReadAgain,
    starter: Starter,
    /// The names of programs that are left running.
    keep: Vec<String>,
}

/// What has been started.
struct Started {
    driver: Driver<OsChildren>,
    outbox: UnboundedSender<Message>,
    pump_ended: UnboundedReceiver<()>,
    listening: Listening,
    socket: Option<UnixListener>,
    background: Background,
    read: ReadAgain,
    /// How many descriptors the processes and ganger itself need.
    needed: usize,
}

/// Starts what is to start first, before all that no process has to wait for.
fn start_all(it: It, show: Show, open_files: OpenFiles, link: Link) -> io::Result<Started> {
    let It { specs, beside, front, planner, root, listening, read, starter, keep: _ } = it;
    let (outbox, inbox) = unbounded_channel();
    let (ended, pump_ended) = unbounded_channel();
    let Show { setup, terminals, apart, log_folder, own: _, daemon } = show;
    let notify = notify(outbox.clone(), ended, daemon);
    // The command has our stdout.
    let out = match &beside {
        Some(_) => io::stderr().as_fd().try_clone_to_owned()?,
        None => io::stdout().as_fd().try_clone_to_owned()?,
    };
    pipe::widen(&out);
    // Before there is a thread.
    memory::share_arenas();
    let needed = OWN_FILES + FILES_OF_EACH * specs.len();
    limits::expect_files(needed);
    // Who reads the first line may ask what runs. The output's thread has time while processes are made,
    // and one of them that asks as soon waits for it (`Remote::find`).
    let (open, mut door) = listening.door();
    let pump = Pump::start(setup, out, open, notify)?;
    let seats = Seats::new(pump.view());
    terminals.resize(&seats);
    if daemon {
        // Before anything runs.
        door.need()?;
    }
    let mut fleet = Fleet::new(specs.iter().map(|spec| spec.policy.clone()));
    if planner.wishes.release {
        // The plan has it first.
        fleet.release_first(Slot(0));
    }
    if let Some(beside) = &beside {
        fleet.run_last(beside.slot(), planner.wishes.wait_limit());
    }
    let members = specs.iter().map(Member::of).collect();
    let spawner = Arc::new(Spawner::new(open_files, specs.len(), link.keep().sessions())?);
    let background = Background::default();
    let (scanner, holders) = Default::default();
    let prober = Prober::new(outbox.clone(), pump.history(), spawner.clone(), background.clone());
    let children = OsChildren {
        specs,
        root,
        spawner,
        prober,
        terminals,
        seats,
        apart,
        log_folder,
        pump,
        belongings: Belongings::new(link.keep().clone()),
        link,
        beside,
        front,
        starter,
        alone: false,
        outbox: outbox.clone(),
        scanner,
        holders,
    };
    let room = Room::keep(OWN_FILES)?;
    let driver = Driver::start(fleet, members, planner, children, inbox);
    // The last of them has just become a program, and may wait for this processor.
    std::thread::yield_now();
    drop(room);
    let socket = door.socket(&driver.children().pump);
    Ok(Started { driver, outbox, pump_ended, listening, socket, background, read, needed })
}

/// Hears of what happens, and stays until everything has ended. Signals are blocked until here.
async fn supervise(started: Started) -> io::Result<Outcome> {
    let Started { driver, outbox, pump_ended, listening, socket, background, read, needed } = started;
    let children = driver.children();
    inbox::listen(&children.link, outbox.clone(), message)?;
    if let Some(socket) = socket {
        listening.serve((socket, background), &outbox, read, (&children.pump, &children.seats), needed)?;
    }
    if let Some(front) = &children.front {
        front.bring_when_clear(children.pump.view());
    }
    children.starter.watch(&outbox, listening.describe())?;
    drop(outbox);
    let (outcome, mut children, mut inbox, mut policy) = driver.run().await;
    if let Some(front) = children.front.clone() {
        front.give_back(&mut children, &mut inbox, &mut policy).await;
    }
    finish(&children, inbox, pump_ended, policy).await;
    children.starter.ended(outcome);
    drop(listening);
    Ok(outcome)
}

/// What the pump says, as messages to the driver; its end goes to whoever waits for that.
fn notify(
    outbox: UnboundedSender<Message>,
    ended: UnboundedSender<()>,
    daemon: bool,
) -> impl Fn(Notice) + Send + 'static {
    move |notice| {
        let _ = match notice {
            Notice::Closed(run) => outbox.send(Message::OutputClosed(run)).is_ok(),
            // A daemon's own lines go to a file at most, and that is worth no end.
            Notice::Gone(_) if daemon => true,
            Notice::Gone(error) => outbox.send(Message::OutputGone(without_output(&error))).is_ok(),
            Notice::StopTold => outbox.send(Message::StopTold(Instant::now().into_std())).is_ok(),
            Notice::Ended => ended.send(()).is_ok(),
        };
    }
}

/// How a run ends whose output cannot be written any more.
fn without_output(error: &io::Error) -> Outcome {
    match error.raw_os_error() {
        // As for every program whose reader has gone.
        Some(libc::EPIPE) => Outcome::Exit(Sig::PIPE.exit_status()),
        // The terminal was closed, and HUP is on its way.
        Some(libc::EIO) => Outcome::Signal(Sig::HUP),
        // A full disk is a fault, and should be told.
        _ => {
            super::complain(&format!("ganger: error: writing the output: {error}"));
            Outcome::Exit(FAILURE)
        }
    }
}

/// What is heard, as messages to the driver. What signals mean is for the policy to decide; these two are
/// how the kernel reports something else.
fn message(heard: Heard) -> Option<Message> {
    Some(match heard {
        Heard::GuardGone => Message::GuardGone,
        Heard::Signal(Signal { sig: Sig::CHLD, via, .. }) => {
            return (via == Via::Direct).then_some(Message::ChildDied);
        }
        Heard::Signal(Signal { sig: Sig::WINCH, .. }) => Message::Resized,
        Heard::Signal(signal) => Message::Signal(signal),
    })
}

/// Waits until everything is written, as long as it is read, and for those who follow the output. One more
/// wish to end, and the end of the guard, end the wait: no process is left to lose anything. No other message
/// does anything to it.
async fn finish(
    children: &OsChildren,
    mut inbox: UnboundedReceiver<Message>,
    mut ended: UnboundedReceiver<()>,
    mut policy: Policy,
) {
    sweep_alone(children);
    children.pump.end();
    let all_written = async {
        tokio::select! {
            _ = ended.recv() => {}
            () = reader_is_stuck(&children.pump) => {}
        }
        // Those who follow get the end, if they read.
        children.pump.history().unread(LAST_WORDS).await;
    };
    tokio::select! {
        biased;
        () = wish_to_end(&mut inbox, &mut policy) => {}
        () = all_written => {}
    }
    sweep_alone(children);
}

/// Returns when another signal asks for the end of all this, or the guard has ended.
async fn wish_to_end(inbox: &mut UnboundedReceiver<Message>, policy: &mut Policy) {
    while let Some(message) = inbox.recv().await {
        match message {
            Message::GuardGone => return,
            Message::Signal(signal) => {
                if matches!(policy.decide(signal, None), Decision::Stop(_) | Decision::Kill) {
                    return;
                }
            }
            _ => {}
        }
    }
    // Nothing is received any more, so nothing can end it early.
    std::future::pending::<()>().await;
}

/// Returns when stdout takes nothing any more, nor the files that are written beside it.
async fn reader_is_stuck(pump: &Pump) {
    let (began, mut written, mut wrote_at) = (Instant::now(), pump.written(), Instant::now());
    loop {
        let now = Instant::now();
        if pump.written() != written {
            (written, wrote_at) = (pump.written(), now);
        }
        let is_stuck = match pump.blocked_for() {
            Some(blocked) => blocked >= PATIENCE || blocked.min(now - began) >= LAST_CHANCE,
            None => now - wrote_at >= PATIENCE,
        };
        if is_stuck {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Does the guard's last work if it may be dead. What is left has been asked already.
fn sweep_alone(children: &OsChildren) {
    if children.alone || children.link.is_alone() {
        sweep::end_all(Duration::ZERO, &children.link.keep().at_the_end());
    }
}
