//! Lines and events to bytes. Pure but for the clock it is handed.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::clock::{Clock, TimeFormat};
use super::lines::Block;
use super::look::{NO_LINK, width};
use super::prefix::{Prefix, TIME_MARK};
use super::style::{self, Style};
use super::words::describe;
use crate::model::{InstanceId, ProcessColor, ProcessName, visible};
use crate::supervisor::event::{Consequence, Event, LeftTo};

/// The name ganger's own lines are under.
pub const SYSTEM: &str = "system";

/// What stands before a line, as the user wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// How the time is written; `None`: not at all.
    pub time: Option<TimeFormat>,
    /// Where the time is that of.
    pub zone: TimeZone,
    /// Whether anything stands before a line. Without it only ganger's own lines have their
    /// name.
    pub prefix: bool,
}

impl Layout {
    /// The padded name and what is round it, with a mark where the time goes.
    fn head(&self, name: &str, width: usize) -> String {
        match &self.time {
            Some(_) => format!("{TIME_MARK} {name:width$} |"),
            None => format!("{name:width$} |"),
        }
    }
}

impl Default for Layout {
    fn default() -> Self {
        Self { time: Some(TimeFormat::default()), zone: TimeZone::UTC, prefix: true }
    }
}

/// How many columns are before a line: as many as the longest name needs, and what is beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Margin {
    name: usize,
    beside: usize,
    is_shown: bool,
}

impl Margin {
    /// Makes room for a name. Answers whether it was too narrow.
    pub fn widen(&mut self, id: &InstanceId) -> bool {
        let length = id.to_string().len();
        let is_wider = self.is_shown && length > self.name;
        self.name = self.name.max(length);
        is_wider
    }

    /// All of it, in columns.
    pub fn width(&self) -> usize {
        if self.is_shown { self.name + self.beside } else { 0 }
    }
}

/// Makes prefixes of one width and writes lines behind them.
#[derive(Debug)]
pub struct Renderer {
    style: Style,
    layout: Layout,
    margin: Margin,
    clock: Clock,
    system: Prefix,
    /// Types in the order of the Procfile: their place is their colour.
    types: Vec<ProcessName>,
    /// Types that have another one.
    painted: Vec<(ProcessName, ProcessColor)>,
}

impl Renderer {
    /// For the instances `ids`, whose names (and `system`) are padded to the longest.
    pub fn new<'a>(style: Style, layout: Layout, ids: impl Iterator<Item = &'a InstanceId>) -> Self {
        let clock = Clock::new(layout.time.clone().filter(|_| layout.prefix), layout.zone.clone());
        let time = layout.time.as_ref();
        let time = time.map_or(0, |format| width(format.widest(&layout.zone).as_bytes()) + " ".len());
        let margin = Margin { name: SYSTEM.len(), beside: time + " | ".len(), is_shown: layout.prefix };
        let system = Prefix::new("");
        let mut renderer =
            Self { style, layout, margin, clock, system, types: Vec::new(), painted: Vec::new() };
        for id in ids {
            renderer.admit(id);
        }
        renderer.system = renderer.system_prefix();
        renderer
    }

    /// Gives a type another colour than that of its place, whether it runs yet or not.
    pub fn paint(&mut self, name: ProcessName, color: ProcessColor) {
        self.painted.push((name, color));
    }

    fn color(&self, name: &ProcessName) -> ProcessColor {
        let painted = self.painted.iter().find(|(known, _)| known == name);
        let place = || self.types.iter().position(|known| known == name).unwrap_or(0);
        painted.map_or_else(|| style::usual(place()), |(_, color)| *color)
    }

    /// Counts with this instance too, if it is a new one. Answers whether the prefixes of all are
    /// to be made anew.
    pub fn join(&mut self, id: &InstanceId) -> bool {
        let is_wider = self.admit(id);
        if is_wider {
            self.system = self.system_prefix();
        }
        is_wider
    }

    fn admit(&mut self, id: &InstanceId) -> bool {
        if !self.types.contains(&id.name) {
            self.types.push(id.name.clone());
        }
        self.margin.widen(id)
    }

    fn system_prefix(&self) -> Prefix {
        let layout = &self.layout;
        let head = if layout.prefix { layout.head(SYSTEM, self.margin.name) } else { format!("{SYSTEM} |") };
        Prefix::new(&format!("{} ", self.style.system(&head)))
    }

    /// What stands before a line of a process, at most.
    pub fn margin(&self) -> Margin {
        self.margin
    }

    /// Sets the time of all lines until the next call.
    pub fn set_time(&mut self, time: Timestamp) {
        self.clock.set(time);
    }

    /// The prefix of an instance.
    pub fn prefix(&self, id: &InstanceId) -> Prefix {
        if !self.layout.prefix {
            return Prefix::new("");
        }
        let head = self.layout.head(&id.to_string(), self.margin.name);
        Prefix::new(&format!("{} ", self.style.process(self.color(&id.name), &head)))
    }

    /// Appends what stands before a line.
    pub(super) fn begin_line(&self, out: &mut Vec<u8>, prefix: &mut Prefix) {
        out.extend_from_slice(prefix.at(&self.clock));
    }

    /// Appends a process's line to `out`, byte for byte. Where there are colours, a line that
    /// has escape sequences ends with a reset, and with the end of a link that it leaves open, so that
    /// neither reaches the next line.
    pub fn line(&self, out: &mut Vec<u8>, prefix: &mut Prefix, line: &[u8]) {
        self.begin_line(out, prefix);
        out.extend_from_slice(line);
        if self.style.has_colors() && memchr::memchr(0x1b, line).is_some() {
            if leaves_link(line) {
                out.extend_from_slice(NO_LINK);
            }
            out.extend_from_slice(b"\x1b[0m");
        }
        out.push(b'\n');
    }

    /// As [`Renderer::line`], for as many as there are.
    pub fn block(&self, out: &mut Vec<u8>, prefix: &mut Prefix, block: Block<'_>) {
        match block {
            Block::One(line) => self.line(out, prefix, line),
            // One look for all of them: most have no escape sequence.
            Block::Row(text) if self.style.has_colors() && memchr::memchr(0x1b, text).is_some() => {
                lines_of(text, |line| self.line(out, prefix, &line[..line.len() - 1]));
            }
            Block::Row(text) => {
                let prefix = prefix.at(&self.clock);
                lines_of(text, |line| {
                    out.extend_from_slice(prefix);
                    out.extend_from_slice(line);
                });
            }
        }
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

    /// Appends a line of ganger's own to `out`.
    pub(super) fn notice(&self, out: &mut Vec<u8>, text: &str) {
        self.line(out, &mut self.system.clone(), visible(text).as_bytes());
    }

    fn system_line(&mut self, out: &mut Vec<u8>, line: &[u8]) {
        let mut system = self.system.clone();
        self.line(out, &mut system, line);
        self.system = system;
    }
}

/// Returns whether the last link (OSC 8) of a line has an address, which means it is open.
fn leaves_link(line: &[u8]) -> bool {
    let Some(at) = memchr::memmem::rfind(line, b"\x1b]8;") else { return false };
    let mut rest = line[at + 4..].splitn(2, |byte| *byte == b';');
    let address = rest.nth(1).unwrap_or_default();
    !matches!(address, [0x07 | 0x1b, ..])
}

/// Gives each line of `text` to `each`, with its newline.
fn lines_of(text: &[u8], mut each: impl FnMut(&[u8])) {
    let mut begin = 0;
    for newline in memchr::memchr_iter(b'\n', text) {
        each(&text[begin..=newline]);
        begin = newline + 1;
    }
}

fn is_failure(event: &Event) -> bool {
    match event {
        Event::Ended { end, then, .. } | Event::CommandEnded { end, then, .. } => {
            !end.is_success() && *then != Consequence::Nothing
        }
        Event::Report { end, .. } => !end.is_success(),
        Event::Left { what: LeftTo::BeKilled(_), .. }
        | Event::Killed { .. }
        | Event::LogLost { .. }
        | Event::OutputLost { .. } => true,
        Event::Started { .. }
        | Event::Waiting { .. }
        | Event::CommandWaiting { .. }
        | Event::Ready { .. }
        | Event::Signaled { .. }
        | Event::StopRequested(_)
        | Event::Left { what: LeftTo::Stop | LeftTo::BeWaitedFor, .. }
        | Event::Kept { .. }
        | Event::Hint(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::supervisor::event::Ended;

    fn id(text: &str) -> InstanceId {
        text.parse().expect("an instance")
    }

    fn renderer(colors: bool) -> Renderer {
        laid_out(colors, Layout::default())
    }

    fn laid_out(colors: bool, layout: Layout) -> Renderer {
        let mut renderer = Renderer::new(Style::new(colors), layout, [id("web.1"), id("worker.10")].iter());
        renderer.set_time(at(56, 789));
        renderer
    }

    /// 12:34 UTC, and these.
    fn at(second: i64, millisecond: i32) -> Timestamp {
        Timestamp::new(12 * 3600 + 34 * 60 + second, millisecond * 1_000_000).expect("a time")
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
    fn links_are_closed_at_the_end_of_a_line() {
        let renderer = renderer(true);
        for (line, is_open) in [
            ("\x1b]8;;http://a\x07text", true),
            ("\x1b]8;id=1;http://a\x1b\\text", true),
            ("\x1b]8;;http://a\x07text\x1b]8;;\x07", false),
            ("\x1b]8;;http://a\x1b\\text\x1b]8;;\x1b\\.", false),
            ("\x1b]8;;\x07\x1b]8;;b\x07", true),
            ("\x1b]8;;http://a", true),
            ("\x1b]8;", true),
            ("\x1b[31mred", false),
        ] {
            let mut out = Vec::new();
            renderer.line(&mut out, &mut renderer.prefix(&id("web.1")), line.as_bytes());
            let end = if is_open { "\x1b]8;;\x1b\\" } else { "" };
            let expected = format!("|\x1b[0m {line}{end}\x1b[0m\n");
            assert!(out.ends_with(expected.as_bytes()), "{}", out.escape_ascii());
        }
    }

    #[test]
    fn a_row_of_lines_is_as_each_of_them() {
        let texts = [
            &b"a\n\nb\n"[..],
            b"\x1b]8;;a\x07\n\x1b]8;;\x07\n",
            b"\n",
            b"plain\n\x1b[31mred\n\nplain\n",
            b"\x1b[1m\n\x1b[0m\n",
        ];
        for (colors, text) in [false, true].into_iter().flat_map(|it| texts.map(|text| (it, text))) {
            let renderer = renderer(colors);
            let mut prefix = renderer.prefix(&id("web.1"));
            let (mut one_by_one, mut row) = (Vec::new(), Vec::new());
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                renderer.line(&mut one_by_one, &mut prefix, &line[..line.len() - 1]);
            }
            renderer.block(&mut row, &mut prefix, Block::Row(text));
            assert_eq!(row.escape_ascii().to_string(), one_by_one.escape_ascii().to_string());
        }
    }

    #[test]
    fn the_prefix_follows_the_clock() {
        let mut renderer = renderer(false);
        let mut prefix = renderer.prefix(&id("web.1"));
        let mut out = Vec::new();
        renderer.line(&mut out, &mut prefix, b"a");
        renderer.set_time(at(57, 0));
        renderer.line(&mut out, &mut prefix, b"b");
        assert_eq!(out, b"12:34:56 web.1     | a\n12:34:57 web.1     | b\n");
    }

    #[test]
    fn the_width_of_a_prefix_is_that_of_the_widest() {
        let width = |time: Option<&str>, prefix| {
            let time = time.map(|text| text.parse().expect("a format"));
            laid_out(true, Layout { time, zone: TimeZone::UTC, prefix }).margin().width()
        };
        assert_eq!(width(Some("%H:%M:%S"), true), "12:34:56 worker.10 | ".len());
        assert_eq!(width(Some("%A %B %-d %-I"), true), "Wednesday September 30 10 worker.10 | ".len());
        // As a terminal shows it, where a character may be several bytes.
        assert_eq!(width(Some("%H·%M"), true), "12:34 worker.10 | ".len());
        assert_eq!(width(None, true), "worker.10 | ".len());
        assert_eq!(width(Some("%H:%M:%S"), false), 0);
    }

    /// A line of a process and one of ganger, in each layout.
    #[test]
    fn layouts() {
        let format = |text: &str| Some(text.parse::<TimeFormat>().expect("a format"));
        let mut shown = String::new();
        for colors in [false, true] {
            for time in [format("%H:%M:%S"), format("%T%.3f"), format("%I:%M %p"), None] {
                for prefix in [true, false] {
                    let layout = Layout { time: time.clone(), zone: TimeZone::UTC, prefix };
                    let mut renderer = laid_out(colors, layout);
                    let mut out = Vec::new();
                    renderer.line(&mut out, &mut renderer.prefix(&id("web.1")), b"hello");
                    renderer.event(&mut out, &Event::Hint("read".into()), std::iter::empty());
                    shown.push_str(&String::from_utf8(out).expect("text").replace('\x1b', "ESC"));
                }
            }
        }
        insta::assert_snapshot!(shown, @r"
        12:34:56 web.1     | hello
        12:34:56 system    | hint: read
        hello
        system | hint: read
        12:34:56.789 web.1     | hello
        12:34:56.789 system    | hint: read
        hello
        system | hint: read
        12:34 PM web.1     | hello
        12:34 PM system    | hint: read
        hello
        system | hint: read
        web.1     | hello
        system    | hint: read
        hello
        system | hint: read
        ESC[36m12:34:56 web.1     |ESC[0m hello
        ESC[1m12:34:56 system    |ESC[0m hint: read
        hello
        ESC[1msystem |ESC[0m hint: read
        ESC[36m12:34:56.789 web.1     |ESC[0m hello
        ESC[1m12:34:56.789 system    |ESC[0m hint: read
        hello
        ESC[1msystem |ESC[0m hint: read
        ESC[36m12:34 PM web.1     |ESC[0m hello
        ESC[1m12:34 PM system    |ESC[0m hint: read
        hello
        ESC[1msystem |ESC[0m hint: read
        ESC[36mweb.1     |ESC[0m hello
        ESC[1msystem    |ESC[0m hint: read
        hello
        ESC[1msystem |ESC[0m hint: read
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
