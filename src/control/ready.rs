//! Who is ready: what `ps` says of it, and the wait of `ganger wait`.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::desk::Desk;
use super::proto::{Outcome, Readiness, Refusal, Reply, Waited};
use crate::os::ports;
use crate::supervisor::command::{Answer, Awaited, Status, Unseen, What};
use crate::supervisor::driver::Message;
use crate::supervisor::event::Run;

/// The longest wait.
const LONGEST: f64 = 86_400.0;

impl Desk {
    /// Waits until the processes are ready, or one of them will not be, or the time is over.
    pub(super) async fn wait(&self, names: Vec<String>, timeout: f64) -> Reply {
        if !(0.0..=LONGEST).contains(&timeout) {
            return Reply::Error(Refusal::usage("`timeout` is a number of seconds from 0 to 86400"));
        }
        // It lasts until the end of this function: what is looked for is known as long as a client wants it.
        let mut wait = std::pin::pin!(self.tell(What::Wait { names: names.clone(), now: false }));
        match tokio::time::timeout(Duration::from_secs_f64(timeout), wait.as_mut()).await {
            Ok(Some(Answer::Awaited(all))) => {
                let is_ready = all.iter().all(|it| it.is_ready);
                waited(&all, if is_ready { Outcome::Ready } else { Outcome::Never })
            }
            Ok(answer) => self.reply_or_end(answer),
            // How things are is asked once more.
            Err(_) => match self.tell(What::Wait { names, now: true }).await {
                Some(Answer::Awaited(all)) if all.iter().all(|it| it.is_ready) => {
                    waited(&all, Outcome::Ready)
                }
                Some(Answer::Awaited(all)) => waited(&all, Outcome::OutOfTime),
                answer => self.reply_or_end(answer),
            },
        }
    }

    /// Looks at those of which nobody has wanted to know yet whether they are ready. It is done here, where
    /// somebody asks, and delays nobody else.
    pub(super) async fn look(&self, all: &mut [Status]) {
        let unseen: Vec<Seen> =
            all.iter().filter_map(|status| Some((status.unseen?, status.id.to_string()))).collect();
        if unseen.is_empty() {
            return;
        }
        let ready = self.looks.look(unseen, are_there).await;
        for status in all {
            status.ready |= status.unseen.is_some_and(|unseen| ready.contains(&unseen.run));
        }
        for run in ready {
            self.note(Message::Ready(run));
        }
    }
}

/// What is looked at, and its name.
type Seen = (Unseen, String);

fn are_there(all: &[Seen]) -> Vec<bool> {
    let expected = |(it, name): &Seen| {
        let Unseen { port, leader, .. } = *it;
        ports::Expected { port, leader, name: name.clone() }
    };
    ports::own_listening(&all.iter().map(expected).collect::<Vec<_>>())
}

/// How much older than its question an answer may be.
const FRESH: Duration = Duration::from_millis(20);

/// Looks at the system, which cost milliseconds each: one at a time, for all who have asked before it
/// began or soon after. However many ask how often, one of them looks, and not all the time.
#[derive(Debug, Default)]
pub(super) struct Looks(Mutex<Looked>);

#[derive(Debug, Default)]
struct Looked {
    began: Option<Instant>,
    at: HashSet<Run>,
    ready: Vec<Run>,
}

impl Looks {
    /// Those of these runs that are there.
    async fn look(
        &self,
        unseen: Vec<Seen>,
        are_there: impl Fn(&[Seen]) -> Vec<bool> + Send + 'static,
    ) -> Vec<Run> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        let is_new = last.began.is_some_and(|began| asked < began + FRESH);
        if is_new && unseen.iter().all(|(it, _)| last.at.contains(&it.run)) {
            return last.ready.clone();
        }
        let began = Instant::now();
        let at = unseen.iter().map(|(it, _)| it.run).collect();
        let look = move || {
            let there = are_there(&unseen).into_iter();
            let all = unseen.into_iter().zip(there);
            all.filter(|(_, there)| *there).map(|((it, _), _)| it.run).collect::<Vec<_>>()
        };
        let ready = tokio::task::spawn_blocking(look).await.unwrap_or_default();
        *last = Looked { began: Some(began), at, ready: ready.clone() };
        ready
    }
}

fn waited(all: &[Awaited], outcome: Outcome) -> Reply {
    let one = |it: &Awaited| Readiness {
        name: it.id.to_string(),
        ready: it.is_ready,
        why: it.why.clone(),
        hint: it.hint.clone(),
    };
    Reply::result(&Waited { outcome, processes: all.iter().map(one).collect() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::model::Port;
    use crate::supervisor::event::Slot;

    fn unseen(slot: usize) -> Seen {
        let port = Port::new(5000).expect("a port");
        (Unseen { run: Run { slot: Slot(slot), number: 1 }, port, leader: 1 }, "web.1".to_owned())
    }

    #[test]
    fn however_many_ask_at_once_one_looks_for_all() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let (looks, count) = (Arc::new(Looks::default()), Arc::new(AtomicUsize::new(0)));
            let ask = |slots: &[usize]| {
                let (looks, count) = (looks.clone(), count.clone());
                let all: Vec<Seen> = slots.iter().map(|slot| unseen(*slot)).collect();
                let are_there = move |all: &[Seen]| {
                    count.fetch_add(1, Ordering::Relaxed);
                    all.iter().map(|(it, _)| it.run.slot == Slot(1)).collect()
                };
                tokio::spawn(async move { looks.look(all, are_there).await })
            };
            let asking: Vec<_> = (0..50).map(|_| ask(&[0, 1])).collect();
            for asking in asking {
                assert_eq!(asking.await.expect("an answer"), [unseen(1).0.run]);
            }
            let looked = count.load(Ordering::Relaxed);
            assert!((1..=2).contains(&looked), "{looked}: once, and perhaps once more");
            // What nobody has looked at is looked at.
            assert_eq!(ask(&[2]).await.expect("an answer"), []);
            assert_eq!(count.load(Ordering::Relaxed), looked + 1);
        });
    }
}
