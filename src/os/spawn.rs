//! Starting a process.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::OFlag;
use nix::sys::signal::{SigHandler, Signal, signal};

use super::limits::OpenFiles;
use super::pty::{self, Pty, Terminal};
use super::signals;
use crate::model::Sig;

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

/// A process that was started.
#[derive(Debug)]
pub struct Spawned {
    /// Its pid, which is its group too.
    pub pid: i32,
    /// What it writes. Does not block.
    pub output: File,
    /// Its terminal, if it has one. Closing it sends HUP.
    pub terminal: Option<Terminal>,
}

/// Starts processes: what they all get, prepared once.
#[derive(Debug)]
pub struct Spawner {
    /// The read end that every process has as its stdin.
    stdin: OwnedFd,
    /// Never written. While it is open, stdin has nothing to read and no end: programs that
    /// stop at end of file live on, and none reads keys that were meant for another.
    _stdin_writer: OwnedFd,
    open_files: OpenFiles,
    ignored: Vec<Sig>,
}

impl Spawner {
    /// Prepares. `open_files` are the limits that processes get.
    pub fn new(open_files: OpenFiles) -> io::Result<Self> {
        let (stdin, stdin_writer) = pipe()?;
        Ok(Self { stdin, _stdin_writer: stdin_writer, open_files, ignored: signals::ignored() })
    }

    /// Starts a process in a session and group of its own, on `pty` if there is one, and else
    /// with stdout and stderr in one pipe, so that their order is kept.
    pub fn spawn(&self, order: &Order<'_>, pty: Option<Pty>) -> io::Result<Spawned> {
        match pty {
            Some(pty) => self.spawn_on_pty(order, pty),
            None => self.spawn_on_pipe(order),
        }
    }

    fn spawn_on_pty(&self, order: &Order<'_>, pty: Pty) -> io::Result<Spawned> {
        let (report, reporting) = pipe()?;
        let mut command = command(order);
        command.stdin(pty.slave.try_clone()?).stdout(pty.slave.try_clone()?).stderr(pty.slave.try_clone()?);
        let place = Place::OnTerminal(reporting.as_raw_fd(), Exec::new(order)?);
        prepare(&mut command, &self.ignored, self.open_files, place);
        start(&mut command)?;
        // The command keeps copies of the slave; with them its output would never end.
        drop((command, reporting));
        let (output, terminal) = pty.given_away()?;
        let mut pid = [0; 4];
        File::from(report).read_exact(&mut pid)?;
        Ok(Spawned { pid: i32::from_ne_bytes(pid), output, terminal: Some(terminal) })
    }

    fn spawn_on_pipe(&self, order: &Order<'_>) -> io::Result<Spawned> {
        let (read, write) = pipe()?;
        set_nonblocking(&read)?;
        let mut command = command(order);
        command.stdin(self.stdin.try_clone()?).stdout(write.try_clone()?).stderr(write);
        prepare(&mut command, &self.ignored, self.open_files, Place::NewSession);
        Ok(Spawned { pid: start(&mut command)?, output: File::from(read), terminal: None })
    }
}

/// Starts a process that has our own stdin, stdout and stderr, in our group (`own_group`
/// false) or in one of its own.
pub fn spawn_attached(order: &Order<'_>, own_group: bool) -> io::Result<i32> {
    let mut command = command(order);
    let place = if own_group { Place::NewGroup } else { Place::OurGroup };
    prepare(&mut command, &signals::ignored(), OpenFiles::now()?, place);
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
    NewSession,
    /// A session with stdin as its terminal; the pid is written to the descriptor. Who forked
    /// is not who execs, so it has to be known here whether the exec fails.
    OnTerminal(RawFd, Exec),
    NewGroup,
    OurGroup,
}

#[allow(unsafe_code)]
fn prepare(command: &mut Command, ignored: &[Sig], open_files: OpenFiles, place: Place) {
    let ignored: Vec<Signal> = ignored.iter().filter_map(|sig| Signal::try_from(sig.number()).ok()).collect();
    let setup = move || {
        match &place {
            Place::NewSession => drop(nix::unistd::setsid()?),
            Place::OnTerminal(report, _) => pty::take_terminal(*report)?,
            Place::NewGroup => {
                nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0))?;
            }
            Place::OurGroup => {}
        }
        open_files.apply()?;
        // Handlers are reset by exec, ignored signals are not (execve(2)).
        for sig in &ignored {
            // SAFETY: the default action runs no code of ours.
            unsafe { signal(*sig, SigHandler::SigDfl) }?;
        }
        signals::unblock()?;
        match &place {
            Place::OnTerminal(_, exec) => Err(exec.exec()),
            Place::NewSession | Place::NewGroup | Place::OurGroup => Ok(()),
        }
    };
    let setup = move || setup().inspect_err(|_| pty::give_up());
    // SAFETY: between fork and exec the closure makes only async-signal-safe calls (setsid,
    // setpgid, those of `take_terminal`, setrlimit, sigaction, sigprocmask, execve, kill); it allocates nothing, takes no lock, and
    // turning an errno into io::Error does not allocate either.
    unsafe { command.pre_exec(setup) };
}

/// An exec with everything prepared: no allocation between fork and exec.
#[derive(Debug)]
struct Exec {
    argv: Pointers,
    env: Pointers,
}

impl Exec {
    /// The program has to be a path.
    fn new(order: &Order<'_>) -> io::Result<Self> {
        let pairs = order.env.iter().map(|(key, value)| [key.as_bytes(), value.as_bytes()].join(&b'='));
        Ok(Self {
            argv: Pointers::new(order.argv.iter().map(|arg| arg.as_bytes().to_vec()))?,
            env: Pointers::new(pairs)?,
        })
    }

    /// Answers why it could not be done.
    #[allow(unsafe_code)]
    fn exec(&self) -> io::Error {
        // SAFETY: both lists end with null and their texts live as long as they; the first of
        // `argv` is the program.
        unsafe {
            libc::execve(self.argv.pointers[0], self.argv.pointers.as_ptr(), self.env.pointers.as_ptr())
        };
        io::Error::last_os_error()
    }
}

/// Texts as the system wants them: pointers, the last of them null.
#[derive(Debug)]
struct Pointers {
    /// What the pointers point to.
    _texts: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl Pointers {
    fn new(texts: impl Iterator<Item = Vec<u8>>) -> io::Result<Self> {
        let texts = texts.map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let pointers = texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        Ok(Self { _texts: texts, pointers })
    }
}

// SAFETY: the pointers are to texts on the heap that the value owns and never changes.
#[allow(unsafe_code)]
unsafe impl Send for Pointers {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Pointers {}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(target_vendor = "apple"))]
    let ends = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    #[cfg(target_vendor = "apple")]
    let ends = {
        use nix::fcntl::{FcntlArg, FdFlag, fcntl};
        let ends = nix::unistd::pipe()?;
        fcntl(&ends.0, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        fcntl(&ends.1, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        ends
    };
    Ok(ends)
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    // A larger pipe (the default is 64 KiB) means fewer wake-ups of both sides; the system may
    // refuse it to users with many pipes (pipe(7)), and that is fine.
    #[cfg(target_os = "linux")]
    let _ = fcntl(fd, FcntlArg::F_SETPIPE_SZ(256 * 1024));
    Ok(())
}

/// The first place on `path` (a `PATH` value) that has an executable `program`, as the shell
/// would find it from `cwd`.
pub fn find_program(program: &std::ffi::OsStr, path: &std::ffi::OsStr, cwd: &Path) -> Option<PathBuf> {
    which::which_in(program, Some(path), cwd).ok()
}
