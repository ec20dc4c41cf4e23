//! What a program has changed of its terminal and has not changed back: the other screen, a hidden
//! cursor, mouse reports. Pure.
//!
//! Whoever comes to the program later needs the same first, and whoever leaves before its end has to
//! undo it. Only what outlasts a screenful is kept here: whoever comes later finds colours and places in the
//! bytes.

use memchr::memchr;

const ESC: u8 = 0x1b;

/// The longest sequence that is looked at, in bytes. A longer one is text for a title or a picture.
const MAX_SEQUENCE: usize = 4096;

/// The private modes (DECSET, ctlseqs of xterm) and whether a terminal has them by itself.
const KNOWN: [(u16, bool); 20] = [
    (47, false),
    (1047, false),
    (1049, false),
    (1, false),
    (6, false),
    (7, true),
    (9, false),
    (1000, false),
    (1001, false),
    (1002, false),
    (1003, false),
    (1004, false),
    (1005, false),
    (1006, false),
    (1015, false),
    (1016, false),
    (2004, false),
    (2026, false),
    (2031, false),
    (25, true),
];

/// Those of them that are the other screen.
const OTHER_SCREEN: [u16; 3] = [47, 1047, 1049];

/// The modes at one place of an output.
#[allow(clippy::struct_excessive_bools, reason = "each is a mode of its own")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modes {
    state: State,
    /// What came of the sequence so far, with its ESC.
    sequence: Vec<u8>,
    /// The private modes that are not as a terminal has them.
    changed: Vec<u16>,
    colored: bool,
    keypad: bool,
    region: bool,
    charset: bool,
    shape: bool,
    /// xterm's `modifyOtherKeys`.
    other_keys: Option<u16>,
    /// The flags that were set and, above them, those that were pushed by kitty's keyboard protocol.
    set_keys: u16,
    keys: Vec<u16>,
    /// How many bytes were looked at, and where the other screen was entered.
    position: u64,
    entered: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Behind an ESC and perhaps intermediate bytes.
    Escape,
    Csi,
    /// OSC, DCS and their like, up to BEL or ST.
    String,
}

impl Modes {
    /// Those of an output that begins at this offset.
    pub fn at(position: u64) -> Self {
        Self { position, ..Self::default() }
    }

    /// Looks at what follows.
    pub fn push(&mut self, bytes: &[u8]) {
        self.push_and_keep(bytes, None);
    }

    /// The same, and appends all but questions to `kept`: a terminal that is shown an old one would
    /// answer it.
    pub fn push_and_keep(&mut self, mut bytes: &[u8], mut kept: Option<&mut Vec<u8>>) {
        let end = self.position + bytes.len() as u64;
        while !bytes.is_empty() {
            if self.state == State::Text {
                let text = memchr(ESC, bytes).unwrap_or(bytes.len());
                if let Some(kept) = &mut kept {
                    kept.extend_from_slice(&bytes[..text]);
                }
                bytes = &bytes[text..];
            }
            let Some((byte, rest)) = bytes.split_first() else { break };
            bytes = rest;
            self.position = end - bytes.len() as u64;
            if self.take(*byte) {
                let is_question = self.note();
                if let Some(kept) = kept.as_mut().filter(|_| !is_question) {
                    kept.extend_from_slice(&self.sequence);
                }
                self.sequence.clear();
            }
        }
        self.position = end;
    }

    /// Where the other screen was entered, if it is shown.
    pub fn other_screen(&self) -> Option<u64> {
        OTHER_SCREEN.iter().any(|mode| self.changed.contains(mode)).then_some(self.entered)
    }

    /// What makes a terminal have these modes.
    pub fn enter(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (mode, default) in KNOWN.iter().filter(|(mode, _)| self.changed.contains(mode)) {
            out.extend(private(*mode, !default));
        }
        if self.other_screen().is_some() {
            // Home, and erase all.
            out.extend_from_slice(b"\x1b[H\x1b[2J");
        }
        if self.keypad {
            out.extend_from_slice(b"\x1b=");
        }
        out.extend(self.other_keys.iter().flat_map(|level| format!("\x1b[>4;{level}m").into_bytes()));
        if self.set_keys != 0 {
            out.extend_from_slice(format!("\x1b[={}u", self.set_keys).as_bytes());
        }
        out.extend(self.keys.iter().flat_map(|flags| format!("\x1b[>{flags}u").into_bytes()));
        out
    }

    /// What gives a terminal that has these modes its own back.
    pub fn leave(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.keys.is_empty() {
            out.extend_from_slice(format!("\x1b[<{}u", self.keys.len()).as_bytes());
        }
        for (is_set, sequence) in [
            (self.set_keys != 0, &b"\x1b[=0u"[..]),
            (self.colored, b"\x1b[0m"),
            (self.other_keys.is_some(), b"\x1b[>4m"),
            (self.keypad, b"\x1b>"),
            (self.charset, b"\x1b(B\x0f"),
            // To set it puts the cursor elsewhere.
            (self.region, b"\x1b7\x1b[r\x1b8"),
            (self.shape, b"\x1b[0 q"),
        ] {
            if is_set {
                out.extend_from_slice(sequence);
            }
        }
        for (mode, default) in KNOWN.iter().rev().filter(|(mode, _)| self.changed.contains(mode)) {
            out.extend(private(*mode, *default));
        }
        out
    }

    /// One byte of a sequence. Answers whether it was the last.
    fn take(&mut self, byte: u8) -> bool {
        // CAN and SUB give a sequence up, and ESC begins a new one.
        let given_up = matches!(byte, 0x18 | 0x1a) && self.state != State::Text;
        let is_st = self.state == State::String && self.sequence.last() == Some(&ESC) && byte == b'\\';
        self.sequence.push(byte);
        if given_up || is_st || self.sequence.len() > MAX_SEQUENCE {
            self.state = State::Text;
            return true;
        }
        match (self.state, byte) {
            (State::Text | State::Escape | State::Csi, ESC) => self.state = State::Escape,
            (State::Escape, b'[') => self.state = State::Csi,
            (State::Escape, b']' | b'P' | b'^' | b'_' | b'X') => self.state = State::String,
            (State::Escape, 0x20..=0x2f) | (State::Csi, 0x20..=0x3f) => {}
            (State::String, 0x07) | (State::Escape | State::Csi, _) => {
                self.state = State::Text;
                return true;
            }
            (State::String | State::Text, _) => {}
        }
        false
    }

    /// Notes what a whole sequence changes. Answers whether it is a question.
    fn note(&mut self) -> bool {
        let sequence = std::mem::take(&mut self.sequence);
        let is_question = match sequence.as_slice() {
            [ESC, b'=' | b'>'] => {
                self.keypad = sequence[1] == b'=';
                false
            }
            [ESC, b'c'] => {
                *self = Self::at(self.position);
                false
            }
            [ESC, b'(', set] => {
                self.charset = *set != b'B';
                false
            }
            [ESC, b'Z'] => true,
            [ESC, b'[', parameters @ .., last] => self.note_csi(parameters, *last),
            [ESC, b']', text @ ..] => {
                text.split(|byte| matches!(*byte, b';' | 0x07 | ESC)).any(|it| it == b"?")
            }
            [ESC, b'P', text @ ..] => text.starts_with(b"$q") || text.starts_with(b"+q"),
            _ => false,
        };
        self.sequence = sequence;
        is_question
    }

    fn note_csi(&mut self, parameters: &[u8], last: u8) -> bool {
        let text = std::str::from_utf8(parameters).unwrap_or_default();
        let kind = text.chars().next().filter(|first| matches!(first, '?' | '>' | '<' | '=' | '!'));
        let numbers: Vec<u16> = text
            .trim_start_matches(|first: char| !first.is_ascii_digit())
            .split(';')
            .map(|number| number.trim_end_matches(|last: char| !last.is_ascii_digit()).parse().unwrap_or(0))
            .collect();
        let first = numbers[0];
        match (kind, last) {
            (Some('?'), b'h' | b'l') => numbers.iter().for_each(|mode| self.set(*mode, last == b'h')),
            (None, b'm') => self.colored = numbers.iter().any(|number| *number > 0),
            (None, b'r') => self.region = !text.is_empty(),
            (None, b'q') if text.ends_with(' ') => self.shape = first != 0,
            (Some('>'), b'm') if first == 4 => self.other_keys = numbers.get(1).copied().filter(|it| *it > 0),
            (Some('>'), b'u') => self.keys.push(first),
            (Some('='), b'u') => self.set_keys(first, numbers.get(1).copied().unwrap_or(1)),
            (Some('<'), b'u') => self.keys.truncate(self.keys.len().saturating_sub(first.max(1).into())),
            (Some('!'), b'p') => *self = Self::at(self.position),
            // What the terminal is, where its cursor is, its modes, its window, its keys.
            (_, b'c' | b'n' | b'x') | (Some('?'), b'u') => return true,
            (_, b'p') => return text.ends_with('$'),
            (None, b't') => return (11..=21).contains(&first),
            (_, _) => {}
        }
        false
    }

    /// All flags become these, or these are added, or taken away.
    fn set_keys(&mut self, flags: u16, how: u16) {
        let now = self.keys.last_mut().unwrap_or(&mut self.set_keys);
        match how {
            1 => *now = flags,
            2 => *now |= flags,
            3 => *now &= !flags,
            _ => {}
        }
    }

    fn set(&mut self, mode: u16, on: bool) {
        let Some((_, default)) = KNOWN.iter().find(|(known, _)| *known == mode) else { return };
        self.changed.retain(|known| *known != mode);
        if on != *default {
            self.changed.push(mode);
            if OTHER_SCREEN.contains(&mode) {
                self.entered = self.position;
            }
        }
    }
}

fn private(mode: u16, on: bool) -> Vec<u8> {
    format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' }).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> Modes {
        let mut modes = Modes::default();
        modes.push(text.as_bytes());
        modes
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    #[test]
    fn what_was_set_is_entered_and_left() {
        let vim = "\x1b[?1049h\x1b[22;0;0t\x1b[>4;2m\x1b[?1h\x1b=\x1b[?2004h\x1b[1;24r\x1b[?25l text";
        let modes = after(vim);
        assert_eq!(modes.other_screen(), Some(8));
        assert_eq!(
            text(&modes.enter()),
            "\x1b[?1049h\x1b[?1h\x1b[?2004h\x1b[?25l\x1b[H\x1b[2J\x1b=\x1b[>4;2m"
        );
        assert_eq!(
            text(&modes.leave()),
            "\x1b[>4m\x1b>\x1b7\x1b[r\x1b8\x1b[?25h\x1b[?2004l\x1b[?1l\x1b[?1049l"
        );
    }

    #[test]
    fn what_was_undone_is_neither() {
        let done = "\x1b[?1049;25h\x1b[?1000h\x1b=\x1b[?1049l\x1b[?1000l\x1b>\x1b[r\x1b[>4;2m\x1b[>4m\x1b[>1u\x1b[<u";
        let modes = after(done);
        assert_eq!((modes.other_screen(), text(&modes.enter())), (None, String::new()));
        assert_eq!(text(&modes.leave()), "");
        assert_eq!(text(&after("\x1b[?1049h\x1b[?25l\x1bc").leave()), "", "a reset");
        assert_eq!(text(&after("\x1b[1;31mred").leave()), "\x1b[0m");
        assert_eq!(text(&after("\x1b[1;31mred\x1b[m").leave()), "");
    }

    #[test]
    fn flags_for_keys_are_set_or_pushed() {
        for (shown, enter, leave) in [
            ("\x1b[=5u", "\x1b[=5u", "\x1b[=0u"),
            ("\x1b[=5u\x1b[=0u", "", ""),
            ("\x1b[=5;1u\x1b[=8;2u\x1b[=1;3u", "\x1b[=12u", "\x1b[=0u"),
            ("\x1b[=1u\x1b[>1u\x1b[=5u", "\x1b[=1u\x1b[>5u", "\x1b[<1u\x1b[=0u"),
        ] {
            let modes = after(shown);
            assert_eq!(
                (text(&modes.enter()), text(&modes.leave())),
                (enter.into(), leave.into()),
                "{shown:?}"
            );
        }
    }

    #[test]
    fn sequences_come_in_pieces() {
        let whole = "a\x1b[?1049hb\x1b]0;title\x07\x1b(0\x1b[?25l\x1bP$q\"p\x1b\\";
        for cut in 0..whole.len() {
            let mut modes = after(&whole[..cut]);
            modes.push(&whole.as_bytes()[cut..]);
            assert_eq!(modes, after(whole), "{cut}");
        }
    }

    #[test]
    fn questions_are_left_out() {
        let mut kept = Vec::new();
        let asking = "a\x1b[c\x1b[6n\x1b[?u\x1b]11;?\x07\x1b]10;?\x1b\\\x1bP+q544e\x1b\\\x1b[?2026$p\x1b[31mb\x1b]0;t\x07\x1b[18tc";
        Modes::default().push_and_keep(asking.as_bytes(), Some(&mut kept));
        assert_eq!(text(&kept), "a\x1b[31mb\x1b]0;t\x07c");
    }

    #[test]
    fn garbage_is_text() {
        let mut modes = Modes::default();
        for byte in 0..=255_u8 {
            modes.push(&[ESC, b'[', byte, byte, b'h', ESC, byte, ESC, b']', byte]);
        }
        modes.push(&vec![b'x'; 3 * MAX_SEQUENCE]);
        assert_eq!(modes.state, State::Text);
        assert!(modes.sequence.is_empty());
    }
}
