//! What a process asks its terminal: ganger answers while no client is attached, and the client's terminal does
//! while one is.

use crate::kit::{Finished, Running, Terminal, Test};

/// Shell functions: `ask QUESTION LENGTH` asks and prints the answer in brackets, `wait_for NAME` waits for a file.
const FUNCTIONS: &str = r#"
ask() { printf "$1"; printf '[%s]\n' "$(head -c "$2" | tr '\033\007' '^!')"; }
wait_for() { until test -e "$1"; do sleep 0.02; done; }
"#;

fn app(script: &str) -> Test {
    Test::new()
        .file("script", format!("{FUNCTIONS}{script}"))
        .procfile("web: exec sh script\nworker: exec gangling --wait\n")
        .args(["start", "--pty", "always"])
}

fn start(test: &Test) -> Running {
    let running = test.start();
    running.wait_ready("worker.1");
    running
}

fn lines(finished: &Finished) -> Vec<String> {
    // The questions are among them.
    let clean = |line: String| line[line.find('[').unwrap_or(0)..].to_owned();
    finished.lines_of("web.1").into_iter().map(|line| clean(line.replace("\x1b[", ""))).collect()
}

#[test]
fn ganger_answers_while_no_client_is_attached() {
    let test = app(r"
stty raw -echo
ask '\033[5n' 4
ask '\033[6n' 6
ask 'abc\033[6n' 6
ask '\033[?6n' 7
ask '\033[c' 9
ask '\033[>c' 10
ask '\033[?2004$p\033[?2004h\033[?2004$p' 22
ask '\033[?4711$p' 11
ask '\033[18t' 10
ask '\033]10;?\007' 24
ask '\033]11;?\033\\' 25
ask '\033P$qm\033\\' 7
# What is not known here, with a fence behind it.
ask '\033[?u\033[>q\033[c' 9
# In pieces.
printf '\033['; printf '5'; ask n 4
exit 0
");
    let finished = test.args(["web"]).run().code(0);
    let expected = [
        "[^[0n]",
        "[^[2;1R]",
        "[^[3;4R]",
        "[^[?4;1R]",
        "[^[?62;22c]",
        "[^[>1;10;0c]",
        "[^[?2004;2$y^[?2004;1$y]",
        "[^[?4711;0$y]",
        "[^[8;24;62t]",
        "[^]10;rgb:ffff/ffff/ffff!]",
        "[^]11;rgb:0000/0000/0000^\\]",
        "[^P0$r^\\]",
        "[^[?62;22c]",
        "[^[0n]",
    ];
    assert_eq!(lines(&finished), expected, "{finished}");
}

#[test]
fn a_program_may_ask_before_it_reads_single_keys() {
    // On a terminal that echoes, the answer would be in the output.
    let test = app(r#"
until test -n "${got-}"; do
    stty sane
    printf 'log \033[6n line'
    stty raw -echo min 0 time 20
    got=$(head -c 6 | tr '\033' '^')
    echo
done
echo "got [$got]"
exit 0
"#);
    let finished = test.args(["web"]).run().code(0);
    let output = finished.tidy(&finished.stdout);
    assert!(output.contains("got [^["), "{finished}");
    assert!(!output.replace("got [^[", "").contains("^["), "{finished}");
}

#[test]
fn a_program_that_does_not_read_its_answers_goes_on() {
    let test = app(r"
stty raw -echo
yes $(printf '\033[c\033[6n') | head -n 300000
printf '\nstill here\n'
exit 0
");
    let finished = test.args(["web"]).run().code(0);
    assert_eq!(finished.lines_of("web.1").last().map(String::as_str), Some("still here"));
}

/// The windows play terminals: the test types their answers.
#[test]
fn each_question_has_one_answer_while_clients_come_and_go() {
    let test = app(r#"
stty raw -echo
ask '\033[5n' 4
wait_for attached
ask 'first\033[5n' 6
ask 'second\033[5n' 6
wait_for detached
ask '\033[5n' 4
wait_for again
ask 'third\033[5n' 6
stty min 0 time 0
printf 'left over [%s]\n' "$(cat)"
wait_for end
exit 0
"#);
    let running = start(&test);
    let touch = |name: &str| std::fs::write(test.path(name), "").expect("written");
    running.wait_for(|line| line.text.ends_with("[^[0n]"));
    let mut window = Terminal::with_shell(&test);
    window.type_text("ganger attach web\r");
    let shown = window.wait_for("[^[0n]\r\n");
    assert!(!shown.contains("\x1b[5n"), "an old question: {shown:?}");
    let mut watching = Terminal::with_shell(&test);
    watching.type_text("ganger attach web\r");
    watching.wait_for("[^[0n]\r\n");
    touch("attached");
    window.wait_for("first\x1b[5n");
    watching.wait_for("first\x1b[5n");
    // The answer of a window that only watches is not input.
    watching.type_text("\x1b[222n");
    window.type_text("\x1b[111n");
    window.wait_for("[^[111n]");
    window.wait_for("second\x1b[5n");
    watching.wait_for("second\x1b[5n");
    watching.type_text("\x1b[222n\x1d");
    watching.wait_for("detached from web.1");
    window.type_text("\x1b[112n");
    window.wait_for("[^[112n]");
    window.type_text("\x1d");
    window.wait_for("detached from web.1");
    touch("detached");
    running.wait_for_lines(2, |line| line.text.ends_with("[^[0n]"));
    window.type_text("ganger attach web\r");
    window.wait_for("Ctrl-] detaches\r\n");
    window.wait_for("[^[0n]\r\n");
    touch("again");
    window.wait_for("third\x1b[5n");
    window.type_text("\x1b[113n");
    window.wait_for("[^[113n]");
    window.wait_for("left over []");
    window.type_text("\x1d");
    window.wait_for("detached from web.1");
    for mut window in [window, watching] {
        window.type_text("exit 0\r");
        window.wait_beside();
    }
    touch("end");
    running.wait().code(0);
}

#[test]
fn colors_are_those_of_the_terminal_that_names_them() {
    let test = app("stty raw -echo\nask '\\033]11;?\\007' 24\nexit 0\n");
    let finished = test.args(["web"]).var("COLORFGBG", "0;15").run().code(0);
    assert_eq!(lines(&finished), ["[^]11;rgb:ffff/ffff/ffff!]"], "{finished}");
}

#[test]
fn each_run_has_a_new_terminal() {
    let test = app("stty raw -echo\nask '\\033[?2004$p\\033[6n\\033[?2004h' 17\nexit 1\n");
    let running = test.args(["--on-exit", "restart", "web"]).start();
    running.wait_for_lines(2, |line| line.text.ends_with("[^[?2004;2$y^[1;1R]"));
    running.finish();
}
