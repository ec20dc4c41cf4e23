//! Commands for a running instance, from another terminal.

use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::kit::Test;

const WAIT: &str = "exec gangling --wait";

fn app() -> Test {
    Test::new().procfile(format!("web: {WAIT}\nworker: {WAIT}\n"))
}

/// What `ps --json` says.
#[track_caller]
fn ps(test: &Test) -> Vec<Value> {
    let finished = test.beside(["ps", "--json"]).code(0).stderr("");
    serde_json::from_slice(&finished.stdout).expect("JSON")
}

#[test]
fn ps_shows_what_runs() {
    let test = app();
    let running = test.start();
    let pid = running.wait_ready("web.1");
    running.wait_ready("worker.1");
    let finished = test.beside(["ps"]).code(0).stderr("");
    let shown = String::from_utf8_lossy(&finished.stdout).into_owned();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], format!("=== web: {WAIT} (1)"));
    assert!(lines[1].starts_with("web.1: up 20"), "{shown}");
    assert!(lines[1].ends_with(&format!("s ago), pid {pid}, port {}", test.port())), "{shown}");
    assert_eq!(lines[2..4], ["", &format!("=== worker: {WAIT} (1)")]);
    let web = &ps(&test)[0];
    assert_eq!((&web["name"], &web["type"], &web["state"]), (&"web.1".into(), &"web".into(), &"up".into()));
    assert_eq!((&web["pid"], &web["restarts"], &web["exit"]), (&pid.into(), &0.into(), &Value::Null));
    // Nobody listens on its port.
    assert_eq!(web["ready"], false);
    running.finish();
}

#[test]
fn an_instance_is_found_from_below_and_by_name() {
    let test = app().file("sub/deep/x", "");
    let running = test.start();
    running.wait_ready("web.1");
    let dir = test.dir().to_str().expect("shown").to_owned();
    test.clone().cwd("sub/deep").beside(["ps"]).code(0).stdout_has("web.1: up");
    test.clone().cwd("sub").beside(["-d", &dir, "ps"]).code(0).stdout_has("web.1: up");
    test.clone().cwd("sub").beside(["ps", "-f", "../Procfile"]).code(0).stdout_has("web.1: up");
    // A named folder is that one, and none above it.
    test.beside(["-d", "sub", "ps"]).code(1).stdout("").stderr(
        "ganger: error: ganger does not run in DIR/sub\n  \
         hint: start it with `ganger`, or name its folder with -d\n",
    );
    running.finish();
    test.beside(["ps"]).code(1).stderr_has("ganger does not run in DIR\n");
}

#[test]
fn a_second_instance_is_refused_before_it_starts_anything() {
    let test = app();
    let running = test.start();
    running.wait_ready("web.1");
    let other = Test::new();
    let args = ["-d", test.dir().to_str().expect("text"), "-p"].map(str::to_owned);
    let second = other.args(args).args([other_port(&test)]).run().code(1).stdout("");
    let stderr = String::from_utf8_lossy(&second.stderr).into_owned();
    let told = format!("ganger runs in {} already, pid {}\n", test.dir().display(), running.pid());
    assert!(stderr.contains(&told), "{stderr}");
    running.finish();
    // Its place is free again.
    let again = test.start();
    again.wait_ready("web.1");
    again.finish();
}

fn other_port(test: &Test) -> String {
    (test.port() + 200).to_string()
}

#[test]
fn what_runs_where_the_folder_is_gone_can_be_stopped() {
    let test = app().file("sub/Procfile", format!("web: {WAIT}\n"));
    let running = test.clone().args(["-d", "sub"]).start();
    running.wait_ready("web.1");
    std::fs::remove_dir_all(test.path("sub")).expect("removed");
    test.beside(["-d", "sub", "ps"]).code(0).stdout_has("web.1: up");
    test.beside(["-d", "sub", "stop"]).code(0).stderr("").stdout("ganger in DIR/sub has ended\n");
    running.wait().killed_by(Signal::SIGTERM);
    test.beside(["-d", "sub", "ps"]).code(1).stderr_has("ganger does not run in DIR/sub\n");
}

#[test]
fn several_projects_run_side_by_side() {
    // In folders as deep as they may be: the name of a socket may have a hundred bytes only.
    let deep = |name: &str| format!("{name}{0}/{0}/{0}", "x".repeat(200));
    let mut test = Test::new();
    for name in ["a", "b"] {
        test = test.file(&format!("{}/Procfile", deep(name)), format!("web: {WAIT}\n"));
        test = test.file(&format!("{}/below/x", deep(name)), "");
    }
    let start = |name: &str, port: u16| {
        let running = test.clone().args(["-d", &deep(name), "-p", &port.to_string()]).start();
        running.wait_ready("web.1");
        running
    };
    let (a, b) = (start("a", test.port()), start("b", test.port() + 100));
    for (name, port) in [("a", "port PORT\n"), ("b", "port PORT+100\n")] {
        test.clone().cwd(&format!("{}/below", deep(name))).beside(["ps"]).code(0).stdout_has(port);
        test.beside(["-d", &deep(name), "restart", "web"]).code(0).stdout_has("web.1 restarted");
    }
    test.beside(["-d", &deep("a"), "stop"]).code(0);
    a.wait_beside().killed_by(Signal::SIGTERM);
    test.beside(["-d", &deep("b"), "ps"]).code(0).stdout_has("web.1: up");
    b.finish();
}

#[test]
fn a_project_that_nobody_may_write_to_is_controlled_too() {
    let test = app();
    std::fs::set_permissions(test.dir(), std::fs::Permissions::from_mode(0o555)).expect("changed");
    let before = std::fs::read_dir(test.dir()).expect("a folder").count();
    let running = test.start();
    running.wait_ready("web.1");
    // Root may write everywhere, so nothing may have been tried.
    assert_eq!(std::fs::read_dir(test.dir()).expect("a folder").count(), before);
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    running.finish();
    std::fs::set_permissions(test.dir(), std::fs::Permissions::from_mode(0o755)).expect("changed");
}

#[test]
fn where_all_is_scaled_away_ps_says_so() {
    let test = app();
    let running = test.start();
    running.wait_ready("web.1");
    running.wait_ready("worker.1");
    test.beside(["scale", "all=0"]).code(0).stdout("Scaling … done, now running web at 0, worker at 0\n");
    test.beside(["ps"]).code(0).stdout("no process runs in DIR; `ganger scale web=1` starts one\n");
    test.beside(["ps", "--json"]).code(0).stdout("[]\n");
    // Their lines are kept.
    test.beside(["logs", "worker"]).code(0).stderr("").stdout_has("worker.1 | ready ");
    test.beside(["logs", "worker.1", "-n", "1"]).code(0).stderr("").stdout_has("worker.1 | ready ");
    test.beside(["logs", "worker.2"]).code(2).stderr_has("no process is called `worker.2`");
    running.finish();
}
