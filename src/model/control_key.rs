//! Ctrl and a character, as it is typed.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// A key pressed together with Ctrl that terminals send as one byte, and that is not Enter, Tab or Escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlKey {
    character: char,
    byte: u8,
}

/// The text does not name such a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseControlKeyError;

impl ControlKey {
    /// The character on the key, in lower case.
    pub fn character(self) -> char {
        self.character
    }

    /// The byte that terminals send (ECMA-48 5.2; for digits, as the VT220 and all since).
    pub fn byte(self) -> u8 {
        self.byte
    }
}

impl Default for ControlKey {
    /// Ctrl-], as in telnet.
    fn default() -> Self {
        Self { character: ']', byte: 0x1d }
    }
}

impl FromStr for ControlKey {
    type Err = ParseControlKeyError;

    /// `ctrl-a`, `Ctrl-]`, `^A`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        let character = lower.strip_prefix("ctrl-").or_else(|| lower.strip_prefix('^'));
        let mut characters = character.ok_or(ParseControlKeyError)?.chars();
        let (Some(character), None) = (characters.next(), characters.next()) else {
            return Err(ParseControlKeyError);
        };
        let byte = match character {
            // Tab, newline and Enter.
            'i' | 'j' | 'm' => return Err(ParseControlKeyError),
            'a'..='z' => character as u8 & 0x1f,
            '2' | '@' => 0x00,
            '4' | '\\' => 0x1c,
            '5' | ']' => 0x1d,
            '6' | '^' => 0x1e,
            '7' | '_' => 0x1f,
            _ => return Err(ParseControlKeyError),
        };
        Ok(Self { character, byte })
    }
}

impl fmt::Display for ControlKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ctrl-{}", self.character.to_ascii_uppercase())
    }
}

impl fmt::Display for ParseControlKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a key like `ctrl-a`, `ctrl-]`, `ctrl-\\` or `ctrl-5`; Ctrl-I, Ctrl-J, Ctrl-M and Ctrl-[ are Tab, newline, Enter and Escape")
    }
}

impl Error for ParseControlKeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_shown() {
        for (text, byte, shown) in [
            ("ctrl-]", 0x1d, "Ctrl-]"),
            ("Ctrl-A", 0x01, "Ctrl-A"),
            ("^z", 0x1a, "Ctrl-Z"),
            ("ctrl-\\", 0x1c, "Ctrl-\\"),
            ("ctrl-5", 0x1d, "Ctrl-5"),
            ("ctrl-^", 0x1e, "Ctrl-^"),
            ("^^", 0x1e, "Ctrl-^"),
            ("ctrl-@", 0x00, "Ctrl-@"),
        ] {
            let key: ControlKey = text.parse().expect(text);
            assert_eq!((key.byte(), key.to_string().as_str()), (byte, shown), "{text}");
        }
        for bad in [
            "", "a", "]", "ctrl-", "ctrl-ab", "ctrl-m", "ctrl-i", "ctrl-j", "ctrl-[", "ctrl-3", "ctrl-ä", "^",
        ] {
            assert_eq!(bad.parse::<ControlKey>(), Err(ParseControlKeyError), "{bad}");
        }
    }
}
