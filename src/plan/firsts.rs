//! The ports of an app's types: those of their places in the Procfile, and those that `ganger.toml` pins.

use std::collections::HashMap;

use super::Ports;
use crate::config::formation::{Selection, count_of, main_type};
use crate::config::settings::Settings;
use crate::config::source::Span;
use crate::error::Error;
use crate::model::{InstanceId, Port, ProcessName};

/// The ports of the first instances of all types.
#[derive(Debug)]
pub(super) struct FirstPorts<'a> {
    /// `None` with `--no-port`.
    ports: Option<Ports>,
    types: &'a [ProcessName],
    main: Option<&'a ProcessName>,
    settings: &'a Settings,
    pinned: HashMap<&'a str, (Port, Span)>,
    firsts: HashMap<&'a ProcessName, Option<Port>>,
}

/// Where a process is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    /// Its port, unless it has none.
    pub(super) port: Option<Port>,
    /// Whether `ganger.toml` says which.
    pub(super) is_pinned: bool,
    /// Whether it is of the main type.
    pub(super) is_main: bool,
}

impl<'a> FirstPorts<'a> {
    pub(super) fn of(ports: Option<Ports>, types: &'a [ProcessName], settings: &'a Settings) -> Self {
        let pinned = if ports.is_some() { settings.pinned_ports() } else { HashMap::new() };
        let by_place = ports.iter().flat_map(|ports| ports.firsts(types));
        let firsts = by_place.map(|(name, port)| {
            let pin = pinned.get(name.as_str()).map(|(port, _)| *port);
            (name, pin.or(port))
        });
        let firsts = firsts.collect();
        Self { ports, types, main: main_type(types), settings, pinned, firsts }
    }

    /// Returns each type that has a port, in file order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'a ProcessName, Port)> {
        self.types.iter().filter_map(|name| Some((name, self.first(name)?)))
    }

    fn first(&self, name: &ProcessName) -> Option<Port> {
        self.firsts.get(name).copied().flatten()
    }

    pub(super) fn at(&self, id: &InstanceId) -> Result<Address, Error> {
        let InstanceId { name, number } = id;
        let port = |ports: Ports| {
            ports.nth(self.first(name), name, *number).map_err(|error| match self.pinned.get(name.as_str()) {
                Some((_, span)) if *number <= ports.step => {
                    let message = format!("the port of {id} would be over 65535");
                    Error::Files(vec![self.settings.error(*span, message).hint("pin a lower port")])
                }
                _ => error,
            })
        };
        Ok(Address {
            port: self.ports.map(port).transpose()?,
            is_pinned: self.pinned.contains_key(name.as_str()),
            is_main: self.main == Some(name),
        })
    }

    /// Fails if two types have the same port, or two of these processes.
    pub(super) fn check<'b>(
        &self,
        started: impl Iterator<Item = (Option<Port>, &'b InstanceId)>,
    ) -> Result<(), Error> {
        if self.pinned.is_empty() {
            return Ok(());
        }
        let firsts = self.all().map(|(name, port)| (port, InstanceId::new(name.clone(), 1)));
        let started = started.filter_map(|(port, id)| Some((port?, id.clone())));
        let mut owners: HashMap<Port, InstanceId> = HashMap::new();
        for (port, id) in firsts.chain(started) {
            if let Some(other) = owners.insert(port, id.clone()).filter(|other| *other != id) {
                return Err(self.duplicate(port, &other, &id));
            }
        }
        Ok(())
    }

    /// Fails if the port of `id` is that of another type's process, of those that `selection` starts.
    pub(super) fn check_one(
        &self,
        port: Option<Port>,
        id: &InstanceId,
        selection: &Selection,
    ) -> Result<(), Error> {
        let Some(port) = port.filter(|_| !self.pinned.is_empty()) else { return Ok(()) };
        for (name, first) in self.all().filter(|(name, _)| **name != id.name) {
            let count = count_of(name, selection).max(1);
            if let Some(place) = port.get().checked_sub(first.get()).filter(|place| *place < count) {
                return Err(self.duplicate(port, &InstanceId::new(name.clone(), place + 1), id));
            }
        }
        Ok(())
    }

    fn duplicate(&self, port: Port, first: &InstanceId, second: &InstanceId) -> Error {
        let pin = |id: &InstanceId| self.pinned.get(id.name.as_str()).map(|(_, span)| *span);
        let (at, other) = match (pin(second), pin(first)) {
            (Some(at), other) => (at, other.map(|other| (first, other))),
            // Ports of places do not collide.
            (None, at) => (at.unwrap_or(Span::new(0..0)), None),
        };
        let hint = match other {
            Some((id, at)) => format!(
                "the port of `{}` is pinned at {}:{}; pin another port for one of them",
                id.name,
                self.settings.path().display(),
                self.settings.line(at)
            ),
            None => "pin another port, or move those that are not pinned with -p or --port-step".to_owned(),
        };
        let message = format!("duplicate port: {first} and {second} would both have port {port}");
        Error::Files(vec![self.settings.error(at, message).hint(hint)])
    }
}

/// What to do about a process that listens on `port`, which is not its own.
pub fn pin_hint(id: &InstanceId, port: Port, is_main: bool) -> String {
    let InstanceId { name, number } = id;
    if *number > 1 {
        // A program that ignores PORT listens on the same port in each instance: that of the first says nothing.
        return format!(
            "each instance of `{name}` needs a port of its own: its command has to listen on $PORT"
        );
    }
    let base = if is_main { format!(", or start with -p {port}") } else { String::new() };
    format!("write `port = {port}` under `[process.{name}]` in ganger.toml{base}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_port_of_a_first_instance_is_one_to_pin() {
        let hint = |number| {
            let id = InstanceId::new("web".parse().expect("a name"), number);
            pin_hint(&id, Port::new(3000).expect("a port"), true)
        };
        assert!(hint(1).starts_with("write `port = 3000` under `[process.web]`"), "{}", hint(1));
        assert!(hint(1).ends_with("or start with -p 3000"), "{}", hint(1));
        assert!(hint(2).ends_with("its command has to listen on $PORT"), "{}", hint(2));
    }
}
