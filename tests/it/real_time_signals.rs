//! Deaths by signals that have no name of their own (34 to 64), and such signals as the stop signal.

use nix::sys::signal::Signal::{SIGINT, SIGKILL, SIGTERM};
use serde_json::Value;

use crate::kit::proc::{send, send_number};
use crate::kit::{Finished, Test, eventually, proc};

/// Each with its name in bash's `kill -l`.
const SIGNALS: [(i32, &str); 4] = [(40, "RTMIN+6"), (34, "RTMIN"), (64, "RTMAX"), (35, "RTMIN+1")];

const WAITS: &str = "exec gangling --wait\n";

fn restarting(procfile: &str) -> Test {
    Test::without_ports().procfile(procfile).args(["--on-exit", "restart"])
}

#[track_caller]
fn ps(test: &Test, name: &str) -> Value {
    let finished = test.beside(["ps", "--json"]).code(0);
    let all: Vec<Value> = serde_json::from_slice(&finished.stdout).expect("an array");
    all.into_iter().find(|process| process["name"] == name).expect("it is shown")
}

#[test]
fn a_death_is_noticed_and_hides_no_other() {
    for (number, name) in SIGNALS {
        let test = restarting(&format!("a: {WAITS}b: {WAITS}c: {WAITS}"));
        let running = test.start();
        let [a, b, c] = ["a.1", "b.1", "c.1"].map(|name| running.wait_ready(name));
        // All three are dead before ganger looks.
        send(running.own_pids().supervisor, nix::sys::signal::Signal::SIGSTOP);
        send(a, SIGKILL);
        eventually("dead", || !proc::is_alive(a));
        send_number(b, number);
        eventually("dead", || !proc::is_alive(b));
        send(c, SIGTERM);
        eventually("dead", || !proc::is_alive(c));
        send(running.own_pids().supervisor, nix::sys::signal::Signal::SIGCONT);
        running.wait_for_line("system", "a.1 was killed by SIGKILL after");
        running.wait_for_line("system", &format!("b.1 was killed by SIG{name} after"));
        running.wait_for_line("system", "c.1 was killed by SIGTERM after");
        running.wait_for_lines(6, |line| line.text.starts_with("ready "));
        running.finish().killed_by(SIGINT);
    }
}

#[test]
fn a_death_ends_the_run_with_128_and_the_number() {
    for (number, name) in SIGNALS {
        let test = Test::without_ports().procfile(format!("web: {WAITS}worker: {WAITS}"));
        let running = test.start();
        let web = running.wait_ready("web.1");
        running.wait_ready("worker.1");
        send_number(web, number);
        running
            .wait()
            .code(128 + number)
            .stdout_has(&format!("web.1 was killed by SIG{name} after N s and ended the run\n"))
            .stdout_has("worker.1 was stopped by SIGTERM after N s\n");
    }
}

#[test]
fn a_death_while_everything_stops_is_noticed() {
    // The time limit is no way out: it is longer than a test may take.
    let test = Test::without_ports()
        .procfile(format!("web: exec gangling --ignore TERM --wait\nworker: {WAITS}"))
        .args(["-t", "600"]);
    let running = test.start();
    let web = running.wait_ready("web.1");
    running.wait_ready("worker.1");
    running.signal(SIGTERM);
    running.wait_for_line("system", "worker.1 was stopped by SIGTERM");
    send_number(web, 40);
    running.wait().killed_by(SIGTERM).stdout_has("web.1 was stopped by SIGRTMIN+6 after N s\n");
}

#[test]
fn what_has_left_its_group_is_reaped_too() {
    // It becomes a child of ganger, and dies first.
    let test = restarting(&format!("web: exec gangling --daemon '--kill-self 40' --wait\nworker: {WAITS}"));
    let running = test.start();
    running.wait_for_line("web.1", "daemon ");
    running.wait_ready("web.1");
    let worker = running.wait_ready("worker.1");
    eventually("reaped", || proc::zombies_below(running.pid()).is_empty());
    send(worker, SIGKILL);
    running.wait_for_line("system", "worker.1 was killed by SIGKILL after");
    running.finish().killed_by(SIGINT);
}

#[test]
fn a_command_of_run_ends_with_128_and_the_number() {
    for (number, _) in SIGNALS {
        let number_word = number.to_string();
        let test = Test::without_ports().procfile("web: true\n");
        test.args(["run", "gangling", "--kill-self", &number_word]).run().code(128 + number);
    }
}

#[test]
fn run_notices_the_death_of_an_orphan() {
    let test = Test::without_ports().procfile("web: true\n");
    let test = test.args(["run", "gangling", "--daemon", "--kill-self 40", "--wait-file", "go"]);
    let running = test.start();
    running.wait_for_text(1, "ready ");
    eventually("reaped", || proc::zombies_below(running.pid()).is_empty());
    std::fs::write(test.path("go"), "").expect("written");
    running.wait().code(0);
}

#[test]
fn ps_names_the_signal() {
    let test = Test::without_ports().procfile(format!("web: {WAITS}worker: {WAITS}")).args([
        "--stop-signal",
        "web=40",
        "-t",
        "600",
    ]);
    let running = test.start();
    running.wait_ready("web.1");
    running.wait_ready("worker.1");
    test.beside(["stop", "web"]).code(0).stdout_has("web.1 stopped by SIGRTMIN+6\n");
    let web = ps(&test, "web.1");
    assert_eq!((&web["state"], &web["exit"]["signal"]), (&"stopped".into(), &"RTMIN+6".into()), "{web}");
    test.beside(["ps"]).code(0).stdout_has(", ended by SIGRTMIN+6");
    running.finish().killed_by(SIGINT);
}

#[test]
fn events_in_json_name_the_signal() {
    let test = Test::without_ports().procfile("web: exec gangling --kill-self 40\n");
    let finished = test.args(["--format", "json"]).run().code(168);
    finished.stdout_has("\"signal\":\"RTMIN+6\"");
}

#[test]
fn a_death_with_a_core_dump_is_one_by_signal() {
    // Where the system pipes cores to a program, nothing is written here.
    let test = Test::without_ports().procfile("web: ulimit -c unlimited; exec gangling --kill-self SEGV\n");
    test.run().code(139).stdout_has("web.1 was killed by SIGSEGV after N s");
}

/// Returns what each process of `web` got.
fn got(finished: &Finished) -> Vec<String> {
    let lines = finished.lines_of("web.1");
    let mut got: Vec<String> =
        lines.iter().filter_map(|line| line.split_once(" got ")).map(|(_, what)| what.to_owned()).collect();
    got.sort_unstable();
    got
}

#[test]
fn it_can_be_the_stop_signal() {
    // Each spelling, for the whole group, on a pipe and on a terminal.
    for (spelling, pty) in [("40", "never"), ("SIGRTMIN+6", "always"), ("web=rtmin+6", "never")] {
        let child = "--log-signals 40,TERM,CONT --linger 0 --say clean";
        let test = Test::without_ports()
            .procfile(format!("web: exec gangling --spawn '{child}' {child}\n"))
            .args(["-t", "600", "--pty", pty, "--stop-signal", spelling]);
        let running = test.start();
        running.wait_for_lines(2, |line| line.text.starts_with("ready "));
        let finished = running.finish().killed_by(SIGINT);
        let got: Vec<String> = got(&finished).into_iter().filter(|it| !it.starts_with("SIGCONT")).collect();
        assert_eq!(got, ["signal 40 1"; 2], "{spelling}: {finished}");
        assert_eq!(
            finished.lines_of("web.1").iter().filter(|line| *line == "clean").count(),
            2,
            "{finished}"
        );
    }
}

#[test]
fn restart_and_stop_send_it() {
    let test = Test::without_ports()
        .procfile("web: exec gangling --log-signals 40,TERM --linger 0\n")
        .args(["-t", "600", "--stop-signal", "web=64", "--stop-signal", "40"]);
    let running = test.start();
    running.wait_ready("web.1");
    test.beside(["restart", "web"]).code(0).stdout_has("web.1 restarted");
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    test.beside(["stop", "web"]).code(0).stdout_has("web.1 stopped by SIGRTMAX\n");
    test.beside(["stop"]).code(0);
    running.wait().killed_by(SIGTERM);
}
