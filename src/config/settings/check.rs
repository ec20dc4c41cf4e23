//! What only the Procfile can tell: are the names right, and the lists that have names in them?

use std::fmt::Display;
use std::str::FromStr;

use super::{ProcessTable, Setting, Settings, Text};
use crate::config::diagnostic::Diagnostic;
use crate::config::formation::{Formation, FormationError, parse_name, parse_names, unknown};
use crate::config::keys::{Key, Shape, Value};
use crate::config::names::Names;
use crate::config::probe::{ParseProbeError, Probe, ReadyProbe, shown};
use crate::config::problems::Problems;
use crate::config::programs;
use crate::config::scoped::{Scoped, Seconds};
use crate::config::source::Span;
use crate::config::waits;
use crate::model::{Port, ProcessColor, ProcessName, PtyChoice, Sig, quoted};
use crate::supervisor::event::{KillMode, OnExit};

/// The most names in the file times types in the Procfile, each name being compared with each type:
/// about a second.
const MOST_COMPARED: usize = 100_000_000;

/// What is wrong with a text, and what to do.
type Complaint = (String, Option<String>);

impl Settings {
    /// What is wrong with the file, for a Procfile with these types. The values of options that
    /// take one alone are the command line's to read.
    pub fn check(&self, types: &[ProcessName]) -> Vec<Diagnostic> {
        let Some(source) = &self.source else { return Vec::new() };
        let mut problems = Problems::default();
        let texts = self.options.iter().chain(self.processes.iter().flat_map(|table| &table.settings));
        let names =
            texts.flat_map(|setting| &setting.texts).map(|it| it.text.split(',').count()).sum::<usize>();
        if (names + self.processes.len()).saturating_mul(types.len()) > MOST_COMPARED {
            let message = format!("too many names and values for {} process types", types.len());
            return vec![source.error_without_text(Span::new(0..0), message)];
        }
        for Setting { key, texts } in &self.options {
            for text in texts {
                self.note(&mut problems, key.name, text, list(key, &text.text, types));
            }
        }
        for table in &self.processes {
            self.note(&mut problems, "process", &table.name, is_type(&table.name.text, types));
            for (key, text) in table.values() {
                self.note(&mut problems, key.name, text, single(key.value, &text.text, types));
            }
        }
        let mut problems = problems.finish(source);
        problems.sort_by_key(|problem| (problem.line(), problem.column()));
        problems
    }

    /// What is set and does nothing; `ports` says whether ganger gives each process its port.
    pub fn idle(&self, ports: bool) -> Vec<Diagnostic> {
        let of_ganger = |name: &str| match name {
            "PORT" if ports => {
                Some("`port` in the table of the process sets it, and `no-port` leaves PORT alone")
            }
            "PS" | "FOREMAN_WORKER_NAME" => Some("take it out"),
            _ => None,
        };
        let variables = self.processes.iter().flat_map(ProcessTable::variables);
        let Some(source) = &self.source else { return Vec::new() };
        let mut warnings = Problems::default();
        for Text { text, span } in variables.map(|variable| &variable.name) {
            if let Some(hint) = of_ganger(text) {
                let message = || format!("`{text}` has no effect here: ganger sets it for each process");
                warnings.add(*span, || self.error(*span, message()).hint(hint));
            }
        }
        for (_, span) in self.processes.iter().filter(|_| !ports).filter_map(ProcessTable::port) {
            let hint = "leave one of the two out";
            warnings.add(span, || self.error(span, "`port` has no effect with `no-port`").hint(hint));
        }
        warnings.finish(source)
    }

    fn note(&self, problems: &mut Problems, key: &str, text: &Text, result: Result<(), Complaint>) {
        let Err((message, hint)) = result else { return };
        problems.add(text.span, || {
            let is_hidden = self.is_hidden(text.span);
            let message = if is_hidden { hidden(key, &message) } else { message };
            let error = self.error(text.span, message);
            match hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        });
    }
}

impl ProcessTable {
    fn values(&self) -> impl Iterator<Item = (&'static Key, &Text)> {
        self.settings.iter().flat_map(|setting| setting.texts.iter().map(|text| (setting.key, text)))
    }
}

/// Returns the message without the value in backticks that it begins with.
fn hidden(key: &str, message: &str) -> String {
    let reason = message.rsplit_once("`: ").map_or("the value cannot be read", |(_, reason)| reason);
    format!("`{key}`: {reason}")
}

/// An item of an option for all processes.
fn list(key: &Key, text: &str, types: &[ProcessName]) -> Result<(), Complaint> {
    let known = |names: Vec<&ProcessName>| {
        let stranger = names.into_iter().find(|name| !types.contains(name));
        stranger.map_or(Ok(()), |name| Err(unknown(name, types)))
    };
    match (key.shape, key.value) {
        (Shape::Scoped, Value::Seconds) => scoped::<Seconds>(text, types),
        (Shape::Scoped, Value::Signal) => scoped::<Sig>(text, types),
        (Shape::Scoped, Value::KillMode) => scoped::<KillMode>(text, types),
        (Shape::Scoped, Value::OnExit) => scoped::<OnExit>(text, types),
        (_, Value::Wait) => waits::parse(text, types).map(drop),
        (_, Value::Counts) => Formation::parse([text])
            .and_then(|list| known(list.names().collect()))
            .map_err(|error| of_list(&error)),
        (_, Value::Types) => {
            parse_names([text]).and_then(|list| known(list.iter().collect())).map_err(|error| of_list(&error))
        }
        (_, Value::Programs) => programs::parse([text]).map(drop),
        (_, Value::Names) => Names::parse([text], types).map(drop).map_err(|error| of_list(&error)),
        _ => Ok(()),
    }
}

fn scoped<T: FromStr<Err: Display>>(text: &str, types: &[ProcessName]) -> Result<(), Complaint> {
    Scoped::<T>::parse([text], types).map(drop).map_err(|error| (error.to_string(), None))
}

/// A value in the table of a process.
fn single(value: Value, text: &str, types: &[ProcessName]) -> Result<(), Complaint> {
    match value {
        Value::Wait => probe::<Probe>(text)?.check(types),
        Value::Ready => match probe::<ReadyProbe>(text)? {
            ReadyProbe::Port => Ok(()),
            ReadyProbe::Probe(probe) => probe.check(types),
        },
        Value::Seconds => read::<Seconds>(text).map(drop),
        Value::Signal => read::<Sig>(text).map(drop),
        Value::KillMode => read::<KillMode>(text).map(drop),
        Value::OnExit => read::<OnExit>(text).map(drop),
        Value::Pty => read::<PtyChoice>(text).map(drop),
        Value::Color => read::<ProcessColor>(text).map(drop),
        Value::PinnedPort => read::<Port>(text).map(drop),
        _ => Ok(()),
    }
}

fn read<T: FromStr<Err: Display>>(text: &str) -> Result<T, Complaint> {
    text.parse::<T>().map_err(|error| (format!("`{}`: {error}", quoted(text)), None))
}

fn probe<T: FromStr<Err = ParseProbeError>>(text: &str) -> Result<T, Complaint> {
    text.parse::<T>().map_err(|error| (format!("`{}`: {error}", shown(text)), error.hint()))
}

fn is_type(text: &str, types: &[ProcessName]) -> Result<(), Complaint> {
    let name = parse_name(text, text, text).map_err(|error| of_list(&error))?;
    if types.contains(&name) { Ok(()) } else { Err(of_list(&unknown(&name, types))) }
}

fn of_list(error: &FormationError) -> Complaint {
    (error.to_string(), error.hint())
}
