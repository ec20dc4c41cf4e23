//! The last few lines of a process, for the end report.

/// How many bytes are kept. Twice that is held at most.
const KEEP: usize = 4096;

/// How many lines the report shows.
const LINES: usize = 10;

/// The end of one process's output. Costs one short copy for each chunk, whatever its size.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        let kept = &chunk[chunk.len().saturating_sub(KEEP)..];
        if self.bytes.len() + kept.len() > 2 * KEEP {
            let excess = self.bytes.len().saturating_sub(KEEP.saturating_sub(kept.len()));
            self.bytes.drain(..excess);
            self.cut = true;
        }
        self.cut |= kept.len() < chunk.len();
        self.bytes.extend_from_slice(kept);
    }

    /// The last lines, oldest first. Where the front was cut, the line cut in half is left out,
    /// unless it is the only one.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let text = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        if self.cut && lines.len() > 1 {
            lines.remove(0);
        }
        let skip = lines.len().saturating_sub(LINES);
        lines.into_iter().skip(skip).filter(move |_| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(tail: &Tail) -> Vec<String> {
        tail.lines().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn keeps_the_last_ten_lines() {
        let mut tail = Tail::default();
        assert!(shown(&tail).is_empty());
        for i in 0..5000 {
            tail.push(format!("line {i}\n").as_bytes());
        }
        let expected: Vec<String> = (4990..5000).map(|i| format!("line {i}")).collect();
        assert_eq!(shown(&tail), expected);
        assert!(tail.bytes.capacity() <= 4 * KEEP, "{}", tail.bytes.capacity());
    }

    #[test]
    fn a_line_cut_in_half_is_shown_only_alone() {
        let mut tail = Tail::default();
        tail.push(&[b'x'; 3 * KEEP]);
        assert_eq!(shown(&tail).len(), 1);
        tail.push(b"\nboom");
        assert_eq!(shown(&tail), ["boom"]);
    }
}
