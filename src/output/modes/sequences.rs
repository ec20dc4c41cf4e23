//! Finds where control sequences begin and end in the output of a program, as a terminal does (ECMA-48,
//! and the parser for DEC's terminals at vt100.net). Pure.
//!
//! It has its own parser because `modes` needs each sequence as it was written and where it was written,
//! and because the output goes to a real terminal: C1 controls count in all their forms.

use std::ops::Range;

pub(super) const ESC: u8 = 0x1b;

/// How much of a sequence is kept.
const MAX_SEQUENCE: usize = 4096;

const C1: Range<u8> = 0x80..0xa0;

/// A piece of the output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// Characters, or invalid bytes that do nothing. May be empty.
    Text(&'a [u8]),
    /// C0 and DEL, perhaps within a sequence.
    Control(u8),
    /// A sequence with its ESC, without the end of a string; C1 in their form with ESC.
    Whole(&'a [u8]),
    /// The first bytes of a sequence that is too long to be kept; of a CSI the final byte too.
    Long(&'a [u8]),
    /// A sequence was aborted.
    Nothing,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After an ESC and perhaps intermediate bytes.
    Escape,
    Csi,
    /// OSC, DCS and the like, and the title sequence of screen and tmux, up to BEL or ST.
    String,
    /// After an ESC in a string.
    StringEscape,
}

/// Splits output into items, however it is chunked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sequences {
    is_8_bit: bool,
    state: State,
    sequence: Vec<u8>,
    is_long: bool,
    /// The last byte of a string.
    last: u8,
    /// The first bytes of a character, and the last complete character.
    part: Vec<u8>,
    character: Vec<u8>,
}

impl Sequences {
    /// `is_8_bit`: the terminal treats each byte as a character.
    pub(super) fn of(is_8_bit: bool) -> Self {
        Self { is_8_bit, ..Self::default() }
    }

    /// Returns whether what comes next begins outside of any sequence and character. Until the next byte that
    /// is ESC or 0xc2 all of it is text and control characters then.
    pub(super) fn is_between(&self) -> bool {
        self.state == State::Text && self.part.is_empty() && !self.is_8_bit
    }

    /// Returns the next item and removes it from `bytes`; `None` if the rest is incomplete.
    pub(super) fn next<'a, 'b: 'a>(&'a mut self, bytes: &mut &'b [u8]) -> Option<Item<'a>> {
        loop {
            let (&byte, rest) = bytes.split_first()?;
            let printable = |byte: &u8| (0x20..0x7f).contains(byte);
            match self.state {
                State::Text if !self.part.is_empty() => {
                    self.part.push(byte);
                    match std::str::from_utf8(&self.part) {
                        Ok(_) => {
                            *bytes = rest;
                            let is_control = self.part[0] == 0xc2 && C1.contains(&byte);
                            std::mem::swap(&mut self.part, &mut self.character);
                            self.part.clear();
                            if !is_control {
                                return Some(Item::Text(&self.character));
                            }
                            if self.introduce(byte) {
                                return Some(self.finished());
                            }
                        }
                        Err(error) if error.error_len().is_none() => *bytes = rest,
                        Err(_) => {
                            self.part.pop();
                            return Some(self.no_character());
                        }
                    }
                }
                State::Text if printable(&byte) => {
                    let length = bytes.iter().take_while(|byte| printable(byte)).count();
                    let (text, rest) = bytes.split_at(length);
                    *bytes = rest;
                    return Some(Item::Text(text));
                }
                State::Text => {
                    *bytes = rest;
                    match byte {
                        ESC => self.begin(),
                        0..0x20 | 0x7f => return Some(Item::Control(byte)),
                        _ if self.is_8_bit && C1.contains(&byte) => {
                            if self.introduce(byte) {
                                return Some(self.finished());
                            }
                        }
                        _ => {
                            self.part.push(byte);
                            let error = std::str::from_utf8(&self.part).err();
                            if self.is_8_bit || error.is_none_or(|error| error.error_len().is_some()) {
                                return Some(self.no_character());
                            }
                        }
                    }
                }
                // A character ends it, except for the second form of C1.
                State::Escape | State::Csi if byte >= 0x80 => {
                    self.state = State::Text;
                    return Some(Item::Nothing);
                }
                State::Escape | State::Csi if byte < 0x20 && !matches!(byte, ESC | 0x18 | 0x1a) => {
                    *bytes = rest;
                    return Some(Item::Control(byte));
                }
                State::Escape | State::Csi | State::String | State::StringEscape => {
                    *bytes = rest;
                    match self.take(byte) {
                        Took::More => {}
                        Took::Last => return Some(self.finished()),
                        Took::Nothing => return Some(Item::Nothing),
                    }
                }
            }
        }
    }

    /// Returns the incomplete sequence or character so far. `None` if it was too long to be
    /// kept.
    pub(super) fn pending(&self) -> Option<Vec<u8>> {
        let sequence = match self.state {
            State::Text => &[][..],
            _ => &self.sequence[..],
        };
        let escape: &[u8] = if self.state == State::StringEscape { &[ESC] } else { &[] };
        let is_kept = self.state == State::Text || !self.is_long;
        is_kept.then(|| [sequence, escape, &self.part].concat())
    }

    fn begin(&mut self) {
        self.sequence.clear();
        self.sequence.push(ESC);
        self.is_long = false;
        self.last = 0;
        self.state = State::Escape;
    }

    /// A C1 control acts like ESC and another byte. Returns whether it is complete.
    fn introduce(&mut self, byte: u8) -> bool {
        self.begin();
        self.take(byte - 0x40) == Took::Last
    }

    fn finished(&mut self) -> Item<'_> {
        self.state = State::Text;
        if self.is_long { Item::Long(&self.sequence) } else { Item::Whole(&self.sequence) }
    }

    fn no_character(&mut self) -> Item<'_> {
        self.character.clear();
        self.character.extend(self.part.drain(..).filter(|byte| !C1.contains(byte)));
        Item::Text(&self.character)
    }

    /// Processes one byte of a sequence.
    fn take(&mut self, byte: u8) -> Took {
        let before = std::mem::replace(&mut self.last, byte);
        let in_string = matches!(self.state, State::String | State::StringEscape);
        if in_string && C1.contains(&byte) && (before == 0xc2 || self.is_8_bit) {
            if byte != 0x9c {
                return if self.introduce(byte) { Took::Last } else { Took::More };
            }
            if before == 0xc2 && !self.is_8_bit && !self.is_long {
                self.sequence.pop();
            }
            return Took::Last;
        }
        match (self.state, byte) {
            (_, 0x18 | 0x1a) => {
                self.state = State::Text;
                return Took::Nothing;
            }
            (State::String, ESC) => self.state = State::StringEscape,
            (State::StringEscape, b'\\') => return Took::Last,
            (State::StringEscape, _) => {
                self.begin();
                return self.take(byte);
            }
            (_, ESC) => self.begin(),
            (State::String, 0x07) if self.sequence[1] == b']' => return Took::Last,
            (State::Escape | State::Csi, 0x7f..) => {}
            (State::Escape, b'[') if self.sequence.len() == 1 => {
                self.keep(byte);
                self.state = State::Csi;
            }
            (State::Escape, b']' | b'P' | b'^' | b'_' | b'X' | b'k') if self.sequence.len() == 1 => {
                self.keep(byte);
                self.state = State::String;
            }
            (State::Escape, 0x30..) | (State::Csi, 0x40..) => {
                self.sequence.push(byte);
                return Took::Last;
            }
            (State::Escape | State::Csi | State::String | State::Text, _) => self.keep(byte),
        }
        Took::More
    }

    fn keep(&mut self, byte: u8) {
        if self.sequence.len() < MAX_SEQUENCE {
            self.sequence.push(byte);
        } else {
            self.is_long = true;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Took {
    More,
    Last,
    Nothing,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns each item as text; adjacent text is joined.
    fn items(is_8_bit: bool, chunks: &[&[u8]]) -> String {
        let mut sequences = Sequences::of(is_8_bit);
        let (mut all, mut joins) = (String::new(), false);
        for chunk in chunks {
            let mut rest = *chunk;
            while let Some(item) = sequences.next(&mut rest) {
                let (text, is_text) = match item {
                    Item::Text([]) => continue,
                    Item::Text(text) => (text.escape_ascii().to_string(), true),
                    Item::Control(byte) => (format!("^{byte}"), false),
                    Item::Whole(bytes) => (format!("<{}>", bytes[1..].escape_ascii()), false),
                    Item::Long(bytes) => (format!("long {}", bytes.len()), false),
                    Item::Nothing => ("-".into(), false),
                };
                if !(is_text && joins) {
                    all.push(' ');
                }
                all.push_str(&text);
                joins = is_text;
            }
        }
        all
    }

    #[test]
    fn all_forms_of_a_sequence_are_found() {
        for (bytes, expected) in [
            (&b"a\x1b[1;2mb"[..], " a <[1;2m> b"),
            (b"\x1b(B\x1b7\x1b#8\x1b%G", " <(B> <7> <#8> <%G>"),
            (b"\x1b]0;t\x07\x1b]0;t\x1b\\\x1bPq\x07x\x1b\\", " <]0;t> <]0;t> <Pq\\x07x>"),
            (b"\x1b]0;t\x1b[m", " <[m>"),
            ("\u{9b}1m\u{9d}0;t\u{9c}x\u{85}".as_bytes(), " <[1m> <]0;t> x <E>"),
            ("\x1b]0;\u{9b}m".as_bytes(), " <[m>"),
            ("\x1b[\u{9b}m\x1b[1é".as_bytes(), " - <[m> - \\xc3\\xa9"),
            (b"\x1b[1\r2m\x1b[\x7f1m", " ^13 <[12m> <[1m>"),
            (b"\x1b[1\x18a\x1b]\x1ab\x1b[\x1b[m", " - a - b <[m>"),
            (b"\x9bm\xc3\x9bx\xe2\x82\x9c\xe2\x9b", " m\\xc3\\x9bx\\xe2\\x82\\x9c"),
            (b"\xe9t\xe9 \x80\xf5\x9b", " \\xe9t\\xe9 \\xf5"),
        ] {
            assert_eq!(items(false, &[bytes]), expected, "{}", bytes.escape_ascii());
        }
        assert_eq!(
            items(true, &[b"\xc3\x9bm\x9d0;t\x9c\xe9\x1b]0;t\x9b5i"]),
            " \\xc3 <[m> <]0;t> \\xe9 <[5i>"
        );
        let long =
            [&b"\x1b["[..], &b"0;".repeat(MAX_SEQUENCE), b"h\x1b]0;", &vec![b'x'; 9000], b"\x07a"].concat();
        assert_eq!(items(false, &[&long]), format!(" long {} long {MAX_SEQUENCE} a", MAX_SEQUENCE + 1));
    }

    proptest! {
        #[test]
        fn chunking_does_not_change_the_items(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    &b"a"[..], b"\x1b", b"[", b"]", b"P", b"\\", b"\x07", b"1;", b"m", b"\xc2", b"\x9b", b"\x9c", b"\x9d",
                    b"\xe2", b"\x18", b"\r", b"(", b"B", b"\xff", b"\x7f",
                ]),
                0..60,
            ),
            is_8_bit: bool,
        ) {
            let bytes = pieces.concat();
            let chunks: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(items(is_8_bit, &chunks), items(is_8_bit, &[&bytes]));
        }
    }
}
