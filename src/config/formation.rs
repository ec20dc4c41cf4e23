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
        /// All types, in file order.
        known: Vec<ProcessName>,
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
            Self::Unknown { closest, known, .. } => {
                let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                let names = names.join(", ");
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

    fn names(&self) -> impl Iterator<Item = &ProcessName> + Clone {
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

fn parse_name(name: &str, item: &str, list: &str) -> Result<ProcessName, FormationError> {
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
    let list = match (processes.is_empty(), formation.is_empty()) {
        (false, false) => return Err(FormationError::TwoLists),
        (false, true) => Some(processes),
        (true, false) => Some(formation),
        (true, true) => None,
    };
    let mut named = processes.names().chain(formation.names()).chain(concurrency.names()).chain(exclude);
    if let Some(name) = named.clone().find(|name| !types.contains(name)) {
        return Err(unknown(name, types));
    }
    let count = |name: &ProcessName| match list {
        _ if exclude.contains(name) => 0,
        Some(list) => count_in_list(name, list, concurrency),
        None => count_without_list(name, concurrency),
    };
    let counts: Vec<_> = types.iter().map(|name| (name.clone(), count(name))).collect();
    if counts.iter().any(|(_, count)| *count > 0) {
        Ok(counts)
    } else if matches!(types, [only] if is_release(only)) && named.next().is_none() {
        Err(FormationError::OnlyRelease)
    } else {
        Err(FormationError::NothingToStart)
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

fn unknown(name: &ProcessName, types: &[ProcessName]) -> FormationError {
    FormationError::Unknown {
        name: name.clone(),
        closest: closest(name.as_str(), types).cloned(),
        known: types.to_vec(),
    }
}

/// The name of `known` that somebody who wrote `name` probably meant: case aside, at most two
/// letters wrong, missing, too many or swapped; in a short name one, since two letters away
/// from `web` is nearly every other short name. The first of equally close ones.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a ProcessName>) -> Option<&'a ProcessName> {
    let name = name.to_ascii_lowercase();
    let limit = if name.chars().count() <= 3 { 1 } else { 2 };
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&name, &known.as_str().to_ascii_lowercase()), known))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(names: &[&str]) -> Vec<ProcessName> {
        names.iter().map(|name| name.parse().expect("a name")).collect()
    }

    /// `arguments | -m | -c | -x`, those at the end may be missing.
    fn selection(text: &str) -> Result<Selection, FormationError> {
        let mut parts = text.split('|').map(str::trim);
        let mut part = || parts.next().filter(|part| !part.is_empty());
        Ok(Selection {
            processes: Formation::parse(part().iter().flat_map(|text| text.split(' ')))?,
            formation: Formation::parse(part())?,
            concurrency: Formation::parse(part())?,
            exclude: part().map_or_else(|| Ok(vec![]), |names| parse_names([names]))?,
        })
    }

    fn counts(procfile: &[&str], text: &str) -> Result<String, FormationError> {
        let counts = resolve(&types(procfile), &selection(text)?)?;
        assert_eq!(counts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), procfile);
        let shown: Vec<String> = counts.iter().map(|(_, count)| count.to_string()).collect();
        Ok(shown.join(" "))
    }

    #[test]
    fn counts_for_each_way_to_ask() {
        let procfile = ["release", "web", "worker", "css"];
        for (text, expected) in [
            ("", "0 1 1 1"),
            // Arguments.
            ("web", "0 1 0 0"),
            ("web=2", "0 2 0 0"),
            ("css,web", "0 1 0 1"),
            ("css web=3", "0 3 0 1"),
            ("all", "0 1 1 1"),
            ("all=2", "0 2 2 2"),
            ("all=1,css=0", "0 1 1 0"),
            ("css=0 all=1", "0 1 1 0"),
            ("all=0,web=1", "0 1 0 0"),
            ("release", "1 0 0 0"),
            ("release,all=2", "1 2 2 2"),
            ("web=1,web=2", "0 2 0 0"),
            ("web=2 web", "0 1 0 0"),
            ("all=3,all=2", "0 2 2 2"),
            ("web=0002", "0 2 0 0"),
            ("web=65535", "0 65535 0 0"),
            // --formation is the same.
            ("|web=2,worker=1", "0 2 1 0"),
            ("|all=1,css=0", "0 1 1 0"),
            ("|web", "0 1 0 0"),
            // --concurrency leaves the others at one.
            ("||web=2", "0 2 1 1"),
            ("||worker=0", "0 1 0 1"),
            ("||all=3,css=1", "0 3 3 1"),
            ("||release=1", "1 1 1 1"),
            ("||web", "0 1 1 1"),
            // Both: the list says what, --concurrency how many.
            ("web||web=2", "0 2 0 0"),
            ("web||worker=2", "0 1 0 0"),
            ("web=3||web=2", "0 3 0 0"),
            ("web||all=2", "0 2 0 0"),
            ("web||web=0", "0 1 0 0"),
            ("all||web=2,css=0", "0 2 1 0"),
            ("all=1||web=2", "0 2 1 1"),
            ("all=3||all=2", "0 3 3 3"),
            ("all=3||css=0", "0 3 3 0"),
            ("all=3||css", "0 3 3 3"),
            ("all=0,css||web=2", "0 0 0 1"),
            ("release||all=2", "1 0 0 0"),
            ("|web|web=2", "0 2 0 0"),
            // --exclude comes last.
            ("|||web", "0 0 1 1"),
            ("|||web, css", "0 0 1 0"),
            ("web,css|||web", "0 0 0 1"),
            ("||web=2|web", "0 0 1 1"),
            ("|||release", "0 1 1 1"),
            ("web|||css", "0 1 0 0"),
        ] {
            assert_eq!(counts(&procfile, text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn blanks_round_names_counts_and_commas_do_not_matter() {
        let plain = Formation::parse(["web=2,worker"]).expect("a list");
        for text in [" web=2 , worker ", "web = 2,\tworker", "web= 2,worker"] {
            assert_eq!(Formation::parse([text]).as_ref(), Ok(&plain), "{text}");
        }
        assert_eq!(Formation::parse(["web=2", "worker"]), Ok(plain));
        assert!(Formation::parse::<&str>([]).expect("nothing").is_empty());
    }

    #[test]
    fn a_name_that_is_all_is_everything() {
        assert_eq!(counts(&["all", "web"], "all").as_deref(), Ok("1 1"));
    }

    fn error(procfile: &[&str], text: &str) -> String {
        let error = counts(procfile, text).expect_err(text);
        let hint = error.hint().map_or_else(String::new, |hint| format!("\nhint: {hint}"));
        format!("{error}{hint}")
    }

    #[test]
    fn texts_that_are_no_list() {
        let list = "hint: write names or NAME=COUNT with commas between, as in `web=2,worker`";
        let count = "hint: write NAME=COUNT, as in `web=2`";
        for (text, message, hint) in [
            ("", "a process name is missing in ``", list),
            (" ", "a process name is missing in ` `", list),
            ("=2", "a process name is missing in `=2`", list),
            ("web,", "a process name is missing in `web,`", list),
            ("web,,css", "a process name is missing in `web,,css`", list),
            ("web,wéb=2", "`wéb=2`: a process name has only letters, digits, `_` and `-`", list),
            ("web css", "`web css`: a process name has only letters, digits, `_` and `-`", list),
            ("web.x", "`web.x`: a process name has only letters, digits, `_` and `-`", list),
            ("a\u{1b}[m", "`a [m`: a process name has only letters, digits, `_` and `-`", list),
            ("css,web=-1", "`web=-1`: a count is a whole number from 0 to 65535", count),
            ("web=+1", "`web=+1`: a count is a whole number from 0 to 65535", count),
            ("web=abc", "`web=abc`: a count is a whole number from 0 to 65535", count),
            ("web=", "`web=`: a count is a whole number from 0 to 65535", count),
            ("web=1.5", "`web=1.5`: a count is a whole number from 0 to 65535", count),
            ("web==2", "`web==2`: a count is a whole number from 0 to 65535", count),
            ("web=70000", "`web=70000`: a count is a whole number from 0 to 65535", count),
            ("all=x", "`all=x`: a count is a whole number from 0 to 65535", count),
        ] {
            let error = Formation::parse([text]).expect_err(text);
            assert_eq!(
                format!("{error}\nhint: {}", error.hint().expect("a hint")),
                format!("{message}\n{hint}")
            );
        }
    }

    #[test]
    fn an_instance_is_no_type() {
        insta::assert_snapshot!(error(&["web"], "web.2"), @r"
        `web.2` is one instance; whole types are chosen
        hint: write `web`, or `web=2` for 2 of them
        ");
        assert_eq!(error(&["web"], "|||web.2"), error(&["web"], "web.2"));
        assert_eq!(error(&["web"], "web.2=1"), error(&["web"], "web.2"));
    }

    #[test]
    fn exclude_takes_names_only() {
        insta::assert_snapshot!(error(&["web"], "|||web=0"), @r"
        `web=0`: only a name belongs here, without a count
        hint: write names with commas between, as in `web,worker`
        ");
        insta::assert_snapshot!(error(&["web"], "|||web,"), @r"
        a process name is missing in `web,`
        hint: write names or NAME=COUNT with commas between, as in `web=2,worker`
        ");
    }

    #[test]
    fn a_name_that_is_no_type() {
        insta::assert_snapshot!(error(&["web", "worker"], "wbe"), @r"
        no process is called `wbe`
        hint: did you mean `web`? The Procfile has `web`, `worker`
        ");
        insta::assert_snapshot!(error(&["web", "worker"], "clock=0"), @r"
        no process is called `clock`
        hint: the Procfile has `web`, `worker`
        ");
        for text in ["|wbe=1", "||wbe=1", "|||wbe", "web=0|||wbe"] {
            assert_eq!(error(&["web", "worker"], text), error(&["web", "worker"], "wbe"), "{text}");
        }
    }

    #[test]
    fn the_closest_name_is_close() {
        let known = types(&["web", "worker", "release", "web-api"]);
        for (name, expected) in [
            ("wbe", Some("web")),
            ("Web", Some("web")),
            ("webb", Some("web")),
            ("wokrer", Some("worker")),
            ("workers", Some("worker")),
            ("web_api", Some("web-api")),
            ("realese", Some("release")),
            ("css", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(closest(name, &known).map(ProcessName::as_str), expected, "{name}");
        }
    }

    #[test]
    fn two_lists() {
        insta::assert_snapshot!(error(&["web"], "web|web=2"), @r"
        processes are given both as arguments and with --formation
        hint: give them one way, as in `ganger start web=2 worker`
        ");
    }

    #[test]
    fn only_release() {
        insta::assert_snapshot!(error(&["release"], ""), @r"
        nothing to start: the Procfile has only `release`, which starts when it is named
        hint: start it with `ganger start release`
        ");
        assert_eq!(error(&["release"], "all=2"), error(&["release"], ""));
        assert_eq!(counts(&["release"], "release").as_deref(), Ok("1"));
        let excluded = counts(&["release"], "|||release");
        assert_eq!(excluded, Err(FormationError::NothingToStart));
    }

    #[test]
    fn nothing_to_start() {
        insta::assert_snapshot!(error(&["web", "css"], "all=0"), @r"
        nothing to start: every process has the count 0 or is excluded
        hint: let at least one process have a count above 0, as in `web=1`
        ");
        for text in ["web=0", "|web=0", "||all=0", "|||web,css", "web|||web"] {
            assert_eq!(error(&["web", "css"], text), error(&["web", "css"], "all=0"), "{text}");
        }
    }
}
