//! In a terminal: Ctrl-C, Ctrl-Z, a closed window, colours.

use crate::kit::{Terminal, Test, eventually, proc};

/// A web with a grandchild, and a worker in front of it.
fn app() -> Test {
    Test::new().procfile("worker: exec gangling --wait\nweb: exec gangling --spawn --wait --wait\n")
}

fn is(state: char) -> impl Fn(&proc::Process) -> bool {
    move |process| process.state == state
}

/// The processes of the test that are gangling.
fn ganglings(test: &Test) -> Vec<proc::Process> {
    let is_gangling = |process: &proc::Process| process.command.contains("gangling");
    test.world().alive().into_iter().filter(is_gangling).collect()
}

/// Types `ganger start` and waits until the three are ready.
fn start(shell: &mut Terminal) {
    shell.type_text("ganger start\r");
    for _ in 0..3 {
        shell.wait_for("ready pid=");
    }
}

/// The status of the last command, and the end of the shell.
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
    let test = app();
    let mut shell = Terminal::with_shell(&test);
    start(&mut shell);
    shell.type_text("\x03");
    shell.wait_for("SIGINT received, stopping all");
    expect_status(&mut shell, 130);
    assert!(ganglings(&test).is_empty(), "{:?}", ganglings(&test));
    assert!(!shell.text().contains("killing"), "{}", shell.text());
    leave(shell);
}

#[test]
fn a_script_is_interrupted_with_it() {
    // A shell goes on with its script unless the command was killed by the signal.
    let test = app().file("script", "ganger start\necho not reached\n");
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("bash script\r");
    shell.wait_for("ready pid=");
    shell.type_text("\x03");
    shell.wait_for("SIGINT received");
    shell.wait_for("$ ");
    expect_status(&mut shell, 130);
    assert!(!shell.text().contains("not reached"), "{}", shell.text());
    leave(shell);
}

#[test]
fn ctrl_c_twice_kills() {
    let test = Test::new().procfile("web: exec gangling --ignore TERM,INT --wait\n");
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger start -t 3600\r");
    shell.wait_for("ready pid=");
    shell.type_text("\x03");
    shell.wait_for("SIGINT received, stopping all");
    shell.type_text("\x03");
    shell.wait_for("web.1 was killed by SIGKILL");
    expect_status(&mut shell, 130);
    leave(shell);
}

#[test]
fn ctrl_backslash_is_handed_on_and_stops_nothing() {
    let test = Test::new().procfile("web: exec gangling --log-signals QUIT --wait\n");
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger start\r");
    shell.wait_for("ready pid=");
    shell.type_text("\x1c");
    shell.wait_for("got SIGQUIT 1");
    shell.type_text("\x1c");
    shell.wait_for("got SIGQUIT 2");
    shell.type_text("\x03");
    expect_status(&mut shell, 130);
    assert!(!shell.text().contains("got SIGQUIT 3"), "{}", shell.text());
    leave(shell);
}

#[test]
fn ctrl_z_stops_all_and_fg_continues_all() {
    let test = app();
    let mut shell = Terminal::with_shell(&test);
    start(&mut shell);
    for _ in 0..2 {
        shell.type_text("\x1a");
        shell.wait_for("Stopped");
        shell.wait_for("$ ");
        shell.type_text("jobs\r");
        shell.wait_for("[1]+  Stopped");
        shell.wait_for("ganger start");
        eventually("all are stopped", || {
            let all = ganglings(&test);
            all.len() == 3 && all.iter().all(is('T'))
        });
        shell.type_text("fg\r");
        shell.wait_for("ganger start");
        eventually("all go on", || ganglings(&test).iter().all(is('S')));
    }
    shell.type_text("\x03");
    shell.wait_for("SIGINT received");
    expect_status(&mut shell, 130);
    leave(shell);
}

#[test]
fn in_the_background_it_runs_on() {
    let test = app();
    let mut shell = Terminal::with_shell(&test);
    start(&mut shell);
    shell.type_text("\x1a");
    shell.wait_for("Stopped");
    shell.wait_for("$ ");
    shell.type_text("bg\r");
    eventually("all go on", || ganglings(&test).iter().all(is('S')));
    shell.wait_for("$ ");
    // Ctrl-C is for the foreground only. The shell throws away what was typed before it has
    // heard of it, so the next command waits for the prompt behind it.
    shell.type_text("\x03");
    shell.wait_for("^C");
    shell.wait_for("$ ");
    assert_eq!(ganglings(&test).len(), 3);
    shell.type_text("kill %1\r");
    // Until it continues, bash would not wait for it but say that it is stopped.
    shell.wait_for("SIGTERM received");
    shell.type_text("wait %1; echo \"<$?>\"\r");
    shell.wait_for("<143>");
    leave(shell);
}

#[test]
fn what_is_stopped_can_be_ended() {
    let test = app();
    let mut shell = Terminal::with_shell(&test);
    start(&mut shell);
    shell.type_text("\x1a");
    shell.wait_for("Stopped");
    shell.type_text("kill %1\r");
    shell.wait_for("SIGTERM received");
    // Not `wait`: a shell that has not heard yet that its job goes on says that it is stopped, and
    // waits for nothing.
    eventually("bash has reaped it", || {
        proc::children(shell.pid()).is_empty() && proc::zombies_below(shell.pid()).is_empty()
    });
    assert!(ganglings(&test).is_empty(), "{:?}", ganglings(&test));
    // Bash says so at its next prompt, if it did not at the last one.
    shell.type_text("\r");
    shell.wait_for("Terminated");
    leave(shell);
}

#[test]
fn a_closed_window_ends_all() {
    let test = app();
    let mut shell = Terminal::with_shell(&test);
    start(&mut shell);
    shell.close();
    shell.wait();
    // And without a shell in between.
    let mut window = Terminal::with_ganger(&test, ["start"]);
    window.wait_for("ready pid=");
    window.close();
    let status = window.wait();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(1), "HUP ended it");
}

#[test]
fn there_are_colours_in_a_terminal() {
    let test = Test::new().procfile("web: echo hello\n");
    let mut window = Terminal::with_ganger(&test, ["start"]);
    window.wait_for("\x1b[36m");
    window.wait_for("hello");
    window.wait();
    for (key, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut window = Terminal::with_ganger(&test.clone().var(key, value), ["start"]);
        window.wait_for("hello");
        window.wait();
        assert!(!window.text().contains('\x1b'), "{key}: {}", window.text());
    }
}

#[test]
fn keys_are_not_for_the_processes() {
    let test = Test::new().procfile("web: exec gangling --read-stdin --wait\n");
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger start\r");
    shell.wait_for("web.1 started");
    shell.type_text("echo typed ahead\r");
    shell.wait_for("stdin: nothing");
    shell.wait_for("ready pid=");
    shell.type_text("\x03");
    shell.wait_for("received");
    leave(shell);
}

/// As after `tmux new 'ganger start'`: there is no shell that could continue it.
#[test]
fn ctrl_z_where_no_shell_could_continue_it_stops_nothing() {
    let test = Test::new().procfile("web: exec gangling --log-signals QUIT --wait\n");
    let mut window = Terminal::with_ganger(&test, ["start"]);
    window.wait_for("ready pid=");
    for number in 1..=2 {
        // The second key is acted on behind the first.
        window.type_text("\x1a");
        window.type_text("\x1c");
        window.wait_for(&format!("got SIGQUIT {number}"));
    }
    window.type_text("\x03");
    window.wait_for("web.1 was stopped by SIGTERM");
    window.wait();
}

#[test]
fn in_another_session_the_end_of_the_terminal_ends_it_at_once() {
    // It gets no HUP, and its process writes nothing.
    for command in ["setsid ganger start", "(trap '' HUP; exec ganger start) & disown"] {
        let test = Test::new().procfile("web: exec gangling --wait\n");
        let mut shell = Terminal::with_shell(&test);
        shell.type_text(&format!("{command}\r"));
        shell.wait_for("ready pid=");
        shell.close();
        eventually("all have ended", || test.world().alive().is_empty());
        shell.wait();
    }
}
