//! Receiving signals, through signal-hook's pipe.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
#[cfg(target_os = "linux")]
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

use crate::model::{Sender, Sig};

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Which.
    pub sig: Sig,
    /// What sent it.
    pub sender: Sender,
    /// When it was taken.
    pub at: Instant,
}

/// The signals of this process, as something that can be polled.
///
/// Signals of one number coalesce: five raises may be one (signal(7)).
#[derive(Debug)]
pub struct Signals {
    delivery: SignalDelivery<UnixStream, WithOrigin>,
}

impl Signals {
    /// Takes over these signals for the rest of the process's life.
    pub fn new(signals: &[Sig]) -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        let numbers = signals.iter().map(|sig| sig.number());
        Ok(Self { delivery: SignalDelivery::with_pipe(read, write, WithOrigin::default(), numbers)? })
    }

    /// A stream that becomes readable when a signal came, for an event loop.
    pub fn bell(&self) -> io::Result<UnixStream> {
        self.delivery.get_read().try_clone()
    }

    /// Everything that came since the last call. Never blocks.
    pub fn take(&mut self) -> Vec<Received> {
        // Emptied before the flags are read: a signal in between rings the pipe again.
        let mut buffer = [0; 64];
        while matches!(self.delivery.get_read().read(&mut buffer), Ok(1..)) {}
        let at = Instant::now();
        let sender = |origin: &Origin| match (origin.cause, origin.process) {
            (Cause::Kernel, _) => Sender::Kernel,
            (_, process) => Sender::Process(process.map_or(0, |process| process.pid)),
        };
        self.delivery
            .pending()
            .map(|origin| Received { sig: Sig::from_number(origin.signal), sender: sender(&origin), at })
            .collect()
    }
}

impl AsFd for Signals {
    /// Readable when a signal came.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

/// Holds back all signals of this thread, for the time between a fork and the moment the
/// handlers stand. Threads begin with the mask of the one that makes them, so the output's keeps it.
///
/// With TTOU blocked the terminal lets that thread write from the background in spite of `stty
/// tostop` (termios(3)). Without, all of ganger stops at its first line, as other programs do; that
/// was tried. But then `kill` cannot end it: once continued, the write is tried again and stops
/// it before anybody has acted on TERM.
pub fn block() -> io::Result<()> {
    Ok(pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None)?)
}

/// As [`block`], if this is PID 1, for the time in which the app's files are read. Other
/// processes die of TERM until they handle it; PID 1 would never get it (`pid_namespaces(7)`), and
/// `docker stop` would wait in vain. What is blocked is kept.
pub fn block_as_pid_1() -> io::Result<()> {
    if std::process::id() == 1 { block() } else { Ok(()) }
}

/// Lets signals through again, those that came meanwhile first.
pub fn unblock() -> io::Result<()> {
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Like [`unblock`], for a process that handles some signals: those that it does not use and that would end
/// it stay blocked.
pub(super) fn unblock_known() -> io::Result<()> {
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&nothing()), None)?)
}

/// The signals that ganger does not use: the real-time ones, and those that only timers and devices send.
#[allow(unsafe_code)]
fn nothing() -> SigSet {
    let mut set = SigSet::empty().as_ref().to_owned();
    for number in all().filter(|number| means_nothing(*number)) {
        // SAFETY: adds a number to a set that lives through the call; invalid numbers are refused.
        unsafe { libc::sigaddset(&raw mut set, number) };
    }
    // SAFETY: it was an empty set before.
    unsafe { SigSet::from_sigset_t_unchecked(set) }
}

/// Blocks signals that would end this process and are meant for those that run the app: it only waits for
/// them, and is named `ganger` too.
pub(super) fn block_forwarded() -> io::Result<()> {
    let mut mask = nothing();
    mask.add(Signal::SIGUSR1);
    mask.add(Signal::SIGUSR2);
    Ok(pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&mask), None)?)
}

/// Blocks these signals and no others.
pub(super) fn block_only(signals: &[Signal]) -> io::Result<()> {
    let mask = signals.iter().copied().collect::<SigSet>();
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?)
}

fn means_nothing(number: i32) -> bool {
    #[cfg(target_os = "linux")]
    let is_of_linux = number >= libc::SIGRTMIN() || matches!(number, libc::SIGPWR | libc::SIGSTKFLT);
    #[cfg(not(target_os = "linux"))]
    let is_of_linux = false;
    is_of_linux || matches!(number, libc::SIGVTALRM | libc::SIGPROF | libc::SIGIO)
}

/// Drops signals held back by [`block`]. Runs between fork and exec, just before signals are unblocked, in
/// a process that has left its original group. They were meant for that group (Ctrl-C) or for everything
/// named `ganger`, where other processes act on them; this process would die of them. Leaves the default
/// action for the dropped signals.
///
/// Makes only async-signal-safe calls.
#[allow(unsafe_code)]
pub(super) fn drop_held_back() -> nix::Result<()> {
    let mut held = SigSet::empty().as_ref().to_owned();
    // SAFETY: sigpending(2) writes a set, which lives through the call.
    Errno::result(unsafe { libc::sigpending(&raw mut held) })?;
    // STOP and KILL are not held back.
    for number in all() {
        // SAFETY: sigpending(2) has filled the set.
        if unsafe { libc::sigismember(&raw const held, number) } == 1 {
            // This drops pending signals (sigaction(3p)).
            act(number, libc::SIG_IGN)?;
            heed(number)?;
        }
    }
    Ok(())
}

/// The numbers of all signals, including the real-time ones.
fn all() -> std::ops::RangeInclusive<i32> {
    #[cfg(target_os = "linux")]
    let last = libc::SIGRTMAX();
    #[cfg(not(target_os = "linux"))]
    let last = 31;
    1..=last
}

/// The signals that are ignored, most since before this program was started: `nohup` does that with
/// HUP, and a shell with INT and QUIT for what it starts in the background.
pub(super) fn ignored() -> Vec<i32> {
    all().filter(|number| is_ignored(Sig::from_number(*number))).collect()
}

/// Whether this signal is.
#[allow(unsafe_code)]
pub(super) fn is_ignored(sig: Sig) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only reads the present one into `action`, which is large enough.
    unsafe { libc::sigaction(sig.number(), std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zero bytes are a valid sigaction, should the call have failed.
    let action = unsafe { action.assume_init() };
    action.sa_sigaction == libc::SIG_IGN
}

/// Ignores every signal that can be ignored, except these and CHLD: with CHLD ignored, children cannot be
/// waited for (wait(2)). Async-signal-safe.
///
/// The C library keeps the numbers below `SIGRTMIN` for itself and refuses them, as the kernel
/// refuses KILL and STOP.
pub(super) fn ignore_all_but(kept: &[Signal]) {
    for number in all().filter(|it| *it != libc::SIGCHLD && !kept.iter().any(|sig| *sig as i32 == *it)) {
        let _ = act(number, libc::SIG_IGN);
    }
}

/// Gives a signal its default action, though it may have been ignored when this program was started, or
/// has a handler. Async-signal-safe.
pub(super) fn heed(number: i32) -> nix::Result<()> {
    act(number, libc::SIG_DFL)
}

/// Ignores a signal or gives it its default action. Async-signal-safe.
#[allow(unsafe_code)]
fn act(number: i32, action: libc::sighandler_t) -> nix::Result<()> {
    // SAFETY: both actions, `SIG_IGN` and `SIG_DFL`, run no code of ours.
    let former = unsafe { libc::signal(number, action) };
    if former == libc::SIG_ERR { Err(Errno::last()) } else { Ok(()) }
}

/// Sleeps until a child ends or stops, for so long at most; answers whether none did. CHLD has to
/// be blocked ([`block`]), and only here and in `next_child` is it taken: whoever waits for the child
/// finds it all the same.
#[cfg(target_os = "linux")]
pub fn no_child_within(time: Duration) -> bool {
    take_child(Some(time)) == Err(Errno::EAGAIN)
}

/// Sleeps until a child ends or stops, or CHLD comes otherwise. As [`no_child_within`].
#[cfg(target_os = "linux")]
pub(super) fn next_child() {
    let _ = take_child(None);
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn take_child(time: Option<Duration>) -> nix::Result<()> {
    let mut wanted = SigSet::empty();
    wanted.add(Signal::SIGCHLD);
    let time = time.map(nix::sys::time::TimeSpec::from_duration);
    let time: *const libc::timespec = time.as_ref().map_or(std::ptr::null(), |time| time.as_ref());
    // SAFETY: both point to values that outlive the call, or are null, which is for ever; a null `info` is
    // not written to.
    Errno::result(unsafe { libc::sigtimedwait(wanted.as_ref(), std::ptr::null_mut(), time) }).map(drop)
}

/// Ends this process by `sig`, so that whoever waits for it sees a death by signal.
pub fn die(sig: Sig) -> ! {
    // The kernel shields PID 1 from its own default actions (pid_namespaces(7)).
    if std::process::id() != 1 {
        raise_alone(sig);
    }
    std::process::exit(sig.exit_status().into())
}

/// Sends this process a signal with its default action, and lets through no other one that is held back.
#[allow(unsafe_code)]
fn raise_alone(sig: Sig) {
    let _ = heed(sig.number());
    let mut set = SigSet::empty().as_ref().to_owned();
    // SAFETY: adds a number to a set that lives through the call; invalid numbers are refused.
    unsafe { libc::sigaddset(&raw mut set, sig.number()) };
    // SAFETY: an integer; the default action runs no code of ours.
    unsafe { libc::raise(sig.number()) };
    // SAFETY: reads a set, which lives through the call.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
}

/// Stops this process as Ctrl-Z does and returns when it continues. `last_look` is called
/// when no further SIGTSTP is received, and answers whether to stop; a SIGTSTP that comes from then
/// on is one with ours.
///
/// Unlike SIGSTOP, SIGTSTP does nothing in an orphaned group, where nobody could continue us
/// (setpgid(2)); and the shell words it as an ordinary Ctrl-Z.
#[allow(unsafe_code)]
pub fn stop_self(last_look: impl FnOnce() -> bool) {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, raise, sigaction};
    let mut tstp = SigSet::empty();
    tstp.add(Signal::SIGTSTP);
    // Held back until both are there, or each would stop us.
    let _ = tstp.thread_block();
    if !last_look() {
        let _ = tstp.thread_unblock();
        return;
    }
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: installs the default action and afterwards the one that was there, which was
    // valid before; no Rust code runs in either.
    let former = unsafe { sigaction(Signal::SIGTSTP, &default) };
    let _ = raise(Signal::SIGTSTP);
    let _ = tstp.thread_unblock();
    if let Ok(former) = former {
        // SAFETY: see above.
        let _ = unsafe { sigaction(Signal::SIGTSTP, &former) };
    }
}
