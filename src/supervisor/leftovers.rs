//! What processes have left running outside of their groups, and what is reported of it. Pure.

use std::collections::HashMap;
use std::time::Duration;

use super::event::{Ended, Left, Leftover, Run};

/// How long something may be left before it is reported that the end waits for it.
pub(super) const SILENCE: Duration = Duration::from_secs(1);

/// A process that exits with 0 sooner than this and leaves another one has put itself into the background.
const AT_ONCE: Duration = Duration::from_secs(2);

/// What is left of each run whose group is empty, as the last look has shown.
#[derive(Debug, Default)]
pub(super) struct Leftovers(HashMap<Run, Vec<Left>>);

impl Leftovers {
    /// Takes what a look has shown. Returns whether it is the first that has shown anything.
    pub(super) fn seen(&mut self, run: Run, left: Vec<Left>) -> bool {
        if left.is_empty() {
            self.0.remove(&run);
            return false;
        }
        self.0.insert(run, left).is_none()
    }

    /// What is left of the run now.
    pub(super) fn of(&self, run: Run) -> Option<Vec<Leftover>> {
        self.0.get(&run).map(|left| left.iter().map(|it| it.program.clone()).collect())
    }

    /// What has left the session of the run.
    pub(super) fn strays(left: &[Left]) -> Vec<Leftover> {
        left.iter().filter(|it| it.is_stray).map(|it| it.program.clone()).collect()
    }

    /// What the user can do about a process that ended in this way and has left these.
    pub(super) fn hint(end: &Ended, after: Duration, strays: &[Leftover]) -> Option<String> {
        let Leftover { name, pid } = strays.first()?;
        (end.is_success() && after < AT_ONCE).then(|| {
            format!(
                "it left {name} (pid {pid}) running in the background; ganger needs it in the foreground: look \
                 for an option such as `--foreground`, `--daemonize no` or `daemon off;`"
            )
        })
    }
}
