//! What the socket costs and what it touches: places, descriptors, time, and the files beside it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;

use crate::kit::{LIMIT, Running, Test, eventually, proc};
use crate::socket_users::not_tested;

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
fn only_those_who_know_it_are_told_that_a_request_was_accepted() {
    let test = app();
    let (running, socket) = started(&test);
    let mut stream = connect(&socket);
    send(&mut stream, r#"{"v":1,"cmd":"restart"}"#);
    assert!(line(&mut stream).starts_with("{\"v\":1,\"result\":"));
    send(&mut stream, r#"{"v":1,"cmd":"restart","accepted":true}"#);
    assert_eq!(line(&mut stream), "{\"v\":1,\"accepted\":true}\n");
    assert!(line(&mut stream).starts_with("{\"v\":1,\"result\":"));
    // What is answered at once is answered as ever.
    send(&mut stream, r#"{"v":1,"cmd":"ps","accepted":true}"#);
    assert!(line(&mut stream).starts_with("{\"v\":1,\"result\":"));
    running.finish();
}

#[test]
fn an_instance_that_is_frozen_does_not_answer() {
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
        let error = format!("ganger: error: the instance (pid {pid}) does not answer\n");
        assert!(said.starts_with(&error), "{command:?}: {said}");
        assert!(said.contains(&format!("`kill -CONT {pid}`")), "{command:?}: {said}");
    }
    proc::send(supervisor, Signal::SIGCONT);
    // `stop` had been sent.
    running.wait().killed_by(Signal::SIGTERM);
}

#[test]
fn what_an_instance_sends_has_bounds() {
    let test = app();
    let listener = UnixListener::bind(test.path("socket")).expect("bound");
    // One of this user that never ends its line.
    let endless = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let chunk = vec![b'x'; 1 << 20];
        let mut sent = 0_usize;
        while sent < 1 << 30 && stream.write_all(&chunk).is_ok() {
            sent += chunk.len();
        }
        sent
    });
    test.beside(["ps"])
        .code(1)
        .stderr("ganger: error: asking the running instance: it sent a line of more than 134217728 bytes\n");
    let sent = endless.join().expect("no panic");
    assert!(sent < 1 << 28, "{sent}");
}

/// What a path is, for a comparison: kind, inode and content.
fn seen(path: &Path) -> (fs::FileType, u64, u32, Vec<u8>) {
    let about = fs::symlink_metadata(path).expect("there");
    let content = if about.is_file() { fs::read(path).expect("read") } else { Vec::new() };
    (about.file_type(), about.ino(), about.mode(), content)
}

/// A `GANGER_SOCKET`, what is there, what a start says, and how it is made.
type Case<'a> = (&'a str, &'a str, &'a str, &'a dyn Fn(&Path));

#[test]
fn a_named_path_that_is_not_ganger_s_stays_as_it_is() {
    let test = Test::new().procfile("web: exec gangling --wait\n").file("precious", "precious");
    let write = |path: &Path| fs::write(path, "precious").expect("written");
    let cases: [Case; 12] = [
        ("db.sqlite3", "db.sqlite3", "not a socket", &write),
        ("yarn", "yarn.lock", "yarn.lock is not a lock file of ganger", &write),
        ("poetry", "poetry.lock", "poetry.lock is not a lock file of ganger", &|path| {
            fs::write(path, "precious, and more than a pid ".repeat(9)).expect("written");
        }),
        ("fifo", "fifo", "not a socket", &|path| mkfifo(path, Mode::all()).expect("made")),
        ("f", "f.lock", "f.lock is not a regular file", &|path| mkfifo(path, Mode::all()).expect("made")),
        ("dir", "dir", "not a socket", &|path| fs::create_dir(path).expect("made")),
        ("d", "d.lock", "d.lock is not a regular file", &|path| fs::create_dir(path).expect("made")),
        ("link", "link", "not a socket", &|path| symlink("precious", path).expect("linked")),
        ("dangling", "dangling", "not a socket", &|path| symlink("nowhere", path).expect("linked")),
        ("l", "l.lock", "l.lock is not a regular file", &|path| symlink("precious", path).expect("linked")),
        ("hard", "hard.lock", "hard.lock has other names", &|path| {
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
fn a_named_device_stays_as_it_is() {
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
fn only_what_the_instance_made_is_removed_at_its_end() {
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
fn an_empty_lock_and_a_dead_socket_are_taken() {
    let test = app().file("socket.lock", "");
    drop(UnixListener::bind(test.path("socket")).expect("bound"));
    let (running, _) = started(&test);
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    running.finish();
    assert!(!test.path("socket").exists());
}
