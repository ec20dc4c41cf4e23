//! What each request means: a command for the driver, and its answer as a reply.
//!
//! It owns nothing but a way to the driver and what never changes of the instance. It decides
//! nothing: the driver says what was done and why not.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::proto::{Exit, Instance, Process, Refusal, Reply, Request};
use super::server::Answer;
use crate::supervisor::command::{self, Command, Status, What};
use crate::supervisor::driver::Message;
use crate::supervisor::event::Ended;

/// Answers requests.
#[derive(Debug, Clone)]
pub struct Desk {
    driver: UnboundedSender<Message>,
    about: Arc<About>,
}

/// What never changes of an instance.
#[derive(Debug)]
pub struct About {
    /// The pid to signal.
    pub pid: u32,
    /// The folder of the app.
    pub root: String,
}

impl Desk {
    /// A desk that asks this driver.
    pub fn new(driver: UnboundedSender<Message>, about: About) -> Self {
        Self { driver, about: Arc::new(about) }
    }

    /// Carries out a request.
    pub async fn answer(&self, request: Request) -> Answer {
        Answer::One(match request {
            Request::Ps => self.ps().await,
        })
    }

    async fn ps(&self) -> Reply {
        match self.ask(What::Status).await {
            Ok(command::Answer::Status(all)) => Reply::result(&Instance {
                pid: self.about.pid,
                root: self.about.root.clone(),
                processes: all.iter().map(process).collect(),
            }),
            Err(refusal) => Reply::Error(refusal),
        }
    }

    async fn ask(&self, what: What) -> Result<command::Answer, Refusal> {
        let (answer, mut answers) = unbounded_channel();
        let gone = || Refusal::failed("the instance has just ended");
        self.driver.send(Message::Command(Command { what, answer })).map_err(|_| gone())?;
        answers.recv().await.ok_or_else(gone)
    }
}

fn process(status: &Status) -> Process {
    Process {
        name: status.id.to_string(),
        kind: status.id.name.to_string(),
        command: status.command.to_string_lossy().into_owned(),
        pid: status.pid,
        port: status.port.map(crate::model::Port::get),
        state: status.state.as_str().to_owned(),
        since: Timestamp::try_from(status.since).unwrap_or_default().to_string(),
        restarts: status.runs.saturating_sub(1),
        exit: status.last.as_ref().map(exit),
    }
}

fn exit(end: &Ended) -> Exit {
    match end {
        Ended::Exited(code) => Exit::Code(*code),
        Ended::Signaled(sig) => Exit::Signal(sig.to_string().trim_start_matches("SIG").to_owned()),
        Ended::NotStarted(error) => Exit::Error(error.message.to_string()),
    }
}
