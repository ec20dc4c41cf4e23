//! Signals by number and by the names users write.

use std::fmt;
use std::str::FromStr;

/// A signal. The number is this system's; the name is the one of `kill -l`, without `SIG`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sig(i32);

/// What sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The kernel (Ctrl-C, a closed terminal), so the whole foreground group has it.
    Kernel,
    /// The process with this pid, which is 0 outside of our PID namespace.
    Process(i32),
}

/// A text that is no signal this system has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown signal; use a name such as TERM, INT, QUIT or HUP")]
pub struct ParseSigError;

/// Every signal with a name of its own. Those of real-time signals are made from the two ends of their range.
const NAMES: &[(&str, Sig)] = &[
    ("HUP", Sig::HUP),
    ("INT", Sig::INT),
    ("QUIT", Sig::QUIT),
    ("ILL", Sig(libc::SIGILL)),
    ("TRAP", Sig(libc::SIGTRAP)),
    ("ABRT", Sig(libc::SIGABRT)),
    ("BUS", Sig(libc::SIGBUS)),
    ("FPE", Sig(libc::SIGFPE)),
    ("KILL", Sig::KILL),
    ("USR1", Sig::USR1),
    ("SEGV", Sig(libc::SIGSEGV)),
    ("USR2", Sig::USR2),
    ("PIPE", Sig::PIPE),
    ("ALRM", Sig::ALRM),
    ("TERM", Sig::TERM),
    ("CHLD", Sig::CHLD),
    ("CONT", Sig::CONT),
    ("STOP", Sig::STOP),
    ("TSTP", Sig::TSTP),
    ("TTIN", Sig(libc::SIGTTIN)),
    ("TTOU", Sig(libc::SIGTTOU)),
    ("URG", Sig(libc::SIGURG)),
    ("XCPU", Sig(libc::SIGXCPU)),
    ("XFSZ", Sig(libc::SIGXFSZ)),
    ("VTALRM", Sig(libc::SIGVTALRM)),
    ("PROF", Sig(libc::SIGPROF)),
    ("WINCH", Sig(libc::SIGWINCH)),
    ("IO", Sig(libc::SIGIO)),
    ("SYS", Sig(libc::SIGSYS)),
    #[cfg(target_os = "linux")]
    ("PWR", Sig(libc::SIGPWR)),
    #[cfg(target_os = "linux")]
    ("STKFLT", Sig(libc::SIGSTKFLT)),
];

#[allow(missing_docs, reason = "the names say it")]
impl Sig {
    pub const HUP: Self = Self(libc::SIGHUP);
    pub const INT: Self = Self(libc::SIGINT);
    pub const QUIT: Self = Self(libc::SIGQUIT);
    pub const KILL: Self = Self(libc::SIGKILL);
    pub const USR1: Self = Self(libc::SIGUSR1);
    pub const USR2: Self = Self(libc::SIGUSR2);
    pub const PIPE: Self = Self(libc::SIGPIPE);
    pub const ALRM: Self = Self(libc::SIGALRM);
    pub const TERM: Self = Self(libc::SIGTERM);
    pub const CHLD: Self = Self(libc::SIGCHLD);
    pub const CONT: Self = Self(libc::SIGCONT);
    pub const STOP: Self = Self(libc::SIGSTOP);
    pub const WINCH: Self = Self(libc::SIGWINCH);
    pub const TSTP: Self = Self(libc::SIGTSTP);
}

impl Sig {
    /// The signal `number` of this system, as `waitpid(2)` and handlers report it.
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// The number on this system.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Returns the name as in `kill -l`, without `SIG`: `TERM`, `RTMIN+6`. A signal without a name (32 and 33,
    /// which the C library keeps for itself) goes by its number. Parsing it returns the same signal.
    pub fn name(self) -> String {
        if let Some((name, _)) = NAMES.iter().find(|(_, sig)| *sig == self) {
            return (*name).to_owned();
        }
        real_time_name(self.0).unwrap_or_else(|| self.0.to_string())
    }

    /// What a shell shows as `$?` after a death by this signal: 128 + number.
    pub fn exit_status(self) -> u8 {
        u8::try_from(128 + self.0).unwrap_or(u8::MAX)
    }
}

/// The first and the last real-time signal that programs may use.
#[cfg(target_os = "linux")]
fn real_time() -> (i32, i32) {
    (libc::SIGRTMIN(), libc::SIGRTMAX())
}

/// macOS has none.
#[cfg(not(target_os = "linux"))]
fn real_time() -> (i32, i32) {
    (1, 0)
}

/// Counted from the nearer end, as bash does it.
fn real_time_name(number: i32) -> Option<String> {
    let (first, last) = real_time();
    let name = match (number - first, last - number) {
        (0, _) => "RTMIN".to_owned(),
        (_, 0) => "RTMAX".to_owned(),
        (above, below) if above <= below => format!("RTMIN+{above}"),
        (_, below) => format!("RTMAX-{below}"),
    };
    (first..=last).contains(&number).then_some(name)
}

fn real_time_number(name: &str) -> Option<i32> {
    let (first, last) = real_time();
    let offset = |digits: &str| digits.parse::<u8>().ok().filter(|_| !digits.starts_with('+')).map(i32::from);
    let number = match name.split_at_checked(5)? {
        ("RTMIN", "") => first,
        ("RTMAX", "") => last,
        ("RTMIN", more) => first + offset(more.strip_prefix('+')?)?,
        ("RTMAX", less) => last - offset(less.strip_prefix('-')?)?,
        _ => return None,
    };
    (first..=last).contains(&number).then_some(number)
}

impl FromStr for Sig {
    type Err = ParseSigError;

    /// `TERM`, `SIGTERM`, `term`, `RTMIN+6` or the number.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some((_, sig)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(*sig);
        }
        if let Some(number) = real_time_number(name) {
            return Ok(Self(number));
        }
        match name.parse() {
            Ok(number) if (1..=64).contains(&number) => Ok(Self(number)),
            _ => Err(ParseSigError),
        }
    }
}

impl fmt::Display for Sig {
    /// `SIGTERM`, `SIGRTMIN+6`; a signal without a name is written `signal 32`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let is_number = name.starts_with(|first: char| first.is_ascii_digit());
        if is_number { write!(f, "signal {name}") } else { write!(f, "SIG{name}") }
    }
}

impl fmt::Debug for Sig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_by_name_and_number() {
        for text in ["TERM", "SIGTERM", "term", "SigTerm", "15"] {
            assert_eq!(text.parse(), Ok(Sig::TERM), "{text}");
        }
        for bad in ["", "SIG", "TERMINATE", "0", "65", "-9"] {
            assert_eq!(bad.parse::<Sig>(), Err(ParseSigError), "{bad}");
        }
    }

    #[test]
    fn signals_are_shown_by_name() {
        assert_eq!(Sig::KILL.to_string(), "SIGKILL");
        assert_eq!(Sig::from_number(32).to_string(), "signal 32");
        assert_eq!(Sig::INT.exit_status(), 130);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn real_time_signals_have_the_names_that_bash_gives_them() {
        for (number, name) in
            [(34, "RTMIN"), (40, "RTMIN+6"), (49, "RTMIN+15"), (50, "RTMAX-14"), (64, "RTMAX"), (30, "PWR")]
        {
            assert_eq!(Sig::from_number(number).to_string(), format!("SIG{name}"));
        }
        for (text, number) in [("SIGRTMIN+6", 40), ("rtmax-1", 63), ("RTMIN+30", 64), ("RTMAX-30", 34)] {
            assert_eq!(text.parse(), Ok(Sig::from_number(number)), "{text}");
        }
        for bad in ["RTMIN+31", "RTMAX-31", "RTMIN-1", "RTMIN+", "RTMIN++1", "RTMIN+999", "RT", "RTMAX+0"] {
            assert_eq!(bad.parse::<Sig>(), Err(ParseSigError), "{bad}");
        }
    }

    #[test]
    fn every_name_is_read_back() {
        for number in 1..=64 {
            let sig = Sig::from_number(number);
            assert_eq!(sig.name().parse(), Ok(sig), "{sig}");
        }
    }
}
