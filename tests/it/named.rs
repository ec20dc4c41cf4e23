//! `--name`: further instances in one root, each with a socket and ports of its own.

use serde_json::Value;

use crate::kit::{Running, Test};

fn app() -> Test {
    Test::new().procfile("web: exec gangling --wait\nworker: exec gangling --wait\n")
}

#[track_caller]
fn started(test: &Test) -> Running {
    let running = test.start();
    running.wait_ready("web.1");
    running.wait_ready("worker.1");
    running
}

/// The ports of web and worker.
#[track_caller]
fn ports(test: &Test, args: &[&str]) -> [u64; 2] {
    let finished = test.beside(args.iter().chain(&["ps", "--json"])).code(0);
    let all: Vec<Value> = serde_json::from_slice(&finished.stdout).expect("an array");
    [0, 1].map(|place| all[place]["port"].as_u64().expect("a port"))
}

#[test]
fn a_named_instance_runs_beside_the_other_on_ports_of_its_own() {
    let test = app();
    let base = u64::from(test.port());
    // The first to start is the one that could take the other's ports.
    let second = started(&test.clone().args(["--name", "test"]));
    let first = started(&test);
    assert_eq!(ports(&test, &[]), [base, base + 100]);
    let [web, worker] = ports(&test, &["--name", "test"]);
    assert_eq!((web % 1000, worker), (0, web + 100));
    assert_ne!(web / 1000, base / 1000);
    // The port of the files and of the shell is that of the other one, and a reload does not give it.
    std::fs::write(test.path(".env"), format!("PORT={}\nNEW=1\n", base + 50)).expect("written");
    let reload = test.beside(["--name", "test", "reload"]).code(0);
    reload.stdout_has("web.1 restarted, pid ");
    assert_eq!(ports(&test, &["--name", "test"]), [web, worker]);
    test.beside(["--name", "test", "stop"]).code(0).stdout("ganger in DIR has ended\n");
    second.wait_beside();
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    first.finish();
}

#[test]
fn every_command_takes_the_name() {
    let test = app();
    let port = (test.port() + 300).to_string();
    let running = started(&test.clone().args(["--name", "test", "-p", &port]));
    for (command, says) in [
        (&["ps"][..], "web.1: up"),
        (&["logs", "web"], "ready "),
        (&["scale"], "web=1 worker=1"),
        (&["restart", "worker"], "worker.1 restarted"),
        (&["stop", "worker"], "worker.1 "),
        (&["up", "worker"], "worker.1 "),
        (&["reload"], ""),
        (&["wait", "worker"], "worker.1 is ready"),
        (&["config", "--running"], "PORT=PORT+300\n"),
    ] {
        for args in [&[&["--name", "test"], command].concat()[..], &[command, &["--name=test"]].concat()] {
            test.beside(args).code(0).stderr("").stdout_has(says);
        }
        test.clone().var("GANGER_NAME", "test").beside(command).code(0).stdout_has(says);
        let not_running = test.beside(command).code(1).stdout("");
        not_running.stderr(
            "ganger: error: ganger does not run in DIR\n  hint: running there: \
             `ganger --name test ps`; start it with `ganger`, or name its folder with -d\n",
        );
    }
    let other = test.beside(["--name", "dev", "ps"]).code(1);
    other
        .stderr_has("ganger: error: `ganger --name dev` does not run in DIR\n")
        .stderr_has("`ganger --name test ps`");
    let refused = test.beside(["--name", "test"]).code(1).stdout("");
    refused.stderr(
        "ganger: error: `ganger --name test` runs in DIR already, pid N\n  hint: `ganger --name test ps` shows what it \
         runs, `ganger --name test stop` ends it; a second one has a name of its own, as in `ganger --name test`\n",
    );
    running.finish();
    test.beside(["--name", "test", "ps"])
        .code(1)
        .stderr_has("  hint: start it with `ganger --name test`, or name its folder with -d\n");
}

#[test]
fn a_named_daemon_says_how_to_reach_it() {
    let test = app();
    let port = (test.port() + 300).to_string();
    let told = test.clone().args(["-D", "--name", "test", "-p", &port]).run_beside().code(0);
    told.stdout(
        "ganger --name test runs in DIR, pid N: web=1 worker=1, http://localhost:PORT+300\n`ganger --name test ps` \
         shows it, `ganger --name test logs -f` what it writes, `ganger --name test stop` ends it\n",
    );
    test.beside(["--name", "test", "stop"]).code(0);
}

#[test]
fn a_name_wins_over_a_named_socket() {
    let test = app().var("GANGER_SOCKET", "socket");
    let first = started(&test);
    let port = (test.port() + 300).to_string();
    let second = started(&test.clone().args(["--name", "test", "-p", &port]));
    assert_eq!(ports(&test, &[])[0], u64::from(test.port()));
    assert_eq!(ports(&test, &["--name", "test"])[0], u64::from(test.port() + 300));
    test.beside(["--name", "test", "stop"]).code(0);
    second.wait_beside();
    first.finish();
}

#[test]
fn a_name_is_one_of_a_process() {
    for (name, why) in [
        ("a b", "a name has only letters, digits, `_` and `-`"),
        ("../x", "a name has only letters, digits, `_` and `-`"),
        ("web.1", "a name has only letters, digits, `_` and `-`"),
        ("x123456789x123456789x123456789x12", "a name has at most 32 characters"),
    ] {
        for command in [&["start"][..], &["ps"]] {
            app().args(["--name", name]).args(command).run().code(2).stdout("").stderr_has(why);
        }
        app().var("GANGER_NAME", name).run().code(2).stdout("").stderr_has(why);
    }
    let test = app().file("ganger.toml", "name = 'test'\n");
    test.run().code(2).stdout("").stderr_has("ganger: error: there is no option `name`\n");
}
