use super::*;
use crate::config::diagnostic::Diagnostic;
use crate::config::keys::{OF_PROCESS, OPTIONS, Shape};
use crate::config::scoped::Seconds;
use crate::error::{Severity, render_diagnostics};
use crate::model::{PtyChoice, Sig};

fn types() -> Vec<ProcessName> {
    ["web", "worker"].iter().map(|name| name.parse().expect("a name")).collect()
}

fn read(text: &str) -> (Settings, Vec<Diagnostic>) {
    Settings::read(Source::new("ganger.toml", text))
}

#[track_caller]
fn good(text: &str) -> Settings {
    let (settings, problems) = read(text);
    assert!(problems.is_empty(), "{}", render_diagnostics(Severity::Error, &problems));
    let problems = settings.check(&types());
    assert!(problems.is_empty(), "{}", render_diagnostics(Severity::Error, &problems));
    settings
}

/// What is wrong as to keys and types, else what is wrong with the values.
fn wrong(text: &str) -> String {
    let (settings, problems) = read(text);
    let problems = if problems.is_empty() { settings.check(&types()) } else { problems };
    render_diagnostics(Severity::Error, &problems)
}

fn texts(settings: &Settings, name: &str) -> Vec<String> {
    let setting = settings.option(name);
    setting.into_iter().flat_map(|setting| setting.texts.iter().map(|it| it.text.clone())).collect()
}

#[test]
fn values_are_texts_as_the_command_line_has_them() {
    let settings = good(
        "port = 0x1_388\nport-step = 1_0\ntimeout = [0.5, \"worker=30\", 7]\nno-env = true\nexpand = false\n\
         env = \".env, b.env\"\nexclude = []\nstop-signal = 15\n",
    );
    let table = [
        ("port", &["5000"][..]),
        ("port-step", &["10"]),
        ("timeout", &["0.5", "worker=30", "7"]),
        ("no-env", &["true"]),
        ("expand", &["false"]),
        ("env", &[".env, b.env"]),
        ("exclude", &[]),
        ("stop-signal", &["15"]),
        ("mute", &[]),
    ];
    for (name, expected) in table {
        assert_eq!(texts(&settings, name), expected, "{name}");
    }
}

#[test]
fn a_byte_order_mark_and_crlf_are_fine() {
    assert_eq!(texts(&good("\u{feff}port = 1\r\n[process.web]\r\nmute = true\r\n"), "port"), ["1"]);
}

#[test]
fn every_example_is_read() {
    for key in OPTIONS {
        good(&format!("{} = {}\n", key.name, key.example));
    }
    for key in OF_PROCESS {
        good(&format!("[process.web]\n{} = {}\n", key.name, key.example));
    }
    // In its own table a process needs no name, and there is one value.
    good("[process.web]\ntimeout = 30\nstop-signal = 'QUIT'\non-exit = 'restart'\npty = 'always'\n");
}

#[test]
fn an_option_may_be_of_one_process() {
    let settings = good(
        "timeout = ['worker=30', 5]\npty = 'never'\n[process.worker]\ntimeout = 20\n[process.web]\npty = 'always'\n",
    );
    let [web, worker] = &types()[..] else { panic!("two types") };
    let timeout = settings.scoped::<Seconds>("timeout", &types());
    let seconds = |name| timeout.of(name).map(|seconds| seconds.0.as_secs());
    assert_eq!((seconds(web), seconds(worker)), (Some(5), Some(20)));
    let pty = settings.scoped::<PtyChoice>("pty", &types());
    assert_eq!((pty.of(web), pty.of(worker)), (Some(PtyChoice::Always), Some(PtyChoice::Never)));
    assert_eq!(settings.scoped::<Sig>("stop-signal", &types()).of(web), None);
}

#[test]
fn a_process_has_settings_of_its_own() {
    let settings = good(
        "[process.web]\ncwd = 'sub'\ncolor = 'bright-red'\nmute = false\n[process.web.env]\nB = '2'\nA = 'x y'\n",
    );
    let table = settings.process(&types()[0]).expect("a table");
    let variables: Vec<_> =
        table.variables().iter().map(|it| (it.name.text.as_str(), it.value.as_str(), it.line)).collect();
    assert_eq!(variables, [("B", "2", 6), ("A", "x y", 7)]);
    assert_eq!(table.cwd().map(|(folder, _)| folder), Some("sub".into()));
    assert_eq!((table.color(), table.is_muted()), (Some(ProcessColor::BrightRed), Some(false)));
    assert!(settings.process(&types()[1]).is_none());
}

#[test]
fn unknown_keys() {
    insta::assert_snapshot!(wrong("timout = 5\nport_step = 2\nfoo = 1\ncwd = \"x\"\n[web]\nmute = true\n"), @r#"
    ganger: error: there is no option `timout`
      --> ganger.toml:1:1
       |
     1 | timout = …
       | ^^^^^^
      hint: did you mean `timeout`?
    ganger: error: there is no option `port_step`
      --> ganger.toml:2:1
       |
     2 | port_step = …
       | ^^^^^^^^^
      hint: did you mean `port-step`?
    ganger: error: there is no option `foo`
      --> ganger.toml:3:1
       |
     3 | foo = …
       | ^^^
      hint: the options are the long ones of `ganger start --help`, without the dashes
    ganger: error: there is no option `cwd`
      --> ganger.toml:4:1
       |
     4 | cwd = …
       | ^^^
      hint: `cwd` is for one process: write it under `[process.NAME]`
    ganger: error: there is no option `web`
      --> ganger.toml:5:2
       |
     5 | [web]
       |  ^^^
      hint: what is for one process stands under `[process.web]`
    "#);
    insta::assert_snapshot!(wrong("[process.web]\nport-step = 4\ncolour = 'red'\nfoo = 1\n"), @r"
    ganger: error: a process has no `port-step`
      --> ganger.toml:2:1
       |
     2 | port-step = …
       | ^^^^^^^^^
      hint: `port-step` is for all processes: write it above the first `[…]`
    ganger: error: a process has no `colour`
      --> ganger.toml:3:1
       |
     3 | colour = …
       | ^^^^^^
      hint: did you mean `color`?
    ganger: error: a process has no `foo`
      --> ganger.toml:4:1
       |
     4 | foo = …
       | ^^^
      hint: it can have color, cwd, env, kill-mode, mute, on-exit, port, pty, ready, stop-signal, timeout, wait-for
    ");
}

#[test]
fn wrong_types() {
    let text = "port = true\nno-env = 'yes'\ncolor = ['auto']\nenv = 1979-05-27\nformation = ['web=2', 3]\n\
                port-step = '1'\nprocess = 1\n";
    insta::assert_snapshot!(wrong(text), @r#"
    ganger: error: `port` takes a number or a text, and this is `true`
      --> ganger.toml:1:8
       |
     1 | port = true
       |        ^^^^
      hint: write it as in `port = 7000`
    ganger: error: `no-env` takes `true` or `false`, and this is a text
      --> ganger.toml:2:10
       |
     2 | no-env = …
       |          ^
      hint: write it as in `no-env = true`
    ganger: error: `color` takes a text, and this is a list
      --> ganger.toml:3:9
       |
     3 | color = …
       |         ^
      hint: write it as in `color = "never"`
    ganger: error: `env` takes a text or a list of texts, and this is a date
      --> ganger.toml:4:7
       |
     4 | env = 1979-05-27
       |       ^^^^^^^^^^
      hint: write it as in `env = [".env", ".env.local?"]`
    ganger: error: `formation` takes a text or a list of texts, and this is a number
      --> ganger.toml:5:23
       |
     5 | formation = ['web=2', 3]
       |                       ^
      hint: write it as in `formation = ["web=2", "worker"]`
    ganger: error: `port-step` takes a number, and this is a text
      --> ganger.toml:6:13
       |
     6 | port-step = …
       |             ^
      hint: write it as in `port-step = 10`
    ganger: error: `process` takes tables, and this is a number
      --> ganger.toml:7:1
       |
     7 | process = …
       | ^^^^^^^
      hint: write a table for each process, as in `[process.web]`
    "#);
    let text = "[process]\nweb = 1\n[process.worker]\ntimeout = [1]\nenv = 'x'\nmute = 1\n";
    insta::assert_snapshot!(wrong(text), @r#"
    ganger: error: `process` takes tables, and `web` is a number
      --> ganger.toml:2:1
       |
     2 | web = …
       | ^^^
      hint: write a table for each process, as in `[process.web]`
    ganger: error: `timeout` takes a number or a text, and this is a list
      --> ganger.toml:4:11
       |
     4 | timeout = [1]
       |           ^^^
      hint: write one value; this table is about one process
    ganger: error: `env` takes a table of variables, and this is a text
      --> ganger.toml:5:7
      hint: write it as in `env = { DEBUG = "1" }`
    ganger: error: `mute` takes `true` or `false`, and this is a number
      --> ganger.toml:6:8
       |
     6 | mute = 1
       |        ^
      hint: write it as in `mute = true`
    "#);
}

#[test]
fn wrong_values_and_names() {
    let text = "timeout = ['web=x', 'wrker=5']\nformation = 'web=x'\nmute = 'wbe'\nexclude = ['css']\n\
                [process.wbe]\n[process.\"web.1\"]\n[process.web]\ncolor = 'pink'\npty = 'x'\n\
                stop-signal = 'FOO'\non-exit = 'die'\ntimeout = -1\n";
    insta::assert_snapshot!(wrong(text), @r#"
    ganger: error: `web=x`: a time is a number of seconds from 0 to 86400, as in `10` or `0.5`
      --> ganger.toml:1:12
       |
     1 | timeout = ['web=x', 'wrker=5']
       |            ^^^^^^^
    ganger: error: `wrker=5`: no process is called `wrker`; did you mean `worker`?
      --> ganger.toml:1:21
       |
     1 | timeout = ['web=x', 'wrker=5']
       |                     ^^^^^^^^^
    ganger: error: `web=x`: a count is a whole number from 0 to 65535
      --> ganger.toml:2:13
       |
     2 | formation = 'web=x'
       |             ^^^^^^^
      hint: write NAME=COUNT, as in `web=2`
    ganger: error: no process is called `wbe`
      --> ganger.toml:3:8
       |
     3 | mute = 'wbe'
       |        ^^^^^
      hint: did you mean `web`? The Procfile has `web`, `worker`
    ganger: error: no process is called `css`
      --> ganger.toml:4:12
       |
     4 | exclude = ['css']
       |            ^^^^^
      hint: the Procfile has `web`, `worker`
    ganger: error: no process is called `wbe`
      --> ganger.toml:5:10
       |
     5 | [process.wbe]
       |          ^^^
      hint: did you mean `web`? The Procfile has `web`, `worker`
    ganger: error: `web.1` is one instance; whole types are chosen
      --> ganger.toml:6:10
       |
     6 | [process."web.1"]
       |          ^^^^^^^
      hint: write `web`, or `web=1` for 1 of them
    ganger: error: `pink`: a colour is `none` or one of black, red, green, yellow, blue, magenta, cyan and white, also with `bright-` before it
      --> ganger.toml:8:9
       |
     8 | color = 'pink'
       |         ^^^^^^
    ganger: error: `x`: it is `auto`, `always` or `never`
      --> ganger.toml:9:7
       |
     9 | pty = 'x'
       |       ^^^
    ganger: error: `FOO`: unknown signal; use a name such as TERM, INT, QUIT or HUP
      --> ganger.toml:10:15
        |
     10 | stop-signal = 'FOO'
        |               ^^^^^
    ganger: error: `die`: it is `stop`, `ignore` or `restart`
      --> ganger.toml:11:11
        |
     11 | on-exit = 'die'
        |           ^^^^^
    ganger: error: `-1`: a time is a number of seconds from 0 to 86400, as in `10` or `0.5`
      --> ganger.toml:12:11
        |
     12 | timeout = -1
        |           ^^
    "#);
}

#[test]
fn what_is_no_toml() {
    insta::assert_snapshot!(wrong("port = 1\nport = 2\n[process.web\n"), @r"
    ganger: error: `port` is set twice
      --> ganger.toml:2:1
       |
     2 | port = 2
       | ^^^^
      hint: remove one
    ganger: error: unclosed table, expected `]`
      --> ganger.toml:3:13
       |
     3 | [process.web
       |             ^
      hint: the file is TOML; https://toml.io has its rules
    ");
    insta::assert_snapshot!(wrong("a = \"x\nb\n"), @r#"
    ganger: error: invalid basic string, expected `"`
      --> ganger.toml:1:7
      hint: the file is TOML; https://toml.io has its rules
    ganger: error: key with no value, expected `=`
      --> ganger.toml:2:2
      hint: the file is TOML; https://toml.io has its rules
    "#);
    let bytes = Source::new("ganger.toml", &b"port = 1\na = \"\xff\"\n"[..]);
    insta::assert_snapshot!(render_diagnostics(Severity::Error, &Settings::read(bytes).1), @r"
    ganger: error: this is no UTF-8
      --> ganger.toml:2:6
      hint: save the file as UTF-8
    ");
}

#[test]
fn values_of_variables_are_never_shown() {
    let table = [
        "[process.web]\nenv = { A = 1, B = \"hunter2\" }\n",
        "[process.web]\nenv = { A = \"hunter2\", \"B=\" = \"hunter2\", C = \"hunter2\\u0000\" }\n",
        "process.web = { env = { A = \"hunter2\" }, cwdd = \"x\" }\n",
        "process.wbe = { env = { A = \"hunter2\" } }\n",
        "env = { A = \"hunter2\" }\n",
        "[process.web.env]\nA = \"\"\"\nhunter2\"\"\"\nB = 1\n",
        // No TOML, so that nobody knows what is a variable.
        "[process.web.env]\nA = \"hunter2\n",
        "[process.web]\nenv.A = \"hunter2\nport = 1\n",
        "[process.web]\nenv = { A = \"hunter2 }\n",
        "process.web.env.A = hunter2\n",
        "[process.web.env]\nA = \"\"\"\nhunter2\n[x\nhunter2\n",
        "[process.web.env]\nA = hunter2\nA = hunter2\n",
    ];
    for text in table {
        let shown = wrong(text);
        assert!(shown.contains("error") && !shown.contains("hunter2"), "{text}\n{shown}");
    }
    // What has no secret in its line shows it.
    assert!(wrong("[process.web]\ncwdd = 1\nenv = { A = \"hunter2\" }\n").contains("cwdd = …"));
    insta::assert_snapshot!(wrong("[process.web.env]\nA = 1\nB = \"x\\u0000\"\n\"C=\" = \"\"\n"), @r"
    ganger: error: the value of `A` is a number, and variables are texts
      --> ganger.toml:2:1
      hint: write the value in quotes
    ganger: error: there is a NUL byte in the value of `B`
      --> ganger.toml:3:1
      hint: take it out; no environment variable can hold it
    ganger: error: no variable can have this name
      --> ganger.toml:4:1
      hint: a name has neither `=` nor a NUL in it, and is not empty
    ");
}

#[test]
fn implausible_values_are_refused() {
    insta::assert_snapshot!(wrong("env = ['.env', 'API_TOKEN=hunter2']\n"), @r"
    ganger: error: `env` takes names of env files, but this looks like a variable
      --> ganger.toml:1:16
      hint: write variables of one process under `[process.NAME.env]`, and those of all into an env file; a file with this name is written `./NAME=…`
    ");
    good("env = './API=x'\n");
    let wait = "http://u:hunter2@localhost/ x";
    insta::assert_snapshot!(wrong(&format!("wait-for = ['web=tcp:1', 'web={wait}']\n")), @r"
    ganger: error: `wait-for`: an address has a host, and a port from 1 to 65535 if it has one, as in http://localhost:9200/health
      --> ganger.toml:1:26
       |
     1 | wait-for = ['web=tcp:1', …
       |                          ^
    ");
    for (key, length) in [("log-dir", 4097), ("timestamps", 65_537)] {
        let text = format!("{key} = '{}'\n", "x".repeat(length));
        assert!(
            wrong(&text)
                .starts_with(&format!("ganger: error: a value of `{key}` is too long: {length} bytes"))
        );
    }
}

#[test]
fn a_file_with_too_many_entries_is_refused() {
    use std::fmt::Write as _;
    let many = "a=1\n".repeat(500_001);
    let shown = wrong(&many);
    assert!(shown.starts_with("ganger: error: too many keys and values"), "{shown}");
    let mut unknown = String::new();
    for number in 0..10_000 {
        writeln!(unknown, "key{number} = 'hunter2'").expect("written");
    }
    let shown = wrong(&unknown);
    assert!(shown.len() < 10_000 && !shown.contains("hunter2"), "{shown}");
    assert!(
        shown.ends_with("ganger: error: 9980 more problems; this is the first\n  --> ganger.toml:21:1"),
        "{shown}"
    );
    let types: Vec<ProcessName> =
        (0..60_000).map(|number| format!("p{number}").parse().expect("a name")).collect();
    let (settings, _) = read(&format!("formation = '{}p59999'\n", "p59999,".repeat(2000)));
    let problems = render_diagnostics(Severity::Error, &settings.check(&types));
    assert!(
        problems.starts_with("ganger: error: too many names and values for 60000 process types"),
        "{problems}"
    );
}

#[test]
fn variables_that_ganger_sets() {
    let settings = good("[process.web.env]\nPORT = '1'\nPS = 'x'\nA = '1'\n");
    let warnings = |ports| render_diagnostics(Severity::Warning, &settings.idle(ports));
    insta::assert_snapshot!(warnings(true), @r"
    ganger: warning: `PORT` has no effect here: ganger sets it for each process
      --> ganger.toml:2:1
      hint: `port` in the table of the process sets it, and `no-port` leaves PORT alone
    ganger: warning: `PS` has no effect here: ganger sets it for each process
      --> ganger.toml:3:1
      hint: take it out
    ");
    assert!(!warnings(false).contains("PORT"));
}

#[test]
fn what_is_layered_can_be_of_one_process() {
    for key in OPTIONS.iter().filter(|key| key.shape == Shape::Scoped) {
        assert!(key.in_process, "{}", key.name);
    }
}

proptest::proptest! {
    #[test]
    fn anything_is_read_or_refused(text in "[\\[\\]a-z.=\"' {}\n,0-9é]{0,60}") {
        let (settings, _) = read(&text);
        settings.check(&types());
    }
}
