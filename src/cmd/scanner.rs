//! A thread that does what takes the longer the more processes and sockets the machine has: the driver asks
//! for it and goes on, so that a signal does not wait for it.
//!
//! With 5,000 processes one look at all of them takes a tenth of a second, and finding the program that has
//! one of 50,000 sockets takes a second.

use std::sync::mpsc::{SendError, Sender, channel};
use std::{io, thread};

use crate::os::signals;

type Scan = Box<dyn FnOnce() + Send>;

/// Scans, done one after the other in the order in which they were asked for. The thread starts with the
/// first one.
#[derive(Debug, Default)]
pub(super) struct Scanner(Option<Sender<Scan>>);

impl Scanner {
    /// Does this after what was asked for before.
    pub(super) fn run(&mut self, scan: impl FnOnce() + Send + 'static) {
        if self.0.is_none() {
            self.0 = start().ok();
        }
        let scan: Scan = Box::new(scan);
        match &self.0 {
            Some(scans) => {
                if let Err(SendError(scan)) = scans.send(scan) {
                    scan();
                }
            }
            // The system allows no more threads. It is still done, and the caller waits for it.
            None => scan(),
        }
    }
}

fn start() -> io::Result<Sender<Scan>> {
    let (sender, scans) = channel::<Scan>();
    let work = move || {
        // The driver's thread takes them. A failure means that this one may take them for it.
        let _ = signals::block();
        for scan in scans {
            scan();
        }
    };
    thread::Builder::new().name("scan".into()).spawn(work)?;
    Ok(sender)
}
