//! Which values are secrets, and what is shown instead.
//!
//! A secret is known by the name of its variable or by its own form. Of a
//! value with secrets in it only these are masked, so that the host of a URL can still be read. What
//! looks like a secret and is none may be masked; the opposite must not happen for any form that is
//! listed here, so in doubt more is masked.
//!
//! Everything is one pass of hand-written scanners: a value may be megabytes long, and nothing has
//! to be compiled first.

mod names;
mod pairs;
mod spans;
mod urls;
mod values;
mod words;

use names::Kind;
use spans::Spans;

/// What is shown instead of a secret.
pub const MASK: &str = "********";

/// Returns what is shown of a variable's value; `None` if it holds no secret.
pub fn mask_variable(name: &str, value: &str) -> Option<String> {
    // The shell's working directories.
    let kind = if matches!(name, "PWD" | "OLDPWD") { Kind::Plain } else { names::kind(name) };
    let mut spans = Spans::default();
    match kind {
        _ if values::says_nothing(value) => return None,
        Kind::Secret if !words::is_path(value) => spans.hide(0..value.len()),
        Kind::Address => urls::hide_paths(value, &mut spans),
        Kind::Secret | Kind::Commit | Kind::Plain => {}
    }
    if !(kind == Kind::Commit && words::is_hex(value)) {
        values::scan(value, &mut spans);
    }
    spans.mask(value)
}

/// Returns a text (a command, the address of a probe, an option) with its secrets masked; `None` if
/// it holds none.
pub fn mask_text(text: &str) -> Option<String> {
    let mut spans = Spans::default();
    values::scan(text, &mut spans);
    spans.mask(text)
}

/// Whether a parameter of this name, as in `?api_key=x`, is a secret.
pub fn is_secret_parameter(name: &str) -> bool {
    names::is_secret_parameter(name)
}

#[cfg(test)]
mod tests;
