//! How a run ends, and what it says about it.

use nix::sys::signal::Signal;

use crate::kit::Test;

/// `web` does this; a worker waits beside it for ever.
fn beside_a_worker(command: &str) -> Test {
    Test::new().procfile(format!("web: {command}\nworker: exec gangling --wait\n"))
}

#[test]
fn the_first_end_ends_all_with_its_status() {
    for code in [0, 1, 3, 125, 255] {
        let finished = beside_a_worker(&format!("exit {code}")).run().code(code);
        let said = format!("web.1 exited with code {code} after N s; everything stops with it\n");
        finished.stdout_has(&said).stderr("");
    }
}

#[test]
fn a_death_by_signal_is_128_and_its_number() {
    for (signal, number) in [("KILL", 9), ("TERM", 15), ("SEGV", 11), ("HUP", 1), ("INT", 2)] {
        let finished = beside_a_worker(&format!("exec gangling --kill-self {signal}")).run();
        let said = format!("web.1 was killed by SIG{signal} after N s; everything stops with it\n");
        finished.code(128 + number).stdout_has(&said);
    }
    // A shell in between says the same.
    beside_a_worker("gangling --kill-self KILL; exit $?").run().code(137);
}

#[test]
fn what_ganger_stopped_does_not_count() {
    // The worker ends with 9 when it is asked to.
    let worker = "trap 'exit 9' TERM; gangling --wait & gangling --say listening; wait";
    let test = Test::new()
        .file("worker.sh", worker)
        .procfile("web: gangling --wait-file go --exit 4\nworker: exec sh worker.sh\n");
    let running = test.start();
    running.wait_for_line("worker.1", "listening");
    std::fs::write(test.path("go"), "").expect("written");
    let finished = running.wait().code(4).stdout_has("worker.1 exited with code 9 after N s\n");
    let reports = finished.lines_of("system").iter().filter(|line| line.ends_with("ended the run")).count();
    assert_eq!(reports, 1, "{finished}");
}

#[test]
fn an_instance_that_ends_ends_the_others_too() {
    let web = "[ $PS = web.2 ] && exit 5; exec gangling --wait";
    let test = Test::new().procfile(format!("web: {web}\n")).args(["start", "web=3"]);
    test.run().code(5).stdout_has("web.2 exited with code 5 after N s and ended the run\n");
}

#[test]
fn the_report_has_the_last_lines_of_a_failure() {
    let test = beside_a_worker("gangling --print 30 line --say 'last words' --exit 1");
    let finished = test.run().code(1);
    let system = finished.lines_of("system");
    let report = system.iter().position(|line| line.ends_with("and ended the run")).expect("a report");
    let mut expected = vec!["its last lines:".to_owned()];
    expected.extend((22..=30).map(|number| format!("  line {number}")));
    expected.push("  last words".into());
    assert_eq!(system[report + 1..], expected, "{finished}");
    // It is the very last thing, behind everything that the other processes had to say.
    let last = finished.lines().last().expect("a line").clone();
    assert_eq!((last.name.as_str(), last.text.as_str()), ("system", "  last words"), "{finished}");
}

#[test]
fn the_report_of_a_success_is_short() {
    let finished = beside_a_worker("echo fine").run().code(0);
    let system = finished.lines_of("system");
    assert!(system.last().expect("a line").ends_with("and ended the run"), "{finished}");
}

#[test]
fn a_command_that_is_not_found_gets_a_hint() {
    let test = beside_a_worker("no-such-program-x $PORT").var("PATH", "/usr/bin:/bin");
    let test = test.procfile("web: no-such-program-x $PORT\n");
    test.run()
        .code(127)
        .stdout_has("system | web.1 exited with code 127 after N s; everything stops with it\n")
        .stdout_has("hint: `no-such-program-x` of web.1 was not found; the PATH searched is /usr/bin:/bin\n");
    // The PATH is the process's, not ganger's.
    let test = Test::new().procfile("web: cd / && no-such-program-x\n").file(".env", "PATH=/usr/bin:/x\n");
    test.run()
        .code(127)
        .stdout_has("hint: a command of web.1 was not found; the PATH searched is /usr/bin:/x\n");
}

#[test]
fn a_command_that_may_not_be_executed_gets_a_hint() {
    let test = Test::new().file("script", "#!/bin/sh\n").procfile("web: ./script\n");
    test.run().code(126).stdout_has(
        "hint: `./script` of web.1: permission denied: the file is not executable; make it executable: ",
    );
    let inner = test.procfile("web: true && ./script\n").run().code(126);
    inner
        .stdout_has(
            "hint: a command of web.1 was found and may not be executed (`chmod +x`, or a directory?)",
        )
        .stdout_has("the PATH searched is ");
}

#[test]
fn an_end_with_0_may_be_ignored() {
    let test = Test::new()
        .procfile("setup: echo done\nweb: gangling --wait-file go --exit 6\n")
        .args(["--on-exit", "setup=ignore"]);
    let running = test.start();
    running.wait_for_line("system", "setup.1 exited with code 0");
    std::fs::write(test.path("go"), "").expect("written");
    let finished = running.wait().code(6);
    finished.stdout_has("setup.1 exited with code 0 after N s\n").stdout_has("web.1 exited with code 6");
}

#[test]
fn when_all_have_ended_with_0_the_run_has() {
    let test = Test::new().procfile("a: echo 1\nb: echo 2\n").args(["--on-exit", "ignore"]);
    let finished = test.run().code(0);
    assert!(!finished.tidy(&finished.stdout).contains("ended the run"), "nobody is to blame\n{finished}");
}

#[test]
fn a_failure_is_not_ignored() {
    let test = beside_a_worker("exit 7").args(["--on-exit", "ignore"]);
    test.run().code(7).stdout_has("web.1 exited with code 7 after N s; everything stops with it\n");
    beside_a_worker("exec gangling --kill-self TERM").args(["--on-exit", "web=ignore"]).run().code(143);
}

#[test]
fn a_process_may_be_started_again() {
    let test = beside_a_worker("echo again >> runs; exit 1").args([
        "--on-exit",
        "restart",
        "--on-exit",
        "worker=stop",
    ]);
    let running = test.start();
    running.wait_for_line("system", "web.1 exited with code 1");
    running.wait_for(|line| line.text.ends_with("it is started again in 2 s"));
    let finished = running.finish().killed_by(Signal::SIGINT);
    finished.stdout_has("web.1 exited with code 1 after N s; it is started again in 1 s\n");
    assert_eq!(std::fs::read_to_string(test.path("runs")).expect("written"), "again\nagain\n");
}

#[test]
fn what_waits_to_be_started_again_does_not_hold_up_the_end() {
    // web is asleep until its next start when the worker ends.
    let test = Test::new()
        .procfile("web: exit 1\nworker: gangling --wait-file go --exit 5\n")
        .args(["--on-exit", "web=restart"]);
    let running = test.start();
    running.wait_for(|line| line.text.ends_with("it is started again in 1 s"));
    std::fs::write(test.path("go"), "").expect("written");
    let finished = running.wait().code(5);
    let starts = finished.lines_of("system").iter().filter(|line| line.starts_with("web.1 started")).count();
    assert!(starts <= 2, "nothing starts once all is to stop\n{finished}");
}

#[test]
fn release_runs_when_it_is_named() {
    let test = Test::new().procfile("web: exec gangling --wait\nrelease: echo migrated\n");
    let finished = test.args(["start", "release"]).run().code(0).stdout_has("release.1 | migrated\n");
    assert!(finished.lines_of("web.1").is_empty(), "{finished}");
}
