//! The flags that take another flag back: `--no-daemon`, for a `daemon = true` in ganger.toml.
//!
//! A flag and its opposite are one option: of the two, the last one on the command line counts. clap
//! has no such pair (`overrides_with` takes a flag and the variable of the other for a conflict, and
//! cannot tell which of two global flags came last). So the opposite is read as the flag with the
//! value `false`, in a second reading that only command lines with an opposite need.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches};

use super::layers::option;
use crate::config::keys::{Key, OPTIONS};

/// Reads `words`, which may have opposites in them.
pub(super) fn matches(definition: &mut clap::Command, words: &[OsString]) -> Result<ArgMatches, clap::Error> {
    if !words.iter().any(|word| flag_of(word).is_some()) {
        return definition.try_get_matches_from_mut(words);
    }
    // Help and errors are those of the words as they were written.
    let matches = with_opposites(definition.clone()).try_get_matches_from(words)?;
    let own = words.len().saturating_sub(words_of_command(&matches));
    let words = words.iter().enumerate().map(|(at, word)| match flag_of(word) {
        Some(key) if at < own => format!("--{}=false", key.name).into(),
        _ => word.clone(),
    });
    with_values(definition.clone()).try_get_matches_from(words)
}

/// The flags that have an opposite, each with the name of that.
fn pairs() -> impl Iterator<Item = (&'static Key, String)> {
    OPTIONS.iter().filter_map(|key| Some((key, key.opposite()?)))
}

fn flag_of(word: &OsString) -> Option<&'static Key> {
    let name = word.to_str()?.strip_prefix("--")?;
    pairs().find(|(_, opposite)| opposite == name).map(|(key, _)| key)
}

/// The number of words at the end that belong to a command, not to ganger.
fn words_of_command(matches: &ArgMatches) -> usize {
    let words = match matches.subcommand() {
        Some(("run", run)) => run.get_raw("argv"),
        Some(("start", start)) => start.get_raw("command"),
        _ => None,
    };
    words.map_or(0, Iterator::count)
}

fn with_opposites(definition: clap::Command) -> clap::Command {
    pairs().fold(definition, |command, (key, name)| {
        let is_global = option(&command, key).is_some_and(Arg::is_global_set);
        let arg = Arg::new(name.clone()).long(name).action(ArgAction::SetTrue).hide(true).global(is_global);
        let command = command.arg(arg.clone());
        if is_global { command } else { command.mut_subcommand("start", |start| start.arg(arg)) }
    })
}

/// The same definition with `--daemon=false` for `--daemon`.
fn with_values(definition: clap::Command) -> clap::Command {
    let valued = |command: clap::Command, id: String| {
        command.mut_arg(id, |arg| {
            let has_default = !arg.get_default_values().is_empty();
            let arg = arg.action(ArgAction::Set).num_args(0..=1).require_equals(true);
            let arg = arg.default_missing_value("true");
            if has_default { arg } else { arg.default_value("false") }
        })
    };
    pairs().fold(definition, |command, (key, _)| {
        let Some(arg) = option(&command, key) else { return command };
        let (id, is_global) = (arg.get_id().to_string(), arg.is_global_set());
        let command = valued(command, id.clone());
        if is_global { command } else { command.mut_subcommand("start", |start| valued(start, id)) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use crate::config::keys::Shape;

    /// What a command line means, without who said it.
    fn meaning(words: &[&str]) -> String {
        let words: Vec<OsString> = ["ganger"].iter().chain(words).map(OsString::from).collect();
        let (mut app, start) =
            Cli::again(&words).unwrap_or_else(|error| panic!("{words:?}: {error}")).of_start();
        app.options = crate::config::options::Options::default();
        format!("{app:?} {start:?}")
    }

    #[test]
    fn every_flag_can_be_taken_back_from_wherever_it_is_given() {
        for key in OPTIONS.iter().filter(|key| key.shape == Shape::Flag) {
            let flag = format!("--{}", key.name);
            let Some(opposite) = key.opposite() else {
                assert_eq!(key.name, "no-timestamps", "its opposite has a value");
                continue;
            };
            let back = format!("--{opposite}");
            assert!(option(&crate::cli::read::command(), key).is_some(), "{flag}");
            assert!(
                Cli::again(&["ganger".into(), "ps".into(), format!("--{opposite}=1").into()]).is_err(),
                "{back} takes no value"
            );
            let (flag, back) = (flag.as_str(), back.as_str());
            let (given, none) = (meaning(&["start", flag]), meaning(&["start"]));
            assert_ne!(given, none, "{flag}");
            for (words, expected) in [
                (&[flag, back][..], &none),
                (&[back, flag], &given),
                (&[back], &none),
                (&["start", flag, back], &none),
                (&["start", back, flag], &given),
                (&[flag, "start", back], &none),
                (&[back, "start", flag], &given),
                (&[flag, "local", back], &none),
            ] {
                assert_eq!(&meaning(words), expected, "{words:?}");
            }
        }
    }

    #[test]
    fn opposites_after_a_command_are_its_own() {
        let words = ["ganger", "--no-expand", "run", "x", "--no-expand"].map(OsString::from);
        let cli = Cli::again(&words).expect("good");
        let Some(crate::cli::Command::Run(run)) = cli.command else { panic!("{cli:?}") };
        assert_eq!(run.argv, ["x", "--no-expand"]);
        let words = ["ganger", "start", "--no-daemon", "--", "x", "--no-daemon"].map(OsString::from);
        let (_, start) = Cli::again(&words).expect("good").of_start();
        assert_eq!((start.command, start.options.daemon), (vec!["x".into(), "--no-daemon".into()], false));
    }
}
