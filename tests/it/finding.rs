//! Files that are missing or lie elsewhere, and variables that are misspelled: what is said of them.

use std::io::Write as _;

use crate::kit::Test;

fn app() -> Test {
    Test::new().procfile("web: gangling --print-env A\n")
}

#[test]
fn a_file_with_a_question_mark_may_be_missing() {
    let test = app().file("here.env", "A=here\n").args(["run", "web"]);
    for (list, expected) in
        [("here.env?", "A=here\n"), ("nope.env?", "A is not set\n"), ("nope?,here.env,no/such?", "A=here\n")]
    {
        let finished = app().file("here.env", "A=here\n").args(["-e", list, "run", "web"]).run();
        finished.code(0).stdout(expected).stderr("");
    }
    let of_file = test.clone().file("ganger.toml", "env = ['.env?', 'here.env?', 'nope?']\n");
    of_file.run().code(0).stdout("A=here\n").stderr("");
    let of_variable = test.var("GANGER_ENV", "here.env, nope?");
    of_variable.run().code(0).stdout("A=here\n").stderr("");
    // With `.env` in the list, or without.
    let none = app().file(".env", "A=default\n").args(["-e", "nope?", "run", "web"]);
    none.run().code(0).stdout("A is not set\n");
    let odd = app().file("odd?", "A=odd\n").args(["-e", "odd??", "run", "web"]);
    odd.run().code(0).stdout("A=odd\n");
    let folder = app().file("folder/x", "").args(["-e", "folder?", "check"]);
    folder.run().code(2).stderr_has("cannot read folder: it is a folder");
}

#[test]
fn a_broken_link_is_not_a_missing_file() {
    let test = app().args(["check"]);
    let warning = "ganger: warning: .env is a broken symbolic link\n  hint: restore the file it names, or remove the link\n";
    std::os::unix::fs::symlink("nope", test.path(".env")).expect("linked");
    test.clone().run().code(0).stderr(warning);
    test.clone().args(["-e", ".env?"]).run().code(0).stderr(warning);
    test.clone().args(["-e", ".env"]).run().code(2).stderr_has("cannot read .env: there is no such file");
    test.args(["--strict"]).run().code(2).stderr(&warning.replace("warning", "error"));
}

#[test]
fn a_procfile_elsewhere_is_named() {
    let dev = Test::new().file("Procfile.dev", "web: true\n");
    let hint = "  hint: use Procfile.dev with `ganger -f Procfile.dev`\n";
    for args in [&[][..], &["check"], &["start"]] {
        dev.clone()
            .args(args)
            .run()
            .code(2)
            .stderr(&format!("ganger: error: there is no Procfile at DIR/Procfile\n{hint}"));
    }
    let in_root = Test::new().file("app/Procfile.dev", "web: true\n").args(["-d", "app"]);
    in_root.run().code(2).stderr_has("  hint: use app/Procfile.dev with `ganger -f Procfile.dev`\n");

    let above = Test::new().procfile("web: true\n").file("sub/deep/x", "").cwd("sub/deep");
    for args in [&[][..], &["check"]] {
        above.clone().args(args).run().code(2).stderr(
            "ganger: error: there is no Procfile at DIR/sub/deep/Procfile
  hint: there is one in ../..: use it with `ganger -d ../..`
",
        );
    }
    let warning = "ganger: warning: there is no Procfile here, and the app in ../.. is not used
  hint: use it with `ganger -d ../..`
";
    above.clone().args(["run", "true"]).run().code(0).stderr(warning);
    above.clone().args(["config", "--show-secrets"]).run().code(0).stderr(warning);
    above.clone().args(["-d", "../..", "run", "true"]).run().code(0).stderr("");
    above.args(["-d", ".", "run", "true"]).run().code(0).stderr("");
}

#[test]
fn a_misspelled_variable_is_told() {
    let warning = "ganger: warning: there is no option `GANGER_TIMSTAMPS`; it has no effect
  hint: did you mean `GANGER_TIMESTAMPS`?
";
    let test = app().var("GANGER_TIMSTAMPS", "%H");
    test.clone().args(["check"]).run().code(0).stderr(warning);
    test.clone().args(["run", "web"]).run().code(0).stderr(warning);
    test.clone().run().code(0).stderr(warning);
    test.args(["check", "--strict"]).run().code(2);
    let others =
        app().var("GANGER_MY_OWN", "1").var("GANGER_PROCESS_WEB_PORT", "1").var("GANGER_SOCKET", "/x/y");
    others.args(["check"]).run().code(0).stderr("");
}

#[test]
fn options_are_not_passed_on_to_processes() {
    let all = [
        "PROCFILE",
        "ENV",
        "ROOT",
        "PORT_STEP",
        "COLOR",
        "FORMATION",
        "EXCLUDE",
        "TIMEOUT",
        "STOP_SIGNAL",
        "KILL_MODE",
        "ON_EXIT",
        "WAIT_TIMEOUT",
        "PTY",
        "NO_TIMESTAMPS",
        "DETACH_KEY",
    ];
    let values = [
        "Procfile", "a.env", ".", "10", "auto", "web", "worker", "3", "INT", "group", "ignore", "9", "never",
        "1", "ctrl-a",
    ];
    let command = "sh -c 'env | sort | grep -E ^GANGER_ | grep -v MARK'";
    let mut test = Test::new()
        .procfile(format!("web: {command}\nworker: true\n"))
        // What is written for the processes is theirs.
        .file("a.env", "GANGER_CONCURRENCY=web=1\n")
        .file("ganger.toml", "[process.web.env]\nGANGER_MUTE = 'x'\n")
        .var("GANGER_SOCKET", "sock")
        .var("GANGER_OTHER", "other");
    for (name, value) in all.iter().zip(values) {
        test = test.var(format!("GANGER_{name}"), value);
    }
    let common = ["GANGER_OTHER=other", "GANGER_PROCESS_WEB_PORT=PORT", "GANGER_PROCESS_WORKER_PORT=PORT+10"];
    let (concurrency, mute, socket) = ("GANGER_CONCURRENCY=web=1", "GANGER_MUTE=x", "GANGER_SOCKET=sock");
    let of_process = [concurrency, mute, common[0], common[1], common[2], socket];
    let of_command = [concurrency, common[0], common[1], common[2], socket];
    let finished = test.clone().run().code(0);
    let lines: Vec<String> = finished
        .tidy(&finished.stdout)
        .lines()
        .filter_map(|line| Some(line.split_once("web.1  | ")?.1.to_owned()))
        .collect();
    assert_eq!(lines, of_process, "{finished}");
    let entry = test.clone().args(["run", "web"]).run().code(0);
    assert_eq!(entry.tidy(&entry.stdout).lines().collect::<Vec<_>>(), of_process);
    let words = ["sh", "-c", "env | sort | grep -E ^GANGER_ | grep -v MARK"];
    let run = test.clone().args(["run"]).args(words).run().code(0);
    assert_eq!(run.tidy(&run.stdout).lines().collect::<Vec<_>>(), of_command);
    let beside = test.clone().args(["start", "worker", "--"]).args(words).run().code(0);
    assert_eq!(beside.tidy(&beside.stdout).lines().collect::<Vec<_>>(), of_command);
    let config = test.args(["config"]).run().code(0);
    let shown = config.tidy(&config.stdout);
    assert_eq!(shown.lines().filter(|line| line.starts_with("GANGER_TIMEOUT")).count(), 0, "{shown}");
}

#[test]
fn a_variable_that_is_not_expanded_is_noted() {
    let env = r#"APP_NAME=Shop
MAIL_FROM="${APP_NAME}"
PATH_OF_TOOLS=./bin:$HOME
QUOTED='${APP_NAME}'
PASSWORD=pa$word${}$
"#;
    let test = app().file(".env", env);
    test.clone().args(["check", "--strict"]).run().code(0).stderr(
        "ganger: note: `$APP_NAME` is not expanded at .env:2 (1 more of this kind); --expand expands it\n",
    );
    test.args(["check", "--expand"]).run().code(0).stderr("");
}

#[test]
fn a_line_with_a_colon_gets_a_fitting_hint() {
    let test = app().file(".env", "API_KEY: hunter2\nsome words\n").args(["check"]);
    let finished = test.run().code(0).stderr_has(
        "ganger: warning: there is no `=` on this line; it is skipped
  --> .env:1:1
  hint: write KEY=value instead of KEY: value
",
    );
    let finished = finished.stderr_has("hint: write KEY=value, or # in front of a comment\n");
    assert!(!finished.tidy(&finished.stderr).contains("hunter2"), "{finished}");
}

/// Not as root in a container of its own kind: that may not have these.
#[test]
fn a_system_error_names_what_is_missing() {
    let run = |script: &str, args: &[&str]| {
        let script = format!("exec unshare --map-root-user --mount sh -c '{script}; exec \"$@\"' sh \"$@\"");
        let test = Test::new().procfile("worker: true\n").args(args).by_shell(&script);
        test.run()
    };
    let can = std::process::Command::new("unshare").args(["--map-root-user", "--mount", "true"]).status();
    if !can.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "unshare(1) is needed");
        let _ = writeln!(std::io::stderr(), "skipped: unshare(1) cannot make a mount namespace here");
        return;
    }
    let no_pty =
        run("mount -t tmpfs none /dev/pts && mount --bind /dev/pts /dev 2>/dev/null", &["--pty", "always"]);
    no_pty.stdout_has("worker.1 could not be started: cannot open /dev/ptmx: no such file");
    let no_null = run("mount -t tmpfs none /dev", &["-D"]);
    no_null.code(1).stderr("ganger: error: starting the daemon: cannot open /dev/null: no such file\n");
}

#[test]
fn a_root_that_is_gone_is_named() {
    let test =
        Test::new().file("app/Procfile", "web: rmdir sub && gangling --exit 1\n").file("app/sub/x", "");
    std::fs::remove_file(test.path("app/sub/x")).expect("removed");
    let test = test
        .file("app/ganger.toml", "on-exit = 'restart'\n[process.web]\ncwd = 'sub'\n")
        .file("app/Procfile", "web: rmdir ../sub; gangling --wait\n")
        .args(["-d", "app"]);
    let running = test.start();
    running.wait_ready("web.1");
    test.beside(["-d", "app", "restart", "web"])
        .code(1)
        .stderr_has("cannot start in DIR/app/sub: no such directory");
    running.stop(nix::sys::signal::Signal::SIGINT);
}
