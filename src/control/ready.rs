//! Who is ready: what `ps` says of it, and the wait of `ganger wait`.

use std::time::Duration;

use super::desk::Desk;
use super::proto::{Outcome, Readiness, Refusal, Reply, Waited};
use crate::os::ports;
use crate::supervisor::command::{Answer, Awaited, Status, Unseen, What};
use crate::supervisor::driver::Message;

/// The longest wait.
const LONGEST: f64 = 86_400.0;

impl Desk {
    /// Waits until the processes are ready, or one of them will not be, or the time is over.
    pub(super) async fn wait(&self, names: Vec<String>, timeout: f64) -> Reply {
        if !(0.0..=LONGEST).contains(&timeout) {
            return Reply::Error(Refusal::usage("`timeout` is a number of seconds from 0 to 86400"));
        }
        let wait = self.tell(What::Wait { names: names.clone(), now: false });
        match tokio::time::timeout(Duration::from_secs_f64(timeout), wait).await {
            Ok(Some(Answer::Awaited(all))) => {
                let is_ready = all.iter().all(|it| it.is_ready);
                waited(&all, if is_ready { Outcome::Ready } else { Outcome::Never })
            }
            Ok(answer) => self.reply_or_end(answer),
            // Nobody waits for the answer any more. How things are is asked once more.
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
        let unseen = all.iter().filter_map(|status| Some((status.unseen?, status.id.to_string())));
        let unseen: Vec<(Unseen, String)> = unseen.collect();
        if unseen.is_empty() {
            return;
        }
        let is_there = |(it, name): &(Unseen, String)| ports::is_own_listening(it.port, it.leader, name);
        let look = move || unseen.into_iter().filter(is_there).map(|(it, _)| it.run).collect::<Vec<_>>();
        let ready = tokio::task::spawn_blocking(look).await.unwrap_or_default();
        for status in all {
            status.ready |= status.unseen.is_some_and(|unseen| ready.contains(&unseen.run));
        }
        for run in ready {
            self.note(Message::Ready(run));
        }
    }
}

fn waited(all: &[Awaited], outcome: Outcome) -> Reply {
    let one = |it: &Awaited| Readiness { name: it.id.to_string(), ready: it.is_ready, why: it.why.clone() };
    Reply::result(&Waited { outcome, processes: all.iter().map(one).collect() })
}
