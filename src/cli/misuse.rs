//! What clap's errors say beyond its own words: where a bad value is from, and what was probably meant.

use std::ffi::OsString;

use clap::Arg;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::opposites;
use super::read::{command, without_variables};
use crate::config::formation::Formation;
use crate::model::{quoted, sentence};

/// Returns the error about `words` as it is shown.
pub(super) fn explained(error: clap::Error, words: &[OsString]) -> clap::Error {
    match error.kind() {
        // clap would show the name of the subcommand.
        ErrorKind::DisplayVersion => {
            command().try_get_matches_from(["ganger", "--version"]).err().unwrap_or(error)
        }
        ErrorKind::UnknownArgument => visible_in(of_another_command(error)),
        ErrorKind::InvalidSubcommand => visible_in(with_start(error, words)),
        _ => visible_in(with_its_variable(error, words)),
    }
}

/// Returns the error with text from the command line and from variables escaped and truncated.
/// clap shows both as they are.
pub(super) fn visible_in(mut error: clap::Error) -> clap::Error {
    let context: Vec<(ContextKind, ContextValue)> =
        error.context().map(|(kind, value)| (kind, value.clone())).collect();
    let changes = |text: &String| quoted(text) != *text;
    let has_changes = context.iter().any(|(_, value)| match value {
        ContextValue::String(text) => changes(text),
        ContextValue::Strings(texts) => texts.iter().any(changes),
        _ => false,
    });
    for (kind, value) in context {
        let shown = match value {
            ContextValue::String(text) => ContextValue::String(quoted(&text)),
            ContextValue::Strings(texts) => {
                ContextValue::Strings(texts.iter().map(|text| quoted(text)).collect())
            }
            // A tip may quote a word, and clap's own styling can no longer be told apart from its text.
            ContextValue::StyledStrs(tips) if has_changes => {
                ContextValue::StyledStrs(tips.iter().map(|tip| sentence(&tip.to_string()).into()).collect())
            }
            other => other,
        };
        error.insert(kind, shown);
    }
    error
}

/// Names the variable that a bad value is from: the option in the message was never written.
fn with_its_variable(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    let about = |error: &clap::Error| {
        let get = |kind| error.get(kind).map(ToString::to_string);
        (get(ContextKind::InvalidArg), get(ContextKind::InvalidValue))
    };
    let (Some(option), Some(_)) = about(&error) else { return error };
    let mut alone = without_any_variables(command());
    let of_words = opposites::matches(&mut alone, words).err();
    if of_words.is_some_and(|of_words| about(&of_words) == about(&error)) {
        return error;
    }
    let mut whole = command();
    // Arguments have no text before.
    whole.build();
    if let Some(variable) = variable_of(&whole, &option) {
        tip(&mut error, format!("the value comes from the variable {}", variable.display()));
    }
    error
}

fn variable_of(command: &clap::Command, option: &str) -> Option<OsString> {
    let own = command.get_arguments().filter(|arg| arg.to_string() == option).find_map(Arg::get_env);
    own.map(OsString::from)
        .or_else(|| command.get_subcommands().find_map(|command| variable_of(command, option)))
}

fn without_any_variables(command: clap::Command) -> clap::Command {
    without_variables(command).mut_subcommands(without_any_variables)
}

/// Says of an unknown option whether `start` has it. clap's own tip, to write it after `--`, does
/// not help: it would be a name of a process, or the command of `start`.
fn of_another_command(mut error: clap::Error) -> clap::Error {
    error.remove(ContextKind::Suggested);
    let Some(ContextValue::String(written)) = error.get(ContextKind::InvalidArg) else { return error };
    let name = written.split('=').next().unwrap_or_default().to_owned();
    let is_it = |arg: &&Arg| {
        let long = arg.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long));
        let short = arg.get_short().is_some_and(|short| name == format!("-{short}"));
        long || short
    };
    let of_start = command().get_arguments().find(is_it).and_then(|arg| Some(arg.get_long()?.to_owned()));
    if let Some(long) = of_start {
        error.remove(ContextKind::SuggestedArg);
        tip(&mut error, format!("--{long} is an option of `ganger start`"));
    }
    error
}

/// Shows how to start what was taken for a subcommand: `ganger web`, `ganger -- pytest`.
fn with_start(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let Some(at) = (1..words.len()).find(|at| words[*at] == word.as_str()) else { return error };
    let rest: Vec<_> = words[at..].iter().map(|word| word.to_string_lossy()).collect();
    if words[at - 1] == "--" {
        error.remove(ContextKind::SuggestedSubcommand);
        tip(&mut error, format!("to run it alongside the processes: `ganger start -- {}`", rest.join(" ")));
    } else if Formation::parse([word]).is_ok() {
        let is_name = |it: &&str| !it.starts_with('-') && Formation::parse([it]).is_ok();
        let names: Vec<_> = rest.iter().map(AsRef::as_ref).take_while(is_name).collect();
        tip(&mut error, format!("to start processes: `ganger start {}`", names.join(" ")));
    }
    error
}

fn tip(error: &mut clap::Error, text: String) {
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![text.into()]));
}
