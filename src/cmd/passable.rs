//! Checks whether the system can pass a process its command and environment, before anything
//! starts, and names the variable that is too long.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;

use crate::config::environment::{Environment, Origin, Variable};
use crate::error::Error;
use crate::model::quoted;
use crate::os::limits::Passable;

/// How many of the longest variables a message names.
const NAMED: usize = 3;

/// Fails if the system cannot pass `argv` and `environment` to `what`.
pub(super) fn check(what: &dyn Display, argv: &[OsString], environment: &Environment) -> Result<(), Error> {
    let limits = Passable::now();
    let size = environment.size();
    let words = || argv.iter().map(|word| word.len());
    let argv_size: usize = words().map(|length| length + EACH).sum();
    if words().max().unwrap_or(0) < limits.one
        && size.longest < limits.one
        && size.all + argv_size < limits.all
    {
        return Ok(());
    }
    if let Some(length) = words().find(|length| *length >= limits.one) {
        let message = format!("the command of {what} is too long to start: {length} bytes");
        return Err(Error::usage(
            message,
            format!("the limit is {} bytes; move it into a script", limits.one - 1),
        ));
    }
    let long = |(key, variable): &(&OsString, &Variable)| length(key, variable) >= limits.one;
    if let Some((key, variable)) = environment.iter().find(long) {
        return Err(Error::usage(
            format!(
                "the variable `{}` ({}) is too long to pass to {what}: {} bytes",
                shown(key),
                place(variable),
                length(key, variable)
            ),
            format!(
                "the limit is {} bytes for name and value; keep a long value in a file, and the \
                 file's path in the variable",
                limits.one - 1
            ),
        ));
    }
    let all =
        environment.iter().map(|(key, variable)| length(key, variable) + EACH).sum::<usize>() + argv_size;
    if all < limits.all {
        return Ok(());
    }
    let mut longest: Vec<_> = environment.iter().collect();
    longest.sort_by_key(|(key, variable)| std::cmp::Reverse(length(key, variable)));
    let longest: Vec<String> = longest
        .iter()
        .take(NAMED)
        .map(|(key, variable)| format!("`{}` ({})", shown(key), place(variable)))
        .collect();
    Err(Error::usage(
        format!(
            "the environment of {what} is too large: {all} bytes in {} variables; the limit is {}",
            environment.iter().count(),
            limits.all
        ),
        format!(
            "the longest are {}; the limit is a quarter of `ulimit -s`, at most 6 MiB",
            longest.join(", ")
        ),
    ))
}

/// The overhead of each word: a pointer and a NUL.
const EACH: usize = size_of::<usize>() + 1;

/// Returns the length of `NAME=value`.
fn length(key: &OsStr, variable: &Variable) -> usize {
    key.len() + 1 + variable.value.len()
}

fn shown(key: &OsStr) -> String {
    quoted(&key.to_string_lossy())
}

fn place(variable: &Variable) -> String {
    match &variable.origin {
        Origin::Shell => "from the shell".to_owned(),
        origin => origin.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::spawn::shell_argv;

    fn environment(variables: &[(&str, usize)]) -> Environment {
        let shell: Vec<(OsString, OsString)> =
            variables.iter().map(|(key, length)| ((*key).into(), "x".repeat(*length).into())).collect();
        Environment::layered(&shell, [], crate::config::environment::Precedence::Files)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn size_limits_match_the_system() {
        let one = Passable::now().one;
        let starts = |environment: &Environment, argv: &[OsString]| {
            let pairs = environment.pairs();
            let mut command = std::process::Command::new(&argv[0]);
            command.args(&argv[1..]).env_clear().envs(pairs).stdout(std::process::Stdio::null());
            command.status().is_ok()
        };
        let argv = shell_argv("true".as_ref());
        for (length, fits) in [(one - 5, true), (one - 4, false)] {
            let environment = environment(&[("BIG", length)]);
            assert_eq!(check(&"web.1", &argv, &environment).is_ok(), fits, "{length}");
            assert_eq!(starts(&environment, &argv), fits, "{length}");
        }
        for (length, fits) in [(one - 1, true), (one, false)] {
            let argv = shell_argv(format!(": {}", "x".repeat(length - 2)).as_ref());
            let environment = Environment::default();
            assert_eq!(check(&"web.1", &argv, &environment).is_ok(), fits, "{length}");
            assert_eq!(starts(&environment, &argv), fits, "{length}");
        }
        let limit = Passable::now().all;
        let names: Vec<String> = (0..limit / 50_000).map(|number| format!("N{number}")).collect();
        let mut all: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 49_000)).collect();
        let (fitting, argv) = (environment(&all), shell_argv("true".as_ref()));
        assert!(check(&"web.1", &argv, &fitting).is_ok() && starts(&fitting, &argv));
        all.extend([("A", 100_000), ("B", 100_000)]);
        let (large, count) = (environment(&all), all.len());
        assert!(!starts(&large, &argv));
        let error = check(&"web.1", &argv, &large).expect_err("too large").render();
        assert!(error.contains(&format!(" bytes in {count} variables; ")), "{error}");
        assert!(error.contains("the longest are `A` (from the shell), `B` (from the shell), "), "{error}");
    }
}
