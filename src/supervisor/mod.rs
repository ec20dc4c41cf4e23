//! Deciding what happens to the processes, and making it happen.
//!
//! [`machine`] decides for one process (its states are in [`state`]) and [`fleet`] for all of
//! them; [`backoff`] when one that ended is started again, [`needs`] in what order they are stopped,
//! `turns` when a command stops several. They are pure: no clock, no channel, no system call, so
//! that every order of events can be tried in a test. [`driver`] is the one task that feeds them and performs what they answer, by what [`children`] can do.
//! [`signals`] decides what a signal to ganger means.
//! [`event`] is the vocabulary they share,
//! [`command`] that of those who command from outside.
//!
//! ```text
//!  signals ─┐                                    ┌─▶ Children (spawn, signal, reap)
//!  exits   ─┼─▶ inbox ─▶ driver ─▶ fleet.step ───┼─▶ timers
//!  output  ─┤                      └ machine     └─▶ Event ─▶ output
//!  timers  ─┤
//!  clients ─┘
//! ```

pub mod backoff;
mod busy;
pub mod children;
mod chores;
pub mod command;
mod commands;
pub mod driver;
mod ending;
mod ends;
pub mod event;
pub mod fleet;
mod jobs;
mod leftovers;
pub mod machine;
pub mod needs;
mod opening;
pub mod phase;
mod plans;
mod queue;
pub mod signals;
mod starts;
pub mod state;
pub mod step;
mod timers;
mod turns;
mod waiting;
pub mod waits;
pub mod watch;
mod watching;

#[cfg(test)]
mod command_props;
#[cfg(test)]
mod driver_tests;
#[cfg(test)]
mod fleet_props;
#[cfg(test)]
mod fleet_tests;
#[cfg(test)]
mod machine_props;
#[cfg(test)]
mod restart_tests;
#[cfg(test)]
mod signals_tests;
#[cfg(test)]
mod start_tests;
#[cfg(test)]
mod turns_tests;
#[cfg(test)]
mod waits_tests;
#[cfg(test)]
mod watching_tests;
