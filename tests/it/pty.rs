//! Each process on a terminal of its own: what it sees, that nothing is lost, that nobody gets a
//! HUP before its time, and that nothing outlives its end.

use nix::sys::signal::Signal::{self, SIGINT, SIGKILL};

use crate::kit::{Running, Terminal, Test, eventually, field, proc};

fn always(procfile: &str) -> Test {
    Test::new().procfile(procfile).args(["--pty", "always"])
}

#[test]
fn a_process_has_a_terminal() {
    let test = always(
        "web: exec gangling --isatty --print-env TERM --print-env PYTHONUNBUFFERED --read-stdin --print-ids\n",
    );
    let finished = test.var("TERM", "xterm-256color").run().code(0);
    let lines = finished.lines_of("web.1");
    let expected = ["tty 0 1 2 3", "TERM=xterm-256color", "PYTHONUNBUFFERED is not set", "stdin: nothing"];
    assert_eq!(lines[..4], expected, "{finished}");
    assert_eq!(field(&lines[4], "pid"), field(&lines[4], "pgid"), "{finished}");
    let started = format!("web.1 started, pid {},", field(&lines[4], "pid"));
    assert!(finished.lines_of("system")[0].starts_with(&started), "{finished}");
}

#[test]
fn by_itself_only_where_ganger_has_one() {
    let web = "web: gangling --isatty\n";
    let lines = |test: Test| test.run().code(0).lines_of("web.1");
    assert_eq!(lines(Test::new().procfile(web)), ["tty"]);
    assert_eq!(lines(Test::new().procfile(web).var("GANGER_PTY", "always")), ["tty 0 1 2 3"]);
    let mut window = Terminal::with_ganger(&Test::new().procfile(web), ["start"]);
    window.wait_for("tty 0 1 2 3");
    window.wait();
    let mut window = Terminal::with_ganger(&Test::new().procfile(web), ["start", "--pty", "never"]);
    window.wait_for(" tty\r\n");
    window.wait();
}

#[test]
fn every_byte_comes_out_as_it_is() {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend_from_slice(b"\n\n\r\ncarriage\rreturn\n\x1b[31mred\n\xff\xfe\n\0\0\n");
    let test = always("web: cat bytes\n").file("bytes", &bytes);
    assert_eq!(test.run().code(0).bytes_of("web.1"), bytes);
}

#[test]
fn the_last_words_of_floods_are_not_lost() {
    let flood = |tag| format!("{tag}: exec gangling --print 100000 a-line-of-{tag}\n");
    let finished =
        always(&["a", "b", "c", "d"].map(flood).concat()).args(["--on-exit", "ignore"]).run().code(0);
    for tag in ["a", "b", "c", "d"] {
        let expected: Vec<String> = (1..=100_000).map(|number| format!("a-line-of-{tag} {number}")).collect();
        assert!(finished.lines_of(&format!("{tag}.1")) == expected, "{tag} is not what it wrote");
    }
    let killed = always("web: exec gangling --print 20000 line --kill-self KILL\n").run().code(137);
    assert_eq!(killed.lines_of("web.1").len(), 20_000);
}

#[test]
fn the_size_is_that_of_the_window_beside_the_prefix() {
    let test = Test::new().procfile("web: exec gangling --print-size-on-winch\n");
    let mut window = Terminal::with_ganger(&test, ["start"]);
    // `12:34:56 system | ` is 18 wide.
    window.wait_for("size ");
    window.resize(40, 120);
    window.wait_for("size 40 102");
    window.resize(10, 25);
    window.wait_for("size 10 20");
    window.type_text("\x03");
    window.wait();
}

#[test]
fn a_size_is_there_without_a_window() {
    let finished = always("web: gangling --print-size\n").run().code(0);
    assert_eq!(finished.lines_of("web.1"), ["size 24 62"]);
}

#[test]
fn the_size_follows_what_stands_before_a_line() {
    let size = |option: &str| {
        let finished = always("web: gangling --print-size\n").args([option]).run().code(0);
        let text = String::from_utf8_lossy(&finished.stdout);
        text.lines().find_map(|line| Some(line[line.find("size ")?..].to_owned()))
    };
    let table = [
        ("--timestamps=%H:%M", "size 24 65"),
        ("--timestamps=%A, %H:%M", "size 24 54"),
        ("--no-timestamps", "size 24 71"),
        ("--no-prefix", "size 24 80"),
    ];
    for (option, expected) in table {
        assert_eq!(size(option).as_deref(), Some(expected), "{option}");
    }
}

#[test]
fn the_end_of_the_leader_hangs_nobody_up() {
    // The shell dies of TERM at once; the program below it takes its time, as it does on a pipe.
    let test = always(
        "web: gangling --log-signals HUP,TERM --linger 100 --say farewell & wait\nworker: exec gangling --wait\n",
    );
    let running = test.start();
    running.wait_ready("web.1");
    running.wait_ready("worker.1");
    let finished = running.stop(Signal::SIGTERM).killed_by(Signal::SIGTERM);
    let finished = finished.stdout_has("got SIGTERM 1\n");
    assert!(finished.lines_of("web.1").iter().any(|line| line == "farewell"), "{finished}");
    assert!(!finished.tidy(&finished.stdout).contains("SIGHUP"), "{finished}");
}

#[test]
fn closing_its_output_hangs_nobody_up() {
    let script = "trap 'touch hup' HUP
exec </dev/null >/dev/null 2>&1
touch closed
until test -e go; do sleep 0.02; done
exit 8
";
    let test = always("web: exec sh script\nworker: exec gangling --wait\n").file("script", script);
    let running = test.start();
    running.wait_ready("worker.1");
    eventually("it is closed", || test.path("closed").exists());
    std::fs::write(test.path("go"), "").expect("written");
    running.wait().code(8).stdout_has("web.1 exited with code 8 after N s and ended the run\n");
    assert!(!test.path("hup").exists());
}

#[test]
fn a_pty_that_outlives_its_leader_does_not_hold_up_the_end() {
    for holder in
        ["--wait", "--ignore TERM,HUP --wait", "--setsid --wait", "--ignore TERM,HUP --setsid --wait"]
    {
        let test = always(&format!(
            "web: gangling --spawn '{holder}'; gangling --wait-file go --say last --exit 3\n"
        ))
        .args(["-t", "0.2"]);
        let running = test.start();
        running.wait_for_lines(2, |line| line.text.starts_with("ready "));
        std::fs::write(test.path("go"), "").expect("written");
        let finished = running.wait().code(3);
        assert_eq!(finished.lines_of("web.1").last().map(String::as_str), Some("last"), "{finished}");
    }
}

#[test]
fn a_process_that_cannot_be_made_is_told() {
    // Longer than one argument may be, so that the exec fails behind the fork.
    let long = "x".repeat(200_000);
    let finished = always(&format!("web: echo {long}\nworker: exec gangling --wait\n")).run().code(1);
    finished.stdout_has("web.1 could not be started: its command and environment are too long together");
}

#[test]
fn each_restart_has_a_terminal() {
    let test = always("web: gangling --isatty --exit 1\n").args(["--on-exit", "restart"]);
    let running = test.start();
    running.wait_for_lines(2, |line| line.text == "tty 0 1 2 3");
    running.finish().killed_by(SIGINT);
}

fn ready(test: &Test) -> Running {
    let running = test.start();
    running.wait_for_lines(3, |line| line.text.starts_with("ready "));
    running
}

#[test]
fn nothing_outlives_a_kill_9() {
    let test =
        always("web: exec gangling --spawn --wait --wait\nworker: exec gangling --ignore HUP --wait\n");
    let mut running = ready(&test);
    running.signal(SIGKILL);
    running.wait_for_exit();
    running.wait().killed_by(SIGKILL);
    let running = ready(&test);
    let supervisor = running.own_pids().supervisor;
    proc::send(supervisor, SIGKILL);
    running.wait().killed_by(SIGKILL);
}

#[test]
fn nothing_outlives_a_closed_window() {
    let test =
        Test::new().procfile("web: exec gangling --spawn '--ignore HUP --wait' --wait\n").args(["-t", "1"]);
    let mut window = Terminal::with_ganger(&test, ["start", "-t", "1"]);
    window.wait_for("ready pid=");
    window.wait_for("ready pid=");
    window.close();
    window.wait();
}
