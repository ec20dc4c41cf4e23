//! Errors about the values of options that are found when the command line has long been read: they
//! say where the value is from, whichever layer gave it.

use super::AppArgs;
use crate::config::keys::{Key, Shape};
use crate::config::options::Origin;
use crate::config::source::Span;
use crate::error::Error;

impl AppArgs {
    /// Returns the error about the value of an option. `text` begins with the value, or with a colon if
    /// it is about the option as such.
    pub fn refuse(&self, option: &str, text: &str, hint: Option<String>) -> Error {
        let head = match (self.options.origin(option), self.span(option, 0)) {
            (Origin::File(..), Some(span)) => {
                return self.in_file(span, text.trim_start_matches(": "), hint.as_deref());
            }
            (Origin::Variable(name), _) => name.clone(),
            (Origin::File(..) | Origin::Default | Origin::Flag, _) => written(option),
        };
        let glue = if text.starts_with(':') { "" } else { " " };
        Error::Usage { message: format!("{head}{glue}{text}"), hint }
    }

    /// Returns `error` with the place that named what it is about: the value of `option` at this index.
    /// On the command line it is in front of the user.
    pub fn place(&self, option: &str, index: usize, error: Error) -> Error {
        match (error, self.options.origin(option), self.span(option, index)) {
            (Error::Usage { message, hint }, Origin::Variable(name), _) => {
                Error::Usage { message: format!("{name}: {message}"), hint }
            }
            (Error::Usage { message, hint }, Origin::File(..), Some(span)) => {
                self.in_file(span, &message, hint.as_deref())
            }
            (error, ..) => error,
        }
    }

    /// Returns an option and its value as they were given.
    pub fn said(&self, option: &str, value: &str) -> String {
        let is_flag = Key::option(option).is_some_and(|key| key.shape == Shape::Flag);
        match (self.options.origin(option), is_flag) {
            (Origin::Variable(name), _) => format!("{name}={}", if is_flag { "1" } else { value }),
            (Origin::File(path, line), true) => format!("`{option} = true` ({}:{line})", path.display()),
            (Origin::File(path, line), false) => {
                format!("`{option} = \"{value}\"` ({}:{line})", path.display())
            }
            (Origin::Default | Origin::Flag, true) => format!("--{option}"),
            (Origin::Default | Origin::Flag, false) => format!("--{option} {value}"),
        }
    }

    /// Returns what to do about a flag: leave it out, or, if another layer gave it, take it back.
    pub fn without(&self, option: &str) -> String {
        let opposite = Key::option(option).and_then(Key::opposite);
        match (self.options.origin(option), opposite) {
            (Origin::File(..) | Origin::Variable(_), Some(opposite)) => format!("add --{opposite}"),
            _ => format!("leave {} out", written(option)),
        }
    }

    fn span(&self, option: &str, index: usize) -> Option<Span> {
        let texts = &self.settings.option(option)?.texts;
        texts.get(index).or(texts.first()).map(|text| text.span)
    }

    fn in_file(&self, span: Span, message: &str, hint: Option<&str>) -> Error {
        let error = self.settings.error(span, message);
        Error::Files(vec![match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }])
    }
}

/// Returns an option as it is mostly written.
fn written(option: &str) -> String {
    if option == "root" { "-d".to_owned() } else { format!("--{option}") }
}
