//! Where commands write. Nothing else in `cmd` and `cli` writes to stdout or stderr, except clap and
//! the commands that pass on the output of processes (`logs`, `attach`).
//!
//! Lines for people and bytes for programs are written by different functions. In lines, everything
//! that could drive a terminal is escaped on the way out, whatever the caller did; a caller that
//! writes raw bytes says so by the function it calls.

use std::io::{self, Write};

use crate::error::Error;
use crate::model::{Sig, sentence, visible_lines};

/// Writes a one-line message about ganger itself to stderr. Errors are ignored: there is no other place
/// to report them.
pub fn complain(message: &str) {
    complain_in_lines(&sentence(message));
}

/// Writes a message of several lines that were each escaped. Everything except line feeds is escaped
/// here once more.
pub fn complain_in_lines(message: &str) {
    let _ = writeln!(io::stderr(), "{}", visible_lines(message));
}

/// Writes a command's result for people to stdout: lines whose parts are escaped.
pub(super) fn print(text: &[u8]) -> Result<u8, Error> {
    print_raw(visible_lines(&String::from_utf8_lossy(text)).as_bytes())
}

/// Writes a command's result for programs to stdout, byte for byte. A closed stdout ends quietly,
/// as in `ganger man | head`.
pub(super) fn print_raw(text: &[u8]) -> Result<u8, Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Sig::PIPE.exit_status()),
        Err(error) => Err(Error::system("writing to stdout", error)),
    }
}
