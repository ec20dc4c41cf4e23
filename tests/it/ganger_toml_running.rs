//! `ganger.toml` beside a running app.

use nix::sys::signal::Signal;

use crate::kit::{Test, proc};

const WAIT: &str = "gangling --print-env A; pwd; exec gangling --wait";

fn app(toml: &str) -> Test {
    Test::new().procfile(format!("web: {WAIT}\nworker: {WAIT}\n")).file("ganger.toml", toml)
}

#[test]
fn reload_restarts_only_what_the_file_changes() {
    let test = app("").file("sub/keep", "");
    let running = test.start();
    let [web, worker] = ["web.1", "worker.1"].map(|name| running.wait_ready(name));
    let reload = |toml: &str| test.clone().file("ganger.toml", toml).beside(["reload"]);

    reload("[process.web]\nenv = { A = 'one' }\n").code(0).stdout("web.1 restarted, pid N, port PORT\n");
    running.wait_for_line("web.1", "A=one");
    assert!(!proc::is_alive(web) && proc::is_alive(worker));

    reload("[process.web]\nenv = { A = 'one' }\n[process.worker]\ncwd = 'sub'\n")
        .code(0)
        .stdout("worker.1 restarted, pid N, port PORT+100\n");
    running.wait_for_line(
        "worker.1",
        test.path("sub").canonicalize().expect("a folder").to_str().expect("text"),
    );

    reload("[process.worker]\npty = 'always'\n")
        .code(0)
        .stdout("web.1 restarted, pid N, port PORT\nworker.1 restarted, pid N, port PORT+100\n");
    running.finish();
}

#[test]
fn reload_takes_over_how_processes_are_stopped() {
    let wait = "exec gangling --wait";
    let test = Test::new().procfile(format!("web: {wait}\n"));
    let running = test.start();
    let web = running.wait_ready("web.1");
    let test = test.file("ganger.toml", "[process.web]\nstop-signal = 'KILL'\n");
    // No reason to start it again.
    test.beside(["reload"]).code(0).stdout("nothing to do\n");
    assert!(proc::is_alive(web));
    test.beside(["stop", "web"]).code(0).stdout("web.1 stopped by SIGKILL\n");
    running.finish();
}

#[test]
fn a_broken_file_is_refused_and_nothing_changes() {
    let test = app("[process.web]\nenv = { A = 'one' }\n").file("other/Procfile", "web: true\n");
    let running = test.start();
    let [web, worker] = ["web.1", "worker.1"].map(|name| running.wait_ready(name));
    let table = [
        ("prot = 1\n", "ganger: error: there is no option `prot`\n  --> ganger.toml:1:1\n"),
        (
            "port = 'x'\n",
            "ganger: error: `x`: a port is a whole number from 1 to 65535\n  --> ganger.toml:1:8\n",
        ),
        ("[process.wbe]\n", "ganger: error: no process is called `wbe`\n  --> ganger.toml:1:10\n"),
        ("[process.web\n", "ganger: error: unclosed table, expected `]`\n  --> ganger.toml:1:13\n"),
        ("[process.web]\ncwd = 'no'\n", "ganger: error: there is no such folder\n  --> ganger.toml:2:7\n"),
    ];
    for (toml, message) in table {
        let test = test.clone().file("ganger.toml", toml);
        test.beside(["reload"]).code(2).stdout("").stderr_has(message);
        assert!(proc::is_alive(web) && proc::is_alive(worker), "{toml}");
        // Whoever has broken it can still look and stop.
        test.beside(["ps"]).code(0).stderr("").stdout_has("web.1: up");
    }
    test.beside(["stop"]).code(0);
    running.wait().killed_by(Signal::SIGTERM);
}

#[test]
fn a_root_of_the_file_is_found_from_where_the_file_is() {
    let test = Test::new().file("app/Procfile", "web: exec gangling --wait\n");
    let test = test.file("ganger.toml", "root = 'app'\n").file("other/Procfile", "web: true\n");
    let running = test.start();
    let web = running.wait_ready("web.1");
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    test.clone().cwd("app").beside(["ps"]).code(0).stdout_has("web.1: up");
    let test = test.file("ganger.toml", "root = 'other'\n");
    let message = "ganger: error: the root is DIR/other now, and a running app cannot move\n  \
                   hint: stop it and start it anew\n";
    test.clone().cwd("app").beside(["reload"]).code(2).stderr(message);
    assert!(proc::is_alive(web));
    running.finish();
}

#[test]
fn logs_have_the_colours_of_the_file() {
    let test = app("");
    let running = test.start();
    running.wait_ready("web.1");
    let test = test.file("ganger.toml", "color = 'always'\n[process.web]\ncolor = 'bright-red'\n");
    test.beside(["logs", "web"])
        .code(0)
        .stdout_has("web.1    |\x1b[0m A is not set\n")
        .stdout_has("\x1b[91m");
    running.finish();
}
