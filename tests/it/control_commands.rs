//! `scale`, `restart`, `stop`, `up` and `reload` beside a running app.

use std::net::TcpListener;

use nix::sys::signal::Signal;

use crate::kit::{Running, Test, eventually, field, proc};

const WAIT: &str = "exec gangling --wait";

fn app() -> Test {
    Test::new().procfile("web: exec gangling --listen-port --wait\nworker: exec gangling --wait\n")
}

/// Starts it and waits until web and worker are ready; their pids.
#[track_caller]
fn started(test: &Test) -> (Running, i32, i32) {
    let running = test.start();
    let web = running.wait_ready("web.1");
    let worker = running.wait_ready("worker.1");
    (running, web, worker)
}

/// The pid in `web.1 restarted, pid 7, port 5000`.
#[track_caller]
fn pid_of(test: &Test, args: &[&str], begin: &str) -> i32 {
    let finished = test.beside(args).code(0).stderr("");
    let shown = String::from_utf8_lossy(&finished.stdout).into_owned();
    let line = shown.lines().find_map(|line| line.strip_prefix(begin)).expect(&shown);
    let pid = line.strip_prefix(", pid ").and_then(|rest| rest.split(',').next()).expect(line);
    pid.parse().expect("a pid")
}

#[test]
fn restart_touches_only_what_it_names() {
    let test = app();
    let (running, web, worker) = started(&test);
    let mut last = web;
    for count in 2..=4 {
        let new = pid_of(&test, &["restart", "web"], "web.1 restarted");
        assert_ne!(new, last);
        assert_eq!(proc::group(last), []);
        running.wait_for_lines(count, |line| line.name == "web.1" && line.text.starts_with("listening"));
        last = new;
    }
    assert!(proc::is_alive(worker));
    // One instance, its alias, and several at once.
    test.beside(["ps:restart", "web.1", "worker"]).code(0).stdout_has("worker.1 restarted, pid N");
    assert!(!proc::is_alive(worker));
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn restart_ends_what_left_the_group_and_holds_the_port() {
    let stray = "gangling --spawn '--setsid --ignore TERM --listen-port --wait' --wait";
    let test = Test::new().procfile(format!("web: {stray}\nworker: {stray}\n")).args(["-t", "0.3"]);
    let running = test.start();
    running.wait_for_lines(2, |line| line.text.starts_with("listening"));
    let port = test.port().to_string();
    let listening = |count| {
        running
            .wait_for_lines(count, |line| line.name == "web.1" && line.text == format!("listening {port}"));
    };
    for count in 2..4 {
        test.beside(["restart", "web"]).code(0).stdout_has("web.1 restarted");
        listening(count);
    }
    let worker = running.lines().into_iter().filter(|line| line.name == "worker.1").count();
    assert_eq!(worker, 3, "listening and two that are ready, and no second run");
    // Nothing of it is left when it is stopped either.
    test.beside(["stop", "web"]).code(0).stdout_has("web.1 stopped by SIGTERM\n");
    TcpListener::bind(("127.0.0.1", test.port())).expect("the port is free");
    running.finish();
}

#[test]
fn a_ganger_in_a_process_keeps_its_own() {
    let test = app().file("inner/Procfile", format!("web: {WAIT}\n"));
    let test = test.procfile("web: exec gangling --wait\nworker: exec ganger -d inner -p 18000\n");
    let running = test.start();
    running.wait_ready("web.1");
    let inner = running.wait_for(|line| line.name == "worker.1" && line.text.contains("| ready "));
    let pid: i32 = field(inner.text.split("| ").nth(1).expect("a line"), "pid");
    test.beside(["restart", "web"]).code(0).stdout_has("web.1 restarted");
    assert!(proc::is_alive(pid), "the inner web.1 is another's");
    running.finish();
}

#[test]
fn what_is_stopped_comes_up_again_and_never_ends_the_run() {
    let test = app();
    let (running, _, worker) = started(&test);
    test.beside(["stop", "web"]).code(0).stderr("").stdout("web.1 stopped by SIGTERM\n");
    test.beside(["stop", "web"]).code(0).stdout("web.1 is stopped already\n");
    test.beside(["ps"]).code(0).stdout_has("web.1: stopped").stdout_has("ended by SIGTERM\n");
    test.beside(["stop", "worker.1"]).code(0).stdout("worker.1 stopped by SIGTERM\n");
    assert!(!proc::is_alive(worker));
    test.beside(["up", "web,worker"]).code(0).stdout(
        "web.1 started, pid N, port PORT\n\
         worker.1 started, pid N, port PORT+100\n",
    );
    test.beside(["up", "web"]).code(0).stdout("web.1 is up already, pid N, port PORT\n");
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn an_end_of_its_own_still_ends_the_run() {
    let test = Test::new().procfile(format!("web: {WAIT}\nworker: exec gangling --wait-file go --exit 3\n"));
    let running = test.start();
    running.wait_ready("worker.1");
    test.beside(["stop", "web"]).code(0);
    std::fs::write(test.path("go"), "").expect("written");
    running.wait().code(3);
}

#[test]
fn stop_ends_the_instance_and_waits_for_it() {
    let test = Test::new().procfile("web: gangling --spawn '--setsid --linger 200' --linger 200\n");
    let running = test.start();
    running.wait_ready("web.1");
    test.beside(["stop"]).code(0).stdout("ganger in DIR has ended\n").stderr("");
    assert_eq!(test.world().alive().len(), 0, "nothing is left when it returns");
    running.wait().killed_by(Signal::SIGTERM);
}

#[test]
fn scale_goes_up_and_down() {
    let test = app();
    let (running, web, _) = started(&test);
    test.beside(["scale"]).code(0).stdout("web=1 worker=1\n");
    test.beside(["scale", "web=3", "worker=0"])
        .code(0)
        .stderr("")
        .stdout("Scaling … done, now running web at 3, worker at 0\n");
    let port = test.port();
    for (name, port) in [("web.2", port + 1), ("web.3", port + 2)] {
        running.wait_for_line(name, &format!("listening {port}"));
    }
    test.beside(["ps"]).code(0).stdout_has(" (3)\n").stdout_has("web.3: up");
    let second = running.wait_ready("web.2");
    test.beside(["ps:scale", "web=1"]).code(0).stdout("Scaling … done, now running web at 1\n");
    assert!(proc::is_alive(web) && !proc::is_alive(second));
    test.beside(["scale", "all=2"]).code(0).stdout("Scaling … done, now running web at 2, worker at 2\n");
    running.wait_for_lines(2, |line| line.text == format!("listening {}", port + 1));
    // Nobody is left, and the instance stays.
    test.beside(["scale", "all=0"]).code(0);
    test.beside(["ps"]).code(0).stdout_has("no process runs in DIR");
    test.beside(["scale"]).code(0).stdout("web=0 worker=0\n");
    test.beside(["up", "worker"]).code(0).stdout("worker.1 started, pid N, port PORT+100\n");
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn the_highest_are_stopped_first() {
    let test = app().args(["start", "web=3,worker"]);
    let running = test.start();
    for name in ["web.1", "web.2", "web.3", "worker.1"] {
        running.wait_ready(name);
    }
    // One at a time, so that the order can be seen.
    for (count, gone) in [("web=2", "web.3"), ("web=1", "web.2")] {
        test.beside(["scale", count]).code(0);
        running.wait_for_line("system", &format!("{gone} was stopped by SIGTERM"));
    }
    running.finish();
}

#[test]
fn a_busy_port_starts_nothing_and_ends_nothing() {
    let test = app();
    let (running, ..) = started(&test);
    let listener = TcpListener::bind(("127.0.0.1", test.port() + 2)).expect("a free port");
    test.beside(["scale", "web=3"])
        .code(1)
        .stdout("")
        .stderr_has("ganger: error: port PORT+2 for web.3 is in use by pid N (");
    test.beside(["scale"]).code(0).stdout("web=1 worker=1\n");
    drop(listener);
    test.beside(["stop", "web"]).code(0);
    let listener = TcpListener::bind(("127.0.0.1", test.port())).expect("a free port");
    test.beside(["up", "web"]).code(1).stderr_has("port PORT for web.1 is in use by pid N (");
    let restart = test.beside(["restart", "web"]).code(1);
    restart.stderr_has("ganger: error: web.1 is not up: port PORT for web.1 is in use by pid N (");
    drop(listener);
    test.beside(["up", "web"]).code(0).stdout_has("web.1 started");
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn wrong_words_say_what_is_right() {
    let test = app();
    let (running, ..) = started(&test);
    let hint = "  hint: did you mean `web`? The Procfile has `web`, `worker`\n";
    for args in [["restart", "wbe"], ["stop", "wbe.1"], ["up", "wbe"], ["scale", "wbe=1"]] {
        let expected = format!("ganger: error: no process is called `wbe`\n{hint}");
        test.beside(args).code(2).stdout("").stderr(&expected);
    }
    for args in [["restart", "web.2"], ["stop", "web.2"], ["up", "web.2"]] {
        test.beside(args).code(2).stdout("").stderr(
            "ganger: error: there is no web.2\n  \
             hint: `ganger scale web=2` starts it, `ganger ps` shows what there is\n",
        );
    }
    test.beside(["scale", "web"]).code(2).stderr_has("a count is missing");
    test.beside(["scale", "web=x"]).code(2).stderr_has("a count is a whole number");
    test.beside(["scale", "web=101"]).code(2).stderr_has("there can be at most 100 of one type");
    running.finish();
}

#[test]
fn where_nothing_runs_they_say_so() {
    let test = app();
    for args in [&["ps"][..], &["scale", "web=1"], &["restart"], &["stop"], &["up", "web"], &["reload"]] {
        test.beside(args).code(1).stdout("").stderr(
            "ganger: error: ganger does not run in DIR\n  \
             hint: start it with `ganger`, or name its folder with -d\n",
        );
    }
}

#[test]
fn without_waiting_it_is_only_ordered() {
    let test =
        Test::new().procfile("web: exec gangling --ignore TERM --wait\nworker: exec gangling --wait\n");
    let running = test.start();
    let web = running.wait_ready("web.1");
    test.beside(["stop", "web", "--no-wait"]).code(0).stdout("web.1: ordered\n");
    assert!(proc::is_alive(web));
    test.beside(["ps"]).code(0).stdout_has("web.1: stopping");
    // Asking again is not impatience; Ctrl-C twice is.
    test.beside(["stop", "web", "--no-wait"]).code(0);
    assert!(proc::is_alive(web));
    running.signal(Signal::SIGINT);
    running.wait_for_line("system", "SIGINT received");
    running.signal(Signal::SIGINT);
    running.wait().killed_by(Signal::SIGINT);
}

#[test]
fn reload_changes_only_what_the_files_change() {
    let test =
        Test::new().procfile(format!("web: {WAIT}\nworker: {WAIT}\nclock: {WAIT}\n")).file(".env", "A=1\n");
    let running = test.start();
    let [web, worker, clock] = ["web.1", "worker.1", "clock.1"].map(|name| running.wait_ready(name));
    test.beside(["reload"]).code(0).stderr("").stdout("nothing to do\n");

    // A type comes, one goes, one has another command.
    let test = test.procfile(format!("web: {WAIT}\nworker: exec gangling --say new --wait\nmail: {WAIT}\n"));
    test.beside(["reload"]).code(0).stdout(
        "worker.1 restarted, pid N, port PORT+100\n\
         clock.1 stopped by SIGTERM\n\
         mail.1 started, pid N, port PORT+200\n",
    );
    running.wait_for_line("worker.1", "new");
    let mail = running.wait_ready("mail.1");
    assert!(proc::is_alive(web) && !proc::is_alive(worker) && !proc::is_alive(clock));

    // What is broken is refused.
    let test = test.procfile("web\n");
    test.beside(["reload"])
        .code(2)
        .stdout("")
        .stderr_has("ganger: error: no colon in this line\n  --> Procfile:1:1");
    let test = test.procfile(format!("web: {WAIT}\n")).file(".env", "A=\"1\n");
    test.beside(["reload"]).code(2).stdout("").stderr_has(".env:1:");
    assert!(proc::is_alive(web) && proc::is_alive(mail));

    // A variable is everybody's, and what somebody stopped stays so.
    let test = test.procfile(format!("web: {WAIT}\nmail: {WAIT}\n")).file(".env", "A=2\n");
    test.beside(["stop", "mail"]).code(0);
    test.beside(["reload"]).code(0).stdout_has("web.1 restarted").stdout_has("worker.1 stopped");
    eventually("web has the new value", || {
        let all = proc::with_variable("A=2");
        all.len() == 1 && all[0].command.contains("gangling")
    });
    test.beside(["ps"]).code(0).stdout_has("mail.1: stopped");
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn two_types_may_swap_their_ports() {
    let listen = "exec gangling --listen-port --wait";
    let test = Test::new().procfile(format!("a: {listen}\nb: {listen}\n"));
    let running = test.start();
    running.wait_ready("a.1");
    running.wait_ready("b.1");
    let test = test.procfile(format!("b: {listen}\na: {listen}\n"));
    test.beside(["reload"]).code(0).stdout_has("a.1 restarted").stdout_has("b.1 restarted");
    running.wait_for_line("a.1", &format!("listening {}", test.port() + 100));
    running.finish();
}
