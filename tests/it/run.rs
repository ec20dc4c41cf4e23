//! `ganger run`: a command, as it would run without ganger but with the app's environment.

use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};

use crate::kit::{Test, field, proc};

fn app() -> Test {
    Test::new().procfile("web: echo \"web on $PORT as $PS\"\ntrue: echo mine\n").file(".env", "A=1\n")
}

#[test]
fn arguments_arrive_as_they_are() {
    let words = ["two  blanks", "it's", "\"q\"", "$HOME", "*", "a\\b", "", "-x", "--", "--help", "ü\n"];
    let finished = app().args(["run", "printf", "[%s]"]).args(words).run().code(0).stderr("");
    let expected: String = words.map(|word| format!("[{word}]")).concat();
    assert_eq!(String::from_utf8_lossy(&finished.stdout), expected);
}

#[test]
fn options_of_ganger_end_with_the_command() {
    app().args(["run", "-p", "6000", "echo", "-p", "x", "--no-env"]).run().code(0).stdout("-p x --no-env\n");
}

#[test]
fn stdin_and_stdout_are_the_command_s() {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend(bytes.repeat(1000));
    let finished = app().args(["run", "cat"]).stdin(&bytes).run().code(0).stderr("");
    assert!(finished.stdout == bytes, "not what went in");
    app().args(["run", "sh", "-c", "echo out; echo err >&2"]).run().code(0).stdout("out\n").stderr("err\n");
}

#[test]
fn the_status_is_the_command_s() {
    for code in [0, 1, 3, 255] {
        app().args(["run", "sh", "-c", &format!("exit {code}")]).run().code(code).stdout("").stderr("");
    }
    app().args(["run", "gangling", "--kill-self", "KILL"]).run().code(137).stderr("");
    app().args(["run", "gangling", "--kill-self", "SEGV"]).run().code(139);
    // What a signal of the user's ends, the shell should see ended so.
    app().args(["run", "gangling", "--kill-self", "TERM"]).run().killed_by(SIGTERM);
}

#[test]
fn a_command_that_does_not_run_gets_a_hint() {
    let test = app().var("PATH", "/usr/bin:/bin");
    test.clone().args(["run", "no-such-program-x"]).run().code(127).stdout("").stderr(
        "ganger: error: no-such-program-x: command not found
  hint: the PATH searched is /usr/bin:/bin; entries of the Procfile: web, true
",
    );
    test.clone()
        .args(["run", "echo hello"])
        .run()
        .code(127)
        .stderr_has("leave the quotes out: ganger run echo hello");
    let script = test.file("script", "#!/bin/sh\n");
    script.args(["run", "./script"]).run().code(126).stdout("").stderr(
        "ganger: error: ./script: permission denied: the file is not executable
  hint: make it executable: `chmod +x DIR/script`
",
    );
    let huge = app().file(".env", format!("HUGE={}\n", "x".repeat(200_000)));
    huge.args(["run", "ls"]).run().code(126).stdout("").stderr(
        "ganger: error: the variable `HUGE` (.env:1) is too long to pass to ls: 200005 bytes
  hint: the limit is 131071 bytes for name and value; keep a long value in a file, and the file's path in the variable
",
    );
    app().args(["run", "/"]).run().code(126).stderr_has("/: it is a directory\n");
    let hint = "  hint: an entry of the Procfile takes no arguments: `ganger run web`\n";
    app().args(["run", "web", "extra"]).run().code(127).stderr_has(hint);
}

#[test]
fn pwd_is_the_root_as_it_was_given() {
    let test = Test::new().file("app/Procfile", "web: true\n").file("app/deep/x", "").file("other/x", "");
    std::os::unix::fs::symlink(test.path("app"), test.path("link")).expect("linked");
    let shown = |test: Test, args: &[&str]| {
        let command = ["run", "gangling", "--print-env", "PWD", "--print-env", "OLDPWD"];
        let finished = test.args(args).args(command).run().code(0);
        finished.tidy(&finished.stdout)
    };
    let dir = test.dir().to_str().expect("text").to_owned();
    let (in_app, in_link) = (format!("{dir}/app"), format!("{dir}/link"));
    let caller = test.clone().var("PWD", &dir).var("OLDPWD", "/");
    for (args, pwd) in [
        (&["-d", "app"][..], "DIR/app"),
        (&["-d", "./app/deep/.."], "DIR/app"),
        (&["-f", "app/Procfile"], "DIR/app"),
        (&["-d", "link"], "DIR/link"),
        // The link leads to where its `..` is another directory.
        (&["-d", "link/deep/.."], "DIR/link"),
    ] {
        assert_eq!(shown(caller.clone(), args), format!("PWD={pwd}\nOLDPWD is not set\n"), "{args:?}");
    }
    let there = test.clone().cwd("app").var("OLDPWD", "/");
    // Where we are is as the shell says, if that is true.
    for (said, pwd) in [(&in_app, "DIR/app"), (&in_link, "DIR/link"), (&dir, "DIR/app")] {
        let shown = shown(there.clone().var("PWD", said), &[]);
        assert_eq!(shown, format!("PWD={pwd}\nOLDPWD=/\n"), "{said}");
    }
    assert_eq!(
        shown(test.cwd("other").var("PWD", &dir), &["-d", "../app"]),
        "PWD=DIR/app\nOLDPWD is not set\n"
    );

    let beside =
        Test::new().file("app/Procfile", "worker: gangling --wait\n").args(["-d", "app", "start", "--"]);
    let beside = beside.args(["sh", "-c", "exec gangling --print-env PWD"]).var("PWD", "/");
    beside.run().code(0).stdout("PWD=DIR/app\n");
}

#[test]
fn a_command_needs_no_good_port() {
    let test = app().var("PORT", "/dev/ttyUSB0");
    test.clone().args(["run", "gangling", "--print-env", "PORT"]).run().code(0).stdout("PORT=/dev/ttyUSB0\n");
    test.args(["run", "web"]).run().code(2).stderr_has("the value of `PORT` is no port (from shell)");
}

#[test]
fn the_path_is_the_app_s() {
    let test = Test::new().file("bin/tool", "#!/bin/sh\necho tool\n").args(["run", "tool"]);
    std::fs::set_permissions(test.path("bin/tool"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("changed");
    let path = format!("PATH={}:/usr/bin:/bin\n", test.path("bin").display());
    test.file(".env", path).run().code(0).stdout("tool\n");
}

#[test]
fn a_name_is_an_entry_of_the_procfile() {
    app().args(["run", "web"]).run().code(0).stderr("").stdout("web on PORT as web.1\n");
    app().args(["run", "true"]).run().code(0).stdout("mine\n");
    app().args(["run", "--", "true"]).run().code(0).stdout("");
    app().args(["run", "true", "--"]).run().code(0).stdout("");
    app().args(["run", "--", "web"]).run().code(127);
}

#[test]
fn it_has_the_ports_of_others_and_none_of_its_own() {
    let print = ["A", "PORT", "PS", "GANGER_PROCESS_WEB_PORT", "GANGER_PROCESS_TRUE_PORT"];
    let test = app().without("PORT").args(["-p", "6000", "run", "gangling"]);
    let test = test.args(print.iter().flat_map(|name| ["--print-env", name]));
    test.run().code(0).stdout(
        "A=1
PORT is not set
PS is not set
GANGER_PROCESS_WEB_PORT=6000
GANGER_PROCESS_TRUE_PORT=6100
",
    );
}

#[test]
fn no_procfile_is_needed_and_no_port_is_tried() {
    let test = Test::new();
    let _listener = std::net::TcpListener::bind(("127.0.0.1", test.port())).expect("a free port");
    test.clone().args(["run", "echo", "hello"]).run().code(0).stdout("hello\n").stderr("");
    test.procfile("web: echo hello\n").args(["run", "web"]).run().code(0).stdout("hello\n");
    Test::new()
        .procfile("broken\n")
        .args(["run", "true"])
        .run()
        .code(2)
        .stdout("")
        .stderr_has("--> Procfile:1:1");
}

#[test]
fn it_runs_in_the_root() {
    let test = Test::new().file("sub/Procfile", "web: pwd\n").args(["-d", "sub", "run", "pwd"]);
    test.run().code(0).stdout("DIR/sub\n");
}

#[test]
fn without_a_terminal_every_signal_is_handed_on_once() {
    let app = app().args(["run", "gangling", "--log-signals", "INT,TERM,HUP,QUIT,USR1", "--linger", "300"]);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let running = app.start();
        running.wait_for_text(1, "ready ");
        running.signal(SIGUSR1);
        running.wait_for_text(1, "got SIGUSR1 1");
        running.signal(SIGQUIT);
        running.wait_for_text(1, "got SIGQUIT 1");
        // To the whole group, as `timeout` does.
        running.signal_group(signal);
        let finished = running.wait().code(0);
        let printed = String::from_utf8_lossy(&finished.stdout).into_owned();
        let got: Vec<&str> =
            printed.lines().filter_map(|line| line.split_once(" got ")).map(|(_, it)| it).collect();
        assert_eq!(got, ["SIGUSR1 1", "SIGQUIT 1", &format!("{signal} 1")], "{finished}");
    }
}

#[test]
fn a_signal_that_ends_the_command_ends_ganger_so() {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let running = app().args(["run", "gangling", "--wait"]).start();
        running.wait_for_text(1, "ready ");
        running.stop(signal).killed_by(signal);
    }
}

#[test]
fn what_the_command_leaves_is_ended() {
    let leave = ["run", "gangling", "--spawn", "--setsid --wait", "--daemon", "--wait", "--exit", "4"];
    app().args(leave).run().code(4);
}

#[test]
fn a_killed_guard_takes_the_command_with_it() {
    let running = app().args(["run", "gangling", "--daemon", "--wait", "--wait"]).start();
    running.wait_for_text(1, "ready ");
    let guard = running.own_pids().guard;
    proc::send(guard, nix::sys::signal::Signal::SIGKILL);
    running.wait();
}

#[test]
fn without_a_terminal_it_has_a_group_of_its_own() {
    let finished = app().args(["run", "gangling", "--print-ids"]).run().code(0);
    let line = String::from_utf8_lossy(&finished.stdout).into_owned();
    assert_eq!(field(line.trim_end(), "pid"), field(line.trim_end(), "pgid"), "{line}");
}
