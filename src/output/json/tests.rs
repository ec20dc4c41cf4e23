use super::*;
use crate::supervisor::event::StartError;

fn id(text: &str) -> InstanceId {
    text.parse().expect("an instance")
}

/// At 12:34:56.789 UTC.
fn json() -> Json {
    let mut json = Json::new(TimeZone::UTC);
    json.set_time(Timestamp::new(12 * 3600 + 34 * 60 + 56, 789_000_000).expect("a time"));
    json
}

fn line_of(stream: Stream, bytes: &[u8], cut: bool) -> String {
    let (json, mut out) = (json(), Vec::new());
    json.line(&mut out, &mut Json::prefix(&id("web-2.1"), stream), Piece { bytes, cut });
    String::from_utf8(out).expect("text")
}

fn event(event: &Event) -> String {
    let mut out = Vec::new();
    let tail = [(Stream::Stdout, &b"Traceback"[..]), (Stream::Stderr, b"\xff")];
    json().event(&mut out, event, tail.into_iter());
    String::from_utf8(out).expect("text")
}

#[test]
fn lines() {
    let shown = [
        line_of(Stream::Stdout, b"hello", false),
        line_of(Stream::Stderr, b"", false),
        line_of(Stream::Stdout, "tab\t quote\" back\\ NUL\0 ESC\x1b[31m CR\r ü".as_bytes(), false),
        line_of(Stream::Stdout, "DEL\u{7f} CSI\u{9b}6n \u{202e}ZWSP\u{200b}".as_bytes(), false),
        line_of(Stream::Stdout, b"\xff\xfe", false),
        line_of(Stream::Stdout, b"long", true),
        line_of(Stream::Stdout, b"\xe2\x82", true),
    ];
    insta::assert_snapshot!(shown.concat(), @r#"
    {"time":"1970-01-01T12:34:56.789+00:00","process":"web-2.1","type":"web-2","stream":"stdout","line":"hello"}
    {"time":"1970-01-01T12:34:56.789+00:00","process":"web-2.1","type":"web-2","stream":"stderr","line":""}
    {"time":"1970-01-01T12:34:56.789+00:00","process":"web-2.1","type":"web-2","stream":"stdout","line":"tab\t quote\" back\\ NUL\u0000 ESC\u001b[31m CR\r ü"}
    {"time":"1970-01-01T12:34:56.789+00:00","process":"web-2.1","type":"web-2","stream":"stdout","line":"DEL\u007f CSI\u009b6n \u202eZWSP\u200b"}
    {"time":"1970-01-01T12:34:56.789+00:00","process":"web-2.1","type":"web-2","stream":"stdout","line_b64":"//4="}
    {"time":"1970-01-01T12:34:56.789+00:00","process":"web-2.1","type":"web-2","stream":"stdout","line":"long","cut":true}
    {"time":"1970-01-01T12:34:56.789+00:00","process":"web-2.1","type":"web-2","stream":"stdout","line_b64":"4oI=","cut":true}
    "#);
}

#[test]
fn every_byte_comes_back() {
    let all: Vec<u8> = (0..=255).collect();
    for bytes in [&all[..], &all[..128], b"\xed\xa0\x80", b"\xc0\x80"] {
        let object: Value = serde_json::from_str(&line_of(Stream::Stdout, bytes, false)).expect("JSON");
        let back = match (object["line"].as_str(), object["line_b64"].as_str()) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(text)) => STANDARD.decode(text).expect("base64"),
            other => panic!("{other:?}"),
        };
        assert_eq!(back, bytes);
    }
}

#[test]
fn events() {
    let secs = Duration::from_secs_f64;
    let ended = |end, then| Event::Ended { id: id("web.1"), end, after: secs(0.842_499), then };
    let kept = |id, by| {
        let program = Leftover { name: "sh".into(), pid: 7 };
        Event::Kept { id, programs: vec![Kept { program, by }] }
    };
    let error = StartError { message: "too many open files".into(), hint: None };
    let table = [
        Event::Started { id: id("web.1"), pid: 7, port: Port::new(5000), is_main: true },
        Event::Started { id: id("worker.1"), pid: 8, port: None, is_main: false },
        ended(Ended::Exited(1), Consequence::StopsAll),
        ended(Ended::Signaled(Sig::KILL), Consequence::Nothing),
        ended(Ended::Signaled(Sig::from_number(42)), Consequence::StartsAgain(secs(4.0))),
        ended(Ended::NotStarted(error), Consequence::StartsAgain(Duration::ZERO)),
        ended(Ended::Exited(127), Consequence::GivesUp),
        Event::CommandEnded {
            program: "pytest".into(),
            end: Ended::Exited(1),
            after: secs(65.0),
            then: Consequence::StopsAll,
        },
        Event::StopRequested(Sig::INT),
        Event::Killed { id: id("web.1"), after: secs(10.0) },
        Event::LogLost { id: id("web.1"), path: "log/web.1.log".into(), error: "disk full".into() },
        kept(None, KeptBy::Mark),
        kept(Some(id("web.1")), KeptBy::Name),
        Event::Hint("read the \"manual\"".into()),
        Event::Report { id: id("web.1"), end: Ended::Exited(1), after: secs(65.0) },
    ];
    let shown: String = table.iter().map(event).collect();
    insta::assert_snapshot!(shown, @r#"
    {"time":"1970-01-01T12:34:56.789+00:00","event":"started","process":"web.1","type":"web","pid":7,"port":5000,"message":"web.1 started, pid 7, http://localhost:5000"}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"started","process":"worker.1","type":"worker","pid":8,"port":null,"message":"worker.1 started, pid 8"}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"exited","process":"web.1","type":"web","code":1,"after":0.842,"then":"stop_all","message":"web.1 exited with code 1 after 0.8 s; everything stops with it"}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"exited","process":"web.1","type":"web","signal":"KILL","after":0.842,"then":"nothing","message":"web.1 was killed by SIGKILL after 0.8 s"}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"exited","process":"web.1","type":"web","signal":"RTMIN+8","after":0.842,"then":"restart","restart_after":4.0,"message":"web.1 was killed by SIGRTMIN+8 after 0.8 s; it is started again in 4 s"}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"not_started","process":"web.1","type":"web","error":"too many open files","after":0.842,"then":"restart","restart_after":0.0,"message":"web.1 could not be started: too many open files; it is started again"}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"exited","process":"web.1","type":"web","code":127,"after":0.842,"then":"give_up","message":"web.1 exited with code 127 after 0.8 s; it has failed 5 times in a row at once and is not started again (`ganger up web.1` does that)"}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"command_exited","command":"pytest","code":1,"after":65.0,"then":"stop_all","message":"`pytest` exited with code 1 after 1 min 5 s; everything stops with it"}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"stop_requested","signal":"INT","message":"SIGINT received, stopping all; once more kills them"}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"killed","process":"web.1","type":"web","after":10.0,"message":"web.1 did not stop within 10.0 s, killing it"}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"log_lost","process":"web.1","type":"web","path":"log/web.1.log","error":"disk full","message":"the log of web.1 ends here: log/web.1.log: disk full"}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"kept","programs":[{"name":"sh","pid":7,"by":"GANGER_KEEP"}],"message":"left running: sh (pid 7), because of GANGER_KEEP"}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"kept","process":"web.1","type":"web","programs":[{"name":"sh","pid":7,"by":"keep"}],"message":"left running by web.1: sh (pid 7), because of `keep`"}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"hint","message":"read the \"manual\""}
    {"time":"1970-01-01T12:34:56.789+00:00","event":"report","process":"web.1","type":"web","code":1,"after":65.0,"last_lines":[{"stream":"stdout","line":"Traceback"},{"stream":"stderr","line_b64":"/w=="}],"message":"web.1 exited with code 1 after 1 min 5 s and ended the run"}
    "#);
}

#[test]
fn the_time_has_the_offset_of_the_zone() {
    let mut json = Json::new(TimeZone::fixed(jiff::tz::offset(-3)));
    json.set_time(Timestamp::new(1_795_000_000, 5_999_999).expect("a time"));
    assert_eq!(json.clock.text(), "2026-11-18T08:06:40.005-03:00");
}
