//! From the text of a value in the file to the value: by dotenvy.
//!
//! dotenvy alone cannot read these files. It takes only UTF-8, wants `A=hello world` quoted,
//! rejects `a-b=1` and `"C:\temp"`, replaces `$`, and its errors hold the value. So each value
//! is written as one line in double quotes with the same key and with every character escaped
//! that means something to dotenvy, and then dotenvy reads that line. Single quotes would need
//! no escapes, but dotenvy looks for the end of a line as if a backslash in them were one.

use std::os::unix::ffi::OsStrExt;

use memchr::memrchr;

use super::expand::{Names, Reference};

/// The most bytes of a value in which names were replaced. A process can receive 128 KiB.
pub(super) const LONGEST: usize = 1024 * 1024;

/// Why a value could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// dotenvy rejects the text written for it. No input is known to cause this.
    Unreadable,
    /// After replacing names it is longer than [`LONGEST`].
    TooLong,
    /// Replaced names make the values of the file longer in total than [`super::MOST_BYTES`].
    TooMuch,
}

/// How a value was written in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Without quotes: every character stands for itself.
    Bare,
    /// In single quotes: every character stands for itself.
    Single,
    /// In double quotes: with escapes.
    Double,
}

/// The value that `text` (without its quotes) stands for, with the names in it replaced if
/// `names` are given.
pub(super) fn read(style: Style, text: &[u8], names: Option<&Names<'_>>) -> Result<Vec<u8>, Unread> {
    let mut line = String::with_capacity(text.len() + 8);
    line.push_str("V=\"");
    write(&mut line, style, text, names.filter(|_| style != Style::Single))?;
    line.push_str("\"\n");
    let value = dotenvy::Iter::new(line.as_bytes()).next().and_then(Result::ok);
    let (_, value) = value.ok_or(Unread::Unreadable)?;
    value.chars().map(|character| u8::try_from(character).map_err(|_| Unread::Unreadable)).collect()
}

/// Writes `text` so that dotenvy reads its meaning inside double quotes.
fn write(line: &mut String, style: Style, text: &[u8], names: Option<&Names<'_>>) -> Result<(), Unread> {
    let last_brace = names.and_then(|_| memrchr(b'}', text)).unwrap_or(0);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if let Some(names) = names
            && let Some(reference) = Reference::at_start(&text[at..], at < last_brace)
        {
            at += reference.length;
            replace(line, style, &reference, names)?;
            continue;
        }
        at += match (byte, text.get(at + 1)) {
            (b'\\', Some(&escaped)) if is_escape(style, escaped, names.is_some()) => {
                line.push('\\');
                line.push(char::from(escaped));
                2
            }
            (b'\r', Some(b'\n')) if style != Style::Bare => {
                push(line, b'\n');
                2
            }
            _ => {
                push(line, byte);
                1
            }
        };
    }
    Ok(())
}

/// Whether a backslash before `byte` is no character of the value.
fn is_escape(style: Style, byte: u8, expand: bool) -> bool {
    match style {
        Style::Double => b"\\\"'$ n".contains(&byte),
        // Where `$` means something there has to be a way to write one.
        Style::Bare => expand && byte == b'$',
        Style::Single => false,
    }
}

/// Writes what `reference` stands for. That is a value already and is never replaced again;
/// a default is text of this file and may hold names.
fn replace(
    line: &mut String,
    style: Style,
    reference: &Reference<'_>,
    names: &Names<'_>,
) -> Result<(), Unread> {
    let value = reference.resolve(names);
    if value.is_empty() {
        write(line, style, reference.default, Some(names))?;
    }
    // Escapes aside, the text in the line is no shorter than the value it stands for.
    if line.len() + value.len() > LONGEST {
        return Err(Unread::TooLong);
    }
    if !names.spend(value.len()) {
        return Err(Unread::TooMuch);
    }
    for &byte in value.as_bytes() {
        push(line, byte);
    }
    Ok(())
}

/// Writes a byte that stands for itself. Each byte becomes the character of the same number
/// (Latin-1), so that bytes which are not UTF-8 reach dotenvy as text and come back unchanged.
fn push(line: &mut String, byte: u8) {
    match byte {
        // As an escape, so that every value is one line for dotenvy.
        b'\n' => line.push_str("\\n"),
        // `$` is always escaped: dotenvy would ask the process's own environment first.
        b'\\' | b'"' | b'$' => {
            line.push('\\');
            line.push(char::from(byte));
        }
        _ => line.push(char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};

    use super::*;

    #[test]
    fn every_byte_stands_for_itself_without_double_quotes() {
        let all: Vec<u8> = (0..=255).collect();
        for style in [Style::Bare, Style::Single] {
            assert_eq!(read(style, &all, None), Ok(all.clone()), "{style:?}");
            for byte in 0..=255 {
                assert_eq!(read(style, &[byte], None), Ok(vec![byte]), "{style:?}");
                assert_eq!(read(style, &[b'\\', byte], None), Ok(vec![b'\\', byte]), "{style:?}");
            }
        }
    }

    #[test]
    fn a_backslash_in_double_quotes_escapes_only_what_the_dialect_names() {
        for byte in 0..=255 {
            let expected = match byte {
                b'\\' | b'"' | b'\'' | b'$' | b' ' => vec![byte],
                b'n' => vec![b'\n'],
                _ => vec![b'\\', byte],
            };
            assert_eq!(read(Style::Double, &[b'\\', byte], None), Ok(expected), "{byte}");
        }
        assert_eq!(read(Style::Double, b"a\\", None), Ok(b"a\\".to_vec()));
        assert_eq!(read(Style::Double, b"\\\\n", None), Ok(b"\\n".to_vec()));
    }

    #[test]
    fn crlf_becomes_lf_in_quotes_only() {
        for (style, expected) in
            [(Style::Bare, &b"a\r\nb\rc"[..]), (Style::Single, b"a\nb\rc"), (Style::Double, b"a\nb\rc")]
        {
            assert_eq!(read(style, b"a\r\nb\rc", None), Ok(expected.to_vec()), "{style:?}");
        }
    }

    #[test]
    fn replaced_names_have_a_limit() {
        let long = |name: &OsStr| (name == "A").then(|| OsString::from("x".repeat(1000)));
        let names = || Names::new(&long);
        let references = |count: usize| "$A".repeat(count).into_bytes();
        let length = |count| read(Style::Bare, &references(count), Some(&names())).map(|value| value.len());
        assert_eq!(length(1000), Ok(1_000_000));
        assert_eq!(length(1100), Err(Unread::TooLong));
        let names = names();
        let together = std::iter::repeat_with(|| read(Style::Double, &references(1000), Some(&names)));
        assert_eq!(together.take_while(Result::is_ok).count(), 16);
        assert_eq!(read(Style::Bare, &references(1000), Some(&names)), Err(Unread::TooMuch));
        // Only replaced names count, not what the file itself contains.
        let written = vec![b'x'; 2 * LONGEST];
        assert_eq!(read(Style::Bare, &written, Some(&names)), Ok(written.clone()));
    }
}
