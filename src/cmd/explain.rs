//! Who said which option, for `ganger config --explain`.

use std::ffi::OsString;
use std::path::Path;

use super::config::{Sight, quote_for_env_file};
use crate::cli::AppArgs;
use crate::config::keys::{Key, Value};
use crate::config::settings::{ProcessTable, Setting, Text};
use crate::config::{probe, waits};
use crate::model::{ProcessName, mask_path};

/// The options that somebody gave, in lines, with a head; empty if nobody gave any. Those of a
/// process's own are of `name` alone.
pub(super) fn explain_options(
    app: &AppArgs,
    name: Option<&ProcessName>,
    show_secrets: bool,
    sight: Sight,
) -> Vec<u8> {
    let (probe, list): (Option<Masked>, Option<Masked>) =
        if show_secrets { (None, None) } else { (Some(probe::shown), Some(waits::shown)) };
    let mut rows: Vec<Row> = Vec::new();
    let mut settled: Vec<&Key> = Vec::new();
    for given in app.options.iter().filter(|given| app.options.is_above_file(given.key.name)) {
        if given.is_general() {
            settled.push(given.key);
        }
    }
    for given in app.options.iter() {
        let is_weaker = settled.contains(&given.key) && app.options.origin(given.key.name) != &given.origin;
        if !is_weaker {
            let shown = |text: &OsString| shown(given.key, &text.to_string_lossy(), list);
            let texts: Vec<String> = given.texts.iter().map(shown).collect();
            let (key, origin) = (given.key.name.to_owned(), given.origin.to_string());
            rows.push(Row { key, value: texts.join(","), origin });
        }
    }
    let table = name.and_then(|name| app.settings.process(name));
    for Setting { key, texts } in table.into_iter().flat_map(ProcessTable::settings) {
        let is_weaker = settled.contains(key) || key.name == "mute" && app.options.is_above_file("mute");
        if let (false, Some(Text { span, .. }), Some(name)) = (is_weaker, texts.first(), name) {
            let line = app.settings.line(*span);
            let origin = format!("{}:{line}", app.settings.path().display());
            let value = texts.iter().map(|text| shown(key, &text.text, probe)).collect::<Vec<_>>().join(",");
            rows.push(Row { key: format!("process.{name}.{}", key.name), value, origin });
        }
    }
    lines(&rows, sight)
}

type Masked = fn(&str) -> String;

/// Returns a value as it is shown: with `masked`, secrets in a probe or a path are masked.
fn shown(key: &Key, text: &str, masked: Option<Masked>) -> String {
    match (key.value, masked) {
        (Value::Wait | Value::Ready, Some(masked)) => masked(text),
        (Value::Path, Some(_)) => mask_path(Path::new(text)),
        _ => text.to_owned(),
    }
}

struct Row {
    key: String,
    value: String,
    origin: String,
}

fn lines(rows: &[Row], sight: Sight) -> Vec<u8> {
    let Some(width) = rows.iter().map(|row| row.key.len()).max() else { return Vec::new() };
    let mut out = b"\noptions:\n".to_vec();
    for Row { key, value, origin } in rows {
        out.extend(format!("  {key:width$}  ").into_bytes());
        out.extend(sight.of(&quote_for_env_file(value.as_bytes())));
        out.extend([b"  <- ", &sight.of(origin.as_bytes())[..], b"\n"].concat());
    }
    out
}
