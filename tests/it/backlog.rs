//! `ganger logs`: what the processes wrote, from another terminal.

use std::io::Read as _;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::kit::{LIMIT, Running, Terminal, Test, eventually, poll_for};

/// One process that says three lines and one that says two, and both stay.
fn app() -> (Test, Running) {
    let test = Test::new().procfile(
        "web: printf 'one\\ntwo\\nthree\\n'; exec gangling --wait\n\
         worker: printf 'first\\nhalf'; exec sleep 1000\n",
    );
    let running = test.start();
    running.wait_ready("web.1");
    let first = |test: &Test| {
        let finished = test.beside(["logs", "worker"]).code(0);
        String::from_utf8_lossy(&finished.stdout).contains("half").then_some(())
    };
    poll_for(LIMIT, || first(&test)).expect("worker has written");
    (test, running)
}

#[test]
fn the_last_lines_come_with_prefix_and_end_by_themselves() {
    let (test, running) = app();
    let lines = |args: &[&str]| {
        let finished = test.beside(args).code(0).stderr("");
        let mut lines: Vec<String> =
            finished.lines().into_iter().map(|line| format!("{} {}", line.name, line.text)).collect();
        lines.retain(|line| !line.contains("ready"));
        lines
    };
    assert_eq!(lines(&["logs", "web.1"]), ["web.1 one", "web.1 two", "web.1 three"]);
    assert_eq!(lines(&["logs", "worker"]), ["worker.1 first", "worker.1 half"]);
    assert_eq!(lines(&["logs", "-n", "1", "worker"]), ["worker.1 half"]);
    let mut all = lines(&["logs"]);
    all.sort();
    assert_eq!(all, ["web.1 one", "web.1 three", "web.1 two", "worker.1 first", "worker.1 half"]);
    assert_eq!(lines(&["logs", "-n", "0"]), [""; 0]);
    // The option that `-f` is elsewhere has its long name.
    assert_eq!(lines(&["logs", "--procfile", "Procfile", "-n1", "worker"]), ["worker.1 half"]);
    running.finish();
}

#[test]
fn json_has_the_fields_of_the_main_view() {
    let (test, running) = app();
    let finished = test.beside(["logs", "--json", "-n", "2", "worker"]).code(0).stderr("");
    let shown = String::from_utf8_lossy(&finished.stdout).into_owned();
    let objects: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let fields = |object: &Value| {
        ["process", "type", "stream", "line"].map(|key| object[key].as_str().unwrap_or("none").to_owned())
    };
    assert_eq!(
        objects.iter().map(fields).collect::<Vec<_>>(),
        [["worker.1", "worker", "stdout", "first"], ["worker.1", "worker", "stdout", "half"],]
    );
    assert!(objects.iter().all(|object| object["time"].is_string()), "{shown}");
    running.finish();
}

#[test]
fn colours_are_those_of_who_asks() {
    let (test, running) = app();
    test.beside(["--color", "always", "logs", "-n1", "worker"])
        .code(0)
        .stdout_has("worker.1 |\x1b[0m half\n");
    running.finish();
}

/// What a process does to its own terminal must not reach the one of whoever reads its log.
#[test]
fn a_terminal_gets_what_is_harmless() {
    let test = Test::new()
        .procfile("web: printf 'a\\033[2Jb\\033]0;title\\007\\n\\n\\033[31mred\\033[m\\n10%%\\r20%%\\n'; exec gangling --wait\n")
        .args(["--pty", "always"]);
    let running = test.start();
    running.wait_ready("web.1");
    // Piped, each byte is as it was.
    test.beside(["logs"]).code(0).stdout_has("a\x1b[2Jb\x1b]0;title\x07\n");
    let mut window = Terminal::with_ganger(&test, ["logs"]);
    window.wait_for("ready ");
    let shown = window.text();
    assert!(!shown.contains("\x1b[2J") && !shown.contains("title"), "{shown}");
    assert!(shown.contains("\x1b[31mred\x1b[0m\r\n"), "{shown}");
    assert!(shown.contains(" 20%\r\n") && !shown.contains("10%"), "{shown}");
    running.finish();
}

#[test]
fn who_follows_gets_everything_to_the_end() {
    let count = 50_000;
    let test = Test::new()
        .procfile(format!("web: echo old; until [ -e go ]; do sleep 0.01; done; seq {count}; exit 3\n"));
    let running = test.start();
    running.wait_for_line("web.1", "old");
    let mut command = test.clone().args(["logs", "-f"]).command();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut follower = Running::new(command.spawn().expect("ganger starts"), &[], test.world().clone());
    follower.wait_for_line("web.1", "old");
    std::fs::write(test.path("go"), "").expect("written");
    follower.wait_for_exit();
    running.wait().code(3);
    let finished = follower.wait().code(0).stderr("");
    let expected: Vec<String> = (1..=count).map(|n| n.to_string()).collect();
    let got = finished.lines_of("web.1");
    // A follower that is too slow for a flood is told of it, and this one is fast or told.
    if finished.lines_of("system").is_empty() {
        assert_eq!(got[1..], expected);
    }
    assert_eq!(got.last(), expected.last());
}

#[test]
fn a_follower_that_never_reads_slows_nobody() {
    let count = 300_000;
    let test = Test::new().procfile(format!(
        "web: echo old; until [ -e go ]; do sleep 0.01; done; seq {count}; touch done; exec gangling --wait\n"
    ));
    let running = test.start();
    running.wait_for_line("web.1", "old");
    let mut command = test.clone().args(["logs", "-f"]).command();
    let mut follower = command.stdout(Stdio::piped()).spawn().expect("ganger starts");
    // It is there when it has shown the first line.
    let stdout = follower.stdout.as_mut().expect("a pipe");
    let mut first = Vec::new();
    while !first.ends_with(b"old\n") {
        let mut byte = [0];
        stdout.read_exact(&mut byte).expect("a line");
        first.extend(byte);
    }
    std::fs::write(test.path("go"), "").expect("written");
    eventually("everything is written", || test.path("done").exists());
    // Now it reads, and hears how much it has missed.
    let mut follower = Running::new(follower, &[], test.world().clone());
    follower.wait_ready("web.1");
    running.signal(Signal::SIGINT);
    follower.wait_for_exit();
    running.wait();
    let finished = follower.wait().code(0);
    let of = |line: String| line.split_once(" lines of web.1 are not kept any more")?.0.parse::<usize>().ok();
    let skipped: usize = finished.lines_of("system").into_iter().filter_map(of).sum();
    assert!(skipped > 0);
    // With `ready`: none twice, none forgotten.
    assert_eq!(skipped + finished.lines_of("web.1").len(), count + 1);
}

#[test]
fn wrong_names_and_no_instance() {
    let (test, running) = app();
    test.beside(["logs", "wbe"]).code(2).stdout("").stderr(
        "ganger: error: no process is called `wbe`\n  \
         hint: did you mean `web`? The Procfile has `web`, `worker`\n",
    );
    test.beside(["logs", "web.7"])
        .code(2)
        .stdout("")
        .stderr("ganger: error: no process is called `web.7`\n  hint: there is `web.1`, `worker.1`\n");
    running.finish();
    test.beside(["logs"]).code(1).stdout("").stderr_has("ganger does not run in DIR\n");
}
