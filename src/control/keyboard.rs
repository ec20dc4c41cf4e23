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
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

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
    /// took nothing for [`PATIENCE`].
    pub(super) async fn type_in(mut self, bytes: &[u8]) -> Result<usize, NotTyped> {
        let turn = self.turn.clone();
        let Ok(_turn) = timeout(PATIENCE, turn.lock()).await else { return Ok(0) };
        let (mut taken, mut end) = (0, Instant::now() + PATIENCE);
        while taken < bytes.len() {
            self.news.borrow_and_update();
            let Some(terminal) = self.seats.terminal_of(&self.id, self.run) else {
                return Err(NotTyped::Ended);
            };
            match terminal.type_in(&bytes[taken..]) {
                Ok(count @ 1..) => {
                    taken += count;
                    end = Instant::now() + PATIENCE;
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
                () = sleep_until(end) => break,
            }
        }
        Ok(taken)
    }
}

async fn takes_more(terminal: Arc<Terminal>) {
    if terminal.takes_more().await.is_err() {
        sleep(BREATH).await;
    }
}
