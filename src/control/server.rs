//! The instance's side of the socket: a task that takes clients in and one for each of them.
//!
//! It owns the connections and their limits: who may speak, how many, how long a request may be,
//! how long a client may leave a reply unread. What a request means is the [`Desk`]'s business.
//!
//! It runs on a thread beside the driver's (`cmd::background`) and never keeps the driver waiting. A client has one request
//! at a time; what it does not read stays in the kernel's buffer and in its own task, and when it
//! reads nothing for [`PATIENCE`] it is let go. So 128 clients hold 128 requests and replies at
//! most, whatever they do. A client whose write is blocked loses its slot as soon as another one needs
//! it (`admission.rs`). They ask in turns (`turns.rs`), or they would take the processor from
//! the thread that shows output.
//!
//! A connection is watched while its client waits, so that a client that disconnects frees its slot
//! (`admission.rs`) and no work is done for it any more. Clients get at most half of the descriptors
//! that the processes do not need.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::admission::{Admission, IDLE, Idle, Seat};
use super::desk::Desk;
use super::proto::{Asked, Invalid, MAX_REQUEST, Refusal, Reply};
use super::turns::Turns;
use crate::os::limits::OpenFiles;
use crate::os::user;

/// How many may be connected at a time.
pub const MAX_CLIENTS: usize = 128;

/// How long a client may leave what it asked for unread.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long nobody is taken in when the system has no descriptors for one.
const BREATH: Duration = Duration::from_millis(100);

/// How many descriptors clients leave free, whatever else is open: starting two processes needs these
/// for a moment.
const RESERVE: u64 = 16;

/// What a client gets for its request.
pub(super) enum Answer {
    /// One line.
    One(Reply),
    /// Lines that are already serialized, as many at a time as there are; the last is a result or an error.
    Written(mpsc::Receiver<Vec<u8>>),
    /// A line, and then the connection is somebody else's.
    TakeOver(Reply, TakeOver),
}

/// Goes on with a connection after its reply: gets it, what the client has sent already, and its slot.
pub(super) type TakeOver =
    Box<dyn FnOnce(UnixStream, Vec<u8>, Seat) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The descriptors that clients may have.
#[derive(Debug, Clone, Copy)]
struct Files {
    /// How many this process may have.
    soft: u64,
    /// How many clients there may be.
    clients: usize,
}

impl Files {
    /// `needed` is the number that the processes and ganger itself need.
    fn new(soft: u64, needed: usize) -> Self {
        let free = usize::try_from(soft).unwrap_or(usize::MAX).saturating_sub(needed);
        // One client must always be able to send `ganger stop`.
        Self { soft, clients: (free / 2).clamp(1, MAX_CLIENTS) }
    }

    /// Returns whether this descriptor is one of the last. The system assigns the lowest free one, so all
    /// below it are in use.
    fn is_tight(self, file: &impl AsRawFd) -> bool {
        let number = u64::try_from(file.as_raw_fd()).unwrap_or(0);
        number + RESERVE >= self.soft
    }
}

/// Accepts clients for as long as the runtime lives. `needed` is the number of descriptors that the
/// processes and ganger itself need.
pub async fn serve(listener: UnixListener, desk: Desk, needed: usize) {
    let files = Files::new(OpenFiles::now().map_or(u64::MAX, OpenFiles::soft), needed);
    let (admission, turns) = (Admission::new(files.clients), Arc::new(Turns::new()));
    loop {
        // To come and go again and again is no way round it.
        turns.take().await;
        let Ok((stream, _)) = listener.accept().await else {
            // EMFILE: the client waits in the queue until a descriptor is free.
            admission.evict();
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let seat = admission.enter(files.is_tight(&stream)).await;
        let (desk, turns) = (desk.clone(), turns.clone());
        tokio::spawn(async move {
            let client = Client { stream, unread: Vec::new(), files, watch: None };
            let _ = match seat {
                Some(seat) => client.talk(desk, &turns, seat).await,
                None => client.turn_away("too many clients are connected").await,
            };
        });
    }
}

struct Client {
    stream: UnixStream,
    /// What was read and not used yet.
    unread: Vec<u8>,
    files: Files,
    /// A duplicate of the connection, to notice when it closes: see [`Client::closed`].
    watch: Option<UnixStream>,
}

impl Client {
    async fn talk(mut self, desk: Desk, turns: &Turns, seat: Seat) -> io::Result<()> {
        // The modes of directory and file keep others out; this check holds even if they were changed.
        if self.stream.peer_cred()?.uid() != user::id() {
            return self.turn_away("this instance belongs to another user").await;
        }
        loop {
            let line = tokio::select! {
                biased;
                line = self.next_line(&seat) => line?,
                why = seat.idle() => return self.let_go(why).await,
            };
            let Some(line) = line else { return Ok(()) };
            turns.take().await;
            let answer = match Asked::read(&line) {
                Ok(Asked { request, accepted }) => {
                    if accepted && request.takes_long() {
                        self.write(&Reply::Accepted(true), &seat).await?;
                    }
                    tokio::select! {
                        // A request is carried out even if its client does not wait for the result.
                        biased;
                        answer = desk.answer(request) => answer,
                        () = self.gone() => return Ok(()),
                    }
                }
                Err(invalid @ Invalid::Json(_)) => {
                    // It speaks something else: what follows is no better.
                    return self.write(&Reply::Error(invalid.into()), &seat).await;
                }
                Err(invalid) => Answer::One(Reply::Error(invalid.into())),
            };
            match answer {
                Answer::One(reply) => self.write(&reply, &seat).await?,
                Answer::Written(lines) => self.write_lines(lines, &seat).await?,
                Answer::TakeOver(reply, go_on) => {
                    self.write(&reply, &seat).await?;
                    go_on(self.stream, self.unread, seat).await;
                    return Ok(());
                }
            }
        }
    }

    /// Sends an idle client an error and ends its connection.
    async fn let_go(self, why: Idle) -> io::Result<()> {
        match why {
            Idle::Needed => self.turn_away("too many clients are connected; this one was idle").await,
            Idle::Over => self.turn_away(&format!("timed out: no request for {} s", IDLE.as_secs())).await,
        }
    }

    /// The next request, without its line end; `None` when the client has gone. Half a line at
    /// the end is none.
    async fn next_line(&mut self, seat: &Seat) -> io::Result<Option<Vec<u8>>> {
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
                self.write(&Reply::Error(Refusal::usage(message)), seat).await?;
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

    /// Waits until the client has disconnected. Data that it sends meanwhile is its next request, up to the
    /// limit of one.
    async fn gone(&mut self) {
        while self.unread.len() < MAX_REQUEST {
            match self.read().await {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => return,
            }
        }
        self.closed().await;
    }

    /// Waits until both directions are closed: a client that closes only its sending side, like `nc -N` after
    /// its input, still waits for its answer.
    ///
    /// Closing of the other direction is reported as a write event, and [`Self::stream`] may be writable all
    /// the time. So this polls a duplicate descriptor, whose readiness is cleared each
    /// time.
    async fn closed(&mut self) {
        let watch = match self.watch.take().map_or_else(|| self.watch_again(), Ok) {
            Ok(watch) => self.watch.insert(watch),
            // Without a descriptor for that, the client keeps its slot until it has its answer.
            Err(_) => return std::future::pending().await,
        };
        loop {
            match watch.ready(Interest::WRITABLE).await {
                Ok(ready) if !ready.is_write_closed() => {
                    let forget = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                    let _ = watch.try_io(Interest::WRITABLE, forget);
                }
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn watch_again(&self) -> io::Result<UnixStream> {
        let file = self.stream.as_fd().try_clone_to_owned()?;
        if self.files.is_tight(&file) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        UnixStream::from_std(file.into())
    }

    /// Writes lines as they come, without a timeout: a client that follows a log in a pager may read
    /// nothing for hours, unless its slot is needed. It holds what is on its way. The last of them is followed by nothing.
    async fn write_lines(&mut self, mut lines: mpsc::Receiver<Vec<u8>>, seat: &Seat) -> io::Result<()> {
        loop {
            tokio::select! {
                written = lines.recv() => match written {
                    Some(written) if !written.is_empty() => self.write_all(&written, seat).await?,
                    Some(_) | None => return Ok(()),
                },
                () = self.gone() => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
    }

    async fn write(&mut self, reply: &Reply, seat: &Seat) -> io::Result<()> {
        tokio::time::timeout(PATIENCE, self.write_all(&reply.line(), seat)).await?
    }

    /// Writes all of it, unless the client is stuck and its slot is needed. Each byte that it takes is
    /// progress.
    async fn write_all(&mut self, mut bytes: &[u8], seat: &Seat) -> io::Result<()> {
        while !bytes.is_empty() {
            let since = Instant::now();
            let count = tokio::select! {
                biased;
                written = self.stream.write(bytes) => written?,
                () = seat.stuck(since) => return Err(io::ErrorKind::TimedOut.into()),
            };
            bytes = &bytes[count..];
        }
        Ok(())
    }

    async fn turn_away(mut self, why: &str) -> io::Result<()> {
        let line = Reply::Error(Refusal::failed(why)).line();
        tokio::time::timeout(PATIENCE, self.stream.write_all(&line)).await?
    }
}
