//! Leaving the terminal, as a daemon does, and telling whoever started us how it went.
//!
//! Two forks: the first so that a new session can be made, the second so that the daemon does not
//! lead it and never gets a terminal again (setsid(2)). The process that was started stays until
//! the daemon has told it something, or is gone.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;

use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, setsid};

use super::guard::fork_single_threaded;
use super::reap;
use super::signals;
use super::with_path;

/// On which side of the forks we are.
#[derive(Debug)]
pub enum Side {
    /// The process that was started: the exit status it is to have, and what the daemon says.
    /// `None` if that ended without a word.
    Caller(Option<(u8, String)>),
    /// The daemon.
    Daemon(Teller),
}

/// The daemon's way to the one who started it.
#[derive(Debug)]
pub struct Teller {
    stream: UnixStream,
}

impl Teller {
    /// Tells how it went. The caller ends with this status, at once after 0, else when nothing of
    /// the daemon is left.
    pub fn tell(mut self, status: u8, text: &str) {
        // The length goes ahead: guard and reserve have a copy of this descriptor, so that its end
        // is theirs too. Whoever started us may have been killed.
        let length = u32::try_from(text.len()).unwrap_or(0).to_be_bytes();
        let _ = self.stream.write_all(&[&[status], &length[..], text.as_bytes()].concat());
    }

    /// A stream that ends when the caller has gone.
    pub fn caller(&self) -> io::Result<UnixStream> {
        let stream = self.stream.try_clone()?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }
}

/// Goes on as a daemon that holds nothing of its caller's: stdin is `/dev/null`, stdout and stderr
/// are `out` or else that too, and every descriptor that was inherited is closed. The caller must
/// have a single thread, and what it owns is owned by both sides from then on.
pub fn detach(out: Option<&File>) -> io::Result<Side> {
    let (ours, theirs) = UnixStream::pair()?;
    let null = File::options().read(true).write(true).open("/dev/null");
    let null = null.map_err(|error| with_path(error, "/dev/null"))?;
    match fork_single_threaded()? {
        ForkResult::Parent { child } => {
            drop(theirs);
            // Ignored in the background of a script, where `kill -INT` has to work all the same.
            let _ = signals::heed(libc::SIGINT);
            // `pkill -USR1 ganger` is meant for the processes, and if we ended, everything would.
            let _ = signals::block_forwarded();
            reap::reap(child.as_raw());
            Ok(Side::Caller(hear(ours).ok()))
        }
        ForkResult::Child => {
            drop(ours);
            setsid()?;
            if let ForkResult::Parent { .. } = fork_single_threaded()? {
                std::process::exit(0);
            }
            let out = out.unwrap_or(&null);
            dup2_stdin(&null)?;
            dup2_stdout(out)?;
            dup2_stderr(out)?;
            close_inherited();
            Ok(Side::Daemon(Teller { stream: theirs }))
        }
    }
}

fn hear(mut stream: UnixStream) -> io::Result<(u8, String)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [status, length @ ..] = head;
    let mut text = String::new();
    (&stream).take(u32::from_be_bytes(length).into()).read_to_string(&mut text)?;
    if status != 0 {
        // It ends now. Whoever starts another one then finds its ports and its lock free.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    Ok((status, text))
}

/// Closes what came from the caller: a pipe whose reader waits for its end, for one. Our own are
/// all closed on exec, as std opens them, and what was inherited cannot be, or it would not be here.
#[allow(unsafe_code)]
fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/dev/fd") else { return };
    let all: Vec<RawFd> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for fd in all.into_iter().filter(|fd| *fd > libc::STDERR_FILENO) {
        // SAFETY: asks about a number, which may be none of an open descriptor.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        if flags >= 0 && flags & libc::FD_CLOEXEC == 0 {
            // SAFETY: nothing in this program owns it, see above.
            unsafe { libc::close(fd) };
        }
    }
}
