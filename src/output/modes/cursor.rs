//! Where the cursor of a process's terminal is. Pure.
//!
//! The column is that of the text since the last line end or movement. The row is as good as can be known
//! without the text of the screen: lines that were wrapped count once.

use memchr::{memchr3_iter, memrchr2};

use super::{Csi, ESC};
use crate::os::pty::Size;

/// The count of rows stops here: no terminal has more, and from then on newlines are not counted.
const MAX_ROW: usize = 10_000;

/// The longest column that is counted, in the text of one line.
const MAX_COLUMN: usize = 1 << 24;

/// A position, counted from 0. A row below the last one of the terminal is the last one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Position {
    row: usize,
    column: usize,
}

/// The cursor, and where it was saved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    at: Position,
    saved: Position,
}

impl Cursor {
    /// Returns row and column as a terminal of this size reports them, counted from 1. Text that is longer than
    /// a row continues in the next one; behind the last column the cursor stays on it until there is more text.
    pub(super) fn report(&self, size: Size) -> (usize, usize) {
        let (rows, columns) = (usize::from(size.rows.max(1)), usize::from(size.columns.max(1)));
        let Position { row, column } = self.at;
        let before = column.saturating_sub(1) / columns;
        let column = if column == 0 { 1 } else { (column - before * columns + 1).min(columns) };
        ((row.min(rows - 1) + before).min(rows - 1) + 1, column)
    }

    /// Text and control characters.
    pub(super) fn text(&mut self, text: &[u8]) {
        let mut rest = text;
        if let Some(last) = memrchr2(b'\n', b'\r', text) {
            if self.at.row < MAX_ROW {
                // VT and FF too, which move down and leave the column.
                self.down(memchr3_iter(b'\n', 0x0b, 0x0c, &text[..=last]).count());
            }
            self.at.column = 0;
            rest = &text[last + 1..];
        }
        for byte in rest {
            self.at.column = match byte {
                b'\t' => (self.at.column / 8 + 1) * 8,
                0x08 => self.at.column.saturating_sub(1),
                0x0b | 0x0c => {
                    self.down(1);
                    self.at.column
                }
                0..0x20 | 0x7f..0xc0 => self.at.column,
                // Most characters from U+3000 on are two columns wide.
                0xe3.. => self.at.column + 2,
                0x20..0x7f | 0xc0..0xe3 => self.at.column + 1,
            };
        }
        self.at.column = self.at.column.min(MAX_COLUMN);
    }

    /// A control sequence.
    pub(super) fn csi(&mut self, csi: &Csi<'_>, size: Size) {
        let moves = matches!(csi.last, b'A'..=b'H' | b'`' | b'a' | b'd'..=b'f');
        if !csi.between.is_empty() || !(moves || matches!(csi.last, b'h' | b'l' | b'r' | b's' | b'u')) {
            return;
        }
        let numbers = csi.numbers();
        let number = |at: usize| usize::from(numbers.get(at).copied().unwrap_or(0)).max(1);
        let saves = || numbers.iter().any(|mode| matches!(mode, 1048 | 1049));
        if moves {
            self.settle(size);
        }
        let Position { row, column } = &mut self.at;
        match (csi.prefix, csi.last) {
            (b"", b'A') => *row = row.saturating_sub(number(0)),
            (b"", b'B' | b'e') => *row += number(0),
            (b"", b'C' | b'a') => *column += number(0),
            (b"", b'D') => *column = column.saturating_sub(number(0)),
            (b"", b'E') => (*row, *column) = (*row + number(0), 0),
            (b"", b'F') => (*row, *column) = (row.saturating_sub(number(0)), 0),
            (b"", b'G' | b'`') => *column = number(0) - 1,
            (b"", b'H' | b'f') => (*row, *column) = (number(0) - 1, number(1) - 1),
            (b"", b'd') => *row = number(0) - 1,
            // A new scroll region.
            (b"", b'r') => self.at = Position::default(),
            (b"", b's') => self.saved = self.at,
            (b"", b'u') => self.at = self.saved,
            (b"?", b'h') if saves() => self.saved = self.at,
            (b"?", b'l') if saves() => self.at = self.saved,
            _ => {}
        }
        if moves {
            // No further than the edges.
            self.at.column = self.at.column.min(usize::from(size.columns.max(1)) - 1);
            self.settle(size);
        }
    }

    /// Any other sequence.
    pub(super) fn escape(&mut self, sequence: &[u8], size: Size) {
        match sequence {
            [ESC, b'7'] => {
                self.settle(size);
                self.saved = self.at;
            }
            [ESC, b'8'] => self.at = self.saved,
            [ESC, b'D'] => self.down(1),
            [ESC, b'E'] => {
                self.down(1);
                self.at.column = 0;
            }
            [ESC, b'M'] => {
                self.settle(size);
                self.at.row = self.at.row.saturating_sub(1);
            }
            [ESC, b'c'] => *self = Self::default(),
            _ => {}
        }
    }

    fn down(&mut self, rows: usize) {
        self.at.row = (self.at.row + rows).min(MAX_ROW);
    }

    /// The rows that were below the last one have scrolled the screen, and text behind the last column has gone
    /// on in the next row.
    fn settle(&mut self, size: Size) {
        let (row, column) = self.report(size);
        // Behind the last column is on it for every movement.
        self.at = Position { row: row - 1, column: column - 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { rows: 5, columns: 10 };

    fn report(text: &str) -> (usize, usize) {
        let mut cursor = Cursor::default();
        let mut rest = text;
        while let Some(at) = rest.find('\x1b') {
            cursor.text(&rest.as_bytes()[..at]);
            rest = &rest[at..];
            let end = match rest.strip_prefix("\x1b[") {
                Some(csi) => 3 + csi.find(|it: char| ('@'..='~').contains(&it)).expect("a final byte"),
                None => 2,
            };
            match rest[..end].strip_prefix("\x1b[") {
                Some(csi) => cursor.csi(&Csi::read(csi.as_bytes()).expect("a sequence"), SIZE),
                None => cursor.escape(&rest.as_bytes()[..end], SIZE),
            }
            rest = &rest[end..];
        }
        cursor.text(rest.as_bytes());
        cursor.report(SIZE)
    }

    #[test]
    fn the_position_is_that_of_a_terminal() {
        for (text, expected) in [
            ("", (1, 1)),
            ("abc", (1, 4)),
            ("abc\n", (2, 1)),
            ("abc\rx", (1, 2)),
            ("abc\x08x\x08\x08", (1, 2)),
            ("a\tb", (1, 10)),
            ("a\x0bb\x0cc\rd", (3, 2)),
            ("é漢", (1, 4)),
            ("\n\n\n\n\n\n\nab", (5, 3)),
            ("\n\n\n\n\n\n\n\x1b[2A", (3, 1)),
            ("0123456789", (1, 10)),
            ("0123456789a", (2, 2)),
            ("0123456789\x1b[D", (1, 9)),
            ("\x1b[3;4Hx", (3, 5)),
            ("\x1b[99;99H", (5, 10)),
            ("\x1b[3;4H\x1b[H", (1, 1)),
            ("ab\x1b[3C\x1b[B\x1b[2D", (2, 4)),
            ("ab\x1b[E\x1b[E\x1b[F", (2, 1)),
            ("ab\x1b[5G\x1b[3d", (3, 5)),
            ("ab\x1b7\ncd\x1b8", (1, 3)),
            ("ab\x1b[s\ncd\x1b[u", (1, 3)),
            ("ab\x1b[?1049h\x1b[4;4H\x1b[?1049l", (1, 3)),
            ("ab\x1bD\x1bM\x1bM", (1, 3)),
            ("ab\x1bE", (2, 1)),
            ("ab\ncd\x1bc", (1, 1)),
            ("ab\x1b[31mc\x1b[1;2r", (1, 1)),
            ("ab\x1b[?1h\x1b[>1u\x1b[4 q", (1, 3)),
        ] {
            assert_eq!(report(text), expected, "{text:?}");
        }
    }

    #[test]
    fn counts_are_bounded() {
        let mut cursor = Cursor::default();
        for _ in 0..300 {
            cursor.text(&vec![b'\n'; 100_000]);
        }
        cursor.text(&vec![b'\t'; 3_000_000]);
        assert_eq!(cursor.at, Position { row: MAX_ROW, column: MAX_COLUMN });
    }
}
