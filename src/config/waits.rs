//! Who waits for what: `--wait-for web=tcp:5432`, and the circles that nobody could come out of. Pure.

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

/// A step on the way from one process to another that has to be somewhere first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edge {
    from: Node,
    to: Node,
    at: Option<Span>,
}

/// What can be waited for: a type has started, or is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Started(usize),
    Ready(usize),
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
    let place = |name: &ProcessName| types.iter().position(|it| it == name);
    let mut edges: Vec<Edge> = Vec::new();
    let mut add = |from: Option<Node>, probe: &Probe, at: Option<Span>| {
        let to = match probe {
            Probe::Process(name) => place(name).map(Node::Ready),
            Probe::Log { process, .. } => place(process).map(Node::Started),
            Probe::Tcp { .. } | Probe::Http(_) | Probe::Command(_) => None,
        };
        if let (Some(from), Some(to)) = (from, to) {
            edges.push(Edge { from, to, at });
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
        let others = (0..types.len()).filter(|other| *other != first);
        let edge = |other| Edge { from: Node::Started(other), to: Node::Ready(first), at: None };
        edges.extend(others.map(edge));
    }
    let own = |it| Edge { from: Node::Ready(it), to: Node::Started(it), at: None };
    edges.extend((0..types.len()).map(own));
    let way = (0..types.len())
        .find_map(|start| way_back(Node::Started(start), &edges))
        .or_else(|| (0..types.len()).find_map(|start| way_back(Node::Ready(start), &edges)))?;
    let at = way.iter().find_map(|edge| edge.at);
    let name = |node: Node| match node {
        Node::Started(it) | Node::Ready(it) => types[it].clone(),
    };
    let mut names: Vec<ProcessName> = way.first().map(|edge| name(edge.from)).into_iter().collect();
    names.extend(way.iter().map(|edge| name(edge.to)));
    // That a type has to start before it is ready is no news to anybody.
    names.dedup();
    if names.len() == 1 {
        names.push(names[0].clone());
    }
    Some((names, at))
}

/// The shortest way from `start` to itself.
fn way_back(start: Node, edges: &[Edge]) -> Option<Vec<Edge>> {
    let mut ways: Vec<Vec<Edge>> =
        edges.iter().filter(|edge| edge.from == start).map(|it| vec![it.clone()]).collect();
    let mut seen: Vec<Node> = Vec::new();
    let mut next = 0;
    while let Some(way) = ways.get(next).cloned() {
        next += 1;
        let Some(end) = way.last().map(|edge| edge.to) else { continue };
        if end == start {
            return Some(way);
        }
        if seen.contains(&end) {
            continue;
        }
        seen.push(end);
        let on = edges.iter().filter(|edge| edge.from == end);
        ways.extend(on.map(|edge| [&way[..], std::slice::from_ref(edge)].concat()));
    }
    None
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
}
