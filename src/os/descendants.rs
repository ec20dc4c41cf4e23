//! Finding every living descendant of this process and signalling it for sure.
//!
//! Members of a process group are reached by number. What left its group (`setsid`, a
//! double-forked daemon) is only found by walking from parent to child; a subreaper is the
//! parent of every orphan below it, so the walk reaches all.
//!
//! The walk needs a `/proc` that shows this process. Where there is none, or that of another
//! PID namespace (`unshare --pid --fork` without `--mount-proc`), whose numbers mean other
//! processes here, our own children are found by asking the kernel for each number. That is
//! slow and shows one generation; whoever kills it gets the next one, as a subreaper.

use super::keep::Keep;
use crate::model::Sig;
use crate::supervisor::event::KeptBy;

/// A living process below us.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// Its pid when it was seen.
    pub pid: i32,
    /// Its group when it was seen.
    pub pgid: i32,
    /// Its session when it was seen.
    pub session: i32,
    /// Its parent when it was seen.
    pub parent: i32,
    /// Whether it was stopped (Ctrl-Z, SIGSTOP) when it was seen.
    pub is_stopped: bool,
    /// Clock ticks from boot to its start: with the pid it names a process for good. `None` of a
    /// child of ours that `/proc` does not show; until we reap it nobody else gets its pid.
    start: Option<u64>,
}

/// Two are the same process though one of them was seen earlier, in another group or state.
impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        (self.pid, self.start) == (other.pid, other.start)
    }
}

impl Eq for Process {}

impl std::hash::Hash for Process {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.pid, self.start).hash(state);
    }
}

/// All living descendants, or only our children where `/proc` does not show us. Zombies are left
/// out: they need a reaper, not a signal.
#[cfg(target_os = "linux")]
pub fn find() -> Vec<Process> {
    linux::find()
}

/// See the Linux version; other systems have no way to find an orphan's origin.
#[cfg(not(target_os = "linux"))]
pub fn find() -> Vec<Process> {
    Vec::new()
}

/// Living descendants, by what is to become of them.
#[derive(Debug, Default)]
pub struct Sorted {
    /// Those that end with us.
    pub ending: Vec<Process>,
    /// Those that are left running, without what they have started themselves.
    pub kept: Vec<(Process, KeptBy)>,
}

/// Returns what [`find`] does, sorted. Where `/proc` does not show us nothing is kept.
#[cfg(target_os = "linux")]
pub fn find_sorted(keep: &Keep) -> Sorted {
    linux::find_sorted(keep)
}

/// See the Linux version.
#[cfg(not(target_os = "linux"))]
pub fn find_sorted(_: &Keep) -> Sorted {
    Sorted::default()
}

/// Whether [`find`] sees further than our own children.
#[cfg(target_os = "linux")]
pub fn sees_all() -> bool {
    linux::is_shown()
}

/// See the Linux version.
#[cfg(not(target_os = "linux"))]
pub fn sees_all() -> bool {
    false
}

/// What tells which processes are another one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The group.
    pub pgid: i32,
    /// The session, if it is not ours. Its leader may be none of the claimed (see [`super::pty`]).
    pub session: Option<i32>,
    /// A variable (`NAME=value`) of all their initial environments.
    pub mark: String,
}

/// How a process belongs to a [`Claim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// It is in the group.
    Group,
    /// It is in the session, in another group.
    Session,
    /// It has left the session, and has the mark.
    Stray,
    /// Likewise, and it is to be left running.
    Kept(KeptBy),
}

/// Returns what belongs to these claims of all living descendants: each with the index of its claim. What a
/// kept program has started is not among them.
///
/// A stray is one only if its ancestors up to us have left all claimed groups and sessions too. That leaves
/// out what belongs to a process in these, such as the processes of a ganger that one of ours runs.
/// What has cleared its environment is not found, and without a `/proc` nothing is.
#[cfg(target_os = "linux")]
pub fn claimed(claims: &[Claim], keep: &Keep) -> Vec<(usize, Tie, Process)> {
    linux::claimed(claims, keep)
}

/// See the Linux version.
#[cfg(not(target_os = "linux"))]
pub fn claimed(_: &[Claim], _: &Keep) -> Vec<(usize, Tie, Process)> {
    Vec::new()
}

/// Returns the process that has this pid now, dead or alive. `None` without a `/proc`.
#[cfg(target_os = "linux")]
pub fn look_at(pid: i32) -> Option<Process> {
    linux::look_at(pid)
}

/// See the Linux version.
#[cfg(not(target_os = "linux"))]
pub fn look_at(_: i32) -> Option<Process> {
    None
}

/// Returns the name of the process (`proc_pid_comm(5)`), `?` if it has just ended.
pub fn name(process: Process) -> String {
    let name = std::fs::read(format!("/proc/{}/comm", process.pid)).unwrap_or_default();
    let name = String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned();
    if name.is_empty() { "?".to_owned() } else { name }
}

/// The initial environment of a process, as far as it can be read.
#[cfg(target_os = "linux")]
pub(super) fn environment(pid: i32) -> Vec<u8> {
    linux::environment(pid)
}

/// See the Linux version.
#[cfg(not(target_os = "linux"))]
pub(super) fn environment(_: i32) -> Vec<u8> {
    Vec::new()
}

/// The same, without waiting for the end of an exec, during which it is empty.
#[cfg(target_os = "linux")]
pub(super) fn environment_now(pid: i32) -> Vec<u8> {
    linux::environment_now(pid)
}

/// See the Linux version.
#[cfg(not(target_os = "linux"))]
pub(super) fn environment_now(_: i32) -> Vec<u8> {
    Vec::new()
}

/// Returns whether the process is alive.
#[cfg(target_os = "linux")]
pub fn is_alive(process: &Process) -> bool {
    linux::is_alive(process)
}

/// See the Linux version.
#[cfg(not(target_os = "linux"))]
pub fn is_alive(_: &Process) -> bool {
    false
}

/// Returns the children of a process with one thread.
#[cfg(target_os = "linux")]
pub fn children_of(pid: i32) -> Vec<Process> {
    linux::children_of(pid)
}

/// See the Linux version.
#[cfg(not(target_os = "linux"))]
pub fn children_of(_: i32) -> Vec<Process> {
    Vec::new()
}

/// Our own children, dead or alive, by what the kernel lists for each of our threads
/// (`proc_tid_children(5)`). Much faster than [`find`], and not always complete: one that ends
/// meanwhile may hide another. Empty where the kernel was built without the list.
#[cfg(target_os = "linux")]
pub fn children() -> Vec<i32> {
    linux::children()
}

/// See the Linux version.
#[cfg(not(target_os = "linux"))]
pub fn children() -> Vec<i32> {
    Vec::new()
}

/// Returns whether [`children`] lists all children, as long as none is reaped meanwhile.
pub fn lists_children() -> bool {
    cfg!(target_os = "linux") && std::path::Path::new("/proc/thread-self/children").exists()
}

/// Signals the process, and never another one that has its pid now.
#[cfg(target_os = "linux")]
pub fn signal(process: Process, sig: Sig) {
    linux::signal(process, sig);
}

/// See the Linux version.
#[cfg(not(target_os = "linux"))]
pub fn signal(_: Process, _: Sig) {}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::HashMap;
    use std::ops::RangeInclusive;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use nix::unistd::{Pid, getpgid, getpid, getsid};

    use super::{Claim, Process, Sorted, Tie};
    use crate::model::Sig;
    use crate::os::keep::Keep;
    use crate::os::{group, reap};

    /// The default of `/proc/sys/kernel/pid_max`, and the largest it can be
    /// (`proc_sys_kernel(5)`).
    const USUAL_MAX_PID: i32 = 32_768;
    const MAX_PID: i32 = 1 << 22;

    struct Stat {
        process: Process,
        is_zombie: bool,
    }

    /// Whether `/proc` has our numbers: the number it shows each reader as its own is ours.
    pub(super) fn is_shown() -> bool {
        let shown = std::fs::read_link("/proc/self");
        shown.is_ok_and(|it| it.to_str() == Some(&getpid().to_string()))
    }

    /// The larger numbers are a second's work, and few systems have given any: they are asked for
    /// only where no smaller one is our child's. Whoever kills comes again until none is left.
    fn children_by_asking() -> Vec<i32> {
        if !reap::has_children() {
            return Vec::new();
        }
        let among = |pids: RangeInclusive<i32>| pids.filter(|pid| reap::is_alive(*pid)).collect::<Vec<_>>();
        let usual = among(1..=USUAL_MAX_PID);
        if usual.is_empty() { among(USUAL_MAX_PID + 1..=MAX_PID) } else { usual }
    }

    pub(super) fn find() -> Vec<Process> {
        if !is_shown() {
            let group = |pid| getpgid(Some(Pid::from_raw(pid))).map_or(0, Pid::as_raw);
            let session = |pid| getsid(Some(Pid::from_raw(pid))).map_or(0, Pid::as_raw);
            let parent = getpid().as_raw();
            // Whether it is stopped cannot be asked without taking that from whoever waits for it.
            let process = |pid| Process {
                pid,
                pgid: group(pid),
                session: session(pid),
                parent,
                is_stopped: false,
                start: None,
            };
            return children_by_asking().into_iter().map(process).collect();
        }
        let mut found = Vec::new();
        walk((), |process, (), is_alive| {
            if is_alive {
                found.push(*process);
            }
        });
        found
    }

    pub(super) fn find_sorted(keep: &Keep) -> Sorted {
        let mut sorted = Sorted::default();
        if !is_shown() {
            return Sorted { ending: find(), ..sorted };
        }
        // Whether an ancestor is kept.
        walk(false, |process, is_kept, is_alive| {
            if is_kept || !is_alive {
                return is_kept;
            }
            let why = keep.why(process);
            match why {
                Some(why) => sorted.kept.push((*process, why)),
                None => sorted.ending.push(*process),
            }
            why.is_some()
        });
        sorted
    }

    pub(super) fn claimed(claims: &[Claim], keep: &Keep) -> Vec<(usize, Tie, Process)> {
        if !is_shown() {
            return Vec::new();
        }
        let numbered = || claims.iter().enumerate();
        let groups: HashMap<i32, usize> = numbered().map(|(place, it)| (it.pgid, place)).collect();
        let sessions: HashMap<i32, usize> =
            numbered().filter_map(|(place, it)| Some((it.session?, place))).collect();
        let marks: HashMap<&[u8], usize> =
            numbered().map(|(place, it)| (it.mark.as_bytes(), place)).collect();
        let stray = |process: &Process| {
            let environment = environment(process.pid);
            let place = environment.split(|byte| *byte == 0).find_map(|item| marks.get(item).copied())?;
            let why = keep.why_by(process, || environment);
            Some((place, why.map_or(Tie::Stray, Tie::Kept)))
        };
        let mut found = Vec::new();
        // Whether an ancestor is in one of the groups or sessions, or kept.
        walk(false, |process, is_inside, is_alive| {
            let mut tie = match (groups.get(&process.pgid), sessions.get(&process.session)) {
                (Some(place), _) => Some((*place, Tie::Group)),
                // The leader that is in no claimed group is the anchor of a terminal.
                (None, Some(place)) if process.pid != process.session => Some((*place, Tie::Session)),
                (None, Some(_)) => return true,
                (None, None) => None,
            };
            if is_alive {
                tie = tie.or_else(|| if is_inside { None } else { stray(process) });
                found.extend(tie.map(|(place, tie)| (place, tie, *process)));
            }
            is_inside || matches!(tie, Some((_, Tie::Group | Tie::Session | Tie::Kept(_))))
        });
        found
    }

    /// It is empty for a moment during an exec, so that is looked at again. The command line is empty then too,
    /// and only then: a process that has no environment is not waited for.
    pub(super) fn environment(pid: i32) -> Vec<u8> {
        for _ in 0..5 {
            let environment = environment_now(pid);
            let is_in_exec =
                || std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.is_empty());
            if !environment.is_empty() || !is_in_exec() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        environment_now(pid)
    }

    pub(super) fn environment_now(pid: i32) -> Vec<u8> {
        std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
    }

    /// From parent to child: what `visit` returns for a process is passed with each of its children. It also
    /// learns whether the process is alive.
    fn walk<T: Copy>(ours: T, mut visit: impl FnMut(&Process, T, bool) -> T) {
        let mut children: HashMap<i32, Vec<Stat>> = HashMap::new();
        let Ok(entries) = std::fs::read_dir("/proc") else { return };
        let all = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        for process in all.filter_map(read) {
            children.entry(process.process.parent).or_default().push(process);
        }
        let mut parents = vec![(i32::try_from(std::process::id()).unwrap_or(0), ours)];
        while let Some((parent, passed)) = parents.pop() {
            for child in children.remove(&parent).unwrap_or_default() {
                parents.push((child.process.pid, visit(&child.process, passed, !child.is_zombie)));
            }
        }
    }

    pub(super) fn look_at(pid: i32) -> Option<Process> {
        read(pid).filter(|_| is_shown()).map(|stat| stat.process)
    }

    pub(super) fn is_alive(process: &Process) -> bool {
        read(process.pid).is_some_and(|now| !now.is_zombie && now.process.start == process.start)
    }

    pub(super) fn children_of(pid: i32) -> Vec<Process> {
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        list.split_whitespace()
            .filter_map(|pid| read(pid.parse().ok()?))
            // What was a child is checked again: the number may belong to another process by now.
            .filter(|child| child.process.parent == pid && !child.is_zombie)
            .map(|child| child.process)
            .collect()
    }

    pub(super) fn children() -> Vec<i32> {
        if !is_shown() {
            return children_by_asking();
        }
        let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
        let lists =
            threads.flatten().filter_map(|it| std::fs::read_to_string(it.path().join("children")).ok());
        lists
            .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
            .collect()
    }

    /// `/proc/PID/stat` (`proc_pid_stat(5))`: pid, (name), state, parent, group, …, start time as
    /// field 22. The name may hold anything, so the fields are counted from its last bracket.
    fn read(pid: i32) -> Option<Stat> {
        let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let text = String::from_utf8_lossy(&text);
        let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let session = fields.next()?.parse().ok()?;
        let start = Some(fields.nth(15)?.parse().ok()?);
        let process = Process { pid, pgid: group, session, parent, is_stopped: state == "T", start };
        Some(Stat { process, is_zombie: matches!(state, "Z" | "X") })
    }

    pub(super) fn signal(process: Process, sig: Sig) {
        if process.start.is_none() {
            if reap::is_alive(process.pid) {
                group::signal_child(process.pid, sig);
            }
            return;
        }
        let handle = pidfd_open(process.pid);
        // The handle is of whoever has the pid now; if that is still the one that was seen, it
        // stays the one, however pids are reused from here on.
        if read(process.pid).is_none_or(|stat| stat.process.start != process.start) {
            return;
        }
        match handle {
            Some(handle) => pidfd_send_signal(&handle, sig),
            // Before Linux 5.3. The gap between look and signal cannot be closed there.
            None => group::signal_child(process.pid, sig),
        }
    }

    #[allow(unsafe_code)]
    fn pidfd_open(pid: i32) -> Option<OwnedFd> {
        // SAFETY: pidfd_open(2) takes two integers and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
        // SAFETY: the kernel just gave us this descriptor and nobody else knows it.
        Some(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    #[allow(unsafe_code)]
    fn pidfd_send_signal(handle: &OwnedFd, sig: Sig) {
        let no_info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: pidfd_send_signal(2) with a null siginfo reads no memory of ours; the
        // descriptor lives as long as the borrow.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle.as_raw_fd(), sig.number(), no_info, 0) };
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn finds_a_grandchild_in_another_session_and_signals_it() {
        let mut child = Command::new("sh")
            .args(["-c", "setsid sh -c 'echo $$; exec sleep 1000' & wait"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a pid");
        let pid: i32 = line.trim().parse().expect("a pid");
        let found = find().into_iter().find(|process| process.pid == pid).expect("found");
        assert!(children().contains(&i32::try_from(child.id()).expect("a pid")));
        assert!(!children().contains(&pid));
        assert_ne!(found.pgid, i32::try_from(child.id()).expect("a pid"));
        signal(Process { start: found.start.map(|start| start + 1), ..found }, Sig::KILL);
        assert!(find().contains(&found), "another process of that pid is not signalled");
        signal(found, Sig::KILL);
        // The shell's `wait` ends when the grandchild is dead.
        assert!(child.wait().expect("waited").success());
        assert!(!find().contains(&found));
    }
}
