//! `ganger check`: are the files good? Starts nothing, asks no port.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::program::Fault;
use super::project::{Need, Project};
use super::wishes::{check_wishes, muted, wishes};
use super::{complain, passable, print, program};
use crate::cli::{AppArgs, CheckArgs, StartArgs};
use crate::config::environment::Environment;
use crate::config::formation::Selection;
use crate::config::problems::MOST_SHOWN;
use crate::env::Env;
use crate::error::Error;
use crate::model::{InstanceId, ProcessName, quoted};
use crate::os::spawn::shell_argv;
use crate::plan::Wishes;

pub(super) fn check(app: &AppArgs, args: &CheckArgs, start: &StartArgs, env: &Env) -> Result<u8, Error> {
    let project = Project::load(app, env, Need::Procfile)?;
    if args.strict && !project.warnings.is_empty() {
        return Err(Error::Files(project.warnings));
    }
    if let Some((message, hint)) = project.remarks.first().filter(|_| args.strict) {
        return Err(Error::usage(message, hint));
    }
    project.warn();
    let plan = project.app(app, |_| Ok(true))?;
    let names: Vec<&str> = project.procfile.names().map(ProcessName::as_str).collect();
    // Ports have to work out too. A Procfile with nothing but `release` is good, though there
    // is nothing to start.
    if names != [ProcessName::RELEASE] {
        plan.plan(&Wishes::default())?;
    }
    let types: Vec<ProcessName> = project.procfile.names().cloned().collect();
    let wishes = wishes(app, start, &types)?;
    muted(app, start, &types)?;
    check_wishes(app, &wishes, &types)?;
    if wishes.selection != Selection::default() {
        plan.plan(&wishes)?;
    }
    project.check_folders(&types)?;
    let environment_of = plan.environments(&types);
    let mut programs = Programs::default();
    let mut missing: Vec<(String, Option<String>)> = Vec::new();
    let mut more = 0;
    for entry in &project.procfile.entries {
        let id = InstanceId::new(entry.name.clone(), 1);
        let environment = environment_of(&id)?;
        passable::check(&id, &shell_argv(&entry.command), &environment)?;
        let folder = project.folder_of(&entry.name);
        let Some((program, fault)) = plain_program(&entry.command)
            .and_then(|program| Some((program, programs.fault(program, &environment, &folder)?)))
        else {
            continue;
        };
        let (name, program) = (&entry.name, quoted(program));
        let (message, hint) = match fault {
            Fault::NotOnPath => (format!("{name}: `{program}` is not on the PATH"), None),
            fault => (format!("{name}: `{program}`: {}", fault.what()), Some(fault.hint(OsStr::new("")))),
        };
        if args.strict {
            let usual = "install it, or activate the environment it is in".to_owned();
            return Err(Error::usage(message, hint.unwrap_or(usual)));
        }
        if missing.len() < MOST_SHOWN { missing.push((message, hint)) } else { more += 1 }
    }
    for (message, hint) in missing {
        complain(&format!("ganger: warning: {message}"));
        if let Some(hint) = hint {
            complain(&format!("  hint: {hint}"));
        }
    }
    if more > 0 {
        complain(&format!("ganger: warning: the programs of {more} more process types cannot be started"));
    }
    if let Some(note) = project.unexpanded().filter(|_| !app.expand) {
        complain(&format!("ganger: note: {note}"));
    }
    let count = if names.len() == 1 { "1 process type" } else { &format!("{} process types", names.len()) };
    let more = names.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    print(format!("ok: {count} ({}{more})\n", names[..names.len().min(MOST_NAMED)].join(", ")).as_bytes())
}

/// The most names of types that a successful check lists.
const MOST_NAMED: usize = 100;

/// What is wrong with programs, by name, `PATH` and directory: many types run the same one.
#[derive(Default)]
struct Programs {
    known: HashMap<(String, OsString, PathBuf), Option<Fault>>,
}

impl Programs {
    fn fault(&mut self, program: &str, environment: &Environment, folder: &Path) -> Option<Fault> {
        let path = environment.value("PATH").unwrap_or_default();
        let key = (program.to_owned(), path.to_owned(), folder.to_owned());
        self.known.entry(key).or_insert_with(|| program::fault(program.as_ref(), path, folder)).clone()
    }
}

/// Words the shell knows itself.
const SHELL_WORDS: &[&str] = &[
    ".", ":", "[", "alias", "bg", "break", "case", "cd", "chdir", "command", "continue", "echo", "eval",
    "exec", "exit", "export", "false", "fc", "fg", "for", "getopts", "hash", "if", "jobs", "kill", "local",
    "printf", "pwd", "read", "readonly", "return", "set", "shift", "test", "times", "trap", "true", "type",
    "ulimit", "umask", "unalias", "unset", "until", "wait", "while", "{",
];

/// The program of a command, if it is a plain word and cannot be started, and why not. Anything the shell
/// would do something with (`$`, quotes, its own words) is left alone.
pub(super) fn bad_program(
    command: &OsStr,
    environment: &Environment,
    root: &Path,
) -> Option<(String, Fault)> {
    let program = plain_program(command)?;
    let path = environment.value("PATH").unwrap_or_default();
    Some((program.to_owned(), program::fault(program.as_ref(), path, root)?))
}

/// Returns the program of a command if it is a plain word and not a shell builtin.
fn plain_program(command: &OsStr) -> Option<&str> {
    let is_assignment = |word: &&str| {
        let name = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        word.split_once('=').is_some_and(|(key, _)| name(key))
    };
    let mut words = command.to_str()?.split_whitespace().skip_while(is_assignment);
    let program = match words.next()? {
        "exec" => words.next()?,
        word => word,
    };
    let is_plain = program.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./+".contains(&byte));
    (is_plain && !SHELL_WORDS.contains(&program)).then_some(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Precedence;

    #[test]
    fn only_plain_words_are_looked_for() {
        let shell = [("PATH".into(), std::env::var_os("PATH").expect("a PATH"))];
        let environment = Environment::layered(&shell, [], Precedence::Files);
        let missing = |command: &str| bad_program(command.as_ref(), &environment, Path::new("/"));
        for fine in [
            "sh -c x",
            "exec sh",
            "A=1 B=2 sh",
            "$HOME/x",
            "'no such'",
            "cd /nope",
            "(nope)",
            "/bin/sh",
            "fg",
            "fc",
        ] {
            assert_eq!(missing(fine), None, "{fine}");
        }
        for bad in ["no-such-program-x -a", "A=b no-such-program-x", "exec no-such-program-x", "./no-such-x"]
        {
            assert!(missing(bad).is_some(), "{bad}");
        }
    }
}
