//! Files that are missing or lie elsewhere, and variables that are misspelled: what is said of them.

use std::io::Write as _;

use crate::kit::Test;

fn app() -> Test {
    Test::new().procfile("web: gangling --print-env A\n")
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
