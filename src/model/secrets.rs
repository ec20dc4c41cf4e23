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

/// Returns a path for a message, with its secrets masked. After a `NAME=` or `NAME: ` everything is: someone
/// wrote a variable where a path belongs.
pub fn mask_path(path: &std::path::Path) -> String {
    let text = path.to_string_lossy();
    let mut spans = Spans::default();
    values::scan(&text, &mut spans);
    for (at, _) in text.match_indices(['=', ':']) {
        let rest = &text[at + 1..];
        let in_name = |c: &char| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_';
        let name = text[..at].chars().rev().take_while(in_name).count();
        let is_word = !text[..at - name].ends_with(|c: char| c.is_alphanumeric());
        if name > 0 && is_word && (text[at..].starts_with('=') || rest.starts_with([' ', '\t'])) {
            spans.hide(at + 1 + rest.len() - rest.trim_start().len()..text.len());
            break;
        }
    }
    spans.mask(&text).unwrap_or_else(|| text.into_owned())
}

/// Returns whether a parameter of this name, as in `?api_key=x`, is a secret.
pub fn is_secret_parameter(name: &str) -> bool {
    names::is_secret_parameter(name)
}

#[cfg(test)]
mod tests;
