//! Real programs under ganger, and ganger under real programs: each must end as its own manual says a
//! clean stop ends, by whatever the stop came.
//!
//! `tests/programs/install` installs the programs. [`App`] is an app with work under way when it is
//! stopped, a table of them is in the file of each family. Nothing may depend on a timeout: it is an
//! hour, so what would be killed, or asked only when half of it is over, never ends here.

mod databases;
mod node;
mod queues;
mod servers;
mod shells;
mod terminals;

use std::cell::Cell;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

use crate::kit::{Running, Terminal, Test, eventually, proc};
use crate::wrapped::guard;

/// Checks that the work was done. It learns whether the app is up, as after a restart.
type Check = Box<dyn FnOnce(&Test, bool)>;

/// Has something begun, and returns when it is under way.
type Work = Box<dyn Fn(&Test) -> Check>;

/// An app whose clean stop can be told from another.
struct App {
    test: Test,
    /// What is typed to start it.
    command: String,
    /// What `ganger restart` is given.
    name: &'static str,
    work: Work,
    /// What is printed once by each clean stop.
    says: &'static [&'static str],
    /// What a stop that is not clean prints.
    never: &'static [&'static str],
    /// What the shell has in `$?` after Ctrl-C.
    status: i32,
    /// How what was started ends when ganger has ended by TERM: its exit code, or `None` if it dies of it.
    code: Option<i32>,
}

impl App {
    /// `None` where one of the programs is missing, which is a failure in CI.
    fn new(programs: &[&str], work: impl Fn(&Test) -> Check + 'static) -> Option<Self> {
        Self::of(Test::without_ports(), programs, work)
    }

    /// The same with a port for each process.
    fn with_ports(programs: &[&str], work: impl Fn(&Test) -> Check + 'static) -> Option<Self> {
        Self::of(Test::new(), programs, work)
    }

    fn of(test: Test, programs: &[&str], work: impl Fn(&Test) -> Check + 'static) -> Option<Self> {
        let own = test.vars().iter().find(|(key, _)| key == "PATH").expect("a PATH").1.clone();
        let installed = installed();
        let mut path = vec![installed.join("venv/bin"), installed.join("node_modules/.bin")];
        path.extend(std::env::split_paths(&own));
        for program in programs {
            if !path.iter().any(|directory| directory.join(program).exists()) {
                missing(program);
                return None;
            }
        }
        let test = test
            .var("PATH", std::env::join_paths(path).expect("a PATH"))
            .var("GANGER_TIMEOUT", "3600")
            .var("npm_config_update_notifier", "false")
            .var("npm_config_offline", "true");
        Some(Self {
            test,
            command: "ganger start".to_owned(),
            name: "web",
            work: Box::new(work),
            says: &[],
            never: &[],
            status: 130,
            code: None,
        })
    }

    fn file(self, name: &str, text: &str) -> Self {
        Self { test: self.test.file(name, text), ..self }
    }

    /// A file that can be run.
    fn program(self, name: &str, text: &str) -> Self {
        let app = self.file(name, text);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(app.test.path(name), mode).expect("made executable");
        app
    }

    fn procfile(self, text: &str) -> Self {
        self.file("Procfile", text)
    }

    /// What `ganger restart` is given.
    fn restarting(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// What is typed to start it, and how that ends: its status for a shell after Ctrl-C, and its exit
    /// code after a TERM to ganger.
    fn around(self, command: &str, status: i32, code: Option<i32>) -> Self {
        Self { command: command.to_owned(), status, code, ..self }
    }

    fn says(self, says: &'static [&'static str], never: &'static [&'static str]) -> Self {
        Self { says, never, ..self }
    }

    fn ends_on_ctrl_c(&self) {
        let mut shell = Terminal::with_shell(&self.test);
        shell.type_text(&format!("{}\r", self.command));
        let check = (self.work)(&self.test);
        shell.type_text("\x03");
        eventually("the shell has the terminal again", || shell.foreground() == shell.pid());
        check(&self.test, false);
        shell.type_text("echo \"<$?>\"\r");
        shell.wait_for("<");
        shell.wait_for(">\r\n");
        shell.type_text("exit 0\r");
        assert!(shell.wait().success());
        self.assert_clean(&shell.text(), 1);
        assert!(shell.text().contains(&format!("<{}>\r\n", self.status)), "the status; {}", shell.text());
    }

    fn ends_on_term(&self) {
        let running = self.start();
        let check = (self.work)(&self.test);
        proc::send(guard(&self.test), Signal::SIGTERM);
        self.expect_end(running, check, 1);
    }

    fn ends_on_restart_and_stop(&self) {
        let running = self.start();
        let check = (self.work)(&self.test);
        self.test.beside(["restart", self.name]).code(0).stderr("");
        check(&self.test, true);
        let check = (self.work)(&self.test);
        self.test.beside(["stop"]).code(0).stderr("");
        self.expect_end(running, check, 2);
    }

    fn start(&self) -> Running {
        self.test.clone().by_shell(&format!("exec {}", self.command)).start()
    }

    fn expect_end(&self, running: Running, check: Check, stops: usize) {
        let finished = running.wait();
        check(&self.test, false);
        self.assert_clean(&finished.to_string(), stops);
        let expected = self.code.map_or(Signal::SIGTERM as i32, |code| code << 8);
        assert_eq!(finished.status, ExitStatus::from_raw(expected), "{finished}");
    }

    /// Nothing was killed, and every stop was clean.
    #[track_caller]
    fn assert_clean(&self, text: &str, stops: usize) {
        for bad in ["SIGKILL", "did not stop within"].iter().chain(self.never) {
            assert!(!text.contains(bad), "`{bad}`:\n{text}");
        }
        for good in self.says {
            assert_eq!(text.matches(good).count(), stops, "`{good}`:\n{text}");
        }
    }
}

/// Where `tests/programs/install` puts programs.
fn installed() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target directory").join("programs")
}

/// Says that a program is missing. In CI, where all are installed, that is a failure.
fn missing(program: &str) {
    // Not `eprintln`: what a test prints with it is shown only if the test fails.
    let _ = writeln!(std::io::stderr(), "skipped: `{program}` was not found; run tests/programs/install");
    assert!(std::env::var_os("CI").is_none(), "`{program}` was not found");
}

/// Programs of these names that save for a second when they are asked to stop: `save.py a`.
fn savers(names: &'static [&'static str]) -> impl Fn(&Test) -> Check {
    move |test| {
        for name in names {
            let path = test.path(&format!("ready.{name}"));
            eventually(&format!("`{name}` is ready"), || path.exists());
            std::fs::remove_file(path).expect("removed");
        }
        Box::new(move |test, _| {
            for name in names {
                let path = test.path(&format!("saved.{name}"));
                assert!(path.exists(), "`{name}` has not saved");
                std::fs::remove_file(path).expect("removed");
            }
        })
    }
}

/// Waits until a process listens. It may be asked before ganger itself is there.
fn wait_until_up(test: &Test, name: &str) {
    eventually(&format!("`{name}` is up"), || test.beside(["wait", name]).status.success());
}

/// A name that no other call in this process returns.
fn token() -> String {
    thread_local!(static NEXT: Cell<u32> = const { Cell::new(1) });
    format!("job-{}", NEXT.replace(NEXT.get() + 1))
}

/// Three tests of an app: Ctrl-C, TERM to ganger, and `ganger restart` with `ganger stop`.
macro_rules! endings {
    ($app:expr => $ctrl_c:ident, $term:ident, $restart_and_stop:ident) => {
        #[test]
        fn $ctrl_c() {
            if let Some(app) = $app {
                app.ends_on_ctrl_c();
            }
        }

        #[test]
        fn $term() {
            if let Some(app) = $app {
                app.ends_on_term();
            }
        }

        #[test]
        fn $restart_and_stop() {
            if let Some(app) = $app {
                app.ends_on_restart_and_stop();
            }
        }
    };
}

use endings;
