//! What a cloned repository can put where ganger looks for its files: nothing there makes it wait
//! forever, use up memory or flood the terminal.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::kit::{Finished, Test};

/// An app whose ganger may use this much memory: more than it needs, and less than a machine has.
fn app() -> Test {
    Test::without_ports().procfile("web: true\n").by_shell("ulimit -v 524288; exec \"$@\"")
}

/// Asserts that the output is not more than a screen or two, whatever is wrong.
#[track_caller]
fn short(finished: Finished) -> Finished {
    let size = finished.stdout.len() + finished.stderr.len();
    assert!(size < 16 * 1024, "{size} bytes of messages");
    finished
}

fn fifo(test: &Test, name: &str) {
    nix::unistd::mkfifo(&test.path(name), nix::sys::stat::Mode::S_IRWXU).expect("made");
}

#[test]
fn a_pipe_or_a_device_in_place_of_a_file_is_refused_at_once() {
    for name in ["Procfile", ".env", "ganger.toml"] {
        for device in [None, Some("/dev/zero"), Some("/dev/random"), Some("/dev/tty")] {
            let test = app();
            let _ = std::fs::remove_file(test.path(name));
            let what = if let Some(device) = device {
                symlink(device, test.path(name)).expect("linked");
                "a device"
            } else {
                fifo(&test, name);
                "a named pipe (FIFO)"
            };
            let message = format!("ganger: error: cannot read {name}: it is {what}, not a file\n  hint: ");
            for args in [&["check"][..], &["config"], &["start"], &["run", "true"]] {
                short(test.clone().args(args).run()).code(2).stdout("").stderr_has(&message);
            }
            // They only need to know where the app is.
            for args in [&["ps"][..], &["stop"], &["logs"]] {
                short(test.clone().args(args).run()).code(1).stderr_has("ganger does not run in DIR");
            }
        }
    }
}

#[test]
fn a_pipe_is_read_if_the_user_names_it() {
    let test = app();
    for name in ["env", "procs"] {
        fifo(&test, name);
    }
    let write = |name: &str, text: &str| {
        let (path, bytes) = (test.path(name), text.as_bytes().to_owned());
        std::thread::spawn(move || std::fs::write(path, bytes).expect("written"))
    };
    let print = ["run", "--", "printenv", "A"];
    let writer = write("env", "A=1\n");
    test.clone().args(["-e", "env"]).args(print).run().code(0).stdout("1\n");
    writer.join().expect("written");
    let writer = write("env", "A=2\n");
    test.clone().var("GANGER_ENV", "env").args(print).run().code(0).stdout("2\n");
    writer.join().expect("written");
    let writer = write("procs", "web: true\nworker: true\n");
    let check = test.clone().args(["-f", "procs", "check"]).run().code(0);
    check.stdout("ok: 2 process types (web, worker)\n");
    writer.join().expect("written");
    for path in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        let check = test.clone().stdin("job: true\n").args(["-f", path, "check"]).run().code(0);
        check.stdout("ok: 1 process type (job)\n");
    }
    // A pipe that the repository names is not waited for.
    for toml in ["env = 'env'\n", "procfile = 'procs'\n", "env = '/dev/zero'\n"] {
        let check = test.clone().file("ganger.toml", toml).args(["check"]).run();
        check.code(2).stdout("").stderr_has(", not a file\n");
    }
}

#[test]
fn a_pipe_is_not_read_again_by_reload() {
    let test = Test::without_ports().procfile("web: exec gangling --wait\n").args(["-e", "env"]);
    fifo(&test, "env");
    let path = test.path("env");
    let writer = std::thread::spawn(move || std::fs::write(path, "A=1\n").expect("written"));
    let running = test.start();
    running.wait_ready("web.1");
    writer.join().expect("written");
    let reload = test.beside(["reload"]);
    reload.code(2).stderr_has("cannot read env: it is a named pipe (FIFO), not a file");
    running.finish();
}

#[test]
fn the_null_device_is_an_empty_file() {
    let test = app();
    test.clone().args(["-e", "/dev/null", "check"]).run().code(0).stderr("");
    for name in [".env", "ganger.toml"] {
        symlink("/dev/null", test.path(name)).expect("linked");
    }
    test.clone().args(["check"]).run().code(0).stderr("");
    let test = app().file("ganger.toml", "env = '/dev/null'\n");
    test.args(["check"]).run().code(0).stderr("");
}

#[test]
fn files_over_the_limit_are_refused() {
    for name in ["Procfile", ".env", "ganger.toml"] {
        let test = app();
        let file = std::fs::File::create(test.path(name)).expect("created");
        // A sparse file.
        file.set_len(100 * 1024 * 1024).expect("grown");
        let message = format!(
            "ganger: error: cannot read {name}: file too large (the limit is 16 MiB)\n  \
             hint: check the path: is it the file you meant?\n"
        );
        for args in [&["check"][..], &["start"]] {
            test.clone().args(args).run().code(2).stdout("").stderr(&message);
        }
        test.args(["ps"]).run().code(1).stderr_has("ganger does not run in DIR");
    }
    let endless = app().args(["-f", "/dev/stdin", "check"]);
    let endless = endless.by_shell("ulimit -v 524288; exec \"$@\" < /dev/zero").run().code(2);
    endless.stderr_has("cannot read /dev/stdin: file too large (the limit is 16 MiB)");
}

#[test]
fn a_link_to_a_file_and_a_file_without_a_size_are_read() {
    let test = app().file("shared/env", "A=1\n");
    symlink("shared/env", test.path(".env")).expect("linked");
    test.clone().args(["run", "--", "printenv", "A"]).run().code(0).stdout("1\n");
    let proc = Path::new("/proc/self/comm");
    let run = test.args(["-e", proc.to_str().expect("text"), "run", "true"]).run();
    run.code(0).stderr_has("there is no `=` on this line");
}

/// Asserts that each command fails with `message`, with short output and little memory.
#[track_caller]
fn refused(test: &Test, message: &str) {
    for args in [&["check"][..], &["start"], &["config"]] {
        short(test.clone().args(args).run()).code(2).stdout("").stderr_has(message);
    }
}

#[test]
fn values_that_double_with_each_line_are_refused() {
    for levels in [26, 40] {
        let mut env = "A0=xxxxxxxxxx\n".to_owned();
        for level in 0..levels {
            writeln!(env, "A{}=$A{level}$A{level}", level + 1).expect("written");
        }
        let test = app().file(".env", &env).file("ganger.toml", "expand = true\n");
        refused(
            &test,
            "the value of `A17` is too long after its `$NAME`s are replaced\n  --> .env:18:1\n  hint: ",
        );
        // Otherwise it is ordinary text.
        app().file(".env", env).args(["check"]).run().code(0).stderr(&format!(
            "ganger: note: `$A0` is not expanded at .env:2 ({} more of this kind); --expand expands it\n",
            levels - 1
        ));
    }
}

#[test]
fn names_in_json_that_grow_with_each_level_are_refused() {
    let (open, close, items) = ("[".repeat(100), "]".repeat(100), vec!["1"; 500].join(","));
    let json = |length| format!("{{\"{}\":{open}{items}{close}}}", "k".repeat(length));
    refused(&app().file(".env", json(2_000_000)), "the name of this value is too long: more than 128 KiB");
    refused(
        &app().file(".env", json(100_000)),
        "the names of the values are too long in total: more than 16 MiB",
    );
}

#[test]
fn files_at_the_size_limit_take_little_memory() {
    let size = 16 * 1024 * 1024;
    let fill = |line: &str| line.repeat(size / line.len());
    // One command is enough: reading this much takes a while in a debug build.
    let refused = |test: Test, message: &str| {
        short(test.args(["check"]).run()).code(2).stdout("").stderr_has(message);
    };
    let lines = fill("# a comment like any other\n");
    app().file(".env", &lines).args(["check"]).run().code(0).stderr("");
    app().file("ganger.toml", &lines).args(["check"]).run().code(0).stderr("");
    app()
        .procfile(lines + "# this line is the one too much\nweb: true\n")
        .args(["check"])
        .run()
        .code(2)
        .stderr_has("file too large");
    let procfile = format!("web: true\n{}", fill("# a comment like any other\n").split_off(27));
    app().procfile(procfile).args(["check"]).run().code(0).stdout("ok: 1 process type (web)\n").stderr("");
    refused(app().procfile(fill("a b\n")), "more problems; this is the first\n  --> Procfile:21:1\n");
    refused(app().procfile(fill("\n")), "no process in this file");
    refused(app().file("ganger.toml", fill("\n")), "too many keys and values");
    refused(app().file("ganger.toml", fill("a=1\n")), "too many keys and values");
    refused(app().file(".env", fill("A=1\n")), "more than 100000 variables");
    let warned = app().file(".env", fill("a b\n")).args(["check"]).run().code(0);
    short(warned).stderr_has("more problems; this is the first\n  --> .env:21:1\n");
}

#[test]
fn twenty_problems_of_a_file_are_shown() {
    let mut keys = String::new();
    for number in 0..20_000 {
        writeln!(keys, "key{number} = 'x'").expect("written");
    }
    refused(
        &app().file("ganger.toml", &keys),
        "19980 more problems; this is the first\n  --> ganger.toml:21:1\n",
    );
    let mut procfile = String::new();
    for number in 0..50 {
        writeln!(procfile, "p{number}: no-such-program-{number}").expect("written");
    }
    let test = app().procfile(procfile).args(["check"]);
    let finished = test
        .run()
        .code(0)
        .stderr_has("ganger: warning: the programs of 30 more process types cannot be started\n");
    assert_eq!(String::from_utf8_lossy(&finished.stderr).lines().count(), 21);
}

#[test]
fn very_long_words_are_truncated() {
    let long = "x".repeat(1_000_000);
    for toml in [
        format!("{long} = 1\n"),
        format!("port = '{long}'\n"),
        format!("formation = '{long}'\n"),
        format!("root = '{long}'\n"),
        format!("[process.{long}]\n"),
        format!("[process.web]\nready = '{long}'\n"),
        format!("[process.web]\ncwd = '{long}'\n"),
    ] {
        let test = app().file("ganger.toml", toml);
        short(test.args(["check"]).run()).code(2).stdout("").stderr_has("ganger: error: ");
    }
    refused(&app().procfile(format!("{long}: true\n")), "the name is too long: 1000000 characters");
    let check = app().procfile(format!("web: {}\n", &long[..100_000])).args(["check"]).run();
    short(check.code(0)).stderr_has("xxx…` is not on the PATH\n");
}

#[test]
fn many_process_types_are_checked_quickly() {
    let mut procfile = String::new();
    for number in 0..20_000 {
        writeln!(procfile, "p{number}: true").expect("written");
    }
    let test = app().procfile(procfile);
    let ok = "ok: 20000 process types (p0, p1, ";
    short(test.clone().args(["check"]).run()).code(0).stdout_has(ok).stderr("");
    let stepped = test.clone().without("GANGER_NO_PORT").args(["--port-step", "1", "check"]);
    short(stepped.run()).code(0).stdout_has(ok).stderr("");
    let mut toml = String::new();
    for number in 0..2_000 {
        writeln!(toml, "[process.p{number}]\nwait-for = 'p{}'", (number + 1) % 2_000).expect("written");
    }
    let circle = short(test.clone().file("ganger.toml", toml).args(["check"]).run()).code(2);
    circle.stderr_has("these would wait for one another for ever: p0 → p1 → ").stderr_has(" → …\n");
    let many = app().file("ganger.toml", "formation = 'all=65535'\n").procfile("web: true\nworker: true\n");
    let message =
        "ganger: error: too many processes: 131070 (an app can have at most 32768)\n  hint: start fewer";
    for args in [&["check"][..], &["start"]] {
        many.clone().args(args).run().code(2).stdout("").stderr_has(message);
    }
    let counts = app().file("ganger.toml", "formation = 'web=999999999'\n");
    refused(&counts, "`web=999999999`: a count is a whole number from 0 to 65535");
}

#[test]
fn scale_has_the_same_limit() {
    let test = Test::without_ports().procfile("web: exec gangling --wait\nworker: exec gangling --wait\n");
    let running = test.start();
    running.wait_ready("web.1");
    running.wait_ready("worker.1");
    let scale = |count: &str| test.beside(["scale", count]).code(2);
    scale("all=65535").stderr_has("too many processes: 131070 (an app can have at most 32768)");
    scale("web=1000000000").stderr_has("a count is a whole number from 0 to 65535");
    assert_eq!(test.world().alive().len(), 5, "three of ganger's own and the two");
    running.finish();
}

#[test]
fn a_variable_that_no_process_can_get_is_named() {
    let long = format!("A=1\nBIG={}\n", "x".repeat(140_000));
    let test =
        Test::without_ports().procfile("web: touch started\n").file("big.env", long).args(["-e", "big.env"]);
    let message = |what: &str| {
        format!(
            "ganger: error: the variable `BIG` (big.env:2) is too long to pass to {what}: 140004 bytes\n  \
             hint: the limit is 131071 bytes for name and value; keep a long value in a file, and the \
             file's path in the variable\n"
        )
    };
    for args in [&["check"][..], &["start"], &["start", "--pty", "always"]] {
        test.clone().args(args).run().code(2).stdout("").stderr(&message("web.1"));
    }
    test.clone().args(["run", "--", "printenv", "A"]).run().code(126).stdout("").stderr(&message("printenv"));
    test.clone().args(["start", "--", "printenv", "A"]).run().code(2).stdout("").stderr(&message("web.1"));
    assert!(!test.path("started").exists());
    // Without a process to start, it is only shown.
    test.args(["config", "--json"]).run().code(0).stderr("");
    let toml = format!("[process.web.env]\nBIG = '{}'\n", "x".repeat(140_000));
    let test = Test::without_ports().procfile("web: true\n").file("ganger.toml", toml).args(["check"]);
    test.run()
        .code(2)
        .stderr_has("the variable `BIG` (ganger.toml:2) is too long to pass to web.1: 140004 bytes");
    let test = Test::without_ports().procfile(format!("web: : {}\n", "x".repeat(140_000))).args(["check"]);
    test.run().code(2).stderr_has("the command of web.1 is too long to start: 140002 bytes\n");
    let test = Test::without_ports().procfile(format!("web: : {}\n", "x".repeat(140_000)));
    test.run().code(1).stdout_has("its command and environment are too long together").stdout_has(
        "hint: the command of web.1 is too long to start: 140002 bytes; the limit is 131071 bytes",
    );
}

#[test]
fn an_environment_that_is_too_large_is_reported() {
    let mut env = String::new();
    for number in 0..70 {
        writeln!(env, "N{number}={}", "x".repeat(if number == 3 { 120_000 } else { 100_000 }))
            .expect("written");
    }
    let test = Test::without_ports().procfile("web: true\n").file(".env", env);
    for (args, code) in [(&["check"][..], 2), (&["start"], 2), (&["run", "true"], 126)] {
        // The limit of the system depends on that of the stack.
        let limited =
            test.clone().args(args).by_shell("ulimit -Ss 8192; exec \"$@\"").run().code(code).stdout("");
        limited
            .stderr_has("ganger: error: the environment of ")
            .stderr_has("; the limit is 2097152\n  hint: the longest are `N3` (.env:4), ")
            .stderr_has("; the limit is a quarter of `ulimit -s`, at most 6 MiB\n");
    }
}
