//! The problems of a file, as many as are useful to a reader.

use super::diagnostic::Diagnostic;
use super::source::{Source, Span};

/// The most problems shown for one file; one more message counts the rest. A hundred would not be
/// read, and finding the place of each one takes time.
pub const MOST_SHOWN: usize = 20;

/// The problems of one file, in the order in which they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    shown: Vec<Diagnostic>,
    more: usize,
    more_at: Option<Span>,
}

impl Problems {
    /// Adds a problem at `span`. Its message is created only if it will be shown.
    pub fn add(&mut self, span: Span, make: impl FnOnce() -> Diagnostic) {
        if self.shown.len() < MOST_SHOWN {
            self.shown.push(make());
        } else {
            self.more += 1;
            self.more_at.get_or_insert(span);
        }
    }

    /// Returns whether there are no problems.
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// Returns the problems to show, and last how many more there are.
    pub fn finish(self, source: &Source) -> Vec<Diagnostic> {
        let Self { mut shown, more, more_at } = self;
        if let Some(span) = more_at {
            let plural = if more == 1 { "" } else { "s" };
            let message = format!("{more} more problem{plural}; this is the first");
            shown.push(source.error_without_text(span, message));
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_problems_are_shown_and_the_rest_is_counted() {
        let source = Source::new("Procfile", "x\n".repeat(1000));
        for (count, last) in [
            (20, "no\n  --> Procfile:20:1"),
            (21, "1 more problem; this is the first\n  --> Procfile:21:1"),
            (1000, "980 more problems; this is the first\n  --> Procfile:21:1"),
        ] {
            let mut problems = Problems::default();
            assert!(problems.is_empty());
            for number in 0..count {
                let span = Span::new(2 * number..2 * number + 1);
                problems.add(span, || source.error_without_text(span, "no"));
            }
            let shown = problems.finish(&source);
            assert_eq!(shown.len(), count.min(21));
            assert_eq!(shown.last().expect("one").to_string(), last);
        }
    }
}
