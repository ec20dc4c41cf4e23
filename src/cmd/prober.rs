//! Looking for what somebody waits for: one task for each search, which ends with it.
//!
//! Nothing in the system tells that somebody begins to listen, so who wants to know has to ask again
//! and again, less and less often. It is done only while the driver wants to know. What would block
//! (names, a server over TLS) is done in a thread that nobody waits for; what a command leaves behind is
//! killed with it.

use std::collections::HashMap;
use std::fs::File;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::background::Background;
use super::reach::{self, Scans};
use crate::config::probe::{Pattern, Probe};
use crate::model::{InstanceId, Sig, mask_text};
use crate::os::group;
use crate::os::ports::Expected;
use crate::os::spawn::{Order, Outlet, Spawner, shell_argv};
use crate::output::history::{Bytes, History};
use crate::output::sanitize::{Allowed, Sanitizer};
use crate::plan::ProcessSpec;
use crate::supervisor::driver::Message;
use crate::supervisor::event::Ended;
use crate::supervisor::watch::{Finding, Sought, Watch, WatchId};

/// Between the first look and the second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Between looks, at most: who has waited for seconds does not mind half of one.
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// One look in so many is also for the other ports of the process, which takes longer.
const ELSEWHERE: u64 = 4;

/// How long a command may take. It asks whether something is there, and is asked again.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// How much of a command's last words is kept.
const WORDS: usize = 512;

/// All searches.
#[derive(Debug)]
pub(super) struct Prober {
    outbox: UnboundedSender<Message>,
    history: History,
    spawner: Arc<Spawner>,
    background: Background,
    scans: Scans,
    tasks: HashMap<WatchId, AbortHandle>,
    commands: Commands,
    /// Where the output of the present run of a process begins.
    begins: HashMap<InstanceId, [u64; 2]>,
}

impl Prober {
    pub(super) fn new(
        outbox: UnboundedSender<Message>,
        history: History,
        spawner: Arc<Spawner>,
        background: Background,
    ) -> Self {
        let (scans, tasks, commands, begins) = Default::default();
        Self { outbox, history, spawner, background, scans, tasks, commands, begins }
    }

    /// A run of the process is about to begin, and all that the one before wrote has been read.
    pub(super) fn begins(&mut self, id: &InstanceId) {
        self.begins.insert(id.clone(), self.history.ends(id));
    }

    /// A child has died and is not reaped yet. What it has left of its group ends with it, if it was a
    /// command of ours.
    pub(super) fn died(&self, pid: i32, end: &Ended) {
        if let Some(who) = self.commands.lock().remove(&pid) {
            group::signal(pid, Sig::KILL);
            self.spawner.session_ended(pid);
            // Nobody may want to know any more.
            let _ = who.send(end.clone());
        }
    }

    /// Begins a search. A command has the variables and the folder of `spec`.
    pub(super) fn watch(&mut self, id: WatchId, watch: &Watch, spec: &ProcessSpec, root: &Path) {
        let (outbox, mut said) = (self.outbox.clone(), None);
        let tell = move |finding| drop(outbox.send(Message::Found(id, finding)));
        let not_yet = {
            let tell = tell.clone();
            move |why: String| {
                // A command may print the URL that it was given.
                let why: Arc<str> = mask_text(&why).unwrap_or(why).into();
                if said.as_ref() != Some(&why) {
                    said = Some(why.clone());
                    tell(Finding::NotYet(why));
                }
            }
        };
        let background = &self.background;
        let task = match &watch.what {
            Sought::Port(port, leader) => {
                let expected = Expected { port: *port, leader: leader.0, name: spec.id.to_string() };
                let look = own_port(self.scans.clone(), expected, tell.clone());
                background.spawn(search(watch.limit, tell, look))
            }
            Sought::Probe(Probe::Tcp { host, port }) => {
                let (host, port) = (host.clone(), *port);
                let look = again(move || reach::tcp(host.clone(), port), not_yet);
                background.spawn(search(watch.limit, tell, look))
            }
            Sought::Probe(Probe::Http(url)) => {
                let url = url.clone();
                let look = again(move || reach::http(url.clone()), not_yet);
                background.spawn(search(watch.limit, tell, look))
            }
            Sought::Probe(Probe::Command(command)) => {
                let job = Arc::new(CommandJob {
                    argv: shell_argv(command.as_ref()),
                    env: spec.environment.pairs(),
                    cwd: spec.folder(root),
                    spawner: self.spawner.clone(),
                    commands: self.commands.clone(),
                });
                let look = again(move || run(job.clone()), not_yet);
                tokio::spawn(search(watch.limit, tell, look)).abort_handle()
            }
            Sought::Line(Probe::Log { pattern, .. }, runs) => {
                let streams = runs.iter().flat_map(|(_, id)| {
                    let begins = self.begins.get(id).copied().unwrap_or_default();
                    self.history.from(id, begins)
                });
                let (streams, pattern) = (streams.collect(), pattern.clone());
                if watch.limit == Some(Duration::ZERO) {
                    // All of its processes have ended. What they have written is searched once, to the end.
                    background.spawn(async move {
                        let is_there = Search::new(streams, pattern).is_there().await;
                        tell(if is_there { Finding::There } else { Finding::GaveUp });
                    })
                } else {
                    background.spawn(search(watch.limit, tell, line(streams, pattern)))
                }
            }
            // Nothing that has to be looked for.
            Sought::Probe(Probe::Process(_) | Probe::Log { .. }) | Sought::Line(..) => return,
        };
        self.tasks.insert(id, task);
    }

    /// Ends a search.
    pub(super) fn unwatch(&mut self, id: WatchId) {
        if let Some(task) = self.tasks.remove(&id) {
            task.abort();
        }
    }
}

/// Looks until it has found, or until the time is over.
async fn search(limit: Option<Duration>, tell: impl Fn(Finding), look: impl Future<Output = ()>) {
    let found = if let Some(limit) = limit {
        tokio::time::timeout(limit, look).await.is_ok()
    } else {
        look.await;
        true
    };
    tell(if found { Finding::There } else { Finding::GaveUp });
}

/// Looks until it is there.
async fn again<F: Future<Output = Result<(), String>>>(
    look: impl Fn() -> F,
    mut not_yet: impl FnMut(String),
) {
    let mut pause = FIRST_PAUSE;
    while let Err(why) = look().await {
        not_yet(why);
        tokio::time::sleep(pause).await;
        pause = LAST_PAUSE.min(pause * 3 / 2);
    }
}

/// Looks until the process listens on its port, and now and then whether it listens on others.
async fn own_port(scans: Scans, expected: Expected, tell: impl Fn(Finding)) {
    let (mut pause, mut said) = (FIRST_PAUSE, Vec::new());
    let mut looks = 0_u64;
    while scans.listens(expected.clone()).await.is_err() {
        looks += 1;
        if looks.is_multiple_of(ELSEWHERE) {
            let others = reach::listened_by(expected.clone()).await;
            if said != others {
                said.clone_from(&others);
                tell(Finding::Elsewhere(others));
            }
        }
        tokio::time::sleep(pause).await;
        pause = LAST_PAUSE.min(pause * 3 / 2);
    }
}

/// Waits for a line that matches, in any of the outputs.
async fn line(outputs: Vec<Bytes>, pattern: Pattern) {
    let mut search = Search::new(outputs, pattern);
    while !search.is_there().await {
        search.more().await;
    }
}

/// A search in the outputs of processes.
struct Search {
    outputs: Vec<(Bytes, Sanitizer)>,
    pattern: Pattern,
}

impl Search {
    fn new(outputs: Vec<Bytes>, pattern: Pattern) -> Self {
        let plain = |bytes| (bytes, Sanitizer::of_lines(Allowed::TEXT));
        Self { outputs: outputs.into_iter().map(plain).collect(), pattern }
    }

    /// Looks through all that is there and was not searched yet.
    async fn is_there(&mut self) -> bool {
        let (mut chunk, mut text) = (Vec::new(), Vec::new());
        for (bytes, sanitizer) in &mut self.outputs {
            loop {
                chunk.clear();
                bytes.next(&mut chunk, u64::MAX);
                if chunk.is_empty() {
                    break;
                }
                let mut found = false;
                sanitizer.push(&chunk, |row| {
                    text.clear();
                    row.write(&mut text);
                    found |= self.pattern.matches(&String::from_utf8_lossy(&text));
                });
                if found {
                    return true;
                }
                // A process that writes faster than this searches never leaves it without a chunk.
                tokio::task::yield_now().await;
            }
        }
        false
    }

    /// Waits until there may be more. Any output wakes all searches.
    async fn more(&mut self) {
        match self.outputs.first_mut() {
            Some((bytes, _)) => bytes.wait().await,
            None => std::future::pending().await,
        }
    }
}

/// Commands that run, and who wants to know their end.
#[derive(Debug, Clone, Default)]
struct Commands {
    ends: Arc<Mutex<HashMap<i32, oneshot::Sender<Ended>>>>,
    /// Held while one is started: the driver has its turn between two of them.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Commands {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, oneshot::Sender<Ended>>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct CommandJob {
    argv: Vec<std::ffi::OsString>,
    env: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    cwd: std::path::PathBuf,
    spawner: Arc<Spawner>,
    commands: Commands,
}

/// A command that runs. Dropped, it is killed with its group.
struct Running {
    pid: i32,
    commands: Commands,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only while its end has not been told: until then it is not reaped, and the number is its own.
        if self.commands.lock().remove(&self.pid).is_some() {
            group::signal(self.pid, Sig::KILL);
        }
    }
}

/// Runs a command once.
async fn run(job: Arc<CommandJob>) -> Result<(), String> {
    let turn = job.commands.turn.lock().await;
    tokio::task::yield_now().await;
    let order = Order { argv: &job.argv, env: &job.env, cwd: &job.cwd };
    let spawned = job.spawner.spawn(&order, Outlet::Pipe).map_err(|error| error.to_string())?;
    let (who, mut end) = oneshot::channel();
    job.commands.lock().insert(spawned.pid, who);
    let _running = Running { pid: spawned.pid, commands: job.commands.clone() };
    drop(turn);
    let mut words = Words::default();
    let output = spawned.outputs.into_iter().next().and_then(|it: File| Receiver::from_file(it).ok());
    let ended = tokio::time::timeout(COMMAND_LIMIT, async {
        let mut open = output.is_some();
        loop {
            tokio::select! {
                biased;
                end = &mut end => break end.ok(),
                read = words.read(output.as_ref()), if open => open = read,
            }
        }
    });
    match ended.await {
        Ok(Some(Ended::Exited(0))) => Ok(()),
        Ok(Some(Ended::Exited(code))) => Err(words.with(format!("exit code {code}"), output.as_ref())),
        Ok(Some(Ended::Signaled(sig))) => Err(words.with(format!("killed by {sig}"), output.as_ref())),
        Ok(Some(Ended::NotStarted(_)) | None) => Err("it could not be run".to_owned()),
        Err(_) => {
            let what = format!("no end within {} s", COMMAND_LIMIT.as_secs());
            Err(words.with(what, output.as_ref()))
        }
    }
}

/// The last words of a command.
#[derive(Default)]
struct Words(Vec<u8>);

impl Words {
    /// Reads what comes next; false at its end.
    async fn read(&mut self, output: Option<&Receiver>) -> bool {
        let Some(output) = output else { return false };
        output.readable().await.is_ok() && self.take(output)
    }

    /// Takes what is there, or a part of it where somebody writes without end; false at its end.
    fn take(&mut self, output: &Receiver) -> bool {
        let mut chunk = [0; 4096];
        for _ in 0..16 {
            match output.try_read(&mut chunk) {
                Ok(0) => return false,
                Ok(count) => {
                    self.0.extend_from_slice(&chunk[..count]);
                    let more = self.0.len().saturating_sub(WORDS);
                    self.0.drain(..more);
                }
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    /// `what`, and the last line.
    fn with(&mut self, what: String, output: Option<&Receiver>) -> String {
        if let Some(output) = output {
            self.take(output);
        }
        let text = String::from_utf8_lossy(&self.0);
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        let last: String = last.chars().filter(|c| !c.is_control()).take(200).collect();
        if last.is_empty() { what } else { format!("{what}: {last}") }
    }
}
