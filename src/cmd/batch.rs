//! Starting many processes at once, two at a time.
//!
//! A start is mostly waiting, for the new process to get a processor and for its exec, so two threads start
//! many processes in less than half of the time. They live within one call, and nothing is kept between two
//! calls: what was started is reported before anything else happens.
//!
//! Once a start has failed no other is begun. That the other thread is at one then cannot be helped, so what
//! is likely to fail is started alone: the first of all, as what all have in common (the shell, the
//! directory) fails there, and whatever may be too long.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::os::spawn::{Order, Outlet, Spawned, Spawner};

/// How many are started before what they write is shown.
const MANY: usize = 32;

/// What no system takes for too long: arguments and variables may have 128 KiB, whatever the limit
/// of the stack is (execve(2)).
const SHORT: usize = 64 * 1024;

/// All that a start takes.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) argv: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) cwd: PathBuf,
    pub(super) outlet: Outlet,
}

impl Job {
    /// Whether it is certain not to fail for its length.
    fn is_short(&self) -> bool {
        // A pointer to each, `=`, and a null behind it.
        const EACH: usize = size_of::<usize>() + 2;
        let argv = self.argv.iter().map(|word| word.len() + EACH);
        let env = self.env.iter().map(|(name, value)| name.len() + value.len() + EACH);
        argv.chain(env).sum::<usize>() < SHORT
    }
}

/// Starts the first of `all`, alone if it `is_first`, else with those that follow as far as they go together.
/// `job` makes what a start takes. Returns the results in order, at least one; none after a failure but of
/// those that were being started beside it.
pub(super) fn start<T>(
    all: &[T],
    is_first: bool,
    spawner: &Spawner,
    mut job: impl FnMut(&T) -> io::Result<Job>,
) -> Vec<io::Result<Spawned>> {
    let mut jobs = VecDeque::new();
    for one in all {
        match job(one) {
            Ok(job) if jobs.is_empty() || job.is_short() => jobs.push_back(job),
            Err(error) if jobs.is_empty() => return vec![Err(error)],
            // Its turn comes with the next call.
            Ok(_) | Err(_) => break,
        }
        if is_first || jobs.len() == MANY || !jobs.iter().all(Job::is_short) {
            break;
        }
    }
    start_all(jobs, spawner)
}

fn start_all(jobs: VecDeque<Job>, spawner: &Spawner) -> Vec<io::Result<Spawned>> {
    let is_one = jobs.len() == 1;
    let left = Mutex::new(jobs.into_iter().enumerate());
    let results = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((place, Job { argv, env, cwd, outlet })) = next else { return };
            let result = spawner.spawn(&Order { argv: &argv, env: &env, cwd: &cwd }, outlet);
            if result.is_err() {
                left.lock().unwrap_or_else(PoisonError::into_inner).by_ref().for_each(drop);
            }
            results.lock().unwrap_or_else(PoisonError::into_inner).push((place, result));
        }
    };
    thread::scope(|scope| {
        // Without another thread this one does it all.
        let _helper =
            (!is_one).then(|| thread::Builder::new().name("start".into()).spawn_scoped(scope, work));
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}
