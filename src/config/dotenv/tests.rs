//! The dialect, one test for each of its rules.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use super::*;

mod json;
mod properties;
mod recorded;

fn read(text: impl Into<Vec<u8>>) -> Result<EnvFile, Diagnostic> {
    parse(&Source::new(".env", text), None)
}

/// Every assignment as `KEY=value`, bytes that are not UTF-8 as `\xe9`.
fn pairs(file: &EnvFile) -> Vec<String> {
    let text = |bytes: &OsString| {
        let chunks = bytes.as_bytes().utf8_chunks();
        chunks
            .map(|chunk| format!("{}{}", chunk.valid(), chunk.invalid().escape_ascii()))
            .collect::<Vec<_>>()
            .concat()
    };
    file.assignments.iter().map(|pair| format!("{}={}", text(&pair.key), text(&pair.value))).collect()
}

/// Asserts that each text gives the pairs, without a warning.
#[track_caller]
fn gives(table: &[(&str, &[&str])]) {
    for (text, expected) in table {
        let file = read(*text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(pairs(&file), *expected, "{text:?}");
        assert_eq!(file.warnings, [], "{text:?}");
    }
}

/// Asserts that each text gives the pairs and one warning with this message.
#[track_caller]
fn warns(message: &str, table: &[(&str, &[&str])]) {
    for (text, expected) in table {
        let file = read(*text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(pairs(&file), *expected, "{text:?}");
        let messages: Vec<&str> = file.warnings.iter().map(Diagnostic::message).collect();
        assert_eq!(messages, [message], "{text:?}");
    }
}

fn error(text: impl Into<Vec<u8>>) -> String {
    read(text).expect_err("an error").to_string()
}

fn warnings(text: impl Into<Vec<u8>>) -> String {
    let file = read(text).expect("an env file");
    file.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn keys_and_values_are_trimmed() {
    gives(&[
        ("A=1", &["A=1"]),
        ("A=1\n", &["A=1"]),
        (" \tA =\t1 \nB= 2", &["A=1", "B=2"]),
        ("A=1\r\nB=2\r\n", &["A=1", "B=2"]),
        ("A=a\rb\r\r\n", &["A=a\rb"]),
        ("\u{feff}A=1\n\u{feff}B=2\u{feff}\n", &["A=1", "B=2"]),
        ("\u{a0}A\u{a0}=\u{2003}a\u{a0}b\u{3000}\u{85}\n", &["A=a\u{a0}b"]),
        ("A=a\u{2028}b\u{85}c\u{b}d\n", &["A=a\u{2028}b\u{85}c\u{b}d"]),
    ]);
}

#[test]
fn empty_lines_and_comments_are_skipped() {
    gives(&[
        ("", &[]),
        ("\n\r\n \t\n\u{a0}\n", &[]),
        ("\u{feff}# A=1\n  # B=2\n#", &[]),
        ("# a\0b\n#\u{b}'\"\nA=1", &["A=1"]),
    ]);
}

#[test]
fn a_value_without_quotes_stands_for_itself() {
    gives(&[
        ("A=", &["A="]),
        ("A=  \nB=\r\n", &["A=", "B="]),
        ("A=hello big world", &["A=hello big world"]),
        ("A=a==", &["A=a=="]),
        ("A=it's\nB=say\"hi\"", &["A=it's", "B=say\"hi\""]),
        (r"A=a\nb\ c\\", &[r"A=a\nb\ c\\"]),
        ("A=`d e`\nB=`x", &["A=`d e`", "B=`x"]),
        ("A=p@$$w0rd\nB=$A ${A} \\$A ${", &["A=p@$$w0rd", "B=$A ${A} \\$A ${"]),
        ("A=a\\\nB=1", &["A=a\\", "B=1"]),
    ]);
}

#[test]
fn a_comment_behind_a_value_needs_a_blank() {
    gives(&[
        ("A=x #c", &["A=x"]),
        ("A=x\t#c #d", &["A=x"]),
        ("A=x\u{a0}# c", &["A=x"]),
        ("A=x#c", &["A=x#c"]),
        ("A=x#c #d", &["A=x#c"]),
        ("A=#x", &["A=#x"]),
        ("A= #x", &["A="]),
        ("A= # 'x\nB=1", &["A=", "B=1"]),
        ("A=x\\ #c", &["A=x\\"]),
        ("A={\"a\": \"#fff\"}", &["A={\"a\": \"#fff\"}"]),
    ]);
}

#[test]
fn export_before_a_key_is_dropped() {
    gives(&[
        ("export A=1", &["A=1"]),
        ("export\tA=1", &["A=1"]),
        (" export\u{a0} A = '1'", &["A=1"]),
        ("exportA=1", &["exportA=1"]),
        ("export=1", &["export=1"]),
        ("export =1", &["export=1"]),
        ("export A\nexport B C # c\nB=2", &["B=2"]),
    ]);
    warns("there is no `=` on this line; it is skipped", &[("export", &[]), ("export \"a b", &[])]);
    warns("the key has a blank, a quote or a `#` in it; the line is skipped", &[("export export A=1", &[])]);
}

#[test]
fn odd_keys_are_passed_on() {
    gives(&[
        ("a.b=1\nABC+=2\nwéb=3\n1=4\n-=5", &["a.b=1", "ABC+=2", "wéb=3", "1=4", "-=5"]),
        ("A=1\na=2\nA=3", &["A=1", "a=2", "A=3"]),
    ]);
}

#[test]
fn single_quotes_are_literal_to_the_next_one() {
    gives(&[
        ("A=''", &["A="]),
        ("A= ' a # b ' ", &["A= a # b "]),
        (r#"A='a\nb\\"$A`'"#, &[r#"A=a\nb\\"$A`"#]),
        ("A='one\r\ntwo\n# three'\r\nB=1", &["A=one\ntwo\n# three", "B=1"]),
        ("A='a\rb\n'", &["A=a\rb\n"]),
        ("A='x\nB=1'", &["A=x\nB=1"]),
    ]);
}

#[test]
fn double_quotes_know_a_few_escapes() {
    gives(&[
        (r#"A="""#, &["A="]),
        (r#"A=" a # b " "#, &["A= a # b "]),
        (r#"A="a\nb""#, &["A=a\nb"]),
        (r#"A="\\n \" \' \$A \ x""#, &[r#"A=\n " ' $A  x"#]),
        (r#"A="C:\temp\r\0""#, &[r"A=C:\temp\r\0"]),
        ("A=\"one \\\ntwo\"", &["A=one \\\ntwo"]),
        ("A=\"one\r\n\r\ntwo\\\r\n\"\r\nB=1", &["A=one\n\ntwo\\\n", "B=1"]),
        ("A=\"it's $5 `x` ${B}\"", &["A=it's $5 `x` ${B}"]),
        ("A=\"-----BEGIN\nMII=\n-----END\"\nB=1", &["A=-----BEGIN\nMII=\n-----END", "B=1"]),
    ]);
}

#[test]
fn the_last_backslash_on_the_line_is_no_escape_if_the_quote_would_stay_open() {
    gives(&[
        (r#"A="C:\dir\""#, &[r"A=C:\dir\"]),
        ("A=\"C:\\dir\\\"\r\nB=\"x\"", &[r"A=C:\dir\", "B=x"]),
        ("A=\"C:\\dir\\\" # it's \\\" mine\nB=\"x\"", &[r"A=C:\dir\", "B=x"]),
        (r#"A="C:\dir\\""#, &[r"A=C:\dir\"]),
        (r#"A="a\" # ""#, &["A=a\" # "]),
        ("A=\"x\\\" y\nz\"", &["A=x\" y\nz"]),
        ("A=\"<a href=\\\"#top\\\">\nx</a>\"", &["A=<a href=\"#top\">\nx</a>"]),
        ("A=\"x\ny\\\"\nz\"", &["A=x\ny\"\nz"]),
    ]);
}

#[test]
fn a_comment_behind_a_closing_quote_needs_no_blank() {
    gives(&[("A='x'#c", &["A=x"]), ("A=\"x\"\t# c\nB=1", &["A=x", "B=1"]), ("A='a\nb' # '", &["A=a\nb"])]);
}

#[test]
fn text_behind_a_closing_quote_is_dropped_with_a_warning() {
    warns(
        "text behind the closing quote of `A` is dropped",
        &[
            (r#"A="a" b"#, &["A=a"]),
            (r#"A='a'"b"c"#, &["A=a"]),
            (r"A='it'\''s'", &["A=it"]),
            ("A='a\\'b'\nB=1", &["A=a\\", "B=1"]),
            ("A='a\nb' c\nB=1", &["A=a\nb", "B=1"]),
            ("A=''' \nB=1", &["A=", "B=1"]),
        ],
    );
    insta::assert_snapshot!(warnings("# c\nTOKEN='one\ntwo' hunter2\n"), @"
    text behind the closing quote of `TOKEN` is dropped
      --> .env:3:6
      hint: put the quotes round the whole value, or a # in front of a comment
    ");
    insta::assert_snapshot!(warnings("h/nter2='a' b\n"), @"
    text behind a closing quote is dropped
      --> .env:1:13
      hint: put the quotes round the whole value, or a # in front of a comment
    ");
}

#[test]
fn a_line_without_equals_sign_is_skipped_with_a_warning() {
    warns(
        "there is no `=` on this line; it is skipped",
        &[("KEY\nA=1", &["A=1"]), ("// c", &[]), ("A: b", &[]), ("A=`one\ntwo`\nB=1", &["A=`one", "B=1"])],
    );
    insta::assert_snapshot!(warnings("A=1\n  hunter2\n"), @"
    there is no `=` on this line; it is skipped
      --> .env:2:3
      hint: write KEY=value, or # in front of a comment
    ");
}

#[test]
fn a_key_that_cannot_be_one_is_skipped_with_a_warning() {
    warns(
        "the key has a blank, a quote or a `#` in it; the line is skipped",
        &[
            ("A B=c\nX=1", &["X=1"]),
            ("- A=c", &[]),
            ("A\u{a0}B=c", &[]),
            ("A#B=c", &[]),
            ("'A'=c", &[]),
            ("\"A\"='c", &[]),
            ("A B='c' d", &[]),
            ("A B=\0", &[]),
        ],
    );
    warns("there is no key before the `=`; the line is skipped", &[("=x", &[]), (" = 'x'\nA=1", &["A=1"])]);
    insta::assert_snapshot!(warnings("=hunter2\nhunter 2=x"), @"
    there is no key before the `=`; the line is skipped
      --> .env:1:1
      hint: write KEY=value
    the key has a blank, a quote or a `#` in it; the line is skipped
      --> .env:2:1
      hint: write KEY=value, the key without quotes, or # in front of a comment
    ");
}

#[test]
fn the_lines_of_a_skipped_value_are_skipped_with_it() {
    warns(
        "the key has a blank, a quote or a `#` in it; the line is skipped",
        &[("A B='x\nC=1'\nD=2", &["D=2"]), ("A B=\"x\nC=1\" # c\nD=2", &["D=2"]), ("A B='x\nD=2", &["D=2"])],
    );
}

#[test]
fn a_quote_that_is_never_closed_is_an_error() {
    for text in ["A=\"", "A='x\nB=1\n", "A= \"x\\\"y\nB=1", "A='x\"", "A=\"x\nC:\\dir\\\"\n"] {
        assert!(error(text).starts_with("the quote of `A` is never closed\n"), "{text:?}");
    }
    insta::assert_snapshot!(error("# c\n\texport TOKEN = \"hunter2\nX=1\n"), @"
    the quote of `TOKEN` is never closed
      --> .env:2:9
      hint: write the same quote at the end of the value, or put a value with a quote in it into the other quotes
    ");
    insta::assert_snapshot!(error("hünter2='\n"), @"
    a quote is never closed
      --> .env:1:1
      hint: write the same quote at the end of the value, or put a value with a quote in it into the other quotes
    ");
    assert!(error(format!("{}='\n", "hunter2".repeat(10))).starts_with("a quote is never closed"));
}

#[test]
fn a_nul_in_a_key_or_value_is_an_error() {
    insta::assert_snapshot!(error("A=1\nTOKEN=hunter\x002\n"), @"
    there is a NUL byte in the value of `TOKEN`
      --> .env:2:13
      hint: save the file as UTF-8 text; a UTF-16 file is full of NUL bytes
    ");
    insta::assert_snapshot!(error(b"\xff\xfeA\0=\0b\0\r\0\n\0"), @"
    there is a NUL byte in a key
      --> .env:1:1
      hint: save the file as UTF-8 text; a UTF-16 file is full of NUL bytes
    ");
    assert!(error("A='x\0'").starts_with("there is a NUL byte in the value of `A`\n"));
    gives(&[("A=1 # \0\n", &["A=1"])]);
    assert!(warnings(b"\xff\xfeA\0\r\0").contains("a UTF-16 file is full of NUL bytes"));
}

#[test]
fn bytes_that_are_not_utf_8_pass_unchanged() {
    let file = read(b"A=caf\xe9\nB='\xff\xc2'\nC=\"\xe9\\n\xa0\"\nD=\xa0x\x85\nk\xe9=1 #\xe9\n".as_slice())
        .expect("an env file");
    assert_eq!(pairs(&file), [r"A=caf\xe9", r"B=\xff\xc2", "C=\\xe9\n\\xa0", r"D=\xa0x\x85", r"k\xe9=1"]);
    assert_eq!(file.warnings, []);
}

#[test]
fn each_assignment_knows_its_place() {
    let text = "\u{feff}A=1\r\n\n  export B = 'x\n\ny'\n# c\nA='\n' z\nC=3";
    let source = Source::new(".env", text);
    let file = parse(&source, None).expect("an env file");
    let places: Vec<(&[u8], usize)> =
        file.assignments.iter().map(|assignment| (source.slice(assignment.span), assignment.line)).collect();
    assert_eq!(places, [(&b"A"[..], 1), (b"B", 3), (b"A", 7), (b"C", 9)]);
}

/// Reads `text` with names replaced; outside the file `SHELL` is `/bin/$A "\n"` and `NONE` empty.
fn expanded(text: &str) -> Vec<String> {
    let lookup = |name: &OsStr| match name.as_bytes() {
        b"SHELL" => Some(OsString::from("/bin/$A \"\\n\"")),
        b"NONE" => Some(OsString::new()),
        b"HOME" => Some(OsString::from_vec(b"/h\xe9".to_vec())),
        _ => None,
    };
    pairs(&parse(&Source::new(".env", text), Some(&lookup)).expect("an env file"))
}

#[test]
fn names_are_replaced_if_asked_for() {
    for (text, expected) in [
        ("A=1\nB=$A${A}_\nC=\"<$A>\"", &["A=1", "B=11_", "C=<1>"][..]),
        ("A=1\nA=$A$A\nA=$A$A", &["A=1", "A=11", "A=1111"]),
        ("A_1=1\nA=2\nB=$A_1$A-1", &["A_1=1", "A=2", "B=12-1"]),
        ("B=$A.\nA=1", &["B=.", "A=1"]),
        ("A='$HOME'\nB=$A", &["A=$HOME", "B=$HOME"]),
        ("A=$SHELL\nB=\"$SHELL\"", &["A=/bin/$A \"\\n\"", "B=/bin/$A \"\\n\""]),
        ("HOME=$HOME/x\nHOME=$HOME/y", &[r"HOME=/h\xe9/x", r"HOME=/h\xe9/x/y"]),
        ("A=p@$$ 5$ $1 ${ ${} ${A.B} $\nB=\"$\"", &["A=p@$$ 5$ $1 ${ ${} ${A.B} $", "B=$"]),
        ("A=a${SHELL\nB=\"${SHELL\"", &["A=a${SHELL", "B=${SHELL"]),
        (r"A=\$SHELL\n\\${X}", &[r"A=$SHELL\n\${X}"]),
        (r#"A="\$HOME \\$X \n""#, &["A=$HOME \\ \n"]),
        ("X=1 #$A\nA=$X#$X #$X", &["X=1", "A=1#1"]),
        ("A='#'\nB= $A x", &["A=#", "B=# x"]),
        ("A=' a\nb '\nB=$A", &["A= a\nb ", "B= a\nb "]),
    ] {
        assert_eq!(expanded(text), expected, "{text:?}");
    }
}

#[test]
fn a_default_stands_in_for_an_unknown_or_empty_name() {
    for (text, expected) in [
        ("A=${X:-/tmp}/x", &["A=/tmp/x"][..]),
        ("X=\nA=${X:-d}${NONE:-e}", &["X=", "A=de"]),
        ("X=1\nA=${X:-d}${X:-}", &["X=1", "A=11"]),
        ("X=1\nA=${B:-<$X>}", &["X=1", "A=<1>"]),
        ("X=1\nA=${B:-${X}}", &["X=1", "A=${X}"]),
        ("A=\"${X:-a\\nb\\$c}\"", &["A=a\nb$c"]),
        ("A=${X:-d", &["A=${X:-d"]),
        ("A=${X-d}", &["A=${X-d}"]),
    ] {
        assert_eq!(expanded(text), expected, "{text:?}");
    }
}

#[test]
fn nothing_is_taken_from_the_own_environment() {
    let path = std::env::var("PATH").expect("tests run with a PATH");
    for expand in [None, Some(&(|_: &OsStr| None) as &Lookup<'_>)] {
        let text = "A=$PATH\nB=\"${PATH}\"\nC='$PATH'\nD=\"\\$PATH\"";
        let file = parse(&Source::new(".env", text), expand).expect("an env file");
        assert!(!pairs(&file).concat().contains(&path), "{file:?}");
    }
}

#[test]
fn twenty_warnings_are_shown() {
    let file = read("x\n".repeat(1000)).expect("an env file");
    assert_eq!(file.warnings.len(), 21);
    insta::assert_snapshot!(file.warnings[20], @"
    980 more problems; this is the first
      --> .env:21:1
    ");
}

#[test]
fn values_that_double_with_each_line_are_refused() {
    use std::fmt::Write as _;
    let mut text = "A0=hunter2222\n".to_owned();
    for level in 0..40 {
        writeln!(text, "A{}=\"$A{level}${{A{level}:-x}}\"", level + 1).expect("written");
    }
    let refused = |text: &str| {
        let lookup: &Lookup<'_> = &|_: &OsStr| None;
        parse(&Source::new(".env", text), Some(lookup)).expect_err("too long").to_string()
    };
    insta::assert_snapshot!(refused(&text), @r"
    the value of `A17` is too long after its `$NAME`s are replaced
      --> .env:18:1
      hint: the limit is 1024 KiB; write a literal `$` as `\$`
    ");
    let mut text = format!("A={}\n", "x".repeat(900_000));
    for number in 0..40 {
        writeln!(text, "B{number}=$A").expect("written");
    }
    insta::assert_snapshot!(refused(&text), @r"
    the value of `B18` makes the values in this file too long in total after their `$NAME`s are replaced
      --> .env:20:1
      hint: the limit is 16 MiB in total; write a literal `$` as `\$`
    ");
    // Without `expand`, `$` is an ordinary character.
    assert_eq!(read(text).expect("an env file").assignments.len(), 41);
}

#[test]
fn too_many_variables_are_refused() {
    let text = "A=1\n".repeat(100_001);
    insta::assert_snapshot!(error(text), @r"
    more than 100000 variables
      --> .env:100001:1
      hint: is this an env file? No process can receive that many
    ");
}

/// The time this thread had on a processor: unlike that of the clock it does not grow with what
/// else the machine does.
#[cfg(target_os = "linux")]
fn busy() -> Duration {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("a usage");
    let seconds = u64::try_from(usage.user_time().tv_sec()).expect("no negative time");
    let micros = u64::try_from(usage.user_time().tv_usec()).expect("no negative time");
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

/// The time since the first call: the system does not tell that of a thread.
#[cfg(not(target_os = "linux"))]
fn busy() -> Duration {
    static BEGAN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    BEGAN.get_or_init(std::time::Instant::now).elapsed()
}

/// The bound is far above what a pass over the bytes takes and far below what a second pass
/// for each line, quote or `#` would.
#[test]
fn large_files_are_read_in_one_pass() {
    let million = 1_000_000;
    let lines = |line: &str| line.repeat(million / line.len());
    for (what, text) in [
        ("many assignments", lines("KEY_OF_THE_LINE='a value of fifty bytes on this line'\n")),
        ("one value", format!("A=\"{}\"", "x".repeat(million))),
        ("double quotes", "\"".repeat(million)),
        ("double quotes in a value", format!("A={}", "\"".repeat(million))),
        ("single quotes in a value", format!("A={}", "'".repeat(million))),
        ("a quote on each line", lines("'\n")),
        ("open quotes behind keys that are none", lines("a b=\"\\\"x\n")),
        ("open single quotes behind keys that are none", format!("{}\na b='", lines("a b=\n"))),
        ("lines that end in an escaped quote", lines("A=\"\\\"\n")),
        ("escaped quotes", format!("A=\"{}\"", lines("\\\"  "))),
        ("names", format!("A={}", lines("$A"))),
        ("open names", format!("A={}", lines("${A:-"))),
        ("names that close late", format!("A={}}}", lines("${A:-"))),
        ("JSON", format!("{{{}\"\":0}}", lines("\"KEY\":\"a value\",\n"))),
        ("wide JSON", format!("{{\"a\":[{}0]}}", lines("{\"b\":[0]},\n"))),
        ("comments", format!("A={}", lines("# "))),
        ("blanks", lines(" ")),
        ("junk", lines("x\n")),
    ] {
        let before = busy();
        drop(parse(&Source::new(".env", text), Some(&|_| None)));
        let took = busy().saturating_sub(before);
        assert!(took < Duration::from_secs(5), "{what}: {took:?}");
    }
}
