//! What a client that attaches is shown of the past: modes are entered and left again, and nothing asks
//! the terminal a question, wherever the bytes were cut.
#![no_main]

use ganger::os::pty::Size;
use ganger::output::modes::{Answers, Colors, Modes};
use ganger_fuzz::{chunks, fuzz};

fn answers(chunks: &[&[u8]]) -> Vec<u8> {
    let (mut terminal, mut answers) = (Answers::new(Colors::default()), Vec::new());
    for chunk in chunks {
        terminal.look(chunk, || Size::USUAL, &mut answers);
    }
    answers
}

fuzz!(|data: &[u8]| {
    let [seed, data @ ..] = data else { return };
    let (mut whole, mut kept) = (Modes::default(), Vec::new());
    whole.push_and_keep(data, &mut kept);
    let (mut pieces, mut same) = (Modes::default(), Vec::new());
    for piece in chunks(*seed, data) {
        pieces.push_and_keep(piece, &mut same);
    }
    assert!(whole == pieces && kept == same, "the same in other pieces");
    // A reset is replaced by what it does to the modes.
    assert!(kept.len() <= 256 * data.len() + 1024);
    // Shown again, nothing more is taken out: what passes is harmless by itself. What may be the start of a
    // character waits for the rest of it.
    let mut again = Vec::new();
    Modes::default().push_and_keep(&kept, &mut again);
    let held = kept.strip_prefix(again.as_slice());
    assert!(held.is_some_and(|held| held.len() < 4), "{} / {}", kept.escape_ascii(), again.escape_ascii());
    assert!(answers(&[&kept]).is_empty(), "no question is among it");
    let asked = answers(&[data]);
    assert!(asked.len() <= 4096 && asked == answers(&chunks(*seed, data)), "the same answers");
    assert!(whole.enter().len() + whole.leave().len() < 64 * 1024);
    // Who leaves has undone what was set.
    let mut after = whole.clone();
    after.push(&whole.leave());
    assert!(after.leave().len() <= whole.leave().len());
});
