//! The parts of a text that are masked.

use std::ops::Range;

use super::MASK;

/// Which parts to mask, and which are known to be harmless although they look random.
#[derive(Debug, Default)]
pub(super) struct Spans {
    hidden: Vec<Range<usize>>,
    harmless: Vec<Range<usize>>,
}

impl Spans {
    /// Masks these bytes, whatever else is found there. Both ends are at a character boundary.
    pub(super) fn hide(&mut self, span: Range<usize>) {
        if !span.is_empty() {
            self.hidden.push(span);
        }
    }

    /// Words in this range are not random, such as those of a host name. Ranges come in ascending order.
    pub(super) fn allow(&mut self, span: Range<usize>) {
        self.harmless.push(span);
    }

    /// Returns whether `at` is in a harmless range, and where that changes; at most `end`.
    pub(super) fn harmless_from(&self, at: usize, end: usize) -> (bool, usize) {
        let next = self.harmless.partition_point(|it| it.end <= at);
        match self.harmless.get(next) {
            Some(span) if span.start <= at => (true, span.end),
            Some(span) => (false, span.start),
            None => (false, end),
        }
    }

    /// Returns the text with its secrets masked, if there are any.
    pub(super) fn mask(mut self, text: &str) -> Option<String> {
        if self.hidden.is_empty() {
            return None;
        }
        self.hidden.sort_by_key(|span| span.start);
        let (mut out, mut end) = (String::with_capacity(text.len()), 0);
        let mut last: Option<usize> = None;
        for Range { start, end: until } in self.hidden {
            // Adjacent spans become one mask.
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
