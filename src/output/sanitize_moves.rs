//! Moves in a line: what a [`Row`] makes of control characters and sequences.
//!
//! A row is text as long as everything is written at its end, which holds for nearly every line. Where the
//! cursor goes elsewhere it becomes cells, and text again with its line end.

use anstyle_parse::{Params, Perform};

use super::cells::{self, Cells};
use super::{Did, MAX_CELLS, Row, Step};
use crate::output::look::{Look, Pen};

/// The private modes that are the other screen (DECSET, ctlseqs of xterm).
const OTHER_SCREEN: [u16; 3] = [47, 1047, 1049];

impl Row {
    /// Returns the column of the cursor, from 0. A line does not wrap: on a narrow terminal the cursor may be in a
    /// lower row.
    pub fn column(&mut self) -> usize {
        match &self.cells {
            Some(cells) => cells.column(),
            None if self.returned => 0,
            None => self.end_column(),
        }
    }

    /// How many columns the text takes.
    fn end_column(&mut self) -> usize {
        let (bytes, columns) = self.measured;
        self.measured = (self.text.len(), columns + cells::columns(&self.text[bytes..]));
        self.measured.1
    }

    /// Makes cells of the text. `None` if it is too long for that.
    pub(super) fn model(&mut self) -> Option<&mut Cells> {
        if self.cells.is_none() {
            if self.text.len() > MAX_CELLS {
                return None;
            }
            let mut cells = Cells::of(&self.text, &self.start);
            if std::mem::take(&mut self.returned) {
                cells.go_to(0);
            }
            self.cells = Some(Box::new(cells));
        }
        self.is_stale = true;
        self.cells.as_deref_mut()
    }

    /// Makes the text what the cells show.
    pub(super) fn sync(&mut self) {
        if !std::mem::take(&mut self.is_stale) {
            return;
        }
        let Some(cells) = &self.cells else { return };
        let mut text = Vec::new();
        self.last = cells.render(cells.column(), &mut text);
        let is_longer = match &self.shown {
            Some(shown) if !self.rewritten => {
                let goes_on = text.get(shown.end).is_some_and(|byte| byte & 0xc0 == 0x80);
                self.start == Look::default() && text.starts_with(&self.text[..shown.end]) && !goes_on
            }
            _ => true,
        };
        self.rewritten |= !is_longer;
        self.start = Look::default();
        self.has_text = !text.is_empty();
        self.text = text;
        self.measured = (0, 0);
    }

    /// The look of what is written in cells.
    fn pen(&mut self) -> Pen {
        self.pen.get_or_insert_with(|| self.look.pen()).clone()
    }

    /// Writes into the cells, if there are any.
    pub(super) fn put(&mut self, text: &[u8]) {
        let pen = self.pen();
        if let Some(cells) = self.model() {
            cells.put(text, &pen);
            if cells.len() > MAX_CELLS && cells.is_at_end() {
                self.flatten();
            }
        }
    }

    /// Goes on with the text: the row is too long for cells.
    fn flatten(&mut self) {
        self.sync();
        self.cells = None;
        if self.last != self.look {
            self.last.close(&mut self.text);
            self.look.open(&mut self.text);
            self.last.clone_from(&self.look);
        }
    }

    pub(super) fn control(&mut self, byte: u8, emit: &mut impl FnMut(&mut Self)) {
        match byte {
            _ if self.on_other_screen => {}
            b'\t' => self.tab(emit),
            b'\r' => self.go_to(0),
            0x08 => self.go_left(1),
            _ => {}
        }
    }

    fn tab(&mut self, emit: &mut impl FnMut(&mut Self)) {
        let column = self.column();
        let stop = cells::next_stop(column);
        // A combining mark that is alone needs a cell, too.
        let is_mark = column == 0 && self.has_text;
        if self.cells.is_some() || is_mark || self.look.shows_on_blanks() {
            self.go_to(stop);
        } else {
            self.text(&b"        "[..stop - column], emit);
        }
    }

    pub(super) fn go_to(&mut self, column: usize) {
        if column == 0 && self.cells.as_ref().is_none_or(|cells| cells.is_empty()) {
            // Most programs that write a line again begin here, and erase it.
            if self.cells.is_some() {
                self.begin();
            }
            self.returned = self.has_text;
        } else if let Some(cells) = self.model() {
            cells.go_to(column);
        }
    }

    fn go_left(&mut self, count: usize) {
        // A character takes no more columns than bytes.
        if self.cells.is_none() && count >= self.text.len() {
            return self.go_to(0);
        }
        if !self.returned {
            let column = self.column();
            self.go_to(column.saturating_sub(count));
        }
    }

    /// Moves stop at the last column. Text does not.
    fn go_right(&mut self, count: usize) {
        let column = self.column();
        let most = column.max(self.columns - 1);
        self.go_to(column.saturating_add(count).min(most));
    }

    /// Erases from one column up to another.
    fn erase(&mut self, from: usize, to: usize) {
        let ground = self.look.ground();
        if self.cells.is_none() && ground.is_none() {
            if self.returned && from == 0 && to == usize::MAX {
                return self.begin();
            }
            // Nothing is after the cursor.
            if !self.returned && (!self.has_text || from > 0) {
                return;
            }
        }
        let columns = self.columns;
        if let Some(cells) = self.model() {
            cells.erase(from, to.min(columns.max(cells.len())), &ground);
        }
    }

    /// The cursor goes to another row, or the screen is cleared: what comes next is not of this line.
    fn leave(&mut self, step: Step) {
        self.step = Some(step);
        self.away = true;
    }

    fn use_other_screen(&mut self, enters: bool) {
        if enters && !self.on_other_screen {
            self.has_entered = true;
            self.leave(Step::Away);
        }
        self.on_other_screen = enters;
    }

    fn save(&mut self) {
        let column = self.column();
        self.saved = Some((column, self.look.clone()));
        self.away = false;
    }

    fn restore(&mut self) {
        if std::mem::take(&mut self.away) {
            return self.leave(Step::Away);
        }
        let (column, look) = self.saved.clone().unwrap_or_default();
        if column != self.column() {
            self.go_to(column);
        }
        if look != self.look {
            self.model();
            (self.look, self.pen) = (look, None);
        }
    }

    /// The present look has changed by this sequence.
    fn changed(&mut self, sequence: &[u8]) {
        self.pen = None;
        // Behind a CR nothing is to be seen of it before there is text.
        if !self.returned && self.cells.is_none() {
            self.text.extend_from_slice(sequence);
            self.last.clone_from(&self.look);
        }
    }
}

impl Perform for Row {
    fn print(&mut self, _: char) {
        self.did = Did::Printed;
    }

    fn execute(&mut self, _: u8) {
        self.did = Did::Executed;
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: u8) {
        self.did = Did::Finished;
        let of_screen = |param: &[u16]| OTHER_SCREEN.contains(&param[0]);
        if intermediates == b"?" && matches!(action, b'h' | b'l') && params.iter().any(of_screen) {
            self.use_other_screen(action == b'h');
        }
        if self.on_other_screen || ignore || !intermediates.is_empty() {
            return;
        }
        let first = params.iter().next().and_then(|param| param.first().copied()).unwrap_or(0);
        let count = usize::from(first.max(1));
        match (action, first) {
            (b'm', _) if self.allowed.sgr => {
                if let Some(sequence) = self.look.sgr(params) {
                    self.changed(&sequence);
                }
            }
            (b'C' | b'a', _) => self.go_right(count),
            (b'D', _) => self.go_left(count),
            (b'G' | b'`', _) => self.go_to((count - 1).min(self.columns - 1)),
            (b'I', _) => {
                let column = self.column();
                let stop = (0..count.min(self.columns)).fold(column, |column, _| cells::next_stop(column));
                self.go_right(stop - column);
            }
            (b'Z', _) => {
                let column = self.column();
                let stop = (0..count.min(column)).fold(column, |column, _| cells::stop_before(column));
                self.go_left(column - stop);
            }
            (b'A' | b'F', _) => self.leave(Step::Up(count, action == b'F')),
            (b'B' | b'E', _) => self.leave(Step::Down(count, action == b'E')),
            // Cursor to anywhere, clear the screen.
            (b'H' | b'd' | b'f', _) | (b'J', 2 | 3) => self.leave(Step::Away),
            (b's', _) => self.save(),
            (b'u', _) => self.restore(),
            // Erase to the end of the line or screen, to its start, all of it.
            (b'K' | b'J', 0) => {
                let column = self.column();
                self.erase(column, usize::MAX);
                self.step = (action == b'J').then_some(Step::EraseBelow);
            }
            (b'K' | b'J', 1) => {
                let column = self.column();
                self.erase(0, column + 1);
                self.step = (action == b'J').then_some(Step::EraseAbove);
            }
            (b'K', 2) => self.erase(0, usize::MAX),
            (b'X', _) => {
                let column = self.column();
                self.erase(column, column + count);
            }
            (b'@', _) => self.shift(|cells, columns, ground| cells.insert(count, columns, ground)),
            (b'P', _) => self.shift(|cells, columns, ground| cells.delete(count, columns, ground)),
            (b'b', _) => {
                let (columns, pen) = (self.columns, self.pen());
                if let Some(cells) = self.model() {
                    cells.repeat(count.min(columns.saturating_sub(cells.column())), &pen);
                }
            }
            _ => {}
        }
    }

    fn osc_dispatch(&mut self, _: &[&[u8]], _: bool) {
        self.did = Did::Finished;
        let sequence = std::mem::take(&mut self.sequence);
        if !self.on_other_screen
            && let Some(text) = sequence.strip_prefix(b"]8;")
            && self.allowed.links
            && let Some(sequence) = self.look.link(text)
        {
            self.changed(&sequence);
        }
    }

    fn unhook(&mut self) {
        self.did = Did::Finished;
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _: bool, byte: u8) {
        self.did = Did::Finished;
        match (intermediates, byte) {
            // Reset.
            ([], b'c') => {
                self.on_other_screen = false;
                self.leave(Step::Away);
            }
            _ if self.on_other_screen => {}
            ([], b'D' | b'E') => self.leave(Step::Down(1, byte == b'E')),
            ([], b'M') => self.leave(Step::Up(1, false)),
            ([], b'7') => self.save(),
            ([], b'8') => self.restore(),
            _ => {}
        }
    }
}

impl Row {
    /// Moves what is at the cursor and to its right.
    fn shift(&mut self, by: impl FnOnce(&mut Cells, usize, &Pen)) {
        let (columns, ground) = (self.columns, self.look.ground());
        if ground.is_none() && self.cells.is_none() && !self.returned && self.end_column() > 0 {
            // Nothing is after the cursor.
            return;
        }
        if let Some(cells) = self.model() {
            by(cells, columns, &ground);
        }
    }
}
