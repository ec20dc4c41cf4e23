//! From the options to what the user wants of the processes.

use std::fmt::Display;
use std::str::FromStr;

use crate::cli::{AppArgs, StartArgs, StartOptions};
use crate::config::formation::{
    Formation, FormationError, MOST_LISTED, Selection, parse_names, resolve, unknown,
};
use crate::config::names::Names;
use crate::config::options::Origin;
use crate::config::programs;
use crate::config::scoped::{Scoped, ScopedError};
use crate::config::settings::ProcessTable;
use crate::config::waits::{self, Wait};
use crate::error::Error;
use crate::model::{ProcessName, PtyChoice};
use crate::output::format::FormatChoice;
use crate::plan::Wishes;

/// What the options say of the processes; `types` are those of the Procfile.
pub(super) fn wishes(args: &AppArgs, start: &StartArgs, types: &[ProcessName]) -> Result<Wishes, Error> {
    let options = &start.options;
    Ok(Wishes {
        selection: selection(args, start)?,
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

fn selection(args: &AppArgs, start: &StartArgs) -> Result<Selection, Error> {
    let options = &start.options;
    let list = |option: &str, texts: &[String]| {
        Formation::parse(texts).map_err(|error| of_list(args, option, &error))
    };
    let mut selection = Selection {
        processes: Formation::parse(&start.processes)?,
        formation: list("formation", &options.formation)?,
        concurrency: list("concurrency", &options.concurrency)?,
        exclude: parse_names(&options.exclude).map_err(|error| of_list(args, "exclude", &error))?,
    };
    // Arguments beat what holds for every run; beside an option they would be a contradiction.
    if *args.options.origin("formation") != Origin::Flag && !selection.processes.is_empty() {
        selection.formation = Formation::default();
    }
    let Selection { processes, formation, concurrency, exclude } = &mut selection;
    // A name that a stronger layer wants to start is not excluded by a weaker one.
    let lists = [
        (&*processes, &Origin::Flag),
        (&*formation, args.options.origin("formation")),
        (&*concurrency, args.options.origin("concurrency")),
    ];
    let excluded = args.options.origin("exclude");
    let stronger: Vec<&Formation> =
        lists.into_iter().filter(|(_, origin)| origin.is_above(excluded)).map(|(list, _)| list).collect();
    exclude.retain(|name| !stronger.iter().any(|list| list.wants(name)));
    Ok(selection)
}

/// An error in a list of names that `option` gives.
pub(super) fn of_list(args: &AppArgs, option: &str, error: &FormationError) -> Error {
    let text = error.to_string();
    let text = if text.starts_with('`') { text } else { format!(": {text}") };
    args.refuse(option, &text, error.hint())
}

/// Fails if these wishes cannot be met by a Procfile with these types, where the option is known that is
/// why. Everything else the plan finds.
pub(super) fn check_wishes(args: &AppArgs, wishes: &Wishes, types: &[ProcessName]) -> Result<(), Error> {
    let Selection { processes, formation, concurrency, exclude } = &wishes.selection;
    for (option, list) in [("formation", formation), ("concurrency", concurrency)] {
        check_names(args, option, list.names(), types)?;
    }
    check_names(args, "exclude", exclude.iter(), types)?;
    if wishes.release && !types.iter().any(|name| name.as_str() == ProcessName::RELEASE) {
        let hint = format!("add a line such as `release: bin/migrate`, or {}", args.without("release"));
        return Err(args.refuse("release", ": the Procfile has no `release`", Some(hint)));
    }
    // What is on the command line is in front of the user.
    let is_given = |option: &&str| !matches!(args.options.origin(option), Origin::Default | Origin::Flag);
    let mut limits = [("exclude", exclude.is_empty()), ("formation", formation.is_empty())].into_iter();
    let limit = limits.by_ref().filter(|(_, is_empty)| !is_empty).map(|(option, _)| option).find(is_given);
    if let (Some(option), Err(error @ FormationError::NothingToStart)) =
        (limit, resolve(types, &wishes.selection))
        && processes.names().all(|name| types.contains(name))
    {
        return Err(of_list(args, option, &error));
    }
    Ok(())
}

fn check_names<'a>(
    args: &AppArgs,
    option: &str,
    mut names: impl Iterator<Item = &'a ProcessName>,
    types: &[ProcessName],
) -> Result<(), Error> {
    match names.find(|name| !types.contains(name)) {
        Some(name) => Err(of_list(args, option, &unknown(name, types))),
        None => Ok(()),
    }
}

/// Who waits for what. Circles are found here, where all that is said of it comes together.
fn waits(args: &AppArgs, options: &StartOptions, types: &[ProcessName]) -> Result<Vec<Wait>, Error> {
    let mut said = Vec::new();
    for text in &options.wait_for {
        let waits = waits::parse(text, types);
        said.extend(waits.map_err(|(message, hint)| args.refuse("wait-for", &message, hint))?);
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
        None => args.refuse("wait-for", &format!(": {message}"), Some(hint.to_owned())),
    })
}

/// An option that can differ from type to type, over what `ganger.toml` says of it.
fn scoped<T: FromStr<Err: Display> + Clone>(
    option: &str,
    texts: &[String],
    args: &AppArgs,
    types: &[ProcessName],
) -> Result<Scoped<T>, Error> {
    let named = |error: ScopedError| args.refuse(option, &error.to_string(), None);
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
            let format = args.said("format", "json");
            let hint = match args.options.origin("format") {
                Origin::Flag => "leave one of the two options out",
                _ => "leave it out, or add --format text",
            };
            let text = format!("always: with {format} stdout and stderr are two pipes");
            Err(args.refuse("pty", &text, Some(hint.to_owned())))
        }
        (FormatChoice::Json, _) => Ok(Scoped::general(Some(PtyChoice::Never))),
    }
}

/// Whose lines are not shown. A list of the command line or of a variable takes the place of all
/// that `ganger.toml` hides.
pub(super) fn muted(args: &AppArgs, start: &StartArgs, types: &[ProcessName]) -> Result<Names, Error> {
    let mut names =
        Names::parse(&start.options.show.mute, types).map_err(|error| of_list(args, "mute", &error))?;
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
