//! Reading the command line and the `GANGER_…` variables.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, CommandFactory as _, FromArgMatches as _};

use super::layers::given;
use super::{AppArgs, Cli, Command, StartArgs, StartOptions, misuse, opposites};

impl Cli {
    /// Reads the command line. Ends the program with a message for wrong words, help and version.
    ///
    /// An empty `GANGER_…` variable is one that is not set. Options of `start` before another
    /// command are an error: they would do nothing.
    pub fn read() -> Self {
        let words: Vec<OsString> = std::env::args_os().collect();
        if let Some(cli) = Self::plain_start(&words) {
            return cli;
        }
        let mut command = command();
        let matches = opposites::matches(&mut command, &words)
            .unwrap_or_else(|error| misuse::explained(error, &words).exit());
        if let Some(other) = matches.subcommand_name().filter(|name| *name != "start")
            && let Some(option) = stray(&matches)
        {
            let message = format!("--{option} is an option of `start`, not of `{other}`");
            command.error(ErrorKind::ArgumentConflict, message).exit();
        }
        let mut cli = Self::of(&matches).unwrap_or_else(|error| error.format(&mut command).exit());
        cli.app.options = given(&command, &matches);
        cli
    }

    /// What `words` say, if they are a plain `ganger start`. Help, faults and all else are not read
    /// here: whoever reads those has the whole definition, which takes three times as long to make.
    fn plain_start(words: &[OsString]) -> Option<Self> {
        #[derive(Debug, clap::Parser)]
        #[command(args_override_self = true)]
        struct Alone {
            #[command(flatten)]
            app: AppArgs,
            #[command(flatten)]
            start: StartArgs,
        }
        let [_, first, rest @ ..] = words else { return None };
        if first != "start" && first != "local" {
            return None;
        }
        let mut definition = without_empty_variables(Alone::command().no_binary_name(true));
        let matches = definition.try_get_matches_from_mut(rest).ok()?;
        let Alone { mut app, mut start } = Alone::from_arg_matches(&matches).ok()?;
        start.options.show.settle(&matches);
        app.options = given(&definition, &matches);
        Some(Self { app, start: StartOptions::default(), command: Some(Command::Start(start)) })
    }

    pub(super) fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut cli = Self::from_arg_matches(matches)?;
        cli.start.show.settle(matches);
        if let (Some(Command::Start(start)), Some((_, matches))) = (&mut cli.command, matches.subcommand()) {
            start.options.show.settle(matches);
            let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
            cli.start.yield_to(&start.options, is_given);
        }
        Ok(cli)
    }
}

/// The option of `start` that stands before another command, if one does.
fn stray(matches: &ArgMatches) -> Option<String> {
    let of_start = StartOptions::augment_args(clap::Command::new("start"));
    let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let stray = of_start.get_arguments().find(|option| is_given(option.get_id().as_str()))?;
    stray.get_long().map(str::to_owned)
}

/// The command line's definition, without what is not to be read.
pub(super) fn command() -> clap::Command {
    without_empty_variables(Cli::command()).mut_subcommand("start", without_variables)
}

fn without_empty_variables(command: clap::Command) -> clap::Command {
    // Going through all options takes as long as making them, and mostly no variable is empty.
    let is_one =
        |(name, value): (OsString, OsString)| value.is_empty() && name.as_bytes().starts_with(b"GANGER_");
    if std::env::vars_os().any(is_one) { without_them(command) } else { command }
}

fn without_them(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| match arg.get_env() {
            Some(name) if is_empty(name) => arg.env(Resettable::<clap::builder::OsStr>::Reset),
            _ => arg,
        })
        .mut_subcommands(without_them)
}

/// An option in front of `start` wins over its variable, which is read there; read once more
/// behind `start` it would win over the option.
pub(super) fn without_variables(start: clap::Command) -> clap::Command {
    start.mut_args(|arg| arg.env(Resettable::<clap::builder::OsStr>::Reset))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Words as they stand behind `start`, good ones and bad ones.
    #[rustfmt::skip]
    const WORDS: [&str; 36] = [
        "web",
        "web=2",
        "ps",
        "start",
        "--",
        "-x",
        "sh",
        "-f",
        "P",
        "-e",
        "a,b",
        "--no-env",
        "-p",
        "auto",
        "-p4000",
        "--no-port",
        "--color",
        "never",
        "-m",
        "-t",
        "5",
        "-tweb=1",
        "--on-exit=ignore",
        "--timestamps",
        "--timestamps=%T",
        "--no-timestamps",
        "--format",
        "json",
        "--pty=never",
        "-D",
        "--mute=web",
        "--help",
        "-h",
        "--version",
        "--nope",
        "-1",
    ];

    proptest! {
        #[test]
        fn a_plain_start_is_what_the_whole_definition_makes_of_it(
            first in prop::sample::select(vec!["start", "local"]),
            rest in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..6),
        ) {
            let words: Vec<OsString> = ["ganger", first].into_iter().chain(rest).map(OsString::from).collect();
            let whole = Cli::again(&words);
            match (Cli::plain_start(&words), whole) {
                (Some(plain), Ok(whole)) => {
                    prop_assert_eq!(format!("{:?}", plain.of_start()), format!("{:?}", whole.of_start()));
                }
                (Some(_), Err(error)) => prop_assert!(false, "it is an error: {}", error.render()),
                (None, whole) => prop_assert!(whole.is_err(), "it is read by the whole definition only"),
            }
        }
    }
}
