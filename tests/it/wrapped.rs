//! Ganger behind the programs and shell constructs that people put in front of it: seen from
//! outside it is one program.

use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::Signal::{self, SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP};
use nix::sys::signal::killpg;
use nix::unistd::Pid;

use crate::kit::{Running, Terminal, Test, eventually, proc};

/// A web with a child in another session, and a worker.
fn app() -> Test {
    Test::new()
        .procfile("worker: exec gangling --wait\nweb: exec gangling --spawn '--setsid --wait' --wait\n")
}

fn ganglings(test: &Test) -> Vec<proc::Process> {
    let is_gangling = |process: &proc::Process| process.command.contains("gangling");
    test.world().alive().into_iter().filter(is_gangling).collect()
}

fn all_are(test: &Test, state: char) {
    eventually(&format!("all are {state}"), || {
        let all = ganglings(test);
        all.len() == 3 && all.iter().all(|it| it.state == state)
    });
}

fn wait_ready(running: &Running) {
    running.wait_for_lines(3, |line| line.text.starts_with("ready "));
}

/// Ganger's first process, wherever it is below the shell.
pub(crate) fn guard(test: &Test) -> i32 {
    let all = test.world().alive();
    // Not its name, which `sh -c` and `timeout` have in their arguments too.
    let is_ganger = |it: &&proc::Process| {
        it.command.split(' ').next().is_some_and(|it| it.rsplit('/').next() == Some("ganger"))
    };
    let gangers: Vec<_> = all.iter().filter(is_ganger).collect();
    let first = gangers.iter().find(|it| gangers.iter().all(|other| other.pid != it.parent));
    first.unwrap_or_else(|| panic!("no ganger in {all:?}")).pid
}

fn start(shell: &mut Terminal, command: &str) {
    shell.type_text(&format!("{command}\r"));
    for _ in 0..3 {
        shell.wait_for("ready pid=");
    }
}

fn expect_status(shell: &mut Terminal, status: &str) {
    shell.type_text("echo \"<$?>\"\r");
    shell.wait_for(&format!("<{status}>"));
}

fn leave(mut shell: Terminal) {
    shell.type_text("exit 0\r");
    assert!(shell.wait().success());
}

#[test]
fn timeout_ends_it() {
    // The time is over at once, and `timeout` says 124 whatever ganger says.
    for options in ["", "-s INT", "-s HUP", "--foreground", "--foreground -s INT", "-k 60"] {
        let test = app().by_shell(&format!("timeout {options} 0.7 \"$@\"; echo \"status $?\""));
        let finished = test.run().code(0);
        finished.stdout_has("status 124\n").stdout_has(" received, stopping all");
        let finished = test.clone().args(["run", "gangling", "--wait"]).run().code(0);
        finished.stdout_has("status 124\n");
    }
}

#[test]
fn timeout_hands_on_its_own_end_and_ganger_s() {
    let test = app().by_shell("exec timeout --preserve-status 3600 \"$@\"");
    let running = test.start();
    wait_ready(&running);
    // As a program that really dies of it.
    running.stop(SIGTERM).killed_by(SIGTERM);
    Test::new().procfile("web: exit 7\n").by_shell("exec timeout 3600 \"$@\"").run().code(7);
}

#[test]
fn timeout_that_kills_leaves_nothing() {
    // Its KILL is for the first process; the others clean up.
    let app = Test::new()
        .procfile("web: exec gangling --ignore TERM --spawn '--ignore TERM --setsid --wait' --wait\n");
    for options in ["-s KILL", "-k 0.2", "--foreground -k 0.2"] {
        let test = app.clone().args(["-t", "3600"]);
        test.by_shell(&format!("exec timeout {options} 0.7 \"$@\"")).run();
    }
}

#[test]
fn setsid_and_nohup_and_an_empty_environment() {
    for wrapper in ["setsid -w", "nohup", "nohup setsid -w", "env", "nice", "stdbuf -oL"] {
        let finished = Test::new().procfile("web: exit 7\n").by_shell(&format!("{wrapper} \"$@\"")).run();
        finished.code(7);
    }
    // The mark in the environment is how the kit finds what is left.
    let finished = Test::new()
        .procfile("web: echo \"$PATH\"; exit 7\n")
        .by_shell("exec env -i GANGER_TEST_MARK=\"$GANGER_TEST_MARK\" \"$@\" --no-port")
        .run()
        .code(7);
    finished.stdout_has("| /");
}

#[test]
fn a_shell_in_between_learns_how_it_ended() {
    for signal in [SIGINT, SIGTERM, Signal::SIGHUP] {
        let test = app().by_shell("\"$@\"; echo \"status $?\"");
        let running = test.start();
        wait_ready(&running);
        proc::send(guard(&test), signal);
        let status = 128 + signal as i32;
        let finished = running.wait();
        finished.stdout_has(&format!("status {status}\n"));
    }
}

#[test]
fn setsid_from_a_shell_outlives_the_window_until_it_is_told() {
    let test = app();
    for command in
        ["setsid ganger start >log 2>&1", "nohup ganger start >log 2>&1 &", "ganger start >log 2>&1 & disown"]
    {
        let _ = std::fs::remove_file(test.path("log"));
        let mut shell = Terminal::with_shell(&test);
        shell.type_text(&format!("{command}\r"));
        let log = || std::fs::read_to_string(test.path("log")).unwrap_or_default();
        eventually("all are ready", || log().matches("ready pid=").count() == 3);
        let ganger = guard(&test);
        let shell_pid = shell.pid();
        shell.close();
        eventually("the shell is gone", || !proc::is_alive(shell_pid));
        assert_eq!(ganglings(&test).len(), 3, "{command}\n{}", log());
        proc::send(ganger, SIGTERM);
        shell.wait();
        assert!(log().contains("SIGTERM received"), "{}", log());
    }
}

#[test]
fn script_gives_it_a_terminal_and_takes_it_away() {
    let test = Test::new().procfile("web: exit 7\n").by_shell("exec script -qec \"ganger start\" /dev/null");
    test.run().code(7);
    for signal in [SIGTERM, SIGKILL] {
        let test = app().by_shell("exec script -qec \"ganger start\" /dev/null");
        let running = test.start();
        running.wait_for_text(3, "ready pid=");
        running.signal(signal);
        let mut running = running;
        running.wait_for_exit();
        eventually("nothing is left", || test.world().alive().is_empty());
        running.wait();
    }
}

#[test]
fn ctrl_c_on_a_pipeline() {
    let test = app();
    let mut shell = Terminal::with_shell(&test);
    // `cat` dies of the same Ctrl-C, so what ganger says at the end may have no reader.
    start(&mut shell, "ganger start | cat");
    shell.type_text("\x03");
    shell.wait_for("$ ");
    shell.type_text("echo \"<${PIPESTATUS[1]}>\"\r");
    shell.wait_for("<130>");
    eventually("nothing is left", || ganglings(&test).is_empty());
    // A reader that ignores it sees everything.
    start(&mut shell, "ganger start | (trap '' INT; cat)");
    shell.type_text("\x03");
    shell.wait_for("web.1 was stopped by SIGTERM");
    shell.wait_for("$ ");
    shell.type_text("echo \"<${PIPESTATUS[*]}>\"\r");
    shell.wait_for("<130 0>");
    shell.type_text("ganger start | head -1; echo \"<${PIPESTATUS[*]}>\"\r");
    shell.wait_for(" started, pid");
    shell.wait_for("<141 0>");
    leave(shell);
}

#[test]
fn ctrl_z_on_a_pipeline() {
    let test = app();
    let mut shell = Terminal::with_shell(&test);
    start(&mut shell, "ganger start | cat");
    for _ in 0..2 {
        shell.type_text("\x1a");
        shell.wait_for("Stopped");
        shell.wait_for("$ ");
        all_are(&test, 'T');
        shell.type_text("fg\r");
        shell.wait_for("ganger start | cat");
        all_are(&test, 'S');
    }
    shell.type_text("\x03");
    shell.wait_for("$ ");
    leave(shell);
}

#[test]
fn jobs_of_the_background() {
    let test = app();
    let mut shell = Terminal::with_shell(&test);
    start(&mut shell, "ganger start &");
    shell.type_text("kill -INT %1; wait %1; echo \"<$?>\"\r");
    shell.wait_for("<130>");
    start(&mut shell, "ganger start &");
    shell.type_text("kill -STOP %1\r");
    // Bash tells at its next prompt.
    eventually("it is stopped", || proc::process(guard(&test)).is_some_and(|it| it.state == 'T'));
    shell.type_text("\r");
    shell.wait_for("Stopped");
    shell.type_text("kill -TERM %1; wait %1; echo \"<$?>\"\r");
    // Bash does not wait for what is stopped by its knowledge; the prompt comes in any case.
    shell.wait_for("SIGTERM received");
    eventually("nothing is left", || ganglings(&test).is_empty());
    leave(shell);
}

#[test]
fn a_terminal_that_stops_writers_does_not_stop_it() {
    // It could not be ended by `kill` then; see `signals::block`.
    let test = Test::new().procfile("web: exec gangling --wait-file go --say more --wait\n");
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("stty tostop; ganger start &\r");
    shell.wait_for("ready pid=");
    std::fs::write(test.path("go"), "").expect("written");
    shell.wait_for("more\r\n");
    shell.wait_for("ready pid=");
    shell.type_text("kill %1\r");
    shell.wait_for("web.1 was stopped by SIGTERM");
    shell.type_text("wait %1; echo \"<$?>\"\r");
    shell.wait_for("<143>");
    shell.type_text("stty -tostop\r");
    leave(shell);
}

#[test]
fn ctrl_z_while_everything_stops() {
    let test = Test::new().procfile("web: exec gangling --ignore TERM --wait-file go\n").args(["-t", "3600"]);
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger start -t 3600\r");
    shell.wait_for("ready pid=");
    shell.type_text("\x03");
    shell.wait_for("SIGINT received");
    shell.type_text("\x1a");
    shell.wait_for("Stopped");
    eventually("it is stopped", || ganglings(&test).iter().all(|it| it.state == 'T'));
    shell.type_text("fg\r");
    eventually("it goes on", || ganglings(&test).iter().all(|it| it.state == 'S'));
    std::fs::write(test.path("go"), "").expect("written");
    shell.wait_for("web.1 exited with code 0");
    expect_status(&mut shell, "130");
    leave(shell);
}

#[test]
fn timers_stand_still_while_it_is_stopped() {
    let test = Test::new().procfile("web: exec gangling --ignore TERM --log-signals CONT --wait\n");
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger start -t 1\r");
    shell.wait_for("ready pid=");
    shell.type_text("\x03");
    shell.wait_for("SIGINT received");
    shell.type_text("\x1a");
    shell.wait_for("Stopped");
    // Time goes by on the terminal, not for ganger.
    shell.type_text("sleep 2; echo 'it is' over\r");
    shell.wait_for("it is over");
    assert!(!shell.text().contains("did not stop within"), "{}", shell.text());
    assert_eq!(ganglings(&test).len(), 1);
    shell.type_text("fg\r");
    shell.wait_for("did not stop within 1.0 s");
    expect_status(&mut shell, "130");
    leave(shell);
}

#[test]
fn ctrl_z_twice_quickly_is_one_stop() {
    let test = app();
    let mut shell = Terminal::with_shell(&test);
    start(&mut shell, "ganger start");
    for _ in 0..5 {
        shell.type_text("\x1a\x1a\x1a");
        shell.wait_for("Stopped");
        shell.wait_for("$ ");
        all_are(&test, 'T');
        shell.type_text("fg\r");
        shell.wait_for("ganger start");
        all_are(&test, 'S');
        // Had it stopped again, Ctrl-\ would go to the shell.
        shell.type_text("\x1a");
        shell.wait_for("Stopped");
        shell.wait_for("$ ");
        // And directly behind `fg`.
        shell.type_text("fg\r");
        shell.wait_for("ganger start");
        all_are(&test, 'S');
    }
    shell.type_text("\x1a");
    shell.wait_for("Stopped");
    shell.wait_for("$ ");
    shell.type_text("fg\r");
    eventually("it has the terminal", || shell.foreground() != shell.pid());
    shell.type_text("\x03");
    shell.wait_for("SIGINT received");
    expect_status(&mut shell, "130");
    leave(shell);
}

#[test]
fn a_stop_and_a_continue_at_once_leave_it_running() {
    let test = app();
    let running = test.start();
    wait_ready(&running);
    for _ in 0..20 {
        running.signal(SIGTSTP);
        running.signal(SIGTSTP);
        running.signal(SIGCONT);
    }
    running.signal(SIGINT);
    running.wait().killed_by(SIGINT);
}

#[test]
fn any_of_its_processes_can_be_stopped_and_continued() {
    for victim in 0..3 {
        let test = app();
        let running = test.start();
        wait_ready(&running);
        let pids = running.own_pids();
        let pid = [pids.guard, pids.reserve, pids.supervisor][victim];
        proc::send(pid, SIGSTOP);
        eventually("stopped", || proc::process(pid).is_some_and(|it| it.state == 'T'));
        proc::send(pid, SIGCONT);
        eventually("goes on", || proc::process(pid).is_some_and(|it| it.state == 'S'));
        assert_eq!(ganglings(&test).len(), 3);
        proc::send(pid, SIGSTOP);
        eventually("stopped", || proc::process(pid).is_some_and(|it| it.state == 'T'));
        running.signal(SIGTERM);
        if victim != 1 {
            assert_eq!(ganglings(&test).len(), 3, "TERM waits until it goes on");
            proc::send(pid, SIGCONT);
        }
        // Nobody has to know about the reserve: the guard continues it.
        running.wait().killed_by(SIGTERM);
    }
}

#[test]
fn its_whole_group_can_be_stopped_and_the_pid_one_sees_continued() {
    for signal in [SIGTERM, SIGINT] {
        let test = app();
        let running = test.start();
        wait_ready(&running);
        let pids = running.own_pids();
        let states = || [pids.guard, pids.supervisor].map(|pid| proc::process(pid).map(|it| it.state));
        running.signal_group(SIGSTOP);
        eventually("all are stopped", || states() == [Some('T'); 2]);
        killpg(Pid::from_raw(pids.guard), SIGCONT).expect("continued");
        eventually("all go on", || states() == [Some('S'); 2]);
        running.signal_group(SIGSTOP);
        eventually("all are stopped", || states() == [Some('T'); 2]);
        running.signal(signal);
        running.signal(SIGCONT);
        running.wait().killed_by(signal);
    }
}

#[test]
fn ssh_like_windows_hang_up_on_it() {
    // As under `ssh -t`: no job control, one shell that leads the session and waits.
    let test = app();
    for command in ["sh -c 'ganger start; echo over'", "exec ganger start", "setsid -w ganger start"] {
        let mut shell = Terminal::with_shell(&test);
        start(&mut shell, command);
        shell.close();
        if command.starts_with("setsid") {
            // It has no terminal to hear of, until it writes: then its output is gone.
            proc::send(guard(&test), Signal::SIGUSR1);
        }
        let status = shell.wait();
        assert!(status.signal().is_some() || status.code().is_some());
    }
}
