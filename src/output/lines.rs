//! Chunks in, whole lines out.

use memchr::{memchr, memrchr};

/// The longest line, in bytes without its end. A longer one is cut into pieces of this size, so
/// that memory stays bounded.
pub const MAX_LINE: usize = 1 << 20;

/// A line, or a piece of one that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Without the newline.
    pub bytes: &'a [u8],
    /// The line goes on in the next piece.
    pub cut: bool,
}

/// Lines as they lie in a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block<'a> {
    /// One, or a piece of one that is too long, without the newline.
    One(&'a [u8]),
    /// Some in a row, each with its newline. None is longer than [`MAX_LINE`].
    Row(&'a [u8]),
}

/// Cuts one process's output into lines. However the bytes are chunked, the lines are the same.
#[derive(Debug, Default)]
pub struct LineBuffer {
    /// The begin of a line whose end has not come, at most [`MAX_LINE`] bytes.
    unfinished: Vec<u8>,
}

impl LineBuffer {
    /// Takes a chunk and gives the lines that it completes to `emit`, as many at once as can be.
    /// Lines inside the chunk are not copied.
    pub fn push(&mut self, chunk: &[u8], mut emit: impl FnMut(Block<'_>)) {
        let mut rest = chunk;
        if let Some(end) = memchr(b'\n', chunk)
            && (!self.unfinished.is_empty() || end + 1 == chunk.len())
        {
            self.complete(&chunk[..end], &mut |piece| emit(Block::One(piece.bytes)));
            rest = &chunk[end + 1..];
        }
        let row = memrchr(b'\n', rest).map_or(0, |last| last + 1);
        if row > MAX_LINE {
            return self.push_pieces(rest, |piece| emit(Block::One(piece.bytes)));
        }
        if row > 0 {
            emit(Block::Row(&rest[..row]));
        }
        self.extend(&rest[row..], &mut |piece| emit(Block::One(piece.bytes)));
    }

    /// As [`LineBuffer::push`], but gives each line for itself and tells which were cut.
    pub fn push_pieces(&mut self, mut chunk: &[u8], mut emit: impl FnMut(Piece<'_>)) {
        while let Some(end) = memchr(b'\n', chunk) {
            self.complete(&chunk[..end], &mut emit);
            chunk = &chunk[end + 1..];
        }
        self.extend(chunk, &mut emit);
    }

    /// Ends the output: a last line without newline is a line.
    pub fn finish(&mut self, mut emit: impl FnMut(&[u8])) {
        if !self.unfinished.is_empty() {
            emit(&self.unfinished);
        }
        // The memory of a long line is given back.
        self.unfinished = Vec::new();
    }

    /// A line ends, and this is what came of it last.
    fn complete(&mut self, end: &[u8], emit: &mut impl FnMut(Piece<'_>)) {
        if self.unfinished.is_empty() && end.len() <= MAX_LINE {
            return emit(Piece { bytes: end, cut: false });
        }
        self.extend(end, emit);
        emit(Piece { bytes: &self.unfinished, cut: false });
        self.unfinished.clear();
    }

    fn extend(&mut self, mut rest: &[u8], emit: &mut impl FnMut(Piece<'_>)) {
        while self.unfinished.len() + rest.len() > MAX_LINE {
            let (piece, behind) = rest.split_at(MAX_LINE - self.unfinished.len());
            self.unfinished.extend_from_slice(piece);
            emit(Piece { bytes: &self.unfinished, cut: true });
            self.unfinished.clear();
            rest = behind;
        }
        self.unfinished.extend_from_slice(rest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut buffer, mut lines) = (LineBuffer::default(), Vec::new());
        let (mut one_by_one, mut same) = (LineBuffer::default(), Vec::new());
        for chunk in chunks {
            buffer.push(chunk, |block| match block {
                Block::One(line) => lines.push(line.to_vec()),
                Block::Row(text) => {
                    let row = text.strip_suffix(b"\n").expect("a newline at the end");
                    lines.extend(row.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
                }
            });
            one_by_one.push_pieces(chunk, |piece| same.push(piece.bytes.to_vec()));
        }
        buffer.finish(|line| lines.push(line.to_vec()));
        one_by_one.finish(|line| same.push(line.to_vec()));
        assert!(lines == same, "in rows and one by one");
        lines
    }

    #[test]
    fn every_byte_is_kept() {
        assert_eq!(lines_of(&[b"a\n\n\xff\xfe\0\r\nlast"]), [&b"a"[..], b"", b"\xff\xfe\0\r", b"last"]);
    }

    #[test]
    fn a_line_of_exactly_the_maximum_is_one_line() {
        let mut text = vec![b'x'; MAX_LINE];
        text.push(b'\n');
        assert_eq!(lines_of(&[&text]).len(), 1);
        assert_eq!(lines_of(&[&text[..10], &text[10..]]).len(), 1);
    }

    #[test]
    fn a_longer_line_is_cut_into_pieces_of_the_maximum() {
        let text = vec![b'x'; 2 * MAX_LINE + 5];
        let sizes: Vec<usize> = lines_of(&[&text]).iter().map(Vec::len).collect();
        assert_eq!(sizes, [MAX_LINE, MAX_LINE, 5]);
        let mut buffer = LineBuffer::default();
        for chunk in text.chunks(65_536) {
            buffer.push(chunk, |_| {});
            assert!(buffer.unfinished.capacity() <= 2 * MAX_LINE, "memory is bounded");
        }
    }

    /// Lines of about the maximum among short ones, in chunks that hold many of them and in those of
    /// one read.
    #[test]
    fn lines_of_about_the_maximum_are_cut_the_same_in_a_row() {
        for length in [MAX_LINE - 2, MAX_LINE - 1, MAX_LINE, MAX_LINE + 1] {
            let long = vec![b'x'; length];
            let text = [b"a\n\n", &long[..], b"\n\nb\n", &long[..], b"\nend\n"].concat();
            let cut = |line: &[u8]| line.chunks(MAX_LINE).map(<[u8]>::to_vec).collect();
            let lines = [vec![b"a".to_vec(), vec![]], cut(&long), vec![vec![], b"b".to_vec()], cut(&long)];
            let expected = [&lines.concat()[..], &[b"end".to_vec()]].concat();
            for size in [text.len(), length + 4, length + 3, 65_536] {
                let chunks: Vec<&[u8]> = text.chunks(size).collect();
                assert!(lines_of(&chunks) == expected, "lines of {length} bytes in chunks of {size}");
            }
        }
    }

    #[test]
    fn all_pieces_but_the_last_are_cut() {
        let text = [vec![b'x'; 2 * MAX_LINE], b"\nshort\n".to_vec()].concat();
        let (mut buffer, mut cuts) = (LineBuffer::default(), Vec::new());
        for chunk in text.chunks(65_536) {
            buffer.push_pieces(chunk, |piece| cuts.push((piece.bytes.len(), piece.cut)));
        }
        assert_eq!(cuts, [(MAX_LINE, true), (MAX_LINE, false), (5, false)]);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..500),
            cuts in proptest::collection::vec(0..500_usize, 0..20),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            let mut expected: Vec<Vec<u8>> = text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            if expected.last().is_some_and(Vec::is_empty) {
                expected.pop();
            }
            prop_assert_eq!(lines_of(&chunks), expected);
        }
    }
}
