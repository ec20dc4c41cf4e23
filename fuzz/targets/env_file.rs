//! An env file, as it is and with expansion: no input panics, values stay within bounds, and no
//! message shows a value.
#![no_main]

use std::ffi::{OsStr, OsString};

use ganger::config::dotenv;
use ganger::config::source::Source;
use ganger_fuzz::{assert_messages, fuzz};

fuzz!(|data: &[u8]| {
    let source = Source::new(".env", data);
    let home = |name: &OsStr| (name == "HOME").then(|| OsString::from("/home/ada"));
    for expand in [false, true] {
        let lookup: Option<&dyn Fn(&OsStr) -> Option<OsString>> = if expand { Some(&home) } else { None };
        match dotenv::parse(&source, lookup) {
            Ok(file) => {
                assert_messages(&file.warnings);
                for assignment in &file.assignments {
                    let value = assignment.value.as_encoded_bytes();
                    assert!(!value.contains(&0));
                    assert!(assignment.line >= 1);
                }
            }
            Err(problem) => assert_messages(&[problem]),
        }
    }
});
