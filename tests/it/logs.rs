//! `--log-dir`: the bytes of each process in a file of its own.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal::{SIGINT, SIGKILL};

use crate::kit::{Test, eventually, proc};

fn app(procfile: &str) -> Test {
    Test::new().procfile(procfile).args(["--log-dir", "log"])
}

#[track_caller]
fn read(test: &Test, name: &str) -> Vec<u8> {
    std::fs::read(test.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What `gangling --print COUNT TAG` writes.
fn numbered(tag: &str, count: u32) -> Vec<u8> {
    (1..=count).flat_map(|number| format!("{tag} {number}\n").into_bytes()).collect()
}

fn link(target: &str, test: &Test, name: &str) {
    std::os::unix::fs::symlink(target, test.path(name)).expect("a link");
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
}

#[test]
fn the_files_have_the_bytes_of_both_streams() {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend_from_slice(b"\n\n\xff\xfe\0\r\n\x1b[31mhalf");
    let test = app("web: cat bytes; printf err >&2\nworker: printf second\n").file("bytes", &bytes);
    let test = test.args(["--on-exit", "ignore", "-c", "worker=2"]);
    bytes.extend_from_slice(b"err");
    for format in ["text", "json"] {
        test.clone().args(["--format", format]).run().code(0).stderr("");
        let logged = read(&test, "log/web.1.log");
        // Two pipes are read in turn, so in JSON the first word may be of either.
        assert!(logged == bytes || format == "json" && logged.len() == bytes.len(), "{format}");
        for worker in [1, 2] {
            assert_eq!(read(&test, &format!("log/worker.{worker}.log")), b"second", "{format}");
        }
        std::fs::remove_dir_all(test.path("log")).expect("removed");
    }
}

#[test]
fn what_is_there_stays() {
    let test = app("web: echo again\n").file("log/web.1.log", "before\n");
    test.run().code(0);
    test.run().code(0);
    assert_eq!(read(&test, "log/web.1.log"), b"before\nagain\nagain\n");
}

#[test]
fn folders_are_made_where_ganger_was_started() {
    let test = Test::new().procfile("web: echo hello\n").file("sub/keep", "").cwd("sub");
    test.clone().args(["-f", "../Procfile", "--log-dir", "a/b"]).run().code(0);
    assert_eq!(read(&test, "sub/a/b/web.1.log"), b"hello\n");
    test.clone().args(["-f", "../Procfile"]).var("GANGER_LOG_DIR", test.path("c")).run().code(0);
    assert_eq!(read(&test, "c/web.1.log"), b"hello\n");
}

#[test]
fn the_muted_are_logged_and_floods_are_whole() {
    let flood = |tag| format!("{tag}: gangling --print 100000 {tag}\n");
    let test = app(&["a", "b", "c", "d"].map(flood).concat()).args(["--on-exit", "ignore", "--mute", "a,b"]);
    let finished = test.run().code(0);
    assert_eq!(finished.lines_of("a.1").len() + finished.lines_of("b.1").len(), 0);
    for tag in ["a", "b", "c", "d"] {
        assert!(read(&test, &format!("log/{tag}.1.log")) == numbered(tag, 100_000), "{tag}");
    }
}

#[test]
fn the_files_have_what_was_read_at_every_end() {
    let test = app("web: exec gangling --print 1000 line --wait\n");
    let running = test.start();
    running.wait_ready("web.1");
    running.finish().killed_by(SIGINT);
    assert!(read(&test, "log/web.1.log").starts_with(&numbered("line", 1000)));

    let test = app("web: gangling --print 20000 line\n");
    test.clone().by_shell("\"$@\" | head -1").run();
    // Stopped in the middle, but never in the middle of what was read.
    assert!(numbered("line", 20_000).starts_with(&read(&test, "log/web.1.log")));
}

#[test]
fn a_supervisor_that_is_killed_has_written_what_it_read() {
    let test = app("web: exec gangling --print 1000 line --wait\n");
    let running = test.start();
    running.wait_ready("web.1");
    let expected = numbered("line", 1000);
    eventually("the lines are logged", || read(&test, "log/web.1.log").starts_with(&expected));
    let supervisor = running.own_pids().supervisor;
    proc::send(supervisor, SIGKILL);
    running.wait().killed_by(SIGKILL);
}

#[test]
fn a_full_disk_is_told_once_and_ends_nothing() {
    let test =
        app("web: exec gangling --print 50000 line --say done --wait\nworker: gangling --print 1000 w\n")
            .file("log/keep", "");
    link("/dev/full", &test, "log/web.1.log");
    let running = test.clone().args(["--on-exit", "ignore"]).start();
    running.wait_for_line("web.1", "done");
    running.wait_for_line("system", "worker.1 exited");
    let finished = running.finish().killed_by(SIGINT);
    let told = "the log of web.1 ends here: DIR/log/web.1.log: No space left on device (os error 28)";
    assert_eq!(finished.tidy(&finished.stdout).matches(told).count(), 1, "{finished}");
    assert_eq!(finished.lines_of("web.1").len(), 50_002, "{finished}");
    assert!(read(&test, "log/worker.1.log") == numbered("w", 1000));
}

#[test]
fn a_file_that_is_removed_is_made_again() {
    let test = app("web: exec gangling --say one --wait-file go --say two\n");
    let running = test.start();
    running.wait_ready("web.1");
    eventually("it is logged", || read(&test, "log/web.1.log").ends_with(b"\n"));
    std::fs::remove_file(test.path("log/web.1.log")).expect("removed");
    std::fs::write(test.path("go"), "").expect("written");
    running.wait().code(0);
    assert_eq!(read(&test, "log/web.1.log"), b"two\n");
}

#[test]
fn a_folder_that_is_removed_is_told_once() {
    let test = app("web: exec gangling --say one --wait-file go --print 50000 line\n");
    let running = test.start();
    running.wait_ready("web.1");
    eventually("it is logged", || read(&test, "log/web.1.log").ends_with(b"\n"));
    std::fs::remove_dir_all(test.path("log")).expect("removed");
    std::fs::write(test.path("go"), "").expect("written");
    let finished = running.wait().code(0);
    let told = "the log of web.1 ends here: DIR/log/web.1.log: No such file or directory (os error 2)";
    assert_eq!(finished.tidy(&finished.stdout).matches(told).count(), 1, "{finished}");
    assert!(!test.path("log").exists());
}

#[test]
fn a_pipe_in_place_of_a_file_is_written_while_somebody_reads() {
    let test = app("web: gangling --print 100000 line\n").file("log/keep", "").args(["--mute", "web"]);
    pipe(&test.path("log/web.1.log"));
    // Opened for both, it is open before ganger opens it.
    let script = "exec 3<>log/web.1.log; head -100000 <&3 | tail -1 >last & exec \"$@\"";
    test.clone().by_shell(script).run().code(0);
    eventually("all was read", || {
        std::fs::read(test.path("last")).is_ok_and(|last| last == b"line 100000\n")
    });
}

#[test]
fn a_pipe_that_nobody_reads_is_told_once() {
    let test =
        app("web: gangling --print 100000 line\nworker: gangling --print 1000 w\n").file("log/keep", "");
    pipe(&test.path("log/web.1.log"));
    // The shell holds it open and reads nothing.
    let finished =
        test.clone().by_shell("exec 3<>log/web.1.log; exec \"$@\"").args(["--on-exit", "ignore"]).run();
    let finished = finished.code(0);
    let told = "the log of web.1 ends here: DIR/log/web.1.log: nobody reads it";
    assert_eq!(finished.tidy(&finished.stdout).matches(told).count(), 1, "{finished}");
    assert_eq!(finished.lines_of("web.1").len(), 100_000);
    assert!(read(&test, "log/worker.1.log") == numbered("w", 1000));
}

#[test]
fn json_tells_of_a_lost_log() {
    let test = app("web: echo hello\n").file("log/keep", "").args(["--format", "json"]);
    link("/dev/full", &test, "log/web.1.log");
    test.run()
        .code(0)
        .stdout_has(r#""event":"log_lost","process":"web.1","type":"web","path":"DIR/log/web.1.log","#);
}

#[test]
fn a_limit_on_files_ends_the_log_and_not_ganger() {
    let test = app("web: gangling --print 100000 line\n").by_shell("ulimit -f 1; exec \"$@\"");
    let finished = test.run().code(0);
    finished.stdout_has("the log of web.1 ends here: DIR/log/web.1.log: File too large (os error 27)\n");
}

/// The mode of a file, without its kind.
#[track_caller]
fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").mode() & 0o7777
}

#[test]
fn created_files_are_private_to_their_owner() {
    let test = Test::new()
        .procfile("web: echo secret; rm log/a/web.1.log; echo again\n")
        .by_shell("umask 0; exec \"$@\"");
    let test = test.args(["--log-dir", "log/a"]);
    test.run().code(0);
    for (name, expected) in [("log", 0o700), ("log/a", 0o700), ("log/a/web.1.log", 0o600)] {
        assert_eq!(mode(&test.path(name)), expected, "{name}");
    }
    // An existing file keeps its mode.
    std::fs::set_permissions(test.path("log/a/web.1.log"), Permissions::from_mode(0o644)).expect("changed");
    std::fs::set_permissions(test.path("log/a"), Permissions::from_mode(0o755)).expect("changed");
    let again = test.clone().procfile("web: echo more\n");
    again.run().code(0);
    assert_eq!(mode(&test.path("log/a/web.1.log")), 0o644);
    assert!(read(&test, "log/a/web.1.log").ends_with(b"more\n"));
}

#[test]
fn a_socket_in_place_of_a_file_is_an_error() {
    let test = app("web: echo hello\n").file("log/keep", "");
    let _socket = std::os::unix::net::UnixListener::bind(test.path("log/web.1.log")).expect("bound");
    test.run().code(2).stderr_has("--log-dir log/web.1.log: it is a socket\n");
}

/// As in `/tmp`: another user who may write to the directory of the logs puts a link there.
#[test]
fn a_link_of_another_user_is_not_followed() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "only root can be two users");
        std::io::stderr().write_all(b"skipped: only root can be two users\n").expect("written");
        return;
    }
    let (victim, attacker) = (65_534, 65_533);
    let test =
        Test::new().procfile("web: echo one; echo go; until test -e go; do sleep 0.01; done; echo two\n");
    let test = test.file("home/precious", "precious\n").file("log/keep", "").file("copy", "");
    let set = |name: &str, mode, owner| {
        std::os::unix::fs::chown(test.path(name), Some(owner), Some(owner)).expect("given away");
        std::fs::set_permissions(test.path(name), Permissions::from_mode(mode)).expect("changed");
    };
    // Not by this process: what another test starts meanwhile could have the file open for writing.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_ganger")).arg(test.path("copy")).status();
    assert!(copied.expect("cp runs").success());
    std::fs::set_permissions(test.dir(), Permissions::from_mode(0o777)).expect("changed");
    set("copy", 0o755, victim);
    set("home", 0o700, victim);
    set("home/precious", 0o600, victim);
    set("log", 0o1777, attacker);
    let as_attacker = |script: &str| {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]).current_dir(test.path("log")).uid(attacker).gid(attacker);
        assert!(shell.status().expect("a shell").success(), "{script}");
    };
    let into = |folder: &str| {
        let mut command = Command::new(test.path("copy"));
        command.args(["--no-port", "--log-dir", folder]).current_dir(test.dir());
        command.env_clear().envs(test.vars().iter().map(|(key, value)| (key, value)));
        command.env("HOME", test.path("home")).env("GANGER_SOCKET", "");
        command.uid(victim).gid(victim).stdin(std::process::Stdio::null());
        command
    };
    let as_victim = || into("log");
    // The directory itself is a link.
    as_attacker("ln -s ../home linked");
    let output = into("log/linked").output().expect("ganger starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("its directory is a symbolic link that another user can have placed\n"), "{told}");
    as_attacker("rm linked");
    // At the start: a link, one to a missing file, and a file that the attacker can read.
    let refusals = [
        ("ln -s ../home/precious web.1.log", "it is a symbolic link in a directory that is not yours alone"),
        ("ln -s ../home/new web.1.log", "it is a symbolic link in a directory that is not yours alone"),
        (": > web.1.log; chmod 666 web.1.log", "it belongs to another user"),
        ("mkfifo -m 666 web.1.log; exec 3<>web.1.log", "it is a pipe without a reader"),
    ];
    for (script, why) in refusals {
        as_attacker(script);
        let output = as_victim().output().expect("ganger starts");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{script}: {told}");
        assert!(told.contains(&format!("--log-dir log/web.1.log: {why}\n")), "{script}: {told}");
        as_attacker("rm web.1.log");
    }
    // A hard link to a file that both may write to; the system's own protection may be off.
    let shared = test.path("log/shared");
    std::fs::write(&shared, "shared\n").expect("written");
    std::os::unix::fs::chown(&shared, Some(victim), Some(victim)).expect("given away");
    std::fs::hard_link(&shared, test.path("log/web.1.log")).expect("linked");
    let output = as_victim().output().expect("ganger starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("it is a hard link in a directory that is not yours alone\n"), "{told}");
    std::fs::remove_file(test.path("log/web.1.log")).expect("removed");
    // While it runs: the file is removed, and a link is put in its place.
    let child = as_victim().stdout(std::process::Stdio::piped()).spawn().expect("ganger starts");
    eventually("it is logged", || {
        std::fs::read(test.path("log/web.1.log")).is_ok_and(|text| text.ends_with(b"go\n"))
    });
    assert_eq!(mode(&test.path("log/web.1.log")), 0o600);
    // The owner of a sticky directory may remove what is in it (unlink(2)).
    as_attacker("rm -f web.1.log; ln -s ../home/precious web.1.log");
    std::fs::write(test.path("go"), "").expect("written");
    let output = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("it is a symbolic link in a directory that is not yours alone\n"), "{told}");
    assert_eq!(read(&test, "home/precious"), b"precious\n");
    assert_eq!(read(&test, "log/shared"), b"shared\n");
    assert!(!test.path("home/new").exists());
}
