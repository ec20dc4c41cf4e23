//! A thread beside the driver's for tasks that may take a while: clients of the control socket and
//! searches.
//!
//! The driver's runtime has one thread, and a task there that does not return in time delays signals. So
//! only the driver runs there, with what receives signals and what starts and reaps commands. Everything
//! whose work depends on how much a process writes, a client asks for or the machine has open runs here,
//! and talks to the driver by messages.
//!
//! The thread starts with its first task, so a run without clients and searches does not have it.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::task::AbortHandle;

use crate::os::signals;

/// The thread, once there is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Background(Arc<Mutex<Option<Handle>>>);

impl Background {
    /// Runs a task on the thread.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        match self.handle() {
            Ok(handle) => handle.spawn(task).abort_handle(),
            // The system allows no more threads or descriptors. Such a task still runs, in the thread of the
            // caller.
            Err(_) => tokio::spawn(task).abort_handle(),
        }
    }

    fn handle(&self) -> io::Result<Handle> {
        let mut handle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = &*handle {
            return Ok(handle.clone());
        }
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let new = runtime.handle().clone();
        let work = move || {
            // The driver's thread takes them. A failure means that this one may take them for it.
            let _ = signals::block();
            // It ends with the process.
            runtime.block_on(std::future::pending::<()>());
        };
        thread::Builder::new().name("background".into()).spawn(work)?;
        Ok(handle.insert(new).clone())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Where `tokio::spawn` puts a task into the driver's thread. Each such task does little at a time,
    /// whatever processes and clients do. In `control`, and in `reach`, which background tasks call, it means the
    /// background thread.
    const ON_THE_DRIVERS_THREAD: [&str; 6] =
        ["background.rs", "daemon.rs", "front.rs", "inbox.rs", "listen.rs", "prober.rs"];

    #[test]
    fn few_tasks_share_the_drivers_thread() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        let mut left: Vec<_> = ["cmd", "supervisor", "output", "os"].map(|it| source.join(it)).into();
        while let Some(path) = left.pop() {
            if path.is_dir() {
                left.extend(
                    fs::read_dir(path).expect("a directory").map(|entry| entry.expect("read").path()),
                );
            } else if fs::read_to_string(&path).expect("text").contains(concat!("tokio::", "spawn(")) {
                found.push(path.file_name().expect("a name").to_string_lossy().into_owned());
            }
        }
        found.retain(|name| name != "reach.rs");
        found.sort();
        assert_eq!(found, ON_THE_DRIVERS_THREAD, "does it belong on the background thread?");
    }
}
