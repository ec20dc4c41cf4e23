//! Processes that are started a little ahead of their turn, two at a time.
//!
//! A start is mostly waiting, for the new process to get a processor and for its exec, so two
//! threads start many processes in less than half of the time. What is told of them, and what a
//! failure means, is as if one was started behind the other: nothing behind it is to run. So the
//! first of all is started alone, as what all have in common (the shell, the folder) fails there,
//! and so is whatever may be too long. Where the system itself runs out of something, one process
//! may have begun behind the one that failed; it is killed before anybody hears of it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::model::Sig;
use crate::os::group;
use crate::os::spawn::{Order, Outlet, Spawned, Spawner};
use crate::supervisor::event::Run;

/// How many are started before what they write is shown.
const BATCH: usize = 32;

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

/// What is to be started next, and what was.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    next: VecDeque<Run>,
    started: VecDeque<(Run, io::Result<Spawned>)>,
}

impl Ahead {
    /// These are wanted next, in this order.
    pub(super) fn announce(&mut self, runs: &[Run]) {
        self.next = runs.iter().skip(1).copied().collect();
    }

    /// Starts `run` and some of those that come next, unless it has started already. `job` makes
    /// what a start takes.
    pub(super) fn start(
        &mut self,
        run: Run,
        spawner: &Spawner,
        mut job: impl FnMut(Run) -> io::Result<Job>,
    ) -> io::Result<Spawned> {
        if self.started.front().is_none_or(|(first, _)| *first != run) {
            self.give_up();
            let (mut runs, mut jobs) = (vec![run], vec![job(run)?]);
            if self.next.front() == Some(&run) {
                self.next.pop_front();
                while jobs.len() < BATCH && jobs.iter().all(Job::is_short) {
                    let Some(run) = self.next.front() else { break };
                    // What cannot be had ahead is tried again in its turn.
                    let Some(job) = job(*run).ok().filter(Job::is_short) else { break };
                    jobs.push(job);
                    runs.extend(self.next.pop_front());
                }
            }
            self.started = runs.into_iter().zip(start_all(jobs, spawner)).collect();
        }
        let (_, result) = self.started.pop_front().unwrap_or_else(|| (run, Err(io::ErrorKind::Other.into())));
        if result.is_err() {
            self.give_up();
            self.next.clear();
        }
        result
    }

    /// Ends what has begun and is not wanted any more.
    fn give_up(&mut self) {
        for spawned in self.started.drain(..).filter_map(|(_, result)| result.ok()) {
            group::signal(spawned.pid, Sig::KILL);
        }
    }
}

/// Answers in the order of the jobs; none behind a failure but the one that had begun.
fn start_all(jobs: Vec<Job>, spawner: &Spawner) -> Vec<io::Result<Spawned>> {
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
