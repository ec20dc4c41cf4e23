//! Which values are secrets, and what is shown instead.
//!
//! A secret is recognized by the name of its variable or by its own form. Within a value, only the
//! secrets are masked, so that the host of a URL can still be read. Text that merely
//! looks like a secret may be masked; the opposite must not happen for any form that is
//! listed here, so in doubt more is masked.
//!
//! Everything is one pass of hand-written scanners: a value may be megabytes long, and regular
//! expressions would have to be compiled first.

mod arguments;
mod names;
mod pairs;
mod spans;
mod urls;
mod values;
mod words;

use names::Kind;
use spans::Spans;

/// Shown in place of a secret.
pub const MASK: &str = "********";

/// Returns a variable's value with its secrets masked; `None` if it contains no secret.
pub fn mask_variable(name: &str, value: &str) -> Option<String> {
    // The shell's working directories.
    let kind = if matches!(name, "PWD" | "OLDPWD") { Kind::Plain } else { names::kind(name) };
    let mut spans = Spans::default();
    match kind {
        _ if values::says_nothing(value) => return None,
        Kind::Secret | Kind::Setting | Kind::Identifier
            if !words::is_path(value) && !names::is_harmless(kind, value) =>
        {
            spans.hide(0..value.len());
        }
        Kind::Address => urls::hide_paths(value, &mut spans),
        _ => {}
    }
    if !(kind == Kind::Commit && words::is_hex(value)) {
        values::scan(value, &mut spans);
    }
    spans.mask(value)
}

/// Returns a text (a command, the URL of a probe, an option) with its secrets masked; `None` if
/// it contains none.
pub fn mask_text(text: &str) -> Option<String> {
    let mut spans = Spans::default();
    values::scan(text, &mut spans);
    spans.mask(text)
}

/// Returns whether a parameter of this name, as in `?api_key=x`, is a secret.
pub fn is_secret_parameter(name: &str) -> bool {
    names::is_secret_parameter(name)
}

#[cfg(test)]
mod tests;
