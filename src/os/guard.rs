//! The small process above the supervisor.
//!
//! The user's shell sees the guard: it is what was started. It forks before anything else runs
//! and keeps to three things: it hands every signal on to the supervisor, it ends as the
//! supervisor ended, and before that it ends whatever the supervisor left alive, even when the
//! supervisor was killed. As a subreaper it becomes the parent of every such process.
//!
//! The supervisor in turn sees the link close when the guard is killed, and cleans up itself.
//! Between the two stands the reserve (`reserve.rs`), for when both are killed.
//!
//! Messages on the link are two bytes: a signal's number and whether the kernel sent it. TSTP
//! means "stop your processes and answer with TSTP"; CONT means "go on".

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

use super::reap::{self, How, Left};
use super::reserve;
use super::signals::{self, Received, Signals};
use super::sweep::{self, KILL_ROUND};
use crate::model::Sig;

/// How long what a killed supervisor left may take before it is killed: all must be gone
/// within 2 s.
pub(super) const CRASH_GRACE: Duration = Duration::from_millis(500);

/// What the supervisor says to the guard, a byte each.
const SUSPENDED: u8 = 1;
const HURRY: u8 = 2;

/// The supervisor's end of the link.
#[derive(Debug)]
pub struct Link {
    stream: UnixStream,
    /// The process above us while all is well: the reserve.
    above: Pid,
}

impl Link {
    /// The stream to read messages from, with [`decode`]; at its end the guard is dead.
    pub fn reader(&self) -> io::Result<UnixStream> {
        self.stream.set_nonblocking(true)?;
        self.stream.try_clone()
    }

    /// Whether the process above us is dead. Then nobody may be left to clean up after us.
    pub fn is_alone(&self) -> bool {
        getppid() != self.above
    }

    /// Tells the guard that all processes are stopped, so that it stops too.
    pub fn suspended(&self) {
        let _ = (&self.stream).write(&[SUSPENDED]);
    }

    /// Tells the guard that nothing is to be asked any more, only killed.
    pub fn hurry(&self) {
        let _ = (&self.stream).write(&[HURRY]);
    }
}

/// The signals that end ganger.
pub const TERMINATING: [Sig; 3] = [Sig::INT, Sig::TERM, Sig::HUP];
/// The signals that are handed on to the processes and end nothing.
pub const FORWARDED: [Sig; 3] = [Sig::QUIT, Sig::USR1, Sig::USR2];

/// Forks, twice. Only the supervisor returns; guard and reserve stay in here and end the program.
///
/// `grace` is how long processes that outlive the supervisor's orderly end may take to stop.
/// The caller must have a single thread. Signals are blocked in the supervisor until
/// [`signals::unblock`].
pub fn split(grace: Duration) -> io::Result<Link> {
    signals::block()?;
    reap::adopt_orphans()?;
    let (ours, theirs) = UnixStream::pair()?;
    let guard = getpid();
    match fork_single_threaded()? {
        ForkResult::Child => {
            drop(ours);
            split_again(theirs, guard)
        }
        ForkResult::Parent { child } => {
            drop(theirs);
            let end = Guard::new(child.as_raw(), ours, grace).and_then(Guard::watch);
            match end {
                Ok(How::Exited(code)) => std::process::exit(code.into()),
                Ok(How::Signaled(sig)) => signals::die(sig),
                // Without signals or poll there is no guarding; the closed link tells the
                // supervisor, which cleans up.
                Err(_) => std::process::exit(1),
            }
        }
    }
}

/// In the child of the guard: becomes the reserve, and answers in its child, the supervisor.
fn split_again(link: UnixStream, guard: Pid) -> io::Result<Link> {
    reap::adopt_orphans()?;
    let above = getpid();
    match fork_single_threaded()? {
        ForkResult::Child => {
            reap::adopt_orphans()?;
            Ok(Link { stream: link, above })
        }
        ForkResult::Parent { child } => {
            // Only the supervisor may hold it: its end is how the guard sees that one's.
            drop(link);
            reserve::stand_by(child.as_raw(), || getppid() != guard)
        }
    }
}

#[allow(unsafe_code)]
fn fork_single_threaded() -> nix::Result<ForkResult> {
    // SAFETY: the caller has a single thread, so no lock is held by a thread that the child
    // lacks, and the child may go on like any program.
    unsafe { fork() }
}

/// A message for the supervisor: the signal, and whether the kernel sent it.
pub fn decode(message: [u8; 2]) -> Received {
    Received { sig: Sig::from_number(message[0].into()), from_kernel: message[1] != 0 }
}

fn encode(received: Received) -> [u8; 2] {
    [u8::try_from(received.sig.number()).unwrap_or(0), received.from_kernel.into()]
}

/// Takes over the signals that guard and supervisor both hear, and `more`.
///
/// HUP stays ignored where it was ignored at the start: that is what `nohup` is for. INT does
/// not: a shell ignores it for whatever it starts in the background, and `kill -INT` must work.
pub fn take_over_signals(more: &[Sig]) -> io::Result<Signals> {
    let nohup = signals::ignored().contains(&Sig::HUP);
    let wanted: Vec<Sig> = TERMINATING
        .into_iter()
        .chain(FORWARDED)
        .chain([Sig::TSTP, Sig::CONT, Sig::CHLD])
        .chain(more.iter().copied())
        .filter(|sig| *sig != Sig::HUP || !nohup)
        .collect();
    let signals = Signals::new(&wanted)?;
    signals::unblock()?;
    Ok(signals)
}

/// Whether the supervisor came to its end by itself: with a status, or by one of the signals
/// that [`Outcome::Signal`](crate::supervisor::fleet::Outcome) names. Everything else is a crash.
pub(super) fn is_orderly(how: How) -> bool {
    match how {
        How::Exited(_) => true,
        How::Signaled(sig) => TERMINATING.contains(&sig),
    }
}

struct Guard {
    /// Our child, which ends as the supervisor does.
    reserve: i32,
    link: UnixStream,
    signals: Signals,
    grace: Duration,
    /// How the supervisor ended, once it did.
    end: Option<How>,
    /// Set once the supervisor is gone: what it left is asked before this, and killed after.
    kill_at: Option<Instant>,
}

impl Guard {
    fn new(reserve: i32, link: UnixStream, grace: Duration) -> io::Result<Self> {
        link.set_nonblocking(true)?;
        Ok(Self { reserve, link, signals: take_over_signals(&[])?, grace, end: None, kill_at: None })
    }

    /// Guards until the supervisor and everything it left are gone.
    fn watch(mut self) -> io::Result<How> {
        #[cfg(target_os = "linux")]
        super::memory::forget_code();
        let mut link_open = true;
        loop {
            let link_ready = self.wait(link_open)?;
            if link_ready && self.end.is_none() {
                link_open = self.read_link();
            }
            for received in self.signals.take() {
                self.hear(received);
            }
            let (ended, left) = reap::reap_all(self.reserve);
            if let Some(how) = ended {
                self.supervisor_ended(how);
            }
            match (self.end, left) {
                (Some(end), Left::None) => return Ok(end),
                (Some(end), Left::Some) if self.kill_at.is_some_and(|at| at <= Instant::now()) => {
                    if sweep::kill_all() == Left::None {
                        return Ok(end);
                    }
                }
                (Some(_) | None, _) => {}
            }
        }
    }

    /// Sleeps until a signal or a message comes, or it is time to kill.
    fn wait(&self, link_open: bool) -> io::Result<bool> {
        let timeout = match self.kill_at {
            None => PollTimeout::NONE,
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now()).max(KILL_ROUND);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if link_open {
            fds.push(PollFd::new(self.link.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(fds.get(1).is_some_and(|fd| fd.any().unwrap_or(false)))
    }

    /// Hears the supervisor. Answers whether there may be more to hear.
    fn read_link(&mut self) -> bool {
        let mut message = [0; 1];
        match (self.link.read(&mut message), message) {
            (Ok(0), _) => return false,
            // Its processes are stopped: now we stop too, and the shell gets its prompt back.
            (Ok(_), [SUSPENDED]) => signals::stop_self(),
            (Ok(_), [HURRY]) => self.grace = Duration::ZERO,
            (Ok(_) | Err(_), _) => {}
        }
        true
    }

    fn hear(&mut self, received: Received) {
        if received.sig == Sig::CHLD {
            return;
        }
        if self.end.is_none() {
            // A full link means the supervisor has hundreds of signals to read already.
            let _ = self.link.write(&encode(received));
        } else if TERMINATING.contains(&received.sig) {
            self.kill_at = Some(Instant::now());
        }
    }

    fn supervisor_ended(&mut self, how: How) {
        self.end = Some(how);
        let grace = if is_orderly(how) { self.grace } else { CRASH_GRACE.min(self.grace) };
        self.kill_at = Some(Instant::now() + grace);
        sweep::ask_all();
    }
}
