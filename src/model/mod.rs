//! The small words the whole program shares: process type, instance, port, signal.
//!
//! Each is a newtype that can only hold a valid value and knows how it is written.
//! Nothing here does I/O, and nothing here imports from the rest of the crate.

mod name;
mod port;
mod sig;

pub use name::{InstanceId, ParseInstanceError, ParseNameError, ProcessName};
pub use port::{ParsePortError, Port};
pub use sig::{ParseSigError, Sig};
