//! `.env` files: bytes in, assignments with their places out.
//!
//! Owns the dialect (`docs/env-files.md`): where an assignment begins and ends, what is only
//! worth a warning and what is an error. The crate dotenvy gives the values of the lines that
//! `lines` has cut; a file that is JSON is `json`'s. No I/O and no look at the process's own environment; which file wins over
//! which is the caller's business.
//!
//! The lines hold secrets: no message made here shows a value or a line, and a key only if it
//! looks like one.

// The error is made once for a file; a box would only make its fields harder to reach.
#![allow(clippy::result_large_err, reason = "one error for a whole file")]

mod blank;
mod expand;
mod json;
mod lines;
mod value;

#[cfg(test)]
mod tests;

use std::ffi::OsString;

pub use expand::Lookup;

use super::diagnostic::Diagnostic;
use super::problems::Problems;
use super::source::{Source, Span};

/// One `KEY=value` of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The name, never empty and without `=` or NUL.
    pub key: OsString,
    /// The value as a process gets it, without NUL.
    pub value: OsString,
    /// Where the key stands; in a JSON file, where the value does.
    pub span: Span,
    /// The line on which `span` begins, from 1.
    pub line: usize,
}

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvFile {
    /// In the order of the file, duplicates kept: the last one wins.
    pub assignments: Vec<Assignment>,
    /// What was skipped or dropped; at most 21, of which the last says how many more there are.
    pub warnings: Vec<Diagnostic>,
    /// The same, while the file is read.
    problems: Problems,
}

/// Reads a `.env` file.
///
/// Lines that are no assignment are skipped with a warning. A quote that is never closed or a
/// NUL is an error: what follows it cannot be told from the value. A file that begins with `{`
/// is JSON and has to be right as a whole.
///
/// With `expand`, `$NAME`, `${NAME}` and `${NAME:-default}` in values that are not in single
/// quotes (nor in JSON) are replaced: by the last assignment above, else by what `expand` knows (the files
/// before this one and the shell), else by nothing. Without it, `$` is a character like others.
pub fn parse(source: &Source, expand: Option<&Lookup<'_>>) -> Result<EnvFile, Diagnostic> {
    let mut file = match json::start(source.text()) {
        Some(start) => json::parse(source, start)?,
        None => lines::parse(source, expand)?,
    };
    file.warnings = std::mem::take(&mut file.problems).finish(source);
    Ok(file)
}

/// The most variables of a file. No system passes more to a process, and each has an overhead in memory.
const MOST_VARIABLES: usize = 100_000;

/// The most bytes of all values of a file that are generated rather than written: by replaced names, or
/// by the names of a JSON file.
const MOST_BYTES: usize = 16 * 1024 * 1024;

impl EnvFile {
    fn warn(&mut self, source: &Source, span: Span, message: impl Into<String>, hint: &str) {
        self.problems.add(span, || source.error_without_text(span, message).hint(hint));
    }

    fn add(&mut self, source: &Source, assignment: Assignment) -> Result<(), Diagnostic> {
        if self.assignments.len() == MOST_VARIABLES {
            let message = format!("more than {MOST_VARIABLES} variables");
            return Err(source
                .error_without_text(assignment.span, message)
                .hint("is this an env file? No process can receive that many"));
        }
        self.assignments.push(assignment);
        Ok(())
    }
}

/// The key as a message may show it. A line that is no assignment may be the middle of a
/// secret, so only what looks like the name of a variable is shown; a longer one is rather
/// a token.
fn shown(key: &[u8]) -> Option<&str> {
    let plausible = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(byte);
    if key.is_empty() || key.len() > 64 || !key.iter().all(plausible) {
        return None;
    }
    str::from_utf8(key).ok()
}

/// "the value of `ABC`", or "a value" where the key must not be shown.
fn of_key(article: &str, what: &str, key: &[u8]) -> String {
    match shown(key) {
        Some(key) => format!("the {what} of `{key}`"),
        None => format!("{article} {what}"),
    }
}

/// The error about a NUL in the value of `key`: neither the environment nor a command line
/// can carry one.
fn nul_in_value(source: &Source, span: Span, key: &[u8], hint: &str) -> Diagnostic {
    let message = format!("there is a NUL byte in {}", of_key("a", "value", key));
    source.error_without_text(span, message).hint(hint)
}

/// Counts lines while going forward through a file. [`Source::position`] counts from the start
/// each time, which takes seconds for a file with many assignments.
struct LineCounter<'a> {
    text: &'a [u8],
    offset: usize,
    line: usize,
}

impl<'a> LineCounter<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, offset: 0, line: 1 }
    }

    /// The line of `offset`, which must not lie before the last one asked for.
    fn line_of(&mut self, offset: usize) -> usize {
        self.line += memchr::memchr_iter(b'\n', &self.text[self.offset..offset]).count();
        self.offset = offset;
        self.line
    }
}
