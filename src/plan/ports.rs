//! Which port each process gets.

use std::ffi::OsStr;
use std::str::FromStr;

use crate::config::dotenv::EnvFile;
use crate::config::environment::Precedence;
use crate::config::formation::main_type;
use crate::config::source::{Source, Span};
use crate::error::Error;
use crate::model::{ParsePortError, Port, ProcessName};

/// `-p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortWish {
    /// This one.
    At(Port),
    /// The next free block.
    Auto,
}

impl FromStr for PortWish {
    type Err = ParsePortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::At) }
    }
}

/// The arithmetic: the main type gets the base, the other types base + step, base + 2 steps … in file
/// order, instance n adds n - 1.
///
/// A type keeps its port whatever else is started, so that it can be bookmarked and so that
/// a type that is started later finds it free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// The port of the main type.
    pub base: Port,
    /// The distance between two types, and the most instances of one.
    pub step: u16,
}

impl Ports {
    /// Without `--port-step`, as with `heroku local` and foreman.
    pub const STEP: u16 = 100;

    /// Each type, in file order, with the port of its first instance; `None` above 65535.
    pub fn firsts(self, types: &[ProcessName]) -> impl Iterator<Item = (&ProcessName, Option<Port>)> {
        let mut others = 0_u32;
        let main = main_type(types);
        types.iter().map(move |name| {
            let place = if Some(name) == main {
                0
            } else {
                others += 1;
                others
            };
            (name, place.checked_mul(self.step.into()).and_then(|offset| self.base.offset(offset)))
        })
    }

    /// Returns the port of instance `number` (from 1) of a type, given that of its first instance, or why it
    /// has none.
    pub fn nth(self, first: Option<Port>, name: &ProcessName, number: u16) -> Result<Port, Error> {
        if number > self.step {
            let Self { step, .. } = self;
            return Err(Error::usage(
                format!("{name}={number}: with a port for each, there can be at most {step} of one type"),
                "start fewer, or give --port-step or --no-port",
            ));
        }
        first.and_then(|first| first.offset(u32::from(number) - 1)).ok_or_else(|| {
            Error::usage(
                format!("the port of {name}.{number} would be over 65535"),
                "give a lower base with -p, or a smaller --port-step",
            )
        })
    }
}

/// The base that the surroundings say: `PORT` of the env files, a later one first, or of the
/// shell; with [`Precedence::Shell`] of the shell first. An empty one is none, and the next is
/// asked.
pub fn base(
    shell: Option<&OsStr>,
    files: &[(Source, EnvFile)],
    precedence: Precedence,
) -> Result<Port, Error> {
    let of_files = files.iter().rev().filter_map(|(source, file)| {
        let last = file.assignments.iter().rfind(|it| it.key == "PORT")?;
        Some((last.value.as_os_str(), Some((source, last.span))))
    });
    let of_shell = shell.map(|value| (value, None));
    let (first, last) = match precedence {
        Precedence::Files => (None, of_shell),
        Precedence::Shell => (of_shell, None),
    };
    let mut candidates = first.into_iter().chain(of_files).chain(last);
    let Some((value, place)) = candidates.find(|(value, _)| !value.is_empty()) else {
        return Ok(Port::DEFAULT);
    };
    value.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| bad_port(place))
}

fn bad_port(place: Option<(&Source, Span)>) -> Error {
    let hint = "a port is a whole number from 1 to 65535; -p overrides it";
    match place {
        Some((source, span)) => {
            let error = source.error_without_text(span, "the value of `PORT` is no port");
            Error::Files(vec![error.hint(hint)])
        }
        None => Error::usage("the value of `PORT` is no port (from shell)", hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::dotenv;

    fn types(names: &[&str]) -> Vec<ProcessName> {
        names.iter().map(|name| name.parse().expect("a name")).collect()
    }

    fn of(ports: Ports, types: &[ProcessName], name: &ProcessName, number: u16) -> Result<Port, Error> {
        let first = ports.firsts(types).find(|(known, _)| *known == name).and_then(|(_, port)| port);
        ports.nth(first, name, number)
    }

    #[test]
    fn the_main_type_has_the_base_and_the_others_follow_in_file_order() {
        let ports = Ports { base: Port::DEFAULT, step: 100 };
        let table = [
            (&["web", "worker", "clock"][..], [5000, 5100, 5200]),
            (&["worker", "web", "clock"], [5100, 5000, 5200]),
            (&["release", "clock", "web"], [5100, 5200, 5000]),
            (&["a", "b", "c"], [5000, 5100, 5200]),
            (&["release", "rails", "worker"], [5100, 5000, 5200]),
            (&["rails", "release", "worker"], [5000, 5100, 5200]),
            (&["Web", "release", "WEB"], [5000, 5100, 5200]),
        ];
        for (names, expected) in table {
            let types = types(names);
            let got: Vec<u16> =
                types.iter().filter_map(|name| of(ports, &types, name, 1).ok()).map(Port::get).collect();
            assert_eq!(got, expected, "{names:?}");
        }
    }

    #[test]
    fn an_instance_adds_its_number_less_one() {
        let types = types(&["web", "worker"]);
        let ports = Ports { base: Port::DEFAULT, step: 100 };
        assert_eq!(of(ports, &types, &types[1], 100).map(Port::get).ok(), Some(5199));
    }

    #[test]
    fn too_many_instances_and_too_high_ports_are_errors() {
        let types = types(&["web", "worker"]);
        let error = |base, step, name: usize, number| {
            let ports = Ports { base: Port::new(base).expect("a port"), step };
            of(ports, &types, &types[name], number).expect_err("an error").render()
        };
        insta::assert_snapshot!(error(5000, 100, 0, 101), @r"
        ganger: error: web=101: with a port for each, there can be at most 100 of one type
          hint: start fewer, or give --port-step or --no-port
        ");
        insta::assert_snapshot!(error(65_500, 100, 1, 1), @r"
        ganger: error: the port of worker.1 would be over 65535
          hint: give a lower base with -p, or a smaller --port-step
        ");
        insta::assert_snapshot!(error(65_535, 100, 0, 2), @r"
        ganger: error: the port of web.2 would be over 65535
          hint: give a lower base with -p, or a smaller --port-step
        ");
    }

    #[test]
    fn an_empty_port_is_none() {
        let files = |texts: &[&str]| -> Vec<(Source, EnvFile)> {
            let read = |text: &&str| {
                let source = Source::new(".env", *text);
                let file = dotenv::parse(&source, None).expect("a good file");
                (source, file)
            };
            texts.iter().map(read).collect()
        };
        let table = [
            (&["PORT=6000\n", "PORT=\n"][..], Some("7000"), Precedence::Files, 6000),
            (&["PORT=6000\nPORT=\n"], Some("7000"), Precedence::Files, 7000),
            (&["PORT=6000\n"], Some("7000"), Precedence::Shell, 7000),
            (&["PORT=6000\n"], Some(""), Precedence::Shell, 6000),
            (&["PORT=\n"], Some(""), Precedence::Files, 5000),
            (&[], None, Precedence::Files, 5000),
        ];
        for (texts, shell, precedence, expected) in table {
            let port = base(shell.map(OsStr::new), &files(texts), precedence).map(Port::get);
            assert_eq!(port.ok(), Some(expected), "{texts:?} {shell:?}");
        }
    }
}
