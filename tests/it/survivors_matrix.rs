//! Nothing survives: every kind of descendant (rows) on every way to end (columns). A column is
//! one test; its rows run side by side, each in a world of its own, and the kit looks at the
//! end of each for a process with that world's mark in its environment.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use nix::sys::signal::{
    Signal::{self, SIGABRT, SIGHUP, SIGINT, SIGKILL, SIGTERM},
    killpg,
};
use nix::unistd::Pid;

use crate::kit::{Finished, OwnPids, Running, Test, proc};

/// A kind of descendant: what the shell of `web` runs, and what is printed once it is there.
struct Kind {
    name: &'static str,
    script: &'static str,
    ready: &'static [&'static str],
}

const fn kind(name: &'static str, script: &'static str, ready: &'static [&'static str]) -> Kind {
    Kind { name, script, ready }
}

const KINDS: [Kind; 13] = [
    kind("a child of the shell", "gangling --wait; :", &["ready "]),
    kind("a job in the background", "gangling --wait & gangling --wait; :", &["ready ", "ready "]),
    kind("a grandchild", "gangling --spawn --wait --wait; :", &["ready ", "ready "]),
    kind("another session", "gangling --spawn '--setsid --wait' --wait; :", &["ready ", "ready "]),
    kind("a daemon", "gangling --daemon --wait --wait; :", &["daemon ", "ready "]),
    kind(
        "a daemon that ignores",
        "gangling --ignore TERM,INT,HUP --daemon --wait --wait",
        &["daemon ", "ready "],
    ),
    kind("one that ignores", "gangling --ignore TERM,INT,HUP --wait; :", &["ready "]),
    kind("a stopped one", "gangling --say stopping --stop & gangling --wait; :", &["stopping", "ready "]),
    kind(
        "a stopped one that ignores",
        "gangling --say stopping --ignore TERM,INT,HUP --setsid --stop & gangling --wait; :",
        &["stopping", "ready "],
    ),
    kind(
        "one with another name",
        "gangling --rename nobody --setsid --wait & gangling --wait; :",
        &["ready ", "ready "],
    ),
    kind("a crowd that forks", "gangling --crowd 8 --wait; :", &["ready ", "crowded"]),
    kind("one that runs away", "gangling --run-away --wait; :", &["ready ", "away"]),
    kind(
        "one that holds the output",
        "gangling --ignore TERM,INT,HUP --spawn '--ignore TERM,INT,HUP --setsid --wait' --wait; :",
        &["ready ", "ready "],
    ),
];

/// A cell: ganger with this kind of descendant, which is there.
struct Cell {
    kind: &'static Kind,
    test: Test,
    running: Running,
}

impl Cell {
    fn test(kind: &Kind) -> Test {
        // The second process ends by itself when a column wants it to.
        let other = "other: exec gangling --wait-file go --exit 3\n";
        let procfile = format!("web: {}\n{other}", kind.script);
        Test::without_ports().procfile(procfile).args(["-t", "0.4"])
    }

    fn start(kind: &'static Kind) -> Self {
        let test = Self::test(kind);
        let running = test.start();
        Self { kind, test, running }
    }

    /// Waits until every descendant of this kind is there.
    fn wait(&self) {
        let mut wanted: Vec<&str> = self.kind.ready.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        for text in wanted {
            let count = self.kind.ready.iter().filter(|ready| ready.starts_with(text)).count();
            self.running.wait_for_lines(count, |line| line.name == "web.1" && line.text.starts_with(text));
        }
        self.running.wait_ready("other.1");
    }
}

/// One column: all kinds at once. Each is there before `act` begins with the first, and all
/// are over before `check` looks at how they ended. The kit fails a cell in which something is
/// left.
#[allow(clippy::print_stdout, reason = "shown only when the test fails")]
fn column(act: impl Fn(&mut Cell), check: impl Fn(Finished) -> Finished) {
    let mut cells: Vec<Cell> = KINDS.iter().map(Cell::start).collect();
    cells.iter().for_each(Cell::wait);
    cells.iter_mut().for_each(act);
    for cell in cells {
        println!("{}", cell.kind.name);
        check(cell.running.wait());
    }
}

#[test]
fn one_signal() {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        column(|cell| cell.running.signal(signal), |finished| finished.killed_by(signal));
    }
}

#[test]
fn ctrl_c_for_the_whole_group_twice() {
    let twice = |cell: &mut Cell| {
        cell.running.signal_group(SIGINT);
        cell.running.wait_for_line("system", "SIGINT received");
        // By now it may have ended.
        let _ = killpg(Pid::from_raw(cell.running.pid()), SIGINT);
    };
    column(twice, |finished| finished.killed_by(SIGINT));
}

#[test]
fn a_process_that_ends() {
    let end = |cell: &mut Cell| std::fs::write(cell.test.path("go"), "").expect("written");
    column(end, |finished| finished.code(3));
}

#[test]
fn the_leader_of_the_family_killed() {
    let kill = |cell: &mut Cell| {
        let started = cell.running.wait_for_line("system", "web.1 started, pid ");
        let pid = started.rsplit(' ').next().and_then(|pid| pid.parse().ok());
        proc::send(pid.unwrap_or_else(|| panic!("no pid in `{started}`")), SIGKILL);
    };
    column(kill, |finished| finished.code(137));
}

#[test]
fn a_reader_that_goes() {
    for kind in &KINDS {
        let test = Cell::test(kind);
        let procfile = format!("web: {}\nother: gangling --wait-file go --say more --wait\n", kind.script);
        let test = test.procfile(procfile);
        let mut child =
            test.command().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let running = Running::new(child, b"", test.world().clone());
        let mut left: Vec<&str> = kind.ready.iter().copied().chain(["ready "]).collect();
        while !left.is_empty() {
            let mut line = Vec::new();
            assert_ne!(
                output.read_until(b'\n', &mut line).expect("read"),
                0,
                "{}: {left:?} never came",
                kind.name
            );
            let line = String::from_utf8_lossy(&line).into_owned();
            let said = line.split_once("| ").map_or("", |(_, said)| said);
            if let Some(at) = left.iter().position(|ready| said.starts_with(ready)) {
                left.remove(at);
            }
        }
        drop(output);
        std::fs::write(test.path("go"), "").expect("written");
        running.wait().code(141);
    }
}

#[test]
fn a_start_that_fails_half_way() {
    for kind in &KINDS {
        let finished = Cell::test(kind)
            .args(["start", "web", "other=40"])
            .by_shell("ulimit -n 34; exec \"$@\"")
            .run()
            .code(1);
        finished.stdout_has("could not be started: too many open files: the limit of this process is 34");
    }
}

fn killed(signal: Signal, victims: impl Fn(OwnPids) -> Vec<i32>) {
    let kill = |cell: &mut Cell| {
        let pids = cell.running.own_pids();
        let victims = victims(pids);
        proc::send(victims[0], signal);
        // On a loaded machine the second may have acted on the end of the first, and be gone.
        for pid in &victims[1..] {
            proc::send_if_there(*pid, signal);
        }
    };
    // Where the first process was killed the others clean up after its end.
    column(kill, |finished| finished.killed_by(signal));
}

#[test]
fn the_supervisor_killed() {
    killed(SIGKILL, |pids| vec![pids.supervisor]);
}

#[test]
fn the_supervisor_panics() {
    // A panic aborts; see the profiles in Cargo.toml.
    killed(SIGABRT, |pids| vec![pids.supervisor]);
}

#[test]
fn the_guard_killed() {
    killed(SIGKILL, |pids| vec![pids.guard]);
}

#[test]
fn the_reserve_killed() {
    killed(SIGKILL, |pids| vec![pids.reserve]);
}

#[test]
fn guard_and_supervisor_killed_at_once() {
    killed(SIGKILL, |pids| vec![pids.guard, pids.supervisor]);
    killed(SIGKILL, |pids| vec![pids.supervisor, pids.guard]);
}

#[test]
fn guard_and_reserve_killed_at_once() {
    killed(SIGKILL, |pids| vec![pids.guard, pids.reserve]);
}

#[test]
fn reserve_and_supervisor_killed_at_once() {
    killed(SIGKILL, |pids| vec![pids.reserve, pids.supervisor]);
}
