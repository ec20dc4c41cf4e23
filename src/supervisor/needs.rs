//! Which process needs which, and in what order they are stopped. Pure.
//!
//! A process that waits for another by name needs it, until its own last word: a web process that
//! is being stopped finishes its requests, and they go to its database. So whoever needs others is
//! stopped before them, at the end (`ending`) and by a command (`turns`), and all that nothing binds
//! are stopped at the same time.

use std::collections::BTreeSet;

use super::event::Slot;

/// Who needs whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    pairs: BTreeSet<(Slot, Slot)>,
}

impl Needs {
    /// Notes that `who` needs `whom`. Nobody needs itself.
    pub fn add(&mut self, who: Slot, whom: Slot) {
        if who != whom {
            self.pairs.insert((who, whom));
        }
    }

    /// Forgets what `who` needs.
    pub fn forget(&mut self, who: Slot) {
        self.pairs.retain(|(needy, _)| *needy != who);
    }

    /// Which of those that are `left` are stopped next: all that nobody needs who is left.
    ///
    /// Circles are refused before anything starts. Should there be one all the same, those in it
    /// and what they need are stopped together: an end that never comes would be the worse fault.
    pub fn next_to_stop(&self, left: &BTreeSet<Slot>) -> BTreeSet<Slot> {
        let pairs = self.pairs.iter().filter(|(who, _)| left.contains(who));
        let needed: BTreeSet<Slot> = pairs.map(|(_, whom)| *whom).collect();
        let free: BTreeSet<Slot> = left.difference(&needed).copied().collect();
        if free.is_empty() { left.clone() } else { free }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slots(numbers: &[usize]) -> BTreeSet<Slot> {
        numbers.iter().copied().map(Slot).collect()
    }

    fn needs(pairs: &[(usize, usize)]) -> Needs {
        let mut needs = Needs::default();
        for (who, whom) in pairs {
            needs.add(Slot(*who), Slot(*whom));
        }
        needs
    }

    #[test]
    fn those_who_need_others_go_first() {
        type Pairs = [(usize, usize)];
        type Waves = [&'static [usize]];
        // Who needs whom, and who is stopped together.
        let table: [(&Pairs, &Waves); 6] = [
            (&[], &[&[0, 1, 2, 3]]),
            (&[(0, 1), (2, 1)], &[&[0, 2, 3], &[1]]),
            (&[(0, 1), (1, 2)], &[&[0, 3], &[1], &[2]]),
            (&[(3, 0), (3, 1), (2, 1)], &[&[2, 3], &[0, 1]]),
            (&[(0, 0)], &[&[0, 1, 2, 3]]),
            // A circle, and one that is needed by it.
            (&[(0, 1), (1, 0), (1, 2)], &[&[3], &[0, 1, 2]]),
        ];
        for (pairs, waves) in table {
            let (needs, mut left) = (needs(pairs), slots(&[0, 1, 2, 3]));
            for wave in waves {
                assert_eq!(needs.next_to_stop(&left), slots(wave), "{pairs:?}");
                left = left.difference(&slots(wave)).copied().collect();
            }
            assert!(left.is_empty(), "{pairs:?}");
        }
    }

    #[test]
    fn what_is_gone_needs_nothing() {
        let needs = needs(&[(0, 1), (1, 2)]);
        assert_eq!(needs.next_to_stop(&slots(&[0, 2])), slots(&[0, 2]), "1 in between is down");
        assert_eq!(needs.next_to_stop(&slots(&[])), slots(&[]));
    }

    proptest! {
        /// Whoever needs whom, also in circles: all are stopped, and without circles nobody before
        /// those who need it.
        #[test]
        fn all_are_stopped_in_order(pairs in proptest::collection::vec((0..8_usize, 0..8_usize), 0..20), up in any::<bool>()) {
            // Without circles, if the larger number always needs the smaller.
            let pairs: Vec<_> = pairs.into_iter().filter(|(who, whom)| !up || who > whom).collect();
            let (needs, mut left) = (needs(&pairs), slots(&[0, 1, 2, 3, 4, 5, 6, 7]));
            while !left.is_empty() {
                let next = needs.next_to_stop(&left);
                prop_assert!(!next.is_empty());
                for (who, whom) in &pairs {
                    let waits = next.contains(&Slot(*whom)) && left.contains(&Slot(*who));
                    prop_assert!(!(up && waits), "{whom} is stopped before {who}");
                }
                left = left.difference(&next).copied().collect();
            }
        }
    }
}
