//! An env file that is one JSON object, as `heroku local` takes it.
//!
//! `{"db": {"ports": [5432, 5433]}}` gives `DB_PORTS_0` and `DB_PORTS_1`. Each object is read
//! into pieces of the file's own text ([`RawValue`]): so `1.50` and a number of thirty digits
//! stay as they are written, and each piece's address tells its place. The feature
//! `arbitrary_precision` keeps numbers too, but changes `Value` for the whole program and
//! knows no places. The messages of `serde_json` may quote the file, so none is ever shown.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;

use memchr::memchr_iter;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::{Assignment, EnvFile, LineCounter, MOST_BYTES, MOST_VARIABLES, blank, nul_in_value};
use crate::config::diagnostic::Diagnostic;
use crate::config::source::{Source, Span};

/// Deepest nesting, that of `serde_json` for its own values. Each level reads its text once more.
const MOST_LEVELS: usize = 128;

/// The most bytes to read, given that each level reads its text once more.
const MOST_READ: usize = 256 * 1024 * 1024;

/// The longest name of a variable. No process can receive a longer one.
const LONGEST_NAME: usize = 128 * 1024;

const NUL_HINT: &str = "take the \\u0000 out; no environment variable can hold it";

const HINT: &str = "a file that begins with `{` is read as JSON; mend it or write KEY=value lines";

/// Where the JSON of a file begins, if it is one.
pub(super) fn start(text: &[u8]) -> Option<usize> {
    let content = blank::trim(text, 0..text.len());
    (text.get(content.start) == Some(&b'{')).then_some(content.start)
}

/// Reads `source`, whose JSON begins at `start`.
pub(super) fn parse(source: &Source, start: usize) -> Result<EnvFile, Diagnostic> {
    let content = blank::trim(source.text(), start..source.text().len());
    let text = match str::from_utf8(&source.text()[content.clone()]) {
        Ok(text) => text,
        Err(error) => {
            let at = start + error.valid_up_to();
            let message = "the JSON has a byte that is not UTF-8";
            return Err(source
                .error_without_text(Span::new(at..at + 1), message)
                .hint("save the file as UTF-8"));
        }
    };
    let mut reader = Reader {
        source,
        text,
        start,
        counter: LineCounter::new(source.text()),
        file: EnvFile::default(),
        names_left: MOST_BYTES,
        reads_left: MOST_READ,
    };
    reader.object(None, text, 1)?;
    Ok(reader.file)
}

struct Reader<'a> {
    source: &'a Source,
    /// The JSON, a part of the file.
    text: &'a str,
    /// Where in the file it begins.
    start: usize,
    counter: LineCounter<'a>,
    file: EnvFile,
    /// How many bytes of names may still be created: each value has the names of all levels above it.
    names_left: usize,
    /// How many bytes may still be read.
    reads_left: usize,
}

/// The members of an object; for duplicate keys, the last.
struct Members<'a>(HashMap<String, &'a RawValue>);

/// The items of an array.
struct Items<'a>(Vec<&'a RawValue>);

/// Reads an object or an array, and no more members than there can be variables.
struct Bounded;

const TOO_MANY: &str = "too many";

impl<'de> Visitor<'de> for Bounded {
    type Value = (HashMap<String, &'de RawValue>, Vec<&'de RawValue>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = HashMap::new();
        while let Some((key, value)) = access.next_entry()? {
            members.insert(key, value);
            if members.len() > MOST_VARIABLES {
                return Err(A::Error::custom(TOO_MANY));
            }
        }
        Ok((members, Vec::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(value) = access.next_element()? {
            items.push(value);
            if items.len() > MOST_VARIABLES {
                return Err(A::Error::custom(TOO_MANY));
            }
        }
        Ok((HashMap::new(), items))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Bounded).map(|(members, _)| Self(members))
    }
}

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Bounded).map(|(_, items)| Self(items))
    }
}

impl<'a> Reader<'a> {
    /// Returns the members of the object `json` in the order of the file.
    fn object(&mut self, prefix: Option<&str>, json: &'a str, level: usize) -> Result<(), Diagnostic> {
        self.check_level(json, level)?;
        let Members(members) = serde_json::from_str(json).map_err(|error| self.invalid(json, &error))?;
        let mut members: Vec<_> = members.into_iter().collect();
        members.sort_unstable_by_key(|(_, value)| value.get().as_ptr());
        for (key, value) in members {
            let key = key.to_uppercase();
            let name = self.name(prefix, &key, value.get())?;
            self.value(&name, value.get(), level)?;
        }
        Ok(())
    }

    fn array(&mut self, name: &str, json: &'a str, level: usize) -> Result<(), Diagnostic> {
        self.check_level(json, level)?;
        let Items(items) = serde_json::from_str(json).map_err(|error| self.invalid(json, &error))?;
        for (index, value) in items.into_iter().enumerate() {
            let name = self.name(Some(name), &index.to_string(), value.get())?;
            self.value(&name, value.get(), level)?;
        }
        Ok(())
    }

    /// Returns the name of the member `key` of the value named `prefix`.
    fn name(&mut self, prefix: Option<&str>, key: &str, json: &str) -> Result<String, Diagnostic> {
        let length = prefix.map_or(0, |prefix| prefix.len() + 1) + key.len();
        let message = match self.names_left.checked_sub(length) {
            _ if length > LONGEST_NAME => {
                format!("the name of this value is too long: more than {} KiB", LONGEST_NAME >> 10)
            }
            None => {
                format!("the names of the values are too long in total: more than {} MiB", MOST_BYTES >> 20)
            }
            Some(left) => {
                self.names_left = left;
                return Ok(prefix.map_or_else(|| key.to_owned(), |prefix| format!("{prefix}_{key}")));
            }
        };
        Err(self.source.error_without_text(self.span(json), message).hint("list the variables one by one"))
    }

    fn value(&mut self, name: &str, json: &'a str, level: usize) -> Result<(), Diagnostic> {
        match json.as_bytes().first() {
            Some(b'{') => self.object(Some(name), json, level + 1),
            Some(b'[') => self.array(name, json, level + 1),
            Some(b'n') => Ok(()),
            Some(b'"') => {
                let text = serde_json::from_str(json).map_err(|error| self.invalid(json, &error))?;
                self.assign(name, json, text)
            }
            _ => self.assign(name, json, json.to_owned()),
        }
    }

    fn assign(&mut self, name: &str, json: &str, value: String) -> Result<(), Diagnostic> {
        let span = self.span(json);
        if name.contains('\0') {
            return Err(self.source.error_without_text(span, "there is a NUL byte in a key").hint(NUL_HINT));
        }
        if value.contains('\0') {
            return Err(nul_in_value(self.source, span, name.as_bytes(), NUL_HINT));
        }
        if name.is_empty() || name.contains('=') {
            let message = "the key of this value is empty or has a `=` in it; the value is skipped";
            self.file.warn(self.source, span, message, "no variable can have that name; rename the key");
            return Ok(());
        }
        let line = self.counter.line_of(span.start);
        let assignment = Assignment { key: OsString::from(name), value: OsString::from(value), span, line };
        self.file.add(self.source, assignment)
    }

    fn check_level(&mut self, json: &str, level: usize) -> Result<(), Diagnostic> {
        let message = match self.reads_left.checked_sub(json.len()) {
            _ if level > MOST_LEVELS => format!("the JSON is nested more than {MOST_LEVELS} levels deep"),
            None => "the JSON is too large for its nesting depth".to_owned(),
            Some(left) => {
                self.reads_left = left;
                return Ok(());
            }
        };
        Err(self.source.error_without_text(self.span(json), message).hint("list the variables one by one"))
    }

    /// The place of `json`, which is a part of `self.text`.
    fn span(&self, json: &str) -> Span {
        let start = self.start + (json.as_ptr().addr() - self.text.as_ptr().addr());
        Span::new(start..start + json.len())
    }

    /// The error for what `serde_json` found wrong in `json`, in our own words.
    fn invalid(&self, json: &str, error: &serde_json::Error) -> Diagnostic {
        let line_start = match error.line() {
            0 | 1 => 0,
            line => memchr_iter(b'\n', json.as_bytes()).nth(line - 2).map_or(0, |end| end + 1),
        };
        let at = self.span(json).start + line_start + error.column().saturating_sub(1);
        if error.classify() == Category::Data {
            let message = format!("more than {MOST_VARIABLES} values in one object or array");
            return self
                .source
                .error_without_text(Span::new(at..at), message)
                .hint("is this an env file? No process can receive that many variables");
        }
        let message = if error.is_eof() { "the JSON ends too early" } else { "this is no valid JSON" };
        self.source.error_without_text(Span::new(at..at), message).hint(HINT)
    }
}
