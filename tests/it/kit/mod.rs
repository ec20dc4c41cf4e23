//! What the tests share.
//!
//! - [`Test`] is an app in a folder of its own; [`Test::run`] runs ganger to its end and gives a
//!   [`Finished`], [`Test::start`] gives a [`Running`].
//! - [`Terminal`] is a pty with ganger or a shell in it.
//! - [`World`] is the folder, the ports and the mark of one test. When it is dropped it makes
//!   sure that no process with the mark is left.
//!
//! `gangling` (`tests/gangling/gangling.rs`) is on the `PATH` of every app, and so is ganger.

mod finished;
mod ports;
pub(crate) mod proc;
mod running;
mod terminal;
mod test;
mod world;

use std::time::{Duration, Instant};

pub(crate) use finished::Finished;
pub(crate) use running::{Line, OwnPids, Running, field};
pub(crate) use terminal::Terminal;
pub(crate) use test::Test;
pub(crate) use world::World;

/// How long anything may take. Only a test that fails ever waits that long.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// Asks until there is an answer. `None` when the limit is over.
pub(crate) fn poll_for<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until it is so, or fails.
#[track_caller]
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    assert!(poll_for(LIMIT, || so().then_some(())).is_some(), "never: {what}");
}
