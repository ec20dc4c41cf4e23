//! TCP ports.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

/// A TCP port, 1 to 65535.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port(NonZeroU16);

/// A text that is no whole number from 1 to 65535.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a port is a whole number from 1 to 65535")]
pub struct ParsePortError;

impl Port {
    /// Where an app answers unless told otherwise, as with `heroku local` and foreman.
    pub const DEFAULT: Self = Self(NonZeroU16::new(5000).expect("5000 is not 0"));

    /// The port `number`, or `None` outside 1 to 65535.
    pub fn new(number: u32) -> Option<Self> {
        u16::try_from(number).ok().and_then(NonZeroU16::new).map(Self)
    }

    /// The number, 1 to 65535.
    pub fn get(self) -> u16 {
        self.0.get()
    }

    /// The port `offset` above this one, or `None` above 65535.
    pub fn offset(self, offset: u32) -> Option<Self> {
        u32::from(self.get()).checked_add(offset).and_then(Self::new)
    }
}

impl FromStr for Port {
    type Err = ParsePortError;

    /// Only digits: no sign, no blank, no fraction.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParsePortError);
        }
        text.parse().ok().and_then(Self::new).ok_or(ParsePortError)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_whole_number_from_1_to_65535() {
        assert_eq!("5000".parse(), Ok(Port::DEFAULT));
        assert_eq!("65535".parse::<Port>().map(Port::get), Ok(65535));
        for bad in
            ["", "0", "65536", "70000", "abc", "-1", "+80", " 80", "80 ", "7100.9", "7100x", "99999999999"]
        {
            assert_eq!(bad.parse::<Port>(), Err(ParsePortError), "{bad:?}");
        }
    }

    #[test]
    fn an_offset_never_wraps() {
        assert_eq!(Port::DEFAULT.offset(100).map(Port::get), Some(5100));
        assert_eq!(Port::DEFAULT.offset(60_535).map(Port::get), Some(65535));
        assert_eq!(Port::DEFAULT.offset(60_536), None);
        assert_eq!(Port::DEFAULT.offset(u32::MAX), None);
    }
}
