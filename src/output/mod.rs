//! From the bytes of many processes to one stdout.
//!
//! One thread does all of it (`worker`, ordered by [`pump`]): it waits for any process's output,
//! reads a chunk (`source`), cuts it into lines ([`lines`]), puts the prefix before each
//! ([`render`], [`style`]; [`json`] for programs) and writes what one wake-up brought with one
//! `write` (`printer`, `sink`). A reader of ours that is slow blocks that write and with it the
//! reading, so the processes slow down and memory stays bounded, without a queue. The
//! supervisor's thread never waits for this one. Log files have a thread of their own ([`log`]).
//!
//! On a terminal, lines are made harmless first ([`sanitize`], `look`), and half lines are shown
//! too ([`screen`]). What a process asks its terminal is answered (`answering`). What the processes wrote last
//! is kept ([`history`], [`replay`]); ganger's own lines are worded in [`words`].

mod answering;
mod cells;
pub mod clock;
#[cfg(test)]
mod emulator_tests;
pub mod format;
mod held;
pub mod history;
pub mod invariant;
pub mod json;
pub mod lines;
pub mod log;
mod look;
pub mod modes;
mod pace;
mod picture;
mod prefix;
mod printer;
pub mod pump;
pub mod render;
pub mod replay;
pub mod sanitize;
pub mod screen;
mod sink;
mod source;
pub use source::Stream;
pub mod style;
pub mod words;
mod worker;
