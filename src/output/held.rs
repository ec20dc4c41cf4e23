//! What the main view does not show now: the lines of a process whose terminal somebody has, or
//! everything, while our own terminal is a process's or takes nothing.
//!
//! A part of the [`Worker`]. Nothing is copied for it: the lines are in the history, and here is
//! from where on they have not been shown. What the history has given up by the time they are is
//! told as a number. While nothing is held, none of this runs for a chunk.

use std::collections::VecDeque;

use jiff::Timestamp;
use mio::Token;

use super::history::{Cursor, Line, Said, TrackId};
use super::replay::{Told, Voices};
use super::sink::FULL;
use super::worker::Worker;
use crate::model::InstanceId;
use crate::supervisor::event::Event;

/// How many of ganger's own lines are kept.
const MAX_EVENTS: usize = 1000;

/// What is held.
#[derive(Default)]
pub(super) struct Held {
    /// Our terminal is a process's.
    all: bool,
    /// Our terminal is stuck.
    stuck: bool,
    /// To be called when all that came before `all` is written.
    when_written: Vec<Box<dyn FnOnce() + Send>>,
    ids: Vec<InstanceId>,
    /// From where on each output has not been shown.
    from: Vec<Cursor>,
    /// What is to be told. Only while all is held.
    events: VecDeque<Kept>,
    left_out: usize,
}

/// An event that was not shown when it came.
#[derive(Debug)]
struct Kept {
    /// Behind what was written by then.
    behind: u64,
    time: Timestamp,
    event: Event,
}

impl Held {
    fn covers(&self, id: &InstanceId) -> bool {
        self.is_everything() || self.ids.contains(id)
    }

    /// Whether the terminal takes nothing.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck
    }

    fn is_everything(&self) -> bool {
        self.all || self.stuck
    }
}

impl Worker {
    /// Holds the lines of one process.
    pub(super) fn hold(&mut self, id: &InstanceId) {
        let was_covered = self.held.covers(id);
        if !self.held.ids.contains(id) {
            self.held.ids.push(id.clone());
        }
        if !was_covered {
            self.begin(id);
        }
    }

    /// Holds everything, and calls `done` when what was to be shown before is out.
    pub(super) fn hold_all(&mut self, done: Box<dyn FnOnce() + Send>) {
        self.new_line();
        self.flush();
        self.held.all = true;
        self.hold_shown();
        if self.held.stuck { self.held.when_written.push(done) } else { done() }
    }

    /// The terminal takes nothing: holds everything until it does. Of the output `track` the bytes `unsaid`
    /// were read last, and none of them has been shown.
    pub(super) fn hold_while_stuck(&mut self, unsaid: Option<(TrackId, &[u8])>) {
        if let Some((track, bytes)) = unsaid {
            self.held.from.push(self.history.line_begin_before(track, bytes));
        }
        self.new_line();
        self.held.stuck = true;
        self.hold_shown();
    }

    /// The terminal takes what is written again.
    pub(super) fn show_after_stuck(&mut self) {
        self.held.stuck = false;
        for done in std::mem::take(&mut self.held.when_written) {
            done();
        }
        if !self.held.all {
            self.catch_up();
        }
    }

    fn new_line(&mut self) {
        if let Some(screen) = &mut self.printer.screen {
            screen.new_line(&mut self.printer.sink.buffer);
        }
    }

    fn hold_shown(&mut self) {
        let shown = self.sources.values().filter(|source| source.is_shown());
        let ids: Vec<InstanceId> = shown.map(|source| source.id().clone()).collect();
        for id in ids {
            self.begin(&id);
        }
    }

    /// From here on the lines of this process are not shown.
    fn begin(&mut self, id: &InstanceId) {
        if self.muted.contains(id) {
            return;
        }
        for cursor in self.history.line_begins(id) {
            if self.held.from.iter().all(|known| known.track != cursor.track) {
                self.held.from.push(cursor);
            }
        }
        for source in self.sources.values_mut().filter(|source| source.id() == id) {
            source.hold(&mut self.printer.paper());
        }
    }

    /// A new run of a process that is held begins held.
    pub(super) fn hold_if_covered(&mut self, token: Token) {
        let id = self.sources.get(&token).map(|source| source.id().clone());
        if let Some(id) = id.filter(|id| self.held.covers(id)) {
            self.begin(&id);
        }
    }

    /// Keeps an event if it is not to be shown now.
    pub(super) fn keep_event(&mut self, event: &Event) -> bool {
        let holds = self.held.is_everything();
        if holds {
            if self.held.events.len() == MAX_EVENTS {
                self.held.events.pop_front();
                self.held.left_out += 1;
            }
            let (behind, time) = (self.history.order(), self.now);
            self.held.events.push_back(Kept { behind, time, event: event.clone() });
        }
        holds
    }

    pub(super) fn show(&mut self, id: &InstanceId) {
        self.held.ids.retain(|held| held != id);
        if !self.held.is_everything() {
            self.catch_up();
        }
    }

    pub(super) fn show_all(&mut self) {
        if std::mem::take(&mut self.held.all) && !self.held.stuck {
            self.catch_up();
        }
    }

    /// Nothing is held any more, unless the terminal is stuck: then what is held is never shown.
    pub(super) fn show_rest(&mut self) {
        if self.held.stuck {
            return;
        }
        self.held.all = false;
        self.held.ids.clear();
        self.catch_up();
        self.flush();
    }

    /// The output of a run has ended, and its end is about to be told: its lines stand before that.
    /// Those of the next run are held again.
    pub(super) fn show_of_ended(&mut self, id: &InstanceId) {
        if !self.held.is_everything() && self.held.ids.contains(id) {
            self.held.ids.retain(|held| held != id);
            self.catch_up();
            self.hold(id);
        }
    }

    /// Shows what was held and is not any more.
    fn catch_up(&mut self) {
        let from = std::mem::take(&mut self.held.from);
        let (still, mut cursors): (Vec<Cursor>, Vec<Cursor>) =
            from.into_iter().partition(|cursor| self.held.covers(&self.history.id_of(*cursor)));
        self.held.from = still;
        self.show_lines(&mut cursors);
        if self.held.stuck {
            self.held.from.extend(cursors);
            return;
        }
        self.show_events(u64::MAX);
        self.printer.format.set_time(self.now);
        for cursor in cursors {
            let rest = self.history.rest(cursor);
            if let Some(source) = self.sources.values_mut().find(|source| source.track() == cursor.track) {
                source.go_on(&rest, &mut self.printer.paper());
            }
        }
    }

    /// Shows whole lines from these places on, with the time at which they came.
    fn show_lines(&mut self, cursors: &mut [Cursor]) {
        self.new_line();
        self.notice_events_left_out();
        let screen = self.printer.screen.as_ref().map(|screen| screen.abilities);
        let mut voices = Voices::new(screen.map(|screen| (screen.allowed, screen.columns)));
        while !self.held.stuck {
            let said = self.history.read(cursors);
            if said.is_empty() {
                break;
            }
            for said in said {
                self.show_one(said, &mut voices);
            }
        }
        voices.finish(&self.printer.format, &mut self.printer.sink.buffer);
    }

    /// Shows the events that came before what has this place.
    fn show_events(&mut self, order: u64) {
        while self.held.events.front().is_some_and(|kept| kept.behind < order) {
            let Some(Kept { time, event, .. }) = self.held.events.pop_front() else { return };
            self.printer.format.set_time(time);
            self.print(&event);
        }
    }

    fn show_one(&mut self, said: Said, voices: &mut Voices) {
        match said {
            Said::Skipped(id, count) => {
                self.printer.format.set_time(self.now);
                let text = format!("{count} lines of {id} are left out here: they are not kept any more");
                self.printer.format.notice(&text, &mut self.printer.sink.buffer);
            }
            Said::Line(Line { id, stream, time, order, bytes, cut }) => {
                self.show_events(order);
                let time = Timestamp::from_microsecond(time).unwrap_or_default();
                let told = Told { time, id, stream, bytes, cut };
                voices.line(&mut self.printer.format, &told, &mut self.printer.sink.buffer);
            }
        }
        if self.printer.sink.buffer.len() >= FULL {
            self.flush();
        }
    }

    fn notice_events_left_out(&mut self) {
        let left_out = std::mem::take(&mut self.held.left_out);
        if left_out > 0 {
            let text = format!("{left_out} lines of ganger itself are left out here");
            self.printer.format.notice(&text, &mut self.printer.sink.buffer);
        }
    }
}
