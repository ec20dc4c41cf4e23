//! A process that is scaled up later has all that those have which are there from the start.

use crate::kit::{Terminal, Test, eventually};

const WAIT: &str = "exec gangling --print-env PYTHONUNBUFFERED --isatty --wait";

fn app() -> Test {
    Test::new().procfile(format!("web: {WAIT}\nworker: {WAIT}\n"))
}

#[test]
fn a_log_file() {
    let test = app().args(["--log-dir", "log"]);
    let running = test.start();
    running.wait_ready("web.1");
    test.beside(["scale", "web=2"]).code(0);
    running.wait_ready("web.2");
    running.finish();
    let log = std::fs::read_to_string(test.path("log/web.2.log")).expect("a log");
    assert!(log.starts_with("PYTHONUNBUFFERED=1\ntty\nready "), "{log}");
}

#[test]
fn a_log_file_that_cannot_be_is_told() {
    let test = app().args(["--log-dir", "log"]);
    let running = test.start();
    running.wait_ready("web.1");
    std::fs::create_dir(test.path("log/web.2.log")).expect("in its place");
    test.beside(["scale", "web=2"]).code(0);
    let told = running.wait_for_line("system", "the log of web.2 ends here: ");
    assert!(told.contains("log/web.2.log: ") && told.contains("directory"), "{told}");
    running.wait_ready("web.2");
    running.finish();
}

#[test]
fn it_is_muted() {
    let test = app().args(["--mute", "web"]);
    let running = test.start();
    running.wait_ready("worker.1");
    test.beside(["scale", "web=2,worker=2"]).code(0);
    running.wait_ready("worker.2");
    assert!(running.finish().lines_of("web.2").is_empty());
}

#[test]
fn json() {
    let test = app().args(["--format", "json"]);
    let running = test.start();
    running.wait_for_text(1, r#""process":"web.1","type":"web","stream":"stdout","line":"ready "#);
    test.beside(["scale", "web=2"]).code(0);
    running.wait_for_text(1, r#""process":"web.2","type":"web","stream":"stdout","line":"ready "#);
    running.finish();
}

/// The prefixes are one column still where there is a longer name, and the terminals of all lose
/// what it takes.
#[test]
fn a_longer_name_widens_the_prefix() {
    let test = Test::without_ports()
        .procfile("a: exec gangling --print-size-on-winch\nlong-name: exec gangling --print-size --wait\n");
    let mut window = Terminal::with_ganger(&test, ["start", "-m", "a=1", "--color", "never"]);
    // `12:34:56 system | ` is 18 wide, `12:34:56 long-name.1 | ` 23.
    window.wait_for("a.1    | size 24 62");
    test.beside(["scale", "long-name=1"]).code(0);
    // Which of the two is first is theirs.
    for line in ["a.1         | size 24 57", "long-name.1 | size 24 57"] {
        eventually(line, || window.text().contains(line));
    }
    let shown = window.text();
    assert!(shown.contains("system      |"), "{shown}");
    window.type_text("\x03");
    window.wait();
}

/// Each type has a colour of its own, also one that had no process at first.
#[test]
fn a_colour() {
    let test = app().args(["--color", "always", "-m", "web=1"]);
    let running = test.start();
    running.wait_for_text(1, "ready");
    test.beside(["scale", "worker=1"]).code(0);
    running.wait_for_text(2, "ready");
    let shown = String::from_utf8_lossy(&running.finish().stdout).into_owned();
    let colour = |name: &str| {
        let line = shown.lines().find(|line| line.contains(name) && line.contains("ready ")).expect(&shown);
        line.split('m').next().expect("a colour").to_owned()
    };
    assert_ne!(colour("web.1"), colour("worker.1"));
}
