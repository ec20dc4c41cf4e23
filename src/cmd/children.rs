//! The real [`Children`]: processes of the system, their output in the pump.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::batch::{self, Job};
use super::belongings::Belongings;
use super::beside::Beside;
use super::check::bad_program;
use super::daemon::Starter;
use super::front::Front;
use super::passable;
use super::prober::Prober;
use super::program::Fault;
use super::scanner::Scanner;
use super::terminals::Terminals;
use crate::config::environment::{Environment, Origin};
use crate::control::seats::Seats;
use crate::error::Error;
use crate::model::{InstanceId, Port, Sig, mask_path};
use crate::os::guard::Link;
use crate::os::limits::OpenFiles;
use crate::os::reap::{self, Death, How};
use crate::os::spawn::{Outlet, SHELL, Spawned, Spawner, shell_argv};
use crate::os::{descendants, group, ports, shells, sweep};
use crate::output::log::LogFile;
use crate::output::pump::{Kind, Pump};
use crate::plan::ProcessSpec;
use crate::supervisor::driver::{Act, Children, Message};
use crate::supervisor::event::{Ended, Epoch, Event, Kept, Left, Pgid, Run, Slot, StartError};
use crate::supervisor::machine::Whom;
use crate::supervisor::watch::{Watch, WatchId};

const UNBUFFERED: &str = "PYTHONUNBUFFERED";

/// The processes of one run of ganger.
#[derive(Debug)]
pub(super) struct OsChildren {
    pub(super) specs: Vec<ProcessSpec>,
    pub(super) root: PathBuf,
    pub(super) spawner: Arc<Spawner>,
    /// What is looked for.
    pub(super) prober: Prober,
    pub(super) terminals: Terminals,
    /// The terminals that processes have.
    pub(super) seats: Seats,
    pub(super) pump: Pump,
    /// Stdout and stderr are to be told apart.
    pub(super) apart: bool,
    /// Where those that join later have their log files too.
    pub(super) log_folder: Option<PathBuf>,
    pub(super) link: Link,
    /// What belongs to the processes that run.
    pub(super) belongings: Belongings,
    /// The command that runs beside them, if there is one.
    pub(super) beside: Option<Beside>,
    /// Who has our terminal, if a process is to.
    pub(super) front: Option<Front>,
    /// Who waits for the start.
    pub(super) starter: Starter,
    /// The guard is dead: nobody else ends what left its group.
    pub(super) alone: bool,
    /// Where the driver hears of what was looked for.
    pub(super) outbox: UnboundedSender<Message>,
    /// Looks at all processes.
    pub(super) scanner: Scanner,
    /// Looks for those that have a port, which may take longer.
    pub(super) holders: Scanner,
}

impl OsChildren {
    fn spec(&self, id: &InstanceId) -> Option<&ProcessSpec> {
        self.specs.iter().find(|spec| spec.id == *id)
    }

    fn start_beside(&mut self, run: Run) -> Option<Result<Pgid, StartError>> {
        let spec = &self.specs[run.slot.0];
        let started = self.beside.as_mut()?.start(run, spec, &self.root)?;
        if let Ok(pgid) = &started {
            self.belongings.begins(run, &spec.id, pgid.0);
        }
        Some(started)
    }

    /// Has the output of a process read that was started.
    fn opened(&mut self, run: Run, spawned: io::Result<Spawned>) -> Result<Pgid, StartError> {
        let spec = &self.specs[run.slot.0];
        let Spawned { pid, outputs, terminal } =
            spawned.map_err(|error| start_error_of(spec, &self.root, &error))?;
        // Nothing of it has been read yet.
        self.prober.begins(&spec.id);
        self.belongings.begins(run, &spec.id, pid);
        let kind = if terminal.is_some() { Kind::Pty } else { Kind::Pipe };
        let started = Event::Started { id: spec.id.clone(), pid, port: spec.port, is_main: spec.is_main };
        // Room is made before the first byte is read, or the main view would show that one too.
        if let (Some(front), Some(_)) = (&self.front, &terminal) {
            front.opened(&spec.id, &self.pump.view());
        }
        self.pump.open(run, spec.id.clone(), started, kind, outputs);
        if let Some(terminal) = terminal {
            self.seats.open(spec.id.clone(), pid, terminal);
        }
        Ok(Pgid(pid))
    }

    /// What the user can do about an end, where the shell's exit status says what happened.
    fn hint(&self, id: &InstanceId, end: &Ended) -> Option<String> {
        let spec = self.spec(id)?;
        let path = spec.environment.value("PATH").unwrap_or_default();
        let bad = || bad_program(&spec.command, &spec.environment, &spec.folder(&self.root));
        match end {
            Ended::Exited(126 | 127) if let Some((program, fault)) = bad() => {
                let what = match fault {
                    Fault::NotOnPath => " was not found".to_owned(),
                    _ => format!(": {}", fault.what()),
                };
                Some(format!("`{program}` of {id}{what}; {}", fault.hint(path)))
            }
            Ended::Exited(127) => {
                Some(format!("a command of {id} was not found; the PATH searched is {}", path.display()))
            }
            Ended::Exited(126) => Some(format!(
                "a command of {id} was found and may not be executed (`chmod +x`, or a directory?); \
                 the PATH searched is {}",
                path.display()
            )),
            Ended::NotStarted(error) => error.hint.as_deref().map(str::to_owned),
            Ended::Exited(_) | Ended::Signaled(_) => None,
        }
    }
}

impl Children for OsChildren {
    fn spawn(&mut self, runs: &[Run]) -> Vec<Result<Pgid, StartError>> {
        let mut results = Vec::new();
        while let left @ [run, ..] = &runs[results.len()..]
            && results.iter().all(Result::is_ok)
        {
            if let Some(started) = self.start_beside(*run) {
                results.push(started);
                continue;
            }
            let Self { specs, root, spawner, terminals, seats, apart, beside, .. } = self;
            let own = left.iter().take_while(|run| beside.as_ref().is_none_or(|it| it.slot() != run.slot));
            let own: Vec<Run> = own.copied().collect();
            let job = |run: &Run| job(&specs[run.slot.0], root, (terminals, seats), *apart);
            let started = batch::start(&own, results.is_empty(), spawner, job);
            results.extend(own.into_iter().zip(started).map(|(run, spawned)| self.opened(run, spawned)));
        }
        results
    }

    fn signal(&mut self, pgid: Pgid, sig: Sig) {
        if !self.beside.as_ref().is_some_and(|beside| beside.signal(pgid, sig)) {
            group::signal(pgid.0, sig);
        }
    }

    fn signal_program(&mut self, pgid: Pgid, sig: Sig) {
        match descendants::look_at(pgid.0) {
            Some(leader) => {
                let keep = self.link.keep();
                for process in shells::programs(leader, sig, |process| keep.why(process).is_some()) {
                    descendants::signal(process, sig);
                }
            }
            None => group::signal_child(pgid.0, sig),
        }
    }

    fn ask(&mut self, slot: Slot, pgid: Pgid, sig: Sig, whom: Whom) {
        if !self.beside.as_ref().is_some_and(|beside| beside.signal(pgid, sig)) {
            self.belongings.ask(slot, pgid, sig, whom);
        }
    }

    fn first_are_left(&mut self, slots: &[Slot]) -> Vec<bool> {
        self.belongings.first_are_left(slots)
    }

    fn look(&mut self, of: &[Run], running: &[Slot]) -> bool {
        let Some(look) = self.belongings.look(of, running) else { return true };
        let outbox = self.outbox.clone();
        self.scanner.run(move || {
            look();
            // At the very end there is no receiver.
            let _ = outbox.send(Message::Looked);
        });
        false
    }

    fn act(&mut self, run: Run, act: Act, strays: bool) -> Vec<Left> {
        self.belongings.act(run, act, strays)
    }

    fn kept(&mut self, slot: Slot) -> Vec<Kept> {
        self.belongings.kept(slot)
    }

    fn all_kept(&mut self) -> Vec<Kept> {
        self.belongings.all_kept()
    }

    fn signal_rest(&mut self, groups: &[(Pgid, Sig)]) {
        if !groups.is_empty() {
            let groups: Vec<(i32, Sig)> = groups.iter().map(|(pgid, sig)| (pgid.0, *sig)).collect();
            self.scanner.run(move || group::signal_rest(&groups));
        }
    }

    fn hire(&mut self, spec: ProcessSpec) {
        let id = &spec.id;
        let log = self.log_folder.as_ref().and_then(|folder| {
            LogFile::open(folder, id)
                .map_err(|error| {
                    let path = folder.join(LogFile::name(id));
                    self.pump.tell(Event::LogLost { id: id.clone(), path, error: error.to_string() });
                })
                .ok()
        });
        self.pump.join(id.clone(), log);
        if self.terminals.join(id) {
            self.resized();
        }
        self.specs.push(spec);
    }

    fn change(&mut self, slot: Slot, spec: ProcessSpec) {
        self.specs[slot.0] = spec;
    }

    fn environment(&self, slot: Slot) -> Environment {
        let spec = &self.specs[slot.0];
        let mut all = spec.environment.clone();
        if is_to_be_unbuffered(spec, self.seats.is_open(&spec.id)) {
            all.set(UNBUFFERED, "1", Origin::Ganger("its output is a pipe"));
        }
        all
    }

    fn is_in_use(&mut self, port: Port) -> bool {
        // A system that does not answer is no reason not to try.
        ports::in_use(port).unwrap_or(false)
    }

    fn find_holder(&mut self, port: Port) {
        let outbox = self.outbox.clone();
        self.holders.run(move || {
            let holder = ports::holder(port).map(|holder| (holder.pid, holder.command));
            let _ = outbox.send(Message::PortHolder(port, holder));
        });
    }

    fn watch(&mut self, id: WatchId, watch: &Watch) {
        self.prober.watch(id, watch, &self.specs[watch.slot.0], &self.root);
    }

    fn unwatch(&mut self, id: WatchId) {
        self.prober.unwatch(id);
    }

    fn group_is_empty(&mut self, pgid: Pgid) -> bool {
        group::is_empty(pgid.0)
    }

    fn next_dead(&mut self) -> Option<(i32, Ended)> {
        let Death { pid, how } = reap::next_dead()?;
        let end = match how {
            How::Exited(code) => Ended::Exited(code),
            How::Signaled(sig) => Ended::Signaled(sig),
        };
        self.prober.died(pid, &end);
        Some((pid, end))
    }

    fn reap(&mut self, pid: i32) {
        reap::reap(pid);
        if let Some(front) = &self.front {
            front.ended(pid, &self.pump.view());
        }
    }

    fn close_output(&mut self, run: Run) {
        self.pump.close(run);
    }

    fn output_blocked(&self) -> Option<Duration> {
        self.pump.blocked_for()
    }

    fn tell(&mut self, event: Event) {
        let hint = match &event {
            Event::Ended { id, end, then, .. } => {
                self.seats.ended(id, end, *then);
                self.hint(id, end)
            }
            Event::CommandEnded { end: Ended::NotStarted(error), .. } => {
                error.hint.as_deref().map(str::to_owned)
            }
            _ => None,
        };
        self.starter.heard(&event, hint.as_ref(), &self.pump.history());
        self.pump.tell(event);
        if let Some(hint) = hint {
            self.pump.tell(Event::Hint(hint));
        }
    }

    fn suspended(&mut self, epoch: Epoch) {
        let (outbox, keep) = (self.outbox.clone(), self.link.keep().clone());
        self.scanner.run(move || {
            sweep::signal_all(Sig::STOP, &keep);
            let _ = outbox.send(Message::Suspended(epoch));
        });
    }

    fn stop_ganger(&mut self) {
        self.link.suspended();
    }

    fn killing(&mut self) {
        self.link.hurry();
        if self.alone {
            let keep = self.link.keep().clone();
            self.scanner.run(move || drop(sweep::signal_all(Sig::KILL, &keep)));
        }
    }

    fn alone(&mut self, running: &[Slot]) {
        self.alone = true;
        let unclaimed = self.belongings.unclaimed(running);
        self.scanner.run(move || {
            for process in unclaimed() {
                descendants::signal(process, Sig::TERM);
                descendants::signal(process, Sig::CONT);
            }
        });
    }

    fn resumed(&mut self) {
        // A terminal tells its size to the foreground only.
        self.resized();
        // After the sweep that stops them, should that go on still.
        let keep = self.link.keep().clone();
        self.scanner.run(move || drop(sweep::signal_all(Sig::CONT, &keep)));
    }

    fn resized(&mut self) {
        self.pump.resize(self.terminals.resize(&self.seats));
    }
}

/// What the start of a process takes.
fn job(
    spec: &ProcessSpec,
    root: &Path,
    (terminals, seats): (&Terminals, &Seats),
    apart: bool,
) -> io::Result<Job> {
    let outlet = match terminals.make(spec.pty, &spec.id, seats)? {
        Some(pty) => Outlet::Pty(pty),
        None if apart => Outlet::TwoPipes,
        None => Outlet::Pipe,
    };
    let mut env = spec.environment.pairs();
    if is_to_be_unbuffered(spec, matches!(outlet, Outlet::Pty(_))) {
        env.push((UNBUFFERED.into(), "1".into()));
    }
    Ok(Job { argv: shell_argv(&spec.command), env, cwd: spec.folder(root), outlet })
}

/// A pipe makes Python keep lines back for minutes; Heroku sets this too.
fn is_to_be_unbuffered(spec: &ProcessSpec, on_pty: bool) -> bool {
    !on_pty && spec.environment.get(UNBUFFERED).is_none()
}

/// Why ganger's own processes, threads and descriptors could not be had.
pub(super) fn starting(error: &io::Error) -> Error {
    let error = start_error(error);
    Error::Start { message: error.message.to_string(), hint: error.hint.map(|hint| hint.to_string()) }
}

/// Returns why a process of the app could not be created.
fn start_error_of(spec: &ProcessSpec, root: &Path, error: &io::Error) -> StartError {
    let mut told = start_error_in(&spec.folder(root), error);
    if error.raw_os_error() == Some(libc::E2BIG)
        && let Err(why) = passable::check(&spec.id, &shell_argv(&spec.command), &spec.environment)
    {
        told.hint = Some(
            [Some(why.to_string()), why.hint()].into_iter().flatten().collect::<Vec<_>>().join("; ").into(),
        );
    }
    told
}

/// The same for a process that starts in `folder`. The system names neither that nor the shell.
pub(super) fn start_error_in(folder: &Path, error: &io::Error) -> StartError {
    let mut told = start_error(error);
    if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::EACCES)) {
        // Needs the right to go there, not to read it.
        if let Err(error) = folder.join(".").metadata() {
            let why = match error.kind() {
                io::ErrorKind::NotFound => "no such directory",
                io::ErrorKind::PermissionDenied => "permission denied",
                _ => "not a directory",
            };
            told.message = format!("cannot start in {}: {why}", mask_path(folder)).into();
        } else if !Path::new(SHELL).is_file() {
            told.message = format!("the shell {SHELL} is missing").into();
        }
    }
    told
}

/// Why a process could not be made: nearly always a limit, which the message names.
pub(super) fn start_error(error: &io::Error) -> StartError {
    let limit = OpenFiles::now().map_or(0, OpenFiles::soft);
    let (message, hint) = match error.raw_os_error() {
        Some(libc::EMFILE) => (
            format!("too many open files: the limit of this process is {limit}"),
            Some("raise it with `ulimit -n`, or start fewer processes"),
        ),
        Some(libc::ENFILE) => ("too many open files on this machine".to_owned(), None),
        Some(libc::EAGAIN) => (
            "the limit on processes is reached".to_owned(),
            Some("raise it with `ulimit -u` (in a container: its pids limit), or start fewer processes"),
        ),
        Some(libc::E2BIG) => (
            "its command and environment are too long together".to_owned(),
            Some(
                "the limit is a quarter of `ulimit -s` for both, and on Linux 128 KiB for each variable or \
                 argument; keep long values in files",
            ),
        ),
        Some(libc::ENOEXEC) => (
            "the system cannot execute it".to_owned(),
            Some("a script needs a first line such as `#!/bin/sh`"),
        ),
        _ => (error.to_string(), None),
    };
    StartError { message: message.into(), hint: hint.map(Into::into) }
}
