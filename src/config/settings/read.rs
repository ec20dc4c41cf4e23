//! From bytes to settings: the grammar of TOML, the keys, and the types of their values.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::hidden::{Hidden, all_of_file, is_assignment, label};
use super::{ProcessTable, Setting, Settings, Text, Variable};
use crate::config::diagnostic::Diagnostic;
use crate::config::formation::closest_by;
use crate::config::keys::{Key, OF_PROCESS, OPTIONS, Shape, Value};
use crate::config::problems::Problems;
use crate::config::source::{Source, Span};
use crate::model::{mask_text, quoted};

/// The table that the tables of processes are in.
pub(super) const PROCESS: &str = "process";

/// The most bytes of the file that can begin or end something in TOML. The parser needs a hundred
/// times as much memory for one of these as for a byte of text.
const MOST_MARKS: usize = 1_000_000;

/// The most bytes of a path (`PATH_MAX` of Linux), and of any other value.
const LONGEST_PATH: usize = 4096;
const LONGEST_TEXT: usize = 64 * 1024;

impl Settings {
    /// Reads a file. Answers what can be read of it, and everything that is wrong with it.
    pub fn read(source: Source) -> (Self, Vec<Diagnostic>) {
        let mut reader = Reader { source: &source, hidden: Vec::new(), problems: Problems::default() };
        let (options, processes) = reader.file();
        let Reader { hidden, problems, .. } = reader;
        let mut problems = problems.finish(&source);
        problems.sort_by_key(|problem| (problem.line(), problem.column()));
        (Self { source: Some(source), hidden, options, processes }, problems)
    }

    /// Returns an error about `span`. Its line is shown unless it contains something hidden.
    pub fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        let none = Source::new("", "");
        error(self.source.as_ref().unwrap_or(&none), &self.hidden, span, message.into())
    }
}

fn error(source: &Source, hidden: &[Hidden], span: Span, message: String) -> Diagnostic {
    let line = source.line_span(span.start);
    let mut end = line.end;
    for it in hidden.iter().filter(|it| it.span.start < line.end && line.start < it.span.end) {
        end = if it.is_variable { line.start } else { end.min(it.span.start) };
    }
    // A probe may contain credentials.
    let text = String::from_utf8_lossy(source.slice(Span::new(line.start..end.max(line.start))));
    let may_be_probe = ["://", "cmd:", "log:"].iter().any(|begin| text.contains(begin));
    let has_credentials = may_be_probe && mask_text(&text).is_some();
    if end == line.end && !has_credentials {
        source.error(span, message)
    } else if has_credentials || end <= line.start || end < span.start {
        source.error_without_text(span, message)
    } else {
        source.error_up_to(end, span, message)
    }
}

struct Reader<'a> {
    source: &'a Source,
    /// The values that no message shows.
    hidden: Vec<Hidden>,
    problems: Problems,
}

pub(super) type Table<'a> = DeTable<'a>;
pub(super) type Name<'a> = Spanned<DeString<'a>>;
pub(super) type Item<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn file(&mut self) -> (Vec<Setting>, Vec<ProcessTable>) {
        let source = self.source;
        let text = match std::str::from_utf8(source.text()) {
            Ok(text) => text,
            Err(error) => {
                let at = Span::new(error.valid_up_to()..error.valid_up_to() + 1);
                let problem = || source.error_without_text(at, "this is no UTF-8");
                self.problems.add(at, || problem().hint("save the file as UTF-8"));
                return (Vec::new(), Vec::new());
            }
        };
        let mut marks = text.bytes().enumerate().filter(|(_, byte)| b"\n=,.[]{}'\"".contains(byte));
        if text.len() > MOST_MARKS
            && let Some((at, _)) = marks.nth(MOST_MARKS)
        {
            let at = Span::new(at..at + 1);
            let message = format!("too many keys and values: more than {MOST_MARKS} TOML delimiters");
            let problem = || source.error_without_text(at, message);
            self.problems.add(at, || problem().hint("is this the file you meant?"));
            return (Vec::new(), Vec::new());
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            self.hidden = all_of_file(table.get_ref());
            return self.top(table.get_ref());
        }
        // What was recovered may be cut, so more complaints would be about what nobody wrote.
        for error in errors {
            let at = error.span().map_or(Span::new(0..0), span);
            self.problems.add(at, || syntax(source, text, at, &error));
        }
        let mut quiet = Self { source, hidden: Vec::new(), problems: Problems::default() };
        quiet.top(table.get_ref())
    }

    fn top(&mut self, table: &Table<'_>) -> (Vec<Setting>, Vec<ProcessTable>) {
        let (mut options, mut processes) = (Vec::new(), Vec::new());
        for (name, item) in in_order(table) {
            if name.get_ref() == PROCESS {
                processes = self.processes(name, item);
            } else if let Some(key) = Key::option(name.get_ref()) {
                options.extend(self.setting(key, key.shape, item));
            } else {
                self.unknown_option(name, item);
            }
        }
        (options, processes)
    }

    fn processes(&mut self, name: &Name<'_>, item: &Item<'_>) -> Vec<ProcessTable> {
        let hint = "write a table for each process, as in `[process.web]`";
        let DeValue::Table(tables) = item.get_ref() else {
            let message = || format!("`{PROCESS}` takes tables, and this is {}", kind(item));
            self.complain(name, || (message(), hint.to_owned()));
            return Vec::new();
        };
        let mut found = Vec::new();
        for (name, item) in in_order(tables) {
            match item.get_ref() {
                DeValue::Table(table) => found.push(self.process(name, table)),
                _ => self.complain(name, || {
                    let message = format!(
                        "`{PROCESS}` takes tables, and `{}` is {}",
                        quoted(label(name.get_ref())),
                        kind(item)
                    );
                    (message, hint.to_owned())
                }),
            }
        }
        found
    }

    fn process(&mut self, name: &Name<'_>, table: &Table<'_>) -> ProcessTable {
        let name = Text { text: name.get_ref().to_string(), span: span(name.span()) };
        let mut process = ProcessTable { name, settings: Vec::new(), variables: Vec::new() };
        for (name, item) in in_order(table) {
            let key = Key::all_of_process().find(|key| key.name == name.get_ref());
            match (key, item.get_ref()) {
                (Some(Key { shape: Shape::Variables, .. }), DeValue::Table(table)) => {
                    process.variables.extend(self.variables(table));
                }
                (Some(key), _) => {
                    // One type, so one value.
                    let shape = if key.shape == Shape::Scoped { Shape::One } else { key.shape };
                    process.settings.extend(self.setting(key, shape, item));
                }
                (None, _) => self.unknown_of_process(name),
            }
        }
        process
    }

    fn variables(&mut self, table: &Table<'_>) -> Vec<Variable> {
        let mut found = Vec::new();
        for (name, item) in in_order(table) {
            let text = name.get_ref();
            if text.is_empty() || text.contains(['=', '\0']) {
                let hint = "a name has neither `=` nor a NUL in it, and is not empty";
                self.complain(name, || ("no variable can have this name".to_owned(), hint.to_owned()));
                continue;
            }
            match item.get_ref() {
                DeValue::String(value) if value.contains('\0') => self.complain(name, || {
                    let message = format!("there is a NUL byte in the value of `{}`", quoted(label(text)));
                    (message, "take it out; no environment variable can hold it".to_owned())
                }),
                DeValue::String(value) => found.push(Variable {
                    name: Text { text: text.to_string(), span: span(name.span()) },
                    value: value.to_string(),
                    line: self.source.line(name.span().start),
                }),
                _ => self.complain(name, || {
                    let message = format!(
                        "the value of `{}` is {}, and variables are texts",
                        quoted(label(text)),
                        kind(item)
                    );
                    (message, "write the value in quotes".to_owned())
                }),
            }
        }
        found
    }

    /// A key with its value, if that has the right type.
    fn setting(&mut self, key: &'static Key, shape: Shape, item: &Item<'_>) -> Option<Setting> {
        let texts = match (shape, item.get_ref()) {
            (Shape::Flag, DeValue::Boolean(flag)) => Some(vec![flag.to_string()]),
            (Shape::List | Shape::Scoped | Shape::Named, DeValue::Array(items)) => {
                let good: Option<Vec<Text>> =
                    items.iter().map(|item| Some(text_at(item, scalar(key.value, item)?))).collect();
                // An empty list says nothing.
                return match good {
                    Some(texts) => self.bounded(key, texts),
                    None => {
                        self.wrong_type(key, shape, items.iter().find(|it| scalar(key.value, it).is_none())?)
                    }
                };
            }
            (Shape::One | Shape::List | Shape::Scoped | Shape::Named, _) => {
                scalar(key.value, item).map(|text| vec![text])
            }
            (Shape::Flag | Shape::Variables, _) => None,
        };
        match texts {
            Some(texts) => {
                let texts = texts.into_iter().map(|text| text_at(item, text)).collect();
                self.bounded(key, texts)
            }
            None => self.wrong_type(key, shape, item),
        }
    }

    /// Returns a setting, unless one of its texts is too long or looks like a mistake.
    fn bounded(&mut self, key: &'static Key, texts: Vec<Text>) -> Option<Setting> {
        let most = if key.value == Value::Path { LONGEST_PATH } else { LONGEST_TEXT };
        let long = |it: &&Text| it.text.len() > most;
        if let Some(Text { text, span }) = texts.iter().find(long) {
            let (length, name) = (text.len(), key.name);
            let problem = || {
                let message = format!("a value of `{name}` is too long: {length} bytes");
                self.source.error_without_text(*span, message).hint(format!("the limit is {most} bytes"))
            };
            self.problems.add(*span, problem);
            return None;
        }
        let is_file_list = key.name == "env" && key.value == Value::Path;
        if let Some(Text { span, .. }) = texts.iter().find(|it| is_file_list && is_assignment(&it.text)) {
            let problem = || {
                let hint = "write variables of one process under `[process.NAME.env]`, and those of all into an \
                            env file; a file with this name is written `./NAME=…`";
                let message = "`env` takes names of env files, but this looks like a variable".to_owned();
                error(self.source, &self.hidden, *span, message).hint(hint)
            };
            self.problems.add(*span, problem);
            return None;
        }
        // An empty list sets nothing.
        (!texts.is_empty()).then_some(Setting { key, texts })
    }

    fn wrong_type(&mut self, key: &Key, shape: Shape, item: &Item<'_>) -> Option<Setting> {
        let at = span(item.span());
        let problem = || {
            let message =
                format!("`{}` takes {}, and this is {}", key.name, takes(key.value, shape), kind(item));
            let hint = match (key.name, item.get_ref()) {
                ("env", DeValue::Table(_)) => {
                    "it names env files; variables of one process stand under `[process.NAME.env]`".to_owned()
                }
                // The example may be an array, which a process's table does not take.
                _ if shape == Shape::One && key.shape == Shape::Scoped => {
                    "write one value; this table is about one process".to_owned()
                }
                _ => format!("write it as in `{} = {}`", key.name, key.example),
            };
            error(self.source, &self.hidden, at, message).hint(hint)
        };
        self.problems.add(at, problem);
        None
    }

    fn unknown_option(&mut self, name: &Name<'_>, item: &Item<'_>) {
        let text = name.get_ref();
        let hint = || {
            let known = OPTIONS.iter().map(|key| key.name).chain([PROCESS]);
            if OF_PROCESS.iter().any(|key| key.name == text) {
                format!("`{text}` is for one process: write it under `[process.NAME]`")
            } else if let Some(close) = closest_by(text, known, |name| name) {
                format!("did you mean `{close}`?")
            } else if let DeValue::Table(_) = item.get_ref() {
                format!("what is for one process stands under `[process.{}]`", quoted(label(text)))
            } else {
                "the options are the long ones of `ganger start --help`, without the dashes".to_owned()
            }
        };
        self.complain(name, || (format!("there is no option `{}`", quoted(label(text))), hint()));
    }

    fn unknown_of_process(&mut self, name: &Name<'_>) {
        let text = name.get_ref();
        let hint = || {
            let names = Key::all_of_process().map(|key| key.name);
            if Key::option(text).is_some() {
                format!("`{text}` is for all processes: write it above the first `[…]`")
            } else if let Some(close) = closest_by(text, names.clone(), |name| name) {
                format!("did you mean `{close}`?")
            } else {
                let mut names: Vec<&str> = names.collect();
                names.sort_unstable();
                format!("it can have {}", names.join(", "))
            }
        };
        self.complain(name, || (format!("a process has no `{}`", quoted(label(text))), hint()));
    }

    /// Adds a problem with a key; `words` are the message and the hint.
    fn complain(&mut self, name: &Name<'_>, words: impl FnOnce() -> (String, String)) {
        let at = span(name.span());
        let problem = || {
            let (message, hint) = words();
            error(self.source, &self.hidden, at, message).hint(hint)
        };
        self.problems.add(at, problem);
    }
}

/// A table's entries as they stand in the file; TOML's own order is that of the alphabet.
fn in_order<'a, 'i>(table: &'a Table<'i>) -> Vec<(&'a Name<'i>, &'a Item<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

pub(super) fn span(range: Range<usize>) -> Span {
    Span::new(range)
}

fn text_at(item: &Item<'_>, text: String) -> Text {
    Text { text, span: span(item.span()) }
}

/// A single value as the command line would have it, if it is of a type that is read.
pub(super) fn scalar(value: Value, item: &Item<'_>) -> Option<String> {
    match item.get_ref() {
        DeValue::String(text) if value.may_be_text() => Some(text.to_string()),
        // TOML knows other bases; whatever is larger is no good number for any option.
        DeValue::Integer(number) if value.may_be_number() => Some(
            i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| number.to_string(), |number| number.to_string()),
        ),
        DeValue::Float(number) if value.may_be_number() => Some(number.as_str().to_owned()),
        _ => None,
    }
}

/// What a key takes, in words.
fn takes(value: Value, shape: Shape) -> &'static str {
    match (shape, value.may_be_number(), value.may_be_text()) {
        (Shape::Flag, ..) => "`true` or `false`",
        (Shape::Variables, ..) => "a table of variables",
        (Shape::One, true, true) => "a number or a text",
        (Shape::One, true, false) => "a number",
        (Shape::One, false, _) => "a text",
        (Shape::List | Shape::Scoped | Shape::Named, true, _) => "a number, a text or a list of these",
        (Shape::List | Shape::Scoped | Shape::Named, false, _) => "a text or a list of texts",
    }
}

/// What a value is, in words.
fn kind(item: &Item<'_>) -> &'static str {
    match item.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(true) => "`true`",
        DeValue::Boolean(false) => "`false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A syntax error. It is unknown then where variables are, so the line is shown only if neither it nor
/// anything before it, from the last `[…]` on, can be a variable.
fn syntax(source: &Source, text: &str, at: Span, error: &toml::de::Error) -> Diagnostic {
    let line = source.line_span(at.start);
    let before = &text[..line.end];
    let section = before.rfind("\n[").map_or(before, |start| &before[start..]);
    let variables = section.contains("env") && section.contains(PROCESS);
    let open = ["\"\"\"", "'''"].iter().any(|quotes| before.contains(quotes));
    let (message, hint) = match error.message() {
        "duplicate key" => {
            let key = String::from_utf8_lossy(source.slice(at));
            (format!("`{}` is set twice", quoted(label(key.trim()).trim_matches(['"', '\'']))), "remove one")
        }
        message => (
            message.lines().collect::<Vec<_>>().join("; "),
            "the file is TOML; https://toml.io has its rules",
        ),
    };
    let error = if variables || open || !is_plain(&text[line.start..line.end]) {
        source.error_without_text(at, message)
    } else {
        source.error(at, message)
    };
    error.hint(hint)
}

/// Returns whether a line, which may be malformed, sets an option that holds no secret, or is a table
/// header.
fn is_plain(line: &str) -> bool {
    let Some((name, value)) = line.split_once('=') else { return line.trim_start().starts_with('[') };
    let name = name.trim();
    let known = Key::option(name).or_else(|| Key::all_of_process().find(|key| key.name == name));
    let is_open = |key: &Key| key.name != "env" && !matches!(key.value, Value::Wait | Value::Ready);
    known.is_some_and(is_open) && !value.contains('=')
}
