//! Commands from inside a directory that was removed, as a shell is left in a removed worktree.

use crate::kit::Test;

const PROCFILE: &str = "web: exec gangling --wait\n";

/// Runs the script in a shell whose working directory was removed; in it `"$@"` is ganger.
#[track_caller]
fn in_removed_directory(test: &Test, script: &str) -> crate::kit::Finished {
    let script = format!("mkdir gone && cd gone && export PWD && rmdir ../gone && {{ {script}; }}");
    test.clone().by_shell(&script).run()
}

#[test]
fn absolute_paths_need_no_working_directory() {
    let test = Test::new().procfile(PROCFILE);
    let root = test.dir().to_str().expect("text").to_owned();
    let test = test.var("APP", root);
    for variables in ["", "unset PWD;", "PWD=relative;"] {
        let script = format!(
            "{variables} \"$@\" -d \"$APP\" check && \"$@\" -f \"$APP/Procfile\" check && \"$@\" -d \"$APP\" -D \
             && \"$@\" -d \"$APP\" ps && \"$@\" -f \"$APP/Procfile\" stop"
        );
        let finished = in_removed_directory(&test, &script).code(0).stderr("");
        finished
            .stdout_has("ok: 1 process type (web)\nok: 1 process type (web)\nganger runs in DIR, pid N")
            .stdout_has("web.1: up")
            .stdout_has("ganger in DIR has ended\n");
    }
}

#[test]
fn an_instance_is_reached_from_its_removed_root() {
    let test = Test::new();
    for below in [".", "below"] {
        let script = format!(
            "top=$PWD; cd app/{below} && export PWD && \"$@\" -d \"$top/app\" -D && rm -rf \"$top/app\" && \"$@\" ps \
             && \"$@\" stop"
        );
        let test = test.clone().file("app/Procfile", PROCFILE).file("app/below/x", "").by_shell(&script);
        let finished = test.run().code(0).stderr("");
        finished.stdout_has("web.1: up").stdout_has("ganger in DIR/app has ended\n");
    }
}

#[test]
fn without_any_path_the_message_says_what_to_do() {
    let test = Test::new();
    for command in ["check", "ps", "-d app ps", "-f Procfile start"] {
        let finished =
            in_removed_directory(&test, &format!("unset PWD; \"$@\" {command}")).code(1).stdout("");
        finished.stderr(
            "ganger: error: the working directory no longer exists\n  hint: change to another directory with \
             `cd`, or give the app's with `-d /PATH`\n",
        );
    }
    let finished = in_removed_directory(&test, "unset PWD; \"$@\" schema").code(0);
    finished.stderr("").stdout_has("ganger.toml");
    // Where the shell says which one it was.
    let finished = in_removed_directory(&test, "\"$@\" ps").code(1).stdout("");
    finished.stderr_has("ganger: error: ganger does not run in DIR/gone\n");
    let finished = in_removed_directory(&test, "\"$@\" start").code(2).stdout("");
    finished.stderr_has("ganger: error: there is no Procfile at DIR/gone/Procfile\n");
}
