//! `ganger.toml`: options beside the Procfile.

use crate::kit::{Finished, Terminal, Test};

/// Processes that end by themselves; ganger ends when all have.
fn app(toml: &str) -> Test {
    Test::new()
        .procfile("web: gangling --print-env A --print-env B\nworker: gangling --print-env A\n")
        .file("ganger.toml", format!("on-exit = 'ignore'\n{toml}"))
}

#[track_caller]
fn ends(test: &Test) -> Finished {
    test.run().code(0).stderr("")
}

fn started(finished: &Finished) -> Vec<String> {
    let lines = finished.lines_of("system").into_iter();
    lines.filter_map(|line| Some(line.split_once(" started")?.0.to_owned())).collect()
}

#[test]
fn flags_win_over_variables_and_these_over_the_file() {
    let test = app("formation = 'web=2'\n");
    assert_eq!(started(&ends(&test)), ["web.1", "web.2"]);
    let test = test.var("GANGER_FORMATION", "worker=2");
    assert_eq!(started(&ends(&test)), ["worker.1", "worker.2"]);
    assert_eq!(started(&ends(&test.clone().args(["-m", "all=1"]))), ["web.1", "worker.1"]);
    assert_eq!(started(&ends(&test.args(["start", "web"]))), ["web.1"], "arguments win over both");

    let table = [
        (&[][..], None, "7001"),
        (&[], Some(("GANGER_PORT", "7002")), "7002"),
        (&["-p", "7003"], Some(("GANGER_PORT", "7002")), "7003"),
        // An empty variable is none.
        (&[], Some(("GANGER_PORT", "")), "7001"),
    ];
    for (args, variable, port) in table {
        let mut test = app("port = 7001\n").args(args).args(["config"]);
        if let Some((key, value)) = variable {
            test = test.var(key, value);
        }
        test.run().code(0).stdout_has(&format!("\nPORT={port}\n"));
    }
}

#[test]
fn of_one_wish_only_the_strongest_is_heard() {
    let test = app("no-port = true\nno-env = true\nno-timestamps = true\n").file(".env", "A=file\n");
    let config = |args: &[&str]| test.clone().args(["config"]).args(args).run().code(0);
    config(&[]).stdout_has("\nPORT=PORT\n");
    config(&["-p", "7003"]).stdout_has("\nPORT=7003\n");
    config(&["-e", ".env"]).stdout_has("A=file\n");
    let no = test.clone().var("GANGER_NO_ENV", "0").args(["config"]);
    no.run().code(0).stdout_has("A=file\n");
    let finished = ends(&test);
    assert!(String::from_utf8_lossy(&finished.stdout).starts_with("system   | "), "{finished}");
    ends(&test.args(["--timestamps=[%H]"])).stdout_has("] web.1    | A is not set\n");
}

#[test]
fn a_process_may_take_longer_than_all_others() {
    let stubborn = "gangling --ignore TERM --wait";
    let app = |toml: &str| {
        Test::new().procfile(format!("web: {stubborn}\nworker: {stubborn}\n")).file("ganger.toml", toml)
    };
    // How long ganger itself says it waited: nothing here depends on the machine.
    let waited = |test: Test| -> Vec<String> {
        let running = test.start();
        running.wait_ready("web.1");
        running.wait_ready("worker.1");
        running.signal(nix::sys::signal::Signal::SIGTERM);
        let finished = running.wait();
        let lines = finished.lines_of("system").into_iter();
        let killed = lines.filter(|line| line.contains("did not stop within"));
        let mut killed: Vec<String> = killed
            .map(|line| line.replace(" did not stop within ", " ").replace(" s, killing it", ""))
            .collect();
        killed.sort();
        killed
    };
    let toml = "timeout = [0.3, 'worker=9']\n[process.worker]\ntimeout = 0.1\n";
    assert_eq!(waited(app(toml)), ["web.1 0.3", "worker.1 0.1"]);
    // A flag speaks of whom it names, the file of the others.
    assert_eq!(waited(app(toml).args(["-t", "web=0.2"])), ["web.1 0.2", "worker.1 0.1"]);
    assert_eq!(waited(app(toml).args(["-t", "0.2"])), ["web.1 0.2", "worker.1 0.2"]);
}

#[test]
fn a_process_has_variables_of_its_own() {
    let toml = "[process.web.env]\nA = 'mine $A'\nB = 'new'\n";
    let test = app(toml).file(".env", "A=file\n");
    let finished = ends(&test);
    assert_eq!(finished.lines_of("web.1"), ["A=mine $A", "B=new"]);
    assert_eq!(finished.lines_of("worker.1"), ["A=file"]);
    // They are as one more env file.
    let shell = test.clone().var("A", "shell");
    assert_eq!(ends(&shell).lines_of("web.1"), ["A=mine $A", "B=new"]);
    assert_eq!(ends(&shell.args(["--shell-env-wins"])).lines_of("web.1"), ["A=shell", "B=new"]);

    let run = |name: &str| test.clone().args(["run", name]).run().code(0);
    run("web").stdout("A=mine $A\nB=new\n");
    run("worker").stdout("A=file\n");
    let command = test.clone().args(["run", "gangling", "--print-env", "A"]);
    command.run().code(0).stdout("A=file\n");
    let without_procfile = Test::new().file("ganger.toml", toml).args(["run", "echo", "hi"]);
    without_procfile.run().code(0).stdout("hi\n").stderr("");
}

#[test]
fn a_process_has_a_folder_of_its_own() {
    let test = Test::new()
        .procfile("web: pwd; ./here\nworker: pwd\n")
        .file("front/end/here", "#!/bin/sh\necho here\n")
        .file("ganger.toml", "on-exit = 'ignore'\n[process.web]\ncwd = 'front/end'\n");
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(test.path("front/end/here"), permissions).expect("changed");
    let finished = ends(&test);
    let folder = test.dir().canonicalize().expect("a folder");
    let folder = folder.to_str().expect("text");
    assert_eq!(finished.lines_of("web.1"), [format!("{folder}/front/end"), "here".into()]);
    assert_eq!(finished.lines_of("worker.1"), [folder]);
    test.clone().args(["check"]).run().code(0).stderr("").stdout("ok: 2 process types (web, worker)\n");
    test.clone().args(["run", "web"]).run().code(0).stdout_has("front/end\nhere\n");
    test.args(["run", "--", "pwd"]).run().code(0).stdout("DIR\n");
}

#[test]
fn a_folder_that_is_not_there() {
    let message = "ganger: error: there is no such folder
  --> ganger.toml:2:7
   |
 2 | cwd = 'nope'
   |       ^^^^^^
  hint: `cwd` is a folder, from the root of the app; looked for was DIR/nope
";
    let test = Test::new()
        .procfile("web: echo started\nworker: echo hi\n")
        .file("ganger.toml", "[process.web]\ncwd = 'nope'\n");
    for args in [&[][..], &["check"], &["run", "web"], &["start", "web"]] {
        test.clone().args(args).run().code(2).stdout("").stderr(message);
    }
    // Who does not start needs no folder.
    ends(&test.args(["start", "worker"])).stdout_has("| hi");
}

#[test]
fn a_process_has_a_pty_or_none() {
    let tty = "test -t 1 && echo tty || echo pipe";
    let app = |toml: &str| {
        let test = Test::new().procfile(format!("web: {tty}\nworker: {tty}\n"));
        test.file("ganger.toml", format!("on-exit = 'ignore'\n{toml}"))
    };
    let both = |test: &Test| {
        let finished = ends(test);
        ["web.1", "worker.1"].map(|name| finished.lines_of(name).concat())
    };
    let test = app("[process.web]\npty = 'always'\n");
    assert_eq!(both(&test), ["tty", "pipe"]);
    assert_eq!(both(&test.clone().args(["--pty", "never"])), ["pipe", "pipe"]);
    assert_eq!(both(&test.clone().var("GANGER_PTY", "never")), ["pipe", "pipe"]);
    assert_eq!(both(&app("pty = 'always'\n[process.web]\npty = 'never'\n")), ["pipe", "tty"]);
    // For JSON there is no pty, and who wants one for all runs does not mean this one.
    let json = ends(&test.args(["--format", "json"]));
    assert!(!String::from_utf8_lossy(&json.stdout).contains("\"tty\""), "{json}");

    let test = app("[process.web]\npty = 'never'\n");
    let mut window = Terminal::with_ganger(&test, ["--color", "never"]);
    window.wait();
    let shown = window.text();
    assert!(shown.contains("web.1    | pipe") && shown.contains("worker.1 | tty"), "{shown:?}");
}

#[test]
fn a_process_has_a_colour_or_none() {
    let test = Test::new()
        .procfile("web: echo hi\nworker: echo hi\ncss: echo hi\n")
        .file("ganger.toml", "on-exit = 'ignore'\ncolor = 'always'\nno-timestamps = true\n[process.web]\ncolor = 'bright-red'\n[process.worker]\ncolor = 'none'\n");
    let finished = ends(&test);
    finished
        .stdout_has("\x1b[91mweb.1    |\x1b[0m hi\n")
        .stdout_has("\nworker.1 | hi\n")
        .stdout_has("\x1b[32mcss.1    |\x1b[0m hi\n");
    let plain = ends(&test.args(["--color", "never"]));
    assert!(!plain.stdout.contains(&0x1b), "{plain}");
}

#[test]
fn a_process_is_muted_or_not() {
    let shown = |toml: &str, args: &[&str]| {
        let finished = ends(&app(toml).args(args));
        ["web.1", "worker.1"].map(|name| finished.lines_of(name).len())
    };
    let table = [
        ("mute = ['web']\n", &[][..], [0, 1]),
        ("[process.web]\nmute = true\n", &[], [0, 1]),
        ("mute = 'web,worker.1'\n[process.worker]\nmute = false\n", &[], [0, 1]),
        // A list on the command line takes the place of all of the file.
        ("[process.web]\nmute = true\n", &["--mute", "worker"], [2, 0]),
        ("mute = 'web'\n", &["--mute", "worker"], [2, 0]),
    ];
    for (toml, args, expected) in table {
        assert_eq!(shown(toml, args), expected, "{toml} {args:?}");
    }
}

#[test]
fn it_lies_beside_the_procfile_and_so_do_its_paths() {
    let test = Test::new()
        .file("app/Procfile.dev", "web: pwd; gangling --print-env A\n")
        .file("app/one.env", "A=one\n")
        .file("app/ganger.toml", "procfile = 'Procfile.dev'\nenv = 'one.env'\nlog-dir = 'log'\n")
        // Not this one: that folder is not the app's.
        .file("ganger.toml", "port = 'x'\n");
    for (cwd, args) in [("", &["-d", "app"][..]), ("app", &[]), ("", &["-f", "app/Procfile.dev"])] {
        let finished = ends(&test.clone().cwd(cwd).args(args));
        let folder = test.path("app").canonicalize().expect("a folder");
        assert_eq!(finished.lines_of("web.1"), [folder.to_str().expect("text"), "A=one"], "{cwd} {args:?}");
        let log = test.path("app/log/web.1.log");
        assert!(std::fs::read_to_string(&log).expect("a log").ends_with("A=one\n"));
        std::fs::remove_file(log).expect("removed");
    }
    ends(&test.clone().var("GANGER_ROOT", "app")).stdout_has("| A=one");
    // What the command line names is from where ganger was started.
    let named = test.file("two.env", "A=two\n").args(["-d", "app", "-e", "two.env"]);
    ends(&named).stdout_has("| A=two");
}

#[test]
fn the_root_may_be_another_folder() {
    let test = Test::new().file("app/Procfile", "web: pwd\n").file("app/.env", "");
    let test = test.file("ganger.toml", "root = 'app'\n");
    let folder = test.path("app").canonicalize().expect("a folder");
    assert_eq!(ends(&test).lines_of("web.1"), [folder.to_str().expect("text")]);
    let test = test.file("ganger.toml", "root = 'nope'\n");
    test.run().code(2).stderr(
        "ganger: error: nope: there is no such folder
  --> ganger.toml:1:8
   |
 1 | root = 'nope'
   |        ^^^^^^
  hint: name the folder the Procfile is in
",
    );
}

#[test]
fn mistakes_are_told_by_every_command_that_reads_it() {
    let toml = "timout = 5\nport = 99999\n[process.web]\ncwd = 1\n";
    let test = Test::new().procfile("web: touch started\n").file("ganger.toml", toml);
    let message = "ganger: error: there is no option `timout`
  --> ganger.toml:1:1
   |
 1 | timout = …
   | ^^^^^^
  hint: did you mean `timeout`?
ganger: error: `99999`: a port is a whole number from 1 to 65535
  --> ganger.toml:2:8
   |
 2 | port = 99999
   |        ^^^^^
ganger: error: `cwd` takes a text, and this is a number
  --> ganger.toml:4:7
   |
 4 | cwd = 1
   |       ^
  hint: write it as in `cwd = \"frontend\"`
";
    for args in [&[][..], &["check"], &["run", "true"], &["config"]] {
        test.clone().args(args).run().code(2).stdout("").stderr(message);
    }
    for args in [&["man"][..], &["completions", "bash"], &["schema"], &["--version"]] {
        test.clone().args(args).run().code(0).stderr("");
    }
    let test = test.file("ganger.toml", "[process.wbe]\nmute = true\n");
    test.clone().args(["check"]).run().code(2).stdout("").stderr(
        "ganger: error: no process is called `wbe`
  --> ganger.toml:1:10
   |
 1 | [process.wbe]
   |          ^^^
  hint: did you mean `web`? The Procfile has `web`
",
    );
    assert!(!test.path("started").exists());
    let folder = Test::new().procfile("web: true\n").file("ganger.toml/keep", "");
    folder
        .run()
        .code(2)
        .stderr("ganger: error: cannot read ganger.toml: it is a folder\n  hint: give a file\n");
}

#[test]
fn check_looks_at_all_of_it() {
    let toml = "formation = 'web=500'\n[process.web.env]\nPORT = '1'\n";
    let test = Test::new().procfile("web: echo\n").file("ganger.toml", toml).args(["check"]);
    let warning = "ganger: warning: `PORT` has no effect here: ganger sets it for each process
  --> ganger.toml:3:1
  hint: `port` in the table of the process sets it, and `no-port` leaves PORT alone
";
    let too_many = "ganger: error: web=101: with a port for each, there can be at most 100 of one type
  hint: start fewer, or give --port-step or --no-port
";
    test.run().code(2).stdout("").stderr(&format!("{warning}{too_many}"));
    let strict = test.args(["--strict"]).run().code(2);
    strict.stderr(&warning.replace("warning", "error"));
}

#[test]
fn config_tells_who_said_what() {
    let toml = "timeout = ['worker=30', 5]\n\n[process.web]\nstop-signal = 'INT'\ncwd = 'sub'\n\
                env = { DB_PASSWORD = 'hunter2', MODE = 'x' }\n[process.worker]\npty = 'never'\n";
    let test = Test::new()
        .procfile("web: x\nworker: y\n")
        .without("PATH")
        .without("GANGER_TEST_MARK")
        .file("ganger.toml", toml)
        .var("GANGER_EXCLUDE", "worker")
        .args(["config", "--explain", "--color", "never"]);
    test.run().code(0).stderr("ganger: note: 1 secret is masked; --show-secrets shows them\n").stdout(
        "DB_PASSWORD                 ********  <- ganger.toml:6
FOREMAN_WORKER_NAME         web.1  <- ganger (the name of this process)
GANGER_PROCESS_WEB_PORT     PORT  <- ganger (the port of its first instance)
GANGER_PROCESS_WORKER_PORT  PORT+100  <- ganger (the port of its first instance)
HOME                        DIR  <- shell
MODE                        x  <- ganger.toml:6
NO_COLOR                    1  <- ganger (--color never)
PORT                        PORT  <- ganger (the port of this process)
PS                          web.1  <- ganger (the name of this process)

options:
  color                    never  <- flag
  exclude                  worker  <- GANGER_EXCLUDE
  timeout                  worker=30,5  <- ganger.toml:1
  process.web.stop-signal  INT  <- ganger.toml:4
  process.web.cwd          sub  <- ganger.toml:5
",
    );
    let test = test.var("GANGER_TIMEOUT", "7").args(["worker"]);
    let finished = test.run().code(0);
    finished
        .stdout_has("  timeout             7  <- GANGER_TIMEOUT\n")
        .stdout_has("  process.worker.pty  never  <- ganger.toml:8\n");
}

#[test]
fn the_schema_is_up_to_date() {
    let committed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ganger.schema.json");
    let schema = Test::new().args(["schema"]).run().code(0).stderr("").stdout;
    assert!(
        std::fs::read(committed).is_ok_and(|text| text == schema),
        "docs/ganger.schema.json is not that of this program; write it with\n\
         \n    cargo run -- schema > docs/ganger.schema.json\n"
    );
}

#[test]
fn the_examples_of_the_documents_are_good() {
    for name in ["README.md", "docs/ganger-toml.md"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let page = std::fs::read_to_string(path).expect("a document");
        let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("one");
        let test = Test::new()
            .procfile("web: true\nworker: true\ncss: true\nclock: true\n")
            .file("frontend/keep", "")
            .file(".env.local", "")
            .file(".env", "")
            .file("ganger.toml", example);
        test.args(["check"]).run().code(0).stderr("");
    }
}
