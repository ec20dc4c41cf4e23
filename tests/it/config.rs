//! `ganger config`: the environment of a process, shown.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use crate::kit::{Terminal, Test};

fn app() -> Test {
    Test::new()
        .procfile("web: x\nworker: y\n")
        .without("PATH")
        .without("GANGER_TEST_MARK")
        .file(".env", "# mail\nGREETING=\"it's\\n$HOME\"\nDB_PASSWORD=hunter2\n")
        .file("more.env", "DATABASE_URL=postgres://me:s3cret@db/app\nEMPTY=\n")
        .args(["-e", ".env,more.env"])
}

#[test]
fn as_lines_of_an_env_file() {
    app()
        .args(["config"])
        .run()
        .code(0)
        .stderr("ganger: note: 2 secrets are masked; --show-secrets shows them\n")
        .stdout(
            "DATABASE_URL=postgres://me:********@db/app
DB_PASSWORD=********
EMPTY=''
FOREMAN_WORKER_NAME=web.1
GANGER_PROCESS_WEB_PORT=PORT
GANGER_PROCESS_WORKER_PORT=PORT+100
GREETING=\"it's\\n\\$HOME\"
HOME=DIR
PORT=PORT
PS=web.1
",
        );
}

#[test]
fn secrets_are_masked_in_place() {
    let test = Test::new()
        .procfile("web: x\n")
        .without("PATH")
        .without("GANGER_TEST_MARK")
        .file(
            ".env",
            "JDBC_DATABASE_URL=jdbc:postgresql://h/d?user=fred&password=hunter2
HOOK=https://hooks.slack.com/services/T1/B1/hunter2
SQL='Server=x;User Id=sa;Password=hunter2'
STRIPEKEY=hunter2
secretKeyBase=hunter2
TOKEN_BASE64=/hunter2/=
MONKEY=george
",
        )
        .file(
            "ganger.toml",
            "[process.web]
wait-for = ['http://u:hunter2@localhost/', 'log:web:a']
ready = 'cmd:PGPASSWORD=hunter2 psql'
",
        )
        .var("GANGER_WAIT_FOR", "web=tcp:1,web=http://u:hunter2@127.0.0.1/")
        .args(["config", "--explain"]);
    let finished = test.run().code(0);
    assert!(!finished.tidy(&finished.stdout).contains("hunter2"), "{finished}");
    finished
        .stdout_has("  'jdbc:postgresql://h/d?user=fred&password=********'  <-")
        .stdout_has("  https://hooks.slack.com/services/********  <-")
        .stdout_has("  'Server=x;User Id=sa;Password=********'  <-")
        .stdout_has("  george  <-")
        .stdout_has("web=tcp:1,web=http://u:********@127.0.0.1/  <- GANGER_WAIT_FOR")
        .stdout_has("  http://u:********@localhost/,log:web:a  <- ")
        .stdout_has("  'cmd:PGPASSWORD=******** psql'  <- ")
        .stderr_has(" secrets are masked; --show-secrets shows them\n");
    test.args(["--show-secrets"])
        .run()
        .code(0)
        .stderr("")
        .stdout_has("STRIPEKEY                hunter2  <-")
        .stdout_has("web=tcp:1,web=http://u:hunter2@127.0.0.1/  <- GANGER_WAIT_FOR")
        .stdout_has("  'cmd:PGPASSWORD=hunter2 psql'  <- ");
}

#[test]
fn as_json() {
    app().args(["config", "--json", "--show-secrets", "worker"]).run().code(0).stderr("").stdout(
        r#"{
  "DATABASE_URL": "postgres://me:s3cret@db/app",
  "DB_PASSWORD": "hunter2",
  "EMPTY": "",
  "FOREMAN_WORKER_NAME": "worker.1",
  "GANGER_PROCESS_WEB_PORT": "PORT",
  "GANGER_PROCESS_WORKER_PORT": "PORT+100",
  "GREETING": "it's\n$HOME",
  "HOME": "DIR",
  "PORT": "PORT+100",
  "PS": "worker.1"
}
"#,
    );
}

#[test]
fn with_the_place_of_each() {
    let test = app().args(["config", "--explain", "web.2"]);
    test.run().code(0).stderr("ganger: note: 2 secrets are masked; --show-secrets shows them\n").stdout(
        "DATABASE_URL                postgres://me:********@db/app  <- more.env:1
DB_PASSWORD                 ********  <- .env:3
EMPTY                       ''  <- more.env:2
FOREMAN_WORKER_NAME         web.2  <- ganger (the name of this process)
GANGER_PROCESS_WEB_PORT     PORT  <- ganger (the port of its first instance)
GANGER_PROCESS_WORKER_PORT  PORT+100  <- ganger (the port of its first instance)
GREETING                    \"it's\\n\\$HOME\"  <- .env:2
HOME                        DIR  <- shell
PORT                        PORT+1  <- ganger (the port of this process)
PS                          web.2  <- ganger (the name of this process)

options:
  env  .env,more.env  <- flag
",
    );
}

#[test]
fn a_shell_reads_back_what_it_prints() {
    let odd: &[u8] = b"a'b\"c$(d)`e`\\ f\n\n*\xff~!";
    let test = Test::new().procfile("web: x\n").var("ODD", OsStr::from_bytes(odd));
    let finished = test.args(["config", "--shell", "--show-secrets"]).run().code(0).stderr("");
    let script = [&finished.stdout[..], b"printf %s \"$ODD\""].concat();
    let output = Command::new("/bin/sh").arg("-c").arg(OsStr::from_bytes(&script)).env_clear().output();
    assert_eq!(output.expect("it runs").stdout, odd, "{finished}");
}

#[test]
fn json_says_that_it_cannot_hold_bytes() {
    let test = Test::new().procfile("web: x\n").var("ODD", OsStr::from_bytes(b"\xff"));
    test.args(["config", "--json"]).run().code(0).stderr_has("ODD is not UTF-8");
}

#[test]
fn json_notes_names_that_are_not_utf8() {
    let test = Test::new().procfile("web: x\n").file(".env", b"K\xff=1\n").args(["config", "--json"]);
    test.run().code(0).stderr(
        "ganger: note: the name `K\\xff` is not UTF-8 and is altered here; `ganger config` without --json keeps it\n",
    );
}

#[test]
fn a_pipe_gets_bytes_and_a_terminal_escapes() {
    let value = "\x1b]0;t\x07 its \u{9b}\u{202e}";
    let test = Test::new().procfile("web: x\n").file(".env", format!("A='{value}'\nB\u{200b}='{value}'\n"));
    let plain = test.beside(["config"]).code(0).stderr("");
    plain.stdout_has(&format!("A='{value}'\nB\u{200b}='{value}'\n"));
    test.beside(["config", "--explain"]).code(0).stderr("").stdout_has(&format!("'{value}'  <- .env:1\n"));
    test.beside(["config", "--shell"]).stdout_has(&format!("export A='{value}'\n"));
    let on_terminal = |args: &[&str]| {
        let mut terminal = Terminal::with_ganger(&test, args);
        terminal.wait();
        terminal.text()
    };
    let shown = on_terminal(&["config"]);
    let escaped = r"\u{1b}]0;t\u{7} its \u{9b}\u{202e}";
    assert!(shown.contains(&format!("A='{escaped}'\r\nB\\u{{200b}}='{escaped}'\r\n")), "{shown}");
    let note = "ganger: note: control and hidden characters of 2 variables are shown as escapes such as \\u{1b}; a \
                pipe gets them as they are\r\n";
    assert!(shown.contains(note), "{shown}");
    let shown = on_terminal(&["config", "--shell"]);
    let escaped = r"$'\x1b]0;t\x07 its \xc2\x9b\xe2\x80\xae'";
    assert!(shown.contains(&format!("export A={escaped}\r\n")), "{shown}");
    assert!(shown.contains("of 1 variable are shown"), "{shown}");
}

#[test]
fn without_a_procfile_there_is_an_environment_too() {
    let test = Test::new().file(".env", "A=1\n").args(["config"]);
    test.run().code(0).stdout_has("A=1\n").stdout_has("PORT=PORT\n");
}

#[test]
fn an_unknown_process_is_an_error() {
    for name in ["wbe", "web.0", "web.x", ""] {
        app()
            .args(["config", name])
            .run()
            .code(2)
            .stdout("")
            .stderr_has(&format!("no process is called `{name}`"));
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let test = Test::new().procfile("web: x\n").var("LONG", "x".repeat(100_000));
    let test = test.by_shell("(\"$@\"; echo status $? >&2) | head -c 1").args(["config"]);
    test.run().code(0).stdout_has("").stderr("status 141\n");
}

#[test]
fn the_running_process_has_what_it_was_started_with() {
    let test = Test::new()
        .procfile("web: exec gangling --wait\nworker: exec gangling --wait\n")
        .file(".env", "COLOR=red\nDB_PASSWORD=hunter2\n")
        .var("ODD", OsStr::from_bytes(b"\xff"))
        .var("COLOR_OF_SHELL", "green");
    let running = test.clone().args(["start", "web=2"]).start();
    running.wait_ready("web.2");
    // The files have changed since, and this shell is another one.
    let test = test.file(".env", "COLOR=blue\n").var("COLOR_OF_SHELL", "grey");
    test.beside(["config", "web"]).code(0).stdout_has("COLOR=blue\n").stdout_has("COLOR_OF_SHELL=grey\n");
    let shown = test.beside(["config", "web.2", "--running"]).code(0);
    let shown = shown.stderr("ganger: note: 1 secret is masked; --show-secrets shows them\n");
    let shown =
        shown.stdout_has("COLOR=red\n").stdout_has("COLOR_OF_SHELL=green\n").stdout_has("PORT=PORT+1\n");
    shown.stdout_has("DB_PASSWORD=********\n").stdout_has("PYTHONUNBUFFERED=1\n");
    // Byte for byte, for a shell.
    let shell = test.beside(["config", "--running", "--shell", "--show-secrets"]).code(0).stderr("");
    assert!(shell.stdout.windows(11).any(|it| it == b"ODD='\xff'\nexp"), "{shell}");
    shell.stdout_has("export PS='web.1'\n").stdout_has("export DB_PASSWORD='hunter2'\n");
    let json = test.beside(["config", "--running", "--json", "--show-secrets"]).code(0);
    json.stdout_has("\"DB_PASSWORD\": \"hunter2\",\n");
    let origins = test.beside(["config", "--running", "--explain"]).code(0);
    origins.stdout_has("  <- .env:1\n").stdout_has("  <- ganger (the port of this process)\n");
    // With a reload it is what it is restarted with.
    test.beside(["reload"]).code(0).stdout_has("web.2 restarted");
    test.beside(["config", "--running"])
        .code(0)
        .stdout_has("COLOR=blue\n")
        .stdout_has("COLOR_OF_SHELL=green\n");
    test.beside(["config", "--running", "wbe"]).code(2).stdout("").stderr_has("did you mean `web`?");
    test.beside(["config", "--running", "worker"]).code(2).stdout("").stderr_has("there is no worker.1\n");
    running.finish();
    test.beside(["config", "--running"]).code(1).stdout("").stderr_has("ganger does not run in DIR\n");
}
