//! Options that hold for all processes or for one type: `--timeout 5`, `--timeout worker=30`.

use std::str::FromStr;

use super::formation::closest;
use crate::model::ProcessName;

/// A value for all types, and others for some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scoped<T> {
    general: Option<T>,
    named: Vec<(ProcessName, T)>,
}

/// Why such an option cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopedError {
    /// The value, or the name before it, cannot be read.
    #[error("`{text}`: {reason}")]
    Bad {
        /// The item as written.
        text: String,
        /// What was expected.
        reason: String,
    },
    /// A name that the Procfile does not have.
    #[error("`{text}`: no process is called `{name}`{}", .closest.as_ref().map_or(String::new(), |it| format!("; did you mean `{it}`?")))]
    Unknown {
        /// The item as written.
        text: String,
        /// The name in it.
        name: ProcessName,
        /// The type that was probably meant.
        closest: Option<ProcessName>,
    },
}

impl<T> Default for Scoped<T> {
    fn default() -> Self {
        Self { general: None, named: Vec::new() }
    }
}

impl<T: FromStr> Scoped<T>
where
    T::Err: std::fmt::Display,
{
    /// Reads the values of one option: each a comma list of `[NAME=]VALUE`. The last one for a
    /// name counts.
    pub fn parse<S: AsRef<str>>(
        texts: impl IntoIterator<Item = S>,
        types: &[ProcessName],
    ) -> Result<Self, ScopedError> {
        let mut scoped = Self::default();
        for text in texts {
            for item in text.as_ref().split(',').map(str::trim) {
                let bad = |reason: String| ScopedError::Bad { text: item.to_owned(), reason };
                let value = |text: &str| text.trim().parse::<T>().map_err(|error| bad(error.to_string()));
                match item.split_once('=') {
                    None => scoped.general = Some(value(item)?),
                    Some((name, text)) => {
                        let name: ProcessName =
                            name.trim_end().parse().map_err(|error| bad(format!("{error}")))?;
                        if !types.contains(&name) {
                            let closest = closest(name.as_str(), types).cloned();
                            return Err(ScopedError::Unknown { text: item.to_owned(), name, closest });
                        }
                        scoped.named.push((name, value(text)?));
                    }
                }
            }
        }
        Ok(scoped)
    }
}

impl<T> Scoped<T> {
    /// The same for all types.
    pub fn general(value: Option<T>) -> Self {
        Self { general: value, named: Vec::new() }
    }

    /// For one type.
    pub fn named(name: ProcessName, value: T) -> Self {
        Self { general: None, named: vec![(name, value)] }
    }

    /// Both, as if one had been written behind the other.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        self.named.extend(later.named);
        Self { general: later.general.or(self.general), named: self.named }
    }

    /// This, and what `weaker` says of those types that this says nothing of.
    #[must_use]
    pub fn over(self, weaker: Self) -> Self {
        if self.general.is_some() { self } else { weaker.and(self) }
    }
}

impl<T: Clone> Scoped<T> {
    /// The value for a type, if one was given.
    pub fn of(&self, name: &ProcessName) -> Option<T> {
        self.own(name).or_else(|| self.general.clone())
    }

    /// The value for this type alone, if one was given.
    pub fn own(&self, name: &ProcessName) -> Option<T> {
        self.named.iter().rev().find(|(named, _)| named == name).map(|(_, value)| value.clone())
    }
}

/// A time in seconds, as users write it: `10`, `0.5`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seconds(pub std::time::Duration);

/// A text that is no number of seconds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a time is a number of seconds from 0 to 86400, as in `10` or `0.5`")]
pub struct ParseSecondsError;

impl FromStr for Seconds {
    type Err = ParseSecondsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<f64>() {
            Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => {
                Ok(Self(std::time::Duration::from_secs_f64(seconds)))
            }
            _ => Err(ParseSecondsError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types() -> Vec<ProcessName> {
        ["web", "worker"].iter().map(|name| name.parse().expect("a name")).collect()
    }

    fn parse(texts: &[&str]) -> Result<Scoped<Seconds>, String> {
        Scoped::parse(texts, &types()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_beats_the_general_value_wherever_it_stands() {
        let scoped = parse(&["worker=30, 5", "worker=0.5"]).expect("good");
        let millis = |name: usize| scoped.of(&types()[name]).map(|seconds| seconds.0.as_millis());
        assert_eq!((millis(0), millis(1)), (Some(5000), Some(500)));
    }

    #[test]
    fn who_is_above_wins_for_those_it_speaks_of() {
        let table = [
            (&["5"][..], &["worker=30"][..], (Some(5), Some(5))),
            (&["web=5"], &["worker=30", "7"], (Some(5), Some(30))),
            (&["web=5"], &["web=30"], (Some(5), None)),
            (&[], &["web=30"], (Some(30), None)),
        ];
        for (above, below, expected) in table {
            let scoped = parse(above).expect("good").over(parse(below).expect("good"));
            let seconds = |name: usize| scoped.of(&types()[name]).map(|seconds| seconds.0.as_secs());
            assert_eq!((seconds(0), seconds(1)), expected, "{above:?} over {below:?}");
        }
    }

    #[test]
    fn errors_name_the_item() {
        let table = [
            ("abc", "`abc`: a time is a number of seconds from 0 to 86400, as in `10` or `0.5`"),
            ("web=-1", "`web=-1`: a time is a number of seconds from 0 to 86400, as in `10` or `0.5`"),
            ("5,wrker=2", "`wrker=2`: no process is called `wrker`; did you mean `worker`?"),
            ("css=2", "`css=2`: no process is called `css`"),
            ("a b=2", "`a b=2`: a process name has only letters, digits, `_` and `-`"),
            ("NaN", "`NaN`: a time is a number of seconds from 0 to 86400, as in `10` or `0.5`"),
        ];
        for (text, expected) in table {
            assert_eq!(parse(&[text]), Err(expected.to_owned()), "{text}");
        }
    }
}
