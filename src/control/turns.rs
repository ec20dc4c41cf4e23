//! Whose turn it is: the pace at which all clients together are answered.
//!
//! Clients that ask as fast as they can would have this thread run without a pause, and on a machine
//! with few processors the thread that shows output would wait for one: 4 ms for a line in a hundred
//! with 50 of them. So there are bursts, and behind them a rate, which is ten times what people and
//! their scripts need. Who waits is let through in the order in which they came, so nobody is
//! crowded out.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// How many requests may come at once.
const BURST: u32 = 250;

/// How many there may be in each tick behind that.
const IN_A_TICK: u32 = 5;
const TICK: Duration = Duration::from_millis(1);

/// The turns of all clients.
#[derive(Debug)]
pub(super) struct Turns {
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    left: u32,
    since: Instant,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { bucket: Mutex::new(Bucket { left: BURST, since: Instant::now() }) }
    }

    /// Waits for a turn.
    pub(super) async fn take(&self) {
        // Held while we wait: those behind us are behind us. It is a fair one.
        let mut bucket = self.bucket.lock().await;
        while !bucket.take(Instant::now()) {
            tokio::time::sleep(TICK).await;
        }
    }
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        let ticks = now.duration_since(self.since).as_nanos() / TICK.as_nanos();
        let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(ticks.saturating_mul(IN_A_TICK)).min(BURST);
        self.since += TICK.saturating_mul(ticks);
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_rate() {
        let start = Instant::now();
        let mut bucket = Bucket { left: BURST, since: start };
        let mut taken = |after: Duration| (0..1000).filter(|_| bucket.take(start + after)).count();
        assert_eq!(taken(Duration::ZERO), 250);
        assert_eq!(taken(Duration::from_micros(900)), 0);
        assert_eq!(taken(Duration::from_micros(2100)), 10);
        assert_eq!(taken(Duration::from_millis(3)), 5, "nothing of a tick is lost");
        assert_eq!(taken(Duration::from_hours(1)), 250);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_served_in_turn() {
        let turns = Turns::new();
        let start = Instant::now();
        for _ in 0..BURST + 5000 {
            turns.take().await;
        }
        assert_eq!(start.elapsed().as_millis(), 1000);
    }
}
