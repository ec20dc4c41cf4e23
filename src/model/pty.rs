//! Whether a process has a terminal of its own.

use std::str::FromStr;

/// `--pty`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum PtyChoice {
    /// If stdout is a terminal.
    #[default]
    Auto,
    /// For each process, also into a pipe or a file.
    Always,
    /// For none: each has a pipe.
    Never,
}

/// A text that is no such choice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is `auto`, `always` or `never`")]
pub struct ParsePtyError;

impl FromStr for PtyChoice {
    type Err = ParsePtyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        <Self as clap::ValueEnum>::from_str(text, false).map_err(|_| ParsePtyError)
    }
}
