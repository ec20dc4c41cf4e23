//! Processes that are started together: each once, none by mistake.

use nix::sys::signal::Signal::SIGINT;

use crate::kit::Test;

#[test]
fn servers_that_wait_for_the_same_one_are_all_restarted() {
    let test = Test::new()
        .procfile("db: exec gangling --listen-port --wait\nweb: exec gangling --listen-port --wait\n")
        .args(["start", "db=1,web=20", "--wait-for", "web=db"]);
    let running = test.start();
    let ready = |count: usize| {
        running
            .wait_for_lines(count, |line| line.name.starts_with("web.") && line.text.starts_with("ready "));
    };
    ready(20);
    for round in 2..=4 {
        let finished = test.beside(["restart"]).code(0);
        let said = String::from_utf8_lossy(&finished.stdout).into_owned();
        assert_eq!(said.matches(" restarted, pid ").count(), 21, "{said}");
        ready(round * 20);
    }
    let finished = running.finish().killed_by(SIGINT);
    assert!(!String::from_utf8_lossy(&finished.stdout).contains("in use"), "{finished}");
}

#[test]
fn a_start_that_follows_from_another_kills_none() {
    let entry = |name: &str| format!("{name}: echo {name} >> runs; exec gangling --wait\n");
    let test = Test::without_ports().procfile(["a", "b", "c", "d", "x"].map(entry).concat()).args([
        "start",
        "--wait-for",
        "x=b",
    ]);
    let running = test.start();
    for name in ["a.1", "b.1", "c.1", "d.1", "x.1"] {
        running.wait_ready(name);
    }
    let mut runs: Vec<String> =
        std::fs::read_to_string(test.path("runs")).expect("written").lines().map(str::to_owned).collect();
    runs.sort_unstable();
    assert_eq!(runs, ["a", "b", "c", "d", "x"]);
    running.finish().killed_by(SIGINT);
}
