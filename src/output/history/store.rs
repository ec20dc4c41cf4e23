//! The last bytes of all processes, and how lines are found in them. Pure.

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
        Self { track, offset: 0, lines: 0 }
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

    /// All outputs of the processes that are `wanted`.
    pub(super) fn all(&self, wanted: impl Fn(&InstanceId) -> bool) -> impl Iterator<Item = TrackId> {
        let found = self.tracks.iter().enumerate().filter(move |(_, (id, ..))| wanted(id));
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

    /// The end of an output: what is read from here on is new.
    pub(super) fn at_end(&self, track: TrackId) -> Cursor {
        let it = self.get(track);
        Cursor { track, offset: it.end(), lines: it.lines() }
    }

    /// From where to read `count` lines, the last of all of these outputs together. A last line
    /// without an end counts if it is to be read (`open`).
    pub(super) fn last(&self, tracks: &[TrackId], count: usize, open: bool) -> Vec<Cursor> {
        let begin = |track: &TrackId| {
            let mut cursor = self.at_end(*track);
            let it = self.get(*track);
            if !open {
                cursor.offset = it.line_begin(it.end());
            }
            cursor
        };
        let mut cursors: Vec<Cursor> = tracks.iter().map(begin).collect();
        for _ in 0..count {
            let before = |cursor: &Cursor| {
                let it = self.get(cursor.track);
                (cursor.offset > it.first_line()).then(|| it.mark(cursor.offset - 1).order)
            };
            let latest = cursors.iter_mut().filter_map(|cursor| Some((before(cursor)?, cursor)));
            let Some((_, cursor)) = latest.max_by_key(|(order, _)| *order) else { break };
            self.step_back(cursor);
        }
        cursors
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
        let mut size = 0;
        while size < limit {
            let waiting = next.iter().enumerate().filter_map(|(at, next)| Some((at, (*next)?)));
            let Some((at, line)) = waiting.min_by_key(|(_, next)| next.mark.order) else { break };
            let cursor = &mut cursors[at];
            let line = self.take(cursor, line);
            size += line.bytes.len() + size_of::<Line>();
            said.push(Said::Line(line));
            next[at] = self.next(cursor, open);
        }
        said
    }

    /// To the first line that is still there, if what the cursor stands at is not.
    fn catch_up(&self, cursor: &mut Cursor) -> Option<Said> {
        let (id, _, it) = &self.tracks[cursor.track.0];
        if cursor.offset >= it.start() {
            return None;
        }
        let first = it.first_line();
        let lines = it.lines_before() + u64::from(first > it.start());
        let skipped = lines - cursor.lines;
        *cursor = Cursor { track: cursor.track, offset: first, lines };
        (skipped > 0).then(|| Said::Skipped(id.clone(), skipped))
    }

    fn next(&self, cursor: &Cursor, open: bool) -> Option<Next> {
        let it = self.get(cursor.track);
        let (end, tail) = match it.line_end(cursor.offset) {
            Some(end) => (end, Tail::Newline),
            None => (it.end(), Tail::Open),
        };
        let most = cursor.offset + MAX_LINE as u64;
        if end > most {
            return Some(Next { end: most, mark: it.mark(most - 1), tail: Tail::Cut });
        }
        match tail {
            Tail::Open if !open || end == cursor.offset => None,
            Tail::Open => Some(Next { end, mark: it.mark(end - 1), tail }),
            _ => Some(Next { end, mark: it.mark(end), tail }),
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
            let end = if it.line_end(cursor.offset).is_some_and(|newline| newline + 1 == end) {
                end - 1
            } else {
                end
            };
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
