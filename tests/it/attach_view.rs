//! What others see while somebody is attached: the main view, the logs, a client that does not read.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use nix::sys::termios::{FlowArg, tcflow};

use crate::kit::{Running, Terminal, Test, eventually, proc};

/// Says `<…>` for each line it is given.
const ECHO: &str = "echo ready; while read -r x; do echo \"<$x>\"; done";

/// What the worker says when asked.
const ASKED: &str = "gangling --wait-file go --say asked --wait";

fn app() -> Test {
    Test::new().procfile(format!("web: {ECHO}\nworker: exec {ASKED}\n")).args([
        "start",
        "--pty",
        "always",
        "--log-dir",
        "log",
    ])
}

fn start(test: &Test) -> Running {
    let running = test.start();
    running.wait_for_line("web.1", "ready");
    running.wait_ready("worker.1");
    running
}

fn attach(test: &Test, args: &str) -> Terminal {
    let mut window = Terminal::with_shell(test);
    window.type_text(&format!("ganger attach {args}\r"));
    window.wait_for("Ctrl-] detaches\r\n");
    window
}

fn leave(mut window: Terminal) {
    window.type_text("\x1d");
    window.wait_for("detached from web.1");
    window.type_text("exit 0\r");
    window.wait_beside();
}

fn has(running: &Running, name: &str, text: &str) -> bool {
    running.lines().iter().any(|line| line.name == name && line.text == text)
}

#[test]
fn its_lines_are_kept_and_shown_afterwards() {
    let test = app();
    let running = start(&test);
    let mut window = attach(&test, "web");
    window.type_text("one\rtwo\rthree\r");
    window.wait_for("<three>");
    test.beside(["logs", "web"]).code(0).stdout_has("| <one>\n").stdout_has("| <three>\n");
    let log = || std::fs::read_to_string(test.path("log/web.1.log")).expect("a log");
    eventually("the log has them", || log().contains("<three>\n"));
    // The others are shown as ever, and what was read of web before that is not.
    std::fs::write(test.path("go"), "").expect("written");
    running.wait_for_line("worker.1", "asked");
    assert!(!has(&running, "web.1", "<one>"), "not yet");
    leave(window);
    running.wait_for_line("web.1", "<three>");
    let lines = running.lines();
    let of_web: Vec<&str> = lines.iter().filter(|it| it.name == "web.1").map(|it| it.text.as_str()).collect();
    let shown = of_web.iter().filter(|text| text.starts_with('<')).copied().collect::<Vec<_>>();
    assert_eq!(shown, ["<one>", "<two>", "<three>"], "each once, in order");
    running.finish();
}

#[test]
fn with_tee_they_are_shown_at_once() {
    let test = app();
    let running = start(&test);
    let mut window = attach(&test, "web --tee");
    window.type_text("one\r");
    running.wait_for_line("web.1", "<one>");
    // One of two is enough.
    let second = attach(&test, "web");
    window.type_text("two\r");
    running.wait_for_line("web.1", "<two>");
    leave(window);
    leave(second);
    running.finish();
}

#[test]
fn the_lines_of_a_run_stand_before_its_end() {
    let test = app();
    let running = start(&test);
    let mut window = attach(&test, "web");
    window.type_text("last\r");
    window.wait_for("<last>");
    test.beside(["restart", "web"]).code(0);
    running.wait_for_line("system", "web.1 was stopped by SIGTERM");
    let lines = running.lines();
    let place = |name: &str, text: &str| {
        let found = lines.iter().position(|it| it.name == name && it.text.starts_with(text));
        found.unwrap_or_else(|| panic!("{text} is missing in {lines:?}"))
    };
    assert!(place("web.1", "<last>") < place("system", "web.1 was stopped"), "{lines:?}");
    window.wait_for("started again");
    window.type_text("next\r");
    window.wait_for("<next>");
    assert!(!has(&running, "web.1", "<next>"), "the next run is held too");
    leave(window);
    running.wait_for_line("web.1", "<next>");
    running.finish();
}

#[test]
fn what_the_backlog_has_lost_is_told_as_a_number() {
    let test = Test::new()
        .procfile(
            "web: echo ready; read x; gangling --print 400000 flood-of-many-lines; echo over; exec cat\n",
        )
        .args(["start", "--pty", "always"]);
    let running = test.start();
    running.wait_for_line("web.1", "ready");
    let mut window = attach(&test, "web");
    window.type_text("\r");
    window.wait_for("over\r\n");
    leave(window);
    running.wait_for_line("web.1", "over");
    let lines = running.lines();
    let notice =
        lines.iter().find(|it| it.text.contains(" lines of web.1 are left out here")).expect("a notice");
    let left_out: usize = notice.text.split(' ').next().and_then(|it| it.parse().ok()).expect("a number");
    let shown = lines.iter().filter(|it| it.text.starts_with("flood-of-many-lines ")).count();
    // The line that was typed comes before them, and is among those that are gone.
    assert_eq!(left_out + shown, 400_001, "none is missing");
    running.finish();
}

#[test]
fn who_never_reads_delays_nobody() {
    let test = Test::new()
        .var("GANGER_SOCKET", "socket")
        .procfile("web: echo ready; exec gangling --print 100000000 flood\nworker: exec gangling --wait-file go --say asked --wait\n")
        .args(["start", "--pty", "always", "--mute", "web"]);
    let running = test.start();
    running.wait_ready("worker.1");
    let mut deaf = UnixStream::connect(test.path("socket")).expect("connected");
    deaf.write_all(b"{\"v\":1,\"cmd\":\"attach\",\"name\":\"web\",\"rows\":24,\"columns\":80}\n")
        .expect("sent");
    let mut answer = String::new();
    BufReader::new(deaf.try_clone().expect("a copy")).read_line(&mut answer).expect("an answer");
    assert!(answer.contains("\"name\":\"web.1\""), "{answer}");
    // It writes and is never heard of again; another one looks on.
    deaf.write_all(b"{\"v\":1,\"input\":\"eA==\"}\n").expect("sent");
    let mut window = attach(&test, "web");
    window.wait_for("types here");
    window.wait_for("flood ");
    std::fs::write(test.path("go"), "").expect("written");
    running.wait_for_line("worker.1", "asked");
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    drop(deaf);
    window.wait_for("[you type now]");
    leave(window);
    running.finish();
}

#[test]
fn who_sends_what_he_may_not_is_let_go() {
    let test = Test::new()
        .var("GANGER_SOCKET", "socket")
        .procfile("web: stty raw; echo ready; exec gangling --wait\n")
        .args(["start", "--pty", "always"]);
    let running = test.start();
    running.wait_for_line("web.1", "ready");
    let input = format!("{{\"v\":1,\"input\":\"{}\"}}\n", "A".repeat(4000));
    let frames = [
        "nothing\n".to_owned(),
        "{\"v\":2,\"size\":{\"rows\":1,\"columns\":1}}\n".to_owned(),
        "{\"v\":1,\"input\":\"?\"}\n".to_owned(),
        "x".repeat(70_000),
        format!("{{\"v\":1,\"input\":\"{}\"}}\n", "A".repeat(8000)),
        // More than one may have on the way.
        input.repeat(100),
    ];
    for frame in frames {
        let mut client = UnixStream::connect(test.path("socket")).expect("connected");
        client
            .write_all(b"{\"v\":1,\"cmd\":\"attach\",\"name\":\"web\",\"rows\":0,\"columns\":0}\n")
            .expect("sent");
        let mut reader = BufReader::new(client.try_clone().expect("a copy"));
        let mut lines = String::new();
        while !lines.contains("\"output\"") {
            assert!(reader.read_line(&mut lines).expect("read") > 0, "{lines}");
        }
        assert!(lines.contains("{\"v\":1,\"writer\":{\"you\":true,\"pid\":"), "{lines}");
        // It may be let go in the middle, and its end is what is waited for.
        let _ = client.write_all(frame.as_bytes());
        while matches!(reader.read_line(&mut lines), Ok(1..)) {}
    }
    running.finish();
}

#[test]
fn what_somebody_types_who_looks_on_is_dropped() {
    let test = app().var("GANGER_SOCKET", "socket");
    let running = start(&test);
    let mut window = attach(&test, "web");
    window.wait_for("ready\r\n");
    let mut second = UnixStream::connect(test.path("socket")).expect("connected");
    let request = "{\"v\":1,\"cmd\":\"attach\",\"name\":\"web.1\",\"rows\":24,\"columns\":80}\n";
    second.write_all(request.as_bytes()).expect("sent");
    // `x` and Enter.
    second.write_all(b"{\"v\":1,\"input\":\"eA0=\"}\n").expect("sent");
    let mut reader = BufReader::new(second);
    let mut lines = String::new();
    while !lines.contains("{\"v\":1,\"taken\":2}\n") {
        assert!(reader.read_line(&mut lines).expect("read") > 0, "{lines}");
    }
    assert!(lines.contains("{\"v\":1,\"writer\":{\"you\":false,\"pid\":"), "{lines}");
    window.type_text("one\r");
    assert_eq!(window.wait_for("<one>\r\n"), "one\r\n<one>\r\n");
    drop(reader);
    leave(window);
    running.finish();
}

#[test]
fn who_looks_on_still_sees_that_when_the_screen_is_there() {
    let test = Test::new()
        .procfile("web: seq 1 100; echo ready; exec gangling --wait\nworker: exec gangling --wait\n")
        .args(["start", "--pty", "always"]);
    let running = start(&test);
    let mut window = attach(&test, "web");
    window.wait_for("ready\r\n");
    let mut second = attach(&test, "web");
    second.wait_for("types here; you look on until it leaves]");
    let shown = second.wait_for("ready\r\n");
    let below = shown.lines().count();
    // The shell's window has 24 lines.
    assert!((15..=22).contains(&below), "{below}: {shown}");
    leave(second);
    leave(window);
    running.finish();
}

#[test]
fn nobody_has_the_terminal_that_he_is_on() {
    let test = Test::new()
        .procfile(format!(
            "web: echo ready; read -r x; {} attach web; echo \"<$?>\"; exec gangling --wait\nworker: exec {ASKED}\n",
            env!("CARGO_BIN_EXE_ganger")
        ))
        .args(["start", "--pty", "always"]);
    let running = start(&test);
    let mut window = attach(&test, "web");
    window.type_text("\r");
    // All that is shown there would be shown there again, and so on.
    window.wait_for("ganger: error: this is the terminal of web.1 itself");
    window.wait_for("<2>");
    leave(window);
    running.finish();
}

#[test]
fn a_terminal_that_takes_nothing_holds_no_process() {
    let test = app();
    let running = start(&test);
    let mut window = attach(&test, "web");
    window.wait_for("ready\r\n");
    let find = |it: proc::Process| it.command.contains("ganger attach").then_some(it.pid);
    let client = proc::children(window.pid()).into_iter().find_map(find).expect("an attach");
    let terminal = std::fs::File::open(format!("/proc/{client}/fd/0")).expect("its terminal");
    let mut second = attach(&test, "web");
    second.wait_for("types here");
    tcflow(&terminal, FlowArg::TCOOFF).expect("stopped");
    window.type_text("\x1d");
    // It cannot say so, and has left all the same.
    second.wait_for("[you type now]");
    tcflow(&terminal, FlowArg::TCOON).expect("it goes on");
    drop(terminal);
    window.wait_for("detached from web.1");
    window.type_text("exit 0\r");
    window.wait_beside();
    leave(second);
    running.finish();
}
