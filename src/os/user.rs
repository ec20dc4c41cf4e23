//! Who we are.

/// The user whose rights this process has: its effective user id.
pub fn id() -> u32 {
    nix::unistd::geteuid().as_raw()
}
