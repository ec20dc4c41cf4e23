//! What stands before each line.

use crate::kit::{Finished, Test};

fn app() -> Test {
    Test::new().procfile("web: echo hello\nworker: exec gangling --wait\n").var("TZ", "UTC")
}

/// The line that has `hello` in it.
#[track_caller]
fn hello(finished: &Finished) -> String {
    let shown = String::from_utf8_lossy(&finished.stdout).into_owned();
    shown.lines().find(|line| line.ends_with("hello")).expect("the line").to_owned()
}

/// Whether this is digits, and these characters at their places.
fn looks_like(text: &str, pattern: &str) -> bool {
    let same = |(a, b): (char, char)| if b == 'N' { a.is_ascii_digit() } else { a == b };
    text.len() == pattern.len() && text.chars().zip(pattern.chars()).all(same)
}

#[test]
fn options_and_variables() {
    let table = [
        (&[][..], &[][..], "NN:NN:NN web.1    | hello"),
        (&["--timestamps"], &[], "NN:NN:NN web.1    | hello"),
        (&["--timestamps=%F %T%.3f"], &[], "NNNN-NN-NN NN:NN:NN.NNN web.1    | hello"),
        (&["start", "--timestamps=%s"], &[], "NNNNNNNNNN web.1    | hello"),
        (&["--no-timestamps"], &[], "web.1    | hello"),
        (&["--no-prefix"], &[], "hello"),
        (&["--no-prefix", "--timestamps"], &[], "hello"),
        (&["--no-timestamps", "--timestamps=%H"], &[], "NN web.1    | hello"),
        (&["--timestamps=%H", "--no-timestamps"], &[], "web.1    | hello"),
        (&["--no-timestamps", "start", "--timestamps=%H"], &[], "NN web.1    | hello"),
        (&["--timestamps=%H", "start", "--no-timestamps"], &[], "web.1    | hello"),
        (&[], &[("GANGER_TIMESTAMPS", "%H")], "NN web.1    | hello"),
        (&[], &[("GANGER_TIMESTAMPS", "")], "NN:NN:NN web.1    | hello"),
        (&["--timestamps=%H:%M"], &[("GANGER_TIMESTAMPS", "%H")], "NN:NN web.1    | hello"),
        (&["--timestamps=%H:%M", "start"], &[("GANGER_TIMESTAMPS", "%H")], "NN:NN web.1    | hello"),
        (&["--no-timestamps"], &[("GANGER_TIMESTAMPS", "%H")], "web.1    | hello"),
        (&[], &[("GANGER_NO_TIMESTAMPS", "1")], "web.1    | hello"),
        (&["--timestamps=%H"], &[("GANGER_NO_TIMESTAMPS", "1")], "NN web.1    | hello"),
        (&["start", "--timestamps=%H"], &[("GANGER_NO_TIMESTAMPS", "1")], "NN web.1    | hello"),
        (&[], &[("GANGER_NO_TIMESTAMPS", "no")], "NN:NN:NN web.1    | hello"),
        (&[], &[("GANGER_NO_PREFIX", "yes")], "hello"),
    ];
    for (args, vars, pattern) in table {
        let mut test = app().args(args);
        for (key, value) in vars {
            test = test.var(key, value);
        }
        let line = hello(&test.run().code(0));
        assert!(looks_like(&line, pattern), "{args:?} {vars:?}: {line}");
    }
}

#[test]
fn ganger_s_own_lines_are_recognised() {
    for (option, head) in [("--no-timestamps", "system   | "), ("--no-prefix", "system | ")] {
        let finished = app().args([option]).run().code(0);
        let shown = String::from_utf8_lossy(&finished.stdout).into_owned();
        let own: Vec<&str> = shown.lines().filter(|line| line.starts_with(head)).collect();
        assert!(own.iter().any(|line| line.contains("web.1 started, pid ")), "{finished}");
        assert!(own.iter().any(|line| line.contains("web.1 exited with code 0 after ")), "{finished}");
    }
}

#[test]
fn bytes_without_a_prefix_are_those_of_the_process() {
    let test = Test::new().file("bytes", b"\xff\xfe\n\n\0\x1b[31m\r\nlast").procfile("web: exec cat bytes\n");
    let finished = test.args(["--no-prefix"]).run().code(0);
    let own = |line: &&[u8]| !line.starts_with(b"system | ");
    let bytes: Vec<&[u8]> = finished.stdout.split_inclusive(|byte| *byte == b'\n').filter(own).collect();
    assert_eq!(bytes.concat(), b"\xff\xfe\n\n\0\x1b[31m\r\nlast\n", "{finished}");
}

#[test]
fn without_a_prefix_colours_still_end_with_their_line() {
    let test = Test::new().procfile("web: printf '\\033[31mred\\nstill\\n'\n");
    let finished = test.args(["--no-prefix", "--color", "always"]).run().code(0);
    let shown = String::from_utf8_lossy(&finished.stdout).into_owned();
    assert!(shown.contains("\n\x1b[31mred\x1b[0m\nstill\n"), "{finished}");
    assert!(shown.starts_with("\x1b[1msystem |\x1b[0m web.1 started"), "{finished}");
}

#[test]
fn parts_of_a_second_are_those_of_the_line() {
    // The second line is written when the first was seen, so it was read in another wake-up.
    let steps = "web: exec gangling --say one --wait-file go --say two\n";
    let test = Test::new().procfile(steps).args(["--timestamps=%s%.9f"]);
    let running = test.start();
    running.wait_ready("web.1");
    std::fs::write(test.path("go"), "").expect("written");
    let finished = running.wait().code(0);
    let shown = String::from_utf8_lossy(&finished.stdout).into_owned();
    let time = |text: &str| {
        let line = shown.lines().find(|line| line.ends_with(text)).expect("the line");
        line.split(' ').next().expect("a time").to_owned()
    };
    let (one, two) = (time("| one"), time("| two"));
    assert!(one < two && looks_like(&one, "NNNNNNNNNN.NNNNNNNNN"), "{finished}");
}
