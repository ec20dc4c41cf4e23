//! What ganger says about itself: help, man page, completions.

use crate::kit::Test;

/// Help as it is in a terminal of 100 columns or more.
fn help(args: &[&str]) -> String {
    let finished = Test::new().var("COLUMNS", "100").args(args).run().code(0).stderr("");
    String::from_utf8(finished.stdout.clone()).expect("text")
}

#[test]
fn help_of_all() {
    insta::assert_snapshot!("help", help(&["--help"]));
    assert_eq!(help(&["help"]), help(&["--help"]));
}

#[test]
fn help_of_start() {
    insta::assert_snapshot!("help_start", help(&["start", "--help"]));
}

#[test]
fn every_command_has_help() {
    for command in [
        "run",
        "check",
        "config",
        "ps",
        "scale",
        "restart",
        "stop",
        "up",
        "reload",
        "signal",
        "logs",
        "attach",
        "send",
        "open",
        "completions",
        "man",
        "schema",
    ] {
        for flag in ["-h", "--help"] {
            assert!(help(&[command, flag]).contains("Usage: ganger"), "{command} {flag}");
        }
    }
}

#[test]
fn the_version_is_the_crate_s() {
    let expected = format!("ganger {}\n", env!("CARGO_PKG_VERSION"));
    Test::new().args(["--version"]).run().code(0).stderr("").stdout(&expected);
}

#[test]
fn completions_for_every_shell() {
    for (shell, word) in [("bash", "complete "), ("zsh", "#compdef ganger"), ("fish", "complete -c ganger")] {
        let finished = Test::new().args(["completions", shell]).run().code(0).stderr("").stdout_has(word);
        finished.stdout_has("start").stdout_has("port-step");
    }
}

#[test]
fn bash_takes_its_completions() {
    let test = Test::new()
        .by_shell("\"$@\" completions bash > c && bash -n c && bash --norc -c '. ./c; complete -p ganger'");
    test.run().code(0).stderr("").stdout_has("ganger");
}

#[test]
fn the_man_page_is_one() {
    let page = Test::new().args(["man"]).run().code(0).stderr("");
    page.stdout_has(".TH ganger 1").stdout_has(".SH NAME").stdout_has(
        r".SS ganger check [OPTIONS]
Check the Procfile and the env files; start nothing
.TP
\fB\-\-strict\fR
Take warnings for errors
.SS",
    );
}

#[test]
fn the_man_page_points_to_no_other() {
    let page = Test::new().args(["man"]).run().code(0);
    let text = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(!text.contains("(1)"), "{page}");
    assert_eq!(text.matches("\\-\\-port\\fR").count(), 2, "the synopsis and one list\n{page}");
}
