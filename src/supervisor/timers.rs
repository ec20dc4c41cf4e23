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
    /// See [`super::fleet::Effect::HurryAfter`].
    Hurry,
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    due: HashMap<Timer, (Instant, Epoch)>,
    paused_at: Option<Instant>,
}

impl Timers {
    /// Sets a timer; it replaces the one before.
    pub(super) fn arm(&mut self, timer: Timer, epoch: Epoch, after: Duration) {
        let start = self.paused_at.unwrap_or_else(Instant::now);
        self.due.insert(timer, (start + after, epoch));
    }

    /// Forgets a process's timer: its machine is at rest, and an idle ganger never wakes up.
    pub(super) fn disarm(&mut self, timer: Timer) {
        self.due.remove(&timer);
    }

    /// How long it still takes until this timer rings, if it is set. While all stand still that
    /// is what it was when they stopped.
    pub(super) fn left(&self, timer: Timer) -> Option<Duration> {
        let now = self.paused_at.unwrap_or_else(Instant::now);
        self.due.get(&timer).map(|(at, _)| at.saturating_duration_since(now))
    }

    pub(super) fn pause(&mut self) {
        self.paused_at.get_or_insert_with(Instant::now);
    }

    pub(super) fn resume(&mut self) {
        if let Some(paused_at) = self.paused_at.take() {
            let pause = paused_at.elapsed();
            self.due.values_mut().for_each(|(at, _)| *at += pause);
        }
    }

    /// Waits until the next timer rings and takes it. Never, if none is set or all stand still.
    /// Safe to drop at any point: a timer is taken only when it is returned.
    pub(super) async fn next(&mut self) -> (Timer, Epoch) {
        let next =
            self.due.iter().min_by_key(|(_, (at, _))| *at).map(|(timer, (at, epoch))| (*timer, *at, *epoch));
        match (next, self.paused_at) {
            (Some((timer, at, epoch)), None) => {
                tokio::time::sleep_until(at).await;
                self.due.remove(&timer);
                (timer, epoch)
            }
            (None, _) | (_, Some(_)) => std::future::pending().await,
        }
    }
}
