//! What an instance sends: no line panics a client, and what was read is written and read the same.
#![no_main]

use ganger::control::frames::ToClient;
use ganger::control::proto::{Changes, Instance, LogItem, Reply, Variables, Waited};
use ganger_fuzz::{fuzz, has_inexact_number};
use serde::Deserialize as _;

fuzz!(|line: &[u8]| {
    if has_inexact_number(line) {
        return;
    }
    if let Ok(reply) = Reply::read(line) {
        assert_eq!(Reply::read(&reply.line()).ok().as_ref(), Some(&reply));
        if let Reply::Item(value) | Reply::Result(value) = reply {
            let _ = Instance::deserialize(&value).is_ok() | Changes::deserialize(&value).is_ok();
            let _ = LogItem::deserialize(&value).is_ok() | Variables::deserialize(&value).is_ok();
            let _ = Waited::deserialize(&value).is_ok();
        }
    }
    if let Ok(frame) = ToClient::read(line) {
        assert_eq!(ToClient::read(&frame.line()).ok().as_ref(), Some(&frame));
    }
});
