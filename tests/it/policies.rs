//! `--on-exit restart`: waits, commands during a wait, giving up.
//!
//! The waits themselves are held on a paused clock, in `src/supervisor/restart_tests.rs`.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::kit::{Test, proc};

/// `web` does this and is started again; a worker waits beside it for ever.
fn again(web: &str) -> Test {
    let worker = "worker: exec gangling --wait\n";
    Test::new().procfile(format!("web: {web}\n{worker}")).args(["--on-exit", "web=restart"])
}

#[track_caller]
fn ps(test: &Test) -> Vec<Value> {
    let finished = test.beside(["ps", "--json"]).code(0);
    serde_json::from_slice(&finished.stdout).expect("an array")
}

#[test]
fn a_wait_is_shown_and_a_command_cuts_it_short() {
    // The first two runs end at once, the others stay.
    let web = "echo run >> runs; [ $(wc -l < runs) -gt 2 ] || exit 1; exec gangling --wait";
    let test = again(web);
    let running = test.start();
    let worker = running.wait_ready("worker.1");
    running.wait_for(|line| line.text.ends_with("s; it is started again in 2 s"));
    let all = ps(&test);
    let (state, left, crashes) = (&all[0]["state"], &all[0]["restart_in"], &all[0]["crashes"]);
    assert_eq!((state, crashes), (&"starting".into(), &2.into()));
    assert!((0.0..=2.0).contains(&left.as_f64().expect("seconds")), "{left}");
    assert_eq!(all[1]["restart_in"], Value::Null);
    let shown = test.beside(["ps"]).code(0);
    shown
        .stdout_has("web.1: starting ")
        .stdout_has(" s, crashed 2 times\n")
        .stdout_has("exited with code 1, restart in ");
    test.beside(["restart", "web"]).code(0).stdout_has("web.1 restarted, pid N");
    running.wait_ready("web.1");
    assert_eq!(std::fs::read_to_string(test.path("runs")).expect("written"), "run\nrun\nrun\n");
    assert!(proc::is_alive(worker));
    assert_eq!(ps(&test)[0]["crashes"], 0);
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn nothing_is_started_again_after_a_wanted_stop() {
    // However it ends when it is asked to.
    for end in ["exec gangling --wait", "trap 'exit 3' TERM; gangling --wait & wait"] {
        let test = again(&format!("echo run >> runs; {end}"));
        let running = test.start();
        let ready = |count| {
            running.wait_for_lines(count, |line| line.name == "web.1" && line.text.starts_with("ready "));
        };
        ready(1);
        test.beside(["stop", "web"]).code(0).stdout_has("web.1 ");
        assert_eq!(ps(&test)[0]["state"], "stopped");
        assert_eq!(ps(&test)[0]["restart_in"], Value::Null);
        // Nor by the end of everything.
        test.beside(["up", "web"]).code(0);
        ready(2);
        let finished = running.finish().killed_by(Signal::SIGINT);
        assert!(!finished.tidy(&finished.stdout).contains("started again in"), "{finished}");
        assert_eq!(std::fs::read_to_string(test.path("runs")).expect("written"), "run\nrun\n");
    }
}

#[test]
fn a_stop_and_ctrl_c_during_a_wait_are_heard_at_once() {
    let test = again("echo run >> runs; exit 1");
    let running = test.start();
    running.wait_for(|line| line.text.ends_with("it is started again in 4 s"));
    test.beside(["stop", "web"]).code(0);
    test.beside(["up", "web"]).code(0);
    running.wait_for_lines(2, |line| line.text.ends_with("it is started again in 1 s"));
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn what_never_works_is_given_up() {
    let test = Test::new()
        .procfile("web: no-such-program-x\nworker: gangling --wait-file go --exit 0\n")
        .args(["--on-exit", "web=restart,worker=ignore"]);
    let running = test.start();
    let given_up =
        " s; it has failed 5 times in a row at once and is not started again (`ganger up web.1` does that)";
    running.wait_for(|line| line.text.ends_with(given_up));
    let all = ps(&test);
    assert_eq!(
        (&all[0]["state"], &all[0]["restarts"], &all[0]["restart_in"]),
        (&"crashed".into(), &4.into(), &Value::Null)
    );
    assert_eq!(all[1]["state"], "up", "the rest runs on");
    test.beside(["ps"])
        .code(0)
        .stdout_has("web.1: crashed ")
        .stdout_has("exited with code 127, crashed 5 times\n");
    // Whoever wants it up has mended it, or thinks so.
    test.beside(["up", "web"]).code(0).stdout_has("web.1 started");
    running.wait_for_lines(2, |line| line.text.ends_with("it is started again in 1 s"));
    test.beside(["scale", "web=0"]).code(0);
    std::fs::write(test.path("go"), "").expect("written");
    running
        .wait()
        .code(0)
        .stdout_has("hint: `no-such-program-x` of web.1 was not found; the PATH searched is ");
}

#[test]
fn when_only_what_was_given_up_is_left_the_run_ends_with_its_status() {
    let test = Test::new().procfile("web: echo 'no database'; exit 3\nonce: echo done\n");
    let finished = test.args(["--on-exit", "web=restart,once=ignore"]).run().code(3);
    let finished = finished
        .stdout_has("web.1 exited with code 3 after N s and ended the run\n")
        .stdout_has("  no database\n");
    let runs = finished.lines_of("web.1");
    assert_eq!(runs, ["no database"; 5], "{finished}");
}
