//! Process types (`web`) and their instances (`web.1`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a process type: one or more of `[A-Za-z0-9_-]`.
///
/// Cloning is cheap: the text is shared.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessName(Arc<str>);

/// A text that is no process type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a process name has only letters, digits, `_` and `-`")]
pub struct ParseNameError;

impl ProcessName {
    /// The type that serves HTTP: it is the main type of an app that has it.
    pub const WEB: &'static str = "web";
    /// The type that runs once before the others, and only when asked for (Heroku's release phase).
    pub const RELEASE: &'static str = "release";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `byte` may stand in a process name.
    pub fn allows(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
    }

    /// The variable that tells the other processes this type's port: `GANGER_PROCESS_WEB_PORT`.
    pub fn port_variable(&self) -> String {
        format!("GANGER_PROCESS_{}_PORT", self.0.to_ascii_uppercase().replace('-', "_"))
    }
}

impl FromStr for ProcessName {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || !text.bytes().all(Self::allows) {
            return Err(ParseNameError);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One running (or stopped) process of a type: `web.1`. Numbers start at 1.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId {
    /// The process type.
    pub name: ProcessName,
    /// Which one of the type, from 1.
    pub number: u16,
}

/// A text that is neither a type nor an instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an instance is written NAME.NUMBER, as in web.1")]
pub struct ParseInstanceError;

impl InstanceId {
    /// The instance `number` (from 1) of the type `name`.
    pub fn new(name: ProcessName, number: u16) -> Self {
        Self { name, number }
    }
}

impl FromStr for InstanceId {
    type Err = ParseInstanceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, number) = text.rsplit_once('.').ok_or(ParseInstanceError)?;
        let name = name.parse().map_err(|_| ParseInstanceError)?;
        match number.parse() {
            Ok(number) if number > 0 => Ok(Self { name, number }),
            _ => Err(ParseInstanceError),
        }
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.number)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_letters_digits_underscore_and_dash() {
        for good in ["web", "web-api", "web_1", "10", "-", "__proto__"] {
            assert!(good.parse::<ProcessName>().is_ok(), "{good}");
        }
        for bad in ["", "web.api", "wéb", "a b", "web/api", "web:", " web"] {
            assert!(bad.parse::<ProcessName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_port_variable_is_a_shell_name() {
        let name: ProcessName = "web-api".parse().expect("a name");
        assert_eq!(name.port_variable(), "GANGER_PROCESS_WEB_API_PORT");
    }

    #[test]
    fn instances_are_read_as_they_are_written() {
        let id: InstanceId = "web-2.13".parse().expect("an instance");
        assert_eq!((id.name.as_str(), id.number, id.to_string().as_str()), ("web-2", 13, "web-2.13"));
        for bad in ["web", "web.", "web.0", "web.-1", ".1", "web.1.2", "web.x", "web.70000"] {
            assert!(bad.parse::<InstanceId>().is_err(), "{bad}");
        }
    }
}
