//! `ganger start -- CMD`: a command beside the processes.

use nix::sys::signal::Signal;

use crate::kit::{Terminal, Test, eventually};

fn app() -> Test {
    Test::new().procfile("web: exec gangling --listen-port --wait\nworker: exec gangling --wait\n")
}

/// The app with this command of the shell beside it.
fn beside(script: &str) -> Test {
    app().args(["start", "--", "sh", "-c", script])
}

#[test]
fn it_runs_while_all_are_up_and_its_status_is_ours() {
    for code in [0, 4, 255] {
        let script =
            format!("echo \"$GANGER_PROCESS_WEB_PORT $GANGER_PROCESS_WORKER_PORT [$PS]\"; exit {code}");
        let finished = beside(&script).run().code(code).stdout("PORT PORT+100 []\n");
        finished
            .stderr_has("system   | web.1 started, pid N, http://localhost:PORT\n")
            .stderr_has(&format!(
                "system   | `sh` exited with code {code} after N s; everything stops with it\n"
            ))
            .stderr_has("system   | worker.1 was stopped by SIGTERM after N s\n");
    }
    let finished = beside("kill -KILL $$").run().code(137);
    finished.stdout("").stderr_has("`sh` was killed by SIGKILL after N s; everything stops with it\n");
}

#[test]
fn it_has_stdin_and_the_processes_lines_go_to_stderr() {
    let test = Test::new()
        .procfile("web: echo hello; gangling --listen-port --wait\n")
        .args(["start", "--", "sh", "-c"]);
    let finished = test.args(["cat; gangling --wait-file go"]).stdin("typed\n");
    let running = finished.start();
    running.wait_for_stderr("web.1  | hello");
    std::fs::write(finished.path("go"), "").expect("written");
    let finished = running.wait().code(0);
    let (shown, own) = (finished.tidy(&finished.stdout), ["hello", "system", "web.1"]);
    assert!(shown.starts_with("typed\nready ") && !own.iter().any(|word| shown.contains(word)), "{finished}");
}

#[test]
fn a_process_that_dies_before_it_is_done_stops_it() {
    let test = Test::new()
        .procfile("web: gangling --listen-port --wait-file go --exit 5\nworker: exec gangling --wait\n");
    let test = test.args(["start", "--", "gangling", "--say", "testing", "--wait"]);
    let running = test.start();
    running.wait_for_text(1, "testing");
    std::fs::write(test.path("go"), "").expect("written");
    let finished = running.wait().code(5);
    finished
        .stderr_has("web.1 exited with code 5 after N s; everything stops with it\n")
        .stderr_has("`gangling` was stopped by SIGTERM after N s\n")
        .stderr_has("web.1 exited with code 5 after N s and ended the run\n");
}

#[test]
fn a_good_end_before_it_is_done_is_no_success() {
    let test = Test::new().procfile("web: gangling --wait-file go\n");
    let test = test.args(["start", "--", "sh", "-c", "echo it runs"]);
    let running = test.start();
    running.wait_for_stderr("web.1 started, ");
    std::fs::write(test.path("go"), "").expect("written");
    let finished = running.wait().code(1).stdout("");
    finished
        .stderr_has("`sh` could not be started: everything ended before all were ready\n")
        .stderr_has("web.1 exited with code 0 after N s and ended the run\n");
}

#[test]
fn it_is_stopped_before_the_processes() {
    let test = Test::new()
        .file("web.sh", "trap 'echo web >> order; exit' TERM; gangling --listen-port --wait & wait\n")
        .file("cmd.sh", "trap : TERM; gangling --linger 200; echo cmd >> order\n")
        .procfile("web: exec sh web.sh\n")
        .args(["start", "--", "sh", "cmd.sh"]);
    let running = test.start();
    running.wait_for_text(1, "ready ");
    running.wait_for_stderr("web.1  | ready ");
    running.stop(Signal::SIGTERM).killed_by(Signal::SIGTERM);
    assert_eq!(std::fs::read_to_string(test.path("order")).expect("written"), "cmd\nweb\n");
}

#[test]
fn what_left_it_is_ended_too() {
    let script = "gangling --spawn '--setsid --ignore TERM --wait' --exit 3";
    app().args(["-t", "0.3", "start", "--", "sh", "-c", script]).run().code(3);
}

#[test]
fn without_the_program_nothing_starts() {
    let test = Test::new().procfile("web: echo started > started\n").var("PATH", "/usr/bin:/bin");
    test.clone().args(["start", "--", "no-such-program-x"]).run().code(127).stdout("").stderr(
        "ganger: error: no-such-program-x: command not found\n  hint: the PATH searched is /usr/bin:/bin\n",
    );
    let script = test.clone().file("script", "x").args(["start", "--", "./script"]).run().code(126);
    script.stdout("").stderr_has("./script: permission denied: the file is not executable\n  hint: ");
    let one_word = test.clone().args(["start", "--", "echo hello"]).run().code(127);
    one_word.stderr_has("leave the quotes out: ganger start -- echo hello\n");
    assert!(!test.path("started").exists());
}

#[test]
fn the_release_comes_before_and_what_is_done_does_not_matter() {
    let test = Test::new()
        .procfile(
            "release: echo migrated >> order\nonce: echo once\nweb: exec gangling --listen-port --wait\n",
        )
        .args(["start", "--release", "--on-exit", "once=ignore", "--", "sh", "-c", "echo cmd >> order"]);
    test.run().code(0);
    assert_eq!(std::fs::read_to_string(test.path("order")).expect("written"), "migrated\ncmd\n");
}

#[test]
fn it_has_the_terminal_and_the_keyboard() {
    let tty = "for i in 0 1 2; do test -t $i && echo \"fd $i yes\"; done; read -r x; echo \"<$x>\"\n";
    let test = app().file("tty", tty);
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger start -- sh tty; echo \"[$?]\"\r");
    for descriptor in 0..3 {
        shell.wait_for(&format!("fd {descriptor} yes"));
    }
    shell.type_text("hello there\r");
    shell.wait_for("<hello there>");
    shell.wait_for("[0]");
    // Ctrl-C and Ctrl-\\ are its own, once each, and stop nothing else.
    shell.type_text(
        "ganger start -- gangling --log-signals INT,QUIT --say begun --wait-file go; echo \"<$?>\"\r",
    );
    shell.wait_for("\nbegun");
    let alive = test.world().alive().len();
    for number in 1..=2 {
        shell.type_text("\x03");
        shell.wait_for(&format!("got SIGINT {number}"));
    }
    shell.type_text("\x1c");
    shell.wait_for("got SIGQUIT 1");
    assert_eq!(test.world().alive().len(), alive);
    std::fs::write(test.path("go"), "").expect("written");
    shell.wait_for("<0>");
    // One that does not keep it for itself ends of it, and all the others with it.
    shell.type_text("ganger start -- gangling --say again --wait\r");
    shell.wait_for("\nagain");
    shell.type_text("\x03");
    shell.wait_for("was killed by SIGINT");
    shell.type_text("echo \"[$?]\"\r");
    shell.wait_for("[130]");
    shell.type_text("exit 0\r");
    assert!(shell.wait().success());
}

#[test]
fn ctrl_z_stops_it_and_all_others_and_fg_continues_them() {
    let test = app();
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger start -- gangling --say begun --wait-file go; echo \"<$?>\"\r");
    shell.wait_for("\nbegun");
    shell.type_text("\x1a");
    shell.wait_for("Stopped");
    let stopped = || test.world().alive().iter().filter(|it| it.state == 'T').count();
    eventually("all are stopped", || stopped() >= 3);
    std::fs::write(test.path("go"), "").expect("written");
    shell.type_text("fg\r");
    shell.wait_for("`gangling` exited with code 0");
    shell.type_text("exit 0\r");
    shell.wait();
}

#[test]
fn what_it_waits_for_is_said_once() {
    let test = Test::new()
        .procfile("web: exec gangling --wait-file go --listen-port --wait\nworker: exec gangling --wait\n")
        .args(["start", "--", "echo", "hello"]);
    let running = test.start();
    running.wait_for_stderr("system   | waiting for web.1 to listen on port ");
    std::fs::write(test.path("go"), "").expect("written");
    let finished = running.wait().code(0).stdout("hello\n");
    let waits = "system   | waiting for web.1 to listen on port PORT before running echo\n";
    assert_eq!(finished.tidy(&finished.stderr).matches(waits).count(), 1, "{finished}");
}
