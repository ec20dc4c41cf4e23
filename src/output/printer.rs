//! All that lines and events go through on their way to stdout.

use super::format::Format;
use super::screen::Screen;
use super::sink::Sink;
use super::source::{Paper, Stream};
use crate::supervisor::event::Event;

/// Stdout and how it is written.
pub(super) struct Printer {
    pub(super) format: Format,
    pub(super) sink: Sink,
    /// Stdout, if it is a terminal and the format is text.
    pub(super) screen: Option<Screen>,
}

impl Printer {
    pub(super) fn new(format: Format, sink: Sink, screen: Option<Screen>) -> Self {
        Self { format, sink, screen }
    }

    pub(super) fn paper(&mut self) -> Paper<'_> {
        Paper { format: &self.format, out: &mut self.sink.buffer, screen: self.screen.as_mut() }
    }

    /// Prints an event; `tail` are the last lines of the process a report is about.
    pub(super) fn event<'a>(&mut self, event: &Event, tail: impl Iterator<Item = (Stream, &'a [u8])>) {
        let out = &mut self.sink.buffer;
        let Some(screen) = &mut self.screen else { return self.format.event(out, event, tail) };
        screen.new_line(out);
        // A terminal has only text, where both streams are one.
        let tail = screen.harmless(tail.map(|(_, line)| line));
        self.format.event(out, event, tail.iter().map(|line| (Stream::Stdout, &line[..])));
    }
}
