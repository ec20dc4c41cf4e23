//! `ganger run` in a terminal: as if the command were typed without ganger.

use crate::kit::{Terminal, Test, eventually, proc};

fn leave(mut shell: Terminal) {
    shell.type_text("exit 0\r");
    assert!(shell.wait().success());
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

#[test]
fn the_command_has_the_terminal() {
    let test =
        Test::new().file("tty", "for i in 0 1 2; do test -t $i && echo \"fd $i yes\"; done; stty size\n");
    let mut window = Terminal::with_ganger(&test, ["run", "sh", "tty"]);
    window.wait_for("fd 0 yes");
    window.wait_for("fd 1 yes");
    window.wait_for("fd 2 yes");
    window.wait_for("24 80");
    assert!(window.wait().success());
}

#[test]
fn it_reads_what_is_typed() {
    let test = Test::new().file("ask", "read -r x; echo \"<$x>\"\n");
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger run sh ask\rhello there\r");
    shell.wait_for("<hello there>");
    leave(shell);
}

#[test]
fn ctrl_c_reaches_it_once_and_the_shell_sees_130() {
    let test = Test::new();
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger run gangling --wait; echo \"<$?>\"\r");
    shell.wait_for("ready pid=");
    shell.type_text("\x03");
    // Bash drops the rest of the line when its command is interrupted.
    shell.wait_for("$ ");
    shell.type_text("echo \"[$?]\"\r");
    shell.wait_for("[130]");
    shell.type_text("ganger run gangling --log-signals INT --linger 300; echo \"<$?>\"\r");
    shell.wait_for("ready pid=");
    shell.type_text("\x03");
    shell.wait_for("got SIGINT 1");
    shell.wait_for("<0>");
    assert_eq!(count(&shell.text(), "got SIGINT"), 1, "{}", shell.text());
    leave(shell);
}

#[test]
fn a_command_that_keeps_ctrl_c_for_itself_goes_on() {
    // A REPL: Ctrl-C ends the present line, not the program.
    let test = Test::new();
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger run gangling --log-signals INT,QUIT --wait-file go; echo \"<$?>\"\r");
    shell.wait_for("ready pid=");
    for number in 1..=3 {
        shell.type_text("\x03");
        shell.wait_for(&format!("got SIGINT {number}"));
    }
    shell.type_text("\x1c");
    shell.wait_for("got SIGQUIT 1");
    std::fs::write(test.path("go"), "").expect("written");
    shell.wait_for("<0>");
    leave(shell);
}

#[test]
fn ctrl_z_and_fg_work() {
    let test = Test::new();
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger run gangling --log-signals CONT --wait-file go\r");
    let line = shell.wait_for(" pgid=");
    let pid =
        line.rsplit("pid=").next().and_then(|rest| rest.split(' ').next()?.parse().ok()).expect("a pid");
    shell.type_text("\x1a");
    shell.wait_for("Stopped");
    eventually("it is stopped", || proc::process(pid).is_some_and(|it| it.state == 'T'));
    shell.type_text("fg\r");
    shell.wait_for("got SIGCONT");
    eventually("it goes on", || proc::process(pid).is_some_and(|it| it.state == 'S'));
    std::fs::write(test.path("go"), "").expect("written");
    shell.wait_for("$ ");
    shell.type_text("echo \"<$?>\"\r");
    shell.wait_for("<0>");
    leave(shell);
}

#[test]
fn a_program_that_stops_itself_gives_the_prompt_back() {
    let test = Test::new();
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger run gangling --kill-self STOP --say back\r");
    shell.wait_for("Stopped");
    shell.type_text("fg\r");
    shell.wait_for("\nback");
    leave(shell);
}

#[test]
fn it_is_a_part_of_a_pipeline() {
    let test = Test::new();
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger run cat | cat; echo \"<${PIPESTATUS[*]}>\"\r");
    shell.type_text("one\r");
    // Once as an echo, once from the command.
    shell.wait_for("one\r\n");
    shell.wait_for("one\r\n");
    shell.type_text("\x04");
    shell.wait_for("<0 0>");
    shell.type_text("echo two | ganger run cat | ganger run tr t T\r");
    shell.wait_for("Two");
    shell.type_text("ganger run gangling --print 1000000 x | head -1; echo \"<${PIPESTATUS[*]}>\"\r");
    shell.wait_for("x 1\r\n");
    shell.wait_for(" 0>");
    leave(shell);
}

#[test]
fn a_closed_window_ends_it() {
    let test = Test::new();
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger run gangling --spawn '--setsid --wait' --wait\r");
    shell.wait_for("ready pid=");
    shell.wait_for("ready pid=");
    shell.close();
    shell.wait();
}

#[test]
fn a_closed_window_without_a_shell_ends_it() {
    // The kernel tells the session's leader only, and that is ganger here.
    let test = Test::new();
    let mut window =
        Terminal::with_ganger(&test, ["run", "gangling", "--spawn", "--setsid --wait", "--wait"]);
    window.wait_for("ready pid=");
    window.wait_for("ready pid=");
    window.close();
    window.wait();
}

#[test]
fn it_follows_the_window_s_size() {
    let test = Test::new().file("size", "gangling --wait-file go; stty size\n");
    let mut window = Terminal::with_ganger(&test, ["run", "sh", "size"]);
    window.wait_for("ready pid=");
    window.resize(50, 132);
    std::fs::write(test.path("go"), "").expect("written");
    window.wait_for("50 132");
    window.wait();
}

#[test]
fn ctrl_c_at_any_moment_of_the_start_ends_it() {
    // The start takes some milliseconds. Before ganger is there the terminal's signal ends what is to become it,
    // and once the command is there it is the command's.
    let test = Test::without_ports();
    for number in 0..40_u64 {
        let mut window = Terminal::with_ganger(&test, ["run", "gangling", "--wait"]);
        // No synchronization: any moment will do.
        std::thread::sleep(std::time::Duration::from_micros(number * 7919 % 60_000));
        window.type_text("\x03");
        let status = window.wait();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{status:?}");
    }
}

#[test]
fn ctrl_z_where_no_shell_could_continue_it_stops_nothing() {
    let test = Test::without_ports();
    let mut window =
        Terminal::with_ganger(&test, ["run", "gangling", "--log-signals", "QUIT", "--wait-file", "go"]);
    window.wait_for("ready pid=");
    window.type_text("\x1a");
    window.type_text("\x1c");
    window.wait_for("got SIGQUIT 1");
    // Not from the keyboard either, where ganger would hand it on.
    let guard = window.pid();
    proc::send(guard, nix::sys::signal::Signal::SIGTSTP);
    proc::send(guard, nix::sys::signal::Signal::SIGUSR1);
    let status = window.wait();
    assert!(!status.success(), "USR1 ends it: {status:?}");
}
