//! A client that has the terminal of a process: what it types goes there, what the process writes
//! comes from the history.
//!
//! A task for each, on the background thread, that never delays the others. It has a place in the
//! history, not a queue: a client that does not read finds that bytes were given up meanwhile, and is
//! told how many. If slots run out, it loses its own (`admission.rs`). What it types waits here while the process does not read, at most [`WINDOW`] bytes
//! of it, and nothing else waits for that.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{Interest, Ready};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

use super::admission::Seat;
use super::desk::exit;
use super::frames::{Bytes, MAX_INPUT, RunEnd, ToClient, ToInstance, WINDOW, Writer};
use super::proto::MAX_REQUEST;
use super::seats::{News, Place};
use super::server::TakeOver;
use crate::model::InstanceId;
use crate::os::pty::{Size, Terminal};
use crate::output::history::{self, History};
use crate::output::modes::Modes;

/// How much is read of a client at once, and how long it is until the next time: whatever it sends,
/// the processor is there for others.
const CHUNK: usize = 8 * 1024;
const BREATH: Duration = Duration::from_millis(1);

/// How long a terminal has another size to make the program on it draw anew: one that is asleep
/// sees only the last of several changes.
const OFF_SIZE: Duration = Duration::from_millis(100);

/// Goes on with a connection as one of a client that is attached.
pub(super) fn take_over(place: Place, history: &History, id: &InstanceId, rows: u16) -> TakeOver {
    // What the client says first stays on its screen.
    let head = if place.types() { 1 } else { 4 };
    let (modes, bytes) = history.screen(id, rows.saturating_sub(head).max(1));
    Box::new(move |stream, unread, seat| {
        Box::pin(async move {
            let mut talk = Talk::new(place, (modes, bytes), (stream, unread), seat);
            // It has gone, or said what it may not.
            let _ = talk.run().await;
        })
    })
}

struct Talk {
    stream: UnixStream,
    seat: Seat,
    place: Place,
    bytes: history::Bytes,
    /// What of the replay is not written yet goes through these, so that no old question is asked
    /// again and nothing old is done again; `None` when all that comes is new.
    replay: Option<(Modes, u64)>,
    /// From the end of the replay on, the client's terminal answers what the process asks.
    _answers: history::Attachment,
    /// What the client was told, and what it is to be told behind the output up to here.
    told: Option<News>,
    next: Option<(News, u64)>,
    /// Where the run that it knows of began.
    run: u64,
    /// What it has sent and what is no whole frame yet.
    unread: Vec<u8>,
    /// What is to be typed.
    input: Vec<u8>,
    /// How much was typed and not told.
    taken: usize,
    /// What is to be sent.
    out: Vec<u8>,
    /// Since when it has taken nothing of that.
    blocked: Option<Instant>,
    /// When it is read again.
    next_read: Instant,
    /// When the terminal gets its size back.
    off_size: Option<Instant>,
    last: bool,
}

enum Woken {
    Ready(Ready),
    Read,
    Written,
    News,
    Typed,
    OffSize,
}

impl Talk {
    fn new(
        place: Place,
        (modes, bytes): (Modes, history::Bytes),
        (stream, unread): (UnixStream, Vec<u8>),
        seat: Seat,
    ) -> Self {
        let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
        place.is(pid);
        let (answers, end) = bytes.attach();
        let mut talk = Self {
            stream,
            seat,
            place,
            replay: None,
            _answers: answers,
            told: None,
            next: None,
            run: bytes.run().0,
            unread,
            input: Vec::new(),
            taken: 0,
            out: Vec::new(),
            blocked: None,
            next_read: Instant::now(),
            off_size: None,
            last: false,
            bytes,
        };
        talk.begin(modes, end);
        talk
    }

    /// Who types comes before anything is shown.
    fn begin(&mut self, modes: Modes, end: u64) {
        let news = self.place.news.borrow_and_update().clone();
        self.tell(news);
        let enter = modes.enter();
        if !enter.is_empty() {
            self.send(&ToClient::Output(Bytes(enter)));
        }
        let draws = modes.other_screen().is_some();
        self.replay = Some((modes, end));
        let size = self.place.size();
        let same = self.place.terminal().is_some_and(|terminal| terminal.size() == Some(size));
        if draws && same {
            // A size that is not new tells nobody anything.
            let rows = if size.rows > 1 { size.rows - 1 } else { size.rows + 1 };
            self.set_size(Size { rows, ..size });
            self.off_size = Some(Instant::now() + OFF_SIZE);
        } else {
            self.set_size(size);
        }
    }

    fn set_size(&self, size: Size) {
        if let Some(terminal) = self.place.terminal() {
            terminal.resize(size);
        }
    }

    async fn run(&mut self) -> io::Result<()> {
        self.read_frames()?;
        loop {
            self.type_in();
            if self.taken > 0 && self.out.len() < MAX_REQUEST {
                let taken = std::mem::take(&mut self.taken);
                self.send(&ToClient::Taken(taken));
            }
            if self.out.is_empty() {
                self.fill();
            }
            if self.out.is_empty() && self.last {
                return Ok(());
            }
            match self.wait().await? {
                Woken::Ready(ready) => {
                    if ready.is_readable() || ready.is_read_closed() {
                        self.read()?;
                    }
                    if ready.is_writable() {
                        self.write()?;
                        // A client that reads as fast as this writes is always ready, and other clients are on
                        // this thread too.
                        tokio::task::yield_now().await;
                    }
                }
                Woken::OffSize => {
                    self.off_size = None;
                    self.set_size(self.place.size());
                }
                Woken::Read | Woken::Written | Woken::News | Woken::Typed => {}
            }
        }
    }

    async fn wait(&mut self) -> io::Result<Woken> {
        let typed = if self.input.is_empty() { None } else { self.place.terminal() };
        let is_read = self.next_read <= Instant::now();
        let interest = match (is_read, self.out.is_empty()) {
            (true, true) => Some(Interest::READABLE),
            (true, false) => Some(Interest::READABLE | Interest::WRITABLE),
            (false, false) => Some(Interest::WRITABLE),
            (false, true) => None,
        };
        let (idle, last) = (self.out.is_empty(), self.last);
        // It may be woken many times before it can write.
        let blocked = (!idle).then(|| *self.blocked.get_or_insert_with(Instant::now));
        let Self { stream, seat, bytes, place, next_read, off_size, .. } = self;
        tokio::select! {
            ready = stream.ready(interest.unwrap_or(Interest::READABLE)), if interest.is_some() => {
                Ok(Woken::Ready(ready?))
            }
            () = sleep_until(*next_read), if !is_read => Ok(Woken::Read),
            () = bytes.wait(), if idle && !last => Ok(Woken::Written),
            changed = place.news.changed(), if !last => {
                changed.map(|()| Woken::News).map_err(io::Error::other)
            }
            () = writable(typed.clone()), if typed.is_some() => Ok(Woken::Typed),
            () = sleep_until(off_size.unwrap_or(*next_read)), if off_size.is_some() => Ok(Woken::OffSize),
            () = seat.stuck(blocked.unwrap_or(*next_read)), if blocked.is_some() => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        match self.stream.try_read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        self.next_read = Instant::now() + BREATH;
        self.read_frames()
    }

    fn read_frames(&mut self) -> io::Result<()> {
        let refused = || io::Error::from(io::ErrorKind::InvalidData);
        while let Some(end) = memchr::memchr(b'\n', &self.unread) {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            match ToInstance::read(&line).map_err(|_| refused())? {
                ToInstance::Input(Bytes(bytes)) => {
                    self.input.extend_from_slice(&bytes);
                    if bytes.len() > MAX_INPUT || self.input.len() + self.taken > WINDOW {
                        return Err(refused());
                    }
                }
                ToInstance::Size { rows, columns } => {
                    self.off_size = None;
                    self.place.resize(Size { rows, columns }.sane());
                }
            }
        }
        if self.unread.len() > MAX_REQUEST { Err(refused()) } else { Ok(()) }
    }

    /// Types what the process takes now.
    fn type_in(&mut self) {
        while !self.input.is_empty() {
            match self.place.type_in(&self.input) {
                Ok(0) => return,
                Ok(count) => {
                    self.input.drain(..count);
                    self.taken += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nobody has the other side open.
                Err(_) => self.taken += std::mem::take(&mut self.input).len(),
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        match self.stream.try_write(&self.out) {
            Ok(count) => {
                self.out.drain(..count);
                self.blocked = None;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What there is to send now: what was written first, then what became of the process.
    fn fill(&mut self) {
        while self.out.is_empty() && !self.last {
            self.hear_news();
            let until = self.next.as_ref().map_or(u64::MAX, |(_, behind)| *behind);
            let mut written = Vec::new();
            let skipped = self.bytes.next(&mut written, until);
            if skipped > 0 {
                self.send(&ToClient::Skipped(skipped));
            }
            if !written.is_empty() {
                self.send_output(&written);
            }
            match self.next.take_if(|(_, behind)| self.bytes.place() >= *behind) {
                Some((news, _)) => self.tell(news),
                None => return,
            }
        }
    }

    /// Notes what the client is to be told, and behind which output.
    fn hear_news(&mut self) {
        let news = self.place.news.borrow_and_update().clone();
        let last_heard = self.next.as_ref().map(|(news, _)| news).or(self.told.as_ref());
        if last_heard != Some(&news) {
            // The new run may have written by now: its begin is told before that.
            let (run, end) = self.bytes.run();
            let is_known = run <= self.run;
            self.run = run;
            self.next = Some((news, if is_known { end } else { run }));
        }
    }

    fn send_output(&mut self, written: &[u8]) {
        let mut kept = Vec::new();
        let shown = match &mut self.replay {
            Some((modes, end)) => {
                let old = usize::try_from(*end - (self.bytes.place() - written.len() as u64).min(*end));
                let (old, new) = written.split_at(old.unwrap_or(0).min(written.len()));
                modes.push_and_keep(old, &mut kept);
                if self.bytes.place() >= *end
                    && let Some(rest) = modes.end_replay(new, &mut kept)
                {
                    kept.extend_from_slice(&new[rest..]);
                    self.replay = None;
                }
                &kept[..]
            }
            None => written,
        };
        let wants_cr = self.place.terminal().is_none_or(|terminal| terminal.wants_cr());
        let bytes = if wants_cr { with_cr(shown) } else { shown.to_vec() };
        self.send(&ToClient::Output(Bytes(bytes)));
    }

    fn tell(&mut self, news: News) {
        let told = self.told.take();
        let (you, pid) = news.writer(&self.place);
        if told.as_ref().map(|told| told.writer(&self.place)) != Some((you, pid)) {
            self.send(&ToClient::Writer(Writer { you, pid }));
        }
        if let Some(told) = told.filter(|told| told.run != news.run) {
            // Where the next one began at once, this is the first that is heard of the end.
            if let (None, Some(before)) = (told.end, &news.before) {
                self.send(&ToClient::End(RunEnd { exit: exit(before), again_in: Some(0.0) }));
            }
            self.send(&ToClient::Run(news.pid));
        }
        if let Some((end, again)) = &news.end {
            let again_in = again.map(|again| again.as_secs_f64());
            self.send(&ToClient::End(RunEnd { exit: exit(end), again_in }));
            self.last = again.is_none();
        }
        self.told = Some(news);
    }

    fn send(&mut self, frame: &ToClient) {
        self.out.extend(frame.line());
    }
}

/// Waits until a terminal that took no more takes more.
async fn writable(terminal: Option<Arc<Terminal>>) {
    if let Some(terminal) = terminal
        && terminal.takes_more().await.is_err()
    {
        // No memory for one more watch.
        tokio::time::sleep(OFF_SIZE).await;
    }
}

/// A line end as a terminal that does not put a CR before it needs it.
fn with_cr(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 16);
    let mut rest = bytes;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        out.extend_from_slice(&rest[..end]);
        if out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(b'\n');
        rest = &rest[end + 1..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::with_cr;

    #[test]
    fn each_line_end_has_one_cr() {
        assert_eq!(with_cr(b"a\nb\r\n\n"), b"a\r\nb\r\n\r\n");
        assert_eq!(with_cr(b"\n>>> "), b"\r\n>>> ");
    }
}
