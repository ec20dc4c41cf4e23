use proptest::prelude::*;

use jiff::Timestamp;

use super::super::invariant::check_line;
use super::super::render::{Layout, Renderer};
use super::super::sanitize::Allowed;
use super::super::screen::Abilities;
use super::super::style::Style;
use super::*;
use crate::supervisor::event::Slot;

const NAMES: [&str; 3] = ["a.1", "b.1", "c.1"];

fn screen() -> Screen {
    let allowed = Allowed { sgr: true, links: true, utf8: true };
    Screen::new(Abilities { allowed, rewrites: false, columns: 80 })
}

/// The next writer finds a plain terminal: each line, and each state of a line that is drawn
/// over, leaves one.
fn assert_plain(allowed: Allowed, out: &[u8]) {
    for line in out.split(|byte| *byte == b'\n') {
        let mut rest = line;
        while let Some(at) = memchr::memmem::find(rest, b"\r\x1b[2K") {
            check_line(allowed, &rest[..at]).expect("plain");
            rest = &rest[at + 5..];
        }
        check_line(allowed, rest).expect("plain");
    }
}

/// Hands each chunk to its process and shows half lines where it says so; answers what was put
/// on the paper.
fn written(chunks: &[(usize, Vec<u8>, bool)], mut screen: Option<Screen>) -> Vec<u8> {
    let ids: Vec<InstanceId> = NAMES.iter().map(|name| name.parse().expect("an instance")).collect();
    let mut format = Format::Text(Renderer::new(Style::new(false), Layout::default(), ids.iter()));
    format.set_time(Timestamp::UNIX_EPOCH);
    let source = |(slot, id): (usize, &InstanceId)| {
        let null = File::open("/dev/null").expect("it is there");
        let run = Run { slot: Slot(slot), number: 1 };
        let voice = Voice::Shown(format.prefix(id, Stream::Stdout));
        Source::new(
            (run, id.clone()),
            (Stream::Stdout, Kind::Pipe, null),
            voice,
            None,
            &History::default(),
            screen.as_ref(),
        )
    };
    let mut sources: Vec<Source> = ids.iter().enumerate().map(source).collect();
    let mut out = Vec::new();
    for (who, chunk, show) in chunks {
        let before = out.len();
        let mut paper = Paper { format: &format, out: &mut out, screen: screen.as_mut() };
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            rest = &rest[sources[*who].say(rest, &mut paper)..];
        }
        if *show && sources[*who].due().is_some() {
            sources[*who].show(&mut paper);
        }
        if let Some(screen) = &screen {
            assert_plain(screen.abilities.allowed, &out[before..]);
        }
    }
    for source in sources {
        source.finish(&mut Paper { format: &format, out: &mut out, screen: screen.as_mut() });
    }
    out
}

/// The lines under a name.
fn lines_of(name: &str, written: &[u8]) -> Vec<Vec<u8>> {
    // Names are padded to `system`.
    let head = format!("{name:6} | ");
    // The time is nine bytes.
    let lines = written.split(|byte| *byte == b'\n').filter_map(|line| line.get(9..));
    lines.filter_map(|line| line.strip_prefix(head.as_bytes())).map(<[u8]>::to_vec).collect()
}

fn chunks(bytes: impl Strategy<Value = u8>) -> impl Strategy<Value = Vec<(usize, Vec<u8>, bool)>> {
    let chunk = proptest::collection::vec(bytes, 0..40);
    proptest::collection::vec((0..NAMES.len(), chunk, any::<bool>()), 0..40)
}

fn text_of(who: usize, chunks: &[(usize, Vec<u8>, bool)]) -> Vec<u8> {
    chunks.iter().filter(|(of, ..)| *of == who).flat_map(|(_, chunk, _)| chunk.clone()).collect()
}

/// Output that is colored, linked and written over.
fn lively() -> impl Strategy<Value = Vec<(usize, Vec<u8>, bool)>> {
    let pieces = proptest::sample::select(vec![
        &b"a"[..],
        b"bc",
        b"\n",
        b"\n",
        b"\r",
        b"\x08",
        b"\x1b[8m",
        b"\x1b[1;31m",
        b"\x1b[0m",
        b"\x1b[K",
        b"\x1b]8;;http://a\x07",
        b"\x1b]8;;\x07",
        b"\x1b",
        b"[",
        b"\xe2\x9c",
        b"\x93",
        b"\xc2",
        b"\x9b",
        b"\t",
        b"\x1b[9A",
    ]);
    let chunk = proptest::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat());
    proptest::collection::vec((0..NAMES.len(), chunk, any::<bool>()), 0..20)
}

proptest! {
    #[test]
    fn no_process_changes_how_the_others_look(chunks in lively(), rewrites: bool, sgr: bool, links: bool, utf8: bool) {
        let allowed = Allowed { sgr, links, utf8 };
        // Panics where it is not so.
        written(&chunks, Some(Screen::new(Abilities { allowed, rewrites, columns: 80 })));
    }

    #[test]
    fn any_chunks_of_any_processes_are_whole_lines_in_order(
        chunks in chunks(prop_oneof![Just(b'\n'), any::<u8>()]),
    ) {
        let written = written(&chunks, None);
        for (who, name) in NAMES.iter().enumerate() {
            let text = text_of(who, &chunks);
            let mut expected: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            if expected.last().is_some_and(Vec::is_empty) {
                expected.pop();
            }
            prop_assert_eq!(lines_of(name, &written), expected);
        }
    }

    #[test]
    fn on_a_terminal_no_text_is_lost_torn_or_mixed(
        chunks in chunks(proptest::sample::select(b"\nxyz".to_vec())),
    ) {
        let written = written(&chunks, Some(screen()));
        for (who, name) in NAMES.iter().enumerate() {
            // A half line that was interrupted goes on in the next line, so only the text is the same.
            let text: Vec<u8> = text_of(who, &chunks).into_iter().filter(|byte| *byte != b'\n').collect();
            prop_assert_eq!(lines_of(name, &written).concat(), text);
        }
        let mut never_shown = chunks;
        for (_, _, show) in &mut never_shown {
            *show = false;
        }
        let piped = self::written(&never_shown, None);
        let shown = self::written(&never_shown, Some(screen()));
        for name in NAMES {
            prop_assert_eq!(lines_of(name, &shown), lines_of(name, &piped));
        }
    }
}
