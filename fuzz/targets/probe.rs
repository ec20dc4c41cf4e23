//! Probes and lists of waits: no input panics, and what was read reads the same again.
#![no_main]

use ganger::config::probe::Probe;
use ganger::config::waits;
use ganger::model::ProcessName;
use ganger_fuzz::fuzz;

fuzz!(|text: &str| {
    if let Ok(probe) = text.parse::<Probe>() {
        if let Probe::Log { pattern, .. } = &probe {
            let _ = pattern.matches("2026-11-29 12:00:00 ready to accept connections on port 5432");
        }
    }
    let types: Vec<ProcessName> = ["web", "db"].iter().filter_map(|name| name.parse().ok()).collect();
    if let Ok(list) = waits::parse(text, &types) {
        for wait in &list {
            assert!(types.contains(&wait.who));
        }
        assert!(list.len() <= text.len());
        assert_eq!(waits::over(list.clone(), Vec::new()), list);
    }
});
