//! Signals to ganger: how its processes are stopped, and what is handed on.

use nix::sys::signal::Signal;
use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use crate::kit::{Finished, OwnPids, Running, Test, field, proc};

/// Prints each signal and takes its time to end, so that a second one would be seen.
const LOGS: &str = "gangling --log-signals INT,TERM,HUP,QUIT,USR1,USR2,CONT --linger 300";

/// Two processes, each a group of a shell, which ignores the signals, and three that log them.
fn groups() -> Test {
    let group = format!("trap '' INT TERM HUP QUIT USR1 USR2; {LOGS} & {LOGS} & {LOGS} & wait");
    Test::new().file("group", group).procfile("web: exec sh group\nworker: exec sh group\n")
}

/// Waits for the six, and answers their pids.
fn ready(running: &Running) -> Vec<i32> {
    let ready = running.wait_for_lines(6, |line| line.text.starts_with("ready "));
    ready.iter().map(|line| field(&line.text, "pid")).collect()
}

/// The lines `PID got SIGNAL N`, without those of CONT, which is no request to end.
fn got(finished: &Finished, pid: i32) -> Vec<String> {
    let prefix = format!("{pid} got ");
    let all =
        finished.lines().into_iter().filter_map(|line| line.text.strip_prefix(&prefix).map(str::to_owned));
    all.filter(|text| !text.starts_with("SIGCONT")).collect()
}

#[track_caller]
fn assert_each_got(finished: &Finished, pids: &[i32], expected: &[&str]) {
    assert_eq!(pids.len(), 6, "{finished}");
    for pid in pids {
        assert_eq!(got(finished, *pid), expected, "{pid}\n{finished}");
    }
}

#[test]
fn ganger_dies_by_the_signal_that_ended_it_and_asks_everybody_once() {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let running = groups().start();
        let pids = ready(&running);
        let finished = running.stop(signal).killed_by(signal);
        assert_each_got(&finished, &pids, &["SIGTERM 1"]);
        finished.stdout_has(&format!("system   | {signal} received, stopping all; once more kills them\n"));
    }
}

/// A process that is just starting is in ganger's group still. What comes to that group is ganger's to act
/// on, and must not end the new one, or the one that leads its session, before it is a program.
#[test]
fn a_signal_while_processes_start_is_not_theirs() {
    let signals_ganger =
        "first: read -r _ _ _ _ group _ </proc/$PPID/stat; kill -INT -$group; exec sleep 60\n";
    let others: Vec<String> = (0..30).map(|n| format!("p{n}: exec sleep 60\n")).collect();
    for pty in ["never", "always"].repeat(5) {
        let test = Test::without_ports().procfile(signals_ganger.to_owned() + &others.concat());
        let finished = test.args(["--pty", pty]).start().wait().killed_by(SIGINT);
        let wrong = |line: &String| line.contains("could not") || line.contains("by SIGINT");
        assert!(!finished.lines_of("system").iter().any(wrong), "{finished}");
    }
}

#[test]
fn a_signal_to_the_supervisor_alone_is_one_stop() {
    let running = groups().start();
    let pids = ready(&running);
    let supervisor = running.own_pids().supervisor;
    proc::send(supervisor, SIGTERM);
    let finished = running.wait().killed_by(SIGTERM);
    assert_each_got(&finished, &pids, &["SIGTERM 1"]);
}

#[test]
fn a_signal_to_both_is_one_stop() {
    // As `pkill ganger` does.
    let running = groups().start();
    let pids = ready(&running);
    let OwnPids { guard, supervisor, .. } = running.own_pids();
    proc::send(guard, SIGTERM);
    proc::send(supervisor, SIGTERM);
    let finished = running.wait().killed_by(SIGTERM);
    assert_each_got(&finished, &pids, &["SIGTERM 1"]);
}

#[test]
fn a_signal_to_the_whole_group_is_one_stop() {
    // As a terminal's Ctrl-C and `timeout` do.
    for signal in [SIGINT, SIGTERM] {
        let running = groups().start();
        let pids = ready(&running);
        running.signal_group(signal);
        let finished = running.wait().killed_by(signal);
        assert_each_got(&finished, &pids, &["SIGTERM 1"]);
    }
}

#[test]
fn some_signals_are_handed_on_once_and_stop_nothing() {
    let running = groups().start();
    let pids = ready(&running);
    for signal in [SIGUSR1, SIGUSR2, SIGQUIT] {
        running.signal(signal);
        for pid in &pids {
            running.wait_for(|line| line.text == format!("{pid} got {signal} 1"));
        }
    }
    // To the whole group, as Ctrl-\ is: still once for each.
    running.signal_group(SIGQUIT);
    for pid in &pids {
        running.wait_for(|line| line.text == format!("{pid} got SIGQUIT 2"));
    }
    let finished = running.finish().killed_by(SIGINT);
    let expected = ["SIGUSR1 1", "SIGUSR2 1", "SIGQUIT 1", "SIGQUIT 2", "SIGTERM 1"];
    assert_each_got(&finished, &pids, &expected);
}

#[test]
fn the_stop_signal_is_chosen_by_process() {
    let test = Test::new()
        .procfile(format!("web: exec {LOGS}\nworker: exec {LOGS}\ncss: exec {LOGS}\n"))
        .args(["--stop-signal", "worker=QUIT", "--stop-signal", "INT,css=SIGHUP", "-t", "5"]);
    let running = test.start();
    let pids = ["web.1", "worker.1", "css.1"].map(|name| running.wait_ready(name));
    // QUIT does not end the worker, it only logs it; the timeout does.
    let finished = running.finish().killed_by(SIGINT);
    assert_eq!(got(&finished, pids[0]), ["SIGINT 1"], "{finished}");
    assert_eq!(got(&finished, pids[1]), ["SIGQUIT 1"], "{finished}");
    assert_eq!(got(&finished, pids[2]), ["SIGHUP 1"], "{finished}");
    finished
        .stdout_has("system   | worker.1 did not stop within 5.0 s, killing it\n")
        .stdout_has("worker.1 was killed by SIGKILL after N s\n");
}

#[test]
fn what_does_not_stop_in_time_is_killed_with_its_group() {
    let test = Test::new()
        .procfile("web: exec gangling --ignore TERM --spawn '--ignore TERM --wait' --wait\nworker: exec gangling --wait\n")
        .args(["-t", "web=0.2"]);
    let running = test.start();
    running.wait_for_lines(3, |line| line.text.starts_with("ready "));
    running
        .stop(SIGTERM)
        .killed_by(SIGTERM)
        .stdout_has("system   | web.1 did not stop within 0.2 s, killing it\n")
        .stdout_has("worker.1 was stopped by SIGTERM after N s\n");
}

#[test]
fn a_member_that_outlives_its_leader_is_killed_in_time_too() {
    let test = Test::new()
        .procfile("web: gangling --ignore TERM --wait & gangling --wait-file go --exit 3\n")
        .args(["-t", "0.2"]);
    let running = test.start();
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    std::fs::write(test.path("go"), "").expect("written");
    running.wait().code(3).stdout_has("system | web.1 did not stop within 0.2 s, killing it\n");
}

#[test]
fn a_second_signal_kills_at_once() {
    // Without it this takes an hour.
    for (first, second) in [(SIGINT, SIGINT), (SIGTERM, SIGTERM), (SIGTERM, SIGINT)] {
        let running = stubborn().start();
        running.wait_for_lines(2, |line| line.text.starts_with("ready "));
        running.signal(first);
        running.wait_for_line("system", &format!("{first} received"));
        running.signal(second);
        running.wait().killed_by(first).stdout_has("web.1 was killed by SIGKILL after N s\n");
    }
}

fn stubborn() -> Test {
    let ignores = "gangling --ignore TERM,INT,HUP";
    Test::new()
        .procfile(format!("web: exec {ignores} --spawn '--ignore TERM --wait' --wait\n"))
        .args(["-t", "3600"])
}

#[test]
fn a_second_signal_to_the_whole_group_kills_too() {
    let running = stubborn().start();
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    running.signal_group(SIGINT);
    running.wait_for_line("system", "SIGINT received");
    running.signal_group(SIGINT);
    running.wait().killed_by(SIGINT).stdout_has("web.1 was killed by SIGKILL after N s\n");
}

#[test]
fn a_stopped_process_is_stopped_for_good() {
    // SIGTERM alone waits in a process that SIGSTOP holds.
    let running = Test::new().procfile("web: exec gangling --wait\n").args(["-t", "3600"]).start();
    let pid = running.wait_ready("web.1");
    proc::send(pid, Signal::SIGSTOP);
    crate::kit::eventually("stopped", || proc::process(pid).is_some_and(|it| it.state == 'T'));
    running.finish().killed_by(SIGINT).stdout_has("web.1 was stopped by SIGTERM");
}

#[test]
fn a_signal_while_everything_stops_changes_no_status() {
    let test = Test::new().procfile(format!("web: gangling --wait-file go --exit 4\nworker: exec {LOGS}\n"));
    let running = test.start();
    let worker = running.wait_ready("worker.1");
    std::fs::write(test.path("go"), "").expect("written");
    running.wait_for(|line| line.text == format!("{worker} got SIGTERM 1"));
    running.signal(SIGINT);
    running.wait().code(4);
}

#[test]
fn killing_a_process_from_outside_is_an_end_like_any_other() {
    let running = Test::new().procfile("web: exec gangling --wait\nworker: exec gangling --wait\n").start();
    let pid = running.wait_ready("web.1");
    running.wait_ready("worker.1");
    proc::send(pid, SIGKILL);
    running.wait().code(137).stdout_has("web.1 was killed by SIGKILL after N s and ended the run\n");
}

/// As at a logout, `kill -1` or the stop of a whole unit: the order in which processes get it must not matter.
#[test]
fn a_signal_that_reaches_the_processes_first_ends_the_run_as_if_ganger_had_got_it_first() {
    for (signal, on_exit) in [(SIGTERM, "stop"), (SIGHUP, "stop"), (SIGINT, "restart"), (SIGTERM, "ignore")] {
        let end = |processes_first: bool| {
            let test = Test::new()
                .procfile(
                    "web: exec gangling --wait\nworker: exec gangling --wait\nshell: gangling --wait; exit $?\n",
                )
                .args(["--on-exit", on_exit, "--stop-signal", signal.as_str()]);
            let running = test.start();
            let pids = ["web.1", "worker.1", "shell.1"].map(|name| running.wait_ready(name));
            let ganger = running.pid();
            let all = if processes_first {
                vec![pids[0], pids[1], pids[2], ganger]
            } else {
                vec![ganger, pids[0], pids[1], pids[2]]
            };
            for pid in all {
                proc::send_if_there(pid, signal);
            }
            let finished = running.wait().killed_by(signal);
            let system = finished.lines_of("system");
            let mut ends: Vec<String> = system.into_iter().filter(|line| !line.contains("started")).collect();
            let first = ends.remove(0);
            assert_eq!(first, format!("{signal} received, stopping all; once more kills them"), "{finished}");
            for line in &mut ends {
                *line = line.split(" after ").next().unwrap_or_default().to_owned();
            }
            // Its child has died of the signal first, or it has itself.
            ends.iter_mut().filter(|line| line.starts_with("shell.1 ")).for_each(|line| line.truncate(7));
            ends.sort();
            ends
        };
        let expected = end(false);
        assert_eq!(end(true), expected, "{signal} {on_exit}");
        assert!(expected.contains(&format!("web.1 was stopped by {signal}")), "{expected:?}");
    }
}

#[test]
fn one_signal_after_a_stop_by_a_command_kills() {
    let test = stubborn();
    let running = test.start();
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    let mut command = test.start_beside(["stop"]);
    running.wait_for_line("system", "SIGTERM received");
    running.signal(SIGINT);
    running.wait_beside().killed_by(SIGTERM).stdout_has("web.1 was killed by SIGKILL after N s\n");
    command.wait_for_exit();
    command.wait();
}
