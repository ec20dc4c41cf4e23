//! The other side of the socket: what `ganger ps` and its like speak with.
//!
//! It owns one connection and blocks: these commands do one thing at a time. Like the instance, it talks
//! only to a process of its own user. A misbehaving peer costs it at most [`MAX_REPLY`] bytes and, before
//! the request is accepted, at most [`PATIENCE`]. A line that is not an answer to the request ends it
//! ([`Failure::Invalid`]).

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::lock;
use super::proto::{Asked, Invalid, MAX_REPLY, Refusal, Reply, Request, SAME_VERSION};
use crate::error;
use crate::os::{unix_socket, user};

/// How long the instance may take to accept the connection, and to begin its answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long a line may take once it has begun.
const LINE: Duration = Duration::from_secs(30);

/// A connection to a running instance.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    /// The peer's pid for a user to signal, if it is known.
    pid: Option<u32>,
    /// There is no point in waiting once stdout cannot be written any more.
    while_read: bool,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum NoClient {
    /// No process listens, or we may not connect.
    Absent(io::Error),
    /// A process of another user listens; its user id.
    NotOurs(u32),
    /// A process listens but does not accept us in time; the pid of the instance, if it is known.
    Silent(Option<u32>),
}

/// Why there is no result.
#[derive(Debug)]
pub enum Failure {
    /// The instance says no.
    Refused(Refusal),
    /// Nothing arrived in time; the pid of the instance, if it is known.
    Silent(Option<u32>),
    /// What arrived is not an answer to the request; says why.
    Invalid(String),
    /// The connection broke: the instance has ended.
    Broken(io::Error),
    /// The reader of our stdout has gone.
    Unread,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid.to_string())
    }
}

impl Failure {
    /// An invalid reply as an error of the instance.
    pub fn invalid_reply(why: &str) -> Refusal {
        Refusal::failed(format!("the instance sent an invalid reply: {why}")).hint(SAME_VERSION)
    }
}

impl Client {
    /// Connects. Nothing is sent to a process of another user.
    pub fn connect(socket: &Path) -> Result<Self, NoClient> {
        let stream = unix_socket::connect(socket, PATIENCE).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => NoClient::Silent(lock::holder(socket)),
            _ => NoClient::Absent(error),
        })?;
        // The modes of directory and socket limit who can connect, not who can listen.
        let peer = unix_socket::peer(&stream).map_err(NoClient::Absent)?;
        if peer.uid != user::id() {
            return Err(NoClient::NotOurs(peer.uid));
        }
        stream.set_write_timeout(Some(PATIENCE)).map_err(NoClient::Absent)?;
        let pid = lock::holder(socket).or(peer.pid.and_then(|pid| u32::try_from(pid).ok()));
        Ok(Self { stream: BufReader::new(stream), pid, while_read: false })
    }

    /// From now on a wait for the instance ends when the reader of our stdout has gone: it is for that reader.
    pub fn wait_while_read(&mut self) {
        self.while_read = true;
    }

    /// Asks for one result.
    pub fn call<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Failure> {
        read(self.ask(request, no_item)?)
    }

    /// Asks, hands each item on as it comes, and answers the result. With an item goes whether
    /// more was read with it: no reason to write each for itself.
    pub fn stream(
        &mut self,
        request: &Request,
        mut item: impl FnMut(Value, bool) -> io::Result<()>,
    ) -> Result<Value, Failure> {
        self.ask(request, |value, more| Ok(item(value, more)?))
    }

    fn ask(
        &mut self,
        request: &Request,
        mut item: impl FnMut(Value, bool) -> Result<(), Failure>,
    ) -> Result<Value, Failure> {
        let asked = Asked::from(request.clone());
        match self.stream.get_mut().write_all(&asked.line()) {
            Err(error) if is_over(&error) => return Err(Failure::Silent(self.pid)),
            // Whoever is turned away is told why before anybody hears him.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let mut limit = Some(PATIENCE);
        let mut may_accept = asked.accepted;
        loop {
            let line = self.line(limit)?;
            match Reply::read(&line)? {
                Reply::Accepted(_) if std::mem::take(&mut may_accept) => limit = None,
                Reply::Accepted(_) => return Err(Failure::Invalid("unexpected `accepted`".to_owned())),
                Reply::Item(value) => item(value, memchr::memchr(b'\n', self.stream.buffer()).is_some())?,
                Reply::Result(value) => return Ok(value),
                Reply::Error(mut refusal) => {
                    if is_unknown(request, &refusal) {
                        return Err(Failure::Refused(too_old(request)));
                    }
                    // An error is never a success.
                    refusal.status = refusal.status.max(error::FAILURE);
                    return Err(Failure::Refused(refusal));
                }
            }
        }
    }

    /// Returns the next line, which must begin within `limit`.
    fn line(&mut self, limit: Option<Duration>) -> Result<Vec<u8>, Failure> {
        let mut line = Vec::new();
        let mut began = None;
        loop {
            if self.stream.buffer().is_empty() {
                let limit = if line.is_empty() { limit } else { Some(PATIENCE) };
                let stream = self.stream.get_ref();
                stream.set_read_timeout(limit)?;
                if self.while_read {
                    match unix_socket::readable_while_read(stream, io::stdout(), limit) {
                        Ok(true) => {}
                        Ok(false) => return Err(Failure::Unread),
                        Err(error) if is_over(&error) => return Err(Failure::Silent(self.pid)),
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            let read = match self.stream.fill_buf() {
                Ok([]) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_over(&error) => return Err(Failure::Silent(self.pid)),
                Err(error) => return Err(error.into()),
            };
            let end = memchr::memchr(b'\n', read);
            let count = end.map_or(read.len(), |end| end + 1);
            line.extend_from_slice(&read[..count]);
            self.stream.consume(count);
            if line.len() > MAX_REPLY {
                return Err(Failure::Invalid(format!("a line of more than {MAX_REPLY} bytes")));
            }
            if end.is_some() {
                return Ok(line);
            }
            if began.get_or_insert_with(Instant::now).elapsed() > LINE {
                return Err(Failure::Silent(self.pid));
            }
        }
    }

    /// Asks for the connection itself: after the result come frames, the first of which may have
    /// been read already.
    pub fn take_over<T: DeserializeOwned>(
        mut self,
        request: &Request,
    ) -> Result<(T, UnixStream, Vec<u8>), Failure> {
        let result = read(self.ask(request, no_item)?)?;
        let unread = self.stream.buffer().to_vec();
        let stream = self.stream.into_inner();
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        Ok((result, stream, unread))
    }

    /// Returns the pid of the instance, if it is known.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }
}

/// Reads the result of a request.
fn read<T: DeserializeOwned>(result: Value) -> Result<T, Failure> {
    serde_json::from_value(result).map_err(|error| Failure::Invalid(error.to_string()))
}

/// Returns whether an instance says that it does not know this kind of request.
fn is_unknown(request: &Request, refusal: &Refusal) -> bool {
    refusal.message.starts_with(&format!("unknown variant `{}`", request.name()))
}

/// What to say of an instance that is older than the command.
fn too_old(request: &Request) -> Refusal {
    let name = request.name();
    Refusal::failed(format!("the running instance is an older ganger that does not know `{name}`"))
        .hint(SAME_VERSION)
}

/// For a request that has only a result.
fn no_item(_: Value, _: bool) -> Result<(), Failure> {
    Err(Failure::Invalid("unexpected `item`".to_owned()))
}

/// Returns whether the error is an expired timeout of the socket (socket(7)).
fn is_over(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
