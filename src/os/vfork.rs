//! A program in a new process, without a copy of our memory.
//!
//! As vfork(2): the child runs on our memory, on a stack of its own, while the calling thread
//! sleeps until the child has become the program or has failed. Why it failed is left in our
//! memory, so that no pipe has to tell. It never runs anything else in the child.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::sched::{CloneFlags, clone};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::unistd::{chdir, dup2_stderr, dup2_stdin, dup2_stdout, getpid, setsid};

use super::exec::Program;
use super::keep::Sessions;
use super::limits::OpenFiles;
use super::reap;
use super::signals;
use super::spawn::Order;

/// For the child's few system calls, which take 1.6 KiB in a debug build. No handler runs on it, as all
/// signals are blocked. It is cleared for each start, and each of its pages missed at the first.
const STACK: usize = 8 * 1024;

/// What a new process gets from us beside its [`Order`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup<'a> {
    pub(super) stdin: BorrowedFd<'a>,
    pub(super) stdout: BorrowedFd<'a>,
    pub(super) stderr: BorrowedFd<'a>,
    pub(super) open_files: OpenFiles,
    /// The signals that were ignored when ganger was started.
    pub(super) ignored: &'a [i32],
    /// Where it notes its session.
    pub(super) sessions: Sessions,
}

/// Starts `order.argv[0]`, a path, in a session of its own and with the default action for
/// every signal. Answers its pid.
#[allow(unsafe_code)]
pub(super) fn start(order: &Order<'_>, setup: Setup<'_>) -> io::Result<i32> {
    let program = Program::new(order)?;
    let failure = AtomicI32::new(0);
    let mut stack = vec![0; STACK];
    let child = Box::new(|| {
        failure.store(become_it(&program, setup) as i32, Ordering::Relaxed);
        1
    });
    let mut before = SigSet::empty();
    // No handler of ours may run in the child, as it would on the memory of both.
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    // SAFETY: this thread sleeps until the child is gone from our memory (CLONE_VFORK), so what
    // the closure borrows lives on and is not touched meanwhile, errno included. Other threads
    // run on: the closure only makes system calls, takes no lock of ours, allocates and frees
    // nothing. The stack is its own and larger than what it takes.
    let pid = unsafe {
        clone(child, &mut stack, CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK, Some(libc::SIGCHLD))
    };
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    let pid = pid?;
    match failure.into_inner() {
        0 => Ok(pid.as_raw()),
        errno => {
            reap::reap(pid.as_raw());
            Err(io::Error::from_raw_os_error(errno))
        }
    }
}

/// Runs in the child. Returns only if it failed.
fn become_it(program: &Program, setup: Setup<'_>) -> Errno {
    match prepare(program.cwd(), setup) {
        Ok(()) => program.exec(),
        Err(errno) => errno,
    }
}

fn prepare(cwd: &CStr, setup: Setup<'_>) -> nix::Result<()> {
    // 0, 1 and 2 are open in every Rust program, so those of `setup` are others.
    dup2_stdin(setup.stdin)?;
    dup2_stdout(setup.stdout)?;
    dup2_stderr(setup.stderr)?;
    chdir(cwd)?;
    setup.sessions.insert(getpid().as_raw());
    setsid()?;
    setup.open_files.apply()?;
    defaults(setup.ignored)?;
    signals::drop_held_back()?;
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// Gives each signal its default action: exec does so with handlers, but they could run before;
/// and ignored signals stay ignored (execve(2)).
fn defaults(ignored: &[i32]) -> nix::Result<()> {
    // The child's table of actions is its own (no CLONE_SIGHAND).
    let standard = Signal::iterator().filter(|it| !matches!(it, Signal::SIGKILL | Signal::SIGSTOP));
    // We handle no real-time signal.
    standard.map(|it| it as i32).chain(ignored.iter().copied()).try_for_each(signals::heed)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io::{Read, pipe};
    use std::os::fd::AsFd;
    use std::path::Path;

    use super::*;
    use crate::os::keep::Keep;

    /// Starts `/bin/sh -c script` or what `argv` says; answers what it wrote.
    fn run(argv: &[&str], cwd: &str, env: &[(OsString, OsString)]) -> io::Result<String> {
        let (stdin, _writer) = pipe()?;
        let (mut read, write) = pipe()?;
        let argv: Vec<OsString> = argv.iter().map(Into::into).collect();
        let (stdin, output) = (stdin.as_fd(), write.as_fd());
        let (open_files, sessions) = (OpenFiles::now()?, Keep::new(&[])?.sessions());
        let setup = Setup { stdin, stdout: output, stderr: output, open_files, ignored: &[], sessions };
        let started = start(&Order { argv: &argv, env, cwd: Path::new(cwd) }, setup);
        drop(write);
        let mut text = String::new();
        read.read_to_string(&mut text)?;
        reap::reap(started?);
        Ok(text)
    }

    #[test]
    fn a_program_has_its_arguments_variables_folder_and_session() {
        let env = [("A".into(), "1 2".into())];
        let script = "echo \"$A $1\"; pwd >&2; read -r id name state ppid pgrp sid rest </proc/self/stat; \
                      test $$ = $sid && echo leads";
        assert_eq!(
            run(&["/bin/sh", "-c", script, "sh", "x"], "/proc", &env).expect("started"),
            "1 2 x\n/proc\nleads\n"
        );
    }

    #[test]
    fn a_start_that_fails_says_why() {
        let errno =
            |argv: &[&str], cwd, env: &[_]| run(argv, cwd, env).expect_err("a failure").raw_os_error();
        assert_eq!(errno(&["/no/such/program"], "/", &[]), Some(libc::ENOENT));
        assert_eq!(errno(&["/"], "/", &[]), Some(libc::EACCES));
        assert_eq!(errno(&["/bin/sh"], "/no/such/folder", &[]), Some(libc::ENOENT));
        let long = [("A".into(), "x".repeat(1 << 20).into())];
        assert_eq!(errno(&["/bin/sh"], "/", &long), Some(libc::E2BIG));
    }
}
