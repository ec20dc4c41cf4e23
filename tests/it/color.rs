//! When there are colours.

use crate::kit::{Terminal, Test};

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
    let table: [Case; 22] = [
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
        // A flag is before its variable, and both are before all others.
        (&["--color", "auto"], &[("GANGER_COLOR", "always")], false),
        (&[], &[("GANGER_COLOR", "never"), ("FORCE_COLOR", "1")], false),
        (&["--color", "always"], &[("TERM", "dumb")], true),
        // Empty is not set; 0 forces nothing.
        (&[], &[("NO_COLOR", ""), ("CLICOLOR_FORCE", "1")], true),
        (&[], &[("NO_COLOR", "0"), ("CLICOLOR_FORCE", "1")], false),
        (&[], &[("CLICOLOR_FORCE", "")], false),
        (&[], &[("FORCE_COLOR", "")], false),
        (&[], &[("FORCE_COLOR", "0")], false),
        (&[], &[("CLICOLOR_FORCE", "0"), ("FORCE_COLOR", "1")], true),
        (&[], &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")], false),
        // Forcing is before what the terminal can do.
        (&[], &[("FORCE_COLOR", "1"), ("TERM", "dumb")], true),
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
fn in_a_terminal_unless_something_is_against_it() {
    let table: [Case; 9] = [
        (&[], &[], true),
        (&[], &[("NO_COLOR", "")], true),
        (&[], &[("NO_COLOR", "1")], false),
        (&[], &[("NO_COLOR", "1"), ("FORCE_COLOR", "1")], false),
        (&[], &[("CLICOLOR_FORCE", "0")], true),
        (&[], &[("TERM", "dumb")], false),
        (&[], &[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")], true),
        (&["--color", "never"], &[("FORCE_COLOR", "1")], false),
        (&["--color", "always"], &[("NO_COLOR", "1"), ("TERM", "dumb")], true),
    ];
    for (args, vars, colours) in table {
        let mut test = Test::new().procfile("web: echo hello\n");
        for (key, value) in vars {
            test = test.var(key, value);
        }
        let mut window = Terminal::with_ganger(&test, args);
        window.wait_for("hello");
        window.wait();
        let shown = window.text();
        assert_eq!(shown.contains("\x1b[36m"), colours, "{args:?} {vars:?}\n{shown}");
        assert!(colours || !shown.contains('\x1b'), "{args:?} {vars:?}\n{shown}");
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
