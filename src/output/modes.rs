//! What a program has changed of its terminal and has not changed back: the other screen, a hidden
//! cursor, mouse reports. Pure.
//!
//! Whoever comes to the program later needs the same first, and whoever leaves before its end has to
//! undo it. Only what outlasts a screenful is kept here: whoever comes later finds colours and places in the
//! bytes. Of those, only what `replay` lets pass is shown again.

mod answers;
mod cursor;
mod replay;
mod reports;
mod sequences;

pub use answers::{Answers, Colors};
pub use reports::Reports;

use super::look::NO_LINK;
use sequences::{ESC, Item, Sequences};

/// A private mode (DECSET, ctlseqs of xterm).
struct Private {
    mode: u16,
    /// Whether it is set on a terminal by default.
    default: bool,
    /// Whether it is set again on a terminal that attaches later.
    again: bool,
}

const fn known(mode: u16, default: bool) -> Private {
    Private { mode, default, again: true }
}

const fn once(mode: u16, default: bool) -> Private {
    Private { mode, default, again: false }
}

/// Any other mode that is set counts too, and is off by default.
const PRIVATE: [Private; 28] = [
    known(47, false),
    known(1047, false),
    known(1049, false),
    known(1, false),
    known(5, false),
    known(6, false),
    known(7, true),
    once(8, true),
    known(9, false),
    known(45, false),
    known(66, false),
    known(69, false),
    known(1000, false),
    known(1001, false),
    known(1002, false),
    known(1003, false),
    known(1004, false),
    known(1005, false),
    known(1006, false),
    known(1007, false),
    known(1015, false),
    known(1016, false),
    known(2004, false),
    known(2026, false),
    known(2031, false),
    // The terminal reports its size at once.
    once(2048, false),
    once(5522, false),
    known(25, true),
];

/// Those of them that are the other screen.
const OTHER_SCREEN: [u16; 3] = [47, 1047, 1049];

/// Private modes whose default differs between terminals, or that leave nothing to undo.
const UNDECIDED: [u16; 9] = [12, 13, 14, 38, 1034, 1035, 1036, 1039, 1048];

/// The modes without `?` (ECMA-48 7): keyboard, insertion, no local echo, newline.
const ANSI: [(u16, bool); 4] = [(2, false), (4, false), (12, true), (20, false)];

/// How many unknown modes are tracked.
const MAX_MODES: usize = 64;

/// How many flags of kitty's keyboard protocol are kept. Terminals have a limit as well, and drop the
/// oldest: kitty keeps 8, foot 32.
const MAX_KEYS: usize = 32;

/// The most titles that a terminal keeps (xterm: 10).
const MAX_TITLES: u16 = 32;

/// Makes the terminal save its title, for [`Modes::leave`] to restore.
pub const KEEP_TITLE: &[u8] = b"\x1b[22;0t";

/// Ends any sequence the terminal is in, and printing, which captures all text.
const LISTEN: &[u8] = b"\x18\x1b\\\x1b[4i";

/// Safe on every terminal, so always undone: printing by line, attributes,
/// insertion, newline, reverse video, margins, character sets. A link ends too.
const BASE: &[u8] = b"\x1b[?4i\x1b[0m\x1b[4l\x1b[20l\x1b[?5l\x1b[?69l\x0f\x1b(B\x1b)B";

/// The modes at one place of an output.
#[allow(clippy::struct_excessive_bools, reason = "each is a mode of its own")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modes {
    sequences: Sequences,
    is_8_bit: bool,
    /// The private modes that differ from the defaults, and those that did when they were
    /// saved.
    changed: Vec<u16>,
    saved: Vec<u16>,
    ansi: Vec<u16>,
    keypad: bool,
    region: bool,
    shape: bool,
    tabs: bool,
    /// The terminal was told to leave or enter UTF-8.
    encoding: bool,
    /// The xterm key resources that were set: `modifyOtherKeys` is 4.
    key_resources: Vec<(u16, u16)>,
    /// kitty's keyboard protocol, for the main and the alternate screen.
    keys: [Keys; 2],
    /// Whether the terminal was already given the final keyboard flags.
    keys_are_set: bool,
    /// What undoes changes that are rare.
    undo: Vec<&'static [u8]>,
    /// The OSC numbers that reset the colors which were set.
    colors: Vec<u16>,
    titles: u16,
    /// How many bytes were looked at, and where the other screen was entered.
    position: u64,
    entered: u64,
}

/// The flags that were set and, above them, the last of those that were pushed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Keys {
    set: u16,
    pushed: Vec<u16>,
    /// How many were pushed in all.
    depth: u16,
}

impl Modes {
    /// Those of an output that begins at this offset.
    pub fn at(position: u64) -> Self {
        Self { position, ..Self::default() }
    }

    /// Returns the initial modes of a terminal that decodes UTF-8 or does not.
    pub fn of_terminal(utf8: bool) -> Self {
        let is_8_bit = !utf8;
        Self { sequences: Sequences::of(is_8_bit), is_8_bit, ..Self::default() }
    }

    /// Returns the initial modes of the same terminal, before anything was shown on it.
    #[must_use]
    pub fn of_same_terminal(&self) -> Self {
        Self::of_terminal(!self.is_8_bit)
    }

    /// Returns the same modes for a replay of what led to them, from this offset on.
    #[must_use]
    pub fn with_replay_from(self, position: u64) -> Self {
        Self { sequences: Sequences::default(), keys_are_set: true, position, ..self }
    }

    /// Looks at what follows.
    pub fn push(&mut self, bytes: &[u8]) {
        self.look(bytes, None);
    }

    /// Does the same, and appends to `kept` what may be replayed to a terminal: text, its attributes and
    /// its position. A terminal would answer an old query that is replayed.
    pub fn push_and_keep(&mut self, bytes: &[u8], kept: &mut Vec<u8>) {
        self.look(bytes, Some(kept));
    }

    /// Ends the replay: what follows is new. Appends an unfinished sequence, since its end is new as well.
    /// Returns how many of these bytes belong to a sequence that was too long to be kept; `None` if it goes
    /// on after them.
    pub fn end_replay(&mut self, bytes: &[u8], kept: &mut Vec<u8>) -> Option<usize> {
        if let Some(pending) = self.sequences.pending() {
            kept.extend(pending);
            return Some(0);
        }
        let mut rest = bytes;
        let is_over = self.sequences.next(&mut rest).is_some();
        is_over.then_some(bytes.len() - rest.len())
    }

    /// Where the other screen was entered, if it is shown.
    pub fn other_screen(&self) -> Option<u64> {
        self.is_on_other().then_some(self.entered)
    }

    fn is_on_other(&self) -> bool {
        OTHER_SCREEN.iter().any(|mode| self.changed.contains(mode))
    }

    /// What makes a terminal have these modes.
    pub fn enter(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.is_on_other() {
            self.keys[0].enter(&mut out);
        }
        for Private { mode, default, .. } in
            PRIVATE.iter().filter(|it| it.again && self.changed.contains(&it.mode))
        {
            out.extend(private(*mode, !default));
        }
        if self.is_on_other() {
            // Home, and erase all.
            out.extend_from_slice(b"\x1b[H\x1b[2J");
        }
        let ansi = self.ansi.iter().filter(|mode| replay::may_set_ansi(**mode));
        out.extend(ansi.flat_map(|mode| format!("\x1b[{mode}h").into_bytes()));
        if self.keypad {
            out.extend_from_slice(b"\x1b=");
        }
        let other_keys = self.key_resources.iter().filter(|(resource, _)| *resource == 4);
        out.extend(other_keys.flat_map(|(_, level)| format!("\x1b[>4;{level}m").into_bytes()));
        self.keys[usize::from(self.is_on_other())].enter(&mut out);
        out
    }

    /// Returns what restores a terminal that has these modes, whatever was shown on it.
    pub fn leave(&self) -> Vec<u8> {
        let mut out = LISTEN.to_vec();
        out.extend(self.undo.iter().copied().flatten());
        self.undo_modes(&mut out);
        for color in &self.colors {
            out.extend(format!("\x1b]{color}\x1b\\").into_bytes());
        }
        for _ in 0..self.titles {
            out.extend_from_slice(b"\x1b[23;0t");
        }
        if self.encoding {
            out.extend_from_slice(if self.is_8_bit { b"\x1b%@" } else { b"\x1b%G" });
        }
        // After leaving the alternate screen, which restores old attributes.
        out.extend_from_slice(NO_LINK);
        out.extend_from_slice(BASE);
        out
    }

    fn undo_modes(&self, out: &mut Vec<u8>) {
        let on_other = self.is_on_other();
        if on_other {
            self.keys[1].leave(out);
        }
        let (other, rest): (Vec<u16>, Vec<u16>) =
            self.changed.iter().partition(|mode| OTHER_SCREEN.contains(mode));
        for mode in other.iter().chain(&rest) {
            out.extend(private(*mode, default_of(*mode)));
        }
        self.keys[0].leave(out);
        for (mode, default) in ANSI.iter().filter(|(mode, _)| self.ansi.contains(mode)) {
            out.extend(format!("\x1b[{mode}{}", if *default { 'h' } else { 'l' }).into_bytes());
        }
        out.extend(
            self.key_resources.iter().flat_map(|(resource, _)| format!("\x1b[>{resource}m").into_bytes()),
        );
        for (is_set, sequence) in [
            (self.keypad, &b"\x1b>"[..]),
            // To set it puts the cursor elsewhere.
            (self.region, b"\x1b7\x1b[r\x1b8"),
            (self.shape, b"\x1b[0 q"),
        ] {
            if is_set {
                out.extend_from_slice(sequence);
            }
        }
        if self.tabs {
            // Every eighth column, up to the widest window; no sequence for it works everywhere.
            out.extend_from_slice(b"\x1b7\x1b[3g");
            out.extend((0..64).flat_map(|tab| format!("\x1b[{}G\x1bH", 1 + 8 * tab).into_bytes()));
            out.extend_from_slice(b"\x1b8");
        }
    }

    fn look(&mut self, mut bytes: &[u8], mut kept: Option<&mut Vec<u8>>) {
        let end = self.position + bytes.len() as u64;
        let mut sequences = std::mem::take(&mut self.sequences);
        while let Some(item) = sequences.next(&mut bytes) {
            self.position = end - bytes.len() as u64;
            if let Some(kept) = &mut kept {
                self.keep(&item, kept);
            }
            if let Item::Whole(sequence) | Item::Long(sequence) = item {
                self.note(sequence);
            }
        }
        self.sequences = sequences;
        self.position = end;
    }

    /// Tracks what a sequence changes.
    fn note(&mut self, sequence: &[u8]) {
        match sequence {
            [ESC, b'=' | b'>'] => self.keypad = sequence[1] == b'=',
            [ESC, b'c'] => self.reset(),
            [ESC, b'H'] => self.tabs = true,
            [ESC, b'l'] => self.also(b"\x1bm"),
            [ESC, b'*', set] if *set != b'B' => self.also(b"\x1b*B"),
            [ESC, b'+', set] if *set != b'B' => self.also(b"\x1b+B"),
            [ESC, b' ', b'G'] => self.also(b"\x1b F"),
            [ESC, b'%', to] => self.encoding = self.is_8_bit == (*to != b'@'),
            // The most frequent one, which changes nothing that is kept.
            [ESC, b'[', first, .., b'm'] if *first != b'>' => {}
            [ESC, b'[', text @ ..] => {
                if let Some(csi) = Csi::read(text) {
                    self.note_csi(&csi);
                }
            }
            [ESC, b']', text @ ..] => self.note_osc(text),
            _ => {}
        }
    }

    fn note_csi(&mut self, csi: &Csi<'_>) {
        let (numbers, first) = (csi.numbers(), csi.first());
        match (csi.prefix, csi.between, csi.last) {
            (b"?", b"", b'h' | b'l') => numbers.iter().for_each(|mode| self.set(*mode, csi.last == b'h')),
            (b"?", b"", b's') => {
                self.saved.retain(|mode| !numbers.contains(mode));
                self.saved.extend(self.changed.iter().filter(|mode| numbers.contains(mode)));
                self.saved.truncate(MAX_MODES);
            }
            (b"?", b"", b'r') => {
                for mode in numbers {
                    let is_changed = self.saved.contains(&mode);
                    self.set(mode, default_of(mode) != is_changed);
                }
            }
            (b"", b"", b'h' | b'l') => {
                for (mode, default) in ANSI.iter().filter(|(mode, _)| numbers.contains(mode)) {
                    self.ansi.retain(|known| known != mode);
                    if (csi.last == b'h') != *default {
                        self.ansi.push(*mode);
                    }
                }
            }
            (b"", b"", b'r') => self.region = !csi.text.is_empty(),
            (b"", b"", b'g') => self.tabs = true,
            (b"", b"", b'q') => self.also(b"\x1b[0q"),
            (b"", b"", b't') if first == 22 => self.titles = (self.titles + 1).min(MAX_TITLES),
            (b"", b"", b't') if first == 23 => self.titles = self.titles.saturating_sub(1),
            (b"", b" ", b'q') => self.shape = first != 0,
            (b"", b"\"", b'q') => self.also(b"\x1b[0\"q"),
            (b"", b"\"", b'p') => self.also(b"\x1b[64;1\"p"),
            (b"", b"$", b'}') => self.also(b"\x1b[0$}"),
            (b">", b"", b'm' | b'n') => {
                let value = numbers.get(1).copied().filter(|value| *value > 0 && csi.last == b'm');
                self.key_resources.retain(|(resource, _)| *resource != first && !csi.text.is_empty());
                if let Some(value) = value.or((csi.last == b'n').then_some(0))
                    && self.key_resources.len() < MAX_MODES
                {
                    self.key_resources.push((first, value));
                }
            }
            (b">", b"", b'p') => self.also(b"\x1b[>1p"),
            (b">", b"", b't') => self.also(b"\x1b[>T"),
            (b">", b"", b'u') => self.keys().push(first),
            (b"=", b"", b'u') => self.keys().set(first, numbers.get(1).copied().unwrap_or(1)),
            (b"<", b"", b'u') => self.keys().pop(first.max(1)),
            _ => {}
        }
    }

    fn note_osc(&mut self, text: &[u8]) {
        let mut fields = text.split(|byte| *byte == b';');
        let number =
            fields.next().and_then(|number| std::str::from_utf8(number).ok()).and_then(|it| it.parse().ok());
        let is_value = |field: &&[u8]| *field != b"?";
        match number {
            Some(4 | 5) if fields.clone().skip(1).step_by(2).any(|field| is_value(&field)) => {
                self.color(if text[0] == b'4' { 104 } else { 105 });
            }
            // Each further value is for the next color.
            Some(number @ 10..=19) => {
                for (color, _) in (number..=19).zip(fields).filter(|(_, field)| is_value(field)) {
                    self.color(100 + color);
                }
            }
            Some(21) => [104, 110, 111, 112].into_iter().for_each(|color| self.color(color)),
            Some(22) => self.also(b"\x1b]22;\x1b\\"),
            Some(9) if text.starts_with(b"9;4") => self.also(b"\x1b]9;4;0\x1b\\"),
            Some(reset @ 104..=119) if fields.next().is_none() => self.colors.retain(|color| *color != reset),
            _ => {}
        }
    }

    fn color(&mut self, reset: u16) {
        if !self.colors.contains(&reset) {
            self.colors.push(reset);
        }
    }

    fn also(&mut self, undo: &'static [u8]) {
        if !self.undo.contains(&undo) {
            self.undo.push(undo);
        }
    }

    fn keys(&mut self) -> &mut Keys {
        let on_other = usize::from(self.is_on_other());
        &mut self.keys[on_other]
    }

    /// Back to the initial state, except for what a reset does not reach.
    fn reset(&mut self) {
        let Self { is_8_bit, undo, colors, titles, keys_are_set, position, .. } = std::mem::take(self);
        *self = Self { is_8_bit, keys_are_set, undo, colors, titles, position, ..Self::default() };
    }

    fn set(&mut self, mode: u16, on: bool) {
        if mode == 12 {
            // The shape also says whether it blinks.
            self.shape = true;
        }
        if UNDECIDED.contains(&mode) {
            return;
        }
        self.changed.retain(|known| *known != mode);
        if on != default_of(mode) && self.changed.len() < MAX_MODES {
            self.changed.push(mode);
            if OTHER_SCREEN.contains(&mode) {
                self.entered = self.position;
            }
        }
    }
}

impl Keys {
    fn push(&mut self, flags: u16) {
        if self.pushed.len() == MAX_KEYS {
            self.pushed.remove(0);
        }
        self.pushed.push(flags);
        self.depth = self.depth.saturating_add(1);
    }

    fn pop(&mut self, count: u16) {
        self.pushed.truncate(self.pushed.len().saturating_sub(count.into()));
        self.depth = self.depth.saturating_sub(count);
    }

    /// All flags become these, or these are added, or taken away.
    fn set(&mut self, flags: u16, how: u16) {
        let now = self.pushed.last_mut().unwrap_or(&mut self.set);
        match how {
            1 => *now = flags,
            2 => *now |= flags,
            3 => *now &= !flags,
            _ => {}
        }
    }

    fn enter(&self, out: &mut Vec<u8>) {
        if self.set != 0 {
            out.extend_from_slice(format!("\x1b[={}u", self.set).as_bytes());
        }
        out.extend(self.pushed.iter().flat_map(|flags| format!("\x1b[>{flags}u").into_bytes()));
    }

    fn leave(&self, out: &mut Vec<u8>) {
        if self.depth > 0 {
            out.extend_from_slice(format!("\x1b[<{}u", self.depth).as_bytes());
        }
        if self.set != 0 {
            out.extend_from_slice(b"\x1b[=0u");
        }
    }
}

/// The parts of a control sequence.
struct Csi<'a> {
    /// `?`, `>`, `<`, `=` or nothing.
    prefix: &'a [u8],
    text: &'a [u8],
    between: &'a [u8],
    last: u8,
}

impl<'a> Csi<'a> {
    /// Parses what follows `ESC [`.
    fn read(text: &'a [u8]) -> Option<Self> {
        let (last, text) = text.split_last()?;
        let prefix = text.iter().take_while(|byte| (0x3c..0x40).contains(*byte)).count();
        let (prefix, text) = text.split_at(prefix);
        let numbers = text.iter().take_while(|byte| (0x30..0x3c).contains(*byte)).count();
        let (text, between) = text.split_at(numbers);
        Some(Self { prefix, text, between, last: *last })
    }

    fn numbers(&self) -> Vec<u16> {
        let number = |text: &[u8]| {
            let text = text.split(|byte| *byte == b':').next().unwrap_or_default();
            std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        self.text.split(|byte| *byte == b';').map(number).collect()
    }

    fn first(&self) -> u16 {
        self.numbers().first().copied().unwrap_or(0)
    }
}

fn default_of(mode: u16) -> bool {
    PRIVATE.iter().any(|known| known.mode == mode && known.default)
}

fn private(mode: u16, on: bool) -> Vec<u8> {
    format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' }).into_bytes()
}

#[cfg(test)]
mod tests;
