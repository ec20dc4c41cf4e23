use proptest::prelude::*;

use super::store::{BYTES, LINES};
use super::*;

fn id(text: &str) -> InstanceId {
    text.parse().expect("an instance")
}

fn all() -> Box<dyn Fn(&InstanceId) -> bool + Send> {
    Box::new(|_| true)
}

/// As `web.1 text`; `+` behind a piece that goes on.
fn read(lines: &mut Lines, open: bool) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let Some(said) = lines.next(open) else { continue };
        if said.is_empty() {
            return all;
        }
        all.extend(said.into_iter().map(shown));
    }
}

fn shown(said: Said) -> String {
    match said {
        Said::Line(line) => {
            let mark = if line.cut { "+" } else { "" };
            format!("{} {}{mark}", line.id, String::from_utf8_lossy(&line.bytes))
        }
        Said::Skipped(id, count) => format!("{id} skipped {count}"),
    }
}

#[test]
fn lines_of_several_come_in_the_order_of_their_ends() {
    let history = History::default();
    let web = history.begin(&id("web.1"), Stream::Stdout);
    let worker = history.begin(&id("worker.1"), Stream::Stdout);
    history.push(web, b"a\nb");
    history.push(worker, b"1\n2\n");
    history.push(web, b"c\nhalf");
    let expected = ["web.1 a", "worker.1 1", "worker.1 2", "web.1 bc", "web.1 half"];
    assert_eq!(read(&mut history.last(100, all()), true), expected);
    assert_eq!(read(&mut history.last(100, all()), false), expected[..4]);
    assert_eq!(read(&mut history.last(3, all()), true), expected[2..]);
    assert_eq!(read(&mut history.last(3, all()), false), expected[1..4]);
    assert_eq!(read(&mut history.last(0, all()), true), [""; 0]);
    let of_web = Box::new(|id: &InstanceId| id.name.as_str() == "web");
    assert_eq!(read(&mut history.last(2, of_web), true), ["web.1 bc", "web.1 half"]);
}

#[test]
fn who_follows_gets_each_line_once() {
    let history = History::default();
    let web = history.begin(&id("web.1"), Stream::Stdout);
    history.push(web, b"a\nb");
    let mut lines = history.last(10, all());
    assert_eq!(read(&mut lines, false), ["web.1 a"]);
    history.push(web, b"c\n");
    let worker = history.begin(&id("worker.1"), Stream::Stdout);
    history.push(worker, b"new\n");
    assert_eq!(read(&mut lines, false), ["web.1 bc", "worker.1 new"]);
    assert_eq!(read(&mut lines, false), [""; 0]);
}

#[test]
fn the_last_lines_are_found_in_steps_while_more_are_written() {
    let history = History::default();
    let tracks = [1, 2, 3].map(|n| history.begin(&id(&format!("web.{n}")), Stream::Stdout));
    let mut written = Vec::new();
    let mut write = |count: usize| {
        for _ in 0..count {
            let number = written.len();
            history.push(tracks[number % 3], format!("line {number}\n").as_bytes());
            written.push(format!("web.{} line {number}", number % 3 + 1));
        }
        written.clone()
    };
    let before = write(3 * Seek::LINES);
    let (mut snapshot, mut follow) =
        (history.last(2 * Seek::LINES, all()), history.last(2 * Seek::LINES, all()));
    let mut steps = 0;
    let first = loop {
        if let Some(said) = snapshot.next(true) {
            break said;
        }
        assert!(follow.next(false).is_none());
        write(10);
        steps += 1;
    };
    assert!(steps >= 2, "{steps}");
    let rest = read(&mut snapshot, true);
    assert_eq!(first.into_iter().map(shown).chain(rest).collect::<Vec<_>>(), before[Seek::LINES..]);
    assert_eq!(read(&mut follow, false), write(0)[Seek::LINES..]);
}

#[test]
fn a_new_run_begins_a_line() {
    let history = History::default();
    let web = history.begin(&id("web.1"), Stream::Stdout);
    history.push(web, b"one\nlast words");
    assert_eq!(history.tail(&id("web.1"), Stream::Stdout, 10, 4096), [&b"one"[..], b"last words"]);
    assert_eq!(history.begin(&id("web.1"), Stream::Stdout), web);
    assert!(history.tail(&id("web.1"), Stream::Stdout, 10, 4096).is_empty(), "of the run before");
    history.push(web, b"two\n");
    assert_eq!(history.tail(&id("web.1"), Stream::Stdout, 10, 4096), [b"two"]);
    assert_eq!(read(&mut history.last(9, all()), true), ["web.1 one", "web.1 last words", "web.1 two"]);
}

#[test]
fn the_tail_has_the_end_of_a_long_line() {
    let history = History::default();
    let web = history.begin(&id("web.1"), Stream::Stdout);
    history.push(web, &[b'x'; 5000]);
    assert_eq!(history.tail(&id("web.1"), Stream::Stdout, 10, 4096), [[b'x'; 4096]]);
    history.push(web, b"\nboom");
    assert_eq!(history.tail(&id("web.1"), Stream::Stdout, 10, 4096), [b"boom"]);
}

#[test]
fn a_slow_reader_is_told_how_many_lines_it_missed() {
    let history = History::default();
    let web = history.begin(&id("web.1"), Stream::Stdout);
    history.push(web, b"first\n");
    let mut lines = history.last(10, all());
    assert_eq!(read(&mut lines, false), ["web.1 first"]);
    let count = 3 * LINES;
    for i in 0..count {
        history.push(web, format!("line {i}\n").as_bytes());
    }
    let got = read(&mut lines, false);
    let skipped: u64 = got[0].strip_prefix("web.1 skipped ").expect("a notice").parse().expect("a number");
    assert_eq!(got[1], format!("web.1 line {skipped}"), "no piece of a line");
    assert_eq!(skipped + got.len() as u64 - 1, count);
    assert!(got.len() as u64 > LINES, "at least so many are kept");
    assert!((got.len() as u64) < LINES + 5000, "and not many more: {}", got.len());
}

#[test]
fn a_flood_takes_nothing_from_the_quiet() {
    let history = History::default();
    let quiet = history.begin(&id("quiet.1"), Stream::Stdout);
    history.push(quiet, b"a word\n");
    let loud = [1, 2, 3].map(|n| history.begin(&id(&format!("loud.{n}")), Stream::Stdout));
    let chunk = [[b'x'; 8191].as_slice(), b"\n"].concat().repeat(8);
    for _ in 0..500 {
        for track in loud {
            history.push(track, &chunk);
        }
    }
    let store = history.lock();
    let sizes: Vec<usize> = loud.iter().map(|track| store.get(*track).size()).collect();
    assert!(sizes.iter().sum::<usize>() <= BYTES, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size > BYTES / 4), "each has its part: {sizes:?}");
    drop(store);
    let of_quiet = Box::new(|id: &InstanceId| id.name.as_str() == "quiet");
    assert_eq!(read(&mut history.last(5, of_quiet), true), ["quiet.1 a word"]);
}

#[test]
fn a_long_line_comes_in_pieces() {
    let history = History::default();
    let web = history.begin(&id("web.1"), Stream::Stdout);
    history.push(web, &vec![b'x'; 2 * 1024 * 1024 + 1]);
    history.push(web, b"\nshort\n");
    let lengths: Vec<usize> = read(&mut history.last(9, all()), false).iter().map(String::len).collect();
    let head = "web.1 ".len();
    assert_eq!(lengths, [head + 1024 * 1024 + 1, head + 1024 * 1024 + 1, head + 1, head + 5]);
}

#[test]
fn the_screen_is_the_last_rows_of_this_run() {
    let history = History::default();
    let web = history.begin(&id("web.1"), Stream::Stdout);
    history.push(web, b"old\n");
    history.begin(&id("web.1"), Stream::Stdout);
    history.push(web, b"a\r\n\x1b[31mb\r\n>>> ");
    let shown = |rows| {
        let mut out = Vec::new();
        let (modes, mut bytes) = history.screen(&id("web.1"), rows);
        assert!(modes.enter().is_empty());
        assert_eq!(bytes.next(&mut out, u64::MAX), 0, "nothing was lost");
        String::from_utf8(out).expect("text")
    };
    assert_eq!(shown(2), "\x1b[31mb\r\n>>> ");
    assert_eq!(shown(24), "a\r\n\x1b[31mb\r\n>>> ");
    let (_, mut bytes) = history.screen(&id("web.1"), 1);
    let mut out = Vec::new();
    bytes.next(&mut out, u64::MAX);
    history.push(web, b"1");
    bytes.next(&mut out, u64::MAX);
    assert_eq!(out, b">>> 1");
}

#[test]
fn the_other_screen_is_shown_from_where_it_was_entered() {
    let history = History::default();
    let web = history.begin(&id("web.1"), Stream::Stdout);
    history.push(web, b"before\n\x1b[?25l\x1b[?1049h");
    history.push(web, &b"\x1b[Hdrawn\n".repeat(50));
    let shown = || {
        let (modes, mut bytes) = history.screen(&id("web.1"), 5);
        let mut out = modes.enter();
        bytes.next(&mut out, u64::MAX);
        String::from_utf8(out).expect("text")
    };
    assert_eq!(shown(), "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J".to_owned() + &"\x1b[Hdrawn\n".repeat(50));
    history.push(web, &b"x".repeat(100_000));
    let long = shown();
    assert!(long.starts_with("\x1b[?1049h") && long.len() < 70_000, "bounded: {}", long.len());
    history.push(web, b"\n\x1b[?1049l\x1b[?25hback\n");
    assert_eq!(shown().lines().last(), Some("\x1b[?1049l\x1b[?25hback"));
}

proptest! {
    /// Whatever the chunks, and however large the history has become.
    #[test]
    fn lines_are_whole(
        sizes in proptest::collection::vec(0..3000_usize, 1..200),
        cuts in proptest::collection::vec(1..5000_usize, 1..100),
        count in 0..250_usize,
    ) {
        let text: Vec<Vec<u8>> = sizes.iter().enumerate()
            .map(|(i, size)| [vec![b'a' + u8::try_from(i % 26).expect("small"); *size], b"\n".to_vec()].concat())
            .collect();
        let bytes = text.concat();
        let history = History::default();
        let web = history.begin(&id("web.1"), Stream::Stdout);
        let (mut at, mut cut) = (0, cuts.iter().cycle());
        while at < bytes.len() {
            let end = (at + cut.next().expect("endless")).min(bytes.len());
            history.push(web, &bytes[at..end]);
            at = end;
        }
        let mut lines = history.last(count, all());
        let mut got = Vec::new();
        loop {
            let Some(said) = lines.next(true) else { continue };
            if said.is_empty() {
                break;
            }
            for said in said {
                let Said::Line(line) = said else { panic!("nothing is given up") };
                got.push([line.bytes, b"\n".to_vec()].concat());
            }
        }
        prop_assert_eq!(got.concat(), text[text.len().saturating_sub(count)..].concat());
    }
}
