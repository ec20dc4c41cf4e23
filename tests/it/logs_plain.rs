//! `--log-format plain`: log files with lines of text alone.

use crate::kit::Test;

fn app(procfile: &str) -> Test {
    Test::new().procfile(procfile).args(["--log-dir", "log", "--log-format", "plain", "--on-exit", "ignore"])
}

#[track_caller]
fn read(test: &Test, name: &str) -> String {
    let bytes = std::fs::read(test.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    String::from_utf8(bytes).expect("text")
}

/// What a program that thinks it has a terminal writes: colours, a link, progress, a title, and no end.
const FANCY: &[u8] = b"\x1b[1;31mred\x1b[0m \xc3\xa9\tend\r\n\x1b]8;;http://a/\x1b\\link\x1b]8;;\x1b\\\n\
    10%\r50%\r\x1b[K100% done\r\n\x1b]0;title\x07\x1b[?25lhidden\x1b[?25h\x07\n\n\nbuil\x08\x08ld\nhalf";

const PLAIN: &str = "red \u{e9}   end\nlink\n100% done\nhidden\n\n\nbuld\nhalf\n";

#[test]
fn they_have_text_alone_and_each_line_as_it_was_last() {
    for args in [["--pty", "always"], ["--pty", "never"], ["--format", "json"], ["--color", "always"]] {
        let test = app("web: cat fancy\n").file("fancy", FANCY).args(args);
        test.run().code(0).stderr("");
        assert_eq!(read(&test, "log/web.1.log"), PLAIN, "{args:?}");
        // The next run begins on a line of its own.
        test.run().code(0);
        assert_eq!(read(&test, "log/web.1.log"), PLAIN.repeat(2), "{args:?}");
    }
}

#[test]
fn both_streams_of_all_instances_have_theirs() {
    let test = app("web: printf 'out\\rOUT\\n'; printf '\\033[31merr\\033[m' >&2\n")
        .args(["-c", "web=2", "--mute", "web"]);
    for format in ["text", "json"] {
        test.clone().args(["--format", format]).run().code(0);
        for name in ["log/web.1.log", "log/web.2.log"] {
            let written = read(&test, name);
            let mut lines: Vec<&str> = written.lines().collect();
            lines.sort_unstable();
            assert_eq!(lines, ["OUT", "err"], "{format}");
            std::fs::remove_file(test.path(name)).expect("removed");
        }
    }
}

#[test]
fn nothing_is_lost_of_much_output_and_of_long_lines() {
    let long = "x".repeat(3_000_000);
    let test = app("web: cat long; gangling --print 50000 n\n").file("long", format!("{long}\n"));
    test.run().code(0);
    let written = read(&test, "log/web.1.log");
    let (before, numbered) = written.split_at(written.find('n').expect("numbered"));
    // A line of more than 1 MiB is cut, as on the screen.
    assert!(before.replace('\n', "") == long, "{} of {}", before.len(), long.len());
    let expected: Vec<String> = (1..=50_000).map(|number| format!("n {number}\n")).collect();
    assert!(numbered == expected.concat());
}

#[test]
fn the_option_is_one_of_each_layer() {
    let web = "web: printf '\\033[1mbold\\n'\n";
    let wanted = |test: Test, text: &str| {
        test.run().code(0);
        assert_eq!(read(&test, "log/web.1.log"), text);
    };
    let base = || Test::new().procfile(web);
    wanted(base().file("ganger.toml", "log-dir = 'log'\nlog-format = 'plain'\n"), "bold\n");
    let file = "log-dir = 'log'\nlog-format = 'plain'\n";
    wanted(base().file("ganger.toml", file).args(["--log-format", "raw"]), "\u{1b}[1mbold\n");
    wanted(base().file("ganger.toml", "log-dir = 'log'\n").var("GANGER_LOG_FORMAT", "plain"), "bold\n");
    wanted(base().file("ganger.toml", "log-dir = 'log'\n"), "\u{1b}[1mbold\n");
    base().args(["--log-format", "json"]).run().code(2).stderr_has("[possible values: raw, plain]");
    // Without files it changes nothing.
    base().args(["--log-format", "plain"]).run().code(0).stdout_has("\u{1b}[1mbold");
}
