//! Which processes have a pty, and how large it is.
//!
//! The terminals themselves are kept in [`Seats`], where others come to them.

use std::io;

use crate::control::seats::Seats;
use crate::model::{InstanceId, PtyChoice};
use crate::os::pty::{Pty, Size};
use crate::output::render::Margin;
use crate::output::screen::LEAST_COLUMNS;

/// The terminals of one run of ganger.
#[derive(Debug)]
pub(super) struct Terminals {
    on_terminal: bool,
    margin: Margin,
}

impl Terminals {
    /// `on_terminal` says whether our stdout is a terminal, `margin` how much of a line there is
    /// ours.
    pub(super) fn new(on_terminal: bool, margin: Margin) -> Self {
        Self { on_terminal, margin }
    }

    /// One more process. Answers whether that leaves less of a line to the others.
    pub(super) fn join(&mut self, id: &InstanceId) -> bool {
        self.margin.widen(id)
    }

    /// A pty for a process that starts, or `None` if it is to have a pipe. Where the system has
    /// none to give, that is an error only for those who insist.
    pub(super) fn make(&self, choice: PtyChoice, id: &InstanceId, seats: &Seats) -> io::Result<Option<Pty>> {
        let size = seats.size(id, self.size());
        match choice {
            PtyChoice::Always => Pty::open(size).map(Some),
            PtyChoice::Auto if self.on_terminal => Ok(Pty::open(size).ok()),
            PtyChoice::Auto | PtyChoice::Never => Ok(None),
        }
    }

    /// Gives all of them the size that ours has now. Answers the columns of ours.
    pub(super) fn resize(&self, seats: &Seats) -> u16 {
        seats.resize(self.size());
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
        let margin = u16::try_from(self.margin.width()).unwrap_or(u16::MAX);
        Size { rows, columns: columns.saturating_sub(margin).max(LEAST_COLUMNS) }
    }
}
