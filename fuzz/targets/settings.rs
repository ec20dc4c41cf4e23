//! A ganger.toml: no input panics, and its messages are harmless and few.
#![no_main]

use ganger::cli;
use ganger::config::settings::Settings;
use ganger::config::source::Source;
use ganger::model::ProcessName;
use ganger_fuzz::{assert_messages, fuzz};

fuzz!(|data: &[u8]| {
    let types: Vec<ProcessName> =
        ["web", "db", "worker"].iter().filter_map(|name| name.parse().ok()).collect();
    let (settings, mut problems) = Settings::read(Source::new("ganger.toml", data));
    problems.extend(cli::misread(&settings));
    problems.extend(settings.check(&types));
    problems.extend(settings.idle(true));
    assert_messages(&problems);
    for name in &types {
        if let Some(table) = settings.process(name) {
            let _ = (table.cwd(), table.color(), table.ready(), table.is_muted());
        }
    }
    let _ = (settings.waits(&types), settings.ready(), cli::readable(settings));
});
