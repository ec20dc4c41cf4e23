//! Signals and commands take effect, whatever searches and clients have to do beside the driver.
//!
//! How fast they do is measured by `benches/signals`; here each of them has to take effect at all.

use nix::sys::signal::Signal;

use crate::kit::{Running, Test, proc};

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
