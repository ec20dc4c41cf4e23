//! Signals and commands take effect, whatever searches and clients have to do beside the driver.
//!
//! How fast they do is measured by `benches/signals`; here each of them has to take effect at all.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::kit::{Running, Test, eventually, poll_for, proc};

/// A process that writes as fast as it can, and one that logs signals.
fn flood() -> Test {
    Test::new()
        .procfile(
            "web: trap '' USR1; exec yes a line of output that is neither long nor short\n\
             worker: exec gangling --log-signals USR1 --wait\n",
        )
        .args(["--mute", "web"])
}

/// Each signal reaches the process before the next one is sent.
#[track_caller]
fn forwards_signals(running: &Running) {
    for count in 1..=3 {
        running.signal(Signal::SIGUSR1);
        let got = format!("got SIGUSR1 {count}");
        running.wait_for(|line| line.name == "worker.1" && line.text.ends_with(&got));
    }
}

#[test]
fn a_search_in_a_flood_delays_no_signal_and_no_client() {
    let test = flood().file("ganger.toml", "[process.web]\nready = 'log:web:never matches'\n");
    let running = test.start();
    running.wait_ready("worker.1");
    forwards_signals(&running);
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn a_search_in_a_flood_does_not_hide_the_death_of_the_guard() {
    let test = flood().file("ganger.toml", "[process.web]\nready = 'log:web:never matches'\n");
    let running = test.start();
    running.wait_ready("worker.1");
    proc::send(running.own_pids().guard, Signal::SIGKILL);
    running.wait().killed_by(Signal::SIGKILL);
}

#[test]
fn the_last_lines_of_a_flood_come_to_an_end() {
    let test = flood();
    let running = test.start();
    running.wait_ready("worker.1");
    test.beside(["logs", "-n", "100000", "web"]).code(0);
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn the_probe_of_a_wait_ends_when_its_client_is_killed() {
    let ready = "ready = 'cmd:echo x >> asked; exec gangling --ignore TERM --wait'\n";
    let test = Test::new()
        .procfile("web: exec gangling --wait\n")
        .file("ganger.toml", format!("[process.web]\n{ready}"))
        .args(["--wait-timeout", "0.5"]);
    let running = test.start();
    running.wait_ready("web.1");
    let probes = || test.world().alive().iter().filter(|it| it.command.contains("--ignore TERM")).count();
    // Without a client it is looked at for half a second.
    eventually("it looks", || test.path("asked").exists());
    eventually("it gives up", || probes() == 0);
    let client = test.start_beside(["wait", "web", "--timeout", "3600"]);
    eventually("it looks for the client", || probes() == 1);
    client.stop_beside(Signal::SIGKILL).killed_by(Signal::SIGKILL);
    // After 10 s the command would be ended anyway, and run again.
    let gone = poll_for(Duration::from_secs(5), || (probes() == 0).then_some(()));
    assert!(gone.is_some(), "nothing waits for it any more");
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn clients_that_wait_end_with_the_reader_of_their_output() {
    let test = Test::new()
        .procfile("web: exec gangling --say listening --wait\n")
        .file("ganger.toml", "[process.web]\nready = 'tcp:1'\n");
    let running = test.start();
    running.wait_ready("web.1");
    let ended = |args: &[&str], reader: &str| {
        let script = format!("{{ \"$@\"; echo \"status $?\" >&2; }} | {reader}");
        let client = test.clone().args(args).by_shell(&script).run_beside();
        client.code(0).stderr("status 141\n");
    };
    // No line follows the one that the reader has waited for.
    ended(&["logs", "-f", "web"], "grep -m1 listening");
    ended(&["logs", "-f", "--json", "web"], "head -n 1");
    ended(&["wait", "web", "--timeout", "3600"], "true");
    running.finish().killed_by(Signal::SIGINT);
}
