//! `ganger logs`: the lines that are kept, and those that follow, as items of one reply.
//!
//! A task for each reader, with a place of its own in the [`History`]. It waits for its client as
//! long as it takes: what the client does not read is not queued here, and what was given up
//! meanwhile is told as a number of lines. Nobody else ever waits for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::proto::{LogItem, Refusal, Reply};
use crate::config::names::Names;
use crate::model::{InstanceId, ProcessName};
use crate::output::history::{History, Line, Lines, Said};

/// How many batches of lines are on their way to a client, but for the one that is written.
const QUEUE: usize = 1;

/// What is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// How many of the last lines.
    pub(super) lines: usize,
    /// And those that come later.
    pub(super) follow: bool,
}

/// The lines of the processes that are named, or of all.
pub(super) fn read(history: &History, wish: Wish, names: Option<Names>) -> Receiver<Vec<u8>> {
    let wanted = move |id: &InstanceId| names.as_ref().is_none_or(|names| names.contains(id));
    let lines = history.last(wish.lines, Box::new(wanted));
    let (replies, receiver) = channel(QUEUE);
    tokio::spawn(hand_on(lines, wish.follow, replies));
    receiver
}

async fn hand_on(mut lines: Lines, follow: bool, replies: Sender<Vec<u8>>) {
    loop {
        // Half a line is shown by those who do not wait for the rest.
        let Some(said) = lines.next(!follow) else {
            tokio::task::yield_now().await;
            continue;
        };
        let written: Vec<u8> = said.into_iter().flat_map(|said| Reply::item(&item(said)).line()).collect();
        if written.is_empty() {
            if !(follow && lines.wait().await) {
                break;
            }
        } else if replies.send(written).await.is_err() {
            return;
        }
    }
    // Nothing behind it says that it is the last. The end of the instance waits until its readers
    // have let go: not before that is written.
    for last in [Reply::Result(json!({})).line(), Vec::new()] {
        let _ = replies.send(last).await;
    }
    replies.closed().await;
}

fn item(said: Said) -> LogItem {
    match said {
        Said::Skipped(id, skipped) => {
            LogItem::Skipped { process: id.to_string(), kind: id.name.to_string(), skipped }
        }
        Said::Line(Line { id, stream, time, bytes, cut, .. }) => {
            let (line, line_b64) = match String::from_utf8(bytes) {
                Ok(text) => (Some(text), None),
                Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
            };
            LogItem::Line {
                time: Timestamp::from_microsecond(time).unwrap_or_default().to_string(),
                process: id.to_string(),
                kind: id.name.to_string(),
                stream: stream.name().to_owned(),
                line,
                line_b64,
                cut,
            }
        }
    }
}

/// Which processes are meant, of those that there are or were, and of the types of the Procfile.
pub(super) fn names(
    texts: &[String],
    mut types: Vec<ProcessName>,
    ids: &[InstanceId],
) -> Result<Option<Names>, Refusal> {
    if texts.is_empty() {
        return Ok(None);
    }
    // A type that a reload has taken away has left its lines too.
    for id in ids {
        if !types.contains(&id.name) {
            types.push(id.name.clone());
        }
    }
    let names = Names::parse(texts, &types).map_err(Refusal::from)?;
    match names.instances().iter().find(|id| !ids.contains(id)) {
        Some(missing) => {
            let there: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
            Err(Refusal::usage(format!("no process is called `{missing}`"))
                .hint(format!("there is {}", there.join(", "))))
        }
        None => Ok(Some(names)),
    }
}
