//! Rows that a process writes again: it goes up, and shows the same list or bars with new content.
//!
//! Pure. The last rows are kept, in case the process goes up. From then on what it writes only changes the
//! rows. Each is shown, as a line of its own, when it has been still for a while and does not look as it was shown
//! before. When the process has not gone up for that long, and is in the last row, its lines are ordinary ones again.
//!
//! Where the cursor is on the screen is not known: only moves from one row to another are followed.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Allowed, Cells, MAX_CELLS, Row, Sanitizer, Shown};
use crate::output::look::Look;
use crate::output::screen::PATIENCE;

/// How many rows above the cursor, or below, are kept.
const MAX_ROWS: usize = 100;

/// The longest row that is kept, in bytes. A longer one is shown once and does not change.
const MAX_LENGTH: usize = 4096;

/// The rows around the one that the cursor is in.
#[derive(Debug, Default)]
pub(super) struct Rows {
    above: VecDeque<Kept>,
    below: VecDeque<Kept>,
    /// The row of the cursor, without its text.
    current: Kept,
    /// When the process last went up. `None`: its lines are ordinary ones.
    up: Option<Up>,
}

/// The process has gone up.
#[derive(Debug, Clone, Copy)]
enum Up {
    /// Since the clock was looked at.
    Now,
    At(Instant),
}

/// A row that the cursor is not in.
#[derive(Debug, Default)]
struct Kept {
    /// Begins plain.
    text: Vec<u8>,
    /// The looks at the start, where it does not begin plain, and at its end.
    start: Option<Box<Look>>,
    last: Option<Box<Look>>,
    seen: Seen,
    /// What it was when the clock was looked at, and since when.
    still: Option<(Vec<u8>, Instant)>,
}

/// What of a row has been shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Seen {
    #[default]
    Nothing,
    /// It as it is.
    All,
    /// This, which it was before.
    Before(Vec<u8>),
}

impl Kept {
    fn is_blank(&self) -> bool {
        self.text.is_empty()
    }

    fn differs(&self) -> bool {
        match &self.seen {
            Seen::Nothing => !self.is_blank(),
            Seen::All => false,
            Seen::Before(before) => !self.is_blank() && *before != self.text,
        }
    }

    /// Its text is this now.
    fn change(&mut self, text: Vec<u8>) {
        if self.seen == Seen::All && self.text != text {
            self.seen = Seen::Before(std::mem::take(&mut self.text));
        }
        self.text = text;
        if matches!(&self.seen, Seen::Before(before) if *before == self.text) {
            self.seen = Seen::All;
        }
    }

    /// Begins plain from now on, and has one form for each look.
    fn tidy(&mut self) {
        let start = self.start.take().map(|start| *start).unwrap_or_default();
        let mut text = Vec::new();
        let last = Cells::of(&self.text, &start).render(0, &mut text);
        self.text = text;
        self.last = boxed(&last);
    }
}

fn boxed(look: &Look) -> Option<Box<Look>> {
    (*look != Look::default()).then(|| Box::new(look.clone()))
}

impl Kept {
    /// Notes how long it has been as it is. A row that is erased is about to be written again.
    fn note(&mut self, now: Instant) {
        if !self.differs() {
            return;
        }
        if self.still.as_ref().is_none_or(|(text, _)| *text != self.text) {
            self.still = Some((self.text.clone(), now));
        }
    }

    fn is_still(&self, now: Option<Instant>) -> bool {
        now.is_none_or(|now| self.still.as_ref().is_some_and(|(_, since)| *since + PATIENCE <= now))
    }

    /// Shows it as a line of its own.
    fn show(&mut self, allowed: Allowed, emit: &mut impl FnMut(&mut Row)) {
        let mut row = Row::new(allowed);
        row.text.clone_from(&self.text);
        row.last = self.last.as_deref().cloned().unwrap_or_default();
        row.has_text = !self.is_blank();
        emit(&mut row);
        (self.seen, self.still) = (Seen::All, None);
    }
}

impl Rows {
    pub(super) fn is_block(&self) -> bool {
        self.up.is_some()
    }

    /// Keeps a row that was let out, in place of the oldest.
    pub(super) fn keep(&mut self, row: &mut Row) {
        let oldest = if self.above.len() < MAX_ROWS { None } else { self.above.pop_front() };
        let mut text = oldest.map(|kept| kept.text).unwrap_or_default();
        text.clear();
        let (mut start, mut last) = (None, None);
        if row.text.len() <= MAX_LENGTH {
            std::mem::swap(&mut text, &mut row.text);
            // A longer line may have been in it before.
            text.shrink_to(MAX_LENGTH);
            (start, last) = (boxed(&row.start), boxed(&row.last));
        }
        self.above.push_back(Kept { text, start, last, seen: Seen::All, still: None });
    }

    /// What is known of the rows is not true any more.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    fn all(&mut self) -> impl DoubleEndedIterator<Item = &mut Kept> {
        self.above.iter_mut().chain(std::iter::once(&mut self.current)).chain(&mut self.below)
    }

    /// The cursor is in the last row.
    fn is_at_end(&self) -> bool {
        self.below.iter().all(Kept::is_blank)
    }

    /// Rows that have moved down, since something was written above them, are not shown again.
    fn find_moved(&mut self) {
        let gone = |kept: &Kept| match &kept.seen {
            Seen::Before(before) if *before != kept.text => Some(before.clone()),
            _ => None,
        };
        let mut gone: Vec<Vec<u8>> = self.all().filter_map(|kept| gone(kept)).collect();
        for kept in self.all().filter(|kept| kept.differs()) {
            if let Some(at) = gone.iter().position(|text| *text == kept.text) {
                gone.swap_remove(at);
                (kept.seen, kept.still) = (Seen::All, None);
            }
        }
    }
}

impl Sanitizer {
    /// Whether the process has gone up: its rows are not shown as they come.
    pub fn is_block(&self) -> bool {
        self.rows.is_block()
    }

    /// Looks at the clock after something was pushed. Returns when something may be shown.
    pub fn note(&mut self, now: Instant) -> Option<Instant> {
        let up = match self.rows.up? {
            Up::Now => now,
            Up::At(at) => at,
        };
        self.rows.up = Some(Up::At(up));
        self.update_current();
        for kept in self.rows.all() {
            kept.note(now);
        }
        let is_at_end = self.rows.is_at_end();
        let end = is_at_end.then_some(up + PATIENCE);
        let Rows { above, current, below, .. } = &self.rows;
        let current = (!is_at_end).then_some(current);
        let differs = above.iter().chain(current).chain(below).filter(|kept| kept.differs());
        let still = differs.filter_map(|kept| kept.still.as_ref().map(|(_, since)| *since + PATIENCE));
        still.chain(end).min()
    }

    /// Gives the rows that have been still for long enough to `emit`; without a time all that have changed.
    pub fn settle(&mut self, now: Option<Instant>, mut emit: impl FnMut(&mut Row)) {
        let Some(up) = self.rows.up else { return };
        self.update_current();
        self.rows.find_moved();
        let is_at_end = self.rows.is_at_end();
        let is_over = match (up, now) {
            (_, None) => true,
            (Up::At(up), Some(now)) => is_at_end && up + PATIENCE <= now,
            (Up::Now, Some(_)) => false,
        };
        // The last row goes on like any other that is not finished.
        let current = (!is_at_end).then(|| std::mem::take(&mut self.rows.current));
        let at = self.rows.above.len();
        self.rows.above.extend(current);
        let allowed = self.row.allowed;
        let due = |kept: &Kept| kept.differs() && (is_over || kept.is_still(now));
        let rows = &mut self.rows;
        let all = rows.above.iter().chain(&rows.below).enumerate();
        let last = all.filter(|(_, kept)| due(kept)).map(|(at, _)| at).last();
        for (at, kept) in rows.above.iter_mut().chain(&mut rows.below).enumerate() {
            if due(kept)
                || (kept.is_blank() && kept.seen == Seen::Nothing && last.is_some_and(|last| at < last))
            {
                kept.show(allowed, &mut emit);
            }
        }
        if is_over {
            return self.end_block(is_at_end);
        }
        if !is_at_end {
            self.rows.current = self.rows.above.remove(at).unwrap_or_default();
        }
    }

    /// The lines are ordinary ones again.
    fn end_block(&mut self, is_at_end: bool) {
        self.rows.up = None;
        if !is_at_end {
            let below = std::mem::take(&mut self.rows.below);
            self.rows.above.extend(below);
            self.row.next();
        }
        self.rows.below.clear();
        let current = std::mem::take(&mut self.rows.current);
        if is_at_end && current.seen == Seen::All && !current.is_blank() {
            let row = &mut self.row;
            let end = row.text.len();
            row.shown = Some(Shown { end, begin: end, width: 0, look: row.last.clone() });
            row.rewritten = false;
        }
    }

    /// The cursor goes up. Returns `false` if there is no row to go to.
    pub(super) fn up(&mut self, count: usize, column: usize, emit: &mut impl FnMut(&mut Row)) -> bool {
        if self.rows.above.is_empty() {
            return self.rows.is_block();
        }
        if !self.rows.is_block() {
            self.begin_block();
        }
        self.rows.up = Some(Up::Now);
        for _ in 0..count {
            let Some(above) = self.rows.above.pop_back() else { break };
            let left = self.leave_current(emit);
            self.rows.below.push_front(left);
            self.enter(above);
        }
        self.row.go_to(column);
        while self.rows.below.len() > MAX_ROWS {
            self.rows.below.pop_back();
        }
        true
    }

    /// The cursor goes to a row below, which is new if there was none.
    pub(super) fn down(&mut self, count: usize, column: usize, emit: &mut impl FnMut(&mut Row)) {
        for _ in 0..count.min(MAX_ROWS) {
            let left = self.leave_current(emit);
            self.rows.above.push_back(left);
            let below = self.rows.below.pop_front().unwrap_or_default();
            self.enter(below);
        }
        self.row.go_to(column);
        while self.rows.above.len() > MAX_ROWS {
            let oldest = self.rows.above.pop_front();
            if let Some(mut oldest) = oldest.filter(Kept::differs) {
                oldest.show(self.row.allowed, emit);
            }
        }
    }

    /// Erases the rows below the cursor, or those above.
    pub(super) fn erase_rows(&mut self, is_below: bool) {
        if is_below {
            self.rows.below.clear();
        } else if self.is_block() {
            for kept in &mut self.rows.above {
                kept.change(Vec::new());
            }
        }
    }

    fn begin_block(&mut self) {
        self.row.sync();
        let waiting = std::mem::take(&mut self.row.blanks);
        for (at, kept) in self.rows.above.iter_mut().rev().enumerate() {
            kept.tidy();
            // Blank lines that were not let out.
            if at < waiting {
                kept.seen = Seen::Nothing;
            }
        }
        let is_seen = self.row.is_shown() && !self.row.is_half();
        self.rows.current = Kept::default();
        self.update_current();
        if is_seen {
            self.rows.current.seen = Seen::All;
        }
    }

    /// Notes the text of the row that the cursor is in.
    fn update_current(&mut self) {
        self.row.sync();
        if self.row.text.len() > MAX_CELLS {
            return;
        }
        let (text, start, last) = (self.row.text.clone(), boxed(&self.row.start), boxed(&self.row.last));
        let mut now = Kept { text, start, last, ..Kept::default() };
        now.tidy();
        self.rows.current.change(now.text);
        self.rows.current.last = now.last;
    }

    fn leave_current(&mut self, emit: &mut impl FnMut(&mut Row)) -> Kept {
        self.row.sync();
        if self.row.text.len() > MAX_CELLS {
            emit(&mut self.row);
            self.rows.current = Kept::default();
            self.row.begin();
        }
        self.update_current();
        std::mem::take(&mut self.rows.current)
    }

    /// The cursor is at the start of this row.
    fn enter(&mut self, kept: Kept) {
        let row = &mut self.row;
        row.begin();
        (row.rewritten, row.shown) = (false, None);
        if !kept.is_blank() {
            row.text.clone_from(&kept.text);
            row.start = Look::default();
            row.last = kept.last.as_deref().cloned().unwrap_or_default();
            (row.has_text, row.returned) = (true, true);
        }
        self.rows.current = kept;
    }
}

#[cfg(test)]
#[path = "sanitize_rows_tests.rs"]
mod tests;
