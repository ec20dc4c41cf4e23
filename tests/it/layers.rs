//! Where the environment of a process comes from.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::kit::Test;

/// What a one-off command sees: the bytes.
#[track_caller]
fn seen(test: &Test) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let finished = test.clone().args(["run", "--", "/usr/bin/env", "-0"]).run().code(0);
    let items = finished.stdout.split(|byte| *byte == 0).filter(|item| !item.is_empty());
    let pair = |item: &[u8]| {
        let equals = item.iter().position(|byte| *byte == b'=').expect("a pair");
        (item[..equals].to_vec(), item[equals + 1..].to_vec())
    };
    items.map(pair).collect()
}

#[track_caller]
fn assert_sees(test: &Test, key: &str, value: Option<&[u8]>) {
    let seen = seen(test);
    let found = seen.get(key.as_bytes()).map(Vec::as_slice);
    assert_eq!(found, value, "{key}");
}

fn app() -> Test {
    Test::new()
        .procfile("web: x\n")
        .file(".env", "A=default\n")
        .file("one.env", "A=one\nONE=1\n")
        .file("two.env", "A=two\nTWO=2\n")
}

#[test]
fn files_win_over_the_shell_unless_told_otherwise() {
    assert_sees(&app().var("A", "shell"), "A", Some(b"default"));
    assert_sees(&app().var("A", "shell").args(["--shell-env-wins"]), "A", Some(b"shell"));
    assert_sees(&app().var("A", "shell").var("GANGER_SHELL_ENV_WINS", "1"), "A", Some(b"shell"));
    assert_sees(&app().args(["--shell-env-wins"]), "A", Some(b"default"));
    // An empty value is one.
    assert_sees(&app().var("A", "").args(["--shell-env-wins"]), "A", Some(b""));
    assert_sees(&app().file(".env", "A=\n").var("A", "shell"), "A", Some(b""));
}

#[test]
fn later_files_win_and_named_ones_replace_the_default() {
    let table = [
        (&["-e", "one.env"][..], &b"one"[..]),
        (&["-e", "one.env,two.env"], b"two"),
        (&["-e", "two.env, one.env"], b"one"),
        (&["-e", "one.env", "-e", "two.env"], b"two"),
        (&["--env", "two.env", "--env=one.env"], b"one"),
    ];
    for (args, value) in table {
        assert_sees(&app().args(args), "A", Some(value));
    }
    let both = app().args(["-e", "one.env,two.env"]);
    assert_sees(&both, "ONE", Some(b"1"));
    assert_sees(&both, "TWO", Some(b"2"));
    assert_sees(&app().var("GANGER_ENV", "one.env,two.env"), "A", Some(b"two"));
    // The option beats the variable.
    assert_sees(&app().var("GANGER_ENV", "two.env").args(["-e", "one.env"]), "A", Some(b"one"));
}

#[test]
fn nothing_is_loaded_on_request() {
    assert_sees(&app().args(["--no-env"]), "A", None);
    assert_sees(&app().args(["-e", "/dev/null"]), "A", None);
    assert_sees(&app().args(["--no-env", "-e", "one.env"]), "A", None);
    assert_sees(&app().var("A", "shell").args(["--no-env"]), "A", Some(b"shell"));
}

#[test]
fn dollars_are_replaced_on_request_only() {
    let test = app().file(".env", "A=1\nB=$A-${HOME}\nC='$A'\nP=pa$$word\n").var("HOME", "/h");
    assert_sees(&test, "B", Some(b"$A-${HOME}"));
    assert_sees(&test, "P", Some(b"pa$$word"));
    let expanding = test.args(["--expand"]);
    assert_sees(&expanding, "B", Some(b"1-/h"));
    assert_sees(&expanding, "C", Some(b"$A"));
}

#[test]
fn bytes_that_are_not_text_pass() {
    let bytes = b"\xff\xfe caf\xe9";
    let test = Test::new().procfile("web: x\n").var("ODD", OsStr::from_bytes(bytes));
    assert_sees(&test, "ODD", Some(bytes));
    let key = OsStr::from_bytes(b"K\xff");
    let named = Test::new().procfile("web: x\n").var(key, "1");
    assert_eq!(seen(&named).get(&b"K\xff"[..]), Some(&b"1".to_vec()));
    let file = [b"F=".as_slice(), bytes, b"\n"].concat();
    assert_sees(&Test::new().procfile("web: x\n").file(".env", file), "F", Some(bytes));
}

#[test]
fn a_command_gets_nothing_but_this() {
    let test = Test::new().procfile("worker: x\nweb-api: y\n").file(".env", "A=1\n");
    let keys: Vec<Vec<u8>> = seen(&test).into_keys().collect();
    let keys: Vec<&str> = keys.iter().map(|key| std::str::from_utf8(key).expect("text")).collect();
    let expected = [
        "A",
        "GANGER_PROCESS_WEB_API_PORT",
        "GANGER_PROCESS_WORKER_PORT",
        "GANGER_TEST_MARK",
        "HOME",
        "PATH",
        "PORT",
    ];
    assert_eq!(keys, expected, "PORT is the shell's");
    assert!(!seen(&test.without("PORT")).contains_key(&b"PORT"[..]), "a command has no port");
}

#[test]
fn a_process_gets_its_name_and_its_port_too() {
    let dump = "/usr/bin/env -0 > $PS.bin; echo done; exec gangling --wait";
    let app = Test::new()
        .procfile(format!("worker: {dump}\nweb: {dump}\n"))
        .file(".env", "A=1\nPS=mine\n")
        .args(["start", "web=2,worker"]);
    let running = app.start();
    let expected = [("worker.1", 100), ("web.1", 0), ("web.2", 1)];
    for (name, offset) in expected {
        running.wait_ready(name);
        let bytes = std::fs::read(app.path(&format!("{name}.bin"))).expect("dumped");
        let text = String::from_utf8(bytes).expect("text");
        let has = |line: String| assert!(text.split('\0').any(|item| item == line), "{line} in {text}");
        has("A=1".into());
        has(format!("PS={name}"));
        has(format!("FOREMAN_WORKER_NAME={name}"));
        has(format!("PORT={}", app.port() + offset));
        has(format!("GANGER_PROCESS_WEB_PORT={}", app.port()));
        has(format!("GANGER_PROCESS_WORKER_PORT={}", app.port() + 100));
        has("PYTHONUNBUFFERED=1".into());
    }
    running.finish();
}

#[test]
fn the_base_port_comes_from_the_first_that_says_one() {
    let port = |test: Test| {
        let finished = test.args(["config", "--json"]).run().code(0);
        let all: BTreeMap<String, String> = serde_json::from_slice(&finished.stdout).expect("JSON");
        all["PORT"].clone()
    };
    let app = || Test::new().procfile("web: x\n").without("PORT");
    assert_eq!(port(app()), "5000");
    assert_eq!(port(app().var("PORT", "6001")), "6001");
    assert_eq!(port(app().var("PORT", "")), "5000");
    assert_eq!(port(app().var("PORT", "6001").file(".env", "PORT=6002\n")), "6002");
    assert_eq!(port(app().var("PORT", "6001").file(".env", "PORT=\n")), "6001", "an empty one is none");
    assert_eq!(port(app().var("PORT", "6001").file(".env", "PORT=6002\n").args(["-p", "6003"])), "6003");
    let variable = app().var("PORT", "6001").file(".env", "PORT=6002\n").var("GANGER_PORT", "6004");
    assert_eq!(port(variable.clone()), "6004");
    assert_eq!(port(variable.args(["-p", "6003"])), "6003");
}

#[test]
fn python_s_buffer_is_the_user_s_if_set() {
    let test = Test::new().procfile("web: gangling --print-env PYTHONUNBUFFERED\n");
    test.run().code(0).stdout_has("| PYTHONUNBUFFERED=1\n");
    test.clone().var("PYTHONUNBUFFERED", "").run().stdout_has("| PYTHONUNBUFFERED=\n");
    test.file(".env", "PYTHONUNBUFFERED=x\n").run().stdout_has("| PYTHONUNBUFFERED=x\n");
}
