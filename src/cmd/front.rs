//! `ganger start --attach NAME`: one process has our terminal from its start on.
//!
//! A `ganger attach` of our own does it, in our process group, so that all ways out are the same: it
//! gives the terminal back also when this process is killed. As long as it runs the main view shows
//! nothing; then it shows what came meanwhile, in order. It owns that other process, and the modes
//! that the terminal had, for when that one is killed.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::listen::Listening;
use super::wishes::of_list;
use crate::cli::{AppArgs, StartArgs};
use crate::config::names::Names;
use crate::config::options::Origin;
use crate::env::Env;
use crate::error::Error;
use crate::model::{InstanceId, ProcessName, PtyChoice, Sig};
use crate::os::console::Modes;
use crate::os::group;
use crate::os::spawn::{Order, spawn_attached};
use crate::output::pump::View;
use crate::plan::ProcessSpec;
use crate::supervisor::driver::{Children, Message};
use crate::supervisor::signals::{Decision, Policy};

/// How long it may take to give the terminal back when its process has ended, before it is asked
/// to, and then before it is killed.
const PATIENCE: Duration = Duration::from_secs(1);

/// The process in front.
#[derive(Debug, Clone)]
pub(super) struct Front(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    id: InstanceId,
    socket: PathBuf,
    env: Vec<(OsString, OsString)>,
    root: PathBuf,
    before: Modes,
    phase: Phase,
    /// Says that the main view shows nothing any more.
    cleared: Option<oneshot::Sender<()>>,
    clear: Option<oneshot::Receiver<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its process has not started yet.
    Waiting,
    /// The main view makes room.
    Clearing,
    /// This process has the terminal.
    Has(i32),
    Over,
}

impl Front {
    /// Who is to be in front, of the processes that are to start. Fails where that cannot be and was
    /// asked for in this very command line.
    pub(super) fn plan(
        (args, start, env): (&AppArgs, &StartArgs, &Env),
        specs: &[ProcessSpec],
        types: &[ProcessName],
        listening: &Listening,
        root: &Path,
    ) -> Result<Option<Self>, Error> {
        let Some(name) = &start.options.attach else { return Ok(None) };
        let names = Names::parse([name], types).map_err(|error| of_list(args, "attach", &error))?;
        let spec = named(name, &names, specs);
        let found = spec.and_then(|spec| {
            usable((args, start, env), spec)?;
            let before =
                Modes::now().map_err(|error| Error::system("asking for the terminal's modes", error))?;
            Ok((spec.id.clone(), before, listening.socket_for("--attach")?.to_owned()))
        });
        match found {
            Ok((id, before, socket)) => {
                let (env, root) = (env.vars.clone(), root.to_owned());
                let (cleared, clear) = oneshot::channel();
                let (cleared, clear) = (Some(cleared), Some(clear));
                let state = State { id, socket, env, root, before, phase: Phase::Waiting, cleared, clear };
                Ok(Some(Self(Arc::new(Mutex::new(state)))))
            }
            Err(error) if *args.options.origin("attach") == Origin::Flag => Err(error),
            // Who says it for all runs does not mean one that has no terminal or no such process.
            Err(_) => Ok(None),
        }
    }

    /// A process with a terminal has been started: if it is the one, the main view makes room for it.
    pub(super) fn opened(&self, id: &InstanceId, view: &View) {
        let mut state = self.lock();
        if state.id != *id || state.phase != Phase::Waiting {
            return;
        }
        let Some(cleared) = state.cleared.take() else { return };
        state.phase = Phase::Clearing;
        view.hold_all(move || {
            let _ = cleared.send(());
        });
    }

    /// Brings the process to the front once the main view has made room.
    pub(super) fn bring_when_clear(&self, view: View) {
        let Some(clear) = self.lock().clear.take() else { return };
        let front = self.clone();
        tokio::spawn(async move {
            if clear.await.is_err() || front.bring().is_err() {
                front.lock().phase = Phase::Over;
                view.show_all();
            }
        });
    }

    fn bring(&self) -> io::Result<()> {
        let mut state = self.lock();
        let mut env = state.env.clone();
        // A name would win over the socket.
        env.retain(|(key, _)| key != "GANGER_SOCKET" && key != "GANGER_NAME");
        env.push(("GANGER_SOCKET".into(), state.socket.clone().into()));
        // All lines are held while it has the terminal; its own need no more.
        let argv =
            [std::env::current_exe()?.into(), "attach".into(), "--tee".into(), state.id.to_string().into()];
        let order = Order { argv: &argv, env: &env, cwd: &state.root };
        // In our group, which has the terminal.
        state.phase = Phase::Has(spawn_attached(&order, false)?);
        Ok(())
    }

    /// A child of ours has ended: if it is the one, the main view has the terminal again.
    pub(super) fn ended(&self, pid: i32, view: &View) {
        let mut state = self.lock();
        if state.phase == Phase::Has(pid) {
            state.phase = Phase::Over;
            state.before.restore();
            view.show_all();
        }
    }

    /// Waits until the terminal is ours, at the end of everything. Nothing more is printed before. One more
    /// wish to end makes it shorter.
    pub(super) async fn give_back(
        &self,
        children: &mut impl Children,
        inbox: &mut UnboundedReceiver<Message>,
        policy: &mut Policy,
    ) {
        for sig in [None, Some(Sig::TERM), Some(Sig::KILL)] {
            if let (Some(sig), Phase::Has(pid)) = (sig, self.phase()) {
                group::signal_child(pid, sig);
            }
            let end = Instant::now() + PATIENCE;
            while matches!(self.phase(), Phase::Has(_) | Phase::Clearing) {
                // It may have been reaped before we came here, or be dead already.
                while let Some((pid, _)) = children.next_dead() {
                    children.reap(pid);
                }
                if !matches!(self.phase(), Phase::Has(_) | Phase::Clearing) {
                    break;
                }
                match timeout_at(end, inbox.recv()).await {
                    Ok(Some(Message::Signal(signal))) => {
                        if matches!(policy.decide(signal, None), Decision::Stop(_) | Decision::Kill) {
                            break;
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => break,
                }
            }
        }
    }

    fn phase(&self) -> Phase {
        self.lock().phase
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn usage(message: impl std::fmt::Display, hint: &str) -> Error {
    Error::usage(format!("--attach {message}"), hint)
}

/// The process of this name.
fn named<'a>(name: &str, names: &Names, specs: &'a [ProcessSpec]) -> Result<&'a ProcessSpec, Error> {
    let found: Vec<&ProcessSpec> = specs.iter().filter(|spec| names.contains(&spec.id)).collect();
    match found[..] {
        [spec] => Ok(spec),
        [] => Err(usage(format!("{name}: it is not to start"), "name a process that this run has")),
        _ => {
            let there: Vec<String> = found.iter().map(|spec| format!("`{}`", spec.id)).collect();
            let hint = format!("name one of them: {}", there.join(", "));
            Err(usage(format!("{name}: that is {} processes", found.len()), &hint))
        }
    }
}

fn usable((args, start, env): (&AppArgs, &StartArgs, &Env), spec: &ProcessSpec) -> Result<(), Error> {
    let name = &spec.id;
    if start.options.daemon {
        let hint = format!("leave --attach out, or {}", args.without("daemon"));
        return Err(usage(format!("{name}: {} leaves the terminal", args.said("daemon", "true")), &hint));
    }
    if !start.command.is_empty() {
        let message = format!("{name}: the command behind `--` has the terminal");
        return Err(usage(message, "leave one of the two out"));
    }
    if !(env.stdin_is_terminal && env.stdout_is_terminal) {
        return Err(usage(format!("{name}: stdin and stdout are no terminal"), "leave it out here"));
    }
    if spec.pty == PtyChoice::Never {
        let hint = "leave out what says so: `--pty never`, `pty` in ganger.toml, `--format json`";
        return Err(usage(format!("{name}: it gets no terminal (pty)"), hint));
    }
    Ok(())
}
