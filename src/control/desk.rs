//! What each request means: a command for the driver, and its answer as a reply.
//!
//! It owns nothing but a way to the driver, what never changes of the instance and the looks at the
//! system that a question takes. It decides nothing: the driver says what was done and why not.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::attach;
use super::frames::{Attached, Bytes};
use super::keyboard::NotTyped;
use super::logs::{self, Wish};
use super::proto::{
    Change, Changes, Count, Did, Exit, Instance, MAX_SENT, Process, Refusal, Reply, Request, Sent, Signaled,
    Signalee, Variable, Variables, Which,
};
use super::ready::Looks;
use super::reloads::{Reloads, Turn};
use super::seats::Seats;
use super::server::{Answer, TakeOver};
use super::target;
use crate::config::environment;
use crate::error::{FAILURE, USAGE};
use crate::model::{InstanceId, Port, ProcessName, timestamp};
use crate::os::pty::Size;
use crate::output::history::History;
use crate::plan::Planner;
use crate::supervisor::command::{self, Command, Done, Formation, Status, What};
use crate::supervisor::driver::Message;
use crate::supervisor::event::Ended;
use crate::supervisor::fleet::Order;

/// Why a command did not get what it wanted of a process, where nothing went wrong.
const SUPERSEDED: &str = "superseded by a later command";

/// Answers requests.
#[derive(Debug, Clone)]
pub struct Desk {
    driver: UnboundedSender<Message>,
    about: Arc<About>,
    pub(super) looks: Arc<Looks>,
    reloads: Arc<Reloads>,
}

/// What never changes of an instance.
pub struct About {
    /// Reads the app's files again, with the options of the start. May block.
    pub read: Box<dyn Fn() -> Result<Planner, Refusal> + Send + Sync>,
    /// The pid to signal.
    pub pid: u32,
    /// The folder of the app.
    pub root: String,
    /// What its processes wrote last.
    pub history: History,
    /// Their terminals.
    pub seats: Seats,
}

impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("About").field("pid", &self.pid).field("root", &self.root).finish_non_exhaustive()
    }
}

impl Desk {
    /// A desk that asks this driver.
    pub fn new(driver: UnboundedSender<Message>, about: About) -> Self {
        Self { driver, about: Arc::new(about), looks: Arc::default(), reloads: Arc::default() }
    }

    /// Carries out a request.
    pub(super) async fn answer(&self, request: Request) -> Answer {
        let order = |which: Which, order| What::Order { names: which.names, order, wait: which.wait };
        Answer::One(match request {
            Request::Ps => self.ps().await,
            Request::Wait { names, timeout } => self.wait(names, timeout).await,
            Request::Up(which) => self.ask(order(which, Order::Up)).await,
            Request::Stop(which) => self.ask(order(which, Order::Stop)).await,
            Request::Restart(which) => self.ask(order(which, Order::Restart)).await,
            Request::Scale { counts, wait } => self.ask(What::Scale { counts, wait }).await,
            Request::End => self.ask(What::End).await,
            Request::Reload { wait } => self.reload(wait).await,
            Request::Config { name } => match name.parse() {
                Ok(id) => self.ask(What::Environment(id)).await,
                Err(_) => Reply::Error(Refusal::usage(format!("`{name}` is no instance, such as web.1"))),
            },
            Request::Signal { signal, names, to } => match signal.parse() {
                Ok(sig) => self.ask(What::Signal { sig, names, to }).await,
                Err(error) => Reply::Error(Refusal::usage(format!("`{signal}`: {error}"))),
            },
            Request::Send { name, bytes: Bytes(bytes) } => match self.type_text(&name, &bytes).await {
                Ok(sent) => Reply::result(&sent),
                Err(refusal) => Reply::Error(refusal),
            },
            Request::Logs { lines, follow, names } => match self.logs(Wish { lines, follow }, &names).await {
                Ok(lines) => return Answer::Written(lines),
                Err(refusal) => Reply::Error(refusal),
            },
            Request::Attach { name, rows, columns, tee } => {
                let size = Size { rows, columns }.sane();
                match self.attach(&name, size, tee).await {
                    Ok((attached, go_on)) => return Answer::TakeOver(Reply::result(&attached), go_on),
                    Err(refusal) => Reply::Error(refusal),
                }
            }
        })
    }

    async fn attach(&self, name: &str, size: Size, tee: bool) -> Result<(Attached, TakeOver), Refusal> {
        let Some(command::Answer::Status(all, formation)) = self.tell(What::Status).await else {
            return Err(ended());
        };
        let types: Vec<ProcessName> = formation.into_iter().map(|(name, _)| name).collect();
        let (id, pid) = target::which(name, &types, &all)?;
        let Some(place) = self.about.seats.join(&id, size, tee) else {
            return Err(target::without_terminal(&id, "that you could attach to"));
        };
        let go_on = attach::take_over(place, &self.about.history, &id, size.rows);
        Ok((Attached { name: id.to_string(), pid }, go_on))
    }

    async fn type_text(&self, name: &str, bytes: &[u8]) -> Result<Sent, Refusal> {
        if bytes.len() > MAX_SENT {
            return Err(Refusal::usage(format!("more than {MAX_SENT} bytes in one request")));
        }
        let Some(command::Answer::Status(all, formation)) = self.tell(What::Status).await else {
            return Err(ended());
        };
        let types: Vec<ProcessName> = formation.into_iter().map(|(name, _)| name).collect();
        let (id, pid) = target::which(name, &types, &all)?;
        let Some(keyboard) = self.about.seats.keyboard(&id) else {
            return Err(target::without_terminal(&id, "to type into"));
        };
        match keyboard.type_in(bytes).await {
            Ok(taken) => Ok(Sent { name: id.to_string(), pid, taken }),
            Err(NotTyped::Ended) => {
                Err(Refusal::failed(format!("{id} exited before all of the text was typed")))
            }
            Err(NotTyped::System(error)) => {
                Err(Refusal::failed(format!("cannot type on the terminal of {id}: {error}")))
            }
        }
    }

    async fn logs(&self, wish: Wish, names: &[String]) -> Result<Receiver<Vec<u8>>, Refusal> {
        let Some(command::Answer::Status(all, formation)) = self.tell(What::Status).await else {
            return Err(ended());
        };
        let types: Vec<ProcessName> = formation.into_iter().map(|(name, _)| name).collect();
        // What was scaled away has left its lines.
        let mut ids: Vec<InstanceId> = all.into_iter().map(|status| status.id).collect();
        let gone = self.about.history.ids().into_iter().filter(|id| !ids.contains(id)).collect::<Vec<_>>();
        ids.extend(gone);
        Ok(logs::read(&self.about.history, wish, logs::names(names, types, &ids)?))
    }

    /// Reads the files without delaying anything else, then applies them: once for all requests that arrive
    /// meanwhile.
    async fn reload(&self, wait: bool) -> Reply {
        let reply = self.reloads.join(wait, |turn| {
            let desk = self.clone();
            tokio::spawn(async move { desk.read_in_turn(turn).await });
        });
        reply.await.unwrap_or_else(|_| Reply::Error(ended()))
    }

    async fn read_in_turn(self, mut turn: Turn) {
        while let Some(batch) = turn.next() {
            let about = self.about.clone();
            let read = tokio::task::spawn_blocking(move || (about.read)()).await;
            match read.unwrap_or_else(|error| Err(Refusal::failed(format!("reading the files: {error}")))) {
                // Passed to the driver now, in the order in which they were read. The next batch does not
                // wait until it is done.
                Ok(planner) => match self.send(What::Reload { planner: Box::new(planner), wait: batch.wait })
                {
                    Some(mut answers) => {
                        let desk = self.clone();
                        tokio::spawn(async move {
                            let answer = answers.get().await;
                            batch.answer(&desk.reply_or_end(answer));
                        });
                    }
                    None => batch.answer(&Reply::Error(ended())),
                },
                Err(refusal) => batch.answer(&Reply::Error(refusal)),
            }
        }
    }

    async fn ps(&self) -> Reply {
        let mut answer = self.tell(What::Status).await;
        if let Some(command::Answer::Status(all, _)) = &mut answer {
            self.look(all).await;
        }
        self.reply_or_end(answer)
    }

    async fn ask(&self, what: What) -> Reply {
        self.reply_or_end(self.tell(what).await)
    }

    pub(super) fn reply_or_end(&self, answer: Option<command::Answer>) -> Reply {
        answer.map_or_else(|| Reply::Error(ended()), |answer| self.reply(&answer))
    }

    /// Tells the driver something. One that has ended need not know.
    pub(super) fn note(&self, message: Message) {
        let _ = self.driver.send(message);
    }

    /// Asks the driver. No answer if it has ended.
    pub(super) async fn tell(&self, what: What) -> Option<command::Answer> {
        self.send(what)?.get().await
    }

    fn send(&self, what: What) -> Option<Awaiting> {
        let (answer, answers) = unbounded_channel();
        self.driver.send(Message::Command(Command { what, answer })).ok()?;
        Some(Awaiting { answers, driver: self.driver.clone(), is_answered: false })
    }

    fn reply(&self, answer: &command::Answer) -> Reply {
        match answer {
            command::Answer::Status(all, formation) => Reply::result(&Instance {
                pid: self.about.pid,
                root: self.about.root.clone(),
                formation: counts(formation),
                processes: all.iter().map(process).collect(),
            }),
            command::Answer::Done(all, formation) => Reply::result(&Changes {
                processes: all.iter().map(change).collect(),
                formation: counts(formation),
            }),
            command::Answer::Signaled(sig, all) => {
                let signalee = |(id, pid): &(InstanceId, i32)| Signalee { name: id.to_string(), pid: *pid };
                Reply::result(&Signaled { signal: sig.name(), processes: all.iter().map(signalee).collect() })
            }
            // What waits has an answer of its own.
            command::Answer::Awaited(_) | command::Answer::Ending => Reply::Result(serde_json::Value::Null),
            command::Answer::Environment(environment) => {
                Reply::result(&Variables { variables: environment.iter().map(variable).collect() })
            }
            command::Answer::Refused(refused) => Reply::Error(Refusal {
                message: refused.message.clone(),
                details: Vec::new(),
                hint: refused.hint.clone(),
                status: if refused.is_usage { USAGE } else { FAILURE },
            }),
        }
    }
}

/// An answer of the driver. Dropped before it has come, it lets the driver know that nothing waits for it.
struct Awaiting {
    answers: UnboundedReceiver<command::Answer>,
    driver: UnboundedSender<Message>,
    is_answered: bool,
}

impl Awaiting {
    async fn get(&mut self) -> Option<command::Answer> {
        let answer = self.answers.recv().await;
        self.is_answered = true;
        answer
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        if !self.is_answered {
            self.answers.close();
            let _ = self.driver.send(Message::ClientGone);
        }
    }
}

fn ended() -> Refusal {
    Refusal::failed("the instance has just ended")
}

fn counts(formation: &Formation) -> Vec<Count> {
    formation.iter().map(|(name, count)| Count { kind: name.to_string(), count: *count }).collect()
}

fn change(done: &Done) -> Change {
    let (did, pid, exit, error) = match &done.what {
        command::Did::Started(pid) => (Did::Started, Some(*pid), None, None),
        command::Did::Restarted(pid) => (Did::Restarted, Some(*pid), None, None),
        command::Did::WasUp(pid) => (Did::WasUp, Some(*pid), None, None),
        command::Did::Stopped(end) => (Did::Stopped, None, end.as_ref().map(exit), None),
        command::Did::WasDown => (Did::WasDown, None, None, None),
        command::Did::Failed(error) => (Did::Failed, None, None, Some(error.clone())),
        command::Did::Superseded => (Did::Failed, None, None, Some(SUPERSEDED.to_owned())),
        command::Did::Ordered => (Did::Ordered, None, None, None),
    };
    let superseded = done.what == command::Did::Superseded;
    Change { name: done.id.to_string(), did, pid, port: done.port.map(Port::get), exit, error, superseded }
}

fn variable((name, variable): (&OsString, &environment::Variable)) -> Variable {
    let text = |text: &OsStr| text.to_string_lossy().into_owned();
    let value = &variable.value;
    let value_b64 = value.to_str().is_none().then(|| STANDARD.encode(value.as_bytes()));
    Variable { name: text(name), value: text(value), value_b64, from: variable.origin.to_string() }
}

fn process(status: &Status) -> Process {
    Process {
        name: status.id.to_string(),
        kind: status.id.name.to_string(),
        command: status.command.to_string_lossy().into_owned(),
        pid: status.pid,
        port: status.port.map(Port::get),
        state: status.state.as_str().to_owned(),
        since: timestamp(status.since).to_string(),
        restarts: status.runs.saturating_sub(1),
        restart_in: status.again.map(|left| (left.as_secs_f64() * 1000.0).round() / 1000.0),
        crashes: status.crashes,
        exit: status.last.as_ref().map(exit),
        ready: status.ready,
        waits_for: status.waits_for.clone(),
    }
}

pub(super) fn exit(end: &Ended) -> Exit {
    match end {
        Ended::Exited(code) => Exit::Code(*code),
        Ended::Signaled(sig) => Exit::Signal(sig.name()),
        Ended::NotStarted(error) => Exit::Error(error.message.to_string()),
    }
}
