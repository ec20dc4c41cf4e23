//! What this process keeps in memory.

use std::ffi::c_void;
use std::time::Duration;

/// When nothing has come for so long after a start, what it took can be forgotten. Not at once: it
/// takes a third of a millisecond, and the first lines of the processes would wait for that where
/// there are few processors.
pub const SETTLED: Duration = Duration::from_millis(150);

/// The most arenas of the allocator: two of our threads are busy, the driver and the output's.
///
/// A thread that finds all in use gets a new one (`mallopt(3)`, up to eight for each processor), and memory
/// that short-lived threads free in theirs is never used again nor given back.
#[cfg(target_env = "gnu")]
const ARENAS: i32 = 2;

/// Keeps the memory of short-lived threads from adding up. Call it before starting any thread.
pub fn share_arenas() {
    #[cfg(target_env = "gnu")]
    limit_arenas();
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
fn limit_arenas() {
    // SAFETY: sets a number of the allocator's; no other thread exists yet that could use it.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
}

/// Gives back what was needed to get here, for a process that mostly waits from now on.
///
/// Only a saving, so failures are not told.
pub fn forget_the_start() {
    forget_code();
    #[cfg(target_env = "gnu")]
    trim_heap();
}

/// Lets go of the pages of code and constants that were needed to get here: a process that only
/// waits from now on needs few of them, and the kernel brings those back from the file, most
/// without reading. Where there is no `/proc` nothing is let go of.
fn forget_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for (first, last) in maps.lines().filter_map(never_written) {
        forget(first, last);
    }
}

/// The addresses of a mapping, if it is code of a file: `7f00-7f10 r-xp 00001000 08:01 5 /lib/…`
/// (`proc_pid_maps(5)`), or the constants and tables that stand before the code, at offset 0. Other
/// mappings may have been written to, as what the linker has relocated was (RELRO) though it is
/// read-only by now; the vDSO is no file.
fn never_written(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (first, last) = fields.next()?.split_once('-')?;
    let (mode, offset) = (fields.next()?, address(fields.next()?)?);
    let is_file = fields.nth(2)?.starts_with('/');
    let is_never_written = mode == "r-xp" || mode == "r--p" && offset == 0;
    if is_never_written && is_file { Some((address(first)?, address(last)?)) } else { None }
}

fn address(text: &str) -> Option<usize> {
    usize::from_str_radix(text, 16).ok()
}

#[allow(unsafe_code)]
fn forget(first: usize, last: usize) {
    let place = std::ptr::with_exposed_provenance_mut::<c_void>(first);
    // SAFETY: MADV_DONTNEED (madvise(2)) on a mapping of a file has it read from the file again
    // when it is used. Nobody has written here: the mapping is not writable, and position
    // independent code has no relocations in it, nor in what stands before it. So the same bytes come back, also those of
    // this function while it runs.
    let _ = unsafe { libc::madvise(place, last - first, libc::MADV_DONTNEED) };
}

/// The command line's parser and the files' readers have left more free memory behind than we use.
/// The C library gives it back only when asked to (`malloc_trim(3)`).
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
fn trim_heap() {
    // SAFETY: it takes the allocator's own locks and moves nothing that is in use.
    let _ = unsafe { libc::malloc_trim(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_writes_is_forgotten() {
        let table = [
            ("1000-3000 r-xp 00000000 08:01 5   /usr/bin/with blanks", Some((0x1000, 0x3000))),
            ("1000-3000 r--p 00000000 08:01 5   /usr/bin/ganger", Some((0x1000, 0x3000))),
            ("1000-3000 r--p 00003000 08:01 5   /usr/bin/ganger", None),
            ("1000-3000 rw-p 00000000 08:01 5   /usr/bin/ganger", None),
            ("1000-3000 rwxp 00000000 08:01 5   /usr/bin/ganger", None),
            ("1000-3000 r-xp 00000000 00:00 0", None),
            ("1000-3000 r-xp 00000000 00:00 0   [vdso]", None),
            ("", None),
        ];
        for (line, expected) in table {
            assert_eq!(never_written(line), expected, "{line}");
        }
        forget_the_start();
        assert!(never_written("still here").is_none());
    }
}
