//! When a process that ended by itself is started again, and when not any more. Pure.
//!
//! Each [`Machine`](super::machine::Machine) with [`OnExit::Restart`](super::event::OnExit) has a
//! [`Record`] of its last runs. Time comes in as timers that ring while the process is up, so that
//! it stands still with ganger.

use std::time::Duration;

use super::event::Ended;

/// A run that is shorter and fails is a *quick* failure: the program never did its work. A second is
/// more than a shell takes to say "not found", also on a loaded machine, and less than most
/// programs take to find out that their database is away, which may come back.
pub const QUICK: Duration = Duration::from_secs(1);

/// After so many quick failures in a row the process is left as it is. With the waits between
/// them that is after 15 s.
pub const GIVE_UP_AFTER: u32 = 5;

/// A process that ran this long is healthy: its next end waits for 1 s again.
pub const HEALTHY: Duration = Duration::from_mins(1);

/// The longest wait before a restart.
pub const MAX_BACKOFF: Duration = Duration::from_mins(1);

/// What the last runs of a process were like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    age: Age,
    /// Ends in a row, of any kind: the exponent of the next wait.
    ends: u32,
    /// Failures among them.
    crashes: u32,
    /// Quick failures directly behind one another.
    quick: u32,
}

/// How long the present run, or the last one, has lasted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Age {
    /// Less than [`QUICK`].
    #[default]
    New,
    /// Less than [`HEALTHY`].
    Settled,
    /// As long as that or longer.
    Healthy,
}

/// What follows an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A new run, after this time.
    Again(Duration),
    /// Nothing: it would only fail again.
    GiveUp,
}

impl Record {
    /// How often it has failed since it was last healthy, or somebody wanted it up.
    pub fn crashes(&self) -> u32 {
        self.crashes
    }

    /// Somebody wants it up: what was before does not count, since what was wrong may be mended.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// A run begins. [`Record::lasted`] wants to know when it has lasted for the answer.
    pub fn began(&mut self) -> Duration {
        self.age = Age::New;
        QUICK
    }

    /// A run begins whose length nobody is told, since its end is to start none. Should that change
    /// before it ends (the files are read again), it was long enough.
    pub fn began_unwatched(&mut self) {
        *self = Self { age: Age::Healthy, ..Self::default() };
    }

    /// The run has lasted as long as was asked last. It may want to know more.
    pub fn lasted(&mut self) -> Option<Duration> {
        match self.age {
            Age::New => {
                self.age = Age::Settled;
                self.quick = 0;
                Some(HEALTHY.saturating_sub(QUICK))
            }
            Age::Settled => {
                *self = Self { age: Age::Healthy, ..Self::default() };
                None
            }
            Age::Healthy => None,
        }
    }

    /// It has waited for its next run in vain. That took its time, so it is no quick failure: what
    /// it waits for may come back.
    pub fn waited(&mut self) {
        self.age = Age::Settled;
    }

    /// The run ended by itself, or could not begin.
    pub fn ended(&mut self, end: &Ended) -> Verdict {
        let is_new = match self.age {
            Age::New => true,
            Age::Settled | Age::Healthy => false,
        };
        // One that could not begin is new, whatever the one before it was.
        self.age = Age::New;
        if end.is_success() {
            self.quick = 0;
        } else {
            self.crashes += 1;
            self.quick = if is_new { self.quick + 1 } else { 0 };
        }
        if self.quick >= GIVE_UP_AFTER {
            return Verdict::GiveUp;
        }
        let delay = MAX_BACKOFF.min(Duration::from_secs(1 << self.ends.min(6)));
        self.ends += 1;
        Verdict::Again(delay)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Sig;

    /// Lets a run last for so many seconds and end; the seconds until the next.
    fn run(record: &mut Record, secs: u64, end: &Ended) -> Option<u64> {
        let (mut left, mut next) = (Duration::from_secs(secs), Some(record.began()));
        while let Some(after) = next.filter(|after| *after <= left) {
            left -= after;
            next = record.lasted();
        }
        match record.ended(end) {
            Verdict::Again(delay) => Some(delay.as_secs()),
            Verdict::GiveUp => None,
        }
    }

    const FAILED: Ended = Ended::Exited(1);
    const DONE: Ended = Ended::Exited(0);

    #[test]
    fn waits_double_up_to_a_minute_and_a_healthy_minute_ends_that() {
        let mut record = Record::default();
        let waits: Vec<_> = (0..8).map(|_| run(&mut record, 59, &FAILED)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60].map(Some));
        assert_eq!(record.crashes(), 8);
        assert_eq!(run(&mut record, 60, &FAILED), Some(1));
        assert_eq!(record.crashes(), 1);
        assert_eq!(run(&mut record, 3600, &DONE), Some(1));
        assert_eq!(run(&mut record, 5, &DONE), Some(2), "an end with 0 waits too");
        assert_eq!(record.crashes(), 0, "and is no crash");
    }

    #[test]
    fn five_quick_failures_in_a_row_are_enough() {
        for end in [FAILED, Ended::Exited(127), Ended::Signaled(Sig::TERM)] {
            let mut record = Record::default();
            let waits: Vec<_> = (0..5).map(|_| run(&mut record, 0, &end)).collect();
            assert_eq!(waits, [Some(1), Some(2), Some(4), Some(8), None]);
        }
    }

    #[test]
    fn a_second_or_a_good_end_or_a_wish_breaks_the_row() {
        let breaks: [fn(&mut Record); 3] = [
            |record| assert!(run(record, 1, &FAILED).is_some()),
            |record| assert!(run(record, 0, &DONE).is_some()),
            Record::forget,
        ];
        for break_it in breaks {
            let mut record = Record::default();
            for _ in 0..4 {
                run(&mut record, 0, &FAILED);
            }
            break_it(&mut record);
            for _ in 0..4 {
                assert!(run(&mut record, 0, &FAILED).is_some());
            }
            assert_eq!(run(&mut record, 0, &FAILED), None);
        }
    }

    #[test]
    fn a_start_that_fails_after_a_long_run_is_quick() {
        let mut record = Record::default();
        run(&mut record, 3600, &FAILED);
        // These never begin.
        let verdicts: Vec<_> = (0..5).map(|_| record.ended(&FAILED)).collect();
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::GiveUp).count(), 1);
        assert_eq!(verdicts[4], Verdict::GiveUp);
    }

    #[test]
    fn a_run_that_nobody_watched_is_not_quick() {
        let mut record = Record::default();
        for _ in 0..10 {
            record.began_unwatched();
            assert_eq!(record.ended(&FAILED), Verdict::Again(Duration::from_secs(1)));
        }
    }

    proptest! {
        /// Whatever came before: the wait is between one second and a minute, and giving up takes
        /// five quick failures directly behind one another, no less.
        #[test]
        fn it_never_gives_up_early(runs in proptest::collection::vec((0..100_u64, 0..3_u8), 1..40)) {
            let (mut record, mut row) = (Record::default(), 0);
            for (secs, code) in runs {
                row = if secs == 0 && code != 0 { row + 1 } else { 0 };
                if let Some(wait) = run(&mut record, secs, &Ended::Exited(code)) {
                    prop_assert!((1..=60).contains(&wait));
                    prop_assert!(row < GIVE_UP_AFTER);
                } else {
                    prop_assert_eq!(row, GIVE_UP_AFTER);
                    row = 0;
                    record.forget();
                }
            }
        }
    }
}
