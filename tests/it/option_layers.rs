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
            "error: unrecognized subcommand 'pytest'\n\n  tip: to run it alongside the processes: `ganger start -- pytest -x`",
        ),
        (&["a/b"], "error: unrecognized subcommand 'a/b'"),
    ] {
        misuse(&test, args, expected);
    }
    let of_variable = test.var("GANGER_DETACH_KEY", "x");
    let finished = of_variable.clone().args(["attach", "web"]).run().code(2);
    finished.stderr_has("\n  tip: the value comes from the variable GANGER_DETACH_KEY\n");
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

fn started(finished: &Finished) -> Vec<String> {
    let lines = finished.lines_of("system").into_iter();
    lines.filter_map(|line| Some(line.split_once(" started")?.0.to_owned())).collect()
}

#[test]
fn a_name_in_a_stronger_layer_wins_over_exclude() {
    let test = app().args(["--on-exit", "ignore"]).file("ganger.toml", "exclude = ['clock', 'worker']\n");
    let file = |args: &[&str]| started(&test.clone().args(args).run().code(0));
    assert_eq!(file(&[]), ["web.1"]);
    assert_eq!(file(&["start", "clock"]), ["clock.1"]);
    assert_eq!(file(&["start", "web", "clock"]), ["web.1", "clock.1"]);
    assert_eq!(file(&["start", "all=1,clock=1"]), ["web.1", "clock.1"], "`all` names no process");
    assert_eq!(file(&["-m", "clock"]), ["clock.1"]);
    assert_eq!(file(&["-c", "clock=2,worker=0"]), ["web.1", "clock.1", "clock.2"]);
    assert_eq!(file(&["start", "clock,web", "-x", "clock"]), ["web.1"], "both are of the command line");
    let variable = |name: &str, value: &str, args: &[&str]| {
        started(&test.clone().var(name, value).args(args).run().code(0))
    };
    assert_eq!(variable("GANGER_FORMATION", "clock", &[]), ["clock.1"]);
    assert_eq!(variable("GANGER_EXCLUDE", "web,clock", &["start", "clock"]), ["clock.1"]);
    assert_eq!(variable("GANGER_EXCLUDE", "clock", &[]), ["web.1", "worker.1"]);
}

/// A bad value of an option, and what is said of it.
const BAD: &[(&str, &str, &str)] = &[
    ("timeout", "nope=3", "`nope=3`: no process is called `nope`"),
    ("stop-signal", "nope=INT", "`nope=INT`: no process is called `nope`"),
    ("kill-mode", "nope=group", "`nope=group`: no process is called `nope`"),
    ("on-exit", "web=x", "`web=x`: it is `stop`, `ignore` or `restart`"),
    ("wait-for", "nope=web", "`nope=web`: no process is called `nope`"),
    ("wait-for", "web=web", ": these would wait for one another for ever: web → web"),
    ("formation", "nope", ": no process is called `nope`"),
    ("formation", "web=x", "`web=x`: a count is a whole number from 0 to 65535"),
    ("formation", "web=0", ": nothing to start: every process has the count 0 or is excluded"),
    ("concurrency", "nope=2", ": no process is called `nope`"),
    ("exclude", "nope", ": no process is called `nope`"),
    ("exclude", "web,worker,clock", ": nothing to start: every process has the count 0 or is excluded"),
    ("mute", "nope", ": no process is called `nope`"),
    ("attach", "nope", ": no process is called `nope`"),
    ("release", "true", ": the Procfile has no `release`"),
    ("log-dir", "Procfile", "Procfile: it is no folder"),
    ("root", "nope", "nope: there is no such folder"),
];

#[test]
fn an_error_about_a_value_says_where_the_value_is_from() {
    for (option, value, text) in BAD {
        let glue = if text.starts_with(':') { "" } else { " " };
        let flag = if *option == "root" { "-d".to_owned() } else { format!("--{option}") };
        let is_flag = *option == "release";
        let args = if is_flag { vec![flag.clone()] } else { vec![flag.clone(), (*value).to_owned()] };
        let said = app().args(&args).run().code(2).stdout("");
        let from = if text.contains("nothing to start") { "" } else { &format!("{flag}{glue}") };
        said.stderr_has(&format!(
            "ganger: error: {from}{}\n",
            if from.is_empty() { &text[2..] } else { text }
        ));

        let variable = format!("GANGER_{}", option.to_uppercase().replace('-', "_"));
        let test = app().var(&variable, value);
        test.run().code(2).stdout("").stderr_has(&format!("ganger: error: {variable}{glue}{text}\n"));

        let value = if is_flag { "true".to_owned() } else { format!("'{value}'") };
        let test = app().file("ganger.toml", format!("# options\n{option} = {value}\n"));
        let column = option.len() + 4;
        // The file's folder is in front of its paths.
        let what = text.trim_start_matches(": ");
        test.run().code(2).stdout("").stderr_has(&format!("{what}\n  --> ganger.toml:2:{column}\n"));
    }
}

#[test]
fn files_that_are_not_there_are_errors_of_what_names_them() {
    for (option, value, text) in [
        ("procfile", "nope", "there is no Procfile at DIR/nope"),
        ("env", "here.env,nope.env", "cannot read nope.env: there is no such file"),
        ("env", "folder", "cannot read folder: it is a folder"),
    ] {
        let test = app().file("here.env", "").file("folder/x", "");
        let flag = format!("--{option}");
        test.clone().args([&flag, value]).run().code(2).stderr_has(&format!("ganger: error: {text}\n"));
        let variable = format!("GANGER_{}", option.to_uppercase());
        let of_variable = test.clone().var(&variable, value).run().code(2);
        of_variable.stderr_has(&format!("ganger: error: {variable}: {text}\n"));
        let of_file = test.file("ganger.toml", format!("{option} = '{value}'\n")).run().code(2);
        of_file.stderr_has(&format!("ganger: error: {text}\n  --> ganger.toml:1:{}\n", option.len() + 4));
    }
    let test = app().file("here.env", "").file("ganger.toml", "env = ['here.env', 'nope.env']\n");
    test.run().code(2).stderr_has("there is no such file\n  --> ganger.toml:1:20\n");
}

#[test]
fn options_of_two_layers_that_do_not_go_together() {
    let daemon = app().file("ganger.toml", "daemon = true\n");
    daemon.clone().args(["start", "--", "true"]).run().code(2).stderr(
        "ganger: error: the command after `--` needs the terminal that a daemon leaves
  --> ganger.toml:1:10
   |
 1 | daemon = true
   |          ^^^^
  hint: add --no-daemon, or start without a command
",
    );
    let daemon = daemon.procfile("web: gangling --wait\nworker: gangling --wait\n");
    daemon.args(["start", "--no-daemon", "worker", "--", "true"]).run().code(0);
    let message = "GANGER_DAEMON: the command after `--` needs the terminal that a daemon leaves\n";
    app().var("GANGER_DAEMON", "1").args(["start", "--", "true"]).run().code(2).stderr_has(message);

    let json = app().file("ganger.toml", "\nformat = 'json'\n").args(["--pty", "always"]);
    json.clone().run().code(2).stderr(
        "ganger: error: --pty always: with `format = \"json\"` (ganger.toml:2) stdout and stderr are two pipes
  hint: leave it out, or add --format text
",
    );
    json.args(["--format", "text"]).run().code(0);
    let json = app().var("GANGER_FORMAT", "json").args(["--pty", "always"]).run().code(2);
    json.stderr_has("--pty always: with GANGER_FORMAT=json stdout and stderr are two pipes\n");

    let release = app().file("ganger.toml", "release = true\n").args(["start", "web"]);
    release
        .clone()
        .run()
        .code(2)
        .stderr_has("  hint: add a line such as `release: bin/migrate`, or add --no-release\n");
    release.args(["--no-release"]).run().code(0);
}
