//! Ganger behind programs that get Ctrl-C from the terminal too and hand it on: it arrives several times and is
//! one wish.

use std::io::Write as _;

use crate::kit::{Terminal, Test, proc};

/// Needs a second to save when it is asked to stop.
const SAVES: &str = "exec gangling --log-signals TERM --linger 1000 --say saved";

/// Hands INT and TERM on to what it starts, so many milliseconds later, so many times.
const HANDS_ON: &str = "
const { spawn } = require('child_process');
const [delay, times, ...command] = process.argv.slice(2);
const child = spawn(command[0], command.slice(1), { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    for (let n = 1; n <= Number(times); n++) setTimeout(() => child.kill(signal), Number(delay) * n);
  });
}
child.on('exit', (code) => process.exit(code ?? 1));
";

/// What is written before `ganger start`, with the program that it needs.
const WRAPPERS: [(&str, &str); 9] = [
    ("node", "node wrapper.js 0 1 ganger start"),
    ("node", "node wrapper.js 5 1 ganger start"),
    ("node", "node wrapper.js 30 2 ganger start"),
    ("node", "node wrapper.js 100 3 ganger start"),
    ("node", "node wrapper.js 7 1 node wrapper.js 11 2 ganger start"),
    ("npm", "npm run --silent dev"),
    ("timeout", "timeout 3600 ganger start"),
    ("timeout", "timeout --foreground 3600 ganger start"),
    ("script", "script -qec 'ganger start' /dev/null"),
];

fn app(web: &str) -> Test {
    Test::without_ports()
        .procfile(format!("web: {web}\n"))
        .file("wrapper.js", HANDS_ON)
        .file("package.json", "{\"scripts\": {\"dev\": \"exec ganger start\"}}")
        .var("GANGER_TIMEOUT", "3600")
}

/// Those that are installed here, and it is an error in CI if one is not.
fn wrappers() -> impl Iterator<Item = &'static str> {
    let path = std::env::var_os("PATH").expect("a PATH");
    let is_there = move |program: &str| std::env::split_paths(&path).any(|dir| dir.join(program).exists());
    WRAPPERS.into_iter().filter_map(move |(program, command)| {
        if is_there(program) {
            return Some(command);
        }
        assert!(std::env::var_os("CI").is_none(), "{program} is missing");
        let _ = writeln!(std::io::stderr(), "`{command}` was not tried, as there is no {program}");
        None
    })
}

#[test]
fn ctrl_c_once_lets_the_process_save() {
    for command in wrappers() {
        let test = app(SAVES);
        let mut shell = Terminal::with_shell(&test);
        shell.type_text(&format!("{command}\r"));
        shell.wait_for("ready pid=");
        shell.type_text("\x03");
        shell.wait_for("got SIGTERM 1");
        shell.wait_for("saved");
        shell.wait_for("web.1 exited with code 0");
        shell.wait_for("$ ");
        let shown = shell.text();
        assert!(!shown.contains("SIGKILL") && !shown.contains("got SIGTERM 2"), "{command}\n{shown}");
        shell.type_text("exit 0\r");
        shell.wait();
    }
}

#[test]
fn ctrl_c_twice_kills() {
    for command in wrappers() {
        let test = app("exec gangling --ignore TERM,INT --wait");
        let mut shell = Terminal::with_shell(&test);
        shell.type_text(&format!("{command}\r"));
        shell.wait_for("ready pid=");
        shell.type_text("\x03");
        shell.wait_for("SIGINT received");
        shell.type_text("\x03");
        shell.wait_for("web.1 was killed by SIGKILL");
        shell.wait_for("$ ");
        shell.type_text("exit 0\r");
        shell.wait();
    }
}

/// As a service manager does that signals every process of a unit, while a wrapper in it hands the signal on.
#[test]
fn a_signal_to_every_process_of_a_unit_is_one_wish() {
    for command in wrappers().filter(|command| command.starts_with('n')) {
        let test = app(SAVES).by_shell(&format!("exec {command}"));
        let running = test.start();
        running.wait_ready("web.1");
        for process in test.world().alive().iter().filter(|it| !it.command.contains("gangling")) {
            proc::send_if_there(process.pid, nix::sys::signal::Signal::SIGTERM);
        }
        running.wait_for_line("web.1", "saved");
        let finished = running.wait();
        assert!(!finished.tidy(&finished.stdout).contains("SIGKILL"), "{command}: {finished}");
    }
}

/// Ctrl-C in a program that `ganger start --` runs is that program's, also when a wrapper hands it on.
#[test]
fn ctrl_c_for_a_command_is_not_handed_on_to_ganger() {
    for command in wrappers().filter(|command| command.starts_with("node")) {
        let test = app("exec gangling --wait");
        let mut shell = Terminal::with_shell(&test);
        let beside = "gangling --log-signals INT --say begun --wait-file go";
        shell.type_text(&format!("{command} -- {beside}; echo \"<$?>\"\r"));
        shell.wait_for("\nbegun");
        for number in 1..=2 {
            shell.type_text("\x03");
            shell.wait_for(&format!("got SIGINT {number}"));
        }
        std::fs::write(test.path("go"), "").expect("written");
        shell.wait_for("`gangling` exited with code 0");
        shell.wait_for("<0>");
        let shown = shell.text();
        assert!(!shown.contains("SIGINT received") && !shown.contains("got SIGINT 3"), "{command}\n{shown}");
        shell.type_text("exit 0\r");
        shell.wait();
    }
}
