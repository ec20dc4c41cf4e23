//! From the options to what the user wants of the processes.

use std::fmt::Display;
use std::str::FromStr;

use crate::cli::StartArgs;
use crate::config::formation::{Formation, Selection, parse_names};
use crate::config::scoped::Scoped;
use crate::env::Env;
use crate::error::Error;
use crate::model::{ProcessName, PtyChoice};
use crate::output::format::FormatChoice;
use crate::plan::Wishes;

/// What the options say of the processes; `types` are those of the Procfile.
pub(super) fn wishes(start: &StartArgs, types: &[ProcessName], env: &Env) -> Result<Wishes, Error> {
    let options = &start.options;
    let mut selection = Selection {
        processes: Formation::parse(&start.processes)?,
        formation: Formation::parse(&options.formation)?,
        concurrency: Formation::parse(&options.concurrency)?,
        exclude: parse_names(&options.exclude)?,
    };
    // Arguments beat a variable; beside an option they would be a contradiction.
    let of_variable = env
        .var("GANGER_FORMATION")
        .is_some_and(|value| matches!(&options.formation[..], [text] if value == text.as_str()));
    if of_variable && !selection.processes.is_empty() {
        selection.formation = Formation::default();
    }
    Ok(Wishes {
        selection,
        timeout: scoped("--timeout", &options.timeout, types)?,
        stop_signal: scoped("--stop-signal", &options.stop_signal, types)?,
        on_exit: scoped("--on-exit", &options.on_exit, types)?,
        pty: pty(start, env)?,
    })
}

fn scoped<T: FromStr<Err: Display>>(
    option: &str,
    texts: &[String],
    types: &[ProcessName],
) -> Result<Scoped<T>, Error> {
    let named = |error| Error::Usage { message: format!("{option} {error}"), hint: None };
    Scoped::parse(texts, types).map_err(named)
}

/// Which processes have a terminal. For JSON stdout and stderr are apart, and a terminal is one.
fn pty(start: &StartArgs, env: &Env) -> Result<Scoped<PtyChoice>, Error> {
    match (start.options.show.format.unwrap_or_default(), start.options.pty) {
        (FormatChoice::Text, choice) => Ok(Scoped::general(choice)),
        // Who sets a variable for all runs does not mean this one.
        (FormatChoice::Json, Some(PtyChoice::Always))
            if env.var("GANGER_PTY").is_none_or(|it| it != "always") =>
        {
            Err(Error::usage(
                "--pty always: with --format json stdout and stderr are two pipes",
                "leave one of the two options out",
            ))
        }
        (FormatChoice::Json, _) => Ok(Scoped::general(Some(PtyChoice::Never))),
    }
}
