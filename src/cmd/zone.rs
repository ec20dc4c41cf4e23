//! Where the times before the lines are from.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use jiff::tz::TimeZone;

use crate::os::files::{self, Streams};

/// Where zones are by their name (tzset(3)).
const ZONES: &str = "/usr/share/zoneinfo";

/// The zone of the machine, or of `TZ`.
///
/// jiff finds it too, but looks through the folders of all zones for that: a hundred system calls
/// on each start. So the usual cases are read from the one file they are in, and all others are
/// left to jiff.
pub(super) fn local(variable: Option<&OsStr>) -> TimeZone {
    let of_one_file = match variable {
        None => of_link(Path::new("/etc/localtime")),
        Some(text) => text.to_str().filter(|text| is_name(text)).and_then(of_name),
    };
    of_one_file.unwrap_or_else(TimeZone::system)
}

/// `Europe/Berlin`, and not `EST5EDT`, which POSIX would read otherwise.
fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+".contains(&byte))
    };
    text.contains('/') && text.split('/').all(is_part)
}

fn of_name(name: &str) -> Option<TimeZone> {
    TimeZone::tzif(name, &files::read(&Path::new(ZONES).join(name), Streams::Refuse).ok()?).ok()
}

/// Without a link nobody knows the name, which `%Q` would show.
fn of_link(path: &Path) -> Option<TimeZone> {
    let target = fs::read_link(path).ok()?;
    let (_, name) = target.to_str()?.rsplit_once("zoneinfo/")?;
    TimeZone::tzif(name, &files::read(path, Streams::Refuse).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_files_are_read_as_such() {
        for name in ["Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            assert!(is_name(name), "{name}");
        }
        for other in ["", "UTC", "CET-1CEST", "EST5EDT,M3.2.0,M11.1.0", ":Europe/Berlin", "../a/B", "/etc/x"]
        {
            assert!(!is_name(other), "{other}");
        }
    }

    #[test]
    fn it_is_the_zone_that_jiff_finds() {
        let now = crate::model::timestamp(std::time::SystemTime::now());
        for name in ["Europe/Berlin", "Asia/Kathmandu"] {
            // Not every machine has them.
            if let Some(zone) = of_name(name) {
                let jiffs = TimeZone::get(name).expect("a zone");
                assert_eq!(zone.to_offset(now), jiffs.to_offset(now), "{name}");
            }
        }
        if let Some(zone) = of_link(Path::new("/etc/localtime")) {
            let link = fs::read_link("/etc/localtime").expect("a link");
            assert!(link.ends_with(zone.iana_name().expect("a name")), "{}", link.display());
        }
    }
}
