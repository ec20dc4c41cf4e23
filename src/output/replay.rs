//! Lines that were read elsewhere, written as the main view writes them: for `ganger logs`.
//!
//! It belongs to whoever asked, and knows that terminal. It reads and writes nothing itself.

use std::collections::HashMap;

use jiff::Timestamp;

use super::format::Format;
use super::lines::Piece;
use super::prefix::Prefix;
use super::render::Renderer;
use super::sanitize::{Allowed, Row, Sanitizer};
use super::screen::columns_of_process;
use super::source::Stream;
use crate::model::InstanceId;

/// Writes lines of many processes.
#[derive(Debug)]
pub struct Replay {
    format: Format,
    voices: Voices,
}

/// How far each of them is.
#[derive(Debug)]
pub(super) struct Voices {
    /// What may pass to a terminal, and how wide it is; `None` where there is none.
    terminal: Option<(Allowed, u16)>,
    voices: HashMap<(InstanceId, Stream), Voice>,
}

#[derive(Debug)]
struct Voice {
    prefix: Prefix,
    /// Its colours go on in its next line.
    sanitizer: Option<Box<Sanitizer>>,
}

/// A line that somebody else has read.
#[derive(Debug, Clone)]
pub struct Told {
    /// When.
    pub time: Timestamp,
    /// Whose.
    pub id: InstanceId,
    /// Which output.
    pub stream: Stream,
    /// Without the newline.
    pub bytes: Vec<u8>,
    /// It goes on in the next.
    pub cut: bool,
}

impl Replay {
    /// Writes in this format; on a terminal, what is allowed there and how wide it is.
    pub fn new(format: Format, terminal: Option<(Allowed, u16)>) -> Self {
        Self { format, voices: Voices::new(terminal) }
    }

    /// Appends a line to `out`.
    pub fn line(&mut self, line: &Told, out: &mut Vec<u8>) {
        self.voices.line(&mut self.format, line, out);
    }

    /// Appends what was held back, such as blank lines, which wait for what comes behind them.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.voices.finish(&self.format, out);
    }

    /// Appends a notice of ganger's own to `out`; in JSON there is none.
    pub fn notice(&mut self, text: &str, out: &mut Vec<u8>) {
        self.format.notice(text, out);
    }
}

impl Voices {
    pub(super) fn new(terminal: Option<(Allowed, u16)>) -> Self {
        Self { terminal, voices: HashMap::new() }
    }

    pub(super) fn line(&mut self, format: &mut Format, line: &Told, out: &mut Vec<u8>) {
        format.set_time(line.time);
        let key = (line.id.clone(), line.stream);
        let new = || Voice {
            prefix: format.prefix(&line.id, line.stream),
            sanitizer: self.terminal.map(|(allowed, _)| Box::new(Sanitizer::of_lines(allowed))),
        };
        let Voice { prefix, sanitizer } = self.voices.entry(key).or_insert_with(new);
        match (&*format, sanitizer) {
            (Format::Text(renderer), None) => renderer.line(out, prefix, &line.bytes),
            (Format::Text(renderer), Some(sanitizer)) => {
                let columns = self.terminal.map_or(0, |(_, columns)| columns);
                sanitizer.set_columns(columns_of_process(columns, renderer));
                for part in [&line.bytes, &b"\n"[..]] {
                    sanitizer.push(part, |row| show(renderer, prefix, row, out));
                }
            }
            (Format::Json(json), _) => json.line(out, prefix, Piece { bytes: &line.bytes, cut: line.cut }),
        }
    }

    pub(super) fn finish(&mut self, format: &Format, out: &mut Vec<u8>) {
        let Format::Text(renderer) = format else { return };
        for Voice { prefix, sanitizer } in self.voices.values_mut() {
            if let Some(sanitizer) = sanitizer {
                sanitizer.finish(|row| show(renderer, prefix, row, out));
            }
        }
    }
}

fn show(renderer: &Renderer, prefix: &mut Prefix, row: &Row, out: &mut Vec<u8>) {
    renderer.begin_line(out, prefix);
    row.write(out);
    out.push(b'\n');
}
