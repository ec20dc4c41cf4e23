//! One user has one instance in a root, whatever the environment of each start and of each command.

use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::kit::{Running, Test, eventually, proc};

/// The variables that say where a socket may be.
const ENVIRONMENTS: [&[(&str, &str)]; 4] = [
    &[],
    &[("XDG_RUNTIME_DIR", "run")],
    &[("TMPDIR", "tmp")],
    &[("XDG_RUNTIME_DIR", "other-run"), ("TMPDIR", "other-tmp")],
];

fn app() -> Test {
    let test = Test::new().procfile("web: exec gangling --wait\n");
    ["run", "tmp", "other-run", "other-tmp"]
        .iter()
        .fold(test, |test, name| test.file(&format!("{name}/x"), ""))
}

fn in_environment(test: &Test, variables: &[(&str, &str)]) -> Test {
    variables.iter().fold(test.clone(), |test, (name, value)| {
        let path = test.path(value);
        test.var(name, path)
    })
}

#[track_caller]
fn started(test: &Test) -> Running {
    let running = test.start();
    running.wait_ready("web.1");
    running
}

/// The files of instances of this app, in all directories for sockets.
fn files(test: &Test) -> Vec<PathBuf> {
    let user = nix::unistd::geteuid();
    let mut directories =
        vec![format!("/tmp/ganger-{user}").into(), format!("/run/user/{user}/ganger").into()];
    directories.extend(["run", "other-run"].map(|name| test.path(name).join("ganger")));
    directories.extend(["tmp", "other-tmp"].map(|name| test.path(name).join(format!("ganger-{user}"))));
    let app = test.dir().file_name().expect("a name").to_str().expect("text").to_owned();
    let entries = directories.into_iter().flat_map(std::fs::read_dir).flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(&app) || is_lock(path, &app))
        .collect()
}

fn is_lock(path: &Path, app: &str) -> bool {
    path.to_string_lossy().ends_with(&format!("{app}.lock"))
}

#[test]
fn a_second_start_is_refused_in_every_environment() {
    let test = app();
    for first in ENVIRONMENTS {
        let running = started(&in_environment(&test, first));
        for second in ENVIRONMENTS {
            let second = in_environment(&test, second);
            for start in [&["start"][..], &["-D"]] {
                let refused = second.beside(start).code(1).stdout("");
                refused.stderr_has("ganger: error: ganger runs in DIR already, pid N\n");
            }
            second.beside(["ps"]).code(0).stderr("").stdout_has("web.1: up");
        }
        running.finish().killed_by(Signal::SIGINT);
        assert_eq!(files(&test), Vec::<PathBuf>::new());
    }
}

#[test]
fn every_environment_reaches_it_to_the_end() {
    let test = app();
    for first in ENVIRONMENTS {
        for second in ENVIRONMENTS {
            let running = started(&in_environment(&test, first));
            in_environment(&test, second).beside(["stop"]).code(0).stdout("ganger in DIR has ended\n");
            running.wait().killed_by(Signal::SIGTERM);
        }
    }
}

#[test]
fn of_two_that_start_at_once_in_different_environments_one_runs() {
    let test = app();
    for round in 0..10 {
        let (first, second) = (round % 4, (round + 1 + round / 4) % 4);
        let mut both: Vec<Running> =
            [first, second].iter().map(|it| in_environment(&test, ENVIRONMENTS[*it]).start()).collect();
        let mut loser = None;
        eventually("one is refused", || {
            loser = (0..2).find(|i| both[*i].is_over());
            loser.is_some()
        });
        let refused = both.remove(loser.expect("one")).wait_beside().code(1).stdout("");
        refused.stderr_has("ganger runs in DIR already");
        let running = both.remove(0);
        running.wait_ready("web.1");
        test.beside(["ps"]).code(0).stdout_has("web.1: up");
        running.finish();
    }
}

#[test]
fn what_a_killed_instance_has_left_in_another_environment_is_removed() {
    let test = app();
    for (first, second) in [(1, 0), (3, 2), (0, 1), (1, 3)] {
        let running = started(&in_environment(&test, ENVIRONMENTS[first]));
        proc::send(running.own_pids().supervisor, Signal::SIGKILL);
        running.wait().killed_by(Signal::SIGKILL);
        let left = files(&test);
        assert!(
            left.iter().any(|path| path.metadata().is_ok_and(|it| it.file_type().is_socket())),
            "{left:?}"
        );
        let second = in_environment(&test, ENVIRONMENTS[second]);
        second.beside(["ps"]).code(1).stderr_has("ganger does not run in DIR\n");
        let running = started(&second);
        second.beside(["ps"]).code(0).stdout_has("web.1: up");
        running.finish();
        assert_eq!(files(&test), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_lost_lock_file_does_not_let_a_second_one_start() {
    let test = app();
    let first = in_environment(&test, ENVIRONMENTS[1]);
    let running = started(&first);
    // As what cleans up /tmp may do.
    let locks = files(&test).into_iter().filter(|path| path.extension().is_some_and(|it| it == "lock"));
    locks.for_each(|lock| std::fs::remove_file(lock).expect("removed"));
    first.beside(["start"]).code(1).stdout("").stderr_has("ganger runs in DIR already, pid N\n");
    first.beside(["ps"]).code(0).stdout_has("web.1: up");
    running.finish();
}

#[test]
fn ganger_sets_no_socket_variable_and_passes_one_on() {
    let test = app().procfile("web: exec gangling --print-env GANGER_SOCKET --wait\n");
    let running = test.start();
    running.wait_for_line("web.1", "GANGER_SOCKET is not set");
    running.finish();
    let test = test.var("GANGER_SOCKET", "named");
    let running = test.start();
    running.wait_for_line("web.1", "GANGER_SOCKET=named");
    running.finish();
}

#[test]
fn a_start_in_another_root_leaves_a_named_socket_alone() {
    let inner = "inner: exec gangling --wait\n";
    let test = app().procfile("outer: cd inner && exec ganger start\n").file("inner/Procfile", inner);
    let without = test.clone();
    let socket = test.path("named");
    let test = test.var("GANGER_SOCKET", socket);
    let running = test.start();
    let note = "ganger: note: GANGER_SOCKET is the socket of the instance in ";
    let note = running.wait_for_line("outer.1", note);
    assert!(note.ends_with(&format!("{}; this one has its own", test.dir().display())), "{note}");
    running.wait_for(|line| line.name == "outer.1" && line.text.contains("ready "));
    // The variable names the outer one, wherever the command runs.
    test.beside(["ps"]).code(0).stdout_has("outer.1: up");
    test.clone().cwd("inner").beside(["ps"]).code(0).stdout_has("outer.1: up");
    // Without it each root has its own.
    without.beside(["-d", "inner", "ps"]).code(0).stdout_has("inner.1: up");
    without.beside(["-d", "inner", "stop"]).code(0).stdout("ganger in DIR/inner has ended\n");
    running.wait();
    // In the same root it is a second start.
    let test = test.procfile("web: exec gangling --wait\n");
    let running = started(&test);
    test.beside(["start"]).code(1).stdout("").stderr_has("ganger runs in DIR already, pid N\n");
    running.finish();
}
