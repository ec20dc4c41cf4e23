use std::time::{Duration, Instant};

use super::*;

/// What a process writes, and how long after that it writes again.
const SOON: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_secs(1);

/// Shows what is written as the main view does it, with a clock of its own. Returns the lines.
fn shown(frames: &[(&str, Duration)]) -> Vec<String> {
    let allowed = Allowed { sgr: true, links: true, utf8: true };
    let (mut sanitizer, mut now, mut lines) = (Sanitizer::of_blocks(allowed), Instant::now(), Vec::new());
    let mut emit = |row: &mut Row| {
        let mut line = Vec::new();
        row.write(&mut line);
        lines.push(String::from_utf8_lossy(&line).into_owned());
    };
    for (bytes, pause) in frames {
        sanitizer.push(bytes.as_bytes(), &mut emit);
        let end = now + *pause;
        let mut due = sanitizer.note(now);
        while let Some(at) = due.filter(|at| *at <= end) {
            assert!(at > now, "time goes on");
            now = at;
            sanitizer.settle(Some(now), &mut emit);
            due = sanitizer.note(now);
        }
        now = end;
    }
    sanitizer.finish(&mut emit);
    lines
}

/// A frame as log-update writes it: each row of the last one is erased, from the last up.
fn frame(before: usize, rows: &[&str]) -> String {
    let erase = "\x1b[2K\x1b[1A".repeat(before);
    let erase = if before > 0 { format!("{erase}\x1b[2K\x1b[G") } else { erase };
    erase + &rows.join("\n") + "\n"
}

#[test]
fn a_list_that_is_redrawn_shows_each_row_when_it_is_still() {
    let spin = ["⠋", "⠙", "⠹"];
    let mut frames = vec![(frame(0, &["⠋ one", "⠋ two"]), SOON)];
    for at in 0..30 {
        let one = if at < 10 { format!("{} one", spin[at % 3]) } else { "✔ one".into() };
        frames.push((frame(2, &[&one, &format!("{} two", spin[at % 3])]), SOON));
    }
    frames.push((frame(2, &["✔ one", "✔ two"]), SOON));
    let frames: Vec<(&str, Duration)> = frames.iter().map(|(bytes, pause)| (&bytes[..], *pause)).collect();
    assert_eq!(shown(&frames), ["⠋ one", "⠋ two", "✔ one", "✔ two"]);
}

#[test]
fn rows_that_have_not_changed_are_not_shown_again() {
    let frames = [frame(0, &["a", "b", "c"]), frame(3, &["a", "B", "c"]), frame(3, &["a", "B", "c"])];
    let frames: Vec<(&str, Duration)> = frames.iter().map(|bytes| (&bytes[..], LATER)).collect();
    assert_eq!(shown(&frames), ["a", "b", "c", "B"]);
}

#[test]
fn lines_above_a_list_are_shown_and_the_list_is_not_again() {
    let frames = [
        (frame(0, &["✔ a", "- b"]), SOON),
        (frame(2, &["log 1", "✔ a", "- b"]), SOON),
        (frame(2, &["log 2", "✔ a", "- b"]), SOON),
        (frame(2, &["✔ a", "✔ b"]), LATER),
        ("plain\n".to_owned(), LATER),
    ];
    let frames: Vec<(&str, Duration)> = frames.iter().map(|(bytes, pause)| (&bytes[..], *pause)).collect();
    assert_eq!(shown(&frames), ["✔ a", "- b", "log 1", "log 2", "✔ b", "plain"]);
}

#[test]
fn nested_bars_are_shown_when_they_are_still() {
    let mut frames = vec![("outer 0%\r\ninner 0%\r\x1b[A".to_owned(), SOON)];
    for percent in 1..=20 {
        frames.push((format!("\ninner {percent}%\r\x1b[A"), SOON));
    }
    frames.push(("\router 100%\n\n".to_owned(), SOON));
    frames.push(("done\n".to_owned(), LATER));
    let frames: Vec<(&str, Duration)> = frames.iter().map(|(bytes, pause)| (&bytes[..], *pause)).collect();
    assert_eq!(shown(&frames), ["outer 0%", "outer 100%", "inner 20%", "done"]);
}

#[test]
fn lines_after_a_block_come_at_once() {
    let (mut sanitizer, now) = (Sanitizer::of_blocks(Allowed::TEXT), Instant::now());
    sanitizer.push(b"a\nb\n\x1b[2A\x1b[Jc\nd\n", |_| {});
    assert!(sanitizer.is_block());
    sanitizer.note(now);
    sanitizer.settle(Some(now + LATER), |_| {});
    assert!(!sanitizer.is_block());
    let mut lines = 0;
    sanitizer.push(b"e\nf\n", |_| lines += 1);
    assert_eq!(lines, 2);
}

#[test]
fn a_block_is_bounded() {
    let (mut sanitizer, mut lines) = (Sanitizer::of_blocks(Allowed::TEXT), 0);
    sanitizer.push(b"a\nb\n\x1b[A", |_| {});
    for _ in 0..1000 {
        sanitizer.push(b"text\n", |_| lines += 1);
        sanitizer.push(&b"\x1b[B\x1b[65535B\x1b[65535A\x1b[65535E"[..], |_| lines += 1);
    }
    assert!(sanitizer.rows.above.len() <= MAX_ROWS && sanitizer.rows.below.len() <= MAX_ROWS);
    assert!(lines > 0);
    sanitizer.push(&[b"\x1b[A", &vec![b'x'; 1 << 20][..], b"\n"].concat(), |_| {});
    assert!(sanitizer.rows.above.iter().all(|kept| kept.text.len() <= MAX_CELLS));
}

#[test]
fn kept_rows_take_little_memory() {
    let mut sanitizer = Sanitizer::of_blocks(Allowed::TEXT);
    let long = [&vec![b'x'; 200_000][..], b"\n"].concat();
    for _ in 0..2 * MAX_ROWS {
        sanitizer.push(&long, |_| {});
        sanitizer.push(b"short\n", |_| {});
    }
    assert_eq!(sanitizer.rows.above.len(), MAX_ROWS);
    assert!(sanitizer.rows.above.iter().all(|kept| kept.text.capacity() <= MAX_LENGTH));
}
