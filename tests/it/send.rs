//! `ganger send`: text typed on the terminal of a process of a running app.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use crate::kit::{LIMIT, Running, Terminal, Test, eventually, proc};

/// Says `<…>` for each line it is given.
const ECHO: &str = "stty -echo; echo up; while read -r x; do echo \"<$x>\"; done";

/// Takes every byte, but not before there is a file `go`.
const LATE: &str = "stty raw -echo; echo up; gangling --wait-file go; exec cat > got";

fn app(web: &str) -> Test {
    let test = Test::new().procfile(format!("web: {web}\nworker: exec gangling --wait\n"));
    let socket = test.path("socket");
    test.var("GANGER_SOCKET", socket).args(["--pty", "always"])
}

#[track_caller]
fn start(test: &Test) -> Running {
    let running = test.start();
    running.wait_for_line("web.1", "up");
    running.wait_ready("worker.1");
    running
}

fn got(test: &Test) -> Vec<u8> {
    std::fs::read(test.path("got")).unwrap_or_default()
}

fn let_go(test: &Test) {
    std::fs::write(test.path("go"), "").expect("written");
}

#[test]
fn a_prompt_takes_it_as_if_typed() {
    let test = app("echo up; exec python3 -qiu");
    let running = start(&test);
    test.beside(["send", "web", r"print(6 * 7)\r"])
        .code(0)
        .stderr("")
        .stdout("sent 13 bytes to web.1, pid N\n");
    running.wait_for_line("web.1", "42");
    // Keys too: the program runs for ever without this one.
    test.beside(["send", "web.1", r"while True: print('turns')\r\r"]).code(0);
    running.wait_for_line("web.1", "turns");
    test.beside(["send", "web.1", r"\x03"]).code(0).stdout("sent 1 byte to web.1, pid N\n");
    running.wait_for_line("web.1", "KeyboardInterrupt");
    test.beside(["send", "web.1", r"print(40 + 3)\n"]).code(0);
    running.wait_for_line("web.1", "43");
    running.finish();
}

#[test]
fn escapes_are_carried_out_unless_it_is_raw_or_stdin() {
    let test = app("stty raw -echo; echo up; exec cat > got");
    let running = start(&test);
    let mut all = b"a\t\x1b[A\xff\\b\r".to_vec();
    test.beside(["send", "web", r"a\t\e[A\xff\\b\r"]).code(0);
    eventually("it has come", || got(&test) == all);
    test.beside(["send", "--raw", "web", r"a\n\q"]).code(0).stdout_has("sent 5 bytes");
    all.extend(br"a\n\q");
    eventually("it has come", || got(&test) == all);
    // No escape, and no byte that would end a text.
    let stdin = test.clone().stdin(b"x\\n\0\xfe-\n").start_beside(["send", "web", "-"]);
    stdin.wait_beside().code(0).stdout("sent 7 bytes to web.1, pid N\n");
    all.extend(b"x\\n\0\xfe-\n");
    eventually("it has come", || got(&test) == all);
    test.beside(["send", "web", ""]).code(0).stdout_has("sent 0 bytes");
    test.beside(["send", "web", "--", "-x"]).code(0);
    all.extend(b"-x");
    eventually("it has come", || got(&test) == all);
    running.finish();
}

#[test]
fn what_is_wrong_with_it_is_told_and_the_text_is_not() {
    let test = app(ECHO);
    let running = start(&test);
    for (args, message) in [
        (&["send", "web", r"hunter2\q"][..], "unknown escape `\\q`\n"),
        (&["send", "nope", "hunter2"], "no process is called `nope`\n"),
        (&["send", "web.7", "hunter2"], "no process `web.7` is there\n"),
    ] {
        let finished = test.beside(args).code(2).stdout("").stderr_has(message);
        assert!(!String::from_utf8_lossy(&finished.stderr).contains("hunter2"));
    }
    test.beside(["send", "web"]).code(2).stderr_has("<TEXT>");
    let long = test.clone().stdin(vec![b'x'; 1024 * 1024 + 1]).start_beside(["send", "web", "-"]);
    long.wait_beside().code(2).stderr_has("the text has more than 1048576 bytes\n");
    test.beside(["stop", "web"]).code(0);
    let finished =
        test.beside(["send", "web", "hunter2"]).code(1).stderr_has("web.1 does not run, it is stopped\n");
    assert!(!String::from_utf8_lossy(&finished.stderr).contains("hunter2"));
    // One that turned its echo off: nowhere.
    test.beside(["up", "web"]).code(0);
    running.wait_for_lines(2, |line| line.name == "web.1" && line.text == "up");
    test.beside(["send", "web", r"hunter2\r"]).code(0);
    running.wait_for_line("web.1", "<hunter2>");
    let finished = running.finish();
    assert_eq!(String::from_utf8_lossy(&finished.stdout).matches("hunter2").count(), 1, "{finished}");
    test.beside(["send", "web", "x"]).code(1).stderr_has("ganger does not run in DIR\n");
}

#[test]
fn a_process_on_a_pipe_has_no_terminal_to_type_on() {
    let test = Test::new().procfile("web: exec gangling --wait\n").args(["--pty", "never", "-c", "web=2"]);
    let running = test.start();
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    test.beside(["send", "web.1", "x"]).code(1).stderr(
        "ganger: error: web.1 has no terminal (pty) to type into\n  hint: start ganger with `--pty always`, or write \
         `pty = \"always\"` below `[process.web]` in ganger.toml\n",
    );
    test.beside(["send", "web", "x"])
        .code(2)
        .stderr_has("`web` is 2 processes\n  hint: name one of them: `web.1`, `web.2`\n");
    running.finish();
}

#[test]
fn it_types_beside_a_client_that_is_attached() {
    let test = app("echo up; while read -r x; do echo \"<$x>\"; done");
    let running = start(&test);
    let mut window = Terminal::with_shell(&test);
    window.type_text("ganger attach web\r");
    window.wait_for("Ctrl-] detaches\r\n");
    window.type_text("one ");
    window.wait_for("one ");
    test.beside(["send", "web", r"two\r"]).code(0);
    window.wait_for("<one two>");
    window.type_text("three\r");
    let shown = window.wait_for("<three>");
    assert!(!shown.contains("types"), "the keyboard is still this one's: {shown}");
    window.type_text("\x1d");
    window.wait_for("detached from web.1");
    window.type_text("exit 0\r");
    window.wait_beside();
    running.finish();
}

#[test]
fn a_process_that_does_not_read_delays_nothing_and_the_error_says_how_much_it_took() {
    let test = app(LATE);
    let running = start(&test);
    let sends = test.clone().stdin(vec![b'x'; 200_000]).start_beside(["send", "web", "-"]);
    test.beside(["restart", "worker"]).code(0);
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    let finished = sends.wait_beside().code(1).stdout("");
    let told = String::from_utf8_lossy(&finished.stderr).into_owned();
    let rest =
        told.strip_prefix("ganger: error: web.1 does not read its terminal fast enough: ").expect(&told);
    let count: usize = rest.split(' ').next().and_then(|count| count.parse().ok()).expect(&told);
    assert!(count > 0 && rest.contains(" of 200000 bytes were sent\n  hint: "), "{told}");
    let_go(&test);
    eventually("it has what was taken", || got(&test).len() >= count);
    test.beside(["send", "web", "end"]).code(0);
    eventually("and what came later", || got(&test).ends_with(b"xend"));
    assert_eq!(got(&test).len(), count + 3);
    running.finish();
}

#[test]
fn a_text_stays_together_when_several_are_sent() {
    // Small reads, so that the terminal is often full.
    let test = app("stty raw -echo; echo up; exec dd bs=512 of=got status=none");
    let running = start(&test);
    let block = |letter: u8| vec![letter; 30_000];
    let letters = *b"abcd";
    let senders = letters.map(|letter| test.clone().stdin(block(letter)).start_beside(["send", "web", "-"]));
    for sender in senders {
        sender.wait_beside().code(0).stdout("sent 30000 bytes to web.1, pid N\n");
    }
    eventually("all has come", || got(&test).len() == 4 * 30_000);
    let mut blocks: Vec<Vec<u8>> = got(&test).chunks(30_000).map(<[u8]>::to_vec).collect();
    blocks.sort();
    assert!(blocks == letters.map(block), "texts are mixed");
    // One that takes more than one request comes whole too.
    let long: Vec<u8> = (0..20_000).flat_map(|number| format!("{number}\r").into_bytes()).collect();
    let sender = test.clone().stdin(&long).start_beside(["send", "web", "-"]);
    sender.wait_beside().code(0);
    eventually("all has come", || got(&test).len() == 4 * 30_000 + long.len());
    assert!(got(&test)[4 * 30_000..] == long);
    running.finish();
}

/// A client whose text is more than a terminal takes that is not read, as soon as that is full.
#[track_caller]
fn typing(test: &Test) -> BufReader<UnixStream> {
    let mut stream = BufReader::new(UnixStream::connect(test.path("socket")).expect("connected"));
    stream.get_ref().set_read_timeout(Some(LIMIT)).expect("set");
    let request = format!(
        "{{\"v\":1,\"cmd\":\"send\",\"name\":\"web\",\"bytes\":\"{}\",\"accepted\":true}}\n",
        "eHh4".repeat(10_900)
    );
    stream.get_mut().write_all(request.as_bytes()).expect("sent");
    let mut line = String::new();
    stream.read_line(&mut line).expect("an answer");
    assert_eq!(line, "{\"v\":1,\"accepted\":true}\n");
    // Whatever was asked before this has its answer, or waits for the terminal.
    test.beside(["ps"]).code(0);
    stream
}

#[test]
fn a_client_that_is_gone_types_no_more() {
    let test = app(LATE);
    let running = start(&test);
    drop(typing(&test));
    // It leaves the keyboard to others: this one would wait for it.
    test.beside(["ps"]).code(0);
    let_go(&test);
    test.beside(["send", "web", "end"]).code(0).stdout("sent 3 bytes to web.1, pid N\n");
    eventually("it has come", || got(&test).ends_with(b"end"));
    assert!(got(&test).len() < 32_700, "{}", got(&test).len());
    running.finish();
}

#[test]
fn an_end_of_the_process_ends_the_wait() {
    let test = app("stty raw -echo; echo up; exec gangling --wait");
    let running = start(&test);
    let mut client = typing(&test);
    test.beside(["restart", "web"]).code(0);
    let mut line = String::new();
    client.read_line(&mut line).expect("an answer");
    assert_eq!(
        line,
        "{\"v\":1,\"error\":{\"message\":\"web.1 exited before all of the text was typed\",\"status\":1}}\n"
    );
    running.finish();
}

#[test]
fn requests_are_bounded() {
    let test = app(ECHO);
    let running = start(&test);
    let stream = UnixStream::connect(test.path("socket")).expect("connected");
    stream.set_read_timeout(Some(LIMIT)).expect("set");
    let mut reader = BufReader::new(stream);
    let mut ask = |bytes: &str| {
        let line = format!("{{\"v\":1,\"cmd\":\"send\",\"name\":\"web\",\"bytes\":\"{bytes}\"}}\n");
        reader.get_mut().write_all(line.as_bytes()).expect("sent");
        let mut answer = String::new();
        reader.read_line(&mut answer).expect("an answer");
        answer
    };
    assert!(
        ask(&"eHh4".repeat(11_000))
            .contains("\"message\":\"more than 32768 bytes in one request\",\"status\":2")
    );
    assert!(ask("hunter2!").contains("Invalid symbol"));
    let answer = ask("eHh4DQ==");
    assert!(answer.contains("\"name\":\"web.1\"") && answer.contains("\"taken\":4"), "{answer}");
    running.wait_for_line("web.1", "<xxx>");
    assert!(proc::is_alive(running.own_pids().supervisor));
    running.finish();
}
