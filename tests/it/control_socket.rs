//! The socket itself: whose it is, what is left of it, and clients that mean no good.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::kit::{LIMIT, Running, Test, eventually, proc};

const PS: &[u8] = b"{\"v\":1,\"cmd\":\"ps\"}\n";

/// An app whose socket is in a folder of the test.
fn app() -> Test {
    let test = Test::new().procfile("web: exec gangling --log-signals USR1 --wait\n").file("run/x", "");
    let run = test.path("run");
    test.var("XDG_RUNTIME_DIR", run)
}

#[track_caller]
fn started(test: &Test) -> Running {
    let running = test.start();
    running.wait_ready("web.1");
    running
}

/// The socket in `folder`, if there is one, by its own name.
fn socket_in(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let sockets = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()));
    sockets.map(|entry| entry.path()).find(|path| path.extension().is_none())
}

/// The socket of the app, which is there before its first line is shown.
#[track_caller]
fn socket(test: &Test) -> PathBuf {
    socket_in(&test.path("run/ganger")).expect("a socket")
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("connected");
    stream.set_read_timeout(Some(LIMIT)).expect("set");
    stream.set_write_timeout(Some(LIMIT)).expect("set");
    stream
}

/// What comes until the connection is closed, in lines.
fn lines(stream: UnixStream) -> Vec<String> {
    BufReader::new(stream).lines().map_while(Result::ok).collect()
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn only_its_user_may_use_it_and_nothing_is_left_of_it() {
    let test = app();
    let running = started(&test);
    let path = socket(&test);
    assert_eq!((mode(&test.path("run/ganger")), mode(&path)), (0o700, 0o600));
    assert!(
        path.file_name().expect("a name").to_string_lossy().contains("-ganger-it-"),
        "{}",
        path.display()
    );
    assert_eq!(tcp_listeners(&running), 0);
    running.finish();
    let left = std::fs::read_dir(test.path("run/ganger")).expect("a folder").count();
    assert_eq!(left, 0);
}

/// How many of ganger's own descriptors are TCP sockets.
fn tcp_listeners(running: &Running) -> usize {
    let own = running.own_pids();
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let inodes: Vec<String> = tables
        .iter()
        .flat_map(|table| table.lines().filter_map(|line| line.split_ascii_whitespace().nth(9)))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let of = |pid: i32| std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
    let all = [own.guard, own.reserve, own.supervisor].into_iter().flat_map(of);
    all.flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter(|link| inodes.iter().any(|inode| link.to_str() == Some(inode)))
        .count()
}

#[test]
fn processes_do_not_get_it() {
    let test = app();
    let running = test.start();
    let web = running.wait_ready("web.1");
    let entries = std::fs::read_dir(format!("/proc/{web}/fd")).expect("its descriptors").flatten();
    let links: Vec<PathBuf> = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
    assert!(links.iter().all(|link| !link.to_string_lossy().contains("socket:")), "{links:?}");
    let folder = test.path("run/ganger");
    assert!(links.iter().all(|link| !link.starts_with(&folder)), "{links:?}");
    running.finish();
}

#[test]
fn a_stale_socket_is_replaced() {
    let test = app();
    let running = started(&test);
    proc::send(running.own_pids().supervisor, Signal::SIGKILL);
    running.wait().killed_by(Signal::SIGKILL);
    // Nobody was there to remove it.
    let left = socket(&test);
    // A file of another program, with the name that a new socket once had.
    let other = left.with_added_extension("new");
    drop(UnixListener::bind(&other).expect("a socket"));
    // Nor does the pid in the lock file matter, though it is longer than the new one.
    let lock = left.with_added_extension("lock");
    std::fs::write(&lock, "4000000000\n").expect("written");
    test.beside(["ps"]).code(1).stderr_has("ganger does not run in DIR\n");
    let running = started(&test);
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    assert!(other.exists());
    assert_eq!(std::fs::read_to_string(&lock).expect("a lock"), format!("{}\n", running.own_pids().guard));
    running.finish();
}

#[test]
fn what_lies_in_the_place_of_a_lock_holds_nobody_up() {
    let test = app();
    let running = started(&test);
    let lock = socket(&test).with_added_extension("lock");
    running.finish();
    nix::unistd::mkfifo(&lock, nix::sys::stat::Mode::S_IRWXU).expect("made");
    test.beside(["ps"]).code(1).stderr_has("ganger does not run in DIR\n");
    std::fs::remove_file(&lock).expect("removed");
    // And of one that was killed just now, whose pid somebody else has.
    std::fs::write(&lock, format!("{}\n", std::process::id())).expect("written");
    test.beside(["ps"]).code(1).stderr_has("ganger does not run in DIR\n");
}

/// The socket is made while the first processes are.
#[test]
fn the_first_process_may_ask_at_once() {
    let others: Vec<String> = (0..60).map(|n| format!("p{n}: exec gangling --wait\n")).collect();
    let procfile = format!("first: ganger ps; echo asked; exec gangling --wait\n{}", others.concat());
    let running = Test::without_ports().procfile(procfile).start();
    running.wait_for_text(1, "asked");
    let finished = running.finish();
    let said = finished.lines_of("first.1");
    assert!(said.iter().any(|line| line.starts_with("p59.1: up")), "{finished}");
}

#[test]
fn of_two_that_start_at_once_one_runs() {
    let test = app();
    let mut both = vec![test.start(), test.start()];
    // The one that is refused ends by itself; which one is the race.
    let mut loser = None;
    eventually("one is refused", || {
        loser = (0..2).find(|i| both[*i].is_over());
        loser.is_some()
    });
    let refused = both.remove(loser.expect("one")).wait_beside().code(1).stdout("");
    refused.stderr_has("ganger runs in DIR already, pid N\n");
    let running = both.remove(0);
    running.wait_ready("web.1");
    running.finish();
}

#[test]
fn a_directory_that_is_a_link_is_not_used() {
    let test = app().file("elsewhere/x", "");
    symlink(test.path("elsewhere"), test.path("run/ganger")).expect("linked");
    let running = started(&test);
    assert_eq!(socket_in(&test.path("elsewhere")), None);
    let app = test.dir().file_name().expect("a name").to_string_lossy().into_owned();
    let usual = format!("/tmp/ganger-{}", nix::unistd::geteuid());
    let entries = std::fs::read_dir(usual).expect("a directory").flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(&app));
    assert_eq!(ours.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket())).count(), 1);
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    running.finish();
}

#[test]
fn the_user_may_name_another_place() {
    let test = app();
    let running = started(&test);
    let second = test.clone().var("GANGER_SOCKET", "second").args(["-p", &(test.port() + 100).to_string()]);
    let other = second.start();
    other.wait_ready("web.1");
    assert!(test.path("second").exists());
    let shown = |test: &Test| String::from_utf8_lossy(&test.beside(["ps"]).code(0).stdout).into_owned();
    assert!(shown(&second).ends_with(&format!("port {}\n", test.port() + 100)));
    assert!(shown(&test).ends_with(&format!("port {}\n", test.port())));
    let refused = second.run_beside().code(1);
    refused.stderr_has("already, pid N\n");
    second.beside(["stop"]).code(0);
    other.wait_beside().killed_by(Signal::SIGTERM);
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    running.finish();
    let long = test.path(&"x".repeat(100));
    app().var("GANGER_SOCKET", long).run().code(2).stdout("").stderr_has("it has more than 103 bytes\n");
    app().var("GANGER_SOCKET", "no/such/folder").run().code(2).stdout("").stderr_has("cannot be made");
}

#[test]
fn wrong_requests_are_answered_and_half_a_message_waited_for() {
    let test = app();
    let running = started(&test);
    let path = socket(&test);
    let mut stream = connect(&path);
    stream.write_all(b"{}\n[]\n1\n{\"v\":9,\"cmd\":\"ps\"}\n{\"v\":1,\"cmd\":\"dance\"}\n").expect("sent");
    stream.write_all(&PS[..5]).expect("half of one");
    stream.write_all(&PS[5..]).expect("the rest");
    stream.write_all(&PS[..5]).expect("half of one");
    stream.shutdown(std::net::Shutdown::Write).expect("no more");
    let answers = lines(stream);
    assert_eq!(answers.len(), 6, "{answers:?}");
    assert!(answers[..5].iter().all(|line| line.starts_with("{\"v\":1,\"error\":")), "{answers:?}");
    assert!(answers[5].starts_with("{\"v\":1,\"result\":"), "{answers:?}");

    // A message without an end.
    let mut stream = connect(&path);
    let _ = stream.write_all(&vec![b'x'; 64 * 1024 + 1]);
    let mut answer = String::new();
    let _ = BufReader::new(stream).read_line(&mut answer);
    assert!(answer.contains("a request has at most 65536 bytes"), "{answer}");
    running.finish();
}

#[test]
fn one_connection_has_many_requests() {
    let test = app();
    let running = started(&test);
    let mut stream = BufReader::new(connect(&socket(&test)));
    for request in [PS, b"{\"v\":1,\"cmd\":\"logs\",\"lines\":1}\n", b"{}\n", PS].repeat(3) {
        stream.get_mut().write_all(request).expect("sent");
        let mut line = "{\"v\":1,\"item\"".to_owned();
        while line.starts_with("{\"v\":1,\"item\"") {
            line.clear();
            assert_ne!(stream.read_line(&mut line).expect("answered"), 0, "it was closed");
        }
        let wanted = if request == b"{}\n" { "error" } else { "result" };
        assert!(line.starts_with(&format!("{{\"v\":1,\"{wanted}\":")), "{line}");
    }
    running.finish();
}

#[test]
fn clients_that_never_read_delay_nobody_and_cost_little() {
    let test = app();
    let running = started(&test);
    let (path, supervisor) = (socket(&test), running.own_pids().supervisor);
    let before = resident_kib(supervisor);
    let silent: Vec<UnixStream> = (0..100)
        .map(|_| {
            let mut stream = connect(&path);
            stream.set_nonblocking(true).expect("set");
            // Until the kernel takes no more.
            loop {
                match stream.write(&PS.repeat(50)) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break stream,
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .collect();
    running.signal(Signal::SIGUSR1);
    running.wait_for_line("web.1", &format!("{} got SIGUSR1", running.wait_ready("web.1")));
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    let more = resident_kib(supervisor).saturating_sub(before);
    assert!(more < 32 * 1024, "{more} KiB more");
    running.finish();
    drop(silent);
}

fn resident_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
