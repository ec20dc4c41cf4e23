//! What the socket costs and what it touches: slots, descriptors, time, and the files beside it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;

use crate::kit::{LIMIT, Running, Test, eventually, proc};
use crate::socket_users::not_tested;

/// The most clients of an instance.
const MOST: usize = 128;

/// An app whose socket is `socket`.
fn app() -> Test {
    Test::new().procfile("web: exec gangling --wait\n").var("GANGER_SOCKET", "socket")
}

#[track_caller]
fn started(test: &Test) -> (Running, PathBuf) {
    let running = test.start();
    running.wait_ready("web.1");
    (running, test.path("socket"))
}

fn connect(socket: &Path) -> BufReader<UnixStream> {
    let stream = UnixStream::connect(socket).expect("connected");
    stream.set_read_timeout(Some(LIMIT)).expect("set");
    stream.set_write_timeout(Some(LIMIT)).expect("set");
    BufReader::new(stream)
}

fn send(stream: &mut BufReader<UnixStream>, request: &str) {
    stream.get_mut().write_all(format!("{request}\n").as_bytes()).expect("sent");
}

fn line(stream: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).expect("answered");
    line
}

#[test]
fn abandoned_waits_free_their_slots() {
    let test = app();
    let (running, socket) = started(&test);
    // It never listens on its port.
    let wait = r#"{"v":1,"cmd":"wait","names":["web"],"timeout":3600,"accepted":true}"#;
    let waiting = || {
        let mut stream = connect(&socket);
        send(&mut stream, wait);
        assert_eq!(line(&mut stream), "{\"v\":1,\"accepted\":true}\n");
        stream
    };
    for _ in 0..2 {
        let all: Vec<_> = (0..MOST).map(|_| waiting()).collect();
        drop(all);
        eventually("places are given back", || {
            let finished = test.beside(["ps"]);
            finished.status.success()
        });
    }
    // And so are clients that only closed their sending side, when they have gone.
    let half: Vec<_> = (0..MOST)
        .map(|_| {
            let stream = waiting();
            stream.get_ref().shutdown(Shutdown::Write).expect("shut");
            stream
        })
        .collect();
    test.beside(["ps"]).code(1).stderr("ganger: error: too many clients are connected\n");
    drop(half);
    eventually("places are given back", || test.beside(["ps"]).status.success());
    running.finish();
}

#[test]
fn idle_clients_give_up_their_slots() {
    let test = app();
    let (running, socket) = started(&test);
    for request in ["", "{\"v\":1,\"cmd\":\"restart\",\"na"] {
        let idle: Vec<UnixStream> = (0..MOST)
            .map(|_| {
                let mut stream = UnixStream::connect(&socket).expect("connected");
                stream.write_all(request.as_bytes()).expect("sent");
                stream
            })
            .collect();
        for _ in 0..3 {
            test.beside(["ps"]).code(0).stdout_has("web.1: up");
        }
        // The client that was idle for the longest time gets an error.
        let mut first = BufReader::new(idle.into_iter().next().expect("one"));
        assert!(line(&mut first).contains("too many clients are connected; this one was idle"));
    }
    let _idle: Vec<UnixStream> =
        (0..MOST).map(|_| UnixStream::connect(&socket).expect("connected")).collect();
    test.beside(["stop"]).code(0);
    running.wait().killed_by(Signal::SIGTERM);
}

/// The processes of an app that has filled the buffers of its clients once `go` is there.
const FLOOD: &str =
    "web: exec gangling --wait-file go --print 8000 line-of-a-flood-that-fills-the-buffers --wait\n";

/// Fills all slots with stuck clients and more: `ps` and then `stop` get one all the same. `connect` is
/// `None` where it was refused, as one may be while those before it are not stuck yet.
fn assert_stuck_clients_give_way(
    test: &Test,
    running: Running,
    connect: impl Fn() -> Option<BufReader<UnixStream>>,
) {
    let mut stuck: Vec<_> = (0..MOST).map(|_| connect().expect("a slot")).collect();
    fs::write(test.path("go"), "").expect("written");
    // Their writes are never unblocked, whatever time passes.
    let ps = || eventually("one of them gives way", || test.beside(["ps"]).status.success());
    ps();
    for _ in 0..4 {
        eventually("one of them gives way", || connect().map(|stream| stuck.push(stream)).is_some());
    }
    ps();
    eventually("one of them gives way", || test.beside(["stop"]).status.success());
    running.wait().killed_by(Signal::SIGTERM);
    drop(stuck);
}

#[test]
fn stuck_log_readers_give_up_their_slots() {
    let test = app().procfile(FLOOD);
    let (running, socket) = started(&test);
    assert_stuck_clients_give_way(&test, running, || {
        let mut stream = connect(&socket);
        let request = r#"{"v":1,"cmd":"logs","lines":100000,"follow":true,"accepted":true}"#;
        writeln!(stream.get_mut(), "{request}").ok()?;
        (line(&mut stream) == "{\"v\":1,\"accepted\":true}\n").then_some(stream)
    });
}

#[test]
fn stuck_attach_clients_give_up_their_slots() {
    let flood = "web: while [ ! -e stop ]; do if [ -e go ]; then echo 0123456789012345678901234567890123456789; else sleep 0.01; fi; done\n";
    let test = app().procfile(flood).args(["start", "--pty", "always", "--mute", "web"]);
    let running = test.start();
    let socket = test.path("socket");
    eventually("it listens", || test.beside(["ps"]).status.success());
    assert_stuck_clients_give_way(&test, running, || {
        let mut stream = connect(&socket);
        let request = r#"{"v":1,"cmd":"attach","name":"web","rows":24,"columns":80}"#;
        writeln!(stream.get_mut(), "{request}").ok()?;
        line(&mut stream).starts_with("{\"v\":1,\"result\":").then_some(stream)
    });
}

#[test]
fn stuck_pipelining_clients_give_up_their_slots() {
    let test = app().procfile(FLOOD);
    let (running, socket) = started(&test);
    fs::write(test.path("go"), "").expect("written");
    running.wait_for(|line| line.text.ends_with("buffers 8000"));
    let requests = "{\"v\":1,\"cmd\":\"ps\"}\n".repeat(20) + "{\"v\":1,\"cmd\":\"logs\",\"lines\":100000}\n";
    assert_stuck_clients_give_way(&test, running, || {
        let mut stream = connect(&socket);
        // It may be refused, and then this fails.
        let _ = stream.get_mut().write_all(requests.repeat(50).as_bytes());
        Some(stream)
    });
}

#[test]
fn a_connection_ends_at_its_first_line_that_is_not_json() {
    let test = app();
    let (running, socket) = started(&test);
    for garbage in ["\n".repeat(1000), "GET / HTTP/1.1\n\n".to_owned(), "{\n}\n".to_owned()] {
        let mut stream = connect(&socket);
        let _ = stream.get_mut().write_all(garbage.as_bytes());
        let answer = line(&mut stream);
        assert!(answer.starts_with("{\"v\":1,\"error\":{\"message\":\"invalid JSON: "), "{answer}");
        // Linux reports what was not read as a reset.
        let mut more = String::new();
        assert!(matches!(stream.read_line(&mut more), Ok(0) | Err(_)), "{more}");
    }
    // A wrong request is only an error.
    let mut stream = connect(&socket);
    for (request, answer) in
        [("{\"v\":1,\"cmd\":\"dance\"}", "error"), ("{\"v\":1,\"cmd\":\"ps\"}", "result")]
    {
        send(&mut stream, request);
        let said = line(&mut stream);
        assert!(said.starts_with(&format!("{{\"v\":1,\"{answer}\":")), "{said}");
    }
    running.finish();
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let test = app();
    let (running, socket) = started(&test);
    for request in [
        r#"{"v":1,"cmd":"restart","names":["web"]}"#,
        r#"{"v":1,"cmd":"wait","names":["web"],"timeout":0.5}"#,
        r#"{"v":1,"cmd":"reload"}"#,
    ] {
        let mut stream = connect(&socket);
        send(&mut stream, request);
        stream.get_ref().shutdown(Shutdown::Write).expect("shut");
        let answer = line(&mut stream);
        assert!(answer.starts_with("{\"v\":1,\"result\":"), "{request}: {answer}");
        assert_eq!(line(&mut stream), "", "and then the connection ends");
    }
    // A client that follows gets later lines.
    let mut stream = connect(&socket);
    send(&mut stream, r#"{"v":1,"cmd":"logs","lines":0,"follow":true,"accepted":true}"#);
    stream.get_ref().shutdown(Shutdown::Write).expect("shut");
    assert_eq!(line(&mut stream), "{\"v\":1,\"accepted\":true}\n");
    test.beside(["restart"]).code(0);
    assert!(line(&mut stream).starts_with("{\"v\":1,\"item\":"));
    running.finish();
}

#[test]
fn accepted_is_sent_only_to_clients_that_ask_for_it() {
    let test = app();
    let (running, socket) = started(&test);
    let mut stream = connect(&socket);
    send(&mut stream, r#"{"v":1,"cmd":"restart"}"#);
    assert!(line(&mut stream).starts_with("{\"v\":1,\"result\":"));
    send(&mut stream, r#"{"v":1,"cmd":"restart","accepted":true}"#);
    assert_eq!(line(&mut stream), "{\"v\":1,\"accepted\":true}\n");
    assert!(line(&mut stream).starts_with("{\"v\":1,\"result\":"));
    // Immediate replies are as before.
    send(&mut stream, r#"{"v":1,"cmd":"ps","accepted":true}"#);
    assert!(line(&mut stream).starts_with("{\"v\":1,\"result\":"));
    running.finish();
}

#[test]
fn a_frozen_instance_is_reported_as_not_responding() {
    let test = app();
    let (running, _) = started(&test);
    let supervisor = running.own_pids().supervisor;
    proc::send(supervisor, Signal::SIGSTOP);
    eventually("it is stopped", || proc::process(supervisor).is_some_and(|it| it.state == 'T'));
    let commands: [&[&str]; 12] = [
        &["ps"],
        &["stop", "web"],
        &["restart"],
        &["up", "web"],
        &["scale"],
        &["reload"],
        &["logs"],
        &["logs", "-f"],
        &["wait"],
        &["open", "--print"],
        &["config", "--running"],
        &["stop"],
    ];
    let asking: Vec<_> = commands.iter().map(|command| (command, test.start_beside(*command))).collect();
    for (command, asking) in asking {
        let finished = asking.wait_beside().code(1).stdout("");
        let said = String::from_utf8_lossy(&finished.stderr).into_owned();
        let pid = running.pid();
        let error = format!("ganger: error: the instance (pid {pid}) is not responding\n");
        assert!(said.starts_with(&error), "{command:?}: {said}");
        assert!(said.contains(&format!("`kill -CONT {pid}`")), "{command:?}: {said}");
    }
    proc::send(supervisor, Signal::SIGCONT);
    // `stop` had been sent.
    running.wait().killed_by(Signal::SIGTERM);
}

#[test]
fn requests_abandoned_before_acceptance_are_not_carried_out() {
    let test = app();
    let (running, _) = started(&test);
    let (web, supervisor) = (running.wait_ready("web.1"), running.own_pids().supervisor);
    proc::send(supervisor, Signal::SIGSTOP);
    eventually("it is stopped", || proc::process(supervisor).is_some_and(|it| it.state == 'T'));
    test.beside(["restart"]).code(1).stderr_has("is not responding\n");
    proc::send(supervisor, Signal::SIGCONT);
    // For later clients, since earlier ones have had their turn.
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    test.beside(["up", "web"]).code(0).stdout_has("web.1 is up already");
    assert!(proc::is_alive(web));
    running.finish();
}

/// The message about an invalid reply.
fn invalid(why: &str) -> String {
    format!(
        "ganger: error: the instance sent an invalid reply: {why}\n  \
         hint: use the same ganger for both, or start the app again\n"
    )
}

#[test]
fn invalid_replies_end_a_command_with_status_1() {
    let cases: [(&[&str], &str, &str); 12] = [
        (&["ps"], r#"{"v":1,"item":{"x":1}}"#, "unexpected `item`"),
        (&["stop"], r#"{"v":1,"item":{"x":1}}"#, "unexpected `item`"),
        (&["restart"], r#"{"v":1,"item":{"x":1}}"#, "unexpected `item`"),
        (&["logs", "-f"], r#"{"v":1,"item":{"x":1}}"#, "unexpected `item`"),
        (&["ps"], r#"{"v":1,"accepted":true}"#, "unexpected `accepted`"),
        (&["restart"], r#"{"v":1,"accepted":true}"#, "unexpected `accepted`"),
        (&["ps"], "SSH-2.0-OpenSSH_9.6", "invalid JSON: expected value at line 1 column 1"),
        (&["stop"], "", "invalid JSON: EOF while parsing a value at line 2 column 0"),
        (&["ps"], r#"{"result":{}}"#, "the version is missing"),
        (&["ps"], r#"{"v":2,"result":{}}"#, "unsupported protocol version 2 (this ganger speaks version 1)"),
        (&["ps"], r#"{"v":1,"error":{"message":"x"}}"#, "missing field `status`"),
        (&["ps"], r#"{"v":1,"result":{}}"#, "missing field `pid`"),
    ];
    for (command, reply, why) in cases {
        let test = app();
        let listener = UnixListener::bind(test.path("socket")).expect("bound");
        let replies = format!("{reply}\n").repeat(1000);
        // A server of this user that says the same for ever.
        let endless = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            while stream.write_all(replies.as_bytes()).is_ok() {}
        });
        test.beside(command).code(1).stdout("").stderr(&invalid(why));
        endless.join().expect("no panic");
    }
}

#[test]
fn an_error_with_status_0_is_no_success() {
    let test = app();
    let listener = UnixListener::bind(test.path("socket")).expect("bound");
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(b"{\"v\":1,\"error\":{\"message\":\"no\",\"status\":0}}\n").expect("sent");
    });
    test.beside(["ps"]).code(1).stderr("ganger: error: no\n");
    answer.join().expect("no panic");
}

#[test]
fn replies_of_an_instance_are_bounded() {
    let test = app();
    let listener = UnixListener::bind(test.path("socket")).expect("bound");
    // A server of this user that never ends its line.
    let endless = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let chunk = vec![b'x'; 1 << 20];
        let mut sent = 0_usize;
        while sent < 1 << 30 && stream.write_all(&chunk).is_ok() {
            sent += chunk.len();
        }
        sent
    });
    test.beside(["ps"]).code(1).stderr(&invalid("a line of more than 134217728 bytes"));
    let sent = endless.join().expect("no panic");
    assert!(sent < 1 << 28, "{sent}");
}

#[test]
fn clients_leave_enough_descriptors_for_the_processes() {
    let test = app().by_shell("ulimit -n 60; exec \"$@\"");
    let running = test.start();
    running.wait_ready("web.1");
    let socket = test.path("socket");
    let clients: Vec<_> = (0..200)
        .filter_map(|_| {
            let mut stream = UnixStream::connect(&socket).ok()?;
            // Busy, so that none gives up its slot.
            stream.write_all(b"{\"v\":1,\"cmd\":\"logs\",\"lines\":0,\"follow\":true}\n").ok()?;
            Some(stream)
        })
        .collect();
    let supervisor = running.own_pids().supervisor;
    let open = || fs::read_dir(format!("/proc/{supervisor}/fd")).expect("its descriptors").count();
    eventually("those who are turned away are gone", || open() <= 60 - 16);
    let web = running.wait_ready("web.1");
    // This needs descriptors itself: a process that restarts.
    proc::send(web, Signal::SIGKILL);
    drop(clients);
    running.wait();

    let test = app().by_shell("ulimit -n 60; exec \"$@\"").args(["--on-exit", "restart"]);
    let running = test.start();
    let web = running.wait_ready("web.1");
    let clients: Vec<_> = (0..200).filter_map(|_| UnixStream::connect(test.path("socket")).ok()).collect();
    proc::send(web, Signal::SIGKILL);
    running.wait_for_lines(2, |line| line.name == "web.1" && line.text.starts_with("ready "));
    test.beside(["restart"]).code(0).stdout_has("web.1 restarted");
    test.beside(["reload"]).code(0);
    drop(clients);
    running.finish();
}

#[test]
fn concurrent_reloads_share_one_read() {
    let test = app();
    let (running, socket) = started(&test);
    test.clone().file(".env", "A=1\n");
    let mut clients: Vec<_> = (0..100).map(|_| connect(&socket)).collect();
    for client in &mut clients {
        for _ in 0..3 {
            send(client, r#"{"v":1,"cmd":"reload"}"#);
        }
    }
    for client in &mut clients {
        for _ in 0..3 {
            let answer = line(client);
            assert!(answer.starts_with("{\"v\":1,\"result\":"), "{answer}");
        }
    }
    let supervisor = running.own_pids().supervisor;
    let threads = fs::read_dir(format!("/proc/{supervisor}/task")).expect("its threads").count();
    assert!(threads < 20, "{threads}");
    running.finish();
}

/// Returns kind, inode, mode and content of a path, for a comparison.
fn seen(path: &Path) -> (fs::FileType, u64, u32, Vec<u8>) {
    let about = fs::symlink_metadata(path).expect("there");
    let content = if about.is_file() { fs::read(path).expect("read") } else { Vec::new() };
    (about.file_type(), about.ino(), about.mode(), content)
}

/// A `GANGER_SOCKET`, the path that is taken, the message of a start, and how the path is created.
type Case<'a> = (&'a str, &'a str, &'a str, &'a dyn Fn(&Path));

#[test]
fn a_named_path_that_is_not_ours_is_left_alone() {
    let test = Test::new().procfile("web: exec gangling --wait\n").file("precious", "precious");
    let write = |path: &Path| fs::write(path, "precious").expect("written");
    let cases: [Case; 12] = [
        ("db.sqlite3", "db.sqlite3", "not a socket", &write),
        ("yarn", "yarn.lock", "yarn.lock is not a ganger lock file", &write),
        ("poetry", "poetry.lock", "poetry.lock is not a ganger lock file", &|path| {
            fs::write(path, "precious, and more than a pid ".repeat(9)).expect("written");
        }),
        ("fifo", "fifo", "not a socket", &|path| mkfifo(path, Mode::all()).expect("made")),
        ("f", "f.lock", "f.lock is not a regular file", &|path| mkfifo(path, Mode::all()).expect("made")),
        ("dir", "dir", "not a socket", &|path| fs::create_dir(path).expect("made")),
        ("d", "d.lock", "d.lock is not a regular file", &|path| fs::create_dir(path).expect("made")),
        ("link", "link", "not a socket", &|path| symlink("precious", path).expect("linked")),
        ("dangling", "dangling", "not a socket", &|path| symlink("nowhere", path).expect("linked")),
        ("l", "l.lock", "l.lock is not a regular file", &|path| symlink("precious", path).expect("linked")),
        ("hard", "hard.lock", "hard.lock has more than one hard link", &|path| {
            fs::write(path.with_extension("other"), "1\n").expect("written");
            fs::hard_link(path.with_extension("other"), path).expect("linked");
        }),
        ("lives", "lives", "another program is listening there", &|path| {
            std::mem::forget(UnixListener::bind(path).expect("bound"));
        }),
    ];
    for (name, there, says, make) in cases {
        let path = test.path(there);
        make(&path);
        let (before, count) = (seen(&path), fs::read_dir(test.dir()).expect("read").count());
        let test = test.clone().var("GANGER_SOCKET", name);
        for start in [&["start"][..], &["-D"]] {
            test.beside(start).code(2).stdout("").stderr_has(says);
        }
        if there != "lives" {
            for command in ["ps", "stop"] {
                test.beside([command]).code(1).stdout("").stderr_has("ganger does not run in DIR\n");
            }
        }
        assert_eq!(seen(&path), before, "{there}");
        assert_eq!(fs::read_dir(test.dir()).expect("read").count(), count, "{there}");
    }
    assert_eq!(fs::read(test.path("precious")).expect("there"), b"precious");
    assert_eq!(fs::read(test.path("hard.other")).expect("there"), b"1\n");
}

#[test]
fn a_named_device_is_left_alone() {
    let test = Test::new().procfile("web: exec gangling --wait\n").var("GANGER_SOCKET", "null");
    let path = test.path("null");
    if let Err(error) = mknod(&path, SFlag::S_IFCHR, Mode::all(), makedev(1, 3)) {
        not_tested(&format!("a device cannot be made here ({error})"));
        return;
    }
    let before = seen(&path);
    for start in [&["start"][..], &["-D"]] {
        test.beside(start).code(2).stderr_has("not a socket");
    }
    test.beside(["ps"]).code(1).stderr_has("null is not a socket");
    assert_eq!(seen(&path), before);
}

#[test]
fn an_instance_removes_only_the_files_it_created() {
    let test = app();
    let (running, socket) = started(&test);
    let lock = socket.with_extension("lock");
    for path in [&socket, &lock] {
        fs::remove_file(path).expect("removed");
        fs::write(path, "precious").expect("written");
    }
    running.finish();
    for path in [&socket, &lock] {
        assert_eq!(fs::read(path).expect("left"), b"precious");
    }
}

#[test]
fn an_empty_lock_and_a_stale_socket_are_replaced() {
    let test = app().file("socket.lock", "");
    drop(UnixListener::bind(test.path("socket")).expect("bound"));
    let (running, _) = started(&test);
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    running.finish();
    assert!(!test.path("socket").exists());
}

#[test]
fn leftovers_of_killed_instances_are_removed_when_the_next_run_ends() {
    let directory = Test::new().file("run/x", "");
    let test = || {
        let run = directory.path("run");
        Test::new().procfile("web: exec gangling --wait\n").var("XDG_RUNTIME_DIR", run)
    };
    let (killed, lives, next) = (test(), test(), test());
    let started = |test: &Test| {
        let running = test.start();
        running.wait_ready("web.1");
        running
    };
    let lives_on = started(&lives);
    let names = || {
        let entries = fs::read_dir(directory.path("run/ganger")).expect("a directory").flatten();
        let mut names: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        names.sort();
        names
    };
    let of_living = names();
    let running = started(&killed);
    proc::send(running.own_pids().supervisor, Signal::SIGKILL);
    running.wait().killed_by(Signal::SIGKILL);
    assert_eq!(names().len(), of_living.len() + 2, "{:?}", names());
    // A lock file that is not ganger's.
    let other = directory.path("run/ganger/yarn.lock");
    File::create(&other).and_then(|mut file| file.write_all(b"precious")).expect("written");
    started(&next).finish();
    assert_eq!(names().len(), of_living.len() + 1, "{:?}", names());
    assert!(of_living.iter().all(|path| path.exists()), "{:?}", names());
    assert!(of_living.iter().any(|path| path.symlink_metadata().expect("there").file_type().is_socket()));
    lives.beside(["ps"]).code(0).stdout_has("web.1: up");
    lives_on.finish();
    assert_eq!(names(), [other]);
}
