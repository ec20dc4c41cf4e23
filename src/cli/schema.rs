//! The JSON schema of `ganger.toml`, for editors: from the keys that are read and the help of the
//! command line.

use clap::CommandFactory as _;
use serde_json::{Map, Value as Json, json};

use super::Cli;
use super::layers::option;
use crate::config::keys::{Key, OPTIONS, Shape, Value};

/// The schema, in the draft that Taplo and the editors' TOML extensions read.
pub fn schema() -> Json {
    let command = Cli::command();
    let mut properties = properties(&command, OPTIONS.iter().map(|key| (key, key.shape)));
    // A process's table is about one type, so an option has one value there.
    let of_process = Key::all_of_process().map(|key| {
        let shape = if key.shape == Shape::Scoped { Shape::One } else { key.shape };
        (key, shape)
    });
    let process = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": self::properties(&command, of_process),
    });
    properties.insert(
        "process".into(),
        json!({
            "description": "What holds for one process type of the Procfile",
            "type": "object",
            "additionalProperties": false,
            "patternProperties": { "^[A-Za-z0-9_-]+$": process },
        }),
    );
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "ganger.toml",
        "description": "Options of ganger, beside the Procfile",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

fn properties(
    command: &clap::Command,
    keys: impl Iterator<Item = (&'static Key, Shape)>,
) -> Map<String, Json> {
    keys.map(|(key, shape)| (key.name.to_owned(), property(command, key, shape))).collect()
}

fn property(command: &clap::Command, key: &Key, shape: Shape) -> Json {
    let arg = option(command, key);
    let help = arg.and_then(|arg| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let about = if key.about.is_empty() { help } else { key.about.to_owned() };
    let words = match (key.value.words(), arg) {
        (words, _) if !words.is_empty() => words.into_iter().map(str::to_owned).collect(),
        (_, Some(arg)) if matches!(key.value, Value::Choice | Value::Pty) => {
            arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()
        }
        _ => Vec::new(),
    };
    let one = value(key.value, &words, shape == Shape::Scoped);
    let mut property = match shape {
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::One => one,
        Shape::List | Shape::Scoped | Shape::Named => {
            json!({ "anyOf": [one, { "type": "array", "items": one }] })
        }
        Shape::Variables => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
    };
    if let Json::Object(fields) = &mut property {
        fields.insert("description".into(), about.into());
    }
    property
}

/// A value; `words` are all it can be, if there are any. Where it `may_be_named` there are also
/// texts as `worker=30`, and lists of these.
fn value(value: Value, words: &[String], may_be_named: bool) -> Json {
    let text = match (words.is_empty(), may_be_named) {
        (false, false) => json!({ "enum": words }),
        (false, true) => json!({ "anyOf": [{ "enum": words }, { "type": "string" }] }),
        (true, _) => json!({ "type": "string" }),
    };
    let number = |least: u32, most: u32| json!({ "type": "integer", "minimum": least, "maximum": most });
    match value {
        Value::Port => json!({ "anyOf": [number(1, 65_535), { "enum": ["auto"] }] }),
        Value::Step | Value::PinnedPort => number(1, 65_535),
        Value::Signal => json!({ "anyOf": [text, number(1, 64)] }),
        Value::Seconds => {
            json!({ "anyOf": [{ "type": "number", "minimum": 0, "maximum": 86_400 }, text] })
        }
        _ => text,
    }
}
