//! The values of a `ganger.toml` that no message shows, since they are or may be secrets.
//!
//! Users who do not know the syntax write variables in many ways: under an unknown key, as a string
//! where a table belongs, as the value of another option. The output of `ganger check` is often kept
//! where others can read it. So only values known to belong to an option are shown.

use std::path::Path;

use toml::de::DeValue;

use super::read::{Item, Name, PROCESS, Table, scalar, span};
use crate::config::keys::{Key, OF_PROCESS, Shape, Value};
use crate::config::source::Span;
use crate::model::{ProcessName, mask_path};

/// A value that no message shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hidden {
    /// Where it is.
    pub(super) span: Span,
    /// It belongs to a variable, so nothing of its lines is shown. For others, the text before the value is.
    pub(super) is_variable: bool,
}

/// Returns every hidden value of the file.
pub(super) fn all_of_file(table: &Table<'_>) -> Vec<Hidden> {
    let mut finder = Finder { found: Vec::new() };
    for (name, item) in table {
        finder.name(name);
        match (name.get_ref().as_ref(), item.get_ref()) {
            (PROCESS, DeValue::Table(tables)) => finder.processes(tables),
            (name, _) => finder.of_key(Key::option(name), name, item),
        }
    }
    finder.found
}

struct Finder {
    found: Vec<Hidden>,
}

impl Finder {
    fn processes(&mut self, tables: &Table<'_>) {
        for (name, item) in tables {
            self.name(name);
            let DeValue::Table(table) = item.get_ref() else {
                self.all(item, false);
                continue;
            };
            for (name, item) in table {
                self.name(name);
                let name: &str = name.get_ref();
                let own = OF_PROCESS.iter().find(|key| key.name == name);
                let key = own.or_else(|| Key::option(name).filter(|key| key.in_process));
                self.of_key(key, name, item);
            }
        }
    }

    /// A key that contains a value: `"NAME=value" = 1`.
    fn name(&mut self, name: &Name<'_>) {
        if label(name.get_ref()).len() < name.get_ref().len() {
            self.found.push(Hidden { span: span(name.span()), is_variable: false });
        }
    }

    fn of_key(&mut self, key: Option<&Key>, name: &str, item: &Item<'_>) {
        let Some(key) = key else { return self.all(item, name == "env") };
        match (key.shape, item.get_ref()) {
            (Shape::Variables, _) => self.all(item, true),
            // Where one item is not the name of a file, the others may be no names either.
            (Shape::List, DeValue::Array(items))
                if key.name == "env" && items.iter().any(|item| !is_file_name(key, item)) =>
            {
                self.all(item, false);
            }
            (Shape::List | Shape::Scoped | Shape::Named, DeValue::Array(items)) => {
                for item in items {
                    self.of_value(key, item);
                }
            }
            _ => self.of_value(key, item),
        }
    }

    /// A single value of a known key. Numbers, dates and booleans are not secrets.
    fn of_value(&mut self, key: &Key, item: &Item<'_>) {
        let is_flag = key.shape == Shape::Flag;
        match item.get_ref() {
            DeValue::String(text)
                if !is_flag && scalar(key.value, item).is_some() && !may_be_secret(key, text) => {}
            DeValue::String(_) => self.all(item, false),
            DeValue::Array(_) | DeValue::Table(_) => self.all(item, key.name == "env"),
            _ => {}
        }
    }

    /// Every value in `item`. A table has no place of its own if it is written in several parts.
    fn all(&mut self, item: &Item<'_>, is_variable: bool) {
        match item.get_ref() {
            DeValue::Table(table) => {
                for (name, item) in table {
                    self.name(name);
                    self.all(item, is_variable || name.get_ref() == "env");
                }
            }
            DeValue::Array(items) => {
                for item in items {
                    self.all(item, is_variable);
                }
                self.found.push(Hidden { span: span(item.span()), is_variable });
            }
            _ => self.found.push(Hidden { span: span(item.span()), is_variable }),
        }
    }
}

/// Returns whether an item of `env` can be meant as the name of a file.
fn is_file_name(key: &Key, item: &Item<'_>) -> bool {
    matches!(item.get_ref(), DeValue::String(text) if !may_be_secret(key, text))
}

/// Returns whether the text of an option may contain a secret.
fn may_be_secret(key: &Key, text: &str) -> bool {
    match key.value {
        Value::Wait | Value::Ready => !is_plain_probe(text),
        _ if key.name == "env" => is_assignment(text),
        Value::Path => mask_path(Path::new(text)) != text,
        _ => {
            is_labeled(text)
                || text.split(',').any(|item| {
                    let Some((name, value)) = item.split_once('=') else { return false };
                    let is_variable =
                        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
                    let is_count = value.trim().bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                    !name.trim().is_empty() && name.trim().bytes().all(is_variable) && !is_count
                })
        }
    }
}

/// Returns whether an item in a list of paths looks like `NAME=value` or `NAME: value`.
pub(super) fn is_assignment(text: &str) -> bool {
    let has_name = |item: &str| item.split_once('=').is_some_and(|(name, _)| !name.contains('/'));
    text.split(',').any(|item| has_name(item) || is_labeled(item))
}

/// Returns whether the text looks like `NAME: value`.
fn is_labeled(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    text.split_once(':')
        .is_some_and(|(name, value)| is_name(name.trim()) && value.starts_with(|c: char| c.is_whitespace()))
}

/// Returns the part of a key that messages show: all, or what is before the value in `NAME=value` and
/// `NAME: value`.
pub(super) fn label(key: &str) -> &str {
    let end = key.find('=').or_else(|| key.find(':').filter(|_| is_labeled(key)));
    end.map_or(key, |end| &key[..end])
}

/// Returns whether it has only names, ports and a path: no `user:password@`, no `?token=`, and no
/// command, which can contain both.
fn is_plain_probe(text: &str) -> bool {
    let is_name = |name: &str| name.trim().bytes().all(ProcessName::allows);
    let text = text.split_once('=').filter(|(name, _)| is_name(name)).map_or(text, |(_, probe)| probe);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/[]".contains(&byte);
    match text.trim() {
        // What a line has to have in it.
        text if text.starts_with("log:") => !text.contains(['=', '@']),
        text => !text.contains("cmd:") && text.bytes().all(is_plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_that_can_contain_a_secret_are_not_plain() {
        for plain in [
            "tcp:5432",
            "web=db",
            "tcp:[::1]:99999",
            "web=log:db:ready (to|for)",
            "web=http://localhost:9200/health",
            "nope:x",
        ] {
            assert!(is_plain_probe(plain), "{plain}");
        }
        for other in [
            "http://u:hunter2@localhost/",
            "web=https://hunter2@localhost:1/",
            "http://localhost/?token=hunter2",
            "cmd:hunter2",
            "web=cmd:curl -u u:hunter2 localhost",
            "web=log:db:password=hunter2",
        ] {
            assert!(!is_plain_probe(other), "{other}");
        }
    }

    #[test]
    fn formations_and_paths_do_not_look_like_variables() {
        let formation = Key::option("formation").expect("a key");
        for (text, expected) in [
            ("web=2", false),
            ("WEB=2,all=1", false),
            ("API_TOKEN=hunter2", true),
            ("web,A=x", true),
            ("=x", false),
            ("API_TOKEN: hunter2", true),
        ] {
            assert_eq!(may_be_secret(formation, text), expected, "{text}");
        }
        for (text, expected) in [
            (".env", false),
            ("a.env,T=x", true),
            ("./T=x", false),
            ("dir/a=b.env", false),
            ("api_token=x", true),
            ("API_TOKEN: x", true),
            (".env, T:\tx", true),
            ("dir:x/.env", false),
            ("a b: c", false),
        ] {
            assert_eq!(is_assignment(text), expected, "{text}");
        }
    }

    #[test]
    fn paths_with_a_value_are_hidden_and_keys_are_cut() {
        let root = Key::option("root").expect("a key");
        for (text, expected) in [
            ("../shop", false),
            ("C:/shop", false),
            ("web: TOKEN=hunter2 x", true),
            ("/x?token=hunter2", true),
            ("FOO: hunter2", true),
            ("dir/FOO=hunter2", true),
        ] {
            assert_eq!(may_be_secret(root, text), expected, "{text}");
        }
        for (key, expected) in
            [("port", "port"), ("A=hunter2", "A"), ("A: hunter2", "A"), ("a:b", "a:b"), ("=hunter2", "")]
        {
            assert_eq!(label(key), expected);
        }
    }
}
