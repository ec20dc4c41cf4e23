//! Selects the part of a process's old output that is replayed to a terminal.
//!
//! That terminal attached later. An old query would make it answer now, and the answer would be
//! typed into the process; a sequence that acted on more than the screen (clipboard, window, title,
//! printer, pictures) would do so once more. So this is an allowlist, not a denylist. New output
//! passes unchanged.

use super::super::look::{Look, NO_LINK};
use super::sequences::{ESC, Item};
use super::{Csi, Modes, PRIVATE};

/// Backspace, tab, newline and the like, CR, and the shift of character sets. No bell.
const CONTROLS: [u8; 8] = [0x08, b'\t', b'\n', 0x0b, 0x0c, b'\r', 0x0e, 0x0f];

/// After ESC: save and restore the cursor, next row, row before, tab stop, keypad.
const ESCAPES: &[u8] = b"78DEMH=>";

/// The control sequences that pass: prefix, intermediate bytes, final bytes.
const CSI: [(&[u8], &[u8], &[u8]); 8] = [
    // Insert, delete, repeat and erase characters and lines; move the cursor; scroll; tab stops; look;
    // scroll region; save and restore the cursor.
    (b"", b"", b"@ABCDEFGHIJKLMPSTXZ`abdefgmrsu"),
    // Erase what is not protected.
    (b"?", b"", b"JK"),
    // The cursor's shape; reset of the modes; insert and delete columns.
    (b"", b" ", b"q"),
    (b"", b"!", b"p"),
    (b"", b"'", b"}~"),
    // kitty's keyboard protocol.
    (b">", b"", b"u"),
    (b"<", b"", b"u"),
    (b"=", b"", b"u"),
];

/// Returns whether a mode without `?` is set again: insertion and newline.
pub(super) fn may_set_ansi(mode: u16) -> bool {
    matches!(mode, 4 | 20)
}

impl Modes {
    /// Appends what may be replayed of an item.
    pub(super) fn keep(&self, item: &Item<'_>, kept: &mut Vec<u8>) {
        match item {
            Item::Text(text) => kept.extend_from_slice(text),
            Item::Control(byte) if CONTROLS.contains(byte) => kept.push(*byte),
            // A reset would erase the lines above as well.
            Item::Whole([ESC, b'c']) => {
                let mut undone = Vec::new();
                self.undo_modes(&mut undone);
                // A mode that was not set again is not reset either.
                Self::default().push_and_keep(&undone, kept);
                kept.extend_from_slice(b"\x1b[0m\x0f\x1b(B\x1b)B\x1b[H\x1b[2J");
            }
            Item::Whole([ESC, b'[', text @ ..]) => {
                if let Some(csi) = Csi::read(text) {
                    self.keep_csi(&csi, kept);
                }
            }
            Item::Whole([ESC, b']', b'8', b';', link @ ..]) => {
                kept.extend(Look::default().link(link).unwrap_or_else(|| NO_LINK.to_vec()));
            }
            Item::Whole(sequence @ ([ESC, b'(' | b')' | b'*' | b'+', 0x30..0x7f] | [ESC, 0x30..0x7f]))
                if sequence.len() == 3 || ESCAPES.contains(&sequence[1]) =>
            {
                kept.extend_from_slice(sequence);
            }
            Item::Control(_) | Item::Whole(_) | Item::Long(_) | Item::Nothing => {}
        }
    }

    fn keep_csi(&self, csi: &Csi<'_>, kept: &mut Vec<u8>) {
        let Csi { prefix, text, between, last } = csi;
        let numbers = csi.numbers();
        let passes = match (*prefix, *between, last) {
            // Only those of several that are known.
            (b"?" | b"", b"", b'h' | b'l') => {
                let is_known = |mode: &&u16| match *prefix {
                    b"?" => PRIVATE.iter().any(|known| known.mode == **mode && known.again),
                    _ => may_set_ansi(**mode),
                };
                for mode in numbers.iter().filter(is_known) {
                    let set = [b"\x1b[", *prefix, mode.to_string().as_bytes(), &[*last]].concat();
                    kept.extend(set);
                }
                false
            }
            // 3 erases the scrollback.
            (_, _, b'J') => !numbers.contains(&3),
            // A character repeated: a screenful at most, since one sequence could stand for 65,535.
            (_, _, b'b') => numbers[0] <= 1000,
            // With more numbers it is about the mouse.
            (_, _, b'T') => numbers.len() == 1,
            (b">" | b"<" | b"=", b"", b'u') => !self.keys_are_set,
            // The one key resource that programs set and that is set again.
            (b">", b"", b'm') => {
                if numbers[0] == 4 {
                    whole(csi, kept);
                }
                false
            }
            _ => true,
        };
        let is_listed = |(known, intermediate, lasts): &(&[u8], &[u8], &[u8])| {
            known == prefix && intermediate == between && lasts.contains(last)
        };
        if passes && CSI.iter().any(is_listed) && text.len() < 256 {
            whole(csi, kept);
        }
    }
}

fn whole(csi: &Csi<'_>, kept: &mut Vec<u8>) {
    kept.extend([b"\x1b[", csi.prefix, csi.text, csi.between, &[csi.last]].concat());
}
