//! System calls, and all `unsafe` of the crate.
//!
//! Each module wraps one part of the system in a small safe interface that speaks the words of
//! [`crate::model`] and plain numbers; no type of `nix` or `libc` leaves this folder. What only
//! Linux has (subreaper, `/proc`, pidfd) is chosen here by `cfg`, so that nothing above knows.

pub mod console;
pub mod daemon;
pub mod descendants;
mod exec;
pub mod files;
pub mod group;
pub mod guard;
pub mod keep;
pub mod limits;
pub mod memory;
pub mod pipe;
pub mod ports;
pub mod pty;
pub mod reap;
mod reserve;
pub mod shells;
pub mod signals;
pub mod spawn;
pub mod sweep;
#[cfg(target_os = "linux")]
mod title;
pub mod unix_socket;
pub mod user;
#[cfg(target_os = "linux")]
mod vfork;

/// Returns an error with the path it is about, which the system does not say. One that is about no path,
/// as of a limit, stays as it is.
fn with_path(error: std::io::Error, path: &str) -> std::io::Error {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    let why = match error.kind() {
        NotFound | NotADirectory => "no such file",
        PermissionDenied => "permission denied",
        _ => return error,
    };
    std::io::Error::new(error.kind(), format!("cannot open {path}: {why}"))
}
