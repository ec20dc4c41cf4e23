//! The terminal that all processes share: whose unfinished line the cursor is on.
//!
//! It puts lines and half lines into the sink's buffer for the sources, which keep what is not
//! shown yet. A half line stays in place and grows there until somebody else writes; then it
//! ends, and the rest of it comes under a new prefix.

use std::time::Duration;

use super::prefix::Prefix;
use super::render::Renderer;
use super::sanitize::{Allowed, Row, Sanitizer};
use crate::supervisor::event::Run;

/// How long a half line waits for its rest before it is shown. A line that is written in two
/// pieces is whole long before; a person who has to answer a prompt does not notice.
pub(super) const PATIENCE: Duration = Duration::from_millis(300);

/// What the terminal can do and what may be done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// What of the processes' sequences passes.
    pub allowed: Allowed,
    /// A line can be written anew.
    pub rewrites: bool,
    /// Its width.
    pub columns: u16,
}

/// The least number of columns that a process gets, however long the names are.
pub const LEAST_COLUMNS: u16 = 20;

/// How much of a terminal is left beside the prefix.
pub(super) fn columns_of_process(columns: u16, renderer: &Renderer) -> usize {
    usize::from(columns).saturating_sub(renderer.margin().width()).max(usize::from(LEAST_COLUMNS))
}

/// The state of the terminal.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) abilities: Abilities,
    /// Whose half line the cursor is behind.
    owner: Option<Run>,
}

/// Where one process's rows go.
pub(super) struct Place<'a> {
    pub(super) run: Run,
    pub(super) prefix: &'a mut Prefix,
    pub(super) renderer: &'a Renderer,
}

impl Screen {
    pub(super) fn new(abilities: Abilities) -> Self {
        Self { abilities, owner: None }
    }

    /// How wide the terminal of a process is, or would be if it had one.
    pub(super) fn columns_of_process(&self, renderer: &Renderer) -> usize {
        columns_of_process(self.abilities.columns, renderer)
    }

    /// Ends the half line the cursor is on, if there is one: somebody else writes.
    pub(super) fn new_line(&mut self, out: &mut Vec<u8>) {
        if self.owner.take().is_some() {
            out.push(b'\n');
        }
    }

    /// Lines of a process that are shown once more, made harmless.
    pub(super) fn harmless<'a>(&self, lines: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let mut harmless = Vec::new();
        let mut sanitizer = Sanitizer::of_lines(self.abilities.allowed);
        let mut emit = |row: &mut Row| {
            let mut line = Vec::new();
            row.write(&mut line);
            harmless.push(line);
        };
        for part in lines.flat_map(|line| [line, b"\n"]) {
            sanitizer.push(part, &mut emit);
        }
        sanitizer.finish(emit);
        harmless
    }

    /// Whether what is new in the row can be put where its shown part is.
    pub(super) fn is_in_place(&self, run: Run, row: &Row, renderer: &Renderer) -> bool {
        let fits = || renderer.margin().width() + row.shown_width() <= usize::from(self.abilities.columns);
        self.owner == Some(run) && row.is_shown() && (row.is_longer() || (self.abilities.rewrites && fits()))
    }

    /// Appends a row that is whole.
    pub(super) fn line(&mut self, place: &mut Place<'_>, row: &Row, out: &mut Vec<u8>) {
        if self.put(place, row, out).is_some() {
            out.push(b'\n');
        }
        self.owner = None;
    }

    /// Appends what there is of a row.
    pub(super) fn half_line(&mut self, place: &mut Place<'_>, row: &mut Row, out: &mut Vec<u8>) {
        if let Some(anew) = self.put(place, row, out) {
            row.set_shown(anew);
            self.owner = Some(place.run);
        }
    }

    /// Answers whether it stands on a new line, or `None` if the cursor is on no line of the row.
    fn put(&mut self, place: &mut Place<'_>, row: &Row, out: &mut Vec<u8>) -> Option<bool> {
        if self.is_in_place(place.run, row, place.renderer) {
            if row.is_longer() {
                row.write_rest(out);
            } else {
                // To the begin of the line, and erase it (ECMA-48 8.3.41).
                out.extend_from_slice(b"\r\x1b[2K");
                place.renderer.begin_line(out, place.prefix);
                row.write(out);
            }
            return Some(false);
        }
        self.new_line(out);
        // What was shown further up has come to its end there.
        if row.is_shown() && (row.is_empty() || !row.is_half()) {
            return None;
        }
        place.renderer.begin_line(out, place.prefix);
        if row.is_longer() {
            row.write_rest(out);
        } else {
            row.write(out);
        }
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_behind_a_move_up_are_in_the_report() {
        let abilities = Abilities { allowed: Allowed::TEXT, rewrites: true, columns: 80 };
        let harmless = |lines: &[&[u8]]| Screen::new(abilities).harmless(lines.iter().copied());
        let lines = harmless(&[b"building", b"\x1b[1A\x1b[2Kbuilt", b"served", b"", b"failed"]);
        assert_eq!(lines, [&b"building"[..], b"built", b"served", b"", b"failed"]);
        // A picture that has no end is none.
        assert!(harmless(&[b"a", b"\x1b_Gf=100;AAAA"]).starts_with(&[b"a".to_vec()]));
    }
}
