//! Too few descriptors, too few processes: it works, or the message names the limit, and nothing
//! is left.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::Signal::SIGINT;

use crate::kit::{Finished, Running, Test};

const TOO_MANY_PROCESSES: &str = "the limit on processes is reached";
const RAISE_IT: &str =
    "hint: raise it with `ulimit -u` (in a container: its pids limit), or start fewer processes\n";

fn fifty() -> Test {
    Test::new().procfile("web: exec gangling --wait\n").args(["start", "web=50"])
}

#[test]
fn open_files_for_fifty_processes() {
    let finished = fifty().by_shell("ulimit -n 64; exec \"$@\"").run().code(1);
    finished
        .stdout_has("could not be started: too many open files: the limit of this process is 64")
        .stdout_has("hint: raise it with `ulimit -n`, or start fewer processes\n");
}

#[test]
fn only_the_hard_limit_on_open_files_counts() {
    let running = fifty().by_shell("ulimit -Sn 64; ulimit -Hn 200; exec \"$@\"").start();
    running.wait_for_lines(50, |line| line.text.starts_with("ready "));
    running.finish().killed_by(SIGINT);
}

#[test]
fn every_limit_on_open_files_ends_with_a_reason() {
    // From what the dynamic loader needs up to one that is enough.
    let mut reasons = 0;
    for limit in 4..=40 {
        let test =
            Test::without_ports().procfile("web: exit 0\nworker: exit 0\n").args(["--on-exit", "ignore"]);
        let finished = test.by_shell(&format!("ulimit -n {limit}; exec \"$@\"")).run();
        if finished.status.code() == Some(0) {
            continue;
        }
        let said = all_of(&finished).to_lowercase();
        // The dynamic loader has no room for the words: where we inherit a descriptor, it fails first.
        let says_why = said.contains("too many open files") || said.contains(": error 24");
        assert!(says_why, "{limit}: {finished}");
        assert!(finished.status.code().is_some(), "{limit}: {finished}");
        reasons += 1;
    }
    assert!((3..=36).contains(&reasons), "{reasons} of 37 failed");
}

fn all_of(finished: &Finished) -> String {
    finished.tidy(&finished.stdout) + &finished.tidy(&finished.stderr)
}

/// Starts ganger as a user who has no other process, with this limit on processes. The kernel
/// counts them for each user, and root is free of it: as root the test takes a user of its own,
/// otherwise a user namespace, in which the count begins anew.
fn with_processes(test: Test, limit: u32) -> Running {
    static USER: AtomicU32 = AtomicU32::new(0);
    let is_root = fs::metadata("/proc/self").expect("/proc").uid() == 0;
    let script = if is_root {
        // Only a test process with the same pid would take the same one.
        let user = 1_000_000 + std::process::id() * 200 + USER.fetch_add(1, Ordering::Relaxed);
        fs::set_permissions(test.dir(), Permissions::from_mode(0o755)).expect("made readable");
        format!(
            "exec setpriv --reuid={user} --regid={user} --clear-groups prlimit --nproc={limit} ./ganger \"$@\""
        )
    } else {
        format!("exec unshare --user prlimit --nproc={limit} ./ganger \"$@\"")
    };
    // The ganger that was built is the first word.
    test.by_shell(&format!("shift; {script}")).start()
}

/// An app with copies of the programs: where they were built another user may not look.
fn portable() -> Test {
    let test = Test::without_ports();
    for program in ["ganger", "gangling"] {
        // Not by this process: whatever another test starts meanwhile has the descriptor until its
        // exec, and a program that is open for writing cannot be run (ETXTBSY, execve(2)).
        let copied = Command::new("cp").arg(find(&test, program)).arg(test.path(program)).status();
        assert!(copied.expect("cp").success());
    }
    let path = format!("{}:/usr/bin:/bin", test.dir().display());
    test.var("PATH", path)
}

fn find(test: &Test, program: &str) -> PathBuf {
    let path = test.vars().iter().find(|(key, _)| key == "PATH").map(|(_, value)| value).expect("a PATH");
    let mut all = std::env::split_paths(path).map(|folder| folder.join(program));
    all.find(|path| path.exists()).expect("the program")
}

/// Whether the kernel lets us have users of our own: without it there is nothing to test with.
fn has_users() -> bool {
    let is_root = fs::metadata("/proc/self").expect("/proc").uid() == 0;
    is_root || Command::new("unshare").args(["--user", "true"]).status().is_ok_and(|it| it.success())
}

#[test]
fn every_limit_on_processes_ends_with_a_reason() {
    if !has_users() {
        return;
    }
    // Guard, reserve, supervisor, its output thread, and then each of the processes in turn is
    // the one too many.
    let test = portable().procfile("web: exec gangling --wait\n").args(["start", "web=40"]);
    for limit in 1..=12 {
        let finished = with_processes(test.clone(), limit).wait().code(1);
        let said = all_of(&finished);
        assert!(said.contains(TOO_MANY_PROCESSES), "{limit}: {finished}");
        assert!(said.contains(RAISE_IT), "{limit}: {finished}");
        let started =
            finished.lines_of("system").iter().filter(|line| line.contains(" started, pid ")).count();
        // Behind the first one they are started two at a time, which takes a thread: fewer may fit.
        let room = usize::try_from(limit).expect("small").saturating_sub(4);
        assert!(started <= room && (started > 0) == (room > 0), "{limit}: {finished}");
    }
}

#[test]
fn every_limit_on_processes_ends_a_one_off_command_with_a_reason() {
    if !has_users() {
        return;
    }
    let test = portable().args(["run", "--", "gangling", "--say", "ran"]);
    for limit in 1..=3 {
        let finished = with_processes(test.clone(), limit).wait();
        assert!(matches!(finished.status.code(), Some(1 | 126)), "{limit}: {finished}");
        let said = all_of(&finished);
        assert!(said.contains(TOO_MANY_PROCESSES), "{limit}: {finished}");
        assert!(said.contains(RAISE_IT), "{limit}: {finished}");
    }
    with_processes(test, 4).wait().code(0).stdout("ran\n");
}

#[test]
fn a_process_that_reaches_the_limit_itself_fails_as_without_ganger() {
    if !has_users() {
        return;
    }
    let test = portable().procfile("web: gangling --wait & gangling --wait & gangling --wait & wait\n");
    let finished = with_processes(test, 6).wait();
    assert!(finished.lines_of("web.1").iter().any(|line| line.contains("fork")), "{finished}");
}

#[test]
fn a_limit_that_is_just_enough_is_enough() {
    if !has_users() {
        return;
    }
    let test = portable().procfile("web: exec gangling --wait\nworker: exec gangling --wait\n");
    let running = with_processes(test, 6);
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    running.finish().killed_by(SIGINT);
}

/// Port 1 is below 1024, and nothing of this machine uses it (tcpmux).
#[test]
fn a_port_that_only_root_may_listen_on() {
    let is_root = fs::metadata("/proc/self").expect("/proc").uid() == 0;
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    if !has_users() || first.trim() != "1024" {
        assert!(std::env::var_os("CI").is_none(), "users and privileged ports are needed");
        let _ = writeln!(std::io::stderr(), "skipped: no users of our own, or ports below 1024 are for all");
        return;
    }
    let test = portable().without("GANGER_NO_PORT").procfile("web: true\n").args(["-p", "1"]);
    let warning = "ganger: warning: port 1 for web.1: permission denied: this user may not listen on it
  hint: use a port from 1024 on
";
    with_processes(test.clone(), 100).wait().code(0).stderr(warning);
    if is_root && let Ok(_listener) = std::net::TcpListener::bind(("127.0.0.1", 1)) {
        let refused = with_processes(test, 100).wait().code(1);
        refused.stderr_has("ganger: error: port 1 for web.1 is in use");
    }
}
