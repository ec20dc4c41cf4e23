//! Commands that are given while others are still being carried out: the last one wins, what runs is what the
//! files said when they were read last, and each client gets its answer.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::kit::{Running, Test, eventually, proc};

/// A process that takes a file `go-NAME` to stop; VERSION is written at its start.
fn slow(name: &str, version: &str) -> String {
    let go = format!("go-{name}");
    format!("{name}: rm -f {go}; echo version {version}; exec gangling --ignore TERM --wait-file {go}\n")
}

fn app() -> Test {
    Test::new().procfile(slow("web", "1")).args(["-t", "3600"])
}

/// Lets the process stop.
fn go(test: &Test, name: &str) {
    std::fs::write(test.path(&format!("go-{name}")), "").expect("written");
}

/// What `ps` says of all processes.
fn ps(test: &Test) -> Vec<Value> {
    serde_json::from_slice(&test.beside(["ps", "--json"]).code(0).stdout).expect("an array")
}

#[track_caller]
fn wait_for_state(test: &Test, name: &str, state: &str) {
    let is_so = |it: &Value| it["name"] == name && it["state"] == state;
    eventually(&format!("{name} is {state}"), || ps(test).iter().any(is_so));
}

/// Gives a command, and waits until the process is on its way down because of it.
#[track_caller]
fn begin(test: &Test, args: &[&str], name: &str) -> Running {
    let client = test.start_beside(args);
    wait_for_state(test, name, "stopping");
    client
}

#[track_caller]
fn superseded(client: Running) {
    client.wait_beside().code(1).stderr("ganger: error: web.1: superseded by a later command\n");
}

#[test]
fn stop_during_a_reload_wins() {
    let test = app();
    let running = test.start();
    running.wait_ready("web.1");
    let test = test.procfile(slow("web", "2"));
    let reload = begin(&test, &["reload"], "web.1");
    let stop = test.start_beside(["stop", "web"]);
    superseded(reload);
    go(&test, "web");
    stop.wait_beside().code(0).stderr("").stdout("web.1 stopped, exited with code 0\n");
    test.beside(["ps"]).code(0).stdout_has("web.1: stopped");
    // And what was stopped meanwhile is the new one when it is wanted again.
    test.beside(["up", "web"]).code(0).stdout_has("web.1 started");
    running.wait_for_line("web.1", "version 2");
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    go(&test, "web");
    running.wait().code(0);
}

#[test]
fn the_last_of_two_commands_wins_and_the_first_one_is_told() {
    // Two commands that do not agree, and what becomes of the process.
    let table = [
        (["restart", "stop"], "stopped, exited with code 0"),
        (["stop", "restart"], "restarted"),
        (["stop", "up"], "started"),
    ];
    for ([first, second], becomes) in table {
        let test = app();
        let running = test.start();
        running.wait_ready("web.1");
        let before = begin(&test, &[first, "web"], "web.1");
        let after = test.start_beside([second, "web"]);
        superseded(before);
        go(&test, "web");
        after.wait_beside().code(0).stderr("").stdout_has(&format!("web.1 {becomes}"));
        end(&test, running, second == "stop");
    }
}

#[test]
fn two_commands_that_agree_are_both_done() {
    let table = [
        (["stop", "stop"], "stopped, exited with code 0"),
        (["restart", "up"], "restarted"),
        (["restart", "restart"], "restarted"),
    ];
    for ([first, second], becomes) in table {
        let test = app();
        let running = test.start();
        running.wait_ready("web.1");
        let before = begin(&test, &[first, "web"], "web.1");
        test.beside([second, "web", "--no-wait"]).code(0).stdout("web.1: ordered\n");
        go(&test, "web");
        before.wait_beside().code(0).stderr("").stdout_has(&format!("web.1 {becomes}"));
        end(&test, running, second == "stop");
    }
}

/// Ends an app whose process is stopped or has run twice.
#[track_caller]
fn end(test: &Test, running: Running, is_stopped: bool) {
    if is_stopped {
        test.beside(["ps"]).code(0).stdout_has("web.1: stopped");
        running.finish().killed_by(Signal::SIGINT);
        return;
    }
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    go(test, "web");
    running.wait().code(0);
}

#[test]
fn reloads_with_files_changed_in_between_end_with_the_newest() {
    let test = app();
    let running = test.start();
    running.wait_ready("web.1");
    let test = test.procfile(slow("web", "2"));
    let first = begin(&test, &["reload"], "web.1");
    let test = test.procfile(slow("web", "3"));
    test.beside(["reload", "--no-wait"]).code(0).stdout("web.1: ordered\n");
    let test = test.procfile(slow("web", "4"));
    test.beside(["reload", "--no-wait"]).code(0).stdout("web.1: ordered\n");
    go(&test, "web");
    first.wait_beside().code(0).stderr("").stdout_has("web.1 restarted");
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    go(&test, "web");
    let finished = running.wait().code(0);
    let versions: Vec<String> =
        finished.lines_of("web.1").into_iter().filter(|line| line.starts_with("version")).collect();
    assert_eq!(versions, ["version 1", "version 4"]);
}

#[test]
fn a_file_that_is_changed_back_during_a_reload_is_what_runs() {
    let test = app();
    let running = test.start();
    running.wait_ready("web.1");
    let test = test.procfile(slow("web", "2"));
    let first = begin(&test, &["reload"], "web.1");
    let test = test.procfile(slow("web", "1"));
    test.beside(["reload", "--no-wait"]).code(0);
    go(&test, "web");
    first.wait_beside().code(0).stdout_has("web.1 restarted");
    running.wait_for_lines(2, |line| line.text == "version 1");
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    go(&test, "web");
    running.wait().code(0);
}

#[test]
fn what_was_scaled_away_comes_back_as_the_files_say() {
    let entry = |version: &str| format!("web: echo version {version} $V; exec gangling --wait\n");
    let test = Test::new().procfile(entry("1")).file(".env", "V=one\n");
    let running = test.start();
    running.wait_ready("web.1");
    test.beside(["scale", "web=2"]).code(0);
    running.wait_ready("web.2");
    test.beside(["scale", "web=1"]).code(0);
    let test = test.procfile(entry("2")).file(".env", "V=two\n");
    test.beside(["reload"]).code(0).stdout_has("web.1 restarted");
    test.beside(["scale", "web=2"]).code(0);
    running.wait_for_line("web.2", "version 2 two");
    running.wait_for_lines(2, |line| line.name == "web.2" && line.text.starts_with("ready "));
    running.finish();
}

#[test]
fn a_type_that_was_removed_comes_back_as_the_files_say() {
    let entry = |version: &str| format!("worker: echo version {version}; exec gangling --wait\n");
    let web = "web: exec gangling --wait\n";
    let test = Test::new().procfile(format!("{web}{}", entry("1")));
    let running = test.start();
    running.wait_ready("web.1");
    running.wait_ready("worker.1");
    let test = test.procfile(web);
    test.beside(["reload"]).code(0).stdout_has("worker.1 stopped by SIGTERM");
    let test = test.procfile(format!("{web}{}", entry("2")));
    test.beside(["reload"]).code(0).stdout_has("worker.1 started");
    running.wait_for_line("worker.1", "version 2");
    test.beside(["ps"]).code(0).stdout_has("version 2");
    running.finish();
}

#[test]
fn a_reload_waits_for_a_port_that_a_stopped_process_still_has() {
    let listen = |name: &str| {
        format!("{name}: rm -f go-{name}; exec gangling --ignore TERM --listen-port --wait-file go-{name}\n")
    };
    let test = Test::new().procfile(listen("a") + &listen("b")).args(["-t", "3600"]);
    let running = test.start();
    running.wait_ready("a.1");
    running.wait_ready("b.1");
    let stop = begin(&test, &["stop", "b"], "b.1");
    let test = test.procfile(listen("b") + &listen("a"));
    let reload = begin(&test, &["reload"], "a.1");
    go(&test, "a");
    wait_for_state(&test, "a.1", "starting");
    go(&test, "b");
    stop.wait_beside().code(0).stdout_has("b.1 stopped");
    reload.wait_beside().code(0).stderr("").stdout_has("a.1 restarted");
    running.wait_for_lines(2, |line| line.name == "a.1" && line.text.starts_with("ready "));
    go(&test, "a");
    running.wait().code(0);
}

/// Numbers that look random; the seed is printed, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % count
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "a failure has to be repeatable")]
fn every_one_of_many_overlapping_commands_is_answered() {
    let seed = std::env::var("GANGER_SEED").ok().and_then(|seed| seed.parse().ok());
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let seed: u64 = seed.unwrap_or(since.as_secs());
    eprintln!("GANGER_SEED={seed}");
    let mut random = Random(seed);
    let files = |version: usize, has_worker: bool| {
        let entry = |name: &str| format!("{name}: exec gangling --linger 30 # {version}\n");
        entry("web") + &if has_worker { entry("worker") } else { String::new() } + &entry("clock")
    };
    let test = Test::new().procfile(files(0, true)).args(["-t", "5", "--no-port"]);
    let test = test.args(["--wait-for", "worker=web", "--wait-timeout", "2"]);
    let running = test.start();
    running.wait_ready("web.1");
    let commands: [&[&str]; 14] = [
        &["reload"],
        &["reload"],
        &["reload", "--no-wait"],
        &["scale", "web=2"],
        &["scale", "web=1", "clock=2"],
        &["scale", "clock=0"],
        &["scale", "all=1"],
        &["stop", "web"],
        &["stop", "clock", "--no-wait"],
        &["up", "web"],
        &["up", "clock"],
        &["restart"],
        &["restart", "web"],
        &["wait", "web", "-t", "0.2"],
    ];
    for round in 1..=6 {
        let clients: Vec<Running> = (0..8)
            .map(|_| {
                let _ = test.clone().procfile(files(round, random.below(4) > 0));
                test.start_beside(commands[random.below(commands.len())])
            })
            .collect();
        for client in clients {
            let finished = client.wait_beside();
            let status = finished.status.code();
            assert!(matches!(status, Some(0..=2 | 124)), "{finished}");
            assert!(!finished.tidy(&finished.stderr).contains("another command"), "{finished}");
        }
    }
    let test = test.procfile(files(99, true));
    // A worker that a reload starts waits for it.
    test.beside(["up", "web"]).code(0);
    test.beside(["reload"]).code(0);
    test.beside(["scale", "all=1"]).code(0);
    test.beside(["up", "web,worker,clock"]).code(0);
    for it in ps(&test) {
        assert_eq!(
            (&it["state"], it["command"].as_str()),
            (&"up".into(), Some("exec gangling --linger 30 # 99"))
        );
        let pid = i32::try_from(it["pid"].as_i64().expect("a pid")).expect("a pid");
        assert!(proc::is_alive(pid), "{it}");
    }
    assert_eq!(ps(&test).len(), 3);
    running.finish().killed_by(Signal::SIGINT);
}
