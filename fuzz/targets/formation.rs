//! What starts and how often, and every other comma list of names: no input panics, a count is one of
//! a type that exists.
#![no_main]

use ganger::config::formation::{Formation, Selection, parse_names, resolve};
use ganger::config::names::Names;
use ganger::config::scoped::Scoped;
use ganger::error::Error;
use ganger::model::{InstanceId, ProcessName, Sig};
use ganger_fuzz::{assert_harmless, fuzz};

fuzz!(|text: &str| {
    let types: Vec<ProcessName> =
        ["web", "db", "release"].iter().filter_map(|name| name.parse().ok()).collect();
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    match Formation::parse([first]) {
        Ok(processes) => {
            let concurrency = Formation::parse([second]).unwrap_or_default();
            let exclude = parse_names([second]).unwrap_or_default();
            let selection = Selection { processes, concurrency, exclude, ..Selection::default() };
            match resolve(&types, &selection) {
                Ok(counts) => {
                    assert_eq!(counts.len(), types.len());
                    assert!(counts.iter().any(|(_, count)| *count > 0));
                }
                Err(error) => assert_harmless(&Error::from(error).render()),
            }
        }
        Err(error) => assert_harmless(&Error::from(error).render()),
    }
    let _ = Names::parse([first], &types);
    let _ = Scoped::<Sig>::parse([first], &types).map_err(|error| error.to_string());
    if let Ok(id) = first.parse::<InstanceId>() {
        assert_eq!(id.to_string().parse().ok(), Some(id));
    }
});
