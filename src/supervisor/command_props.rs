//! Random histories of commands that overlap, against a model of what they promise: for each process the
//! last order wins, each run begins with the files that were applied last, and each client gets one true
//! answer.
//!
//! The driver takes one message, chore or timer at a time here, so a history is repeatable. More histories:
//! `GANGER_HISTORIES=100000 cargo test --release --lib command_props`.

use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use self::history::History;
use self::moves::{Ask, Files, Move, files, moves, tempers};
use self::world::Temper;
use super::event::OnExit;

mod checks;
mod history;
mod moves;
mod world;

/// How many histories there are, unless a variable says another number.
const HISTORIES: u32 = 1000;

#[test]
fn overlapping_commands_keep_their_promises() {
    let count = std::env::var("GANGER_HISTORIES").ok().and_then(|count| count.parse().ok());
    let mut config = ProptestConfig::with_cases(count.unwrap_or(HISTORIES));
    config.failure_persistence = None;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = Rc::new(runtime.expect("a runtime"));
    let _guard = runtime.enter();
    let on_exit = prop_oneof![1 => Just(OnExit::Stop), 3 => Just(OnExit::Ignore), 2 => Just(OnExit::Restart)];
    let histories = (files(), on_exit, tempers(), moves());
    let played = TestRunner::new(config).run(&histories, |(files, on_exit, tempers, moves)| {
        let mut history = History::new(runtime.clone(), &files, on_exit, tempers);
        for it in moves {
            history.play(it);
        }
        history.end();
        Ok(())
    });
    if let Err(error) = played {
        panic!("{error}");
    }
}

/// Two processes are released at once, and the start of the first lets the second go, which fails.
#[test]
fn a_timer_of_an_outer_step_does_not_replace_a_newer_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = Rc::new(runtime.expect("a runtime"));
    let _guard = runtime.enter();
    let files =
        |has_ports, waits| Files { commands: [Some(0), Some(0), None], is_swapped: false, has_ports, waits };
    let mut history = History::new(runtime.clone(), &files(true, 0), OnExit::Restart, vec![Temper::Tame]);
    history.play(Move::Ask(Ask::Reload(files(false, 3)), false));
    history.play(Move::Broken(1, true));
    history.play(Move::Ask(Ask::Wait(Vec::new()), false));
    history.end();
}
