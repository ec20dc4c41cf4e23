//! Connects to a socket of the file system without waiting forever, and identifies the peer.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The process that listens at the other end, as of its listen(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user id.
    pub uid: u32,
    /// Its pid, where the system reports it.
    pub pid: Option<i32>,
}

/// Connects within `limit`, or fails with [`io::ErrorKind::TimedOut`]: the queue of a process that
/// listens and does not accept fills up, and then connect(2) waits (unix(7)).
#[cfg(target_os = "linux")]
pub fn connect(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    use std::os::fd::AsRawFd as _;
    use std::time::Instant;

    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
    };
    use nix::sys::time::{TimeVal, TimeValLike as _};

    let address = UnixAddr::new(path)?;
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let micros = i64::try_from(left.as_micros()).unwrap_or(i64::MAX);
        // This also limits connect(2) (socket(7)). Zero would mean no limit.
        setsockopt(&socket, sockopt::SendTimeout, &TimeVal::microseconds(micros.max(1)))?;
        match connect(socket.as_raw_fd(), &address) {
            Ok(()) => break,
            Err(Errno::EINTR) if !left.is_zero() => {}
            Err(Errno::EINTR | Errno::EAGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error.into()),
        }
    }
    let stream = UnixStream::from(socket);
    stream.set_write_timeout(None)?;
    Ok(stream)
}

/// See the Linux version. Elsewhere a full queue refuses at once (`uipc_usrreq.c`).
#[cfg(not(target_os = "linux"))]
pub fn connect(path: &Path, _limit: Duration) -> io::Result<UnixStream> {
    UnixStream::connect(path)
}

/// Returns the process that listens at the other end. This cannot be forged: the kernel records it at
/// listen(2) (`SO_PEERCRED`, unix(7)).
#[cfg(target_os = "linux")]
pub fn peer(stream: &UnixStream) -> io::Result<Peer> {
    use nix::sys::socket::{getsockopt, sockopt};

    let it = getsockopt(stream, sockopt::PeerCredentials)?;
    Ok(Peer { uid: it.uid(), pid: Some(it.pid()).filter(|pid| *pid > 0) })
}

/// See the Linux version.
#[cfg(not(target_os = "linux"))]
pub fn peer(stream: &UnixStream) -> io::Result<Peer> {
    use nix::sys::socket::{getsockopt, sockopt};

    let it = getsockopt(stream, sockopt::LocalPeerCred)?;
    Ok(Peer { uid: it.uid(), pid: None })
}

/// Waits until there is something to read, or the end of it, for `limit` at most. Returns false if `out` cannot
/// be written any more: a pipe without a reader has an error (`pipe_poll` in the kernel's fs/pipe.c), a
/// terminal that was closed has hung up.
pub fn readable_while_read(stream: &UnixStream, out: impl AsFd, limit: Option<Duration>) -> io::Result<bool> {
    let limit =
        limit.map_or(PollTimeout::NONE, |limit| PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX));
    let mut fds =
        [PollFd::new(stream.as_fd(), PollFlags::POLLIN), PollFd::new(out.as_fd(), PollFlags::empty())];
    loop {
        match poll(&mut fds, limit) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
    // What was received is written first, and fails then.
    let [stream, out] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
    Ok(!stream.is_empty() || !out.intersects(gone))
}

/// Waits until a client connects, and returns the listener with the client still in its queue. Needs tokio's
/// reactor, also when it is called.
#[allow(unsafe_code)]
pub fn first_client(
    listener: UnixListener,
) -> io::Result<impl Future<Output = io::Result<UnixListener>> + Send> {
    // SAFETY: a UnixListener is one open descriptor for its whole life, and this one is ours alone.
    let watched = unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) }?;
    Ok(async move {
        watched.readable().await?.retain_ready();
        Ok(watched.into_inner())
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::AsRawFd as _;

    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};

    use super::*;

    #[test]
    fn connecting_to_a_full_queue_times_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let listener = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
        let listener = listener.expect("a socket");
        bind(listener.as_raw_fd(), &UnixAddr::new(&path).expect("an address")).expect("bound");
        listen(&listener, Backlog::new(1).expect("a backlog")).expect("listens");
        let mut waiting = Vec::new();
        let error = loop {
            match connect(&path, Duration::from_millis(20)) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert!(waiting.len() < 10);
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let own = peer(&waiting[0]).expect("a peer");
        assert_eq!((own.uid, own.pid), (crate::os::user::id(), i32::try_from(std::process::id()).ok()));
    }
}
