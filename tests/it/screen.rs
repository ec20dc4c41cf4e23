//! What processes may do to the terminal they share: half lines, progress, colours, clearing.

use crate::kit::{Terminal, Test};

/// Runs the app in a window to its end; answers what the terminal got from the first process on.
fn shown(test: &Test, args: &[&str]) -> String {
    let mut window = Terminal::with_ganger(test, [&["start"], args].concat());
    window.wait();
    window.text()
}

/// The bytes in a file, and a process that writes them at once.
fn writes(bytes: &str) -> Test {
    Test::new().file("bytes", bytes).procfile("web: cat bytes\n").var("TZ", "UTC")
}

#[test]
fn what_would_wipe_the_others_does_not_pass() {
    let text = shown(
        &writes("\x1b[2J\x1b[3J\x1b[H\x1bc\x1b]0;title\x07\x1b[?1049h\x1b[?1049l\x1b[5Abefore\x07\x1b[6n\n"),
        &[],
    );
    assert!(text.contains(" before\r\n"), "{text:?}");
    for wrong in ["\x1b[2J", "\x1b[3J", "\x1b[H", "\x1bc", "title", "1049", "\x1b[5A", "\x07", "\x1b[6n"] {
        assert!(!text.contains(wrong), "{wrong:?} in {text:?}");
    }
}

#[test]
fn colours_go_on_in_the_next_line_of_the_process() {
    let text = shown(&writes("\x1b[1;31mred\nstill\x1b[0m\nplain\n"), &[]);
    for line in [" \x1b[1;31mred\x1b[0m\r\n", " \x1b[1;31mstill\x1b[0m\r\n", " plain\r\n"] {
        assert!(text.contains(line), "{line:?} in {text:?}");
    }
    let text = shown(&writes("\x1b[1;31mred\n\x1b]8;;http://a\x07link\n"), &["--color", "never"]);
    assert!(text.contains("| red\r\n"), "{text:?}");
    assert!(!text.contains("\x1b["), "{text:?}");
    assert!(text.contains("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\"), "{text:?}");
}

#[test]
fn a_line_shows_its_last_state() {
    let text = shown(&writes("10%\r50%\r100%\ndos\r\n"), &[]);
    assert!(text.contains(" 100%\r\n") && text.contains(" dos\r\n"), "{text:?}");
    assert!(!text.contains("10%") && !text.contains("50%"), "{text:?}");
}

/// What a process writes, and what a terminal shows of that row.
const ROWS: [(&str, &str); 9] = [
    ("[    ] Starting database\r[ OK ]\n", "[ OK ] Starting database"),
    ("abcdef\rxy\n", "xycdef"),
    ("12345\x08\x08X\n", "123X5"),
    ("xxxxx\x08\x08\x08\x08\x08y\n", "yxxxx"),
    ("service foo\x1b[50G[ OK ]\n", "service foo                                      [ OK ]"),
    ("a \x1b[10C b\n", "a            b"),
    ("abc \x1b[2D xy\n", "ab xy"),
    ("a\tb\n", "a       b"),
    ("\x1b[999C\x1b[5Dend\n", "                                                        end"),
];

#[test]
fn a_row_is_what_a_terminal_shows() {
    for pty in ["always", "never"] {
        let bytes: String = ROWS.iter().map(|(bytes, _)| *bytes).collect();
        let text = shown(&writes(&bytes), &["--color", "never", "--pty", pty]);
        let lines: Vec<&str> =
            text.lines().filter_map(|line| line.split_once("web.1  | ")).map(|it| it.1).collect();
        assert_eq!(lines, ROWS.map(|(_, shown)| shown), "--pty {pty}: {text:?}");
    }
}

#[test]
fn logs_show_rows_as_the_main_view_does() {
    let test = Test::new()
        .file("bytes", "[    ] Starting database\r[ OK ]\n")
        .procfile("web: cat bytes; exec gangling --wait\n");
    let mut window = Terminal::with_ganger(&test, ["start", "--color", "never"]);
    window.wait_for("| [ OK ] Starting database\r\n");
    window.wait_for("ready pid=");
    let mut logs = Terminal::with_ganger(&test, ["logs", "--color", "never"]);
    logs.wait_beside();
    assert!(logs.text().contains("| [ OK ] Starting database\r\n"), "{:?}", logs.text());
    window.type_text("\x03");
    window.wait();
}

/// Returns the lines of one process.
fn lines_of<'a>(name: &str, text: &'a str) -> Vec<&'a str> {
    let line = |line: &'a str| line.split_once(name)?.1.trim_start().strip_prefix("| ");
    text.lines().filter_map(line).collect()
}

/// A frame as log-update writes it (listr2, ora, ink): the rows of the last one are erased, from the last up.
fn frame(before: usize, rows: &[&str]) -> String {
    let erase = format!("{}\x1b[2K\x1b[G", "\x1b[2K\x1b[1A".repeat(before));
    (if before > 0 { erase } else { String::new() }) + &rows.concat()
}

#[test]
fn a_list_that_is_redrawn_is_not_shown_at_each_change() {
    let frames = (0..20).map(|at| frame(2, &[&format!("{at} one\n"), &format!("{at} two\n")]));
    let bytes = frame(0, &["- one\n", "- two\n"])
        + &frames.collect::<String>()
        + &frame(2, &["+ one\n", "+ two\n"])
        + "all done\n";
    let text = shown(&writes(&bytes), &["--color", "never"]);
    assert_eq!(lines_of("web.1", &text), ["- one", "- two", "+ one", "+ two", "all done"], "{text:?}");
}

#[test]
fn a_row_of_a_list_is_shown_when_it_is_still() {
    let script = "cat first; until test -e go; do sleep 0.02; done; cat second; until test -e end; do sleep 0.02; done";
    let test = Test::new()
        .file("script", script)
        .file("first", frame(0, &["- one\n", "- two\n"]) + &frame(2, &["+ one\n", "- two\n"]))
        .file("second", frame(2, &["+ one\n", "+ two\n"]))
        .procfile("web: exec sh script\n");
    let mut window = Terminal::with_ganger(&test, ["start", "--color", "never"]);
    window.wait_for("| + one\r\n");
    std::fs::write(test.path("go"), "").expect("written");
    window.wait_for("| + two\r\n");
    std::fs::write(test.path("end"), "").expect("written");
    window.wait();
    let screen = window.text();
    assert_eq!(lines_of("web.1", &screen), ["- one", "- two", "+ one", "+ two"], "{screen:?}");
}

#[test]
fn the_full_screen_is_named_and_not_shown() {
    let script = "printf 'before\\n\\033[?1049h\\033[5;5Hhidden\\n'; until test -e go; do sleep 0.02; done; \
        printf '\\033[?1049lafter\\n\\033[?1049hagain\\n'";
    let test = Test::new().file("script", script).procfile("web: exec sh script\n");
    let mut window = Terminal::with_ganger(&test, ["start", "--color", "never"]);
    window.wait_for("system | web.1 uses the full screen; see it with `ganger attach web.1`\r\n");
    std::fs::write(test.path("go"), "").expect("written");
    window.wait_for("| after\r\n");
    window.wait();
    let screen = window.text();
    assert!(!screen.contains("hidden") && !screen.contains("again"), "{screen:?}");
    assert_eq!(screen.matches("uses the full screen").count(), 1, "{screen:?}");
}

#[test]
fn the_last_lines_in_the_report_are_harmless_too() {
    let app = Test::new().file("bytes", "\x1b[2Jboom\n").procfile("web: cat bytes; exit 3\n");
    let text = shown(&app, &[]);
    assert!(text.contains("its last lines:") && text.contains("  boom\r\n"), "{text:?}");
    assert!(!text.contains("\x1b[2J"), "{text:?}");
}

#[test]
fn a_prompt_is_shown_and_goes_on_in_place() {
    let test = Test::new().procfile("web: exec gangling --write-half-line name? --wait-file go --say bye\n");
    let mut window = Terminal::with_ganger(&test, ["start"]);
    // gangling says `ready` behind it before it waits, so that the line is whole.
    window.wait_for("name?ready pid=");
    std::fs::write(test.path("go"), "").expect("written");
    window.wait_for("bye\r\n");
    window.wait();
    let half = "printf 'name? '; until test -e go; do sleep 0.02; done; printf 'Ada'; until test -e on; do sleep 0.02; done; echo .";
    let test = Test::new().file("half", half).procfile("web: exec sh half\n");
    let mut window = Terminal::with_ganger(&test, ["start"]);
    window.wait_for("name? ");
    std::fs::write(test.path("go"), "").expect("written");
    let between = window.wait_for("Ada");
    assert_eq!(between, "Ada");
    std::fs::write(test.path("on"), "").expect("written");
    assert_eq!(window.wait_for("\n"), ".\r\n");
    window.wait();
}

#[test]
fn an_interrupted_half_line_goes_on_under_a_new_prefix() {
    let half = "printf 'half '; until test -e go; do sleep 0.02; done; echo whole; until test -e end; do sleep 0.02; done";
    let test = Test::new()
        .file("half", half)
        .procfile("a: exec sh half\nb: exec gangling --wait-file say --say between --wait\n")
        .var("NO_COLOR", "1");
    let mut window = Terminal::with_ganger(&test, ["start"]);
    window.wait_for("a.1    | half ");
    std::fs::write(test.path("say"), "").expect("written");
    let between = window.wait_for("b.1    | between");
    assert!(between.starts_with("\r\n"), "{between:?}");
    std::fs::write(test.path("go"), "").expect("written");
    window.wait_for("a.1    | whole\r\n");
    std::fs::write(test.path("end"), "").expect("written");
    window.wait();
}

#[test]
fn progress_is_drawn_in_place() {
    let bar = "for i in 1 2 3; do printf \"\\rstep $i\"; until test -e go$i; do sleep 0.02; done; done; echo; until test -e end; do sleep 0.02; done";
    let test = Test::new().file("bar", bar).procfile("web: exec sh bar\n").var("NO_COLOR", "1");
    let mut window = Terminal::with_ganger(&test, ["start"]);
    window.wait_for("| step 1");
    for step in 1..3 {
        std::fs::write(test.path(&format!("go{step}")), "").expect("written");
        let next = window.wait_for(&format!("| step {}", step + 1));
        assert!(next.starts_with("\r\x1b[2K") && !next.contains('\n'), "{next:?}");
    }
    std::fs::write(test.path("go3"), "").expect("written");
    assert_eq!(window.wait_for("\n"), "\r\n");
    std::fs::write(test.path("end"), "").expect("written");
    window.wait();
}

#[test]
fn without_a_terminal_bytes_pass_and_half_lines_wait() {
    let finished = Test::new()
        .procfile("web: printf '\\033[2Jhalf'; sleep 0.5; printf '10%%\\r20%%\\n'\n")
        .args(["--pty", "always"])
        .run()
        .code(0);
    assert_eq!(finished.bytes_of("web.1"), b"\x1b[2Jhalf10%\r20%\n");
}

#[test]
fn a_screen_full_of_blank_lines_is_no_way_to_wipe_it_either() {
    // What vite does: it scrolls everything away before it goes to the top.
    let blank = "\n".repeat(22);
    let text =
        shown(&writes(&format!("one\n\ntwo\n{blank}\x1b[1;1H\x1b[0Jthree\n")).var("NO_COLOR", "1"), &[]);
    let lines: Vec<&str> =
        text.lines().filter_map(|line| line.split_once("web.1  | ")).map(|it| it.1).collect();
    assert_eq!(lines, ["one", "", "two", "three"], "{text:?}");
}

#[test]
fn a_reset_another_row_or_the_other_screen_begins_a_new_line() {
    let bytes = "one\x1bctwo\x1bEthree\x1b[?1049hhidden\x1b[?1049lfive\x1b7\x1b[9;1Hsix\x1b8seven\n";
    let text = shown(&writes(bytes), &["--color", "never"]);
    let lines: Vec<&str> =
        text.lines().filter_map(|line| line.split_once("web.1  | ")).map(|it| it.1).collect();
    assert_eq!(lines, ["one", "two", "three", "five", "six", "seven"], "{text:?}");
}

#[test]
fn a_coloured_spinner_turns_in_place() {
    let spinner = "\x1b[36m|\x1b[0m\x08\x1b[36m/\x1b[0m\x08\x1b[36m-\x1b[0m\x1b[1000D\x1b[32mdone\x1b[0m\n";
    let text = shown(&writes(&format!("\x1b[36m|\x1b[0m\x08\x1b[36m/\x1b[0m\n{spinner}")), &[]);
    assert!(text.contains(" \x1b[36m/\x1b[0m\r\n"), "{text:?}");
    assert!(text.contains(" \x1b[32mdone\x1b[0m\r\n"), "{text:?}");
}

#[test]
fn two_halves_of_a_control_character_do_not_meet() {
    let app = Test::new().procfile("web: printf '\\302\\033[K\\2332Jtext\\n'\n");
    let mut window = Terminal::with_ganger(&app, ["start"]);
    window.wait();
    let text = window.text();
    assert!(text.contains("\u{fffd}2Jtext\r\n"), "{text:?}");
}

/// Returns what follows a text of one process, up to the line of another.
fn after(last: &str, bytes: &str) -> String {
    let test = Test::new()
        .file("bytes", bytes)
        .procfile("a: cat bytes; exec gangling --wait-file end\nb: exec gangling --wait-file go --say plain --wait-file end\n");
    let mut window = Terminal::with_ganger(&test, ["start", "--color", "always"]);
    window.wait_for(last);
    std::fs::write(test.path("go"), "").expect("written");
    let after = window.wait_for("plain");
    std::fs::write(test.path("end"), "").expect("written");
    window.wait();
    after
}

#[test]
fn attributes_reset_after_a_cr_end_with_their_line() {
    let link = after("|text", "\x1b]8;;http://evil.example/\x1b\\|text\r\x1b]8;;\x1b\\\n");
    assert!(link.starts_with("\x1b]8;;\x1b\\\r\n"), "{link:?}");
    for end in ["\r\x1b[0m\n", "\r\x1b[0m\r\n", "\r\x1b[m\x07\n"] {
        let hidden = after("100%", &format!("\x1b[8mprogress 100%{end}"));
        assert!(hidden.starts_with("\x1b[0m\r\n"), "{hidden:?}");
    }
}

#[test]
fn bytes_that_are_control_characters_do_not_pass() {
    let odd =
        || Test::new().procfile("web: printf '\\2332J\\2331;1HOVER \\342\\234\\223 \\303\\2332J \\351\\n'\n");
    for (vars, expected) in [
        (&[("LC_ALL", "C"), ("LANG", "C.UTF-8")][..], &b"| 2J1;1HOVER ? ?2J \xe9\r\n"[..]),
        (&[("LANG", "de_DE")], b"| 2J1;1HOVER ? ?2J \xe9\r\n"),
        (&[("LANG", "C"), ("LC_CTYPE", "en_US.UTF-8")], "| 2J1;1HOVER ✓ Û2J \u{fffd}\r\n".as_bytes()),
        (&[], "| 2J1;1HOVER ✓ Û2J \u{fffd}\r\n".as_bytes()),
    ] {
        let test = vars.iter().fold(odd(), |test, (key, value)| test.var(key, value));
        let mut window = Terminal::with_ganger(&test, ["start", "--color", "never"]);
        window.wait();
        let screen = window.text();
        let expected = String::from_utf8_lossy(expected);
        assert!(screen.contains(&*expected), "{vars:?}: {screen:?}");
    }
}

#[test]
fn a_long_link_does_not_grow_with_each_line() {
    let link = format!("\x1b]8;;{}\x1b\\", "a".repeat(8100));
    let text = shown(&writes(&format!("{link}first\n{}last\n", "x\n".repeat(1000))), &["--color", "never"]);
    assert!(text.contains("| first\r\n") && text.contains("| last\r\n"), "{}", &text[..text.len().min(2000)]);
    assert!(!text.contains("aaaa"), "no link of it");
}
