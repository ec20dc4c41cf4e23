//! Whatever a process leaves behind and however ganger ends: nothing is alive afterwards. The
//! kit looks at the end of each test; these make it hard.

use nix::sys::signal::Signal::{self, SIGABRT, SIGINT, SIGKILL, SIGTERM};

use crate::kit::{OwnPids, Running, Test, eventually, proc};

/// A child, a grandchild of the shell, one in another session, a daemon, and all again that
/// ignore TERM. Eight say `ready`; the daemons cannot, but their pids are printed.
fn patient_family() -> Test {
    let script = "gangling --spawn --wait --wait &
gangling --ignore TERM,INT,HUP --spawn --wait --wait &
gangling --spawn '--setsid --wait' --spawn '--ignore TERM,HUP --setsid --wait'
gangling --daemon --wait
gangling --ignore TERM,HUP --daemon --wait
exec gangling --wait
";
    Test::new().file("family", script).procfile("web: exec sh family\nworker: exec gangling --wait\n")
}

/// The family under a short grace time.
fn family() -> Test {
    patient_family().args(["-t", "0.5"])
}

/// Waits until all of the family are there; answers web's leader.
fn ready(running: &Running) -> i32 {
    running.wait_for_lines(8, |line| line.text.starts_with("ready "));
    running.wait_for_lines(2, |line| line.text.starts_with("daemon "));
    // The shell has become the last one.
    let started = running.wait_for_line("system", "web.1 started, pid ");
    let pid = started.split([' ', ',']).nth(4).and_then(|pid| pid.parse().ok());
    pid.unwrap_or_else(|| panic!("no pid in `{started}`"))
}

#[test]
fn after_a_signal() {
    for signal in [SIGINT, SIGTERM, Signal::SIGHUP] {
        let running = family().start();
        ready(&running);
        running.stop(signal).killed_by(signal);
    }
}

#[test]
fn after_a_second_signal() {
    let running = family().args(["-t", "3600"]).start();
    ready(&running);
    running.signal(SIGINT);
    running.wait_for_line("system", "SIGINT received");
    running.signal(SIGINT);
    running.wait().killed_by(SIGINT);
}

#[test]
fn after_a_process_has_ended() {
    let test = family().procfile("web: exec sh family\nworker: gangling --wait-file go --exit 3\n");
    let running = test.start();
    ready(&running);
    std::fs::write(test.path("go"), "").expect("written");
    running.wait().code(3);
}

#[test]
fn after_the_leader_of_the_family_was_killed() {
    let running = family().start();
    proc::send(ready(&running), SIGKILL);
    running.wait().code(137);
}

#[test]
fn after_kill_9_of_what_the_user_started() {
    for signal in [SIGKILL, SIGABRT] {
        let mut running = family().start();
        ready(&running);
        running.signal(signal);
        running.wait_for_exit();
        // The supervisor cleans up on its own now.
        running.wait().killed_by(signal);
    }
}

#[test]
fn after_kill_9_of_the_supervisor() {
    for signal in [SIGKILL, SIGABRT] {
        let running = family().start();
        ready(&running);
        let supervisor = running.own_pids().supervisor;
        proc::send(supervisor, signal);
        running.wait().killed_by(signal);
    }
}

#[test]
fn after_kill_9_of_the_supervisor_while_all_stop() {
    let running = family().args(["-t", "3600"]).start();
    ready(&running);
    running.signal(SIGTERM);
    running.wait_for_line("system", "SIGTERM received");
    let supervisor = running.own_pids().supervisor;
    proc::send(supervisor, SIGKILL);
    running.wait().killed_by(SIGKILL);
}

#[test]
fn after_a_one_off_command() {
    let test = patient_family().args(["run", "web"]);
    let running = test.start();
    running.wait_for_text(7, "ready ");
    running.stop(SIGTERM);
    let test = Test::new().args([
        "run",
        "--",
        "sh",
        "-c",
        "gangling --daemon --wait; gangling --ignore TERM --wait & exit 6",
    ]);
    test.run().code(6);
}

#[test]
fn a_death_of_a_stranger_is_no_end() {
    // Orphans come to ganger; their ends are nobody's business.
    let test = Test::new().procfile(
        "web: gangling --daemon '--exit 9' --daemon '--kill-self KILL' --say left; exec gangling --wait-file go --exit 4\n",
    );
    let running = test.start();
    running.wait_ready("web.1");
    let OwnPids { guard, supervisor, .. } = running.own_pids();
    eventually("the daemons are reaped", || {
        let children = |pid| proc::children(pid).len();
        children(guard) == 1 && children(supervisor) == 1
    });
    std::fs::write(test.path("go"), "").expect("written");
    let finished = running.wait().code(4);
    let ends = finished.lines_of("system").iter().filter(|line| line.contains("exited with")).count();
    assert_eq!(ends, 2, "web's end and the report\n{finished}");
}

#[test]
fn a_new_run_finds_the_old_group_empty() {
    // The old run's daemon and child hold the port until they are gone.
    let script = "gangling --wait-file go --exit 1 & gangling --listen-port --linger 50 & wait %1; exit 1\n";
    let test =
        Test::new().file("script", script).procfile("web: exec sh script\n").args(["--on-exit", "restart"]);
    let running = test.start();
    running.wait_for_lines(1, |line| line.text.starts_with("listening"));
    running.wait_for_lines(2, |line| line.text.starts_with("ready "));
    std::fs::write(test.path("go"), "").expect("written");
    running.wait_for_lines(2, |line| line.text.starts_with("listening"));
    let finished = running.finish().killed_by(SIGINT);
    assert!(!finished.tidy(&finished.stdout).contains("in use"), "{finished}");
}
