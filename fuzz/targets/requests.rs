//! What a client sends: no line panics, and what was read is written and read the same.
#![no_main]

use ganger::control::frames::ToInstance;
use ganger::control::proto::Asked;
use ganger::error::Error;
use ganger_fuzz::{assert_harmless, fuzz, has_inexact_number};

fuzz!(|line: &[u8]| {
    if has_inexact_number(line) {
        return;
    }
    match Asked::read(line) {
        Ok(request) => {
            let again = request.line();
            assert!(again.ends_with(b"\n") && !again[..again.len() - 1].contains(&b'\n'));
            assert_eq!(Asked::read(&again).ok().as_ref(), Some(&request));
        }
        Err(invalid) => assert_harmless(&Error::Refused(invalid.into()).render()),
    }
    if let Ok(frame) = ToInstance::read(line) {
        assert_eq!(ToInstance::read(&frame.line()).ok().as_ref(), Some(&frame));
    }
});
