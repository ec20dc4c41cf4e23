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
//! Messages on the link are a signal's number, what sent it and when the guard received it. TSTP
//! means "stop your processes and answer with TSTP"; CONT means "go on". The supervisor confirms each signal
//! that ends ganger, so that the guard notices one that is frozen.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

use super::keep::Keep;
use super::reap::{self, How, Left};
use super::reserve;
use super::signals::{self, Received, Signals};
use super::sweep::{self, KILL_ROUND};
use super::{descendants, group, memory};
use crate::model::{Sender, Sig};
use crate::supervisor::phase::Via;
use crate::supervisor::signals::{Decision, FORWARDED, Policy, Signal, StopBy, TERMINATING};

/// How long what a killed supervisor left may take before it is killed: all must be gone
/// within 2 s.
pub(super) const CRASH_GRACE: Duration = Duration::from_millis(500);

/// How long guard and reserve leave the processor to those they have just made. Their handlers can wait,
/// since signals are blocked and kept; the first process cannot: a fork begins on its parent's processor,
/// and only once that one sleeps.
pub(super) const HEAD_START: Duration = Duration::from_millis(3);

/// What the supervisor says to the guard, a byte each.
const SUSPENDED: u8 = 1;
const HURRY: u8 = 2;
const STOPPED: u8 = 3;
const CONFIRMED: u8 = 4;

/// How long the supervisor may take to confirm a terminating signal before it is continued, in case it is
/// stopped.
const SOON: Duration = Duration::from_millis(100);

/// How long it may take after a second signal before it is killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// The supervisor's end of the link.
#[derive(Debug)]
pub struct Link {
    stream: UnixStream,
    /// The process above us while all is well: the reserve.
    above: Pid,
    keep: Keep,
}

impl Link {
    /// The stream to read messages from, with [`decode`]; at its end the guard is dead.
    pub fn reader(&self) -> io::Result<UnixStream> {
        self.stream.set_nonblocking(true)?;
        self.stream.try_clone()
    }

    /// What all three of ganger's processes leave running.
    pub fn keep(&self) -> &Keep {
        &self.keep
    }

    /// Whether the process above us is dead. Then nobody may be left to clean up after us.
    pub fn is_alone(&self) -> bool {
        getppid() != self.above
    }

    /// Tells the guard that all processes are stopped, as it has asked for, so that it stops too.
    pub fn suspended(&self) {
        let _ = (&self.stream).write(&[SUSPENDED]);
    }

    /// Tells the guard that our command has stopped, whoever asked for that.
    pub fn stopped(&self) {
        let _ = (&self.stream).write(&[STOPPED]);
    }

    /// Returns the handle for confirmations, see [`Confirming`].
    pub fn confirming(&self) -> io::Result<Confirming> {
        Ok(Confirming(self.stream.try_clone()?))
    }

    /// Tells the guard that nothing is to be asked any more, only killed.
    pub fn hurry(&self) {
        let _ = (&self.stream).write(&[HURRY]);
    }
}

/// Confirms to the guard that a message has reached the code that acts on it.
#[derive(Debug)]
pub struct Confirming(UnixStream);

impl Confirming {
    /// Confirms `received` if the guard waits for that.
    pub fn confirm(&self, received: Received) {
        if TERMINATING.contains(&received.sig) {
            let _ = (&self.0).write(&[CONFIRMED]);
        }
    }
}

/// Forks, twice. Only the supervisor returns; guard and reserve stay in here and end the program.
///
/// `grace` is how long processes that outlive the supervisor's orderly end may take to stop. Programs that are
/// called one of `kept` are left running.
/// The caller must have a single thread. Signals are blocked in the supervisor until
/// [`signals::unblock`].
pub fn split(grace: Duration, kept: &[String]) -> io::Result<Link> {
    let keep = Keep::new(kept)?;
    signals::block()?;
    reap::adopt_orphans()?;
    let (ours, theirs) = UnixStream::pair()?;
    let guard = getpid();
    match fork_single_threaded()? {
        ForkResult::Child => {
            drop(ours);
            split_again(theirs, guard, keep)
        }
        ForkResult::Parent { child } => {
            drop(theirs);
            nothing_comes_within(HEAD_START, &[ours.as_fd()]);
            let end = Guard::new(child.as_raw(), ours, grace, keep.at_the_end()).and_then(Guard::watch);
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
fn split_again(link: UnixStream, guard: Pid, keep: Keep) -> io::Result<Link> {
    reap::adopt_orphans()?;
    let above = getpid();
    match fork_single_threaded()? {
        ForkResult::Child => {
            reap::adopt_orphans()?;
            Ok(Link { stream: link, above, keep })
        }
        ForkResult::Parent { child } => {
            // Only the supervisor may hold it: its end is how the guard sees that one's.
            drop(link);
            reserve::stand_by(child.as_raw(), || getppid() != guard, &keep.at_the_end())
        }
    }
}

#[allow(unsafe_code)]
pub(super) fn fork_single_threaded() -> nix::Result<ForkResult> {
    // SAFETY: the caller has a single thread, so no lock is held by a thread that the child
    // lacks, and the child may go on like any program.
    unsafe { fork() }
}

/// Sleeps until one of these has something, for so long at most. What came is still there.
fn nothing_comes_within(time: Duration, places: &[BorrowedFd<'_>]) -> bool {
    let mut fds: Vec<PollFd<'_>> = places.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    matches!(poll(&mut fds, timeout), Ok(0))
}

/// A message for the supervisor: the signal, whether the kernel sent it, the pid of the process that did
/// otherwise, and when the guard received it, in nanoseconds of the monotonic clock.
pub type Message = [u8; 14];

/// The signal in a message. The supervisor may be late to read it: what counts is when the guard received it.
pub fn decode(message: Message) -> Received {
    let [sig, is_kernels, a, b, c, d, time @ ..] = message;
    let sender =
        if is_kernels == 0 { Sender::Process(i32::from_ne_bytes([a, b, c, d])) } else { Sender::Kernel };
    let age = monotonic().saturating_sub(Duration::from_nanos(u64::from_ne_bytes(time)));
    let now = Instant::now();
    Received { sig: Sig::from_number(sig.into()), sender, at: now.checked_sub(age).unwrap_or(now) }
}

fn encode(received: Received) -> Message {
    let age = received.at.elapsed();
    let nanos = u64::try_from(monotonic().saturating_sub(age).as_nanos()).unwrap_or(u64::MAX);
    let (is_kernels, pid) = match received.sender {
        Sender::Kernel => (1, 0),
        Sender::Process(pid) => (0, pid),
    };
    let mut message = Message::default();
    message[..2].copy_from_slice(&[u8::try_from(received.sig.number()).unwrap_or(0), is_kernels]);
    message[2..6].copy_from_slice(&pid.to_ne_bytes());
    message[6..].copy_from_slice(&nanos.to_ne_bytes());
    message
}

/// The time of a clock that guard and supervisor share, unlike [`Instant`]s.
fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Into::into)
}

/// Takes over the signals that guard and supervisor both hear, and `more`.
///
/// HUP stays ignored where it was ignored at the start: that is what `nohup` is for. INT does
/// not: a shell ignores it for whatever it starts in the background, and `kill -INT` must work.
pub fn take_over_signals(more: &[Sig]) -> io::Result<Signals> {
    let nohup = signals::is_ignored(Sig::HUP);
    let wanted: Vec<Sig> = TERMINATING
        .into_iter()
        .chain(FORWARDED)
        .chain([Sig::TSTP, Sig::CONT, Sig::CHLD])
        .chain(more.iter().copied())
        .filter(|sig| *sig != Sig::HUP || !nohup)
        .collect();
    let signals = Signals::new(&wanted)?;
    signals::unblock_known()?;
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

/// Why the guard is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// A TSTP was handed on, and everything is stopped now.
    Asked,
    /// The command of `ganger run` has stopped.
    ByItself,
}

/// The terminating signals that were forwarded and not confirmed.
#[derive(Debug, Default)]
struct Unconfirmed {
    count: u32,
    /// The first of them.
    first: Option<Sig>,
    /// When the supervisor is continued.
    continue_at: Option<Instant>,
    /// When it is killed.
    kill_at: Option<Instant>,
}

impl Unconfirmed {
    /// `is_wish`: it is no copy of another one.
    fn handed_on(&mut self, sig: Sig, is_wish: bool, now: Instant) {
        self.count += 1;
        self.first.get_or_insert(sig);
        self.continue_at.get_or_insert(now + SOON);
        if self.count > 1 && is_wish {
            self.kill_at.get_or_insert(now + PATIENCE);
        }
    }

    /// The supervisor runs. Other unconfirmed signals are on their way to it.
    fn confirmed(&mut self) {
        let count = self.count.saturating_sub(1);
        let first = self.first.filter(|_| count > 0);
        *self = Self { count, first, ..Self::default() };
    }

    /// Returns the next time at which something is due.
    fn due(&self) -> Option<Instant> {
        [self.continue_at, self.kill_at].into_iter().flatten().min()
    }
}

struct Guard {
    /// Our child, which ends as the supervisor does.
    reserve: i32,
    link: UnixStream,
    signals: Signals,
    grace: Duration,
    /// Whether a TSTP was handed on that no CONT has followed and that has not stopped us yet.
    /// Two quick TSTP get two answers, and the second must not stop us again behind the `fg`
    /// that followed the first; nor must an answer that a CONT has overtaken.
    stopping: bool,
    /// What signals mean. The supervisor decides about the processes; this is for what the guard does itself.
    policy: Policy,
    /// What the supervisor has not confirmed.
    unconfirmed: Unconfirmed,
    /// The signal for which we killed the supervisor.
    killed_for: Option<Sig>,
    /// How ganger ends: as the supervisor did, once it did.
    end: Option<How>,
    /// Set once the supervisor is gone: what it left is asked before this, and killed after.
    kill_at: Option<Instant>,
    keep: Keep,
    /// Whether the supervisor has left anything that is kept.
    has_kept: bool,
}

impl Guard {
    fn new(reserve: i32, link: UnixStream, grace: Duration, keep: Keep) -> io::Result<Self> {
        link.set_nonblocking(true)?;
        let signals = take_over_signals(&[])?;
        let unconfirmed = Unconfirmed::default();
        Ok(Self {
            reserve,
            link,
            signals,
            grace,
            stopping: false,
            policy: Policy::default(),
            unconfirmed,
            killed_for: None,
            end: None,
            kill_at: None,
            keep,
            has_kept: false,
        })
    }

    /// Guards until the supervisor and everything it left are gone.
    fn watch(mut self) -> io::Result<How> {
        if nothing_comes_within(memory::SETTLED, &[self.signals.as_fd(), self.link.as_fd()]) {
            memory::forget_the_start();
        }
        let mut link_open = true;
        loop {
            let link_ready = self.wait(link_open)?;
            if link_ready && self.end.is_none() {
                link_open = self.read_link();
            }
            for received in self.heard() {
                self.hear(received);
            }
            if self.end.is_none() {
                self.insist();
            }
            let (ended, left) = reap::reap_all(self.reserve);
            if let Some(how) = ended {
                self.supervisor_ended(how, left);
            }
            match (self.end, left) {
                (Some(end), Left::None) => return Ok(end),
                (Some(end), Left::Some) if self.has_kept && sweep::is_only_kept_left(&self.keep) => {
                    return Ok(end);
                }
                (Some(end), Left::Some) if self.kill_at.is_some_and(|at| at <= Instant::now()) => {
                    if sweep::kill_all(&self.keep) == Left::None {
                        return Ok(end);
                    }
                }
                (Some(_) | None, _) => {}
            }
        }
    }

    /// Sleeps until a signal or a message comes, or it is time to kill.
    fn wait(&self, link_open: bool) -> io::Result<bool> {
        let due = if self.end.is_none() { self.unconfirmed.due() } else { self.kill_at };
        let timeout = match due {
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
            (Ok(0), _) => {
                // The supervisor is gone. A reserve that is stopped would never tell us how.
                group::signal_child(self.reserve, Sig::CONT);
                return false;
            }
            (Ok(_), [SUSPENDED]) if self.stopping => self.stop(Stop::Asked),
            (Ok(_), [STOPPED]) => self.stop(Stop::ByItself),
            (Ok(_), [HURRY]) => self.grace = Duration::ZERO,
            (Ok(_), [CONFIRMED]) => self.unconfirmed.confirmed(),
            (Ok(_) | Err(_), _) => {}
        }
        true
    }

    /// The signals that came, CONT behind a TSTP of the same moment: their order is not known,
    /// and of the two mistakes going on is the one that leaves nobody waiting.
    fn heard(&mut self) -> Vec<Received> {
        let mut heard = self.signals.take();
        heard.sort_by_key(|it| it.sig == Sig::CONT);
        heard
    }

    /// Stops, as all processes have, so that the shell gets its prompt back.
    fn stop(&mut self, why: Stop) {
        let mut tried = false;
        signals::stop_self(|| {
            let heard = self.heard();
            // A TSTP that came before this stop is answered by it.
            for received in heard.iter().filter(|it| it.sig != Sig::TSTP) {
                self.hear(*received);
            }
            tried = match why {
                // A CONT that came meanwhile is behind the TSTP we were asked with.
                Stop::Asked => heard.iter().all(|it| it.sig != Sig::CONT),
                // Behind a stop that nobody asked us for it may be that of the `fg` before; and a
                // Ctrl-Z that came before our handler stood again has stopped us already. So the
                // command is looked at.
                Stop::ByItself => self.command_is_stopped(),
            };
            tried
        });
        self.stopping = false;
        if tried && why == Stop::Asked {
            let heard = self.heard();
            if heard.iter().all(|it| it.sig != Sig::CONT) {
                // Our group was orphaned meanwhile, so that the stop did nothing.
                let at = Instant::now();
                self.hear(Received { sig: Sig::CONT, sender: Sender::Process(0), at });
            }
            for received in heard {
                self.hear(received);
            }
        }
    }

    fn hear(&mut self, received: Received) {
        match received.sig {
            Sig::CHLD => return,
            // The processes would stand still, and ganger and whoever started it would not know.
            Sig::TSTP if !group::can_be_suspended() => return,
            Sig::TSTP => self.stopping = true,
            Sig::CONT => {
                self.stopping = false;
                self.continue_ganger();
            }
            _ => {}
        }
        let Received { sig, sender, at } = received;
        let decision = self.policy.decide(Signal { sig, sender, via: Via::Guard, at }, None);
        let is_wish = matches!(decision, Decision::Stop(_) | Decision::Kill);
        if self.end.is_none() {
            // A full link means the supervisor has hundreds of signals to read already.
            let _ = self.link.write(&encode(received));
            if TERMINATING.contains(&sig) {
                self.unconfirmed.handed_on(sig, is_wish, Instant::now());
            }
        } else if is_wish {
            self.kill_at = Some(Instant::now());
        }
    }

    /// Continues a supervisor that does not confirm a signal, and kills it after a second one: everything
    /// it has started would live on while it is frozen.
    fn insist(&mut self) {
        let now = Instant::now();
        if self.unconfirmed.continue_at.take_if(|at| *at <= now).is_some() {
            self.continue_ganger();
        }
        if self.unconfirmed.kill_at.take_if(|at| *at <= now).is_some() {
            self.killed_for = self.unconfirmed.first;
            for process in self.supervisors() {
                descendants::signal(process, Sig::KILL);
            }
        }
    }

    /// Returns the supervisor, if it can be found. The reserve gets orphans only after it is dead.
    fn supervisors(&self) -> impl Iterator<Item = descendants::Process> {
        let reserve = self.reserve;
        descendants::find().into_iter().filter(move |it| it.parent == reserve)
    }

    /// Whether a child of the supervisor is stopped.
    fn command_is_stopped(&self) -> bool {
        let all = descendants::find();
        let supervisors: Vec<i32> =
            all.iter().filter(|it| it.parent == self.reserve).map(|it| it.pid).collect();
        all.iter().any(|it| it.is_stopped && supervisors.contains(&it.parent))
    }

    /// Continues the rest of ganger: whoever stopped the whole group with SIGSTOP may continue only
    /// the pid he sees. Nobody else: that is the supervisor's to decide.
    fn continue_ganger(&self) {
        let is_ours = |pid: i32, parent: i32| pid == self.reserve || parent == self.reserve;
        for process in descendants::find().into_iter().filter(|it| is_ours(it.pid, it.parent)) {
            descendants::signal(process, Sig::CONT);
        }
    }

    fn supervisor_ended(&mut self, how: How, left: Left) {
        self.end = Some(self.killed_for.map_or(how, How::Signaled));
        // A signal that ended the supervisor may be on its way to us too.
        self.policy.stop_began(StopBy::Event, Instant::now());
        let grace = if is_orderly(how) { self.grace } else { CRASH_GRACE.min(self.grace) };
        self.kill_at = Some(Instant::now() + grace);
        // A look at all processes of the machine takes milliseconds, and mostly none is ours.
        if left == Left::Some {
            self.has_kept = !sweep::ask_all(&self.keep).is_empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_was_received_and_when() {
        let at = Instant::now();
        for sender in [Sender::Kernel, Sender::Process(0), Sender::Process(4_194_304)] {
            let received = Received { sig: Sig::TERM, sender, at };
            let decoded = decode(encode(received));
            assert_eq!((decoded.sig, decoded.sender), (Sig::TERM, sender));
            let apart = decoded.at.max(at) - decoded.at.min(at);
            // As far as the two clocks are read at different times.
            assert!(apart < at.elapsed().max(Duration::from_millis(1)), "{apart:?}");
        }
    }
}
