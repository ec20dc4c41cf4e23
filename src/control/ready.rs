//! Who is ready: what `ps` says of it, and the wait of `ganger wait`.

use std::time::Duration;

use super::desk::Desk;
use super::proto::{Outcome, Readiness, Refusal, Reply, Waited};
use crate::os::ports;
use crate::supervisor::command::{Answer, Awaited, Status, What};
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
        for status in all {
            let Some(unseen) = status.unseen else { continue };
            let name = status.id.to_string();
            let look = move || ports::is_own_listening(unseen.port, unseen.leader, &name);
            if tokio::task::spawn_blocking(look).await.unwrap_or(false) {
                status.ready = true;
                self.note(Message::Ready(unseen.run));
            }
        }
    }
}

fn waited(all: &[Awaited], outcome: Outcome) -> Reply {
    let one = |it: &Awaited| Readiness { name: it.id.to_string(), ready: it.is_ready, why: it.why.clone() };
    Reply::result(&Waited { outcome, processes: all.iter().map(one).collect() })
}
