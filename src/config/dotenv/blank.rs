//! What counts as a blank in an env file: Unicode white space and the byte order mark.
//!
//! heroku local trims with JavaScript's `trim`, so a no-break space pasted from a web page is
//! no part of a value. The files may hold bytes that are not UTF-8; those are never blanks.

use std::ops::Range;

/// `range` of `text` without the blanks at both ends.
pub(super) fn trim(text: &[u8], range: Range<usize>) -> Range<usize> {
    let Range { mut start, mut end } = range;
    while let Some(length) = at_start(&text[start..end]) {
        start += length;
    }
    while let Some(length) = at_end(&text[start..end]) {
        end -= length;
    }
    start..end
}

/// Whether `character` is a blank.
pub(super) fn is_blank(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

/// The length of the blank that `text` begins with. None takes more than three bytes.
pub(super) fn at_start(text: &[u8]) -> Option<usize> {
    (1..=3).find(|&length| text.get(..length).is_some_and(is_one_blank))
}

/// The length of the blank that `text` ends with.
pub(super) fn at_end(text: &[u8]) -> Option<usize> {
    (1..=3).find(|&length| length <= text.len() && is_one_blank(&text[text.len() - length..]))
}

fn is_one_blank(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_ok_and(|text| {
        let mut characters = text.chars();
        characters.next().is_some_and(is_blank) && characters.next().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_every_unicode_blank_and_nothing_else() {
        for blank in
            [" ", "\t", "\r", "\u{b}", "\u{85}", "\u{a0}", "\u{2003}", "\u{2028}", "\u{3000}", "\u{feff}"]
        {
            let text = format!("{blank} a{blank}b {blank}");
            let trimmed = trim(text.as_bytes(), 0..text.len());
            assert_eq!(text[trimmed], format!("a{blank}b"), "{blank:?}");
        }
        assert_eq!(trim("\u{200b}".as_bytes(), 0..3), 0..3, "U+200B is no white space");
    }

    #[test]
    fn a_lone_byte_of_a_blank_is_none() {
        for text in [&b"\xa0"[..], b"\x85", b"\xc2", b"\xe2\x80", b"\xbb\xbf"] {
            assert_eq!(trim(text, 0..text.len()), 0..text.len(), "{text:?}");
        }
        assert_eq!(trim(b" \xff\xc2\xa0", 0..4), 1..2);
        assert_eq!(trim(b" \t ", 0..3).len(), 0);
    }
}
