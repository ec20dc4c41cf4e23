//! `--log-dir`: the bytes of each process in a file of its own.

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
