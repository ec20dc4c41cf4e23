use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use proptest::prelude::*;

use super::*;

type Rows = Vec<(String, Vec<u8>, usize)>;
type Row<'a> = (&'a str, &'a [u8], usize);

/// Name, command and line of each entry.
fn entries(text: &[u8]) -> Rows {
    let source = Source::new("Procfile", text);
    let procfile = parse(&source).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let row = |entry: &Entry| {
        assert_eq!(source.slice(entry.span), entry.name.as_str().as_bytes());
        let line = source.position(entry.span.start).line;
        (entry.name.to_string(), entry.command.as_bytes().to_vec(), line)
    };
    procfile.entries.iter().map(row).collect()
}

fn errors(text: impl AsRef<[u8]>) -> String {
    let problems = parse(&Source::new("Procfile", text.as_ref())).expect_err("a problem");
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

#[test]
fn each_row_of_the_grammar() {
    let long = format!("web: dump {}", "x".repeat(9000));
    #[rustfmt::skip]
    let rows: &[(&str, &[u8], &[Row<'_>])] = &[
        ("plain", b"web: a b\n", &[("web", b"a b", 1)]),
        ("two, in file order", b"worker: k\nweb: w\n", &[("worker", b"k", 1), ("web", b"w", 2)]),
        ("all characters of a name", b"Web-2_x: a\n-: b\n__proto__: c\n10: d\n",
            &[("Web-2_x", b"a", 1), ("-", b"b", 2), ("__proto__", b"c", 3), ("10", b"d", 4)]),
        ("no space behind the colon", b"web:a\n", &[("web", b"a", 1)]),
        ("a tab behind the colon", b"web:\ta\n", &[("web", b"a", 1)]),
        ("blanks round the command", b"web:   a  b \t \n", &[("web", b"a  b", 1)]),
        ("no-break spaces round the command", "web:\u{a0}a\u{a0}\n".as_bytes(), &[("web", b"a", 1)]),
        ("the first colon ends the name", b"web: a http://h:80 c:d\n", &[("web", b"a http://h:80 c:d", 1)]),
        ("a command may begin with a colon", b"web:: a\n", &[("web", b": a", 1)]),
        ("blanks before the name", b"  web: a\n\tworker: b\n", &[("web", b"a", 1), ("worker", b"b", 2)]),
        ("blank lines", b"\n  \n\t\nweb: a\n\n \nworker: b\n\n", &[("web", b"a", 4), ("worker", b"b", 7)]),
        ("comments", b"# web: no\n  # x\nweb: a\n#", &[("web", b"a", 3)]),
        ("a comment in the command is the shell's", b"web: a # b\n", &[("web", b"a # b", 1)]),
        ("CRLF", b"web: a\r\n\r\nworker: b\r\n", &[("web", b"a", 1), ("worker", b"b", 3)]),
        ("a byte order mark", b"\xef\xbb\xbfweb: a\nworker: b\n", &[("web", b"a", 1), ("worker", b"b", 2)]),
        ("no last line end", b"web: a\nworker: b", &[("web", b"a", 1), ("worker", b"b", 2)]),
        ("the shell's own characters", b"web: A=b x && (y | z) > o; w & '#' \"$PORT\" `c`\n",
            &[("web", b"A=b x && (y | z) > o; w & '#' \"$PORT\" `c`", 1)]),
        ("a command in quotes is not unquoted", b"web: \"dump a\"\n", &[("web", b"\"dump a\"", 1)]),
        ("UTF-8 in the command", "web: héllo 🚀\n".as_bytes(), &[("web", "héllo 🚀".as_bytes(), 1)]),
        ("no UTF-8 in the command", b"web: caf\xe9 \xff\n", &[("web", b"caf\xe9 \xff", 1)]),
        ("a long command", long.as_bytes(), &[("web", &long.as_bytes()[5..], 1)]),
        ("a continued line", b"web: a \\\n  b\nworker: k\n", &[("web", b"a   b", 1), ("worker", b"k", 3)]),
        ("a continued line with CRLF", b"web: a \\\r\nb\r\nx: y\r\n", &[("web", b"a b", 1), ("x", b"y", 3)]),
        ("the next line's text follows as it is", b"web: a\\\nb\\\n# c\n", &[("web", b"ab# c", 1)]),
        ("two backslashes do not continue", b"web: a\\\\\nx: y\n", &[("web", b"a\\\\", 1), ("x", b"y", 2)]),
        ("three do", b"web: a\\\\\\\nb\n", &[("web", b"a\\\\b", 1)]),
        ("a backslash and a blank do not continue", b"web: a\\ \nx: y\n", &[("web", b"a\\", 1), ("x", b"y", 2)]),
        ("a backslash at the end of the file stays", b"web: a \\", &[("web", b"a \\", 1)]),
        ("a continuation may end the file", b"web: a \\\n", &[("web", b"a", 1)]),
        ("a continued line ends at a blank one", b"web: a \\\n\nx: y\n", &[("web", b"a", 1), ("x", b"y", 3)]),
        ("a comment is not continued", b"# a \\\nweb: b\n # \\\r\nx: y\n", &[("web", b"b", 2), ("x", b"y", 4)]),
        ("nor is one behind a continued blank line", b" \\\n# a \\\nweb: b\n", &[("web", b"b", 3)]),
        ("a command may begin in the next line", b"web: \\\n  a\n", &[("web", b"a", 1)]),
        ("`release` is a type like any other here", b"release: r\n", &[("release", b"r", 1)]),
        ("NUL in a comment harms nobody", b"# \0\nweb: a\n", &[("web", b"a", 2)]),
    ];
    for (what, text, expected) in rows {
        let expected: Rows = expected.iter().map(|(n, c, l)| ((*n).to_owned(), c.to_vec(), *l)).collect();
        assert_eq!(entries(text), expected, "{what}");
    }
}

#[test]
fn a_line_without_a_colon() {
    insta::assert_snapshot!(errors("web dump x\nok: o\n"), @r"
    no colon in this line
      --> Procfile:1:1
       |
     1 | web dump x
       | ^^^
      hint: a line is `name: command`, as in `web: python app.py`
    ");
}

#[test]
fn a_line_that_was_meant_to_go_on() {
    insta::assert_snapshot!(errors("web: dump a\n  dump b\n"), @r"
    no colon in this line
      --> Procfile:2:3
       |
     2 |   dump b
       |   ^^^^
      hint: end line 1 with `\` if this is the rest of its command
    ");
    insta::assert_snapshot!(errors("web: dump a \\ \ndump b\n"), @r"
    no colon in this line
      --> Procfile:2:1
       |
     2 | dump b
       | ^^^^
      hint: line 1 has a blank behind its `\`; without the blank it goes on here
    ");
}

#[test]
fn a_blank_before_the_colon() {
    insta::assert_snapshot!(errors("web : dump x\n"), @r"
    a blank before the colon
      --> Procfile:1:4
       |
     1 | web : dump x
       |    ^
      hint: write `web:` without the blank
    ");
}

#[test]
fn an_equals_sign() {
    insta::assert_snapshot!(errors("web = dump http://x\nurl=\n"), @r"
    `=` instead of a colon
      --> Procfile:1:5
       |
     1 | web = dump http://x
       |     ^
      hint: write `web: dump http://x` (a variable belongs in `.env`)

    `=` instead of a colon
      --> Procfile:2:4
       |
     2 | url=
       |    ^
      hint: write `url: COMMAND` (a variable belongs in `.env`)
    ");
}

#[test]
fn bad_characters_in_a_name() {
    insta::assert_snapshot!(errors("ok: o\nweb.api: x\n  wéb: x\na b: x\n"), @r"
    `.` cannot stand in a process name
      --> Procfile:2:4
       |
     2 | web.api: x
       |    ^
      hint: a name has only letters, digits, `_` and `-`, and a colon behind it

    `é` cannot stand in a process name
      --> Procfile:3:4
       |
     3 |   wéb: x
       |    ^
      hint: a name has only letters, digits, `_` and `-`, and a colon behind it

    a blank cannot stand in a process name
      --> Procfile:4:2
       |
     4 | a b: x
       |  ^
      hint: a name has only letters, digits, `_` and `-`, and a colon behind it
    ");
    insta::assert_snapshot!(errors(b"w\xffb: x\n"), @r"
    the byte 0xFF cannot stand in a process name
      --> Procfile:1:2
       |
     1 | w�b: x
       |  ^
      hint: a name has only letters, digits, `_` and `-`, and a colon behind it
    ");
}

#[test]
fn an_invisible_character_is_named() {
    for (text, words) in [
        ("web\u{200b}: x", "U+200B cannot"),
        ("\u{1b}[0mweb: x", "U+001B cannot"),
        ("a\u{a0}b: x", "a blank cannot"),
        ("'web': x", "`'` cannot"),
        ("🚀: x", "`🚀` cannot"),
    ] {
        assert!(errors(text).starts_with(words), "{}", errors(text));
    }
}

#[test]
fn a_missing_name() {
    insta::assert_snapshot!(errors(" : x\n"), @r"
    no process name before the colon
      --> Procfile:1:2
       |
     1 |  : x
       |  ^
      hint: write the name of the process before it, as in `web: python app.py`
    ");
}

#[test]
fn an_empty_command() {
    insta::assert_snapshot!(errors("web: \nworker: k\n"), @r"
    no command for `web`
      --> Procfile:1:1
       |
     1 | web:
       | ^^^
      hint: write the command behind the colon, as in `web: python app.py`
    ");
}

#[test]
fn a_duplicate_name() {
    insta::assert_snapshot!(errors("# c\nweb: a\nx: y\n web: b\n"), @r"
    a second `web`
      --> Procfile:4:2
       |
     4 |  web: b
       |  ^^^
      hint: the first is in line 2; remove one or give it a name of its own
    ");
}

#[test]
fn two_names_with_one_variable() {
    insta::assert_snapshot!(errors("web-api: a\nx: y\nWEB_API: b\n"), @r"
    duplicate variable GANGER_PROCESS_WEB_API_PORT: `web-api` and `WEB_API`
      --> Procfile:3:1
       |
     3 | WEB_API: b
       | ^^^^^^^
      hint: it has the port of `web-api` (Procfile:1); rename one of the two
    ");
}

#[test]
fn a_nul_byte() {
    insta::assert_snapshot!(errors("web: a\0b\n"), @r"
    a NUL byte
      --> Procfile:1:7
       |
     1 | web: a b
       |       ^
      hint: remove it: no command can hold one
    ");
}

#[test]
fn a_file_in_utf16() {
    let utf16: Vec<u8> = "\u{feff}web: a\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    insta::assert_snapshot!(errors(&utf16), @r"
    the file is UTF-16
      --> Procfile:1:1
       |
     1 | ��w e b :   a
       | ^^
      hint: save it as UTF-8
    ");
    let big_endian: Vec<u8> = "web: a\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for text in [&utf16[2..], &big_endian] {
        assert!(errors(text).starts_with("the file is UTF-16\n"));
    }
}

#[test]
fn a_file_without_an_entry() {
    insta::assert_snapshot!(errors("# nothing yet\n\n"), @r"
    no process in this file
      --> Procfile:1:1
       |
     1 | # nothing yet
       | ^
      hint: write one, as in `web: python -m http.server $PORT`
    ");
    for text in ["", "\n", "\u{feff}", "  \r\n\t\n"] {
        assert!(errors(text).starts_with("no process in this file\n  --> Procfile:1:1\n"), "{text:?}");
    }
}

#[test]
fn a_problem_in_a_continued_line_shows_the_line_that_holds_it() {
    let source = Source::new("Procfile", "ok: a\n\\\nwe\\\nb.x: b\nlast\n");
    let problems = parse(&source).expect_err("problems");
    let places: Vec<_> = problems.iter().map(|p| (p.line(), p.column())).collect();
    assert_eq!(places, [(4, 2), (5, 1)]);
}

#[test]
fn many_problems_are_counted_and_not_shown() {
    let shown = errors("x\n".repeat(100));
    assert_eq!(shown.matches("no colon").count(), crate::config::problems::MOST_SHOWN);
    assert!(shown.ends_with("\n\n80 more problems; this is the first\n  --> Procfile:21:1"), "{shown}");
    assert!(errors("x\n".repeat(21)).contains("1 more problem; this is the first"));
    assert!(!errors("x\n".repeat(20)).contains("more problem"));
}

#[test]
fn a_long_name_does_not_flood_the_message() {
    let shown = errors(format!("{}:", "x".repeat(1 << 20)));
    assert!(shown.len() < 1000, "{} bytes", shown.len());
}

/// Quadratic work on a megabyte would take minutes, so that the limit is far from both.
#[test]
fn a_megabyte_of_anything_is_read_in_linear_time() {
    let begun = std::time::Instant::now();
    for unit in
        ["x\n", "\n", "x", "\\\n", "\\\r\n", "#\\\n", " \\\n", "w:\n", "w:x\n", ":", "=", "\0", "é", " "]
    {
        let text = unit.repeat((1 << 20) / unit.len());
        let problems = parse(&Source::new("Procfile", text)).expect_err(unit);
        assert!(problems.len() <= crate::config::problems::MOST_SHOWN + 1);
    }
    let mut names = String::new();
    for number in 0..100_000 {
        writeln!(names, "w{number}: x").expect("a string takes all");
    }
    assert_eq!(entries_count(&names), 100_000);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

fn entries_count(text: &str) -> usize {
    parse(&Source::new("Procfile", text)).expect("entries").names().count()
}

/// What may stand before an entry.
fn noise() -> impl Strategy<Value = String> {
    prop_oneof!["[ \t]{0,4}", "[ \t]{0,3}#[ -~é]{0,20}"]
}

/// A command that begins and ends with something visible.
fn command() -> impl Strategy<Value = String> {
    "[!-~é]([ -~é\t]{0,30}[!-\\[\\]-~é])?".prop_filter("no continuation", |text| !text.ends_with('\\'))
}

proptest! {
    #[test]
    fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&Source::new("Procfile", text));
    }

    #[test]
    fn never_panics_on_what_looks_like_a_procfile(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                &b"web"[..], b":", b" ", b"\n", b"\r\n", b"\\", b"\\\n", b"#", b"=", b"\0", b"x",
                b"\xff", b"\xc3", b"\xa9", b"\xef\xbb\xbf", b".", b"\t", b"\xc2\xa0", b"\r",
            ]),
            0..40,
        ),
    ) {
        let source = Source::new("Procfile", pieces.concat());
        match parse(&source) {
            Ok(procfile) => prop_assert!(!procfile.entries.is_empty()),
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                prop_assert!(problems.iter().map(Diagnostic::line).is_sorted(), "{problems:#?}");
            }
        }
    }

    #[test]
    fn a_valid_file_comes_back_as_it_was_written(
        lines in proptest::collection::vec(
            (proptest::collection::vec(noise(), 0..3), "[ \t]{0,3}", "[A-Za-z0-9_-]{0,8}", "[ \t]{0,3}", command()),
            1..8,
        ),
        (crlf, bom, last_end) in any::<(bool, bool, bool)>(),
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let mut text = if bom { "\u{feff}".to_owned() } else { String::new() };
        let mut expected = Rows::new();
        for (number, (before, indent, name, gap, command)) in lines.iter().enumerate() {
            for noise in before {
                // A comment that ends with a backslash is wanted; a blank line has none.
                text += noise;
                text += end;
            }
            let name = format!("{name}{number}");
            expected.push((name.clone(), command.clone().into_bytes(), text.matches('\n').count() + 1));
            write!(text, "{indent}{name}:{gap}{command}{end}").expect("a string takes all");
        }
        if !last_end {
            text.truncate(text.len() - end.len());
        }
        prop_assert_eq!(entries(text.as_bytes()), expected);
    }
}

#[test]
fn an_env_file_named_as_a_procfile_is_not_shown() {
    let text = "export DB_PASSWORD=hunter2\nKEY=\"hunter3\nhunter4\"\nweb : hunter5\n";
    let errors = parse(&Source::new(".env", text)).expect_err("no Procfile");
    let shown = crate::error::Error::Files(errors).render();
    assert!(!shown.contains("hunter"), "{shown}");
    insta::assert_snapshot!(shown.lines().take(6).collect::<Vec<_>>().join("\n"), @r"
    ganger: error: no colon in this line
      --> .env:1:1
      hint: a line is `name: command`, as in `web: python app.py`
    ganger: error: `=` instead of a colon
      --> .env:2:4
      hint: write `KEY: COMMAND` (a variable belongs in `.env`)
    ");
}

#[test]
fn names_and_types_have_a_limit() {
    let name = "a".repeat(201);
    let shown = |text: &str| {
        let errors = parse(&Source::new("Procfile", text)).expect_err("too much");
        crate::error::Error::Files(errors).render()
    };
    assert!(parse(&Source::new("Procfile", format!("{}: x\n", &name[1..]))).is_ok());
    let long = shown(&format!("{name}: x\n"));
    assert!(
        long.starts_with("ganger: error: the name is too long: 201 characters\n  --> Procfile:1:1\n"),
        "{long}"
    );
    assert!(long.ends_with("hint: a name can have at most 200 characters"), "{long}");
    let mut text = String::new();
    for number in 0..=100_000 {
        writeln!(text, "\np{number}: x").expect("written");
    }
    insta::assert_snapshot!(shown(&text), @r"
    ganger: error: more than 100000 process types
      --> Procfile:200002:1
            |
     200002 | p100000: x
            | ^
      hint: this looks like a generated file; is it the one you meant?
    ");
}
