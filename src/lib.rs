//! ganger runs the processes of a Procfile.

pub mod config;
pub mod model;
pub mod os;
pub mod output;
pub mod supervisor;
