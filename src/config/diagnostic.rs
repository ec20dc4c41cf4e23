//! A message that points into a file.
//!
//! It is data until somebody shows it: what is wrong, where, the line, and what to do. The
//! text it renders to is part of the interface and tested word for word.

use std::fmt;
use std::path::PathBuf;

use super::source::{Source, Span};
use crate::model::{hides, sentence, visible};

/// Something wrong at a place in a file.
///
/// ```text
/// no command for `web`
///   --> Procfile:3:1
///    |
///  3 | web:
///    | ^^^
///   hint: write the command behind the colon, as in `web: python app.py`
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    message: String,
    path: PathBuf,
    line: usize,
    column: usize,
    snippet: Option<Snippet>,
    hint: Option<String>,
}

/// The line a message is about, cut to a window around the place, and where the caret goes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Snippet {
    text: String,
    caret_column: usize,
    caret_width: usize,
}

/// Most characters of a line that a message shows.
const WINDOW: usize = 100;

impl Diagnostic {
    pub(super) fn at(source: &Source, span: Span, message: &str) -> Self {
        let mut diagnostic = Self::at_place(source, span, message);
        let text = String::from_utf8_lossy(source.line_at(span.start));
        diagnostic.snippet = Some(Snippet::new(&text, diagnostic.column - 1, width(source, span)));
        diagnostic
    }

    /// Shows the line only up to the offset `end`, which is not before the span.
    pub(super) fn up_to(source: &Source, end: usize, span: Span, message: &str) -> Self {
        let mut diagnostic = Self::at_place(source, span, message);
        let line = source.line_at(span.start);
        let start = line.as_ptr().addr() - source.text().as_ptr().addr();
        let shown = end.saturating_sub(start).min(line.len());
        let text = format!("{}…", String::from_utf8_lossy(&line[..shown]));
        let width = if span.start < end { width(source, span) } else { 1 };
        diagnostic.snippet = Some(Snippet::new(&text, diagnostic.column - 1, width));
        diagnostic
    }

    pub(super) fn at_place(source: &Source, span: Span, message: &str) -> Self {
        let position = source.position(span.start);
        Self {
            message: sentence(message),
            path: source.path().to_owned(),
            line: position.line,
            column: position.column,
            snippet: None,
            hint: None,
        }
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(sentence(&hint.into()));
        self
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line it is about, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column it is about, in characters from 1.
    pub fn column(&self) -> usize {
        self.column
    }
}

/// Returns how many characters of its first line a span covers.
fn width(source: &Source, span: Span) -> usize {
    String::from_utf8_lossy(source.slice(span)).lines().next().map_or(0, |line| line.chars().count())
}

impl Snippet {
    /// `caret` counts characters from 0. Each character that [`hides`] matches is shown as a space, so
    /// that the caret stays under its place and nothing in the file can drive the terminal.
    fn new(line: &str, caret: usize, width: usize) -> Self {
        let from = if caret < WINDOW - 20 { 0 } else { caret - 20 };
        let mut rest = line.chars().skip(from).map(|c| if hides(c) { ' ' } else { c });
        let shown: String = rest.by_ref().take(WINDOW).collect();
        let to = from + shown.chars().count();
        let mut text = String::new();
        let mut caret_column = caret.saturating_sub(from);
        if from > 0 {
            text.push('…');
            caret_column += 1;
        }
        text.push_str(&shown);
        let caret_width = width.clamp(1, (to.max(caret + 1)) - caret);
        if rest.next().is_some() {
            text.push('…');
        }
        Self { text: text.trim_end().to_owned(), caret_column, caret_width }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, path, line, column, snippet, hint } = self;
        let path = path.to_string_lossy();
        write!(f, "{message}\n  --> {}:{line}:{column}", visible(&path))?;
        if let Some(Snippet { text, caret_column, caret_width }) = snippet {
            let number = line.to_string();
            let blank = " ".repeat(number.len());
            write!(f, "\n {blank} |\n {number} | {text}\n {blank} | ")?;
            write!(f, "{}{}", " ".repeat(*caret_column), "^".repeat(*caret_width))?;
        }
        if let Some(hint) = hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_place_line_caret_and_hint() {
        let source = Source::new("app/Procfile", "# c\nweb : x\n");
        let error = source.error(Span::new(7..8), "a blank before the colon").hint("write `web: x`");
        insta::assert_snapshot!(error, @r"
        a blank before the colon
          --> app/Procfile:2:4
           |
         2 | web : x
           |    ^
          hint: write `web: x`
        ");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}X{}", "a".repeat(300), "b".repeat(300));
        let source = Source::new("Procfile", text.as_str());
        let shown = source.error(Span::new(300..301), "here").to_string();
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[4].chars().position(|c| c == '^').expect("a caret");
        assert_eq!(lines[3].chars().nth(caret), Some('X'), "{shown}");
        assert!(lines[3].chars().count() < 120, "{shown}");
    }

    #[test]
    fn hidden_characters_are_escaped_in_messages_and_blanked_in_the_line() {
        let source = Source::new("Proc\u{1b}\nfile", "we\u{1b}[31mb\t\u{202e}x\u{200b}y\u{9b}\n");
        let error = source.error(Span::new(16..17), "no `\u{9b}\n`").hint("write\u{7}\nganger: ok");
        insta::assert_snapshot!(error, @r"
        no `\u{9b}\n`
          --> Proc\u{1b}\nfile:1:13
           |
         1 | we [31mb  x y
           |             ^
          hint: write\u{7}\nganger: ok
        ");
    }

    #[test]
    fn a_line_can_be_shown_up_to_an_offset() {
        let source = Source::new("ganger.toml", "a = 1\nkey = 'hunter2' # hunter2\r\n");
        insta::assert_snapshot!(source.error_up_to(12, Span::new(6..9), "no"), @r"
        no
          --> ganger.toml:2:1
           |
         2 | key = …
           | ^^^
        ");
        insta::assert_snapshot!(source.error_up_to(12, Span::new(12..21), "no"), @r"
        no
          --> ganger.toml:2:7
           |
         2 | key = …
           |       ^
        ");
    }

    #[test]
    fn messages_have_a_maximum_length() {
        let source = Source::new("ganger.toml", "x\n");
        let long = "é".repeat(1_000_000);
        let shown = source.error(Span::new(0..1), long.as_str()).hint(long.as_str()).to_string();
        assert!(shown.chars().count() < 4500, "{}", shown.len());
    }

    #[test]
    fn a_secret_line_is_not_shown() {
        let source = Source::new(".env", "TOKEN=hunter2\n");
        let shown = source.error_without_text(Span::new(0..5), "no").to_string();
        assert_eq!(shown, "no\n  --> .env:1:1");
    }
}
