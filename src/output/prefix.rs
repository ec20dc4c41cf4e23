//! What stands before each line of one name, made once for many lines.
//!
//! It knows where the time goes in it and nothing else: what is round the time, colours or JSON,
//! is whoever's who makes one.

use super::clock::Clock;

/// Stands for the time in the text that a [`Prefix`] is made of.
pub(super) const TIME_MARK: char = '\0';

/// What stands before each line of one name: `12:00:00 web.1    | `.
#[derive(Debug, Clone)]
pub struct Prefix {
    /// The padded name with its bar, coloured; the time goes to `at`.
    before_time: Vec<u8>,
    after_time: Vec<u8>,
    /// The whole for this version of the clock.
    ready: Vec<u8>,
    version: Option<u64>,
}

impl Prefix {
    /// `painted` has [`TIME_MARK`] where the time goes, or not if there is to be none.
    pub(super) fn new(painted: &str) -> Self {
        // The time has the name's colour. It is put where the mark is, so that only one place
        // knows how a colour is written.
        let (before, after) = painted.split_once(TIME_MARK).unwrap_or(("", painted));
        Self { before_time: before.into(), after_time: after.into(), ready: Vec::new(), version: None }
    }

    /// All of it, at the time of `clock`.
    pub(super) fn at(&mut self, clock: &Clock) -> &[u8] {
        if self.version != Some(clock.version()) {
            self.ready.clear();
            self.ready.extend_from_slice(&self.before_time);
            self.ready.extend_from_slice(clock.text().as_bytes());
            self.ready.extend_from_slice(&self.after_time);
            self.version = Some(clock.version());
        }
        &self.ready
    }
}
