//! The key that leaves a process, Ctrl-] or another, in all the forms in which terminals send it. Pure.
//!
//! A program may ask its terminal to report keys in full. Then the key is no byte but a sequence:
//! `CSI 27 ; modifiers ; 93 ~` with xterm's `modifyOtherKeys`, and `CSI 93 ; modifiers u` in the form
//! of kitty's keyboard protocol, in which more can stand behind each number. It may come in several reads.

use crate::model::ControlKey;

const ESC: u8 = 0x1b;

/// The longest sequence that can be the key, with room for what may stand behind each number. A longer one
/// is not held back.
const LONGEST: usize = 64;

/// Of the modifiers, each a bit (kitty's keyboard protocol): the one that has to be there, and those
/// that make no difference: Shift, Caps Lock and Num Lock.
const CTRL: u32 = 4;
const NO_MATTER: u32 = 1 | 64 | 128;

/// Looks for the key in what is typed.
#[derive(Debug)]
pub(super) struct DetachKey {
    key: ControlKey,
    /// The start of a sequence that may become the key.
    begun: Vec<u8>,
}

impl DetachKey {
    pub(super) fn new(key: ControlKey) -> Self {
        Self { key, begun: Vec::new() }
    }

    /// Returns what of `typed`, and of what was held back, is for the process, and if the key follows that,
    /// what is behind the key. What may be the start of the key is held back.
    pub(super) fn find<'a>(&mut self, typed: &'a [u8]) -> (Vec<u8>, Option<&'a [u8]>) {
        let mut passed = Vec::with_capacity(self.begun.len() + typed.len());
        for (at, byte) in typed.iter().enumerate() {
            self.begun.push(*byte);
            if matches!(self.judge(), Sequence::Other) {
                // The byte that broke the sequence off may be the key, or begin one.
                self.begun.pop();
                passed.append(&mut self.begun);
                self.begun.push(*byte);
            }
            match self.judge() {
                Sequence::Begun => {}
                Sequence::Key => {
                    self.begun.clear();
                    return (passed, Some(&typed[at + 1..]));
                }
                Sequence::Other => passed.append(&mut self.begun),
            }
        }
        (passed, None)
    }

    /// Whether anything is held back.
    pub(super) fn holds(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Nothing has followed: returns what was held back, for the process.
    pub(super) fn give_up(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.begun)
    }

    fn judge(&self) -> Sequence {
        match self.begun[..] {
            [byte] if byte == self.key.byte() => Sequence::Key,
            [ESC] | [ESC, b'['] => Sequence::Begun,
            [ESC, b'[', .., b'0'..=b'9' | b';' | b':'] if self.begun.len() < LONGEST => Sequence::Begun,
            [ESC, b'[', ref rest @ ..] if is_key(rest, u32::from(self.key.character())) => Sequence::Key,
            _ => Sequence::Other,
        }
    }
}

/// What bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sequence {
    /// They may become the key.
    Begun,
    Key,
    Other,
}

/// Whether it is what follows a CSI.
fn is_key(rest: &[u8], code: u32) -> bool {
    let Some((last, numbers)) = rest.split_last() else { return false };
    let text = std::str::from_utf8(numbers).unwrap_or_default();
    let parts: Vec<Vec<&str>> = text.split(';').map(|part| part.split(':').collect()).collect();
    let number = |part: usize, place: usize| -> Option<u32> { parts.get(part)?.get(place)?.parse().ok() };
    let with_ctrl = number(1, 0).is_some_and(|bits| bits.wrapping_sub(1) & !NO_MATTER == CTRL);
    match last {
        // Behind the modifiers may stand what became of the key; 3 is that it was let go.
        b'u' => number(0, 0) == Some(code) && with_ctrl && number(1, 1) != Some(3),
        b'~' => number(0, 0) == Some(27) && with_ctrl && number(2, 0) == Some(code),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is passed on of what was typed in these reads, and whether the key was found.
    fn typed(key: &str, reads: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut detach = DetachKey::new(key.parse().expect(key));
        let mut passed = Vec::new();
        for read in reads {
            let (more, found) = detach.find(read);
            passed.extend(more);
            if found.is_some() {
                return (passed, true);
            }
        }
        passed.extend(detach.give_up());
        (passed, false)
    }

    const FORMS: [&str; 9] = [
        "\x1d",
        "\x1b[27;5;93~",
        "\x1b[93;5u",
        "\x1b[93;5:1u",
        "\x1b[93;5:2u",
        // Caps Lock, Num Lock, and what another layout has on that key.
        "\x1b[93;69u",
        "\x1b[93;133u",
        "\x1b[93:125:93;5u",
        "\x1b[93;5;29u",
    ];

    #[test]
    fn it_is_found_in_each_form_however_it_is_split() {
        for key in FORMS {
            let before = "\u{e4}\x1b[A\x1b";
            let whole = format!("{before}{key}rest\x1d").into_bytes();
            for first in 0..=whole.len() {
                for second in first..=whole.len() {
                    let reads = [&whole[..first], &whole[first..second], &whole[second..]];
                    assert_eq!(typed("ctrl-]", &reads), (before.into(), true), "{key:?} {first} {second}");
                }
            }
        }
    }

    #[test]
    fn other_keys_are_the_process_s_however_they_are_split() {
        for keys in [
            "",
            "]",
            "\x1b]",
            "\x1b",
            "\x1b[",
            "\x1b\x1b",
            "\x1b[93",
            "\x1b[93;5",
            "\x1b[93u",
            "\x1b[93;1u",
            // Alt and Ctrl, and the key let go.
            "\x1b[93;7u",
            "\x1b[93;5:3u",
            "\x1b[91;5u",
            "\x1b[27;5;91~",
            "\x1b[27;3;93~",
            "\x1b[93;5~",
            "\x1b[99999999999;5u",
            "\x1b[93;0u",
            "\x1b[93;5\x1b[Au",
            "\x1b[<93;5u",
            &format!("\x1b[{}93;5u", "0".repeat(LONGEST)),
        ] {
            let whole = keys.as_bytes();
            for at in 0..=whole.len() {
                let reads = [&whole[..at], &whole[at..]];
                assert_eq!(typed("ctrl-]", &reads), (whole.to_vec(), false), "{keys:?} {at}");
            }
        }
    }

    #[test]
    fn another_key_can_be_chosen() {
        for (key, forms) in [
            ("ctrl-a", ["\x01", "\x1b[97;5u", "\x1b[27;5;97~"]),
            ("ctrl-5", ["\x1d", "\x1b[53;5u", "\x1b[27;5;53~"]),
            ("ctrl-\\", ["\x1c", "\x1b[92;5u", "\x1b[27;5;92~"]),
        ] {
            for form in forms {
                assert_eq!(typed(key, &[b"x", form.as_bytes()]), (b"x".to_vec(), true), "{key} {form:?}");
            }
        }
        assert_eq!(typed("ctrl-a", &[b"\x1d"]), (b"\x1d".to_vec(), false));
    }

    #[test]
    fn only_the_start_of_a_key_is_held_back() {
        let mut detach = DetachKey::new(ControlKey::default());
        assert_eq!(detach.find(b"abc"), (b"abc".to_vec(), None));
        assert!(!detach.holds());
        assert_eq!(detach.find(b"\x1b"), (Vec::new(), None));
        assert!(detach.holds());
        assert_eq!(detach.give_up(), b"\x1b");
        // Behind it a sequence is not one any more.
        assert_eq!(detach.find(b"[93;5u"), (b"[93;5u".to_vec(), None));
    }
}
