//! The cutting of output into lines: every byte comes out once, in order, however it was chunked.
#![no_main]

use ganger::output::lines::{Block, LineBuffer, MAX_LINE};
use ganger_fuzz::{chunks, fuzz};

/// What a fuzzer would take hours to write: a line longer than the longest.
fn stretched(data: &[u8]) -> Vec<u8> {
    let (before, after) = data.split_at(data.len() / 2);
    [before, &vec![b'x'; MAX_LINE - 8], after].concat()
}

fuzz!(|data: &[u8]| {
    let [seed, data @ ..] = data else { return };
    // A megabyte takes its time, so only few are that long.
    let data = if data.starts_with(b"LONG") { stretched(data) } else { data.to_vec() };
    let mut expected = data.clone();
    if !expected.is_empty() && !expected.ends_with(b"\n") {
        expected.push(b'\n');
    }
    let (mut rows, mut lines) = (LineBuffer::default(), LineBuffer::default());
    let (mut from_rows, mut from_lines, mut is_cut) = (Vec::new(), Vec::new(), false);
    for chunk in chunks(*seed, &data) {
        rows.push(chunk, |block| match block {
            Block::One(line) => {
                assert!(line.len() <= MAX_LINE);
                from_rows.extend_from_slice(line);
                from_rows.push(b'\n');
            }
            Block::Row(text) => {
                assert!(text.ends_with(b"\n"));
                from_rows.extend_from_slice(text);
            }
        });
        lines.push_pieces(chunk, |piece| {
            assert!(piece.bytes.len() <= MAX_LINE && !piece.bytes.contains(&b'\n'));
            is_cut |= piece.cut;
            from_lines.extend_from_slice(piece.bytes);
            from_lines.push(b'\n');
        });
    }
    rows.finish(|line| {
        from_rows.extend_from_slice(line);
        from_rows.push(b'\n');
    });
    lines.finish(|line| {
        from_lines.extend_from_slice(line);
        from_lines.push(b'\n');
    });
    assert!(from_rows == from_lines, "in rows and one by one");
    if is_cut {
        let without = |bytes: &[u8]| bytes.iter().copied().filter(|byte| *byte != b'\n').collect::<Vec<u8>>();
        assert!(without(&from_lines) == without(&expected), "every byte of a long line");
    } else {
        assert!(from_lines == expected, "every byte");
    }
});
