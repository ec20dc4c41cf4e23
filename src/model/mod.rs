//! The small words the whole program shares: process type, instance, port, signal, terminal, colour.
//!
//! Each is a newtype that can only hold a valid value and knows how it is written.
//! Nothing here does I/O, and nothing here imports from the rest of the crate.

mod color;
mod control_key;
pub mod json;
mod name;
mod port;
mod pty;
mod recipients;
mod secrets;
mod sig;
mod time;
mod visible;

pub use color::{ParseColorError, ProcessColor};
pub use control_key::{ControlKey, ParseControlKeyError};
pub use name::{InstanceId, ParseInstanceError, ParseNameError, ProcessName};
pub use port::{ParsePortError, Port};
pub use pty::{ParsePtyError, PtyChoice};
pub use recipients::Recipients;
pub use secrets::{MASK, is_secret_parameter, mask_path, mask_text, mask_variable};
pub use sig::{ParseSigError, Sender, Sig};
pub use time::timestamp;
pub use visible::{hides, hides_any, quoted, sentence, visible, visible_bytes, visible_lines};
