//! Does the kit work?

use nix::sys::signal::Signal;

use crate::kit::{Terminal, Test};

#[test]
fn an_app_runs_until_its_first_process_ends() {
    let test = Test::new().procfile("web: echo hello; exit 3\n");
    test.run().code(3).stderr("").stdout(
        "TIME system | web.1 started, pid N, http://localhost:PORT\n\
         TIME web.1  | hello\n\
         TIME system | web.1 exited with code 3 after N s; everything stops with it\n\
         TIME system | web.1 exited with code 3 after N s and ended the run\n\
         TIME system | its last lines:\n\
         TIME system |   hello\n",
    );
}

#[test]
fn an_app_runs_until_it_is_stopped() {
    let test = Test::new().procfile("web: gangling --wait\nworker: gangling --spawn --wait --wait\n");
    let running = test.start();
    running.wait_ready("web.1");
    running.wait_ready("worker.1");
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn an_app_runs_in_a_terminal() {
    let test = Test::new().procfile("web: gangling --wait\n");
    let mut shell = Terminal::with_shell(&test);
    shell.type_text("ganger start\r");
    shell.wait_for("ready pid=");
    shell.type_text("\x03");
    shell.type_text("echo \"[$?]\"; exit\r");
    shell.wait_for("[130]");
    shell.wait();
}
