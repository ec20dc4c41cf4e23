//! Ganger's own helper processes: the anchor of each terminal, the reserve, the guard. Signals sent to them by
//! pid, to everything named `ganger`, or to every process reach the processes of the app as documented,
//! hang up none of them, and freeze nothing permanently.

#![allow(unsafe_code, reason = "signals that nix has no name for, and ptrace")]

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::Signal::{self, SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::kit::proc::send_number as send;
use crate::kit::{Finished, OwnPids, Running, Test, eventually, proc};

/// Logs each signal and takes its time to end, so that a hangup would be noticed.
const LOGS: &str = "exec gangling --log-signals INT,TERM,HUP,QUIT,USR1,USR2 --linger 200 --say clean";

fn app(pty: &str) -> Test {
    let test = Test::without_ports().procfile(format!("web: {LOGS}\nworker: {LOGS}\n"));
    test.args(["--pty", pty])
}

fn start(test: &Test) -> Running {
    let running = test.start();
    running.wait_ready("web.1");
    running.wait_ready("worker.1");
    running
}

/// Returns the anchors of the two terminals.
#[track_caller]
fn anchors(running: &Running) -> Vec<i32> {
    let session_of = |name: &str| {
        let pid = running.wait_ready(name);
        proc::process(pid).expect("alive").session
    };
    let anchors = ["web.1", "worker.1"].map(session_of).to_vec();
    assert!(anchors.iter().all(|pid| name(*pid) == "anchor"), "{anchors:?}");
    anchors
}

/// Returns the name as in `ps -o comm`, which `killall` and `pkill` match.
fn name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// Returns the processes that `killall ganger` would signal.
fn all_called_ganger(test: &Test) -> Vec<i32> {
    let all = test.world().alive().into_iter().map(|process| process.pid);
    all.filter(|pid| name(*pid) == "ganger").collect()
}

/// Returns every signal that programs and people send, including the real-time ones.
fn usual() -> Vec<i32> {
    let named = [
        libc::SIGINT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGQUIT,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGPIPE,
        libc::SIGALRM,
        libc::SIGVTALRM,
        libc::SIGPROF,
        libc::SIGIO,
        libc::SIGPWR,
        libc::SIGXCPU,
        libc::SIGABRT,
    ];
    named.into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX()).collect()
}

/// Returns whether no signal to this process is pending.
fn has_taken_all(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = status.lines().filter(|line| line.starts_with("SigPnd:") || line.starts_with("ShdPnd:"));
    let pending: Vec<&str> = pending.filter_map(|line| line.split_ascii_whitespace().nth(1)).collect();
    pending.len() == 2 && pending.iter().all(|it| it.bytes().all(|digit| digit == b'0'))
}

/// Asserts that each process got one signal to end, nothing else before it, and ended in its own time.
#[track_caller]
fn assert_graceful(finished: &Finished, before: &[&str]) {
    for name in ["web.1", "worker.1"] {
        let lines = finished.lines_of(name);
        let got: Vec<&str> =
            lines.iter().filter_map(|line| line.split_once(" got ")).map(|it| it.1).collect();
        assert_eq!(got, [before, &["SIGTERM 1"]].concat(), "{name}: {finished}");
        assert_eq!(lines.last().map(String::as_str), Some("clean"), "{name}: {finished}");
    }
}

#[test]
fn helpers_are_not_named_ganger() {
    let test = app("always");
    let running = start(&test);
    let OwnPids { guard, reserve, supervisor } = running.own_pids();
    let mut called = all_called_ganger(&test);
    called.sort_unstable();
    let mut own = vec![guard, supervisor];
    own.sort_unstable();
    assert_eq!(called, own);
    for helper in anchors(&running).into_iter().chain([reserve]) {
        // What `pkill` and `pkill -f` search.
        let command = proc::process(helper).expect("alive").command;
        assert!(!name(helper).contains("ganger") && !command.contains("ganger"), "{command}");
    }
    assert_graceful(&running.finish().killed_by(SIGINT), &[]);
}

#[test]
fn anchors_and_the_reserve_ignore_every_signal() {
    let test = app("always");
    let running = start(&test);
    let mut helpers = anchors(&running);
    helpers.push(running.own_pids().reserve);
    for number in usual() {
        for helper in &helpers {
            send(*helper, number);
        }
        eventually("the signal is taken", || helpers.iter().all(|helper| has_taken_all(*helper)));
        assert!(helpers.iter().all(|helper| proc::is_alive(*helper)), "{number}");
    }
    assert_graceful(&running.finish().killed_by(SIGINT), &[]);
}

#[test]
fn a_signal_to_everything_named_ganger_stops_gracefully() {
    for pty in ["always", "never"] {
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGALRM] {
            let test = app(pty);
            let running = start(&test);
            for pid in all_called_ganger(&test) {
                proc::send(pid, signal);
            }
            assert_graceful(&running.wait().killed_by(signal), &[]);
        }
    }
}

/// Like a service manager that stops a service.
#[test]
fn a_signal_to_every_process_stops_gracefully() {
    for pty in ["always", "never"] {
        let test = app(pty);
        let running = start(&test);
        for process in test.world().alive() {
            proc::send_if_there(process.pid, SIGTERM);
        }
        let finished = running.wait().killed_by(SIGTERM);
        for name in ["web.1", "worker.1"] {
            let lines = finished.lines_of(name);
            assert_eq!(lines.last().map(String::as_str), Some("clean"), "{name}: {finished}");
            assert!(!lines.iter().any(|line| line.contains("SIGHUP")), "{name}: {finished}");
        }
    }
}

#[test]
fn a_signal_to_everything_named_ganger_is_forwarded_once() {
    for pty in ["always", "never"] {
        for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGQUIT] {
            let test = app(pty);
            let running = start(&test);
            for pid in all_called_ganger(&test) {
                proc::send(pid, signal);
            }
            running.wait_for_lines(2, |line| line.text.ends_with(&format!(" got {signal} 1")));
            assert_graceful(&running.finish().killed_by(SIGINT), &[&format!("{signal} 1")]);
        }
    }
}

#[test]
fn signals_that_ganger_does_not_use_end_nothing() {
    let meaningless =
        [libc::SIGPIPE, libc::SIGVTALRM, libc::SIGPROF, libc::SIGIO, libc::SIGPWR, libc::SIGWINCH];
    for pty in ["always", "never"] {
        let test = app(pty);
        let running = start(&test);
        for number in meaningless.into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX()) {
            for pid in all_called_ganger(&test) {
                send(pid, number);
            }
        }
        assert_graceful(&running.finish().killed_by(SIGINT), &[]);
    }
}

#[test]
fn processes_do_not_ignore_real_time_signals() {
    // One was ignored before ganger was started, as HUP is by `nohup`.
    for pty in ["always", "never"] {
        let test =
            Test::without_ports().procfile("web: grep SigIgn /proc/self/status\n").args(["--pty", pty]);
        // dash has no names for them.
        let by_bash = "exec bash -c \"trap '' 35 36 HUP; exec \\\"\\$@\\\"\" bash \"$@\"";
        let finished = test.by_shell(by_bash).run().code(0);
        let lines = finished.lines_of("web.1");
        let ignored = lines.first().and_then(|line| line.strip_prefix("SigIgn:\t"));
        let ignored = u64::from_str_radix(ignored.expect("a line"), 16).expect("a set");
        // The C library reserves these; they are as this test found them.
        let kept = (1_u64 << (libc::SIGRTMIN() - 1)) - (1 << 31);
        assert_eq!(ignored & !kept, 0, "{pty}: {finished}");
    }
}

/// There is no shell that could continue it: TSTP stops no program there.
#[test]
fn tstp_without_a_shell_freezes_nothing_and_hangs_up_no_session() {
    for pty in ["always", "never"] {
        let test = app(pty);
        let running = start(&test);
        for pid in all_called_ganger(&test) {
            proc::send(pid, Signal::SIGTSTP);
        }
        // Acted on behind the others, so what it reaches is not stopped by them.
        running.signal(Signal::SIGUSR1);
        for name in ["web.1", "worker.1"] {
            let pid = running.wait_ready(name);
            running.wait_for_line(name, &format!("{pid} got SIGUSR1 1"));
        }
        running.signal(SIGCONT);
        assert_graceful(&running.finish().killed_by(SIGINT), &["SIGUSR1 1"]);
    }
}

#[test]
fn a_frozen_anchor_delays_nothing() {
    let test = app("always");
    let running = start(&test);
    for anchor in anchors(&running) {
        proc::send(anchor, SIGSTOP);
        // The kernel keeps one HUP: this one, and not its own when the terminal closes.
        proc::send(anchor, SIGHUP);
    }
    assert_graceful(&running.finish().killed_by(SIGINT), &[]);
}

#[test]
fn killing_everything_named_ganger_leaves_nothing() {
    for pty in ["always", "never"] {
        let test = Test::without_ports()
            .procfile("web: exec gangling --ignore TERM,INT,HUP --spawn '--setsid --wait' --wait\n")
            .args(["--pty", pty]);
        let running = test.start();
        running.wait_for_lines(2, |line| line.text.starts_with("ready "));
        running.own_pids();
        for pid in all_called_ganger(&test) {
            proc::send_if_there(pid, SIGKILL);
        }
        running.wait().killed_by(SIGKILL);
    }
}

#[test]
fn one_ctrl_c_continues_a_stopped_supervisor() {
    for pty in ["always", "never"] {
        let running = start(&app(pty));
        freeze(running.own_pids().supervisor);
        assert_graceful(&running.finish().killed_by(SIGINT), &[]);
    }
}

#[test]
fn killing_the_guard_of_a_stopped_supervisor_leaves_nothing() {
    for pty in ["always", "never"] {
        let running = start(&app(pty));
        freeze(running.own_pids().supervisor);
        running.stop(SIGKILL).killed_by(SIGKILL);
    }
}

#[track_caller]
fn freeze(pid: i32) {
    proc::send(pid, SIGSTOP);
    eventually("stopped", || proc::process(pid).is_some_and(|it| it.state == 'T'));
}

/// Holds a process as a debugger does, so that CONT does not continue it. Only the calling thread can
/// release it.
fn hold(pid: i32) -> bool {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: PTRACE_SEIZE (ptrace(2)) takes a pid and touches no memory of ours.
    if let Err(error) = Errno::result(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, none, none) }) {
        assert!(std::env::var_os("CI").is_none(), "this test needs ptrace: {error}");
        #[allow(clippy::print_stderr, reason = "whoever runs it has to know")]
        let () = eprintln!("not tested: no process may be held here: {error}");
        return false;
    }
    // SAFETY: likewise.
    Errno::result(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, pid, none, none) }).expect("interrupted");
    eventually("held", || proc::process(pid).is_some_and(|it| it.state == 't'));
    true
}

/// Returns whether a process that we hold was killed. As its tracer we see that first.
fn is_killed_while_held(pid: i32) -> bool {
    let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
    matches!(waitpid(Pid::from_raw(pid), Some(flags)), Ok(WaitStatus::Signaled(_, SIGKILL, _)))
}

#[test]
fn repeated_ctrl_c_ends_a_supervisor_that_cannot_be_continued() {
    for pty in ["always", "never"] {
        let mut running = start(&app(pty));
        let supervisor = running.own_pids().supervisor;
        if hold(supervisor) {
            // Two are enough, and of two that arrive together the guard sees one.
            eventually("it is killed", || {
                proc::send_if_there(running.pid(), SIGINT);
                is_killed_while_held(supervisor)
            });
            running.wait_for_exit();
        }
        let finished = if running.is_over() { running.wait() } else { running.finish() };
        finished.killed_by(SIGINT);
    }
}

#[test]
fn killing_the_guard_of_a_supervisor_that_cannot_be_continued_leaves_nothing() {
    let running = start(&app("always"));
    let supervisor = running.own_pids().supervisor;
    let held = hold(supervisor);
    running.signal(SIGKILL);
    if held {
        eventually("it is killed", || is_killed_while_held(supervisor));
    }
    running.wait().killed_by(SIGKILL);
}

/// One of the three is stopped, others are killed, and then the one is continued.
#[test]
fn a_process_frozen_during_the_kill_ends_when_continued() {
    for frozen in 0..3 {
        for killed in [vec![0], vec![1], vec![2], vec![0, 1], vec![0, 2], vec![1, 2]] {
            if killed.contains(&frozen) {
                continue;
            }
            let running = start(&app("always"));
            let OwnPids { guard, reserve, supervisor } = running.own_pids();
            let own = [guard, reserve, supervisor];
            freeze(own[frozen]);
            for victim in &killed {
                // Those that are not frozen may have continued and ended it by now.
                proc::send_if_there(own[*victim], SIGKILL);
            }
            proc::send_if_there(own[frozen], SIGCONT);
            running.wait();
        }
    }
}

/// Counts the arenas of threads that each read files for one client. glibc gives each thread that finds all
/// arenas in use a new one, 64 MiB of addresses, aligned to that size.
#[test]
fn memory_of_short_lived_threads_does_not_add_up() {
    const ARENA: u64 = 64 << 20;
    let test = app("never");
    let running = start(&test);
    let reload = || -> Vec<Running> { (0..12).map(|_| test.start_beside(["reload"])).collect() };
    for _ in 0..3 {
        for client in reload() {
            client.wait_beside().code(0);
        }
    }
    let maps = fs::read_to_string(format!("/proc/{}/maps", running.own_pids().supervisor)).expect("maps");
    let starts = |line: &str| u64::from_str_radix(line.split('-').next()?, 16).ok();
    let is_arena = |line: &&str| {
        line.contains(" rw-p 00000000 00:00 0") && starts(line).is_some_and(|start| start % ARENA == 0)
    };
    let arenas: Vec<&str> = maps.lines().filter(is_arena).collect();
    // The first one is the heap.
    assert!(arenas.len() <= 1, "{arenas:#?}");
    running.finish().killed_by(SIGINT);
}
