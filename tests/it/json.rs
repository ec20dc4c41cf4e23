//! `--format json`: what a program reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal::SIGINT;
use serde_json::Value;

use crate::kit::{Finished, Terminal, Test};

fn app(procfile: &str) -> Test {
    Test::new().procfile(procfile).args(["--format", "json"])
}

/// Every line of stdout; each has to be an object with a time.
#[track_caller]
fn objects(finished: &Finished) -> Vec<Value> {
    let lines = finished.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let objects: Vec<Value> = lines.map(|line| serde_json::from_slice(line).expect("JSON")).collect();
    for object in &objects {
        let time: Result<jiff::Timestamp, _> = object["time"].as_str().expect("a time").parse();
        assert!(time.is_ok(), "{object}");
    }
    objects
}

/// The bytes of each line of one stream.
fn lines(objects: &[Value], process: &str, stream: &str) -> Vec<Vec<u8>> {
    let of_stream = |object: &&Value| object["process"] == process && object["stream"] == stream;
    objects.iter().filter(of_stream).map(bytes).collect()
}

/// The line as it was, whichever of the two fields has it.
fn bytes(object: &Value) -> Vec<u8> {
    match (object["line"].as_str(), object["line_b64"].as_str()) {
        (Some(text), None) => text.into(),
        (None, Some(text)) => STANDARD.decode(text).expect("base64"),
        other => panic!("{other:?}"),
    }
}

/// The events with this name.
fn events<'a>(objects: &'a [Value], name: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["event"] == name).collect()
}

#[test]
fn a_run() {
    let web = "web: echo out; echo err >&2; exec gangling --wait-file go --exit 3 >/dev/null\n";
    let test = app(&format!("{web}worker: exec gangling --ignore TERM --wait\n")).args(["-t", "0.1"]);
    let running = test.start();
    for text in ["ready ", "out", "err"] {
        running.wait_for_text(1, &format!(r#""line":"{text}"#));
    }
    std::fs::write(test.path("go"), "").expect("written");
    let finished = running.wait().code(3).stderr("");
    let objects = objects(&finished);
    assert_eq!(lines(&objects, "web.1", "stdout"), [b"out"]);
    assert_eq!(lines(&objects, "web.1", "stderr"), [b"err"]);

    let started = events(&objects, "started");
    assert_eq!(started.len(), 2);
    let port = |event: &Value| event["port"].as_i64().expect("a port");
    assert_eq!(port(started[0]) + 100, port(started[1]), "{finished}");
    assert!(started.iter().all(|event| event["pid"].as_i64().is_some_and(|pid| pid > 1)), "{finished}");

    let exited = events(&objects, "exited");
    assert_eq!((&exited[0]["process"], &exited[0]["type"]), (&"web.1".into(), &"web".into()));
    assert_eq!((&exited[0]["code"], &exited[0]["then"]), (&3.into(), &"stop_all".into()));
    assert!(exited[0]["after"].as_f64().is_some_and(|after| after < 60.0), "{finished}");
    assert_eq!((&exited[1]["signal"], &exited[1]["then"]), (&"KILL".into(), &"nothing".into()));
    assert_eq!(events(&objects, "killed")[0]["after"], 0.1);

    let report = objects.last().expect("a last one");
    assert_eq!((&report["event"], &report["code"]), (&"report".into(), &3.into()), "{finished}");
    let expected = serde_json::json!([
        { "stream": "stdout", "line": "out" },
        { "stream": "stderr", "line": "err" },
    ]);
    assert_eq!(report["last_lines"], expected, "{finished}");
}

#[test]
fn every_byte_arrives() {
    let mut written: Vec<u8> = (0..=255).collect();
    written.extend_from_slice(b"\n\n\r\n\x1b[31mred\n\0\0\n\"quoted\\\n\xe2\x82\nlast");
    let test = Test::new().file("bytes", &written).procfile("web: cat bytes; cat bytes >&2\n");
    let finished = test.args(["--format", "json"]).run().code(0);
    let expected: Vec<&[u8]> = written.split(|byte| *byte == b'\n').collect();
    for stream in ["stdout", "stderr"] {
        assert_eq!(lines(&objects(&finished), "web.1", stream), expected, "{stream}");
    }
}

#[test]
fn pieces_of_a_long_line_are_marked() {
    const MIB: usize = 1 << 20;
    let written = [vec![b'x'; 2 * MIB + 5], b"\n".to_vec(), vec![b'y'; MIB], b"\n".to_vec()].concat();
    let test = Test::new().file("bytes", written).procfile("web: cat bytes\n").args(["--format", "json"]);
    let objects = objects(&test.run().code(0));
    let of_web = objects.iter().filter(|object| object["stream"] == "stdout");
    let pieces: Vec<(usize, bool)> = of_web.map(|it| (bytes(it).len(), it["cut"] == true)).collect();
    assert_eq!(pieces, [(MIB, true), (MIB, true), (5, false), (MIB, false)]);
}

#[test]
fn each_stream_keeps_its_order_and_all_stands_before_the_end() {
    let flood =
        |tag| format!("gangling --print 20000 {tag} & gangling --print 20000 {tag} >&2; wait; exit 0");
    let procfile = format!("a: {}\nb: {}\n", flood("a"), flood("b"));
    let finished = app(&procfile).args(["--on-exit", "ignore"]).run().code(0);
    let objects = objects(&finished);
    for tag in ["a", "b"] {
        let id = format!("{tag}.1");
        let expected: Vec<Vec<u8>> = (1..=20_000).map(|i| format!("{tag} {i}").into_bytes()).collect();
        for stream in ["stdout", "stderr"] {
            assert!(lines(&objects, &id, stream) == expected, "{id} {stream} is not what it wrote");
        }
        let end = objects.iter().position(|it| it["process"] == *id && it["event"] == "exited");
        let last = objects.iter().rposition(|it| it["process"] == *id && it["stream"].is_string());
        assert!(last < end, "{id}: a line behind its end");
    }
}

#[test]
fn one_stream_may_be_closed_long_before_the_other() {
    for (closed, open) in [(1, 2), (2, 1)] {
        let web = format!("web: exec {closed}>&-; exec gangling --wait-file go --exit 3 >&{open}\n");
        let test = app(&format!("{web}worker: exec gangling --say hello --wait\n"));
        let running = test.start();
        running.wait_for_text(1, r#""line":"hello""#);
        std::fs::write(test.path("go"), "").expect("written");
        let finished = running.wait().code(3);
        assert_eq!(events(&objects(&finished), "exited")[0]["code"], 3, "{finished}");
    }
}

#[test]
fn who_holds_one_stream_does_not_hold_up_the_end() {
    for other in ["2>&1 >/dev/null", ">/dev/null"] {
        let holder = "gangling --setsid --ignore TERM --wait-file never";
        let test = app(&format!("web: (sh -c '{holder}' {other} &); echo last; exit 3\n"));
        let finished = test.args(["-t", "0.2"]).run().code(3);
        assert_eq!(lines(&objects(&finished), "web.1", "stdout")[0], b"last", "{finished}");
    }
}

#[test]
fn a_restart_has_both_streams_again() {
    let test = app(
        "web: echo out; echo err >&2; test -e again || { touch again; exit 1; }; exec gangling --wait >&2\n",
    );
    let running = test.args(["--on-exit", "restart"]).start();
    running.wait_for_text(1, r#""line":"ready "#);
    let finished = running.finish().killed_by(SIGINT);
    let objects = objects(&finished);
    assert_eq!(lines(&objects, "web.1", "stdout").len(), 2, "{finished}");
    assert_eq!(lines(&objects, "web.1", "stderr").len(), 3, "{finished}");
    assert_eq!(events(&objects, "exited")[0]["restart_after"], 1.0, "{finished}");
    assert_eq!(events(&objects, "stop_requested")[0]["signal"], "INT", "{finished}");
}

#[test]
fn there_are_no_colours_and_no_prefix() {
    let test = app("web: printf '\\033[31mred\\n'\n");
    let finished = test.args(["--color", "always", "--timestamps=%H", "--no-prefix"]).run().code(0);
    assert!(!finished.stdout.contains(&0x1b), "{finished}");
    assert_eq!(lines(&objects(&finished), "web.1", "stdout"), [b"\x1b[31mred"]);
}

#[test]
fn the_variable_and_the_muted() {
    let test = Test::new().procfile("web: echo a; echo b >&2\n").var("GANGER_FORMAT", "json");
    let finished = test.clone().args(["--mute", "web"]).run().code(0);
    let names: Vec<Value> = objects(&finished).into_iter().map(|it| it["event"].clone()).collect();
    assert_eq!(names, ["started", "exited", "report"], "{finished}");
    let as_text = test.args(["start", "--format", "text"]).run().code(0);
    assert_eq!(as_text.lines_of("web.1").len(), 2, "{as_text}");
}

#[test]
fn what_is_wrong_before_the_start_is_text_on_stderr() {
    let finished = app("web x\n").run().code(2).stdout("");
    finished.stderr_has("ganger: error: no colon in this line\n");
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let test = app("web: while :; do echo line; echo line >&2; done\n");
    let test = test.by_shell("(\"$@\"; echo status $? >&2) | head -1");
    let finished = test.run().code(0).stderr("status 141\n");
    assert_eq!(objects(&finished)[0]["event"], "started", "{finished}");
}

#[test]
fn no_process_has_a_terminal() {
    app("web: gangling --isatty\n").args(["--pty", "always"]).run().code(2).stdout("").stderr(
        "ganger: error: --pty always: with --format json stdout and stderr are two pipes\n  \
         hint: leave one of the two options out\n",
    );
    let by_variable = app("web: gangling --isatty\n").var("GANGER_PTY", "always").run().code(0);
    assert_eq!(lines(&objects(&by_variable), "web.1", "stdout"), [b"tty"]);
    // Not on ganger's terminal either, where what a process writes is escaped and not taken away.
    let test = Test::new().file("bytes", "\x1b[2Ja\n").procfile("web: gangling --isatty; cat bytes\n");
    let mut window = Terminal::with_ganger(&test, ["start", "--format", "json"]);
    window.wait();
    let shown = window.text();
    for expected in [r#""line":"tty"}"#, r#""line":"\u001b[2Ja"}"#] {
        assert!(shown.contains(expected), "{expected:?} in {shown:?}");
    }
}
