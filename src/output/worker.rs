//! The output thread: waits for all processes' output and for the driver's words, and writes.
//!
//! It owns stdout and every process's `Source`, which has the descriptor and what belongs to
//! one process. It never decides anything about a process; it says when a run's output is closed
//! and when stdout is gone.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use super::answering;
use super::held::Held;
use super::history::{History, TrackId};
use super::log::{LogFile, Logs};
use super::modes::Colors;
use super::pace::Pace;
use super::printer::Printer;
use super::pump::{Kind, Notice, Order};
use super::sink::FULL;
use super::source::{Source, State, Stream, Voice};
use crate::config::names::Names;
use crate::model::{InstanceId, timestamp};
use crate::os::memory::{self, SETTLED};
use crate::supervisor::event::{Event, Run};

/// How much is read from one process before it is another's turn.
const CHUNK: usize = 64 * 1024;

/// What is worth a write while there is more to read: a quarter of what stdout holds as a pipe
/// (`os::pipe`), so that its reader has the rest meanwhile.
const ENOUGH: usize = 256 * 1024;

/// How often each process is read at most before a write.
const ROUNDS: usize = 4;

/// The most a pipe can hold (`/proc/sys/fs/pipe-max-size` for users, pipe(7)).
const MAX_PIPE: usize = 1024 * 1024;

const WAKER: Token = Token(usize::MAX);
const STDOUT: Token = Token(usize::MAX - 1);

/// Only that the terminal was closed, which is always reported (see EPOLLHUP in `epoll_ctl(2)`), and not what is typed.
#[cfg(target_os = "linux")]
const END_OF_TERMINAL: Option<Interest> = Some(Interest::PRIORITY);
#[cfg(not(target_os = "linux"))]
const END_OF_TERMINAL: Option<Interest> = None;

/// What wakes the thread up: orders, and whoever reads `out`.
pub(super) fn watch(out: &OwnedFd) -> io::Result<(Poll, Waker)> {
    let poll = Poll::new()?;
    // A reader that goes is noticed even while nothing is written. A terminal sends a signal, too, but in the
    // background and in another session that comes to others. A file never does, and cannot be
    // registered. Kernels without epoll may tell a pipe's writer nothing either: then the next write does.
    let interest = if out.is_terminal() { END_OF_TERMINAL } else { Some(Interest::READABLE) };
    if let Some(interest) = interest {
        let _ = poll.registry().register(&mut SourceFd(&out.as_raw_fd()), STDOUT, interest);
    }
    let waker = Waker::new(poll.registry(), WAKER)?;
    Ok((poll, waker))
}

/// The thread's world.
pub(super) struct Worker {
    poll: Poll,
    inbox: Receiver<Order>,
    pub(super) printer: Printer,
    pub(super) muted: Names,
    logs: Option<Logs>,
    pub(super) sources: HashMap<Token, Source>,
    /// The sources that may have something to read.
    ready: Vec<Token>,
    /// Those whose processes have asked their terminals, and have no answer yet.
    asking: Vec<Token>,
    colors: Colors,
    pub(super) history: History,
    pub(super) held: Held,
    /// When this round began.
    pub(super) now: jiff::Timestamp,
    /// What was read last; empty until the thread runs.
    chunk: Vec<u8>,
    /// [`Event::StopRequested`] is in the sink's buffer.
    tells_stop: bool,
    /// What was opened last has not [`SETTLED`]. It gets one look, not a timer that comes again.
    is_new: bool,
    notify: Box<dyn Fn(Notice) + Send>,
}

impl Worker {
    pub(super) fn new(
        (poll, inbox): (Poll, Receiver<Order>),
        printer: Printer,
        (muted, colors): (Names, Colors),
        logs: Option<Logs>,
        history: History,
        notify: impl Fn(Notice) + Send + 'static,
    ) -> Self {
        Self {
            poll,
            inbox,
            printer,
            muted,
            logs,
            sources: HashMap::new(),
            ready: Vec::new(),
            asking: Vec::new(),
            colors,
            history,
            held: Held::default(),
            now: timestamp(SystemTime::now()),
            chunk: Vec::new(),
            tells_stop: false,
            is_new: false,
            notify: Box::new(notify),
        }
    }

    /// Until it is told to end.
    pub(super) fn work(mut self) {
        // Here, and not where the thread is made: processes are started meanwhile.
        let (mut events, mut pace) = (Events::with_capacity(256), Pace::default());
        self.chunk = vec![0; CHUNK];
        // The first look for a line end asks the processor what it can do, which takes 50 us where a
        // hypervisor answers. Nobody waits for a line yet.
        memchr::memchr(b'\n', &[]);
        loop {
            if let Err(error) = self.poll.poll(&mut events, self.timeout())
                && error.kind() != ErrorKind::Interrupted
            {
                return (self.notify)(Notice::Gone(error));
            }
            // Without anything to read: where something is, nobody has waited.
            if self.is_new && events.is_empty() && self.ready.is_empty() {
                self.is_new = false;
                memory::forget_the_start();
            }
            pace.woken(Instant::now());
            self.now = timestamp(SystemTime::now());
            self.printer.format.set_time(self.now);
            self.history.set_time(self.now);
            for event in &events {
                self.mark(event);
            }
            let end = self.obey();
            self.read_all();
            self.answer();
            self.show_half_lines();
            // Before the write, which may take as long as our reader likes.
            self.history.tell();
            let bytes = if self.held.is_stuck() { 0 } else { self.printer.sink.buffer.len() };
            self.flush();
            if end {
                self.go_on();
                self.show_rest();
                self.history.close();
                self.finish_logs();
                return (self.notify)(Notice::Ended);
            }
            if let Some(nap) = pace.done(Instant::now(), bytes) {
                std::thread::sleep(nap);
            }
        }
    }

    /// How long there is nothing to do. Without a half line on a terminal that is for ever, except
    /// for once after a start.
    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let settled = self.is_new.then_some(SETTLED);
        let answers = (!self.asking.is_empty()).then_some(answering::INTERVAL);
        if self.printer.screen.is_none() {
            return settled.into_iter().chain(answers).min();
        }
        let due = self.sources.values().filter_map(Source::due).min();
        let due = due.map(|due| due.saturating_duration_since(Instant::now()));
        due.into_iter().chain(settled).chain(answers).min()
    }

    /// Gives answers that could not be given before.
    fn answer(&mut self) {
        let sources = &mut self.sources;
        self.asking.retain(|token| sources.get_mut(token).is_some_and(Source::answer));
    }

    fn show_half_lines(&mut self) {
        if self.printer.screen.is_none() {
            return;
        }
        let now = Instant::now();
        for source in self.sources.values_mut().filter(|source| source.due().is_some_and(|due| due <= now)) {
            source.show(&mut self.printer.paper());
        }
    }

    /// Waits for the logs, and tells what could not be written to the last.
    fn finish_logs(&mut self) {
        if let Some(logs) = &self.logs {
            logs.finish();
            self.obey();
            self.flush();
        }
    }

    fn mark(&mut self, event: &mio::event::Event) {
        if event.token() == STDOUT && self.held.is_stuck() {
            return self.go_on();
        }
        if event.token() == STDOUT {
            // Without a reader a pipe has an error (pipe_poll in the kernel's fs/pipe.c), and a terminal that was
            // closed has been hung up (hung_up_tty_poll in tty_io.c).
            if event.is_write_closed()
                && let Some(error) = self.printer.sink.reader_has_gone()
            {
                (self.notify)(Notice::Gone(error));
            }
            return;
        }
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
                Order::Join(id, log) => self.join(&id, log),
                Order::Open { run, id, started, kind, outputs } => {
                    self.tell(&started);
                    self.open(run, &id, kind, outputs);
                }
                Order::Close(run) => {
                    let of_run = self.sources.iter().filter(|(_, source)| source.run() == run);
                    let tokens: Vec<Token> = of_run.map(|(token, _)| *token).collect();
                    for token in tokens {
                        self.drain(token);
                    }
                }
                Order::Tell(event) => self.tell(&event),
                Order::Resize(columns) => {
                    if let Some(screen) = &mut self.printer.screen {
                        screen.abilities.columns = columns;
                    }
                }
                Order::Hold(id) => self.hold(&id),
                Order::Show(id) => self.show(&id),
                Order::HoldAll(done) => self.hold_all(done),
                Order::ShowAll => self.show_all(),
                Order::End => return true,
            }
        }
        false
    }

    fn join(&mut self, id: &InstanceId, log: Option<LogFile>) {
        if let (Some(logs), Some(file)) = (&mut self.logs, log) {
            logs.add(file);
        }
        if self.printer.format.join(id) {
            for source in self.sources.values_mut() {
                source.speak(&self.printer.format);
            }
        }
    }

    fn open(&mut self, run: Run, id: &InstanceId, kind: Kind, outputs: Vec<File>) {
        self.is_new = true;
        for (stream, output) in Stream::ALL.into_iter().zip(outputs) {
            let token = Token(usize::try_from(output.as_raw_fd()).unwrap_or(0));
            let mut fd = SourceFd(&output.as_raw_fd());
            if let Err(error) = self.poll.registry().register(&mut fd, token, Interest::READABLE) {
                // Out of memory for watches. It is closed, as the process must not wait for a reader for ever.
                self.tell(&Event::OutputLost { id: id.clone(), error: error.to_string() });
                continue;
            }
            let muted = self.muted.contains(id);
            let log = self.logs.as_ref().and_then(|logs| logs.of(id));
            let voice =
                if muted { Voice::Muted } else { Voice::Shown(self.printer.format.prefix(id, stream)) };
            let (of, from) = ((run, id.clone()), (stream, kind, output));
            let screen = self.printer.screen.as_ref();
            let source = Source::new(of, from, voice, log, &self.history, screen);
            self.sources.insert(token, source.answering(self.colors));
            self.hold_if_covered(token);
            self.ready.push(token);
        }
        self.tell_if_closed(run);
    }

    fn tell_if_closed(&self, run: Run) {
        if !self.sources.values().any(|source| source.run() == run) {
            (self.notify)(Notice::Closed(run));
        }
    }

    fn tell(&mut self, event: &Event) {
        if !self.keep_event(event) {
            self.print(event);
        }
    }

    pub(super) fn print(&mut self, event: &Event) {
        self.tells_stop |= matches!(event, Event::StopRequested(_));
        let failed = match event {
            Event::Report { id, end, .. } if !end.is_success() => Some(id),
            _ => None,
        };
        let tails = failed.map(|id| self.history.last_words(id)).unwrap_or_default();
        let lines = tails.iter().flat_map(|(stream, lines)| lines.iter().map(|line| (*stream, &line[..])));
        self.printer.event(event, lines);
    }

    /// Reads until nothing is there any more or enough is read for one write. Who writes little
    /// is read empty by the first round, so nothing waits here.
    fn read_all(&mut self) {
        // Muted lines fill no buffer, and orders have to be heard: not for ever.
        for _ in 0..ROUNDS {
            self.read_each();
            if self.ready.is_empty() || self.printer.sink.buffer.len() >= ENOUGH {
                return;
            }
        }
    }

    /// Reads a chunk from each process that has something.
    fn read_each(&mut self) {
        for token in std::mem::take(&mut self.ready) {
            self.read(token);
            if self.printer.sink.buffer.len() >= FULL {
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
        let track = source.track();
        let mut chunk = std::mem::take(&mut self.chunk);
        let (filled, state) = source.read(&mut chunk);
        if source.is_asking() && !self.asking.contains(&token) {
            self.asking.push(token);
        }
        let mut from = 0;
        while from < filled
            && let Some(source) = self.sources.get_mut(&token)
        {
            from += source.say(&chunk[from..filled], &mut self.printer.paper());
            // The output may become much longer on a terminal: a link continues in each line.
            if from < filled && self.printer.sink.buffer.len() >= FULL {
                self.flush_before(Some((track, &chunk[from..filled])));
            }
        }
        self.chunk = chunk;
        match state {
            State::Open => {}
            State::Closed => self.close(token),
        }
    }

    fn close(&mut self, token: Token) {
        let Some(source) = self.sources.remove(&token) else { return };
        let _ = self.poll.registry().deregister(&mut SourceFd(&source.fd()));
        let (run, id) = (source.run(), source.id().clone());
        source.finish(&mut self.printer.paper());
        self.show_of_ended(&id);
        self.tell_if_closed(run);
    }

    pub(super) fn flush(&mut self) {
        self.flush_before(None);
    }

    /// Writes what is in the buffer; of one output these bytes were read and are not in it.
    fn flush_before(&mut self, unsaid: Option<(TrackId, &[u8])>) {
        // Before it is written: whoever has read it may answer faster than we could say so. Nobody
        // can have read it earlier, and the echo of a signal comes within microseconds.
        if std::mem::take(&mut self.tells_stop) {
            (self.notify)(Notice::StopTold);
        }
        let sink = &mut self.printer.sink;
        let mut result = sink.flush();
        if sink.is_stuck() && !self.held.is_stuck() {
            let fd = sink.as_raw_fd();
            match self.poll.registry().register(&mut SourceFd(&fd), STDOUT, Interest::WRITABLE) {
                Ok(()) => self.hold_while_stuck(unsaid),
                Err(_) => result = sink.be_patient(),
            }
        }
        if let Err(error) = result {
            (self.notify)(Notice::Gone(error));
        }
    }

    /// Writes what a stuck terminal takes by now.
    fn go_on(&mut self) {
        if !self.held.is_stuck() {
            return;
        }
        let sink = &mut self.printer.sink;
        let result = sink.go_on();
        if !sink.is_stuck() {
            let _ = self.poll.registry().deregister(&mut SourceFd(&sink.as_raw_fd()));
            self.show_after_stuck();
        }
        if let Err(error) = result {
            (self.notify)(Notice::Gone(error));
        }
    }
}
