use proptest::prelude::*;

use jiff::Timestamp;

use super::super::render::{Layout, Renderer};
use super::super::sanitize::Allowed;
use super::super::screen::Abilities;
use super::super::style::Style;
use super::*;
use crate::supervisor::event::Slot;

const NAMES: [&str; 3] = ["a.1", "b.1", "c.1"];

fn screen() -> Screen {
    let allowed = Allowed { sgr: true, links: true };
    Screen::new(Abilities { allowed, rewrites: false, columns: 80 })
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
        let mut paper = Paper { format: &format, out: &mut out, screen: screen.as_mut() };
        sources[*who].take(chunk, &mut paper);
        if *show && sources[*who].due().is_some() {
            sources[*who].show(&mut paper);
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

proptest! {
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
