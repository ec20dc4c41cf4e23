//! A program and what it gets, as execve(2) takes it: prepared before a process is made, so that
//! nothing is allocated in the new one.

use std::ffi::{CStr, CString, OsStr, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::ptr;

use nix::errno::Errno;

use super::spawn::Order;

/// All of an [`Order`] as the system takes it. Its program has to be a path.
#[derive(Debug)]
pub(super) struct Program {
    argv: Words,
    env: Words,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only `vfork` goes there itself"))]
    cwd: CString,
}

impl Program {
    pub(super) fn new(order: &Order<'_>) -> io::Result<Self> {
        let argv = order.argv.iter().map(|word| Ok(CString::new(word.as_bytes())?));
        let env = order.env.iter().map(|(key, value)| c_string(&[key, OsStr::new("="), value]));
        Ok(Self {
            argv: Words::new(argv)?,
            env: Words::new(env)?,
            cwd: CString::new(order.cwd.as_os_str().as_bytes())?,
        })
    }

    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only `vfork` goes there itself"))]
    pub(super) fn cwd(&self) -> &CStr {
        &self.cwd
    }

    /// Becomes the program. Answers why it could not. Async-signal-safe.
    #[allow(unsafe_code)]
    pub(super) fn exec(&self) -> Errno {
        // SAFETY: both arrays end with a null and point to strings that `self` holds.
        unsafe {
            libc::execve(self.argv.pointers[0], self.argv.pointers.as_ptr(), self.env.pointers.as_ptr())
        };
        Errno::last()
    }
}

/// Strings and the array of pointers to them.
#[derive(Debug)]
struct Words {
    _strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Words {
    fn new(strings: impl Iterator<Item = io::Result<CString>>) -> io::Result<Self> {
        let strings: Vec<CString> = strings.collect::<io::Result<_>>()?;
        let pointers = strings.iter().map(|it| it.as_ptr()).chain([ptr::null()]).collect();
        Ok(Self { _strings: strings, pointers })
    }
}

// SAFETY: the pointers are to strings on the heap that the value owns and never changes.
#[allow(unsafe_code)]
unsafe impl Send for Words {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Words {}

fn c_string(parts: &[&OsStr]) -> io::Result<CString> {
    let bytes: Vec<u8> = parts.iter().flat_map(|part| part.as_bytes()).copied().collect();
    Ok(CString::new(bytes)?)
}
