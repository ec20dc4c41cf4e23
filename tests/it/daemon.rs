//! `ganger start -D`: what it says, what it leaves of the terminal, and how it ends.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGKILL, SIGTERM};

use crate::kit::{Finished, Running, Terminal, Test, eventually, field, proc};

/// The pid in `…, pid 7: …`.
#[track_caller]
fn pid_in(shown: &str) -> i32 {
    let pid = shown.split(", pid ").nth(1).and_then(|rest| rest.split(':').next()).expect(shown);
    pid.parse().expect("a pid")
}

/// Starts the app as a daemon; answers the pid it says.
#[track_caller]
fn up(test: &Test) -> i32 {
    let started = test.run_beside().code(0).stderr("");
    pid_in(&String::from_utf8_lossy(&started.stdout))
}

/// Waits until the log of a process has a line that begins so.
#[track_caller]
fn wait_for_log(test: &Test, name: &str, begin: &str) -> String {
    let mut found = None;
    eventually("the log has the line", || {
        let log = fs::read_to_string(test.path(&format!("log/{name}.log"))).unwrap_or_default();
        found = log.lines().find(|line| line.starts_with(begin)).map(str::to_owned);
        found.is_some()
    });
    found.expect("just found")
}

/// Ends it, and looks whether anything is left.
#[track_caller]
fn stop(test: &Test) {
    test.beside(["stop"]).code(0).stderr("");
    assert!(test.world().alive().is_empty(), "`stop` returned too early");
}

fn app() -> Test {
    Test::new()
        .procfile("web: exec gangling --say hello --isatty --listen-port --wait\nworker: gangling --spawn '--setsid --wait' --wait\n")
        .args(["start", "-D", "--log-dir", "log"])
}

#[test]
fn it_returns_when_all_are_up_and_is_controlled_from_then_on() {
    let test = app();
    let started = test.run_beside().code(0).stderr("");
    let guard = pid_in(&String::from_utf8_lossy(&started.stdout));
    let started = started.stdout(
        "ganger runs in DIR, pid N: web=1 worker=1, http://localhost:PORT\n\
         `ganger ps` shows it, `ganger logs -f` what it writes, `ganger stop` ends it\n",
    );
    drop(started);
    let process = proc::process(guard).expect("alive");
    assert_ne!(process.session, guard, "no leader of a session, so it never gets a terminal");
    test.beside(["ps"]).code(0).stdout_has("web.1: up").stdout_has("worker.1: up");
    assert_eq!(wait_for_log(&test, "web.1", "tty"), "tty", "it was not started from a terminal");
    test.beside(["logs", "web"]).code(0).stdout_has("web.1    | hello\n");
    // Another one is refused, as a daemon or not.
    let refused = "ganger: error: ganger runs in DIR already, pid N\n";
    let second = test.run_beside().code(1).stdout("").stderr_has(refused);
    assert!(String::from_utf8_lossy(&second.stderr).contains(&format!("pid {guard}\n")), "{second}");
    test.beside(["start"]).code(1).stdout("").stderr_has(refused);
    test.beside(["restart", "web"]).code(0).stdout_has("web.1 restarted");
    stop(&test);
    let own = fs::read_to_string(test.path("log/system.log")).expect("its own lines");
    assert!(own.contains("system   | web.1 started, pid "), "{own}");
    assert!(own.contains("system   | SIGTERM received"), "{own}");
    assert!(!own.contains("hello"), "{own}");
    assert_eq!(own.find('-'), Some(4), "with the date: {own}");
}

#[test]
fn it_holds_nothing_of_its_caller() {
    // What the shell substitutes, and what it waits for behind the pipe, end with the caller. So
    // does descriptor 7, our pipe: `run_beside` waits for its end.
    let test = app().by_shell(
        "exec 7>&1; out=$(\"$@\" 2>&1); echo \"status $?\"; echo \"$out\"; \
         { \"$@\" 2>&1; true; } | cat",
    );
    test.run_beside().code(0).stdout_has("status 0\n").stdout_has("ganger runs in DIR, pid N");
    for process in test.world().alive() {
        let entries = fs::read_dir(format!("/proc/{}/fd", process.pid)).expect("its descriptors").flatten();
        let links: Vec<(String, PathBuf)> = entries
            .filter_map(|entry| {
                Some((entry.file_name().into_string().ok()?, fs::read_link(entry.path()).ok()?))
            })
            .collect();
        if process.command.contains("start") {
            assert!(links.iter().any(|(fd, to)| fd == "0" && to.ends_with("null")), "{links:?}");
            assert!(links.iter().any(|(fd, to)| fd == "2" && to.ends_with("system.log")), "{links:?}");
        }
    }
    stop(&test);
}

#[test]
fn it_says_why_something_is_not_up() {
    let failing = |worker: &str| {
        let procfile = format!("web: exec gangling --wait\nworker: {worker}\n");
        // Before `run` looks whether anything is left, the caller has to be gone: it waits.
        Test::new().procfile(procfile).args(["-D"]).run().stdout("")
    };
    failing("echo boom; printf '\\033[31mred\\a\\n'; exit 3").code(3).stderr(
        "ganger: error: worker.1 exited with code 3 after N s and ended the run\n  \
         its last lines:\n    boom\n    red\n",
    );
    failing("no-such-program")
        .code(127)
        .stderr_has("\n  hint: `no-such-program` of worker.1 was not found; the PATH searched is ");
    failing("kill -9 $$")
        .code(137)
        .stderr("ganger: error: worker.1 was killed by SIGKILL after N s and ended the run\n");
    // What has ended well is not up either.
    failing("true")
        .code(1)
        .stderr("ganger: error: worker.1 exited with code 0 after N s and ended the run\n");
    let all = Test::new().procfile("web: true\n").args(["-D", "--on-exit", "ignore"]);
    all.run().code(1).stdout("").stderr("ganger: error: every process has ended\n");
    // What is found before the start is told as always.
    Test::new().procfile("web\n").args(["-D"]).run().code(2).stderr_has("no colon in this line");
}

#[test]
fn a_busy_port_is_told_and_leaves_nothing() {
    let test = app();
    let taken = std::net::TcpListener::bind(("127.0.0.1", test.port())).expect("bound");
    test.run().code(1).stdout("").stderr_has("ganger: error: port PORT for web.1 is in use");
    drop(taken);
    assert!(!test.path("log").exists());
}

#[test]
fn an_end_that_ends_nothing_is_no_failure() {
    let test = Test::new().procfile("web: exec gangling --wait\nmigrate: true\nworker: exit 3\n").args([
        "-D",
        "--on-exit",
        "migrate=ignore,worker=restart",
    ]);
    let crashed = "worker.1 has crashed; the others run on, `ganger ps` shows when it is up\n";
    let started = test.run_beside().code(0).stderr("").stdout_has(crashed);
    started.stdout_has(": web=1 migrate=1 worker=1, http://localhost:PORT\n");
    stop(&test);
}

#[test]
fn without_a_socket_it_is_refused() {
    // Folders of /proc cannot be made, and the last resort is covered by one that is read-only.
    let script = "dir=/tmp/ganger-$(id -u); [ -d $dir ] || mkdir -m 700 $dir; \
                  exec unshare --user --map-root-user --mount sh -c \
                  'mount -t tmpfs -o ro none '$dir' && exec \"$@\"' sh \"$@\"";
    let test = app().var("XDG_RUNTIME_DIR", "/proc").var("TMPDIR", "/proc").by_shell(script);
    test.run().code(1).stdout("").stderr_has(
        "ganger: error: cannot start: --daemon: there is no place for the socket that it needs: ",
    );
    assert!(!test.path("log").exists());
    let test = app().var("GANGER_SOCKET", "none/socket");
    test.run().code(2).stdout("").stderr_has("cannot be made");
}

#[test]
fn as_process_1_it_is_refused() {
    let test = app().by_shell("exec unshare --user --map-root-user --pid --fork --mount-proc \"$@\"");
    let refused = test.run();
    refused.code(2).stderr_has("ganger: error: --daemon: this is process 1");
}

#[test]
fn it_outlives_the_terminal_and_the_shell() {
    let test = app();
    let mut window = Terminal::with_shell(&test);
    window.type_text("ganger -D --log-dir log\r");
    window.wait_for("` ends it\r\n");
    let guard = pid_in(&window.text());
    window.wait_for("$ ");
    // As started from a terminal, its processes have one, which is not this one.
    assert_eq!(wait_for_log(&test, "web.1", "tty"), "tty 0 1 2 3");
    let pid: i32 = field(&wait_for_log(&test, "web.1", "ready "), "pid");
    let shell = window.pid();
    window.close();
    eventually("the shell has gone", || !proc::is_alive(shell));
    test.beside(["ps"]).code(0).stdout_has("web.1: up").stdout_has("worker.1: up");
    assert!(proc::is_alive(guard) && proc::is_alive(pid));
    // Here the file of the log is all that is left to see: nobody got a HUP.
    let own = fs::read_to_string(test.path("log/system.log")).expect("its own lines");
    assert!(!own.contains("SIGHUP"), "{own}");
    stop(&test);
    window.wait();
}

#[test]
fn ctrl_c_in_the_terminal_is_not_for_it() {
    let test = app();
    let mut window = Terminal::with_shell(&test);
    window.type_text("ganger -D --log-dir log; sleep 1000\r");
    window.wait_for("` ends it\r\n");
    eventually("sleep has the terminal", || {
        proc::group(window.foreground()).iter().any(|it| it.command == "sleep 1000")
    });
    window.type_text("\x03");
    window.wait_for("$ ");
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    // `stop` from the very window.
    window.type_text("ganger stop; echo status $?\r");
    window.wait_for("\nstatus 0\r\n");
    assert_eq!(test.world().alive().len(), 1, "the shell");
    window.type_text("exit\r");
    window.wait();
}

/// The worker has ended, and what it leaves in its group does not go: so it is not clear whether all
/// are up.
fn never_up() -> Test {
    let procfile = "web: exec gangling --log-signals TERM --wait-file gone\n\
                    worker: trap '' TERM; gangling --wait-file go & exit 0\n";
    let args = ["-D", "--on-exit", "worker=ignore", "-t", "3600", "--log-dir", "log"];
    Test::new().procfile(procfile).args(args)
}

#[test]
fn whoever_gives_up_while_it_starts_wants_none_of_it() {
    // A shell ignores INT and QUIT for what it starts in the background.
    for test in [never_up(), never_up().by_shell("trap '' INT QUIT; exec \"$@\"")] {
        let mut running = test.start();
        wait_for_log(&test, "web.1", "ready ");
        wait_for_log(&test, "worker.1", "ready ");
        running.signal(SIGINT);
        running.wait_for_exit();
        let web = wait_for_log(&test, "web.1", "");
        assert!(web.starts_with("ready "), "{web}");
        eventually("web was asked to stop", || {
            fs::read_to_string(test.path("log/web.1.log")).expect("there").contains("got SIGTERM 1")
        });
        fs::write(test.path("gone"), "").expect("written");
        fs::write(test.path("go"), "").expect("written");
        running.wait().killed_by(SIGINT);
    }
}

#[test]
fn tstp_freezes_nothing() {
    // No shell could continue it.
    let procfile = "web: exec gangling --log-signals USR1 --wait\n";
    let test = Test::new().procfile(procfile).args(["-D", "--log-dir", "log"]);
    let guard = up(&test);
    wait_for_log(&test, "web.1", "ready ");
    proc::send(guard, nix::sys::signal::Signal::SIGTSTP);
    proc::send(guard, nix::sys::signal::Signal::SIGUSR1);
    eventually("the signal behind it arrives", || {
        fs::read_to_string(test.path("log/web.1.log")).expect("there").contains("got SIGUSR1 1")
    });
    stop(&test);
}

#[test]
fn it_ends_by_signals_too() {
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        let test = app();
        let guard = up(&test);
        wait_for_log(&test, "web.1", "ready ");
        proc::send(guard, signal);
        test.world().assert_nothing_left();
        test.beside(["ps"]).code(1).stderr_has("ganger does not run in DIR\n");
    }
}

#[test]
fn kill_9_of_any_of_its_processes_leaves_nothing() {
    for victim in 0..3 {
        let test = app();
        let own = Running::own_pids_from(up(&test));
        wait_for_log(&test, "worker.1", "ready ");
        proc::send([own.guard, own.reserve, own.supervisor][victim], SIGKILL);
        test.world().assert_nothing_left();
        // The next one finds the place free.
        up(&test);
        stop(&test);
    }
}

#[test]
fn an_end_while_nobody_looks_is_written_down() {
    let test = Test::new()
        .procfile("web: exec gangling --wait\nworker: exec gangling --say last --wait-file go --exit 3\n")
        .args(["-D", "--log-dir", "log"]);
    up(&test);
    fs::write(test.path("go"), "").expect("written");
    test.world().assert_nothing_left();
    let own = fs::read_to_string(test.path("log/system.log")).expect("its own lines");
    assert!(own.contains("worker.1 exited with code 3 after") && own.contains("|   last\n"), "{own}");
}

#[test]
fn variables_and_formats_go_with_it() {
    let test = app().var("GANGER_DAEMON", "1");
    let _: Finished = test.beside(["--format", "json", "--log-dir", "log"]).code(0).stderr("");
    test.beside(["logs", "--json"]).code(0).stdout_has("\"line\":\"hello\"");
    let own = fs::read_to_string(test.path("log/system.log")).expect("its own lines");
    assert!(own.contains("\"event\":\"started\""), "{own}");
    test.clone().without("GANGER_DAEMON").beside(["restart", "web"]).code(0);
    stop(&test);
}

#[test]
fn what_waits_for_the_release_is_not_up() {
    // Longer than a process has to be up to count as started.
    let test =
        Test::new().procfile("release: sleep 1\nweb: exec gangling --wait\n").args(["-D", "--release"]);
    up(&test);
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    stop(&test);
}

#[test]
fn a_command_beside_the_processes_keeps_the_terminal() {
    let test = app().args(["--", "true"]);
    test.run()
        .code(2)
        .stdout("")
        .stderr_has("ganger: error: --daemon: the command after `--` needs the terminal");
}
