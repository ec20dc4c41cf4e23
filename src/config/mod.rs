//! What the user wrote: files and option values, turned into types.
//!
//! Pure: bytes and text come in, values with their place (path, line, column) come out.
//! Reading the files is `cmd`'s work, deciding what to run is [`crate::plan`]'s.

pub mod diagnostic;
pub mod dotenv;
pub mod environment;
pub mod formation;
pub mod keys;
pub mod names;
pub mod options;
pub mod probe;
pub mod problems;
pub mod procfile;
pub mod programs;
pub mod scoped;
pub mod settings;
pub mod source;
pub mod waits;
