//! The places of a text that are masked.

use std::ops::Range;

use super::MASK;

/// What is to be hidden, and what is known to be harmless although it looks random.
#[derive(Debug, Default)]
pub(super) struct Spans {
    hidden: Vec<Range<usize>>,
    harmless: Vec<Range<usize>>,
}

impl Spans {
    /// Hides these bytes, whatever else is found there. Both ends are at a character's boundary.
    pub(super) fn hide(&mut self, span: Range<usize>) {
        if !span.is_empty() {
            self.hidden.push(span);
        }
    }

    /// Words in here are not random, as those of a host's name. Given in ascending order.
    pub(super) fn allow(&mut self, span: Range<usize>) {
        self.harmless.push(span);
    }

    /// Whether what is at this place is harmless, and until where it is so; not behind `end`.
    pub(super) fn harmless_from(&self, at: usize, end: usize) -> (bool, usize) {
        let next = self.harmless.partition_point(|it| it.end <= at);
        match self.harmless.get(next) {
            Some(span) if span.start <= at => (true, span.end),
            Some(span) => (false, span.start),
            None => (false, end),
        }
    }

    /// The text with what is hidden masked, if there is any.
    pub(super) fn mask(mut self, text: &str) -> Option<String> {
        if self.hidden.is_empty() {
            return None;
        }
        self.hidden.sort_by_key(|span| span.start);
        let (mut out, mut end) = (String::with_capacity(text.len()), 0);
        let mut last: Option<usize> = None;
        for Range { start, end: until } in self.hidden {
            // What touches the one before is one mask with it.
            if last.is_none_or(|last| start > last) {
                out.push_str(&text[end.min(start)..start]);
                out.push_str(MASK);
            }
            end = end.max(until);
            last = Some(end);
        }
        out.push_str(&text[end..]);
        Some(out)
    }
}
