//! `ganger signal`: signals to the processes of a running app.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::kit::{LIMIT, Line, Running, Test, eventually, proc};

/// Says what it gets, with a child that does the same.
const FAMILY: &str = "exec gangling --log-signals HUP,USR1 --spawn '--log-signals HUP,USR1 --wait' --wait";

fn app(procfile: &str) -> Test {
    let test = Test::new().procfile(procfile);
    let socket = test.path("socket");
    test.var("GANGER_SOCKET", socket)
}

/// What the instance answers to this line.
#[track_caller]
fn asked(test: &Test, line: &str) -> String {
    let mut stream = UnixStream::connect(test.path("socket")).expect("connected");
    stream.set_read_timeout(Some(LIMIT)).expect("set");
    stream.write_all(format!("{line}\n").as_bytes()).expect("sent");
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("an answer");
    answer
}

/// What this process said of signals, without the pids.
fn got(running: &Running, name: &str) -> Vec<String> {
    let of =
        |line: Line| (line.name == name).then(|| line.text.split_once(" got ").map(|(_, it)| it.to_owned()));
    running.lines().into_iter().filter_map(|line| of(line)?).collect()
}

#[track_caller]
fn wait_for_signals(running: &Running, name: &str, count: usize) {
    running.wait_for_lines(count, |line| line.name == name && line.text.contains(" got "));
}

#[test]
fn every_process_of_the_group_gets_it_and_no_other() {
    let test = app(&format!("web: {FAMILY}\nworker: {FAMILY}\n")).args(["-c", "web=2"]);
    let running = test.start();
    running.wait_for_lines(6, |line| line.text.starts_with("ready "));
    test.beside(["signal", "HUP", "web"])
        .code(0)
        .stderr("")
        .stdout("sent SIGHUP to web.1, pid N\nsent SIGHUP to web.2, pid N\n");
    wait_for_signals(&running, "web.1", 2);
    wait_for_signals(&running, "web.2", 2);
    // In every form, and to several.
    for (count, sig) in ["SIGUSR1", "usr1", "10"].into_iter().enumerate() {
        test.beside(["signal", sig, "web.2", "worker"])
            .code(0)
            .stdout_has("sent SIGUSR1 to worker.1, pid N\n");
        wait_for_signals(&running, "worker.1", 2 * (count + 1));
    }
    wait_for_signals(&running, "web.2", 8);
    assert_eq!(got(&running, "web.1"), ["SIGHUP 1", "SIGHUP 1"]);
    running.finish();
}

#[test]
fn real_time_signals_have_their_names() {
    let script = "trap 'echo caught' RTMIN+1; sleep 1000 & echo up; while :; do wait; done";
    let test = app(&format!("web: exec bash -c \"{script}\"\n"));
    let running = test.start();
    running.wait_for_line("web.1", "up");
    test.beside(["signal", "--to", "program", "RTMIN+1", "web.1"])
        .code(0)
        .stdout("sent SIGRTMIN+1 to web.1, pid N\n");
    running.wait_for_line("web.1", "caught");
    running.finish();
}

#[test]
fn the_program_alone_gets_it_and_a_shell_before_it_lives_on() {
    let program = "gangling --log-signals HUP --spawn '--log-signals HUP --wait' --wait";
    let test = app(&format!("web: true; {program}; true\n"));
    let running = test.start();
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    for count in 1..=2 {
        test.beside(["signal", "HUP", "--to=program", "web"]).code(0);
        wait_for_signals(&running, "web.1", count);
    }
    assert_eq!(got(&running, "web.1"), ["SIGHUP 1", "SIGHUP 2"]);
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    // The group has the shell in it.
    test.beside(["signal", "HUP", "web"]).code(0);
    running.wait_for_line("system", "web.1 was killed by SIGHUP after ");
    running.wait().code(129);
}

#[test]
fn an_end_by_it_is_an_end_like_any_other_and_told_after_it() {
    let test = app("web: exec gangling --wait\n").args(["--on-exit", "restart"]);
    let running = test.start();
    let first = running.wait_ready("web.1");
    test.beside(["signal", "KILL", "web"]).code(0);
    running.wait_for_lines(2, |line| line.name == "web.1" && line.text.starts_with("ready "));
    assert!(!proc::is_alive(first));
    let told: Vec<String> =
        running.lines().into_iter().filter(|line| line.name == "system").map(|line| line.text).collect();
    let place = |text: &str| told.iter().position(|line| line.starts_with(text)).expect(text);
    let (sent, killed) =
        (place("sending SIGKILL to web.1 (`ganger signal`)"), place("web.1 was killed by SIGKILL"));
    assert!(sent < killed && told[killed].ends_with("; it is started again in 1 s"), "{told:#?}");
    running.finish();
}

#[test]
fn a_process_can_be_halted_and_is_still_stopped_like_any_other() {
    let halted =
        |pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") T "));
    let test = app("web: exec gangling --log-signals USR1 --wait\nworker: exec gangling --wait\n");
    for pty in ["always", "never"] {
        let test = test.clone().args(["--pty", pty]);
        let running = test.start();
        let web = running.wait_ready("web.1");
        running.wait_ready("worker.1");
        test.beside(["signal", "STOP", "web"]).code(0);
        eventually("halted", || halted(web));
        test.beside(["ps"]).code(0).stdout_has("web.1: up");
        test.beside(["signal", "USR1", "web"]).code(0);
        test.beside(["signal", "CONT", "web"]).code(0);
        wait_for_signals(&running, "web.1", 1);
        test.beside(["signal", "STOP", "web"]).code(0);
        eventually("halted", || halted(web));
        test.beside(["stop", "web"]).code(0).stdout("web.1 stopped by SIGTERM\n");
        // No shell could continue it, so this one does nothing (setpgid(2)).
        test.beside(["signal", "TSTP", "worker"]).code(0);
        test.beside(["restart", "worker"]).code(0);
        running.finish();
    }
}

#[test]
fn a_process_that_is_stopping_gets_it_too() {
    let test = app("web: exec gangling --ignore TERM --log-signals USR1 --wait\n").args(["-t", "3600"]);
    let running = test.start();
    running.wait_ready("web.1");
    test.beside(["stop", "--no-wait", "web"]).code(0);
    test.beside(["ps"]).code(0).stdout_has("web.1: stopping");
    test.beside(["signal", "USR1", "web"]).code(0);
    wait_for_signals(&running, "web.1", 1);
    test.beside(["signal", "KILL", "web"]).code(0);
    eventually("it is stopped", || {
        String::from_utf8_lossy(&test.beside(["ps"]).stdout).contains("web.1: stopped")
    });
    running.finish();
}

#[test]
fn nothing_is_signaled_unless_all_that_is_named_runs() {
    let test =
        app("web: exec gangling --log-signals HUP --wait\nworker: exec gangling --log-signals HUP --wait\n");
    let test = test.args(["-c", "web=2"]);
    let running = test.start();
    running.wait_for_lines(3, |line| line.text.starts_with("ready "));
    test.beside(["stop", "web.2"]).code(0);
    for (names, code, message) in [
        (
            &["web.1", "web.2"][..],
            1,
            "web.2 is not running: it is stopped\n  hint: start it with `ganger up web.2`\n",
        ),
        (&["web.1", "web.3"], 2, "there is no web.3\n"),
        (&["worker", "wbe"], 2, "no process is called `wbe`\n"),
        (&["worker", "w\u{9b}be"], 2, "a process name has only letters"),
    ] {
        let args = [&["signal", "HUP"], names].concat();
        test.beside(args).code(code).stdout("").stderr_has(message);
    }
    for (signal, shown) in
        [("0", "0"), ("65", "65"), ("TERMINATE", "TERMINATE"), ("\u{9b}2J", "\\u{9b}2J"), ("", "")]
    {
        let error =
            format!("error: invalid value '{shown}' for '<SIG>': unknown signal; use a name such as TERM");
        test.beside(["signal", signal, "web"]).code(2).stderr_has(if signal.is_empty() {
            "<SIG>"
        } else {
            &error
        });
    }
    test.beside(["signal", "HUP"]).code(2).stderr_has("<NAME>...");
    // Of a type, those that run.
    test.beside(["signal", "HUP", "web"]).code(0).stdout("sent SIGHUP to web.1, pid N\n");
    wait_for_signals(&running, "web.1", 1);
    test.beside(["stop", "web"]).code(0);
    test.beside(["signal", "HUP", "web"]).code(1).stderr_has("web.1 is not running: it is stopped\n");
    assert_eq!(got(&running, "web.1"), ["SIGHUP 1"]);
    assert_eq!(got(&running, "worker.1"), [""; 0]);
    running.finish();
    test.beside(["signal", "HUP", "web"]).code(1).stderr_has("ganger does not run in DIR\n");
}

#[test]
fn a_client_of_its_own_cannot_send_more_than_the_command() {
    let test = app("web: exec gangling --log-signals HUP --wait\n");
    let running = test.start();
    running.wait_ready("web.1");
    let request = |rest: &str| asked(&test, &format!("{{\"v\":1,\"cmd\":\"signal\",{rest}}}"));
    for (rest, message) in [
        (r#""signal":"0","names":["web"]"#, "`0`: unknown signal"),
        (r#""signal":"-9","names":["web"]"#, "`-9`: unknown signal"),
        (r#""signal":"HUP","names":[]"#, "a name is missing"),
        (r#""signal":"HUP","names":["1","-1"]"#, "no process is called `1`"),
        (r#""signal":"HUP"}"#, "trailing characters"),
        (r#""signal":"HUP","names":["web"],"to":"all"#, "EOF"),
        (r#""signal":"HUP","names":["web"],"to":"everything""#, "unknown variant `everything`"),
        (r#""signal":1,"names":["web"]"#, "invalid type"),
    ] {
        let answer = request(rest);
        let error: Value = serde_json::from_str(&answer).expect(&answer);
        let told = error["error"]["message"].as_str().expect(&answer);
        assert!(told.contains(message) && error["error"]["status"] == 2, "{rest}: {answer}");
    }
    let answer = request(r#""signal":"sighup","names":["web","web.1"]"#);
    assert!(
        answer.starts_with(r#"{"v":1,"result":{"signal":"HUP","processes":[{"name":"web.1","pid":"#),
        "{answer}"
    );
    wait_for_signals(&running, "web.1", 1);
    running.finish();
}

#[test]
fn programs_are_told_too() {
    let test = app("web: exec gangling --wait\n").args(["--format", "json", "--on-exit", "ignore"]);
    let running = test.start();
    running.wait_for_text(1, r#""line":"ready "#);
    test.beside(["signal", "TERM", "web"]).code(0);
    let finished = running.wait();
    let output = String::from_utf8_lossy(&finished.stdout).into_owned();
    let all: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let sent = all.iter().find(|it| it["event"] == "signal_sent").expect(&output);
    assert_eq!(sent["process"], "web.1");
    assert_eq!(sent["type"], "web");
    assert_eq!(sent["signal"], "TERM");
    assert_eq!(sent["message"], "sending SIGTERM to web.1 (`ganger signal`)");
}

/// One that does not know the request, as it was before there was one.
#[test]
fn an_older_instance_is_named_as_the_reason() {
    let test = app("web: x\n");
    for command in [&["signal", "HUP", "web"][..], &["send", "web", "x"]] {
        let listener = UnixListener::bind(test.path("socket")).expect("a socket");
        let name = command[0];
        let answer = format!(
            "{{\"v\":1,\"error\":{{\"message\":\"unknown variant `{name}`, expected one of `ps`, `up`\",\"status\":2}}}}\n"
        );
        let instance = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = String::new();
            BufReader::new(stream.try_clone().expect("a copy")).read_line(&mut asked).expect("a request");
            stream.write_all(answer.as_bytes()).expect("answered");
        });
        test.beside(command).code(1).stderr(&format!(
            "ganger: error: the running instance is an older ganger that does not know `{name}`\n  \
             hint: use the same ganger for both, or start the app again\n"
        ));
        instance.join().expect("no panic");
        std::fs::remove_file(test.path("socket")).expect("removed");
    }
}

#[test]
fn signals_by_many_clients_arrive_and_none_holds_up_a_stop() {
    let test = app(&format!("web: {FAMILY}\n"));
    let running = test.start();
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    let clients: Vec<Running> = (0..8).map(|_| test.start_beside(["signal", "USR1", "web"])).collect();
    for client in clients {
        client.wait_beside().code(0).stdout("sent SIGUSR1 to web.1, pid N\n");
    }
    running.wait_for_lines(8, |line| line.text == "sending SIGUSR1 to web.1 (`ganger signal`)");
    running.finish().killed_by(Signal::SIGINT);
}
