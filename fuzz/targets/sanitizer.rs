//! The sanitizer: whatever processes write in whatever pieces, the terminal is plain after each line and
//! after each part of one that is shown early; nothing but text, tabs, colors and links comes through;
//! and the lines do not depend on the pieces.
#![no_main]

use ganger::output::invariant;
use ganger::output::sanitize::Allowed;
use ganger_fuzz::{chunks, fuzz};

fuzz!(|data: &[u8]| {
    let [options, seed, data @ ..] = data else { return };
    let allowed = Allowed { sgr: options & 1 != 0, links: options & 2 != 0, utf8: options & 4 == 0 };
    // Three processes write in turn. Which half lines are shown early depends on the lengths.
    let pieces: Vec<_> = chunks(*seed, data)
        .into_iter()
        .enumerate()
        .map(|(at, piece)| (if options & 8 == 0 { 0 } else { at % 3 }, piece, piece.len() % 2 == 0))
        .collect();
    if let Err(problem) = invariant::check(allowed, &pieces) {
        panic!("{problem}");
    }
});
