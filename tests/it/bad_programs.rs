//! A program that cannot be started: `check`, `start`, `run` and `start -- CMD` say the same of it.

use std::os::unix::fs::PermissionsExt as _;

use crate::kit::Test;

#[test]
fn all_commands_have_one_diagnosis() {
    let test = Test::new()
        .var("PATH", "/usr/bin:/bin")
        .file("bin/flat", "#!/bin/sh\n")
        .file("bin/lost", "#!/no/such/python -u\n")
        .file("bin/env-lost", "#!/usr/bin/env no-such-x\n")
        .file("bin/crlf", "#!/bin/sh\r\necho hi\r\n");
    for name in ["bin/lost", "bin/env-lost", "bin/crlf"] {
        std::fs::set_permissions(test.path(name), std::fs::Permissions::from_mode(0o755)).expect("changed");
    }
    let script = "install it, or correct the first line of the script";
    for (program, what, hint, status) in [
        ("bin/nope", "no such file", "it was looked for at DIR/bin/nope", 127),
        ("./bin", "it is a directory", "name a file", 126),
        (
            "bin/flat",
            "permission denied: the file is not executable",
            "make it executable: `chmod +x DIR/bin/flat`",
            126,
        ),
        ("bin/lost", "its interpreter `/no/such/python` was not found", script, 127),
        ("bin/env-lost", "its interpreter `no-such-x` was not found", script, 127),
        (
            "bin/crlf",
            "its first line ends with CR LF (Windows line endings)",
            "convert it to LF, as with `sed -i 's/\\r$//' DIR/bin/crlf`",
            127,
        ),
    ] {
        let test = test.clone().procfile(format!("sp: {program} -x\nother: sleep 60\n"));
        let check = |args: &[&str]| test.clone().args(["check"]).args(args).run();
        check(&[]).code(0).stderr(&format!("ganger: warning: sp: `{program}`: {what}\n  hint: {hint}\n"));
        let strict = check(&["--strict"]).code(2);
        strict.stderr(&format!("ganger: error: sp: `{program}`: {what}\n  hint: {hint}\n"));
        let start = test.clone().args(["start", "sp"]).run();
        start.stdout_has(&format!("hint: `{program}` of sp.1: {what}; {hint}\n"));
        let entries =
            if status == 127 && what == "no such file" { "; entries of the Procfile: sp, other" } else { "" };
        let run = test.clone().args(["run", program, "-x"]).run().code(status);
        run.stderr(&format!("ganger: error: {program}: {what}\n  hint: {hint}{entries}\n"));
        let beside = test.args(["start", "other", "--", program]).run().code(status);
        beside.stdout("").stderr(&format!("ganger: error: {program}: {what}\n  hint: {hint}\n"));
    }
}

#[test]
fn words_of_the_shell_are_no_programs() {
    let words =
        ["bg", "chdir", "continue", "fc", "fg", "getopts", "hash", "jobs", "local", "return", "unalias"];
    let lines: Vec<String> = words.iter().map(|word| format!("{word}: {word} x\n")).collect();
    Test::new().procfile(lines.concat()).args(["check"]).run().code(0).stderr("");
}
