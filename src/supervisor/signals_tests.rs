//! Every way in which signals come, as tables and as random histories.

use std::time::{Duration, Instant};

use super::phase::Via::{self, Direct, Guard};
use super::signals::{CommandPolicy, Decision, FORWARDED, Policy, Signal, StopBy, TERMINATING};
use crate::model::{Sender, Sig};

const KERNEL: Sender = Sender::Kernel;
const NPM: Sender = Sender::Process(10);
const OTHER: Sender = Sender::Process(20);

/// What is received: after how many milliseconds, which signal, from what, and by which process.
type Got = (u64, Sig, Sender, Via);

fn signal(start: Instant, (millis, sig, sender, via): Got) -> Signal {
    Signal { sig, sender, via, at: start + Duration::from_millis(millis) }
}

/// What is decided about each.
fn decisions(policy: &mut Policy, start: Instant, history: &[Got]) -> Vec<Decision> {
    history.iter().map(|got| policy.decide(signal(start, *got), None)).collect()
}

/// When everything is stopped, and when it is killed first.
fn outcome(history: &[Got]) -> (Option<u64>, Option<u64>) {
    let decisions = decisions(&mut Policy::default(), Instant::now(), history);
    let first =
        |wanted: fn(&Decision) -> bool| decisions.iter().position(wanted).map(|place| history[place].0);
    (first(|it| matches!(it, Decision::Stop(_))), first(|it| *it == Decision::Kill))
}

#[test]
fn one_wish_counts_once_however_it_comes() {
    use Sig as S;
    let table: &[(&str, &[Got])] = &[
        ("terminal", &[(0, S::INT, KERNEL, Guard), (0, S::INT, KERNEL, Direct)]),
        ("terminal, while we are busy", &[(0, S::INT, KERNEL, Guard), (900, S::INT, KERNEL, Direct)]),
        (
            "npm, which hands it on",
            &[(0, S::INT, KERNEL, Guard), (0, S::INT, KERNEL, Direct), (1, S::INT, NPM, Guard)],
        ),
        (
            "a wrapper that hands it on twice",
            &[(0, S::INT, KERNEL, Guard), (30, S::INT, NPM, Guard), (999, S::INT, NPM, Guard)],
        ),
        ("a wrapper that is faster than the kernel", &[(0, S::INT, NPM, Guard), (1, S::INT, KERNEL, Direct)]),
        (
            "and hands it on again",
            &[(0, S::INT, NPM, Guard), (1, S::INT, KERNEL, Guard), (500, S::INT, NPM, Guard)],
        ),
        ("a wrapper that sends TERM instead", &[(0, S::INT, KERNEL, Guard), (5, S::TERM, NPM, Guard)]),
        (
            "nested wrappers",
            &[(0, S::TERM, NPM, Guard), (100, S::TERM, OTHER, Guard), (900, S::TERM, OTHER, Guard)],
        ),
        (
            "timeout: its child, then its group",
            &[(0, S::TERM, NPM, Guard), (0, S::TERM, NPM, Guard), (0, S::TERM, NPM, Direct)],
        ),
        ("timeout, slowly", &[(0, S::TERM, NPM, Guard), (49, S::TERM, NPM, Guard)]),
        (
            "a unit that is stopped, while npm hands it on",
            &[(0, S::TERM, OTHER, Guard), (0, S::TERM, OTHER, Direct), (3, S::TERM, NPM, Guard)],
        ),
        ("pkill", &[(0, S::TERM, OTHER, Guard), (120, S::TERM, OTHER, Direct)]),
        (
            "a closing terminal",
            &[(0, S::HUP, KERNEL, Guard), (100, S::HUP, OTHER, Guard), (5000, S::HUP, OTHER, Guard)],
        ),
        ("a key that is held", &[(0, S::INT, KERNEL, Guard), (30, S::INT, KERNEL, Guard)]),
        ("the supervisor alone", &[(0, S::TERM, OTHER, Direct)]),
    ];
    for (what, history) in table {
        assert_eq!(outcome(history), (Some(0), None), "{what}");
    }
}

#[test]
fn the_second_wish_kills() {
    use Sig as S;
    let table: &[(&str, &[Got], u64)] = &[
        ("Ctrl-C twice", &[(0, S::INT, KERNEL, Guard), (50, S::INT, KERNEL, Guard)], 50),
        (
            "Ctrl-C twice behind npm",
            &[
                (0, S::INT, KERNEL, Guard),
                (0, S::INT, KERNEL, Direct),
                (5, S::INT, NPM, Guard),
                (300, S::INT, KERNEL, Guard),
            ],
            300,
        ),
        (
            "the supervisor has seen both",
            &[(0, S::INT, KERNEL, Direct), (300, S::INT, KERNEL, Direct), (301, S::INT, KERNEL, Guard)],
            300,
        ),
        ("`kill` twice in a shell", &[(0, S::TERM, OTHER, Guard), (50, S::TERM, OTHER, Guard)], 50),
        ("TERM, then Ctrl-C", &[(0, S::TERM, OTHER, Guard), (1000, S::INT, KERNEL, Guard)], 1000),
        ("two people", &[(0, S::TERM, OTHER, Guard), (1000, S::TERM, NPM, Guard)], 1000),
        ("a wrapper that takes a second", &[(0, S::INT, KERNEL, Guard), (1000, S::INT, NPM, Guard)], 1000),
        ("HUP, then TERM", &[(0, S::HUP, KERNEL, Guard), (2000, S::TERM, OTHER, Guard)], 2000),
        (
            "the third counts from the first",
            &[(0, S::INT, KERNEL, Guard), (30, S::INT, KERNEL, Guard), (60, S::INT, KERNEL, Guard)],
            60,
        ),
    ];
    for (what, history, killed) in table {
        assert_eq!(outcome(history), (Some(0), Some(*killed)), "{what}");
    }
}

#[test]
fn who_has_read_of_the_first_signal_and_sends_another_means_it() {
    let start = Instant::now();
    let told = |history: &[Got], at, after: Got| {
        let mut policy = Policy::default();
        decisions(&mut policy, start, history);
        policy.stop_told(start + Duration::from_millis(at));
        policy.decide(signal(start, after), None)
    };
    let (script, ctrl_c) = ((0, Sig::TERM, OTHER, Guard), (0, Sig::INT, KERNEL, Guard));
    assert_eq!(told(&[script], 1, (2, Sig::TERM, OTHER, Guard)), Decision::Kill);
    assert_eq!(told(&[ctrl_c], 1, (2, Sig::INT, KERNEL, Guard)), Decision::Kill);
    // Not the copy that the supervisor has got, nor one that was sent before, nor a wrapper's.
    assert_eq!(told(&[ctrl_c], 1, (2, Sig::INT, KERNEL, Direct)), Decision::Ignore);
    assert_eq!(told(&[script], 3, (2, Sig::TERM, OTHER, Guard)), Decision::Ignore);
    assert_eq!(told(&[ctrl_c], 1, (2, Sig::INT, NPM, Guard)), Decision::Ignore);
    assert_eq!(told(&[ctrl_c, (2, Sig::INT, NPM, Guard)], 3, (4, Sig::INT, NPM, Guard)), Decision::Ignore);
}

#[test]
fn a_stop_that_began_otherwise_is_the_first_wish() {
    let (start, ctrl_c) = (Instant::now(), |millis| (millis, Sig::INT, KERNEL, Guard));
    let decided = |by, history: &[Got]| {
        let mut policy = Policy::default();
        policy.stop_began(by, start);
        decisions(&mut policy, start, history)
    };
    assert_eq!(decided(StopBy::Command, &[ctrl_c(0)]), [Decision::Kill]);
    assert_eq!(decided(StopBy::Command, &[(3, Sig::TERM, OTHER, Direct)]), [Decision::Kill]);
    assert_eq!(decided(StopBy::Command, &[(3, Sig::HUP, OTHER, Guard)]), [Decision::Ignore]);
    // The process may have died of the very same signal, or the reader of a pipeline.
    assert_eq!(decided(StopBy::Event, &[ctrl_c(999)]), [Decision::Ignore]);
    assert_eq!(decided(StopBy::Event, &[ctrl_c(1000)]), [Decision::Kill]);
    assert_eq!(decided(StopBy::Event, &[ctrl_c(10), ctrl_c(300)]), [Decision::Ignore, Decision::Kill]);
    let shell = |millis| (millis, Sig::TERM, OTHER, Guard);
    assert_eq!(decided(StopBy::Event, &[shell(10), shell(300)]), [Decision::Ignore, Decision::Kill]);
    // What began after a signal changes nothing.
    let mut policy = Policy::default();
    assert_eq!(decisions(&mut policy, start, &[ctrl_c(0)]), [Decision::Stop(Sig::INT)]);
    policy.stop_began(StopBy::Command, start);
    let npm = (5, Sig::INT, NPM, Guard);
    assert_eq!(decisions(&mut policy, start, &[npm, ctrl_c(300)]), [Decision::Ignore, Decision::Kill]);
}

#[test]
fn what_is_typed_for_a_command_is_the_commands_and_so_is_a_copy_of_it() {
    let start = Instant::now();
    let mut policy = Policy::default();
    let mut decide = |got, command: Option<Instant>| policy.decide(signal(start, got), command);
    let since = Some(start + Duration::from_millis(10));
    for (got, decision) in [
        ((20, Sig::INT, KERNEL, Guard), Decision::Ignore),
        ((21, Sig::INT, KERNEL, Direct), Decision::Ignore),
        ((25, Sig::INT, NPM, Guard), Decision::Ignore),
        ((400, Sig::INT, KERNEL, Guard), Decision::Ignore),
        ((500, Sig::QUIT, KERNEL, Guard), Decision::Ignore),
        ((505, Sig::QUIT, NPM, Guard), Decision::Ignore),
    ] {
        assert_eq!(decide(got, since), decision, "{got:?}");
    }
    // It has ended of the last one, which the other receiver sees late.
    assert_eq!(decide((510, Sig::INT, KERNEL, Direct), None), Decision::Ignore);
    // Anything else stops everything, also at once.
    assert_eq!(decide((520, Sig::TERM, OTHER, Guard), since), Decision::Stop(Sig::TERM));
    assert_eq!(decide((900, Sig::TERM, OTHER, Guard), since), Decision::Kill);

    // It has not got what was typed before it was there, though we hear of it later.
    for via in [Guard, Direct] {
        let mut policy = Policy::default();
        let early = signal(start, (9, Sig::INT, KERNEL, via));
        assert_eq!(policy.decide(early, since), Decision::Stop(Sig::INT));
    }
    let mut policy = Policy::default();
    let seen_late = signal(start, (30, Sig::INT, KERNEL, Direct));
    assert_eq!(policy.decide(seen_late, since), Decision::Ignore);
    let early = signal(start, (9, Sig::INT, KERNEL, Guard));
    assert_eq!(policy.decide(early, since), Decision::Stop(Sig::INT));
}

#[test]
fn what_ends_nothing_is_handed_on_once() {
    let mut policy = Policy::default();
    let history = [
        (0, Sig::QUIT, KERNEL, Direct),
        (0, Sig::QUIT, KERNEL, Guard),
        (5, Sig::QUIT, NPM, Guard),
        (1000, Sig::QUIT, NPM, Guard),
        (1001, Sig::USR1, NPM, Guard),
        (1002, Sig::USR1, NPM, Guard),
        (1003, Sig::USR1, NPM, Direct),
        (1004, Sig::TSTP, KERNEL, Guard),
        (1004, Sig::TSTP, KERNEL, Direct),
        (1005, Sig::CONT, OTHER, Guard),
        (1006, Sig::from_number(40), OTHER, Guard),
    ];
    let expected = [
        Decision::Ignore,
        Decision::Forward(Sig::QUIT),
        Decision::Ignore,
        Decision::Forward(Sig::QUIT),
        Decision::Forward(Sig::USR1),
        Decision::Forward(Sig::USR1),
        Decision::Ignore,
        Decision::Suspend,
        Decision::Ignore,
        Decision::Resume,
        Decision::Ignore,
    ];
    assert_eq!(decisions(&mut policy, Instant::now(), &history), expected);
}

#[test]
fn the_command_of_run_gets_each_wish_once() {
    let start = Instant::now();
    let decided = |has_own_group, history: &[Got]| -> Vec<Decision> {
        let mut policy = CommandPolicy::new(has_own_group);
        history.iter().map(|got| policy.decide(signal(start, *got))).collect()
    };
    let (int, term, hup) = (Sig::INT, Sig::TERM, Sig::HUP);
    let no = Decision::Ignore;
    let on = Decision::Forward;
    // The kernel signals it, npm hands the signal on to us.
    let behind_npm = [
        (0, int, KERNEL, Direct),
        (0, int, KERNEL, Guard),
        (5, int, NPM, Guard),
        (300, int, KERNEL, Direct),
        (300, int, KERNEL, Guard),
        (305, int, NPM, Guard),
    ];
    assert_eq!(decided(false, &behind_npm), [no; 6]);
    // In a group of its own it has nothing from anybody else.
    assert_eq!(decided(true, &behind_npm), [no, on(int), no, no, on(int), no]);
    // The first was typed when only the guard existed.
    let early = [(0, int, KERNEL, Guard), (300, int, KERNEL, Direct), (300, int, KERNEL, Guard)];
    assert_eq!(decided(false, &early), [on(int), no, no]);
    // `timeout`, and another signal right behind the first, as at a logout.
    let table =
        [(0, term, OTHER, Guard), (1, term, OTHER, Guard), (1, term, OTHER, Direct), (2, hup, OTHER, Guard)];
    assert_eq!(decided(true, &table), [on(term), no, no, on(hup)]);
    let others = [
        (0, hup, KERNEL, Guard),
        (0, Sig::ALRM, KERNEL, Guard),
        (0, Sig::QUIT, KERNEL, Direct),
        (0, Sig::QUIT, KERNEL, Guard),
        (5, Sig::QUIT, NPM, Guard),
        (0, Sig::TSTP, KERNEL, Direct),
        (0, Sig::TSTP, KERNEL, Guard),
        (0, Sig::TSTP, OTHER, Guard),
        (0, Sig::CONT, KERNEL, Guard),
        (0, Sig::CHLD, KERNEL, Guard),
    ];
    let expected = [on(hup), on(Sig::ALRM), no, no, no, no, no, on(Sig::TSTP), Decision::Resume, no];
    assert_eq!(decided(false, &others), expected);
}

/// Random numbers that are the same each time (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let place = usize::try_from(self.below(all.len() as u64)).expect("few");
        all[place]
    }

    /// One wish that begins at `from`: of a person at the keyboard or of a process, with all its copies.
    fn wish(&mut self, leader: Sender, from: u64) -> Vec<Got> {
        let sig = self.one_of(&[Sig::INT, Sig::TERM, Sig::ALRM]);
        let reaches_both = leader == KERNEL || self.below(2) == 0;
        let mut all = vec![(from, sig, leader, Guard)];
        if reaches_both {
            // The supervisor may be busy.
            let late = self.one_of(&[0, 0, 1, 30, 200, 900]);
            all.push((from + late, sig, leader, Direct));
        }
        if leader != KERNEL {
            for _ in 0..self.below(3) {
                all.push((from + self.below(50), sig, leader, Guard));
            }
        }
        for copier in 0..self.below(4) {
            let copier = Sender::Process(100 + i32::try_from(copier).expect("few"));
            for _ in 0..=self.below(2) {
                let via = self.one_of(&[Guard, Guard, Direct]);
                let sig = self.one_of(&[sig, sig, Sig::TERM]);
                all.push((from + self.below(1000), sig, copier, via));
            }
        }
        all.sort_by_key(|(at, ..)| *at);
        all
    }

    /// A signal of any kind from anywhere. What the kernel sends reaches both receivers.
    fn any(&mut self, at: u64) -> Vec<Got> {
        let all: Vec<Sig> = TERMINATING
            .into_iter()
            .chain(TERMINATING)
            .chain(FORWARDED)
            .chain([Sig::TSTP, Sig::CONT])
            .collect();
        let (sig, via) = (self.one_of(&all), self.one_of(&[Guard, Direct]));
        if self.below(2) == 0 {
            return vec![(at, sig, KERNEL, Guard), (at, sig, KERNEL, Direct)];
        }
        vec![(at, sig, Sender::Process(i32::try_from(self.below(3)).expect("few")), via)]
    }
}

/// How many random histories each property is tried with.
const HISTORIES: u64 = 100_000;

#[test]
fn in_every_history_one_wish_stops_and_two_kill() {
    let start = Instant::now();
    for seed in 0..HISTORIES {
        let mut random = Random(seed);
        let leader = random.one_of(&[KERNEL, KERNEL, NPM]);
        let mut history = random.wish(leader, 0);
        assert_eq!(outcome(&history), (Some(0), None), "{seed}: {history:?}");

        // A second wish of the same sender, 50 ms later or more, and whatever comes of both.
        let again = 50 + random.below(1500);
        history.extend(random.wish(leader, again));
        history.sort_by_key(|(at, ..)| *at);
        let decided = decisions(&mut Policy::default(), start, &history);
        let killed = decided.iter().position(|it| *it == Decision::Kill).map(|place| history[place].0);
        assert_eq!(killed, Some(again), "{seed}: {history:?}");

        // Or of another one, a second later or more.
        let other = if leader == KERNEL { OTHER } else { KERNEL };
        let later = 1000 + random.below(1500);
        let mut history = random.wish(leader, 0);
        history.extend(random.wish(other, later));
        history.sort_by_key(|(at, ..)| *at);
        assert_eq!(outcome(&history), (Some(0), Some(later)), "{seed}: {history:?}");
    }
}

#[test]
fn in_every_history_decisions_are_monotone() {
    let start = Instant::now();
    for seed in 0..HISTORIES {
        let mut random = Random(seed);
        let (mut policy, mut at) = (Policy::default(), 0);
        let begins = random.below(8);
        let (mut stopping, mut history) = (false, Vec::new());
        for step in 0..12 {
            if step == begins {
                let by = random.one_of(&[StopBy::Command, StopBy::Event]);
                policy.stop_began(by, start + Duration::from_millis(at));
                stopping = true;
            }
            let pause = random.one_of(&[0, 0, 1, 20, 49, 50, 51, 300, 999, 1000, 1001]);
            at += pause;
            for got in random.any(at) {
                history.push(got);
                let decision = policy.decide(signal(start, got), None);
                assert_follows(decision, got, stopping, &|| {
                    format!("{seed}: {decision:?} after {history:?}, stop began before {begins}")
                });
                stopping |= matches!(decision, Decision::Stop(_));
            }
        }
        // Whatever came before, pressing Ctrl-C again and again works.
        let press = |policy: &mut Policy, after| {
            policy.decide(signal(start, (at + after, Sig::INT, KERNEL, Guard)), None)
        };
        let presses = [50, 300, 600, 900, 1200, 1500].map(|after| press(&mut policy, after));
        assert!(presses.contains(&Decision::Kill), "{seed}: {history:?}");
    }
}

#[track_caller]
fn assert_follows(decision: Decision, (_, sig, _, via): Got, stopping: bool, context: &dyn Fn() -> String) {
    let is_terminating = TERMINATING.contains(&sig);
    let is_right = match decision {
        Decision::Stop(stopped) => !stopping && is_terminating && stopped == sig,
        Decision::Kill => stopping && is_terminating && sig != Sig::HUP,
        Decision::Forward(it) => it == sig && FORWARDED.contains(&sig) && via == Guard,
        Decision::Suspend => sig == Sig::TSTP && via == Guard,
        Decision::Resume => sig == Sig::CONT && via == Guard,
        // Without a command at the keyboard the first one is never ignored.
        Decision::Ignore => stopping || !is_terminating,
    };
    assert!(is_right, "{}", context());
}
