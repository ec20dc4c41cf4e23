//! Commands for a running instance, from another terminal.

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
