//! `ganger scale`, `restart`, `stop`, `up` and `reload`: what is asked of the running instance, and
//! what it answers in words.

use std::time::Duration;

use super::remote::Remote;
use super::{complain, print};
use crate::cli::{AppArgs, ReloadArgs, ScaleArgs, UpArgs, WhichArgs};
use crate::control::lock::Holder;
use crate::control::proto::{Change, Changes, Count, Did, Exit, Instance, Request, Which, signal_in_words};
use crate::env::Env;
use crate::error::{Error, FAILURE};
use crate::model::{sentence, visible};

/// How long to wait before checking again whether the instance is gone.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) fn scale(app: &AppArgs, args: ScaleArgs, env: &Env) -> Result<u8, Error> {
    let mut remote = Remote::find(app, env)?;
    if args.counts.is_empty() {
        let instance: Instance = remote.call(&Request::Ps)?;
        let counts: Vec<String> =
            instance.formation.iter().map(|Count { kind, count }| format!("{kind}={count}")).collect();
        return print(format!("{}\n", visible(&counts.join(" "))).as_bytes());
    }
    let request = Request::Scale { counts: args.counts, wait: !args.no_wait };
    let changes: Changes = remote.call(&request)?;
    let failures = failures(&changes);
    if failures > 0 {
        return Ok(FAILURE);
    }
    // Those that were meant, as they are now.
    let meant = |count: &&Count| match &request {
        Request::Scale { counts, .. } => counts.iter().flat_map(|list| list.split(',')).any(|item| {
            let name = item.split('=').next().unwrap_or_default().trim();
            name == count.kind || name == "all"
        }),
        _ => false,
    };
    let now: Vec<String> = changes
        .formation
        .iter()
        .filter(meant)
        .map(|Count { kind, count }| format!("{kind} at {count}"))
        .collect();
    let done = if args.no_wait { "ordered" } else { "done" };
    print(format!("Scaling … {done}, now running {}\n", visible(&now.join(", "))).as_bytes())
}

pub(super) fn restart(app: &AppArgs, args: WhichArgs, env: &Env) -> Result<u8, Error> {
    change(app, &Request::Restart(which(args.names, args.no_wait)), env)
}

pub(super) fn up(app: &AppArgs, args: UpArgs, env: &Env) -> Result<u8, Error> {
    change(app, &Request::Up(which(args.names, args.no_wait)), env)
}

pub(super) fn reload(app: &AppArgs, args: &ReloadArgs, env: &Env) -> Result<u8, Error> {
    change(app, &Request::Reload { wait: !args.no_wait }, env)
}

pub(super) fn stop(app: &AppArgs, args: WhichArgs, env: &Env) -> Result<u8, Error> {
    if !args.names.is_empty() {
        return change(app, &Request::Stop(which(args.names, args.no_wait)), env);
    }
    let mut remote = Remote::find(app, env)?;
    // The lock is held until nothing of the instance is left. Opened before the end begins, which removes it.
    let mut holder = Holder::of(&remote.socket, remote.client.pid());
    match remote.call(&Request::End) {
        // Somebody else has ended it just now.
        Ok(()) | Err(Error::Ended { .. }) => {}
        Err(error) => return Err(error),
    }
    let root = remote.root.to_string_lossy();
    let root = visible(&root);
    if args.no_wait {
        return print(format!("ganger in {root} is about to end\n").as_bytes());
    }
    // Waiting for the lock itself could wait for another holder, such as another instance of the app.
    while !holder.is_gone() {
        std::thread::sleep(PAUSE);
    }
    print(format!("ganger in {root} has ended\n").as_bytes())
}

fn which(names: Vec<String>, no_wait: bool) -> Which {
    Which { names, wait: !no_wait }
}

fn change(app: &AppArgs, request: &Request, env: &Env) -> Result<u8, Error> {
    let changes: Changes = Remote::find(app, env)?.call(request)?;
    let done: Vec<&Change> = changes.processes.iter().filter(|it| it.did != Did::Failed).collect();
    let mut text: String = done.into_iter().map(|change| sentence(&describe(change)) + "\n").collect();
    if changes.processes.is_empty() {
        text.push_str("nothing to do\n");
    }
    let status = print(text.as_bytes())?;
    Ok(if failures(&changes) > 0 { FAILURE } else { status })
}

/// Says what failed; answers how many.
fn failures(changes: &Changes) -> usize {
    let failed = changes.processes.iter().filter(|change| change.did == Did::Failed);
    failed.inspect(|change| complain(&format!("ganger: error: {}", describe(change)))).count()
}

fn describe(change: &Change) -> String {
    let Change { name, did, pid, port, exit, error, superseded } = change;
    let pid = pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    let port = port.map(|port| format!(", port {port}")).unwrap_or_default();
    match did {
        Did::Started => format!("{name} started{pid}{port}"),
        Did::Restarted => format!("{name} restarted{pid}{port}"),
        Did::WasUp => format!("{name} is up already{pid}{port}"),
        Did::Stopped => match exit {
            Some(Exit::Code(code)) => format!("{name} stopped, exited with code {code}"),
            Some(Exit::Signal(signal)) => format!("{name} stopped by {}", signal_in_words(signal)),
            Some(Exit::Error(_)) | None => format!("{name} stopped"),
        },
        Did::WasDown => format!("{name} is stopped already"),
        Did::Failed => {
            let why = error.as_deref().unwrap_or("unknown error");
            if *superseded { format!("{name}: {why}") } else { format!("{name} is not up: {why}") }
        }
        Did::Ordered => format!("{name}: ordered"),
    }
}
