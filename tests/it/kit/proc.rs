//! Looking at processes, through `/proc`.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A living process; zombies are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) pgid: i32,
    pub(crate) session: i32,
    /// As in `ps`: R, S, D, T (stopped).
    pub(crate) state: char,
    pub(crate) command: String,
}

/// The living process with this pid.
pub(crate) fn process(pid: i32) -> Option<Process> {
    dead_or_alive(pid).filter(|process| !matches!(process.state, 'Z' | 'X'))
}

fn dead_or_alive(pid: i32) -> Option<Process> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut number = || fields.next()?.parse().ok();
    let parent = number()?;
    let group = number()?;
    let session = number()?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " ");
    Some(Process { pid, parent, pgid: group, session, state, command })
}

pub(crate) fn is_alive(pid: i32) -> bool {
    process(pid).is_some()
}

fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The living processes whose environment has `NAME=value`.
pub(crate) fn with_variable(assignment: &str) -> Vec<Process> {
    let wanted = assignment.as_bytes();
    let has = |pid: &i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|item| item == wanted)
    };
    all().into_iter().filter(has).filter_map(process).collect()
}

/// The living children.
pub(crate) fn children(pid: i32) -> Vec<Process> {
    all().into_iter().filter_map(process).filter(|process| process.parent == pid).collect()
}

/// What has died below this process and was not reaped.
pub(crate) fn zombies_below(pid: i32) -> Vec<Process> {
    let all: Vec<Process> = all().into_iter().filter_map(dead_or_alive).collect();
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(&parent) = family.get(at) {
        family.extend(all.iter().filter(|process| process.parent == parent).map(|process| process.pid));
        at += 1;
    }
    all.into_iter().filter(|it| it.pid != pid && it.state == 'Z' && family.contains(&it.pid)).collect()
}

pub(crate) fn group(pgid: i32) -> Vec<Process> {
    all().into_iter().filter_map(process).filter(|process| process.pgid == pgid).collect()
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap_or_else(|error| panic!("{signal} to {pid}: {error}"));
}

/// Like `kill -NUMBER`, also for real-time signals, which nix has no names for.
#[track_caller]
#[allow(unsafe_code)]
pub(crate) fn send_number(pid: i32, number: i32) {
    // SAFETY: two integers.
    let sent = Errno::result(unsafe { libc::kill(pid, number) });
    sent.unwrap_or_else(|error| panic!("{number} to {pid}: {error}"));
}

/// The same to one that may be gone by now.
pub(crate) fn send_if_there(pid: i32, signal: Signal) {
    let sent = kill(Pid::from_raw(pid), signal);
    assert!(matches!(sent, Ok(()) | Err(Errno::ESRCH)), "{signal} to {pid}: {sent:?}");
}
