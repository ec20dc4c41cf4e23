//! `--release`: one process before all others.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::kit::Test;

/// `release` does this, then web and worker note that they ran and wait for ever.
fn app(release: &str) -> Test {
    let rest = "echo $PS >> started; exec gangling --wait";
    Test::new().procfile(format!("web: {rest}\nrelease: {release}\nworker: {rest}\n")).args(["--release"])
}

#[test]
fn the_others_start_when_it_has_ended() {
    let test = app("gangling --wait-file go; test ! -e started && echo migrated");
    let running = test.start();
    running.wait_for_line("system", "release.1 started");
    let finished = test.beside(["ps", "--json"]).code(0);
    let all: Vec<Value> = serde_json::from_slice(&finished.stdout).expect("an array");
    let states: Vec<(&str, &str)> = all
        .iter()
        .map(|it| (it["name"].as_str().expect("a name"), it["state"].as_str().expect("a state")))
        .collect();
    assert_eq!(states, [("release.1", "up"), ("web.1", "waiting"), ("worker.1", "waiting")]);
    test.beside(["up", "web"])
        .code(1)
        .stderr("ganger: error: the release runs\n  hint: the processes start when it has ended\n");
    std::fs::write(test.path("go"), "").expect("written");
    running.wait_ready("web.1");
    running.wait_ready("worker.1");
    let finished = test.beside(["ps"]).code(0);
    assert!(!finished.tidy(&finished.stdout).contains("release"), "{finished}");
    let finished = running.finish().killed_by(Signal::SIGINT);
    finished
        .stdout_has("release.1 | migrated\n")
        .stdout_has("release.1 exited with code 0 after N s; now the others start\n");
}

#[test]
fn its_failure_is_the_end_and_its_code_ours() {
    for (release, code) in
        [("echo no; exit 3", 3), ("gangling --kill-self KILL", 137), ("no-such-program-x", 127)]
    {
        let test = app(release);
        // Whatever the others do: a release is not started again.
        let finished = test.clone().args(["--on-exit", "restart"]).run().code(code);
        assert!(!test.path("started").exists(), "{finished}");
        finished.stdout_has("and ended the run\n");
    }
}

#[test]
fn ctrl_c_during_it_leaves_nothing() {
    let test =
        app("gangling --spawn '--setsid --ignore TERM --wait' --ignore TERM --wait").args(["-t", "0.3"]);
    let running = test.start();
    running.wait_for_lines(2, |line| line.name == "release.1" && line.text.starts_with("ready "));
    let finished = running.finish().killed_by(Signal::SIGINT);
    assert!(!test.path("started").exists(), "{finished}");
    // Twice is at once, here too.
    let test = app("gangling --ignore TERM --wait").args(["-t", "3600"]);
    let running = test.start();
    running.wait_ready("release.1");
    running.signal(Signal::SIGTERM);
    running.wait_for_line("system", "SIGTERM received");
    running.signal(Signal::SIGTERM);
    running.wait().killed_by(Signal::SIGTERM);
}

#[test]
fn without_an_entry_nothing_starts() {
    for (test, from, otherwise) in [
        (Test::new().args(["start", "--release"]), "--release", "leave --release out"),
        (Test::new().var("GANGER_RELEASE", "1"), "GANGER_RELEASE", "add --no-release"),
    ] {
        let test = test.procfile("web: echo started > started\n");
        test.run().code(2).stdout("").stderr(&format!(
            "ganger: error: {from}: the Procfile has no `release`\n  \
             hint: add a line such as `release: bin/migrate`, or {otherwise}\n"
        ));
        assert!(!test.path("started").exists());
    }
}

#[test]
fn one_that_a_command_starts_ends_nothing_and_runs_once() {
    let release = "release: echo migrated $V; exec gangling --exit 0";
    let wait = "exec gangling --wait";
    let test = Test::new().procfile(format!("{release}\nweb: {wait}\n")).file(".env", "V=1\n");
    // What is said of all types is not meant for it.
    let test = test.args(["--on-exit", "restart"]);
    let running = test.start();
    running.wait_ready("web.1");
    test.beside(["scale", "release=1"]).code(0);
    running.wait_for_line("system", "release.1 exited with code 0");
    test.beside(["wait", "release"]).code(0);
    test.beside(["restart", "release"]).code(0).stdout_has("release.1 restarted");
    running.wait_for_lines(2, |line| line.text.starts_with("release.1 exited with code 0"));
    // Neither of these names it.
    let test = test.file(".env", "V=2\n");
    test.beside(["reload"]).code(0).stdout("web.1 restarted, pid N, port PORT\n");
    test.beside(["restart"]).code(0).stdout("web.1 restarted, pid N, port PORT\n");
    // Nor is it the end if nothing else is left.
    test.beside(["scale", "web=0", "release=0"]).code(0);
    test.beside(["scale", "release=1"]).code(0);
    running.wait_for_lines(3, |line| line.text.starts_with("release.1 exited with code 0"));
    test.beside(["scale", "web=1"]).code(0).stdout_has("web at 1");
    let finished = running.finish().killed_by(Signal::SIGINT);
    assert_eq!(finished.lines_of("release.1"), ["migrated 1", "migrated 1", "migrated 2"]);
}

#[test]
fn one_that_is_named_at_the_start_ends_nothing_unless_that_is_said() {
    let test =
        Test::new().procfile("release: true\nweb: exec gangling --wait\n").args(["start", "release,web"]);
    let running = test.start();
    running.wait_for_line("system", "release.1 exited with code 0");
    running.wait_ready("web.1");
    running.finish().killed_by(Signal::SIGINT);
    test.clone().args(["--on-exit", "release=stop"]).run().code(0);
    // A failure is the end, and it is the end where it is alone.
    test.clone().procfile("release: exit 3\nweb: exec gangling --wait\n").run().code(3);
    Test::new().procfile("release: true\n").args(["start", "release"]).run().code(0);
}
