//! The last lines of every process: for `ganger logs`, for whoever attaches, and for the report
//! at the end.
//!
//! The pump writes, one copy for each chunk; readers come from other threads, each with its own
//! place. Nothing is queued for a reader: one that is slow finds that what it had not read was
//! given up, and is told how much. So no reader slows anybody, and memory has one bound.
//!
//! The pump needs the same lock for each chunk, so it is held for one bounded step at a time, whatever a reader
//! asks for: 64 KiB are copied, or 1,000 lines are passed on the way back.

mod store;
mod track;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::modes::Modes;
use super::source::Stream;
use crate::model::InstanceId;
use store::{Seek, Store};

pub(super) use store::Cursor;
pub use store::{Line, Said, TrackId};

/// How many bytes of lines are copied at once: so long may the pump have to wait.
const BATCH: usize = 64 * 1024;

/// How much is shown again to whoever attaches, at most.
const SCREEN: u64 = 64 * 1024;

/// How many of a process's last words are its last words, of each stream.
const TAIL_LINES: usize = 10;
const TAIL_BYTES: usize = 4096;

/// The history of one run of ganger.
#[derive(Debug, Clone)]
pub struct History {
    store: Arc<Mutex<Store>>,
    /// Microseconds since 1970: the time of what the pump has just read.
    now: Arc<AtomicI64>,
    /// Counts what was read, for whoever waits for readers.
    reads: Arc<AtomicU64>,
    /// Changes when something was written.
    news: watch::Sender<State>,
}

/// Whether more may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
}

impl Default for History {
    fn default() -> Self {
        Self {
            store: Arc::default(),
            now: Arc::default(),
            reads: Arc::default(),
            news: watch::Sender::new(State::Open),
        }
    }
}

impl History {
    /// Sets the time of all that is written until the next call.
    pub(super) fn set_time(&self, time: Timestamp) {
        self.now.store(time.as_microsecond(), Ordering::Relaxed);
    }

    /// A new run of the process begins to write. Answers where.
    pub(super) fn begin(&self, id: &InstanceId, stream: Stream) -> TrackId {
        let (mut store, time) = (self.lock(), self.now());
        let track = store.track(id, stream);
        store.begin(track, time);
        track
    }

    /// Keeps what was written. Returns whether a client is attached, whose terminal answers what is asked in it.
    pub(super) fn push(&self, track: TrackId, chunk: &[u8]) -> bool {
        let mut store = self.lock();
        store.push(track, chunk, self.now());
        store.is_attached(track)
    }

    /// The run has ended: a line without an end is one.
    pub(super) fn end(&self, track: TrackId) {
        self.lock().end(track, self.now());
    }

    /// Wakes those who wait for more.
    pub(super) fn tell(&self) {
        if self.news.receiver_count() > 0 {
            self.news.send_replace(State::Open);
        }
    }

    /// Nothing will come any more.
    pub(super) fn close(&self) {
        self.news.send_replace(State::Closed);
    }

    /// Waits until nobody reads any more, or nobody has read anything for so long.
    pub async fn unread(&self, patience: Duration) {
        let mut before = self.reads.load(Ordering::Relaxed);
        while tokio::time::timeout(patience, self.news.closed()).await.is_err() {
            let now = self.reads.load(Ordering::Relaxed);
            if now == before {
                return;
            }
            before = now;
        }
    }

    /// The last lines of the present or last run of this process, for its report.
    pub fn last_words(&self, id: &InstanceId) -> Vec<(Stream, Vec<Vec<u8>>)> {
        Stream::ALL.map(|stream| (stream, self.tail(id, stream, TAIL_LINES, TAIL_BYTES))).into()
    }

    fn tail(&self, id: &InstanceId, stream: Stream, lines: usize, bytes: usize) -> Vec<Vec<u8>> {
        let store = self.lock();
        store.find(id, stream).map(|track| store.tail(track, lines, bytes)).unwrap_or_default()
    }

    /// The processes that have written, also those that are gone.
    pub fn ids(&self) -> Vec<InstanceId> {
        self.lock().ids().cloned().collect()
    }

    /// Reads the last `count` lines of the processes that are wanted, all together.
    pub fn last(&self, count: usize, wanted: Box<dyn Fn(&InstanceId) -> bool + Send>) -> Lines {
        let news = self.news.subscribe();
        let start = Start::At(count);
        Lines { history: self.clone(), wanted, start, seen: 0, cursors: Vec::new(), news, closed: false }
    }

    /// Reads what a process writes as it is, from about its last screen on, with the modes that a
    /// terminal has to be in for that. If the process draws on the other screen, that is where it
    /// entered it.
    pub fn screen(&self, id: &InstanceId, rows: u16) -> (Modes, Bytes) {
        let news = self.news.subscribe();
        let (track, begin, offset, end) = {
            let mut store = self.lock();
            let track = store.track(id, Stream::Stdout);
            let it = store.get(track);
            let (begin, end) = (it.run().max(it.start()), it.end());
            (track, begin, store.screen(track, usize::from(rows), SCREEN), end)
        };
        let mut bytes = Bytes { history: self.clone(), track, offset: begin, news };
        let mut modes = Modes::at(begin);
        bytes.look_at(&mut modes, offset);
        let mut at_end = modes.clone();
        bytes.look_at(&mut at_end, end);
        bytes.offset = offset;
        if let Some(entered) = at_end.other_screen() {
            bytes.offset = entered.max(end.saturating_sub(SCREEN));
            modes = at_end.with_replay_from(bytes.offset);
        }
        (modes, bytes)
    }

    /// The begin of the line that each output of this process is in.
    pub(super) fn line_begins(&self, id: &InstanceId) -> Vec<Cursor> {
        let store = self.lock();
        let tracks: Vec<TrackId> = store.all(0, |its| its == id).collect();
        store.ends(&tracks, false)
    }

    /// The begin of the line that an output was in before the last bytes of it, which are `behind`.
    pub(super) fn line_begin_before(&self, track: TrackId, behind: &[u8]) -> Cursor {
        self.lock().before(track, behind)
    }

    /// Whose output it is.
    pub(super) fn id_of(&self, cursor: Cursor) -> InstanceId {
        self.lock().id(cursor.track).clone()
    }

    /// The next whole lines from these places on, some at a time.
    pub(super) fn read(&self, cursors: &mut [Cursor]) -> Vec<Said> {
        self.lock().read(cursors, BATCH, false)
    }

    /// What there is of the line that begins at this place.
    pub(super) fn rest(&self, cursor: Cursor) -> Vec<u8> {
        let (mut offset, mut rest) = (cursor.offset, Vec::new());
        self.lock().copy(cursor.track, &mut offset, usize::MAX, &mut rest);
        rest
    }

    /// The place of what was written last among all that was.
    pub(super) fn order(&self) -> u64 {
        self.lock().order()
    }

    /// Where what a process has written until now ends, for each stream.
    pub fn ends(&self, id: &InstanceId) -> [u64; 2] {
        let store = self.lock();
        Stream::ALL.map(|stream| store.find(id, stream).map_or(0, |track| store.get(track).end()))
    }

    /// Reads what a process writes as it is, each stream from there on.
    pub fn from(&self, id: &InstanceId, offsets: [u64; 2]) -> Vec<Bytes> {
        let bytes = |(stream, offset)| {
            let news = self.news.subscribe();
            let track = self.lock().track(id, stream);
            Bytes { history: self.clone(), track, offset, news }
        };
        Stream::ALL.into_iter().zip(offsets).map(bytes).collect()
    }

    fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        // What a panic elsewhere left is bytes, whatever they are.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads lines of several processes in the order in which they came.
pub struct Lines {
    history: History,
    wanted: Box<dyn Fn(&InstanceId) -> bool + Send>,
    start: Start,
    /// How many outputs there were when new ones were last looked for.
    seen: usize,
    cursors: Vec<Cursor>,
    news: watch::Receiver<State>,
    closed: bool,
}

/// How far the first line is found.
enum Start {
    /// It is so many lines before the end.
    At(usize),
    Seeking(Seek),
    Found,
}

impl Lines {
    /// The next lines that are there, some at a time; none, if there are no more now. Returns nothing while
    /// the first of them is still being looked for: each call does a part of that. With `open` the last
    /// line may be incomplete, and what is written after the first call is not read.
    pub fn next(&mut self, open: bool) -> Option<Vec<Said>> {
        // Before the lines: what comes later is a change again.
        self.closed = *self.news.borrow_and_update() == State::Closed;
        self.history.reads.fetch_add(1, Ordering::Relaxed);
        let store = self.history.lock();
        match std::mem::replace(&mut self.start, Start::Found) {
            Start::At(count) => {
                let tracks: Vec<TrackId> = store.all(0, &self.wanted).collect();
                self.seen = store.count();
                self.start = Start::Seeking(store.seek(&tracks, count, open));
                return None;
            }
            Start::Seeking(mut seek) => {
                if !store.go_back(&mut seek) {
                    self.start = Start::Seeking(seek);
                    return None;
                }
                self.cursors = seek.cursors();
            }
            Start::Found => {}
        }
        if !open {
            // Processes that began to write later are read from their begin.
            let new = store.all(std::mem::replace(&mut self.seen, store.count()), &self.wanted);
            self.cursors.extend(new.map(Cursor::at_start));
        }
        Some(store.read(&mut self.cursors, BATCH, open))
    }

    /// Waits until there may be more, after there was none. False when nothing will come any more.
    pub async fn wait(&mut self) -> bool {
        !self.closed && self.news.changed().await.is_ok()
    }
}

/// Reads what one process writes, byte for byte.
#[derive(Debug)]
pub struct Bytes {
    history: History,
    track: TrackId,
    offset: u64,
    news: watch::Receiver<State>,
}

impl Bytes {
    /// Puts what came since the last call into `out`, some at a time, and nothing behind the place
    /// `until`. Answers how many bytes before it were given up.
    pub fn next(&mut self, out: &mut Vec<u8>, until: u64) -> u64 {
        self.news.borrow_and_update();
        self.history.reads.fetch_add(1, Ordering::Relaxed);
        let left = usize::try_from(until.saturating_sub(self.offset)).unwrap_or(BATCH);
        self.history.lock().copy(self.track, &mut self.offset, left.min(BATCH), out)
    }

    /// How far it has read, in bytes of this output.
    pub fn place(&self) -> u64 {
        self.offset
    }

    /// Where the present run begins and where all that there is now ends, likewise.
    pub fn run(&self) -> (u64, u64) {
        let store = self.history.lock();
        let it = store.get(self.track);
        (it.run(), it.end())
    }

    /// From here on a client's terminal answers what the process asks, until the result is dropped. Also returns
    /// where that begins: what is asked in the bytes before has been answered.
    pub fn attach(&self) -> (Attachment, u64) {
        let mut store = self.history.lock();
        store.attach(self.track);
        let end = store.get(self.track).end();
        drop(store);
        (Attachment { history: self.history.clone(), track: self.track }, end)
    }

    /// Has `modes` look at what is between here and `end`, with a free lock now and then.
    fn look_at(&mut self, modes: &mut Modes, end: u64) {
        let mut bytes = Vec::new();
        while self.offset < end {
            bytes.clear();
            let most = usize::try_from(end - self.offset).unwrap_or(BATCH).min(BATCH);
            self.history.lock().copy(self.track, &mut self.offset, most, &mut bytes);
            if bytes.is_empty() {
                return;
            }
            modes.push(&bytes);
        }
    }

    /// Waits until there may be more, after there was none. For ever, when nothing will come any
    /// more: whoever waits here waits for the end of the process too.
    pub async fn wait(&mut self) {
        if self.news.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A client whose terminal answers what a process asks.
#[derive(Debug)]
pub struct Attachment {
    history: History,
    track: TrackId,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.history.lock().detach(self.track);
    }
}

#[cfg(test)]
mod tests;
