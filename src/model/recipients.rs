//! Which processes of a process group get a signal.

use serde::{Deserialize, Serialize};

/// `ganger signal --to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipients {
    /// Every process of the group.
    #[default]
    Group,
    /// The program itself: the leader or, where that is a shell that does not catch the signal, what the shell
    /// runs.
    Program,
}
