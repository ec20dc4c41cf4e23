//! When there are colours.

use crate::kit::Test;

const ESC: u8 = 0x1b;

/// Runs an app into a pipe; answers stdout.
fn printed(args: &[&str], vars: &[(&str, &str)]) -> Vec<u8> {
    let mut test = Test::new().procfile("web: echo hello\n").args(args);
    for (key, value) in vars {
        test = test.var(key, value);
    }
    test.run().code(0).stdout
}

/// Arguments, variables, and whether there are colours.
type Case = (&'static [&'static str], &'static [(&'static str, &'static str)], bool);

#[test]
fn into_a_pipe_only_on_request() {
    let table: [Case; 11] = [
        (&[], &[], false),
        (&[], &[("TERM", "xterm-256color")], false),
        (&["--color", "auto"], &[], false),
        (&["--color", "always"], &[], true),
        (&["--color", "always"], &[("NO_COLOR", "1")], true),
        (&[], &[("GANGER_COLOR", "always")], true),
        (&[], &[("CLICOLOR_FORCE", "1")], true),
        (&[], &[("CLICOLOR_FORCE", "0")], false),
        (&[], &[("FORCE_COLOR", "1")], true),
        (&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        (&["--color", "never"], &[("CLICOLOR_FORCE", "1")], false),
    ];
    for (args, vars, colours) in table {
        let text = printed(args, vars);
        let shown = String::from_utf8_lossy(&text);
        assert_eq!(text.contains(&ESC), colours, "{args:?} {vars:?}\n{shown}");
        let coloured_name = shown
            .lines()
            .any(|line| line.starts_with("\x1b[36m") && line.ends_with(" web.1  |\x1b[0m hello"));
        assert_eq!(coloured_name, colours, "{args:?} {vars:?}\n{shown}");
    }
}

#[test]
fn colours_of_a_process_end_with_its_line() {
    let red = "web: printf '\\033[31mred\\nstill\\n'\n";
    let test = Test::new().procfile(red);
    let finished = test.clone().args(["--color", "always"]).run().code(0);
    let shown = String::from_utf8_lossy(&finished.stdout);
    assert!(shown.contains(" web.1  |\x1b[0m \x1b[31mred\x1b[0m\n"), "{finished}");
    // Into a pipe bytes pass as they are.
    assert_eq!(test.run().bytes_of("web.1"), b"\x1b[31mred\nstill\n");
}

#[test]
fn never_is_for_the_processes_too() {
    let test = Test::new().procfile("web: gangling --print-env NO_COLOR\n");
    test.clone().args(["--color", "never"]).run().code(0).stdout_has("| NO_COLOR=1\n");
    test.run().code(0).stdout_has("| NO_COLOR is not set\n");
}
