//! Reading the command line and the `GANGER_…` variables.

use std::ffi::OsStr;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, CommandFactory as _, FromArgMatches as _};

use super::layers::given;
use super::{Cli, Command, StartOptions};

impl Cli {
    /// Reads the command line. Ends the program with a message for wrong words, help and version.
    ///
    /// An empty `GANGER_…` variable is one that is not set. Options of `start` before another
    /// command are an error: they would do nothing.
    pub fn read() -> Self {
        let mut command = command();
        let matches = command
            .try_get_matches_from_mut(std::env::args_os())
            .unwrap_or_else(|error| with_its_variable(&command, error).exit());
        let other = matches.subcommand_name().filter(|name| *name != "start");
        let of_start = StartOptions::augment_args(clap::Command::new("start"));
        let stray = of_start
            .get_arguments()
            .find(|option| matches.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine));
        if let (Some(other), Some(option)) = (other, stray) {
            let option = option.get_long().unwrap_or_default();
            let message = format!("--{option} is an option of `start`, not of `{other}`");
            command.error(ErrorKind::ArgumentConflict, message).exit();
        }
        let mut cli = Self::of(&matches).unwrap_or_else(|error| error.format(&mut command).exit());
        cli.app.options = given(&command, &matches);
        cli
    }

    pub(super) fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut cli = Self::from_arg_matches(matches)?;
        cli.start.show.settle(matches);
        if let (Some(Command::Start(start)), Some((_, matches))) = (&mut cli.command, matches.subcommand()) {
            start.options.show.settle(matches);
        }
        Ok(cli)
    }
}

/// The command line's definition, without what is not to be read.
pub(super) fn command() -> clap::Command {
    without_empty_variables(Cli::command()).mut_subcommand("start", without_variables)
}

/// Names the variable that a bad value is from: the option in the message was never written.
fn with_its_variable(command: &clap::Command, mut error: clap::Error) -> clap::Error {
    let (Some(ContextValue::String(option)), Some(ContextValue::String(value))) =
        (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue))
    else {
        return error;
    };
    // Most options are the program's, whatever the command.
    let variable = command
        .get_arguments()
        .filter(|arg| arg.to_string() == *option)
        .find_map(|arg| arg.get_env())
        .filter(|name| std::env::var_os(name).is_some_and(|of_variable| of_variable == value.as_str()));
    if let Some(variable) = variable {
        let tip = format!("the value is that of the variable {}", variable.display());
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| match arg.get_env() {
            Some(name) if is_empty(name) => arg.env(Resettable::<clap::builder::OsStr>::Reset),
            _ => arg,
        })
        .mut_subcommands(without_empty_variables)
}

/// An option in front of `start` wins over its variable, which is read there; read once more
/// behind `start` it would win over the option.
fn without_variables(start: clap::Command) -> clap::Command {
    start.mut_args(|arg| arg.env(Resettable::<clap::builder::OsStr>::Reset))
}
