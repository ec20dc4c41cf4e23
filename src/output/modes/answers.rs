//! What a process asks its terminal, and what ganger answers while no client is attached. Pure.
//!
//! A program that asks waits for the answer: some for seconds, some for good. So whatever gives it a terminal has
//! to answer, and ganger answers as a plain xterm of the size that the pty has. It claims no ability
//! that a client that attaches later may not have. What is not listed here gets no answer: programs that ask
//! for more than every terminal knows ask for the device attributes (DA1) behind that, and stop waiting when
//! these come.
//!
//! No answer contains anything that the process has sent, since an answer is typed into the process, and what it
//! prints may be text from elsewhere.

use std::ffi::OsStr;

use memchr::memchr2;

use super::cursor::Cursor;
use super::sequences::{ESC, Item};
use super::{ANSI, Csi, Modes, PRIVATE, default_of};
use crate::os::pty::Size;

/// How many bytes of answers one read can lead to. A program that does not wait for its answers gets these.
const MAX_ANSWERS: usize = 4096;

/// A VT220 with color. Later models imply reports that are not given here.
const DEVICE: &[u8] = b"\x1b[?62;22c";
const DEVICE_VERSION: &[u8] = b"\x1b[>1;10;0c";

/// DECRQSS and XTGETTCAP: the request is not valid.
const NO_SETTING: &[u8] = b"\x1bP0$r\x1b\\";
const NO_CAPABILITY: &[u8] = b"\x1bP0+r\x1b\\";

/// Private modes that are tracked but that a plain xterm does not have. A program that learns of such a mode
/// relies on it.
const NOT_PLAIN: [u16; 4] = [2026, 2031, 2048, 5522];

/// The first 16 colors of xterm.
const PALETTE: [[u8; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

/// The default colors of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colors {
    foreground: [u8; 3],
    background: [u8; 3],
}

impl Default for Colors {
    /// White on black, which programs assume where nothing answers.
    fn default() -> Self {
        Self { foreground: [255; 3], background: [0; 3] }
    }
}

impl Colors {
    /// Reads the value of COLORFGBG, in which some terminals name the two as numbers of the first 16 colors,
    /// `15;0` or `15;default;0`.
    pub fn read(value: Option<&OsStr>) -> Self {
        let color = |text: Option<&str>| PALETTE.get(text?.parse::<usize>().ok()?).copied();
        let mut fields = value.and_then(OsStr::to_str).unwrap_or_default().split(';');
        match (color(fields.next()), color(fields.next_back())) {
            (Some(foreground), Some(background)) => Self { foreground, background },
            _ => Self::default(),
        }
    }
}

/// The state of a process's terminal, as far as it is asked for.
#[derive(Debug, Clone)]
pub struct Answers {
    modes: Modes,
    cursor: Cursor,
    colors: Colors,
}

impl Answers {
    /// A new terminal.
    pub fn new(colors: Colors) -> Self {
        Self { modes: Modes::default(), cursor: Cursor::default(), colors }
    }

    /// Looks at what the process has written, however it is chunked. Appends the answers to what it asks.
    pub fn look(&mut self, bytes: &[u8], size: impl Fn() -> Size, answers: &mut Vec<u8>) {
        let mut rest = bytes;
        let mut known_size = None;
        let mut sequences = std::mem::take(&mut self.modes.sequences);
        while !rest.is_empty() {
            if sequences.is_between() {
                let text = memchr2(ESC, 0xc2, rest).unwrap_or(rest.len());
                self.cursor.text(&rest[..text]);
                rest = &rest[text..];
            }
            let before = rest;
            let Some(item) = sequences.next(&mut rest) else { break };
            match item {
                Item::Text(text) => self.cursor.text(text),
                Item::Control(byte) => self.cursor.text(&[byte]),
                Item::Whole(sequence) => {
                    let size = *known_size.get_or_insert_with(&size);
                    let is_bell = before[before.len() - rest.len() - 1] == 0x07;
                    let length = answers.len();
                    self.take(sequence, size, if is_bell { b"\x07" } else { b"\x1b\\" }, answers);
                    if answers.len() > MAX_ANSWERS {
                        answers.truncate(length);
                    }
                }
                Item::Long(sequence) => self.modes.note(sequence),
                Item::Nothing => {}
            }
        }
        self.modes.sequences = sequences;
    }

    /// `end` is what ended the sequence if it is a string.
    fn take(&mut self, sequence: &[u8], size: Size, end: &[u8], answers: &mut Vec<u8>) {
        match sequence {
            [ESC, b'[', first, .., b'm'] if *first != b'>' => {}
            [ESC, b'[', text @ ..] => {
                if let Some(csi) = Csi::read(text) {
                    self.answer_csi(&csi, size, answers);
                    self.modes.note_csi(&csi);
                    self.cursor.csi(&csi, size);
                }
            }
            [ESC, b']', text @ ..] => {
                self.answer_osc(text, end, answers);
                self.modes.note_osc(text);
            }
            [ESC, b'P', b'$', b'q', ..] => answers.extend_from_slice(NO_SETTING),
            [ESC, b'P', b'+', b'q', ..] => answers.extend_from_slice(NO_CAPABILITY),
            [ESC, b'Z'] => answers.extend_from_slice(DEVICE),
            _ => {
                self.modes.note(sequence);
                self.cursor.escape(sequence, size);
            }
        }
    }

    fn answer_csi(&self, csi: &Csi<'_>, size: Size, answers: &mut Vec<u8>) {
        let Size { rows, columns } = size;
        let first = csi.first();
        let is_number = !csi.text.contains(&b';');
        let answer = match (csi.prefix, csi.between, csi.last) {
            (b"", b"", b'c') if first == 0 && is_number => DEVICE.to_vec(),
            (b">", b"", b'c') if first == 0 && is_number => DEVICE_VERSION.to_vec(),
            (b"", b"", b'n') if first == 5 && is_number => b"\x1b[0n".to_vec(),
            (b"" | b"?", b"", b'n') if first == 6 && is_number => {
                let (row, column) = self.cursor.report(size);
                [b"\x1b[", csi.prefix, format!("{row};{column}R").as_bytes()].concat()
            }
            (b"" | b"?", b"$", b'p') if is_number => {
                let is_set = if csi.prefix.is_empty() { self.ansi(first) } else { self.private(first) };
                let value = is_set.map_or(0, |is_set| if is_set { 1 } else { 2 });
                [b"\x1b[", csi.prefix, format!("{first};{value}$y").as_bytes()].concat()
            }
            (b"", b"", b't') if first == 18 => format!("\x1b[8;{rows};{columns}t").into_bytes(),
            (b"", b"", b't') if first == 19 => format!("\x1b[9;{rows};{columns}t").into_bytes(),
            _ => return,
        };
        answers.extend(answer);
    }

    /// Whether a mode is set; `None` if it is unknown.
    fn ansi(&self, mode: u16) -> Option<bool> {
        let (_, default) = ANSI.iter().find(|(known, _)| *known == mode)?;
        Some(self.modes.ansi.contains(&mode) != *default)
    }

    fn private(&self, mode: u16) -> Option<bool> {
        let is_known = PRIVATE.iter().any(|known| known.mode == mode) && !NOT_PLAIN.contains(&mode);
        let is_changed = self.modes.changed.contains(&mode);
        (is_known || is_changed).then(|| default_of(mode) != is_changed)
    }

    fn answer_osc(&self, text: &[u8], end: &[u8], answers: &mut Vec<u8>) {
        let mut fields = text.split(|byte| *byte == b';');
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u8>().ok();
        let mut answer = |name: &str, [red, green, blue]: [u8; 3]| {
            let color = format!("{red:02x}{red:02x}/{green:02x}{green:02x}/{blue:02x}{blue:02x}");
            answers.extend([b"\x1b]", name.as_bytes(), b";rgb:", color.as_bytes(), end].concat());
        };
        match fields.next().and_then(number) {
            Some(4) => {
                while let (Some(index), Some(value)) = (fields.next(), fields.next()) {
                    if let (Some(index), b"?") = (number(index), value) {
                        answer(&format!("4;{index}"), color(index));
                    }
                }
            }
            // Each further field is for the next color.
            Some(first @ 10..=12) => {
                for (at, field) in (first..=12).zip(fields) {
                    if field == b"?" {
                        let Colors { foreground, background } = self.colors;
                        answer(&at.to_string(), if at == 11 { background } else { foreground });
                    }
                }
            }
            _ => {}
        }
    }
}

/// The color of this number: the first 16, a cube of 6 × 6 × 6, and 24 shades of gray (256colres.pl of xterm).
fn color(index: u8) -> [u8; 3] {
    if let Some(color) = PALETTE.get(usize::from(index)) {
        return *color;
    }
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    match index {
        232.. => [8 + 10 * (index - 232); 3],
        _ => [(index - 16) / 36, (index - 16) / 6 % 6, (index - 16) % 6].map(level),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: Size = Size { rows: 24, columns: 80 };

    fn answers_in(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut answers, mut terminal) = (Vec::new(), Answers::new(Colors::default()));
        for chunk in chunks {
            terminal.look(chunk, || SIZE, &mut answers);
        }
        answers
    }

    fn answers(text: &[u8]) -> String {
        answers_in(&[text]).escape_ascii().to_string().replace("\\x1b", "^").replace("\\\\", "\\")
    }

    #[test]
    fn questions_are_answered_as_a_plain_xterm_does() {
        for (asked, answer) in [
            ("\x1b[5n", "^[0n"),
            ("abc\n\x1b[6n", "^[2;1R"),
            ("abc\x1b[6n", "^[1;4R"),
            ("abc\x1b[?6n", "^[?1;4R"),
            ("\x1b[c\x1b[0c\x1bZ", "^[?62;22c^[?62;22c^[?62;22c"),
            ("\x1b[>c\x1b[>0c", "^[>1;10;0c^[>1;10;0c"),
            ("\x1b[18t\x1b[19t", "^[8;24;80t^[9;24;80t"),
            ("\x1b[?25$p\x1b[?25l\x1b[?25$p\x1b[?25h\x1b[?25$p", "^[?25;1$y^[?25;2$y^[?25;1$y"),
            ("\x1b[?2004$p\x1b[?2004h\x1b[?2004$p", "^[?2004;2$y^[?2004;1$y"),
            ("\x1b[?1049h\x1b[?1049$p\x1bc\x1b[?1049$p", "^[?1049;1$y^[?1049;2$y"),
            ("\x1b[?2026$p\x1b[?2048$p\x1b[?4711$p", "^[?2026;0$y^[?2048;0$y^[?4711;0$y"),
            ("\x1b[4$p\x1b[4h\x1b[4$p\x1b[12$p\x1b[77$p", "^[4;2$y^[4;1$y^[12;1$y^[77;0$y"),
            ("\x1b]10;?\x07", "^]10;rgb:ffff/ffff/ffff\\x07"),
            ("\x1b]11;?\x1b\\", "^]11;rgb:0000/0000/0000^\\"),
            ("\x1b]10;?;?\x07", "^]10;rgb:ffff/ffff/ffff\\x07^]11;rgb:0000/0000/0000\\x07"),
            ("\x1b]12;?\x07\x1b]11;red\x07", "^]12;rgb:ffff/ffff/ffff\\x07"),
            (
                "\x1b]4;1;?;0;red;231;?\x07\x1b]4;255;?\x1b\\",
                "^]4;1;rgb:cdcd/0000/0000\\x07^]4;231;rgb:ffff/ffff/ffff\\x07^]4;255;rgb:eeee/eeee/eeee^\\",
            ),
            ("\x1bP$qm\x1b\\\x1bP+q544e\x1b\\", "^P0$r^\\^P0+r^\\"),
            ("\u{9b}5n\u{9d}11;?\u{9c}", "^[0n^]11;rgb:0000/0000/0000^\\"),
            // A fence behind what is not known here.
            ("\x1b[?u\x1b[c", "^[?62;22c"),
            ("\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c", "^[?62;22c"),
            ("\x1b[>q\x1b[14t\x1b[16t\x1b[=c\x1b[?996n\x1b[?4m\x1b[x\x1b[21t\x05", ""),
            ("\x1b]52;c;?\x07\x1b]4;300;?\x07\x1b]4;1\x07\x1b]13;?\x07\x1b]104\x07", ""),
            ("\x1b[5\x1b[6;1n\x1b[1;5n\x1b[7c\x1b[?62;22c\x1b[0n\x1b[1;1R\x1b[?25;1$y", ""),
            ("\x1b]11;rgb:0000/0000/0000\x1b\\\x1bP0$r\x1b\\\x1bP0+r\x1b\\", ""),
        ] {
            assert_eq!(answers(asked.as_bytes()), answer, "{asked:?}");
        }
        assert_eq!(answers(b"\x9b5n\x9d11;?\x9c"), "", "C1 of one byte, which no terminal takes with UTF-8");
    }

    #[test]
    fn colors_are_those_that_the_terminal_named() {
        for (value, expected) in [
            (Some("15;0"), ([255; 3], [0; 3])),
            (Some("0;15"), ([0; 3], [255; 3])),
            (Some("0;default;7"), ([0; 3], [229; 3])),
            (Some("default;default"), ([255; 3], [0; 3])),
            (Some("0"), ([255; 3], [0; 3])),
            (Some("16;0"), ([255; 3], [0; 3])),
            (Some(""), ([255; 3], [0; 3])),
            (None, ([255; 3], [0; 3])),
        ] {
            let (foreground, background) = expected;
            assert_eq!(Colors::read(value.map(OsStr::new)), Colors { foreground, background }, "{value:?}");
        }
    }

    #[test]
    fn a_flood_of_questions_has_few_answers() {
        let answers = answers_in(&[&b"\x1b[>c\x1b[6n\x1b]11;?\x07".repeat(100_000)]);
        assert!((MAX_ANSWERS - 40..=MAX_ANSWERS).contains(&answers.len()), "{}", answers.len());
        let whole = answers_in(&[b"\x1b[>c\x1b[6n\x1b]11;?\x07"]);
        assert!(answers.starts_with(&whole.repeat(answers.len() / whole.len())));
    }

    proptest! {
        #[test]
        fn what_is_replayed_asks_nothing(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    &b"a"[..], b"\x1b", b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b\\", b"\x07", b"6", b"5", b"n", b"?",
                    b"c", b">", b"$",
                    b"p", b"11;?", b"4;1;?", b"h", b"18", b"t", b"Z", b"\xc2", b"\x9b", b"$q", b"+q", b";", b"\x18",
                ]),
                0..60,
            ),
        ) {
            let mut kept = Vec::new();
            Modes::default().push_and_keep(&pieces.concat(), &mut kept);
            prop_assert_eq!(answers(&kept), "");
        }

        #[test]
        fn chunking_does_not_change_the_answers(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    &b"a"[..], b"\x1b", b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b\\", b"\x07", b"6n", b"?", b"5n",
                    b"c", b">", b"$p",
                    b"11;?", b"4;", b"h", b"l", b"25", b"\n", b"\r", b"\t", b"\x08", b"\xc2", b"\x9b",
                    b"\x9c", b"\xe6\xbc\xa2",
                    b"\xe2", b"\x18", b"A", b"H", b"3;", b"7", b"8", b"$q", b"\xff", b"\x7f",
                ]),
                0..60,
            ),
            size in 1_usize..6,
        ) {
            let bytes = [&pieces.concat()[..], b"\x18\x1b[6n\x1b[?25$p"].concat();
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(answers_in(&chunks), answers_in(&[&bytes]));
        }

        #[test]
        fn the_modes_are_those_that_are_replayed(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    &b"a"[..], b"\x1b[", b"\x1b]", b"\x1bc", b"\x07", b"\xc2", b"\x9b", b"?", b">", b"=", b"25",
                    b"1049", b"4;", b"1",
                    b"h", b"l", b"m", b"u", b"r", b"q", b"\x1b=", b"\n", b"\xe6\xbc\xa2",
                ]),
                0..60,
            ),
        ) {
            let bytes = pieces.concat();
            let (mut terminal, mut modes) = (Answers::new(Colors::default()), Modes::default());
            terminal.look(&bytes, || SIZE, &mut Vec::new());
            modes.push(&bytes);
            prop_assert_eq!((terminal.modes.enter(), terminal.modes.leave()), (modes.enter(), modes.leave()));
        }
    }
}
