//! Pictures and files that a process sends to its terminal within a sequence, and that go on in further lines: OSC 1337
//! with wrapped base64, sixel with line ends, kitty's pictures. Pure.
//!
//! A part of the `Sanitizer`, which ends every sequence with its line, so that one that is never finished does not
//! hide all that follows. After one of these, lines that have only characters of its data are part of it, up to its
//! end.

/// How much of a picture is left out at most.
const MAX_PICTURE: usize = 4 * 1024 * 1024;

/// How long a line of a picture may be.
const MAX_LINE: usize = 64 * 1024;

const BEL: u8 = 0x07;
const ESC: u8 = 0x1b;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Data {
    Base64,
    Sixel,
}

/// A picture that goes on after the end of a line, or none.
#[derive(Debug, Default)]
pub(super) struct Picture {
    data: Option<Data>,
    /// The line that is part of it so far.
    line: Vec<u8>,
    /// The next byte is the one after an ESC.
    escaped: bool,
    left: usize,
}

/// What was taken of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) count: usize,
    /// Text that was no part of a picture after all.
    pub(super) text: Vec<u8>,
    /// Behind that text an ESC.
    pub(super) escape: bool,
}

impl Picture {
    /// A line has ended within this sequence, which is given without its ESC.
    pub(super) fn begin(&mut self, sequence: &[u8]) {
        let is_sixel = |rest: &[u8]| {
            let numbers = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
            rest.get(numbers) == Some(&b'q')
        };
        self.data = match sequence {
            [b']', b'1', b'3', b'3', b'7', b';', ..] | [b'_', b'G', ..] => Some(Data::Base64),
            [b'P', rest @ ..] if is_sixel(rest) => Some(Data::Sixel),
            _ => None,
        };
        self.left = MAX_PICTURE;
    }

    pub(super) fn is_open(&self) -> bool {
        self.data.is_some()
    }

    /// Takes what is part of the picture.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Taken {
        for (at, byte) in bytes.iter().enumerate() {
            match *byte {
                b'\\' if self.escaped => return self.end(at + 1),
                _ if self.escaped => return self.give_up(at, true),
                _ if self.left == 0 || self.line.len() == MAX_LINE => return self.give_up(at, false),
                b'\n' => self.line.clear(),
                BEL => return self.end(at + 1),
                ESC => self.escaped = true,
                b'\r' => {}
                byte if self.is_data(byte) => self.line.push(byte),
                _ => return self.give_up(at, false),
            }
            self.left -= 1;
        }
        Taken { count: bytes.len(), text: Vec::new(), escape: false }
    }

    /// Nothing more comes. Returns what was no part of a picture.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.give_up(0, false).text
    }

    fn is_data(&self, byte: u8) -> bool {
        match self.data {
            Some(Data::Base64) => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Some(Data::Sixel) => matches!(byte, b'?'..=b'~' | b'0'..=b'9' | b'!'..=b'$' | b'-' | b';'),
            None => false,
        }
    }

    fn end(&mut self, count: usize) -> Taken {
        *self = Self::default();
        Taken { count, text: Vec::new(), escape: false }
    }

    fn give_up(&mut self, count: usize, escape: bool) -> Taken {
        let text = std::mem::take(self).line;
        Taken { count, text, escape }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sanitize::{Allowed, Sanitizer};
    use super::*;

    fn lines(bytes: &[u8], size: usize) -> Vec<String> {
        let (mut sanitizer, mut lines) = (Sanitizer::of_lines(Allowed::TEXT), Vec::new());
        for chunk in bytes.chunks(size) {
            sanitizer.push(chunk, |row| {
                let mut line = Vec::new();
                row.write(&mut line);
                lines.push(String::from_utf8_lossy(&line).into_owned());
            });
        }
        sanitizer.finish(|row| {
            let mut line = Vec::new();
            row.write(&mut line);
            lines.push(String::from_utf8_lossy(&line).into_owned());
        });
        lines
    }

    #[test]
    fn the_further_lines_of_a_picture_are_not_text() {
        for (name, bytes, expected) in [
            ("OSC 1337", "a\x1b]1337;File=inline=1:AAAA\nBBBB\r\nCC==\x07b\nc\n", &["a", "b", "c"][..]),
            ("its other end", "a\x1b]1337;File=:AAAA\nBBBB\nCC==\x1b\\b\nc\n", &["a", "b", "c"]),
            ("kitty", "\x1b_Ga=T,f=100;AAAA\nBBBB\n\x1b\\b\n", &["", "b"]),
            ("sixel", "\x1bPq#0;2;0;0;0\n#0!9~-\n#0~~$\n\x1b\\b\n", &["", "b"]),
            ("sixel with numbers", "\x1bP0;1;8q\"1;1;6;6#0\n~~~~\n\x1b\\b\n", &["", "b"]),
            ("no end", "a\x1b]1337;File=:AAAA\nBBBB\nhello, world\nBBBB\n", &["a", "hello, world", "BBBB"]),
            (
                "a color in place of the end",
                "a\x1b]1337;x\nBBBB\x1b[31mred\nCCCC\n",
                &["a", "BBBBred", "CCCC"],
            ),
            ("the last line", "a\x1b]1337;x\nBBBB", &["a", "BBBB"]),
            ("a title", "a\x1b]0;title\nBBBB\n", &["a", "BBBB"]),
            ("a setting", "a\x1bP$q\nBBBB\n", &["a", "BBBB"]),
        ] {
            for size in [1, 2, 3, 5, 1000] {
                let found: Vec<String> = lines(bytes.as_bytes(), size);
                let found: Vec<&str> = found.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
                let expected: Vec<&str> = expected.iter().copied().filter(|it| !it.is_empty()).collect();
                assert_eq!(found, expected, "{name}, {size}");
            }
        }
    }

    #[test]
    fn a_picture_without_an_end_hides_a_bounded_amount() {
        let bytes = [b"\x1b]1337;x\n".to_vec(), b"AAAAAAA\n".repeat(MAX_PICTURE / 8 + 10)].concat();
        assert_eq!(lines(&bytes, 64 * 1024).iter().filter(|line| !line.is_empty()).count(), 10);
        let long = [b"\x1b]1337;x\n".to_vec(), vec![b'A'; MAX_LINE + 10], b"\n".to_vec()].concat();
        assert_eq!(lines(&long, 1000).concat().len(), MAX_LINE + 10);
    }
}
