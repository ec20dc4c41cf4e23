//! Starting a process.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
#[cfg(target_os = "linux")]
use std::os::fd::AsFd as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
#[cfg(target_os = "linux")]
use std::sync::OnceLock;
#[cfg(target_vendor = "apple")]
use std::sync::{Mutex, PoisonError};

use super::exec::Program;
use super::keep::Sessions;
use super::limits::OpenFiles;
use super::pipe::{output_pipe, pipe};
use super::pty::{self, Pty, Terminal};
use super::signals;
#[cfg(target_os = "linux")]
use super::title::Arguments;
#[cfg(target_os = "linux")]
use super::vfork;

/// The shell every Procfile command is given to, as `heroku local` and foreman do.
pub const SHELL: &str = "/bin/sh";

/// What a new process gets.
#[derive(Debug)]
pub struct Order<'a> {
    /// Program and arguments. A program without `/` is looked for in the `PATH` of `env`.
    pub argv: &'a [OsString],
    /// Its whole environment.
    pub env: &'a [(OsString, OsString)],
    /// Its working folder.
    pub cwd: &'a Path,
}

/// What a new process writes to.
#[derive(Debug)]
pub enum Outlet {
    /// One pipe for stdout and stderr, so that their order is kept.
    Pipe,
    /// A pipe each, so that they can be told apart.
    TwoPipes,
    /// This, which is its stdin too.
    Pty(Pty),
}

/// A process that was started.
#[derive(Debug)]
pub struct Spawned {
    /// Its pid, which is its group too.
    pub pid: i32,
    /// What it writes, stdout first. None of them blocks.
    pub outputs: Vec<File>,
    /// Its terminal, if it has one. Closing it sends HUP.
    pub terminal: Option<Terminal>,
}

/// Starts processes: what they all get, prepared once.
#[derive(Debug)]
pub struct Spawner {
    /// The read end that every process without a terminal has as its stdin.
    stdin: OwnedFd,
    /// Never written. While it is open, stdin has nothing to read and no end: programs that
    /// stop at end of file live on, and none reads keys that were meant for another.
    _stdin_writer: OwnedFd,
    open_files: OpenFiles,
    /// The signals that were ignored when ganger was started.
    ignored: Vec<i32>,
    /// Where each process notes its session.
    sessions: Sessions,
    /// Where our arguments are, for processes that need another name; found when first needed.
    #[cfg(target_os = "linux")]
    arguments: OnceLock<Option<Arguments>>,
    /// Held from the first pipe of a process until that process runs. Here a pipe is inherited until it has
    /// been told otherwise, so a process that another thread starts in between would keep it open, and the
    /// end of the output would not come before that process ends too.
    #[cfg(target_vendor = "apple")]
    one_at_a_time: Mutex<()>,
    /// How many processes the start has: what each one's pipe holds. Those that `scale` adds are not counted.
    count: usize,
}

impl Spawner {
    /// Prepares for about `count` processes. `open_files` are the limits that they get.
    pub fn new(open_files: OpenFiles, count: usize, sessions: Sessions) -> io::Result<Self> {
        let (stdin, stdin_writer) = pipe()?;
        Ok(Self {
            stdin,
            _stdin_writer: stdin_writer,
            open_files,
            ignored: signals::ignored(),
            sessions,
            #[cfg(target_os = "linux")]
            arguments: OnceLock::new(),
            #[cfg(target_vendor = "apple")]
            one_at_a_time: Mutex::new(()),
            count,
        })
    }

    /// No process is left in this session, which was made by a process that this has started.
    pub fn session_ended(&self, session: i32) {
        self.sessions.remove(session);
    }

    /// Starts a process in a group of its own, and a session that no other process of ours is
    /// in. The program is a path, as [`SHELL`] is.
    pub fn spawn(&self, order: &Order<'_>, outlet: Outlet) -> io::Result<Spawned> {
        #[cfg(target_vendor = "apple")]
        let _alone = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let (pid, outputs) = match outlet {
            Outlet::Pty(pty) => return self.spawn_on_pty(order, pty),
            Outlet::Pipe => {
                let (read, write) = output_pipe(self.count)?;
                (self.spawn_on_pipes(order, &write, &write)?, vec![read])
            }
            Outlet::TwoPipes => {
                let (out_read, out_write) = output_pipe(self.count)?;
                let (err_read, err_write) = output_pipe(self.count)?;
                (self.spawn_on_pipes(order, &out_write, &err_write)?, vec![out_read, err_read])
            }
        };
        Ok(Spawned { pid, outputs, terminal: None })
    }

    #[cfg(target_os = "linux")]
    fn spawn_on_pipes(&self, order: &Order<'_>, stdout: &OwnedFd, stderr: &OwnedFd) -> io::Result<i32> {
        let (stdin, stdout, stderr) = (self.stdin.as_fd(), stdout.as_fd(), stderr.as_fd());
        let (open_files, ignored, sessions) = (self.open_files, &self.ignored[..], self.sessions);
        vfork::start(order, vfork::Setup { stdin, stdout, stderr, open_files, ignored, sessions })
    }

    #[cfg(not(target_os = "linux"))]
    fn spawn_on_pipes(&self, order: &Order<'_>, stdout: &OwnedFd, stderr: &OwnedFd) -> io::Result<i32> {
        let mut command = command(order);
        command.stdin(self.stdin.try_clone()?).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        prepare(&mut command, self.open_files, self.ignored.clone(), Place::NewSession);
        start(&mut command)
    }

    /// With a copy of our memory, unlike on a pipe: whoever forks a child on our memory sleeps
    /// until it execs or ends, and the anchor of the terminal's session (see [`pty`]) does neither.
    fn spawn_on_pty(&self, order: &Order<'_>, pty: Pty) -> io::Result<Spawned> {
        let (report, reporting) = pipe()?;
        let mut command = command(order);
        command.stdin(pty.slave.try_clone()?).stdout(pty.slave.try_clone()?).stderr(pty.slave.try_clone()?);
        let hand_over = pty::HandOver {
            report: reporting.as_raw_fd(),
            sessions: self.sessions,
            #[cfg(target_os = "linux")]
            arguments: *self.arguments.get_or_init(Arguments::find),
        };
        let place = Place::OnTerminal(hand_over, Program::new(order)?);
        prepare(&mut command, self.open_files, self.ignored.clone(), place);
        start(&mut command)?;
        // The command keeps copies of the slave; with them its output would never end.
        drop((command, reporting));
        let (output, terminal) = pty.given_away()?;
        let mut pid = [0; 4];
        File::from(report).read_exact(&mut pid)?;
        Ok(Spawned { pid: i32::from_ne_bytes(pid), outputs: vec![output], terminal: Some(terminal) })
    }
}

/// Starts a process that has our own stdin, stdout and stderr, in our group (`own_group`
/// false) or in one of its own.
pub fn spawn_attached(order: &Order<'_>, own_group: bool) -> io::Result<i32> {
    let mut command = command(order);
    let place = if own_group { Place::NewGroup } else { Place::OurGroup };
    prepare(&mut command, OpenFiles::now()?, signals::ignored(), place);
    start(&mut command)
}

/// The argument list that has the shell run `command`.
pub fn shell_argv(command: &std::ffi::OsStr) -> Vec<OsString> {
    vec![SHELL.into(), "-c".into(), command.to_owned()]
}

fn command(order: &Order<'_>) -> Command {
    let mut command = Command::new(&order.argv[0]);
    command.args(&order.argv[1..]).env_clear().current_dir(order.cwd);
    command.envs(order.env.iter().map(|(key, value)| (key, value)));
    command
}

fn start(command: &mut Command) -> io::Result<i32> {
    let child = command.spawn()?;
    // Dropping the handle neither waits nor kills: the reaper does the waiting.
    i32::try_from(child.id()).map_err(io::Error::other)
}

/// Where in the order of sessions and groups a process begins.
#[derive(Debug)]
enum Place {
    #[cfg(not(target_os = "linux"))]
    NewSession,
    /// A new session with stdin as its terminal. The process that forked is not the one that execs, so a
    /// failed exec has to be detected here.
    OnTerminal(pty::HandOver, Program),
    NewGroup,
    OurGroup,
}

#[allow(unsafe_code)]
fn prepare(command: &mut Command, open_files: OpenFiles, ignored: Vec<i32>, place: Place) {
    let setup = move || {
        match &place {
            #[cfg(not(target_os = "linux"))]
            Place::NewSession => drop(nix::unistd::setsid()?),
            Place::OnTerminal(hand_over, _) => pty::take_terminal(hand_over)?,
            Place::NewGroup => {
                nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0))?;
            }
            Place::OurGroup => {}
        }
        open_files.apply()?;
        // Handlers are reset by exec, ignored signals are not (execve(2)).
        for sig in &ignored {
            signals::heed(*sig)?;
        }
        if !matches!(place, Place::OurGroup) {
            signals::drop_held_back()?;
        }
        signals::unblock()?;
        match &place {
            Place::OnTerminal(_, program) => Err(program.exec().into()),
            #[cfg(not(target_os = "linux"))]
            Place::NewSession => Ok(()),
            Place::NewGroup | Place::OurGroup => Ok(()),
        }
    };
    let setup = move || setup().inspect_err(|_| pty::give_up());
    // SAFETY: between fork and exec the closure makes only async-signal-safe calls (setsid,
    // setpgid, those of `take_terminal`, setrlimit, sigaction, sigprocmask, execve, kill); it
    // allocates nothing, takes no lock, and turning an errno into io::Error does not allocate
    // either.
    unsafe { command.pre_exec(setup) };
}

/// The first place on `path` (a `PATH` value) that has an executable `program`, as the shell
/// would find it from `cwd`.
pub fn find_program(program: &std::ffi::OsStr, path: &std::ffi::OsStr, cwd: &Path) -> Option<PathBuf> {
    which::which_in(program, Some(path), cwd).ok()
}
