//! A port that is taken: exit status 1, who has it, and nothing started.

use std::net::TcpListener;

use nix::sys::signal::Signal;

use crate::kit::{Finished, Test};

const HINT: &str = "\n  hint: stop it, or use other ports with -p NUMBER or -p auto\n";

fn app() -> Test {
    let starts = "touch started; exec gangling --wait";
    Test::new().procfile(format!("worker: {starts}\nweb: {starts}\n"))
}

#[track_caller]
fn refused(test: &Test) -> Finished {
    let finished = test.run().code(1).stdout("");
    assert!(!test.path("started").exists(), "something started");
    finished
}

#[test]
fn whatever_address_it_is_taken_on() {
    for address in ["127.0.0.1", "0.0.0.0", "::1", "::"] {
        let test = app();
        let Ok(_listener) = TcpListener::bind((address, test.port())) else {
            // Not every machine has IPv6.
            assert!(address.contains(':'), "{address} can be bound");
            continue;
        };
        let holder = format!("port PORT for web.1 is in use by pid N ({}", own_program());
        let finished = refused(&test).stderr_has(&holder).stderr_has(HINT);
        let stderr = String::from_utf8(finished.stderr.clone()).expect("text");
        assert!(stderr.contains(&format!("by pid {} (", std::process::id())), "{address}: {finished}");
    }
}

/// The begin of this test's own command line.
fn own_program() -> String {
    let program = std::env::args().next().expect("a name");
    program.chars().take(40).collect()
}

#[test]
fn the_message_names_the_process_it_was_for() {
    for (offset, args, id) in [(100, &[][..], "worker.1"), (1, &["start", "web=2"], "web.2")] {
        let test = app().args(args);
        let _listener = TcpListener::bind(("127.0.0.1", test.port() + offset)).expect("a free port");
        refused(&test).stderr_has(&format!("port PORT+{offset} for {id} is in use by pid N ("));
    }
}

#[test]
fn a_port_of_a_process_that_does_not_start_may_be_taken() {
    let test = Test::new().procfile("web: echo hello\nworker: exit 9\n").args(["start", "web"]);
    let _listener = TcpListener::bind(("127.0.0.1", test.port() + 100)).expect("a free port");
    test.run().code(0).stderr("").stdout_has("web.1  | hello");
}

#[test]
fn another_ganger_s_process_is_named_with_its_command() {
    let first = Test::new().procfile("web: exec gangling --listen-port --wait\n");
    let running = first.start();
    let pid = running.wait_ready("web.1");
    let second = app().var("PORT", first.port().to_string());
    let finished = refused(&second);
    let expected = format!(
        "ganger: error: port {} for web.1 is in use by pid {pid} (gangling --listen-port --wait){HINT}",
        first.port(),
    );
    assert_eq!(String::from_utf8_lossy(&finished.stderr), expected);
    running.finish().killed_by(Signal::SIGINT);
    // The port is free again at once.
    first.procfile("web: exec gangling --listen-port\n").run().code(0).stdout_has("listening PORT");
}

#[test]
fn without_ports_nobody_asks() {
    let test = Test::new().procfile("web: gangling --print-env PORT --print-env GANGER_PROCESS_WEB_PORT\n");
    let _listener = TcpListener::bind(("127.0.0.1", test.port())).expect("a free port");
    test.args(["--no-port"])
        .run()
        .code(0)
        .stdout_has("web.1  | PORT=PORT\n")
        .stdout_has("web.1  | GANGER_PROCESS_WEB_PORT is not set\n");
}

#[test]
fn a_free_block_is_found() {
    let test =
        Test::new().procfile("web: echo $PORT $GANGER_PROCESS_WORKER_PORT\nworker: exec gangling --wait\n");
    let finished = test.args(["-p", "auto"]).run().code(0);
    let line = &finished.lines_of("web.1")[0];
    let ports: Vec<u16> = line.split(' ').map(|word| word.parse().expect("a port")).collect();
    assert_eq!((ports[0] % 1000, ports[1]), (0, ports[0] + 100), "{finished}");
}

#[test]
fn a_mistake_is_told_and_not_that_no_block_is_free() {
    for (args, message) in [
        (&["start", "wbe"][..], "no process is called `wbe`"),
        (&["start", "web=101"], "web=101: with a port for each, there can be at most 100 of one type"),
        (&["start", "all=0"], "nothing to start: every process has the count 0 or is excluded"),
    ] {
        let finished = app().args(["-p", "auto"]).args(args).run().code(2).stdout("");
        finished.stderr_has(&format!("ganger: error: {message}\n"));
    }
}
