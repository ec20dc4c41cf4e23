//! `ganger start --attach`: a process has the terminal that ganger was started in.

use nix::sys::signal::Signal::{SIGKILL, SIGTERM};

use crate::kit::{Running, Terminal, Test, eventually, proc};

/// Says `<…>` for each line it is given.
const ECHO: &str = "echo ready; while read -r x; do echo \"<$x>\"; done";

fn app(web: &str) -> Test {
    let procfile = format!("web: {web}\nworker: exec gangling --say hello --wait\n");
    Test::new().procfile(procfile).var("GANGER_COLOR", "never")
}

fn start(test: &Test, args: &str) -> (Terminal, String) {
    let mut window = Terminal::with_shell(test);
    let before = window.modes();
    window.type_text(&format!("ganger {args}; echo \"<$?>\"\r"));
    window.wait_for("attached to web.1, Ctrl-] detaches\r\n");
    (window, before)
}

fn leave(mut window: Terminal) {
    window.type_text("exit 0\r");
    window.wait();
}

#[test]
fn the_process_has_the_terminal_and_the_rest_comes_afterwards() {
    let test = app(ECHO);
    let (mut window, before) = start(&test, "--attach web");
    window.wait_for("ready\r\n");
    let logged = || test.beside(["logs", "worker"]).code(0).stdout;
    eventually("the worker has written its line", || logged().windows(6).any(|it| it == b"hello\n"));
    window.type_text("one\r");
    assert_eq!(window.wait_for("<one>\r\n"), "one\r\n<one>\r\n");
    // Whatever the worker says is nothing to it.
    test.beside(["restart", "worker"]).code(0);
    window.type_text("two\r");
    assert_eq!(window.wait_for("<two>\r\n"), "two\r\n<two>\r\n");
    window.type_text("\x1d");
    let shown = window.wait_for("| <two>\r\n");
    let lines = [
        "detached from web.1\r\n",
        "worker.1 started, pid ",
        "worker.1 | hello\r\n",
        "web.1    | <one>\r\n",
        "worker.1 was stopped by SIGTERM",
        "worker.1 started, pid ",
        "web.1    | <two>\r\n",
    ];
    let mut rest = shown.as_str();
    for line in lines {
        let (_, behind) = rest.split_once(line).unwrap_or_else(|| panic!("no {line:?} in order: {shown}"));
        rest = behind;
    }
    // The main view again: Ctrl-C ends all.
    window.type_text("\x03");
    window.wait_for("SIGINT received, stopping all");
    window.wait_for("$ ");
    assert_eq!(window.modes(), before);
    leave(window);
}

#[test]
fn its_end_is_reported_in_the_main_view() {
    let test = app("echo ready; read x; exit 3");
    let (mut window, before) = start(&test, "start --attach web.1");
    window.type_text("\r");
    window.wait_for("web.1 exited with code 3\r\n");
    window.wait_for("worker.1 | hello\r\n");
    window.wait_for("and ended the run\r\n");
    window.wait_for("<3>\r\n$ ");
    assert_eq!(window.modes(), before);
    leave(window);
}

#[test]
fn ctrl_c_is_the_process_s_as_long_as_it_has_the_terminal() {
    let test = app("exec gangling --log-signals INT --say ready --wait").var("GANGER_ATTACH", "web");
    let (mut window, _) = start(&test, "");
    window.wait_for("ready");
    window.type_text("\x03");
    window.wait_for("got SIGINT 1");
    test.beside(["stop"]).code(0);
    window.wait_for("web.1 was killed by SIGTERM\r\n");
    window.wait_for("SIGTERM received");
    window.wait_for("$ ");
    leave(window);
}

#[test]
fn however_it_ends_the_terminal_is_given_back() {
    let test = app(ECHO);
    for victim in 0..5 {
        let (mut window, before) = start(&test, "--attach web");
        window.wait_for("ready\r\n");
        let ganger = proc::children(window.pid()).into_iter().find(|it| it.command.starts_with("ganger"));
        let own = Running::own_pids_from(ganger.expect("ganger").pid);
        let client = proc::children(own.supervisor).into_iter().find(|it| it.command.contains(" attach "));
        let client = client.expect("a client").pid;
        match victim {
            // Killed while the terminal is its own: the main view takes over.
            3 => {
                proc::send(client, SIGKILL);
                window.wait_for("| ready\r\n");
                eventually("it is given back", || window.modes() == before);
                window.type_text("\x03");
            }
            4 => proc::send(own.guard, SIGTERM),
            _ => proc::send([own.guard, own.reserve, own.supervisor][victim], SIGKILL),
        }
        eventually("nothing but the shell is left", || test.world().alive().len() == 1);
        window.wait_for("$ ");
        window.type_text("echo back\r");
        window.wait_for("\nback\r\n");
        assert_eq!(window.modes(), before, "{victim}");
        leave(window);
    }
}

#[test]
fn where_it_cannot_be_nothing_starts() {
    let test = app(ECHO);
    let mut window = Terminal::with_shell(&test);
    for (args, told) in [
        ("--attach wbe", "--attach: no process is called `wbe`\r\n  hint: did you mean `web`?"),
        (
            "start web=2 --attach web",
            "--attach web: that is 2 processes\r\n  hint: name one of them: `web.1`, `web.2`",
        ),
        ("start worker --attach web", "--attach web: it is not to start"),
        ("-D --attach web", "--attach web.1: --daemon leaves the terminal"),
        ("start --attach web -- true", "--attach web.1: the command behind `--` has the terminal"),
        ("--pty never --attach web", "--attach web.1: it gets no terminal (pty)"),
        ("--format json --attach web", "--attach web.1: it gets no terminal (pty)"),
    ] {
        window.type_text(&format!("ganger {args}; echo \"<$?>\"\r"));
        window.wait_for(&format!("ganger: error: {told}"));
        window.wait_for("<2>");
    }
    leave(window);
    test.clone()
        .args(["--attach", "web"])
        .run()
        .code(2)
        .stdout("")
        .stderr_has("stdin and stdout are no terminal");
    // What holds for every run is none for one without a terminal.
    let running = test.clone().file("ganger.toml", "attach = \"web\"\n").start();
    running.wait_for_line("web.1", "ready");
    running.finish();
}
