//! Text from elsewhere that tries to drive the terminal, or to hide or forge lines, at every place
//! where ganger takes text: no byte of it acts.
//!
//! Everything runs on a real pty, and the bytes that arrive are checked. The processes here write
//! nothing: sanitizing of their output is tested in `screen.rs` and `terminal.rs`.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::kit::{Terminal, Test};

/// Begins a forged line.
const FORGED: &str = "FORGED";

/// The most bytes of a message, or a few of them.
const MOST: usize = 64 * 1024;

/// Sequences as 7-bit codes.
const SEQUENCES: [&str; 34] = [
    "\x1b]52;c;Zm9v\x07",
    "\x1b]52;c;Zm9v\x1b\\",
    "\x1b]0;PWNED\x07",
    "\x1b]2;PWNED\x1b\\",
    "\x1b]8;;http://evil.example/\x1b\\x",
    "\x1b]9;PWNED\x07",
    "\x1b]10;?\x07",
    "\x1b]1337;File=:AAAA\x07",
    "\x1b]777;notify;a;b\x07",
    "\x1b[5n",
    "\x1b[6n",
    "\x1b[c",
    "\x1b[>q",
    "\x1b[21t",
    "\x1b[?1049h",
    "\x1b[?25l",
    "\x1b[?2004h",
    "\x1b[?1000h",
    "\x1b[?5h",
    "\x1b[4h",
    "\x1b[2J",
    "\x1b[H",
    "\x1b[2K",
    "\x1b[9A",
    "\x1b[3;4r",
    "\x1b[8m",
    "\x1b[38;5;213m",
    "\x1b[5i",
    "\x1bc",
    "\x1b(0",
    "\x1bPq#0~\x1b\\",
    "\x1b_Ga=q\x1b\\",
    "\x1b^pm\x1b\\",
    "\x1bXsos\x1b\\",
];

/// Characters that act alone, reorder their surroundings, or are invisible; and newlines.
const CHARACTERS: [&str; 44] = [
    "\x07",
    "\x08",
    "\x0b",
    "\x0c",
    "\x0e",
    "\x0f",
    "\x05",
    "\x7f",
    "\0",
    "\t",
    "\x1b",
    "\u{85}",
    "\u{9b}",
    "\u{9d}",
    "\u{90}",
    "\u{98}",
    "\u{9f}",
    "\u{61c}",
    "\u{180e}",
    "\u{200b}",
    "\u{200c}",
    "\u{200d}",
    "\u{200e}",
    "\u{200f}",
    "\u{202a}",
    "\u{202b}",
    "\u{202d}",
    "\u{202e}txt.exe",
    "\u{2028}FORGED",
    "\u{2029}FORGED",
    "\u{2060}",
    "\u{2066}",
    "\u{2067}",
    "\u{2069}",
    "\u{206a}",
    "\u{feff}",
    "\u{fff9}",
    "\u{e0041}\u{e007f}",
    "\nFORGED",
    "\r\nFORGED",
    "\rFORGED",
    "\r\x1b[2KFORGED",
    "\u{85}FORGED",
    "\n12:00:00 web.1 | FORGED",
];

/// Each character, and each sequence in its three forms: with C0 codes, with C1 codes as UTF-8, and with
/// C1 codes as bytes. Then words that are too long.
fn texts() -> Vec<Vec<u8>> {
    const C1: [(&str, u8); 7] = [
        ("\x1b[", 0x9b),
        ("\x1b]", 0x9d),
        ("\x1b\\", 0x9c),
        ("\x1bP", 0x90),
        ("\x1b_", 0x9f),
        ("\x1b^", 0x9e),
        ("\x1bX", 0x98),
    ];
    let mut all: Vec<Vec<u8>> = CHARACTERS.map(|text| text.as_bytes().to_vec()).to_vec();
    for sequence in SEQUENCES {
        let as_utf8 = C1.iter().fold(sequence.to_owned(), |text, (seven, eight)| {
            text.replace(seven, &char::from(*eight).to_string())
        });
        let as_bytes = C1.iter().fold(sequence.as_bytes().to_vec(), |text, (seven, eight)| {
            replaced(&text, seven.as_bytes(), &[*eight])
        });
        all.push(sequence.as_bytes().to_vec());
        all.extend((as_utf8 != sequence).then(|| as_utf8.into_bytes()));
        all.extend((as_bytes != sequence.as_bytes()).then_some(as_bytes));
    }
    all.push(b"x".repeat(20_000));
    all.push("\u{9b}".repeat(10_000).into_bytes());
    all
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend([&rest[..at], to].concat());
        rest = &rest[at + from.len()..];
    }
    [&out[..], rest].concat()
}

/// Several in one text, few enough that none is truncated.
fn groups() -> Vec<Vec<u8>> {
    texts().chunks(4).map(|texts| texts.join(&b"~"[..])).collect()
}

/// Asserts that in the output only line ends and the colors of ganger and clap act.
#[track_caller]
fn assert_harmless(bytes: &[u8], what: &dyn std::fmt::Debug) {
    let mut plain = bytes.to_vec();
    for number in
        ["", "0", "1", "2", "4", "31", "32", "33", "34", "35", "36", "90", "91", "92", "93", "94", "95", "96"]
    {
        plain = replaced(&plain, format!("\x1b[{number}m").as_bytes(), b"");
    }
    let plain = replaced(&plain, b"\r\n", b"\n");
    let shown = plain.escape_ascii();
    let text = std::str::from_utf8(&plain).unwrap_or_else(|_| panic!("{what:?}: not UTF-8: {shown}"));
    let acts = |character: char| {
        character != '\n' && character.is_control()
            || matches!(character, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
            || matches!(character, '\u{e0000}'..='\u{e007f}')
    };
    if let Some(character) = text.chars().find(|character| acts(*character)) {
        panic!("{what:?}: U+{:04X} came through: {shown}", u32::from(character));
    }
    for line in text.lines() {
        let is_forged = line.starts_with(FORGED) || line.starts_with("12:00:00 web.1 | ");
        assert!(!is_forged, "{what:?}: a forged line: {shown}");
    }
}

/// Where a text goes: `{}` is the text, `{t}` the same as a TOML string, `{j}` as a JSON string, `{p}` as
/// a part of a path.
#[derive(Debug, Clone, Copy)]
struct Case {
    files: &'static [(&'static str, &'static str)],
    vars: &'static [&'static str],
    args: &'static [&'static str],
    /// Whether the text must be shown, so that the case tests something.
    shown: bool,
}

const GOOD: (&str, &str) = ("Procfile", "web: true\n");

/// A text in an argument.
const fn argument(args: &'static [&'static str]) -> Case {
    Case { files: &[GOOD], vars: &[], args, shown: true }
}

/// A text in a variable.
const fn variable(vars: &'static [&'static str], args: &'static [&'static str]) -> Case {
    Case { files: &[GOOD], vars, args, shown: true }
}

/// A text in a file.
const fn file(files: &'static [(&'static str, &'static str)], args: &'static [&'static str]) -> Case {
    Case { files, vars: &[], args, shown: true }
}

/// A case whose text is not shown.
const fn quiet(case: Case) -> Case {
    Case { shown: false, ..case }
}

#[rustfmt::skip]
const PROCFILE: &[Case] = &[
    quiet(file(&[("Procfile", "{}: true\n")], &["check"])),
    quiet(file(&[("Procfile", "web {}\n")], &["check"])),
    quiet(file(&[("Procfile", "web: true\nweb: {}\n")], &["check"])),
    quiet(file(&[("Procfile", "web={}\n")], &["check"])),
    quiet(file(&[("Procfile", "web : {}\n")], &["start"])),
    quiet(file(&[("Procfile", "web: true # {}\n")], &["check"])),
    quiet(file(&[("Procfile", "web: true # {}\n")], &["start", "--pty", "never"])),
    quiet(file(&[("Procfile", "web: exit 3 # {}\n")], &["start"])),
    quiet(file(&[("Procfile", "web: exit 3 # {}\n")], &["start", "--format", "json"])),
    quiet(file(&[("Procfile", "web: true # {}\n")], &["run", "web"])),
    quiet(file(&[("Procfile", "web: true # {}\n")], &["config", "--explain"])),
    quiet(file(&[("Procfile", "{}web: true # {}\n")], &["--help"])),
];

#[rustfmt::skip]
const ENV: &[Case] = &[
    file(&[GOOD, (".env", "A='{}'\n")], &["config"]),
    file(&[GOOD, (".env", "A='{}'\n")], &["config", "--explain"]),
    file(&[GOOD, (".env", "A={}\nB=\"{}\"\nC='{}'\n")], &["config", "--shell"]),
    file(&[GOOD, (".env", "{\"{j}\": \"{j}\"}")], &["config"]),
    file(&[GOOD, (".env", "{\"{j}\": \"{j}\"}")], &["config", "--explain"]),
    file(&[GOOD, (".env", "{\"A\": \"{j}\", \"{j}\": 1}")], &["config", "--shell"]),
    quiet(file(&[GOOD, (".env", "{}=1\n")], &["check"])),
    quiet(file(&[GOOD, (".env", "{}\n")], &["check", "--strict"])),
    quiet(file(&[GOOD, (".env", "A=\"{}\n")], &["check"])),
    quiet(file(&[GOOD, (".env", "A='{}' x\n")], &["check"])),
    quiet(file(&[GOOD, (".env", "PORT={}\n")], &["check"])),
    quiet(file(&[GOOD, (".env", "{\"A\": {} \"")], &["check"])),
    quiet(file(&[GOOD, (".env", "{\"{}\": 1}")], &["check"])),
    quiet(file(&[GOOD, (".env", "A='{}'\n")], &["config", "--json"])),
    quiet(file(&[GOOD, (".env", "{\"{j}\": \"{j}\"}")], &["config", "--json"])),
    quiet(file(&[GOOD, (".env", "A='{}'\n")], &["run", "true"])),
];

#[rustfmt::skip]
const SETTINGS: &[Case] = &[
    file(&[GOOD, ("ganger.toml", "\"{t}\" = 1\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "\"{t}\" = 1\n")], &["start"]),
    file(&[GOOD, ("ganger.toml", "\"{t}\" = 1\n")], &["config"]),
    quiet(file(&[GOOD, ("ganger.toml", "\"{t}\" = 1\n")], &["ps"])),
    file(&[GOOD, ("ganger.toml", "[\"{t}\"]\na = 1\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "[process.\"{t}\"]\non-exit = \"ignore\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "[process]\n\"{t}\" = 1\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "[process.web]\n\"{t}\" = 1\n")], &["check"]),
    quiet(file(&[GOOD, ("ganger.toml", "[process.web.env]\n\"A{t}\" = 1\n")], &["check"])),
    file(&[GOOD, ("ganger.toml", "[process.web.env]\n\"A{t}\" = \"{t}\"\n")], &["config"]),
    file(&[GOOD, ("ganger.toml", "[process.web.env]\n\"A{t}\" = \"{t}\"\n")], &["config", "--explain"]),
    quiet(file(&[GOOD, ("ganger.toml", "{} = 1\n")], &["check"])),
    quiet(file(&[GOOD, ("ganger.toml", "port = \"{}\n")], &["check"])),
    file(&[GOOD, ("ganger.toml", "procfile = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "env = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "env = [\"Procfile\", \"{t}\"]\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "port = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "color = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "format = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "timestamps = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "timestamps = \"%!{t}\"\n")], &["start"]),
    file(&[GOOD, ("ganger.toml", "timeout = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "timeout = \"web={t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "wait-timeout = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "stop-signal = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "on-exit = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "pty = \"{t}\"\n")], &["check"]),
    quiet(file(&[GOOD, ("ganger.toml", "wait-for = \"{t}\"\n")], &["check"])),
    quiet(file(&[GOOD, ("ganger.toml", "wait-for = \"web=log:web:({t}\"\n")], &["check"])),
    file(&[GOOD, ("ganger.toml", "formation = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "concurrency = \"{t}=1\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "exclude = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "mute = \"{t}\"\n")], &["check"]),
    quiet(file(&[GOOD, ("ganger.toml", "attach = \"{t}\"\n")], &["check"])),
    file(&[GOOD, ("ganger.toml", "attach = \"{t}\"\n")], &["start"]),
    quiet(file(&[GOOD, ("ganger.toml", "log-dir = \"Procfile/{t}\"\n")], &["start"])),
    file(&[GOOD, ("ganger.toml", "log-dir = \"Procfile/{t}\"\n")], &["config", "--explain"]),
    file(&[GOOD, ("ganger.toml", "[process.web]\ncwd = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "[process.web]\ncwd = \"{t}\"\n")], &["start"]),
    file(&[GOOD, ("ganger.toml", "[process.web]\ncolor = \"{t}\"\n")], &["check"]),
    quiet(file(&[GOOD, ("ganger.toml", "[process.web]\nready = \"{t}\"\n")], &["check"])),
    file(&[GOOD, ("ganger.toml", "[process.web]\npty = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "[process.web]\ntimeout = \"{t}\"\n")], &["check"]),
    file(&[GOOD, ("ganger.toml", "[process.web]\nstop-signal = \"{t}\"\n")], &["check"]),
    quiet(file(&[GOOD, ("ganger.toml", "[process.web]\nwait-for = \"{t}\"\n")], &["check"])),
    file(&[GOOD, ("ganger.toml", "wait-timeout = 0.1\n[process.web]\nwait-for = \"cmd:false #{t}\"\n")], &["start"]),
    file(&[GOOD, ("ganger.toml", "wait-timeout = 0.1\n[process.web]\nwait-for = \"cmd:false #{t}\"\n")], &["-D"]),
    quiet(file(&[GOOD, ("ganger.toml", "wait-timeout = 0.1\n[process.web]\nwait-for = \"http://[::1]:1/{t}\"\n")], &["start"])),
    quiet(file(&[GOOD, ("ganger.toml", "wait-timeout = 0.1\n[process.web]\nwait-for = \"cmd:false #{t}\"\n")], &["start", "--format", "json"])),
];

#[rustfmt::skip]
const ARGUMENTS: &[Case] = &[
    argument(&["-f", "{}", "check"]),
    argument(&["-f", "{}", "start"]),
    argument(&["-e", "{}", "check"]),
    argument(&["-d", "{}", "check"]),
    argument(&["-d", "{}", "ps"]),
    argument(&["-d", "{}", "stop"]),
    argument(&["-p", "{}"]),
    argument(&["start", "--port={}"]),
    argument(&["--port-step", "{}", "check"]),
    argument(&["--color", "{}", "check"]),
    argument(&["--format", "{}"]),
    argument(&["--pty={}"]),
    argument(&["--timestamps={}"]),
    argument(&["-t", "web={}"]),
    argument(&["-t", "{}=1"]),
    argument(&["--stop-signal", "{}"]),
    argument(&["--on-exit", "{}"]),
    argument(&["--wait-timeout", "{}"]),
    argument(&["--wait-for", "{}"]),
    argument(&["--wait-timeout=0.1", "--wait-for", "web=cmd:false #{}"]),
    argument(&["-m", "{}"]),
    argument(&["-c", "{}"]),
    argument(&["-x", "{}"]),
    argument(&["--mute", "{}"]),
    argument(&["--attach", "{}"]),
    argument(&["--log-dir", "Procfile/{}"]),
    argument(&["start", "{}"]),
    argument(&["start", "web={}"]),
    argument(&["start", "--", "{}"]),
    argument(&["start", "--", "./{}"]),
    argument(&["{}"]),
    argument(&["web{}"]),
    argument(&["--{}"]),
    argument(&["start", "--prot{}", "5"]),
    argument(&["-{}"]),
    quiet(argument(&["{}", "--help"])),
    argument(&["ps", "{}"]),
    argument(&["run", "{}"]),
    argument(&["run", "--", "{}"]),
    argument(&["run", "./{}"]),
    argument(&["run", "true {}"]),
    quiet(argument(&["run", "--help", "{}"])),
    argument(&["config", "{}"]),
    argument(&["completions", "{}"]),
    argument(&["logs", "-n", "{}"]),
    argument(&["wait", "-t", "{}"]),
    quiet(argument(&["attach", "{}"])),
    quiet(argument(&["stop", "{}"])),
];

#[rustfmt::skip]
const VARIABLES: &[Case] = &[
    variable(&["GANGER_PROCFILE={}"], &["check"]),
    variable(&["GANGER_ENV={}"], &["check"]),
    variable(&["GANGER_ROOT={}"], &["check"]),
    variable(&["GANGER_PORT={}"], &["check"]),
    variable(&["GANGER_PORT_STEP={}"], &["start"]),
    variable(&["GANGER_COLOR={}"], &["check"]),
    variable(&["GANGER_TIMESTAMPS={}"], &["start"]),
    variable(&["GANGER_TIMEOUT={}"], &["check"]),
    variable(&["GANGER_FORMATION={}"], &["check"]),
    variable(&["GANGER_WAIT_FOR={}"], &["check"]),
    variable(&["GANGER_LOG_DIR=Procfile/{}"], &["start"]),
    quiet(variable(&["GANGER_SOCKET=/{}/{}"], &["ps"])),
    variable(&["GANGER_SOCKET=/{}/{}"], &["-D"]),
    quiet(variable(&["GANGER_SOCKET=/{}/{}"], &["start"])),
    quiet(variable(&["PORT={}", "GANGER_NO_PORT="], &["check"])),
    variable(&["PATH=/{}"], &["run", "nope"]),
    variable(&["A={}", "B{}=1"], &["config"]),
    variable(&["A={}"], &["config", "--shell"]),
];

impl Case {
    fn run(&self, text: &[u8], app: &Test) -> Vec<u8> {
        let mut app =
            self.files.iter().fold(app.clone(), |app, (name, template)| app.file(name, fill(template, text)));
        for template in self.vars {
            // A variable cannot contain NUL, and one over the kernel's limit is another test.
            let whole = without_nul(fill(template, text));
            let equals = whole.iter().position(|byte| *byte == b'=').expect("a name");
            app = app.var(OsStr::from_bytes(&whole[..equals]), OsStr::from_bytes(&whole[equals + 1..]));
        }
        let args = self.args.iter().map(|template| OsString::from_vec(without_nul(fill(template, text))));
        let mut terminal = Terminal::with_ganger(&app, args);
        terminal.wait_beside();
        terminal.bytes()
    }
}

fn without_nul(mut text: Vec<u8>) -> Vec<u8> {
    text.retain(|byte| *byte != 0);
    text
}

fn fill(template: &str, text: &[u8]) -> Vec<u8> {
    let lossy = String::from_utf8_lossy(text);
    let toml: Vec<String> =
        lossy.chars().map(|character| format!("\\U{:08x}", u32::from(character))).collect();
    let json: Vec<String> = lossy.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let out = replaced(template.as_bytes(), b"{t}", toml.concat().as_bytes());
    let out = replaced(&out, b"{j}", json.concat().as_bytes());
    replaced(&out, b"{}", text)
}

/// Runs every case, on a few threads.
fn try_all(cases: &[Case]) {
    let groups = groups();
    let todo = Mutex::new(cases.iter().enumerate());
    let work = || {
        while let Some((place, case)) = { todo.lock().expect("no panic").next() } {
            let test = Test::without_ports();
            let mut shown = 0;
            // The first case of each kind is tried with all texts, the others with a fourth of them, in turns.
            let step = if place < 4 { 1 } else { 4 };
            for text in groups.iter().skip(place % step).step_by(step) {
                let bytes = case.run(text, &test);
                assert_harmless(&bytes, &(case, text.escape_ascii().to_string()));
                // The output of `config` and JSON is not a message.
                let is_whole = case.args[0] == "config" || case.args.contains(&"json");
                assert!(is_whole || bytes.len() < MOST, "{case:?}: {} bytes", bytes.len());
                let escapes = [&br"\u{"[..], br"\x", br"\u0"];
                let has = |escape: &&[u8]| bytes.windows(escape.len()).any(|window| window == *escape);
                shown += usize::from(escapes.iter().any(has));
            }
            assert!(!case.shown || shown > 0, "{case:?}: the text is not shown");
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
    });
}

#[test]
fn hostile_procfiles_cannot_drive_the_terminal() {
    try_all(PROCFILE);
}

#[test]
fn hostile_env_files_cannot_drive_the_terminal() {
    try_all(ENV);
}

#[test]
fn hostile_settings_cannot_drive_the_terminal() {
    try_all(SETTINGS);
}

#[test]
fn hostile_arguments_cannot_drive_the_terminal() {
    try_all(ARGUMENTS);
}

#[test]
fn hostile_variables_cannot_drive_the_terminal() {
    try_all(VARIABLES);
}

/// Processes with each text in their commands, and the commands that ask about them.
#[test]
fn hostile_processes_cannot_drive_the_terminal_of_commands() {
    let texts: Vec<Vec<u8>> = texts();
    // Text that would end the entry is left to another start.
    let harmless = |text: &&Vec<u8>| !text.iter().any(|byte| b"\n\r\0".contains(byte));
    let good: Vec<&[u8]> = texts.iter().filter(harmless).map(|text| &text[..]).collect();
    let entry = |(number, texts): (usize, &[&[u8]])| {
        let command = [b"exec sleep 1000 # ", &texts.join(&b"~"[..])[..]].concat();
        [format!("w{number}: ").into_bytes(), command, b"\n".to_vec()].concat()
    };
    let procfile: Vec<u8> = good.chunks(20).enumerate().flat_map(entry).collect();
    let app = Test::without_ports().procfile(procfile).args(["--timeout", "5"]);
    let running = app.start();
    running.wait_for_line("system", "w0.1 started");
    let tries: [&[&str]; 10] = [
        &["ps"],
        &["ps", "--json"],
        &["scale"],
        &["logs", "-n", "5"],
        &["logs", "--json"],
        &["wait", "w1", "-t", "0"],
        &["restart", "w1"],
        &["config", "--running"],
        &["stop", "w0"],
        &["start"],
    ];
    for args in tries {
        let mut terminal = Terminal::with_ganger(&app, args);
        terminal.wait_beside();
        assert_harmless(&terminal.bytes(), &args);
        if args[0] == "ps" {
            let escape = if args.len() > 1 { r"\u202e" } else { r"\u{202e}" };
            assert!(terminal.text().contains(escape), "{}", terminal.text());
        }
    }
    for text in good.chunks(4).map(|texts| texts.join(&b"~"[..])) {
        for command in ["attach", "stop", "restart", "up", "logs", "wait", "open", "scale"] {
            let mut terminal = Terminal::with_ganger(&app, [OsStr::new(command), OsStr::from_bytes(&text)]);
            terminal.wait_beside();
            assert_harmless(&terminal.bytes(), &(command, text.escape_ascii().to_string()));
        }
    }
    running.finish();
}

/// A message may be kept in a file and read on a terminal later.
#[test]
fn messages_are_escaped_in_a_pipe_too() {
    let test = Test::without_ports().procfile("web: true\n");
    let hostile = "\x1b]0;t\x07\n\u{9b}2J";
    let shown = r"\u{1b}]0;t\u{7}\n\u{9b}2J";
    for args in [
        &["-e", hostile, "check"][..],
        &["-p", hostile],
        &[hostile],
        &["run", hostile],
        &["-d", hostile, "ps"],
    ] {
        let finished = test.beside(args).stderr_has(shown);
        assert!(!finished.stderr.contains(&0x1b), "{finished}");
    }
    let waits = ["--wait-timeout=0.1", "--wait-for", "web=cmd:false #\x1b[8m\nFORGED"];
    test.beside(waits).code(1).stdout_has(r"system | web.1 waits for cmd:false #\u{1b}[8m\nFORGED");
}

/// An instance of another version, or a fake one: its replies are text from elsewhere.
#[test]
fn hostile_answers_of_an_instance_cannot_drive_the_terminal() {
    let test = Test::without_ports().procfile("web: true\n");
    let socket = test.path("socket");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let test = test.var("GANGER_SOCKET", &socket);
    let all = texts().into_iter().map(|text| String::from_utf8_lossy(&text).into_owned());
    let hostile: Vec<String> = all.collect();
    let groups: Vec<String> = hostile.chunks(12).map(|texts| texts.join("~")).collect();
    // Accepts one client after the other until the test is over.
    let served = groups.clone();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let hostile = &served[number % served.len()];
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(stream.try_clone().expect("a descriptor")).lines();
            while let Some(Ok(line)) = lines.next() {
                for answer in answers(&line, hostile) {
                    let mut line = serde_json::to_vec(&answer).expect("JSON");
                    line.push(b'\n');
                    if stream.write_all(&line).is_err() {
                        break;
                    }
                }
            }
        }
    });
    let commands: [&[&str]; 14] = [
        &["ps"],
        &["ps", "--json"],
        &["scale"],
        &["scale", "web=1"],
        &["restart"],
        &["up", "web"],
        &["stop", "web"],
        &["reload"],
        &["wait"],
        &["logs"],
        &["logs", "--json"],
        &["config", "--running"],
        &["config", "--running", "--explain"],
        &["attach", "web"],
    ];
    for args in commands {
        let mut shown = false;
        for _ in &groups {
            let mut terminal = Terminal::with_ganger(&test, args);
            terminal.wait_beside();
            assert_harmless(&terminal.bytes(), &args);
            shown |= terminal.text().contains("\\u");
        }
        assert!(shown, "{args:?}: nothing of it is shown");
    }
}

/// Returns replies to a request; to one of two, an error.
fn answers(request: &str, text: &str) -> Vec<Value> {
    static REFUSES: AtomicBool = AtomicBool::new(false);
    let request: Value = serde_json::from_str(request).expect("JSON");
    let command = request["cmd"].as_str().expect("a command");
    let process = json!({
        "name": text, "type": text, "command": text, "pid": null, "port": null, "state": text, "since": text,
        "restarts": 0, "restart_in": null, "crashes": 0, "exit": { "error": text }, "ready": false,
        "waits_for": [text],
    });
    let formation = json!([{ "type": text, "count": 1 }, { "type": "web", "count": 1 }]);
    let result = |result: Value| vec![json!({ "v": 1, "result": result })];
    if command != "ps" && REFUSES.fetch_xor(true, Ordering::Relaxed) {
        return vec![
            json!({ "v": 1, "error": { "message": text, "details": [text, text], "hint": text, "status": 1 } }),
        ];
    }
    match command {
        "ps" => result(json!({ "pid": 1, "root": text, "formation": formation, "processes": [process] })),
        "wait" => {
            let late = json!({ "name": text, "ready": false, "why": text });
            let ready = json!({ "name": text, "ready": true, "why": null });
            result(json!({ "outcome": "out-of-time", "processes": [late, ready] }))
        }
        "config" => {
            let hidden = STANDARD.encode(text);
            let variables = json!([
                { "name": text, "value": text, "from": text },
                { "name": "A", "value": "", "value_b64": hidden, "from": "shell" },
            ]);
            result(json!({ "variables": variables }))
        }
        "logs" => {
            let skipped = json!({ "process": text, "type": text, "skipped": 3 });
            [vec![json!({ "v": 1, "item": skipped })], result(Value::Null)].concat()
        }
        "attach" => vec![json!({ "v": 1, "error": { "message": text, "hint": text, "status": 1 } })],
        _ => {
            let change = |did: &str, exit: Value| json!({ "name": text, "did": did, "pid": 1, "port": null, "exit": exit, "error": text });
            let all = [
                change("failed", Value::Null),
                change("stopped", json!({ "signal": text })),
                change("restarted", Value::Null),
            ];
            result(json!({ "processes": all, "formation": formation }))
        }
    }
}

/// The name of an app's directory, and of the Procfile, can come from an archive.
#[test]
fn hostile_directory_names_cannot_drive_the_terminal() {
    let names = texts().into_iter().map(|text| {
        let plain = text.into_iter().filter(|byte| !b"/\0".contains(byte));
        plain.take(60).collect::<Vec<u8>>()
    });
    let names: Vec<Vec<u8>> = names.collect();
    for name in names.chunks(16).map(|names| names.join(&b"~"[..])) {
        let name = OsString::from_vec(name.into_iter().take(250).collect());
        let test = Test::without_ports();
        let folder = test.path("x").with_file_name(&name);
        std::fs::create_dir(&folder).expect("a directory");
        std::fs::write(folder.join("Procfile"), "web: exec sleep 1000\n").expect("written");
        std::fs::write(folder.join("ganger.toml"), "timeout = 5\n").expect("written");
        let shown = |args: &[&str]| {
            let args = args.iter().map(OsStr::new);
            let mut terminal =
                Terminal::with_ganger(&test, [OsStr::new("-d"), &name].into_iter().chain(args));
            terminal.wait_beside();
            assert_harmless(&terminal.bytes(), &(&name, terminal.text()));
            terminal.text()
        };
        let mut told = shown(&["check"]) + &shown(&["ps"]) + &shown(&["-D"]) + &shown(&["-D"]);
        told += &(shown(&["ps"]) + &shown(&["scale", "web=0"]) + &shown(&["ps"]) + &shown(&["stop"]));
        std::fs::write(folder.join("ganger.toml"), "nope = 5\n").expect("written");
        told += &shown(&["check"]);
        assert!(told.contains(r"\u{") || told.contains('\u{fffd}'), "{told}");
        test.world().assert_nothing_left();
    }
}

/// Adding a place that writes takes a decision: text for people, which is escaped on its way
/// out (`print`, `complain`), or bytes (`print_raw`).
#[test]
fn commands_write_through_one_module() {
    const OTHERS: [&str; 6] = [
        // The functions.
        "cmd/say.rs",
        // Lines of processes, already sanitized.
        "cmd/logs.rs",
        // The output thread gets the descriptor.
        "cmd/start.rs",
        // It looks whether stdout is still read.
        "control/client.rs",
        // They ask for the size of the terminal.
        "cmd/attach.rs",
        "cmd/terminals.rs",
    ];
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![src.join("cli.rs"), src.join("main.rs"), src.join("error.rs")];
    for folder in ["cmd", "cli", "config", "plan", "supervisor", "control", "model"] {
        let mut folders = vec![src.join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
    }
    for path in files {
        let name = path.strip_prefix(&src).expect("below src").to_str().expect("text").to_owned();
        let text = std::fs::read_to_string(&path).expect("a file");
        let writes = ["stdout()", "stderr()", "println!", "print!(", "/dev/tty", "io::Stdout"];
        let found = writes.iter().find(|word| text.contains(**word));
        assert!(
            found.is_none() || OTHERS.contains(&&name[..]),
            "{name} has `{}`: write with `print`, `print_raw` or `complain` of src/cmd/say.rs",
            found.unwrap_or(&"")
        );
    }
}
