//! What the fuzz targets share.

use ganger::config::diagnostic::Diagnostic;
use ganger::error::{Severity, render_diagnostics};
use ganger::model::hides;
pub use libfuzzer_sys::fuzz_target as fuzz;

/// The most problems of one file that are shown, with the message that says how many more there are.
const MAX_PROBLEMS: usize = 101;

/// The longest message, in bytes.
const MAX_MESSAGE: usize = 8 * 1024;

/// Checks messages as they are shown.
pub fn assert_messages(problems: &[Diagnostic]) {
    assert!(problems.len() <= MAX_PROBLEMS, "{} problems", problems.len());
    for problem in problems {
        assert!(problem.line() >= 1 && problem.column() >= 1);
        assert_harmless(&render_diagnostics(Severity::Error, std::slice::from_ref(problem)));
    }
}

/// Checks that a text of several lines can neither drive a terminal nor fill one.
#[track_caller]
pub fn assert_harmless(text: &str) {
    assert!(text.len() <= MAX_MESSAGE, "{} bytes", text.len());
    let bad = text.chars().find(|character| *character != '\n' && hides(*character));
    assert_eq!(bad, None, "{text:?}");
}

/// Cuts `data` into pieces, by a seed: all of it, byte by byte, or pieces of many lengths.
pub fn chunks(seed: u8, data: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut rest, mut state) = (data, u32::from(seed));
    while !rest.is_empty() {
        // A linear congruential generator, as in C's `rand`.
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let length = match seed {
            0 => rest.len(),
            1 => 1,
            _ => 1 + (state >> 16) as usize % (usize::from(seed) * 4),
        };
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// Whether a text may hold a number that is not read exactly: serde_json rounds those with many digits
/// or with an exponent in its own way.
pub fn has_inexact_number(text: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    text.split(|byte| !is_digit(byte)).any(|run| run.len() > 15)
        || text.windows(2).any(|pair| pair[0].is_ascii_digit() && matches!(pair[1], b'e' | b'E'))
}
