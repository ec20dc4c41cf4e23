//! The name and the command line of this process, as others see them (`ps`, `pkill -f`).

use nix::sys::prctl;

/// Where the kernel reads the command line from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arguments {
    first: usize,
    last: usize,
}

impl Arguments {
    /// Reads `arg_start` and `arg_end`, fields 48 and 49 of `/proc/PID/stat` (`proc_pid_stat(5)`). They are 0
    /// where access is denied. A child has the same values as its parent.
    pub(super) fn find() -> Option<Self> {
        let text = std::fs::read("/proc/self/stat").ok()?;
        let text = String::from_utf8_lossy(&text);
        // Field 2, the name, may hold anything; field 3 is the first behind its bracket.
        let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
        let first: usize = fields.nth(48 - 3)?.parse().ok()?;
        let last: usize = fields.next()?.parse().ok()?;
        (first != 0 && first < last).then_some(Self { first, last })
    }
}

/// Sets both to `title`, cut to the length of the command line. Async-signal-safe.
///
/// Only a name: where it cannot be set nothing else is missing.
pub(super) fn set(title: &std::ffi::CStr, arguments: Option<Arguments>) {
    // Shown up to 15 bytes (PR_SET_NAME, prctl(2)).
    let _ = prctl::set_name(title);
    if let Some(Arguments { first, last }) = arguments {
        write_over(first, last, title.to_bytes());
    }
}

#[allow(unsafe_code)]
fn write_over(first: usize, last: usize, title: &[u8]) {
    // The last byte stays 0, or the kernel takes what follows for a part of the command line.
    for (place, byte) in (first..last - 1).zip(title.iter().chain(std::iter::repeat(&0))) {
        // SAFETY: the kernel put the arguments between these two addresses of our stack, which is
        // writable and lasts as long as we. No reference to them exists: the standard library
        // copies them when it is asked for them, and nobody asks in this process any more.
        unsafe { std::ptr::with_exposed_provenance_mut::<u8>(place).write_volatile(*byte) };
    }
}
