//! A terminal that takes nothing of the main view holds up nothing else. Pipes are in `output`.

use crate::kit::{Terminal, Test, eventually, proc};

/// How many lines the flood has: more than the terminal and the history hold.
const FLOOD: u64 = 300_000;

/// A flood once there is a file `go`, a program that echoes, one that speaks once there is a file `late`,
/// and one that waits for that.
fn app() -> Test {
    let flood = format!(
        "gangling --wait-file go; seq {FLOOD}; echo over; exec gangling --wait-file again --say later --wait"
    );
    Test::new()
        .procfile(format!(
            "flood: {flood}\nweb: echo ready; while read -r x; do echo \"<$x>\"; done\n\
             late: exec gangling --wait-file late --say late-line --wait\nprobe: exec gangling --wait\n"
        ))
        .file("ganger.toml", "[process.probe]\nwait-for = \"log:late:late-line\"\n")
}

fn start(test: &Test) -> Terminal {
    let mut window = Terminal::with_shell(test);
    window.type_text("ganger start --no-timestamps --color never --pty always --log-dir log\r");
    window.wait_for("web.1   | ready");
    window
}

fn create(test: &Test, name: &str) {
    std::fs::write(test.path(name), "").expect("written");
}

/// Everything but the main view works though that takes nothing.
fn assert_all_goes_on(test: &Test) {
    create(test, "late");
    let log = |name: &str| std::fs::read_to_string(test.path("log").join(name)).expect("a log");
    eventually("the log has the late line", || log("late.1.log").contains("late-line"));
    eventually("the flood is over", || log("flood.1.log").contains("\nover\n"));
    test.beside(["logs", "late"]).code(0).stdout_has("| late-line\n");
    test.beside(["ps"]).code(0).stdout_has("flood.1");
    // It waits for the line.
    test.beside(["wait", "probe"]).code(0);
    let mut second = Terminal::with_shell(test);
    second.type_text("ganger attach web\r");
    second.wait_for("detaches\r\n");
    second.type_text("typed\r");
    second.wait_for("<typed>");
    second.type_text("\x1d");
    second.wait_for("detached from web.1");
    second.type_text("exit 0\r");
    second.wait_beside();
}

/// All lines of the flood are shown once and in order, or counted.
#[track_caller]
fn assert_complete(text: &str) {
    let (mut next, mut skipped) = (1, 0);
    for line in text.lines() {
        let Some((name, text)) = line.split_once("| ") else { continue };
        if let Some(count) =
            text.strip_suffix(" lines of flood.1 are left out here: they are not kept any more")
        {
            skipped += count.parse::<u64>().expect("a number");
            next += count.parse::<u64>().expect("a number");
        } else if let Ok(number) = text.parse::<u64>() {
            assert!(name.starts_with("flood.1"), "{line}");
            assert_eq!(number, next, "after {skipped} lines that were left out");
            next += 1;
        }
    }
    assert_eq!(next, FLOOD + 1);
    assert!(skipped > 0, "the history holds less than that");
}

fn leave(mut window: Terminal) {
    window.type_text("\x03");
    window.wait_for("SIGINT received, stopping all");
    window.wait_for("$ ");
    window.type_text("exit 0\r");
    assert!(window.wait().success());
}

#[test]
fn a_window_that_does_not_read_stops_nothing_else() {
    let test = app();
    let mut window = start(&test);
    window.pause();
    create(&test, "go");
    assert_all_goes_on(&test);
    window.go_on();
    window.wait_for("flood.1 | over");
    create(&test, "again");
    window.wait_for("flood.1 | later");
    let shown = window.text();
    assert_complete(&shown);
    for once in ["| over\r", "| late-line\r", "| <typed>\r", "| later\r", "probe.1 started, pid"] {
        assert_eq!(shown.matches(once).count(), 1, "{once}");
    }
    leave(window);
}

#[test]
fn ctrl_s_stops_nothing_else_and_ctrl_q_shows_the_rest() {
    let test = app();
    let mut window = start(&test);
    window.type_text("\x13");
    create(&test, "go");
    assert_all_goes_on(&test);
    assert!(!window.text().contains("flood.1 | over"), "it has stopped");
    window.type_text("\x11");
    window.wait_for("flood.1 | over");
    assert_complete(&window.text());
    leave(window);
}

#[test]
fn ctrl_c_ends_a_run_whose_window_does_not_read() {
    let test = app();
    let mut window = Terminal::with_ganger(&test, ["start", "--pty", "always", "--log-dir", "log"]);
    window.wait_for("ready");
    window.pause();
    create(&test, "go");
    assert_all_goes_on(&test);
    window.type_text("\x03");
    eventually("it has ended", || !proc::is_alive(window.pid()));
    window.wait();
}
