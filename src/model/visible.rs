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
    escape(text, hides)
}

/// The same for text of several lines: line feeds stay, all else is escaped.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| character != '\n' && hides(character))
}

/// Whether a character is one that [`visible`] escapes.
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
        ] {
            assert_eq!(visible(text), shown);
            assert_eq!(visible(shown), shown, "once is enough");
        }
        assert_eq!(visible_lines("a\n\tb\u{1b}"), "a\n\\tb\\u{1b}");
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_hides_is_left(text in "\\PC{0,20}[\\x00-\\x1f\\x7f-\\x9f\u{200b}-\u{202e}]{0,5}\\PC{0,20}") {
            proptest::prop_assert!(!visible(&text).contains(hides));
            proptest::prop_assert!(!visible_lines(&text).contains(|it| it != '\n' && hides(it)));
        }
    }
}
