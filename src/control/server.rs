//! The instance's side of the socket: a task that takes clients in and one for each of them.
//!
//! It owns the connections and their limits: who may speak, how many, how long a request may be,
//! how long a client may leave a reply unread. What a request means is the [`Desk`]'s business.
//!
//! It must never keep the driver waiting, which runs on the same thread. A client has one request
//! at a time; what it does not read stays in the kernel's buffer and in its own task, and when it
//! reads nothing for [`PATIENCE`] it is let go. So 128 clients hold 128 requests and replies at
//! most, whatever they do. They ask in turns (`turns.rs`), or they would take the processor from
//! the thread that shows output.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

use super::desk::Desk;
use super::proto::{Asked, MAX_REQUEST, Refusal, Reply};
use super::turns::Turns;
use crate::os::user;

/// How many may be connected at a time.
pub const MAX_CLIENTS: usize = 128;

/// How long a client may leave what it asked for unread.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long nobody is taken in when the system has no descriptors for one.
const BREATH: Duration = Duration::from_millis(100);

/// What a client gets for its request.
pub enum Answer {
    /// One line.
    One(Reply),
    /// Lines, the last of which is a result or an error.
    Stream(mpsc::Receiver<Reply>),
    /// The same, written already, and as many at a time as there are: for thousands of them.
    Written(mpsc::Receiver<Vec<u8>>),
    /// A line, and then the connection is somebody else's.
    TakeOver(Reply, TakeOver),
}

/// Goes on with a connection after its reply: gets it, and what the client has sent already.
pub type TakeOver = Box<dyn FnOnce(UnixStream, Vec<u8>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Takes clients in for as long as the runtime lives.
pub async fn serve(listener: UnixListener, desk: Desk) {
    let (places, turns) = (Arc::new(Semaphore::new(MAX_CLIENTS)), Arc::new(Turns::new()));
    loop {
        // To come and go again and again is no way round it.
        turns.take().await;
        let Ok((stream, _)) = listener.accept().await else {
            // EMFILE: the client waits in the queue until a descriptor is free.
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let place = places.clone().try_acquire_owned();
        let (desk, turns) = (desk.clone(), turns.clone());
        tokio::spawn(async move {
            let client = Client { stream, unread: Vec::new() };
            let _ = match place {
                Ok(_place) => client.talk(desk, &turns).await,
                Err(_) => client.turn_away("too many clients are connected").await,
            };
        });
    }
}

struct Client {
    stream: UnixStream,
    /// What was read and not used yet.
    unread: Vec<u8>,
}

impl Client {
    async fn talk(mut self, desk: Desk, turns: &Turns) -> io::Result<()> {
        // The modes of folder and file keep others out; this holds where somebody changed them.
        if self.stream.peer_cred()?.uid() != user::id() {
            return self.turn_away("this instance belongs to another user").await;
        }
        while let Some(line) = self.next_line().await? {
            turns.take().await;
            let answer = match Asked::read(&line) {
                Ok(Asked { request, accepted }) => {
                    if accepted && request.takes_long() {
                        self.write(&Reply::Accepted(true)).await?;
                    }
                    desk.answer(request).await
                }
                Err(refusal) => Answer::One(Reply::Error(refusal)),
            };
            match answer {
                Answer::One(reply) => self.write(&reply).await?,
                Answer::Stream(replies) => self.write_all(replies).await?,
                Answer::Written(lines) => self.write_lines(lines).await?,
                Answer::TakeOver(reply, go_on) => {
                    self.write(&reply).await?;
                    go_on(self.stream, self.unread).await;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The next request, without its line end; `None` when the client has gone. Half a line at
    /// the end is none.
    async fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut seen = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.unread[seen..]) {
                let mut line: Vec<u8> = self.unread.drain(..=seen + end).collect();
                line.pop();
                return Ok(Some(line));
            }
            seen = self.unread.len();
            if seen >= MAX_REQUEST {
                let message = format!("a request has at most {MAX_REQUEST} bytes");
                self.write(&Reply::Error(Refusal::usage(message))).await?;
                return Ok(None);
            }
            if self.read().await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 4096];
        let count = self.stream.read(&mut chunk).await?;
        self.unread.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    /// Writes replies as they come, until the last one or until the client has gone.
    async fn write_all(&mut self, mut replies: mpsc::Receiver<Reply>) -> io::Result<()> {
        loop {
            tokio::select! {
                reply = replies.recv() => match reply {
                    Some(reply @ Reply::Item(_)) => self.write(&reply).await?,
                    Some(last) => return self.write(&last).await,
                    None => {
                        let refusal = Refusal::failed("this client did not read fast enough");
                        return self.write(&Reply::Error(refusal)).await;
                    }
                },
                // Somebody who goes away while nothing is said. What it sends meanwhile is its next
                // request, within the limit of one.
                count = self.stream.readable() => {
                    count?;
                    if self.unread.len() >= MAX_REQUEST || self.read().await? == 0 {
                        return Err(io::ErrorKind::ConnectionReset.into());
                    }
                }
            }
        }
    }

    /// As [`Client::write_all`], for lines that are written already, and without a limit of time:
    /// whoever follows a log in a pager reads nothing for hours. It holds what is on its way. The
    /// last of them is followed by nothing.
    async fn write_lines(&mut self, mut lines: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
        loop {
            tokio::select! {
                written = lines.recv() => match written {
                    Some(written) if !written.is_empty() => self.stream.write_all(&written).await?,
                    Some(_) | None => return Ok(()),
                },
                count = self.stream.readable() => {
                    count?;
                    if self.unread.len() >= MAX_REQUEST || self.read().await? == 0 {
                        return Err(io::ErrorKind::ConnectionReset.into());
                    }
                }
            }
        }
    }

    async fn write(&mut self, reply: &Reply) -> io::Result<()> {
        let line = reply.line();
        tokio::time::timeout(PATIENCE, self.stream.write_all(&line)).await?
    }

    async fn turn_away(mut self, why: &str) -> io::Result<()> {
        self.write(&Reply::Error(Refusal::failed(why))).await
    }
}
