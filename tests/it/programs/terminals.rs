//! Programs that ask their terminal: debuggers, prompts and those that draw. Each comes to its prompt while no client
//! is attached, works in the window of one that attaches then, and leaves no warning in the log.

use super::{App, savers};
use crate::kit::{Terminal, eventually};

/// Asks as termenv does, which many programs in Go use at their start: for the background color, then for the cursor,
/// as every terminal answers that. It waits for 5 s.
const LIKE_TERMENV: &str = r"
import os, select, sys, termios, tty
before = termios.tcgetattr(0)
tty.setcbreak(0)
os.write(1, b'\033]11;?\033\\\033[6n')
got = b''
while not got.endswith(b'R') and select.select([0], [], [], 5)[0]:
    got += os.read(0, 1)
termios.tcsetattr(0, termios.TCSADRAIN, before)
print('background', 'answered' if got.startswith(b'\033]11;rgb:') else 'WARNING: timed out', flush=True)
print(6 * int(input('number? ')), flush=True)
input()
";

/// What is to be seen of a program.
struct Sight {
    /// In its output, before a client attaches.
    prompt: &'static str,
    types: &'static str,
    shows: &'static str,
}

#[track_caller]
fn works(needs: &[&str], web: &str, file: (&str, &str), sight: &Sight) {
    let Some(app) = App::with_ports(needs, savers(&[])) else { return };
    let test = app.test.var("TERM", "xterm-256color").procfile(format!("web: {web}\n")).file(file.0, file.1);
    let running = test.clone().args(["start", "--pty", "always", "-t", "10"]).start();
    eventually(&format!("`{}` is in the output", sight.prompt), || {
        let logs = test.beside(["logs", "web"]);
        String::from_utf8_lossy(&logs.stdout).contains(sight.prompt)
    });
    let mut window = Terminal::with_shell(&test);
    window.type_text("ganger attach web\r");
    window.wait_for("Ctrl-] detaches\r\n");
    window.wait_for(sight.prompt);
    window.type_text(sight.types);
    let mut answered = 0;
    eventually(&format!("`{}` is shown", sight.shows), || {
        // The window's part.
        let shown = window.text();
        let asked = shown.matches("\x1b[6n").count();
        window.type_text(&"\x1b[1;1R".repeat(asked - answered));
        answered = asked;
        shown.contains(sight.shows)
    });
    window.type_text("\x1d");
    window.wait_for("detached from web.1");
    window.type_text("exit 0\r");
    window.wait_beside();
    let finished = running.finish();
    let output = String::from_utf8_lossy(&finished.stdout).to_lowercase();
    assert!(!output.contains("warning"), "{finished}");
}

#[test]
fn irb_works() {
    let file = ("irb.rb", "require 'irb'\nbinding.irb\nsleep\n");
    let sight = Sight { prompt: "irb(main):001:0> ", types: "4321 * 3\r", shows: "12963" };
    works(&["ruby"], "ruby irb.rb", file, &sight);
}

#[test]
fn ruby_s_debugger_works() {
    let file = ("bp.rb", "x = 4321\ndebugger\nsleep\n");
    works(
        &["ruby"],
        "ruby -rdebug bp.rb",
        file,
        &Sight { prompt: "(rdbg)", types: "x * 3\r", shows: "12963" },
    );
}

#[test]
fn pdb_works() {
    let file = ("bp.py", "x = 4321\nbreakpoint()\ninput()\n");
    works(&["python3"], "python3 bp.py", file, &Sight { prompt: "(Pdb) ", types: "x * 3\r", shows: "12963" });
}

#[test]
fn ipdb_works() {
    let file = ("bp.py", "import ipdb\nx = 4321\nipdb.set_trace()\ninput()\n");
    works(&["ipdb3"], "python3 bp.py", file, &Sight { prompt: "ipdb> ", types: "x * 3\r", shows: "12963" });
}

#[test]
fn ipython_works() {
    let sight = Sight { prompt: "In [", types: "4321 * 3\r", shows: "12963" };
    works(&["ipython"], "ipython --no-banner", ("none", ""), &sight);
}

#[test]
fn node_s_prompt_works() {
    works(&["node"], "node", ("none", ""), &Sight { prompt: "> ", types: "4321 * 3\r", shows: "12963" });
}

#[test]
fn node_s_debugger_works() {
    let file = ("bp.js", "debugger;\nsetInterval(() => {}, 1000);\n");
    let sight = Sight { prompt: "debug> ", types: "exec('4321 * 3')\r", shows: "12963" };
    works(&["node"], "node inspect --port=$PORT bp.js", file, &sight);
}

#[test]
fn fish_works() {
    let web = "fish --no-config -C 'function fish_prompt; echo \"ready> \"; end'";
    works(
        &["fish"],
        web,
        ("none", ""),
        &Sight { prompt: "ready> ", types: "math 4321 \\* 3\r", shows: "12963" },
    );
}

#[test]
fn vim_works() {
    let sight = Sight { prompt: "hello", types: ":echo 4321 * 3\r", shows: "12963" };
    works(&["vim"], "vim -u NONE -i NONE -N text", ("text", "hello\n"), &sight);
}

#[test]
fn less_works() {
    let lines: Vec<String> = (0..300).map(|number| format!("line {number}\n")).collect();
    works(
        &["less"],
        "less text",
        ("text", &lines.concat()),
        &Sight { prompt: "line 5", types: "/line 177\r", shows: "line 199" },
    );
}

#[test]
fn htop_works() {
    works(
        &["htop"],
        "htop",
        ("none", ""),
        &Sight { prompt: "Load average", types: "h", shows: "Released under" },
    );
}

#[test]
fn fzf_works() {
    let sight = Sight { prompt: "zebra", types: "zeb", shows: "1/2" };
    works(&["fzf"], "fzf < animals", ("animals", "ape\nzebra\n"), &sight);
}

#[test]
fn a_program_that_asks_as_termenv_does_works() {
    let sight = Sight { prompt: "number? ", types: "4321\r", shows: "25926" };
    works(&["python3"], "python3 asks.py", ("asks.py", LIKE_TERMENV), &sight);
}
