//! One row of a terminal, as cells: what a program that moves within its line makes of it.
//!
//! Pure. Each column is a cell with a character and its look. Whatever is written replaces the cells it
//! falls on; a wide character takes two, and if one of them is overwritten the other becomes a space, as on a
//! terminal (xterm, VTE, alacritty). Nothing wraps: a row is as long as what is written in it.
//!
//! Only rows that need it are kept as cells (`sanitize`).

use memchr::memchr;
use unicode_width::UnicodeWidthChar as _;

use super::look::{Look, Pen, sequence_length};

/// The distance between tab stops.
const TAB: usize = 8;

/// How many bytes of a character and its combining marks are kept.
const MAX_GLYPH: usize = 64;

const ESC: u8 = 0x1b;

/// A row and the cursor in it.
#[derive(Debug, Default)]
pub(super) struct Cells {
    row: Vec<Cell>,
    /// May be after the end of the cells.
    column: usize,
    /// What was written last, to be repeated.
    last: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    glyph: Glyph,
    look: Pen,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Glyph {
    Blank,
    /// A character with its combining marks, or bytes that are not one.
    Short([u8; 6], u8),
    Long(Box<[u8]>),
    /// The second column of the wide character before.
    Rest,
}

impl Glyph {
    fn of(bytes: &[u8]) -> Self {
        let mut short = [0; 6];
        match (short.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(part), Ok(length)) => {
                part.copy_from_slice(bytes);
                Self::Short(short, length)
            }
            _ => Self::Long(bytes.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Blank => b" ",
            Self::Short(bytes, length) => &bytes[..usize::from(*length)],
            Self::Long(bytes) => bytes,
            Self::Rest => b"",
        }
    }
}

impl Cell {
    fn blank(look: Pen) -> Self {
        Self { glyph: Glyph::Blank, look }
    }

    /// Whether it looks like a cell that was never written.
    fn is_empty(&self) -> bool {
        self.glyph.bytes() == b" " && self.look.as_ref().is_none_or(|look| !look.shows_on_blanks())
    }
}

impl Cells {
    /// Makes cells of a text whose only sequences are SGR and links; the cursor is at its end.
    pub(super) fn of(text: &[u8], start: &Look) -> Self {
        let (mut cells, mut look, mut rest) = (Self::default(), start.clone(), text);
        while !rest.is_empty() {
            let (text, sequence) = rest.split_at(memchr(ESC, rest).unwrap_or(rest.len()));
            cells.put(text, &look.pen());
            rest = look.take(sequence);
        }
        cells
    }

    pub(super) fn column(&self) -> usize {
        self.column
    }

    pub(super) fn len(&self) -> usize {
        self.row.len()
    }

    /// Whether nothing is there.
    pub(super) fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Whether what is written next is after all else.
    pub(super) fn is_at_end(&self) -> bool {
        self.column >= self.row.len()
    }

    pub(super) fn go_to(&mut self, column: usize) {
        self.column = column;
    }

    /// Writes whole characters, or bytes that are part of none, which are one character together.
    pub(super) fn put(&mut self, text: &[u8], look: &Pen) {
        for chunk in text.utf8_chunks() {
            for character in chunk.valid().chars() {
                let width = character.width().unwrap_or(0);
                self.put_one(character.encode_utf8(&mut [0; 4]).as_bytes(), width, look);
            }
            if !chunk.invalid().is_empty() {
                self.put_one(chunk.invalid(), 1, look);
            }
        }
    }

    fn put_one(&mut self, bytes: &[u8], width: usize, look: &Pen) {
        bytes.clone_into(&mut self.last);
        if width == 0 {
            return self.combine(bytes);
        }
        let (begin, end) = (self.column, self.column + width);
        self.lengthen(end, None);
        self.split(begin);
        self.split(end);
        self.row[begin] = Cell { glyph: Glyph::of(bytes), look: look.clone() };
        for cell in &mut self.row[begin + 1..end] {
            *cell = Cell { glyph: Glyph::Rest, look: look.clone() };
        }
        self.column = end;
    }

    /// Puts a combining mark on the character before the cursor.
    fn combine(&mut self, mark: &[u8]) {
        let mut at = self.column.saturating_sub(1);
        self.lengthen(at + 1, None);
        if self.row[at].glyph == Glyph::Rest {
            at -= 1;
        }
        let glyph = &mut self.row[at].glyph;
        if glyph.bytes().len() + mark.len() <= MAX_GLYPH {
            *glyph = Glyph::of(&[glyph.bytes(), mark].concat());
        }
    }

    /// Writes the last character again.
    pub(super) fn repeat(&mut self, count: usize, look: &Pen) {
        let last = std::mem::take(&mut self.last);
        (0..count).for_each(|_| self.put(&last, look));
        self.last = last;
    }

    /// Erases from one column up to another. A background colors what is erased, also where nothing was.
    pub(super) fn erase(&mut self, from: usize, to: usize, ground: &Pen) {
        if ground.is_some() {
            self.lengthen(to, None);
        }
        let to = to.min(self.row.len());
        if from >= to {
            return;
        }
        self.split(from);
        self.split(to);
        if ground.is_none() && to == self.row.len() {
            return self.row.truncate(from);
        }
        self.row[from..to].fill(Cell::blank(ground.clone()));
    }

    /// Inserts spaces at the cursor. Nothing is moved beyond `columns`.
    pub(super) fn insert(&mut self, count: usize, columns: usize, ground: &Pen) {
        let at = self.column;
        let count = count.min(columns.saturating_sub(at));
        if ground.is_some() {
            self.lengthen(at, None);
        }
        if at > self.row.len() || (at == self.row.len() && ground.is_none()) {
            return;
        }
        self.split(at);
        let most = self.row.len().max(columns);
        let blanks = std::iter::repeat_n(Cell::blank(ground.clone()), count);
        self.row.splice(at..at, blanks);
        self.split(most);
        self.row.truncate(most);
    }

    /// Deletes characters at the cursor: what follows moves to the left.
    pub(super) fn delete(&mut self, count: usize, columns: usize, ground: &Pen) {
        if ground.is_some() {
            self.lengthen(columns, None);
        }
        let at = self.column;
        let end = at.saturating_add(count).min(self.row.len());
        if at >= end {
            return;
        }
        self.split(at);
        self.split(end);
        self.row.drain(at..end);
        if ground.is_some() {
            self.row.extend(std::iter::repeat_n(Cell::blank(ground.clone()), end - at));
        }
    }

    fn lengthen(&mut self, to: usize, ground: Pen) {
        if self.row.len() < to {
            self.row.resize(to, Cell::blank(ground));
        }
    }

    /// A wide character across this column goes.
    fn split(&mut self, at: usize) {
        if self.row.get(at).is_some_and(|cell| cell.glyph == Glyph::Rest) {
            self.row[at].glyph = Glyph::Blank;
            self.row[at - 1].glyph = Glyph::Blank;
        }
    }

    /// Appends the row as text, which begins plain and has the look that is returned at its end. Spaces at the
    /// end are left out if nothing is seen of them, but not those before `keep`.
    pub(super) fn render(&self, keep: usize, out: &mut Vec<u8>) -> Look {
        let seen = self.row.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        let end = seen.max(keep.min(self.row.len()));
        let mut look: &Pen = &None;
        for cell in &self.row[..end] {
            if cell.look != *look {
                if let Some(look) = look {
                    look.close(out);
                }
                if let Some(look) = &cell.look {
                    look.open(out);
                }
                look = &cell.look;
            }
            out.extend_from_slice(cell.glyph.bytes());
        }
        look.as_ref().map(|look| Look::clone(look)).unwrap_or_default()
    }
}

/// The next tab stop.
pub(super) fn next_stop(column: usize) -> usize {
    (column / TAB + 1) * TAB
}

/// The tab stop before, or the first column.
pub(super) fn stop_before(column: usize) -> usize {
    column.saturating_sub(1) / TAB * TAB
}

/// How many columns a text takes whose only sequences are SGR and links.
pub(super) fn columns(text: &[u8]) -> usize {
    let (mut columns, mut rest) = (0, text);
    while !rest.is_empty() {
        let (text, sequence) = rest.split_at(memchr(ESC, rest).unwrap_or(rest.len()));
        columns += if text.is_ascii() { text.len() } else { columns_of(text) };
        rest = &sequence[sequence_length(sequence)..];
    }
    columns
}

fn columns_of(text: &[u8]) -> usize {
    let chunk = |chunk: std::str::Utf8Chunk<'_>| {
        let valid: usize = chunk.valid().chars().map(|character| character.width().unwrap_or(0)).sum();
        valid + usize::from(!chunk.invalid().is_empty())
    };
    text.utf8_chunks().map(chunk).sum()
}
