//! Admission of clients: a limited number of slots, and which client loses its slot when they run out.
//!
//! An idle client, which has sent no complete request yet, holds its slot only while no other client
//! needs it, and for [`IDLE`] at most. So connections that are left open, by accident or not, cannot
//! lock out `ganger stop`. A stuck client, to which no byte could be written for [`STUCK`], keeps its
//! slot only while no other client needs it, too. A client that waits for an answer, or reads one, keeps
//! its slot.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// How long a client may be idle.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// How long a write must have been blocked for its client to be stuck. One that reads a flood of lines is
/// blocked again and again, for a moment each.
const STUCK: Duration = Duration::from_millis(250);

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
    /// The clients that may be evicted, in this order: slot number, and how to notify the client.
    queue: BTreeMap<Turn, (u64, oneshot::Sender<()>)>,
}

/// In which order clients are evicted: the idle ones first, of each kind the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Idle(u64),
    /// Its write has been blocked since then.
    Blocked(Instant, u64),
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

    /// Takes a slot; if there is none, that of an idle or a stuck client. Where a write is blocked, waits
    /// up to [`STUCK`] to see whether that client is stuck. With `tight` only the first slot is free.
    pub(super) async fn enter(&self, tight: bool) -> Option<Seat> {
        let end = Instant::now() + STUCK;
        loop {
            let stuck_at = {
                let mut shared = self.lock();
                let taken = shared.seated.len();
                if !(taken >= self.most || (tight && taken > 0)) || shared.evict() {
                    let number = shared.number();
                    shared.seated.insert(number);
                    return Some(Seat { admission: self.clone(), number });
                }
                shared.stuck_at()
            };
            match stuck_at {
                Some(at) if at <= end => sleep_until(at).await,
                Some(_) | None => return None,
            }
        }
    }

    /// Evicts an idle or a stuck client, if there is one.
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
        if self.stuck_at().is_some_and(|at| at > Instant::now()) {
            return false;
        }
        let Some((_, (seat, tell))) = self.queue.pop_first() else { return false };
        self.seated.remove(&seat);
        let _ = tell.send(());
        true
    }

    /// When the next client to evict is stuck, if its write is blocked.
    fn stuck_at(&self) -> Option<Instant> {
        match self.queue.first_key_value()?.0 {
            Turn::Idle(_) => None,
            Turn::Blocked(since, _) => Some(*since + STUCK),
        }
    }
}

impl Seat {
    /// Is idle until the client has to go.
    pub(super) async fn idle(&self) -> Idle {
        tokio::select! {
            () = self.needed(Turn::Idle) => Idle::Needed,
            () = tokio::time::sleep(IDLE) => Idle::Over,
        }
    }

    /// Waits until a client whose write has been blocked since then is stuck and its slot is needed.
    pub(super) async fn stuck(&self, since: Instant) {
        self.needed(|number| Turn::Blocked(since, number)).await;
    }

    async fn needed(&self, turn: impl FnOnce(u64) -> Turn) {
        let (tell, told) = oneshot::channel();
        let entry = {
            let mut shared = self.admission.lock();
            let turn = turn(shared.number());
            shared.queue.insert(turn, (self.number, tell));
            Entry { seat: self, turn }
        };
        let _ = told.await;
        drop(entry);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.admission.lock().seated.remove(&self.number);
    }
}

/// A client may be evicted while this lives.
struct Entry<'a> {
    seat: &'a Seat,
    turn: Turn,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.seat.admission.lock().queue.remove(&self.turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn idle_clients_time_out() {
        let seat = Admission::new(1).enter(false).await.expect("a place");
        let start = Instant::now();
        assert_eq!(seat.idle().await, Idle::Over);
        assert_eq!(start.elapsed(), IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_clients_are_evicted_when_slots_run_out() {
        let admission = Admission::new(2);
        let (first, second) =
            (admission.enter(false).await.expect("one"), admission.enter(false).await.expect("two"));
        assert!(admission.enter(false).await.is_none(), "no client is idle");
        let start = Instant::now();
        let (idle, newer) = (tokio::spawn(async move { first.idle().await }), async {
            tokio::task::yield_now().await;
            admission.enter(false).await.expect("the place of the idle one")
        });
        let newer = newer.await;
        assert_eq!(idle.await.expect("no panic"), Idle::Needed);
        assert_eq!(start.elapsed(), Duration::ZERO);
        // The one that gave up its place has none to give back.
        assert!(admission.enter(false).await.is_none());
        drop(newer);
        assert!(admission.enter(false).await.is_some());
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_is_evicted_first_and_busy_clients_stay() {
        let admission = Admission::new(3);
        let mut seats = Vec::new();
        for _ in 0..3 {
            seats.push(admission.enter(false).await.expect("a place"));
        }
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
        let newer = [admission.enter(false).await, admission.enter(false).await];
        assert!(newer.iter().all(Option::is_some));
        assert_eq!(gone.recv().await, Some((1, Idle::Needed)));
        assert_eq!(gone.recv().await, Some((2, Idle::Needed)));
        assert!(admission.enter(false).await.is_none());
    }

    #[tokio::test]
    async fn one_client_is_admitted_when_descriptors_run_short() {
        let admission = Admission::new(5);
        let first = admission.enter(true).await.expect("the first");
        assert!(admission.enter(true).await.is_none());
        drop(first);
        assert!(admission.enter(true).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn stuck_clients_are_evicted_oldest_first_when_slots_run_out() {
        let admission = Admission::new(2);
        let (left, mut gone) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..2 {
            let (seat, left) = (admission.enter(false).await.expect("a slot"), left.clone());
            tokio::spawn(async move {
                seat.stuck(Instant::now()).await;
                let _ = left.send(number);
            });
            tokio::time::sleep(STUCK / 5).await;
        }
        // The slots are not short: stuck clients stay.
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert!(gone.try_recv().is_err());
        let start = Instant::now();
        let newer = [admission.enter(false).await, admission.enter(false).await];
        assert!(newer.iter().all(Option::is_some));
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!((gone.recv().await, gone.recv().await), (Some(0), Some(1)));
        assert!(admission.enter(false).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_waits_to_see_whether_a_blocked_client_is_stuck() {
        let admission = Admission::new(1);
        let seat = admission.enter(false).await.expect("a slot");
        let (tell, told) = oneshot::channel();
        let client = tokio::spawn(async move {
            // It is blocked again and again, but reads.
            for _ in 0..10 {
                tokio::select! {
                    () = seat.stuck(Instant::now()) => panic!("it reads"),
                    () = tokio::time::sleep(STUCK / 2) => {}
                }
            }
            let _ = tell.send(());
            seat.stuck(Instant::now()).await;
        });
        tokio::task::yield_now().await;
        assert!(admission.enter(false).await.is_none(), "the client reads");
        told.await.expect("it reads no more");
        assert!(admission.enter(false).await.is_some());
        client.await.expect("no panic");
    }
}
