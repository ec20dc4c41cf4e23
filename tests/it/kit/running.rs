//! A ganger that runs.

use std::io::{Read, Write as _};
use std::process::{Child, ExitStatus};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{Finished, LIMIT, World, poll_for, proc};

/// A line of ganger's output: `12:34:56 web.1    | text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// `web.1`, or `system`.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Line {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (head, text) = line.split_once('|')?;
        let (_, name) = head.split_once(' ')?;
        let text = text.strip_prefix(' ').unwrap_or(text).to_owned();
        Some(Self { name: name.trim_end().to_owned(), text })
    }
}

/// Bytes that a thread reads, for others to wait for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Capture {
    shared: Arc<(Mutex<Captured>, Condvar)>,
}

#[derive(Debug, Default)]
struct Captured {
    bytes: Vec<u8>,
    closed: bool,
}

impl Capture {
    pub(crate) fn of(mut stream: impl Read + Send + 'static) -> Self {
        let capture = Self::default();
        let writer = capture.clone();
        std::thread::spawn(move || {
            let mut chunk = vec![0; 65_536];
            loop {
                let read = stream.read(&mut chunk);
                let (lock, changed) = &*writer.shared;
                let mut captured = lock.lock().expect("no panic");
                match read {
                    Ok(count @ 1..) => captured.bytes.extend_from_slice(&chunk[..count]),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    // EIO is how a pty ends.
                    Ok(0) | Err(_) => captured.closed = true,
                }
                changed.notify_all();
                if captured.closed {
                    return;
                }
            }
        });
        capture
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.shared.0.lock().expect("no panic").bytes.clone()
    }

    /// Waits until `find` finds something in what was read; `None` at the end or the limit.
    pub(crate) fn wait_for<T>(&self, mut find: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        let end = Instant::now() + LIMIT;
        let (lock, changed) = &*self.shared;
        let mut captured = lock.lock().expect("no panic");
        loop {
            if let Some(found) = find(&captured.bytes) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if captured.closed || left.is_zero() {
                return None;
            }
            captured = changed.wait_timeout(captured, left).expect("no panic").0;
        }
    }

    /// Waits for the end of the stream. False at the limit.
    pub(crate) fn wait_closed(&self) -> bool {
        self.wait_for(|_| None::<()>);
        self.shared.0.lock().expect("no panic").closed
    }
}

/// What ganger itself consists of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnPids {
    /// The first process, which the user sees.
    pub(crate) guard: i32,
    pub(crate) reserve: i32,
    /// The one that does the work.
    pub(crate) supervisor: i32,
}

/// A ganger that runs. It has to be brought to its end ([`Running::wait`]).
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: Option<Capture>,
    stderr: Option<Capture>,
    ended: bool,
    world: Rc<World>,
}

impl Running {
    /// Takes over a child; what of its output is a pipe is read from now on.
    pub(crate) fn new(mut child: Child, stdin: &[u8], world: Rc<World>) -> Self {
        if let Some(mut pipe) = child.stdin.take() {
            let stdin = stdin.to_owned();
            // In a thread, since the reader may not read yet. One that ends early is no fault.
            std::thread::spawn(move || drop(pipe.write_all(&stdin)));
        }
        let stdout = child.stdout.take().map(Capture::of);
        let stderr = child.stderr.take().map(Capture::of);
        Self { child, stdout, stderr, ended: false, world }
    }

    /// Reads this as ganger's stdout from now on.
    pub(crate) fn read_stdout(&mut self, stream: impl Read + Send + 'static) {
        self.stdout = Some(Capture::of(stream));
    }

    /// The pid a user sees.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Ganger's own processes, each the child of the one before.
    #[track_caller]
    pub(crate) fn own_pids(&self) -> OwnPids {
        Self::own_pids_from(self.pid())
    }

    /// The same where the first one is not what the test started.
    #[track_caller]
    pub(crate) fn own_pids_from(guard: i32) -> OwnPids {
        let below = |pid: i32, command: &str| {
            proc::children(pid).into_iter().find(|child| child.command == command).map(|it| it.pid)
        };
        let command = proc::process(guard).expect("alive").command;
        // Without a `/proc` it cannot change its command line.
        let reserve = poll_for(LIMIT, || below(guard, "guard").or_else(|| below(guard, &command)));
        let reserve = reserve.expect("a reserve");
        let supervisor = poll_for(LIMIT, || below(reserve, &command)).expect("a supervisor");
        OwnPids { guard, reserve, supervisor }
    }

    /// Signals ganger as `kill PID` does.
    pub(crate) fn signal(&self, signal: Signal) {
        proc::send(self.pid(), signal);
    }

    /// Signals ganger's whole process group, as a terminal or `timeout` does.
    pub(crate) fn signal_group(&self, signal: Signal) {
        killpg(Pid::from_raw(self.pid()), signal).expect("signalled");
    }

    /// What was printed so far, in lines.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.stdout.as_ref().map(|capture| lines(&capture.bytes())).unwrap_or_default()
    }

    /// Waits for the first line that is so.
    #[track_caller]
    pub(crate) fn wait_for(&self, mut wanted: impl FnMut(&Line) -> bool) -> Line {
        let capture = self.stdout.as_ref().expect("a pipe");
        let found = capture.wait_for(|bytes| lines(bytes).into_iter().find(&mut wanted));
        found.unwrap_or_else(|| panic!("the line never came; {}", self.so_far()))
    }

    /// Waits until so many lines are so.
    #[track_caller]
    pub(crate) fn wait_for_lines(&self, count: usize, mut wanted: impl FnMut(&Line) -> bool) -> Vec<Line> {
        let capture = self.stdout.as_ref().expect("a pipe");
        let found = capture.wait_for(|bytes| {
            let found: Vec<Line> = lines(bytes).into_iter().filter(&mut wanted).collect();
            (found.len() >= count).then_some(found)
        });
        found.unwrap_or_else(|| panic!("{count} such lines never came; {}", self.so_far()))
    }

    /// Waits for a line of `name` that begins with `text`; answers its text.
    #[track_caller]
    pub(crate) fn wait_for_line(&self, name: &str, text: &str) -> String {
        let capture = self.stdout.as_ref().expect("a pipe");
        let wanted = |line: &Line| line.name == name && line.text.starts_with(text);
        let found = capture.wait_for(|bytes| lines(bytes).into_iter().find(wanted));
        found.unwrap_or_else(|| panic!("`{name} | {text}…` never came; {}", self.so_far())).text
    }

    /// Waits until the process has said `ready` (gangling does) and answers its pid.
    #[track_caller]
    pub(crate) fn wait_ready(&self, name: &str) -> i32 {
        field(&self.wait_for_line(name, "ready "), "pid")
    }

    /// Waits until stdout has a text so many times, wherever in a line: for `ganger run`.
    #[track_caller]
    pub(crate) fn wait_for_text(&self, count: usize, text: &str) {
        let capture = self.stdout.as_ref().expect("a pipe");
        let enough = |bytes: &[u8]| String::from_utf8_lossy(bytes).matches(text).count() >= count;
        let found = capture.wait_for(|bytes| enough(bytes).then_some(()));
        assert!(found.is_some(), "{count} times `{text}` never came; {}", self.so_far());
    }

    /// Waits for a text on stderr.
    #[track_caller]
    pub(crate) fn wait_for_stderr(&self, text: &str) {
        let capture = self.stderr.as_ref().expect("a pipe");
        let found = capture.wait_for(|bytes| String::from_utf8_lossy(bytes).contains(text).then_some(()));
        assert!(found.is_some(), "`{text}` never came on stderr; {}", self.so_far());
    }

    /// Signals ganger and waits for its end.
    #[track_caller]
    pub(crate) fn stop(self, signal: Signal) -> Finished {
        self.signal(signal);
        self.wait()
    }

    /// The same while something else of this test runs.
    #[track_caller]
    pub(crate) fn stop_beside(self, signal: Signal) -> Finished {
        self.signal(signal);
        self.wait_beside()
    }

    /// Stops ganger as Ctrl-C does and waits for its end.
    #[track_caller]
    pub(crate) fn finish(self) -> Finished {
        self.stop(Signal::SIGINT)
    }

    /// Waits until ganger ends by itself, and looks whether anything is left.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Finished {
        let status = self.wait_for_exit();
        // Whoever still had the other end would be alive, so the pipes are closed by now.
        self.world.assert_nothing_left();
        self.finished(status)
    }

    /// The same while another app of this test runs: what is alive may be that one's.
    #[track_caller]
    pub(crate) fn wait_beside(mut self) -> Finished {
        let status = self.wait_for_exit();
        self.finished(status)
    }

    /// Whether ganger has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("waited").is_some()
    }

    #[track_caller]
    fn finished(&self, status: ExitStatus) -> Finished {
        let bytes = |capture: &Option<Capture>| {
            capture.as_ref().map_or(Vec::new(), |capture| {
                assert!(capture.wait_closed(), "a pipe is still open");
                capture.bytes()
            })
        };
        let (stdout, stderr) = (bytes(&self.stdout), bytes(&self.stderr));
        Finished::new(status, stdout, stderr, self.world.clone())
    }

    /// Waits until ganger itself has ended, and looks at nothing else.
    #[track_caller]
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let ended = poll_for(LIMIT, || self.child.try_wait().expect("waited"));
        let Some(status) = ended else { panic!("ganger does not end; {}", self.so_far()) };
        self.ended = true;
        status
    }

    fn so_far(&self) -> String {
        let text = |capture: &Option<Capture>| {
            capture.as_ref().map(|it| String::from_utf8_lossy(&it.bytes()).into_owned()).unwrap_or_default()
        };
        format!("stdout:\n{}\nstderr:\n{}", text(&self.stdout), text(&self.stderr))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.world.kill_all();
            let _ = self.child.kill();
            let _ = self.child.wait();
            assert!(std::thread::panicking(), "the test did not wait for ganger's end");
        }
    }
}

fn lines(bytes: &[u8]) -> Vec<Line> {
    // A line whose end has not come is none yet.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    String::from_utf8_lossy(&bytes[..whole]).lines().filter_map(Line::parse).collect()
}

/// The number behind `name=` in a line of gangling.
#[track_caller]
pub(crate) fn field(text: &str, name: &str) -> i32 {
    let mut words = text.split(' ').filter_map(|word| word.split_once('='));
    let value = words.find(|(key, _)| *key == name).map(|(_, value)| value);
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in `{text}`"))
}
