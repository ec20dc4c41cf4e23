//! A file's bytes and the places in them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::diagnostic::Diagnostic;

/// A part of a [`Source`], as byte offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes `range`.
    pub fn new(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// A line and a column, both from 1. Columns count characters, not bytes; a byte that is not
/// UTF-8 counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

/// A file as it was read: the path as messages show it, and its bytes.
#[derive(Debug, Clone)]
pub struct Source {
    path: PathBuf,
    text: Vec<u8>,
    /// How many lines end before the end of each block, for callers that need many places. Counting
    /// from the start for each one takes minutes in a large file.
    line_ends: OnceLock<Vec<usize>>,
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.text == other.text
    }
}

impl Eq for Source {}

/// How many bytes are counted together.
const BLOCK: usize = 16 * 1024;

impl Source {
    /// A file at `path` (shown in messages as given) that holds `text`.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), text: text.into(), line_ends: OnceLock::new() }
    }

    /// The path as messages show it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All bytes of the file.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The bytes of `span`.
    pub fn slice(&self, span: Span) -> &[u8] {
        &self.text[span.start..span.end]
    }

    /// Where the byte at `offset` stands. An offset behind the end is the end.
    pub fn position(&self, offset: usize) -> Position {
        let before = &self.text[..offset.min(self.text.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
        Position {
            line: self.line(offset),
            column: 1 + String::from_utf8_lossy(without_bom(&before[line_start..])).chars().count(),
        }
    }

    /// Returns the line of the byte at `offset`, from 1. An offset past the end counts as the end.
    pub fn line(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        let block = offset / BLOCK;
        let before = block.checked_sub(1).map_or(0, |last| self.line_ends()[last]);
        1 + before + memchr::memchr_iter(b'\n', &self.text[block * BLOCK..offset]).count()
    }

    fn line_ends(&self) -> &[usize] {
        self.line_ends.get_or_init(|| {
            let counts = self.text.chunks(BLOCK).scan(0, |before, block| {
                *before += memchr::memchr_iter(b'\n', block).count();
                Some(*before)
            });
            counts.collect()
        })
    }

    /// Where the line that holds `offset` begins and ends, without its newline.
    pub fn line_span(&self, offset: usize) -> Span {
        let offset = offset.min(self.text.len());
        let start = memchr::memrchr(b'\n', &self.text[..offset]).map_or(0, |end| end + 1);
        let end = memchr::memchr(b'\n', &self.text[offset..]).map_or(self.text.len(), |end| offset + end);
        Span::new(start..end)
    }

    /// The whole line that holds `offset`, without its line end and without a byte order mark.
    pub fn line_at(&self, offset: usize) -> &[u8] {
        let line = without_bom(self.slice(self.line_span(offset)));
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// An error about `span`, with the line and a caret under the span.
    pub fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self, span, &message.into())
    }

    /// The same, with the line shown only up to `end`.
    pub fn error_up_to(&self, end: usize, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::up_to(self, end, span, &message.into())
    }

    /// A message about `span` that shows the place and no text of the file: for `.env` files,
    /// whose lines hold secrets.
    pub fn error_without_text(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at_place(self, span, &message.into())
    }
}

fn without_bom(line: &[u8]) -> &[u8] {
    line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::new("Procfile", "a: é b\r\nxy\n");
        let at = |offset| {
            let position = source.position(offset);
            (position.line, position.column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(6), (1, 6), "é is two bytes and one column");
        assert_eq!(at(9), (2, 1));
        assert_eq!(at(1000), (3, 1));
        assert_eq!(source.line_at(0), "a: é b".as_bytes());
        assert_eq!(source.line_at(10), b"xy");
    }

    #[test]
    fn counting_lines_in_blocks_gives_the_same_numbers() {
        let mut text = Vec::new();
        for number in 0..20_000 {
            text.extend(vec![b'x'; number % 7]);
            text.push(b'\n');
        }
        let source = Source::new("Procfile", text.as_slice());
        for offset in (0..=text.len()).step_by(331).chain([BLOCK - 1, BLOCK, BLOCK + 1, text.len()]) {
            let expected = text[..offset].split(|byte| *byte == b'\n').count();
            assert_eq!(source.line(offset), expected, "{offset}");
        }
        assert_eq!(source.line(usize::MAX), 20_001);
    }

    #[test]
    fn a_byte_order_mark_is_no_column() {
        let source = Source::new("Procfile", "\u{feff}web x\n");
        assert_eq!(source.position(3), Position { line: 1, column: 1 });
        assert_eq!(source.line_at(3), b"web x");
    }
}
