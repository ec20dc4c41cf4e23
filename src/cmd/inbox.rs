//! What reaches the supervisor from outside: its own signals and the guard's messages, as one
//! channel.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::mpsc::UnboundedSender;

use crate::model::Sig;
use crate::os::guard::{self, Confirming, Link};
use crate::os::signals::{Received, Signals};
use crate::supervisor::fleet::Via;
use crate::supervisor::signals::Signal;

/// Something from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// A signal.
    Signal(Signal),
    /// The guard is dead.
    GuardGone,
}

/// Starts listening; each thing heard is turned into a message by `into`.
pub(super) fn listen<M: Send + 'static>(
    link: &Link,
    outbox: UnboundedSender<M>,
    into: impl Fn(Heard) -> Option<M> + Clone + Send + 'static,
) -> io::Result<()> {
    listen_with(take_over()?, link, outbox, into)
}

/// From now on signals to this process are kept until [`listen_with`] hands them on.
pub(super) fn take_over() -> io::Result<Signals> {
    guard::take_over_signals(&[Sig::WINCH])
}

/// Like [`listen`], with signals that were taken over before.
pub(super) fn listen_with<M: Send + 'static>(
    signals: Signals,
    link: &Link,
    outbox: UnboundedSender<M>,
    into: impl Fn(Heard) -> Option<M> + Clone + Send + 'static,
) -> io::Result<()> {
    let bell = UnixStream::from_std(signals.bell()?)?;
    let reader = UnixStream::from_std(link.reader()?)?;
    let signals = Arc::new(Mutex::new(signals));
    let tell = move |heard| into(heard).is_none_or(|message| outbox.send(message).is_ok());
    tokio::spawn(own_signals(signals.clone(), bell, tell.clone()));
    tokio::spawn(guards_messages(reader, link.confirming()?, signals, tell));
    Ok(())
}

/// What both tasks read.
type Shared = Arc<Mutex<Signals>>;

async fn own_signals(signals: Shared, bell: UnixStream, tell: impl Fn(Heard) -> bool) -> io::Result<()> {
    loop {
        bell.readable().await?;
        // Read empty, or it is never waited for again; what it says is in `signals`.
        while matches!(bell.try_read(&mut [0; 64]), Ok(1..)) {}
        if !take_own(&signals, &tell) {
            return Ok(());
        }
    }
}

/// Returns whether the receiver still exists.
fn take_own(signals: &Shared, tell: &impl Fn(Heard) -> bool) -> bool {
    let all = signals.lock().unwrap_or_else(PoisonError::into_inner).take();
    all.into_iter().all(|received| tell(Heard::Signal(by(Via::Direct, received))))
}

/// Reads and confirms messages of the guard. What is confirmed is acted on next, by this very thread.
///
/// Our own copy of a signal comes first: the kernel signals a whole group at once, and the message takes longer. So
/// one without a copy was sent before this process existed.
async fn guards_messages(
    mut reader: UnixStream,
    confirming: Confirming,
    signals: Shared,
    tell: impl Fn(Heard) -> bool,
) {
    let mut message = guard::Message::default();
    while reader.read_exact(&mut message).await.is_ok() {
        let received = guard::decode(message);
        confirming.confirm(received);
        if !take_own(&signals, &tell) || !tell(Heard::Signal(by(Via::Guard, received))) {
            return;
        }
    }
    tell(Heard::GuardGone);
}

fn by(via: Via, Received { sig, sender, at }: Received) -> Signal {
    Signal { sig, sender, via, at }
}
