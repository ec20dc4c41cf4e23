//! Starting a process.

use std::ffi::OsString;
use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::OFlag;
use nix::sys::signal::{SigHandler, Signal, signal};

use super::limits::OpenFiles;
use super::signals;
#[cfg(target_os = "linux")]
use super::vfork;
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

/// Starts processes: what they all get, prepared once.
#[derive(Debug)]
pub struct Spawner {
    /// The read end that every process has as its stdin.
    stdin: OwnedFd,
    /// Never written. While it is open, stdin has nothing to read and no end: programs that
    /// stop at end of file live on, and none reads keys that were meant for another.
    _stdin_writer: OwnedFd,
    open_files: OpenFiles,
}

impl Spawner {
    /// Prepares. `open_files` are the limits that processes get.
    pub fn new(open_files: OpenFiles) -> io::Result<Self> {
        let (stdin, stdin_writer) = pipe()?;
        Ok(Self { stdin, _stdin_writer: stdin_writer, open_files })
    }

    /// Starts a process in a session and group of its own, with stdout and stderr in one pipe
    /// so that their order is kept. Answers its pid, which is its group too, and the pipe's
    /// read end, which does not block. The program is a path, as [`SHELL`] is.
    pub fn spawn(&self, order: &Order<'_>) -> io::Result<(i32, File)> {
        let (read, write) = pipe()?;
        set_nonblocking(&read)?;
        Ok((self.start(order, &write, &write)?, File::from(read)))
    }

    /// As [`Spawner::spawn`], with a pipe each for stdout and stderr, so that they can be told
    /// apart.
    pub fn spawn_apart(&self, order: &Order<'_>) -> io::Result<(i32, [File; 2])> {
        let ((out_read, out_write), (err_read, err_write)) = (pipe()?, pipe()?);
        set_nonblocking(&out_read)?;
        set_nonblocking(&err_read)?;
        let pid = self.start(order, &out_write, &err_write)?;
        Ok((pid, [out_read, err_read].map(File::from)))
    }

    #[cfg(target_os = "linux")]
    fn start(&self, order: &Order<'_>, stdout: &OwnedFd, stderr: &OwnedFd) -> io::Result<i32> {
        let (stdin, stdout, stderr) = (self.stdin.as_fd(), stdout.as_fd(), stderr.as_fd());
        vfork::start(order, vfork::Setup { stdin, stdout, stderr, open_files: self.open_files })
    }

    #[cfg(not(target_os = "linux"))]
    fn start(&self, order: &Order<'_>, stdout: &OwnedFd, stderr: &OwnedFd) -> io::Result<i32> {
        let mut command = command(order);
        command.stdin(self.stdin.try_clone()?).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        prepare(&mut command, &signals::ignored(), self.open_files, Place::NewSession);
        start(&mut command)
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
#[derive(Debug, Clone, Copy)]
enum Place {
    #[cfg(not(target_os = "linux"))]
    NewSession,
    NewGroup,
    OurGroup,
}

#[allow(unsafe_code)]
fn prepare(command: &mut Command, ignored: &[Sig], open_files: OpenFiles, place: Place) {
    let ignored: Vec<Signal> = ignored.iter().filter_map(|sig| Signal::try_from(sig.number()).ok()).collect();
    let setup = move || {
        match place {
            #[cfg(not(target_os = "linux"))]
            Place::NewSession => drop(nix::unistd::setsid()?),
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
        signals::unblock()
    };
    // SAFETY: between fork and exec the closure makes only async-signal-safe calls (setsid,
    // setpgid, setrlimit, sigaction, sigprocmask); it allocates nothing, takes no lock, and
    // turning an errno into io::Error does not allocate either.
    unsafe { command.pre_exec(setup) };
}

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
