//! Control of a running instance from other terminals, over a socket of the file system.
//!
//! [`place`] says where the socket is and keeps a second instance out; [`proto`] has the words
//! and how they are written; [`server`] is the instance's side, one task for each client;
//! [`desk`] turns a request into a command for the driver and its answer into a reply;
//! [`client`] is the side of `ganger ps` and its like. `attach` hands the terminal of a process to a
//! client in [`frames`]; [`seats`] knows who has which.
//!
//! ```text
//!  ganger ps ─client─▶ socket ─server─▶ desk ─Command─▶ driver
//!            ◀────── lines of JSON ◀─────────◀─Answer──┘
//! ```
//!
//! Nothing here decides anything about a process, and the driver waits for nothing here: what a
//! client does not read waits in that client's own task, and at most for a while.

mod admission;
mod attach;
pub mod client;
pub mod desk;
pub mod frames;
mod keyboard;
mod leftovers;
pub mod lock;
mod logs;
pub mod others;
pub mod place;
pub mod proto;
mod ready;
mod reloads;
pub mod seats;
pub mod server;
mod target;
mod turns;
