//! A process that does what the tests need: ignores signals, leaves its group, floods its
//! output, closes it, waits for ever.
//!
//! Its arguments are steps, done in their order. When the last one is done it exits with 0.
//! Every line it prints goes out in one write, so that two of them on one pipe never mix.
//!
//! | step | does |
//! |---|---|
//! | `--say TEXT` | prints the line |
//! | `--write-half-line TEXT` | prints it without a newline |
//! | `--print N TAG` | prints `TAG 1` … `TAG N` as fast as it can |
//! | `--print-env NAME` | prints `NAME=value` or `NAME is not set` |
//! | `--print-ids` | prints `ids pid=… pgid=… sid=… ppid=…` |
//! | `--print-size` | prints `size ROWS COLUMNS` of its stdout, or `no size` |
//! | `--print-size-on-winch` | prints that, and again at each WINCH, for ever |
//! | `--isatty` | prints `tty` with those of 0, 1, 2 that are one, and 3 if `/dev/tty` opens |
//! | `--ignore TERM,INT` | ignores the signals; here and below, one without a name by its number |
//! | `--log-signals TERM,INT` | prints `PID got SIGTERM 1` (then 2, …) for each, and goes on |
//! | `--spawn 'STEPS'` | starts another one with these steps; does not wait for it |
//! | `--setsid` | leaves session and group (fails in the leader of a group) |
//! | `--daemon 'STEPS'` | prints `daemon PID`: forked twice, own session, no descriptor open |
//! | `--rename NAME` | changes its name and its command line as others see them |
//! | `--stop` | stops itself (SIGSTOP) |
//! | `--crowd N` | starts N that fork and fork, in new sessions, for half a minute; prints `crowded` |
//! | `--run-away` | forks into a new session and exits, again and again; prints `away` |
//! | `--close-output` | closes stdout and stderr |
//! | `--listen-port` | listens on 127.0.0.1:$PORT, prints `listening PORT` |
//! | `--answer SOCKET FILE LOG` | listens on SOCKET, replies to anything with FILE, and logs what it receives in LOG |
//! | `--ask SOCKET TEXT` | sends the line to SOCKET and prints the whole reply |
//! | `--read-stdin` | prints `stdin: data`, `eof`, `closed` or `nothing` (for 300 ms) |
//! | `--wait` | prints `ready pid=… pgid=… sid=… ppid=…`, waits for ever |
//! | `--wait-file PATH` | prints the same, waits until the file is there |
//! | `--linger MS` | prints the same, waits for INT, TERM, HUP or a real-time signal (log them), then MS more |
//! | `--kill-self KILL` | dies by the signal |
//! | `--exit N` | exits |

#![allow(unsafe_code, reason = "signal handlers and forks")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::unistd::{ForkResult, fork, getpgrp, getpid, getppid, getsid, setsid};

fn main() {
    let mut steps = std::env::args().skip(1);
    while let Some(step) = steps.next() {
        let mut next = || steps.next().unwrap_or_else(|| fail(&format!("{step} needs a value")));
        match step.as_str() {
            "--say" => say(&next()),
            "--write-half-line" => write_out(next().as_bytes()),
            "--print" => {
                let count = number(&next());
                print_lines(count, &next());
            }
            "--print-env" => print_env(&next()),
            "--print-ids" => say(&ids("ids")),
            "--print-size" => print_size(),
            "--print-size-on-winch" => print_size_on_winch(),
            "--isatty" => isatty(),
            "--ignore" => {
                for signal in signals(&next()) {
                    install(signal, libc::SIG_IGN);
                }
            }
            "--log-signals" => {
                for signal in signals(&next()) {
                    install(signal, log_signal as extern "C" fn(i32) as libc::sighandler_t);
                }
            }
            "--spawn" => spawn(&next()),
            "--setsid" => drop(setsid().unwrap_or_else(|error| fail(&format!("setsid: {error}")))),
            "--daemon" => daemon(&next()),
            "--rename" => rename(&next()),
            "--stop" => drop(raise(Signal::SIGSTOP)),
            "--crowd" => crowd(number(&next())),
            "--run-away" => run_away(),
            "--close-output" => close_output(),
            "--listen-port" => listen(),
            "--answer" => {
                let (socket, file) = (next(), next());
                answer(&socket, &file, &next());
            }
            "--ask" => {
                let socket = next();
                ask(&socket, &next());
            }
            "--read-stdin" => read_stdin(),
            "--wait" => wait_for_ever(),
            "--wait-file" => {
                let path = next();
                wait_until(|| std::fs::exists(&path).unwrap_or(false));
            }
            "--linger" => {
                let millis = number(&next());
                wait_until(|| ASKED.load(Ordering::Relaxed));
                std::thread::sleep(Duration::from_millis(millis));
            }
            "--kill-self" => kill_self(&next()),
            "--exit" => std::process::exit(i32::try_from(number(&next())).unwrap_or(1)),
            other => fail(&format!("unknown step {other}")),
        }
    }
}

/// A server that is not ganger, forever: it replies at once, and logs each byte that it receives.
fn answer(socket: &str, file: &str, log: &str) {
    let try_to = |what: &str, error: &std::io::Error| -> ! { fail(&format!("{what}: {error}")) };
    let reply = std::fs::read(file).unwrap_or_else(|error| try_to(file, &error));
    let mut log = std::fs::File::create(log).unwrap_or_else(|error| try_to(log, &error));
    let listener =
        std::os::unix::net::UnixListener::bind(socket).unwrap_or_else(|error| try_to(socket, &error));
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(socket, all).unwrap_or_else(|error| try_to(socket, &error));
    say("answering");
    for stream in listener.incoming().flatten() {
        let mut stream = stream;
        let _ = stream.write_all(&reply);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        let _ = log.write_all(&said);
        let _ = log.write_all(b".");
    }
}

fn ask(socket: &str, text: &str) {
    let stream = std::os::unix::net::UnixStream::connect(socket);
    let mut stream = stream.unwrap_or_else(|error| fail(&format!("{socket}: {error}")));
    // A client that is turned away may find the connection closed before it has sent anything.
    let _ = stream.write_all(format!("{text}\n").as_bytes());
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    write_out(&said);
}

fn fail(message: &str) -> ! {
    let _ = writeln!(std::io::stderr(), "gangling: {message}");
    std::process::exit(99)
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| fail(&format!("{text} is no number")))
}

fn signals(list: &str) -> Vec<i32> {
    let by_name = |name: &str| Signal::from_str(&format!("SIG{name}")).ok().map(|signal| signal as i32);
    let parse = |name: &str| {
        let number = by_name(name).or_else(|| name.parse().ok());
        number.unwrap_or_else(|| fail(&format!("signal {name}?")))
    };
    list.split(',').map(parse).collect()
}

/// Straight to the descriptor: no buffer that a `fork` or a signal could double or cut.
fn write_out(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: pointer and length are those of a slice that lives through the call.
        let count = unsafe { libc::write(1, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(count) {
            Ok(count) => bytes = &bytes[count..],
            Err(_) if nix::errno::Errno::last() == nix::errno::Errno::EINTR => {}
            Err(_) => return,
        }
    }
}

fn say(line: &str) {
    write_out(format!("{line}\n").as_bytes());
}

fn ids(what: &str) -> String {
    let sid = getsid(None).map_or(0, nix::unistd::Pid::as_raw);
    format!("{what} pid={} pgid={} sid={sid} ppid={}", getpid(), getpgrp(), getppid())
}

fn print_lines(count: u64, tag: &str) {
    let mut block = Vec::new();
    for number in 1..=count {
        block.extend_from_slice(format!("{tag} {number}\n").as_bytes());
        if block.len() > 30_000 {
            write_out(&block);
            block.clear();
        }
    }
    write_out(&block);
}

fn print_env(name: &str) {
    match std::env::var_os(name) {
        Some(value) => {
            let value = std::os::unix::ffi::OsStringExt::into_vec(value);
            write_out(&[name.as_bytes(), b"=", &value, b"\n"].concat());
        }
        None => say(&format!("{name} is not set")),
    }
}

fn print_size() {
    let mut size = nix::pty::Winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes a winsize, which lives through the call.
    match unsafe { libc::ioctl(1, libc::TIOCGWINSZ, &raw mut size) } {
        0 => say(&format!("size {} {}", size.ws_row, size.ws_col)),
        _ => say("no size"),
    }
}

fn print_size_on_winch() -> ! {
    let set = SigSet::from(Signal::SIGWINCH);
    set.thread_block().unwrap_or_else(|error| fail(&error.to_string()));
    loop {
        print_size();
        set.wait().unwrap_or_else(|error| fail(&error.to_string()));
    }
}

fn isatty() {
    let are_terminals = [
        std::io::IsTerminal::is_terminal(&std::io::stdin()),
        std::io::IsTerminal::is_terminal(&std::io::stdout()),
        std::io::IsTerminal::is_terminal(&std::io::stderr()),
        std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").is_ok(),
    ];
    let numbers = (0..4).filter(|number| are_terminals[*number]).map(|number| format!(" {number}"));
    say(&format!("tty{}", numbers.collect::<String>()));
}

/// Not through nix, which has no real-time signals.
fn install(signal: i32, handler: libc::sighandler_t) {
    // SAFETY: all zero bytes are a valid sigaction with an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the only handler installed is `log_signal`, which makes async-signal-safe calls.
    let result = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    if let Err(error) = nix::errno::Errno::result(result) {
        fail(&format!("signal {signal}: {error}"));
    }
}

static COUNTS: [AtomicU32; 65] = [const { AtomicU32::new(0) }; 65];
static ASKED: AtomicBool = AtomicBool::new(false);

/// Async-signal-safe: no allocation, one write.
extern "C" fn log_signal(number: i32) {
    let count = COUNTS[usize::try_from(number).unwrap_or(0)].fetch_add(1, Ordering::Relaxed) + 1;
    let mut line = [0; 64];
    let mut rest = &mut line[..];
    // SAFETY: getpid(2) cannot fail and is async-signal-safe.
    let pid = unsafe { libc::getpid() };
    let _ = match Signal::try_from(number) {
        Ok(signal) => writeln!(rest, "{pid} got {} {count}", signal.as_str()),
        Err(_) => writeln!(rest, "{pid} got signal {number} {count}"),
    };
    let left = rest.len();
    let length = line.len() - left;
    // SAFETY: the line lives through the call; its length is within it.
    unsafe { libc::write(1, line.as_ptr().cast(), length) };
    if [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].contains(&number) || number >= libc::SIGRTMIN() {
        ASKED.store(true, Ordering::Relaxed);
    }
}

/// Without `/proc` the system does not know; the `PATH` of every test does.
fn ourselves() -> std::path::PathBuf {
    std::env::current_exe().unwrap_or_else(|_| "gangling".into())
}

fn spawn(steps: &str) {
    if let Err(error) = Command::new(ourselves()).args(steps.split_whitespace()).spawn() {
        fail(&error.to_string());
    }
}

fn daemon(steps: &str) {
    let (mut read, write) = std::io::pipe().unwrap_or_else(|error| fail(&error.to_string()));
    // SAFETY: this program has one thread.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let _ = setsid();
            // SAFETY: as above.
            if let Ok(ForkResult::Child) = unsafe { fork() } {
                let mut write = write;
                let _ = write!(write, "{}", getpid());
                become_daemon(steps);
            }
            std::process::exit(0)
        }
        Ok(ForkResult::Parent { child }) => {
            drop(write);
            let mut pid = String::new();
            let _ = read.read_to_string(&mut pid);
            let _ = nix::sys::wait::waitpid(child, None);
            say(&format!("daemon {pid}"));
        }
        Err(error) => fail(&error.to_string()),
    }
}

fn become_daemon(steps: &str) -> ! {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(ourselves());
    command.args(steps.split_whitespace());
    for fd in 0..256 {
        // SAFETY: nothing in this process uses a descriptor from here on.
        unsafe { libc::close(fd) };
    }
    let _ = command.exec();
    std::process::exit(99)
}

/// As programs do that show what they are at: the name by prctl(2), the command line by writing
/// over the arguments.
fn rename(name: &str) {
    let name = std::ffi::CString::new(name).unwrap_or_else(|error| fail(&error.to_string()));
    let _ = nix::sys::prctl::set_name(&name);
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_else(|error| fail(&error.to_string()));
    // arg_start and arg_end are fields 48 and 49 (proc_pid_stat(5)); field 2 ends with a bracket.
    let mut fields = stat[stat.rfind(')').map_or(0, |end| end + 2)..].split(' ').skip(45);
    let mut address = || fields.next().and_then(|field| field.parse::<usize>().ok()).unwrap_or(0);
    let (first, last) = (address(), address());
    for (place, byte) in (first..last).zip(name.as_bytes().iter().chain(std::iter::repeat(&0))) {
        // SAFETY: the kernel's own bounds of the argument area, which nothing reads any more.
        unsafe { std::ptr::with_exposed_provenance_mut::<u8>(place).write_volatile(*byte) };
    }
}

/// Goes on forking while it is being killed: `chains` processes, each of which forks the next
/// one into a new session every 10 ms and lives 50 ms more. It dies out by itself.
fn crowd(chains: u64) {
    for chain in 0..chains {
        // SAFETY: this program has one thread.
        if !matches!(unsafe { fork() }, Ok(ForkResult::Child)) {
            continue;
        }
        for generation in 0..GENERATIONS {
            let _ = setsid();
            if chain == 0 && generation == 5 {
                say("crowded");
            }
            std::thread::sleep(Duration::from_millis(10));
            // SAFETY: as above.
            if !matches!(unsafe { fork() }, Ok(ForkResult::Child)) {
                std::thread::sleep(Duration::from_millis(50));
                std::process::exit(0);
            }
        }
        std::process::exit(0);
    }
}

/// How often something forks that nobody stops: half a minute.
const GENERATIONS: u32 = 3000;

/// Is never there for long: whoever looks for it finds a process that has just ended.
fn run_away() {
    // SAFETY: this program has one thread.
    if !matches!(unsafe { fork() }, Ok(ForkResult::Child)) {
        return;
    }
    for hop in 0..10 * GENERATIONS {
        let _ = setsid();
        if hop == 5 {
            say("away");
        }
        std::thread::sleep(Duration::from_millis(1));
        // SAFETY: as above.
        if !matches!(unsafe { fork() }, Ok(ForkResult::Child)) {
            std::process::exit(0);
        }
    }
    std::process::exit(0);
}

fn close_output() {
    for fd in [1, 2] {
        // SAFETY: later writes fail and are given up.
        unsafe { libc::close(fd) };
    }
}

fn listen() {
    let port = std::env::var("PORT").unwrap_or_else(|_| fail("no PORT"));
    match TcpListener::bind(format!("127.0.0.1:{port}")) {
        Ok(listener) => {
            say(&format!("listening {port}"));
            std::mem::forget(listener);
        }
        Err(error) => fail(&format!("port {port}: {error}")),
    }
}

fn read_stdin() {
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(std::os::fd::AsFd::as_fd(&stdin), PollFlags::POLLIN)];
    let ready = poll(&mut fds, PollTimeout::from(300_u16)).unwrap_or_else(|error| fail(&error.to_string()));
    if ready == 0 {
        return say("stdin: nothing");
    }
    match nix::unistd::read(&stdin, &mut [0; 1]) {
        Ok(0) => say("stdin: eof"),
        Ok(_) => say("stdin: data"),
        Err(error) => say(&format!("stdin: closed ({error})")),
    }
}

fn wait_for_ever() -> ! {
    say(&ids("ready"));
    loop {
        std::thread::sleep(Duration::from_hours(1));
    }
}

fn wait_until(done: impl Fn() -> bool) {
    say(&ids("ready"));
    while !done() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn kill_self(name: &str) {
    for signal in signals(name) {
        if signal != libc::SIGKILL && signal != libc::SIGSTOP {
            install(signal, libc::SIG_DFL);
        }
        // SAFETY: an integer.
        unsafe { libc::raise(signal) };
    }
}
