//! The command of `ganger start -- CMD`: it runs beside the processes, with our terminal.
//!
//! It has our stdin and stdout, so what ganger and the processes say goes to stderr. As with
//! `ganger run`, on a terminal it stays in our process group, which is the one in the foreground: the
//! keyboard's signals reach it from the kernel, and are not acted on by anybody else while it runs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::children::start_error_in;
use super::program;
use super::project::Project;
use super::run::faulty;
use super::show::Show;
use crate::env::Env;
use crate::model::{InstanceId, ProcessName, PtyChoice, Sig};
use crate::os::group;
use crate::os::spawn::{Order, spawn_attached};
use crate::plan::{App, ProcessSpec, Wishes};
use crate::supervisor::event::{Pgid, Policy, Run, Slot, StartError};

/// The command, as a process among the others.
#[derive(Debug)]
pub(super) struct Beside {
    /// Program and arguments.
    argv: Vec<OsString>,
    /// Its place among the processes, which is the last at the start.
    slot: Slot,
    /// Its pid while it shares our process group: then there is no group of its own to signal.
    in_our_group: Option<i32>,
}

impl Beside {
    /// What is to run beside these processes, and how. If there is no such program the answer is the
    /// exit status, and that has been said.
    pub(super) fn plan(
        argv: &[OsString],
        specs: &[ProcessSpec],
        app: &App<'_>,
        wishes: &Wishes,
        project: &Project,
    ) -> Result<Option<(Self, ProcessSpec)>, u8> {
        let Some(program) = argv.first() else { return Ok(None) };
        let mut environment = app.environment_of_command();
        project.move_to_root(&mut environment);
        let path = environment.value("PATH").unwrap_or_default();
        if let Some(fault) = program::fault(program, path, &project.root) {
            return Err(faulty(program, &fault, &environment, project, "ganger start --"));
        }
        let spec = ProcessSpec {
            id: nobody(),
            command: program.clone(),
            port: None,
            port_is_pinned: false,
            is_main: false,
            cwd: PathBuf::new(),
            pty: PtyChoice::Never,
            waits: Vec::new(),
            wait_limit: wishes.wait_limit(),
            ready: None,
            ready_is_said: false,
            policy: Policy { grace: wishes.grace(&nobody().name), ..Policy::default() },
            environment,
        };
        let beside = Self { argv: argv.to_vec(), slot: Slot(specs.len()), in_our_group: None };
        Ok(Some((beside, spec)))
    }

    /// Where it is in the fleet.
    pub(super) fn slot(&self) -> Slot {
        self.slot
    }

    /// Starts it, if this run is its.
    pub(super) fn start(
        &mut self,
        run: Run,
        spec: &ProcessSpec,
        root: &Path,
    ) -> Option<Result<Pgid, StartError>> {
        if run.slot != self.slot {
            return None;
        }
        let pairs = spec.environment.pairs();
        let order = Order { argv: &self.argv, env: &pairs, cwd: root };
        let own_group = !group::has_terminal();
        let started = spawn_attached(&order, own_group).map_err(|error| start_error_in(root, &error));
        if let (Ok(pid), false) = (&started, own_group) {
            self.in_our_group = Some(*pid);
        }
        Some(started.map(Pgid))
    }

    /// Signals it, if it is what has this number and there is no such group.
    pub(super) fn signal(&self, pgid: Pgid, sig: Sig) -> bool {
        let is_it = self.in_our_group == Some(pgid.0);
        if is_it {
            group::signal_child(pgid.0, sig);
        }
        is_it
    }
}

/// The surroundings as the output is to see them: it goes to stderr.
pub(super) fn on_stderr(env: &Env) -> Env {
    Env { stdout_is_terminal: env.stderr_is_terminal, ..env.clone() }
}

/// Nothing already on the screen is written over: it may be the command's.
pub(super) fn share_screen(show: &mut Show) {
    if let Some(screen) = &mut show.setup.screen {
        screen.rewrites = false;
    }
}

/// A name that no process has: instances are counted from 1.
fn nobody() -> InstanceId {
    let name: ProcessName = "command".parse().unwrap_or_else(|_| unreachable!("it is a good name"));
    InstanceId::new(name, 0)
}
