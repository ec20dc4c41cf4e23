//! ganger as PID 1, as the entry point of a container has it: in a PID namespace of its own,
//! with a `/proc` of its own or none, without terminal and home, with what can be written and
//! what cannot. A container engine is not needed; unshare(1) makes the same namespaces.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use nix::sys::signal::Signal::{self, SIGHUP, SIGINT, SIGKILL, SIGTERM};
use nix::sys::stat::Mode;

use crate::kit::{Finished, OwnPids, Running, Test, eventually, poll_for, proc};

/// What unshare needs beside the namespaces themselves: a user has to be root of a namespace
/// of users to make others.
fn of_user() -> &'static str {
    // /proc/PID belongs to the user of the process (proc_pid(5)).
    let uid = std::fs::metadata("/proc/self").expect("/proc").uid();
    if uid == 0 { "" } else { "--user --map-root-user" }
}

/// Makes ganger PID 1 of a namespace, after `setup`, which `sh` runs as that PID 1.
fn contained(test: Test, options: &str, setup: &str) -> Test {
    let test = test.file("init", format!("set -e\n{setup}\nexec \"$@\"\n"));
    let user = if options.contains("--user") { "" } else { of_user() };
    let init = test.path("init");
    test.by_shell(&format!("exec unshare {user} {options} --pid --fork /bin/sh {} \"$@\"", init.display()))
}

/// A ganger that is PID 1.
struct Container {
    running: Running,
    /// Its pid as we see it.
    pid: i32,
}

impl Container {
    /// Starts one whose `/proc` is its own.
    fn start(test: Test) -> Self {
        Self::of(&contained(test, "--mount-proc", ""))
    }

    fn of(test: &Test) -> Self {
        let running = test.start();
        let first = || proc::children(running.pid()).first().map(|child| child.pid);
        let pid = poll_for(crate::kit::LIMIT, first).expect("a PID 1");
        Self { running, pid }
    }

    fn signal(&self, signal: Signal) {
        proc::send(self.pid, signal);
    }

    fn stop(self, signal: Signal) -> Finished {
        self.signal(signal);
        self.running.wait()
    }

    fn own_pids(&self) -> OwnPids {
        Running::own_pids_from(self.pid)
    }

    /// A command that is no child of ganger's, as of `docker exec`. Answers its output.
    fn exec(&self, test: &Test, script: &str) -> String {
        let user = if of_user().is_empty() { vec![] } else { vec!["--user", "--preserve-credentials"] };
        let mut command = std::process::Command::new("nsenter");
        command.args(["--target", &self.pid.to_string(), "--pid", "--mount"]).args(user);
        // nsenter goes to the root of the namespace.
        let script = format!("cd '{}' && {script}", test.dir().display());
        command.args(["/bin/sh", "-c", &script]).env_clear();
        command.envs(test.vars().iter().map(|(key, value)| (key, value)));
        let output = command.output().expect("nsenter");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("a text")
    }

    fn wait_for_no_zombie(&self) {
        eventually("no zombie", || proc::zombies_below(self.pid).is_empty());
    }
}

/// A child, one in another session, a daemon, and both again that ignore TERM.
const FAMILY: &str = "gangling --spawn --wait --spawn '--setsid --wait'
gangling --ignore TERM,INT,HUP --spawn '--setsid --wait'
gangling --daemon --wait
gangling --ignore TERM,INT,HUP --daemon --wait
exec gangling --wait
";

fn family() -> Test {
    Test::new()
        .file("family", FAMILY)
        .procfile("web: exec sh family\nworker: exec gangling --wait-file go --exit 3\n")
        .args(["-t", "0.5"])
}

/// Waits until all of the family are there.
fn ready(container: &Container) {
    container.running.wait_for_lines(5, |line| line.text.starts_with("ready "));
    container.running.wait_for_lines(2, |line| line.text.starts_with("daemon "));
}

#[test]
fn a_signal_from_outside_stops_all() {
    for (signal, code) in [(SIGTERM, 143), (SIGINT, 130), (SIGHUP, 129)] {
        let container = Container::start(family());
        ready(&container);
        container.stop(signal).code(code);
    }
}

#[test]
fn its_root_may_be_a_user_outside() {
    let container = Container::of(&contained(family(), "--user --map-root-user --mount-proc", ""));
    ready(&container);
    container.stop(SIGTERM).code(143);
}

#[test]
fn programs_that_are_kept_are_asked_to_end_with_the_container() {
    let keeper =
        "trap 'echo > asked; exit' TERM\necho trapped\nexec >log 2>&1\nwhile :; do sleep 0.1; done\n";
    let procfile = "web: GANGER_KEEP=1 setsid sh keeper & exec gangling --wait\n";
    let test = Test::new().file("keeper", keeper).procfile(procfile);
    let container = Container::start(test.clone());
    container.running.wait_for_line("web.1", "trapped");
    container.running.wait_ready("web.1");
    let finished = container.stop(SIGTERM).code(143);
    assert!(test.path("asked").exists(), "{finished}");
    assert!(!finished.lines_of("system").iter().any(|line| line.contains("left running")), "{finished}");
}

#[test]
fn a_second_signal_kills() {
    let container = Container::start(family().args(["-t", "3600"]));
    ready(&container);
    container.signal(SIGTERM);
    container.running.wait_for_line("system", "SIGTERM received");
    container.stop(SIGTERM).code(143);
}

#[test]
fn a_signal_while_the_files_are_read_is_not_lost() {
    // Whoever opens the pipe waits for the other: then ganger has begun and has read nothing.
    let test = Test::new().args(["-f", "pipe"]);
    nix::unistd::mkfifo(&test.path("pipe"), Mode::S_IRWXU).expect("a pipe");
    let pipe = test.path("pipe");
    let container = Container::of(&contained(test, "--mount-proc", ""));
    let mut procfile = std::fs::File::options().write(true).open(pipe).expect("opened");
    container.signal(SIGTERM);
    std::io::Write::write_all(&mut procfile, b"web: exec gangling --wait\n").expect("written");
    drop(procfile);
    container.running.wait().code(143);
}

/// There is no shell that could continue it, and the kernel stops no process 1.
#[test]
fn tstp_freezes_nothing() {
    for pty in ["always", "never"] {
        let test = Test::new()
            .procfile("web: exec gangling --log-signals USR1 --spawn '--setsid --wait' --wait\n")
            .args(["--pty", pty]);
        let container = Container::start(test.clone());
        container.running.wait_for_lines(2, |line| line.text.starts_with("ready "));
        let got = |what: &str| drop(container.running.wait_for(|line| line.text.ends_with(what)));
        let OwnPids { guard, reserve, supervisor } = container.own_pids();
        for pid in [guard, reserve, supervisor] {
            proc::send(pid, Signal::SIGTSTP);
        }
        // Acted on after the others, so what it reaches is not stopped by them.
        container.signal(Signal::SIGUSR1);
        got("got SIGUSR1 1");
        container.exec(&test, "kill -TSTP 1; kill -USR1 1");
        got("got SIGUSR1 2");
        let stopped = test.world().alive().into_iter().filter(|it| it.state == 'T');
        assert_eq!(stopped.count(), 0);
        container.stop(SIGTERM).code(143);
    }
}

#[test]
fn the_end_of_a_process_gives_the_status() {
    let test = family();
    let go = test.path("go");
    let container = Container::start(test);
    ready(&container);
    std::fs::write(go, "").expect("written");
    container.running.wait().code(3);
    let test = Test::new().procfile("web: exec gangling --kill-self SEGV\n");
    contained(test, "--mount-proc", "").run().code(139);
    let test = Test::new().procfile("web: true\n");
    contained(test, "--mount-proc", "").run().code(0);
}

#[test]
fn orphans_are_reaped_and_are_no_end() {
    // A process's own orphans come to the supervisor, those of strangers to PID 1. Each ends as
    // soon as its parent has.
    let many = "i=0; while [ $i -lt 40 ]; do i=$((i + 1))
gangling --daemon '--exit 9' --daemon '--kill-self KILL' & done; wait\n";
    let test = Test::new()
        .file("many", many)
        .procfile("web: sh many; gangling --say left; exec gangling --wait-file go --exit 4\n");
    let container = Container::start(test.clone());
    container.running.wait_ready("web.1");
    let said = container.exec(&test, "sh many");
    assert_eq!(said.lines().filter(|line| line.starts_with("daemon ")).count(), 80, "{said}");
    container.wait_for_no_zombie();
    std::fs::write(test.path("go"), "").expect("written");
    let finished = container.running.wait().code(4);
    let ends = finished.lines_of("system").iter().filter(|line| line.contains("exited with")).count();
    assert_eq!(ends, 2, "web's end and the report\n{finished}");
    let strangers = finished.lines_of("system").iter().any(|line| line.contains("code 9"));
    assert!(!strangers, "{finished}");
}

#[test]
fn a_stranger_that_stays_ends_with_it() {
    for script in ["gangling --daemon --wait", "gangling --ignore TERM,INT,HUP --daemon --wait"] {
        let test = Test::new().procfile("web: exec gangling --wait\n").args(["-t", "0.5"]);
        let container = Container::start(test.clone());
        container.running.wait_ready("web.1");
        container.exec(&test, script);
        container.stop(SIGTERM).code(143);
    }
}

#[test]
fn kill_9_leaves_nothing() {
    let victims: [fn(OwnPids) -> i32; 3] = [|pids| pids.supervisor, |pids| pids.reserve, |pids| pids.guard];
    for victim in victims {
        let container = Container::start(family());
        ready(&container);
        let pids = container.own_pids();
        proc::send(victim(pids), SIGKILL);
        let finished = container.running.wait();
        if victim(pids) == pids.guard {
            // Nobody is left to give a status. What unshare makes of that is its own.
            assert!(!finished.status.success(), "{finished}");
        } else {
            finished.code(137);
        }
    }
}

#[test]
fn nothing_can_be_written_and_there_is_no_home() {
    // The folder may be on a file system of its own.
    let setup = "mount --bind \"$PWD\" \"$PWD\"; cd \"$PWD\"
for place in / \"$PWD\"; do mount -o remount,bind,ro \"$place\"; done; exec 0<&-";
    let script = "if touch new 2>/dev/null || touch /new 2>/dev/null; then echo writable; fi
echo \"home=$HOME\"; exec sh family\n";
    let test = family().file("script", script).procfile("web: exec sh script\n").without("HOME");
    let container = Container::of(&contained(test, "--mount-proc", setup));
    container.running.wait_for_lines(4, |line| line.text.starts_with("ready "));
    container.running.wait_for_lines(2, |line| line.text.starts_with("daemon "));
    let finished = container.stop(SIGTERM).code(143).stderr("");
    assert!(finished.lines_of("web.1").contains(&"home=".to_owned()), "{finished}");
    assert!(!finished.lines_of("web.1").contains(&"writable".to_owned()), "{finished}");
}

#[test]
fn it_needs_no_root() {
    let test = family();
    // ganger and its helper may be in a folder that is closed to others.
    let bin = test.path("bin");
    std::fs::create_dir(&bin).expect("a folder");
    for program in ["ganger", "gangling"] {
        let (_, path) = test.vars().iter().find(|(key, _)| key == "PATH").expect("a PATH");
        let found = which::which_in(program, Some(path), "/").expect(program);
        std::fs::copy(found, bin.join(program)).expect("copied");
    }
    std::fs::set_permissions(test.dir(), std::fs::Permissions::from_mode(0o755)).expect("opened");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let test = test.var("PATH", path).args(["-m", "web=1"]);
    let test = test.procfile("web: id -u; exec sh family\n");
    let (options, init) = if of_user().is_empty() {
        (
            "--mount-proc",
            "shift; set -- setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs ganger \"$@\"",
        )
    } else {
        ("--user --map-user=10001 --mount-proc", "")
    };
    let container = Container::of(&contained(test, options, init));
    container.running.wait_for_line("web.1", "10001");
    container.running.wait_for_lines(4, |line| line.text.starts_with("ready "));
    container.stop(SIGTERM).code(143);
}

/// Without a `/proc`, and with one whose numbers are of another namespace, where those that
/// left their groups cannot be looked up.
const BLIND: [(&str, &str); 2] = [("--mount", "umount -l /proc"), ("--mount", "")];

#[test]
fn without_a_proc_of_its_own() {
    for (options, setup) in BLIND {
        let container = Container::of(&contained(family(), options, setup));
        ready(&container);
        container.stop(SIGTERM).code(143);

        let test = family();
        let go = test.path("go");
        let container = Container::of(&contained(test, options, setup));
        ready(&container);
        std::fs::write(go, "").expect("written");
        container.running.wait().code(3);

        let container = Container::of(&contained(family(), options, setup));
        ready(&container);
        proc::send(container.own_pids().supervisor, SIGKILL);
        container.running.wait().code(137);
    }
}

#[test]
fn without_a_proc_and_not_as_pid_1() {
    // The shell is PID 1 and goes on: here the kernel ends nobody.
    for (options, setup) in BLIND {
        let then = "status=0; \"$@\" || status=$?; echo \"status $status\" >&2; exec 1>&-; read -r line <end";
        let test = contained(family(), options, &format!("{setup}\n{then}\nexit"));
        nix::unistd::mkfifo(&test.path("end"), Mode::S_IRWXU).expect("a pipe");
        let go = test.path("go");
        let end = test.path("end");
        let container = Container::of(&test);
        ready(&container);
        std::fs::write(go, "").expect("written");
        container.running.wait_for_stderr("status 3");
        // unshare, PID 1, and nobody else.
        let left: Vec<i32> = test.world().alive().iter().map(|process| process.pid).collect();
        assert_eq!(left.len(), 2, "{:?}", test.world().alive());
        std::fs::write(end, "\n").expect("written");
        container.running.wait().code(0);
    }
}

#[test]
fn a_one_off_command() {
    let script = "gangling --daemon '--exit 9'; gangling --daemon --wait; exit 5";
    let test = Test::new().args(["run", "--", "sh", "-c", script]);
    contained(test, "--mount-proc", "").run().code(5);
    let test = Test::new().args(["run", "gangling", "--spawn", "--wait", "--wait"]);
    let container = Container::start(test);
    container.running.wait_for_text(2, "ready ");
    container.stop(SIGTERM).code(143);
}

#[test]
fn closed_descriptors_are_not_mixed_up() {
    // The first pipes that ganger makes must not become its own stdin, stdout or stderr.
    let script = "seen=$(cd /proc/$$/fd; readlink 0 1 2)\necho \"$seen\" >seen\nexit 6\n";
    for closed in ["0<&-", "1>&-", "2>&-", "0<&- 1>&-", "0<&- 2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"] {
        for inside in [true, false] {
            let test = Test::new().file("script", script).procfile("web: exec sh script\n");
            let test = if inside {
                contained(test, "--mount-proc", &format!("exec {closed}"))
            } else {
                test.by_shell(&format!("exec {closed}; exec \"$@\""))
            };
            let finished = test.run().code(6);
            let seen = std::fs::read_to_string(test.path("seen")).expect("seen");
            let seen: Vec<&str> = seen.lines().collect();
            assert!(seen.len() == 3 && seen.iter().all(|it| it.starts_with("pipe:")), "{closed}: {seen:?}");
            assert!(seen[0] != seen[1] && seen[1] == seen[2], "{closed}: {seen:?}");
            let is_silent = closed.contains('1');
            assert_eq!(finished.lines().is_empty(), is_silent, "{closed}: {finished}");
            assert_eq!(finished.stderr, b"", "{closed}: {finished}");
        }
    }
}
