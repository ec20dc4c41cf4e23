//! A Procfile: no input panics, and what is shown of it can neither drive a terminal nor fill one.
#![no_main]

use ganger::config::procfile;
use ganger::config::source::Source;
use ganger_fuzz::{assert_messages, fuzz};

fuzz!(|data: &[u8]| {
    match procfile::parse(&Source::new("Procfile", data)) {
        Ok(procfile) => {
            assert!(!procfile.entries.is_empty());
            for entry in &procfile.entries {
                let command = entry.command.as_encoded_bytes();
                assert!(!command.is_empty() && !command.contains(&0));
                assert!(data.len() >= command.len(), "a command is no longer than its file");
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            assert_messages(&problems);
        }
    }
});
