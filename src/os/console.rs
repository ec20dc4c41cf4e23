//! The terminal that this program was started in, taken for a while: every key comes as it was
//! typed, and nothing is echoed.
//!
//! It owns the modes that the terminal had before, and brings them back: when it is dropped, and
//! when the program panics, since a panic drops nothing here. Whoever takes it handles the signals
//! that would end the program.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
#[cfg(target_os = "linux")]
use nix::sys::stat::{fstat, major, minor};
use nix::sys::termios::{
    FlushArg, LocalFlags, OutputFlags, SetArg, Termios, cfmakeraw, tcflush, tcgetattr, tcsetattr,
};
use nix::unistd::{getpgrp, tcgetpgrp};

use super::pty::Size;

/// The modes of the terminal behind stdin, to be brought back.
#[derive(Debug, Clone)]
pub struct Modes(Arc<Mutex<Termios>>);

/// The terminal, taken.
#[derive(Debug)]
pub struct Console {
    input: OwnedFd,
    /// Of its own where that can be had: not to block must hold for nobody else who has it.
    output: File,
    before: Modes,
}

/// What a wait has found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a descriptor of its own")]
pub struct Ready {
    /// Something was typed, or the terminal is gone.
    pub typed: bool,
    /// The terminal takes more.
    pub output: bool,
    /// The peer has said something, or is gone.
    pub heard: bool,
    /// The peer takes more.
    pub told: bool,
    /// A signal came.
    pub signal: bool,
}

impl Modes {
    /// As they are now. Fails where stdin is no terminal.
    pub fn now() -> io::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(tcgetattr(io::stdin())?))))
    }

    /// Brings them back, if the terminal still is as [`Console::take`] has left it: a shell that has
    /// it again by now may have made it its own. What has not been read yet is discarded: it was not typed for what
    /// reads next.
    pub fn restore(&self) {
        let ours = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
        let is_raw = |now: Termios| {
            !now.local_flags.intersects(ours) && !now.output_flags.contains(OutputFlags::OPOST)
        };
        if tcgetattr(io::stdin()).is_ok_and(is_raw) {
            let _ = set(&self.0.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn raw(&self) -> Termios {
        let mut modes = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        cfmakeraw(&mut modes);
        modes
    }
}

/// From the background the terminal would stop us with TTOU (tcsetattr(3)), and whoever ends there
/// has to give it back all the same.
fn set(modes: &Termios) -> io::Result<()> {
    without(Signal::SIGTTOU, || {
        // Not TCSAFLUSH, which waits until all output is out: the terminal may be stopped.
        let _ = tcflush(io::stdin(), FlushArg::TCIFLUSH);
        Ok(tcsetattr(io::stdin(), SetArg::TCSANOW, modes)?)
    })
}

/// Does something with this signal blocked.
fn without<T>(signal: Signal, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mut blocked = SigSet::empty();
    blocked.add(signal);
    let mut former = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&blocked), Some(&mut former))?;
    let result = act();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&former), None)?;
    result
}

/// Opens the terminal behind `out` once more to write to it, so that whoever shares `out` is not affected
/// by its not blocking.
pub fn open_again(out: &OwnedFd) -> io::Result<File> {
    let mut own = OpenOptions::new();
    own.write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let of_device = || -> io::Result<File> {
        #[cfg(target_os = "linux")]
        {
            // To open the other side of a pty would make another pty (pts(4)).
            let about = fstat(out)?;
            if (major(about.st_rdev), minor(about.st_rdev)) == (5, 2) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            own.open(format!("/proc/self/fd/{}", out.as_raw_fd()))
        }
        #[cfg(not(target_os = "linux"))]
        own.open(nix::unistd::ttyname(out)?)
    };
    match of_device() {
        // As another user, after `su`. `/dev/tty` may be opened all the same; it is the same terminal if
        // `out` is the one that controls us, which only then has a foreground group (tcgetpgrp(3)).
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && tcgetpgrp(out).is_ok() => {
            own.open("/dev/tty")
        }
        other => other,
    }
}

impl Console {
    /// Takes the terminal behind stdin and stdout. Fails where stdin is none.
    pub fn take() -> io::Result<Self> {
        let before = Modes::now()?;
        let former = std::panic::take_hook();
        let modes = before.clone();
        std::panic::set_hook(Box::new(move |info| {
            modes.restore();
            former(info);
        }));
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        let mut own = OpenOptions::new();
        own.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        let output = match own.open("/dev/tty") {
            Ok(terminal) => terminal,
            // Without one that controls us: a write may block then.
            Err(_) => File::from(io::stdout().as_fd().try_clone_to_owned()?),
        };
        let console = Self { input, output, before };
        console.take_again()?;
        Ok(console)
    }

    /// Gives the terminal back for a while.
    pub fn give_back(&self) {
        self.before.restore();
    }

    /// Takes it again. In the background this stops us, as it does other programs, until it is ours.
    pub fn take_again(&self) -> io::Result<()> {
        Ok(tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before.raw())?)
    }

    /// Its size now.
    pub fn size(&self) -> Size {
        Size::of(&self.output).unwrap_or(Size::USUAL)
    }

    /// Reads what was typed; nothing at the end of the terminal.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(nix::unistd::read(&self.input, buffer)?)
    }

    /// Returns whether this process may read: it is in the foreground.
    pub fn is_in_front(&self) -> bool {
        tcgetpgrp(&self.input).is_ok_and(|group| group == getpgrp())
    }

    /// Reads what is typed within this time; nothing if nothing is, or at the end of the terminal.
    pub fn read_within(&self, buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
        let mut fds = [PollFd::new(self.input.as_fd(), PollFlags::POLLIN)];
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, patience) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => Ok(0),
            // In the background it would stop us.
            Ok(_) => without(Signal::SIGTTIN, || self.read(buffer)),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes as much as the terminal takes now.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.output).write(bytes)
    }

    /// Waits until one of these has something; `output` and `tell` say whether anything waits to be
    /// written to the terminal and to the peer, `hear` whether it is listened to. Not longer than `patience`.
    pub fn wait(
        &self,
        peer: impl AsFd,
        signals: impl AsFd,
        (output, hear, tell): (bool, bool, bool),
        patience: Option<Duration>,
    ) -> io::Result<Ready> {
        let flag = |wanted, flag| if wanted { flag } else { PollFlags::empty() };
        let peers = flag(hear, PollFlags::POLLIN) | flag(tell, PollFlags::POLLOUT);
        let mut fds = [
            PollFd::new(self.input.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.output.as_fd(), flag(output, PollFlags::POLLOUT)),
            PollFd::new(peer.as_fd(), peers),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        // Rounded up, or the last millisecond would be spent in polls that do not wait.
        let patience = patience.map(|patience| patience + Duration::from_millis(1));
        let patience =
            patience.map_or(PollTimeout::NONE, |it| PollTimeout::try_from(it).unwrap_or(PollTimeout::MAX));
        match poll(&mut fds, patience) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [typed, shown, peer, signal] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        Ok(Ready {
            typed: typed.intersects(PollFlags::POLLIN | gone),
            output: output && shown.intersects(PollFlags::POLLOUT | gone),
            heard: hear && peer.intersects(PollFlags::POLLIN | gone),
            told: tell && peer.intersects(PollFlags::POLLOUT | gone),
            signal: !signal.is_empty(),
        })
    }

    /// Waits until the terminal takes more. False when it does not within this time.
    pub fn takes_more(&self, patience: Duration) -> bool {
        let mut fds = [PollFd::new(self.output.as_fd(), PollFlags::POLLOUT)];
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        poll(&mut fds, patience).is_ok_and(|count| count > 0)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.give_back();
    }
}
