//! What this process keeps in memory of the program's file.

use std::ffi::c_void;

/// Lets go of the pages of code that were needed to get here: a process that only waits from now
/// on needs few of them, and the kernel brings those back from the file, most without reading.
///
/// Only a saving, so failures are not told. Where there is no `/proc` nothing is let go of.
pub fn forget_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for (first, last) in maps.lines().filter_map(code_of_file) {
        forget(first, last);
    }
}

/// The addresses of a mapping, if it is code of a file: `7f00-7f10 r-xp 00000000 08:01 5 /lib/…`
/// (`proc_pid_maps(5)`). Other mappings may have been written to, as what the linker has relocated
/// was (RELRO) though it is read-only by now; the vDSO is no file.
fn code_of_file(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (first, last) = fields.next()?.split_once('-')?;
    let is_code = fields.next()? == "r-xp";
    let is_file = fields.nth(3)?.starts_with('/');
    let address = |text| usize::from_str_radix(text, 16).ok();
    if is_code && is_file { Some((address(first)?, address(last)?)) } else { None }
}

#[allow(unsafe_code)]
fn forget(first: usize, last: usize) {
    let place = std::ptr::with_exposed_provenance_mut::<c_void>(first);
    // SAFETY: MADV_DONTNEED (madvise(2)) on a mapping of a file has it read from the file again
    // when it is used. Nobody has written here: the mapping is not writable, and position
    // independent code has no relocations in it. So the same bytes come back, also those of
    // this function while it runs.
    let _ = unsafe { libc::madvise(place, last - first, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_forgotten() {
        let table = [
            ("1000-3000 r-xp 00000000 08:01 5   /usr/bin/with blanks", Some((0x1000, 0x3000))),
            ("1000-3000 r--p 00000000 08:01 5   /usr/bin/ganger", None),
            ("1000-3000 rw-p 00000000 08:01 5   /usr/bin/ganger", None),
            ("1000-3000 rwxp 00000000 08:01 5   /usr/bin/ganger", None),
            ("1000-3000 r-xp 00000000 00:00 0", None),
            ("1000-3000 r-xp 00000000 00:00 0   [vdso]", None),
            ("", None),
        ];
        for (line, expected) in table {
            assert_eq!(code_of_file(line), expected, "{line}");
        }
        forget_code();
        assert!(code_of_file("still here").is_none());
    }
}
