//! What reaches the supervisor from outside: its own signals and the guard's messages, as one
//! channel.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::mpsc::UnboundedSender;

use crate::model::Sig;
use crate::os::guard::{self, Confirming, Link};
use crate::os::signals::{Received, Signals};
use crate::supervisor::fleet::Via;

/// Something from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// A signal.
    Signal(Received, Via),
    /// The guard is dead.
    GuardGone,
}

/// Starts listening; each thing heard is turned into a message by `into`.
pub(super) fn listen<M: Send + 'static>(
    link: &Link,
    outbox: UnboundedSender<M>,
    into: impl Fn(Heard) -> Option<M> + Clone + Send + 'static,
) -> io::Result<()> {
    let signals = guard::take_over_signals(&[Sig::WINCH])?;
    let bell = UnixStream::from_std(signals.bell()?)?;
    let reader = UnixStream::from_std(link.reader()?)?;
    let tell = move |heard| into(heard).is_none_or(|message| outbox.send(message).is_ok());
    tokio::spawn(own_signals(signals, bell, tell.clone()));
    tokio::spawn(guards_messages(reader, link.confirming()?, tell));
    Ok(())
}

async fn own_signals(mut signals: Signals, bell: UnixStream, tell: impl Fn(Heard) -> bool) -> io::Result<()> {
    loop {
        bell.readable().await?;
        // Read empty, or it is never waited for again; what it says is in `signals`.
        while matches!(bell.try_read(&mut [0; 64]), Ok(1..)) {}
        for received in signals.take() {
            if !tell(Heard::Signal(received, Via::Direct)) {
                return Ok(());
            }
        }
    }
}

/// Reads and confirms messages of the guard. What is confirmed is acted on next, by this very thread.
async fn guards_messages(mut reader: UnixStream, confirming: Confirming, tell: impl Fn(Heard) -> bool) {
    let mut message = [0; 2];
    while reader.read_exact(&mut message).await.is_ok() {
        let received = guard::decode(message);
        confirming.confirm(received);
        if !tell(Heard::Signal(received, Via::Guard)) {
            return;
        }
    }
    tell(Heard::GuardGone);
}
