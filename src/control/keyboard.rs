//! A keyboard that types a text on the terminal of a process and goes: `ganger send`.
//!
//! It types beside a client that is attached, as a second keyboard at a terminal would. It waits for a process
//! that does not read, on the background thread and for a limited time, and never holds the terminal open for
//! longer than the run.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::seats::{News, Seats};
use crate::model::InstanceId;
use crate::os::pty::Terminal;

/// How long a terminal may take nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long all of a text may take: others wait for their turn.
const MOST_PATIENCE: Duration = Duration::from_mins(1);

/// How long it is until the next try where the system has no memory to watch a terminal.
const BREATH: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(super) struct Keyboard {
    seats: Seats,
    id: InstanceId,
    run: u64,
    turn: Arc<Mutex<()>>,
    news: watch::Receiver<News>,
}

/// Why not everything was typed.
#[derive(Debug)]
pub(super) enum NotTyped {
    /// The run has ended.
    Ended,
    /// The terminal cannot be written.
    System(std::io::Error),
}

impl Keyboard {
    /// For one run of a process. `turn` is held by the keyboard that types.
    pub(super) fn new(
        seats: Seats,
        id: InstanceId,
        run: u64,
        turn: Arc<Mutex<()>>,
        news: watch::Receiver<News>,
    ) -> Self {
        Self { seats, id, run, turn, news }
    }

    /// Types, after all others that came before. Returns how many bytes the terminal took: not all of them if it
    /// took nothing for [`PATIENCE`], or little in [`MOST_PATIENCE`].
    pub(super) async fn type_in(mut self, bytes: &[u8]) -> Result<usize, NotTyped> {
        let turn = self.turn.clone();
        let Ok(_turn) = timeout(PATIENCE, turn.lock()).await else { return Ok(0) };
        let (mut taken, mut limit) = (0, Limit::new());
        while taken < bytes.len() && !limit.is_over() {
            self.news.borrow_and_update();
            let Some(terminal) = self.seats.terminal_of(&self.id, self.run) else {
                return Err(NotTyped::Ended);
            };
            match terminal.type_in(&bytes[taken..]) {
                Ok(count @ 1..) => {
                    taken += count;
                    limit.extend();
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(0) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(NotTyped::System(error)),
            }
            tokio::select! {
                () = takes_more(terminal) => {}
                // A new run, the end of this one, or another client has the keyboard.
                changed = self.news.changed() => changed.map_err(|_| NotTyped::Ended)?,
                () = sleep_until(limit.end) => break,
            }
        }
        Ok(taken)
    }
}

/// Until when a keyboard types.
#[derive(Debug)]
struct Limit {
    end: Instant,
    last: Instant,
}

impl Limit {
    fn new() -> Self {
        let now = Instant::now();
        Self { end: now + PATIENCE, last: now + MOST_PATIENCE }
    }

    /// The terminal has taken something.
    fn extend(&mut self) {
        self.end = self.last.min(Instant::now() + PATIENCE);
    }

    fn is_over(&self) -> bool {
        self.end <= Instant::now()
    }
}

async fn takes_more(terminal: Arc<Terminal>) {
    if terminal.takes_more().await.is_err() {
        sleep(BREATH).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns when it is over for a terminal that takes one byte in every `seconds`.
    async fn over_after(seconds: u64) -> u64 {
        let (mut limit, began) = (Limit::new(), Instant::now());
        loop {
            let next = Instant::now() + Duration::from_secs(seconds);
            sleep_until(next.min(limit.end)).await;
            if limit.is_over() {
                return began.elapsed().as_secs();
            }
            limit.extend();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_terminal_that_takes_little_now_and_then_does_not_hold_up_others_for_long() {
        assert_eq!(over_after(6).await, 5);
        assert_eq!(over_after(4).await, 60);
        assert_eq!(over_after(1).await, 60);
    }
}
