//! What a process writes, made fit for a terminal that it shares with others.
//!
//! Text, tabs, colours and attributes (SGR) and links (OSC 8) pass. All else that would act on
//! the whole terminal is taken out: cursor movement, clearing, titles, modes, queries, bells.
//! What moves within the line is carried out here: a line that is written over and over is shown as a
//! terminal would show it. Such a line is kept as cells (`cells`); any other is passed on as
//! it comes.
//!
//! After each line the terminal is plain: no attribute is set and no link is open
//! ([`invariant`](super::invariant) checks that). The same holds after a part of a line.
//!
//! It talks to nobody: bytes in, lines out. Where a sequence begins and ends is decided by
//! `anstyle_parse`. The parser sees only ASCII, since it would take bytes that are not UTF-8
//! for characters: in place of a byte above it gets a DEL, which is text where text can be and
//! nothing within a sequence.
//!
//! Bytes are assembled into characters here. On a terminal that decodes UTF-8 a byte from 0x80 to 0x9f
//! acts only as part of U+0080 to U+009F; on any other terminal it is a control character by
//! itself (ECMA-48 5.3), and may be the second byte of an `À` that the process has written.

use std::ops::Range;

use anstyle_parse::{AsciiParser, Parser};

use memchr::memchr_iter;

use super::cells::{self, Cells};
use super::lines::MAX_LINE;
use super::look::{Look, Pen, width};
use super::picture::Picture;

/// How much of a sequence is looked at. The rest of a longer one is only waited out.
const MAX_SEQUENCE: usize = 8192;

/// How many blank lines are held back.
const MAX_BLANKS: usize = 1000;

/// How long a line may be that is kept as cells, in bytes of text or in cells. In a longer one nothing moves.
const MAX_CELLS: usize = 16 * 1024;

/// How wide the terminal of the process is if nothing else is known.
const USUAL_COLUMNS: usize = 80;

const ESC: u8 = 0x1b;
const DEL: u8 = 0x7f;

/// Control characters where a byte is a character (ECMA-48 5.3).
const C1: Range<u8> = 0x80..0xa0;

/// What may pass beside text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Colours and attributes.
    pub sgr: bool,
    /// Links.
    pub links: bool,
    /// Every UTF-8 character: the terminal decodes it. Elsewhere no byte from 0x80 to 0x9f passes.
    pub utf8: bool,
}

impl Allowed {
    /// Text alone.
    pub const TEXT: Self = Self { sgr: false, links: false, utf8: true };
}

/// One process's output on its way to the terminal. However it is chunked, the lines are the
/// same.
#[derive(Debug)]
pub struct Sanitizer {
    parser: Parser<AsciiParser>,
    /// The parser is known to be outside of any sequence.
    ground: bool,
    /// The first bytes of a character that is not complete yet.
    part: Vec<u8>,
    /// What goes on after the end of its line.
    picture: Picture,
    row: Row,
    /// The rows are followed: what changes in them is shown once it is settled.
    has_blocks: bool,
    rows: Rows,
}

impl Sanitizer {
    /// At the begin of a line. Each line comes out at its newline, wherever the process goes: for all who
    /// do not look at the clock.
    pub fn of_lines(allowed: Allowed) -> Self {
        Self::new(allowed, false)
    }

    /// The same, but the rows that the process writes again come out only when they are settled. Whoever
    /// uses this calls `note` after each chunk and `settle` when it says so.
    pub fn of_blocks(allowed: Allowed) -> Self {
        Self::new(allowed, true)
    }

    fn new(allowed: Allowed, has_blocks: bool) -> Self {
        Self {
            parser: Parser::default(),
            ground: true,
            part: Vec::new(),
            picture: Picture::default(),
            row: Row::new(allowed),
            has_blocks,
            rows: Rows::default(),
        }
    }

    /// The line that is not finished.
    pub fn row(&mut self) -> &mut Row {
        self.row.sync();
        &mut self.row
    }

    /// Returns whether the process has begun to use the other screen since this was asked last.
    pub fn enters_other_screen(&mut self) -> bool {
        std::mem::take(&mut self.row.has_entered)
    }

    /// Sets how wide the terminal of the process is: its cursor does not move beyond.
    pub fn set_columns(&mut self, columns: usize) {
        self.row.columns = columns.max(1);
    }

    /// Takes a chunk and gives each line that it completes to `emit`.
    pub fn push(&mut self, chunk: &[u8], emit: impl FnMut(&mut Row)) {
        self.push_some(chunk, usize::MAX, emit);
    }

    /// Takes a chunk up to the end of its `most`th line. Returns how many bytes that is. A
    /// line may come out much longer than it went in, since a link continues in it.
    pub fn push_some(&mut self, chunk: &[u8], most: usize, mut emit: impl FnMut(&mut Row)) -> usize {
        let (mut rest, mut ends) = (chunk, 0);
        while let Some(byte) = rest.first().copied()
            && ends < most
        {
            if self.picture.is_open() {
                let taken = self.picture.take(rest);
                rest = &rest[taken.count..];
                self.text(&taken.text, &mut emit);
                if taken.escape {
                    self.one(ESC, &mut emit);
                }
                continue;
            }
            let text = if self.ground { rest.iter().take_while(|byte| is_text(**byte)).count() } else { 0 };
            if text > 0 {
                self.text(&rest[..text], &mut emit);
                rest = &rest[text..];
                continue;
            }
            self.end_part(&mut emit);
            if byte == b'\n' {
                self.end_line(&mut emit);
                ends += 1;
            } else if !self.one(byte, &mut emit) {
                continue;
            }
            rest = &rest[1..];
        }
        chunk.len() - rest.len()
    }

    /// Ends the output: a last line without newline is a line, if there is anything to see.
    pub fn finish(&mut self, mut emit: impl FnMut(&mut Row)) {
        let text = self.picture.finish();
        self.text(&text, &mut emit);
        self.end_part(&mut emit);
        self.settle(None, &mut emit);
        self.row.sync();
        if self.row.has_text || self.row.shown.is_some() {
            self.end_line(&mut emit);
        }
        self.row.blank_lines(&mut emit);
    }

    /// Gives the blank lines that were held back to `emit`.
    pub fn flush(&mut self, mut emit: impl FnMut(&mut Row)) {
        self.row.blank_lines(&mut emit);
    }

    fn end_line(&mut self, emit: &mut impl FnMut(&mut Row)) {
        // A sequence that was never finished ends with its line, or it would take all that follows.
        if !self.ground {
            self.picture.begin(&self.row.sequence);
            self.parser = Parser::default();
            self.ground = true;
            self.row.sequence = Vec::new();
        }
        if self.row.on_other_screen {
            return;
        }
        if self.rows.is_block() {
            return self.down(1, 0, emit);
        }
        self.row.sync();
        // Watchers write as many blank lines as the terminal has before they go to its top.
        if self.row.has_text || self.row.shown.is_some() {
            emit(&mut self.row);
        } else {
            self.row.blanks += 1;
            if self.row.blanks >= MAX_BLANKS {
                self.row.blank_lines(emit);
            }
        }
        // Where none is kept, there is none to go up to.
        if self.has_blocks {
            self.rows.keep(&mut self.row);
        }
        self.row.next();
    }

    /// Takes text, whose last character may continue in the next call.
    fn text(&mut self, mut text: &[u8], emit: &mut impl FnMut(&mut Row)) {
        while let [byte, rest @ ..] = text
            && !self.part.is_empty()
        {
            self.part.push(*byte);
            match std::str::from_utf8(&self.part) {
                Ok(character) => {
                    self.row.characters(character, emit);
                    self.part.clear();
                }
                Err(error) if error.error_len().is_none() => {}
                // It belongs to the next one.
                Err(_) => {
                    self.part.pop();
                    self.end_part(emit);
                    continue;
                }
            }
            text = rest;
        }
        if text.is_ascii() {
            return self.row.text(text, emit);
        }
        let mut chunks = text.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.row.characters(chunk.valid(), emit);
            self.part.extend_from_slice(chunk.invalid());
            let goes_on = || std::str::from_utf8(&self.part).is_err_and(|error| error.error_len().is_none());
            if chunks.peek().is_some() || !goes_on() {
                self.end_part(emit);
            }
        }
    }

    /// Ends an incomplete character: nothing more of it will come.
    fn end_part(&mut self, emit: &mut impl FnMut(&mut Row)) {
        self.part.retain(|byte| !C1.contains(byte));
        self.row.text(&self.part, emit);
        self.part.clear();
    }

    fn step(&mut self, step: Step, emit: &mut impl FnMut(&mut Row)) {
        let column = |first: bool, row: &mut Row| if first { 0 } else { row.column() };
        match step {
            Step::Up(count, first) => {
                let column = column(first, &mut self.row);
                if !self.up(count, column, emit) {
                    self.leave(emit);
                }
            }
            Step::Down(count, first) if self.rows.is_block() => {
                let column = column(first, &mut self.row);
                self.down(count, column, emit);
            }
            Step::EraseBelow => self.erase_rows(true),
            Step::EraseAbove => self.erase_rows(false),
            Step::Down(..) | Step::Away => self.leave(emit),
        }
    }

    /// What comes next is in another row, and nothing is known of it.
    fn leave(&mut self, emit: &mut impl FnMut(&mut Row)) {
        let was_block = self.is_block();
        self.settle(None, &mut *emit);
        self.row.sync();
        self.row.blanks = 0;
        if self.row.has_text {
            // The row of the cursor may have been shown further up.
            if self.row.is_half() || !was_block {
                emit(&mut self.row);
            }
            self.row.next();
        }
        self.rows.forget();
    }

    /// Returns whether it took the byte; if not, it is text.
    fn one(&mut self, byte: u8, emit: &mut impl FnMut(&mut Row)) -> bool {
        self.row.did = Did::Nothing;
        if self.row.sequence.len() < MAX_SEQUENCE || byte < 0x20 {
            self.parser.advance(&mut self.row, if byte < 0x80 { byte } else { DEL });
        }
        match self.row.did {
            Did::Printed => {
                self.ground = true;
                self.row.sequence.clear();
                return byte == DEL;
            }
            Did::Executed => self.row.control(byte, emit),
            Did::Finished => {
                self.ground = true;
                self.row.sequence.clear();
                if let Some(step) = self.row.step.take() {
                    self.step(step, emit);
                }
                self.row.cut(emit);
            }
            Did::Nothing => self.ground = false,
        }
        if byte == ESC {
            // It may have ended another sequence.
            self.ground = false;
            self.row.sequence.clear();
        } else if !self.ground && self.row.sequence.len() < MAX_SEQUENCE {
            self.row.sequence.push(byte);
        }
        true
    }
}

/// What a sequence does outside of the row of the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The cursor goes up, to the column where it is or to the first one.
    Up(usize, bool),
    Down(usize, bool),
    EraseBelow,
    EraseAbove,
    /// It goes anywhere, or the screen is cleared: what comes next has nothing to do with what is there.
    Away,
}

fn is_text(byte: u8) -> bool {
    byte >= 0x20 && byte != DEL
}

/// What the parser made of a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    /// It is part of a sequence.
    Nothing,
    /// It is text.
    Printed,
    /// It is a control character, perhaps within a sequence.
    Executed,
    /// It was the last of a sequence.
    Finished,
}

/// A line as far as it has come.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug)]
pub struct Row {
    allowed: Allowed,
    /// What is seen: text with its sequences. With `cells` it is as old as the last `sync`.
    text: Vec<u8>,
    /// The text as cells, once the cursor is not at its end.
    cells: Option<Box<Cells>>,
    /// The cells have changed since the last `sync`.
    is_stale: bool,
    /// How many bytes of the text have been measured, and how many columns they take.
    measured: (usize, usize),
    /// How wide the terminal is.
    columns: usize,
    has_text: bool,
    /// The look at the start of the text, at its end, and at the cursor: after a CR that does not
    /// end the line, changes are not in the text.
    start: Look,
    last: Look,
    look: Look,
    /// The same for cells, once it is needed.
    pen: Option<Pen>,
    /// The cursor is at the first column of a text that is not kept as cells yet.
    returned: bool,
    /// Where the cursor was saved, and its look.
    saved: Option<(usize, Look)>,
    /// The text is not a longer form of the one that was shown.
    rewritten: bool,
    shown: Option<Shown>,
    /// Blank lines before this one that were not handed on yet.
    blanks: usize,
    /// What the last sequence does outside of this row.
    step: Option<Step>,
    /// The process uses the other screen. Nothing of that is shown.
    on_other_screen: bool,
    /// It has entered it, which has not been told yet.
    has_entered: bool,
    /// The cursor was put into another row since its place was saved.
    away: bool,
    did: Did,
    /// The sequence that the parser is in.
    sequence: Vec<u8>,
}

/// What of an unfinished line is on the terminal.
#[derive(Debug)]
struct Shown {
    /// Up to here.
    end: usize,
    /// Where the line on the terminal begins: what is before is further up.
    begin: usize,
    /// How many columns it takes there.
    width: usize,
    look: Look,
}

impl Row {
    fn new(allowed: Allowed) -> Self {
        Self {
            allowed,
            text: Vec::new(),
            cells: None,
            is_stale: false,
            measured: (0, 0),
            columns: USUAL_COLUMNS,
            has_text: false,
            start: Look::default(),
            last: Look::default(),
            look: Look::default(),
            pen: None,
            returned: false,
            saved: None,
            rewritten: false,
            shown: None,
            blanks: 0,
            step: None,
            on_other_screen: false,
            has_entered: false,
            away: false,
            did: Did::Nothing,
            sequence: Vec::new(),
        }
    }

    /// Whether there is something that is not on the terminal yet.
    pub fn is_pending(&self) -> bool {
        self.blanks > 0 || self.is_half()
    }

    /// The same, blank lines aside.
    pub fn is_half(&self) -> bool {
        match &self.shown {
            None => self.has_text,
            Some(shown) => self.rewritten || shown.end < self.text.len(),
        }
    }

    /// Whether a part of it is on the terminal.
    pub fn is_shown(&self) -> bool {
        self.shown.is_some()
    }

    /// Whether the shown text is only a part of what is there now.
    pub fn is_longer(&self) -> bool {
        !self.rewritten
    }

    /// Whether there is nothing to see.
    pub fn is_empty(&self) -> bool {
        !self.has_text
    }

    /// How many columns the shown text takes on its line.
    pub fn shown_width(&self) -> usize {
        self.shown.as_ref().map_or(0, |shown| shown.width)
    }

    /// Appends all of it.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_from(0, &self.start, out);
    }

    /// Appends what was not shown yet, or all of it if what was shown is not the start of it
    /// ([`Row::is_longer`]). Returns whether there was anything.
    pub fn write_rest(&self, out: &mut Vec<u8>) -> bool {
        let shown = self.shown.as_ref().filter(|_| !self.rewritten);
        let (end, look) = shown.map_or((0, &self.start), |shown| (shown.end, &shown.look));
        if end < self.text.len() {
            self.write_from(end, look, out);
        }
        end < self.text.len()
    }

    fn write_from(&self, begin: usize, look: &Look, out: &mut Vec<u8>) {
        look.open(out);
        out.extend_from_slice(&self.text[begin..]);
        self.last.close(out);
    }

    /// Notes that all of it is on the terminal now; on a line of its own if `anew`.
    pub fn set_shown(&mut self, anew: bool) {
        let before = self.shown.take().filter(|_| !self.rewritten);
        let begin = match before {
            None => 0,
            Some(shown) if anew => shown.end,
            Some(shown) => shown.begin,
        };
        let width = width(&self.text[begin..]);
        self.shown = Some(Shown { end: self.text.len(), begin, width, look: self.last.clone() });
        self.rewritten = false;
    }

    fn next(&mut self) {
        self.begin();
        self.text.shrink_to(MAX_LINE / 16);
        (self.rewritten, self.shown) = (false, None);
        self.sequence = Vec::new();
    }

    /// Takes away the text; the cursor is at the first column.
    fn begin(&mut self) {
        self.text.clear();
        (self.cells, self.is_stale, self.measured) = (None, false, (0, 0));
        (self.has_text, self.returned) = (false, false);
        self.start.clone_from(&self.look);
        self.last.clone_from(&self.look);
        self.rewritten = true;
    }

    fn blank_lines(&mut self, emit: &mut impl FnMut(&mut Self)) {
        let count = std::mem::take(&mut self.blanks);
        if count > 0 {
            // Meanwhile there may be a colour for the text behind them.
            let (text, start) = (std::mem::take(&mut self.text), std::mem::take(&mut self.start));
            let last = std::mem::take(&mut self.last);
            (0..count).for_each(|_| emit(self));
            (self.text, self.start, self.last) = (text, start, last);
        }
    }

    /// Appends characters, except those that act: U+0080 to U+009F, and where each byte is a
    /// character all that contain such a byte.
    fn characters(&mut self, text: &str, emit: &mut impl FnMut(&mut Self)) {
        let (bytes, mut begin) = (text.as_bytes(), 0);
        if self.allowed.utf8 {
            for at in memchr_iter(0xc2, bytes).filter(|at| C1.contains(&bytes[at + 1])) {
                self.text(&bytes[begin..at], emit);
                begin = at + 2;
            }
        } else {
            for (at, character) in text.char_indices() {
                let end = at + character.len_utf8();
                if bytes[at..end].iter().any(|byte| C1.contains(byte)) {
                    self.text(&bytes[begin..at], emit);
                    self.text(if character.is_control() { b"" } else { b"?" }, emit);
                    begin = end;
                }
            }
        }
        self.text(&bytes[begin..], emit);
    }

    /// Writes whole characters, or bytes that are part of none.
    fn text(&mut self, mut text: &[u8], emit: &mut impl FnMut(&mut Self)) {
        if text.is_empty() || self.on_other_screen {
            return;
        }
        self.blank_lines(emit);
        if self.returned {
            self.model();
            // It is too long for that.
            if self.returned {
                emit(self);
                self.next();
            }
        }
        while self.cells.is_some() && !text.is_empty() {
            let (part, rest) = text.split_at(whole_characters(text, MAX_CELLS));
            self.put(part);
            text = rest;
        }
        while !text.is_empty() {
            let room = MAX_LINE.saturating_sub(self.text.len());
            // A character that was cut would not be valid on either line.
            let end = whole_characters(text, room);
            self.text.extend_from_slice(&text[..end]);
            self.has_text = true;
            text = &text[end..];
            // The last piece waits for its line end.
            if !text.is_empty() {
                emit(self);
                self.next();
            }
        }
    }

    /// A line that is too long comes in pieces.
    fn cut(&mut self, emit: &mut impl FnMut(&mut Self)) {
        if self.text.len() >= MAX_LINE {
            emit(self);
            self.next();
        }
    }
}

/// How many bytes of a text are whole characters, and at most `most`.
fn whole_characters(text: &[u8], most: usize) -> usize {
    let mut end = most.min(text.len());
    while text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) && end > 0 {
        end -= 1;
    }
    end
}

#[path = "sanitize_rows.rs"]
mod rows;
use rows::Rows;

#[path = "sanitize_moves.rs"]
mod moves;

#[cfg(test)]
#[path = "sanitize_tests.rs"]
mod tests;
