//! Text from elsewhere (files, arguments, the wire) made safe to show in ganger's own lines.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns `text` with every character that could drive a terminal or mislead a reader written as
/// an escape: `\n`, `\t`, `\u{1b}`.
///
/// These are the control characters (C0, DEL, C1), line and paragraph separators, the characters
/// that reorder text (UAX #9: embeddings, overrides, isolates, marks), and those that take no
/// space on the screen (zero width, tags). Text that was escaped before stays as it is.
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, |character| hides(character) || is_blank(character))
}

/// Returns the same for text of several lines: line feeds stay, all else is escaped.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| character != '\n' && (hides(character) || is_blank(character)))
}

/// Returns whether [`visible`] escapes this character.
pub fn hides(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Returns whether a character takes up nothing, or a space, without being one: fillers, joiners,
/// variation selectors. U+FE0F is not among them, as it belongs to emoji.
fn is_blank(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0e}'
            | '\u{ffa0}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}

/// The most characters that a message shows of one piece of text from elsewhere.
const MOST_QUOTED: usize = 100;

/// The most characters of a sentence that a message shows.
const MOST_OF_SENTENCE: usize = 2000;

/// Returns a piece of text from elsewhere as a message quotes it: cut to 100 characters,
/// then escaped.
pub fn quoted(text: &str) -> String {
    let mut out = String::new();
    push_cut(&mut out, text, MOST_QUOTED);
    visible(&out).into_owned()
}

/// Returns a sentence of ganger's with text from elsewhere in it as it is shown: on one line, escaped,
/// and of a readable length.
///
/// Text in backticks is cut to 100 characters, so that the end of the sentence stays
/// visible. If it is still too long, it loses its middle: a path or a list says most at its ends.
pub fn sentence(text: &str) -> String {
    if text.len() <= MOST_QUOTED {
        return visible(text).into_owned();
    }
    let mut out = String::new();
    for (place, part) in text.split('`').enumerate() {
        if place > 0 {
            out.push('`');
        }
        // Every second part is between two backticks.
        push_cut(&mut out, part, if place % 2 == 1 { MOST_QUOTED } else { usize::MAX });
    }
    visible(&without_middle(out)).into_owned()
}

/// Returns bytes from elsewhere in one line: text as [`visible`] shows it, other bytes as `\x9b`.
pub fn visible_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&visible(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Returns whether [`visible_bytes`] would change these bytes.
pub fn hides_any(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).map_or(true, |text| text.contains(hides))
}

fn push_cut(out: &mut String, text: &str, most: usize) {
    match text.char_indices().nth(most) {
        Some((end, _)) => {
            out.push_str(&text[..end]);
            out.push('…');
        }
        None => out.push_str(text),
    }
}

/// Cuts a text that is too long: three quarters of the rest are from its start, one quarter from its end.
fn without_middle(text: String) -> String {
    if text.char_indices().nth(MOST_OF_SENTENCE).is_none() {
        return text;
    }
    let tail = MOST_OF_SENTENCE / 4;
    let mut out = String::new();
    push_cut(&mut out, &text, MOST_OF_SENTENCE - tail);
    let from = text.char_indices().rev().nth(tail - 1).map_or(0, |(from, _)| from);
    out.push_str(&text[from..]);
    out
}

fn escape(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' if hidden(character) => out.extend(character.escape_default()),
            // Writing to a String cannot fail.
            _ if hidden(character) => drop(write!(out, "\\u{{{:x}}}", u32::from(character))),
            _ => out.push(character),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_act_or_hide_are_escaped() {
        for (text, shown) in [
            ("plain é 漢 👍", "plain é 漢 👍"),
            ("\u{1b}]52;c;x\u{7}", r"\u{1b}]52;c;x\u{7}"),
            ("a\nb\r\tc", r"a\nb\r\tc"),
            ("\u{9b}31m\u{7f}\0", r"\u{9b}31m\u{7f}\u{0}"),
            ("\u{202e}gpj.exe\u{2066}", r"\u{202e}gpj.exe\u{2066}"),
            ("ze\u{200b}ro\u{feff}\u{2028}", r"ze\u{200b}ro\u{feff}\u{2028}"),
            ("\u{e0041}", r"\u{e0041}"),
            ("soft\u{ad}hyphen \u{3164}\u{2800}", r"soft\u{ad}hyphen \u{3164}\u{2800}"),
            ("a\u{fe00} \u{2764}\u{fe0f}", "a\\u{fe00} \u{2764}\u{fe0f}"),
        ] {
            assert_eq!(visible(text), shown);
            assert_eq!(visible(shown), shown, "once is enough");
        }
        assert_eq!(visible_lines("a\n\tb\u{1b}"), "a\n\\tb\\u{1b}");
    }

    #[test]
    fn sentences_stay_on_one_line_and_keep_their_end() {
        assert_eq!(sentence("no `a\n\u{1b}[m` here"), r"no `a\n\u{1b}[m` here");
        let long = sentence(&format!("there is no option `{}` here", "x".repeat(100_000)));
        assert_eq!(long, format!("there is no option `{}…` here", "x".repeat(MOST_QUOTED)));
        let path = sentence(&format!("there is no Procfile at {}", "é/".repeat(100_000) + "Procfile"));
        assert!(path.starts_with("there is no Procfile at é/") && path.ends_with("é/Procfile"), "{path}");
        assert!(path.chars().count() <= MOST_OF_SENTENCE + 1, "{path}");
        // Backticks of others may end a quotation where it does not, and the length holds.
        assert!(sentence(&format!("no `a`{}", "\u{9b}".repeat(100_000))).len() < 20_000);
        assert_eq!(quoted(&"\u{7}".repeat(MOST_QUOTED + 1)), r"\u{7}".repeat(MOST_QUOTED) + "…");
    }

    #[test]
    fn bytes_that_are_not_text_are_shown_in_hex() {
        assert_eq!(visible_bytes(b"caf\xe9 \x9b31m\x1b"), r"caf\xe9 \x9b31m\u{1b}");
        assert!(hides_any(b"\x9b") && hides_any("\u{9b}".as_bytes()) && !hides_any("é 漢".as_bytes()));
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_hides_is_left(text in "\\PC{0,20}[\\x00-\\x1f\\x7f-\\x9f\u{200b}-\u{202e}]{0,5}\\PC{0,20}") {
            proptest::prop_assert!(!visible(&text).contains(hides));
            proptest::prop_assert!(!sentence(&text).contains(hides));
            proptest::prop_assert!(!quoted(&text).contains(hides));
            proptest::prop_assert!(!visible_bytes(text.as_bytes()).contains(hides));
            proptest::prop_assert!(!visible_lines(&text).contains(|it| it != '\n' && hides(it)));
        }
    }
}
