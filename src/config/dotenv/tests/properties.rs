//! What holds for every file.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// A part of each secret; no key and no message holds it.
const SECRET: &str = "hunter2";

/// Texts of the pieces that mean something in the dialect.
fn odd_text() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"'",
        b"\"",
        b"\\",
        b"$",
        b"#",
        b"=",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b":-",
        b"\n",
        b"\r",
        b"\r\n",
        b"\t",
        b" ",
        b"export ",
        b"\xef\xbb\xbf",
        b"\0",
        b"\xc3\xa9",
        b"\xc2\xa0",
        b"\xff",
        b"A",
        b"B",
        b"b_1",
        b"A=",
        b"B=\"",
        b"${A}",
        b"\\\"",
        b"\\n",
        b"null",
        b"1",
    ];
    vec(select(pieces), 0..60).prop_map(|pieces| pieces.concat())
}

fn check_any(text: &[u8]) -> Result<(), TestCaseError> {
    let source = Source::new(".env", text);
    let plain = parse(&source, None);
    let expanded = parse(&source, Some(&|name| (name != "A").then(|| name.to_owned())));
    prop_assert_eq!(plain.is_ok(), expanded.is_ok());
    let (Ok(plain), Ok(expanded)) = (plain, expanded) else { return Ok(()) };
    prop_assert_eq!(&plain.warnings, &expanded.warnings);
    prop_assert_eq!(plain.assignments.len(), expanded.assignments.len());
    for assignment in &plain.assignments {
        prop_assert_eq!(assignment.line, source.position(assignment.span.start).line);
        let bytes = [assignment.key.as_bytes(), assignment.value.as_bytes()].concat();
        prop_assert!(!assignment.key.is_empty() && !bytes.contains(&0));
    }
    Ok(())
}

/// A value and one of the ways to write it.
fn written_value() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let value = prop_oneof![odd_text(), vec(any::<u8>(), 0..30)];
    (value, 0..3, select(vec!["\n", "\r\n", "\\n"]), any::<bool>()).prop_map(
        |(mut value, style, line_feed, escape)| {
            value.retain(|byte| *byte != 0);
            if style == 0 && can_stand_bare(&value) {
                return (value.clone(), value);
            }
            // CRLF is no part of a quoted value.
            value.retain(|byte| *byte != b'\r');
            let written = if style == 1 && !value.contains(&b'\'') {
                let line_feed = if line_feed == "\\n" { "\n" } else { line_feed };
                [b"'", replace(&value, b'\n', line_feed).as_slice(), b"'"].concat()
            } else {
                in_double_quotes(&value, line_feed, escape)
            };
            (value, written)
        },
    )
}

/// `escape` also escapes what need not be.
fn in_double_quotes(value: &[u8], line_feed: &str, escape: bool) -> Vec<u8> {
    let mut text = replace(&replace(value, b'\\', r"\\"), b'"', "\\\"");
    if escape {
        text = replace(&replace(&replace(&text, b'\'', r"\'"), b'$', r"\$"), b' ', r"\ ");
    }
    // An escaped quote at the end of the first line would close the value.
    let first_line = value.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line_feed = if first_line.contains(&b'"') { "\\n" } else { line_feed };
    [b"\"", replace(&text, b'\n', line_feed).as_slice(), b"\""].concat()
}

fn replace(text: &[u8], from: u8, to: &str) -> Vec<u8> {
    text.split(|byte| *byte == from).collect::<Vec<_>>().join(to.as_bytes())
}

fn can_stand_bare(value: &[u8]) -> bool {
    let comment = (0..value.len()).any(|at| value[at] == b'#' && blank::at_end(&value[..at]).is_some());
    !comment
        && !value.contains(&b'\n')
        && !value.starts_with(b"'")
        && !value.starts_with(b"\"")
        && blank::trim(value, 0..value.len()).len() == value.len()
}

/// An assignment and what stands round it.
#[derive(Debug, Clone)]
struct Entry {
    /// Lines before it, blanks and its `export`.
    before: Vec<u8>,
    key: String,
    value: Vec<u8>,
    written: Vec<u8>,
    /// Blanks, a comment and the line end.
    end: &'static str,
}

fn entry() -> impl Strategy<Value = Entry> {
    let lines = vec(select(vec!["\n", " \t\r\n", "# it's = \"x\n", "#\n", "export X\n"]), 0..3);
    let lead = select(vec!["", " ", "export ", "\texport\t"]);
    let end = select(vec!["\n", " \r\n", " # \"c'\n", "\t#\r\n"]);
    (lines, lead, "[A-Za-z_.+-][A-Za-z0-9_.+-]{0,5}", written_value(), end).prop_map(
        |(lines, lead, key, (value, written), end)| Entry {
            before: [lines.concat(), lead.to_owned()].concat().into_bytes(),
            key,
            value,
            written,
            end,
        },
    )
}

proptest! {
    #[test]
    fn no_bytes_bring_it_down(text in vec(any::<u8>(), 0..200)) {
        check_any(&text)?;
    }

    #[test]
    fn no_text_brings_it_down(text in odd_text(), json in any::<bool>()) {
        check_any(&if json { [b"{\"A\":", text.as_slice()].concat() } else { text })?;
    }

    #[test]
    fn what_is_written_comes_back(entries in vec(entry(), 0..8)) {
        let mut text = Vec::new();
        let mut expected = Vec::new();
        for Entry { before, key, value, written, end } in &entries {
            text.extend(before);
            let line = 1 + memchr::memchr_iter(b'\n', &text).count();
            expected.push((key.as_bytes().to_vec(), value.clone(), line));
            text.extend([key.as_bytes(), b"=", written, end.as_bytes()].concat());
        }
        let file = parse(&Source::new(".env", text), None)
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        let read: Vec<_> = file
            .assignments
            .into_iter()
            .map(|pair| (pair.key.into_vec(), pair.value.into_vec(), pair.line))
            .collect();
        prop_assert_eq!(read, expected);
        prop_assert_eq!(file.warnings, []);
    }

    #[test]
    fn no_message_shows_a_value(
        before in odd_text(),
        between in odd_text(),
        behind in odd_text(),
        json in any::<bool>(),
    ) {
        let open: &[u8] = if json { b"{\"TOKEN\":\"" } else { b"" };
        let secret = SECRET.as_bytes();
        // Behind a `=` and a slash, so that it looks like no key: keys may be shown.
        let text = [open, &before, b"='", secret, &between, b"/", secret, b" ", &behind].concat();
        match read(text) {
            Ok(file) => {
                for warning in file.warnings {
                    prop_assert!(!warning.to_string().contains(SECRET), "{warning}");
                }
            }
            Err(error) => prop_assert!(!error.to_string().contains(SECRET), "{error}"),
        }
    }
}
