//! What is not shown.

use crate::kit::{Terminal, Test};

/// All have spoken when all have ended.
fn app() -> Test {
    let test = Test::new().procfile("web: echo hello\nworker: echo hello\n");
    test.args(["--on-exit", "ignore", "-c", "worker=2"])
}

#[test]
fn lines_of_the_muted_are_not_shown() {
    let table = [
        (&[][..], &[][..], [1, 1, 1]),
        (&["--mute", "worker"], &[], [1, 0, 0]),
        (&["--mute", "worker.2"], &[], [1, 1, 0]),
        (&["--mute", "worker.2,web"], &[], [0, 1, 0]),
        (&["--mute", "web", "--mute", "worker.1", "start"], &[], [0, 0, 1]),
        (&["start", "--mute", "worker.9"], &[], [1, 1, 1]),
        (&[], &[("GANGER_MUTE", "worker")], [1, 0, 0]),
        (&["--mute", "web"], &[("GANGER_MUTE", "worker")], [0, 1, 1]),
    ];
    for (args, vars, expected) in table {
        let mut test = app().args(args);
        for (key, value) in vars {
            test = test.var(key, value);
        }
        let finished = test.run().code(0);
        let shown = ["web.1", "worker.1", "worker.2"].map(|name| finished.lines_of(name).len());
        assert_eq!(shown, expected, "{args:?} {vars:?}\n{finished}");
        // ganger itself still speaks of them.
        assert_eq!(finished.lines_of("system").len(), 6, "{args:?} {vars:?}\n{finished}");
    }
}

#[test]
fn the_report_has_the_last_lines_of_the_muted() {
    let finished = Test::new()
        .procfile("web: echo Traceback; echo boom >&2; exit 3\nworker: exec gangling --wait\n")
        .args(["--mute", "web"])
        .run()
        .code(3);
    assert_eq!(finished.lines_of("web.1"), Vec::<String>::new(), "{finished}");
    finished.stdout_has(
        "TIME system   | web.1 exited with code 3 after N s and ended the run
TIME system   | its last lines:
TIME system   |   Traceback
TIME system   |   boom
",
    );
}

#[test]
fn a_flood_of_the_muted_ends() {
    let test = Test::new().procfile("web: gangling --print 200000 line\n").args(["--mute", "web"]);
    let finished = test.run().code(0);
    assert_eq!(finished.lines().len(), 3, "{finished}");
}

#[test]
fn on_a_terminal_neither_lines_nor_half_lines_are_shown() {
    let web = "web: echo hidden; printf prompt; exec gangling --wait-file go --exit 3 >/dev/null\n";
    let app = Test::new().procfile(format!("{web}worker: printf shown; exec gangling --wait >/dev/null\n"));
    let args = ["start", "--mute", "web", "--log-dir", "log", "--color", "never"];
    let mut window = Terminal::with_ganger(&app, args);
    // A half line, so that one of web's would be there too.
    window.wait_for("| shown");
    std::fs::write(app.path("go"), "").expect("written");
    window.wait();
    let shown = window.text();
    // Only in the report.
    assert_eq!((shown.matches("hidden").count(), shown.matches("prompt").count()), (1, 1), "{shown:?}");
    assert!(shown.contains("|   hidden\r\n") && shown.contains("|   prompt\r\n"), "{shown:?}");
    assert_eq!(std::fs::read(app.path("log/web.1.log")).expect("a log"), b"hidden\nprompt");
}
