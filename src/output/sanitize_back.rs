//! Backspace in a line that has sequences: which character goes, and what of the colours stays.
//!
//! A part of the [`Row`], whose only sequences are those that it has put there: SGR and links.

use memchr::{memchr, memmem, memrchr};

use super::{ESC, Row};

/// The longest line in which a character before a colour is looked for, in bytes.
const MAX_SEARCH: usize = 16 * 1024;

impl Row {
    /// What is written next replaces the character before, as spinners want it.
    pub(super) fn backspace(&mut self) {
        if self.returned || (self.run == 0 && self.text.len() > MAX_SEARCH) {
            return;
        }
        // Colours behind the character stay.
        let end = if self.run > 0 { self.text.len() } else { self.text_end(self.text.len()) };
        let begin = if self.run > 0 { end - self.run } else { self.run_begin(end) };
        let last = self.text[begin..end].iter().rposition(|byte| byte & 0xc0 != 0x80);
        let Some(last) = last else { return };
        let had_colour = end < self.text.len();
        let had_link = had_colour && memmem::find(&self.text, b"\x1b]8;").is_some();
        self.text.truncate(begin + last);
        self.run = last;
        self.rewritten = true;
        if had_colour {
            self.look_again(had_link);
        }
    }

    /// Puts one sequence for the present look in place of those at the end, or they would pile up.
    fn look_again(&mut self, had_link: bool) {
        let end = if self.run > 0 { self.text.len() } else { self.text_end(self.text.len()) };
        self.text.truncate(end);
        self.run = 0;
        if self.text.is_empty() {
            self.start.clone_from(&self.look);
            return self.last.clone_from(&self.look);
        }
        if had_link {
            self.text.extend_from_slice(b"\x1b]8;;\x1b\\");
        }
        if self.allowed.sgr {
            self.text.extend_from_slice(b"\x1b[0m");
        }
        self.look.open(&mut self.text);
        self.last.clone_from(&self.look);
    }

    /// Where the text before `end` ends, sequences aside.
    fn text_end(&self, mut end: usize) -> usize {
        while end > 0 && self.run_begin(end) == end {
            let last = memrchr(ESC, &self.text[..end]).unwrap_or(0);
            // A link has an ESC at its end too.
            let is_link = self.text.get(last + 1) == Some(&b'\\');
            end = if is_link { memrchr(ESC, &self.text[..last]).unwrap_or(0) } else { last };
        }
        end
    }

    /// Where the text that ends at `end` begins: behind the last sequence.
    fn run_begin(&self, end: usize) -> usize {
        let Some(at) = memrchr(ESC, &self.text[..end]) else { return 0 };
        let behind = &self.text[at + 1..end];
        let last = if behind.first() == Some(&b'\\') { b'\\' } else { b'm' };
        memchr(last, behind).map_or(end, |length| at + 2 + length)
    }
}
