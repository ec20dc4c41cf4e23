//! A pty with a program in it, as in a terminal window.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write as _};
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, Winsize, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{SigHandler, Signal, signal};

use super::running::Capture;
use super::world::ganger;
use super::{LIMIT, Test, World, poll_for};

/// A terminal window. The program in it leads its session.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    /// `None` once the window is closed.
    master: Option<File>,
    output: Capture,
    /// Closed to have the reading end.
    stop_reading: Option<PipeWriter>,
    gate: Gate,
    /// How much of the output was waited for already.
    seen: usize,
    world: Rc<World>,
}

impl Terminal {
    /// Ganger itself in a terminal, with the arguments given here.
    pub(crate) fn with_ganger<S: AsRef<OsStr>>(test: &Test, args: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(ganger());
        command.args(args);
        Self::open(test, command)
    }

    /// An interactive shell in a terminal; ganger is on its `PATH`. Its prompt is `$ `.
    pub(crate) fn with_shell(test: &Test) -> Self {
        let mut command = Command::new("bash");
        command.args(["--norc", "--noediting", "-i"]);
        let mut terminal = Self::open(test, command);
        terminal.wait_for("$ ");
        terminal
    }

    /// The same with zsh. `None` only where no zsh is on the `PATH`: then there is nothing to
    /// test with. `.ci/run` installs it, so that there is always one there.
    pub(crate) fn with_zsh(test: &Test) -> Option<Self> {
        let path = std::env::var_os("PATH").expect("a PATH");
        std::env::split_paths(&path).find(|folder| folder.join("zsh").exists())?;
        let mut command = Command::new("zsh");
        // No files of the user, no line editor, which redraws what is typed, and nothing in front
        // of the prompt but the prompt.
        command.args(["-f", "-i", "+o", "zle", "+o", "prompt_sp", "+o", "prompt_cr"]);
        let mut terminal = Self::open(test, command);
        terminal.wait_for("$ ");
        Some(terminal)
    }

    #[allow(unsafe_code)]
    fn open(test: &Test, mut command: Command) -> Self {
        // Not `openpty`: its descriptors have to be closed on exec from the start, or another
        // test's process may get one and keep this window open.
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(flags).expect("a pty");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        let slave = slave(&master);
        // Before anything runs in it that may ask.
        resize(&master, 24, 80);
        command.current_dir(test.dir()).env_clear().env("TERM", "xterm").env("PS1", "$ ");
        command.envs(test.vars().iter().map(|(key, value)| (key, value)));
        let of_slave = || Stdio::from(slave.try_clone().expect("a descriptor"));
        command.stdin(of_slave()).stdout(of_slave()).stderr(of_slave());
        let take_terminal = || {
            nix::unistd::setsid()?;
            // Tests that run in the background of a script have these ignored, and what is ignored
            // stays so in a shell and all it starts. No window is opened like that.
            for sig in [Signal::SIGINT, Signal::SIGQUIT] {
                // SAFETY: the default action runs no code.
                unsafe { signal(sig, SigHandler::SigDfl) }?;
            }
            // SAFETY: TIOCSCTTY takes an integer; descriptor 0 is the pty by now.
            let result = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
            Ok(nix::errno::Errno::result(result).map(drop)?)
        };
        // SAFETY: setsid(2), sigaction(2) and ioctl(2) are async-signal-safe.
        unsafe { command.pre_exec(take_terminal) };
        let child = command.spawn().expect("it starts");
        // The command keeps copies of the slave; with them the window would never seem closed.
        drop((command, slave));
        let master = File::from(OwnedFd::from(master));
        let (stop, stop_reading) = std::io::pipe().expect("a pipe");
        let gate = Gate::default();
        let screen = Screen { master: master.try_clone().expect("a descriptor"), stop, gate: gate.clone() };
        let output = Capture::of(screen);
        Self {
            child,
            master: Some(master),
            output,
            seen: 0,
            stop_reading: Some(stop_reading),
            gate,
            world: test.world().clone(),
        }
    }

    /// Types. `\x03` is Ctrl-C, `\x1a` Ctrl-Z, `\x1c` Ctrl-\, `\r` Enter.
    pub(crate) fn type_text(&mut self, text: &str) {
        let master = self.master.as_mut().expect("an open window");
        master.write_all(text.as_bytes()).expect("typed");
    }

    /// Reads nothing from now on, as a window that hangs.
    pub(crate) fn pause(&self) {
        *self.gate.0.lock().expect("no panic") = true;
    }

    /// Reads again.
    pub(crate) fn go_on(&self) {
        *self.gate.0.lock().expect("no panic") = false;
        self.gate.1.notify_all();
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        resize(self.master.as_ref().expect("an open window"), rows, columns);
    }

    /// Waits for a text behind what was waited for before. Answers what came up to its end.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let seen = self.seen;
        let find = |bytes: &[u8]| {
            let at = bytes[seen..].windows(text.len()).position(|window| window == text.as_bytes())?;
            Some(seen + at + text.len())
        };
        let Some(end) = self.output.wait_for(find) else {
            panic!("`{text}` never came; the screen behind what was seen:\n{}", self.screen(seen));
        };
        self.seen = end;
        String::from_utf8_lossy(&self.output.bytes()[seen..end]).into_owned()
    }

    /// Everything that was shown.
    pub(crate) fn text(&self) -> String {
        self.screen(0)
    }

    /// The same, byte for byte.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.output.bytes()
    }

    fn screen(&self, from: usize) -> String {
        String::from_utf8_lossy(&self.output.bytes()[from..]).into_owned()
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// The process group in the foreground. A shell says what it continues before it gives it the
    /// terminal: until then keys are for the shell.
    pub(crate) fn foreground(&self) -> i32 {
        let master = self.master.as_ref().expect("an open window");
        nix::unistd::tcgetpgrp(master).expect("a terminal").as_raw()
    }

    /// How the terminal treats what is typed and shown, to be compared.
    pub(crate) fn modes(&self) -> String {
        let master = self.master.as_ref().expect("an open window");
        format!("{:?}", nix::sys::termios::tcgetattr(master).expect("a terminal"))
    }

    /// Closes the window.
    pub(crate) fn close(&mut self) {
        self.master = None;
        self.go_on();
        // The thread that reads has the master too.
        self.stop_reading = None;
    }

    /// Waits for the end of the program in it and for all it has shown, and looks whether anything is
    /// left.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = self.wait_beside();
        self.world.assert_nothing_left();
        status
    }

    /// The same while an app of this test runs: what is alive may be that one's.
    #[track_caller]
    pub(crate) fn wait_beside(&mut self) -> ExitStatus {
        let status = poll_for(LIMIT, || self.child.try_wait().expect("waited"));
        let status = status.unwrap_or_else(|| panic!("it does not end; the screen:\n{}", self.text()));
        self.go_on();
        assert!(self.output.wait_closed(), "somebody holds the window; the screen:\n{}", self.text());
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            self.world.kill_all();
            let _ = self.child.kill();
            let _ = self.child.wait();
            assert!(std::thread::panicking(), "the test did not wait for the end");
        }
    }
}

/// Whether the window is not to read, and changes of that.
type Gate = Arc<(Mutex<bool>, Condvar)>;

/// The output of a terminal, until `stop` is closed.
struct Screen {
    master: File,
    stop: PipeReader,
    gate: Gate,
}

impl Read for Screen {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut fds = [
            PollFd::new(self.master.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.stop.as_fd(), PollFlags::empty()),
        ];
        poll(&mut fds, PollTimeout::NONE)?;
        let closed = self.gate.0.lock().expect("no panic");
        drop(self.gate.1.wait_while(closed, |closed| *closed).expect("no panic"));
        if fds[1].any().unwrap_or(true) { Ok(0) } else { self.master.read(buffer) }
    }
}

fn slave(master: &PtyMaster) -> File {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = ptsname_r(master).expect("a name");
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOCTTY).open(path).expect("the slave")
}

#[allow(unsafe_code)]
fn resize(master: &impl AsRawFd, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads a winsize, which lives through the call.
    let result = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    assert_eq!(result, 0, "resized");
}
