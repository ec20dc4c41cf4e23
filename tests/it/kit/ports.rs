//! Ports for tests that run at the same time, also in several test processes.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::TcpListener;

/// How many ports a test has: room for a web and several other types, 100 apart.
const SIZE: u16 = 500;

/// Below the ports that Linux takes for outgoing connections, above those of other programs.
const FIRST: u16 = 10_000;
const COUNT: u16 = 45;

/// A block of free ports. Its last one is bound for as long as the test lives: that is how
/// tests, also of other test processes, see that it is taken.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) base: u16,
    _claim: TcpListener,
}

impl Block {
    pub(crate) fn reserve() -> Self {
        // Seeded by the system: a random place to begin at.
        let start = u16::try_from(RandomState::new().build_hasher().finish() % u64::from(COUNT)).unwrap_or(0);
        let blocks = (0..COUNT).map(|i| FIRST + (start + i) % COUNT * SIZE);
        super::poll_for(super::LIMIT, || blocks.clone().find_map(claim)).expect("a free block of ports")
    }
}

fn claim(base: u16) -> Option<Block> {
    let claim = TcpListener::bind(("127.0.0.1", base + SIZE - 1)).ok()?;
    let used = (0..5).flat_map(|kind| (0..4).map(move |instance| base + kind * 100 + instance));
    let free = |port: u16| TcpListener::bind(("0.0.0.0", port)).is_ok();
    used.into_iter().all(free).then_some(Block { base, _claim: claim })
}
