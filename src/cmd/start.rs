//! `ganger start`: everything before the first process, then guard, driver and pump, then the
//! end.

use std::fmt::Display;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::ahead::Ahead;
use super::children::{OsChildren, starting};
use super::daemon::{self, Starter};
use super::inbox::{self, Heard};
use super::listen::{Listening, ReadAgain};
use super::project::{Need, Project};
use super::show::{Look, Show};
use crate::cli::{AppArgs, StartArgs};
use crate::config::formation::{Formation, Selection, parse_names};
use crate::config::scoped::Scoped;
use crate::control::proto::Refusal;
use crate::env::Env;
use crate::error::{Error, FAILURE};
use crate::model::{Port, ProcessName, Sig};
use crate::os::guard::{self, FORWARDED, Link, TERMINATING};
use crate::os::limits::OpenFiles;
use crate::os::spawn::Spawner;
use crate::os::{pipe, ports, signals, sweep};
use crate::output::pump::{Notice, Pump};
use crate::plan::{App, Planner, PortWish, ProcessSpec, Wishes};
use crate::supervisor::driver::{Driver, Member, Message};
use crate::supervisor::fleet::{Fleet, Outcome, Via};

/// How long stdout's reader may take nothing before the end does not wait for it any more.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long whoever follows the output from elsewhere may read nothing before the end does not
/// wait for it any more.
const LAST_WORDS: Duration = Duration::from_millis(500);

pub(super) fn start(args: &AppArgs, start: &StartArgs, env: &Env) -> Result<u8, Error> {
    signals::block_as_pid_1().map_err(|error| Error::system("holding signals back", error))?;
    let project = Project::load(args, env, Need::Procfile)?;
    let types: Vec<ProcessName> = project.procfile.names().cloned().collect();
    let wishes = wishes(start, &types, env)?;
    let look = Look::wanted(args, &start.options, &types, env)?;
    // Before the ports: those of a second start are in use, and that is not what is to be told.
    let listening = Listening::prepare(&project.root, env)?;
    if start.options.daemon {
        daemon::check()?;
        listening.insist()?;
    }
    let app = project.app(args, |ports| {
        let app = App { procfile: &project.procfile, environment: &project.environment, ports: Some(ports) };
        for spec in app.plan(&wishes)? {
            if in_use(&spec)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    let (specs, ports) = (app.plan(&wishes)?, app.ports);
    project.warn();
    for spec in &specs {
        if let Some(port) = in_use(spec)? {
            let holder = ports::holder(port).map(|holder| (holder.pid, holder.command));
            return Err(Error::PortInUse { port, id: spec.id.clone(), holder });
        }
    }

    let open_files = OpenFiles::raise().map_err(|error| Error::system("asking for limits", error))?;
    // The last that can go wrong before anything starts: a run that is refused leaves no files.
    let show = look.show(&specs)?;
    let starter = if start.options.daemon { Starter::leave(show.own.as_ref())? } else { Starter::default() };
    let Project { root, procfile, environment, .. } = project;
    let planner = Planner { procfile, environment, ports, wishes };
    let read = read_again(args, env, &planner);
    let it = It { specs, planner, root, listening, read, starter: starter.clone() };
    let outcome = launch(it, show, open_files);
    match outcome.inspect_err(|error| starter.failed(error))? {
        Outcome::Exit(status) => Ok(status),
        Outcome::Signal(sig) => signals::die(sig),
    }
}

/// Forks the guard, and runs in the supervisor until everything has ended.
fn launch(mut it: It, show: Show, open_files: OpenFiles) -> Result<Outcome, Error> {
    it.listening.hand_over()?;
    let grace = it.specs.iter().map(|spec| spec.policy.grace).max().unwrap_or_default();
    let link = guard::split(grace).map_err(|error| starting(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime
        .and_then(|runtime| runtime.block_on(supervise(it, show, open_files, link)))
        .map_err(|error| starting(&error))
}

/// Reads the files as this start has read them. With `-p auto` the ports stay those that were found.
fn read_again(args: &AppArgs, env: &Env, planner: &Planner) -> ReadAgain {
    let (args, env, wishes, ports) = (args.clone(), env.clone(), planner.wishes.clone(), planner.ports);
    Box::new(move || {
        let refused = |error: Error| Refusal {
            message: error.render().trim_start_matches("ganger: error: ").to_owned(),
            hint: None,
            status: error.exit_status(),
        };
        let project = Project::load(&args, &env, Need::Procfile).map_err(refused)?;
        let ports = match args.port {
            Some(PortWish::Auto) => ports,
            Some(PortWish::At(_)) | None => project.app(&args, |_| Ok(true)).map_err(refused)?.ports,
        };
        let Project { procfile, environment, .. } = project;
        Ok(Planner { procfile, environment, ports, wishes: wishes.clone() })
    })
}

fn wishes(start: &StartArgs, types: &[ProcessName], env: &Env) -> Result<Wishes, Error> {
    let options = &start.options;
    let mut selection = Selection {
        processes: Formation::parse(&start.processes)?,
        formation: Formation::parse(&options.formation)?,
        concurrency: Formation::parse(&options.concurrency)?,
        exclude: parse_names(&options.exclude)?,
    };
    // Arguments beat a variable; beside an option they would be a contradiction.
    let of_variable = env
        .var("GANGER_FORMATION")
        .is_some_and(|value| matches!(&options.formation[..], [text] if value == text.as_str()));
    if of_variable && !selection.processes.is_empty() {
        selection.formation = Formation::default();
    }
    Ok(Wishes {
        selection,
        timeout: scoped("--timeout", &options.timeout, types)?,
        stop_signal: scoped("--stop-signal", &options.stop_signal, types)?,
        on_exit: scoped("--on-exit", &options.on_exit, types)?,
    })
}

fn scoped<T: FromStr<Err: Display>>(
    option: &str,
    texts: &[String],
    types: &[ProcessName],
) -> Result<Scoped<T>, Error> {
    let named = |error| Error::Usage { message: format!("{option} {error}"), hint: None };
    Scoped::parse(texts, types).map_err(named)
}

/// The port of `spec`, if another program has it.
fn in_use(spec: &ProcessSpec) -> Result<Option<Port>, Error> {
    let Some(port) = spec.port else { return Ok(None) };
    let in_use = ports::in_use(port).map_err(|error| Error::system(format!("trying port {port}"), error))?;
    Ok(in_use.then_some(port))
}

/// What runs.
struct It {
    specs: Vec<ProcessSpec>,
    planner: Planner,
    root: PathBuf,
    listening: Listening,
    read: ReadAgain,
    starter: Starter,
}

async fn supervise(it: It, show: Show, open_files: OpenFiles, link: Link) -> io::Result<Outcome> {
    let It { specs, planner, root, listening, read, starter } = it;
    let (outbox, inbox) = unbounded_channel();
    let (ended, pump_ended) = unbounded_channel();
    let Show { setup, terminals, apart, log_folder, own: _, daemon } = show;
    let notify = notify(outbox.clone(), ended, daemon);
    let stdout = io::stdout().as_fd().try_clone_to_owned()?;
    pipe::widen(&stdout);
    let pump = Pump::start(setup, stdout, notify)?;
    listening.open(&outbox, read, &pump, daemon)?;
    starter.watch(&outbox, listening.describe())?;
    inbox::listen(&link, outbox, message)?;
    let fleet = Fleet::new(specs.iter().map(|spec| spec.policy.clone()));
    let members = specs.iter().map(Member::of).collect();
    let spawner = Spawner::new(open_files)?;
    let children = OsChildren {
        specs,
        root,
        spawner,
        ahead: Ahead::default(),
        terminals,
        apart,
        log_folder,
        pump,
        link,
        starter,
        alone: false,
    };
    let (outcome, children, inbox) = Driver::new(fleet, members, planner, children, inbox).run().await;
    finish(&children, inbox, pump_ended).await;
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
            Notice::StopTold => outbox.send(Message::StopTold).is_ok(),
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

/// What is heard, as messages to the driver. Whatever is not to be acted on twice comes from
/// the guard only: both get the signals of the terminal.
fn message(heard: Heard) -> Option<Message> {
    match heard {
        Heard::GuardGone => Some(Message::GuardGone),
        Heard::Signal(it, via) if TERMINATING.contains(&it.sig) => Some(Message::Terminate(it.sig, via)),
        Heard::Signal(it, Via::Direct) => match it.sig {
            Sig::CHLD => Some(Message::ChildDied),
            Sig::WINCH => Some(Message::Resized),
            _ => None,
        },
        Heard::Signal(it, Via::Guard) if FORWARDED.contains(&it.sig) => Some(Message::Forward(it.sig)),
        Heard::Signal(it, Via::Guard) if it.sig == Sig::TSTP => Some(Message::Suspend),
        Heard::Signal(it, Via::Guard) => (it.sig == Sig::CONT).then_some(Message::Resume),
    }
}

/// Waits until everything is written, while somebody reads it. A stuck reader, or one more
/// signal, ends the wait: by then no process is left to lose anything.
async fn finish(
    children: &OsChildren,
    mut inbox: UnboundedReceiver<Message>,
    mut ended: UnboundedReceiver<()>,
) {
    sweep_alone(children);
    children.pump.end();
    let mut written = children.pump.written();
    loop {
        tokio::select! {
            _ = ended.recv() => break,
            Some(message) = inbox.recv() => match message {
                Message::Terminate(..) | Message::GuardGone => break,
                _ => {}
            },
            () = tokio::time::sleep(PATIENCE) => {
                if children.pump.written() == written {
                    break;
                }
                written = children.pump.written();
            }
        }
    }
    // Those who follow get the end, if they read.
    children.pump.history().unread(LAST_WORDS).await;
    sweep_alone(children);
}

/// Does the guard's last work if it may be dead. What is left has been asked already.
fn sweep_alone(children: &OsChildren) {
    if children.alone || children.link.is_alone() {
        sweep::end_all(Duration::ZERO);
    }
}
