//! `ganger attach`: a terminal window on a process of a running instance.

use nix::sys::signal::Signal::{self, SIGHUP, SIGINT, SIGKILL, SIGTERM};

use crate::kit::{Running, Terminal, Test, eventually, proc};

/// Says `<…>` for each line it is given.
const ECHO: &str = "echo ready; while read -r x; do echo \"<$x>\"; done";

fn app(web: &str) -> Test {
    Test::new()
        .procfile(format!("web: {web}\nworker: exec gangling --wait\n"))
        .args(["start", "--pty", "always"])
}

fn start(test: &Test) -> Running {
    let running = test.start();
    running.wait_for_line("web.1", "ready");
    running.wait_ready("worker.1");
    running
}

/// A shell that attaches; answers when keys are the process's. When it is over the shell shows the
/// status, `<0>`.
fn attach(test: &Test, name: &str) -> Terminal {
    let mut window = Terminal::with_shell(test);
    attach_in(&mut window, name);
    window
}

fn attach_in(window: &mut Terminal, args: &str) {
    window.type_text(&format!("ganger attach {args}; echo \"<$?>\"\r"));
    window.wait_for("Ctrl-] detaches\r\n");
}

fn detach(window: &mut Terminal) {
    window.type_text("\x1d");
    window.wait_for("detached from web.1\r\n<0>\r\n$ ");
}

fn leave(mut window: Terminal) {
    window.type_text("exit 0\r");
    window.wait_beside();
}

/// The `ganger attach` in the window.
fn client(window: &Terminal) -> i32 {
    let find = |it: proc::Process| it.command.contains("ganger attach").then_some(it.pid);
    proc::children(window.pid()).into_iter().find_map(find).expect("an attach")
}

#[test]
fn typed_text_is_echoed_once_and_nothing_stands_before_it() {
    let test = app(ECHO);
    let running = start(&test);
    let mut window = attach(&test, "web");
    window.wait_for("ready\r\n");
    window.type_text("hello\r");
    let shown = window.wait_for("<hello>\r\n");
    assert_eq!(shown, "hello\r\n<hello>\r\n");
    detach(&mut window);
    assert!(!window.text().contains("web.1   "), "{}", window.text());
    leave(window);
    running.finish();
}

#[test]
fn what_was_on_the_screen_is_shown_again() {
    let test = app("seq 1 100; echo ready; printf 'prompt> '; exec gangling --wait-file never");
    let running = start(&test);
    let mut window = attach(&test, "web.1");
    let shown = window.wait_for("\nprompt> ");
    assert!(shown.contains("\r\n99\r\n100\r\nready\r\n") && !shown.contains("\r\n70\r\n"), "{shown}");
    detach(&mut window);
    leave(window);
    running.finish();
}

#[test]
fn every_byte_passes_but_for_the_one_key() {
    let test = app("stty raw -echo; echo ready; head -c 7 | od -An -tu1; head -c 100000 | wc -c; exec cat");
    let running = start(&test);
    let mut window = attach(&test, "web");
    window.type_text("\0\x01\x03\x1a\x1c\u{e9}");
    window.wait_for(" 0   1   3  26  28 195 169");
    // More than is on its way at once.
    window.type_text(&"x".repeat(100_000));
    window.wait_for("100000");
    detach(&mut window);
    leave(window);
    running.finish();
}

#[test]
fn ctrl_c_is_the_process_s() {
    let test = app("exec gangling --log-signals INT,QUIT --say ready --wait");
    let running = start(&test);
    let mut window = attach(&test, "web");
    window.type_text("\x03");
    window.wait_for("got SIGINT 1");
    window.type_text("\x1c");
    window.wait_for("got SIGQUIT 1");
    detach(&mut window);
    leave(window);
    test.beside(["ps"]).code(0).stdout_has("worker.1: up");
    running.finish();
}

#[test]
fn the_terminal_has_the_window_s_size() {
    let test = app("exec gangling --say ready --print-size-on-winch");
    let running = start(&test);
    let narrow = running.wait_for_line("web.1", "size 24 ");
    let mut window = attach(&test, "web");
    window.wait_for("size 24 80");
    window.resize(30, 100);
    window.wait_for("size 30 100");
    // A second one looks on, whatever its size is.
    let mut second = Terminal::with_shell(&test);
    second.resize(50, 50);
    attach_in(&mut second, "web");
    second.wait_for("types here");
    detach(&mut window);
    second.wait_for("size 50 50");
    detach(&mut second);
    running.wait_for_lines(2, |line| line.name == "web.1" && line.text == narrow);
    leave(window);
    leave(second);
    running.finish();
}

#[test]
fn a_program_that_draws_is_made_to_draw_again() {
    let draws = "printf '\\033[?1049h\\033[?25l'; exec gangling --say ready --print-size-on-winch";
    let test = app(draws);
    let running = test.start();
    running.wait_for_line("web.1", "size 24 ");
    let mut window = attach(&test, "web");
    window.wait_for("\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J");
    window.wait_for("size 24 80");
    // Of the same size.
    let mut second = attach(&test, "web");
    second.wait_for("\x1b[?1049h\x1b[?25l");
    second.wait_for("size 23 80");
    second.wait_for("size 24 80");
    for window in [&mut second, &mut window] {
        window.type_text("\x1d");
        let left = window.wait_for("detached from web.1");
        assert!(left.contains("\x1b[?1049l\x1b[?25h"), "{left:?}");
    }
    leave(window);
    leave(second);
    running.finish();
}

#[test]
fn the_first_writes_and_the_next_takes_over() {
    let test = app(ECHO);
    let running = start(&test);
    let mut first = attach(&test, "web");
    first.wait_for("ready\r\n");
    let mut second = attach(&test, "web");
    second.wait_for(&format!("[pid {} types here; you look on until it leaves]\r\n", client(&first)));
    second.type_text("nobody\r");
    second.wait_for("\x07");
    first.type_text("one\r");
    first.wait_for("<one>");
    second.wait_for("<one>");
    detach(&mut first);
    second.wait_for("[you type now]");
    second.type_text("two\r");
    second.wait_for("<two>");
    assert!(!second.text().contains("nobody"), "{}", second.text());
    detach(&mut second);
    leave(first);
    leave(second);
    running.finish();
}

#[test]
fn it_goes_on_with_the_next_run() {
    let test = app(ECHO);
    let running = start(&test);
    let mut window = attach(&test, "web");
    window.wait_for("ready\r\n");
    test.beside(["restart", "web"]).code(0);
    window.wait_for("[web.1 was killed by SIGTERM, starts again]\r\n");
    window.wait_for("[web.1 started again, pid ");
    window.wait_for("ready\r\n");
    window.type_text("hello\r");
    window.wait_for("hello\r\n<hello>\r\n");
    // The size of its terminal too is this one's.
    detach(&mut window);
    leave(window);
    running.finish();
}

#[test]
fn the_end_of_the_process_is_its_end() {
    for (script, told, status) in [
        ("read x; exit 3", "web.1 exited with code 3", "<3>"),
        ("read x; kill -9 $$", "web.1 was killed by SIGKILL", "<137>"),
        ("read x; exit 0", "web.1 exited with code 0", "<0>"),
    ] {
        let test = app(&format!("echo ready; {script}"));
        let running = start(&test);
        let mut window = Terminal::with_shell(&test);
        let before = window.modes();
        attach_in(&mut window, "web");
        assert_ne!(window.modes(), before, "raw");
        window.type_text("\r");
        window.wait_for(told);
        window.wait_for(status);
        window.wait_for("$ ");
        assert_eq!(window.modes(), before);
        running.wait_beside();
        leave(window);
    }
}

#[test]
fn a_stopped_process_lets_go() {
    let test = app(ECHO);
    let running = start(&test);
    let mut window = attach(&test, "web");
    test.beside(["stop", "web"]).code(0);
    window.wait_for("web.1 was killed by SIGTERM\r\n<143>");
    window.wait_for("$ ");
    test.beside(["attach", "web"]).code(2).stderr_has("attach needs a terminal");
    window.type_text("ganger attach web; echo \"<$?>\"\r");
    window.wait_for(
        "ganger: error: web.1 does not run, it is stopped\r\n  hint: `ganger up web.1` starts it\r\n<1>",
    );
    test.beside(["up", "web"]).code(0);
    attach_in(&mut window, "web");
    detach(&mut window);
    leave(window);
    running.finish();
}

#[test]
fn the_end_of_ganger_gives_the_terminal_back() {
    let test = app(ECHO);
    for victim in [None, Some(0), Some(1), Some(2)] {
        let mut running = start(&test);
        let mut window = Terminal::with_shell(&test);
        let before = window.modes();
        attach_in(&mut window, "web");
        match victim {
            None => running.signal(SIGTERM),
            Some(victim) => {
                let own = running.own_pids();
                proc::send([own.guard, own.reserve, own.supervisor][victim], SIGKILL);
            }
        }
        // Which of the two ends is seen first is nobody's to say, but for the last.
        window.wait_for(if victim == Some(2) { "ganger has ended\r\n<1>" } else { "\r\n<1" });
        window.wait_for("$ ");
        assert_eq!(window.modes(), before, "{victim:?}");
        running.wait_for_exit();
        leave(window);
        test.world().assert_nothing_left();
    }
}

#[test]
fn a_signal_gives_the_terminal_back_and_the_next_one_finds_all_well() {
    let test = app(ECHO);
    let running = start(&test);
    let mut window = Terminal::with_shell(&test);
    let before = window.modes();
    for signal in [SIGTERM, SIGHUP, SIGINT, Signal::SIGQUIT, Signal::SIGUSR1] {
        window.type_text("ganger attach web\r");
        window.wait_for("Ctrl-] detaches\r\n");
        window.wait_for("ready\r\n");
        proc::send(client(&window), signal);
        window.wait_for(&format!("detached from web.1 by {signal}\r\n"));
        window.wait_for("$ ");
        assert_eq!(window.modes(), before, "{signal}");
    }
    // Nobody can help that one's terminal, which the shell does.
    window.type_text("ganger attach web\r");
    window.wait_for("ready\r\n");
    proc::send(client(&window), SIGKILL);
    window.wait_for("$ ");
    window.type_text("stty sane; echo again\r");
    window.wait_for("again\r\n");
    attach_in(&mut window, "web");
    window.type_text("hello\r");
    window.wait_for("hello\r\n<hello>\r\n");
    detach(&mut window);
    leave(window);
    running.finish();
}

#[test]
fn a_stopped_client_gives_the_terminal_back_for_the_while() {
    let test = app(ECHO);
    let running = start(&test);
    let mut window = attach(&test, "web");
    window.wait_for("ready\r\n");
    proc::send(client(&window), Signal::SIGTSTP);
    window.wait_for("Stopped");
    window.wait_for("<148>\r\n$ ");
    window.type_text("echo shell\r");
    window.wait_for("\nshell\r\n");
    window.type_text("fg\r");
    eventually("it is in front", || {
        proc::group(window.foreground()).iter().any(|it| it.command.contains("attach"))
    });
    eventually("it has the terminal", || !window.modes().contains("ICANON"));
    window.type_text("back\r");
    window.wait_for("<back>");
    window.type_text("\x1d");
    window.wait_for("detached from web.1");
    leave(window);
    running.finish();
}

#[test]
fn a_closed_window_leaves_the_process_alone() {
    let test = app(ECHO);
    let running = start(&test);
    let mut window = attach(&test, "web");
    window.wait_for("ready\r\n");
    let pid = client(&window);
    window.close();
    eventually("attach has gone", || !proc::is_alive(pid));
    window.wait_beside();
    let mut window = attach(&test, "web");
    window.type_text("hello\r");
    window.wait_for("<hello>");
    detach(&mut window);
    leave(window);
    running.finish();
}

#[test]
fn it_says_why_it_cannot() {
    let test = Test::new()
        .procfile("web: exec gangling --wait\nworker: exec gangling --wait\n")
        .args(["start", "web=2,worker"]);
    let running = test.start();
    running.wait_ready("web.2");
    running.wait_ready("worker.1");
    let mut window = Terminal::with_shell(&test);
    for (name, told) in [
        ("wroker", "no process is called `wroker`\r\n  hint: did you mean `worker`?"),
        ("web", "`web` is 2 processes\r\n  hint: name one of them: `web.1`, `web.2`\r\n<2>"),
        ("web.3", "no process `web.3` is there\r\n  hint: `ganger scale web=3` starts it"),
        ("web.1,worker", "`web.1,worker` is 2 processes\r\n"),
        (
            "worker",
            "worker.1 has no terminal (pty) that you could attach to\r\n  hint: start ganger with `--pty always`, \
             or write `pty = \"always\"` below `[process.worker]` in ganger.toml\r\n<1>",
        ),
    ] {
        window.type_text(&format!("ganger attach {name}; echo \"<$?>\"\r"));
        window.wait_for(&format!("ganger: error: {told}"));
    }
    window.wait_for("$ ");
    window.type_text("ganger connect worker < /dev/null; echo \"<$?>\"\r");
    window.wait_for(
        "ganger: error: attach needs a terminal: stdin and stdout have to be one\r\n  hint: `ganger logs -f`",
    );
    window.wait_for("<2>");
    running.stop_beside(SIGINT);
    window.type_text("ganger attach web; echo \"<$?>\"\r");
    window.wait_for("ganger does not run in");
    window.wait_for("<1>");
    leave(window);
}

#[test]
fn a_daemon_s_processes_can_be_typed_at() {
    let test = Test::new().procfile(format!("web: {ECHO}\n")).args(["start", "-D", "--pty", "always"]);
    test.run_beside().code(0);
    let mut window = attach(&test, "web");
    window.type_text("hello\r");
    window.wait_for("<hello>\r\n");
    detach(&mut window);
    test.beside(["logs", "web"]).code(0).stdout_has("| <hello>\n");
    leave(window);
    test.beside(["stop"]).code(0);
}

#[test]
fn another_key_detaches_if_one_is_chosen() {
    let test = app(ECHO);
    let running = start(&test);
    let mut window = Terminal::with_shell(&test);
    window.type_text("GANGER_DETACH_KEY=ctrl-x ganger attach web; echo \"<$?>\"\r");
    window.wait_for("attached to web.1, Ctrl-X detaches\r\n");
    window.type_text("\x18");
    window.wait_for("detached from web.1\r\n<0>\r\n$ ");
    // The command line wins.
    window.type_text("GANGER_DETACH_KEY=ctrl-x ganger attach --detach-key ctrl-a web; echo \"<$?>\"\r");
    window.wait_for("attached to web.1, Ctrl-A detaches\r\n");
    window.type_text("\x01");
    window.wait_for("detached from web.1\r\n<0>\r\n$ ");
    leave(window);
    test.beside(["attach", "--detach-key", "ctrl-m", "web"]).code(2).stderr_has("not a key like `ctrl-a`");
    running.finish();
}
