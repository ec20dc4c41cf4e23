//! What starts, where, and what the shell makes of it.

use nix::sys::signal::Signal;

use crate::kit::Test;

/// What starts and with which port, in the order in which it does.
fn started(test: &Test) -> Vec<String> {
    let running = test.start();
    // All are started in one go; a signal is heard after that.
    running.wait_for(|line| line.name != "system");
    let finished = running.finish();
    let mut started = Vec::new();
    for line in finished.lines_of("system") {
        if let Some((name, rest)) = line.split_once(" started, pid ") {
            let place = rest.split_once(", ").map_or("", |(_, place)| place);
            started.push(finished.tidy(format!("{name} {place}").as_bytes()));
        }
    }
    started
}

fn app() -> Test {
    let wait = "exec gangling --wait";
    Test::new().procfile(format!("worker: {wait}\nweb: {wait}\nrelease: {wait}\ncss: {wait}\n"))
}

#[test]
fn names_and_ports_are_in_the_order_of_the_file() {
    let expected = ["worker.1 port PORT+100", "web.1 http://localhost:PORT", "css.1 port PORT+300"];
    assert_eq!(started(&app()), expected);
    assert_eq!(started(&app().args(["start"])), expected);
    assert_eq!(started(&app().args(["local"])), expected);
}

#[test]
fn what_is_named_starts() {
    let web = "web.1 http://localhost:PORT";
    let web_2 = "web.2 http://localhost:PORT+1";
    let (worker, css) = ("worker.1 port PORT+100", "css.1 port PORT+300");
    let table: [(&[&str], &[&str]); 14] = [
        (&["start", "web"], &[web]),
        (&["start", "web", "css"], &[web, css]),
        (&["start", "css,web"], &[web, css]),
        (&["start", "web=2"], &[web, web_2]),
        (&["start", "web=2,worker"], &[worker, web, web_2]),
        (&["start", "all=1,css=0"], &[worker, web]),
        (&["start", "release"], &["release.1 port PORT+200"]),
        (&["-m", "web=2"], &[web, web_2]),
        (&["-m", "all=1,web=0"], &[worker, css]),
        (&["-c", "web=2"], &[worker, web, web_2, css]),
        (&["start", "-c", "web=2", "web"], &[web, web_2]),
        (&["-x", "css"], &[worker, web]),
        (&["-x", "css,worker"], &[web]),
        (&["start", "-x", "css", "-c", "web=2"], &[worker, web, web_2]),
    ];
    for (args, expected) in table {
        assert_eq!(started(&app().args(args)), expected, "{args:?}");
    }
    assert_eq!(started(&app().var("GANGER_FORMATION", "css=1")), [css]);
    assert_eq!(started(&app().var("GANGER_FORMATION", "css=1").args(["start", "web"])), [web]);
}

#[test]
fn ports_have_the_distance_that_is_wanted() {
    let expected = ["worker.1 port PORT+10", "web.1 http://localhost:PORT", "css.1 port PORT+30"];
    assert_eq!(started(&app().args(["--port-step", "10"])), expected);
    assert_eq!(started(&app().args(["--no-port"])), ["worker.1 ", "web.1 ", "css.1 "]);
}

/// What `web` prints.
#[track_caller]
fn printed(test: &Test) -> Vec<String> {
    test.run().code(0).stderr("").lines_of("web.1")
}

#[test]
fn processes_run_in_the_root() {
    let app = || Test::new().file("sub/Procfile", "web: pwd; cat here\n").file("sub/here", "sub\n");
    let sub = |test: &Test| [test.path("sub").to_str().expect("text").to_owned(), "sub".into()];
    for args in [&["-f", "sub/Procfile"][..], &["-d", "sub"], &["-d", "sub", "-f", "Procfile"]] {
        let test = app().args(args);
        assert_eq!(printed(&test), sub(&test), "{args:?}");
    }
    let inside = app().cwd("sub");
    assert_eq!(printed(&inside), sub(&inside));
    // A root of its own beats the Procfile's folder.
    let other = app().file("other/here", "other\n").args(["-f", "sub/Procfile", "-d", "other"]);
    assert_eq!(printed(&other)[1], "other");
    let outside = app().cwd("sub").file("here", "top\n").args(["-d", ".."]);
    outside.clone().args(["-f", "Procfile"]).run().code(0).stdout_has("| top\n");
}

#[test]
fn the_env_file_is_the_root_s() {
    let app = || {
        Test::new()
            .file("sub/Procfile", "web: echo \"A is $A\"\n")
            .file("sub/.env", "A=sub\n")
            .file(".env", "A=top\n")
    };
    assert_eq!(printed(&app().args(["-f", "sub/Procfile"])), ["A is sub"]);
    assert_eq!(printed(&app().args(["-d", "sub"])), ["A is sub"]);
}

#[test]
fn the_shell_gets_the_command_as_it_is() {
    let table = [
        (r#"echo "two  blanks" 'and $PORT'"#, "two  blanks and $PORT"),
        ("printf 'a\\nb\\n' | tail -n 1", "b"),
        ("true && echo yes || echo no", "yes"),
        ("A=b env | while read -r x; do case $x in A=*) echo $x;; esac; done", "A=b"),
        ("cd / && pwd", "/"),
        ("echo a#b # comment", "a#b"),
        ("echo err >&2", "err"),
        (
            r"echo one \
 two",
            "one two",
        ),
        ("echo $((1 + 2)) $(echo three)", "3 three"),
        ("f() { echo $1: $2; }; f a b", "a: b"),
    ];
    for (command, output) in table {
        assert_eq!(printed(&Test::new().procfile(format!("web: {command}\n"))), [output], "{command}");
    }
    let test = Test::new().procfile("web: echo $PORT ${PORT}1\n");
    assert_eq!(printed(&test), [format!("{0} {0}1", test.port())]);
}

#[test]
fn any_form_of_file_is_read() {
    for text in ["web:echo hello", "\u{feff}web: echo hello\r\n", "\n# x: y\n  # z\n\tweb:\techo hello\t\n"] {
        assert_eq!(printed(&Test::new().procfile(text)), ["hello"], "{text:?}");
    }
}

#[test]
fn names_are_padded_to_the_longest() {
    let test = Test::new().procfile("a: echo x; exec gangling --wait\nlong-name_1: exec gangling --wait\n");
    let running = test.start();
    running.wait_ready("a.1");
    running.wait_ready("long-name_1.1");
    let finished = running.finish().killed_by(Signal::SIGINT);
    let printed = String::from_utf8_lossy(&finished.stdout);
    assert!(printed.lines().all(|line| line.find('|') == Some("12:34:56 long-name_1.1 ".len())), "{printed}");
}

#[test]
fn many_processes_start_and_stop() {
    let test = Test::new().procfile("web: exec gangling --wait\n").args(["start", "web=100"]);
    let running = test.start();
    for number in 1..=100 {
        running.wait_ready(&format!("web.{number}"));
    }
    running.finish().killed_by(Signal::SIGINT);
}

#[test]
fn a_procfile_from_a_pipe_has_our_folder_as_its_root() {
    let test = Test::new().file(".env", "A=1\n").args(["-f", "/dev/stdin"]);
    test.stdin("web: echo $(pwd) $A\n").run().code(0).stdout_has("web.1  | DIR 1\n");
}

#[test]
fn a_variable_does_not_win_over_an_option_before_start() {
    let test = Test::new().procfile("web: exec gangling --ignore TERM --wait\n");
    let running = test.args(["-t", "0.1", "start"]).var("GANGER_TIMEOUT", "77").start();
    running.wait_ready("web.1");
    running.finish().stdout_has("web.1 did not stop within 0.1 s, killing it\n");
}

#[test]
fn many_start_in_their_order() {
    let entries: Vec<String> = (0..100).map(|n| format!("p{n}: exec gangling --wait\n")).collect();
    let running = Test::new().procfile(entries.concat()).start();
    running.wait_for_lines(100, |line| line.text.starts_with("ready "));
    let finished = running.finish().killed_by(Signal::SIGINT);
    let lines = finished.lines_of("system");
    let names: Vec<&str> = lines.iter().filter_map(|line| Some(line.split_once(" started, ")?.0)).collect();
    let expected: Vec<String> = (0..100).map(|n| format!("p{n}.1")).collect();
    assert_eq!(names, expected, "{finished}");
}

#[test]
fn what_cannot_start_starts_none_of_those_behind() {
    let long = "x".repeat(200_000);
    for place in [0, 1, 2, 20, 39] {
        let command = |n| match n {
            n if n == place => format!("echo {long}"),
            _ => format!("touch began{n}; exec gangling --wait"),
        };
        let entries: Vec<String> = (0..40).map(|n| format!("p{n}: {}\n", command(n))).collect();
        // So many ports would be those of other tests.
        let test = Test::new().procfile(entries.concat()).args(["--no-port"]);
        let finished = test.run().code(1);
        let lines = finished.lines_of("system");
        let started = lines.iter().filter(|line| line.contains(" started, ")).count();
        assert_eq!(started, place, "{finished}");
        let told =
            format!("p{place}.1 could not be started: its command and environment are too long together");
        assert!(lines[place].starts_with(&told), "{finished}");
        let behind = (place..40).find(|n| test.path(&format!("began{n}")).exists());
        assert_eq!(behind, None, "of {place}");
    }
}
