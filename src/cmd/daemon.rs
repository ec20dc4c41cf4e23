//! `ganger start -D`: who waits for the start, and what is told.
//!
//! The process that was started stays in the terminal until the daemon has said how the start went.
//! That is said once: what comes later is for `ganger ps` and `ganger logs`.

use std::fmt::Write as _;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::listen::Who;
use super::{complain_in_lines, print};
use crate::cli::{AppArgs, StartArgs};
use crate::config::formation::main_type;
use crate::error::{Error, FAILURE};
use crate::model::{InstanceId, ProcessName, sentence, visible};
use crate::os::daemon::{Side, Teller, detach};
use crate::output::history::History;
use crate::output::sanitize::{Allowed, Row, Sanitizer};
use crate::output::words::describe;
use crate::supervisor::command::{Answer, Command, Formation, Stage, Status, What};
use crate::supervisor::driver::Message;
use crate::supervisor::event::Event;
use crate::supervisor::fleet::Outcome;

/// How long processes have to be up to count as started: a command that is not found, a module
/// that is missing, a port that cannot be bound show themselves within that.
const SETTLE: Duration = Duration::from_millis(500);

/// The one who started us, until he was told. Empty without `-D`.
#[derive(Debug, Clone, Default)]
pub(super) struct Starter {
    waiting: Arc<Mutex<Option<Waiting>>>,
}

#[derive(Debug)]
struct Waiting {
    teller: Teller,
    /// What to do about processes that have ended.
    hints: Vec<(InstanceId, String)>,
    /// Why everything ends.
    why: Option<String>,
}

/// Whether there is a terminal to leave, and somebody to come back to.
pub(super) fn check(args: &AppArgs, start: &StartArgs) -> Result<(), Error> {
    let without = args.without("daemon");
    if !start.command.is_empty() {
        let text = ": the command after `--` needs the terminal that a daemon leaves";
        return Err(args.refuse("daemon", text, Some(format!("{without}, or start without a command"))));
    }
    if std::process::id() != 1 {
        return Ok(());
    }
    let text = ": this is process 1, and when it ends the system ends all others";
    Err(args.refuse("daemon", text, Some(format!("{without}: as process 1 ganger has no terminal to leave"))))
}

impl Starter {
    /// Leaves the terminal; ganger's own lines go to `out`, if anywhere. Only the daemon returns:
    /// the process that was started waits for what that has to say, repeats it and ends.
    pub(super) fn leave(out: Option<&File>) -> Result<Self, Error> {
        let said = match detach(out).map_err(|error| Error::system("starting the daemon", error))? {
            Side::Daemon(teller) => {
                let waiting = Waiting { teller, hints: Vec::new(), why: None };
                return Ok(Self { waiting: Arc::new(Mutex::new(Some(waiting))) });
            }
            Side::Caller(said) => said,
        };
        let killed = || (FAILURE, "ganger: error: the daemon was killed before all was up".to_owned());
        let (status, text) = said.unwrap_or_else(killed);
        // Ends without dropping what is the daemon's now: the lock, for one.
        if status != 0 {
            complain_in_lines(&text);
            std::process::exit(status.into());
        }
        // It runs, whether that can be read or not.
        let _ = print(text.as_bytes());
        std::process::exit(0);
    }

    /// Tells when all are up, and ends everything if nobody waits for that any more: whoever presses
    /// Ctrl-C while it starts wants none of it. Without a starter it does
    /// nothing. `who` runs.
    pub(super) fn watch(&self, driver: &UnboundedSender<Message>, who: Who) -> std::io::Result<()> {
        let Some(caller) = self.lock().as_ref().map(|waiting| waiting.teller.caller()) else { return Ok(()) };
        let caller = UnixStream::from_std(caller?)?;
        let (starter, driver) = (self.clone(), driver.clone());
        tokio::spawn(async move {
            tokio::select! {
                news = all_up(&driver, &who) => {
                    // Otherwise everything ends, and why is known when it has.
                    if let Some(news) = news {
                        starter.tell(0, &news);
                    }
                }
                () = gone(&caller) => drop(ask(&driver, What::End).await),
            }
        });
        Ok(())
    }

    /// Notes what may be the reason that it does not come up.
    pub(super) fn heard(&self, event: &Event, hint: Option<&String>, history: &History) {
        let mut waiting = self.lock();
        let Some(waiting) = &mut *waiting else { return };
        match (event, hint) {
            (Event::Ended { id, .. }, Some(hint)) => waiting.hints.push((id.clone(), hint.clone())),
            (Event::Report { id, .. }, _) => {
                let mut why = format!("ganger: error: {}", describe(event));
                let lines = last_words(history, id);
                if !lines.is_empty() {
                    why.push_str("\n  its last lines:");
                }
                why.extend(lines.into_iter().map(|line| format!("\n    {line}")));
                let hints = waiting.hints.iter().filter(|(of, _)| of == id);
                why.extend(hints.map(|(_, hint)| format!("\n  hint: {}", sentence(hint))));
                waiting.why = Some(why);
            }
            (_, _) => {}
        }
    }

    /// Tells that everything has ended, unless it was up before.
    pub(super) fn ended(&self, outcome: Outcome) {
        let Some(waiting) = self.lock().take() else { return };
        let (status, why) = match outcome {
            // Even a good end is none of something that is up.
            Outcome::Exit(0) => (FAILURE, "every process has ended"),
            Outcome::Exit(status) => (status, "it ended before all was up"),
            Outcome::Signal(sig) => (sig.exit_status(), "it was stopped before all was up"),
        };
        let why = waiting.why.unwrap_or_else(|| format!("ganger: error: {why}"));
        waiting.teller.tell(status, &why);
    }

    /// Tells that nothing could be started.
    pub(super) fn failed(&self, error: &Error) {
        self.tell(error.exit_status(), &error.render());
    }

    fn tell(&self, status: u8, text: &str) {
        if let Some(waiting) = self.lock().take() {
            waiting.teller.tell(status, text);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until all are up, and says so; `None` when they will not be.
///
/// Up means started and alive a moment later; and ready, where the user has said what shows that. A
/// process that is not in the time that a wait may take is named, and runs on.
async fn all_up(driver: &UnboundedSender<Message>, who: &Who) -> Option<String> {
    loop {
        tokio::time::sleep(SETTLE).await;
        let Answer::Status(all, formation) = ask(driver, What::Status).await? else { return None };
        // One that waits, for the release say, is not up yet. One that has ended and leaves others
        // behind in its group: whether its end is that of all shows itself when those are gone, and
        // then nobody answers any more.
        let is_late = |it: &Status| matches!(it.state, Stage::Waiting | Stage::Stopping) || it.settling;
        if !all.iter().any(is_late) {
            return Some(news(&all, &formation, who));
        }
    }
}

fn news(all: &[Status], formation: &Formation, who: &Who) -> String {
    let counts = formation.iter().filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(name, count)| format!("{name}={count}")).collect();
    let types: Vec<ProcessName> = formation.iter().map(|(name, _)| name.clone()).collect();
    let main = all.iter().find(|status| Some(&status.id.name) == main_type(&types));
    let url = main.and_then(|main| main.port).map(|port| format!(", http://localhost:{port}"));
    let command = &who.command;
    let mut text = format!(
        "{}: {}{}\n\
         `{command} ps` shows it, `{command} logs -f` what it writes, `{command} stop` ends it\n",
        visible(&who.text),
        counts.join(" "),
        url.unwrap_or_default(),
    );
    for Status { id, .. } in all.iter().filter(|it| it.state == Stage::Crashed || it.crashes > 0) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{id} has crashed; the others run on, `ganger ps` shows when it is up");
    }
    for Status { id, .. } in all.iter().filter(|it| it.late) {
        let _ = writeln!(text, "{id} is not ready yet; `ganger wait` waits for it");
    }
    text
}

/// Waits until the caller has gone.
async fn gone(caller: &UnixStream) {
    while caller.readable().await.is_ok() {
        match caller.try_read(&mut [0]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            // It never says anything, so this is its end.
            Ok(_) | Err(_) => return,
        }
    }
}

/// The last lines of a process, as they may stand on any terminal.
fn last_words(history: &History, id: &InstanceId) -> Vec<String> {
    let plain = |line: Vec<u8>| {
        let mut lines = Vec::new();
        let mut emit = |row: &mut Row| {
            let mut text = Vec::new();
            row.write(&mut text);
            // A traceback may be indented by tabs.
            lines.push(visible(&String::from_utf8_lossy(&text).replace('\t', "    ")).into_owned());
        };
        let mut sanitizer = Sanitizer::of_lines(Allowed::TEXT);
        for part in [&line[..], b"\n"] {
            sanitizer.push(part, &mut emit);
        }
        sanitizer.finish(emit);
        lines
    };
    history.last_words(id).into_iter().flat_map(|(_, lines)| lines).flat_map(plain).collect()
}

async fn ask(driver: &UnboundedSender<Message>, what: What) -> Option<Answer> {
    let (answer, mut answers) = unbounded_channel();
    driver.send(Message::Command(Command { what, answer })).ok()?;
    answers.recv().await
}
