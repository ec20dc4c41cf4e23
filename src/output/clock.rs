//! The time that stands before a line: how it is written, and its text.
//!
//! The time itself is handed in, once for each wake-up of the output thread, so that this module
//! reads no clock; its text is made anew only when it has changed.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use crate::model::{hides, sentence};

/// A way to write a local time, as `strftime` has it. It was tried: it can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeFormat {
    text: String,
    /// Its text changes within a second.
    is_fine: bool,
}

/// The maximum length of a formatted time.
const MOST_CHARACTERS: usize = 100;

/// A text that is no way to write a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseTimeFormatError {
    /// Every line would have the same text.
    #[error("there is no time in it; write one as in `%H:%M:%S`")]
    NoTime,
    /// A line end inside a prefix would make two lines of one.
    #[error("it gives a line end, a tab or another control character")]
    Control,
    /// Such a prefix could be mistaken for another, or change how the line after it looks.
    #[error("it contains a character that hides or reorders text")]
    Hidden,
    /// All of it would be repeated on every line.
    #[error("it produces more than {MOST_CHARACTERS} characters")]
    TooLong,
    /// What cannot be written.
    #[error("{0}")]
    Bad(String),
}

impl ParseTimeFormatError {
    /// What jiff says, without where in jiff it was said.
    fn of(error: &jiff::Error) -> Self {
        let text = error.to_string();
        Self::Bad(sentence(text.strip_prefix("strftime formatting failed: ").unwrap_or(&text)))
    }
}

impl Default for TimeFormat {
    fn default() -> Self {
        Self { text: Self::DEFAULT.into(), is_fine: false }
    }
}

impl TimeFormat {
    /// Hours, minutes and seconds.
    pub const DEFAULT: &str = "%H:%M:%S";

    /// RFC 3339 with milliseconds and the offset of the zone, which every reader of JSON knows.
    pub fn rfc3339() -> Self {
        Self { text: "%Y-%m-%dT%H:%M:%S%.3f%:z".into(), is_fine: true }
    }

    /// A text of it that is as wide as any: some have as many characters as the name of the day.
    pub(super) fn widest(&self, zone: &TimeZone) -> String {
        // A Wednesday in September, with two digits everywhere, also of the hour from 1 to 12.
        let time = zone.to_timestamp(jiff::civil::date(2026, 9, 30).at(22, 58, 58, 123_456_789));
        time.and_then(|time| self.write(time, zone)).unwrap_or_default()
    }

    fn write(&self, time: Timestamp, zone: &TimeZone) -> Result<String, jiff::Error> {
        strtime::format(&self.text, &time.to_zoned_datetime(zone.clone()))
    }
}

impl FromStr for TimeFormat {
    type Err = ParseTimeFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.replace("%%", "").contains('%') {
            return Err(ParseTimeFormatError::NoTime);
        }
        // Two times in one second: whoever writes them differently has parts of a second in it.
        let mut format = Self { text: text.to_owned(), is_fine: true };
        let write = |nanosecond| {
            let time = Timestamp::new(1_800_000_000, nanosecond).unwrap_or(Timestamp::UNIX_EPOCH);
            format.write(time, &TimeZone::UTC).map_err(|error| ParseTimeFormatError::of(&error))
        };
        let (whole, part) = (write(0)?, write(123_456_789)?);
        if whole.chars().any(char::is_control) {
            return Err(ParseTimeFormatError::Control);
        }
        if whole.contains(hides) {
            return Err(ParseTimeFormatError::Hidden);
        }
        if whole.chars().nth(MOST_CHARACTERS).is_some() {
            return Err(ParseTimeFormatError::TooLong);
        }
        format.is_fine = whole != part;
        Ok(format)
    }
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A time as text, for many lines.
#[derive(Debug, Clone)]
pub struct Clock {
    /// `None`: no time is shown.
    format: Option<TimeFormat>,
    zone: TimeZone,
    time: Timestamp,
    text: String,
    /// Grows with each new text.
    version: u64,
}

impl Clock {
    /// A clock that was not set yet. Without a format its text is empty.
    pub fn new(format: Option<TimeFormat>, zone: TimeZone) -> Self {
        Self { format, zone, time: Timestamp::UNIX_EPOCH, text: String::new(), version: 0 }
    }

    /// Sets the time. Cheap while it has the same text.
    pub fn set(&mut self, time: Timestamp) {
        let Some(format) = &self.format else { return };
        let is_same = if format.is_fine { self.time == time } else { same_second(self.time, time) };
        if self.version == 0 || !is_same {
            // The format was tried, so this cannot fail.
            self.text = format.write(time, &self.zone).unwrap_or_default();
            self.version += 1;
            self.time = time;
        }
    }

    /// The time, as text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Another text has another version.
    pub fn version(&self) -> u64 {
        self.version
    }
}

fn same_second(a: Timestamp, b: Timestamp) -> bool {
    a.as_second() == b.as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64, millisecond: i32) -> Timestamp {
        Timestamp::new(second, millisecond * 1_000_000).expect("a time")
    }

    fn parsed(text: &str) -> Result<TimeFormat, String> {
        text.parse().map_err(|error: ParseTimeFormatError| error.to_string())
    }

    #[test]
    fn what_has_parts_of_a_second_is_fine() {
        for text in ["%H:%M:%S%.3f", "%T%.f", "%f", "%3N", "%s.%6f"] {
            assert!(parsed(text).expect("good").is_fine, "{text}");
        }
        for text in [TimeFormat::DEFAULT, "%F %T %:z", "%s", "%a %d %b, %I:%M %p", "%%%H"] {
            assert!(!parsed(text).expect("good").is_fine, "{text}");
        }
    }

    #[test]
    fn what_is_given_to_programs_can_be_written() {
        let format = TimeFormat::rfc3339();
        assert_eq!(parsed(&format.to_string()), Ok(format));
        assert_eq!(parsed(TimeFormat::DEFAULT), Ok(TimeFormat::default()));
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let table = [
            ("", "there is no time in it; write one as in `%H:%M:%S`"),
            ("1", "there is no time in it; write one as in `%H:%M:%S`"),
            ("100%%", "there is no time in it; write one as in `%H:%M:%S`"),
            ("%H%n", "it gives a line end, a tab or another control character"),
            ("%H\t%M", "it gives a line end, a tab or another control character"),
            ("%H:%!", "found unrecognized specifier directive `!`"),
            ("%H:%M:%", "invalid format string, expected byte after `%`, but found end of format string"),
        ];
        for (text, expected) in table {
            assert_eq!(parsed(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn the_text_changes_with_what_is_shown_of_the_time() {
        let mut clock = Clock::new(Some(parsed("%S").expect("good")), TimeZone::UTC);
        let mut versions = Vec::new();
        for time in [at(0, 0), at(0, 1), at(1, 0), at(1, 999), at(0, 0)] {
            clock.set(time);
            versions.push((clock.version(), clock.text().to_owned()));
        }
        let text = |version, text: &str| (version, text.to_owned());
        let expected = [text(1, "00"), text(1, "00"), text(2, "01"), text(2, "01"), text(3, "00")];
        assert_eq!(versions, expected);
    }

    #[test]
    fn parts_of_a_second_are_those_of_each_time() {
        let mut clock = Clock::new(Some(parsed("%S%.3f").expect("good")), TimeZone::UTC);
        let mut texts = Vec::new();
        for time in [at(5, 0), at(5, 1), at(5, 1), at(5, 250), at(6, 250)] {
            clock.set(time);
            texts.push(format!("{} {}", clock.version(), clock.text()));
        }
        assert_eq!(texts, ["1 05.000", "2 05.001", "2 05.001", "3 05.250", "4 06.250"]);
    }

    #[test]
    fn without_a_format_there_is_no_text() {
        let mut clock = Clock::new(None, TimeZone::UTC);
        clock.set(at(5, 0));
        assert_eq!((clock.version(), clock.text()), (0, ""));
    }
}
