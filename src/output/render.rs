//! Lines and events to bytes. Pure but for the clock it is handed.

use std::time::Duration;

use super::style::Style;
use crate::model::{InstanceId, Port, ProcessName, Sig};
use crate::supervisor::event::{Consequence, Ended, Event};

/// The name ganger's own lines are under.
pub const SYSTEM: &str = "system";

/// The second that is shown before a line, as text. Made once for many lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clock {
    second: i64,
    text: String,
}

impl Clock {
    /// The local time at `unix` seconds, `HH:MM:SS`. Cheap while the second is the same.
    pub fn set(&mut self, unix: i64) {
        if self.text.is_empty() || self.second != unix {
            let time = jiff::Timestamp::from_second(unix).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            let local = time.to_zoned_datetime(jiff::tz::TimeZone::system());
            self.text.clear();
            self.text.push_str(&local.strftime("%H:%M:%S").to_string());
            self.second = unix;
        }
    }
}

/// What stands before each line of one name: `12:00:00 web.1    | `.
#[derive(Debug, Clone)]
pub struct Prefix {
    /// The padded name with its bar, coloured; the time goes to `at`.
    before_time: Vec<u8>,
    after_time: Vec<u8>,
    /// The whole for `second`.
    ready: Vec<u8>,
    second: Option<i64>,
}

impl Prefix {
    fn new(painted: &str) -> Self {
        // The time has the name's colour. It is put where the mark is, so that only one place
        // knows how a colour is written.
        let (before, after) = painted.split_once(TIME_MARK).unwrap_or(("", painted));
        Self { before_time: before.into(), after_time: after.into(), ready: Vec::new(), second: None }
    }

    fn at(&mut self, clock: &Clock) -> &[u8] {
        if self.second != Some(clock.second) {
            self.ready.clear();
            self.ready.extend_from_slice(&self.before_time);
            self.ready.extend_from_slice(clock.text.as_bytes());
            self.ready.extend_from_slice(&self.after_time);
            self.second = Some(clock.second);
        }
        &self.ready
    }
}

const TIME_MARK: char = '\0';

/// Makes prefixes of one width and writes lines behind them.
#[derive(Debug)]
pub struct Renderer {
    style: Style,
    width: usize,
    clock: Clock,
    system: Prefix,
    /// Types in the order of the Procfile: their place is their colour.
    types: Vec<ProcessName>,
}

impl Renderer {
    /// For the instances `ids`, whose names (and `system`) are padded to the longest.
    pub fn new<'a>(style: Style, ids: impl Iterator<Item = &'a InstanceId>) -> Self {
        let mut types: Vec<ProcessName> = Vec::new();
        let mut width = SYSTEM.len();
        for id in ids {
            width = width.max(id.to_string().len());
            if !types.contains(&id.name) {
                types.push(id.name.clone());
            }
        }
        let system = Prefix::new(&format!("{} ", style.system(&format!("{TIME_MARK} {SYSTEM:width$} |"))));
        Self { style, width, clock: Clock::default(), system, types }
    }

    /// How many columns stand before a line.
    pub fn prefix_width(&self) -> usize {
        "HH:MM:SS ".len() + self.width + " | ".len()
    }

    /// Sets the time of all lines until the next call.
    pub fn set_time(&mut self, unix: i64) {
        self.clock.set(unix);
    }

    /// The prefix of an instance.
    pub fn prefix(&self, id: &InstanceId) -> Prefix {
        let index = self.types.iter().position(|name| *name == id.name).unwrap_or(0);
        let (name, width) = (id.to_string(), self.width);
        Prefix::new(&format!("{} ", self.style.process(index, &format!("{TIME_MARK} {name:width$} |"))))
    }

    /// Appends what stands before a line.
    pub(super) fn begin_line(&self, out: &mut Vec<u8>, prefix: &mut Prefix) {
        out.extend_from_slice(prefix.at(&self.clock));
    }

    /// Appends a process's line to `out`, byte for byte. Where there are colours, a line that
    /// has escape sequences ends with a reset, so that none reaches the next line.
    pub fn line(&self, out: &mut Vec<u8>, prefix: &mut Prefix, line: &[u8]) {
        self.begin_line(out, prefix);
        out.extend_from_slice(line);
        if self.style.has_colors() && memchr::memchr(0x1b, line).is_some() {
            out.extend_from_slice(b"\x1b[0m");
        }
        out.push(b'\n');
    }

    /// Appends an event to `out`; `tail` are the last lines of the process a report is about.
    pub fn event<'a>(&mut self, out: &mut Vec<u8>, event: &Event, tail: impl Iterator<Item = &'a [u8]>) {
        let text = describe(event);
        let text = if is_failure(event) { self.style.failure(&text) } else { text };
        self.system_line(out, text.as_bytes());
        if let Event::Report { .. } = event {
            let mut tail = tail.peekable();
            if tail.peek().is_some() {
                self.system_line(out, b"its last lines:");
            }
            for line in tail {
                self.system_line(out, &[b"  ", line].concat());
            }
        }
    }

    fn system_line(&mut self, out: &mut Vec<u8>, line: &[u8]) {
        let mut system = self.system.clone();
        self.line(out, &mut system, line);
        self.system = system;
    }
}

fn is_failure(event: &Event) -> bool {
    match event {
        Event::Ended { end, then, .. } => !end.is_success() && *then != Consequence::Nothing,
        Event::Report { end, .. } => !end.is_success(),
        Event::Killed { .. } => true,
        Event::Started { .. } | Event::StopRequested(_) | Event::Hint(_) => false,
    }
}

/// An event in one line.
pub fn describe(event: &Event) -> String {
    match event {
        Event::Started { id, pid, port: None } => format!("{id} started, pid {pid}"),
        Event::Started { id, pid, port: Some(port) } => {
            format!("{id} started, pid {pid}, {}", address(id, *port))
        }
        Event::Ended { id, end, after, then } => {
            let then = match then {
                Consequence::Nothing => String::new(),
                Consequence::StopsAll => "; everything stops with it".to_owned(),
                Consequence::StartsAgain(Duration::ZERO) => "; it is started again".to_owned(),
                Consequence::StartsAgain(delay) => format!("; it is started again in {} s", delay.as_secs()),
            };
            match (end, then.is_empty()) {
                // It did what it was asked to.
                (Ended::Signaled(sig), true) if *sig != Sig::KILL => {
                    format!("{id} was stopped by {sig} after {}", duration(*after))
                }
                _ => format!("{}{then}", ended(id, end, *after)),
            }
        }
        Event::StopRequested(sig) => format!("{sig} received, stopping all; once more kills them"),
        Event::Killed { id, after } => {
            format!("{id} did not stop within {}, killing it", duration(*after))
        }
        Event::Report { id, end, after } => format!("{} and ended the run", ended(id, end, *after)),
        Event::Hint(text) => format!("hint: {text}"),
    }
}

fn address(id: &InstanceId, port: Port) -> String {
    if id.name.as_str() == ProcessName::WEB {
        format!("http://localhost:{port}")
    } else {
        format!("port {port}")
    }
}

fn ended(id: &InstanceId, end: &Ended, after: Duration) -> String {
    match end {
        Ended::Exited(code) => format!("{id} exited with code {code} after {}", duration(after)),
        Ended::Signaled(sig) => format!("{id} was killed by {sig} after {}", duration(after)),
        Ended::NotStarted(error) => format!("{id} could not be started: {}", error.message),
    }
}

/// `0.8 s`, `1 min 5 s`, `2 h 3 min`.
fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f64().min(59.9)),
        secs @ 60..3600 => format!("{} min {} s", secs / 60, secs % 60),
        secs => format!("{} h {} min", secs / 3600, secs / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> InstanceId {
        text.parse().expect("an instance")
    }

    fn renderer(colors: bool) -> Renderer {
        let mut renderer = Renderer::new(Style::new(colors), [id("web.1"), id("worker.10")].iter());
        renderer.clock = Clock { second: 1, text: "12:34:56".into() };
        renderer
    }

    #[test]
    fn lines_have_time_and_padded_name() {
        let renderer = renderer(false);
        let mut out = Vec::new();
        renderer.line(&mut out, &mut renderer.prefix(&id("web.1")), b"hello \xff\x1b[31mred");
        renderer.line(&mut out, &mut renderer.prefix(&id("worker.10")), b"");
        assert_eq!(out, b"12:34:56 web.1     | hello \xff\x1b[31mred\n12:34:56 worker.10 | \n");
    }

    #[test]
    fn colours_are_closed_at_the_end_of_a_line() {
        let renderer = renderer(true);
        let mut out = Vec::new();
        renderer.line(&mut out, &mut renderer.prefix(&id("web.1")), b"\x1b[31mred");
        renderer.line(&mut out, &mut renderer.prefix(&id("worker.10")), b"plain");
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "\x1b[36m12:34:56 web.1     |\x1b[0m \x1b[31mred\x1b[0m\n\
             \x1b[33m12:34:56 worker.10 |\x1b[0m plain\n"
        );
    }

    #[test]
    fn the_prefix_follows_the_clock() {
        let mut renderer = renderer(false);
        let mut prefix = renderer.prefix(&id("web.1"));
        let mut out = Vec::new();
        renderer.line(&mut out, &mut prefix, b"a");
        renderer.clock = Clock { second: 2, text: "12:34:57".into() };
        renderer.line(&mut out, &mut prefix, b"b");
        assert_eq!(out, b"12:34:56 web.1     | a\n12:34:57 web.1     | b\n");
    }

    #[test]
    fn events_in_words() {
        let secs = Duration::from_secs_f64;
        let port = Port::new(5000);
        let ended = |end, then| Event::Ended { id: id("web.1"), end, after: secs(0.84), then };
        let not_started = Ended::NotStarted(crate::supervisor::event::StartError {
            message: "too many open files".into(),
            hint: None,
        });
        let table = [
            Event::Started { id: id("web.1"), pid: 7, port },
            Event::Started { id: id("worker.1"), pid: 8, port: Port::new(5100) },
            Event::Started { id: id("worker.1"), pid: 8, port: None },
            ended(Ended::Exited(1), Consequence::StopsAll),
            ended(Ended::Exited(0), Consequence::Nothing),
            ended(Ended::Signaled(Sig::TERM), Consequence::Nothing),
            ended(Ended::Signaled(Sig::KILL), Consequence::Nothing),
            ended(Ended::Signaled(Sig::KILL), Consequence::StartsAgain(secs(4.0))),
            ended(not_started, Consequence::StartsAgain(Duration::ZERO)),
            Event::StopRequested(Sig::INT),
            Event::Killed { id: id("web.1"), after: secs(10.0) },
            Event::Report { id: id("web.1"), end: Ended::Exited(1), after: secs(65.0) },
            Event::Report { id: id("web.1"), end: Ended::Exited(1), after: secs(59.99) },
            Event::Report { id: id("web.1"), end: Ended::Exited(1), after: secs(7380.0) },
            Event::Hint("read the manual".into()),
        ];
        let text: Vec<String> = table.iter().map(describe).collect();
        insta::assert_snapshot!(text.join("\n"), @r"
        web.1 started, pid 7, http://localhost:5000
        worker.1 started, pid 8, port 5100
        worker.1 started, pid 8
        web.1 exited with code 1 after 0.8 s; everything stops with it
        web.1 exited with code 0 after 0.8 s
        web.1 was stopped by SIGTERM after 0.8 s
        web.1 was killed by SIGKILL after 0.8 s
        web.1 was killed by SIGKILL after 0.8 s; it is started again in 4 s
        web.1 could not be started: too many open files; it is started again
        SIGINT received, stopping all; once more kills them
        web.1 did not stop within 10.0 s, killing it
        web.1 exited with code 1 after 1 min 5 s and ended the run
        web.1 exited with code 1 after 59.9 s and ended the run
        web.1 exited with code 1 after 2 h 3 min and ended the run
        hint: read the manual
        ");
    }

    #[test]
    fn a_report_has_the_last_lines() {
        let mut out = Vec::new();
        let report = Event::Report { id: id("web.1"), end: Ended::Exited(1), after: Duration::from_secs(1) };
        renderer(false).event(&mut out, &report, [&b"Traceback"[..], b"  boom"].into_iter());
        insta::assert_snapshot!(String::from_utf8(out).expect("text"), @r"
        12:34:56 system    | web.1 exited with code 1 after 1.0 s and ended the run
        12:34:56 system    | its last lines:
        12:34:56 system    |   Traceback
        12:34:56 system    |     boom
        ");
    }
}
