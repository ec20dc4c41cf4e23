//! `kill -9` of one of ganger's processes, at any moment, with twenty processes: two seconds
//! later nothing is alive.
//!
//! A few tries each. For more, and the longest time that any took:
//! `GANGER_TEST_TRIES=200 cargo test --test it survivors_killed -- --nocapture`

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::kit::{LIMIT, Running, Test, poll_for};

/// What is asked for on an idle machine. A test that fails because others take the processor
/// says nothing, so it allows more; the time is printed.
const ASKED: Duration = Duration::from_secs(2);
const ALLOWED: Duration = Duration::from_secs(10);

const COUNT: usize = 20;

#[derive(Debug, Clone, Copy)]
enum Victim {
    Guard,
    Reserve,
    Supervisor,
}

fn tries() -> usize {
    std::env::var("GANGER_TEST_TRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

fn app() -> Test {
    // Half of them do not listen, and one of them each has a child in another session.
    Test::without_ports()
        .procfile("web: exec gangling --wait\nworker: exec gangling --ignore TERM,INT,HUP --spawn '--ignore TERM --setsid --wait' --wait\n")
        .args(["start", "web=10", "worker=5", "-t", "3600"])
}

/// The children of a process, as the kernel lists them: at once, where a look at all of `/proc`
/// takes as long as all of them need to start.
fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Ganger's processes that are there by now: guard, reserve, supervisor.
fn chain(running: &Running) -> Vec<i32> {
    let mut chain = vec![running.pid()];
    while let (1..3, Some(child)) =
        (chain.len(), chain.last().and_then(|pid| children(*pid).first().copied()))
    {
        chain.push(child);
    }
    chain
}

/// Kills, and answers how long anything was alive.
fn kill_and_measure(test: &Test, mut running: Running, pid: i32) -> Duration {
    let start = Instant::now();
    let _ = kill(Pid::from_raw(pid), SIGKILL);
    running.wait_for_exit();
    let gone = poll_for(LIMIT, || test.world().alive().is_empty().then_some(()));
    let took = start.elapsed();
    assert!(gone.is_some(), "left alive: {:?}", test.world().alive());
    running.wait();
    took
}

#[allow(clippy::print_stdout, reason = "the longest time is asked for")]
fn try_often(what: &str, attempt: impl Fn(usize, Victim) -> Duration) {
    for victim in [Victim::Guard, Victim::Reserve, Victim::Supervisor] {
        let mut times: Vec<Duration> = (0..tries()).map(|number| attempt(number, victim)).collect();
        times.sort_unstable();
        let longest = times.last().copied().unwrap_or_default();
        let late = times.iter().filter(|time| **time > ASKED).count();
        println!(
            "{what}, {victim:?} killed {} times: nothing left after {longest:.1?} at most, {late} times later than {ASKED:?}",
            times.len()
        );
        assert!(longest < ALLOWED, "{what}, {victim:?}: {longest:?}");
    }
}

#[track_caller]
fn victim_of(running: &Running, victim: Victim) -> i32 {
    let chain = poll_for(LIMIT, || Some(chain(running)).filter(|chain| chain.len() == 3)).expect("three");
    chain[victim as usize]
}

#[test]
fn while_all_run() {
    try_often("while all run", |_, victim| {
        let test = app();
        let running = test.start();
        running.wait_for_lines(COUNT, |line| line.text.starts_with("ready "));
        let pid = victim_of(&running, victim);
        kill_and_measure(&test, running, pid)
    });
}

#[test]
fn while_all_are_being_started() {
    // From the moment in which the victim appears up to the last process, in steps; a machine
    // that is busy adds moments of its own.
    try_often("while all are being started", |number, victim| {
        let moment = number % 16;
        let test = app();
        let running = test.start();
        let mut running = Some(running);
        let end = Instant::now() + LIMIT;
        loop {
            let chain = chain(running.as_ref().expect("it runs"));
            let enough = match (victim, chain.get(2)) {
                // The moment before its own children are there.
                _ if moment == 0 => true,
                (_, Some(supervisor)) => children(*supervisor).len() >= moment.min(15),
                (_, None) => false,
            };
            if let (true, Some(pid)) = (enough, chain.get(victim as usize)) {
                break kill_and_measure(&test, running.take().expect("it runs"), *pid);
            }
            assert!(Instant::now() < end, "{moment} processes never came");
        }
    });
}

#[test]
fn while_all_are_being_stopped() {
    try_often("while all are being stopped", |number, victim| {
        let test = app();
        let running = test.start();
        running.wait_for_lines(COUNT, |line| line.text.starts_with("ready "));
        let pid = victim_of(&running, victim);
        running.signal(SIGTERM);
        // Those that listen end one by one; the others never do.
        let ended = number % 11;
        if ended == 0 {
            running.wait_for_line("system", "SIGTERM received");
        } else {
            running.wait_for_lines(ended, |line| line.text.contains("was stopped by SIGTERM"));
        }
        kill_and_measure(&test, running, pid)
    });
}
