//! The output thread: waits for all processes' output and for the driver's words, and writes.
//!
//! It owns stdout and every process's `Source`, which has the descriptor and what belongs to
//! one process. It never decides anything about a process; it says when a run's output is closed
//! and when stdout is gone.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use super::render::Renderer;
use super::sanitize::Sanitizer;
use super::screen::{Abilities, Screen};
use super::sink::{FULL, Sink};
pub use super::source::Kind;
use super::source::{Paper, Source, State};
use super::tail::Tail;
use crate::model::InstanceId;
use crate::supervisor::event::{Event, Run};

/// How much is read from one process before it is another's turn.
const CHUNK: usize = 64 * 1024;

/// The most a pipe can hold (`/proc/sys/fs/pipe-max-size` for users, pipe(7)).
const MAX_PIPE: usize = 1024 * 1024;

const WAKER: Token = Token(usize::MAX);

/// What the pump says.
#[derive(Debug)]
pub enum Notice {
    /// All output of this run was read; nothing of it will be printed after this.
    Closed(Run),
    /// Stdout cannot be written any more. Said once.
    Gone(io::Error),
    /// Somebody who reads knows by now that everything is being stopped.
    StopTold,
    /// The pump was told to end and has written everything.
    Ended,
}

enum Order {
    Open { run: Run, id: InstanceId, output: File, kind: Kind },
    Close(Run),
    Tell(Event),
    Resize(u16),
    End,
}

/// The driver's side of the pump. Nothing here blocks.
#[derive(Debug)]
pub struct Pump {
    orders: Sender<Order>,
    waker: Arc<Waker>,
    written: Arc<AtomicU64>,
    _thread: JoinHandle<()>,
}

impl Pump {
    /// Starts the thread. It writes to `out`, a terminal if `terminal` says what it can do, and
    /// speaks through `notify`.
    pub fn start(
        renderer: Renderer,
        out: OwnedFd,
        terminal: Option<Abilities>,
        notify: impl Fn(Notice) + Send + 'static,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (orders, inbox) = channel();
        let written = Arc::new(AtomicU64::new(0));
        let worker = Worker {
            poll,
            inbox,
            renderer,
            sink: Sink::new(out, written.clone()),
            screen: terminal.map(Screen::new),
            sources: HashMap::new(),
            ready: Vec::new(),
            tails: HashMap::new(),
            chunk: vec![0; CHUNK],
            tells_stop: false,
            notify: Box::new(notify),
        };
        let thread = std::thread::Builder::new().name("output".into()).spawn(move || worker.work())?;
        Ok(Self { orders, waker, written, _thread: thread })
    }

    /// Prints what comes from `output` (which must not block) under the name `id`.
    pub fn open(&self, run: Run, id: InstanceId, output: File, kind: Kind) {
        self.order(Order::Open { run, id, output, kind });
    }

    /// Reads what there is now, then closes this run's output, whoever else holds it.
    pub fn close(&self, run: Run) {
        self.order(Order::Close(run));
    }

    /// Prints an event, behind everything that was read before.
    pub fn tell(&self, event: Event) {
        self.order(Order::Tell(event));
    }

    /// The terminal has so many columns from now on.
    pub fn resize(&self, columns: u16) {
        self.order(Order::Resize(columns));
    }

    /// Ends the pump once everything is written: [`Notice::Ended`].
    pub fn end(&self) {
        self.order(Order::End);
    }

    /// Bytes written so far: whoever waits for the end sees whether the reader still reads.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn order(&self, order: Order) {
        // A pump that has ended needs no orders.
        let _ = self.orders.send(order);
        let _ = self.waker.wake();
    }
}

struct Worker {
    poll: Poll,
    inbox: Receiver<Order>,
    renderer: Renderer,
    sink: Sink,
    /// Stdout, if it is a terminal.
    screen: Option<Screen>,
    sources: HashMap<Token, Source>,
    /// The sources that may have something to read.
    ready: Vec<Token>,
    /// The end of the last closed output of each process.
    tails: HashMap<InstanceId, Tail>,
    chunk: Vec<u8>,
    /// [`Event::StopRequested`] is in the sink's buffer.
    tells_stop: bool,
    notify: Box<dyn Fn(Notice) + Send>,
}

impl Worker {
    fn work(mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            if let Err(error) = self.poll.poll(&mut events, self.timeout())
                && error.kind() != ErrorKind::Interrupted
            {
                return (self.notify)(Notice::Gone(error));
            }
            self.renderer.set_time(unix_time());
            for event in &events {
                self.mark(event);
            }
            let end = self.obey();
            self.read_all();
            self.show_half_lines();
            self.flush();
            if end {
                return (self.notify)(Notice::Ended);
            }
        }
    }

    /// How long there is nothing to do. Without a half line on a terminal that is for ever.
    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        self.screen.as_ref()?;
        let due = self.sources.values().filter_map(Source::due).min()?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    fn show_half_lines(&mut self) {
        if self.screen.is_none() {
            return;
        }
        let now = Instant::now();
        for source in self.sources.values_mut().filter(|source| source.due().is_some_and(|due| due <= now)) {
            source.show(&mut Paper {
                renderer: &self.renderer,
                out: &mut self.sink.buffer,
                screen: self.screen.as_mut(),
            });
        }
    }

    fn mark(&mut self, event: &mio::event::Event) {
        if let Some(source) = self.sources.get_mut(&event.token()) {
            if !source.is_ready() {
                self.ready.push(event.token());
            }
            source.mark(event.is_read_closed() || event.is_error());
        }
    }

    /// Carries out the orders. Answers whether to end.
    fn obey(&mut self) -> bool {
        while let Ok(order) = self.inbox.try_recv() {
            match order {
                Order::Open { run, id, output, kind } => self.open(run, id, output, kind),
                Order::Close(run) => {
                    let token = self.sources.iter().find(|(_, source)| source.run() == run);
                    if let Some(token) = token.map(|(token, _)| *token) {
                        self.drain(token);
                    }
                }
                Order::Tell(event) => self.tell(&event),
                Order::Resize(columns) => {
                    if let Some(screen) = &mut self.screen {
                        screen.abilities.columns = columns;
                    }
                }
                Order::End => return true,
            }
        }
        false
    }

    fn open(&mut self, run: Run, id: InstanceId, output: File, kind: Kind) {
        let token = Token(usize::try_from(output.as_raw_fd()).unwrap_or(0));
        let registered =
            self.poll.registry().register(&mut SourceFd(&output.as_raw_fd()), token, Interest::READABLE);
        if registered.is_err() {
            // Out of memory for watches; the process must not wait for a reader for ever.
            return (self.notify)(Notice::Closed(run));
        }
        let prefix = self.renderer.prefix(&id);
        self.sources.insert(token, Source::new(run, id, output, kind, prefix, self.screen.as_ref()));
        self.ready.push(token);
    }

    fn tell(&mut self, event: &Event) {
        self.tells_stop |= matches!(event, Event::StopRequested(_));
        let tail = match event {
            Event::Report { id, end, .. } if !end.is_success() => self.tails.get(id),
            _ => None,
        };
        let buffer = &mut self.sink.buffer;
        let Some(screen) = &mut self.screen else {
            return self.renderer.event(buffer, event, tail.iter().flat_map(|tail| tail.lines()));
        };
        screen.new_line(buffer);
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut sanitizer = Sanitizer::new(screen.abilities.allowed);
        for line in tail.iter().flat_map(|tail| tail.lines()).flat_map(|line| [line, b"\n"]) {
            sanitizer.push(line, |row| {
                let mut line = Vec::new();
                row.write(&mut line);
                lines.push(line);
            });
        }
        self.renderer.event(buffer, event, lines.iter().map(Vec::as_slice));
    }

    /// Reads a chunk from each process that has something.
    fn read_all(&mut self) {
        for token in std::mem::take(&mut self.ready) {
            self.read(token);
            if self.sink.buffer.len() >= FULL {
                self.flush();
            }
            if self.sources.get(&token).is_some_and(Source::is_ready) {
                self.ready.push(token);
            }
        }
    }

    /// Reads what a full pipe can hold and closes, though somebody may still write.
    fn drain(&mut self, token: Token) {
        if let Some(source) = self.sources.get_mut(&token) {
            source.mark(true);
        }
        for _ in 0..=MAX_PIPE / CHUNK {
            if self.sources.get(&token).is_some_and(Source::is_ready) {
                self.read(token);
            }
        }
        self.close(token);
    }

    fn read(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(&token) else { return };
        let (renderer, out, screen) = (&self.renderer, &mut self.sink.buffer, self.screen.as_mut());
        match source.read(&mut self.chunk, &mut Paper { renderer, out, screen }) {
            State::Open => {}
            State::Closed => self.close(token),
        }
    }

    fn close(&mut self, token: Token) {
        let Some(source) = self.sources.remove(&token) else { return };
        let _ = self.poll.registry().deregister(&mut SourceFd(&source.fd()));
        let run = source.run();
        let (renderer, out, screen) = (&self.renderer, &mut self.sink.buffer, self.screen.as_mut());
        let (id, tail) = source.finish(&mut Paper { renderer, out, screen });
        self.tails.insert(id, tail);
        (self.notify)(Notice::Closed(run));
    }

    fn flush(&mut self) {
        if let Err(error) = self.sink.flush() {
            (self.notify)(Notice::Gone(error));
        }
        if std::mem::take(&mut self.tells_stop) {
            (self.notify)(Notice::StopTold);
        }
    }
}

fn unix_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(0)
}
