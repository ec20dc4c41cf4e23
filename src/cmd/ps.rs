//! `ganger ps`: what runs, in the form of `heroku ps`.

use std::fmt::Write as _;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::remote::Remote;
use super::{print, print_raw};
use crate::cli::{AppArgs, PsArgs};
use crate::config::formation::main_type;
use crate::control::proto::{Exit, Instance, Process, Request, signal_in_words};
use crate::env::Env;
use crate::error::Error;

use crate::model::{ProcessName, json, timestamp, visible};

pub(super) fn ps(app: &AppArgs, args: &PsArgs, env: &Env) -> Result<u8, Error> {
    let mut remote = Remote::find(app, env)?;
    let instance: Instance = remote.call(&Request::Ps)?;
    if args.json {
        let all: Vec<Value> = instance.processes.iter().map(object).collect();
        return print_raw(&json::pretty(&all));
    }
    let text = if instance.processes.is_empty() {
        let types: Vec<ProcessName> = instance.types();
        let name = main_type(&types).map_or("web", ProcessName::as_str);
        let text = format!("no process runs in {}; `ganger scale {name}=1` starts one", instance.root);
        visible(&text).into_owned() + "\n"
    } else {
        table(&instance.processes, timestamp(SystemTime::now()), &TimeZone::system())
    };
    print(text.as_bytes())
}

/// A process for a program.
fn object(process: &Process) -> Value {
    json!({
        "name": process.name,
        "type": process.kind,
        "pid": process.pid,
        "port": process.port,
        "state": process.state,
        "ready": process.ready,
        "waits_for": process.waits_for,
        "since": process.since,
        "restarts": process.restarts,
        "restart_in": process.restart_in,
        "crashes": process.crashes,
        "exit": process.exit,
        "command": process.command,
    })
}

/// All processes, type by type.
fn table(processes: &[Process], now: Timestamp, zone: &TimeZone) -> String {
    let mut out = String::new();
    let mut kinds: Vec<&str> = Vec::new();
    for process in processes {
        if !kinds.contains(&process.kind.as_str()) {
            kinds.push(&process.kind);
        }
    }
    for (place, kind) in kinds.into_iter().enumerate() {
        let mut of_kind: Vec<&Process> = processes.iter().filter(|process| process.kind == kind).collect();
        of_kind.sort_by_key(|process| number(&process.name));
        if place > 0 {
            out.push('\n');
        }
        // Writing to a String cannot fail.
        let command = of_kind.first().map_or("", |process| process.command.as_str());
        let head = format!("=== {kind}: {command} ({})", of_kind.len());
        let _ = writeln!(out, "{}", visible(&head));
        for process in of_kind {
            let _ = writeln!(out, "{}", visible(&line(process, now, zone)));
        }
    }
    out
}

fn number(name: &str) -> u32 {
    name.rsplit_once('.').and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

/// `web.1: up 2026/11/23 19:16:42 +0100 (~ 5m ago), pid 4711, port 5000`
fn line(process: &Process, now: Timestamp, zone: &TimeZone) -> String {
    let mut line = format!("{}: {}", process.name, process.state);
    if let Ok(since) = process.since.parse::<Timestamp>() {
        let at = strtime::format("%Y/%m/%d %H:%M:%S %z", &since.to_zoned_datetime(zone.clone()));
        let at = at.unwrap_or_default();
        let ago = now.as_second().saturating_sub(since.as_second());
        let _ = write!(line, " {at} (~ {} ago)", age(ago));
    }
    if let Some(pid) = process.pid {
        let _ = write!(line, ", pid {pid}");
    }
    if let Some(port) = process.port {
        let _ = write!(line, ", port {port}");
    }
    match (&process.exit, process.pid) {
        (Some(Exit::Code(code)), None) => drop(write!(line, ", exited with code {code}")),
        (Some(Exit::Signal(signal)), None) => drop(write!(line, ", ended by {}", signal_in_words(signal))),
        (Some(Exit::Error(error)), None) => drop(write!(line, ", not started: {error}")),
        (_, _) => {}
    }
    if !process.waits_for.is_empty() {
        let _ = write!(line, ", for {}", process.waits_for.join(", "));
    }
    // Of one that has ended with 0 that is said.
    if process.ready && process.pid.is_some() {
        line.push_str(", ready");
    }
    if let Some(left) = process.restart_in {
        let _ = write!(line, ", restart in {left:.0} s");
    }
    if process.crashes > 1 && process.pid.is_none() {
        let _ = write!(line, ", crashed {} times", process.crashes);
    }
    line
}

/// Seconds, as `heroku ps` writes them: one unit.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(name: &str, state: &str, pid: Option<i32>, exit: Option<Exit>) -> Process {
        Process {
            name: name.to_owned(),
            kind: name.split('.').next().unwrap_or_default().to_owned(),
            command: "gunicorn app".to_owned(),
            pid,
            port: name.starts_with("web").then_some(5000),
            state: state.to_owned(),
            since: "2026-11-23T18:16:42Z".to_owned(),
            restarts: 0,
            restart_in: None,
            crashes: 0,
            exit,
            ready: false,
            waits_for: Vec::new(),
        }
    }

    #[test]
    fn each_type_has_a_head_and_a_line_for_each_process() {
        let zone = TimeZone::posix("CET-1").expect("a zone");
        let now: Timestamp = "2026-11-23T18:21:59Z".parse().expect("a time");
        let again = |name, secs, crashes| Process {
            restart_in: Some(secs),
            crashes,
            ..process(name, "starting", None, Some(Exit::Code(1)))
        };
        let processes = [
            again("again.1", 3.6, 3),
            again("again.2", 0.9, 1),
            process("web.10", "up", Some(7), None),
            process("web.2", "stopping", Some(8), Some(Exit::Code(0))),
            process("clock.1", "crashed", None, Some(Exit::Code(3))),
            process("worker.1", "stopped", None, Some(Exit::Signal("TERM".into()))),
        ];
        insta::assert_snapshot!(table(&processes, now, &zone), @r"
        === again: gunicorn app (2)
        again.1: starting 2026/11/23 19:16:42 +0100 (~ 5m ago), exited with code 1, restart in 4 s, crashed 3 times
        again.2: starting 2026/11/23 19:16:42 +0100 (~ 5m ago), exited with code 1, restart in 1 s

        === web: gunicorn app (2)
        web.2: stopping 2026/11/23 19:16:42 +0100 (~ 5m ago), pid 8, port 5000
        web.10: up 2026/11/23 19:16:42 +0100 (~ 5m ago), pid 7, port 5000

        === clock: gunicorn app (1)
        clock.1: crashed 2026/11/23 19:16:42 +0100 (~ 5m ago), exited with code 3

        === worker: gunicorn app (1)
        worker.1: stopped 2026/11/23 19:16:42 +0100 (~ 5m ago), ended by SIGTERM
        ");
        assert_eq!([59, 60, 3599, 3600, 90_000, -3].map(age), ["59s", "1m", "59m", "1h", "1d", "0s"]);
    }
}
