//! Who is attached to which process, who of them types, and what size its terminal has.
//!
//! It owns the terminals of the processes: until a process has ended its terminal stays open, or it
//! would get HUP when it closes its output and works on. Whoever starts processes brings them and
//! tells their ends; those who attach have a `Place`. The one who came first types, and when he
//! leaves the next does. The driver and the clients use it from two threads; nothing here waits longer than
//! that takes.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::keyboard::Keyboard;
use crate::model::InstanceId;
use crate::os::pty::{Size, Terminal};
use crate::output::pump::View;
use crate::supervisor::event::{Consequence, Ended};

/// The terminals of one run of ganger.
#[derive(Debug, Clone)]
pub struct Seats(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    /// What the main view has for a process.
    main: Size,
    seats: HashMap<InstanceId, Seat>,
    view: View,
    /// Counts those who came.
    came: u64,
}

#[derive(Debug)]
struct Seat {
    terminal: Option<Arc<Terminal>>,
    /// In the order in which they came; the first types.
    here: Vec<Client>,
    held: bool,
    news: watch::Sender<News>,
    /// Held by the keyboard that types now: what each of them types stays together.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Clone, Copy)]
struct Client {
    number: u64,
    pid: Option<i32>,
    size: Size,
    tee: bool,
}

/// What those who are attached to a process are told. Only the last state counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    /// Counts the runs.
    pub(super) run: u64,
    pub(super) pid: i32,
    /// How this run ended, and when the next begins, if one does.
    pub(super) end: Option<(Ended, Option<Duration>)>,
    /// How the one before ended.
    pub(super) before: Option<Ended>,
    writer: Option<(u64, Option<i32>)>,
}

/// Somebody who is attached. Dropped, he has left.
#[derive(Debug)]
pub(super) struct Place {
    seats: Seats,
    id: InstanceId,
    number: u64,
    pub(super) news: watch::Receiver<News>,
}

impl Seats {
    /// Nobody is there yet. `view` shows the lines of those whom nobody is attached to.
    pub fn new(view: View) -> Self {
        let shared = Shared { main: Size::USUAL, seats: HashMap::new(), view, came: 0 };
        Self(Arc::new(Mutex::new(shared)))
    }

    /// A run of this process has begun on this terminal.
    pub fn open(&self, id: InstanceId, pid: i32, terminal: Terminal) {
        let mut shared = self.lock();
        let main = shared.main;
        let seat = shared.seats.entry(id).or_insert_with(Seat::empty);
        terminal.resize(seat.size(main));
        seat.terminal = Some(Arc::new(terminal));
        seat.news.send_modify(|news| {
            let before = news.end.take().map(|(end, _)| end);
            *news = News { run: news.run + 1, pid, end: None, before, writer: news.writer };
        });
    }

    /// The run has ended; its terminal is closed.
    pub fn ended(&self, id: &InstanceId, end: &Ended, then: Consequence) {
        let again = match then {
            Consequence::StartsAgain(after) => Some(after),
            Consequence::Nothing
            | Consequence::StartsOthers
            | Consequence::StopsAll
            | Consequence::GivesUp => None,
        };
        if let Some(seat) = self.lock().seats.get_mut(id) {
            seat.terminal = None;
            seat.news.send_modify(|news| news.end = Some((end.clone(), again)));
        }
    }

    /// Whether the process has a terminal now.
    pub fn is_open(&self, id: &InstanceId) -> bool {
        self.lock().seats.get(id).is_some_and(|seat| seat.terminal.is_some())
    }

    /// The size for a new terminal of this process, where the main view has `main`.
    pub fn size(&self, id: &InstanceId, main: Size) -> Size {
        self.lock().seats.get(id).map_or(main, |seat| seat.size(main))
    }

    /// The main view has this size for each process from now on.
    pub fn resize(&self, main: Size) {
        let mut shared = self.lock();
        shared.main = main;
        shared.seats.values().for_each(|seat| seat.resize(main));
    }

    /// Somebody comes to a process. `None` where that has no terminal now.
    pub(super) fn join(&self, id: &InstanceId, size: Size, tee: bool) -> Option<Place> {
        let mut shared = self.lock();
        shared.came += 1;
        let number = shared.came;
        let seat = shared.seats.get_mut(id).filter(|seat| seat.terminal.is_some())?;
        seat.here.push(Client { number, pid: None, size, tee });
        let news = seat.news.subscribe();
        shared.changed(id);
        drop(shared);
        Some(Place { seats: self.clone(), id: id.clone(), number, news })
    }

    /// Returns a further keyboard for the present run of a process, beside that of a client that is attached.
    /// `None` where that has no terminal now.
    pub(super) fn keyboard(&self, id: &InstanceId) -> Option<Keyboard> {
        let shared = self.lock();
        let seat = shared.seats.get(id).filter(|seat| seat.terminal.is_some())?;
        let (news, turn) = (seat.news.subscribe(), seat.turn.clone());
        let run = news.borrow().run;
        Some(Keyboard::new(self.clone(), id.clone(), run, turn, news))
    }

    /// The terminal of this run of a process, if it is there.
    pub(super) fn terminal_of(&self, id: &InstanceId, run: u64) -> Option<Arc<Terminal>> {
        let shared = self.lock();
        let seat = shared.seats.get(id).filter(|seat| seat.news.borrow().run == run)?;
        seat.terminal.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Somebody has come, left or changed.
    fn changed(&mut self, id: &InstanceId) {
        let Some(seat) = self.seats.get_mut(id) else { return };
        let held = !seat.here.is_empty() && seat.here.iter().all(|client| !client.tee);
        if std::mem::replace(&mut seat.held, held) != held {
            let change = if held { View::hold } else { View::show };
            change(&self.view, id.clone());
        }
        let writer = seat.here.first().map(|client| (client.number, client.pid));
        seat.news.send_if_modified(|news| std::mem::replace(&mut news.writer, writer) != writer);
    }
}

impl Seat {
    fn empty() -> Self {
        let news = News { run: 0, pid: 0, end: None, before: None, writer: None };
        let (news, turn) = (watch::Sender::new(news), Arc::default());
        Self { terminal: None, here: Vec::new(), held: false, news, turn }
    }

    /// That of the one who types, or else of the main view.
    fn size(&self, main: Size) -> Size {
        self.here.first().map_or(main, |client| client.size)
    }

    fn resize(&self, main: Size) {
        if let Some(terminal) = &self.terminal {
            terminal.resize(self.size(main));
        }
    }
}

impl News {
    /// Whether this client types.
    pub(super) fn writer(&self, place: &Place) -> (bool, Option<i32>) {
        (self.writer.is_some_and(|(number, _)| number == place.number), self.writer.and_then(|(_, pid)| pid))
    }
}

impl Place {
    /// The pid of the client, where the system tells.
    pub(super) fn is(&self, pid: Option<i32>) {
        self.change(|client| client.pid = pid);
    }

    /// The client's terminal has this size.
    pub(super) fn resize(&self, size: Size) {
        self.change(|client| client.size = size);
        let shared = self.seats.lock();
        if let Some(seat) = shared.seats.get(&self.id) {
            seat.resize(shared.main);
        }
    }

    /// The size that the process's terminal is to have.
    pub(super) fn size(&self) -> Size {
        let main = self.seats.lock().main;
        self.seats.size(&self.id, main)
    }

    /// Whether this client types.
    pub(super) fn types(&self) -> bool {
        self.news.borrow().writer(self).0
    }

    /// The terminal, if it is there.
    pub(super) fn terminal(&self) -> Option<Arc<Terminal>> {
        self.seats.lock().seats.get(&self.id)?.terminal.clone()
    }

    /// Types. Answers how much was taken; what is nobody's is gone. Fails as
    /// [`Terminal::type_in`] does where the process does not read.
    pub(super) fn type_in(&self, bytes: &[u8]) -> io::Result<usize> {
        let shared = self.seats.lock();
        let seat = shared.seats.get(&self.id);
        let mine = seat.filter(|seat| seat.here.first().is_some_and(|first| first.number == self.number));
        match mine.and_then(|seat| seat.terminal.as_ref()) {
            Some(terminal) => terminal.type_in(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Client)) {
        let mut shared = self.seats.lock();
        let client = shared.seats.get_mut(&self.id).and_then(|seat| seat.find(self.number));
        if let Some(client) = client {
            change(client);
        }
        shared.changed(&self.id);
    }
}

impl Seat {
    fn find(&mut self, number: u64) -> Option<&mut Client> {
        self.here.iter_mut().find(|client| client.number == number)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shared = self.seats.lock();
        let main = shared.main;
        if let Some(seat) = shared.seats.get_mut(&self.id) {
            seat.here.retain(|client| client.number != self.number);
            seat.resize(main);
        }
        shared.changed(&self.id);
    }
}
