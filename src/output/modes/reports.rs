//! What a terminal sends by itself, without a key: reports of the mouse and of its focus, and answers. Pure.

use super::Csi;
use super::sequences::{ESC, Item, Sequences};

/// How many bytes of answers are kept.
const MAX_ANSWERS: usize = 4096;

/// Tells answers from everything else that comes from a terminal, up to the answer to `CSI 5 n`.
#[derive(Debug, Default)]
pub struct Reports {
    sequences: Sequences,
}

impl Reports {
    /// Takes more of what the terminal has sent, and appends the answers in it to `answers`. Returns whether the answer
    /// to `CSI 5 n` was among it; what follows that is left out.
    pub fn take(&mut self, mut sent: &[u8], answers: &mut Vec<u8>) -> bool {
        while let Some(item) = self.sequences.next(&mut sent) {
            let Item::Whole(sequence) = item else { continue };
            let end: &[u8] = match sequence {
                [ESC, b'[', b'0', b'n'] => return true,
                [ESC, b'[', text @ ..] if Csi::read(text).is_some_and(|csi| is_answer(&csi)) => b"",
                [ESC, b']' | b'P' | b'_', ..] => b"\x1b\\",
                _ => continue,
            };
            if answers.len() + sequence.len() <= MAX_ANSWERS {
                answers.extend([sequence, end].concat());
            }
        }
        false
    }
}

/// Whether a control sequence answers a question: the cursor, attributes, status, modes, colors and
/// keyboard settings, the window. A key with modifiers is none, but `CSI 1 ; 5 R` may be F3.
fn is_answer(csi: &Csi<'_>) -> bool {
    match (csi.prefix, csi.between, csi.last) {
        (b"" | b"?", b"", b'R') | (b"?" | b"" | b">", b"", b'n') => !csi.text.is_empty(),
        (b"?" | b">" | b"=", b"", b'c' | b'S' | b'u')
        | (b">", b"", b'm')
        | (_, b"$", b'y')
        | (b"", b"", b't' | b'x') => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_and_all_else_is_not() {
        let answers = [
            "\x1b[1;1R",
            "\x1b[?1;1R",
            "\x1b[?62;22c",
            "\x1b[>1;10;0c",
            "\x1b[?2026;2$y",
            "\x1b[8;24;80t",
            "\x1b[?0u",
            "\x1b[?997;1n",
            "\x1b]11;rgb:0000/0000/0000\x1b\\",
            "\x1bP1$r0m\x1b\\",
            "\x1b_Gi=31;OK\x1b\\",
        ]
        .concat();
        let keys = "a\x1bx\x1b[A\x1b[1;5C\x1b[93;5u\x1b[27;5;93~\x1b[200~\x1bOP\x1b[<35;10;1M\x1b[<0;1;1m\x1b[I\x1b[O\
                    \x1b[M !!\r\x04";
        let sent = format!("{keys}{answers}{keys}\x1b[0n{answers}");
        for size in [1, 2, 7, 10_000] {
            let (mut reports, mut kept) = (Reports::default(), Vec::new());
            let mut chunks = sent.as_bytes().chunks(size);
            assert!(chunks.any(|chunk| reports.take(chunk, &mut kept)), "{size}");
            assert_eq!(String::from_utf8(kept).expect("text"), answers, "{size}");
        }
        let (mut reports, mut kept) = (Reports::default(), Vec::new());
        assert!(!reports.take("\x1b[1;1R".repeat(100_000).as_bytes(), &mut kept));
        assert!(kept.len() <= MAX_ANSWERS);
        assert!(!reports.take(b"\x1b]11;rgb:1/1/1\x07\x1b[0", &mut Vec::new()));
        assert!(reports.take(b"n", &mut Vec::new()));
    }
}
