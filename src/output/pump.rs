//! The driver's side of the output thread: orders go there, notices come back.
//!
//! The thread itself is `worker`.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::Waker;

use super::format::Format;
use super::history::History;
use super::log::{LogFile, LogFormat, Logs};
use super::modes::Colors;
use super::printer::Printer;
use super::screen::{Abilities, Screen};
use super::sink::{Progress, Sink};
pub use super::source::Kind;
use super::worker::{self, Worker};
use crate::config::names::Names;
use crate::model::InstanceId;
use crate::supervisor::event::{Event, Run};

/// What the pump says.
#[derive(Debug)]
pub enum Notice {
    /// All output of this run was read; nothing of it will be printed after this.
    Closed(Run),
    /// Stdout cannot be written any more. Said once.
    Gone(io::Error),
    /// Somebody who reads is about to know that everything is being stopped.
    StopTold,
    /// The pump was told to end and has written everything.
    Ended,
}

/// What the thread is to do.
pub(super) enum Order {
    Join(InstanceId, Option<LogFile>),
    Open { run: Run, id: InstanceId, started: Event, kind: Kind, outputs: Vec<File> },
    Close(Run),
    Tell(Event),
    Resize(u16),
    Hold(InstanceId),
    Show(InstanceId),
    HoldAll(Box<dyn FnOnce() + Send>),
    ShowAll,
    End,
}

/// What the user wants of the output.
#[derive(Debug)]
pub struct Setup {
    /// How lines and events are written.
    pub format: Format,
    /// Whose lines are not shown.
    pub muted: Names,
    /// What takes the output of each process; empty, if nothing is to.
    pub logs: Vec<LogFile>,
    /// What is written to them.
    pub log_format: LogFormat,
    /// What stdout can do as a terminal, if it is one and the format is text.
    pub screen: Option<Abilities>,
    /// The colors that are reported to a process on a pty if it asks.
    pub colors: Colors,
}

/// The driver's side of the pump. Nothing here blocks.
#[derive(Debug)]
pub struct Pump {
    handle: Handle,
    written: Arc<AtomicU64>,
    progress: Arc<Progress>,
    history: History,
    _thread: JoinHandle<()>,
}

/// Gives the thread orders.
#[derive(Debug, Clone)]
struct Handle {
    orders: Sender<Order>,
    waker: Arc<Waker>,
}

impl Pump {
    /// Starts the thread. It does `first` before it shows anything, writes to `out` and speaks through
    /// `notify`.
    pub fn start(
        setup: Setup,
        out: OwnedFd,
        first: impl FnOnce() + Send + 'static,
        notify: impl Fn(Notice) + Send + 'static,
    ) -> io::Result<Self> {
        let Setup { format, muted, logs, log_format, screen, colors } = setup;
        let (poll, waker) = worker::watch(&out)?;
        let (orders, inbox) = channel();
        let written = Arc::new(AtomicU64::new(0));
        let progress = Arc::new(Progress::default());
        let history = History::default();
        let handle = Handle { orders, waker: Arc::new(waker) };
        let logs = if logs.is_empty() {
            None
        } else {
            let handle = handle.clone();
            let tell = move |event| handle.order(Order::Tell(event));
            Some(Logs::start(logs, log_format, written.clone(), tell)?)
        };
        let printer =
            Printer::new(format, Sink::new(out, written.clone(), progress.clone()), screen.map(Screen::new));
        let worker = Worker::new((poll, inbox), printer, (muted, colors), logs, history.clone(), notify);
        let work = move || {
            first();
            worker.work();
        };
        let thread = std::thread::Builder::new().name("output".into()).spawn(work)?;
        Ok(Self { handle, written, progress, history, _thread: thread })
    }

    /// One more process, and the file that takes its bytes if one is to.
    pub fn join(&self, id: InstanceId, log: Option<LogFile>) {
        self.handle.order(Order::Join(id, log));
    }

    /// Prints the event that it has `started`, and what comes from `outputs` (which must not block)
    /// under the name `id`: both streams in one, or stdout and stderr. The run's output is closed
    /// when all of them are.
    pub fn open(&self, run: Run, id: InstanceId, started: Event, kind: Kind, outputs: Vec<File>) {
        // One order: each wakes the thread up.
        self.handle.order(Order::Open { run, id, started, kind, outputs });
    }

    /// Reads what there is now, then closes this run's output, whoever else holds it.
    pub fn close(&self, run: Run) {
        self.handle.order(Order::Close(run));
    }

    /// Prints an event, behind everything that was read before.
    pub fn tell(&self, event: Event) {
        self.handle.order(Order::Tell(event));
    }

    /// The terminal has so many columns from now on.
    pub fn resize(&self, columns: u16) {
        self.handle.order(Order::Resize(columns));
    }

    /// Ends the pump once everything is written: [`Notice::Ended`].
    pub fn end(&self) {
        self.handle.order(Order::End);
    }

    /// What the main view shows of the processes, for those who change that.
    pub fn view(&self) -> View {
        View(self.handle.clone())
    }

    /// What all processes wrote last.
    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// Bytes written so far: whoever waits for the end sees whether the reader still reads.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Returns how long stdout has taken nothing of what is being written; `None` while nothing is.
    pub fn blocked_for(&self) -> Option<Duration> {
        self.progress.blocked_for()
    }
}

/// What the main view shows. Nothing here blocks.
#[derive(Debug, Clone)]
pub struct View(Handle);

impl View {
    /// Shows no lines of this process from now on; they are kept.
    pub fn hold(&self, id: InstanceId) {
        self.0.order(Order::Hold(id));
    }

    /// Shows them, what came meanwhile first.
    pub fn show(&self, id: InstanceId) {
        self.0.order(Order::Show(id));
    }

    /// Shows nothing at all from now on, and calls `done` when all that came before is written: the
    /// terminal is somebody else's then.
    pub fn hold_all(&self, done: impl FnOnce() + Send + 'static) {
        self.0.order(Order::HoldAll(Box::new(done)));
    }

    /// Shows everything but what is held for itself, what came meanwhile first.
    pub fn show_all(&self) {
        self.0.order(Order::ShowAll);
    }
}

impl Handle {
    fn order(&self, order: Order) {
        // A pump that has ended needs no orders.
        let _ = self.orders.send(order);
        let _ = self.waker.wake();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::output::json::Json;
    use crate::supervisor::event::Slot;

    #[test]
    fn output_that_cannot_be_watched_is_reported_and_closed() {
        let (mut read, write) = io::pipe().expect("a pipe");
        let format = Format::Json(Json::new(jiff::tz::TimeZone::UTC));
        let (logs, log_format, colors) = (Vec::new(), LogFormat::default(), Colors::default());
        let muted = Names::default();
        let setup = Setup { format, muted, logs, log_format, screen: None, colors };
        let (sender, notices) = channel();
        let notify = move |notice| drop(sender.send(notice));
        let pump = Pump::start(setup, write.into(), || {}, notify).expect("started");
        let (id, run) =
            (InstanceId::new("web".parse().expect("a name"), 1), Run { slot: Slot(0), number: 1 });
        let started = Event::Started { id: id.clone(), pid: 7, port: None, is_main: false };
        // epoll refuses files (epoll_ctl(2), EPERM).
        let outputs = vec![File::open("/proc/self/exe").expect("a file")];
        pump.open(run, id, started, Kind::Pipe, outputs);
        pump.end();
        let all: Vec<Notice> = notices.iter().collect();
        assert!(all.iter().any(|notice| matches!(notice, Notice::Closed(of) if *of == run)), "{all:?}");
        drop(pump);
        let mut text = String::new();
        read.read_to_string(&mut text).expect("text");
        assert!(text.contains(r#""event":"output_lost","process":"web.1""#), "{text}");
        assert!(text.contains("cannot read the output of web.1: Operation not permitted"), "{text}");
    }
}
