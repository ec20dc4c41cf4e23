//! The other side of the socket: what `ganger ps` and its like speak with.
//!
//! It owns one connection and blocks: these commands do one thing at a time.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::proto::{Refusal, Reply, Request};

/// A connection to a running instance.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

/// Why there is no result.
#[derive(Debug)]
pub enum Failure {
    /// The instance says no.
    Refused(Refusal),
    /// The connection broke: the instance has ended.
    Broken(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl Client {
    /// Connects. Fails where nobody listens.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        Ok(Self { stream: BufReader::new(UnixStream::connect(socket)?) })
    }

    /// Asks for one result.
    pub fn call<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Failure> {
        let result = self.stream(request, |_, _| Ok(()))?;
        let odd = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        Ok(serde_json::from_value(result).map_err(odd)?)
    }

    /// Asks, hands each item on as it comes, and answers the result. With an item goes whether
    /// more was read with it: no reason to write each for itself.
    pub fn stream(
        &mut self,
        request: &Request,
        mut item: impl FnMut(Value, bool) -> io::Result<()>,
    ) -> Result<Value, Failure> {
        match self.stream.get_mut().write_all(&request.line()) {
            // Whoever is turned away is told why before anybody hears him.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        loop {
            let mut line = Vec::new();
            if self.stream.read_until(b'\n', &mut line)? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            match Reply::read(&line).map_err(Failure::Refused)? {
                Reply::Item(value) => item(value, memchr::memchr(b'\n', self.stream.buffer()).is_some())?,
                Reply::Result(value) => return Ok(value),
                Reply::Error(refusal) => return Err(Failure::Refused(refusal)),
            }
        }
    }

    /// Asks for the connection itself: after the result come frames, the first of which may have
    /// been read already.
    pub fn take_over(mut self, request: &Request) -> Result<(Value, UnixStream, Vec<u8>), Failure> {
        let result = self.stream(request, |_, _| Ok(()))?;
        let unread = self.stream.buffer().to_vec();
        Ok((result, self.stream.into_inner(), unread))
    }
}
