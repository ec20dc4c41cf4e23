//! What text looks like on a terminal: colours and attributes (SGR), the link it is part of, and
//! how many columns it takes.
//!
//! Pure. `sanitize` keeps one while it reads a process's output, closes it at the end of a line
//! and opens it again in the process's next one.

use std::sync::Arc;

use anstyle_parse::{AsciiParser, Params, Parser, Perform};
use memchr::{memchr, memmem};

/// The attributes that go together: a new one of a group replaces the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Bold,
    Dim,
    Italic,
    Underline,
    Blink,
    Inverse,
    Hidden,
    Struck,
    Overline,
    Font,
    Foreground,
    Background,
    UnderlineColor,
}

const GROUPS: usize = 13;

/// The longest URL of a link, and its longest parameters (`id=…`), in bytes: those of VTE
/// (`VTE_HYPERLINK_URI_LENGTH_MAX`, `VTE_HYPERLINK_ID_LENGTH_MAX`). A link continues in each
/// following line, so without a limit two bytes would become 8 KiB.
const MAX_LINK: usize = 2083;
const MAX_LINK_PARAMS: usize = "id=".len() + 250;

/// Ends a link.
pub(super) const NO_LINK: &[u8] = b"\x1b]8;;\x1b\\";

/// The look of a character in a row of many; `None` is plain.
pub(super) type Pen = Option<Arc<Look>>;

/// What is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// For each group the parameters that set it; empty where nothing does.
    attributes: [Vec<u8>; GROUPS],
    /// Parameters and address of the link, as in OSC 8.
    link: Option<Vec<u8>>,
}

impl Look {
    /// Takes an SGR sequence (ECMA-48 8.3.117, and what terminals have added). Answers it with
    /// all that is not known left out, or `None` if nothing of it is known.
    pub(super) fn sgr(&mut self, params: &Params) -> Option<Vec<u8>> {
        let mut known = Vec::new();
        let mut params = params.iter();
        while let Some(param) = params.next() {
            let Some(param) = plain(param) else { continue };
            let mut text = join(param, b':');
            if let [38 | 48 | 58] = param {
                // The old form: the colour is in parameters of their own.
                let kind = params.next().unwrap_or_default();
                let count = match kind {
                    [5] => 1,
                    [2] => 3,
                    _ => break,
                };
                text.extend([&b";"[..], &join(kind, b':')].concat());
                for _ in 0..count {
                    let Some(value) = params.next() else { return finished(&known) };
                    text.extend([&b";"[..], &join(value, b':')].concat());
                }
            }
            if self.set(param[0], &text) {
                known.push(text);
            }
        }
        finished(&known)
    }

    /// Answers whether the attribute is known.
    fn set(&mut self, number: u16, text: &[u8]) -> bool {
        use Group::{Background, Blink, Bold, Dim, Font, Foreground, Hidden, Inverse};
        use Group::{Italic, Overline, Struck, Underline, UnderlineColor};
        let off: &[Group] = match number {
            0 => {
                self.attributes = Default::default();
                return true;
            }
            22 => &[Bold, Dim],
            23 => &[Italic],
            24 => &[Underline],
            25 => &[Blink],
            27 => &[Inverse],
            28 => &[Hidden],
            29 => &[Struck],
            10 => &[Font],
            39 => &[Foreground],
            49 => &[Background],
            55 => &[Overline],
            59 => &[UnderlineColor],
            _ => &[],
        };
        for group in off {
            self.attributes[*group as usize].clear();
        }
        let on = match number {
            1 => Bold,
            2 => Dim,
            3 => Italic,
            4 | 21 => Underline,
            5 | 6 => Blink,
            7 => Inverse,
            8 => Hidden,
            9 => Struck,
            11..=20 => Font,
            30..=38 | 90..=97 => Foreground,
            40..=48 | 100..=107 => Background,
            53 => Overline,
            58 => UnderlineColor,
            _ => return !off.is_empty(),
        };
        if off.is_empty() {
            text.clone_into(&mut self.attributes[on as usize]);
        }
        true
    }

    /// Takes an OSC 8, without `ESC ] 8 ;` and its end: `PARAMS;ADDRESS`, where no address ends the
    /// link. Returns the sequence if it changes anything. A link that is too long or has other bytes
    /// than printable ASCII is none, and ends the one before.
    pub(super) fn link(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        let at = memchr(b';', text)?;
        let printable = text.iter().all(|byte| (0x20..0x7f).contains(byte));
        let fits = at <= MAX_LINK_PARAMS && (2..=MAX_LINK + 1).contains(&(text.len() - at));
        let link = (printable && fits).then(|| text.to_vec());
        if link.is_none() && self.link.is_none() {
            return None;
        }
        self.link = link;
        let sequence = self.link.as_ref().map(|link| [b"\x1b]8;", &link[..], b"\x1b\\"].concat());
        Some(sequence.unwrap_or_else(|| NO_LINK.to_vec()))
    }

    /// Applies one of our own sequences, SGR or a link, at the start of `text`. Returns what follows it.
    pub(super) fn take<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        let (sequence, rest) = text.split_at(sequence_length(text));
        if let Some(link) = sequence.strip_prefix(b"\x1b]8;") {
            self.link(link.strip_suffix(b"\x1b\\").unwrap_or(link));
        } else {
            struct Sgr<'a>(&'a mut Look);
            impl Perform for Sgr<'_> {
                fn csi_dispatch(&mut self, params: &Params, _: &[u8], _: bool, _: u8) {
                    self.0.sgr(params);
                }
            }
            let (mut parser, mut sgr) = (Parser::<AsciiParser>::default(), Sgr(self));
            for byte in sequence {
                parser.advance(&mut sgr, *byte);
            }
        }
        rest
    }

    /// Makes one that many characters share.
    pub(super) fn pen(&self) -> Pen {
        (*self != Self::default()).then(|| Arc::new(self.clone()))
    }

    /// Returns the look of what is erased: a terminal keeps the background ("bce" in terminfo(5)).
    pub(super) fn ground(&self) -> Pen {
        let ground = &self.attributes[Group::Background as usize];
        if ground.is_empty() {
            return None;
        }
        let mut look = Self::default();
        look.attributes[Group::Background as usize].clone_from(ground);
        look.pen()
    }

    /// Whether a space looks different with it.
    pub(super) fn shows_on_blanks(&self) -> bool {
        use Group::{Background, Inverse, Overline, Struck, Underline};
        let groups = [Background, Inverse, Overline, Struck, Underline];
        self.link.is_some() || groups.iter().any(|group| !self.attributes[*group as usize].is_empty())
    }

    /// Appends what gives a plain terminal this look.
    pub(super) fn open(&self, out: &mut Vec<u8>) {
        let set: Vec<Vec<u8>> = self.attributes.iter().filter(|text| !text.is_empty()).cloned().collect();
        out.extend(finished(&set).unwrap_or_default());
        if let Some(link) = &self.link {
            out.extend([b"\x1b]8;", &link[..], b"\x1b\\"].concat());
        }
    }

    /// Appends what makes the terminal plain again.
    pub(super) fn close(&self, out: &mut Vec<u8>) {
        if self.link.is_some() {
            out.extend_from_slice(NO_LINK);
        }
        if self.attributes.iter().any(|text| !text.is_empty()) {
            out.extend_from_slice(b"\x1b[0m");
        }
    }
}

/// A parameter as every terminal reads it. With a subparameter only kinds of underline and colors
/// (ISO 8613-6) are known everywhere: a terminal that ignores `0:1` keeps the look that the others
/// have lost.
fn plain(param: &[u16]) -> Option<&[u16]> {
    match param {
        [_] => Some(param),
        [4, 0] => Some(&[24]),
        [4, 1..=5] | [38 | 48 | 58, 5, _] | [38 | 48 | 58, 2, _, _, _] | [38 | 48 | 58, 2, _, _, _, _] => {
            Some(param)
        }
        _ => None,
    }
}

fn join(numbers: &[u16], between: u8) -> Vec<u8> {
    let texts: Vec<Vec<u8>> = numbers.iter().map(|number| number.to_string().into_bytes()).collect();
    texts.join(&between)
}

fn finished(params: &[Vec<u8>]) -> Option<Vec<u8>> {
    (!params.is_empty()).then(|| [b"\x1b[", &params.join(&b';')[..], b"m"].concat())
}

/// The length of one of our own sequences, SGR or a link, at the start of `text`.
pub(super) fn sequence_length(text: &[u8]) -> usize {
    let end = match text {
        [0x1b, b']', ..] => memmem::find(text, b"\x1b\\").map(|at| at + 2),
        _ => memchr(b'm', text).map(|at| at + 1),
    };
    end.unwrap_or(text.len())
}

/// How many columns a text takes, or more. Sequences take none; a character of three bytes from
/// U+3000 on or of four (CJK, emoji) takes two, a byte that is part of none takes one.
pub(super) fn width(text: &[u8]) -> usize {
    struct Width(usize);
    impl Perform for Width {
        fn print(&mut self, _: char) {
            self.0 += 1;
        }
    }
    let (mut parser, mut width) = (Parser::<AsciiParser>::default(), Width(0));
    for chunk in text.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'\t' => width.0 += 8,
                0x80..0xc0 => {}
                0xc0..0xe3 => width.0 += 1,
                0xe3.. => width.0 += 2,
                0..0x80 => parser.advance(&mut width, byte),
            }
        }
        width.0 += chunk.invalid().len();
    }
    width.0
}
