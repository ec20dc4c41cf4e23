//! Shells that start programs and do not pass signals on to them. Linux only: it reads `/proc`.

use crate::model::Sig;
use crate::os::descendants::{self, Process};

/// File names of shells.
const SHELLS: [&str; 10] = ["sh", "dash", "bash", "rbash", "ash", "zsh", "ksh", "mksh", "yash", "fish"];

/// Programs that are many in one file: what they run as is their name in `comm`.
const MULTI_CALL: [&str; 2] = ["busybox", "toybox"];

/// Returns the process and, where it is a shell that runs programs, their first ones, and so on: all that has
/// to get `sig` itself. Each comes after its parent.
///
/// A shell that runs a command line (`sh -c`) is passed through whatever it does with the signal. One that runs
/// a script is not if it catches the signal: such a script stops what it has started by itself. What is to be left
/// running gets no signal, nor does what it has started.
pub fn through(leader: Process, sig: Sig, is_kept: impl Fn(&Process) -> bool) -> Vec<Process> {
    let mut found = vec![leader];
    let mut next = 0;
    while let Some(process) = found.get(next) {
        if hides_programs(process.pid, sig) {
            let children = descendants::children_of(process.pid);
            found.extend(children.into_iter().filter(|child| !is_kept(child)));
        }
        next += 1;
    }
    found
}

/// Returns the processes that a signal is for which asks nothing to stop: as [`through`], without the shells
/// that run these programs and do not catch it. Most signals would end such a shell.
pub fn programs(leader: Process, sig: Sig, is_kept: impl Fn(&Process) -> bool) -> Vec<Process> {
    let runs_program = |pid: i32| is_shell(pid) && !descendants::children_of(pid).is_empty();
    let mut all = through(leader, sig, is_kept);
    all.retain(|process| catches(process.pid, sig) || !runs_program(process.pid));
    all
}

fn hides_programs(pid: i32, sig: Sig) -> bool {
    is_shell(pid) && (has_command_line(pid) || !catches(pid, sig))
}

fn is_shell(pid: i32) -> bool {
    let Ok(program) = std::fs::read_link(format!("/proc/{pid}/exe")) else { return false };
    let Some(name) = program.file_name().and_then(|name| name.to_str()) else { return false };
    // That is what the kernel adds when the file was replaced.
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    if MULTI_CALL.contains(&name) {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        return SHELLS.contains(&name.trim_end());
    }
    SHELLS.contains(&name)
}

/// Whether it was started as `sh -c …`, also with other options (`bash -lc`, `bash -o pipefail -c`).
fn has_command_line(pid: i32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0).skip(1);
    while let Some(word) = words.next() {
        match word {
            [b'-' | b'+', b'o'] => drop(words.next()),
            [b'-', b'-', ..] => {}
            [b'-', letters @ ..] if letters.contains(&b'c') => return true,
            [b'-' | b'+', ..] => {}
            _ => return false,
        }
    }
    false
}

/// Whether it has a handler for the signal (`SigCgt`, `proc_pid_status(5)`).
fn catches(pid: i32, sig: Sig) -> bool {
    let status = std::fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    u32::try_from(sig.number() - 1).ok().and_then(|bit| caught.checked_shr(bit)).is_some_and(|it| it & 1 == 1)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::os::group;

    /// Starts `argv`, waits for a line of it, and returns how many processes besides the first get TERM.
    fn passed(argv: &[&str]) -> usize {
        use std::os::unix::process::CommandExt as _;
        let mut child = Command::new(argv[0])
            .args(&argv[1..])
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let pid = i32::try_from(child.id()).expect("a pid");
        let found = through(descendants::look_at(pid).expect("alive"), Sig::TERM, |_| false);
        group::signal(pid, Sig::KILL);
        child.wait().expect("waited");
        found.len() - 1
    }

    #[test]
    fn a_shell_is_passed_through_unless_its_script_catches_the_signal() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.to_str().expect("a text").to_owned()
        };
        let plain = script("plain", "sleep 100 & sleep 100 & echo; wait");
        let traps = script("traps", "trap 'kill $!; exit' TERM; sleep 100 & echo; wait");
        let nested = format!("sh {plain}; true");
        let table: [(&[&str], usize); 6] = [
            (&["sh", "-c", "sleep 100 & sleep 100 & echo; wait"], 2),
            (&["bash", "-o", "pipefail", "-c", "trap : TERM; sleep 100 & echo; wait"], 1),
            (&["sh", &plain], 2),
            (&["sh", &traps], 0),
            (&["sh", "-c", &nested], 3),
            (&["python3", "-c", "import os,time; os.fork(); os.write(1, b'\\n'); time.sleep(100)"], 0),
        ];
        for (argv, count) in table {
            assert_eq!(passed(argv), count, "{argv:?}");
        }
    }
}
