//! Secrets that follow their names, in URLs, connection strings, JSON, headers and commands.

use std::ops::Range;

use super::names::{Kind, is_harmless, is_secret_parameter, kind};
use super::spans::Spans;
use super::values::says_nothing;
use super::words::{self, run};

/// The separator in a list of names and values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Between {
    And,
    Semicolon,
    Comma,
    Blank,
}

/// Hides `password=x` in URLs, connection strings and commands; `"password": "x"` in JSON;
/// `Authorization: x` of HTTP.
pub(super) fn scan(text: &str, spans: &mut Spans) {
    let bytes = text.as_bytes();
    let mut quotes = Quotes::default();
    let mut at = 0;
    while at < bytes.len() {
        quotes.step(bytes, at);
        let name = if matches!(bytes[at], b'=' | b':') { name_before(text, at) } else { None };
        // The text before the colon of a URL is its scheme, its user or its host.
        let in_url = |name: &Range<usize>| {
            bytes[at] == b':' && (bytes[at + 1..].starts_with(b"//") || bytes[..name.start].ends_with(b"//"))
        };
        let is_secret = |name: &Range<usize>| !in_url(name) && is_secret_parameter(&text[name.clone()]);
        let Some(name) = name.filter(is_secret) else {
            at += 1;
            continue;
        };
        let value = value_after(text, at, &name, &mut quotes);
        let shown = &text[value.clone()];
        let is_setting = || {
            let kind = kind(&text[name.clone()]);
            matches!(kind, Kind::Setting | Kind::Identifier) && is_harmless(kind, shown)
        };
        if !says_nothing(shown) && !words::is_path(shown) && !is_setting() {
            spans.hide(value.clone());
        }
        // The value may contain another name, but it is hidden already.
        for skipped in at + 1..value.end {
            quotes.step(bytes, skipped);
        }
        at = value.end.max(at + 1);
    }
}

/// Hides the text of XML elements: `<password>x</password>`.
pub(super) fn elements(text: &str, spans: &mut Spans) {
    let mut from = 0;
    while let Some(found) = text[from..].find('<') {
        let name = from + found + 1;
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
        from = name + run(&text.as_bytes()[name..], in_name);
        if from == name || !is_secret_parameter(&text[name..from]) {
            continue;
        }
        let Some(tag) = text[from..].find('>') else { return };
        let value = from + tag + 1;
        if text[..value].ends_with("/>") {
            from = value;
            continue;
        }
        let end = text[value..].find("</").map_or(text.len(), |end| value + end);
        if !says_nothing(text[value..end].trim()) {
            spans.hide(value..end);
            from = end;
        }
    }
}

/// Returns the name before a `=` or `:`.
fn name_before(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut end = at;
    while end > 0 && bytes[end - 1] == b' ' && at - end < 8 {
        end -= 1;
    }
    while end > 0 && matches!(bytes[end - 1], b'"' | b'\'' | b'\\' | b']' | b'%') {
        end -= 1;
    }
    let in_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte) || !byte.is_ascii();
    let length = bytes[..end].iter().rev().take(128).take_while(in_name).count();
    let mut start = end - length;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    // Options: `--password=x`, `-Dpassword=x` of Java.
    let name = text[start..end].trim_start_matches('-');
    let name = if name.len() + 1 + start == end { name.strip_prefix('D').unwrap_or(name) } else { name };
    (!name.is_empty()).then(|| end - name.len()..end)
}

fn value_after(text: &str, at: usize, name: &Range<usize>, quotes: &mut Quotes) -> Range<usize> {
    let bytes = text.as_bytes();
    let mut start = at + 1;
    // `'password' => 'x'` of PHP and Ruby, `password := "x"`.
    start += usize::from(matches!((bytes[at], bytes.get(start)), (b'=', Some(b'>')) | (b':', Some(b'='))));
    start += run(&bytes[start..], |byte| byte == b' ' || byte == b'\t');
    let escapes = run(&bytes[start..], |byte| byte == b'\\');
    match bytes.get(start + escapes) {
        Some(quote @ (b'"' | b'\'' | b'`')) => {
            let inside = start + escapes + 1;
            let mut end = inside;
            let closed = loop {
                let Some(found) = memchr::memchr(*quote, &bytes[end..]) else { break bytes.len() };
                let before =
                    bytes[inside..end + found].iter().rev().take_while(|byte| **byte == b'\\').count();
                if before == escapes || escapes == 0 && before.is_multiple_of(2) {
                    break end + found - escapes.min(before);
                }
                end += found + 1;
            };
            return inside..closed;
        }
        Some(open @ (b'[' | b'{')) if bytes[at] == b':' => {
            return start + 1..closing(bytes, start, *open);
        }
        _ => {}
    }
    let blanks = bytes[..name.start]
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_whitespace() || **byte == b'-')
        .count();
    let before = (name.start - blanks).checked_sub(1).map(|before| bytes[before]);
    let limit = quotes.limit(bytes, at);
    let is_header = bytes[at] == b':';
    let between = match before {
        Some(b'?' | b'&' | b'#') => Between::And,
        Some(b';') => Between::Semicolon,
        Some(b',' | b'{' | b'(' | b'[') => Between::Comma,
        None if has_next(bytes, start, b';') => Between::Semicolon,
        Some(b'"' | b'\'') if is_header && bytes[at - 1] == before.unwrap_or_default() => Between::Comma,
        _ => Between::Blank,
    };
    let ends = |end: usize| match between {
        Between::And => bytes[end].is_ascii_whitespace() || bytes[end] == b'&' && is_next(bytes, end),
        Between::Semicolon => bytes[end] == b'\n' || bytes[end] == b';' && is_next(bytes, end),
        Between::Comma if is_header => matches!(bytes[end], b',' | b'}' | b']' | b'\n'),
        Between::Comma => bytes[end] == b'\n' || bytes[end] == b',' && is_next(bytes, end),
        Between::Blank if is_header => bytes[end] == b'\n',
        Between::Blank => bytes[end].is_ascii_whitespace(),
    };
    let end = (start..limit).find(|end| ends(*end)).unwrap_or(limit);
    start..end.max(start)
}

/// Returns whether the separator is followed by another name, or by nothing.
fn is_next(bytes: &[u8], mark: usize) -> bool {
    let rest = &bytes[mark + 1..];
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.- []".contains(&byte);
    let name = run(&rest[..rest.len().min(128)], in_name);
    rest.trim_ascii().is_empty() || name > 0 && rest.get(name) == Some(&b'=')
}

/// Returns whether such a separator, followed by a name, is somewhere in the rest of the line.
fn has_next(bytes: &[u8], from: usize, mark: u8) -> bool {
    memchr::memchr_iter(mark, &bytes[from..]).any(|found| is_next(bytes, from + found))
}

/// Returns where the bracket that is opened here is closed.
fn closing(bytes: &[u8], start: usize, open: u8) -> usize {
    let close = if open == b'[' { b']' } else { b'}' };
    let (mut depth, mut in_text, mut at) = (0, false, start);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => in_text = !in_text,
            byte if byte == open && !in_text => depth += 1,
            byte if byte == close && !in_text => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Which quote is open while a text is read, byte by byte.
#[derive(Default)]
struct Quotes {
    open: Option<u8>,
    escaped: bool,
    /// Where the open quote is closed, once it was searched for.
    closed: Option<usize>,
}

impl Quotes {
    fn step(&mut self, bytes: &[u8], at: usize) {
        let byte = bytes[at];
        if std::mem::take(&mut self.escaped) {
            return;
        }
        match (byte, self.open) {
            (b'\\', _) => self.escaped = true,
            // A quote after a letter is an apostrophe.
            (b'"' | b'\'', None) if at == 0 || !bytes[at - 1].is_ascii_alphanumeric() => {
                self.open = Some(byte);
            }
            (_, Some(quote)) if byte == quote => (self.open, self.closed) = (None, None),
            _ => {}
        }
    }

    /// Returns where a value that begins here must end: at the open quote, or at the end of the text.
    fn limit(&mut self, bytes: &[u8], at: usize) -> usize {
        let Some(quote) = self.open else { return bytes.len() };
        let is_escaped =
            |found: usize| bytes[..found].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
        let next = || {
            let mut found = memchr::memchr_iter(quote, &bytes[at..]).map(|found| at + found);
            found.find(|found| !is_escaped(*found)).unwrap_or(bytes.len())
        };
        let closed = self.closed.filter(|closed| *closed >= at).unwrap_or_else(next);
        self.closed = Some(closed);
        closed
    }
}
