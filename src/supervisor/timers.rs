//! One timer for each process and one for the fleet, all of which stand still while ganger is
//! stopped by Ctrl-Z.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::event::{Epoch, Slot};

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Timer {
    /// A process's; the epoch tells the machine whether it is still wanted.
    Process(Slot),
    /// Of what a process has left, see [`super::leftovers::SILENCE`].
    Silence(Slot),
    /// See [`super::fleet::Effect::HurryAfter`].
    Hurry,
    /// See [`super::fleet::Effect::AwaitSignal`].
    Signal,
    /// The command of `start -- CMD` has waited for a while.
    Command,
}

/// A timer that fires later than this fires after a time in which we did not run: we were stopped by SIGSTOP
/// or frozen, most likely together with our processes.
const FROZEN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Timers {
    due: HashMap<Timer, Due>,
    paused_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    at: Instant,
    epoch: Epoch,
    /// It was postponed for a time in which we did not run. Once at most: on a machine that is always that
    /// late it would never fire.
    is_late: bool,
}

impl Timers {
    /// Sets a timer; it replaces the one before.
    pub(super) fn arm(&mut self, timer: Timer, epoch: Epoch, after: Duration) {
        let start = self.paused_at.unwrap_or_else(Instant::now);
        self.due.insert(timer, Due { at: start + after, epoch, is_late: false });
    }

    /// Forgets a process's timer: its machine is at rest, and an idle ganger never wakes up.
    pub(super) fn disarm(&mut self, timer: Timer) {
        self.due.remove(&timer);
    }

    /// Sets a timer that is set forward if it would ring later than this.
    pub(super) fn hasten(&mut self, timer: Timer, after: Duration) {
        let at = self.paused_at.unwrap_or_else(Instant::now) + after;
        if let Some(due) = self.due.get_mut(&timer) {
            due.at = due.at.min(at);
        }
    }

    /// How long it still takes until this timer rings, if it is set. While all stand still that
    /// is what it was when they stopped.
    pub(super) fn left(&self, timer: Timer) -> Option<Duration> {
        let now = self.paused_at.unwrap_or_else(Instant::now);
        self.due.get(&timer).map(|due| due.at.saturating_duration_since(now))
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused_at.is_some()
    }

    pub(super) fn pause(&mut self) {
        self.paused_at.get_or_insert_with(Instant::now);
    }

    pub(super) fn resume(&mut self) {
        if let Some(paused_at) = self.paused_at.take() {
            let pause = paused_at.elapsed();
            self.due.values_mut().for_each(|due| due.at += pause);
        }
    }

    /// Returns whether a timer would fire now.
    pub(super) fn is_any_due(&self) -> bool {
        let now = Instant::now();
        self.paused_at.is_none() && self.due.values().any(|due| due.at <= now)
    }

    /// Waits until the next timer rings and takes it. Never, if none is set or all stand still.
    /// Safe to drop at any point: a timer is taken only when it is returned.
    pub(super) async fn next(&mut self) -> (Timer, Epoch) {
        loop {
            let next = self.due.iter().min_by_key(|(_, due)| due.at).map(|(timer, due)| (*timer, *due));
            let (Some((timer, due)), None) = (next, self.paused_at) else {
                return std::future::pending().await;
            };
            let asleep_at = Instant::now();
            tokio::time::sleep_until(due.at).await;
            let now = Instant::now();
            if due.is_late || now < due.at.max(asleep_at) + FROZEN {
                self.due.remove(&timer);
                return (timer, due.epoch);
            }
            self.put_off(now - asleep_at);
        }
    }

    /// Takes a timer that has rung.
    #[cfg(test)]
    pub(super) fn take_due(&mut self) -> Option<(Timer, Epoch)> {
        let (timer, due) =
            self.due.iter().min_by_key(|(_, due)| due.at).map(|(timer, due)| (*timer, *due))?;
        if self.paused_at.is_some() || due.at > Instant::now() {
            return None;
        }
        self.due.remove(&timer);
        Some((timer, due.epoch))
    }

    /// Returns how long it takes until the next timer rings.
    #[cfg(test)]
    pub(super) fn until_next(&self) -> Option<Duration> {
        let next = self.due.values().map(|due| due.at).min()?;
        self.paused_at.is_none().then(|| next.saturating_duration_since(Instant::now()))
    }

    /// Postpones all timers: they have at most as much time left as when we last ran.
    fn put_off(&mut self, by: Duration) {
        for due in self.due.values_mut().filter(|due| !due.is_late) {
            *due = Due { at: due.at + by, is_late: true, ..*due };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_spent_stopped_does_not_count() {
        let (mut timers, start) = (Timers::default(), Instant::now());
        timers.arm(Timer::Hurry, Epoch(1), Duration::from_secs(10));
        tokio::time::sleep(Duration::from_secs(4)).await;
        let late = async {
            // Between two looks at the clock, as SIGSTOP does.
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_mins(1)).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            _ = timers.next() => {}
            () = late => {}
        }
        assert_eq!(start.elapsed().as_secs(), 70, "six seconds were left after the first four");
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_is_postponed_only_once() {
        let (mut timers, start) = (Timers::default(), Instant::now());
        timers.arm(Timer::Hurry, Epoch(1), Duration::from_secs(10));
        let late = async {
            loop {
                tokio::task::yield_now().await;
                tokio::time::advance(Duration::from_mins(1)).await;
            }
        };
        tokio::select! {
            biased;
            _ = timers.next() => {}
            () = late => {}
        }
        assert_eq!(start.elapsed().as_secs(), 120);
    }
}
