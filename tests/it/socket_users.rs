//! Another user on the same machine puts something of their own where ganger looks for its socket.
//!
//! Whatever it is, no command talks to it, shows its replies or hangs on it, and the instance takes
//! over none of it. With real users: root becomes two others. A plain user creates a user namespace in which
//! they are root; where that is not possible either, the tests say so, and fail in CI.

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::kit::{Finished, Running, Terminal, Test};

/// The name of the socket of `/`, which is searched for from every directory: the other user does not need
/// to know the app.
const OF_SLASH: &str = "af63a24c860189fe-";

/// The reply of the other user to any request: what `ps` could show, with sequences for the terminal.
const ANSWER: &str = concat!(
    r#"{"v":1,"result":{"pid":1,"root":"/\u001b]2;PWNED\u0007","formation":[{"type":"web","count":1}],"#,
    r#""processes":[{"name":"web.1","type":"web","command":"\u001b]52;c;UFdORUQ=\u0007 PWNED","pid":1,"#,
    r#""port":80,"state":"up","since":"2026-11-23T18:16:42Z","restarts":0,"exit":null,"ready":true}],"#,
    r#""variables":[{"name":"PATH","value":"/PWNED","from":"shell"}],"outcome":"ready","name":"web.1"}}"#,
    "\n",
    r#"{"v":1,"error":{"message":"\u001b[2J PWNED","hint":"run `PWNED`","status":0}}"#,
    "\n",
);

/// All commands that talk to an instance.
const COMMANDS: [&[&str]; 14] = [
    &["ps"],
    &["stop"],
    &["stop", "web"],
    &["restart"],
    &["up", "web"],
    &["scale"],
    &["scale", "web=2"],
    &["reload"],
    &["logs"],
    &["logs", "-f"],
    &["attach", "web"],
    &["wait"],
    &["open", "--print"],
    &["config", "--running", "--shell", "--show-secrets"],
];

/// An app of one user, and another user.
struct Users {
    test: Test,
    victim: u32,
    other: u32,
}

/// Runs `check` where there are two users.
fn with_two_users(check: impl FnOnce(&Users)) {
    // All of them are about the app in `/`, and an instance of another user there is named in every message.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if nix::unistd::geteuid().is_root() {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        return check(&Users::new());
    }
    let root = ["--user", "--map-root-user", "--map-auto"];
    if Command::new("unshare").args(root).arg("true").status().is_ok_and(|status| status.success()) {
        let thread = std::thread::current();
        let this = std::env::current_exe().expect("a path");
        let mut again = Command::new("unshare");
        again
            .args(root)
            .arg(this)
            .args(["--exact", "--nocapture"])
            .arg(thread.name().expect("the test's name"));
        let status = again.status().expect("started").success();
        assert!(status, "it failed as root of a user namespace");
        return;
    }
    not_tested("this needs root, or a user namespace with more than one user");
}

/// Reports that a test cannot run here, and fails in CI, where all can.
#[track_caller]
pub(crate) fn not_tested(why: &str) {
    // Not captured like the output of the test.
    let _ = writeln!(std::io::stderr(), "not tested: {why}");
    assert!(std::env::var_os("CI").is_none(), "not tested in CI: {why}");
}

impl Users {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Two uids that no other test uses: nothing is at the first place. They are above all ports of tests, as
        // those are replaced in messages.
        let victim = loop {
            let number = (std::process::id() % 800) * 40 + NEXT.fetch_add(2, Ordering::Relaxed) % 40;
            if fs::symlink_metadata(default_place(33_000 + number)).is_err() {
                break 33_000 + number;
            }
        };
        let test = Test::new().procfile("web: exec gangling --wait\n");
        for program in ["ganger", "gangling"] {
            // The other user may not enter the build directory. Not by this process: see tests/it/limits.rs.
            let copied = Command::new("cp").arg(find(&test, program)).arg(test.path(program)).status();
            assert!(copied.expect("cp").success());
        }
        let path = format!("{}:/usr/bin:/bin", test.dir().display());
        let (run, temporary) = (test.path("run"), test.path("tmp"));
        for directory in [&run, &temporary] {
            fs::create_dir(directory).expect("made");
            mode(directory, 0o1777);
        }
        mode(test.dir(), 0o755);
        chown(test.dir(), Some(victim), Some(victim)).expect("given");
        chown(test.path("Procfile"), Some(victim), Some(victim)).expect("given");
        let test = test.var("PATH", path).var("XDG_RUNTIME_DIR", run).var("TMPDIR", temporary);
        let script =
            format!("shift; exec setpriv --reuid={victim} --regid={victim} --clear-groups ./ganger \"$@\"");
        Self { test: test.by_shell(&script), victim, other: victim + 1 }
    }

    /// The places where a client looks, in order.
    fn places(&self) -> [PathBuf; 3] {
        let temporary = self.test.path("tmp").join(format!("ganger-{}", self.victim));
        [self.test.path("run/ganger"), temporary, default_place(self.victim)]
    }

    /// Gives the path to the other user.
    fn give(&self, path: &Path) {
        std::os::unix::fs::lchown(path, Some(self.other), Some(self.other)).expect("given");
    }

    /// A gangling of the other user.
    fn other_runs(&self, steps: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={}", self.other), format!("--regid={}", self.other)]);
        command.arg("--clear-groups").arg(self.test.path("gangling")).args(steps);
        command.env_clear().current_dir("/");
        command
    }

    /// A server of the other user on this socket.
    fn serve(&self, socket: &Path) -> Server {
        let answer = self.test.path("answer");
        fs::write(&answer, ANSWER).expect("written");
        mode(&answer, 0o644);
        let log = self.test.path("tmp").join(format!("heard-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let mut child = self
            .other_runs(&["--answer"])
            .args([socket, &answer, &log])
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut said = [0; 10];
        child.stdout.as_mut().expect("a pipe").read_exact(&mut said).expect("it answers");
        assert_eq!(&said, b"answering\n");
        Server { child, log }
    }

    /// Runs each command of the victim, which must talk to no server and fail with this status.
    #[track_caller]
    fn all_refuse(&self, status: i32, says: &str) {
        for command in COMMANDS {
            self.refuses(command, status, says);
        }
    }

    #[track_caller]
    fn refuses(&self, command: &[&str], status: i32, says: &str) -> Finished {
        let finished = self.test.beside(command).code(status).stdout("").stderr_has(says);
        let said = String::from_utf8_lossy(&finished.stderr).into_owned();
        assert!(!said.contains("PWNED") && !said.contains('\u{1b}'), "{command:?}: {said}");
        finished
    }

    #[track_caller]
    fn started(&self) -> Running {
        let running = self.test.start();
        running.wait_ready("web.1");
        running
    }
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Drop for Users {
    fn drop(&mut self) {
        let default = default_place(self.victim);
        let _ = fs::remove_dir_all(&default).or_else(|_| fs::remove_file(&default));
    }
}

struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// What the server received; each client ends with a dot.
    fn heard(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).expect("a log")).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn default_place(user: u32) -> PathBuf {
    format!("/tmp/ganger-{user}").into()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
}

fn find(test: &Test, program: &str) -> PathBuf {
    let path = test.vars().iter().find(|(key, _)| key == "PATH").map(|(_, value)| value).expect("a PATH");
    let mut all = std::env::split_paths(path).map(|directory| directory.join(program));
    all.find(|path| path.exists()).expect("the program")
}

#[test]
fn a_server_in_a_directory_of_another_user_is_not_trusted() {
    with_two_users(|users| {
        for place in users.places() {
            fs::create_dir(&place).expect("made");
            users.give(&place);
            mode(&place, 0o755);
            let server = users.serve(&place.join(OF_SLASH));
            let reason = format!(
                "{} is not used: it belongs to another user (uid {})",
                shown(users, &place),
                users.other
            );
            users.all_refuse(1, &reason);
            users.refuses(&["ps"], 1, "ganger does not run in DIR\n");
            assert_eq!(server.heard(), "", "{}", place.display());
            drop(server);
            fs::remove_dir_all(&place).expect("removed");
        }
    });
}

/// As in [`Finished::tidy`].
fn shown(users: &Users, path: &Path) -> String {
    path.to_str().expect("text").replace(users.test.dir().to_str().expect("text"), "DIR")
}

#[test]
fn typed_keys_do_not_reach_another_user() {
    with_two_users(|users| {
        let place = default_place(users.victim);
        fs::create_dir(&place).expect("made");
        users.give(&place);
        mode(&place, 0o755);
        let server = users.serve(&place.join(OF_SLASH));
        let mut terminal = Terminal::with_shell(&users.test);
        let user = users.victim;
        terminal.type_text(&format!(
            "setpriv --reuid={user} --regid={user} --clear-groups ./ganger attach web; echo \"left $?\"\r"
        ));
        terminal.wait_for("ganger does not run in");
        terminal.type_text("# hunter2\r");
        terminal.wait_for("left 1");
        terminal.type_text("exit\r");
        terminal.wait();
        let shown = terminal.text();
        assert!(!shown.contains("PWNED"), "{shown}");
        assert_eq!(server.heard(), "");
    });
}

/// The directory is valid, but the process that listens in it is not ours.
#[test]
fn a_server_of_another_user_in_our_directory_is_not_trusted() {
    with_two_users(|users| {
        for place in users.places() {
            fs::create_dir(&place).expect("made");
            chown(&place, Some(users.victim), Some(users.victim)).expect("given");
            mode(&place, 0o700);
            let socket = place.join(OF_SLASH);
            // Of root, who may do that.
            let listener = UnixListener::bind(&socket).expect("bound");
            mode(&socket, 0o777);
            let says = format!("the socket {} belongs to another user (uid 0)", shown(users, &socket));
            users.refuses(&["ps"], 1, &says);
            let mut said = Vec::new();
            let (mut stream, _) = listener.accept().expect("one that has connected");
            stream.read_to_end(&mut said).expect("it is closed");
            assert_eq!(said, b"");
            fs::remove_dir_all(&place).expect("removed");
        }
    });
}

/// The message of a client, and how the path is created.
type Squatter<'a> = (&'a str, &'a dyn Fn(&Path));

#[test]
fn links_and_files_in_place_of_a_directory_are_not_used() {
    with_two_users(|users| {
        let elsewhere = users.test.path("tmp/elsewhere");
        fs::create_dir(&elsewhere).expect("made");
        users.give(&elsewhere);
        mode(&elsewhere, 0o755);
        let server = users.serve(&elsewhere.join(OF_SLASH));
        let kinds: [Squatter; 4] = [
            ("it is a symbolic link", &|place| symlink(&elsewhere, place).expect("linked")),
            ("it is not a directory", &|place| fs::write(place, "PWNED").expect("written")),
            ("it is not a directory", &|place| mkfifo(place, Mode::all()).expect("made")),
            ("others may enter it (mode 0777, not 0700)", &|place| {
                fs::create_dir(place).expect("made");
                mode(place, 0o777);
                let (victim, link) = (users.victim, place.join(OF_SLASH));
                chown(place, Some(victim), Some(victim)).expect("given");
                symlink(elsewhere.join(OF_SLASH), link).expect("linked");
            }),
        ];
        for place in users.places() {
            for (reason, make) in &kinds {
                make(&place);
                if reason.starts_with("it is") {
                    users.give(&place);
                }
                let says = format!("{} is not used: {reason}", shown(users, &place));
                users.refuses(&["ps"], 1, &says);
                users.refuses(&["stop"], 1, &says);
                fs::remove_dir_all(&place).or_else(|_| fs::remove_file(&place)).expect("removed");
            }
        }
        assert_eq!(server.heard(), "");
    });
}

#[test]
fn the_next_place_is_used_if_one_is_taken() {
    with_two_users(|users| {
        let [first, ..] = users.places();
        fs::create_dir(&first).expect("made");
        users.give(&first);
        let server = users.serve(&first.join(OF_SLASH));
        let running = users.started();
        users.test.beside(["ps"]).code(0).stderr("").stdout_has("web.1: up");
        users.test.beside(["restart"]).code(0).stderr("").stdout_has("web.1 restarted");
        users.test.beside(["stop"]).code(0).stdout("ganger in DIR has ended\n");
        running.wait().killed_by(Signal::SIGTERM);
        assert_eq!(server.heard(), "");
    });
}

#[test]
fn a_start_explains_that_all_places_are_taken() {
    with_two_users(|users| {
        let places = users.places();
        let [first, second, third] = &places;
        fs::write(first, "PWNED").expect("written");
        symlink("/", second).expect("linked");
        fs::create_dir(third).expect("made");
        for place in &places {
            users.give(place);
        }
        let running = users.started();
        let hint = running.wait_for(|line| line.text.contains("there is no socket"));
        let by_other = format!("it belongs to another user (uid {})", users.other);
        let reasons = ["it is not a directory", "it is a symbolic link", by_other.as_str()];
        for (place, reason) in places.iter().zip(reasons) {
            let (place, text) = (place.display().to_string(), &hint.text);
            assert!(text.contains(&place) && text.contains(reason), "{place}, {reason}: {text}");
        }
        running.finish().killed_by(Signal::SIGINT);
        let refused = users.test.beside(["-D"]).code(1).stdout("");
        for reason in reasons {
            assert!(String::from_utf8_lossy(&refused.stderr).contains(reason), "{refused}");
        }
        assert_eq!(fs::read(first).expect("there"), b"PWNED");
        assert_eq!(fs::read_dir(third).expect("there").count(), 0);
    });
}

#[test]
fn a_named_socket_of_another_user_is_not_used() {
    with_two_users(|users| {
        let directory = users.test.path("tmp/shared");
        fs::create_dir(&directory).expect("made");
        mode(&directory, 0o777);
        let socket = directory.join("s");
        let server = users.serve(&socket);
        let before = fs::symlink_metadata(&socket).expect("there");
        let test = users.test.clone().var("GANGER_SOCKET", &socket);
        let users = Users { test, victim: users.victim, other: users.other };
        let whose = format!("belongs to another user (uid {})", users.other);
        users.all_refuse(2, &whose);
        for start in [&["start"][..], &["-D"]] {
            users.refuses(start, 2, &whose);
        }
        let heard = server.heard();
        assert!(heard.chars().all(|c| c == '.'), "{heard}");
        let now = fs::symlink_metadata(&socket).expect("there");
        assert_eq!((now.ino(), now.mtime_nsec()), (before.ino(), before.mtime_nsec()));
        assert_eq!(fs::read_dir(&directory).expect("there").count(), 1, "no lock, no other socket");
        // That server is dead, but the socket is still not ours to replace.
        drop(server);
        users.refuses(&["start"], 2, &whose);
    });
}

#[test]
fn a_lock_of_another_user_is_ignored() {
    with_two_users(|users| {
        let directory = users.test.path("tmp/shared");
        fs::create_dir(&directory).expect("made");
        mode(&directory, 0o777);
        let (socket, lock) = (directory.join("s"), directory.join("s.lock"));
        let test = users.test.clone().var("GANGER_SOCKET", &socket);
        fs::write(&lock, "1\n").expect("written");
        users.give(&lock);
        mode(&lock, 0o666);
        let held = File::open(&lock).expect("opened");
        for is_held in [false, true] {
            if is_held {
                held.lock().expect("locked");
            }
            for start in [&["start"][..], &["-D"]] {
                let finished = test.beside(start).code(2).stdout("");
                finished.stderr_has("s.lock belongs to another user");
            }
        }
        assert_eq!(fs::read(&lock).expect("there"), b"1\n");
        fs::remove_file(&lock).expect("removed");

        // In place of the lock of a running instance, it does not delay `stop`.
        let kinds: [&dyn Fn(); 3] = [
            &|| {
                fs::write(&lock, "1\n").expect("written");
                File::open(&lock).expect("opened").lock().map(std::mem::forget).expect("locked");
            },
            &|| mkfifo(&lock, Mode::all()).expect("made"),
            &|| symlink("/dev/zero", &lock).expect("linked"),
        ];
        for make in kinds {
            let running = test.start();
            running.wait_ready("web.1");
            fs::remove_file(&lock).expect("removed");
            make();
            users.give(&lock);
            test.beside(["stop"]).code(0).stdout("ganger in DIR has ended\n");
            running.wait().killed_by(Signal::SIGTERM);
            fs::remove_file(&lock).expect("left, as it is not ours");
        }
    });
}

#[test]
fn an_instance_of_another_user_is_named() {
    with_two_users(|users| {
        let test = users.test.clone().without("XDG_RUNTIME_DIR").without("TMPDIR");
        let running = test.start();
        running.wait_ready("web.1");
        let says = format!(
            "ganger: error: ganger runs in DIR, but not as you: it is an instance of user id {}\n  \
             hint: ask it as that user, as in `sudo -u '#{}' ganger ps`\n",
            users.victim, users.victim
        );
        let as_root = test.clone().by_shell("shift; exec ./ganger \"$@\"");
        let other = users.other;
        let script =
            format!("shift; exec setpriv --reuid={other} --regid={other} --clear-groups ./ganger \"$@\"");
        for other in [as_root.clone(), test.clone().by_shell(&script)] {
            for command in [&["ps"][..], &["stop"], &["logs"], &["-d", ".", "wait"]] {
                other.beside(command).code(1).stdout("").stderr(&says);
            }
        }
        test.beside(["ps"]).code(0).stdout_has("web.1: up");
        running.finish();
        as_root.beside(["ps"]).code(1).stderr_has("ganger: error: ganger does not run in DIR\n");
    });
}

#[test]
fn another_user_is_turned_away() {
    with_two_users(|users| {
        let socket = users.test.path("tmp/open");
        let test = users.test.clone().var("GANGER_SOCKET", &socket);
        let running = test.start();
        running.wait_ready("web.1");
        // All that modes can do against it is undone.
        mode(&socket, 0o666);
        // Like a client that does not check the owner of the instance.
        let output = users
            .other_runs(&["--ask", socket.to_str().expect("text"), r#"{"v":1,"cmd":"end"}"#])
            .output()
            .expect("started");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("this instance belongs to another user"), "{said}");
        test.beside(["ps"]).code(0).stdout_has("web.1: up");
        running.finish();
    });
}
