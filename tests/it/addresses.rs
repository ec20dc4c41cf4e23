//! Which port each type has: the base port is that of the main type, `ganger.toml` may pin others, and a
//! process that listens elsewhere is reported.

use serde_json::Value;

use crate::kit::{Running, Test, eventually};

const WAIT: &str = "exec gangling --listen-port --wait";

fn app(procfile: &str) -> Test {
    Test::new().procfile(procfile.replace("WAIT", WAIT))
}

/// The ports that `ganger ps` shows, by process, as the distance from the first port of the test.
#[track_caller]
fn ports(test: &Test) -> Vec<(String, u16)> {
    let finished = test.beside(["ps", "--json"]).code(0);
    let all: Vec<Value> = serde_json::from_slice(&finished.stdout).expect("an array");
    let port =
        |it: &Value| u16::try_from(it["port"].as_u64().expect("a port")).expect("a port") - test.port();
    all.iter().map(|it| (it["name"].as_str().expect("a name").to_owned(), port(it))).collect()
}

#[track_caller]
fn assert_ports(test: &Test, expected: &[(&str, u16)]) {
    let expected: Vec<(String, u16)> =
        expected.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
    assert_eq!(ports(test), expected);
}

#[track_caller]
fn started(test: &Test, name: &str) -> Running {
    let running = test.start();
    running.wait_ready(name);
    running
}

#[test]
fn without_web_the_first_type_that_starts_has_the_base_port() {
    let test =
        app("release: true\nrails: WAIT\nworker: gangling --print-env GANGER_PROCESS_RAILS_PORT --wait\n");
    let running = started(&test, "rails.1");
    let started = running.wait_for_line("system", "rails.1 started, pid ");
    assert!(started.ends_with(&format!(", http://localhost:{}", test.port())), "{started}");
    running.wait_for_line("worker.1", &format!("GANGER_PROCESS_RAILS_PORT={}", test.port()));
    assert_ports(&test, &[("rails.1", 0), ("worker.1", 200)]);
    test.beside(["open", "--print"]).code(0).stdout("http://localhost:PORT\n");
    for config in [&["config"][..], &["config", "rails"], &["config", "--running"]] {
        let finished = test.beside(config).code(0).stdout_has("\nPORT=PORT\n").stdout_has("\nPS=rails.1\n");
        finished
            .stdout_has("GANGER_PROCESS_RAILS_PORT=PORT\n")
            .stdout_has("GANGER_PROCESS_WORKER_PORT=PORT+200\n");
    }
    running.finish();
}

#[test]
fn what_starts_does_not_move_the_base_port() {
    let test = app("rails: WAIT\nworker: WAIT\nclock: WAIT\n").file("ganger.toml", "exclude = ['rails']\n");
    let running = started(&test, "worker.1");
    running.wait_ready("clock.1");
    assert_ports(&test, &[("worker.1", 100), ("clock.1", 200)]);
    let refused = test.beside(["open", "--print"]).code(1);
    refused.stderr_has("there is no rails.1\n");
    running.finish();
    for args in [&["-x", "rails"][..], &["start", "worker"], &["-m", "worker=1"]] {
        let test = app("rails: WAIT\nworker: WAIT\n").args(args);
        let running = started(&test, "worker.1");
        assert_ports(&test, &[("worker.1", 100)]);
        running.finish();
    }
}

#[test]
fn with_web_it_has_the_base_port_wherever_it_is() {
    let test = app("rails: WAIT\nweb: WAIT\nworker: WAIT\n");
    let running = started(&test, "worker.1");
    assert_ports(&test, &[("rails.1", 100), ("web.1", 0), ("worker.1", 200)]);
    running.finish();
}

#[test]
fn the_url_of_a_daemon_is_that_of_the_main_type() {
    let test = app("worker: WAIT\napi: WAIT\n").args(["-D"]);
    let told = test.run_beside().code(0);
    told.stdout_has(": worker=1 api=1, http://localhost:PORT\n");
    test.beside(["stop"]).code(0);
}

#[test]
fn types_that_share_a_variable_are_refused() {
    for (names, variable) in [
        (["web", "Web"], "GANGER_PROCESS_WEB_PORT"),
        (["web-api", "web_api"], "GANGER_PROCESS_WEB_API_PORT"),
        (["WEB_API", "web-api"], "GANGER_PROCESS_WEB_API_PORT"),
    ] {
        let [first, second] = names;
        for command in [&["check"][..], &["start"], &["-D"]] {
            let test =
                app(&format!("{first}: touch started\nclock: touch started\n{second}: touch started\n"));
            let finished = test.args(command).run().code(2).stdout("");
            finished.stderr(&format!(
                "ganger: error: duplicate variable {variable}: `{first}` and `{second}`\n  \
                   --> Procfile:3:1\n   |\n 3 | {second}: touch started\n   | {}\n  \
                   hint: it has the port of `{first}` (Procfile:1); rename one of the two\n",
                "^".repeat(second.len())
            ));
        }
    }
}

/// An app whose `web` has this port pinned, as the distance from the first port of the test.
fn pinned(procfile: &str, port: u16) -> Test {
    let test = app(procfile);
    let port = test.port() + port;
    test.file("ganger.toml", format!("[process.web]\nport = {port}\n"))
}

#[test]
fn a_pinned_port_is_that_of_the_process_everywhere() {
    let procfile =
        "web: WAIT\nworker: gangling --print-env GANGER_PROCESS_WEB_PORT --print-env PORT --wait\n";
    let test = pinned(procfile, 320).args(["start", "web=2,worker"]);
    let running = started(&test, "web.2");
    let line = running.wait_for_line("system", "web.1 started, pid ");
    assert!(line.ends_with(&format!(", http://localhost:{}", test.port() + 320)), "{line}");
    running.wait_for_line("worker.1", &format!("GANGER_PROCESS_WEB_PORT={}", test.port() + 320));
    running.wait_for_line("worker.1", &format!("PORT={}", test.port() + 100));
    assert_ports(&test, &[("web.1", 320), ("web.2", 321), ("worker.1", 100)]);
    test.beside(["wait", "web"]).code(0).stdout("web.1 is ready\nweb.2 is ready\n");
    test.beside(["open", "--print"]).code(0).stdout("http://localhost:PORT+320\n");
    test.beside(["config", "--running"]).code(0).stdout_has("\nPORT=PORT+320\n");
    test.beside(["-p", &(test.port() + 50).to_string(), "config"]).code(0).stdout_has("\nPORT=PORT+320\n");
    test.beside(["scale", "web=3"]).code(0);
    running.wait_ready("web.3");
    assert_ports(&test, &[("web.1", 320), ("web.2", 321), ("worker.1", 100), ("web.3", 322)]);
    running.finish();
}

#[test]
fn a_pinned_port_in_use_is_named_with_its_place() {
    for args in [&["start"][..], &["-p", "auto"]] {
        let test = pinned("web: touch started\n", 320).args(args);
        let _listener = std::net::TcpListener::bind(("127.0.0.1", test.port() + 320)).expect("a free port");
        let finished = test.run().code(1).stdout("");
        finished
            .stderr_has("ganger: error: port PORT+320 for web.1 is in use by pid N (")
            .stderr_has("\n  hint: stop it, or change `port` under `[process.web]` in ganger.toml\n");
        assert!(!test.path("started").exists());
    }
}

#[test]
fn two_processes_never_have_the_same_port() {
    let all = "web: touch started\napi: touch started\nworker: touch started\n";
    // That of another type's place.
    let test = pinned(all, 200);
    let place = "\n  --> ganger.toml:2:8\n";
    for command in [&["check"][..], &["start"], &["start", "web"], &["-D"]] {
        let finished = test.clone().args(command).run().code(2).stdout("").stderr_has(place);
        finished
            .stderr_has("ganger: error: duplicate port: web.1 and worker.1 would both have port PORT+200\n")
            .stderr_has(
                "  hint: pin another port, or move those that are not pinned with -p or --port-step\n",
            );
    }
    // Moved away.
    test.clone().args(["--port-step", "7", "check"]).run().code(0);
    // Two that are pinned.
    let port = test.port() + 330;
    let toml = format!("[process.web]\nport = {port}\n[process.api]\nport = {port}\n");
    let finished = test.clone().file("ganger.toml", toml).run().code(2).stdout("");
    finished
        .stderr_has("ganger: error: duplicate port: web.1 and api.1 would both have port PORT+330\n")
        .stderr_has(
            "  hint: the port of `web` is pinned at ganger.toml:2; pin another port for one of them\n",
        );
    // A further instance.
    let toml = format!("[process.web]\nport = {port}\n[process.api]\nport = {}\n", port + 1);
    let test = test.file("ganger.toml", toml);
    let finished = test.clone().args(["start", "web=2"]).run().code(2).stdout("");
    finished.stderr_has("duplicate port: api.1 and web.2 would both have port PORT+331\n");
    assert!(!test.path("started").exists());
    let test = test.procfile(all.replace("touch started", WAIT));
    let running = started(&test, "worker.1");
    let refused = test.beside(["scale", "web=2"]).code(2);
    refused.stderr_has("duplicate port: api.1 and web.2 would both have port PORT+331");
    running.finish();
}

#[test]
fn a_pinned_port_is_a_number() {
    for (value, message) in [
        ("'3000'", "`port` takes a number, and this is a text"),
        ("'auto'", "`port` takes a number, and this is a text"),
        ("0", "`0`: a port is a whole number from 1 to 65535"),
        ("70000", "`70000`: a port is a whole number from 1 to 65535"),
    ] {
        let test =
            app("web: touch started\n").file("ganger.toml", format!("[process.web]\nport = {value}\n"));
        let finished = test.args(["check"]).run().code(2).stdout("");
        finished.stderr_has(message).stderr_has("  --> ganger.toml:2:8\n");
    }
    let test =
        app("web: true\n").file("ganger.toml", "[process.web]\nport = 3000\n").args(["--no-port", "check"]);
    test.run().code(0).stderr_has("ganger: warning: `port` has no effect with `no-port`\n");
}

/// `web` listens on another port than its own.
fn elsewhere(procfile: &str) -> Test {
    let test = app("");
    let port = (test.port() + 7).to_string();
    test.procfile(procfile.replace("ELSEWHERE", &format!("export PORT={port}; {WAIT}")))
}

const LISTENS: &str = "web.1 listens on PORT+7, not on its PORT PORT";
const PIN: &str = "write `port = PORT+7` under `[process.web]` in ganger.toml, or start with -p PORT+7";

#[test]
fn a_process_that_listens_elsewhere_is_reported() {
    let test = elsewhere("web: ELSEWHERE\n");
    let running = started(&test, "web.1");
    // What is looked for is looked at more often the longer it takes: each wait has time for some looks.
    let mut said = String::new();
    eventually("the other port is named", || {
        let finished = test.beside(["wait", "-t", "2"]).code(124);
        said = finished.tidy(&finished.stderr);
        said.contains("listens on")
    });
    assert_eq!(said, format!("ganger: error: {LISTENS}, after N s\n  hint: {PIN}\n"));
    let finished = test.beside(["open", "--print", "-t", "0"]).code(1).stdout("");
    finished.stderr_has(&format!("ganger: error: {LISTENS}, after N s\n  hint: {PIN}\n"));
    running.finish();
    // As the hint says.
    let port = test.port() + 7;
    let test = test.file("ganger.toml", format!("[process.web]\nport = {port}\n"));
    let running = started(&test, "web.1");
    test.beside(["wait"]).code(0).stdout("web.1 is ready\n");
    test.beside(["open", "--print"]).code(0).stdout("http://localhost:PORT+7\n");
    running.finish();
}

#[test]
fn a_wait_for_a_process_that_listens_elsewhere_says_so() {
    let test = elsewhere("web: ELSEWHERE\nworker: touch started\n");
    let finished = test.args(["--wait-for", "worker=web", "--wait-timeout", "5"]).run().code(1);
    finished
        .stdout_has(&format!("it has waited 5 s for web ({LISTENS}) and ended the run\n"))
        .stdout_has(&format!("| hint: {PIN}\n"));
}
