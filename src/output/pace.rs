//! When the output thread waits a moment, so that there is more when it reads next.
//!
//! A process that writes line by line wakes the thread for each of them, and two processors are
//! busy with waking and falling asleep. Network cards have the same trouble and the same way
//! out (interrupt moderation): under load one looks a little later. Pure; the clock is handed in.

use std::time::{Duration, Instant};

/// Wake-ups this close are a flood, if they go on.
const CLOSE: Duration = Duration::from_micros(200);

/// How many of them in a row. A burst of so many lines is shown without delay.
const MANY: u32 = 20;

/// Who brings more at once needs no help.
const LITTLE: usize = 4 * 1024;

/// A hundredth of what a line may take. Nobody's pipe fills up within it line by line.
const NAP: Duration = Duration::from_micros(500);

/// Knows how often the thread was woken up lately.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the thread last had nothing more to do.
    done: Option<Instant>,
    /// How many wake-ups in a row were close.
    close: u32,
}

impl Pace {
    /// The thread was woken up at `now`.
    pub(super) fn woken(&mut self, now: Instant) {
        let is_close = self.done.is_some_and(|done| now.saturating_duration_since(done) < CLOSE);
        self.close = if is_close { self.close.saturating_add(1) } else { 0 };
    }

    /// The thread is done at `now` with a wake-up that brought `bytes`. Answers how long it is to
    /// wait before it looks again.
    pub(super) fn done(&mut self, now: Instant, bytes: usize) -> Option<Duration> {
        let nap = (self.close >= MANY && bytes < LITTLE).then_some(NAP);
        self.done = Some(now + nap.unwrap_or_default());
        nap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wake-ups so far apart, each of which brings `bytes`: how many of them end with a nap.
    fn naps(count: u32, apart: Duration, bytes: usize) -> u32 {
        let (mut pace, mut now, mut naps) = (Pace::default(), Instant::now(), 0);
        for _ in 0..count {
            now += apart;
            pace.woken(now);
            if let Some(nap) = pace.done(now, bytes) {
                now += nap;
                naps += 1;
            }
        }
        naps
    }

    #[test]
    fn only_a_flood_of_little_has_naps() {
        let micros = Duration::from_micros;
        assert_eq!(naps(1000, micros(10), 75), 1000 - 20);
        assert_eq!(naps(20, micros(10), 75), 0, "a burst");
        assert_eq!(naps(1000, micros(300), 75), 0, "a line now and then");
        assert_eq!(naps(1000, micros(10), 64 * 1024), 0, "blocks");
    }

    #[test]
    fn it_ends_with_the_flood() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for wake in 0..30 {
            let now = start + Duration::from_micros(600 * wake);
            pace.woken(now);
            pace.done(now, 75);
        }
        let later = start + Duration::from_secs(1);
        pace.woken(later);
        assert_eq!(pace.done(later, 75), None);
    }
}
