//! What people are told, in words. Pure.

use std::fmt::Display;
use std::time::Duration;

use crate::model::{InstanceId, Sig, quoted, sentence};
use crate::supervisor::backoff::GIVE_UP_AFTER;
use crate::supervisor::event::{Consequence, Ended, Event, Kept, KeptBy, LeftTo, Leftover};

/// Returns an event in one line. Text from elsewhere in it is escaped: a probe or a program cannot write
/// lines that look like others, or drive the terminal.
pub fn describe(event: &Event) -> String {
    let text = match event {
        Event::Started { id, pid, port: None, .. } => format!("{id} started, pid {pid}"),
        Event::Started { id, pid, port: Some(port), is_main: true } => {
            format!("{id} started, pid {pid}, http://localhost:{port}")
        }
        Event::Started { id, pid, port: Some(port), is_main: false } => {
            format!("{id} started, pid {pid}, port {port}")
        }
        Event::Waiting { id, what } => {
            let what: Vec<String> = what.iter().map(|probe| quoted(probe)).collect();
            format!("{id} waits for {}", what.join(", "))
        }
        Event::Ready { id, after: None } => format!("{id} is ready"),
        Event::Ready { id, after: Some(after) } => format!("{id} is ready after {}", duration(*after)),
        Event::Ended { id, end, after, then } => end_of(id, end, *after, *then),
        Event::CommandWaiting { program, what } => {
            let what: Vec<String> = what.iter().map(|what| quoted(what)).collect();
            format!("waiting for {} before running {}", what.join(" and "), quoted(program))
        }
        Event::CommandEnded { program, end, after, then } => {
            end_of(&format_args!("`{program}`"), end, *after, *then)
        }
        Event::Signaled { id, sig } => format!("sending {sig} to {id} (`ganger signal`)"),
        Event::StopRequested(sig) => format!("{sig} received, stopping all; once more kills them"),
        Event::Killed { id, after } => {
            format!("{id} did not stop within {}, killing it", duration(*after))
        }
        Event::Report { id, end, after } => format!("{} and ended the run", ended(id, end, *after)),
        Event::Left { id, programs, what } => left(id, programs, *what),
        Event::Kept { id, programs } => kept(id.as_ref(), programs),
        Event::LogLost { id, path, error } => {
            format!("the log of {id} ends here: {}: {error}", path.display())
        }
        Event::OutputLost { id, error } => format!("cannot read the output of {id}: {error}"),
        Event::Hint(text) => format!("hint: {text}"),
    };
    sentence(&text)
}

/// How many programs are named.
const NAMED: usize = 5;

fn named<'a>(programs: impl ExactSizeIterator<Item = &'a Leftover>) -> String {
    let count = programs.len();
    let first = programs.take(NAMED).map(|it| format!("{} (pid {})", quoted(&it.name), it.pid));
    let first = first.collect::<Vec<_>>().join(", ");
    match count.saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// What is left running on purpose, and why.
fn kept(id: Option<&InstanceId>, programs: &[Kept]) -> String {
    let whose = id.map(|id| format!(" by {id}")).unwrap_or_default();
    let names = named(programs.iter().map(|it| &it.program));
    let any = |by: KeptBy| programs.iter().any(|it| it.by == by);
    let why = match (any(KeptBy::Mark), any(KeptBy::Name)) {
        (true, false) => "GANGER_KEEP",
        (false, true) => "`keep`",
        (_, _) => "GANGER_KEEP and `keep`",
    };
    format!("left running{whose}: {names}, because of {why}")
}

/// What is done with what a process has left running.
fn left(id: &InstanceId, programs: &[Leftover], what: LeftTo) -> String {
    let names = named(programs.iter());
    match what {
        LeftTo::Stop => format!("stopping what {id} left running: {names}"),
        LeftTo::BeWaitedFor => format!("waiting for what {id} left running: {names}"),
        LeftTo::BeKilled(after) => {
            format!("killing what {id} left running, as it did not stop within {}: {names}", duration(after))
        }
    }
}

/// How somebody ended, and what follows from it.
fn end_of(who: &impl Display, end: &Ended, after: Duration, then: Consequence) -> String {
    let then_text = match then {
        Consequence::Nothing => String::new(),
        Consequence::StartsOthers => "; now the others start".to_owned(),
        Consequence::StopsAll => "; everything stops with it".to_owned(),
        Consequence::StartsAgain(Duration::ZERO) => "; it is started again".to_owned(),
        Consequence::StartsAgain(delay) => format!("; it is started again in {} s", delay.as_secs()),
        Consequence::GivesUp => format!(
            "; it has failed {GIVE_UP_AFTER} times in a row at once and is not started again \
             (`ganger up {who}` does that)"
        ),
    };
    // It ended because it was asked to: to stop, or to be started anew at once.
    let was_asked = matches!(then, Consequence::Nothing | Consequence::StartsAgain(Duration::ZERO));
    match end {
        Ended::Signaled(sig) if was_asked && *sig != Sig::KILL => {
            format!("{who} was stopped by {sig} after {}{then_text}", duration(after))
        }
        _ => format!("{}{then_text}", ended(who, end, after)),
    }
}

fn ended(id: &impl Display, end: &Ended, after: Duration) -> String {
    match end {
        Ended::Exited(code) => format!("{id} exited with code {code} after {}", duration(after)),
        Ended::Signaled(sig) => format!("{id} was killed by {sig} after {}", duration(after)),
        Ended::NotStarted(error) => format!("{id} could not be started: {}", error.message),
    }
}

/// `0.8 s`, `1 min 5 s`, `2 h 3 min`.
fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f64().min(59.9)),
        secs @ 60..3600 => format!("{} min {} s", secs / 60, secs % 60),
        secs => format!("{} h {} min", secs / 3600, secs / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Port;

    fn id(text: &str) -> InstanceId {
        text.parse().expect("an instance")
    }

    #[test]
    fn an_event_is_one_line_and_drives_no_terminal() {
        let hostile = "tcp:1\n12:00:00 web.1 | all is well\r\u{1b}[2K\u{9b}2J\u{202e}";
        let shown = r"tcp:1\n12:00:00 web.1 | all is well\r\u{1b}[2K\u{9b}2J\u{202e}";
        let error = crate::supervisor::event::StartError { message: hostile.into(), hint: None };
        let not_started = Ended::NotStarted(error);
        let after = Duration::ZERO;
        for event in [
            Event::Waiting { id: id("web.1"), what: vec![hostile.into()] },
            Event::Report { id: id("web.1"), end: not_started.clone(), after },
            Event::Ended { id: id("web.1"), end: not_started, after, then: Consequence::StopsAll },
            Event::CommandEnded {
                program: hostile.into(),
                end: Ended::Exited(1),
                after,
                then: Consequence::StopsAll,
            },
            Event::CommandWaiting { program: hostile.into(), what: vec![hostile.into()] },
            Event::LogLost { id: id("web.1"), path: hostile.into(), error: hostile.into() },
            Event::Left {
                id: id("web.1"),
                programs: vec![Leftover { name: hostile.into(), pid: 7 }],
                what: LeftTo::BeWaitedFor,
            },
            Event::Hint(hostile.into()),
        ] {
            let text = describe(&event);
            assert!(text.contains(shown) && !text.contains(crate::model::hides), "{text}");
        }
        let what = vec!["x".repeat(1_000_000)];
        let text = describe(&Event::Waiting { id: id("web.1"), what });
        assert_eq!(text, format!("web.1 waits for {}…", "x".repeat(100)));
    }

    #[test]
    fn events_in_words() {
        let secs = Duration::from_secs_f64;
        let port = Port::new(5000);
        let programs = |count| (7..7 + count).map(|pid| Leftover { name: "sh".into(), pid }).collect();
        let kept = |why: &[KeptBy]| {
            let program = |pid| Leftover { name: "sh".into(), pid };
            why.iter().zip(7..).map(|(by, pid)| Kept { program: program(pid), by: *by }).collect()
        };
        let ended = |end, then| Event::Ended { id: id("web.1"), end, after: secs(0.84), then };
        let not_started = Ended::NotStarted(crate::supervisor::event::StartError {
            message: "too many open files".into(),
            hint: None,
        });
        let table = [
            Event::Started { id: id("web.1"), pid: 7, port, is_main: true },
            Event::Started { id: id("worker.1"), pid: 8, port: Port::new(5100), is_main: false },
            Event::Started { id: id("worker.1"), pid: 8, port: None, is_main: false },
            Event::Waiting { id: id("web.1"), what: vec!["db".into(), "tcp:5432".into()] },
            Event::Ready { id: id("db.1"), after: Some(secs(1.23)) },
            Event::Ready { id: id("web.1"), after: None },
            ended(Ended::Exited(1), Consequence::StopsAll),
            ended(Ended::Exited(0), Consequence::Nothing),
            ended(Ended::Exited(0), Consequence::StartsOthers),
            ended(Ended::Signaled(Sig::TERM), Consequence::Nothing),
            ended(Ended::Signaled(Sig::KILL), Consequence::Nothing),
            ended(Ended::Signaled(Sig::KILL), Consequence::StartsAgain(secs(4.0))),
            ended(Ended::Signaled(Sig::TERM), Consequence::StartsAgain(Duration::ZERO)),
            ended(not_started, Consequence::StartsAgain(Duration::ZERO)),
            ended(Ended::Exited(127), Consequence::GivesUp),
            Event::CommandEnded {
                program: "pytest".into(),
                end: Ended::Exited(1),
                after: secs(65.0),
                then: Consequence::StopsAll,
            },
            Event::CommandWaiting {
                program: "echo".into(),
                what: vec!["web.1 to listen on port 24000".into(), "db.1 to start".into()],
            },
            Event::Signaled { id: id("web.1"), sig: Sig::HUP },
            Event::StopRequested(Sig::INT),
            Event::Killed { id: id("web.1"), after: secs(10.0) },
            Event::Left { id: id("web.1"), programs: programs(1), what: LeftTo::Stop },
            Event::Left { id: id("web.1"), programs: programs(5), what: LeftTo::BeWaitedFor },
            Event::Left { id: id("web.1"), programs: programs(8), what: LeftTo::BeKilled(secs(10.0)) },
            Event::Kept { id: None, programs: kept(&[KeptBy::Mark, KeptBy::Mark]) },
            Event::Kept { id: Some(id("web.1")), programs: kept(&[KeptBy::Name]) },
            Event::Kept { id: None, programs: kept(&[KeptBy::Name, KeptBy::Mark]) },
            Event::Report { id: id("web.1"), end: Ended::Exited(1), after: secs(65.0) },
            Event::Report { id: id("web.1"), end: Ended::Exited(1), after: secs(59.99) },
            Event::Report { id: id("web.1"), end: Ended::Exited(1), after: secs(7380.0) },
            Event::Hint("read the manual".into()),
            Event::LogLost { id: id("web.1"), path: "log/web.1.log".into(), error: "disk full".into() },
        ];
        let text: Vec<String> = table.iter().map(describe).collect();
        insta::assert_snapshot!(text.join("\n"), @r"
        web.1 started, pid 7, http://localhost:5000
        worker.1 started, pid 8, port 5100
        worker.1 started, pid 8
        web.1 waits for db, tcp:5432
        db.1 is ready after 1.2 s
        web.1 is ready
        web.1 exited with code 1 after 0.8 s; everything stops with it
        web.1 exited with code 0 after 0.8 s
        web.1 exited with code 0 after 0.8 s; now the others start
        web.1 was stopped by SIGTERM after 0.8 s
        web.1 was killed by SIGKILL after 0.8 s
        web.1 was killed by SIGKILL after 0.8 s; it is started again in 4 s
        web.1 was stopped by SIGTERM after 0.8 s; it is started again
        web.1 could not be started: too many open files; it is started again
        web.1 exited with code 127 after 0.8 s; it has failed 5 times in a row at once and is not started again (`ganger up web.1` does that)
        `pytest` exited with code 1 after 1 min 5 s; everything stops with it
        waiting for web.1 to listen on port 24000 and db.1 to start before running echo
        sending SIGHUP to web.1 (`ganger signal`)
        SIGINT received, stopping all; once more kills them
        web.1 did not stop within 10.0 s, killing it
        stopping what web.1 left running: sh (pid 7)
        waiting for what web.1 left running: sh (pid 7), sh (pid 8), sh (pid 9), sh (pid 10), sh (pid 11)
        killing what web.1 left running, as it did not stop within 10.0 s: sh (pid 7), sh (pid 8), sh (pid 9), sh (pid 10), sh (pid 11) and 3 more
        left running: sh (pid 7), sh (pid 8), because of GANGER_KEEP
        left running by web.1: sh (pid 7), because of `keep`
        left running: sh (pid 7), sh (pid 8), because of GANGER_KEEP and `keep`
        web.1 exited with code 1 after 1 min 5 s and ended the run
        web.1 exited with code 1 after 59.9 s and ended the run
        web.1 exited with code 1 after 2 h 3 min and ended the run
        hint: read the manual
        the log of web.1 ends here: log/web.1.log: disk full
        ");
    }
}
