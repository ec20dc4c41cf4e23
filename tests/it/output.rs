//! What processes write is what comes out: every byte, in order, line by line.

use std::fs::OpenOptions;
use std::io::PipeReader;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::Stdio;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal::SIGINT;

use crate::kit::{Running, Test, eventually};

#[test]
fn every_byte_arrives() {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend_from_slice(b"\n\n  blanks  \n\r\ncarriage\rreturn\r\n\x1b[31mred\n\xff\xfe\n\0\0\n");
    bytes.extend((0..=255).rev());
    bytes.push(b'\n');
    let test = Test::new().file("bytes", &bytes).procfile("web: cat bytes\n");
    let finished = test.run().code(0);
    assert_eq!(finished.bytes_of("web.1"), bytes);
}

#[test]
fn a_last_line_needs_no_newline() {
    let finished = Test::new().procfile("web: printf 'one\\n\\nlast'\n").run().code(0);
    assert_eq!(finished.bytes_of("web.1"), b"one\n\nlast\n");
}

#[test]
fn the_last_words_come_before_the_end() {
    let finished =
        Test::new().procfile("web: exec gangling --print 2000 line --kill-self KILL\n").run().code(137);
    let lines = finished.lines();
    let end = lines.iter().position(|line| line.text.contains("was killed by")).expect("an end");
    let last =
        lines.iter().rposition(|line| line.text == "line 2000" && line.name == "web.1").expect("a line");
    assert!(last < end, "{finished}");
}

#[test]
fn long_lines_are_whole_up_to_a_mebibyte() {
    const MIB: usize = 1 << 20;
    for length in [100_000, MIB - 1, MIB] {
        let finished = long_line(length).run().code(0);
        let lines: Vec<usize> = lengths(&finished.bytes_of("web.1"));
        assert_eq!(lines, [length], "one line");
    }
    let finished = long_line(2 * MIB + 5).run().code(0);
    assert_eq!(lengths(&finished.bytes_of("web.1")), [MIB, MIB, 5], "pieces");
}

fn long_line(length: usize) -> Test {
    let mut line = vec![b'x'; length];
    line.push(b'\n');
    Test::new().file("line", line).procfile("web: cat line\n")
}

fn lengths(bytes: &[u8]) -> Vec<usize> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(|line| line.len() - 1).collect()
}

#[test]
fn floods_never_share_a_line_and_keep_their_order() {
    let flood = |tag| format!("gangling --print 50000 {tag} --say {tag}-done");
    let procfile = format!("a: {}\nb: {}\nc: {}\n", flood("a"), flood("b"), flood("c"));
    let finished = Test::new().procfile(procfile).args(["--on-exit", "ignore"]).run().code(0);
    for tag in ["a", "b", "c"] {
        let mut expected = numbered(tag, 50_000);
        expected.extend_from_slice(format!("{tag}-done\n").as_bytes());
        assert!(finished.bytes_of(&format!("{tag}.1")) == expected, "{tag} is not what it wrote");
    }
    let known = ["a.1", "b.1", "c.1", "system"];
    assert!(finished.lines().iter().all(|line| known.contains(&line.name.as_str())), "a torn line");
}

/// What `gangling --print COUNT TAG` writes.
fn numbered(tag: &str, count: u32) -> Vec<u8> {
    (1..=count).flat_map(|number| format!("{tag} {number}\n").into_bytes()).collect()
}

#[test]
fn half_a_line_delays_nobody() {
    let test = Test::new().procfile(
        "half: exec gangling --write-half-line half --wait-file go --say -whole --wait\nweb: exec gangling --wait-file half --say hello --wait\n",
    );
    let running = test.start();
    running.wait_for_line("system", "half.1 started");
    std::fs::write(test.path("half"), "").expect("written");
    running.wait_for_line("web.1", "hello");
    std::fs::write(test.path("go"), "").expect("written");
    running.wait_for_line("half.1", "-whole");
    let finished = running.finish();
    assert!(finished.lines_of("half.1")[0].starts_with("halfready "), "{finished}");
}

#[test]
fn stdout_and_stderr_keep_their_order() {
    let script = "i=0; while [ $i -lt 500 ]; do echo out $i; echo err $i >&2; i=$((i + 1)); done\n";
    let finished = Test::new().file("script", script).procfile("web: exec sh script\n").run().code(0);
    let expected: Vec<String> = (0..500).flat_map(|i| [format!("out {i}"), format!("err {i}")]).collect();
    assert_eq!(finished.lines_of("web.1"), expected);
}

#[test]
fn lines_have_a_time_and_a_name() {
    let test = Test::new().procfile("web: echo hello\nworker: exec gangling --wait\n").var("TZ", "UTC");
    let finished = test.run().code(0);
    let printed = String::from_utf8_lossy(&finished.stdout).into_owned();
    let line = printed.lines().find(|line| line.ends_with("| hello")).expect("the line");
    let time = line.strip_suffix(" web.1    | hello").unwrap_or_else(|| panic!("{line}"));
    let numbers: Vec<u32> = time.split(':').map(|part| part.parse().expect("a number")).collect();
    assert!(
        time.len() == 8 && numbers.len() == 3 && numbers[0] < 24 && numbers[1] < 60 && numbers[2] < 61,
        "{line}"
    );
}

#[test]
fn a_slow_reader_loses_nothing() {
    let test = Test::new().procfile("web: gangling --print 100000 line\n");
    let (mut running, read) = unread(&test);
    // Nobody reads until the flood stands still.
    eventually("the pipe is full", || is_full(&read));
    running.read_stdout(read);
    let finished = running.wait().code(0);
    assert!(finished.bytes_of("web.1") == numbered("line", 100_000), "not what it wrote");
}

#[test]
fn a_flood_stands_still_while_its_pipe_is_not_read() {
    const LINES: u32 = 1_000_000;
    let test = Test::new().procfile(format!("web: exec gangling --print {LINES} line\n"));
    let (mut running, read) = unread(&test);
    eventually("the pipe is full", || is_full(&read));
    let all = test.world().alive();
    let pid = all.iter().find(|it| it.command.contains("--print")).expect("it runs").pid;
    // `wchar` of proc_pid_io(5).
    let written = || -> usize {
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).expect("it runs");
        let wchar = io.lines().find_map(|line| line.strip_prefix("wchar: ")).expect("a count");
        wchar.parse().expect("a number")
    };
    // What it writes while a client comes and goes.
    let more = || {
        let before = written();
        test.beside(["ps"]).code(0);
        written() - before
    };
    eventually("it stands still", || more() == 0);
    for _ in 0..3 {
        assert_eq!(more(), 0, "it writes on");
    }
    let expected = numbered("line", LINES);
    assert!(written() < expected.len() / 2, "{} bytes wait to be read", written());
    running.read_stdout(read);
    let finished = running.wait().code(0);
    assert!(finished.bytes_of("web.1") == expected, "not what it wrote");
}

/// Starts ganger with a pipe as stdout that nobody reads.
fn unread(test: &Test) -> (Running, PipeReader) {
    let (read, write) = std::io::pipe().expect("a pipe");
    let child = test.command().stdout(write).stderr(Stdio::piped()).spawn().expect("ganger starts");
    (Running::new(child, b"", test.world().clone()), read)
}

/// Whether nobody could write into the pipe now, which may be before it holds as many bytes as it
/// could: each write begins a page.
fn is_full(read: &PipeReader) -> bool {
    let write = OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", read.as_raw_fd()));
    let write = write.expect("its other end");
    let mut polled = [PollFd::new(write.as_fd(), PollFlags::POLLOUT)];
    poll(&mut polled, PollTimeout::ZERO).expect("it can be polled") == 0
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let test = Test::new()
        .procfile("web: while :; do echo line; done\nworker: exec gangling --ignore TERM --wait\n")
        .args(["-t", "0.2"])
        .by_shell("(\"$@\"; echo status $? >&2) | head -1");
    test.run().code(0).stdout_has("TIME ").stderr("status 141\n");
}

#[test]
fn an_output_that_cannot_be_written_ends_the_run_with_a_message() {
    for format in ["text", "json"] {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
        let test = Test::new().procfile("web: exec gangling --wait\n").args(["--format", format]);
        let child = test.command().stdout(full).stderr(Stdio::piped()).spawn().expect("ganger starts");
        let finished = Running::new(child, b"", test.world().clone()).wait().code(1);
        finished.stderr_has("ganger: error: writing the output: No space left on device");
    }
}

#[test]
fn a_reader_that_goes_away_is_noticed_though_nobody_writes() {
    for options in [&[][..], &["--format", "json"], &["--mute", "web"]] {
        let test = Test::new()
            .procfile("web: exec gangling --wait\n")
            .args(options)
            .by_shell("(\"$@\"; echo status $? >&2) | head -1");
        test.run().code(0).stderr("status 141\n");
    }
}

#[test]
fn a_reader_that_does_not_read_holds_up_no_end() {
    let test = Test::new()
        .procfile(
            "web: exec gangling --print 1000000 line --wait\nworker: exec gangling --ignore TERM --wait\n",
        )
        .args(["-t", "0.2"]);
    let (running, read) = unread(&test);
    eventually("the pipe is full", || is_full(&read));
    running.signal(SIGINT);
    running.wait().killed_by(SIGINT);
    drop(read);
}

#[test]
fn a_process_that_closes_its_output_lives_on() {
    let test = Test::new().procfile("web: exec gangling --say before --close-output --wait-file go --exit 8\nworker: exec gangling --wait\n");
    let running = test.start();
    running.wait_for_line("web.1", "before");
    running.wait_ready("worker.1");
    std::fs::write(test.path("go"), "").expect("written");
    let finished = running.wait().code(8);
    finished.stdout_has("web.1 exited with code 8 after N s and ended the run\n");
}

#[test]
fn a_pipe_that_outlives_its_leader_does_not_hold_up_the_end() {
    for holder in ["--wait", "--ignore TERM --wait", "--setsid --wait", "--ignore TERM --setsid --wait"] {
        let test = Test::new()
            .procfile(format!("web: gangling --spawn '{holder}'; gangling --wait-file go --exit 3\n"))
            .args(["-t", "0.2"]);
        let running = test.start();
        running.wait_for_lines(2, |line| line.text.starts_with("ready "));
        std::fs::write(test.path("go"), "").expect("written");
        running.wait().code(3);
    }
}

#[test]
fn what_a_group_member_still_says_is_shown() {
    // The leader has ended; what it left takes its time to end, and says so.
    let test = Test::new().procfile(
        "web: exec gangling --spawn '--log-signals TERM --linger 100 --say farewell' --wait-file go --exit 3\n",
    );
    let running = test.start();
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    std::fs::write(test.path("go"), "").expect("written");
    let finished = running.wait().code(3);
    let lines = finished.lines();
    let farewell = lines.iter().position(|line| line.text == "farewell").expect("it was shown");
    let end = lines.iter().position(|line| line.text.contains("exited with code 3")).expect("an end");
    assert!(farewell < end, "{finished}");
}
