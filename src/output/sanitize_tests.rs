use anstyle_parse::{Params, Perform};
use proptest::prelude::*;

use super::*;

use super::super::invariant::{Chunk, check};

const ALL: Allowed = Allowed { sgr: true, links: true, utf8: true };

fn lines_of(allowed: Allowed, chunks: &[&[u8]]) -> Vec<Vec<u8>> {
    let (mut sanitizer, mut lines) = (Sanitizer::of_blocks(allowed), Vec::new());
    let mut emit = |row: &mut Row| {
        let mut line = Vec::new();
        row.write(&mut line);
        lines.push(line);
    };
    for chunk in chunks {
        sanitizer.push(chunk, &mut emit);
    }
    sanitizer.finish(&mut emit);
    lines
}

fn shown(text: &[u8]) -> String {
    let lines = lines_of(ALL, &[text]);
    String::from_utf8_lossy(&lines.join(&b'\n')).into_owned()
}

#[test]
fn what_passes_and_what_does_not() {
    let table = [
        ("plain", "plain\n\n\ttab", "plain\n\n        tab"),
        ("UTF-8", "À “x” \u{a0} é 漢 🙂", "À “x” \u{a0} é 漢 🙂"),
        ("C1 as UTF-8", "a\u{9b}31mb\u{85}c", "a31mbc"),
        ("C0", "a\0\x05\x07\x0b\x0c\x0e\x0f\x18\x1a\x1cb", "ab"),
        ("clear", "\x1b[2J\x1b[3J\x1b[Hx\x1bcy\x1b[2J\x1b[Hz\n\x1b[2J", "x\ny\nz"),
        (
            "rows of blank lines",
            "a\n\n\n\n\x1b[1;1H\x1b[0Jb\n\n\x1b[31m\n\nc\n\n",
            "a\nb\n\n\n\n\x1b[31mc\x1b[0m\n",
        ),
        ("cursor", "a\x1b[3A\x1b[1;1Hb\x1b[5Cc\x1b7\x1b8\x1bM", "a\nb     c"),
        ("another row", "a\x1bDb\x1bEc\x1bMd\x1bce", "a\nb\nc\nd\ne"),
        ("a row and back", "a\x1b7b\x1b8c\x1b7\x1b[9;1Hd\x1b8e\x1b[s\x1b[Hf\x1b[ug", "ac\nd\ne\nf\ng"),
        ("alternate", "a\x1b[?1049hx\r\x1b[31m\n\x1b[5Hu\x1b[?1049ly\x1b[?25l\x1b[?2004hz", "a\nyz"),
        ("title", "\x1b]0;title\x07a\x1b]2;title\x1b\\b", "ab"),
        ("queries", "\x1b[c\x1b[6n\x1b[>c\x1b]11;?\x07\x1bZa", "a"),
        ("DCS, APC", "\x1bPq#0;1~\x1b\\a\x1b_G\x1b\\b\x1b^x\x1b\\c", "abc"),
        ("modes", "\x1b[>4;2mx\x1b[4hy\x1b[!p\x1b[?4m", "xy"),
        ("charset", "\x1b(0qqq\x1b(B", "qqq"),
        ("unfinished", "a\x1b[31\nb\x1b]8;;http\nc\x1bP\nd\x1b", "a\nb\nc\nd"),
        ("in a sequence", "\x1b[3\t1mx\x1b[0m", "        \x1b[31mx\x1b[0m"),
    ];
    for (name, text, expected) in table {
        assert_eq!(shown(text.as_bytes()), expected, "{name}");
    }
    assert_eq!(lines_of(ALL, &[b"\xff\xfe\x9b\xc2"]), [b"\xff\xfe\xc2"], "not UTF-8");
    assert_eq!(lines_of(ALL, &[b"\xe9t\xe9 \xb0\x80\x9f\xa0"]), [b"\xe9t\xe9 \xb0\xa0"], "Latin-1");
    assert_eq!(
        lines_of(ALL, &[b"\xc0\x9b\xe0\x82\x9b\xed\xa0\x80\xf5\x90x"]),
        [b"\xc0\xe0\xed\xa0\xf5x"],
        "no UTF-8 either"
    );
    assert_eq!(lines_of(ALL, &[b"\xc2\x1b[K\x80\x80x"]), [b"\xc2x"], "more than one half");
    assert_eq!(lines_of(ALL, &[b"a\x7fb\x18\x7fc"]), [b"abc"], "DEL");
    for between in ["\x1b[K", "\x07", "x\x08", "\x1b]0;t\x07"] {
        let parts = [b"\xc2", between.as_bytes(), b"\x9b2J"].concat();
        assert_eq!(lines_of(ALL, &[&parts]), [b"\xc22J"], "U+009B around {between:?}");
    }
}

#[test]
fn colours_end_with_the_line_and_go_on_in_the_next() {
    let table = [
        ("closed by itself", "\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("closed by us", "\x1b[1;31mred\n2\x1b[m\n3", "\x1b[1;31mred\x1b[0m\n\x1b[1;31m2\x1b[0m\n3"),
        ("replaced", "\x1b[31;32mx\x1b[22;39m\ny", "\x1b[31;32mx\x1b[22;39m\ny"),
        (
            "palette",
            "\x1b[38;5;9;48;2;1;2;3mx\ny",
            "\x1b[38;5;9;48;2;1;2;3mx\x1b[0m\n\x1b[38;5;9;48;2;1;2;3my\x1b[0m",
        ),
        (
            "with colons",
            "\x1b[38:2::1:2:3;4:3mx\x1b[4:0m\ny",
            "\x1b[38:2:0:1:2:3;4:3mx\x1b[24m\x1b[0m\n\x1b[38:2:0:1:2:3my\x1b[0m",
        ),
        ("subparameters", "\x1b[8mx\x1b[0:1m\ny", "\x1b[8mx\x1b[0m\n\x1b[8my\x1b[0m"),
        ("off with one", "\x1b[1;31mx\x1b[22:0;39:5m", "\x1b[1;31mx\x1b[0m"),
        ("not whole", "\x1b[1;38;5mx\x1b[22m", "\x1b[1mx\x1b[22m"),
        ("unknown", "\x1b[99mx\x1b[1;73my\x1b[0m", "x\x1b[1my\x1b[0m"),
        (
            "link",
            "\x1b]8;;http://a\x07x\ny\x1b]8;;\x1b\\z",
            "\x1b]8;;http://a\x1b\\x\x1b]8;;\x1b\\\n\x1b]8;;http://a\x1b\\y\x1b]8;;\x1b\\z",
        ),
        ("bad link", "\x1b]8;;http://é\x07x", "x"),
    ];
    for (name, text, expected) in table {
        assert_eq!(shown(text.as_bytes()), expected, "{name}");
    }
    let none = Allowed::TEXT;
    assert_eq!(lines_of(none, &[b"\x1b[31mred\x1b]8;;http://a\x07x"]), [b"redx"]);
}

#[test]
fn a_line_shows_its_last_state() {
    let table = [
        ("CRLF", "a\r\nb\r\r\n", "a\nb"),
        ("progress", "10%\r20%\r30%\ndone", "30%\ndone"),
        ("CR at the end", "10%\r20%\r", "20%"),
        ("erased", "10%\r\x1b[Kdone\n20%\x1b[2K\x1b[1Gx", "done\nx"),
        ("erased behind", "20%\x1b[K", "20%"),
        ("erased to nothing", "10%\r\x1b[K\nx", "\nx"),
        ("colour over it", "\x1b[31m10%\r\x1b[32m20%\x1b[0m\r\n", "\x1b[32m20%\x1b[0m"),
        ("colour behind it", "10%\r\x1b[31m\nx", "10%\n\x1b[31mx\x1b[0m"),
        ("reset behind it", "\x1b[8m10%\r\x1b[0m\nx", "\x1b[8m10%\x1b[0m\nx"),
        (
            "end of a link behind it",
            "\x1b]8;;http://a\x07x\r\x1b]8;;\x07\ny",
            "\x1b]8;;http://a\x1b\\x\x1b]8;;\x1b\\\ny",
        ),
        ("linked spinner", "go \x1b]8;;http://a\x07|\x1b]8;;\x07\x08\x1b[1m/", "go \x1b[1m/\x1b[0m"),
        ("spinner", "|\x08/\x08-\x08 \x08done", "done"),
        ("backspace over a character", "é\x08e\x08\x08\x08f", "f"),
        ("far to the left", "10%\x1b[1000D20%\x1b[1000D30%\x1b[1Dx", "30x"),
        ("coloured spinner", "\x1b[36m|\x1b[0m\x08\x1b[36m/\x1b[0m\x08\x1b[36m-\x1b[0m", "\x1b[36m-\x1b[0m"),
        (
            "coloured spinner behind text",
            "go \x1b[36m|\x1b[0m\x08\x1b[36m/\x1b[0m\x08\x1b[36m-\x1b[0m",
            "go \x1b[36m-\x1b[0m",
        ),
    ];
    for (name, text, expected) in table {
        assert_eq!(shown(text.as_bytes()), expected, "{name}");
    }
}

#[test]
fn long_lines_and_sequences_stay_bounded() {
    let line = vec![b'x'; 2 * MAX_LINE + 5];
    let sizes: Vec<usize> = lines_of(ALL, &[&line]).iter().map(Vec::len).collect();
    assert_eq!(sizes, [MAX_LINE, MAX_LINE, 5]);
    let image = [b"\x1b]1337;", &line[..], b"\x07text"].concat();
    assert_eq!(lines_of(ALL, &[&image]), [b"text"]);
    let mut sanitizer = Sanitizer::of_blocks(ALL);
    for chunk in image.chunks(4096) {
        sanitizer.push(chunk, |_| {});
        assert!(sanitizer.row.sequence.len() <= MAX_SEQUENCE);
    }
    // Cut in the middle of a colour, which goes on.
    let colours = [&vec![b'x'; MAX_LINE - 2][..], b"\x1b[31my", b"\x1b[0m"].concat();
    assert_eq!(lines_of(ALL, &[&colours])[1], b"\x1b[31my\x1b[0m");
}

#[test]
fn characters_are_not_cut() {
    for room in 0..4 {
        let text = [&vec![b'x'; MAX_LINE - room][..], "🙂\n".as_bytes()].concat();
        let whole = lines_of(ALL, &[&text]);
        assert_eq!(whole[1], "🙂".as_bytes(), "{room}");
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert!(lines_of(ALL, &bytes) == whole, "{room}");
    }
}

#[test]
fn only_characters_without_control_bytes_pass_to_other_terminals() {
    let latin = Allowed { utf8: false, ..ALL };
    for (text, expected) in [
        (&b"\x9b2J\x9b1;1Hx\x84y"[..], &b"2J1;1Hxy"[..]),
        (b"\xe9t\xe9 \xa0\xff", b"\xe9t\xe9 \xa0\xff"),
        ("é ß".as_bytes(), "é ?".as_bytes()),
        ("Û2J ✓ 🙂 \u{9b}2J".as_bytes(), b"?2J ? ? 2J"),
        (b"\xc3\x1b[31m\x9b2J", b"\xc3\x1b[31m2J\x1b[0m"),
    ] {
        assert_eq!(lines_of(latin, &[text]), [expected]);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(lines_of(latin, &bytes), [expected]);
    }
}

#[test]
fn a_link_that_is_too_long_ends_the_one_before() {
    let link = |params: usize, address: usize| {
        format!("\x1b]8;{};{}\x1b\\", "p".repeat(params), "a".repeat(address))
    };
    let longest = link(253, 2083);
    assert_eq!(shown(format!("{longest}x").as_bytes()), format!("{longest}x\x1b]8;;\x1b\\"));
    for long in [link(254, 1), link(0, 2084), link(8000, 9), link(0, 8180), link(0, 100_000)] {
        assert_eq!(shown(format!("{long}x\ny").as_bytes()), "x\ny");
        assert_eq!(
            shown(format!("\x1b]8;;b\x1b\\x{long}y\nz").as_bytes()),
            "\x1b]8;;b\x1b\\x\x1b]8;;\x1b\\y\nz"
        );
    }
}

#[test]
fn pushing_some_lines_at_a_time_gives_the_same_lines() {
    let text = b"\x1b[31ma\n\n\nb\r\nc\n\xe2\x82";
    let (mut sanitizer, mut lines, mut rest, mut steps) =
        (Sanitizer::of_blocks(ALL), Vec::new(), &text[..], 0);
    while !rest.is_empty() {
        let taken = sanitizer.push_some(rest, 2, |row| {
            lines.push(Vec::new());
            row.write(lines.last_mut().expect("a line"));
        });
        assert!(taken > 0);
        (rest, steps) = (&rest[taken..], steps + 1);
    }
    assert_eq!(steps, 3);
    sanitizer.finish(|row| {
        lines.push(Vec::new());
        row.write(lines.last_mut().expect("a line"));
    });
    assert_eq!(lines, lines_of(ALL, &[text]));
}

#[test]
fn wide_characters_count_twice() {
    assert_eq!(width(b"\xe9\xb0\xff"), 3, "bytes that are no character");
    assert_eq!(width("a\x1b[31mb\x1b]8;;http://a\x1b\\c\x1b[0m".as_bytes()), 3);
    assert_eq!(width("漢█é🙂".as_bytes()), 6);
}

/// Finds all that would act on the terminal.
#[derive(Default)]
struct Acts(Vec<String>, usize);

impl Perform for Acts {
    fn print(&mut self, _: char) {
        self.1 += 1;
    }

    fn execute(&mut self, byte: u8) {
        if byte != b'\t' && byte < 0x80 {
            self.0.push(format!("control {byte}"));
        }
    }

    fn csi_dispatch(&mut self, _: &Params, intermediates: &[u8], ignore: bool, action: u8) {
        if action != b'm' || ignore || !intermediates.is_empty() {
            self.0.push(format!("CSI {action}"));
        }
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], _: bool) {
        if params.first() != Some(&&b"8"[..]) {
            self.0.push(format!("OSC {params:?}"));
        }
    }

    fn esc_dispatch(&mut self, _: &[u8], _: bool, byte: u8) {
        if byte != b'\\' {
            self.0.push(format!("ESC {byte}"));
        }
    }

    fn hook(&mut self, _: &Params, _: &[u8], _: bool, _: u8) {
        self.0.push("DCS".into());
    }
}

fn acts_of(lines: &[Vec<u8>]) -> Vec<String> {
    let mut acts = Acts::default();
    for line in lines {
        // Each line by itself, as others may stand between. The letter behind it would be eaten
        // by a sequence that is not closed.
        let mut parser = Parser::<AsciiParser>::default();
        line.iter().filter(|byte| **byte < 0x80).for_each(|byte| parser.advance(&mut acts, *byte));
        let printed = acts.1;
        parser.advance(&mut acts, b'x');
        assert_eq!(acts.1, printed + 1, "{line:?}");
    }
    acts.0
}

/// Bytes of the kind that make trouble.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        proptest::sample::select(vec![
            "\n",
            "\r",
            "\x1b",
            "\x1b[",
            "\x1b]",
            "\x1b]8;;",
            "\x1bP",
            "\x1b\\",
            "\x07",
            "\x08",
            "m",
            "K",
            "31",
            ";",
            ":",
            "?",
            "\x1b[31m",
            "\x1b[0m",
            "text",
            "é",
            "漢",
            "\u{9b}",
            "\x1b[2J",
            "\x18",
            "\x1b[1m",
            "\x1b[8;4:3m",
            "\x1b[m",
            "\x1b[38;5;1m",
            "\x1b]8;;http://a\x07",
            "\x1b]8;;\x07",
            "\x1b]8;id=1;b\x1b\\",
            "\x1b[K",
            "\x1b[1K",
            "\x1b[2K",
            "\x1b[G",
            "\x1b[9D",
            "\x1b7",
            "\x1b8",
            "\x1b[A",
            "\x1b[2A",
            "\x1bM",
            "\x1b[B",
            "\x1b[F",
            "\x1b[E",
            "\x1b[J",
            "\x1b[1J",
            "\t",
            "\x1b[5C",
            "\x1b[2D",
            "\x1b[3P",
            "\x1b[3@",
            "\x1b[2X",
            "\x1b[44m",
            "\x1b[4b",
            "\x1b[7G",
            "\r",
            "Û",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    proptest::collection::vec(pieces, 0..80).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_lines(
        text in output(),
        cuts in proptest::collection::vec(0..400_usize, 0..20),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect();
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        prop_assert_eq!(lines_of(ALL, &chunks), lines_of(ALL, &[&text]));
        prop_assert_eq!(lines_of(ALL, &bytes), lines_of(ALL, &[&text]));
    }

    #[test]
    fn nothing_acts_on_the_terminal(text in output(), sgr: bool, links: bool) {
        let lines = lines_of(Allowed { sgr, links, utf8: true }, &[&text]);
        prop_assert_eq!(acts_of(&lines), Vec::<String>::new());
        if !sgr && !links {
            prop_assert!(lines.iter().all(|line| !line.contains(&ESC)));
        }
    }

    #[test]
    fn the_terminal_is_plain_after_each_line(
        chunks in proptest::collection::vec((0..3_usize, output(), any::<bool>()), 0..6),
        sgr: bool,
        links: bool,
        utf8: bool,
    ) {
        let chunks: Vec<Chunk<'_>> = chunks.iter().map(|(who, text, show)| (*who, &text[..], *show)).collect();
        prop_assert_eq!(check(Allowed { sgr, links, utf8 }, &chunks), Ok(()));
    }

    #[test]
    fn text_without_controls_is_kept(text in "[^\\p{Cc}]{0,200}") {
        prop_assert_eq!(shown(text.as_bytes()), text);
    }
}
