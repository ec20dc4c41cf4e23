//! What `ganger attach` replays of a process's output, and how it leaves the terminal.

use std::collections::BTreeSet;

use nix::sys::signal::Signal::SIGTERM;

use crate::kit::{Running, Terminal, Test, proc};

fn app(script: &str) -> Test {
    Test::new()
        .file("script", script)
        .procfile("web: exec sh script\nworker: exec gangling --wait\n")
        .args(["start", "--pty", "always"])
}

fn start(test: &Test) -> Running {
    let running = test.start();
    running.wait_for_line("web.1", "ready");
    running.wait_ready("worker.1");
    running
}

fn attach(test: &Test) -> Terminal {
    let mut window = Terminal::with_shell(test);
    window.type_text("ganger attach web\r");
    window.wait_for("Ctrl-] detaches\r\n");
    window
}

fn client(window: &Terminal) -> i32 {
    let find = |it: proc::Process| it.command.contains("ganger attach").then_some(it.pid);
    proc::children(window.pid()).into_iter().find_map(find).expect("an attach")
}

#[test]
fn old_queries_and_actions_are_not_replayed() {
    let asked = [
        "\x1b[c",
        "\x1b[>c",
        "\x1b[=c",
        "\x1bZ",
        "\x1b[5n",
        "\x1b[6n",
        "\x1b[?6n",
        "\x1b[?15n",
        "\x1b[?996n",
        "\x1b[x",
        "\x1b[?2026$p",
        "\x1b[>q",
        "\x1b[14t",
        "\x1b[18t",
        "\x1b[21t",
        "\x1b[8;9;9t",
        "\x1b[2t",
        "\x1b[?u",
        "\x1b[?4m",
        "\x1b[?1;1;0S",
        "\x1b[1;1;1;1;2;2*y",
        "\x1b[2$w",
        "\x1b[1$u",
        "\x1b[&u",
        "\x1b[\"v",
        "\x1b[#|",
        "\x1b[#R",
        "\x05",
        "\x07",
        "\x1b]4;1;?\x07",
        "\x1b]10;?\x1b\\",
        "\x1b]11;red\x07",
        "\x1b]52;c;?\x07",
        "\x1b]52;c;Y3VybA==\x07",
        "\x1b]0;title\x07",
        "\x1b]9;hello\x07",
        "\x1b]777;notify;a;b\x07",
        "\x1b]1337;ReportCellSize\x07",
        "\x1bP$qm\x1b\\",
        "\x1bP+q544e\x1b\\",
        "\x1b_Gi=3,a=q,t=d;AAAA\x1b\\",
        "\x1bPq#0~\x1b\\",
        "\x1b[i",
        "\x1b[5i\x1b[4i",
        "\x1b[3J",
        "\u{9b}6n",
        "\u{9d}52;c;?\u{9c}",
        "\x1b[2h",
        "\x1b[?2048h",
    ];
    let line: String = format!("<{}>", asked.join("><"));
    let test = app("cat asked; printf '\\2336n\\nready\\n'; read -r x; cat asked; echo done; read -r x")
        .file("asked", line.clone());
    let running = start(&test);
    let mut window = attach(&test);
    let shown = window.wait_for("ready\r\n");
    assert_eq!(shown, format!("{}6n\r\nready\r\n", "<>".repeat(asked.len())));
    // New output of the process is written to this terminal.
    window.type_text("\r");
    let shown = window.wait_for("done\r\n");
    assert!(shown.contains(&line), "{shown:?}");
    window.type_text("\x1d");
    window.wait_for("detached from web.1");
    window.type_text("exit 0\r");
    window.wait_beside();
    running.finish();
}

/// Everything that a process may change and that outlasts a screenful.
const CHANGES: &str = "\x1b[31m\x1b[>1u\x1b[?1049h\x1b[1m\x1b[?5h\x1b[4h\x1b[20h\x1b[?69h\x0e\x1b)0\x1b(0\x1b*0\x1b+0\
    \x1b[?25l\x1b[?7l\x1b[?1;6;66h\x1b[?1000;1002;1003;1006;1004;1007;1015;1016h\x1b[?2004;2026;2031;2048h\x1b[?9001h\x1b=\
    \x1b[2;9r\x1b[3g\x1b[5G\x1bH\x1b[4 q\x1b[>1u\x1b[=5u\x1b[>4;2m\x1b[>1;2m\x1b[3q\x1b[12l\x1b[2h\x1b[22;0t\x1b]2;evil\x07\
    \x1b]10;red;red\x07\x1b]12;red\x07\x1b]4;1;red\x07\x1b]9;4;1;50\x07\x1b]22;wait\x07\u{9b}?1001h\x1b]8;;http://a\x07\x1b[5i";

#[test]
fn everything_a_process_has_set_is_undone() {
    let script =
        "stty -echo; echo ready; read -r x; cat changes; printf 'is set\\n\\033]2;half'; read -r x; exit 3";
    for way in ["key", "process", "client", "ganger"] {
        let test = app(script).file("changes", CHANGES);
        let mut running = start(&test);
        let mut window = attach(&test);
        window.wait_for("ready\r\n");
        window.type_text("\r");
        window.wait_for("is set\r\n");
        assert!(Model::of(&window.text()).changed.len() > 30, "{:?}", Model::of(&window.text()).changed);
        match way {
            "key" => window.type_text("\x1d"),
            "process" => window.type_text("\r"),
            "client" => proc::send(client(&window), SIGTERM),
            _ => running.signal(SIGTERM),
        }
        window.wait_for("$ ");
        let model = Model::of(&window.text());
        assert_eq!(model.changed, BTreeSet::new(), "{way}: {:?}", window.text());
        assert_eq!((model.title.as_str(), model.titles.len()), ("", 0), "{way}");
        assert_eq!(model.tabs, (0..10).map(|tab| 1 + 8 * tab).collect(), "{way}");
        window.type_text("exit 0\r");
        window.wait_beside();
        if way == "key" || way == "client" {
            running.stop_beside(SIGTERM);
        } else {
            running.wait_for_exit();
        }
    }
}

#[test]
fn what_the_terminal_sends_by_itself_is_not_left_to_the_shell() {
    let script =
        "stty raw -echo; printf 'ready\\n\\033[?1003h\\033[?1006h\\033[?1004h'; head -c 1 >/dev/null; exit 3";
    for way in ["key", "process", "client"] {
        let test = app(script);
        let running = start(&test);
        let mut window = attach(&test);
        window.wait_for("ready\r\n\x1b[?1003h\x1b[?1006h\x1b[?1004h");
        match way {
            // More than is read at once.
            "key" => {
                window.type_text(&format!("\x1d{}\x1b[0n", "\x1b[<35;10;1M\x1b[I".repeat(600)));
            }
            "process" => window.type_text("x"),
            _ => proc::send(client(&window), SIGTERM),
        }
        let left = window.wait_for("\x1b[5n");
        assert!(left.contains("\x1b[?1003l") && left.contains("\x1b[?1004l"), "{way}: {left:?}");
        window.wait_for("web.1");
        window.wait_for("$ ");
        window.type_text("echo all; echo is well\r");
        window.wait_for("\nis well\r\n");
        assert!(!window.text().contains("35;10"), "{way}: {:?}", window.text());
        window.type_text("exit 0\r");
        window.wait_beside();
        if way == "process" {
            running.wait();
        } else {
            running.stop_beside(SIGTERM);
        }
    }
}

#[test]
fn an_answer_that_comes_while_a_client_leaves_reaches_the_process() {
    let script = "stty raw -echo; printf 'ready\\n'; head -c 1 >/dev/null
printf '\\033[6n'; printf 'got [%s]\\n' \"$(head -c 6 | tr '\\033' '^')\"; read -r x";
    let test = app(script);
    let running = start(&test);
    let mut window = attach(&test);
    window.wait_for("ready\r\n");
    window.type_text("x");
    window.wait_for("\x1b[6n");
    window.type_text("\x1d\x1b[<35;10;1M\x1b[7;7R\x1b[0n");
    running.wait_for(|line| line.text.ends_with("got [^[7;7R]"));
    window.wait_for("detached from web.1");
    window.type_text("exit 0\r");
    window.wait_beside();
    running.finish();
}

/// The state of a terminal that can change: the differences from its initial state.
#[derive(Debug, Default)]
struct Model {
    changed: BTreeSet<String>,
    title: String,
    titles: Vec<String>,
    tabs: BTreeSet<u16>,
    column: u16,
    keys: [u32; 2],
    /// The attributes that leaving the alternate screen restores.
    saved: Option<bool>,
}

impl Model {
    fn of(shown: &str) -> Self {
        let mut model = Self { tabs: (0..10).map(|tab| 1 + 8 * tab).collect(), ..Self::default() };
        let shown = shown.replace('\u{9b}', "\x1b[");
        let mut rest = shown.as_str();
        while let Some(at) = rest.find(['\x1b', '\x0e', '\x0f']) {
            let (control, behind) = rest[at..].split_at(1);
            rest = behind;
            match control {
                "\x0e" => model.change("SO", true),
                "\x0f" => model.change("SO", false),
                _ => rest = model.sequence(rest),
            }
        }
        model
    }

    fn change(&mut self, what: impl Into<String>, is_changed: bool) {
        let what = what.into();
        // A printer takes everything except this.
        if self.changed.contains("print") && what != "print" {
            return;
        }
        if is_changed {
            self.changed.insert(what);
        } else {
            self.changed.remove(&what);
        }
    }

    /// Takes what follows an ESC; returns the rest.
    fn sequence<'a>(&mut self, rest: &'a str) -> &'a str {
        if let Some(csi) = rest.strip_prefix('[') {
            let end = csi.find(|it: char| ('@'..='~').contains(&it)).expect("a whole one");
            self.csi(&csi[..end], csi.as_bytes()[end]);
            return &csi[end + 1..];
        }
        if let Some(osc) = rest.strip_prefix(']') {
            let Some(end) = osc.find(['\x07', '\x1b', '\x18']) else { return "" };
            if !osc[end..].starts_with('\x18') {
                self.osc(&osc[..end]);
            }
            return if osc[end..].starts_with('\x1b') { &osc[end..] } else { &osc[end + 1..] };
        }
        let length = 1 + usize::from(rest.starts_with(['(', ')', '*', '+', '%', ' ', '#']));
        let (sequence, rest) = rest.split_at(length);
        match sequence {
            "=" | ">" => self.change("keypad", sequence == "="),
            // A tab stops at the last column in any case.
            "H" if self.column < 80 => drop(self.tabs.insert(self.column)),
            _ if length == 2 => self.change(&sequence[..1], !sequence.ends_with('B')),
            _ => {}
        }
        rest
    }

    fn csi(&mut self, text: &str, last: u8) {
        let numbers: Vec<u16> = text
            .trim_matches(|it: char| !it.is_ascii_digit())
            .split(';')
            .map(|it| it.parse().unwrap_or(0))
            .collect();
        let first = numbers[0];
        let other = usize::from(self.changed.contains("?1049"));
        match (text.trim_matches(|it: char| it.is_ascii_digit() || it == ';'), last) {
            ("?", b'h' | b'l') => {
                for mode in numbers {
                    let on = last == b'h';
                    if mode == 1049 && on {
                        self.saved = Some(self.changed.contains("look"));
                    }
                    self.change(format!("?{mode}"), on != matches!(mode, 7 | 25));
                    if mode == 1049
                        && !on
                        && let Some(look) = self.saved
                    {
                        self.change("look", look);
                    }
                }
            }
            ("", b'h' | b'l') => {
                for mode in numbers {
                    self.change(mode.to_string(), (last == b'h') != (mode == 12));
                }
            }
            ("", b'm') => self.change("look", first != 0),
            ("", b'r') => self.change("region", !text.is_empty()),
            ("", b'q') => self.change("LEDs", first != 0),
            (" ", b'q') => self.change("shape", first != 0),
            ("", b'i') => self.change("print", first == 5),
            ("", b'g') => self.tabs.clear(),
            ("", b'G') => self.column = first.min(80),
            ("", b't') if first == 22 => self.titles.push(self.title.clone()),
            ("", b't') if first == 23 => self.title = self.titles.pop().unwrap_or_default(),
            (">", b'm') => self.change(format!("keys {first}"), numbers.len() > 1),
            (">", b'u') => self.keys[other] += 1,
            ("<", b'u') => self.keys[other] -= u32::from(first),
            ("=", b'u') => self.change(format!("flags {other}"), first != 0),
            _ => {}
        }
        for (screen, count) in self.keys.into_iter().enumerate() {
            self.change(format!("keys of {screen}"), count > 0);
            if count == 0 {
                self.change(format!("flags {screen}"), false);
            }
        }
    }

    fn osc(&mut self, text: &str) {
        let (number, value) = text.split_once(';').unwrap_or((text, ""));
        match number {
            "0" | "2" => value.clone_into(&mut self.title),
            "8" => self.change("link", value != ";"),
            "4" => self.change("color 104", true),
            "10" => ["color 110", "color 111"].into_iter().for_each(|it| self.change(it, true)),
            "12" => self.change("color 112", true),
            "9" => self.change("progress", value != "4;0"),
            "22" => self.change("pointer", !value.is_empty()),
            _ => self.change(format!("color {number}"), false),
        }
    }
}
