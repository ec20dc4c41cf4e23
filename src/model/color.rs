//! Colours by the names users write.

use std::fmt;
use std::str::FromStr;

/// The colour of what stands before a process's lines: one of the sixteen that every terminal has,
/// or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ProcessColor {
    None,
    Black,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    White,
    BrightBlack,
    BrightRed,
    BrightGreen,
    BrightYellow,
    BrightBlue,
    BrightMagenta,
    BrightCyan,
    BrightWhite,
}

/// A text that is no colour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a colour is `none` or one of black, red, green, yellow, blue, magenta, cyan and white, also with \
     `bright-` before it"
)]
pub struct ParseColorError;

impl ProcessColor {
    /// All of them, with their names.
    pub const NAMES: &[(&'static str, Self)] = &[
        ("none", Self::None),
        ("black", Self::Black),
        ("red", Self::Red),
        ("green", Self::Green),
        ("yellow", Self::Yellow),
        ("blue", Self::Blue),
        ("magenta", Self::Magenta),
        ("cyan", Self::Cyan),
        ("white", Self::White),
        ("bright-black", Self::BrightBlack),
        ("bright-red", Self::BrightRed),
        ("bright-green", Self::BrightGreen),
        ("bright-yellow", Self::BrightYellow),
        ("bright-blue", Self::BrightBlue),
        ("bright-magenta", Self::BrightMagenta),
        ("bright-cyan", Self::BrightCyan),
        ("bright-white", Self::BrightWhite),
    ];
}

impl FromStr for ProcessColor {
    type Err = ParseColorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, color)| *color).ok_or(ParseColorError)
    }
}

impl fmt::Display for ProcessColor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::NAMES.iter().find(|(_, color)| color == self);
        f.pad(known.map_or("none", |(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_as_they_are_written() {
        for (name, color) in ProcessColor::NAMES {
            assert_eq!((name.parse(), color.to_string().as_str()), (Ok(*color), *name));
        }
        for bad in ["", "Red", "pink", "bright red", "brightred", "bright-none"] {
            assert_eq!(bad.parse::<ProcessColor>(), Err(ParseColorError), "{bad}");
        }
    }
}
