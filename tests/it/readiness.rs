//! `--wait-for`, `ready` and `ganger wait`, with real processes, ports and servers.
//!
//! What follows from what is decided without them, in `src/supervisor/waits_tests.rs`; how long a wait
//! takes is held on a paused clock, in `src/supervisor/watching_tests.rs`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::kit::{Running, Test, eventually};

const WAIT: &str = "exec gangling --wait";

/// `web` waits, and `db` does this.
fn app(db: &str) -> Test {
    Test::new().procfile(format!("web: {WAIT}\ndb: {db}\n"))
}

#[track_caller]
fn ps(test: &Test) -> Vec<Value> {
    let finished = test.beside(["ps", "--json"]).code(0);
    serde_json::from_slice(&finished.stdout).expect("an array")
}

/// Lets what waits for the file go on.
fn go(test: &Test) {
    std::fs::write(test.path("go"), "").expect("written");
}

/// `web` waits for this; then it is given, and `web` runs.
#[track_caller]
fn waits_until(test: &Test, shown: &str, give: impl FnOnce()) -> Running {
    let running = test.start();
    running.wait_for_text(1, &format!("web.1 waits for {shown}"));
    let web = &ps(test)[0];
    assert_eq!((&web["state"], &web["pid"], &web["ready"]), (&"waiting".into(), &Value::Null, &false.into()));
    assert_eq!(web["waits_for"], Value::from(vec![shown]));
    let lines = test.beside(["ps"]).code(0);
    let lines = String::from_utf8_lossy(&lines.stdout).into_owned();
    assert!(lines.contains(&format!(", for {shown}\n")), "{lines}");
    let waited = test.beside(["wait", "web", "--timeout", "0"]).code(124);
    let why = format!("web.1 is waiting for {shown}, after N s\n")
        .replace(&(test.port() + 350).to_string(), "PORT+350");
    waited.stderr_has(&why);
    give();
    running.wait_ready("web.1");
    assert_eq!(ps(test)[0]["waits_for"], Value::Array(vec![]));
    running
}

#[test]
fn a_process_by_name_is_ready_when_something_of_its_own_listens() {
    // Itself, a child that left its group, and one that left its parents too.
    for db in [
        "exec gangling --wait-file go --listen-port --wait",
        "gangling --wait-file go --spawn '--setsid --listen-port --wait' --wait",
        "gangling --wait-file go --daemon '--listen-port --wait' --wait",
    ] {
        let test = app(db).args(["--wait-for", "web=db"]);
        let running = waits_until(&test, "db", || go(&test));
        running.wait_for_text(1, "db.1 is ready after ");
        assert_eq!(ps(&test)[1]["ready"], true);
        running.finish().killed_by(Signal::SIGINT);
    }
}

#[test]
fn what_another_process_listens_on_makes_nobody_ready() {
    let test = Test::new()
        .procfile(format!(
            "web: {WAIT}\ndb: {WAIT}\nthief: PORT=$GANGER_PROCESS_DB_PORT exec gangling --listen-port --wait\n"
        ))
        .args(["--wait-for", "web=db", "--wait-timeout", "1"]);
    let finished = test.run().code(1);
    finished.stdout_has("db.1 does not listen on its PORT PORT+100) and ended the run\n");
}

#[test]
fn a_connection_a_page_a_command_and_a_line_are_waited_for() {
    let test = app(WAIT);
    let port = test.port() + 350;
    let test = test.args(["--wait-for".to_owned(), format!("web=tcp:{port}")]);
    let listener = std::cell::OnceCell::new();
    let listen = || drop(listener.set(TcpListener::bind(("127.0.0.1", port)).expect("free")));
    waits_until(&test, &format!("tcp:{port}"), listen).finish().killed_by(Signal::SIGINT);

    let test = app(WAIT).args(["--wait-for", "web=cmd:test -e go && test \"$PS\" = web.1"]);
    let shown = "cmd:test -e go && test \"$PS\" = web.1";
    waits_until(&test, shown, || go(&test)).finish().killed_by(Signal::SIGINT);

    // A line with colours, also if it is not shown.
    let db = "gangling --wait-file go; printf '\\033[32mready \\033[1mto accept\\033[0m (a, b)\\n'; exec gangling --wait";
    for options in [&[][..], &["--mute", "db"], &["--format", "json"], &["--pty", "always"]] {
        let test = app(db).args(["--wait-for", r"web=log:db:^ready to \w+ \(a, b\)$"]).args(options);
        if options.contains(&"json") {
            let running = test.start();
            running.wait_for_text(1, r#""event":"waiting","process":"web.1","type":"web","for":["log:db:"#);
            go(&test);
            running.wait_for_text(1, r#""event":"started","process":"web.1""#);
            running.finish().killed_by(Signal::SIGINT);
            continue;
        }
        waits_until(&test, r"log:db:^ready to \w+ \(a, b\)$", || go(&test))
            .finish()
            .killed_by(Signal::SIGINT);
    }
}

#[test]
fn a_page_is_there_when_its_status_is_no_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let server = std::thread::spawn(move || {
        // One connection for each look, and none after the good answer.
        for status in ["503 No", "404 No", "302 Found"] {
            let (mut client, _) = listener.accept().expect("a client");
            let mut request = vec![0; 4096];
            let count = client.read(&mut request).expect("a request");
            let answer = format!("HTTP/1.1 {status}\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n");
            client.write_all(answer.as_bytes()).expect("written");
            assert!(request[..count].starts_with(b"GET /health?a=1 HTTP/1.1\r\n"));
        }
        listener.set_nonblocking(true).expect("set");
        listener
    });
    let test = app(WAIT).args(["--wait-for".to_owned(), format!("web=http://127.0.0.1:{port}/health?a=1")]);
    // What goes to a proxy never comes here.
    let running =
        test.var("http_proxy", "http://127.0.0.1:9").var("HTTP_PROXY", "http://127.0.0.1:9").start();
    running.wait_ready("web.1");
    let listener = server.join().expect("all were good");
    running.finish().killed_by(Signal::SIGINT);
    assert!(listener.accept().is_err(), "asked again after the good answer");
}

#[test]
fn a_page_of_localhost_is_looked_for_at_both_its_addresses() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("a client");
            let _ = client.read(&mut [0; 4096]).expect("a request");
            client.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("written");
        });
        let test = app(WAIT).args(["--wait-for".to_owned(), format!("web=http://localhost:{port}/")]);
        let running = test.start();
        running.wait_ready("web.1");
        server.join().expect("it was asked");
        running.finish().killed_by(Signal::SIGINT);
    }
}

/// Replies to one request with `answer`, and returns the request.
fn answer_once(listener: &TcpListener, answer: &str) -> String {
    let (mut client, _) = listener.accept().expect("a client");
    let mut request = [0; 4096];
    let count = client.read(&mut request).expect("a request");
    client.write_all(answer.as_bytes()).expect("written");
    String::from_utf8_lossy(&request[..count]).into_owned()
}

#[test]
fn credentials_of_a_probe_are_sent_and_never_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let probe = format!("http://elastic:hunter2@127.0.0.1:{port}/?api_key=hunter2");
    let command = "cmd:PGPASSWORD=hunter2; echo try http://u:hunter2@h/ >&2; test -e go";
    let test = app(WAIT).file("ganger.toml", format!("[process.web]\nwait-for = ['{probe}', '{command}']\n"));
    let running = test.start();
    let shown = format!("http://elastic:********@127.0.0.1:{port}/?api_key=********");
    running.wait_for_text(1, &format!("web.1 waits for {shown}, cmd:PGPASSWORD=********"));
    let web = &ps(&test)[0];
    assert_eq!(web["waits_for"][0], Value::from(shown.as_str()));
    let mut said = vec![web.to_string()];
    for args in [&["ps"][..], &["wait", "web", "--timeout", "0"], &["config", "--explain"], &["check"]] {
        let finished = test.beside(args);
        said.push(format!("{finished}"));
    }
    let request = answer_once(&listener, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    assert!(request.to_ascii_lowercase().contains("authorization: basic "), "{request}");
    let finished = running.finish().killed_by(Signal::SIGINT);
    said.push(format!("{finished}"));
    for text in said {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_secret_printed_by_a_command_is_masked() {
    let command = "web=cmd:echo cannot reach http://u:hunter2@h/; exit 1";
    let finished = app(WAIT).args(["--wait-timeout", "0.5", "--wait-for", command]).run().code(1);
    let finished = finished.stdout_has("(exit code 1: cannot reach http://u:********@h/)");
    assert!(!format!("{finished}").contains("hunter2"), "{finished}");
}

#[test]
fn a_redirect_does_not_get_the_credentials() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
    let (probe, target) = (format!("web=http://u:p@127.0.0.1:{}/", port(&listener)), port(&other));
    let server = std::thread::spawn(move || {
        let place = format!("Location: http://127.0.0.1:{target}/");
        answer_once(&listener, &format!("HTTP/1.1 302 Found\r\n{place}\r\nContent-Length: 0\r\n\r\n"))
    });
    let running = app(WAIT).args(["--wait-for", &probe]).start();
    running.wait_ready("web.1");
    server.join().expect("it was asked");
    running.finish().killed_by(Signal::SIGINT);
    other.set_nonblocking(true).expect("set");
    assert!(other.accept().is_err(), "the redirect was followed");
}

#[test]
fn credentials_for_another_machine_are_an_error() {
    let message = "the address has credentials, but its host is not this machine: \
                   they would be sent to an unverified server";
    let hint = "hint: use a command that verifies the server, such as `cmd:curl -fsS --netrc https://…`\n";
    let probe = "https://u:hunter2@search.example.com/";
    let shown = "https://u:********@search.example.com/";
    let by_flag = app(WAIT).args(["--wait-for", &format!("web={probe}")]).run().code(2);
    by_flag.stdout("").stderr(&format!("ganger: error: --wait-for `web={shown}`: {message}\n  {hint}"));
    for key in ["wait-for", "ready"] {
        let test = app(WAIT).file("ganger.toml", format!("[process.web]\n{key} = '{probe}'\n"));
        let place = format!("--> ganger.toml:2:{}", key.len() + 4);
        let line = format!(" 2 | {key} = …\n   | {}^", " ".repeat(key.len() + 3));
        test.args(["check"])
            .run()
            .code(2)
            .stdout("")
            .stderr(&format!("ganger: error: `{key}`: {message}\n  {place}\n   |\n{line}\n  {hint}"));
    }
}

#[test]
fn a_command_that_looks_leaves_nothing() {
    // It hangs, with children in its group, and is ended with everything; and it forks and ends each time.
    for command in ["gangling --wait & gangling --wait", "gangling --ignore TERM --wait & exit 1"] {
        let command = format!("echo x >> asked; {command}");
        let test = app(WAIT).args(["--wait-for".to_owned(), format!("web=cmd:{command}")]);
        let running = test.start();
        running.wait_ready("db.1");
        eventually("it looks", || test.path("asked").exists());
        running.finish().killed_by(Signal::SIGINT);
    }
}

#[test]
fn a_command_that_looks_ends_with_the_wait() {
    let test = app(WAIT).args(["--wait-for", "web=cmd:echo x >> asked; gangling --ignore TERM --wait"]);
    let running = test.start();
    running.wait_ready("db.1");
    eventually("it looks", || test.path("asked").exists());
    let alive = test.world().alive().len();
    test.beside(["stop", "web"]).code(0);
    eventually("it is gone", || test.world().alive().len() < alive);
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn a_wait_in_vain_ends_the_run_and_says_what_was_missing() {
    let test =
        app(WAIT).args(["--wait-timeout", "0.5", "--wait-for", "web=cmd:echo one; echo two >&2; exit 3"]);
    let finished = test.args(["--wait-for", "web=log:db:never"]).run().code(1);
    let what = "web.1 could not be started: it has waited 0.5 s for cmd:echo one; echo two >&2; exit 3 \
                (exit code 3: two) and for log:db:never (no such line)";
    let finished = finished
        .stdout_has(&format!("{what}; everything stops with it\n"))
        .stdout_has("hint: `--wait-timeout` gives it more time\n")
        .stdout_has("db.1 was stopped by SIGTERM")
        .stdout_has(&format!("{what} and ended the run\n"));
    assert!(!String::from_utf8_lossy(&finished.stdout).contains("web.1 started"));
}

#[test]
fn what_is_waited_for_ends_first() {
    let app = |db: &str| app(db).args(["--wait-for", "web=db"]);
    app("exit 4").run().code(4).stdout_has("db.1 exited with code 4 after N s and ended the run\n");
    // Its work was to end well.
    let test = app("exit 0").args(["--on-exit", "db=ignore"]);
    let running = test.start();
    running.wait_ready("web.1");
    let db = &ps(&test)[1];
    assert_eq!((&db["state"], &db["ready"]), (&"stopped".into(), &true.into()));
    running.finish().killed_by(Signal::SIGINT);
    let never = Test::new().procfile(format!("web: {WAIT}\ndb: echo almost\n")).args([
        "--on-exit",
        "db=ignore",
        "--wait-for",
        "web=log:db:ready",
    ]);
    never
        .run()
        .code(1)
        .stdout_has("it waits for log:db:ready, and db has ended without such a line and ended");
    // A last line without an end is one.
    let last = Test::new().procfile(format!("web: {WAIT}\ndb: printf 'now ready'\n")).args([
        "--on-exit",
        "db=ignore",
        "--wait-for",
        "web=log:db:ready",
    ]);
    let running = last.start();
    running.wait_ready("web.1");
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn what_is_left_out_is_not_waited_for() {
    for options in [&["-x", "db"][..], &["start", "web"]] {
        let running = app(WAIT).args(["--wait-for", "web=db,web=log:db:x"]).args(options).start();
        running.wait_ready("web.1");
        running.finish().killed_by(Signal::SIGINT);
    }
}

#[test]
fn circles_and_strangers_are_found_before_anything_starts() {
    let test = || Test::new().procfile("web: echo x > started\ndb: echo x > started\n");
    let refused = |test: Test, text: &str| {
        test.run().code(2).stdout("").stderr(text);
        if !text.contains("--wait-for:") {
            test.clone().args(["check"]).run().code(2).stdout("").stderr(text);
        }
        assert!(!test.path("started").exists());
    };
    refused(
        test().args(["--wait-for", "web=db,db=log:web:x"]),
        "ganger: error: --wait-for: these would wait for one another for ever: web → db → web\n  \
         hint: take one of these waits out\n",
    );
    refused(
        test()
            .file("ganger.toml", "[process.web]\nwait-for = ['tcp:1', 'db']\n[process.db]\nready = 'web'\n"),
        "ganger: error: these would wait for one another for ever: web → db → web\n  \
         --> ganger.toml:2:22\n   |\n 2 | wait-for = ['tcp:1', 'db']\n   |                      ^^^^\n  \
         hint: take one of these waits out\n",
    );
    refused(
        test().var("GANGER_WAIT_FOR", "web=dbb"),
        "ganger: error: GANGER_WAIT_FOR `dbb`: no process is called `dbb`\n  hint: did you mean `db`?\n",
    );
    refused(
        test().file("ganger.toml", "wait-for = 'web=tcp:x'\n[process.web]\nready = 'log:db:('\n"),
        "ganger: error: `web=tcp:x`: `tcp:` takes a port from 1 to 65535, or HOST:PORT, an IPv6 address in [ ]\n  \
         --> ganger.toml:1:12\n   |\n 1 | wait-for = 'web=tcp:x'\n   |            ^^^^^^^^^^^\n\
         ganger: error: `log:db:(`: the pattern cannot be read: found open group without closing ')'\n  \
         --> ganger.toml:3:9\n   |\n 3 | ready = 'log:db:('\n   |         ^^^^^^^^^^\n",
    );
}

#[test]
fn a_stop_ends_a_wait_and_who_is_wanted_waits_again() {
    let test = app("exec gangling --wait-file go --listen-port --wait").args(["--wait-for", "web=db"]);
    let running = test.start();
    running.wait_for_text(1, "web.1 waits for db");
    test.beside(["stop", "web"]).code(0).stdout_has("web.1 ");
    assert_eq!(ps(&test)[0]["state"], "stopped");
    let up = test.start_beside(["up", "web"]);
    running.wait_for_text(2, "web.1 waits for db");
    go(&test);
    up.wait_beside().code(0).stdout_has("web.1 started");
    running.wait_ready("web.1");
    // A new run of db is not ready yet when web is started anew.
    std::fs::remove_file(test.path("go")).expect("removed");
    test.beside(["restart", "db"]).code(0);
    let restart = test.start_beside(["restart", "web"]);
    running.wait_for_text(3, "web.1 waits for db");
    go(&test);
    restart.wait_beside().code(0).stdout_has("web.1 restarted");
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn ready_says_what_shows_it() {
    let toml = "[process.web]\nwait-for = ['db', 'cmd:true']\n[process.db]\nready = 'cmd:test -e go'\n";
    let test = app(WAIT).file("ganger.toml", toml);
    let running = test.start();
    running.wait_ready("db.1");
    running.wait_for_text(1, "web.1 waits for db, cmd:true");
    assert_eq!(ps(&test)[1]["ready"], false);
    go(&test);
    running.wait_ready("web.1");
    assert_eq!(ps(&test)[1]["ready"], true);
    running.finish().killed_by(Signal::SIGINT);
    // As JSON for programs; also what nobody waits for, if it has a word for it.
    let test =
        app(WAIT).file("ganger.toml", "[process.db]\nready = 'log:db:^ready'\n").args(["--format", "json"]);
    let running = test.start();
    running.wait_for_text(1, r#""event":"ready","process":"db.1","type":"db","after":"#);
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn wait_answers_when_all_are_ready_and_when_they_never_will_be() {
    let test = Test::new().procfile(format!(
        "web: exec gangling --wait-file go --listen-port --wait\nworker: {WAIT}\nbroken: no-such-program-x\n"
    ));
    let test = test.args(["--on-exit", "broken=restart", "-x", "broken"]);
    test.beside(["wait"]).code(1).stderr_has("ganger does not run in ");
    let running = test.start();
    running.wait_ready("web.1");
    test.beside(["wait", "worker", "--timeout", "0"]).code(0).stdout("worker.1 is ready\n").stderr("");
    test.beside(["wait", "--timeout", "0.2"])
        .code(124)
        .stdout("worker.1 is ready\n")
        .stderr_has("ganger: error: web.1 does not listen on its PORT PORT, after N s\n");
    test.beside(["wait", "wrker"]).code(2).stderr_has("did you mean `worker`?");
    test.beside(["wait", "worker.7"]).code(2).stderr_has("there is no worker.7");
    let wait = test.start_beside(["wait"]);
    go(&test);
    wait.wait_beside().code(0).stdout("web.1 is ready\nworker.1 is ready\n").stderr("");
    assert_eq!(ps(&test)[0]["ready"], true);
    test.beside(["stop", "worker"]).code(0);
    test.beside(["wait"]).code(0).stdout("web.1 is ready\n");
    test.beside(["wait", "worker"]).code(1).stderr("ganger: error: worker.1 is stopped\n");
    let finished = running.finish().killed_by(Signal::SIGINT);
    // When it became ready is unknown: it ran unwatched before the first client waited for it.
    let ready = finished.lines_of("system").into_iter().find(|line| line.starts_with("web.1 is ready"));
    assert_eq!(ready.as_deref(), Some("web.1 is ready"), "{finished}");
}

#[test]
fn a_daemon_is_up_when_what_says_so_is_ready() {
    let test = app(WAIT)
        .file(
            "ganger.toml",
            "[process.web]\nwait-for = 'db'\n[process.db]\nready = 'cmd:echo x >> asked; test -e go'\n",
        )
        .args(["-D"]);
    let start = test.start();
    eventually("it is asked", || test.path("asked").exists());
    go(&test);
    start.wait_beside().code(0).stdout_has("web=1 db=1");
    assert_eq!(ps(&test)[0]["state"], "up");
    test.beside(["stop"]).code(0);
}

#[test]
fn a_wait_that_is_taken_out_of_the_file_is_over() {
    let test = app(WAIT).file("ganger.toml", "[process.web]\nwait-for = 'cmd:false'\n");
    let running = test.start();
    running.wait_for_text(1, "web.1 waits for cmd:false");
    let test = test.file("ganger.toml", "");
    test.beside(["reload"]).code(0);
    running.wait_ready("web.1");
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn a_command_waits_until_all_are_ready_and_not_for_ever() {
    let db = "exec gangling --wait-file go --listen-port --wait";
    let test = Test::new().procfile(format!("web: {db}\n")).args([
        "--wait-timeout",
        "0.5",
        "start",
        "--",
        "sh",
        "-c",
        "echo it runs",
    ]);
    let finished = test.run().code(1).stdout("");
    finished
        .stderr_has(
            "`sh` could not be started: it has waited 0.5 s until all are ready: web.1 does not listen",
        )
        .stderr_has("hint: what is ready without listening there says so with `ready` in ganger.toml");
    go(&test);
    test.run().code(0).stdout("it runs\n");
}

#[test]
fn who_waits_is_stopped_before_what_it_waits_for() {
    let note = |name: &str| format!("trap 'echo {name} >> order; exit' TERM; gangling --wait & wait");
    let test = Test::new()
        .file("web.sh", note("web"))
        .file("db.sh", format!("echo up; {}", note("db")))
        .procfile("db: exec sh db.sh\nweb: exec sh web.sh\n")
        .args(["--wait-for", "web=log:db:up"]);
    let running = test.start();
    running.wait_ready("web.1");
    running.wait_ready("db.1");
    running.finish().killed_by(Signal::SIGINT);
    assert_eq!(std::fs::read_to_string(test.path("order")).expect("written"), "web\ndb\n");
}

#[test]
fn commands_stop_in_that_order_too() {
    // It writes when it has begun and when it is about to end; the end of web takes its time.
    let note = |name: &str, last: &str| {
        let end = format!("{last} echo -{name} >> order; exit");
        format!("trap '{end}' TERM; echo +{name} >> order; echo up; gangling --wait & wait")
    };
    let test = Test::new()
        .file("web.sh", note("web", "sleep 0.3;"))
        .file("db.sh", note("db", ""))
        .procfile("db: exec sh db.sh\nweb: exec sh web.sh\n")
        .args(["--wait-for", "web=log:db:up"]);
    let running = test.start();
    running.wait_ready("web.1");
    running.wait_ready("db.1");
    let mut expected = String::new();
    for (command, what) in [
        (&["ps"][..], "+db +web "),
        (&["restart"], "-web -db +db +web "),
        (&["restart", "db", "web"], "-web -db +db +web "),
        (&["restart", "db"], "-db +db "),
        (&["stop", "db", "web"], "-web -db "),
        (&["up", "web", "db"], "+db +web "),
        (&["scale", "all=0"], "-web -db "),
        (&["up", "web", "db"], "+db +web "),
    ] {
        test.beside(command).code(0);
        expected.push_str(what);
        // Who is up has not written so yet.
        eventually(&format!("{expected} after {command:?}"), || {
            std::fs::read_to_string(test.path("order"))
                .is_ok_and(|order| order.replace('\n', " ") == expected)
        });
    }
    running.finish().killed_by(Signal::SIGINT);
}
