//! `ganger run`: one command with the app's environment, our terminal and our descriptors.
//!
//! Who delivers Ctrl-C? With a terminal the command stays in our process group, so that the
//! terminal signals it as it would without us, and Ctrl-Z, `fg` and pipelines work; what the
//! kernel sent is then not handed on. Without a terminal it has a group of its own, and every
//! signal is handed on, so that `timeout` and service managers reach all of it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;

use super::children::{start_error_in, starting};
use super::inbox::{self, Heard};
use super::passable;
use super::program::{self, Fault};
use super::project::{Need, Project};
use super::wishes::kept;
use crate::cli::{AppArgs, RunArgs};
use crate::config::environment::Environment;
use crate::env::Env;
use crate::error::Error;
use crate::model::{InstanceId, ProcessName, Sender, Sig, quoted};
use crate::os::guard::{self, Link};
use crate::os::reap::{self, Change, How};
use crate::os::signals::Received;
use crate::os::spawn::{Order, find_program, shell_argv, spawn_attached};
use crate::os::{group, signals, sweep};
use crate::supervisor::event::{Policy, StartError};
use crate::supervisor::fleet::Via;
use crate::supervisor::signals::{CommandPolicy, Decision, Signal, TERMINATING};

/// Exit statuses of the shell for a command that is not found, and one that is no program.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// How long the command may take to stop when the guard is dead.
const HURRY: Duration = Duration::from_millis(500);

pub(super) fn run(app_args: &AppArgs, run: &RunArgs, env: &Env) -> Result<u8, Error> {
    signals::block_as_pid_1().map_err(|error| Error::system("holding signals back", error))?;
    let project = Project::load(app_args, env, Need::Nothing)?;
    project.warn();
    let entry = entry_name(&run.argv, &env.args).and_then(|name| {
        project.procfile.entries.iter().find(|entry| OsStr::new(entry.name.as_str()) == name)
    });
    let app = match project.app(app_args, |_| Ok(true)) {
        // A command has no port of its own, and PORT may be another program's.
        Err(_) if entry.is_none() => project.app_without_ports(),
        app => app?,
    };
    let (argv, environment, folder) = if let Some(entry) = entry {
        project.check_folders([&entry.name])?;
        let id = InstanceId::new(entry.name.clone(), 1);
        (shell_argv(&entry.command), app.environment_of(&id)?, project.folder_of(&entry.name))
    } else {
        let mut environment = app.environment_of_command();
        project.move_to_root(&mut environment);
        let path = environment.value("PATH").unwrap_or_default();
        if let Some(fault) = program::fault(&run.argv[0], path, &project.root) {
            return Ok(faulty(&run.argv[0], &fault, &environment, &project, "ganger run"));
        }
        (run.argv.clone(), environment, project.root.clone())
    };
    if let Err(error) = passable::check(&quoted(&argv[0].to_string_lossy()), &argv, &environment) {
        super::complain_in_lines(&error.render());
        return Ok(NOT_EXECUTABLE);
    }
    // The option is one of `start`. What the file says holds here too.
    let keep = app_args.settings.option("keep").map(|setting| setting.texts.iter().map(|it| &it.text));
    let keep = kept(keep.into_iter().flatten())?;
    let pairs = environment.pairs();
    let order = Order { argv: &argv, env: &pairs, cwd: &folder };
    let link = guard::split(Policy::default().grace, &keep).map_err(|error| starting(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|error| starting(&error))?;
    match runtime.block_on(Command::run(&order, &link)) {
        Ok(How::Exited(code)) => Ok(code),
        Ok(How::Signaled(sig)) if TERMINATING.contains(&sig) => signals::die(sig),
        Ok(How::Signaled(sig)) => Ok(sig.exit_status()),
        Err(error) => Ok(not_started(&argv[0], &error, &folder)),
    }
}

/// The one argument that may be a Procfile entry. After `--` it never is. `words` is the command line.
fn entry_name<'a>(argv: &'a [OsString], words: &[OsString]) -> Option<&'a OsStr> {
    let before = words.iter().rev().nth(argv.len());
    match argv {
        [name] if before.is_none_or(|word| word != "--") => Some(name),
        _ => None,
    }
}

/// Says why `program` could not be started, though nothing is wrong with it.
fn not_started(program: &OsStr, error: &io::Error, folder: &Path) -> u8 {
    let StartError { message, hint } = start_error_in(folder, error);
    let hint = hint.map(|hint| hint.to_string());
    let message = format!("{}: {message}", program.display());
    super::complain_in_lines(&Error::Usage { message, hint }.render());
    NOT_EXECUTABLE
}

/// Says what is wrong with `program`, given after `how`. The exit status is the shell's.
pub(super) fn faulty(
    program: &OsStr,
    fault: &Fault,
    environment: &Environment,
    project: &Project,
    how: &str,
) -> u8 {
    let name = program.display();
    let path = environment.value("PATH").unwrap_or_default();
    let status = if fault.is_there() { NOT_EXECUTABLE } else { NOT_FOUND };
    let is_missing = matches!(fault, Fault::NotOnPath | Fault::Missing(_));
    let words = program.to_str().filter(|text| is_missing && text.contains(char::is_whitespace));
    let is_program = |first: &&str| find_program(first.as_ref(), path, &project.root).is_some();
    let types: Vec<&str> = project.procfile.names().map(ProcessName::as_str).collect();
    let hint = match words.and_then(|text| text.split_whitespace().next()).filter(is_program) {
        Some(_) => format!("it was given as one word; leave the quotes out: {how} {name}"),
        // It was given arguments.
        None if is_missing && types.iter().any(|it| *it == program) && how == "ganger run" => {
            format!("an entry of the Procfile takes no arguments: `ganger run {name}`")
        }
        // Only `run` takes entries for commands.
        None if is_missing && !types.is_empty() && how == "ganger run" => {
            format!("{}; entries of the Procfile: {}", fault.hint(path), types.join(", "))
        }
        None => fault.hint(path),
    };
    super::complain_in_lines(&Error::usage(format!("{name}: {}", fault.what()), hint).render());
    status
}

/// The running command.
struct Command<'a> {
    pid: i32,
    own_group: bool,
    /// Which signals are handed on to it.
    policy: CommandPolicy,
    /// How often it has stopped, so that the guard was told to, without a CONT for that yet.
    stops: u64,
    link: &'a Link,
}

impl Command<'_> {
    /// Starts it, stands between it and the signals, and answers how it ended.
    async fn run(order: &Order<'_>, link: &Link) -> io::Result<How> {
        let (outbox, mut inbox) = unbounded_channel();
        let mut signals = inbox::take_over()?;
        let own_group = !group::has_terminal();
        let pid = spawn_attached(order, own_group)?;
        let policy = CommandPolicy::new(own_group);
        let mut command = Command { pid, own_group, policy, stops: 0, link };
        command.hand_on_early(signals.take());
        inbox::listen_with(signals, link, outbox, Some)?;
        loop {
            if let Some(how) = command.changes() {
                return Ok(how);
            }
            if let Some(heard) = inbox.recv().await {
                // What it did before that is known first: see `continue_it`.
                if let Some(how) = command.changes() {
                    return Ok(how);
                }
                command.hear(heard);
            }
        }
    }

    /// Looks what our children did. Orphans that came to us are only reaped.
    fn changes(&mut self) -> Option<How> {
        while let Some(change) = reap::next_change() {
            match change {
                Change::Ended(death) if death.pid == self.pid => return Some(death.how),
                // It has stopped, so we do: the shell gets its prompt back.
                Change::Stopped(pid) if pid == self.pid => {
                    self.stops += 1;
                    self.link.stopped();
                }
                Change::Ended(_) | Change::Stopped(_) => {}
            }
        }
        None
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::GuardGone => {
                sweep::end_all(HURRY, self.link.keep());
                signals::die(Sig::KILL);
            }
            Heard::Signal(signal) => match self.policy.decide(signal) {
                Decision::Forward(sig) => self.signal(sig),
                Decision::Resume => self.continue_it(),
                Decision::Stop(_) | Decision::Kill | Decision::Suspend | Decision::Ignore => {}
            },
        }
    }

    /// Hands on what was typed before the command was in our group. What was typed while it was being started
    /// may reach it twice; it has no handler by then.
    fn hand_on_early(&mut self, received: Vec<Received>) {
        for Received { sig, sender, at } in received {
            let is_typed = sender == Sender::Kernel && matches!(sig, Sig::INT | Sig::QUIT | Sig::TSTP);
            if is_typed && !self.own_group {
                self.signal(sig);
            }
            self.policy.decide(Signal { sig, sender, via: Via::Direct, at });
        }
    }

    /// Hands a CONT on. In the terminal's group `fg` has continued the command already, and by now
    /// it may have stopped anew: each stop is followed by a CONT, and one that is of an earlier
    /// stop must not undo the second Ctrl-Z.
    fn continue_it(&mut self) {
        self.stops = self.stops.saturating_sub(1);
        if self.own_group || self.stops == 0 {
            self.signal(Sig::CONT);
        }
    }

    fn signal(&self, sig: Sig) {
        if self.own_group {
            group::signal(self.pid, sig);
        } else {
            group::signal_child(self.pid, sig);
        }
    }
}
