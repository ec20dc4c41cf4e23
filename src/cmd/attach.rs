//! `ganger attach`: the terminal of a process in ours.
//!
//! It owns our terminal from the first frame to the last and gives it back in every case: at the end
//! of the process or of ganger, on a signal, in a panic. It never blocks in a write, so that it
//! always hears the key that leaves.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::detach_key::DetachKey;
use super::remote::Remote;
use super::{complain, print};
use crate::cli::{AppArgs, AttachArgs};
use crate::control::frames::{
    Attached, Bytes, MAX_FRAME, MAX_INPUT, RunEnd, ToClient, ToInstance, WINDOW, Writer,
};
use crate::control::proto::{Exit, Request, signal_in_words};
use crate::env::Env;
use crate::error::{Error, FAILURE};
use crate::model::{ControlKey, Sig, sentence};
use crate::os::console::Console;
use crate::os::group;
use crate::os::pty::Size;
use crate::os::signals::{self, Signals};
use crate::output::modes::{KEEP_TITLE, Modes, Reports};

/// How much may wait for a process that does not read what is typed or pasted.
const MAX_TYPED: usize = 1024 * 1024;

/// How much may wait for our terminal before the instance is not listened to.
const MAX_SHOWN: usize = 256 * 1024;

/// How long a terminal may take nothing at the end.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long what may be the start of the key that detaches waits for the rest: a terminal writes a sequence
/// at once, and Escape alone is for the process.
const REST_OF_KEY: Duration = Duration::from_millis(30);

/// Asks the terminal for its status (DSR, ECMA-48 8.3.35). Every terminal answers that, behind all that it has sent
/// before.
const FENCE: &[u8] = b"\x1b[5n";

/// How long the answer to that may take. Over a slow connection it is one round trip.
const LAST_REPORTS: Duration = Duration::from_millis(200);

/// How much a terminal may send meanwhile. More than it sends by itself, and less than a paste.
const MAX_REPORTS: usize = 256 * 1024;

/// For keys that nobody takes.
const BELL: u8 = 0x07;

/// Signals that end other programs. Without them a terminal would stay as it is.
const ENDING: [Sig; 6] = [Sig::INT, Sig::TERM, Sig::HUP, Sig::QUIT, Sig::USR1, Sig::USR2];

pub(super) fn attach(app: &AppArgs, args: AttachArgs, env: &Env) -> Result<u8, Error> {
    let mut remote = Remote::find(app, env)?;
    if !(env.stdin_is_terminal && env.stdout_is_terminal) {
        let message = "attach needs a terminal: stdin and stdout have to be one";
        let hint = "`ganger logs -f` follows the output without one; programs ask the socket for it";
        return Err(Error::usage(message, hint));
    }
    let size = Size::of(io::stdout()).unwrap_or(Size::USUAL);
    let request = Request::Attach { name: args.name, rows: size.rows, columns: size.columns, tee: args.tee };
    // Before the terminal is taken: from then on none of them may end us as they are.
    let signals: Vec<Sig> = ENDING.into_iter().chain([Sig::WINCH, Sig::TSTP, Sig::CONT]).collect();
    let root = std::mem::take(&mut remote.root);
    let taken = remote.client.take_over(&request).map_err(|failure| Remote::failed(failure, &root))?;
    let (attached, stream, unread): (Attached, _, _) = taken;
    if group::in_session_of(attached.pid) {
        let message =
            format!("this is the terminal of {} itself: it would show what it shows", attached.name);
        return Err(Error::usage(message, "attach from another terminal"));
    }
    let wrong = |error| Error::system("taking the terminal", error);
    stream.set_nonblocking(true).map_err(wrong)?;
    let signals = Signals::new(&signals).map_err(wrong)?;
    let console = Console::take().map_err(wrong)?;
    let (modes, key) = (Modes::of_terminal(env.is_utf8()), args.detach_key);
    let name = sentence(&attached.name);
    let mut session = Session::new(name, size, key, (stream, unread), (console, signals), modes);
    let end = session.run();
    session.leave();
    let name = std::mem::take(&mut session.name);
    // The process is let go before anything is said: a terminal that takes nothing may hold that up.
    drop(session);
    finish(&name, end)
}

/// Says why, now that the terminal is as it was.
fn finish(name: &str, end: io::Result<End>) -> Result<u8, Error> {
    let (text, status) = match end.map_err(|error| Error::system("passing the terminal on", error))? {
        End::Detached => (format!("detached from {name}"), 0),
        End::Process(exit) => (format!("{name} {}", how(&exit)), status(&exit)),
        End::Instance => ("ganger has ended".to_owned(), FAILURE),
        End::Signal(sig) => {
            complain(&format!("detached from {name} by {sig}"));
            signals::die(sig)
        }
    };
    print(format!("{}\n", sentence(&text)).as_bytes())?;
    Ok(status)
}

/// Why it ends.
#[derive(Debug)]
enum End {
    /// The key was pressed.
    Detached,
    /// The process has ended, and no run follows.
    Process(Exit),
    /// The connection is gone.
    Instance,
    Signal(Sig),
}

struct Session {
    name: String,
    size: Size,
    stream: UnixStream,
    console: Console,
    signals: Signals,
    key: DetachKey,
    /// Until when what may be the start of that key is held back.
    key_due: Option<Instant>,
    /// What came and is no whole frame yet.
    unread: Vec<u8>,
    /// What was read behind the key.
    late: Vec<u8>,
    /// What was typed and is not sent.
    typed: VecDeque<u8>,
    /// How much of what was sent has not gone to the process.
    on_its_way: usize,
    /// Frames to send.
    frames: Vec<u8>,
    /// For our terminal.
    shown: Vec<u8>,
    last_shown: u8,
    /// What was shown has made of our terminal.
    modes: Modes,
    writer: Option<Writer>,
    /// The last frame was read.
    end: Option<End>,
}

impl Session {
    fn new(
        name: String,
        size: Size,
        key: ControlKey,
        (stream, unread): (UnixStream, Vec<u8>),
        (console, signals): (Console, Signals),
        modes: Modes,
    ) -> Self {
        let hello = format!("attached to {name}, {key} detaches\r\n");
        Self {
            size,
            stream,
            console,
            signals,
            key: DetachKey::new(key),
            key_due: None,
            unread,
            late: Vec::new(),
            typed: VecDeque::new(),
            on_its_way: 0,
            frames: Vec::new(),
            // Behind it keys are the process's.
            shown: [KEEP_TITLE, hello.as_bytes()].concat(),
            name,
            last_shown: b'\n',
            modes,
            writer: None,
            end: None,
        }
    }

    fn run(&mut self) -> io::Result<End> {
        self.read_frames();
        loop {
            if self.shown.is_empty()
                && let Some(end) = self.end.take()
            {
                return Ok(end);
            }
            self.pack();
            let wants = (!self.shown.is_empty(), self.end.is_none() && self.shown.len() < MAX_SHOWN);
            let ready = self.console.wait(
                &self.stream,
                &self.signals,
                (wants.0, wants.1, !self.frames.is_empty()),
                self.key_due.map(|due| due.saturating_duration_since(Instant::now())),
            )?;
            if ready.signal
                && let Some(end) = self.hear_signals()?
            {
                return Ok(end);
            }
            if ready.typed
                && let Some(end) = self.read_keys()?
            {
                return Ok(end);
            }
            if self.key_due.is_some_and(|due| due <= Instant::now()) {
                self.key_due = None;
                let typed = self.key.give_up();
                self.type_in(&typed);
            }
            if ready.output {
                self.show()?;
            }
            if ready.told {
                self.send()?;
            }
            if ready.heard {
                self.listen()?;
            }
        }
    }

    fn hear_signals(&mut self) -> io::Result<Option<End>> {
        for received in self.signals.take() {
            match received.sig {
                Sig::WINCH => self.resized(),
                Sig::TSTP => {
                    self.leave();
                    self.console.give_back();
                    signals::stop_self(|| true);
                    self.console.take_again()?;
                    let fresh = self.modes.of_same_terminal();
                    let modes = std::mem::replace(&mut self.modes, fresh);
                    self.shown.extend([KEEP_TITLE, &modes.enter()].concat());
                    self.resized();
                }
                // Whoever has continued us may have used the terminal meanwhile.
                Sig::CONT => self.console.take_again()?,
                sig => return Ok(Some(End::Signal(sig))),
            }
        }
        Ok(None)
    }

    fn resized(&mut self) {
        self.size = self.console.size();
        let Size { rows, columns } = self.size;
        self.frames.extend(ToInstance::Size { rows, columns }.line());
    }

    fn read_keys(&mut self) -> io::Result<Option<End>> {
        let mut keys = [0; 4096];
        let count = match self.console.read(&mut keys) {
            // The window was closed; the signal that says so may come later.
            Ok(0) => return Ok(Some(End::Signal(Sig::HUP))),
            Ok(count) => count,
            Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(Some(End::Signal(Sig::HUP))),
            Err(error) if is_for_later(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (typed, rest) = self.key.find(&keys[..count]);
        let detaches = rest.is_some();
        self.late.extend_from_slice(rest.unwrap_or_default());
        self.key_due = self.key.holds().then(|| Instant::now() + REST_OF_KEY);
        self.type_in(&typed);
        if !detaches {
            return Ok(None);
        }
        // What was typed before it is the process's, if it takes it.
        self.send_last();
        Ok(Some(End::Detached))
    }

    fn type_in(&mut self, keys: &[u8]) {
        // Until it is known whose they are, they wait.
        let may_be_mine = self.writer.is_none_or(|writer| writer.you);
        if may_be_mine && self.typed.len() + keys.len() <= MAX_TYPED {
            self.typed.extend(keys);
        } else if !keys.is_empty() {
            self.shown.push(BELL);
        }
    }

    /// Makes frames of what may be sent now.
    fn pack(&mut self) {
        let is_mine = self.writer.is_some_and(|writer| writer.you);
        while is_mine && !self.typed.is_empty() && self.on_its_way < WINDOW && self.frames.len() < WINDOW {
            let count = self.typed.len().min(WINDOW - self.on_its_way).min(MAX_INPUT);
            let bytes: Vec<u8> = self.typed.drain(..count).collect();
            self.on_its_way += count;
            self.frames.extend(ToInstance::Input(Bytes(bytes)).line());
        }
    }

    fn send_last(&mut self) {
        self.pack();
        let _ = self.send();
    }

    fn send(&mut self) -> io::Result<()> {
        match self.stream.write(&self.frames) {
            Ok(count) => drop(self.frames.drain(..count)),
            Err(error) if is_for_later(&error) => {}
            // It is gone: what it said before that is still to be read.
            Err(error) if is_the_end(&error) => self.frames.clear(),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn show(&mut self) -> io::Result<()> {
        match self.console.write(&self.shown) {
            Ok(count) => {
                self.modes.push(&self.shown[..count]);
                self.last_shown = self.shown[..count].last().copied().unwrap_or(self.last_shown);
                self.shown.drain(..count);
            }
            Err(error) if is_for_later(&error) => {}
            Err(error) if error.raw_os_error() == Some(libc::EIO) => self.shown.clear(),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn listen(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.end = Some(End::Instance),
            Ok(count) => {
                self.unread.extend_from_slice(&chunk[..count]);
                self.read_frames();
                if self.unread.len() > MAX_FRAME {
                    let text = format!("the instance sent a frame of more than {MAX_FRAME} bytes");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
            Err(error) if is_for_later(&error) => {}
            Err(error) if is_the_end(&error) => self.end = Some(End::Instance),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn read_frames(&mut self) {
        let mut from = 0;
        while let Some(length) = memchr::memchr(b'\n', &self.unread[from..]) {
            // Of a later version there may be other frames.
            if let Ok(frame) = ToClient::read(&self.unread[from..from + length]) {
                self.take(frame);
            }
            from += length + 1;
            if self.end.is_some() {
                break;
            }
        }
        self.unread.drain(..from);
    }

    fn take(&mut self, frame: ToClient) {
        match frame {
            ToClient::Output(Bytes(bytes)) => self.shown.extend(bytes),
            ToClient::Skipped(count) => self.notice(&format!("{count} bytes of output are left out here")),
            ToClient::Taken(count) => self.on_its_way = self.on_its_way.saturating_sub(count),
            ToClient::Writer(writer) => self.hand_over(writer),
            ToClient::Run(pid) => self.notice(&format!("{} started again, pid {pid}", self.name)),
            ToClient::End(RunEnd { exit, again_in: None }) => self.end = Some(End::Process(exit)),
            ToClient::End(RunEnd { exit, again_in: Some(after) }) => {
                let mut text = format!("{} {}, starts again", self.name, how(&exit));
                if after >= 1.0 {
                    // Writing to a String cannot fail.
                    let _ = write!(text, " in {after:.0} s");
                }
                self.notice(&text);
            }
        }
    }

    fn hand_over(&mut self, writer: Writer) {
        if !writer.you {
            self.typed.clear();
        }
        let before = self.writer.replace(writer);
        let who = writer.pid.map_or_else(|| "another client".to_owned(), |pid| format!("pid {pid}"));
        match (before, writer.you) {
            (None, true) => {}
            (None, false) => self.notice(&format!("{who} types here; you look on until it leaves")),
            (Some(_), true) => {
                self.notice("you type now");
                self.resized();
            }
            (Some(_), false) => self.notice(&format!("{who} types now")),
        }
    }

    /// A line of ganger's own among those of the process.
    fn notice(&mut self, text: &str) {
        self.shown.extend(format!("\r\n[{}]\r\n", sentence(text)).into_bytes());
    }

    /// Gives our terminal its own modes back, if it still takes anything. What the terminal sends by itself until
    /// it has done so (mouse reports, answers) is not left to be read by the shell.
    fn leave(&mut self) {
        self.shown.clear();
        // Whatever is in front, the input is for it.
        let is_in_front = self.console.is_in_front();
        let mut rest = self.modes.leave();
        if self.last_shown != b'\n' {
            rest.extend_from_slice(b"\r\n");
        }
        if is_in_front {
            rest.extend_from_slice(FENCE);
        }
        while !rest.is_empty() {
            match self.console.write(&rest) {
                Ok(count) => drop(rest.drain(..count)),
                Err(error) if is_for_later(&error) && self.console.takes_more(PATIENCE) => {}
                Err(_) => return,
            }
        }
        if is_in_front {
            self.discard_reports();
        }
    }

    /// Reads until the terminal has come to the fence. Its answers to the process are passed on, or the process
    /// would wait for them for good.
    fn discard_reports(&mut self) {
        let (end, mut reports, mut answers) = (Instant::now() + LAST_REPORTS, Reports::default(), Vec::new());
        let (mut late, mut chunk, mut count) = (std::mem::take(&mut self.late), [0; 4096], 0);
        while !reports.take(&late, &mut answers) && count < MAX_REPORTS {
            // What is there already is read in any case.
            let patience = end.saturating_duration_since(Instant::now());
            match self.console.read_within(&mut chunk, patience) {
                Ok(0) | Err(_) => break,
                Ok(length) => {
                    late = chunk[..length].to_vec();
                    count += length;
                }
            }
        }
        if self.writer.is_some_and(|writer| writer.you) && self.typed.len() + answers.len() <= MAX_TYPED {
            self.typed.extend(answers);
            self.send_last();
        }
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn is_the_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn how(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exited with code {code}"),
        Exit::Signal(signal) => format!("was killed by {}", signal_in_words(signal)),
        Exit::Error(error) => format!("could not be started: {error}"),
    }
}

/// As a shell has it for a program that it ran itself.
fn status(exit: &Exit) -> u8 {
    match exit {
        Exit::Code(code) => *code,
        Exit::Signal(signal) => signal.parse().map_or(FAILURE, Sig::exit_status),
        Exit::Error(_) => FAILURE,
    }
}
