//! What is shown of a row, beside what a terminal shows of it: alacritty's terminal without its window
//! (`alacritty_terminal`). vt100 was the other choice; it has no REP, HPA, HPR or links.
//!
//! One terminal gets what the process writes, the other what is let out.

use alacritty_terminal::event::VoidListener;
use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::term::{Config, Term};
use alacritty_terminal::vte::ansi::{Color, NamedColor, Processor, StdSyncHandler};
use proptest::prelude::*;

use super::sanitize::{Allowed, Row, Sanitizer};

const ALL: Allowed = Allowed { sgr: true, links: true, utf8: true };

/// So wide that no row of these tests wraps.
const COLUMNS: usize = 400;

struct Size {
    rows: usize,
}

impl Dimensions for Size {
    fn total_lines(&self) -> usize {
        self.rows
    }

    fn screen_lines(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        COLUMNS
    }
}

/// What is seen of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    text: String,
    foreground: Color,
    background: Color,
    flags: Flags,
    link: Option<String>,
}

fn seen(cell: &Cell) -> Seen {
    // A tab only moves. This terminal notes where, so that a copied row has it.
    let mut text = String::from(if cell.c == '\t' { ' ' } else { cell.c });
    text.extend(cell.zerowidth().unwrap_or_default());
    let mut flags = cell.flags & !(Flags::WRAPLINE | Flags::LEADING_WIDE_CHAR_SPACER);
    let mut foreground = cell.fg;
    let link = cell.hyperlink().map(|link| link.uri().to_owned());
    if text == " " {
        // Nothing is seen of a space but what is behind it, on it and below it.
        flags -= Flags::BOLD | Flags::DIM | Flags::ITALIC | Flags::HIDDEN;
        if !flags.intersects(Flags::INVERSE | Flags::ALL_UNDERLINES | Flags::STRIKEOUT) {
            foreground = Color::Named(NamedColor::Foreground);
        }
    }
    Seen { text, foreground, background: cell.bg, flags, link }
}

/// A terminal that was shown something.
struct Terminal {
    term: Term<VoidListener>,
    parser: Processor<StdSyncHandler>,
}

impl Terminal {
    fn new(rows: usize) -> Self {
        let term = Term::new(Config::default(), &Size { rows }, VoidListener);
        Self { term, parser: Processor::new() }
    }

    fn show(&mut self, bytes: &[u8]) {
        self.parser.advance(&mut self.term, bytes);
    }

    /// What is seen in a row. Half a wide character, whose other half was erased, is seen as a space.
    fn row(&self, row: usize) -> Vec<Seen> {
        let halves = self.halves(row);
        let line = &self.term.grid()[Line(i32::try_from(row).expect("few rows"))];
        let cell = |column: usize| {
            let mut cell = line[Column(column)].clone();
            if halves.contains(&column) {
                cell.c = ' ';
                cell.flags -= Flags::WIDE_CHAR | Flags::WIDE_CHAR_SPACER;
            }
            seen(&cell)
        };
        (0..COLUMNS).map(cell).collect()
    }

    /// The columns of a row with half a wide character.
    fn halves(&self, row: usize) -> Vec<usize> {
        let line = &self.term.grid()[Line(i32::try_from(row).expect("few rows"))];
        let is = |column: usize, flag: Flags| column < COLUMNS && line[Column(column)].flags.contains(flag);
        let is_half = |column: &usize| {
            let is_left = is(*column, Flags::WIDE_CHAR) && !is(*column + 1, Flags::WIDE_CHAR_SPACER);
            let has_left = *column > 0 && is(*column - 1, Flags::WIDE_CHAR);
            is_left || (is(*column, Flags::WIDE_CHAR_SPACER) && !has_left)
        };
        (0..COLUMNS).filter(is_half).collect()
    }
}

fn row_of(bytes: &[u8]) -> Vec<Seen> {
    let mut terminal = Terminal::new(1);
    terminal.show(bytes);
    terminal.row(0)
}

/// What is let out of the only line that is written, in one piece and byte by byte.
fn let_out(bytes: &[u8]) -> Vec<u8> {
    let whole = lines_of(&[bytes]);
    assert!(whole == lines_of(&bytes.chunks(1).collect::<Vec<_>>()), "{}", bytes.escape_ascii());
    assert!(whole.len() <= 1, "one row: {}", bytes.escape_ascii());
    whole.concat()
}

fn lines_of(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
    let (mut sanitizer, mut lines) = (Sanitizer::of_blocks(ALL), Vec::new());
    sanitizer.set_columns(COLUMNS);
    let mut emit = |row: &mut Row| {
        lines.push(Vec::new());
        row.write(lines.last_mut().expect("a line"));
    };
    for chunk in chunks {
        sanitizer.push(chunk, &mut emit);
    }
    sanitizer.finish(&mut emit);
    lines
}

fn text_of(row: &[Seen]) -> String {
    let is_rest = |cell: &&Seen| !cell.flags.contains(Flags::WIDE_CHAR_SPACER);
    let text: String = row.iter().filter(is_rest).map(|cell| cell.text.as_str()).collect();
    text.trim_end().to_owned()
}

fn assert_same_row(bytes: &[u8]) {
    let out = let_out(bytes);
    let (expected, actual) = (row_of(bytes), row_of(&out));
    let different = (0..COLUMNS).find(|column| expected[*column] != actual[*column]);
    if let Some(column) = different {
        panic!(
            "column {column} of\n{}\nshown as\n{}\nis {:?}, not {:?}",
            bytes.escape_ascii(),
            out.escape_ascii(),
            actual[column],
            expected[column]
        );
    }
}

#[test]
fn what_a_row_becomes() {
    let table = [
        ("CR keeps what is not overwritten", "[    ] Starting database\r[ OK ]", "[ OK ] Starting database"),
        ("CR", "abcdef\rxy", "xycdef"),
        ("CR and erase", "abcdef\r\x1b[Kxy", "xy"),
        ("backspace", "12345\x08\x08X", "123X5"),
        ("many backspaces", "xxxxx\x08\x08\x08\x08\x08y", "yxxxx"),
        ("too many backspaces", "ab\x08\x08\x08\x08y", "yb"),
        ("absolute column", "service foo\x1b[60G[ OK ]", &format!("{:59}[ OK ]", "service foo")),
        ("HPA, HPR", "a\x1b[5`b\x1b[2ac", "a   b  c"),
        ("forward", "a\x1b[10Cb", "a          b"),
        ("back", "abc\x1b[2Dxy", "axy"),
        ("erase to the end", "abcdef\x1b[3D\x1b[K", "abc"),
        ("erase to the begin", "abcdef\x1b[3D\x1b[1Kx", "   xef"),
        ("erase all", "abcdef\x1b[2Kx", "      x"),
        ("erase below", "abcdef\r\x1b[Jx", "x"),
        ("erase characters", "abcdef\r\x1b[2X", "  cdef"),
        ("delete", "abcdef\x1b[2G\x1b[2P", "adef"),
        ("insert", "abcdef\x1b[2G\x1b[2@x", "ax bcdef"),
        ("repeat", "ab\x1b[3bc", "abbbbc"),
        ("tabs", "a\tb\r\tc\x1b[2Ix\x1b[Zy", "a       c               y"),
        ("save and restore", "ab\x1b7cd\x1b8x\x1b[s123\x1b[uy", "abxy23"),
        ("restore without save", "abc\x1b8x", "xbc"),
        ("wide, right half", "漢字\x1b[2Gx", " x字"),
        ("wide, left half", "漢字\rx", "x 字"),
        ("wide over two", "漢字\x1b[2G漢", " 漢"),
        ("wide, erased", "a漢b\x1b[3G\x1b[K", "a"),
        ("combining", "e\u{301}x\x08\x08o", "ox"),
        ("combining after a CR", "ex\x08\u{301}", "e\u{301}x"),
        ("ZWJ", "👩\u{200d}🚀x\x08y", "👩\u{200d}🚀y"),
        ("tab over text", "abcdefghij\r\tX", "abcdefghXj"),
        ("Latin-1", "ab\rx", "xb"),
    ];
    for (name, bytes, expected) in table {
        assert_same_row(bytes.as_bytes());
        assert_eq!(text_of(&row_of(&let_out(bytes.as_bytes()))), expected.trim_end(), "{name}");
    }
}

#[test]
fn looks_belong_to_cells() {
    for bytes in [
        "\x1b[31mred\x1b[0m plain\rX",
        "\x1b[31mred\x1b[0m\x08\x1b[32mX",
        "\x1b[44mTitle\x1b[K",
        "abc\r\x1b[41m\x1b[K\x1b[0mx",
        "\x1b[41mabc\x1b[2G\x1b[P\x1b[0m",
        "\x1b[41mabc\x1b[2G\x1b[@\x1b[0m",
        "\x1b[4ma\tb\x1b[0m",
        "\x1b[7mab\x1b[10Gc\x1b[27m\rx",
        "\x1b]8;;http://a\x07link\x1b]8;;\x07 text\x1b[3Gxyz",
        "a\x1b7\x1b[1;31mb\x1b8c",
        "\x1b[31m漢\x1b[32m\x08x",
        "\x1b[1;31mab\x1b[3b\x1b[0mc\x1b[2b",
    ] {
        assert_same_row(bytes.as_bytes());
    }
}

#[test]
fn moves_do_not_make_a_row_long() {
    let wide = "\x1b[99999999C\x1b[65535Cx\x1b[65535Gy\x1b[65535bz\x1b[65535@\x1b[44m\x1b[65535X";
    let out = let_out(format!("a{wide}").as_bytes());
    assert!(out.len() < 2 * COLUMNS, "{} bytes", out.len());
    let narrow = lines_of(&[b"a\x1b[999C\x1b[4D[ OK ]"]);
    assert_eq!(narrow, [[b"a", " ".repeat(COLUMNS - 6).as_bytes(), b"[ OK ]"].concat()]);
}

#[test]
fn in_a_very_long_line_only_a_carriage_return_counts() {
    let long = "x".repeat(20_000);
    assert_eq!(lines_of(&[format!("{long}\rshort\n").as_bytes()]), [long.as_bytes(), b"short"]);
    assert_eq!(lines_of(&[format!("{long}\x08\x1b[2Dy").as_bytes()]), [format!("{long}y").as_bytes()]);
    // It grows too long while it is written over.
    let text = "é".repeat(40_000);
    assert_eq!(lines_of(&[format!("ab\r{text}\n").as_bytes()]), [text.as_bytes()]);
    let marks = "\u{301}".repeat(100_000);
    assert!(lines_of(&[format!("ab\rc{marks}\n").as_bytes()]).concat().len() < 100, "marks are bounded");
}

/// A piece of a row: text, moves, erasing, looks.
fn piece() -> impl Strategy<Value = String> {
    let count = 0..12_u8;
    prop_oneof![
        4 => "[a-z ]{1,6}",
        1 => proptest::sample::select(vec!["漢", "é", "e\u{301}", "🙂", "ａ", "👩\u{200d}🚀", "\u{301}"])
            .prop_map(str::to_owned),
        2 => proptest::sample::select(vec!["\r", "\x08", "\t", "\x1b7", "\x1b8", "\x1b[s", "\x1b[u"])
            .prop_map(str::to_owned),
        2 => (count.clone(), proptest::sample::select(b"CDGa`".to_vec()))
            .prop_map(|(count, to)| format!("\x1b[{count}{}", char::from(to))),
        1 => (0..3_u8, proptest::sample::select(b"IZ".to_vec()))
            .prop_map(|(count, to)| format!("\x1b[{count}{}", char::from(to))),
        2 => (0..3_u8).prop_map(|what| format!("\x1b[{what}K")),
        1 => (0..2_u8).prop_map(|what| format!("\x1b[{what}J")),
        1 => (count, proptest::sample::select(b"XP@".to_vec()))
            .prop_map(|(count, what)| format!("\x1b[{count}{}", char::from(what))),
        1 => (1..5_u8).prop_map(|count| format!("x\x1b[{count}b")),
        2 => proptest::sample::select(vec![
            "\x1b[31m", "\x1b[1m", "\x1b[44m", "\x1b[7m", "\x1b[4m", "\x1b[0m", "\x1b[38;5;9m", "\x1b[9m",
            "\x1b[22;39m", "\x1b[49m", "\x1b]8;;http://a\x07", "\x1b]8;;\x07",
        ])
        .prop_map(str::to_owned),
        1 => Just("\x1b[999C\x1b[200D".to_owned()),
    ]
}

proptest! {
    #[test]
    fn a_row_is_what_a_terminal_shows(pieces in proptest::collection::vec(piece(), 0..24)) {
        // What this terminal makes of half a character that is written over later is its own affair.
        let mut terminal = Terminal::new(1);
        let is_first_half = |piece: &String| {
            terminal.show(piece.as_bytes());
            !terminal.halves(0).is_empty()
        };
        let end = pieces.iter().position(is_first_half).map_or(pieces.len(), |at| at + 1);
        assert_same_row(pieces[..end].concat().as_bytes());
    }
}
