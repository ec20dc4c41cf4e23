//! Which processes of a group, a session and beyond are asked to stop, and when.

use nix::sys::signal::Signal::{SIGINT, SIGTERM};

use crate::kit::{Finished, Running, Test, field};

/// A job queue: the master forks a worker, which dies of TERM. At TERM the master lets the worker finish its
/// task. The task takes until then and 0.3 s more.
const MASTER: &str = r"
import os, signal, sys, time
asked = 'asked-%d' % os.getpid()
signal.signal(signal.SIGTERM, lambda *_: open(asked, 'w').close())
worker = os.fork()
if worker == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.write(1, b'the task begins\n')
    while not os.path.exists(asked):
        time.sleep(0.01)
    time.sleep(0.3)
    os.write(1, b'the task is done\n')
    os._exit(0)
pid = 0
while not pid:
    time.sleep(0.01)
    pid, status = os.waitpid(worker, os.WNOHANG)
os.write(1, b'the task was lost\n' if status else b'the master ends\n')
";

const BEGINS: &str = "the task begins";

fn queue(command: &str) -> Test {
    Test::new()
        .file("master.py", MASTER)
        .file("start.sh", "#!/bin/sh\npython3 master.py\n")
        .procfile(format!("web: exec gangling --wait\nworker: {command}\n"))
}

/// What the worker has said behind the first line.
#[track_caller]
fn outcome(finished: &Finished) -> Vec<String> {
    finished.lines_of("worker.1").into_iter().filter(|line| line != BEGINS).collect()
}

const DONE: [&str; 2] = ["the task is done", "the master ends"];

#[test]
fn a_master_finishes_the_task_of_its_worker() {
    // The program alone, in shells that do not become it, and in a script.
    for command in [
        "python3 master.py",
        "python3 master.py; true",
        "true && exec python3 master.py",
        "bash -c 'python3 master.py; true'; true",
        "sh start.sh",
    ] {
        for pty in ["never", "always"] {
            let running = queue(command).args(["--pty", pty]).start();
            running.wait_for_line("worker.1", BEGINS);
            let finished = running.stop(SIGTERM).killed_by(SIGTERM);
            assert_eq!(outcome(&finished), DONE, "{command}\n{finished}");
        }
    }
}

#[test]
fn every_way_to_stop_a_process_lets_it_finish_its_task() {
    let test = queue("python3 master.py; true");
    let running = test.start();
    for (count, args) in [
        (1, &["restart", "worker"][..]),
        (2, &["stop", "worker"]),
        (2, &["up", "worker"]),
        (3, &["scale", "worker=0"]),
        (3, &["scale", "worker=1"]),
        (4, &["reload"]),
        (5, &["stop"]),
    ] {
        let is_there = |text: &str, count| {
            drop(running.wait_for_lines(count, |line| line.name == "worker.1" && line.text == text));
        };
        is_there(BEGINS, count);
        if args == ["reload"] {
            let procfile = std::fs::read_to_string(test.path("Procfile")).expect("read");
            std::fs::write(test.path("Procfile"), procfile.replace("; true", "; false")).expect("written");
        }
        test.beside(args).code(0);
    }
    let finished = running.wait().killed_by(SIGTERM);
    assert!(!finished.lines_of("worker.1").contains(&"the task was lost".to_owned()), "{finished}");
}

#[test]
fn in_a_group_all_are_asked_at_once() {
    for args in [&["--kill-mode", "group"][..], &["--kill-mode", "web=mixed,worker=group"]] {
        let running = queue("python3 master.py; true").args(args).start();
        running.wait_for_line("worker.1", BEGINS);
        let finished = running.finish().killed_by(SIGINT);
        assert!(!outcome(&finished).contains(&DONE[0].to_owned()), "{finished}");
    }
    for toml in ["kill-mode = 'group'\n", "[process.worker]\nkill-mode = 'group'\n"] {
        let running = queue("python3 master.py").file("ganger.toml", toml).start();
        running.wait_for_line("worker.1", BEGINS);
        let finished = running.finish().killed_by(SIGINT);
        assert_eq!(outcome(&finished), ["the task was lost"], "{finished}");
    }
    let test = queue("python3 master.py").var("GANGER_KILL_MODE", "group");
    let running = test.start();
    running.wait_for_line("worker.1", BEGINS);
    test.beside(["restart", "worker"]).code(0);
    running.wait_for_line("worker.1", "the task was lost");
    running.finish().killed_by(SIGINT);
}

/// Prints each TERM, and takes a while to end.
const LOGS: &str = "gangling --log-signals TERM --linger 100";

fn got_term(finished: &Finished, pid: i32) -> usize {
    let prefix = format!("{pid} got SIGTERM");
    finished.lines_of("web.1").iter().filter(|line| line.starts_with(&prefix)).count()
}

#[test]
fn each_program_of_a_shell_is_asked_once() {
    for (command, count) in [
        (format!("{LOGS} & {LOGS}; wait"), 2),
        (format!("{LOGS} & {LOGS} & wait"), 2),
        (format!("{LOGS} | {LOGS} 1>&2 | cat"), 1),
        (format!("({LOGS}; true) & ({LOGS}; true) & wait"), 2),
        (format!("{LOGS}; gangling --say second"), 1),
        (format!("true && exec {LOGS}"), 1),
    ] {
        for mode in ["mixed", "group"] {
            let test = Test::new().procfile(format!("web: {command}\n")).args(["--kill-mode", mode]);
            let running = test.start();
            let ready = running.wait_for_lines(count, |line| line.text.starts_with("ready "));
            let finished = running.finish().killed_by(SIGINT);
            for line in ready {
                assert_eq!(got_term(&finished, field(&line.text, "pid")), 1, "{command}\n{finished}");
            }
            assert!(!finished.lines_of("web.1").contains(&"second".to_owned()), "{finished}");
        }
    }
}

/// A leader that is no shell and does not react, with a child that logs.
fn stubborn(timeout: &str) -> (Running, i32) {
    let command = "exec gangling --ignore TERM --spawn '--log-signals TERM --wait' --wait";
    let test = Test::new().procfile(format!("web: {command}\n")).args(["-t", timeout]);
    let running = test.start();
    let ready = running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    let pids = ready.iter().map(|line| (field(&line.text, "pid"), field(&line.text, "pgid")));
    let child = pids.filter(|(pid, pgid)| pid != pgid).map(|(pid, _)| pid).next().expect("a child");
    (running, child)
}

#[test]
fn the_others_are_asked_after_half_of_the_time_and_all_are_killed_at_its_end() {
    let (running, child) = stubborn("1");
    let finished = running.finish().killed_by(SIGINT);
    assert_eq!(got_term(&finished, child), 1, "{finished}");
    finished.stdout_has("system | web.1 did not stop within 1.0 s, killing it\n");
}

#[test]
fn impatience_kills_those_that_were_not_asked_too() {
    let (running, child) = stubborn("3600");
    running.signal(SIGINT);
    running.wait_for_line("system", "SIGINT received");
    running.signal(SIGINT);
    let finished = running.wait().killed_by(SIGINT);
    assert_eq!(got_term(&finished, child), 0, "{finished}");
}

#[test]
fn what_a_leader_leaves_is_asked_at_once() {
    // By itself, and killed by TERM. Were it not asked, the end would take half an hour.
    let child = "--spawn '--log-signals TERM --linger 1'";
    for command in [
        format!("exec gangling {child} --wait-file go --exit 3"),
        format!("exec gangling {child} --wait"),
        format!("gangling {child} --wait; true"),
        format!("sh -c 'gangling {} --wait; true'; true", child.replace('\'', "\"")),
    ] {
        let test = Test::new().procfile(format!("web: {command}\n")).args(["-t", "3600"]);
        let running = test.start();
        let ready = running.wait_for_lines(2, |line| line.text.starts_with("ready "));
        let finished = if command.contains("go") {
            std::fs::write(test.path("go"), "").expect("written");
            running.wait().code(3)
        } else {
            running.finish().killed_by(SIGINT)
        };
        let asked: usize = ready.iter().map(|line| got_term(&finished, field(&line.text, "pid"))).sum();
        assert_eq!(asked, 1, "{command}\n{finished}");
    }
}

/// Saves at TERM, which takes longer than output is kept open for what cannot be found. HUP ends it.
const SAVES: &str = r"
import os, signal, sys, time
def save(*_):
    os.write(1, b'saving\n')
    time.sleep(1.3)
    os.write(1, b'saved\n')
    os._exit(0)
signal.signal(signal.SIGTERM, save)
os.write(1, b'up\n')
while True:
    # Not `pause`, which may begin just after the signal has come.
    time.sleep(0.02)
";

/// Commands that run the program in a group or a session of its own, at least on a terminal.
#[allow(clippy::print_stderr, reason = "a test that cannot run says so")]
fn runners() -> Vec<String> {
    let prog = "python3 saves.py";
    let mut all = vec![
        format!("bash --norc -ic '{prog}; true'"),
        format!("bash -c 'set -m; {prog}; true'"),
        format!("timeout 3600 {prog}; true"),
        format!("setsid -w {prog}; true"),
        format!("sh -c 'setsid -w {prog}; true'; true"),
        format!("({prog} & exec setsid -w {prog})"),
    ];
    let path = std::env::var_os("PATH").expect("a PATH");
    if std::env::split_paths(&path).any(|folder| folder.join("zsh").exists()) {
        all.push(format!("zsh -f -ic '{prog}; true'"));
    } else {
        assert!(std::env::var_os("CI").is_none(), "there is no zsh");
        eprintln!("there is no zsh to test with");
    }
    all
}

/// All runners, each with and without a terminal, stopped in one way at the same time. `stop` may start a
/// command that does it; without one everything ends.
#[track_caller]
fn all_save(stop: impl Fn(&Test, &Running) -> Option<Running>, args: &[&str], restarts: bool) {
    let runners = runners();
    let start = |pty: &str, command: &str| {
        let test = Test::without_ports()
            .file("saves.py", SAVES)
            .procfile(format!("web: {command}\nother: exec gangling --wait\n"))
            .args(["--pty", pty])
            .args(args);
        let running = test.start();
        (command.to_owned(), test, running)
    };
    let cells: Vec<_> =
        ["always", "never"].iter().flat_map(|pty| runners.iter().map(|it| start(pty, it))).collect();
    let count = |command: &str| command.matches("saves.py").count();
    let said = |count: usize, running: &Running, text: &str| {
        running.wait_for_lines(count, |line| line.name == "web.1" && line.text.trim_end() == text);
    };
    for (command, _, running) in &cells {
        said(count(command), running, "up");
        running.wait_ready("other.1");
    }
    let commands: Vec<_> = cells.iter().map(|(_, test, running)| stop(test, running)).collect();
    for ((runner, _, running), command) in cells.into_iter().zip(commands) {
        let count = count(&runner);
        said(count, &running, "saved");
        let finished = match command {
            Some(command) => {
                command.wait_beside().code(0);
                running.finish().killed_by(SIGINT)
            }
            None => running.wait(),
        };
        let asked = finished.lines_of("web.1").iter().filter(|line| line.trim_end() == "saving").count();
        // One that was restarted may have been up again; and `timeout` signals its program and then its group.
        let most = if restarts || runner.starts_with("timeout") { 4 * count } else { count };
        assert!((count..=most).contains(&asked), "{runner}\n{finished}");
    }
}

#[test]
fn what_a_shell_runs_in_other_groups_has_its_time_at_the_end() {
    for signal in [SIGINT, SIGTERM] {
        for mode in ["mixed", "group"] {
            let end = |_: &Test, running: &Running| {
                running.signal(signal);
                None
            };
            all_save(end, &["--kill-mode", mode], false);
        }
    }
}

#[test]
fn what_a_shell_runs_in_other_groups_has_its_time_when_its_process_is_stopped() {
    all_save(|test, _| Some(test.start_beside(["stop", "web"])), &[], false);
}

#[test]
fn what_a_shell_runs_in_other_groups_has_its_time_when_its_process_is_restarted() {
    all_save(|test, _| Some(test.start_beside(["restart", "web"])), &[], true);
}

#[test]
fn strays_get_the_stop_signal_of_their_process() {
    let stray = "--setsid --log-signals INT,TERM --linger 100";
    let test = Test::new().procfile(format!("web: gangling --spawn '{stray}' --wait; true\n")).args([
        "--stop-signal",
        "web=INT",
        "-t",
        "3600",
    ]);
    let running = test.start();
    let ready = running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    let finished = running.finish().killed_by(SIGINT);
    let pids = ready.iter().map(|line| (field(&line.text, "pid"), field(&line.text, "sid")));
    let stray =
        pids.filter(|(pid, sid)| pid == sid).map(|(pid, _)| pid).next().expect("a session of its own");
    let got: Vec<String> = finished.lines_of("web.1").into_iter().filter(|it| it.contains(" got ")).collect();
    assert_eq!(got, [format!("{stray} got SIGINT 1")], "{finished}");
}

/// A stray of the shell `web`, which logs TERM and ends at the signal or never.
fn with_stray(end: &str) -> (Test, Running, i32) {
    let procfile = format!("web: gangling --spawn '--setsid {end}' --wait; true\n");
    let test = Test::new().procfile(procfile).args(["-t", "1.6"]);
    let running = test.start();
    let ready = running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    let pids = ready.iter().map(|line| (field(&line.text, "pid"), field(&line.text, "sid")));
    let stray =
        pids.filter(|(pid, sid)| pid == sid).map(|(pid, _)| pid).next().expect("a session of its own");
    (test, running, stray)
}

#[test]
fn what_the_end_waits_for_is_told_and_what_is_killed() {
    let (_, running, stray) = with_stray("--ignore TERM --wait");
    let finished = running.finish().killed_by(SIGINT);
    let told = finished.lines_of("system").into_iter().filter(|line| line.contains("left running"));
    let expected = [
        format!("waiting for what web.1 left running: gangling (pid {stray})"),
        format!("killing what web.1 left running, as it did not stop within 1.6 s: gangling (pid {stray})"),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected, "{finished}");
    assert!(
        !finished.lines_of("system").iter().any(|line| line.contains("web.1 did not stop")),
        "{finished}"
    );
}

#[test]
fn a_restart_tells_what_it_stops_outside_of_the_session() {
    let (test, running, stray) = with_stray("--wait");
    test.beside(["restart", "web"]).code(0);
    let told = running.wait_for_line("system", "stopping what web.1 left running");
    assert_eq!(told, format!("stopping what web.1 left running: gangling (pid {stray})"));
    let finished = running.finish().killed_by(SIGINT);
    let stopping = |line: &&String| line.starts_with("stopping what");
    assert_eq!(finished.lines_of("system").iter().filter(stopping).count(), 1, "{finished}");
}

#[test]
fn a_process_that_goes_to_the_background_gets_a_hint() {
    for on_exit in ["stop", "ignore"] {
        let daemon = "sh -c 'gangling --daemon --wait'";
        let test = Test::new()
            .procfile(format!("redis: {daemon}\nweb: exec gangling --wait\n"))
            .args(["--on-exit", on_exit]);
        let running = test.start();
        let hint = running.wait_for_line("system", "hint: it left gangling (pid ");
        assert!(hint.contains("daemon off;"), "{hint}");
        if on_exit == "ignore" {
            running.finish().killed_by(SIGINT);
        } else {
            running.wait().code(0);
        }
    }
    // One that has worked for a while, and one that has failed, have not.
    let running = Test::new().procfile("web: gangling --daemon --wait --exit 1\n").start();
    let finished = running.wait().code(1);
    assert!(!finished.lines_of("system").iter().any(|line| line.contains("it left")), "{finished}");
}
