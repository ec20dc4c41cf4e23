//! Wrong words and wrong files: exit status 2, one message on stderr, nothing on stdout, and
//! nothing started.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use crate::kit::{Finished, Test};

/// An app that leaves a trace if anything of it starts.
fn app() -> Test {
    let starts = "touch started; exec gangling --wait";
    Test::new().procfile(format!("web: {starts}\nworker: {starts}\nrelease: {starts}\n"))
}

#[track_caller]
fn refused(test: &Test) -> Finished {
    let finished = test.run().code(2).stdout("");
    assert!(!test.path("started").exists(), "something started");
    finished
}

/// The whole of stderr.
#[track_caller]
fn refused_with(test: &Test, message: &str) {
    refused(test).stderr(message);
}

/// The first line; the rest is clap's and is not ours to hold.
#[track_caller]
fn refused_by_clap(args: &[&str], line: &str) {
    let finished = refused(&app().args(args));
    let stderr = String::from_utf8(finished.stderr.clone()).expect("text");
    assert_eq!(stderr.lines().next(), Some(line), "{finished}");
}

#[test]
fn a_procfile_that_is_not_there() {
    let hint = "  hint: create one, with a line such as `web: python -m http.server $PORT`, or name another with -f\n";
    refused_with(&Test::new(), &format!("ganger: error: there is no Procfile at DIR/Procfile\n{hint}"));
    refused_with(
        &app().args(["-f", "Procfile.dev"]),
        &format!("ganger: error: there is no Procfile at DIR/Procfile.dev\n{hint}"),
    );
    let empty = app().file("empty/keep", "");
    refused_with(
        &empty.args(["-d", "empty"]),
        &format!("ganger: error: there is no Procfile at DIR/empty/Procfile\n{hint}"),
    );
}

#[test]
fn a_procfile_with_nothing_in_it() {
    let hint = "  hint: write one, as in `web: python -m http.server $PORT`\n";
    for (text, first_line) in [("", ""), ("\n \n", ""), ("# web: x\n\n", "# web: x")] {
        let message = format!(
            "ganger: error: no process in this file\n  --> Procfile:1:1\n   |\n 1 | {first_line}\n   | ^\n{hint}"
        );
        refused_with(&Test::new().procfile(text), &message);
    }
}

#[test]
fn every_mistake_in_a_procfile_is_shown() {
    let test =
        Test::new().procfile("web python app.py\nweb : touch started\nok: touch started\nok: x\nlast:\n");
    refused_with(
        &test,
        "ganger: error: no colon in this line
  --> Procfile:1:1
   |
 1 | web python app.py
   | ^^^
  hint: a line is `name: command`, as in `web: python app.py`
ganger: error: a blank before the colon
  --> Procfile:2:4
   |
 2 | web : touch started
   |    ^
  hint: write `web:` without the blank
ganger: error: a second `ok`
  --> Procfile:4:1
   |
 4 | ok: x
   | ^^
  hint: the first is in line 3; remove one or give it a name of its own
ganger: error: no command for `last`
  --> Procfile:5:1
   |
 5 | last:
   | ^^^^
  hint: write the command behind the colon, as in `last: python app.py`
",
    );
}

#[test]
fn a_folder_or_nothing_where_a_file_should_be() {
    let is_folder =
        |file| format!("ganger: error: cannot read {file}: it is a folder\n  hint: give a file\n");
    refused_with(&Test::new().file("Procfile/keep", ""), &is_folder("Procfile"));
    refused_with(&app().file(".env/keep", ""), &is_folder(".env"));
    refused_with(&app().file("x/keep", "").args(["-e", "x"]), &is_folder("x"));
    refused_with(&app().file("x/keep", "").args(["-f", "x"]), &is_folder("x"));
    refused_with(
        &app().args(["-e", "no.env"]),
        "ganger: error: cannot read no.env: there is no such file\n  hint: check the path\n",
    );
    refused_with(
        &app().args(["-f", "Procfile/x"]),
        "ganger: error: cannot read Procfile/x: a part of its path is a file, no folder\n  hint: check the path\n",
    );
    // Without -e a missing .env is fine; named, it is an error.
    refused_with(
        &app().args(["-e", ".env"]),
        "ganger: error: cannot read .env: there is no such file\n  hint: check the path\n",
    );
    let folder = "  hint: name the folder the Procfile is in\n";
    refused_with(
        &app().args(["-d", "nope"]),
        &format!("ganger: error: -d nope: there is no such folder\n{folder}"),
    );
    refused_with(
        &app().args(["-d", "Procfile"]),
        &format!("ganger: error: -d Procfile: it is no folder\n{folder}"),
    );
}

#[test]
fn a_file_that_may_not_be_read() {
    let forbid = |test: &Test, file: &str| {
        std::fs::set_permissions(test.path(file), Permissions::from_mode(0o000)).expect("changed");
    };
    for file in ["Procfile", ".env"] {
        let test = app().file(".env", "A=1\n");
        forbid(&test, file);
        // Root reads everything: there is nothing to refuse then, and this test says nothing.
        if std::fs::read(test.path(file)).is_ok() {
            return;
        }
        let message = format!("ganger: error: cannot read {file}: permission denied");
        refused(&test).stderr_has(&message).stderr_has("chmod u+r");
    }
}

#[test]
fn an_env_file_that_cannot_be_meant_so() {
    let table: [(&[u8], &str); 4] = [
        (
            b"A=1\nSECRET=\"hunter2\n",
            "the quote of `SECRET` is never closed
  --> .env:2:1
  hint: write the same quote at the end of the value, or put a value with a quote in it into the other quotes",
        ),
        (
            b"SECRET=hunt\0er2\n",
            "there is a NUL byte in the value of `SECRET`
  --> .env:1:12
  hint: save the file as UTF-8 text; a UTF-16 file is full of NUL bytes",
        ),
        (
            b"{\"SECRET\": \"hunter2\"",
            "the JSON ends too early
  --> .env:1:20
  hint: a file that begins with `{` is read as JSON; mend it or write KEY=value lines",
        ),
        (
            b"{\"SECRET\": \"hunter2\\u0000\"}",
            "there is a NUL byte in the value of `SECRET`
  --> .env:1:12
  hint: take the \\u0000 out; no environment variable can hold it",
        ),
    ];
    for (text, message) in table {
        refused_with(&app().file(".env", text), &format!("ganger: error: {message}\n"));
    }
}

#[test]
fn names_that_the_procfile_does_not_have() {
    let message = "no process is called `wbe`
  hint: did you mean `web`? The Procfile has `web`, `worker`, `release`
";
    for (args, from) in [
        (&["start", "wbe"][..], ""),
        (&["start", "web,wbe=2"], ""),
        (&["-m", "wbe=1"], "--formation: "),
        (&["-c", "wbe=2"], "--concurrency: "),
        (&["-x", "wbe"], "--exclude: "),
    ] {
        refused_with(&app().args(args), &format!("ganger: error: {from}{message}"));
    }
    for (option, value) in [("--timeout", "5"), ("--stop-signal", "INT"), ("--on-exit", "ignore")] {
        let item = format!("wbe={value}");
        let message =
            format!("ganger: error: {option} `{item}`: no process is called `wbe`; did you mean `web`?\n");
        refused_with(&app().args([option, &item]), &message);
    }
}

#[test]
fn numbers_of_processes_that_are_none() {
    for item in ["web=-1", "web=abc", "web=", "web=1.5", "web=70000"] {
        let message = |from: &str| {
            format!(
                "ganger: error: {from}`{item}`: a count is a whole number from 0 to 65535\n  hint: write NAME=COUNT, as in `web=2`\n"
            )
        };
        refused_with(&app().args(["start", item]), &message(""));
        refused_with(&app().args(["-m", item]), &message("--formation "));
        refused_with(&app().args(["-c", item]), &message("--concurrency "));
        refused_with(&app().var("GANGER_FORMATION", item), &message("GANGER_FORMATION "));
    }
}

#[test]
fn nothing_to_start() {
    let message = "ganger: error: nothing to start: every process has the count 0 or is excluded
  hint: let at least one process have a count above 0, as in `web=1`
";
    for args in [&["start", "all=0"][..], &["start", "web=0"], &["-m", "web=0"], &["-x", "web,worker"]] {
        refused_with(&app().args(args), message);
    }
}

#[test]
fn arguments_that_contradict_each_other() {
    refused_with(
        &app().args(["start", "web", "-m", "web=2"]),
        "ganger: error: processes are given both as arguments and with --formation
  hint: give them one way, as in `ganger start web=2 worker`
",
    );
}

#[test]
fn ports_that_are_none() {
    for port in ["0", "70000", "65536", "abc", "-1", "80x", ""] {
        let line = format!(
            "error: invalid value '{port}' for '--port <N|auto>': a port is a whole number from 1 to 65535"
        );
        refused_by_clap(&["-p", port], &line);
        refused_by_clap(&["start", "--port", port], &line);
    }
    let hint = "  hint: a port is a whole number from 1 to 65535; -p overrides it\n";
    for port in ["0", "70000", "abc", "-1", "7100x", "1.5"] {
        refused_with(
            &app().var("PORT", port),
            &format!("ganger: error: the value of `PORT` is no port (from shell)\n{hint}"),
        );
        refused_with(
            &app().file(".env", format!("A=1\nPORT={port}\n")),
            &format!("ganger: error: the value of `PORT` is no port\n  --> .env:2:1\n{hint}"),
        );
    }
}

#[test]
fn ports_that_would_be_too_high() {
    let hint = "  hint: give a lower base with -p, or a smaller --port-step\n";
    for (args, id) in [(&["-p", "65500"][..], "worker.1"), (&["-p", "65535", "start", "web=2"], "web.2")] {
        let message = format!("ganger: error: the port of {id} would be over 65535\n{hint}");
        refused_with(&app().args(args), &message);
    }
    refused_with(
        &app().args(["start", "web=101"]),
        "ganger: error: web=101: with a port for each, there can be at most 100 of one type
  hint: start fewer, or give --port-step or --no-port
",
    );
}

#[test]
fn values_of_options_that_cannot_be_read() {
    let table = [
        (
            "--timeout",
            "GANGER_TIMEOUT",
            &["abc", "-1", "worker=abc", "86401", "nan", "inf", ""][..],
            "a time is a number of seconds from 0 to 86400, as in `10` or `0.5`",
        ),
        (
            "--stop-signal",
            "GANGER_STOP_SIGNAL",
            &["FOO", "web=FOO", "99", "0"],
            "unknown signal; use a name such as TERM, INT, QUIT or HUP",
        ),
        ("--kill-mode", "GANGER_KILL_MODE", &["foo", "web=foo", "Group"], "expected `mixed` or `group`"),
        ("--on-exit", "GANGER_ON_EXIT", &["foo", "web=foo"], "it is `stop`, `ignore` or `restart`"),
    ];
    for (option, variable, values, reason) in table {
        for value in values {
            let message = |from: &str| format!("ganger: error: {from} `{value}`: {reason}\n");
            refused_with(&app().args([option, value]), &message(option));
            if !value.is_empty() {
                refused_with(&app().var(variable, value), &message(variable));
            }
        }
    }
}

#[test]
fn time_formats_that_cannot_be_written() {
    let table = [
        ("", "there is no time in it; write one as in `%H:%M:%S`"),
        ("1", "there is no time in it; write one as in `%H:%M:%S`"),
        ("%H%n", "it gives a line end, a tab or another control character"),
        ("%H\u{200b}", "it contains a character that hides or reorders text"),
        ("%H:%!", "found unrecognized specifier directive `!`"),
    ];
    for (format, reason) in table {
        let shown = format.replace('\u{200b}', r"\u{200b}");
        let line = format!("error: invalid value '{shown}' for '--timestamps[=<FMT>]': {reason}");
        refused_by_clap(&[&format!("--timestamps={format}")], &line);
        if !format.is_empty() {
            let finished = refused(&app().var("GANGER_TIMESTAMPS", format));
            assert!(finished.stderr.starts_with(line.as_bytes()), "{finished}");
        }
    }
}

#[test]
fn a_time_format_that_is_too_long() {
    let shown = format!("%H{}…", "x".repeat(98));
    let line = format!(
        "error: invalid value '{shown}' for '--timestamps[=<FMT>]': it produces more than 100 characters"
    );
    refused_by_clap(&[&format!("--timestamps=%H{}", "x".repeat(99))], &line);
    let fits = format!("--timestamps=%H{}", "x".repeat(98));
    Test::new().procfile("web: true\n").args([&fits]).run().code(0);
}

#[test]
fn names_to_mute_that_are_not_there() {
    let known = "the Procfile has `web`, `worker`, `release`";
    let table = [
        ("nobody", format!("no process is called `nobody`\n  hint: {known}")),
        ("wbe", "no process is called `wbe`\n  hint: did you mean `web`? The Procfile has `web`, `worker`, `release`".into()),
        ("web,nobody.2", format!("no process is called `nobody`\n  hint: {known}")),
        ("web,", "a process name is missing in `web,`\n  hint: write names or NAME=COUNT with commas between, as in `web=2,worker`".into()),
    ];
    for (names, message) in table {
        refused_with(&app().args(["--mute", names]), &format!("ganger: error: --mute: {message}\n"));
        refused_with(&app().var("GANGER_MUTE", names), &format!("ganger: error: GANGER_MUTE: {message}\n"));
    }
}

#[test]
fn folders_for_logs_that_are_none() {
    let folder = "name a folder that you may write to";
    let file = "move it away, or name another folder";
    let table = [
        ("Procfile", "Procfile: it is no folder", folder),
        ("Procfile/x", "Procfile/x: it is no folder", folder),
        ("/proc/none", "/proc/none: No such file or directory (os error 2)", folder),
        ("taken", "taken/web.1.log: it is a folder", file),
    ];
    for (folder, message, hint) in table {
        let message = |from: &str| format!("ganger: error: {from} {message}\n  hint: {hint}\n");
        let app = app().file("taken/web.1.log/x", "");
        refused_with(&app.clone().args(["--log-dir", folder]), &message("--log-dir"));
        refused_with(&app.var("GANGER_LOG_DIR", folder), &message("GANGER_LOG_DIR"));
    }
    refused_by_clap(
        &["--log-dir", ""],
        "error: a value is required for '--log-dir <DIR>' but none was supplied",
    );
}

#[test]
fn words_that_are_no_option_or_command() {
    refused_by_clap(&["--no-such"], "error: unexpected argument '--no-such' found");
    refused_by_clap(&["start", "--no-such"], "error: unexpected argument '--no-such' found");
    refused_by_clap(&["strat"], "error: unrecognized subcommand 'strat'");
    refused_by_clap(&["--color", "sometimes"], "error: invalid value 'sometimes' for '--color <WHEN>'");
    refused_by_clap(&["--format", "xml"], "error: invalid value 'xml' for '--format <FORMAT>'");
    refused(&app().var("GANGER_FORMAT", "xml")).stderr_has("[possible values: text, json]");
    refused(&app().args(["start", "--prot", "5"])).stderr_has("a similar argument exists: '--port'");
    refused(&app().args(["run"])).stderr_has("<CMD>...");
}

#[test]
fn check_finds_the_same_and_starts_nothing() {
    let check = |test: Test| refused(&test.args(["check"]));
    check(Test::new().procfile("web x\n")).stderr_has("--> Procfile:1:1");
    check(app().file(".env", "A='x\n")).stderr_has("--> .env:1:1");
    check(app().args(["-p", "65500"])).stderr_has("the port of worker.1 would be over 65535");
    let odd = app().file(".env", "A=1\njust words\n");
    refused(&odd.clone().args(["check", "--strict"])).stderr_has("--> .env:2:1");
    odd.args(["check"])
        .run()
        .code(0)
        .stdout("ok: 3 process types (web, worker, release)\n")
        .stderr_has("ganger: warning:");
}

#[test]
fn check_warns_of_a_command_that_is_not_there() {
    let test = Test::new().procfile("web: no-such-program-x $PORT\n").args(["check"]);
    test.run()
        .code(0)
        .stdout("ok: 1 process type (web)\n")
        .stderr("ganger: warning: web: `no-such-program-x` is not on the PATH\n");
}

#[test]
fn options_of_start_before_another_command() {
    for (args, option) in [
        (&["-t", "5", "check"][..], "--timeout is an option of `start`, not of `check`"),
        (&["-x", "web", "run", "true"], "--exclude is an option of `start`, not of `run`"),
    ] {
        refused_by_clap(args, &format!("error: {option}"));
    }
}

#[test]
fn steps_that_are_none() {
    for step in ["0", "65536", "abc", "-1", ""] {
        let line = format!(
            "error: invalid value '{step}' for '--port-step <N>': it is a whole number from 1 to 65535"
        );
        refused_by_clap(&["--port-step", step], &line);
    }
}

#[test]
fn a_bad_value_of_a_variable_names_the_variable() {
    for (variable, value) in [("GANGER_PORT", "abc"), ("GANGER_PORT_STEP", "0"), ("GANGER_COLOR", "blue")] {
        let tip = format!("\n  tip: the value comes from the variable {variable}\n");
        refused(&app().var(variable, value)).stderr_has(&tip);
        refused(&app().var(variable, value).args(["check"])).stderr_has(&tip);
    }
}
