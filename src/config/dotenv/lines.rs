//! Cuts a file of `KEY=value` lines into assignments.
//!
//! Decides where each key and each value begins and ends; what the characters of a value mean
//! is `value`'s. Every byte is looked at a bounded number of times, whatever the file holds.

use std::ffi::OsString;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;

use memchr::{memchr, memchr2};

use super::expand::{Lookup, Names};
use super::value::{self, Style, Unread};
use super::{Assignment, EnvFile, LineCounter, MOST_BYTES, blank, nul_in_value, of_key, shown};
use crate::config::diagnostic::Diagnostic;
use crate::config::source::{Source, Span};

const NUL_HINT: &str = "save the file as UTF-8 text; a UTF-16 file is full of NUL bytes";

const ESCAPE: &str = "write a literal `$` as `\\$`";

pub(super) fn parse(source: &Source, expand: Option<&Lookup<'_>>) -> Result<EnvFile, Diagnostic> {
    let mut reader = Reader {
        source,
        text: source.text(),
        next_line: 0,
        counter: LineCounter::new(source.text()),
        names: expand.map(Names::new),
        file: EnvFile::default(),
    };
    while reader.next_line < reader.text.len() {
        let line = reader.next_line..reader.line_end(reader.next_line);
        reader.next_line = line.end + 1;
        reader.read(line)?;
    }
    Ok(reader.file)
}

struct Reader<'a> {
    source: &'a Source,
    text: &'a [u8],
    /// Where the next line to read begins.
    next_line: usize,
    counter: LineCounter<'a>,
    names: Option<Names<'a>>,
    file: EnvFile,
}

/// Where a value stands.
struct Found {
    style: Style,
    /// The value without its quotes and without blanks round it.
    text: Range<usize>,
    /// Behind the value and its closing quote.
    end: usize,
}

impl Reader<'_> {
    /// Reads the line `line` and, if a quote stays open on it, the lines that belong to it.
    fn read(&mut self, line: Range<usize>) -> Result<(), Diagnostic> {
        let content = blank::trim(self.text, line.clone());
        if content.is_empty() || self.text[content.start] == b'#' {
            return Ok(());
        }
        let Some(equals) = memchr(b'=', &self.text[content.clone()]) else {
            self.no_assignment(content);
            return Ok(());
        };
        let equals = content.start + equals;
        let key = self.key(content.start..equals);
        let bytes = &self.text[key.clone()];
        if bytes.contains(&0) {
            let message = "there is a NUL byte in a key";
            return Err(self.source.error_without_text(Span::new(key), message).hint(NUL_HINT));
        }
        let found = self.value(equals + 1..line.end);
        if let Some((message, hint)) = fault(bytes) {
            self.file.warn(self.source, Span::new(key), message, hint);
            // The lines of a quoted value go with their key: they may be a secret, and one
            // that looks like an assignment must not become a variable. A quote that is never
            // closed is more likely an apostrophe in a sentence.
            if let Some(found) = found {
                self.next_line = self.line_end(found.end) + 1;
            }
            return Ok(());
        }
        let Some(found) = found else {
            return Err(self.never_closed(key));
        };
        self.assign(key, &found)
    }

    fn assign(&mut self, key: Range<usize>, found: &Found) -> Result<(), Diagnostic> {
        let bytes = &self.text[key.clone()];
        let text = &self.text[found.text.clone()];
        if let Some(nul) = memchr(0, text) {
            let nul = found.text.start + nul;
            return Err(nul_in_value(self.source, Span::new(nul..nul + 1), bytes, NUL_HINT));
        }
        if found.style != Style::Bare {
            let line_end = self.line_end(found.end);
            self.next_line = line_end + 1;
            self.check_behind_quote(bytes, found.end..line_end);
        }
        let span = Span::new(key);
        let value = value::read(found.style, text, self.names.as_ref()).map_err(|error| {
            let value = of_key("a", "value", bytes);
            let (message, hint) = match error {
                Unread::Unreadable => {
                    (format!("{value} cannot be read"), "write it in single quotes".to_owned())
                }
                Unread::TooLong => (
                    format!("{value} is too long after its `$NAME`s are replaced"),
                    format!("the limit is {} KiB; {ESCAPE}", value::LONGEST >> 10),
                ),
                Unread::TooMuch => (
                    format!("{value} makes the values in this file too long in total after their `$NAME`s are replaced"),
                    format!("the limit is {} MiB in total; {ESCAPE}", MOST_BYTES >> 20),
                ),
            };
            self.source.error_without_text(span, message).hint(hint)
        })?;
        let (key, value) = (OsString::from_vec(bytes.to_vec()), OsString::from_vec(value));
        if let Some(names) = &mut self.names {
            names.define(&key, &value);
        }
        let line = self.counter.line_of(span.start);
        self.file.add(self.source, Assignment { key, value, span, line })
    }

    /// The key in what stands before the `=`: without blanks and without `export `.
    fn key(&self, before: Range<usize>) -> Range<usize> {
        let key = blank::trim(self.text, before);
        match behind_export(&self.text[key.clone()]) {
            Some(rest) => blank::trim(self.text, key.start + rest..key.end),
            None => key,
        }
    }

    /// The value in `rest`, what stands behind the `=`. `None` if it has a quote that is never
    /// closed.
    ///
    /// Only one search can go to the end of the file in vain: no value behind it can begin with
    /// that kind of quote, or the search would have met it. So many open quotes cost nothing.
    fn value(&self, rest: Range<usize>) -> Option<Found> {
        let uncommented = rest.start..self.comment(rest.clone()).unwrap_or(rest.end);
        let text = blank::trim(self.text, uncommented);
        match self.text[text.clone()].first() {
            Some(b'\'') => self.single(text.start),
            Some(b'"') => self.double(text.start, rest.end),
            _ => Some(Found { style: Style::Bare, end: text.end, text }),
        }
    }

    /// Where the comment of a value without quotes begins: at a `#` behind a blank. One at the
    /// very start (`COLOR=#fff`) or inside a word (`p#ss`) is the value's.
    fn comment(&self, rest: Range<usize>) -> Option<usize> {
        let text = &self.text[rest.clone()];
        memchr::memchr_iter(b'#', text)
            .find(|&hash| blank::at_end(&text[..hash]).is_some())
            .map(|hash| rest.start + hash)
    }

    /// The value whose opening single quote stands at `open`.
    fn single(&self, open: usize) -> Option<Found> {
        let close = open + 1 + memchr(b'\'', &self.text[open + 1..])?;
        Some(Found { style: Style::Single, text: open + 1..close, end: close + 1 })
    }

    /// The value whose opening double quote stands at `open`, on the line that ends at
    /// `line_end`.
    ///
    /// In `"C:\dir\"` the author meant the last backslash as one, or else the value would run
    /// on to a quote of some later line. So where no quote closes the value on its line, an
    /// escaped one with at most a comment behind it does.
    fn double(&self, open: usize, line_end: usize) -> Option<Found> {
        let mut close = None;
        let mut at = open + 1;
        while let Some(hit) = self.text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            let hit = at + hit;
            if hit >= line_end && close.is_some() {
                break;
            }
            if self.text[hit] == b'"' {
                close = Some(hit);
                break;
            }
            let escaped = hit + 1;
            if close.is_none()
                && escaped < line_end
                && self.text[escaped] == b'"'
                && self.only_comment(escaped + 1..line_end)
            {
                close = Some(escaped);
            }
            at = hit + 2;
        }
        close.map(|close| Found { style: Style::Double, text: open + 1..close, end: close + 1 })
    }

    /// Whether `rest` is blank but for a comment behind a blank.
    fn only_comment(&self, rest: Range<usize>) -> bool {
        let text = &self.text[rest];
        let mut at = 0;
        while let Some(length) = blank::at_start(&text[at..]) {
            at += length;
        }
        at == text.len() || (at > 0 && text[at] == b'#')
    }

    fn check_behind_quote(&mut self, key: &[u8], rest: Range<usize>) {
        let rest = blank::trim(self.text, rest);
        if !rest.is_empty() && self.text[rest.start] != b'#' {
            let message = format!("text behind {} is dropped", of_key("a", "closing quote", key));
            let hint = "put the quotes round the whole value, or a # in front of a comment";
            self.file.warn(self.source, Span::new(rest), message, hint);
        }
    }

    /// A line without `=`. `export NAME` says nothing that ganger has to do: every variable
    /// is exported.
    fn no_assignment(&mut self, content: Range<usize>) {
        let text = &self.text[content.clone()];
        if let Some(names) = behind_export(text) {
            let names = String::from_utf8_lossy(&text[names..]);
            let words = names.split(blank::is_blank).filter(|word| !word.is_empty());
            if words.take_while(|word| !word.starts_with('#')).all(|word| shown(word.as_bytes()).is_some()) {
                return;
            }
        }
        let hint = match text {
            _ if text.contains(&0) => NUL_HINT,
            _ if is_yaml(text) => "write KEY=value instead of KEY: value",
            _ => "write KEY=value, or # in front of a comment",
        };
        self.file.warn(self.source, Span::new(content), "there is no `=` on this line; it is skipped", hint);
    }

    fn never_closed(&self, key: Range<usize>) -> Diagnostic {
        let message = format!("{} is never closed", of_key("a", "quote", &self.text[key.clone()]));
        self.source
            .error_without_text(Span::new(key), message)
            .hint("write the same quote at the end of the value, or put a value with a quote in it into the other quotes")
    }

    /// The end of the line that holds `offset`, before its line feed.
    fn line_end(&self, offset: usize) -> usize {
        memchr(b'\n', &self.text[offset..]).map_or(self.text.len(), |length| offset + length)
    }
}

/// Where the text behind `export` and its blank begins.
fn behind_export(text: &[u8]) -> Option<usize> {
    let rest = text.strip_prefix(b"export")?;
    blank::at_start(rest).map(|length| b"export".len() + length)
}

/// Whether a line is `KEY: value`, as some other readers of env files take it.
fn is_yaml(text: &[u8]) -> bool {
    let end = text.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'));
    end.is_some_and(|end| end > 0 && text[end..].starts_with(b": "))
}

/// Why no variable can have the name `key`, and what to do. Other odd names are passed on.
fn fault(key: &[u8]) -> Option<(&'static str, &'static str)> {
    if key.is_empty() {
        return Some(("there is no key before the `=`; the line is skipped", "write KEY=value"));
    }
    let odd = |character| blank::is_blank(character) || matches!(character, '\'' | '"' | '#');
    String::from_utf8_lossy(key).contains(odd).then_some((
        "the key has a blank, a quote or a `#` in it; the line is skipped",
        "write KEY=value, the key without quotes, or # in front of a comment",
    ))
}
