//! Which programs are left running when all others are ended.
//!
//! A program is kept if it asks for that with `GANGER_KEEP=1` in its environment or if its name is listed, and only
//! once it has left the session of every process that ganger has started. So the process itself always ends
//! with all that belongs to it, even where `GANGER_KEEP=1 npm run dev` gives the mark to all of them; and
//! what is kept survives the end of a terminal, which sends HUP to those in its session. What a kept program
//! has started is kept with it.
//!
//! Supervisor, guard and reserve go by the same rule. The other two cannot ask the supervisor which sessions it
//! has made, as it may be dead. So the sessions are in memory that all three share, and each process notes
//! its own before it makes it ([`Sessions`]): there is no moment at which it could be taken for another.
//!
//! It needs a `/proc` that shows this process; without one nothing is kept.

use std::ffi::c_void;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::unistd::getsid;

use super::descendants::{self, Process};
use crate::supervisor::event::KeptBy;

/// The variable with which a program asks to be left running. ganger takes it out of the environment that all
/// processes share.
pub const VARIABLE: &str = "GANGER_KEEP";

/// The same, as it is in an environment.
const MARK: &[u8] = b"GANGER_KEEP=1";

/// How many bytes of a program's name the kernel has (`TASK_COMM_LEN`, `proc_pid_comm(5)`).
const COMM: usize = 15;

/// Says which programs are kept.
#[derive(Debug, Clone)]
pub struct Keep {
    names: Arc<[String]>,
    sessions: Sessions,
    /// Whether anything is kept.
    is_on: bool,
    /// Whether ganger is the first process of a PID namespace.
    is_first: bool,
}

impl Keep {
    /// Programs with one of these names, or with the mark. Call it before the first fork. Programs in the
    /// session of the caller are never kept.
    pub fn new(names: &[String]) -> io::Result<Self> {
        let sessions = Sessions::new()?;
        sessions.insert(getsid(None)?.as_raw());
        Ok(Self { names: names.into(), sessions, is_on: true, is_first: std::process::id() == 1 })
    }

    /// What holds when ganger itself ends. Where all else ends with it (`pid_namespaces(7)`), nothing is kept, so
    /// that everything is asked to end before it is killed.
    #[must_use]
    pub fn at_the_end(&self) -> Self {
        Self { is_on: self.is_on && !self.is_first, ..self.clone() }
    }

    /// The sessions of ganger's processes.
    pub fn sessions(&self) -> Sessions {
        self.sessions
    }

    /// Returns why a process is kept. `None` if it is not.
    pub fn why(&self, process: &Process) -> Option<KeptBy> {
        self.why_by(process, || descendants::environment(process.pid))
    }

    /// The same, in less time: one that is just becoming another program may be taken for one that is not kept.
    pub(super) fn why_now(&self, process: &Process) -> Option<KeptBy> {
        self.why_by(process, || descendants::environment_now(process.pid))
    }

    /// The same for an environment that is read elsewhere, and only if it matters.
    pub(super) fn why_by(&self, process: &Process, environment: impl FnOnce() -> Vec<u8>) -> Option<KeptBy> {
        if !self.is_on || self.sessions.contains(process.session) {
            return None;
        }
        if environment().split(|byte| *byte == 0).any(|item| item == MARK) {
            return Some(KeptBy::Mark);
        }
        (!self.names.is_empty() && self.is_named(process.pid)).then_some(KeptBy::Name)
    }

    fn is_named(&self, pid: i32) -> bool {
        let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let comm = comm.strip_suffix(b"\n").unwrap_or(&comm);
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let program = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        self.names.iter().any(|name| is_name_of(name.as_bytes(), comm, program))
    }
}

/// Whether a program is called `name` whose name the kernel knows as `comm`, and whose file was `program`.
fn is_name_of(name: &[u8], comm: &[u8], program: &[u8]) -> bool {
    name == program || &name[..name.len().min(COMM)] == comm
}

/// A set of session ids in memory that is shared with processes forked later: a bit for each.
#[derive(Debug, Clone, Copy)]
pub struct Sessions(&'static [AtomicU64]);

impl Sessions {
    /// Room for every pid (`PID_MAX_LIMIT` in the kernel's `threads.h`). Only pages that are used take memory.
    const WORDS: usize = (1 << 22) / 64;

    #[allow(unsafe_code)]
    fn new() -> io::Result<Self> {
        let size = Self::WORDS * size_of::<AtomicU64>();
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping (mmap(2)) at a place that the kernel chooses.
        let place = unsafe { libc::mmap(std::ptr::null_mut::<c_void>(), size, access, kind, -1, 0) };
        if place == libc::MAP_FAILED {
            return Err(Errno::last().into());
        }
        // SAFETY: the mapping has this size, is aligned to a page, is all zero, which is a valid atomic, and is
        // never unmapped. Everyone who shares it goes by atomic operations.
        Ok(Self(unsafe { std::slice::from_raw_parts(place.cast::<AtomicU64>(), Self::WORDS) }))
    }

    /// Adds one. Async-signal-safe.
    pub fn insert(self, session: i32) {
        if let Some((word, bit)) = self.place(session) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Removes one that no process is in any more.
    pub fn remove(self, session: i32) {
        if let Some((word, bit)) = self.place(session) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    fn contains(self, session: i32) -> bool {
        // One that has no place is not known to be another's.
        self.place(session).is_none_or(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn place(self, session: i32) -> Option<(&'static AtomicU64, u64)> {
        let session = usize::try_from(session).ok()?;
        Some((self.0.get(session / 64)?, 1 << (session % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_shared_and_can_be_removed() {
        let sessions = Sessions::new().expect("memory");
        for session in [0, 1, 63, 64, 32_768, (1 << 22) - 1] {
            assert!(!sessions.contains(session));
            sessions.insert(session);
            assert!(sessions.contains(session));
        }
        sessions.remove(64);
        assert!(!sessions.contains(64) && sessions.contains(63));
        assert!(sessions.contains(-1) && sessions.contains(1 << 22), "there is no such session");
    }

    #[test]
    fn a_name_is_that_of_the_kernel_or_of_the_file() {
        let table: [(&str, &str, &str, bool); 7] = [
            ("chrome", "chrome", "google-chrome", true),
            ("google-chrome", "chrome", "google-chrome", true),
            ("chrom", "chrome", "google-chrome", false),
            // The kernel's is cut.
            ("chrome_crashpad_handler", "chrome_crashpad", "", true),
            ("chrome_crashpad_handler", "chrome_crash", "", false),
            ("java", "java", "java", true),
            ("gradle", "java", "java", false),
        ];
        for (name, comm, program, expected) in table {
            let is = is_name_of(name.as_bytes(), comm.as_bytes(), program.as_bytes());
            assert_eq!(is, expected, "{name} of {comm}, {program}");
        }
    }
}
