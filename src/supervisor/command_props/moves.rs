//! What may happen in a history: the files, what clients ask for, and what processes and the system do.

use proptest::prelude::*;

use super::world::Temper;
use crate::config::procfile;
use crate::config::scoped::Scoped;
use crate::config::source::Source;
use crate::config::waits::Wait;
use crate::model::Port;
use crate::plan::{Planner, Ports, Wishes};
use crate::supervisor::event::OnExit;
use crate::supervisor::fleet::Order;

pub(super) const TYPES: [&str; 3] = ["a", "b", "c"];

/// The app's files.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// The command of each type; `None`: it is not in the Procfile.
    pub(super) commands: [Option<u8>; 3],
    /// `b` is before `a`, so they have each other's ports.
    pub(super) is_swapped: bool,
    pub(super) has_ports: bool,
    /// Which process waits for what.
    pub(super) waits: u8,
}

impl Files {
    pub(super) fn planner(&self, on_exit: OnExit) -> Planner {
        let mut order = [0, 1, 2];
        if self.is_swapped {
            order.swap(0, 1);
        }
        let line = |at: usize| Some(format!("{}: {}\n", TYPES[at], self.commands[at]?));
        let text: String = order.into_iter().filter_map(line).collect();
        let procfile = if text.is_empty() {
            procfile::Procfile::default()
        } else {
            procfile::parse(&Source::new("Procfile", text)).expect("a good Procfile")
        };
        // The process that waits, the one it waits for, and the probe.
        let waits: &[(usize, usize, &str)] = match self.waits {
            0 => &[],
            1 => &[(2, 0, "a")],
            2 => &[(2, 0, "log:a:x")],
            _ => &[(1, 0, "a"), (2, 1, "b")],
        };
        let is_there = |at: usize| self.commands[at].is_some();
        let waits = waits.iter().filter(|(who, whom, _)| is_there(*who) && is_there(*whom));
        let waits = waits.map(|(who, _, probe)| Wait {
            who: TYPES[*who].parse().expect("a name"),
            probe: probe.parse().expect("a probe"),
            at: None,
        });
        let ports = Ports { base: Port::new(5000).expect("a port"), step: 100 };
        Planner {
            procfile,
            ports: self.has_ports.then_some(ports),
            wishes: Wishes {
                on_exit: Scoped::general(Some(on_exit)),
                waits: waits.collect(),
                ..Wishes::default()
            },
            ..Planner::default()
        }
    }
}

/// What a client asks for.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Scale(usize, u16),
    ScaleAll(u16),
    Order(Vec<String>, Order),
    Reload(Files),
    Wait(Vec<String>),
    Status,
    End,
}

#[derive(Debug, Clone)]
pub(super) enum Move {
    /// Whether the client waits for the end.
    Ask(Ask, bool),
    /// One of the clients disconnects.
    Gone(usize),
    /// One of the processes that are alive dies.
    Dies(usize, u8),
    /// Something that is looked for is there, or is given up.
    Found(usize, bool),
    /// From now on the type can or cannot be started.
    Broken(usize, bool),
    /// From now on this port is in use by another program, or not.
    Busy(u16, bool),
    /// So many messages and chores are handled.
    Handle(usize),
    Sleep(u64),
    Suspend,
    Resume,
    Terminate,
}

pub(super) fn files() -> impl Strategy<Value = Files> {
    let command = || proptest::option::weighted(0.85, 0..3_u8);
    ((command(), command(), command()), any::<bool>(), proptest::bool::weighted(0.8), 0..4_u8).prop_map(
        |((a, b, c), is_swapped, has_ports, waits)| Files {
            commands: [a, b, c],
            is_swapped,
            has_ports,
            waits,
        },
    )
}

pub(super) fn names() -> impl Strategy<Value = Vec<String>> {
    let name = || {
        prop_oneof![
            4 => (0..3_usize).prop_map(|at| TYPES[at].to_owned()),
            2 => (0..3_usize, 1..4_u16).prop_map(|(at, number)| format!("{}.{number}", TYPES[at])),
        ]
    };
    prop_oneof![1 => Just(Vec::new()), 4 => name().prop_map(|name| vec![name]), 1 => (name(), name()).prop_map(|(a, b)| vec![a, b])]
}

pub(super) fn asks() -> impl Strategy<Value = Ask> {
    let order = prop_oneof![2 => Just(Order::Up), 3 => Just(Order::Stop), 3 => Just(Order::Restart)];
    prop_oneof![
        4 => (0..3_usize, 0..4_u16).prop_map(|(at, count)| Ask::Scale(at, count)),
        1 => (0..3_u16).prop_map(Ask::ScaleAll),
        7 => (names(), order).prop_map(|(names, order)| Ask::Order(names, order)),
        5 => files().prop_map(Ask::Reload),
        1 => names().prop_map(Ask::Wait),
        1 => Just(Ask::Status),
    ]
}

pub(super) fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        60 => (asks(), proptest::bool::weighted(0.8)).prop_map(|(ask, wait)| Move::Ask(ask, wait)),
        4 => (0..8_usize).prop_map(Move::Gone),
        8 => (0..8_usize, 0..2_u8).prop_map(|(at, code)| Move::Dies(at, code)),
        12 => (0..4_usize, proptest::bool::weighted(0.8)).prop_map(|(at, is_there)| Move::Found(at, is_there)),
        3 => (0..3_usize, any::<bool>()).prop_map(|(at, it)| Move::Broken(at, it)),
        2 => (0..3_u16, any::<bool>()).prop_map(|(at, it)| Move::Busy(at, it)),
        40 => (1..6_usize).prop_map(Move::Handle),
        15 => prop_oneof![Just(100), Just(2_000), Just(12_000), Just(61_000)].prop_map(Move::Sleep),
        1 => Just(Move::Suspend),
        2 => Just(Move::Resume),
        1 => Just(Move::Ask(Ask::End, true)),
        1 => Just(Move::Terminate),
    ];
    proptest::collection::vec(one, 1..40)
}

pub(super) fn tempers() -> impl Strategy<Value = Vec<Temper>> {
    let one = prop_oneof![3 => Just(Temper::Tame), 1 => Just(Temper::Stubborn), 1 => Just(Temper::Untidy)];
    proptest::collection::vec(one, 1..6)
}
