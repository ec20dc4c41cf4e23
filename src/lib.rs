//! ganger runs the processes of a Procfile.
//!
//! From a Procfile to a line on the screen:
//!
//! ```text
//! Procfile, .env ─config─▶ entries, variables ─plan─▶ ProcessSpecs ─cmd─▶ Fleet, Driver, Pump
//!
//! signals, deaths, timers ─▶ driver ─▶ fleet ─▶ machine     decides, purely
//!                              │  ◀── effects ──┘
//!                              ├─▶ os: spawn, signal, reap
//!                              └─▶ Event ─┐
//! a process's pipe ─▶ pump ─▶ lines ──────┴─▶ render ─▶ sink ─▶ one write
//! ```
//!
//! Layers; each imports only from those below it:
//!
//! | layer | modules | may do |
//! |---|---|---|
//! | wiring | [`cmd`], [`cli`] | everything, briefly |
//! | acting | [`supervisor::driver`], [`control`], [`output`], [`os`] | system calls, threads, clocks |
//! | deciding | [`plan`], [`supervisor::fleet`], [`supervisor::machine`] | nothing but decide |
//! | reading | [`config`] | turn bytes into values with places |
//! | words | [`model`], [`supervisor::event`], [`error`], [`env`](mod@env) | be values |
//!
//! ARCHITECTURE.md of the project says more, file by file.

pub mod cli;
pub mod cmd;
pub mod config;
pub mod control;
pub mod env;
pub mod error;
pub mod model;
pub mod os;
pub mod output;
pub mod plan;
pub mod supervisor;
