//! The last bytes of all processes, and how lines are found in them. Pure.
//!
//! The caller holds the lock that the output thread needs for each chunk. So each call does a bounded amount
//! of work, whatever is asked for: what takes longer is done in pieces ([`Seek`], [`Store::read`]).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use memchr::memchr_iter;

use super::track::{Mark, Track};
use crate::model::InstanceId;
use crate::output::lines::MAX_LINE;
use crate::output::source::Stream;

/// How many lines of one output are kept at least, if there is room.
pub(super) const LINES: u64 = 10_000;

/// What all processes together may hold, in bytes. One alone may have all of it.
pub(super) const BYTES: usize = 3 * 1024 * 1024;

/// All outputs.
#[derive(Debug, Default)]
pub(super) struct Store {
    tracks: Vec<(InstanceId, Stream, Track)>,
    held: usize,
    order: u64,
    /// The outputs that clients are attached to, once for each of them.
    attached: Vec<TrackId>,
}

/// Which output, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackId(pub(super) usize);

/// How far somebody has read one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::output) struct Cursor {
    pub(in crate::output) track: TrackId,
    pub(super) offset: u64,
    /// Line ends before it.
    lines: u64,
    /// Nothing from here on is read.
    until: u64,
}

/// The way back from the ends of several outputs to where the last lines of all of them together begin.
#[derive(Debug)]
pub(super) struct Seek {
    cursors: Vec<Cursor>,
    /// For each cursor: where its output began when that was looked at, and the first line there.
    firsts: Vec<(u64, u64)>,
    /// The order of what is before each cursor, and its place. The latest is on top.
    latest: BinaryHeap<(u64, usize)>,
    /// How many lines are still to be found.
    left: usize,
}

impl Seek {
    /// How many lines are found at once: so long may the output thread have to wait.
    pub(super) const LINES: usize = 1000;

    /// The cursors, where they are now.
    pub(super) fn cursors(self) -> Vec<Cursor> {
        self.cursors
    }
}

/// What a reader of lines gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A line.
    Line(Line),
    /// So many lines of this process were given up before they could be read.
    Skipped(InstanceId, u64),
}

/// A line, or a piece of one that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose.
    pub id: InstanceId,
    /// Which output.
    pub stream: Stream,
    /// When its end was read: microseconds since 1970.
    pub time: i64,
    /// The place of its end among all that was read.
    pub order: u64,
    /// Without the newline.
    pub bytes: Vec<u8>,
    /// It goes on in the next piece.
    pub cut: bool,
}

/// The next line of an output, not copied yet.
#[derive(Debug, Clone, Copy)]
struct Next {
    end: u64,
    mark: Mark,
    /// What comes behind the bytes.
    tail: Tail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    Newline,
    Cut,
    /// Nothing has come yet.
    Open,
}

impl Cursor {
    /// Before the first byte.
    pub(super) fn at_start(track: TrackId) -> Self {
        Self { track, offset: 0, lines: 0, until: u64::MAX }
    }
}

impl Store {
    /// The output of a process; it is made if it is new.
    pub(super) fn track(&mut self, id: &InstanceId, stream: Stream) -> TrackId {
        self.find(id, stream).unwrap_or_else(|| {
            self.tracks.push((id.clone(), stream, Track::default()));
            TrackId(self.tracks.len() - 1)
        })
    }

    pub(super) fn find(&self, id: &InstanceId, stream: Stream) -> Option<TrackId> {
        self.tracks.iter().position(|(its, of, _)| its == id && *of == stream).map(TrackId)
    }

    /// Whose output there is.
    pub(super) fn ids(&self) -> impl Iterator<Item = &InstanceId> {
        self.tracks.iter().map(|(id, ..)| id)
    }

    /// How many outputs there are. There are never fewer.
    pub(super) fn count(&self) -> usize {
        self.tracks.len()
    }

    /// All outputs of the processes that are `wanted`, but for the first `seen` outputs.
    pub(super) fn all(
        &self,
        seen: usize,
        wanted: impl Fn(&InstanceId) -> bool,
    ) -> impl Iterator<Item = TrackId> {
        let found = self.tracks.iter().enumerate().skip(seen).filter(move |(_, (id, ..))| wanted(id));
        found.map(|(place, _)| TrackId(place))
    }

    pub(super) fn get(&self, track: TrackId) -> &Track {
        &self.tracks[track.0].2
    }

    /// A new run of the process begins.
    pub(super) fn begin(&mut self, track: TrackId, time: i64) {
        self.change(track, time, Track::begin);
    }

    /// The run has ended.
    pub(super) fn end(&mut self, track: TrackId, time: i64) {
        self.change(track, time, Track::end_line);
    }

    pub(super) fn push(&mut self, track: TrackId, chunk: &[u8], time: i64) {
        self.change(track, time, |track, mark| {
            track.push(chunk, mark);
            track.keep_lines(LINES);
        });
        while self.held > BYTES {
            // Whoever has most gives: the few lines of a quiet process outlive any flood.
            let Some(largest) = (0..self.tracks.len()).max_by_key(|at| self.tracks[*at].2.size()) else {
                return;
            };
            let track = &mut self.tracks[largest].2;
            let before = track.size();
            track.drop_front();
            self.held -= before - track.size();
        }
    }

    fn change(&mut self, track: TrackId, time: i64, change: impl FnOnce(&mut Track, Mark)) {
        self.order += 1;
        let track = &mut self.tracks[track.0].2;
        self.held -= track.size();
        change(track, Mark { order: self.order, time });
        self.held += track.size();
    }

    /// One more client is attached to this output.
    pub(super) fn attach(&mut self, track: TrackId) {
        self.attached.push(track);
    }

    /// One of them has left.
    pub(super) fn detach(&mut self, track: TrackId) {
        if let Some(at) = self.attached.iter().position(|attached| *attached == track) {
            self.attached.swap_remove(at);
        }
    }

    pub(super) fn is_attached(&self, track: TrackId) -> bool {
        self.attached.contains(&track)
    }

    /// The end of an output: what is read from here on is new.
    pub(super) fn at_end(&self, track: TrackId) -> Cursor {
        let it = self.get(track);
        Cursor { track, offset: it.end(), lines: it.lines(), until: u64::MAX }
    }

    /// The line that an output was in before the last bytes of it, which are `behind`.
    pub(super) fn before(&self, track: TrackId, behind: &[u8]) -> Cursor {
        let it = self.get(track);
        let offset = it.line_begin(it.end() - behind.len() as u64);
        let lines = it.lines() - memchr_iter(b'\n', behind).count() as u64;
        Cursor { track, offset, lines, until: u64::MAX }
    }

    /// Where a reader of what comes next begins: at the end of each output, or at the begin of the line that is
    /// not complete. One that reads such a line too (`open`) reads to the present end, and no further.
    pub(super) fn ends(&self, tracks: &[TrackId], open: bool) -> Vec<Cursor> {
        let end = |track: &TrackId| {
            let mut cursor = self.at_end(*track);
            let it = self.get(*track);
            if open {
                cursor.until = it.end();
            } else {
                cursor.offset = it.line_begin(it.end());
            }
            cursor
        };
        tracks.iter().map(end).collect()
    }

    /// Begins to look for `count` lines, the last of all of these outputs together.
    pub(super) fn seek(&self, tracks: &[TrackId], count: usize, open: bool) -> Seek {
        let cursors = self.ends(tracks, open);
        let firsts = tracks.iter().map(|track| (self.get(*track).start(), self.get(*track).first_line()));
        let firsts: Vec<(u64, u64)> = firsts.collect();
        let before = |(at, cursor): (usize, &Cursor)| {
            (cursor.offset > firsts[at].1).then(|| (self.order_before(cursor), at))
        };
        let latest = cursors.iter().enumerate().filter_map(before).collect();
        Seek { cursors, firsts, latest, left: count }
    }

    /// Goes back [`Seek::LINES`] lines. Returns whether there is nothing more to find.
    pub(super) fn go_back(&self, seek: &mut Seek) -> bool {
        let Seek { cursors, firsts, latest, left } = seek;
        for _ in 0..Seek::LINES {
            let Some(mut top) = latest.peek_mut().filter(|_| *left > 0) else { return true };
            let at = top.1;
            let (cursor, (start, first)) = (&mut cursors[at], &mut firsts[at]);
            let it = self.get(cursor.track);
            if it.start() != *start {
                // Some of it was given up meanwhile.
                (*start, *first) = (it.start(), it.first_line());
            }
            if cursor.offset > *first {
                self.step_back(cursor);
                *left -= 1;
            }
            if cursor.offset > *first {
                top.0 = self.order_before(cursor);
            } else {
                PeekMut::pop(top);
            }
        }
        *left == 0 || latest.is_empty()
    }

    fn order_before(&self, cursor: &Cursor) -> u64 {
        self.get(cursor.track).mark(cursor.offset - 1).order
    }

    /// To the begin of the line before.
    fn step_back(&self, cursor: &mut Cursor) {
        let it = self.get(cursor.track);
        if it.line_begin(cursor.offset) == cursor.offset {
            // Behind a newline.
            cursor.offset -= 1;
            cursor.lines -= 1;
        }
        cursor.offset = it.line_begin(cursor.offset);
    }

    /// Reads lines in the order in which they came, from where the cursors stand; they are moved.
    /// Stops behind the line that makes it `limit` bytes.
    pub(super) fn read(&self, cursors: &mut [Cursor], limit: usize, open: bool) -> Vec<Said> {
        let mut said = Vec::new();
        for cursor in cursors.iter_mut() {
            said.extend(self.catch_up(cursor));
        }
        let mut next: Vec<Option<Next>> = cursors.iter().map(|cursor| self.next(cursor, open)).collect();
        let waiting =
            next.iter().enumerate().filter_map(|(at, next)| Some(Reverse((next.as_ref()?.mark.order, at))));
        let mut earliest: BinaryHeap<Reverse<(u64, usize)>> = waiting.collect();
        let mut size = 0;
        while size < limit
            && let Some(mut top) = earliest.peek_mut()
        {
            let at = top.0.1;
            let Some(line) = next[at] else { break };
            let cursor = &mut cursors[at];
            let line = self.take(cursor, line);
            size += line.bytes.len() + size_of::<Line>();
            said.push(Said::Line(line));
            next[at] = self.next(cursor, open);
            match &next[at] {
                Some(next) => top.0.0 = next.mark.order,
                None => drop(PeekMut::pop(top)),
            }
        }
        said
    }

    /// To the first line that is still there, if what the cursor stands at is not.
    fn catch_up(&self, cursor: &mut Cursor) -> Option<Said> {
        let (id, _, it) = &self.tracks[cursor.track.0];
        if cursor.offset >= it.start().min(cursor.until) {
            return None;
        }
        let first = it.first_line();
        let lines = it.lines_before() + u64::from(first > it.start());
        let skipped = lines - cursor.lines;
        *cursor = Cursor { offset: first, lines, ..*cursor };
        (skipped > 0).then(|| Said::Skipped(id.clone(), skipped))
    }

    fn next(&self, cursor: &Cursor, open: bool) -> Option<Next> {
        let it = self.get(cursor.track);
        let (most, last) = (cursor.offset + MAX_LINE as u64, it.end().min(cursor.until));
        if cursor.offset >= last {
            return None;
        }
        // No further than a piece is long.
        let (end, tail) = match it.line_end(cursor.offset, last.min(most + 1)) {
            Some(end) => (end, Tail::Newline),
            None if last > most => (most, Tail::Cut),
            None => (last, Tail::Open),
        };
        match tail {
            Tail::Open if !open => None,
            Tail::Open | Tail::Cut => Some(Next { end, mark: it.mark(end - 1), tail }),
            Tail::Newline => Some(Next { end, mark: it.mark(end), tail }),
        }
    }

    fn take(&self, cursor: &mut Cursor, next: Next) -> Line {
        let (id, stream, it) = &self.tracks[cursor.track.0];
        let mut bytes = Vec::with_capacity(usize::try_from(next.end - cursor.offset).unwrap_or(0));
        it.copy(cursor.offset, next.end, &mut bytes);
        cursor.offset = next.end;
        if next.tail == Tail::Newline {
            cursor.offset += 1;
            cursor.lines += 1;
        }
        let cut = next.tail == Tail::Cut;
        let Mark { order, time } = next.mark;
        Line { id: id.clone(), stream: *stream, time, order, bytes, cut }
    }

    /// Copies what came since `offset`, at most `limit` bytes, and moves it. Answers how many bytes
    /// had been given up before they were read.
    pub(super) fn copy(&self, track: TrackId, offset: &mut u64, limit: usize, out: &mut Vec<u8>) -> u64 {
        let it = self.get(track);
        let from = if *offset < it.start() { it.first_line() } else { *offset };
        let lost = from - *offset;
        let to = it.end().min(from.saturating_add(limit as u64));
        it.copy(from, to, out);
        *offset = to;
        lost
    }

    /// Whose output it is.
    pub(super) fn id(&self, track: TrackId) -> &InstanceId {
        &self.tracks[track.0].0
    }

    /// The place of what was written last.
    pub(super) fn order(&self) -> u64 {
        self.order
    }

    /// Where the last `rows` lines of the present run begin, or its last `most` bytes.
    pub(super) fn screen(&self, track: TrackId, rows: usize, most: u64) -> u64 {
        let it = self.get(track);
        let begin = it.run().max(it.start()).max(it.end().saturating_sub(most));
        let mut cursor = self.at_end(track);
        for _ in 0..rows {
            if cursor.offset <= begin {
                break;
            }
            self.step_back(&mut cursor);
        }
        cursor.offset.max(begin)
    }

    /// The last lines of the present run, at most so many and so many bytes.
    pub(super) fn tail(&self, track: TrackId, lines: usize, bytes: usize) -> Vec<Vec<u8>> {
        let it = self.get(track);
        let mut found = Vec::new();
        let begin = it.run().max(it.first_line());
        let mut cursor = self.at_end(track);
        let mut left = bytes as u64;
        while found.len() < lines && cursor.offset > begin {
            let end = cursor.offset;
            self.step_back(&mut cursor);
            let end = if it.line_end(cursor.offset, end) == Some(end - 1) { end - 1 } else { end };
            let length = end - cursor.offset;
            if length > left && !found.is_empty() {
                break;
            }
            // Of a line that is too long alone, the end.
            let mut line = Vec::new();
            it.copy(end - length.min(left), end, &mut line);
            left -= length.min(left);
            found.push(line);
        }
        found.reverse();
        found
    }
}
