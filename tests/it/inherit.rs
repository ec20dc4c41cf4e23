//! What a process inherits, and what it does not.

use nix::sys::signal::Signal;
use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGTERM};

use crate::kit::{Test, eventually, field, proc};

#[test]
fn each_process_has_a_session_and_a_group_of_its_own() {
    let test = Test::new().procfile("web: exec gangling --print-ids --wait\nworker: exec gangling --wait\n");
    let running = test.start();
    let mut sessions = vec![running.pid()];
    for name in ["web.1", "worker.1"] {
        let line = running.wait_for_line(name, "ready ");
        let leader = field(&line, "pid");
        assert_eq!((leader, leader), (field(&line, "pgid"), field(&line, "sid")), "{line}");
        assert!(!sessions.contains(&leader), "{line}");
        sessions.push(leader);
    }
    running.finish();
}

#[test]
fn stdin_has_no_end_and_nothing_to_read() {
    // Whatever ganger's own stdin is: nothing, closed, or full of what was meant for others.
    let app = || Test::new().procfile("web: gangling --read-stdin\n");
    app().run().code(0).stdout_has("| stdin: nothing\n");
    app().by_shell("exec \"$@\" <&-").run().code(0).stdout_has("| stdin: nothing\n");
    app().stdin("typed\n").run().code(0).stdout_has("| stdin: nothing\n");
}

#[test]
fn a_watcher_that_ends_with_stdin_lives_on() {
    let test =
        Test::new().procfile("web: cat; echo ended\nworker: gangling --read-stdin --say looked --wait\n");
    let running = test.start();
    running.wait_for_line("worker.1", "looked");
    running.wait_ready("worker.1");
    let finished = running.finish().killed_by(SIGINT);
    assert!(finished.lines_of("web.1").is_empty(), "{finished}");
}

/// The lines `SigBlk`, `SigIgn` of a process, as sets of bits.
fn masks(text: &[String]) -> Vec<u64> {
    let mask = |name: &str| {
        let line = text.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text:?}"));
        let mask = u64::from_str_radix(line.trim(), 16).expect("a number");
        // 32 and above are the C library's and nobody else's to set.
        mask & 0x7fff_ffff
    };
    vec![mask("SigBlk:"), mask("SigIgn:")]
}

#[test]
fn no_signal_is_blocked_or_ignored() {
    let test = Test::new().procfile("web: exec cat /proc/self/status\n");
    let finished = test.run().code(0);
    assert_eq!(masks(&finished.lines_of("web.1")), [0, 0], "{finished}");
    let finished = test.args(["run", "--", "cat", "/proc/self/status"]).run().code(0);
    let lines: Vec<String> = String::from_utf8_lossy(&finished.stdout).lines().map(str::to_owned).collect();
    assert_eq!(masks(&lines), [0, 0], "{finished}");
}

#[test]
fn what_the_shell_ignores_is_not_passed_on() {
    let script = "trap '' INT QUIT USR1 PIPE TERM HUP TSTP CHLD; exec \"$@\"";
    let test = Test::new().procfile("web: exec cat /proc/self/status\n").by_shell(script);
    let finished = test.run().code(0);
    assert_eq!(masks(&finished.lines_of("web.1")), [0, 0], "{finished}");
}

#[test]
fn in_the_background_of_a_script_it_can_be_interrupted() {
    // Such a shell ignores INT and QUIT for whatever it starts with `&`.
    let test = Test::new().procfile("web: exec gangling --wait\n").by_shell("trap '' INT QUIT; exec \"$@\"");
    let running = test.start();
    running.wait_ready("web.1");
    running.stop(SIGINT).killed_by(SIGINT);
}

#[test]
fn nohup_outlives_a_hangup() {
    let test =
        Test::new().procfile("web: exec gangling --log-signals HUP --wait\n").by_shell("exec nohup \"$@\"");
    let running = test.start();
    let web = running.wait_ready("web.1");
    running.signal(SIGHUP);
    running.signal_group(SIGHUP);
    let supervisor = running.own_pids().supervisor;
    proc::send(supervisor, SIGHUP);
    // A signal that is handed on shows that those before it were heard: they are taken in order.
    proc::send(web, SIGHUP);
    running.wait_for_line("web.1", &format!("{web} got SIGHUP 1"));
    let finished = running.stop(SIGTERM).killed_by(SIGTERM);
    let hangups = finished.lines_of("web.1").iter().filter(|line| line.contains("got SIGHUP")).count();
    assert_eq!(hangups, 1, "only the one sent to it\n{finished}");
    finished.stdout_has("SIGTERM received");
}

#[test]
fn processes_get_no_descriptor_of_ganger_s() {
    // Whoever runs the tests may have left some open: what `ls` sees without ganger is right.
    let script = "ls /proc/self/fd >&2; exec \"$@\"";
    let finished = Test::new().procfile("web: exec ls /proc/self/fd\n").by_shell(script).run().code(0);
    let without = String::from_utf8(finished.stderr.clone()).expect("text");
    assert_eq!(finished.lines_of("web.1"), without.lines().collect::<Vec<_>>(), "{finished}");
}

#[test]
fn processes_get_the_limits_ganger_was_started_with() {
    let test = Test::new()
        .procfile("web: ulimit -Sn; ulimit -Hn\n")
        .by_shell("ulimit -Sn 123; ulimit -Hn 456; exec \"$@\"");
    let finished = test.run().code(0);
    assert_eq!(finished.lines_of("web.1"), ["123", "456"], "{finished}");
}

#[test]
fn a_limit_that_is_too_low_is_named_and_nothing_is_left() {
    let test = Test::new()
        .procfile("web: exec gangling --wait\n")
        .args(["start", "web=50"])
        .by_shell("ulimit -n 40; exec \"$@\"");
    let finished = test.run();
    let finished =
        finished.stdout_has("could not be started: too many open files: the limit of this process is 40");
    let finished = finished.stdout_has("hint: raise it with `ulimit -n`, or start fewer processes\n");
    assert_ne!(finished.status.code().unwrap_or(0), 0, "{finished}");
}

#[test]
fn a_process_that_was_stopped_and_continued_goes_on() {
    let running = Test::new().procfile("web: exec gangling --log-signals CONT --wait\n").start();
    let pid = running.wait_ready("web.1");
    proc::send(pid, Signal::SIGSTOP);
    eventually("stopped", || proc::process(pid).is_some_and(|it| it.state == 'T'));
    proc::send(pid, Signal::SIGCONT);
    running.wait_for_line("web.1", &format!("{pid} got SIGCONT 1"));
    running.finish().killed_by(SIGINT);
}
