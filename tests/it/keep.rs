//! Programs that are to live on: they survive whatever else is ended, however ganger ends, and nothing else
//! does.

use nix::sys::signal::Signal::{self, SIGABRT, SIGINT, SIGKILL, SIGTERM};

use crate::kit::{Finished, OwnPids, Running, Test, World, eventually, field, poll_for, proc};

/// `web` has the mark, and so has all that it starts: one in its group, one in another session, a daemon.
/// `worker` has started the same without it.
const PROCFILE: &str = "web: exec env GANGER_KEEP=1 gangling --daemon --wait --spawn --wait \
                        --spawn '--setsid --wait' --wait
worker: exec gangling --daemon --wait --spawn '--setsid --wait' --wait
other: exec gangling --wait-file go --exit 3
";

const ON: [&str; 2] = ["never", "always"];

fn app(pty: &str) -> Test {
    Test::without_ports().procfile(PROCFILE).args(["--pty", pty, "-t", "5"])
}

/// Waits until all of `web` and `worker` are there. Returns those that are to live on.
#[track_caller]
fn kept(running: &Running) -> Vec<i32> {
    running.wait_ready("other.1");
    running.wait_for_lines(2, |line| line.name == "worker.1" && line.text.starts_with("ready "));
    kept_of_web(running, 1)
}

/// The same of `web` alone, after so many runs of it.
#[track_caller]
fn kept_of_web(running: &Running, runs: usize) -> Vec<i32> {
    let of_web = |begin: &'static str, count: usize| {
        let is_it = move |line: &crate::kit::Line| line.name == "web.1" && line.text.starts_with(begin);
        running.wait_for_lines(count, is_it)
    };
    let daemons = of_web("daemon ", runs);
    let ready = of_web("ready ", 3 * runs);
    let pid = |text: &str| field(text, "pid");
    let leaves_session = |text: &&str| {
        let is_child = ready.iter().any(|line| pid(&line.text) == field(text, "ppid"));
        is_child && pid(text) == field(text, "sid")
    };
    let daemons = daemons.iter().map(|line| line.text["daemon ".len()..].parse().expect("a pid"));
    let others = ready.iter().map(|line| line.text.as_str()).filter(leaves_session).map(pid);
    let mut kept: Vec<i32> = daemons.chain(others).collect();
    kept.sort_unstable();
    assert_eq!(kept.len(), 2 * runs, "{ready:?}");
    kept
}

fn alive(world: &World) -> Vec<i32> {
    let mut alive: Vec<i32> = world.alive().iter().map(|process| process.pid).collect();
    alive.sort_unstable();
    alive
}

/// Looks whether these and no others are alive, and ends them.
#[track_caller]
fn assert_left(test: &Test, kept: &[i32]) {
    let is_so = poll_for(crate::kit::LIMIT, || (alive(test.world()) == kept).then_some(()));
    assert!(is_so.is_some(), "{kept:?} are to be left, and left are {:?}", test.world().alive());
    test.world().kill_all();
}

/// The line about these, of all lines about programs that are left running.
#[track_caller]
fn assert_told(finished: &Finished, kept: &[i32]) {
    let told = finished.lines_of("system").into_iter().filter(|line| line.starts_with("left running"));
    let [line] = &told.collect::<Vec<_>>()[..] else { panic!("not one line\n{finished}") };
    let is_told = |pid: &i32| line.contains(&format!("gangling (pid {pid})"));
    assert!(kept.iter().all(is_told), "{kept:?} in `{line}`");
    assert_eq!(line.matches("(pid ").count(), kept.len(), "{line}");
    assert!(line.starts_with("left running: ") && line.ends_with(", because of GANGER_KEEP"), "{line}");
}

#[test]
fn what_is_marked_survives_a_signal() {
    for pty in ON {
        for signal in [SIGINT, SIGTERM] {
            let test = app(pty);
            let running = test.start();
            let kept = kept(&running);
            let finished = running.stop_beside(signal).killed_by(signal);
            assert_told(&finished, &kept);
            assert_left(&test, &kept);
        }
    }
}

/// The shell is the process, and its children are the first that are asked to stop.
#[test]
fn what_a_shell_has_started_in_the_background_survives() {
    let procfile = "web: env GANGER_KEEP=1 gangling --setsid --wait & gangling --wait; true\n";
    for pty in ON {
        for ends in [
            ["stop", "web"].as_slice(),
            &["restart", "web"],
            &["signal", "USR1", "web", "--to", "program"],
            &[],
        ] {
            let test = Test::without_ports().procfile(procfile).args(["--pty", pty, "-t", "5"]);
            let test = test.args(["--on-exit", "ignore"]).var("GANGER_SOCKET", "socket");
            let running = test.start();
            let ready =
                running.wait_for_lines(2, |line| line.name == "web.1" && line.text.starts_with("ready "));
            let is_kept = |text: &&str| field(text, "pid") == field(text, "sid");
            let kept: Vec<i32> = ready
                .iter()
                .map(|line| line.text.as_str())
                .filter(is_kept)
                .map(|text| field(text, "pid"))
                .collect();
            assert_eq!(kept.len(), 1, "{ready:?}");
            if ends.is_empty() {
                let finished = running.stop_beside(SIGTERM).killed_by(SIGTERM);
                assert_told(&finished, &kept);
            } else {
                test.beside(ends).code(0);
                eventually("the program has ended", || !proc::is_alive(other(&ready, kept[0])));
                assert!(proc::is_alive(kept[0]), "{ends:?}");
                // With a restart there are two of them.
                drop(running.stop_beside(SIGTERM));
                assert!(proc::is_alive(kept[0]), "{ends:?}");
            }
            test.world().kill_all();
        }
    }
}

/// The pid of the other one of two.
fn other(ready: &[crate::kit::Line], pid: i32) -> i32 {
    ready.iter().map(|line| field(&line.text, "pid")).find(|it| *it != pid).expect("two processes")
}

#[test]
fn what_is_marked_survives_a_second_signal() {
    for pty in ON {
        let procfile = PROCFILE.replace("other: exec gangling", "other: exec gangling --ignore INT,TERM");
        let test = app(pty).procfile(procfile).args(["-t", "3600"]);
        let running = test.start();
        let kept = kept(&running);
        running.signal(SIGINT);
        running.wait_for_line("system", "SIGINT received");
        running.signal(SIGINT);
        let finished = running.wait_beside().killed_by(SIGINT);
        assert_told(&finished, &kept);
        assert_left(&test, &kept);
    }
}

#[test]
fn what_is_marked_survives_a_process_that_ends_the_run() {
    for pty in ON {
        let test = app(pty);
        let running = test.start();
        let kept = kept(&running);
        std::fs::write(test.path("go"), "").expect("written");
        let finished = running.wait_beside().code(3);
        assert_told(&finished, &kept);
        assert_left(&test, &kept);
    }
}

#[test]
fn what_is_marked_survives_the_stop_and_the_restart_of_its_process() {
    for pty in ON {
        let test = app(pty).var("GANGER_SOCKET", "socket");
        let running = test.start();
        let first = kept(&running);
        test.beside(["restart", "web"]).code(0);
        let told = running.wait_for_line("system", "left running by web.1: ");
        let all = kept_of_web(&running, 2);
        let second: Vec<i32> = all.iter().copied().filter(|pid| !first.contains(pid)).collect();
        test.beside(["stop", "web"]).code(0);
        assert!(first.iter().all(|pid| told.contains(&format!("(pid {pid})"))), "{told}");
        assert!(!second.iter().any(|pid| told.contains(&format!("(pid {pid})"))), "{told}");
        let of_web = |line: &crate::kit::Line| line.text.starts_with("left running by web.1: ");
        running.wait_for_lines(2, of_web);
        // What has the mark and is in the session of the process is gone with it.
        let of_worker_and_ganger = |pid: &i32| all.contains(pid) || !marked(&test).contains(pid);
        eventually("all others of web are gone", || marked(&test).iter().all(of_worker_and_ganger));
        let finished = running.stop_beside(SIGTERM).killed_by(SIGTERM);
        assert_eq!(finished.lines_of("system").iter().filter(|line| line.contains("by web.1")).count(), 2);
        assert_left(&test, &all);
    }
}

/// What has the mark in its environment.
fn marked(test: &Test) -> Vec<i32> {
    let marked: Vec<i32> = proc::with_variable("GANGER_KEEP=1").iter().map(|process| process.pid).collect();
    alive(test.world()).into_iter().filter(|pid| marked.contains(pid)).collect()
}

#[test]
fn what_is_marked_survives_the_crash_of_its_process() {
    let test = app("never").args(["--on-exit", "web=restart"]);
    let running = test.start();
    let first = kept(&running);
    let started = running.wait_for_line("system", "web.1 started, pid ");
    let leader = started.rsplit(' ').next().and_then(|pid| pid.parse().ok());
    proc::send(leader.unwrap_or_else(|| panic!("no pid in `{started}`")), SIGKILL);
    running.wait_for_line("system", "left running by web.1: ");
    let all = kept_of_web(&running, 2);
    assert!(first.iter().all(|pid| all.contains(pid) && proc::is_alive(*pid)));
    running.stop_beside(SIGINT).killed_by(SIGINT);
    assert_left(&test, &all);
}

/// Kills some of ganger's processes.
fn killed(signal: Signal, shell: Option<&str>, victims: impl Fn(OwnPids) -> Vec<i32>) {
    for pty in ON {
        let mut test = app(pty);
        if let Some(mark) = shell {
            // Then ganger's own processes have it too.
            test = test.var("GANGER_KEEP", mark);
        }
        let running = test.start();
        let kept = kept(&running);
        let victims = victims(running.own_pids());
        proc::send(victims[0], signal);
        for pid in &victims[1..] {
            proc::send_if_there(*pid, signal);
        }
        running.wait_beside().killed_by(signal);
        assert_left(&test, &kept);
    }
}

#[test]
fn what_is_marked_survives_the_supervisor() {
    killed(SIGKILL, None, |pids| vec![pids.supervisor]);
    killed(SIGABRT, None, |pids| vec![pids.supervisor]);
    killed(SIGKILL, Some("1"), |pids| vec![pids.supervisor]);
}

#[test]
fn what_is_marked_survives_the_guard() {
    killed(SIGKILL, None, |pids| vec![pids.guard]);
    killed(SIGKILL, Some("1"), |pids| vec![pids.guard]);
}

#[test]
fn what_is_marked_survives_the_reserve() {
    killed(SIGKILL, None, |pids| vec![pids.reserve]);
    killed(SIGKILL, Some("1"), |pids| vec![pids.reserve]);
}

#[test]
fn what_is_marked_survives_any_two_of_ganger() {
    killed(SIGKILL, None, |pids| vec![pids.guard, pids.supervisor]);
    killed(SIGKILL, None, |pids| vec![pids.supervisor, pids.guard]);
    killed(SIGKILL, None, |pids| vec![pids.guard, pids.reserve]);
    killed(SIGKILL, None, |pids| vec![pids.reserve, pids.supervisor]);
}

/// A process, a daemon of it and a child of that, all with other names.
fn named() -> Test {
    let procfile = "web: exec gangling --daemon '--rename a-very-long-keeper --spawn --wait --wait' \
                    --daemon '--rename other --wait' --rename a-very-long-keeper --wait\n";
    Test::without_ports().procfile(procfile)
}

/// Waits for the daemon and its child, which the test of `gangling` cannot tell of. Returns them.
fn keepers(test: &Test, running: &Running) -> Vec<i32> {
    let daemons = running.wait_for_lines(2, |line| line.text.starts_with("daemon "));
    running.wait_ready("web.1");
    let keeper: i32 = daemons[0].text["daemon ".len()..].parse().expect("a pid");
    let child = poll_for(crate::kit::LIMIT, || proc::children(keeper).first().map(|child| child.pid));
    let is_renamed = || proc::process(keeper).is_some_and(|it| it.command.contains("keeper"));
    eventually("it has its name", is_renamed);
    assert!(alive(test.world()).len() > 2);
    let mut all = vec![keeper, child.expect("a child")];
    all.sort_unstable();
    all
}

#[test]
fn what_is_named_survives_with_all_that_it_has_started() {
    let in_file = named().file("ganger.toml", "keep = [\"chrome\", \"a-very-long-keeper\"]\n");
    let tests = [
        in_file.clone(),
        named().args(["--keep", "chrome", "--keep", "x,a-very-long-keeper"]),
        // Names of the command line take the place of the file's.
        named().file("ganger.toml", "keep = \"gangling\"\n").args(["start", "--keep=a-very-long-keeper"]),
    ];
    for test in tests {
        let running = test.start();
        let kept = keepers(&test, &running);
        let finished = running.stop_beside(SIGINT).killed_by(SIGINT);
        let told = finished.lines_of("system").into_iter().find(|line| line.starts_with("left running"));
        let told = told.unwrap_or_else(|| panic!("no line\n{finished}"));
        // The kernel has 15 bytes of it.
        assert!(told.starts_with("left running: a-very-long-kee (pid "), "{told}");
        assert!(told.ends_with("), because of `keep`"), "{told}");
        assert_eq!(told.matches("(pid ").count(), 1, "{told}");
        assert_left(&test, &kept);
    }
    let running = in_file.start();
    let kept = keepers(&in_file, &running);
    proc::send(running.own_pids().supervisor, SIGKILL);
    running.wait_beside().killed_by(SIGKILL);
    assert_left(&in_file, &kept);
}

#[test]
fn without_a_name_or_a_mark_nothing_survives() {
    let running = named().args(["--keep", "a-very-long,keeper"]).start();
    running.wait_ready("web.1");
    let finished = running.finish().killed_by(SIGINT);
    assert!(!finished.lines_of("system").iter().any(|line| line.contains("left running")), "{finished}");
}

#[test]
fn a_path_is_not_a_name() {
    named().args(["--keep", "/usr/bin/chrome"]).run().code(2).stderr(
        "ganger: error: --keep `/usr/bin/chrome`: a path, not the name of a program
  hint: leave the directory out, as in `chrome`\n",
    );
    named().file("ganger.toml", "keep = [\"bin/x\"]\n").args(["check"]).run().code(2).stderr_has(
        "ganger: error: `bin/x`: a path, not the name of a program
  --> ganger.toml:1:9",
    );
}

#[test]
fn a_mark_of_the_whole_app_is_not_passed_on() {
    let procfile = "web: gangling --print-env GANGER_KEEP --daemon --wait --wait\n";
    let in_shell = Test::without_ports().procfile(procfile).var("GANGER_KEEP", "1");
    let in_file =
        Test::without_ports().procfile(procfile).file(".env", "A=1\nGANGER_KEEP=1\nGANGER_KEEP=1\n");
    let hint =
        "hint: set it for one program, as in `GANGER_KEEP=1 watchman`, or list programs: `--keep watchman`";
    let table = [
        (
            in_shell,
            format!("ganger: warning: GANGER_KEEP of the shell is not passed on to processes\n  {hint}\n"),
        ),
        (
            in_file,
            format!(
                "ganger: warning: `GANGER_KEEP` is not passed on to processes\n  --> .env:2:1\n  {hint}\n"
            ),
        ),
    ];
    for (test, warning) in table {
        let running = test.start();
        running.wait_for_line("web.1", "GANGER_KEEP is not set");
        running.wait_ready("web.1");
        running.finish().killed_by(SIGINT).stderr(&warning);
        test.args(["run", "--", "gangling", "--print-env", "GANGER_KEEP"])
            .run()
            .code(0)
            .stdout("GANGER_KEEP is not set\n")
            .stderr(&warning);
    }
}

#[test]
fn what_a_one_off_command_leaves_can_be_kept() {
    let daemon = "--daemon --wait --say done";
    let run = |line: String| Test::new().args(["run", "--"]).args(line.split(' '));
    let test = run(format!("env GANGER_KEEP=1 gangling {daemon}"));
    test.run_beside().code(0).stdout_has("done");
    assert_eq!(alive(test.world()).len(), 1);
    test.world().kill_all();
    let test = run(format!("gangling {daemon}")).file("ganger.toml", "keep = 'gangling'\n");
    test.run_beside().code(0).stdout_has("done");
    assert_eq!(alive(test.world()).len(), 1);
    test.world().kill_all();
    run(format!("gangling {daemon}")).run().code(0);
}

#[test]
fn programs_are_told_of_in_json() {
    let test = app("never").args(["--format", "json"]);
    let mut running = test.start();
    let kept = {
        running.wait_for_text(6, "\"ready ");
        running.wait_for_text(2, "\"daemon ");
        running.signal(SIGINT);
        running.wait_for_exit();
        alive(test.world())
    };
    let finished = running.wait_beside();
    let output = String::from_utf8(finished.stdout.clone()).expect("text");
    let objects = output.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let told: Vec<_> = objects.filter(|it| it["event"] == "kept").collect();
    let [told] = &told[..] else { panic!("{told:?}") };
    let programs = told["programs"].as_array().expect("a list");
    let mut pids: Vec<i64> = programs.iter().filter_map(|it| it["pid"].as_i64()).collect();
    pids.sort_unstable();
    assert_eq!(pids, kept.iter().map(|pid| i64::from(*pid)).collect::<Vec<_>>());
    assert!(programs.iter().all(|it| it["by"] == "GANGER_KEEP" && it["name"] == "gangling"), "{told}");
    assert_left(&test, &kept);
}
