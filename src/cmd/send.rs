//! `ganger send`: types text on the terminal of a process of the running instance.
//!
//! The text may be a secret, so no message shows it.

use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;

use super::print;
use super::remote::Remote;
use crate::cli::{AppArgs, SendArgs};
use crate::control::frames::Bytes;
use crate::control::proto::{MAX_SENT, Refusal, Request, Sent};
use crate::env::Env;
use crate::error::Error;
use crate::model::visible;

/// The longest text.
const MAX_TEXT: usize = 1024 * 1024;

pub(super) fn send(app: &AppArgs, args: SendArgs, env: &Env) -> Result<u8, Error> {
    let SendArgs { name, text, raw } = args;
    let text = match text.as_bytes() {
        b"-" => stdin()?,
        text if raw => text.to_vec(),
        text => unescape(text)?,
    };
    if text.len() > MAX_TEXT {
        let hint = "send it in several parts, or have the program read a file";
        return Err(Error::usage(format!("the text has more than {MAX_TEXT} bytes"), hint));
    }
    let mut remote = Remote::find(app, env)?;
    let (mut rest, mut taken) = (&text[..], 0);
    loop {
        let piece = piece_of(rest);
        let bytes = Bytes(piece.to_vec());
        let sent: Sent = remote.call(&Request::Send { name: name.clone(), bytes })?;
        taken += sent.taken.min(piece.len());
        if sent.taken < piece.len() {
            let all = text.len();
            let message = format!(
                "{} does not read its terminal fast enough: {taken} of {all} bytes were sent",
                sent.name
            );
            let refusal = Refusal::failed(message).hint("what was sent waits in the terminal until it reads");
            return Err(Error::Refused(refusal));
        }
        rest = &rest[piece.len()..];
        if rest.is_empty() {
            let bytes = if taken == 1 { "byte" } else { "bytes" };
            return print(
                format!("sent {taken} {bytes} to {}, pid {}\n", visible(&sent.name), sent.pid).as_bytes(),
            );
        }
    }
}

fn stdin() -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    // One more than is allowed, to know that it is too long.
    let limit = MAX_TEXT as u64 + 1;
    io::stdin().take(limit).read_to_end(&mut text).map_err(|error| Error::system("reading stdin", error))?;
    Ok(text)
}

/// Returns as much of the text as one request takes: up to the end of a line, if there is one.
fn piece_of(text: &[u8]) -> &[u8] {
    if text.len() <= MAX_SENT {
        return text;
    }
    let most = &text[..MAX_SENT];
    memchr::memrchr2(b'\n', b'\r', most).map_or(most, |end| &most[..=end])
}

/// Carries out the escapes in a text.
fn unescape(text: &[u8]) -> Result<Vec<u8>, Error> {
    let wrong = |what: String| {
        Error::usage(what, "write `\\\\` for a backslash, or use --raw to type the text as it is")
    };
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, more)) = rest.split_first() {
        rest = more;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let Some((name, more)) = rest.split_first() else {
            return Err(wrong("the text ends with a single backslash".to_owned()));
        };
        rest = more;
        out.push(match name {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'e' => 0x1b,
            b'\\' => b'\\',
            b'x' => {
                let digits =
                    rest.split_at_checked(2).filter(|(two, _)| two.iter().all(u8::is_ascii_hexdigit));
                let Some((digits, more)) = digits else {
                    return Err(wrong("`\\x` is not followed by two hexadecimal digits".to_owned()));
                };
                rest = more;
                let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|it| u8::try_from(it).ok());
                digit(digits[0]).unwrap_or(0) * 16 + digit(digits[1]).unwrap_or(0)
            }
            b' '..=b'~' => return Err(wrong(format!("unknown escape `\\{}`", char::from(*name)))),
            _ => {
                return Err(wrong(
                    "unknown escape: a backslash before a character that is not a valid escape".to_owned(),
                ));
            }
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_carried_out() {
        let read = |text: &str| unescape(text.as_bytes()).expect(text);
        assert_eq!(read(r"rs\n"), b"rs\n");
        assert_eq!(read(r"\r\t\e[A\x03\xfF\\n"), b"\r\t\x1b[A\x03\xff\\n");
        assert_eq!(read("é \u{7f}"), "é \u{7f}".as_bytes());
        assert_eq!(read(""), b"");
    }

    #[test]
    fn a_wrong_escape_is_an_error_that_does_not_show_the_text() {
        for (text, message) in [
            (r"hunter2\q", r"unknown escape `\q`"),
            (r"hunter2\", "the text ends with a single backslash"),
            (r"hunter2\x4", r"`\x` is not followed by two hexadecimal digits"),
            (r"hunter2\xg0", r"`\x` is not followed by two hexadecimal digits"),
            ("hunter2\\é", "unknown escape: a backslash before a character that is not a valid escape"),
        ] {
            let error = unescape(text.as_bytes()).expect_err(text);
            assert_eq!(error.to_string(), message);
            assert_eq!(error.exit_status(), crate::error::USAGE);
            assert!(!error.render().contains("hunter2"));
        }
    }

    #[test]
    fn a_long_text_is_cut_at_the_end_of_a_line() {
        let line = |count: usize| [vec![b'x'; count - 1], vec![b'\r']].concat();
        assert_eq!(piece_of(&line(MAX_SENT)).len(), MAX_SENT);
        assert_eq!(piece_of(&[line(100), line(MAX_SENT)].concat()).len(), 100);
        assert_eq!(piece_of(&vec![b'x'; MAX_SENT + 1]).len(), MAX_SENT);
    }
}
