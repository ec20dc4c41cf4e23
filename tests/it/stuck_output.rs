//! A reader that reads nothing: the end comes all the same, whatever else happens meanwhile.

use std::fs::{File, OpenOptions};
use std::io::{PipeReader, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Stdio;
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal::{SIGINT, SIGTERM, SIGWINCH};

use crate::kit::{LIMIT, Running, Test, eventually, proc};

/// Four that wait for one another; the first floods its output.
fn chain() -> Test {
    Test::without_ports()
        .procfile(
            "a: exec gangling --print 100000000 line\nb: exec gangling --wait\nc: exec gangling --wait\n\
             d: exec gangling --wait\n",
        )
        .args(["--wait-for", "a=b", "--wait-for", "b=c", "--wait-for", "c=d"])
}

/// Whether a write would have to wait.
fn is_full(out: impl AsFd) -> bool {
    let mut polled = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
    poll(&mut polled, PollTimeout::ZERO).expect("it can be polled") == 0
}

/// Starts the app with a pipe that nothing reads as stdout, and waits until it is full.
fn on_pipe(test: &Test) -> (Running, PipeReader) {
    let (read, write) = std::io::pipe().expect("a pipe");
    let child = test.command().stdout(write).stderr(Stdio::piped()).spawn().expect("ganger starts");
    let running = Running::new(child, b"", test.world().clone());
    let write = OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", read.as_raw_fd()));
    let write = write.expect("its other end");
    eventually("the pipe is full", || is_full(&write));
    (running, read)
}

/// Starts the app in a terminal that nothing reads, and waits until it is full.
fn on_terminal(test: &Test) -> (Running, File) {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).expect("a pty");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).custom_flags(libc::O_NOCTTY);
    let slave = options.open(ptsname_r(&master).expect("a name")).expect("the slave");
    let of_slave = || Stdio::from(slave.try_clone().expect("a descriptor"));
    let mut command = test.clone().by_shell("exec setsid -c -w \"$@\"").command();
    command.stdin(of_slave()).stdout(of_slave()).stderr(Stdio::piped());
    let child = command.spawn().expect("ganger starts");
    drop(command);
    let running = Running::new(child, b"", test.world().clone());
    eventually("the terminal is full", || is_full(&slave));
    (running, File::from(OwnedFd::from(master)))
}

/// Does this until ganger has ended.
#[track_caller]
fn until_over(running: &mut Running, mut act: impl FnMut(&Running)) {
    let began = Instant::now();
    while !running.is_over() {
        assert!(began.elapsed() < LIMIT, "it does not end");
        act(running);
    }
}

#[test]
fn clients_and_resizes_do_not_prolong_the_end() {
    let test = chain();
    let (mut running, read) = on_pipe(&test);
    // The guard, which gets what is sent to ganger, has no use for it.
    let supervisor = running.own_pids().supervisor;
    running.signal(SIGTERM);
    until_over(&mut running, |_| {
        drop(test.beside(["ps"]));
        proc::send_if_there(supervisor, SIGWINCH);
    });
    running.wait().killed_by(SIGTERM);
    drop(read);

    let test = chain();
    let (mut running, mut master) = on_terminal(&test);
    master.write_all(b"\x03").expect("typed");
    until_over(&mut running, |_| drop(test.beside(["ps"])));
    running.wait();
}

#[test]
fn ctrl_c_again_and_again_ends_it() {
    let test = chain();
    let (mut running, mut master) = on_terminal(&test);
    until_over(&mut running, |_| {
        // As fast as a client comes and goes.
        drop(test.beside(["ps"]));
        master.write_all(b"\x03").expect("typed");
    });
    running.wait();

    let (mut running, read) = on_pipe(&test);
    until_over(&mut running, |running| {
        running.signal_group(SIGINT);
        drop(test.beside(["ps"]));
    });
    running.wait();
    drop(read);
}
