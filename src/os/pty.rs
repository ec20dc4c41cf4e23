//! Terminals for processes: making one, giving it to a process, its size, its end.
//!
//! It talks to `spawn`, which starts the process, and to whoever keeps the [`Terminal`]. It never
//! reads a terminal; the pump does that.
//!
//! On Linux the session of a process on a pty is led by a small process of its own, the *anchor*,
//! and not by the process. When the leader of a session ends, the kernel sends HUP to the
//! foreground group of its terminal (`disassociate_ctty` in `tty_jobctrl.c`), and the leader would be
//! the shell that runs the command: TERM ends that shell at once, and the program below it, which
//! is just putting its work away, would die of the HUP. With the anchor nothing happens before
//! the terminal is closed, as with a pipe.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::{PtyMaster, Winsize, grantpt, posix_openpt, unlockpt};
use nix::sys::termios::{InputFlags, LocalFlags, OutputFlags, SetArg, tcgetattr, tcsetattr};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::keep::Sessions;
use super::signals;
#[cfg(target_os = "linux")]
use super::title::Arguments;
use super::with_path;

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters of one line.
    pub columns: u16,
}

impl Size {
    /// What programs take where nothing is known, and what a terminal is by tradition.
    pub const USUAL: Self = Self { rows: 24, columns: 80 };

    /// The size of the terminal behind `fd`. `None` where that is none, or one that does not
    /// know its size (a serial line says 0 × 0).
    #[allow(unsafe_code)]
    pub fn of(fd: impl AsFd) -> Option<Self> {
        let mut size = Winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCGWINSZ (ioctl_tty(2)) writes a winsize, which lives through the call.
        let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
        let known = result == 0 && size.ws_row > 0 && size.ws_col > 0;
        known.then_some(Self { rows: size.ws_row, columns: size.ws_col })
    }

    /// The same, or what is usual in place of a size that is none.
    #[must_use]
    pub fn sane(self) -> Self {
        if self.rows == 0 || self.columns == 0 { Self::USUAL } else { self }
    }

    fn winsize(self) -> Winsize {
        Winsize { ws_row: self.rows, ws_col: self.columns, ws_xpixel: 0, ws_ypixel: 0 }
    }
}

/// A pty that nobody has yet.
#[derive(Debug)]
pub struct Pty {
    master: OwnedFd,
    pub(super) slave: OwnedFd,
}

/// The terminal of a process. While it is kept the terminal is open, whether or not its output
/// is still read: closing it sends HUP to those on it.
#[derive(Debug)]
pub struct Terminal(OwnedFd);

impl Pty {
    /// Makes one. What is written to it comes out as it is: no CR is put before a newline. All
    /// else is as in a terminal window, so that somebody can type there later.
    pub fn open(size: Size) -> io::Result<Self> {
        // With the flags from the start: another thread may fork at any moment.
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)
            .map_err(|error| with_path(error.into(), "/dev/ptmx"))?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let slave = open_slave(&master)?;
        let mut modes = tcgetattr(&slave)?;
        modes.output_flags.remove(OutputFlags::OPOST);
        modes.input_flags.insert(InputFlags::IUTF8);
        tcsetattr(&slave, SetArg::TCSANOW, &modes)?;
        let master = OwnedFd::from(master);
        // Not every system takes O_CLOEXEC in posix_openpt.
        fcntl(&master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        let flags = OFlag::from_bits_retain(fcntl(&master, FcntlArg::F_GETFL)?);
        fcntl(&master, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let pty = Self { master, slave };
        set_size(&pty.master, size)?;
        Ok(pty)
    }

    /// Lets the slave go, which a process has by now. Answers what is to be read, which does not
    /// block, and the terminal.
    pub(super) fn given_away(self) -> io::Result<(File, Terminal)> {
        Ok((File::from(self.master.try_clone()?), Terminal(self.master)))
    }
}

impl Terminal {
    /// Sets its size; those on it get WINCH if it is a new one.
    pub fn resize(&self, size: Size) {
        // It can only fail for a descriptor that is no terminal.
        let _ = set_size(&self.0, size);
    }

    /// Its size.
    pub fn size(&self) -> Option<Size> {
        Size::of(&self.0)
    }

    /// Types. Never blocks; while nobody reads what was typed before, it says so by
    /// [`io::ErrorKind::WouldBlock`].
    pub fn type_in(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(nix::unistd::write(&self.0, bytes)?)
    }

    /// Waits until more can be typed. Needs tokio's reactor.
    #[allow(unsafe_code)]
    pub async fn takes_more(&self) -> io::Result<()> {
        let copy = self.0.try_clone()?;
        // SAFETY: an OwnedFd is one open descriptor for its whole life, and this one is ours alone.
        let watched = unsafe { AsyncFd::register_with_interest(copy, Interest::WRITABLE) };
        watched?.writable().await.map(drop)
    }

    /// Whether a line end of the process would come with a CR if [`Pty::open`] had not put that
    /// off. Programs that draw by themselves say (`ONLCR`) that they want none.
    pub fn wants_cr(&self) -> bool {
        let flags = tcgetattr(&self.0).map(|modes| modes.output_flags);
        flags.is_ok_and(|it| it.contains(OutputFlags::ONLCR) && !it.contains(OutputFlags::OPOST))
    }
}

/// Returns whether a terminal echoes what is typed and hands it over line by line, as it does for programs that do
/// not read single keys. `terminal` may be the master.
pub fn echoes_lines(terminal: impl AsFd) -> bool {
    tcgetattr(terminal).is_ok_and(|modes| modes.local_flags.contains(LocalFlags::ICANON | LocalFlags::ECHO))
}

#[allow(unsafe_code)]
fn set_size(master: &OwnedFd, size: Size) -> io::Result<()> {
    let size = size.winsize();
    // SAFETY: TIOCSWINSZ (ioctl_tty(2)) reads a winsize, which lives through the call.
    let result = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    Ok(nix::errno::Errno::result(result).map(drop)?)
}

fn open_slave(master: &PtyMaster) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    let path = nix::pty::ptsname_r(master)?;
    #[cfg(not(target_os = "linux"))]
    #[allow(unsafe_code)]
    // SAFETY: ptsname(3) answers from a static buffer; only the thread that starts processes
    // makes ptys.
    let path = unsafe { nix::pty::ptsname(master) }?;
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open(path.as_str(), flags, nix::sys::stat::Mode::empty())?)
}

/// What a process needs to take over its terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct HandOver {
    /// Where it writes the pid that goes on to exec.
    pub(super) report: RawFd,
    /// Where it notes its session.
    pub(super) sessions: Sessions,
    /// For the name of the anchor.
    #[cfg(target_os = "linux")]
    pub(super) arguments: Option<Arguments>,
}

/// Between fork and exec: makes the terminal that is stdin by now the controlling terminal of a
/// new session, and this process the foreground.
///
/// Makes only async-signal-safe calls. On Linux it returns in a second process, a sibling of
/// the one that called, which stays as the anchor.
pub(super) fn take_terminal(hand_over: &HandOver) -> io::Result<()> {
    hand_over.sessions.insert(nix::unistd::getpid().as_raw());
    nix::unistd::setsid()?;
    control_terminal()?;
    #[cfg(target_os = "linux")]
    anchor::leave_one(hand_over.arguments)?;
    say_pid(hand_over.report)
}

#[allow(unsafe_code)]
fn control_terminal() -> io::Result<()> {
    // On macOS the constant has another type than the call takes.
    #[allow(clippy::useless_conversion)]
    let request = libc::TIOCSCTTY.into();
    // SAFETY: TIOCSCTTY (ioctl_tty(2)) takes an integer; 0 steals from nobody.
    let result = unsafe { libc::ioctl(0, request, 0) };
    Ok(nix::errno::Errno::result(result).map(drop)?)
}

/// Between fork and exec, when there will be no exec: ends the anchor. Whoever forked first waits
/// for it. The HUP that follows from that must not come before the reason was told.
pub(super) fn give_up() {
    let _ = signals::block();
    if let Ok(leader) = nix::unistd::getsid(None)
        && leader != nix::unistd::getpid()
    {
        let _ = nix::sys::signal::kill(leader, nix::sys::signal::Signal::SIGKILL);
    }
}

#[allow(unsafe_code)]
fn say_pid(report: RawFd) -> io::Result<()> {
    let pid = nix::unistd::getpid().as_raw().to_ne_bytes();
    // SAFETY: the bytes live through the call, and a pipe takes four at once (pipe(7)).
    let count = unsafe { libc::write(report, pid.as_ptr().cast(), pid.len()) };
    Ok(nix::errno::Errno::result(count).map(drop)?)
}

/// The process that leads a session so that the process in it does not.
///
/// Its end hangs up the session, so it has one reason to end: its terminal is gone. Signals sent to
/// it by name, by group or by control group are meant for other processes, and are ignored. KILL cannot be,
/// so its name is not ganger's, and `killall -9 ganger` and `pkill -9 -f ganger` do not match it.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod anchor {
    use std::io;

    use nix::errno::Errno;
    use nix::fcntl::{OFlag, open};
    use nix::sys::signal::{SigSet, Signal};
    use nix::sys::stat::Mode;
    use nix::unistd::{Pid, getpid, setpgid};

    use crate::os::signals;
    use crate::os::title::{self, Arguments};

    /// The name in `ps`.
    const TITLE: &std::ffi::CStr = c"anchor";

    /// The `si_code` of a signal from the kernel (sigaction(2)); the libc crate lacks it.
    const SI_KERNEL: i32 = 0x80;

    /// This process becomes the anchor and does not return; a new one, with the same parent and
    /// a group of its own in the foreground, does. Where that cannot be (a sandbox that forbids
    /// it) this process returns and leads its session itself.
    pub(super) fn leave_one(arguments: Option<Arguments>) -> io::Result<()> {
        // Nothing may be heard twice: until the exec both have the handlers of our program.
        signals::block()?;
        match sibling() {
            None => Ok(()),
            Some(0) => to_foreground(),
            Some(_) => stay(arguments),
        }
    }

    /// Forks, with the same parent for both (`CLONE_PARENT`, clone(2)), so that the supervisor
    /// hears of the new process's end.
    fn sibling() -> Option<i32> {
        let flags = libc::c_long::from(libc::CLONE_PARENT | libc::SIGCHLD);
        // SAFETY: without CLONE_VM this is a fork, in a process with one thread; all pointers are
        // null, so that their order, which differs between architectures, does not matter. (s390
        // has the flags second, sees 0 and forks a child of this process.)
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
        i32::try_from(pid).ok().filter(|pid| *pid >= 0)
    }

    fn to_foreground() -> io::Result<()> {
        setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        let pid = getpid().as_raw();
        // SAFETY: two integers. From the background it would be stopped by TTOU, which is
        // blocked here (tcsetpgrp(3)).
        let result = unsafe { libc::tcsetpgrp(0, pid) };
        Ok(Errno::result(result).map(drop)?)
    }

    /// Holds the session until the terminal is closed, which sends HUP to its leader.
    fn stay(arguments: Option<Arguments>) -> ! {
        title::set(TITLE, arguments);
        // Whatever is inherited here would seem to be held by the process for ever.
        // SAFETY: nothing in this process uses a descriptor from here on.
        if unsafe { libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) } != 0 {
            for fd in 0..65_536 {
                // SAFETY: as above.
                unsafe { libc::close(fd) };
            }
        }
        // HUP stays blocked, for `next_hangup` to take. All others are ignored, because blocked signals that
        // are never taken count against the user's limit (RLIMIT_SIGPENDING, getrlimit(2)).
        signals::ignore_all_but(&[Signal::SIGHUP]);
        let _ = signals::heed(libc::SIGHUP);
        let _ = signals::block_only(&[Signal::SIGHUP]);
        let mut hangup = SigSet::empty();
        hangup.add(Signal::SIGHUP);
        loop {
            if next_hangup(&hangup).is_some_and(terminal_is_gone) {
                // SAFETY: ends this process, which has nothing to clean up.
                unsafe { libc::_exit(0) };
            }
        }
    }

    /// Sleeps until HUP comes and returns its `si_code`. `None` after an interruption.
    fn next_hangup(hangup: &SigSet) -> Option<i32> {
        let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: both live through the call, and all zero bytes are a valid siginfo_t.
        let result = unsafe { libc::sigwaitinfo(hangup.as_ref(), info.as_mut_ptr()) };
        // SAFETY: see above.
        (result == libc::SIGHUP).then(|| unsafe { info.assume_init() }.si_code)
    }

    /// Returns whether the terminal was closed. The sender of the HUP is not enough to know: of two that come
    /// together one is kept, and that may be the one from a process. The kernel takes the terminal from
    /// the session before it sends HUP (`tty_signal_session_leader` in `tty_jobctrl.c`).
    fn terminal_is_gone(si_code: i32) -> bool {
        match open(c"/dev/tty", OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(_closed_at_once) => false,
            Err(Errno::ENXIO | Errno::EIO) => true,
            // No `/dev`, or no free descriptor.
            Err(_) => si_code == SI_KERNEL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pty_has_its_size_and_puts_no_cr() {
        let pty = Pty::open(Size { rows: 7, columns: 33 }).expect("a pty");
        assert_eq!(Size::of(&pty.slave), Some(Size { rows: 7, columns: 33 }));
        nix::unistd::write(&pty.slave, b"a\nb\n").expect("written");
        let slave = pty.slave.try_clone().expect("a descriptor");
        let (output, terminal) = pty.given_away().expect("descriptors");
        terminal.resize(Size { rows: 8, columns: 9 });
        assert_eq!(Size::of(&slave), Some(Size { rows: 8, columns: 9 }));
        assert!(terminal.wants_cr(), "as every new terminal");
        let mut modes = tcgetattr(&slave).expect("modes");
        modes.output_flags.remove(OutputFlags::ONLCR);
        tcsetattr(&slave, SetArg::TCSANOW, &modes).expect("set");
        assert!(!terminal.wants_cr(), "of a program that draws");
        drop(slave);
        // The kernel may hand it over in pieces, and then says that nobody is there.
        let mut read = Vec::new();
        let _ = io::Read::read_to_end(&mut &output, &mut read);
        assert_eq!(read, b"a\nb\n");
    }

    #[test]
    fn what_is_no_terminal_has_no_size() {
        let (read, _write) = io::pipe().expect("a pipe");
        assert_eq!(Size::of(&read), None);
    }
}
