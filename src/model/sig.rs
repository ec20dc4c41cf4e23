//! Signals by number and by the names users write.

use std::fmt;
use std::str::FromStr;

/// A signal. The number is this system's; the name is the one of `kill -l`, without `SIG`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sig(i32);

/// A text that is no signal this system has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown signal; use a name such as TERM, INT, QUIT or HUP")]
pub struct ParseSigError;

/// Every signal with a portable name; the rest (real-time signals) go by number.
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

    /// What a shell shows as `$?` after a death by this signal: 128 + number.
    pub fn exit_status(self) -> u8 {
        u8::try_from(128 + self.0).unwrap_or(u8::MAX)
    }
}

impl FromStr for Sig {
    type Err = ParseSigError;

    /// `TERM`, `SIGTERM`, `term` or the number.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some((_, sig)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(*sig);
        }
        match name.parse() {
            Ok(number) if (1..=64).contains(&number) => Ok(Self(number)),
            _ => Err(ParseSigError),
        }
    }
}

impl fmt::Display for Sig {
    /// `SIGTERM`; a signal without a name is written `signal 42`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, sig)| sig == self) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None => write!(f, "signal {}", self.0),
        }
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
        assert_eq!(Sig::from_number(42).to_string(), "signal 42");
        assert_eq!(Sig::INT.exit_status(), 130);
    }
}
