//! `ganger open`: waits for the process, then has a browser show it.

use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal::SIGINT;

use crate::kit::{Running, Test};

/// An app, and a browser that notes what it is to show.
fn app(web: &str) -> Test {
    let test = Test::new()
        .procfile(format!("worker: exec gangling --wait\nweb: {web}\n"))
        .file("browser", "#!/bin/sh\necho \"$@\" >> shown; exit ${1#--exit=}\n");
    let browser = test.path("browser");
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o755)).expect("changed");
    test.var("BROWSER", format!("{} --exit=0 %s", browser.display()))
}

#[track_caller]
fn started(test: &Test, name: &str) -> Running {
    let running = test.start();
    running.wait_ready(name);
    running
}

#[track_caller]
fn assert_shown(test: &Test, offsets: &[u16]) {
    let url = |offset: &u16| format!("--exit=0 http://localhost:{}\n", test.port() + offset);
    let shown = std::fs::read_to_string(test.path("shown")).unwrap_or_default();
    assert_eq!(shown, offsets.iter().map(url).collect::<String>());
}

#[test]
fn web_is_shown_once_it_listens() {
    let test = app("exec gangling --wait-file go --listen-port --wait");
    let running = started(&test, "web.1");
    let open = test.clone().args(["open"]).start();
    open.wait_for_stderr("ganger: waiting until web.1 listens on port ");
    std::fs::write(test.path("go"), "").expect("written");
    open.wait_beside().code(0).stdout("http://localhost:PORT\n");
    assert_shown(&test, &[0]);
    // Now it listens: nothing to wait for.
    test.clone().cwd(".").beside(["open", "web.1"]).code(0).stderr("").stdout("http://localhost:PORT\n");
    test.beside(["open", "--print"]).code(0).stderr("").stdout("http://localhost:PORT\n");
    assert_shown(&test, &[0, 0]);
    // No connection was made to look: all that there is at this port is the one who listens (proc(5)).
    let table = std::fs::read_to_string("/proc/net/tcp").expect("a table");
    let port = format!(":{:04X} ", test.port());
    let states: Vec<&str> = table
        .lines()
        .filter(|line| line.contains(&port))
        .filter_map(|line| line.split_whitespace().nth(3))
        .collect();
    assert_eq!(states, ["0A"], "{table}");
    running.finish().killed_by(SIGINT);
}

#[test]
fn what_will_not_listen_is_an_error() {
    let test = app("exec gangling --listen-port --wait");
    let running = started(&test, "web.1");
    running.wait_ready("worker.1");
    test.beside(["open", "--timeout", "0.2", "worker"]).code(1).stdout("").stderr(
        "ganger: waiting until worker.1 listens on port PORT+100\n\
         ganger: error: worker.1 is up, and nothing listens on its port PORT+100 after N s\n  \
         hint: does its command listen on $PORT? `ganger logs worker.1` shows what it wrote\n",
    );
    test.beside(["open", "wbe"])
        .code(2)
        .stdout("")
        .stderr("ganger: error: no process is called `wbe`\n  hint: did you mean `web`?\n");
    test.beside(["open", "web.7"]).code(1).stderr_has("there is no web.7\n  hint: `ganger scale web=7`");
    test.beside(["open", "-t", "x"]).code(2).stderr_has("a time is a number of seconds");
    test.beside(["stop", "web"]).code(0);
    test.beside(["open"]).code(1).stdout("").stderr_has("web.1 is stopped\n  hint: `ganger up web.1`");
    running.finish().killed_by(SIGINT);
    test.beside(["open"]).code(1).stderr_has("ganger does not run in DIR\n");
    assert_shown(&test, &[]);
}

#[test]
fn the_end_of_web_while_it_is_waited_for_is_told() {
    let test = app("exec gangling --wait-file go --exit 3");
    let running = started(&test.clone().args(["start", "--on-exit", "web=restart"]), "web.1");
    let open = test.clone().args(["open"]).start();
    open.wait_for_stderr("ganger: waiting until web.1 listens");
    std::fs::write(test.path("go"), "").expect("written");
    open.wait_beside().code(1).stdout("").stderr_has("ganger: error: web.1 has crashed\n");
    running.finish().killed_by(SIGINT);
}

#[test]
fn without_ports_there_is_nothing_to_open() {
    let test = app("exec gangling --wait").args(["start", "--no-port"]);
    let running = started(&test, "web.1");
    test.beside(["open"]).code(1).stdout("").stderr_has("web.1 has no port\n");
    running.finish().killed_by(SIGINT);
}

#[test]
fn browsers_are_tried_in_turn() {
    let test = app("exec gangling --listen-port --wait");
    let running = started(&test, "web.1");
    let browser = test.path("browser").display().to_string();
    let with =
        |list: &str| test.clone().var("BROWSER", list).beside(["open"]).stdout("http://localhost:PORT\n");
    with(&format!("no-such-browser:{browser} --exit=4 %s:{browser} --exit=0 %s")).code(0).stderr("");
    let shown = std::fs::read_to_string(test.path("shown")).expect("both were tried");
    assert_eq!(shown.lines().count(), 2, "{shown}");
    let none = test.clone().var("PATH", test.dir()).without("BROWSER").beside(["open"]).code(1);
    none.stdout("http://localhost:PORT\n").stderr_has(
        "ganger: error: there is no browser for http://localhost:PORT: neither $BROWSER nor xdg-open nor open was found\n",
    );
    let failing = test.clone().var("PATH", test.dir()).var("BROWSER", format!("{browser} --exit=4 %s"));
    failing.beside(["open"]).code(1).stderr_has("browser: exit status: 4\n");
    running.finish().killed_by(SIGINT);
}
