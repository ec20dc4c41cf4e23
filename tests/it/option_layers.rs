//! Options that are given more than once, in one layer or in several, and what is said of a bad one.

use crate::kit::{Finished, Test};

fn app() -> Test {
    Test::new().procfile("web: true\nworker: true\nclock: true\n")
}

/// What `config --explain` shows, with single spaces.
#[track_caller]
fn config(test: Test, args: &[&str]) -> String {
    let finished = test.args(args).args(["config", "--explain"]).run().code(0);
    let shown = finished.tidy(&finished.stdout);
    let lines = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.map(|line| line + "\n").collect()
}

#[track_caller]
fn has(text: &str, expected: &str) {
    assert!(text.contains(expected), "no {expected:?} in\n{text}");
}

#[test]
fn the_last_of_a_repeated_option_wins() {
    let test = app()
        .file("Procfile.alt", "alt: true\n")
        .file("a.env", "A=a\n")
        .file("b.env", "B=b\n")
        .file("other/Procfile", "other: true\n");
    for (words, expected) in [
        (&["-f", "Procfile", "-f", "Procfile.alt"][..], "ok: 1 process type (alt)\n"),
        (&["-f", "nope", "check", "-f", "Procfile.alt"], "ok: 1 process type (alt)\n"),
        (&["-d", "nope", "-d", "other"], "ok: 1 process type (other)\n"),
        (&["--strict", "--strict"], "ok: 3 process types (web, worker, clock)\n"),
        (&["--no-env", "--no-env", "--expand", "--expand"], "ok: 3 process types (web, worker, clock)\n"),
        (&["--color", "never", "--color", "auto"], "ok: 3 process types (web, worker, clock)\n"),
        (&["--port-step", "1", "--port-step", "2"], "ok: 3 process types (web, worker, clock)\n"),
    ] {
        let words: Vec<&str> = if words.contains(&"check") {
            words.to_vec()
        } else {
            ["check"].iter().chain(words).copied().collect()
        };
        test.clone().args(words).run().code(0).stdout(expected);
    }
    has(&config(test.clone(), &["-p", "7001", "-p", "7002"]), "port 7002 <- flag\n");
    has(&config(test.clone(), &["-e", "a.env", "-e", "b.env"]), "A a <- a.env:1\nB b <- b.env:1\n");
    let run = |args: &[&str]| test.clone().args(args).run().code(0);
    let flags = ["--no-timestamps", "--on-exit", "ignore", "--on-exit", "stop", "--no-timestamps", "web"];
    run(&["start"].iter().chain(&flags).copied().collect::<Vec<_>>()).stdout_has("system | web.1 started");
    let finished =
        run(&["--pty", "always", "-m", "web=1,worker=1", "start", "--pty", "never", "-m", "clock"]);
    assert_eq!(finished.lines_of("system")[0].split(',').next(), Some("clock.1 started"), "{finished}");
}

#[test]
fn lists_add_up() {
    let test = app().args(["--on-exit", "ignore"]);
    let finished = test.clone().args(["-m", "web=1,worker=1", "-m", "worker=0", "-m", "clock"]).run().code(0);
    let mut started: Vec<String> = finished
        .lines_of("system")
        .iter()
        .filter_map(|it| Some(it.split_once(" started")?.0.into()))
        .collect();
    started.sort();
    assert_eq!(started, ["clock.1", "web.1"]);
    let finished = test.args(["-x", "web", "-x", "clock"]).run().code(0);
    assert_eq!(finished.lines_of("system")[0].split(',').next(), Some("worker.1 started"), "{finished}");
}

#[test]
fn a_flag_takes_each_flag_of_the_file_back() {
    let test = app().file(".env", "A=$B\nB=env\n").file("other.env", "A=other\n").file(
        "ganger.toml",
        "no-env = true\nno-port = true\nexpand = true\nno-prefix = true\nrelease = true\n",
    );
    has(&config(test.clone(), &["--with-env", "--no-expand"]), "A '$B' <- .env:1\nB env <- .env:2\n");
    has(&config(test.clone(), &["--with-port"]), "\nPORT PORT <- ganger (the port of this process)\n");
    has(&config(test.clone(), &["--with-port"]), "\nno-port false <- flag\n");
    let echo = test.clone().procfile("web: echo hi\n");
    echo.args(["start", "web", "--no-release", "--prefix"]).run().code(0).stdout_has(" web.1  | hi\n");
    let test = test.file("ganger.toml", "env = 'other.env'\nno-env = true\n");
    has(&config(test, &["--with-env"]), "A other <- other.env:1\n");
}

/// All of stderr up to the usage.
#[track_caller]
fn misuse(test: &Test, args: &[&str], expected: &str) {
    let finished = test.clone().args(args).run().code(2).stdout("");
    let stderr = finished.tidy(&finished.stderr);
    let said = stderr.split("\n\nUsage").next().and_then(|it| it.split("\n\nFor more").next());
    assert_eq!(said, Some(expected), "{args:?}");
}

#[test]
fn what_is_said_of_words_that_are_not_understood() {
    let test = app();
    for (args, expected) in [
        (&["stop", "--force"][..], "error: unexpected argument '--force' found"),
        (
            &["restart", "--on-exit", "stop"],
            "error: unexpected argument '--on-exit' found\n\n  tip: --on-exit is an option of `ganger start`",
        ),
        (
            &["logs", "-n", "abc"],
            "error: invalid value 'abc' for '--lines <N>': expected a whole number of lines, as in `100`",
        ),
        (
            &["logs", "-n", "-1"],
            "error: invalid value '-1' for '--lines <N>': expected a whole number of lines, as in `100`",
        ),
        (&["web"], "error: unrecognized subcommand 'web'\n\n  tip: to start processes: `ganger start web`"),
        (
            &["-p", "7000", "web=2", "worker", "--no-prefix"],
            "error: unrecognized subcommand 'web=2'\n\n  tip: to start processes: `ganger start web=2 worker`",
        ),
        (
            &["-p", "7000", "--", "pytest", "-x"],
            "error: unrecognized subcommand 'pytest'\n\n  tip: to run it beside the processes: `ganger start -- pytest -x`",
        ),
        (&["a/b"], "error: unrecognized subcommand 'a/b'"),
    ] {
        misuse(&test, args, expected);
    }
    let of_variable = test.var("GANGER_DETACH_KEY", "x");
    let finished = of_variable.clone().args(["attach", "web"]).run().code(2);
    finished.stderr_has("\n  tip: the value is that of the variable GANGER_DETACH_KEY\n");
    let same = of_variable.var("GANGER_COLOR", "x").args(["--color", "x", "check"]).run().code(2);
    assert!(!same.tidy(&same.stderr).contains("variable"), "{same}");
}

#[test]
fn the_version_is_an_option_of_every_command() {
    let version = format!("ganger {}\n", env!("CARGO_PKG_VERSION"));
    for args in [&["-V"][..], &["start", "-V"], &["start", "web", "--version"], &["ps", "-V"], &["run", "-V"]]
    {
        Test::new().args(args).run().code(0).stdout(&version).stderr("");
    }
    app().args(["run", "echo", "-V"]).run().code(0).stdout("-V\n");
}
