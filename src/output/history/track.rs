//! What one output of one process wrote last: bytes in blocks, with the time of each chunk.
//!
//! Pure. Every block but the last is full, so that an offset says which block it is in. Offsets
//! count from the first byte the output ever had, so that one stays right whatever is dropped.

use std::collections::VecDeque;
use std::mem::size_of;

use memchr::{memchr, memchr_iter, memrchr};

/// The size of a block, and how much is given up at once. Small enough that hundreds of
/// processes have at least one each.
pub(super) const BLOCK: usize = 16 * 1024;

/// When something was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The place among all chunks of all processes.
    pub(super) order: u64,
    /// Microseconds since 1970.
    pub(super) time: i64,
}

#[derive(Debug, Default)]
struct Block {
    bytes: Vec<u8>,
    /// What begins where in this block.
    marks: Vec<(u32, Mark)>,
    /// Line ends in it.
    lines: u64,
}

impl Block {
    fn size(&self) -> usize {
        self.bytes.len() + self.marks.len() * size_of::<(u32, Mark)>()
    }
}

/// The last bytes of one output.
#[derive(Debug, Default)]
pub(super) struct Track {
    blocks: VecDeque<Block>,
    /// The offset of the first byte that is kept.
    start: u64,
    end: u64,
    /// Line ends before `start`, and before `end`.
    lines_before: u64,
    lines: u64,
    /// The line that `start` is in began before it.
    torn: bool,
    /// Where the present run began.
    run: u64,
    size: usize,
}

impl Track {
    /// Appends a chunk.
    pub(super) fn push(&mut self, mut chunk: &[u8], mark: Mark) {
        while !chunk.is_empty() {
            if self.blocks.back().is_none_or(|block| block.bytes.len() == BLOCK) {
                // The first grows as it is filled: most processes write little.
                let capacity = if self.blocks.is_empty() { 0 } else { BLOCK };
                self.blocks.push_back(Block { bytes: Vec::with_capacity(capacity), ..Block::default() });
            }
            let Some(block) = self.blocks.back_mut() else { return };
            let (piece, rest) = chunk.split_at(chunk.len().min(BLOCK - block.bytes.len()));
            let lines = memchr_iter(b'\n', piece).count() as u64;
            self.size -= block.size();
            if block.marks.last().is_none_or(|(_, last)| *last != mark) {
                block.marks.push((u32::try_from(block.bytes.len()).unwrap_or(u32::MAX), mark));
            }
            block.bytes.extend_from_slice(piece);
            block.lines += lines;
            self.size += block.size();
            self.lines += lines;
            self.end += piece.len() as u64;
            chunk = rest;
        }
    }

    /// Begins a run: what the one before left unfinished is a line.
    pub(super) fn begin(&mut self, mark: Mark) {
        self.end_line(mark);
        self.run = self.end;
    }

    /// Ends the last line, if it has no end.
    pub(super) fn end_line(&mut self, mark: Mark) {
        if self.line_begin(self.end) != self.end {
            self.push(b"\n", mark);
        }
    }

    /// Gives up the oldest block.
    pub(super) fn drop_front(&mut self) {
        let Some(block) = self.blocks.pop_front() else { return };
        self.torn = block.bytes.last().is_some_and(|byte| *byte != b'\n');
        self.start += block.bytes.len() as u64;
        self.lines_before += block.lines;
        self.size -= block.size();
    }

    /// Gives up blocks while as many lines as these are left without them.
    pub(super) fn keep_lines(&mut self, wanted: u64) {
        while self.blocks.len() > 1
            && self.blocks.front().is_some_and(|front| self.held_lines() - front.lines >= wanted)
        {
            self.drop_front();
        }
    }

    fn held_lines(&self) -> u64 {
        self.lines - self.lines_before
    }

    /// What it holds, in bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn run(&self) -> u64 {
        self.run
    }

    /// Line ends that it ever had.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Line ends before the first byte that is kept.
    pub(super) fn lines_before(&self) -> u64 {
        self.lines_before
    }

    /// The begin of the first line that is there from its begin. If there is only a piece of
    /// one, that.
    pub(super) fn first_line(&self) -> u64 {
        if !self.torn {
            return self.start;
        }
        match self.line_end(self.start, self.end) {
            Some(end) if end + 1 < self.end => end + 1,
            _ => self.start,
        }
    }

    /// The first newline from `from` on, before `to`.
    pub(super) fn line_end(&self, from: u64, to: u64) -> Option<u64> {
        let mut at = from.max(self.start);
        while at < to.min(self.end) {
            let piece = self.piece(at);
            if let Some(found) = memchr(b'\n', piece) {
                return Some(at + found as u64).filter(|end| *end < to);
            }
            at += piece.len() as u64;
        }
        None
    }

    /// Where the line begins whose end (newline or not) is at `end`; at the earliest the first
    /// byte that is kept.
    pub(super) fn line_begin(&self, end: u64) -> u64 {
        let mut end = end;
        while end > self.start {
            let (block, length) = self.find(end - 1);
            let Some(block) = self.blocks.get(block) else { break };
            if let Some(found) = memrchr(b'\n', &block.bytes[..=length]) {
                return end - (length - found) as u64;
            }
            end -= length as u64 + 1;
        }
        self.start
    }

    /// When the byte at `offset` was read.
    pub(super) fn mark(&self, offset: u64) -> Mark {
        let (block, inside) = self.find(offset);
        let none = Mark { order: 0, time: 0 };
        let Some(block) = self.blocks.get(block) else { return none };
        let behind = block.marks.partition_point(|(at, _)| *at as usize <= inside);
        block.marks.get(behind.saturating_sub(1)).map_or(none, |(_, mark)| *mark)
    }

    /// Appends what is between the two offsets to `out`.
    pub(super) fn copy(&self, from: u64, to: u64, out: &mut Vec<u8>) {
        let mut at = from.max(self.start);
        while at < to.min(self.end) {
            let piece = self.piece(at);
            let count = piece.len().min(usize::try_from(to - at).unwrap_or(usize::MAX));
            out.extend_from_slice(&piece[..count]);
            at += count as u64;
        }
    }

    /// What is in the block of this offset from there on.
    fn piece(&self, offset: u64) -> &[u8] {
        let (block, inside) = self.find(offset);
        self.blocks.get(block).map_or(&[], |block| &block.bytes[inside..])
    }

    /// The block of an offset that is kept, and the place in it.
    fn find(&self, offset: u64) -> (usize, usize) {
        let inside = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        (inside / BLOCK, inside % BLOCK)
    }
}
