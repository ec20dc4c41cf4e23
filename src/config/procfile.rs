//! The Procfile: bytes in, entries with their place out.
//!
//! Owns the grammar, `name: command` one a line, and the words of its errors. It collects
//! every problem of a file, because a user who mends one line wants to know of the others.
//! It never reads a file, never looks into a command (that is the shell's language) and
//! never repairs a line: what other tools skip in silence is an error here. It shows the lines
//! it complains of, but none of an env file that was named as a Procfile.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::ffi::OsString;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;

use super::diagnostic::Diagnostic;
use super::problems::Problems;
use super::source::{Source, Span};
use crate::model::ProcessName;

/// One process type of a Procfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The process type.
    pub name: ProcessName,
    /// What the shell gets, trimmed, with continued lines joined. Never empty, never holds a
    /// NUL; bytes that are not UTF-8 are kept.
    pub command: OsString,
    /// Where the name stands.
    pub span: Span,
}

/// All process types of a file. There is at least one, and no name twice; the default is that of
/// no file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Procfile {
    /// The types in file order: ports, colours and the start follow it.
    pub entries: Vec<Entry>,
}

impl Procfile {
    /// The names in file order.
    pub fn names(&self) -> impl Iterator<Item = &ProcessName> {
        self.entries.iter().map(|entry| &entry.name)
    }
}

/// The most types of a file; only a fraction of them can run on one machine.
const MOST_TYPES: usize = 100_000;

/// The most characters of a name: with an instance number and `.log` after it, it becomes a file
/// name.
const LONGEST_NAME: usize = 200;

/// Most characters of the user's text that a message repeats outside the line with the caret.
const MAX_ECHO: usize = 60;

/// Reads a Procfile. The errors are in file order and never empty.
pub fn parse(source: &Source) -> Result<Procfile, Vec<Diagnostic>> {
    if let Some(span) = utf16(source.text()) {
        return Err(vec![source.error(span, "the file is UTF-16").hint("save it as UTF-8")]);
    }
    let mut parser = Parser::new(source);
    for line in lines(source.text()) {
        if parser.entries.len() == MOST_TYPES {
            parser.too_many(&line);
            break;
        }
        parser.line(&line);
    }
    parser.finish()
}

/// Iterates over the lines of a file. Collected, they would take a hundred times the file's memory.
fn lines(text: &[u8]) -> impl Iterator<Item = Line> {
    let mut at = if text.starts_with(BOM) { BOM.len() } else { 0 };
    std::iter::from_fn(move || {
        // Empty lines are skipped early: a file may have millions of them.
        while text.get(at) == Some(&b'\n') {
            at += 1;
        }
        if at == text.len() {
            return None;
        }
        let (line, next) = Line::read(text, at);
        at = next;
        Some(line)
    })
}

const BOM: &[u8] = "\u{feff}".as_bytes();

/// Where it shows that the text is UTF-16, as some editors on Windows save it: its byte order
/// mark, or the NUL that is half of every ASCII character.
fn utf16(text: &[u8]) -> Option<Span> {
    match text {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(Span::new(0..2)),
        [0, _, ..] => Some(Span::new(0..1)),
        [_, 0, ..] => Some(Span::new(1..2)),
        _ => None,
    }
}

/// Whether `line` is one of an env file: `KEY=value`, the key without small letters as
/// variables have them. Then all lines of the file may hold secrets.
fn is_assignment(line: &[u8]) -> bool {
    let line = trim(line);
    let line = trim(line.strip_prefix(b"export ").unwrap_or(line));
    let in_key = |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b'_';
    let key = line.iter().take_while(in_key).count();
    key > 0 && trim(&line[key..]).starts_with(b"=")
}

/// A line as the grammar sees it: continued lines are joined.
#[derive(Default)]
struct Line {
    /// The joined text, without line ends and without the backslashes that joined it.
    text: Vec<u8>,
    /// Where each piece begins: its offset in `text` and its offset in the file, both rising.
    pieces: Vec<(usize, usize)>,
}

impl Line {
    /// The line that begins at `start`, and where the next one begins.
    ///
    /// As in the shell, a comment is not continued: a backslash at its end is text.
    fn read(file: &[u8], start: usize) -> (Self, usize) {
        let mut line = Self::default();
        let mut at = start;
        let mut blank = true;
        loop {
            line.pieces.push((line.text.len(), at));
            // Not by memchr: its first search takes longer than ours (`docs/design/start.md`).
            let Some(length) = file[at..].iter().position(|byte| *byte == b'\n') else {
                // Without a line end behind it, a last backslash has nothing to remove.
                line.text.extend_from_slice(&file[at..]);
                return (line, file.len());
            };
            let piece = &file[at..at + length];
            at += length + 1;
            let piece = piece.strip_suffix(b"\r").unwrap_or(piece);
            let comment = blank && trim(piece).starts_with(b"#");
            match without_backslash(piece) {
                Some(head) if !comment => {
                    line.text.extend_from_slice(head);
                    blank = blank && trim(head).is_empty();
                }
                _ => {
                    line.text.extend_from_slice(piece);
                    return (line, at);
                }
            }
        }
    }

    /// The place in the file of a part of the joined text.
    fn span(&self, range: Range<usize>) -> Span {
        let start = self.in_file(range.start);
        let end = if range.is_empty() { start } else { self.in_file(range.end - 1) + 1 };
        Span::new(start..end)
    }

    fn in_file(&self, offset: usize) -> usize {
        let piece = self.pieces.partition_point(|(text, _)| *text <= offset) - 1;
        let (text, file) = self.pieces[piece];
        file + (offset - text)
    }
}

/// `piece` without the backslash that continues it. Of an even number of backslashes each
/// second one is quoted by the one before it, and the line ends.
fn without_backslash(piece: &[u8]) -> Option<&[u8]> {
    let count = piece.iter().rev().take_while(|byte| **byte == b'\\').count();
    (count % 2 == 1).then(|| &piece[..piece.len() - 1])
}

/// Without Unicode white space at both ends, as `heroku local` trims: a no-break space pasted
/// from a web page would be an invisible part of the program's name.
fn trim(text: &[u8]) -> &[u8] {
    let text = &text[blank_prefix(text)..];
    match text.utf8_chunks().last() {
        Some(last) if last.invalid().is_empty() => {
            let valid = last.valid();
            &text[..text.len() - (valid.len() - valid.trim_end().len())]
        }
        _ => text,
    }
}

/// How many bytes of white space `text` begins with.
fn blank_prefix(text: &[u8]) -> usize {
    let valid = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    valid.len() - valid.trim_start().len()
}

/// Text of the user as a message may repeat it: bounded, and nothing that drives a terminal.
pub(super) fn echo(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * MAX_ECHO + 4)]);
    let mut shown: String =
        text.chars().take(MAX_ECHO).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_ECHO).is_some() {
        shown.push('…');
    }
    shown
}

/// The first character of `text` in words, and its length in bytes.
fn first_character(text: &[u8]) -> (String, usize) {
    let chunk = text.utf8_chunks().next();
    match chunk.and_then(|chunk| chunk.valid().chars().next()) {
        Some(c) if c.is_whitespace() => ("a blank".to_owned(), c.len_utf8()),
        // `escape_debug` knows what cannot be seen: zero-width, direction and combining marks.
        Some(c) if c.is_ascii_graphic() || c.escape_debug().len() == 1 => (format!("`{c}`"), c.len_utf8()),
        Some(c) => (format!("U+{:04X}", u32::from(c)), c.len_utf8()),
        None => (format!("the byte 0x{:02X}", text[0]), 1),
    }
}

struct Parser<'a> {
    source: &'a Source,
    entries: Vec<Entry>,
    /// Every name seen and where it stood first, also those whose line had a problem.
    seen: HashMap<ProcessName, Span>,
    /// The type that each variable with a port is of.
    variables: HashMap<String, ProcessName>,
    problems: Problems,
    /// The file is probably an env file, so none of its text is shown. Determined at the first problem.
    secret: OnceCell<bool>,
}

impl<'a> Parser<'a> {
    fn new(source: &'a Source) -> Self {
        Self {
            source,
            entries: vec![],
            seen: HashMap::new(),
            variables: HashMap::new(),
            problems: Problems::default(),
            secret: OnceCell::new(),
        }
    }

    fn is_secret(&self) -> bool {
        *self.secret.get_or_init(|| lines(self.source.text()).any(|line| is_assignment(&line.text)))
    }

    /// Keeps a problem. The message is made only if it will be shown.
    fn problem(&mut self, span: Span, words: impl FnOnce(&Self) -> (String, String)) {
        let mut problems = std::mem::take(&mut self.problems);
        problems.add(span, || {
            let (message, hint) = words(self);
            let problem = if self.is_secret() {
                self.source.error_without_text(span, message)
            } else {
                self.source.error(span, message)
            };
            problem.hint(hint)
        });
        self.problems = problems;
    }

    fn too_many(&mut self, line: &Line) {
        self.problem(line.span(0..line.text.len().min(1)), |_| {
            let hint = "this looks like a generated file; is it the one you meant?".to_owned();
            (format!("more than {MOST_TYPES} process types"), hint)
        });
    }

    fn line(&mut self, line: &Line) {
        let text = line.text.as_slice();
        let start = blank_prefix(text);
        if start == text.len() || text[start] == b'#' {
            return;
        }
        if let Some(nul) = text.iter().position(|byte| *byte == 0) {
            return self.problem(line.span(nul..nul + 1), |_| {
                ("a NUL byte".to_owned(), "remove it: no command can hold one".to_owned())
            });
        }
        let end = start + text[start..].iter().take_while(|byte| ProcessName::allows(**byte)).count();
        let behind = end + blank_prefix(&text[end..]);
        let name: Option<ProcessName> =
            str::from_utf8(&text[start..end]).ok().and_then(|name| name.parse().ok());
        match (name, text.get(behind)) {
            (Some(name), Some(b':')) if behind == end => {
                self.entry(line, name, start..end, trim(&text[end + 1..]));
            }
            (Some(name), Some(b':')) => self.problem(line.span(end..behind), |_| {
                let hint = format!("write `{}:` without the blank", echo(name.as_str().as_bytes()));
                ("a blank before the colon".to_owned(), hint)
            }),
            (Some(name), Some(b'=')) => {
                self.equals(line.span(behind..behind + 1), &name, trim(&text[behind + 1..]));
            }
            (None, Some(b':')) if start == end => self.problem(line.span(start..start + 1), |_| {
                let hint = "write the name of the process before it, as in `web: python app.py`";
                ("no process name before the colon".to_owned(), hint.to_owned())
            }),
            _ if !text.contains(&b':') => self.no_colon(line, start),
            _ => self.bad_character(line, end),
        }
    }

    fn entry(&mut self, line: &Line, name: ProcessName, place: Range<usize>, command: &[u8]) {
        let span = line.span(place);
        if name.as_str().len() > LONGEST_NAME {
            return self.problem(span, |_| {
                let hint = format!("a name can have at most {LONGEST_NAME} characters");
                (format!("the name is too long: {} characters", name.as_str().len()), hint)
            });
        }
        match self.seen.entry(name.clone()) {
            Slot::Occupied(first) => {
                let first = *first.get();
                return self.problem(span, |parser| {
                    let line = parser.source.line(first.start);
                    let message = format!("a second `{}`", echo(name.as_str().as_bytes()));
                    let hint =
                        format!("the first is in line {line}; remove one or give it a name of its own");
                    (message, hint)
                });
            }
            Slot::Vacant(slot) => slot.insert(span),
        };
        match self.variables.entry(name.port_variable()) {
            Slot::Occupied(first) => {
                let (variable, first) = (first.key().clone(), first.get().clone());
                return self.problem(span, |parser| parser.shared_variable(&name, &first, &variable));
            }
            Slot::Vacant(slot) => drop(slot.insert(name.clone())),
        }
        if command.is_empty() {
            return self.problem(span, |_| {
                let name = echo(name.as_str().as_bytes());
                let hint = format!("write the command behind the colon, as in `{name}: python app.py`");
                (format!("no command for `{name}`"), hint)
            });
        }
        self.entries.push(Entry { name, command: OsString::from_vec(command.to_vec()), span });
    }

    /// Other processes find the port of each type in a variable, so no two types may have the same one.
    fn shared_variable(&self, name: &ProcessName, first: &ProcessName, variable: &str) -> (String, String) {
        let shown = |name: &ProcessName| echo(name.as_str().as_bytes());
        let place = self.seen.get(first).map_or(0, |span| self.source.line(span.start));
        let message = format!(
            "duplicate variable {}: `{}` and `{}`",
            echo(variable.as_bytes()),
            shown(first),
            shown(name)
        );
        let place = format!("{}:{place}", self.source.path().display());
        (message, format!("it has the port of `{}` ({place}); rename one of the two", shown(first)))
    }

    /// `web = command`, an ini file's or a `.env` file's line.
    fn equals(&mut self, span: Span, name: &ProcessName, command: &[u8]) {
        self.problem(span, |parser| {
            let command = match command {
                [] => "COMMAND".to_owned(),
                _ if parser.is_secret() => "COMMAND".to_owned(),
                command => echo(command),
            };
            let name = echo(name.as_str().as_bytes());
            let hint = format!("write `{name}: {command}` (a variable belongs in `.env`)");
            ("`=` instead of a colon".to_owned(), hint)
        });
    }

    /// Most often the author meant the line above to go on, so the hint looks there.
    fn no_colon(&mut self, line: &Line, start: usize) {
        let text = &line.text[start..];
        let word = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
        let span = line.span(start..start + word);
        self.problem(span, |parser| {
            let hint = match parser.line_above(line.pieces[0].1) {
                Some((number, above)) if above != trim(above) && trim(above).ends_with(b"\\") => {
                    format!("line {number} has a blank behind its `\\`; without the blank it goes on here")
                }
                Some((number, above)) if start > 0 && !matches!(trim(above), [] | [b'#', ..]) => {
                    format!("end line {number} with `\\` if this is the rest of its command")
                }
                _ => "a line is `name: command`, as in `web: python app.py`".to_owned(),
            };
            ("no colon in this line".to_owned(), hint)
        });
    }

    /// The number and the text of the line that ends before `start`.
    fn line_above(&self, start: usize) -> Option<(usize, &[u8])> {
        let end = start.checked_sub(1).filter(|end| self.source.text()[*end] == b'\n')?;
        Some((self.source.line(end), self.source.line_at(end)))
    }

    fn bad_character(&mut self, line: &Line, at: usize) {
        let (shown, length) = first_character(&line.text[at..]);
        self.problem(line.span(at..at + length), |_| {
            let hint = "a name has only letters, digits, `_` and `-`, and a colon behind it";
            (format!("{shown} cannot stand in a process name"), hint.to_owned())
        });
    }

    fn finish(mut self) -> Result<Procfile, Vec<Diagnostic>> {
        if self.entries.is_empty() && self.problems.is_empty() {
            self.problem(Span::new(0..0), |_| {
                let hint = "write one, as in `web: python -m http.server $PORT`";
                ("no process in this file".to_owned(), hint.to_owned())
            });
        }
        if self.problems.is_empty() {
            Ok(Procfile { entries: self.entries })
        } else {
            Err(self.problems.finish(self.source))
        }
    }
}

#[cfg(test)]
mod tests;
