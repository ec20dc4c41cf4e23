//! Starts and commands that fail since a port is in use. A part of the [`Driver`].
//!
//! Whether a port is in use is known at once. The message also names the program that has it, and to find
//! that takes long on a machine with many sockets, so the failure is reported when the search is over. A
//! process whose start fails stays in [`Starting`](super::state::State::Starting) meanwhile.

use tokio::sync::mpsc::UnboundedSender;

use super::children::Children;
use super::command::Answer;
use super::driver::Driver;
use super::event::{Run, StartError};
use super::machine;
use super::starts::withdrawn;
use crate::error::Error;
use crate::model::{InstanceId, Port};

/// What fails since this port is in use.
#[derive(Debug)]
pub(super) struct Busy {
    port: Port,
    what: Failing,
}

/// See [`Busy`].
#[derive(Debug)]
pub(super) enum Failing {
    /// The start of a run.
    Start(Run),
    /// A command that would start this process.
    Command { id: InstanceId, is_pinned: bool, answer: UnboundedSender<Answer> },
}

#[cfg(test)]
impl Busy {
    pub(super) fn is_of_command(&self) -> bool {
        matches!(self.what, Failing::Command { .. })
    }
}

impl<C: Children> Driver<C> {
    /// The start or command fails once it is known which program has the port. One search serves all that
    /// fail on a port meanwhile.
    pub(super) fn fails(&mut self, port: Port, what: Failing) {
        let is_sought = self.busy.iter().any(|busy| busy.port == port);
        self.busy.push(Busy { port, what });
        if !is_sought {
            self.children.find_holder(port);
        }
    }

    /// The search for the program that has the port is over.
    pub(super) fn port_holder(&mut self, port: Port, holder: Option<&(u32, String)>) {
        let error = |id, is_pinned| Error::PortInUse { port, id, is_pinned, holder: holder.cloned() };
        for Busy { what, .. } in self.busy.extract_if(.., |busy| busy.port == port).collect::<Vec<_>>() {
            match what {
                Failing::Start(run) => {
                    let message = {
                        let member = &self.members[run.slot.0];
                        error(member.id.clone(), member.port_is_pinned).to_string()
                    }
                    .into();
                    let error = StartError { message, hint: None };
                    self.one(run.slot, machine::Input::SpawnFailed(run, error));
                }
                // The client may have gone.
                Failing::Command { id, is_pinned, answer } => {
                    drop(answer.send(Answer::Refused(error(id, is_pinned).into())));
                }
            }
        }
    }

    /// Ends the starts that are not wanted any more: a stop does not wait for the search.
    pub(super) fn withdraw_starts(&mut self) {
        if self.busy.is_empty() {
            return;
        }
        let fleet = &self.fleet;
        let is_withdrawn = |busy: &mut Busy| match busy.what {
            Failing::Start(run) => !fleet.wants(run),
            Failing::Command { .. } => false,
        };
        for busy in self.busy.extract_if(.., is_withdrawn).collect::<Vec<_>>() {
            if let Failing::Start(run) = busy.what {
                self.one(run.slot, machine::Input::SpawnFailed(run, withdrawn()));
            }
        }
    }
}
