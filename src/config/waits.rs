//! Who waits for what: `--wait-for web=tcp:5432`, and the circles that nobody could come out of. Pure.

use std::collections::{HashMap, VecDeque};

use super::formation::closest;
use super::probe::{self, ParseProbeError, Probe, ReadyProbe};
use super::source::Span;
use crate::model::ProcessName;

/// A process type and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Who waits.
    pub who: ProcessName,
    /// For what.
    pub probe: Probe,
    /// Where `ganger.toml` says so, if that does.
    pub at: Option<Span>,
}

/// Why a text is no wait; and what to do.
pub type Problem = (String, Option<String>);

/// Reads a value of `--wait-for`: one or more `NAME=PROBE`, with commas between them. A probe may have
/// commas in it; so only one behind which a `NAME=` comes is between two.
pub fn parse(text: &str, types: &[ProcessName]) -> Result<Vec<Wait>, Problem> {
    split(text).into_iter().map(|item| one(item, types)).collect()
}

fn one(item: &str, types: &[ProcessName]) -> Result<Wait, Problem> {
    let form = || Some("write NAME=PROBE, as in `web=tcp:5432` or `web=db`".to_owned());
    let named = item.split_once('=').and_then(|(name, probe)| Some((name.trim().parse().ok()?, probe)));
    let Some((who, text)): Option<(ProcessName, &str)> = named else {
        return Err((format!("`{}` does not say who waits", masked(item)), form()));
    };
    if !types.contains(&who) {
        let hint = closest(who.as_str(), types).map(|close| format!("did you mean `{close}`?"));
        return Err((format!("`{}`: no process is called `{who}`", masked(item)), hint));
    }
    let probe: Probe = text
        .parse()
        .map_err(|error: ParseProbeError| (format!("`{}`: {error}", masked(item)), error.hint()))?;
    probe.check(types)?;
    Ok(Wait { who, probe, at: None })
}

/// Returns a value of `--wait-for` with its secrets masked.
pub fn shown(text: &str) -> String {
    split(text).into_iter().map(masked).collect::<Vec<_>>().join(",")
}

fn masked(item: &str) -> String {
    let is_name = |name: &str| name.trim().parse::<ProcessName>().is_ok();
    let name = item.split_once('=').filter(|(name, _)| is_name(name)).map_or(0, |(name, _)| name.len() + 1);
    let (name, text) = item.split_at(name);
    format!("{name}{}", probe::shown(text))
}

/// The items of a list.
fn split(text: &str) -> Vec<&str> {
    let begins_item = |rest: &str| {
        let Some((name, _)) = rest.split_once('=') else { return false };
        name.trim().parse::<ProcessName>().is_ok()
    };
    let (mut items, mut start) = (Vec::new(), 0);
    for (at, _) in text.match_indices(',') {
        if begins_item(&text[at + 1..]) {
            items.push(text[start..at].trim());
            start = at + 1;
        }
    }
    items.push(text[start..].trim());
    items
}

/// Those of both of whom `above` says nothing wait as `below` says.
pub fn over(above: Vec<Wait>, below: Vec<Wait>) -> Vec<Wait> {
    let mut all = above;
    let known: Vec<ProcessName> = all.iter().map(|wait| wait.who.clone()).collect();
    all.extend(below.into_iter().filter(|wait| !known.contains(&wait.who)));
    all
}

/// What can be waited for: a type has started, or is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Started(usize),
    Ready(usize),
}

impl Node {
    /// Returns its index among the nodes of `types` types: first all "started" nodes, then all "ready" nodes.
    fn place(self, types: usize) -> usize {
        match self {
            Self::Started(it) => it,
            Self::Ready(it) => types + it,
        }
    }
}

/// Steps from one node to another that must come first, grouped by their origin.
struct Graph {
    next: Vec<Vec<(usize, Option<Span>)>>,
}

/// Types that wait for one another, the first one again at the end, and where one of the waits is
/// said, if `ganger.toml` says one of them. `ready` are the probes that tell when a type is ready.
/// With `first`, all others start when that one has ended.
pub fn circle(
    types: &[ProcessName],
    waits: &[Wait],
    ready: &[(ProcessName, ReadyProbe, Span)],
    first: Option<&ProcessName>,
) -> Option<(Vec<ProcessName>, Option<Span>)> {
    if waits.is_empty() && ready.is_empty() {
        // A node that all others wait for cannot wait for any of them.
        return None;
    }
    let places: HashMap<&ProcessName, usize> =
        types.iter().enumerate().map(|(at, name)| (name, at)).collect();
    let place = |name: &ProcessName| places.get(name).copied();
    let count = types.len();
    let mut graph = Graph { next: vec![Vec::new(); 2 * count] };
    let mut add = |from: Option<Node>, probe: &Probe, at: Option<Span>| {
        let to = match probe {
            Probe::Process(name) => place(name).map(Node::Ready),
            Probe::Log { process, .. } => place(process).map(Node::Started),
            Probe::Tcp { .. } | Probe::Http(_) | Probe::Command(_) => None,
        };
        if let (Some(from), Some(to)) = (from, to) {
            graph.next[from.place(count)].push((to.place(count), at));
        }
    };
    for wait in waits {
        add(place(&wait.who).map(Node::Started), &wait.probe, wait.at);
    }
    for (name, probe, at) in ready {
        if let ReadyProbe::Probe(probe) = probe {
            add(place(name).map(Node::Ready), probe, Some(*at));
        }
    }
    if let Some(first) = first.and_then(place) {
        for other in (0..count).filter(|other| *other != first) {
            graph.next[other].push((Node::Ready(first).place(count), None));
        }
    }
    for it in 0..count {
        graph.next[Node::Ready(it).place(count)].push((it, None));
    }
    let way = graph.way_back(graph.first_on_circle()?);
    let at = way.iter().find_map(|(_, at)| *at);
    let mut names: Vec<ProcessName> = way.iter().map(|(node, _)| types[node % count].clone()).collect();
    // That a type has to start before it is ready is no news to anybody.
    names.dedup();
    if names.len() == 1 {
        names.push(names[0].clone());
    }
    Some((names, at))
}

impl Graph {
    /// Returns the first node on a cycle. Uses Tarjan's algorithm, which looks at each step once;
    /// searching from each node takes minutes with thousands of types.
    fn first_on_circle(&self) -> Option<usize> {
        const UNSEEN: usize = usize::MAX;
        let count = self.next.len();
        let (mut number, mut low) = (vec![UNSEEN; count], vec![UNSEEN; count]);
        let (mut open, mut is_open) = (Vec::new(), vec![false; count]);
        let mut found: Option<usize> = None;
        let mut numbered = 0;
        for start in 0..count {
            let mut path = if number[start] == UNSEEN { vec![(start, 0)] } else { Vec::new() };
            while let Some((node, step)) = path.last_mut() {
                let node = *node;
                if *step == 0 {
                    (number[node], low[node]) = (numbered, numbered);
                    numbered += 1;
                    open.push(node);
                    is_open[node] = true;
                }
                if let Some((to, _)) = self.next[node].get(*step) {
                    *step += 1;
                    if number[*to] == UNSEEN {
                        path.push((*to, 0));
                    } else if is_open[*to] {
                        low[node] = low[node].min(number[*to]);
                    }
                    continue;
                }
                path.pop();
                if let Some((before, _)) = path.last() {
                    low[*before] = low[*before].min(low[node]);
                }
                if low[node] == number[node] {
                    let begin = open.iter().rposition(|it| *it == node).unwrap_or(0);
                    let group = open.split_off(begin);
                    for it in &group {
                        is_open[*it] = false;
                    }
                    let is_circle = group.len() > 1 || self.next[node].iter().any(|(to, _)| *to == node);
                    let first = group.into_iter().min().filter(|_| is_circle);
                    found = [found, first].into_iter().flatten().min();
                }
            }
        }
        found
    }

    /// Returns the shortest path from `start` to itself: each node with the place of the step to it; the
    /// first one has none.
    fn way_back(&self, start: usize) -> Vec<(usize, Option<Span>)> {
        // By which step each node was reached first.
        let mut from: Vec<Option<(usize, Option<Span>)>> = vec![None; self.next.len()];
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front().filter(|_| from[start].is_none()) {
            for (to, at) in &self.next[node] {
                if from[*to].is_none() {
                    from[*to] = Some((node, *at));
                    queue.push_back(*to);
                }
            }
        }
        let (mut way, mut node) = (Vec::new(), start);
        while let Some((before, at)) = from[node] {
            way.push((node, at));
            node = before;
            if node == start {
                break;
            }
        }
        way.push((start, None));
        way.reverse();
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types() -> Vec<ProcessName> {
        ["web", "worker", "db", "release"].iter().map(|name| name.parse().expect("a name")).collect()
    }

    fn read(text: &str) -> Result<Vec<String>, String> {
        let shown = |wait: &Wait| format!("{}={}", wait.who, wait.probe);
        parse(text, &types()).map(|waits| waits.iter().map(shown).collect()).map_err(|(message, _)| message)
    }

    #[test]
    fn only_a_comma_before_a_name_is_between_two() {
        let table: [(&str, &[&str]); 5] = [
            ("web=db", &["web=db"]),
            ("web=db, worker = tcp:1", &["web=db", "worker=tcp:1"]),
            ("web=log:db:a,b (c,d)", &["web=log:db:a,b (c,d)"]),
            (
                "web=cmd:test a = b,worker=db,web=http://h/?a=1,2",
                &["web=cmd:test a = b", "worker=db", "web=http://h/?a=1,2"],
            ),
            ("web=cmd:a,b c=d", &["web=cmd:a,b c=d"]),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).as_deref(), Ok(&expected.map_strings()[..]), "{text}");
        }
    }

    trait MapStrings {
        fn map_strings(&self) -> Vec<String>;
    }

    impl MapStrings for &[&str] {
        fn map_strings(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn errors_name_the_item() {
        let table = [
            ("tcp:5432", "`tcp:5432` does not say who waits"),
            ("", "`` does not say who waits"),
            ("wbe=db", "`wbe=db`: no process is called `wbe`"),
            ("web=bd", "`bd`: no process is called `bd`"),
            (
                "web=tcp:x",
                "`web=tcp:x`: `tcp:` takes a port from 1 to 65535, or HOST:PORT, an IPv6 address in [ ]",
            ),
            ("web=cmd:a,b=c", "`b=c`: no process is called `b`"),
        ];
        for (text, expected) in table {
            assert_eq!(read(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn who_is_above_wins_for_those_it_speaks_of() {
        let waits = |text| parse(text, &types()).expect("good");
        let all = over(waits("web=db"), waits("web=tcp:1,worker=tcp:2"));
        assert_eq!(all, waits("web=db,worker=tcp:2"));
    }

    fn circle_of(waits: &str, ready: &[(&str, &str)], first: bool) -> Option<String> {
        let waits = if waits.is_empty() { Vec::new() } else { parse(waits, &types()).expect("good") };
        let name = |text: &str| text.parse::<ProcessName>().expect("a name");
        let at = Span::new(0..1);
        let ready: Vec<_> =
            ready.iter().map(|(who, probe)| (name(who), probe.parse().expect("a probe"), at)).collect();
        let first = first.then(|| name("release"));
        let (names, at) = circle(&types(), &waits, &ready, first.as_ref())?;
        let names: Vec<&str> = names.iter().map(ProcessName::as_str).collect();
        Some(format!("{}{}", names.join(" → "), if at.is_some() { " !" } else { "" }))
    }

    #[test]
    fn circles_are_found_and_nothing_else_is() {
        type Ready = &'static [(&'static str, &'static str)];
        let table: [(&str, Ready, bool, Option<&str>); 13] = [
            ("web=db,worker=db,web=worker", &[], false, None),
            ("web=web", &[], false, Some("web → web")),
            ("web=log:web:x", &[], false, Some("web → web")),
            ("web=db,db=web", &[], false, Some("web → db → web")),
            ("web=db,db=worker,worker=log:web:x", &[], false, Some("web → db → worker → web")),
            ("", &[("web", "log:web:up")], false, None),
            ("", &[("web", "web")], false, Some("web → web !")),
            ("worker=web", &[("web", "worker")], false, Some("worker → web → worker !")),
            ("worker=log:web:x", &[("web", "worker")], false, None),
            ("", &[("web", "worker"), ("worker", "web")], false, Some("web → worker → web !")),
            ("web=release", &[("web", "port")], true, None),
            ("release=db", &[], true, Some("db → release → db")),
            ("release=db", &[], false, None),
        ];
        for (waits, ready, first, expected) in table {
            assert_eq!(circle_of(waits, ready, first).as_deref(), expected, "{waits} {ready:?} {first}");
        }
    }

    #[test]
    fn a_cycle_is_found_among_thousands() {
        let count = 20_000;
        let types: Vec<ProcessName> =
            (0..count).map(|at| format!("p{at}").parse().expect("a name")).collect();
        let wait = |who: usize, whom: usize| Wait {
            who: types[who].clone(),
            probe: Probe::Process(types[whom].clone()),
            at: None,
        };
        let chain: Vec<Wait> = (1..count).map(|at| wait(at - 1, at)).collect();
        assert_eq!(circle(&types, &chain, &[], None), None);
        let closed = |to: usize| {
            let waits: Vec<Wait> = chain.iter().cloned().chain([wait(count - 1, to)]).collect();
            circle(&types, &waits, &[], None).expect("a circle").0
        };
        let short = closed(count - 2);
        assert_eq!(short, [&types[count - 2], &types[count - 1], &types[count - 2]].map(Clone::clone));
        assert_eq!(closed(0).len(), count + 1);
    }

    proptest::proptest! {
        /// Compares with a search that checks for each type whether it can reach itself.
        #[test]
        fn a_cycle_is_found_if_and_only_if_a_type_reaches_itself(
            edges in proptest::collection::vec((0..6_usize, 0..6_usize), 0..12),
        ) {
            let types: Vec<ProcessName> = (0..6).map(|at| format!("p{at}").parse().expect("a name")).collect();
            let wait = |(who, whom): &(usize, usize)| Wait {
                who: types[*who].clone(),
                probe: Probe::Process(types[*whom].clone()),
                at: None,
            };
            let waits: Vec<Wait> = edges.iter().map(wait).collect();
            let mut reached = [[false; 6]; 6];
            for (from, to) in &edges {
                reached[*from][*to] = true;
            }
            for over in 0..6 {
                for from in 0..6 {
                    for to in 0..6 {
                        reached[from][to] |= reached[from][over] && reached[over][to];
                    }
                }
            }
            let expected = (0..6).find(|at| reached[*at][*at]);
            if let Some((way, _)) = circle(&types, &waits, &[], None) {
                proptest::prop_assert_eq!(Some(&way[0]), expected.map(|at| &types[at]));
                proptest::prop_assert_eq!(way.first(), way.last());
                for step in way.windows(2) {
                    let is_edge = |(from, to): &(usize, usize)| types[*from] == step[0] && types[*to] == step[1];
                    proptest::prop_assert!(edges.iter().any(is_edge), "{way:?}");
                }
            } else {
                proptest::prop_assert_eq!(expected, None);
            }
        }
    }
}
