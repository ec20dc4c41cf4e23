//! The same as in `terminal` and `run_terminal` under an interactive zsh, which has its own mind
//! about jobs: it continues what it kills, words its reports otherwise, and hangs up itself.

use std::os::unix::process::ExitStatusExt as _;

use crate::kit::{Terminal, Test, eventually, proc};

/// A web with a grandchild in another session, and a worker in front of it.
fn app() -> Test {
    Test::new()
        .procfile("worker: exec gangling --wait\nweb: exec gangling --spawn '--setsid --wait' --wait\n")
}

fn ganglings(test: &Test) -> Vec<proc::Process> {
    let is_gangling = |process: &proc::Process| {
        process.command.starts_with("gangling") || process.command.contains("/gangling")
    };
    test.world().alive().into_iter().filter(is_gangling).collect()
}

fn all_are(test: &Test, count: usize, state: char) {
    eventually(&format!("{count} are {state}"), || {
        let all = ganglings(test);
        all.len() == count && all.iter().all(|it| it.state == state)
    });
}

/// What is typed, and how many say `ready`.
const COMMANDS: [(&str, usize); 2] =
    [("ganger start", 3), ("ganger run gangling --spawn '--setsid --wait' --wait", 2)];

/// Types the command in a zsh and waits until all are ready.
fn start(test: &Test, command: &str, count: usize) -> Option<Terminal> {
    let mut shell = Terminal::with_zsh(test)?;
    shell.type_text(&format!("{command}\r"));
    for _ in 0..count {
        shell.wait_for("ready pid=");
    }
    Some(shell)
}

fn expect_status(shell: &mut Terminal, status: u8) {
    shell.type_text("echo \"<$?>\"\r");
    shell.wait_for(&format!("<{status}>"));
}

fn leave(mut shell: Terminal) {
    shell.type_text("exit 0\r");
    assert!(shell.wait().success());
}

#[test]
fn ctrl_c_ends_it_and_the_shell_sees_130() {
    for (command, count) in COMMANDS {
        let test = app();
        let Some(mut shell) = start(&test, command, count) else { return };
        shell.type_text("\x03");
        shell.wait_for("$ ");
        assert!(ganglings(&test).is_empty(), "{:?}", ganglings(&test));
        expect_status(&mut shell, 130);
        leave(shell);
    }
}

#[test]
fn ctrl_z_and_fg_twice() {
    for (command, count) in COMMANDS {
        let test = app();
        let Some(mut shell) = start(&test, command, count) else { return };
        // What left the group of a one-off command hears no Ctrl-Z, as without ganger.
        let stopped = if command.starts_with("ganger run") { 1 } else { count };
        for _ in 0..2 {
            shell.type_text("\x1a");
            shell.wait_for("suspended  ganger");
            shell.wait_for("$ ");
            eventually("they are stopped", || {
                ganglings(&test).iter().filter(|it| it.state == 'T').count() == stopped
            });
            shell.type_text("jobs; echo the end\r");
            shell.wait_for("jobs; echo the end\r\n");
            let jobs = shell.wait_for("the end\r\n");
            assert_eq!(jobs.matches("suspended").count(), 1, "{jobs}");
            shell.type_text("fg\r");
            shell.wait_for("continued  ganger");
            all_are(&test, count, 'S');
        }
        shell.type_text("\x03");
        shell.wait_for("$ ");
        expect_status(&mut shell, 130);
        leave(shell);
    }
}

/// Ctrl-Z and `bg`.
fn to_the_background(shell: &mut Terminal, test: &Test, count: usize) {
    shell.type_text("\x1a");
    shell.wait_for("suspended  ganger");
    shell.wait_for("$ ");
    shell.type_text("bg\r");
    shell.wait_for("continued  ganger");
    all_are(test, count, 'S');
}

#[test]
fn in_the_background_it_runs_on_and_can_be_fetched() {
    for (command, count) in COMMANDS {
        let test = app();
        let Some(mut shell) = start(&test, command, count) else { return };
        to_the_background(&mut shell, &test, count);
        shell.type_text("fg\r");
        shell.wait_for("running    ganger");
        eventually("it has the terminal", || shell.foreground() != shell.pid());
        // No Ctrl-Z here: zsh gives the terminal away first and then sends a CONT, also to what runs.
        shell.type_text("\x03");
        shell.wait_for("$ ");
        expect_status(&mut shell, 130);
        leave(shell);
    }
}

#[test]
fn in_the_background_it_can_be_killed() {
    for (command, count) in COMMANDS {
        let test = app();
        let Some(mut shell) = start(&test, command, count) else { return };
        to_the_background(&mut shell, &test, count);
        shell.type_text("kill %1\r");
        shell.wait_for("terminated  ganger");
        assert!(ganglings(&test).is_empty(), "{:?}", ganglings(&test));
        leave(shell);
    }
}

#[test]
fn what_is_suspended_can_be_killed() {
    for (command, count) in COMMANDS {
        let test = app();
        let Some(mut shell) = start(&test, command, count) else { return };
        shell.type_text("\x1a");
        shell.wait_for("suspended  ganger");
        shell.wait_for("$ ");
        shell.type_text("kill %1\r");
        shell.wait_for("terminated  ganger");
        assert!(ganglings(&test).is_empty(), "{:?}", ganglings(&test));
        leave(shell);
    }
}

#[test]
fn a_closed_window_ends_all() {
    for (command, count) in COMMANDS {
        // In the foreground.
        let test = app();
        let Some(mut shell) = start(&test, command, count) else { return };
        shell.close();
        shell.wait();
        // In the background, running.
        let Some(mut shell) = start(&test, &format!("{command} &"), count) else { return };
        shell.close();
        shell.wait();
        // And suspended.
        let Some(mut shell) = start(&test, command, count) else { return };
        shell.type_text("\x1a");
        shell.wait_for("suspended  ganger");
        shell.close();
        shell.wait();
    }
}

#[test]
fn a_script_is_interrupted_with_it() {
    let test = app().file("script", "ganger start\necho not reached\n");
    let Some(mut shell) = start(&test, "zsh -f script", 3) else { return };
    shell.type_text("\x03");
    shell.wait_for("SIGINT received");
    shell.wait_for("$ ");
    expect_status(&mut shell, 130);
    assert!(!shell.text().contains("not reached"), "{}", shell.text());
    leave(shell);
}

#[test]
fn it_can_take_the_place_of_the_shell() {
    let test = app();
    let Some(mut shell) = start(&test, "exec ganger start", 3) else { return };
    shell.type_text("\x03");
    assert_eq!(shell.wait().signal(), Some(libc::SIGINT));
}
