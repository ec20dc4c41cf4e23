//! What a signal to ganger means, from the first millisecond of a run to the last. Pure: each signal comes with
//! the time at which it was received.
//!
//! Pressing Ctrl-C once is one wish, and it arrives in several ways. The kernel signals guard and supervisor,
//! which are in the same process group. `timeout` signals its child and then its group, a service manager
//! every process of a unit. A wrapper such as `npm run` gets the signal too and hands it on, up to a second
//! later and sometimes twice. So signals are counted by what sent them and by which of our processes received
//! them:
//!
//! - The larger of the two receivers' counts is how often a sender has sent it.
//! - Two signals of the same sender within 50 ms are one, unless the first was reported in between: a script
//!   that has read of it and sends another one means it.
//! - A signal of another sender less than 1 s after a wish began belongs to that wish, however often it
//!   comes. The same sender again is impatience.
//! - The kernel is a person at a keyboard. If it takes part in a wish, it is the sender whose next signal
//!   counts, and the other ones hand signals on.
//!
//! The first wish stops everything, and each further one kills, at any time until ganger has ended.
//! [`Policy`] decides for `ganger start`, [`CommandPolicy`] for `ganger run`.

use std::time::{Duration, Instant};

use super::phase::Via;
use crate::model::{Sender, Sig};

/// The signals that end ganger. ALRM is for `alarm(2)` before an exec, the old way to limit a time.
pub const TERMINATING: [Sig; 4] = [Sig::INT, Sig::TERM, Sig::HUP, Sig::ALRM];
/// The signals that are handed on to the processes and end nothing.
pub const FORWARDED: [Sig; 3] = [Sig::QUIT, Sig::USR1, Sig::USR2];

/// Two signals of one sender this close are one. A key that is held repeats after a quarter of a second.
const ECHO: Duration = Duration::from_millis(50);

/// How long after the begin of a wish signals of other senders still belong to it.
const SAME_WISH: Duration = Duration::from_secs(1);

/// How many senders are remembered. Each `kill` of a script is another one.
const SENDERS: usize = 32;

/// A signal that one of our processes has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// Which one.
    pub sig: Sig,
    /// What sent it.
    pub sender: Sender,
    /// Which of our processes has received it.
    pub via: Via,
    /// When.
    pub at: Instant,
}

/// What is to be done about a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Everything is to stop.
    Stop(Sig),
    /// Everything is to be killed; at the end, nothing is waited for any longer.
    Kill,
    /// The processes, or the command, get the signal.
    Forward(Sig),
    /// Everything stands still until it is resumed.
    Suspend,
    /// Everything goes on.
    Resume,
    /// It is part of a wish that is known, or it is meant for another process.
    Ignore,
}

/// What began to stop everything, if it was not a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopBy {
    /// A command such as `ganger stop`. Each signal after it is a further wish.
    Command,
    /// Something that the same signal may have caused: a process has ended, or the reader of our output.
    Event,
}

/// The signals of one sender.
#[derive(Debug)]
struct Count {
    sender: Sender,
    /// For each [`Via`]: how many, and when the last one that counts came.
    received: [(u32, Option<Instant>); 2],
}

impl Count {
    fn new(sender: Sender) -> Self {
        Self { sender, received: [(0, None); 2] }
    }

    fn total(&self) -> u32 {
        self.received[0].0.max(self.received[1].0)
    }

    /// Counts a signal. Returns whether it is one more of this sender's. `told_at` is when the stop was
    /// reported, if it was.
    fn receive(&mut self, via: Via, at: Instant, told_at: Option<Instant>) -> bool {
        let before = self.total();
        let place = match via {
            Via::Guard => 0,
            Via::Direct => 1,
        };
        let (count, last) = &mut self.received[place];
        let is_answer = |last: Instant| told_at.is_some_and(|told| last <= told && told < at);
        if last.is_some_and(|last| at.saturating_duration_since(last) < ECHO && !is_answer(last)) {
            return false;
        }
        *count += 1;
        *last = Some(at);
        self.total() > before
    }
}

/// What the user wants, which several signals may say.
#[derive(Debug)]
struct Wish {
    /// The sender whose next signal is another wish.
    leader: Option<Sender>,
    began: Instant,
    /// Whether signals of other senders may belong to it.
    is_shared: bool,
    /// It was Ctrl-C for the command that has the keyboard.
    is_commands: bool,
}

/// Tells wishes apart.
#[derive(Debug, Default)]
struct Wishes {
    senders: Vec<Count>,
    wish: Option<Wish>,
    told_at: Option<Instant>,
}

impl Wishes {
    /// Counts a signal. Returns whether it is a wish of its own.
    fn receive(&mut self, sender: Sender, via: Via, at: Instant) -> bool {
        let told_at = self.told_at;
        if !self.count_of(sender).receive(via, at, told_at) {
            return false;
        }
        if let Some(wish) = &mut self.wish
            && wish.is_shared
            && wish.leader != Some(sender)
            && at.saturating_duration_since(wish.began) < SAME_WISH
        {
            if wish.leader.is_none() || sender == Sender::Kernel {
                wish.leader = Some(sender);
            }
            return false;
        }
        self.begin(Some(sender), at);
        true
    }

    fn begin(&mut self, leader: Option<Sender>, at: Instant) {
        self.wish = Some(Wish { leader, began: at, is_shared: true, is_commands: false });
    }

    fn count_of(&mut self, sender: Sender) -> &mut Count {
        let place = self.senders.iter().position(|it| it.sender == sender).unwrap_or_else(|| {
            if self.senders.len() == SENDERS {
                let oldest = self.senders.iter().position(|it| it.sender != Sender::Kernel);
                self.senders.remove(oldest.unwrap_or_default());
            }
            self.senders.push(Count::new(sender));
            self.senders.len() - 1
        });
        &mut self.senders[place]
    }
}

/// Decides for `ganger start`, and for the guard.
#[derive(Debug, Default)]
pub struct Policy {
    is_stopping: bool,
    wishes: Wishes,
    /// When Ctrl-\ was pressed last.
    quit_at: Option<Instant>,
    /// When the command that had the keyboard last was started.
    command_since: Option<Instant>,
}

impl Policy {
    /// Decides about a signal. `command` is when the command that has the keyboard was started, if one has.
    pub fn decide(&mut self, signal: Signal, command: Option<Instant>) -> Decision {
        let Signal { sig, sender, via, at } = signal;
        self.command_since = command.or(self.command_since);
        if TERMINATING.contains(&sig) {
            return self.terminating(signal, command);
        }
        if via == Via::Direct {
            // Guard and supervisor both get the signals of the terminal.
            return Decision::Ignore;
        }
        match sig {
            Sig::QUIT if is_handed_on(sender, at, &mut self.quit_at) => Decision::Ignore,
            // It has it already.
            Sig::QUIT if sender == Sender::Kernel && command.is_some() => Decision::Ignore,
            Sig::TSTP => Decision::Suspend,
            Sig::CONT => Decision::Resume,
            _ if FORWARDED.contains(&sig) => Decision::Forward(sig),
            _ => Decision::Ignore,
        }
    }

    /// Something else than a signal begins to stop everything: it counts as the first wish.
    pub fn stop_began(&mut self, by: StopBy, at: Instant) {
        if self.is_stopping {
            return;
        }
        self.is_stopping = true;
        self.wishes.begin(None, at);
        if let Some(wish) = &mut self.wishes.wish {
            wish.is_shared = by == StopBy::Event;
        }
    }

    /// The reader of our output can know that everything is being stopped.
    pub fn stop_told(&mut self, at: Instant) {
        self.wishes.told_at.get_or_insert(at);
    }

    fn terminating(&mut self, signal: Signal, command: Option<Instant>) -> Decision {
        let Signal { sig, sender, via, at } = signal;
        // A terminal that closes sends HUP more than once, the kernel and the shell each.
        if sig == Sig::HUP && self.is_stopping {
            return Decision::Ignore;
        }
        let is_new = self.wishes.receive(sender, via, at);
        if self.is_stopping {
            return if is_new { Decision::Kill } else { Decision::Ignore };
        }
        // What was typed before the command was there has not reached it.
        let is_before = self.command_since.is_some_and(|since| at < since);
        if sig == Sig::INT && !is_before {
            if sender == Sender::Kernel && command.is_some() {
                if let Some(wish) = &mut self.wishes.wish {
                    wish.is_commands = true;
                }
                return Decision::Ignore;
            }
            if !is_new && self.wishes.wish.as_ref().is_some_and(|wish| wish.is_commands) {
                return Decision::Ignore;
            }
        }
        if !is_new {
            self.wishes.begin(Some(sender), at);
        }
        self.is_stopping = true;
        Decision::Stop(sig)
    }
}

/// Decides for `ganger run`, where the command decides what its signals mean. It gets each wish once.
#[derive(Debug)]
pub struct CommandPolicy {
    /// The command is not in our process group, so the kernel does not signal it.
    has_own_group: bool,
    /// Two different signals are never the same wish: the command may have ignored the first.
    wishes: Vec<(Sig, Wishes)>,
    quit_at: Option<Instant>,
    /// How many signals the kernel has sent to the supervisor, and how many to the guard.
    typed: Vec<(Sig, u32, u32)>,
}

impl CommandPolicy {
    /// Decides for a command in a process group of its own, or in ours.
    pub fn new(has_own_group: bool) -> Self {
        Self { has_own_group, wishes: Vec::new(), quit_at: None, typed: Vec::new() }
    }

    /// Decides about a signal.
    pub fn decide(&mut self, signal: Signal) -> Decision {
        let Signal { sig, sender, via, at } = signal;
        let is_known = TERMINATING.contains(&sig) || FORWARDED.contains(&sig) || sig == Sig::TSTP;
        if via == Via::Direct {
            if sender == Sender::Kernel {
                self.typed(sig).1 += 1;
            }
            return Decision::Ignore;
        }
        if sig == Sig::CONT {
            return Decision::Resume;
        }
        let is_wish = if TERMINATING.contains(&sig) {
            self.wishes_of(sig).receive(sender, via, at)
        } else {
            sig != Sig::QUIT || !is_handed_on(sender, at, &mut self.quit_at)
        };
        // A terminal that closes signals only its session leader, which may be us; and an alarm is
        // meant for the process that set it, before it became us.
        let is_for_us = matches!(sig, Sig::HUP | Sig::ALRM);
        let is_typed = sender == Sender::Kernel && !self.has_own_group && !is_for_us;
        let has_it = is_typed && self.has_reached_our_group(sig);
        if is_known && is_wish && !has_it { Decision::Forward(sig) } else { Decision::Ignore }
    }

    /// Whether what the guard has received has reached the supervisor too. Otherwise it was typed before the
    /// supervisor existed, and so before the command did.
    fn has_reached_our_group(&mut self, sig: Sig) -> bool {
        let (_, direct, guard) = self.typed(sig);
        *guard += 1;
        let has_reached = *direct >= *guard;
        *direct = (*direct).max(*guard);
        has_reached
    }

    fn typed(&mut self, sig: Sig) -> &mut (Sig, u32, u32) {
        let place = self.typed.iter().position(|(it, ..)| *it == sig).unwrap_or_else(|| {
            self.typed.push((sig, 0, 0));
            self.typed.len() - 1
        });
        &mut self.typed[place]
    }

    fn wishes_of(&mut self, sig: Sig) -> &mut Wishes {
        let place = self.wishes.iter().position(|(it, _)| *it == sig).unwrap_or_else(|| {
            self.wishes.push((sig, Wishes::default()));
            self.wishes.len() - 1
        });
        &mut self.wishes[place].1
    }
}

/// Whether a QUIT is a process's copy of one that was typed; notes one that is typed.
fn is_handed_on(sender: Sender, at: Instant, typed_at: &mut Option<Instant>) -> bool {
    if sender == Sender::Kernel {
        *typed_at = Some(at);
        return false;
    }
    typed_at.is_some_and(|typed| at.saturating_duration_since(typed) < SAME_WISH)
}
