//! From the options to what the user wants of the processes.

use std::fmt::Display;
use std::str::FromStr;

use crate::cli::{AppArgs, StartArgs, StartOptions};
use crate::config::formation::{Formation, MOST_LISTED, Selection, parse_names};
use crate::config::names::Names;
use crate::config::options::Origin;
use crate::config::programs;
use crate::config::scoped::Scoped;
use crate::config::settings::ProcessTable;
use crate::config::waits::{self, Wait};
use crate::error::Error;
use crate::model::{ProcessName, PtyChoice};
use crate::output::format::FormatChoice;
use crate::plan::Wishes;

/// What the options say of the processes; `types` are those of the Procfile.
pub(super) fn wishes(args: &AppArgs, start: &StartArgs, types: &[ProcessName]) -> Result<Wishes, Error> {
    let options = &start.options;
    let mut selection = Selection {
        processes: Formation::parse(&start.processes)?,
        formation: Formation::parse(&options.formation)?,
        concurrency: Formation::parse(&options.concurrency)?,
        exclude: parse_names(&options.exclude)?,
    };
    // Arguments beat what holds for every run; beside an option they would be a contradiction.
    if *args.options.origin("formation") != Origin::Flag && !selection.processes.is_empty() {
        selection.formation = Formation::default();
    }
    Ok(Wishes {
        selection,
        waits: waits(args, options, types)?,
        wait_timeout: options.wait_timeout,
        timeout: scoped("timeout", &options.timeout, args, types)?,
        stop_signal: scoped("stop-signal", &options.stop_signal, args, types)?,
        kill_mode: scoped("kill-mode", &options.kill_mode, args, types)?,
        on_exit: scoped("on-exit", &options.on_exit, args, types)?,
        pty: pty(args, start, types)?,
        release: options.release,
    })
}

/// Who waits for what. Circles are found here, where all that is said of it comes together.
fn waits(args: &AppArgs, options: &StartOptions, types: &[ProcessName]) -> Result<Vec<Wait>, Error> {
    let mut said = Vec::new();
    for text in &options.wait_for {
        let waits = waits::parse(text, types);
        let usage = |(message, hint)| Error::Usage { message: format!("--wait-for {message}"), hint };
        said.extend(waits.map_err(usage)?);
    }
    let waits = waits::over(said, args.settings.waits(types));
    let release = types.iter().find(|name| options.release && name.as_str() == ProcessName::RELEASE);
    let Some((circle, at)) = waits::circle(types, &waits, &args.settings.ready(), release) else {
        return Ok(waits);
    };
    let mut names: Vec<&str> = circle.iter().take(MOST_LISTED).map(ProcessName::as_str).collect();
    if circle.len() > MOST_LISTED {
        names.push("…");
    }
    let message = format!("these would wait for one another for ever: {}", names.join(" → "));
    let hint = match release {
        Some(release) if circle.contains(release) => {
            "take one of these waits out; all others start when `release` has ended"
        }
        _ => "take one of these waits out",
    };
    Err(match at {
        Some(at) => Error::Files(vec![args.settings.error(at, message).hint(hint)]),
        None => Error::usage(format!("--wait-for: {message}"), hint),
    })
}

/// An option that can differ from type to type, over what `ganger.toml` says of it.
fn scoped<T: FromStr<Err: Display> + Clone>(
    option: &str,
    texts: &[String],
    args: &AppArgs,
    types: &[ProcessName],
) -> Result<Scoped<T>, Error> {
    let named = |error| Error::Usage { message: format!("--{option} {error}"), hint: None };
    Ok(Scoped::parse(texts, types).map_err(named)?.over(args.settings.scoped(option, types)))
}

/// The programs that are left running: `--keep`.
pub(super) fn kept<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Result<Vec<String>, Error> {
    let usage = |(message, hint)| Error::Usage { message: format!("--keep {message}"), hint };
    programs::parse(texts).map_err(usage)
}

/// Which processes have a terminal. For JSON stdout and stderr are apart, and a terminal is one.
fn pty(args: &AppArgs, start: &StartArgs, types: &[ProcessName]) -> Result<Scoped<PtyChoice>, Error> {
    match (start.options.show.format.unwrap_or_default(), start.options.pty) {
        (FormatChoice::Text, choice) => Ok(Scoped::general(choice).over(args.settings.scoped("pty", types))),
        // Who says it for all runs does not mean this one.
        (FormatChoice::Json, Some(PtyChoice::Always)) if *args.options.origin("pty") == Origin::Flag => {
            Err(Error::usage(
                "--pty always: with --format json stdout and stderr are two pipes",
                "leave one of the two options out",
            ))
        }
        (FormatChoice::Json, _) => Ok(Scoped::general(Some(PtyChoice::Never))),
    }
}

/// Whose lines are not shown. A list of the command line or of a variable takes the place of all
/// that `ganger.toml` hides.
pub(super) fn muted(args: &AppArgs, start: &StartArgs, types: &[ProcessName]) -> Result<Names, Error> {
    let mut names = Names::parse(&start.options.show.mute, types)?;
    if !args.options.is_above_file("mute") {
        for name in types {
            match args.settings.process(name).and_then(ProcessTable::is_muted) {
                Some(true) => names.add(name),
                Some(false) => names.remove(name),
                None => {}
            }
        }
    }
    Ok(names)
}
