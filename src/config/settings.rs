//! `ganger.toml`: options beside the Procfile, for all processes and for single ones.
//!
//! Owns what the file says, each value with its place. Reading comes in three steps, since what is
//! right depends on ever more: [`read`](Settings::read) knows the [keys](super::keys) and the types
//! of TOML, the command line's parsers know the words of each option, and
//! [`check`](Settings::check) knows the Procfile's names. Pure: whoever calls it has read the bytes.

mod check;
mod hidden;
mod read;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::keys::Key;
use super::probe::ReadyProbe;
use super::scoped::Scoped;
use super::source::{Source, Span};
use super::waits::{self, Wait};
use crate::model::{Port, ProcessColor, ProcessName};

/// What a `ganger.toml` says. The default is that of none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    source: Option<Source>,
    /// The values that no message shows.
    hidden: Vec<hidden::Hidden>,
    options: Vec<Setting>,
    processes: Vec<ProcessTable>,
}

/// A key and what it is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub key: &'static Key,
    /// Its values as the command line would have them; more than one only of an array.
    pub texts: Vec<Text>,
}

/// A text and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// `[process.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessTable {
    name: Text,
    settings: Vec<Setting>,
    variables: Vec<Variable>,
}

/// A variable of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: Text,
    /// Its value, which no message may show.
    pub value: String,
    /// The line it stands in.
    pub line: usize,
}

impl Settings {
    /// The file, if there is one.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// The options for all processes, in the order of the file.
    pub fn options(&self) -> &[Setting] {
        &self.options
    }

    /// Forgets the options for all processes that are not to be kept.
    pub fn retain(&mut self, keep: impl FnMut(&Setting) -> bool) {
        self.options.retain(keep);
    }

    /// An option for all processes.
    pub fn option(&self, name: &str) -> Option<&Setting> {
        self.options.iter().find(|setting| setting.key.name == name)
    }

    /// The tables of the processes, in the order of the file.
    pub fn processes(&self) -> &[ProcessTable] {
        &self.processes
    }

    /// What is said of one type.
    pub fn process(&self, name: &ProcessName) -> Option<&ProcessTable> {
        self.processes.iter().find(|table| table.name.text == name.as_str())
    }

    /// Returns the ports that are pinned, by type, each with its place.
    pub fn pinned_ports(&self) -> HashMap<&str, (Port, Span)> {
        self.processes.iter().filter_map(|table| Some((&*table.name.text, table.port()?))).collect()
    }

    /// The path of the file, as messages show it.
    pub fn path(&self) -> &Path {
        self.source.as_ref().map_or(Path::new(""), Source::path)
    }

    /// The line that something in the file stands in.
    pub fn line(&self, span: Span) -> usize {
        self.source.as_ref().map_or(0, |source| source.line(span.start))
    }

    /// Returns whether the text at `span` must not appear in a message.
    pub fn is_hidden(&self, span: Span) -> bool {
        self.hidden.iter().any(|it| it.span == span)
    }

    /// What the file says of an option that can differ from type to type. A table wins over a
    /// `NAME=VALUE` outside of it. What [`check`](Self::check) has complained about is left out.
    pub fn scoped<T: FromStr<Err: std::fmt::Display> + Clone>(
        &self,
        name: &str,
        types: &[ProcessName],
    ) -> Scoped<T> {
        let option = self.option(name).map(|setting| &setting.texts[..]).unwrap_or_default();
        let general = option.iter().filter_map(|it| Scoped::parse([&it.text], types).ok());
        let in_tables = self.processes.iter().filter_map(|table| {
            let text = &table.setting(name)?.texts.first()?.text;
            Some(Scoped::named(table.name.text.parse().ok()?, text.parse().ok()?))
        });
        general.chain(in_tables).fold(Scoped::default(), Scoped::and)
    }
}

impl Settings {
    /// Who waits for what, each with its place. A table wins over what is said of its type outside of
    /// it. What [`check`](Self::check) has complained about is left out.
    pub fn waits(&self, types: &[ProcessName]) -> Vec<Wait> {
        let option = self.option("wait-for").map(|setting| &setting.texts[..]).unwrap_or_default();
        let outside = option.iter().flat_map(|text| {
            let waits = waits::parse(&text.text, types).unwrap_or_default();
            waits.into_iter().map(|wait| Wait { at: Some(text.span), ..wait })
        });
        let in_tables = self.processes.iter().flat_map(|table| {
            let texts = table.setting("wait-for").map(|setting| &setting.texts[..]).unwrap_or_default();
            let wait = |text: &Text| {
                let (who, probe) = (table.name.text.parse().ok()?, text.text.parse().ok()?);
                Some(Wait { who, probe, at: Some(text.span) })
            };
            texts.iter().filter_map(wait)
        });
        waits::over(in_tables.collect(), outside.collect())
    }

    /// What says when a type is ready, where somebody said so.
    pub fn ready(&self) -> Vec<(ProcessName, ReadyProbe, Span)> {
        let of = |table: &ProcessTable| {
            Some((table.name.text.parse().ok()?, table.ready()?, table.text("ready")?.span))
        };
        self.processes.iter().filter_map(of).collect()
    }
}

impl ProcessTable {
    /// The type it is about, as it is written.
    pub fn name(&self) -> &Text {
        &self.name
    }

    /// What is set, but for variables.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The variables.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key.name == name)
    }

    fn text(&self, name: &str) -> Option<&Text> {
        self.setting(name)?.texts.first()
    }

    /// Where it runs, and where that is said.
    pub fn cwd(&self) -> Option<(PathBuf, Span)> {
        self.text("cwd").map(|it| (PathBuf::from(&it.text), it.span))
    }

    /// Returns its pinned port, and where that is written.
    pub fn port(&self) -> Option<(Port, Span)> {
        let text = self.text("port")?;
        Some((text.text.parse().ok()?, text.span))
    }

    /// The colour of what stands before its lines.
    pub fn color(&self) -> Option<ProcessColor> {
        self.text("color")?.text.parse().ok()
    }

    /// What says that it is ready.
    pub fn ready(&self) -> Option<ReadyProbe> {
        self.text("ready")?.text.parse().ok()
    }

    /// Whether its lines are hidden.
    pub fn is_muted(&self) -> Option<bool> {
        self.text("mute").map(|it| it.text == "true")
    }
}

#[cfg(test)]
mod tests;
