//! Which processes have a pty, how large it is, and when it is closed.
//!
//! It keeps the terminal of each process until that has ended: were it closed when the output
//! is, a process that has closed its output and works on would get HUP.

use std::collections::HashMap;
use std::io;

use crate::model::InstanceId;
use crate::os::pty::{Pty, PtyChoice, Size, Terminal};

/// The least number of columns a process gets, however long the names are.
const LEAST_COLUMNS: u16 = 20;

/// The terminals of one run of ganger.
#[derive(Debug)]
pub(super) struct Terminals {
    choice: PtyChoice,
    on_terminal: bool,
    prefix: u16,
    open: HashMap<InstanceId, Terminal>,
}

impl Terminals {
    /// `on_terminal` says whether our stdout is a terminal, `prefix` how much of a line there is
    /// ours.
    pub(super) fn new(choice: PtyChoice, on_terminal: bool, prefix: usize) -> Self {
        let prefix = u16::try_from(prefix).unwrap_or(u16::MAX);
        Self { choice, on_terminal, prefix, open: HashMap::new() }
    }

    /// A pty for a process that starts, or `None` if it is to have a pipe. Where the system has
    /// none to give, that is an error only for those who insist.
    pub(super) fn make(&self) -> io::Result<Option<Pty>> {
        match self.choice {
            PtyChoice::Always => Pty::open(self.size()).map(Some),
            PtyChoice::Auto if self.on_terminal => Ok(Pty::open(self.size()).ok()),
            PtyChoice::Auto | PtyChoice::Never => Ok(None),
        }
    }

    pub(super) fn keep(&mut self, id: InstanceId, terminal: Terminal) {
        self.open.insert(id, terminal);
    }

    /// Closes the terminal of a process that has ended.
    pub(super) fn close(&mut self, id: &InstanceId) {
        self.open.remove(id);
    }

    /// Gives all of them the size that ours has now. Answers the columns of ours.
    pub(super) fn resize(&self) -> u16 {
        let size = self.size();
        for terminal in self.open.values() {
            terminal.resize(size);
        }
        self.ours().columns
    }

    /// The size of our own terminal.
    pub(super) fn ours(&self) -> Size {
        let ours = if self.on_terminal { Size::of(io::stdout()) } else { None };
        ours.unwrap_or(Size::USUAL)
    }

    /// What is left of it beside the prefix.
    fn size(&self) -> Size {
        let Size { rows, columns } = self.ours();
        Size { rows, columns: columns.saturating_sub(self.prefix).max(LEAST_COLUMNS) }
    }
}
