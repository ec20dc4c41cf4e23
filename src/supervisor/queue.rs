//! The order in which the driver takes its messages.
//!
//! Signals, deaths and what the output thread reports come first. Commands and findings of searches wait
//! until there is none of those: 500 processes may become ready at the same moment, and 128 clients may ask
//! something at once. Between two of them other tasks of the thread run, so that a signal that came meanwhile
//! is received.

use std::collections::VecDeque;

use tokio::sync::mpsc::UnboundedReceiver;

use super::driver::Message;

/// The driver's messages.
#[derive(Debug)]
pub(super) struct Queue {
    inbox: UnboundedReceiver<Message>,
    /// Received, and not urgent.
    later: VecDeque<Message>,
}

impl Queue {
    pub(super) fn new(inbox: UnboundedReceiver<Message>) -> Self {
        Self { inbox, later: VecDeque::new() }
    }

    /// Returns the next message. Nothing is lost if this is dropped while it waits.
    pub(super) async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(urgent) = self.urgent() {
                return Some(urgent);
            }
            if self.later.is_empty() {
                let message = self.inbox.recv().await?;
                self.later.push_back(message);
                // It may be urgent.
                if let Some(urgent) = self.later.pop_back_if(|message| !can_wait(message)) {
                    return Some(urgent);
                }
            }
            tokio::task::yield_now().await;
            if let Some(urgent) = self.urgent() {
                return Some(urgent);
            }
            if let Some(message) = self.later.pop_front() {
                return Some(message);
            }
        }
    }

    /// Whether the next message is such a one, unless an urgent one comes before it.
    pub(super) fn goes_on_with(&self, is_such: impl Fn(&Message) -> bool) -> bool {
        self.later.front().is_some_and(is_such)
    }

    /// Sorts what has come.
    fn urgent(&mut self) -> Option<Message> {
        while let Ok(message) = self.inbox.try_recv() {
            if !can_wait(&message) {
                return Some(message);
            }
            self.later.push_back(message);
        }
        None
    }

    /// What is received from now on. What can wait and was received already is dropped.
    pub(super) fn into_inner(self) -> UnboundedReceiver<Message> {
        self.inbox
    }
}

fn can_wait(message: &Message) -> bool {
    match message {
        Message::Command(_)
        | Message::ClientGone
        | Message::Found(..)
        | Message::PortHolder(..)
        | Message::Ready(_) => true,
        Message::Signal(_)
        | Message::StopTold(_)
        | Message::ChildDied
        | Message::OutputClosed(_)
        | Message::OutputGone(_)
        | Message::Looked
        | Message::Suspended(_)
        | Message::Resized
        | Message::GuardGone => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::model::Sig;
    use crate::supervisor::driver_tests::signal;
    use crate::supervisor::event::{Run, Slot};
    use crate::supervisor::phase::Via;

    #[tokio::test]
    async fn signals_overtake_findings_and_both_keep_their_order() {
        let (outbox, inbox) = unbounded_channel();
        let mut queue = Queue::new(inbox);
        let ready = |number| Message::Ready(Run { slot: Slot(0), number });
        let (hup, int) = (signal(Sig::HUP, Via::Guard), signal(Sig::INT, Via::Guard));
        for message in [ready(1), ready(2), hup.clone(), ready(3), int.clone()] {
            outbox.send(message).expect("received");
        }
        let mut order = Vec::new();
        for _ in 0..3 {
            order.push(queue.next().await.expect("one"));
        }
        assert!(queue.goes_on_with(|it| matches!(it, Message::Ready(_))));
        assert!(!queue.goes_on_with(|it| matches!(it, Message::Found(..))));
        outbox.send(Message::Resized).expect("received");
        drop(outbox);
        while let Some(message) = queue.next().await {
            order.push(message);
        }
        let order: Vec<String> = order.iter().map(|message| format!("{message:?}")).collect();
        let expected = [hup, int, ready(1), Message::Resized];
        let expected = expected.into_iter().chain([ready(2), ready(3)]);
        assert_eq!(order, expected.map(|message| format!("{message:?}")).collect::<Vec<_>>());
    }
}
