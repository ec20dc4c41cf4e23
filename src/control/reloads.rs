//! Reloads, one at a time: requests that arrive while the files are being read share the next read.
//!
//! Each read takes a thread and as much memory as the files and the environment. A hundred clients
//! that asked at once had a hundred threads; and if two reads overlapped, the older one could be
//! applied last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::proto::Reply;

/// The clients that wait for a reload.
#[derive(Debug, Default)]
pub(super) struct Reloads(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    is_read: bool,
    /// The clients that asked since the last read began, and whether they wait until it is done.
    waiting: Vec<(bool, oneshot::Sender<Reply>)>,
}

/// The right to read, for as long as any client waits. There is only one.
#[derive(Debug)]
pub(super) struct Turn(Arc<Reloads>);

/// The clients that get the same answer.
#[derive(Debug)]
pub(super) struct Batch {
    /// Whether they want it when the reload is done, and not at once.
    pub(super) wait: bool,
    clients: Vec<oneshot::Sender<Reply>>,
}

impl Reloads {
    /// Returns a receiver for the answer to a reload that begins after this call. Calls `read` if no read
    /// is running.
    pub(super) fn join(self: &Arc<Self>, wait: bool, read: impl FnOnce(Turn)) -> oneshot::Receiver<Reply> {
        let (sender, answer) = oneshot::channel();
        let is_first = {
            let mut queue = self.lock();
            queue.waiting.push((wait, sender));
            !std::mem::replace(&mut queue.is_read, true)
        };
        if is_first {
            read(Turn(self.clone()));
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Returns the clients for whom the files are read now; if there are none, the turn is over.
    pub(super) fn next(&mut self) -> Option<Batch> {
        let mut queue = self.0.lock();
        let Some((wait, _)) = queue.waiting.first() else {
            queue.is_read = false;
            return None;
        };
        let wait = *wait;
        let (clients, others) =
            std::mem::take(&mut queue.waiting).into_iter().partition::<Vec<_>, _>(|(it, _)| *it == wait);
        queue.waiting = others;
        Some(Batch { wait, clients: clients.into_iter().map(|(_, client)| client).collect() })
    }
}

impl Batch {
    /// Sends them the reply. Some may have disconnected.
    pub(super) fn answer(self, reply: &Reply) {
        for client in self.clients {
            let _ = client.send(reply.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_during_a_read_share_the_next_one() {
        let (reloads, mut turns) = (Arc::new(Reloads::default()), Vec::new());
        let first = reloads.join(true, |turn| turns.push(turn));
        let mut turn = turns.pop().expect("the first one reads");
        let batch = turn.next().expect("the first");
        let others: Vec<_> = (0..100).map(|_| reloads.join(true, |turn| turns.push(turn))).collect();
        let quick = reloads.join(false, |turn| turns.push(turn));
        assert!(turns.is_empty(), "one reads");
        let reply = |text: &str| Reply::Result(text.into());
        batch.answer(&reply("first"));
        assert_eq!(first.await, Ok(reply("first")));
        let batch = turn.next().expect("the others");
        assert_eq!((batch.wait, batch.clients.len()), (true, 100));
        batch.answer(&reply("second"));
        for other in others {
            assert_eq!(other.await, Ok(reply("second")));
        }
        let batch = turn.next().expect("the one that does not wait");
        assert_eq!((batch.wait, batch.clients.len()), (false, 1));
        drop(batch);
        assert!(quick.await.is_err());
        assert!(turn.next().is_none());
        let _again = reloads.join(true, |turn| turns.push(turn));
        assert_eq!(turns.len(), 1, "and a new read begins");
    }
}
