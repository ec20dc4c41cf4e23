//! Many clients at once, and among them some that mean no good: everybody is answered, the output is
//! whole, signals act, and memory is bounded. What counts is the order of events, not time.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use nix::sys::signal::Signal;

use crate::kit::{Finished, LIMIT, Running, Test, eventually};

/// Those who ask, and how often all of them together are to be answered.
const CLIENTS: usize = 50;
const ANSWERS: usize = 10_000;

/// How many lines are written meanwhile.
const LINES: usize = 100_000;

/// What the supervisor may hold in all of this, in KiB: 8 MiB of lines that are kept, and for each
/// client what is on its way. A tenth of what is sent to it would be more.
const BOUND: u64 = 64 * 1024;

/// What the clients share.
#[derive(Debug, Clone)]
struct Crowd {
    socket: PathBuf,
    answered: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Crowd {
    /// A connection; `None` where the instance has ended, or has no room.
    fn connect(&self) -> Option<BufReader<UnixStream>> {
        let stream = UnixStream::connect(&self.socket).ok()?;
        stream.set_read_timeout(Some(LIMIT)).expect("set");
        stream.set_write_timeout(Some(LIMIT)).expect("set");
        Some(BufReader::new(stream))
    }

    /// Asks all kinds of things until the instance has ended. Each request has its answer.
    fn ask(&self, seed: usize) {
        let requests = [
            "{\"v\":1,\"cmd\":\"ps\"}\n",
            "{\"v\":1,\"cmd\":\"logs\",\"lines\":5}\n",
            "{\"v\":1,\"cmd\":\"config\",\"name\":\"web.1\"}\n",
            "{\"v\":1,\"cmd\":\"up\",\"names\":[\"web\"]}\n",
            "{\"v\":1,\"cmd\":\"restart\",\"names\":[\"nobody\"]}\n",
        ];
        let mut stream = self.connect().expect("room for all");
        for request in requests.iter().cycle().skip(seed) {
            if stream.get_mut().write_all(request.as_bytes()).is_err() {
                return;
            }
            loop {
                let mut line = String::new();
                if !matches!(stream.read_line(&mut line), Ok(1..)) || !line.ends_with('\n') {
                    return;
                }
                match line.get(7..13) {
                    Some("\"item\"") => continue,
                    Some("\"resul") => assert!(!request.contains("nobody"), "{line}"),
                    // Everything may be about to end.
                    Some("\"error") => assert!(
                        request.contains("nobody") || line.contains("stopped") || line.contains("ended"),
                        "{request}{line}"
                    ),
                    other => panic!("{other:?}: {line}"),
                }
                self.answered.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
    }

    /// Sends what is no request, in lines short and endless. Whoever is thrown out comes back.
    fn rave(&self, seed: u64) {
        let mut state = seed;
        let mut next = || {
            // Numerical Recipes' generator: any noise will do.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        while let Some(mut stream) = self.connect() {
            let length = usize::try_from(next() % 100_000).expect("small") + 2;
            let noise: Vec<u8> = (1..length).map(|_| next().to_le_bytes()[0]).chain([b'\n']).collect();
            let _ = stream.get_mut().write_all(&noise);
            let mut line = String::new();
            if matches!(stream.read_line(&mut line), Ok(1..)) {
                assert!(line.starts_with("{\"v\":1,\"error\":"), "{line}");
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Sends half a message, and holds the line.
    fn hesitate(&self) -> Option<UnixStream> {
        let mut stream = self.connect()?.into_inner();
        stream.write_all(b"{\"v\":1,\"cmd\":\"restart\",\"na").ok()?;
        Some(stream)
    }

    /// Asks and reads nothing: every other one for all lines and those that will come, the rest what
    /// runs, until the kernel takes no more.
    fn never_read(&self, number: usize) -> Option<UnixStream> {
        let mut stream = self.connect()?.into_inner();
        if number.is_multiple_of(2) {
            let request = "{\"v\":1,\"cmd\":\"logs\",\"lines\":100000,\"follow\":true}\n";
            stream.write_all(request.as_bytes()).ok()?;
            return Some(stream);
        }
        stream.set_nonblocking(true).expect("set");
        let requests = b"{\"v\":1,\"cmd\":\"ps\"}\n".repeat(50);
        loop {
            match stream.write(&requests) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(stream),
                Err(_) => return None,
            }
        }
    }
}

fn started() -> (Test, Running, Crowd) {
    let test = Test::new()
        .procfile(format!(
            "web: exec gangling --log-signals USR1 --wait\n\
             flood: exec gangling --log-signals USR1 --wait-file go --print {LINES} line --wait\n"
        ))
        .var("GANGER_SOCKET", "socket");
    let running = test.start();
    running.wait_ready("web.1");
    running.wait_ready("flood.1");
    let crowd = Crowd { socket: test.path("socket"), answered: Arc::default(), refused: Arc::default() };
    (test, running, crowd)
}

/// Those who ask and those who rave, each a thread.
fn busy(crowd: &Crowd) -> Vec<JoinHandle<()>> {
    let spawn = |work: Box<dyn FnOnce(Crowd) + Send>| {
        let crowd = crowd.clone();
        std::thread::spawn(move || work(crowd))
    };
    let asking = (0..CLIENTS).map(|seed| spawn(Box::new(move |crowd| crowd.ask(seed))));
    let raving = (0..10).map(|seed| spawn(Box::new(move |crowd| crowd.rave(seed))));
    asking.chain(raving).collect()
}

#[test]
fn output_signals_and_ctrl_c_go_on_among_them() {
    let (test, running, crowd) = started();
    let held: Vec<UnixStream> = (0..10).filter_map(|_| crowd.hesitate()).collect();
    let stuck: Vec<UnixStream> = (0..10).filter_map(|number| crowd.never_read(number)).collect();
    assert_eq!((held.len(), stuck.len()), (10, 10));
    let threads = busy(&crowd);
    std::fs::write(test.path("go"), "").expect("written");
    let last = format!("line {LINES}");
    running.wait_for(|line| line.text == last);
    for count in 1..=10 {
        running.signal(Signal::SIGUSR1);
        let got = format!("got SIGUSR1 {count}");
        running.wait_for(|line| line.name == "web.1" && line.text.ends_with(&got));
    }
    eventually("all are answered", || crowd.answered.load(Ordering::Relaxed) >= ANSWERS);
    eventually("noise is refused", || crowd.refused.load(Ordering::Relaxed) >= 100);
    test.beside(["ps"]).code(0).stdout_has("web.1: up");
    let held_kib = resident_kib(running.own_pids().supervisor);
    assert!(held_kib < BOUND, "{held_kib} KiB");
    // Ctrl-C, and they go on asking until there is nobody.
    let finished: Finished = running.finish().killed_by(Signal::SIGINT);
    for thread in threads {
        thread.join().expect("each request was answered as it should be");
    }
    let lines = finished.lines_of("flood.1");
    let expected: Vec<String> = (1..=LINES).map(|number| format!("line {number}")).collect();
    let said: Vec<&String> = lines.iter().filter(|line| line.starts_with("line ")).collect();
    assert!(said.into_iter().eq(expected.iter()), "the output is not what was written");
    drop((held, stuck));
}

#[test]
fn they_hold_up_no_command_of_others() {
    let (test, running, crowd) = started();
    let stuck: Vec<UnixStream> = (0..10).filter_map(|number| crowd.never_read(number)).collect();
    let threads = busy(&crowd);
    let web = running.wait_ready("web.1");
    for _ in 0..5 {
        test.beside(["restart", "flood"]).code(0).stderr("").stdout_has("flood.1 restarted");
    }
    test.beside(["scale", "web=2"]).code(0).stdout("Scaling … done, now running web at 2\n");
    assert_eq!(running.wait_ready("web.1"), web, "nobody else touched it");
    test.beside(["stop"]).code(0).stdout("ganger in DIR has ended\n");
    running.wait().killed_by(Signal::SIGTERM);
    for thread in threads {
        thread.join().expect("each request was answered as it should be");
    }
    drop(stuck);
}

fn resident_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
