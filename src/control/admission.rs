//! Admission of clients: a limited number of slots, and which client loses its slot when they run out.
//!
//! An idle client, which has sent no complete request yet, holds its slot only while no other client
//! needs it, and for [`IDLE`] at most. So connections that are left open, by accident or not, cannot
//! lock out `ganger stop`. A client that waits for an answer, or reads one, keeps its slot.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// How long a client may be idle.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// The slots of all clients.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    most: usize,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    next: u64,
    seated: HashSet<u64>,
    /// The idle clients, the longest idle first: slot number, and how to notify the client.
    idle: BTreeMap<u64, (u64, oneshot::Sender<()>)>,
}

/// A slot, until it is dropped or given to another client.
#[derive(Debug)]
pub(super) struct Seat {
    admission: Admission,
    number: u64,
}

/// Why an idle client is disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// Its place is needed.
    Needed,
    /// Nothing was asked for [`IDLE`].
    Over,
}

impl Admission {
    pub(super) fn new(most: usize) -> Self {
        Self { most, shared: Arc::default() }
    }

    /// Takes a place; if there is none, that of the client which has been idle for the longest time. With
    /// `tight` no place is free but the first.
    pub(super) fn enter(&self, tight: bool) -> Option<Seat> {
        let mut shared = self.lock();
        let taken = shared.seated.len();
        if (taken >= self.most || (tight && taken > 0)) && !shared.evict() {
            return None;
        }
        let number = shared.number();
        shared.seated.insert(number);
        Some(Seat { admission: self.clone(), number })
    }

    /// Lets the client go that has been idle for the longest time.
    pub(super) fn evict(&self) {
        self.lock().evict();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn evict(&mut self) -> bool {
        let Some((_, (seat, tell))) = self.idle.pop_first() else { return false };
        self.seated.remove(&seat);
        let _ = tell.send(());
        true
    }
}

impl Seat {
    /// Is idle until the client has to go.
    pub(super) async fn idle(&self) -> Idle {
        let (tell, told) = oneshot::channel();
        let entry = {
            let mut shared = self.admission.lock();
            let turn = shared.number();
            shared.idle.insert(turn, (self.number, tell));
            Entry { seat: self, turn }
        };
        let why = tokio::select! {
            _ = told => Idle::Needed,
            () = tokio::time::sleep(IDLE) => Idle::Over,
        };
        drop(entry);
        why
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.admission.lock().seated.remove(&self.number);
    }
}

/// Is among the idle while this lives.
struct Entry<'a> {
    seat: &'a Seat,
    turn: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.seat.admission.lock().idle.remove(&self.turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn idle_clients_time_out() {
        let seat = Admission::new(1).enter(false).expect("a place");
        let start = tokio::time::Instant::now();
        assert_eq!(seat.idle().await, Idle::Over);
        assert_eq!(start.elapsed(), IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_clients_are_evicted_when_slots_run_out() {
        let admission = Admission::new(2);
        let (first, second) = (admission.enter(false).expect("one"), admission.enter(false).expect("two"));
        assert!(admission.enter(false).is_none(), "no client is idle");
        let start = tokio::time::Instant::now();
        let (idle, newer) = (tokio::spawn(async move { first.idle().await }), async {
            tokio::task::yield_now().await;
            admission.enter(false).expect("the place of the idle one")
        });
        let newer = newer.await;
        assert_eq!(idle.await.expect("no panic"), Idle::Needed);
        assert_eq!(start.elapsed(), Duration::ZERO);
        // The one that gave up its place has none to give back.
        assert!(admission.enter(false).is_none());
        drop(newer);
        assert!(admission.enter(false).is_some());
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_is_evicted_first_and_busy_clients_stay() {
        let admission = Admission::new(3);
        let seats: Vec<Seat> = (0..3).map(|_| admission.enter(false).expect("a place")).collect();
        let (left, mut gone) = tokio::sync::mpsc::unbounded_channel();
        for (number, seat) in seats.into_iter().enumerate() {
            let left = left.clone();
            tokio::spawn(async move {
                if number == 0 {
                    // Asks something, and that takes its time.
                    tokio::time::sleep(Duration::from_hours(1)).await;
                }
                let why = seat.idle().await;
                let _ = left.send((number, why));
            });
            tokio::task::yield_now().await;
        }
        let newer = [admission.enter(false), admission.enter(false)];
        assert!(newer.iter().all(Option::is_some));
        assert_eq!(gone.recv().await, Some((1, Idle::Needed)));
        assert_eq!(gone.recv().await, Some((2, Idle::Needed)));
        assert!(admission.enter(false).is_none());
    }

    #[test]
    fn one_client_is_admitted_when_descriptors_run_short() {
        let admission = Admission::new(5);
        let first = admission.enter(true).expect("the first");
        assert!(admission.enter(true).is_none());
        drop(first);
        assert!(admission.enter(true).is_some());
    }
}
