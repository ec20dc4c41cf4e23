//! Lists of types and instances: `--mute web,worker.2`.
//!
//! Pure: it knows the names of the Procfile's types, and not how many of each run.

use super::formation::{FormationError, parse_name, unknown};
use crate::model::{InstanceId, ProcessName};

/// Types, which are all their instances, and single instances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    types: Vec<ProcessName>,
    instances: Vec<InstanceId>,
    all: bool,
}

impl Names {
    /// Reads the values of one option: each is a comma list, and together they are one. A type
    /// has to be one of `types`; an instance of it may be one that does not run, so that the
    /// list holds for any number of them.
    pub fn parse<S: AsRef<str>>(
        texts: impl IntoIterator<Item = S>,
        types: &[ProcessName],
    ) -> Result<Self, FormationError> {
        let mut names = Self::default();
        for text in texts {
            for item in text.as_ref().split(',').map(str::trim) {
                let (name, instance) = match parse_name(item, item, text.as_ref()) {
                    Ok(name) => (name, None),
                    Err(FormationError::Instance(id)) => (id.name.clone(), Some(id)),
                    Err(error) => return Err(error),
                };
                if !types.contains(&name) {
                    return Err(unknown(&name, types));
                }
                match instance {
                    Some(id) => names.instances.push(id),
                    None => names.types.push(name),
                }
            }
        }
        Ok(names)
    }

    /// A list that has everything, also types that come later.
    pub fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// The types it names.
    pub fn types(&self) -> &[ProcessName] {
        &self.types
    }

    /// The single instances it names.
    pub fn instances(&self) -> &[InstanceId] {
        &self.instances
    }

    /// Adds a type.
    pub fn add(&mut self, name: &ProcessName) {
        self.types.push(name.clone());
    }

    /// Takes a type out, and its instances.
    pub fn remove(&mut self, name: &ProcessName) {
        self.types.retain(|known| known != name);
        self.instances.retain(|known| known.name != *name);
    }

    /// Whether the list has this instance, or its type.
    pub fn contains(&self, id: &InstanceId) -> bool {
        self.all || self.types.contains(&id.name) || self.instances.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<Names, FormationError> {
        let types = ["web", "worker"].map(|name| name.parse().expect("a name"));
        Names::parse(texts, &types)
    }

    #[test]
    fn a_type_is_all_its_instances() {
        let names = parse(&["web , worker.2", "worker.3"]).expect("good");
        let has = |id: &str| names.contains(&id.parse().expect("an instance"));
        let found = ["web.1", "web.7", "worker.1", "worker.2", "worker.3"].map(has);
        assert_eq!(found, [true, true, false, true, true]);
        assert!(!parse(&[]).expect("empty").contains(&"web.1".parse().expect("an instance")));
    }

    #[test]
    fn errors_name_the_item() {
        let table = [
            ("nobody", "no process is called `nobody`", "the Procfile has `web`, `worker`"),
            ("wbe", "no process is called `wbe`", "did you mean `web`? The Procfile has `web`, `worker`"),
            (
                "wroker.2",
                "no process is called `wroker`",
                "did you mean `worker`? The Procfile has `web`, `worker`",
            ),
        ];
        for (text, message, hint) in table {
            let error = parse(&[text]).expect_err(text);
            assert_eq!((error.to_string().as_str(), error.hint().as_deref()), (message, Some(hint)));
        }
        for (text, message) in [
            ("", "a process name is missing in ``"),
            ("web,", "a process name is missing in `web,`"),
            ("a b", "`a b`: a process name has only letters, digits, `_` and `-`"),
            ("web=0", "`web=0`: a process name has only letters, digits, `_` and `-`"),
        ] {
            assert_eq!(parse(&[text]).expect_err(text).to_string(), message);
        }
    }
}
