//! How many of each type run: `web=2,worker=0,all=1`.
//!
//! Owns the grammar of such lists and the one rule that turns everything the user said about
//! counts into a number for each type. Pure: it knows the names of the Procfile's types and
//! nothing of commands, ports or of what runs at the moment.

use super::procfile::echo;
use crate::model::{InstanceId, ProcessName};

/// What an item of a list counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `all`: every type that the list does not name, except `release`. A type whose own name
    /// is `all` cannot be named alone.
    All,
    /// One type.
    Name(ProcessName),
}

/// One item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Whose count it is.
    pub target: Target,
    /// The count, or `None` if only the name was written: then as many as `--concurrency`
    /// says, and at least one.
    pub count: Option<u16>,
}

/// A list as `web=2,worker`. An empty one is a list that was not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Formation {
    counts: Vec<Count>,
}

/// Everything the user can say about what starts and how often.
///
/// Whoever fills it decides between sources first: a list of the command line replaces one of
/// the environment or of `ganger.toml`, so that `ganger start web` works beside a
/// `formation` in the file. What arrives here was said in one breath.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// `ganger start web worker=2`: what is not named does not start.
    pub processes: Formation,
    /// `--formation`: the same as an option, as foreman has it. Not both.
    pub formation: Formation,
    /// `--concurrency`: how many of a type, as honcho has it; what is not named starts once.
    pub concurrency: Formation,
    /// `--exclude`: what does not start whatever the others say.
    pub exclude: Vec<ProcessName>,
}

/// Why a selection cannot be used. Nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormationError {
    /// `=2`, an empty text, or two commas with nothing between them.
    #[error("a process name is missing in `{0}`")]
    MissingName(String),
    /// A name with characters that no process type can have.
    #[error("`{0}`: a process name has only letters, digits, `_` and `-`")]
    BadName(String),
    /// What stands behind the `=` is no count.
    #[error("`{0}`: a count is a whole number from 0 to 65535")]
    BadCount(String),
    /// `web=2` where only names belong.
    #[error("`{0}`: only a name belongs here, without a count")]
    CountOfName(String),
    /// `web.2`: instances are numbered from 1 without gaps, so one alone cannot be chosen.
    #[error("`{0}` is one instance; whole types are chosen")]
    Instance(InstanceId),
    /// A name that the Procfile does not have.
    #[error("no process is called `{name}`")]
    Unknown {
        /// The name as it was written.
        name: ProcessName,
        /// The type that was probably meant.
        closest: Option<ProcessName>,
        /// The first few types, in file order.
        known: Vec<ProcessName>,
        /// How many more types there are.
        more: usize,
    },
    /// Arguments and `--formation`: neither reads as an addition to the other.
    #[error("processes are given both as arguments and with --formation")]
    TwoLists,
    /// `release` is all there is, and it starts only when named.
    #[error("nothing to start: the Procfile has only `release`, which starts when it is named")]
    OnlyRelease,
    /// Every count is 0 or excluded.
    #[error("nothing to start: every process has the count 0 or is excluded")]
    NothingToStart,
}

impl FormationError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::MissingName(_) | Self::BadName(_) => {
                "write names or NAME=COUNT with commas between, as in `web=2,worker`".to_owned()
            }
            Self::BadCount(_) => "write NAME=COUNT, as in `web=2`".to_owned(),
            Self::CountOfName(_) => "write names with commas between, as in `web,worker`".to_owned(),
            Self::Instance(InstanceId { name, number }) => {
                format!("write `{name}`, or `{name}={number}` for {number} of them")
            }
            Self::Unknown { closest, known, more, .. } => {
                let names = listed(known, *more);
                match closest {
                    Some(closest) => format!("did you mean `{closest}`? The Procfile has {names}"),
                    None => format!("the Procfile has {names}"),
                }
            }
            Self::TwoLists => "give them one way, as in `ganger start web=2 worker`".to_owned(),
            Self::OnlyRelease => "start it with `ganger start release`".to_owned(),
            Self::NothingToStart => "let at least one process have a count above 0, as in `web=1`".to_owned(),
        };
        Some(hint)
    }
}

impl Formation {
    /// Reads the values of one option, or all arguments: each is a comma list, and together
    /// they are one. Blanks round names, counts and commas do not matter. Of two items for
    /// the same name the last counts.
    pub fn parse<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Result<Self, FormationError> {
        let mut counts = Vec::new();
        for text in texts {
            for item in text.as_ref().split(',') {
                counts.push(Count::parse(item, text.as_ref())?);
            }
        }
        Ok(Self { counts })
    }

    /// Whether the list was not given.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The items as they were written.
    pub fn counts(&self) -> &[Count] {
        &self.counts
    }

    /// The item that names `name`.
    fn named(&self, name: &ProcessName) -> Option<&Count> {
        let matches = |item: &&Count| matches!(&item.target, Target::Name(named) if named == name);
        self.counts.iter().rev().find(matches)
    }

    /// The item that speaks of `name`: the one that names it, else `all`, which never speaks
    /// of `release`.
    fn of(&self, name: &ProcessName) -> Option<&Count> {
        let all = || self.counts.iter().rev().find(|item| item.target == Target::All);
        self.named(name).or_else(|| all().filter(|_| !is_release(name)))
    }

    /// Returns whether it names `name` and wants it to start.
    pub fn wants(&self, name: &ProcessName) -> bool {
        self.named(name).is_some_and(|item| item.count != Some(0))
    }

    /// The types it names.
    pub fn names(&self) -> impl Iterator<Item = &ProcessName> + Clone {
        self.counts.iter().filter_map(|item| match &item.target {
            Target::Name(name) => Some(name),
            Target::All => None,
        })
    }
}

impl Count {
    /// One item of the comma list `list`.
    fn parse(item: &str, list: &str) -> Result<Self, FormationError> {
        let item = item.trim();
        let (name, count) = match item.split_once('=') {
            Some((name, count)) => (name.trim_end(), Some(count.trim_start())),
            None => (item, None),
        };
        let target = if name == "all" { Target::All } else { Target::Name(parse_name(name, item, list)?) };
        let count = match count {
            None => None,
            // `parse` would take `+2`.
            Some(count) if count.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(count.parse().map_err(|_| FormationError::BadCount(echo(item.as_bytes())))?)
            }
            Some(_) => return Err(FormationError::BadCount(echo(item.as_bytes()))),
        };
        Ok(Self { target, count })
    }
}

/// Reads the values of an option that takes names only, each a comma list: `--exclude`.
pub fn parse_names<S: AsRef<str>>(
    texts: impl IntoIterator<Item = S>,
) -> Result<Vec<ProcessName>, FormationError> {
    let mut names = Vec::new();
    for text in texts {
        for item in text.as_ref().split(',').map(str::trim) {
            if item.contains('=') {
                return Err(FormationError::CountOfName(echo(item.as_bytes())));
            }
            names.push(parse_name(item, item, text.as_ref())?);
        }
    }
    Ok(names)
}

/// The type that `item` of the comma list `list` names.
pub(super) fn parse_name(name: &str, item: &str, list: &str) -> Result<ProcessName, FormationError> {
    if name.is_empty() {
        return Err(FormationError::MissingName(echo(list.as_bytes())));
    }
    if let Ok(instance) = name.parse() {
        return Err(FormationError::Instance(instance));
    }
    name.parse().map_err(|_| FormationError::BadName(echo(item.as_bytes())))
}

/// The count of each type, in file order, 0 for those that do not start. `types` are all
/// types of the Procfile.
///
/// - `processes` or `formation` say *what* starts: the named types, or with `all` also the
///   others. Without either everything starts but `release`, which needs to be named.
/// - `concurrency` says *how many* of those, where the list has no number of its own: `web`
///   beside `--concurrency web=2` is two, `web=3` stays three. What the list leaves out stays
///   out, so that a `concurrency` in `ganger.toml` does not hinder `ganger start worker`. A
///   type named without a number starts, even if `concurrency` has 0 for it. Beside `all=1` a
///   *name* in `concurrency` is the more exact of the two and counts.
/// - `exclude` takes away from what these gave.
///
/// The errors come in that order too: unknown names before an empty result.
pub fn resolve(
    types: &[ProcessName],
    selection: &Selection,
) -> Result<Vec<(ProcessName, u16)>, FormationError> {
    let Selection { processes, formation, concurrency, exclude } = selection;
    if !processes.is_empty() && !formation.is_empty() {
        return Err(FormationError::TwoLists);
    }
    let mut named = processes.names().chain(formation.names()).chain(concurrency.names()).chain(exclude);
    if let Some(name) = named.clone().find(|name| !types.contains(name)) {
        return Err(unknown(name, types));
    }
    let counts: Vec<_> = types.iter().map(|name| (name.clone(), count_of(name, selection))).collect();
    if counts.iter().any(|(_, count)| *count > 0) {
        Ok(counts)
    } else if matches!(types, [only] if is_release(only)) && named.next().is_none() {
        Err(FormationError::OnlyRelease)
    } else {
        Err(FormationError::NothingToStart)
    }
}

/// Returns the main type: `web`, or without one the first that a plain start would start. It has the base
/// port, and is meant where a command needs one type and none is named.
///
/// What a run starts, or leaves out, does not change it: its port and address stay the same.
pub fn main_type(types: &[ProcessName]) -> Option<&ProcessName> {
    let is_started = |name: &&ProcessName| count_of(name, &Selection::default()) > 0;
    let web = types.iter().find(|name| name.as_str() == ProcessName::WEB);
    web.or_else(|| types.iter().find(is_started))
}

/// The count of one type, which may be new in the Procfile; of the two lists only one is given.
pub fn count_of(name: &ProcessName, selection: &Selection) -> u16 {
    let Selection { processes, formation, concurrency, exclude } = selection;
    match [processes, formation].into_iter().find(|list| !list.is_empty()) {
        _ if exclude.contains(name) => 0,
        Some(list) => count_in_list(name, list, concurrency),
        None => count_without_list(name, concurrency),
    }
}

fn count_in_list(name: &ProcessName, list: &Formation, concurrency: &Formation) -> u16 {
    let Some(item) = list.of(name) else { return 0 };
    let wanted = concurrency.of(name).and_then(|item| item.count).unwrap_or(1);
    match (&item.target, item.count) {
        (Target::Name(_), Some(count)) | (Target::All, Some(count @ 0)) => count,
        (Target::Name(_), None) => wanted.max(1),
        (Target::All, None) => wanted,
        (Target::All, Some(count)) => concurrency.named(name).and_then(|item| item.count).unwrap_or(count),
    }
}

fn count_without_list(name: &ProcessName, concurrency: &Formation) -> u16 {
    match concurrency.of(name) {
        Some(item) => item.count.unwrap_or(1),
        None => u16::from(!is_release(name)),
    }
}

fn is_release(name: &ProcessName) -> bool {
    name.as_str() == ProcessName::RELEASE
}

/// The most names that a message lists.
pub const MOST_LISTED: usize = 20;

/// Returns names as a hint shows them.
fn listed(names: &[ProcessName], more: usize) -> String {
    let name = |name: &ProcessName| format!("`{}`", echo(name.as_str().as_bytes()));
    let mut shown: Vec<String> = names.iter().map(name).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

/// That there is no such type.
pub fn unknown(name: &ProcessName, types: &[ProcessName]) -> FormationError {
    FormationError::Unknown {
        name: name.clone(),
        closest: closest(name.as_str(), types).cloned(),
        known: types.iter().take(MOST_LISTED).cloned().collect(),
        more: types.len().saturating_sub(MOST_LISTED),
    }
}

/// The most characters of a name that is compared with others.
const LONGEST_MEANT: usize = 64;

/// The name of `known` that somebody who wrote `name` probably meant: case aside, at most two
/// letters wrong, missing, too many or swapped; in a short name one, since two letters away
/// from `web` is nearly every other short name. The first of equally close ones.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a ProcessName>) -> Option<&'a ProcessName> {
    closest_by(name, known, |known| known.as_str())
}

/// The same for other words; `text` says how each is written.
pub fn closest_by<'a, T: Copy>(
    name: &str,
    known: impl IntoIterator<Item = T>,
    text: impl Fn(T) -> &'a str,
) -> Option<T> {
    let length = name.chars().count();
    if length > LONGEST_MEANT {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let limit = if length <= 3 { 1 } else { 2 };
    known
        .into_iter()
        // Comparing takes time and memory proportional to the product of the two lengths.
        .filter(|known| text(*known).chars().count().abs_diff(length) <= limit)
        .map(|known| (strsim::damerau_levenshtein(&name, &text(known).to_ascii_lowercase()), known))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests;
