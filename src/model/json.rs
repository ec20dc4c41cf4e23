//! JSON whose text is safe on a terminal.
//!
//! `serde_json` escapes U+0000 to U+001F, as required, and no more. Here every character that
//! [`hides`] matches is escaped as well. A reader gets the same values.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use super::hides;

/// Appends `value` to `out`, on one line.
pub fn append(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Only strings, numbers and maps with string keys, written to memory: nothing can fail.
    let _ = value.serialize(&mut Serializer::with_formatter(out, Visible(CompactFormatter)));
}

/// Appends a string to `out`. Optimized for lines of processes, of which there may be millions: a line
/// without hidden characters costs little more than with `serde_json` alone.
pub fn append_text(out: &mut Vec<u8>, text: &str) {
    if has_hidden(text) {
        append(out, text);
    } else {
        let _ = serde_json::to_writer(out, text);
    }
}

/// Returns `value` as indented JSON, including the last newline.
pub fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = value.serialize(&mut Serializer::with_formatter(&mut out, Visible(PrettyFormatter::new())));
    out.push(b'\n');
    out
}

/// Returns whether [`hides`] matches a character of `text`, except C0. It searches for the first bytes of
/// these in UTF-8; testing each character takes five times as long in text that is not ASCII.
fn has_hidden(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hides_at = |at: usize| {
        matches!(
            bytes[at..],
            [0x7f, ..]
                | [0xc2, 0x80..=0x9f, ..]
                | [0xd8, 0x9c, ..]
                | [0xe1, 0xa0, 0x8e, ..]
                | [0xe2, 0x80, 0x8b..=0x8f | 0xa8..=0xae, ..]
                | [0xe2, 0x81, 0xa0..=0xaf, ..]
                | [0xef, 0xbb, 0xbf, ..]
                | [0xef, 0xbf, 0xb9..=0xbb, ..]
                | [0xf3, 0xa0, 0x80 | 0x81, ..]
        )
    };
    memchr::memchr3_iter(0xc2, 0xe2, 0xef, bytes).any(hides_at)
        || memchr::memchr3_iter(0x7f, 0xd8, 0xe1, bytes).any(hides_at)
        || memchr::memchr_iter(0xf3, bytes).any(hides_at)
}

/// Formats like `F`, except for text.
struct Visible<F>(F);

macro_rules! as_inside {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {$(
        fn $name<W: ?Sized + io::Write>(&mut self, writer: &mut W, $($argument: $kind),*) -> io::Result<()> {
            self.0.$name(writer, $($argument),*)
        }
    )*};
}

impl<F: Formatter> Formatter for Visible<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // A fragment is the text between two characters that serde_json escapes itself.
        if !has_hidden(fragment) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, hidden)) = rest.char_indices().find(|(_, character)| hides(*character)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in hidden.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + hidden.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    as_inside! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        begin_object_value();
        end_object_value();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn compact(value: &Value) -> String {
        let mut out = Vec::new();
        append(&mut out, value);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn hidden_characters_are_escaped_in_keys_and_values() {
        let value = json!({ "k\u{9b}": ["\u{1b}[m\n", "a\u{7f}b\u{9d}c", "é 漢 👍", "\u{202e}\u{e0041}"] });
        assert_eq!(
            compact(&value),
            r#"{"k\u009b":["\u001b[m\n","a\u007fb\u009dc","é 漢 👍","\u202e\udb40\udc41"]}"#
        );
        let plain = json!({ "a": [1, { "b": null }], "c": [], "d": {} });
        assert_eq!(pretty(&plain), format!("{plain:#}\n").into_bytes());
        assert_eq!(compact(&plain), plain.to_string());
    }

    #[test]
    fn every_hidden_character_is_found_by_its_bytes() {
        for character in '\0'..=char::MAX {
            let text = String::from(character);
            let expected = hides(character) && character >= ' ';
            assert_eq!(has_hidden(&text), expected, "U+{:04X}", u32::from(character));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_reader_gets_what_was_written(text in "\\PC{0,9}[\\x00-\\x1f\\x7f-\\x9f\u{200b}-\u{202e}\u{e0000}-\u{e007f}]{0,5}\\PC{0,9}") {
            let mut line = Vec::new();
            append_text(&mut line, &text);
            proptest::prop_assert_eq!(String::from_utf8(line).expect("text"), compact(&json!(text)));
            let value = json!({ text.clone(): [text] });
            for written in [compact(&value).into_bytes(), pretty(&value)] {
                proptest::prop_assert_eq!(&serde_json::from_slice::<Value>(&written).expect("JSON"), &value);
                proptest::prop_assert!(!String::from_utf8(written).expect("text").contains(|it| it != '\n' && hides(it)));
            }
        }
    }
}
