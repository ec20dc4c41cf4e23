//! Lines and events as JSON, one object a line, for programs.
//!
//! Pure but for the time it is handed. Every byte of a process and every field of an event is in
//! it, and no colours. The fields are described in `docs/output.md`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::clock::{Clock, TimeFormat};
use super::lines::Piece;
use super::prefix::{Prefix, TIME_MARK};
use super::source::Stream;
use super::words::describe;
use crate::model::{InstanceId, Port, Sig, json, sentence};
use crate::supervisor::event::{Consequence, Ended, Event, Kept, KeptBy, LeftTo, Leftover};

/// Writes JSON.
#[derive(Debug)]
pub struct Json {
    clock: Clock,
}

impl Json {
    /// With the times of this zone.
    pub fn new(zone: TimeZone) -> Self {
        Self { clock: Clock::new(Some(TimeFormat::rfc3339()), zone) }
    }

    /// Sets the time of all lines until the next call.
    pub fn set_time(&mut self, time: Timestamp) {
        self.clock.set(time);
    }

    /// How each line of this stream begins: `{"time":"…","process":"web.1",…,`.
    pub(super) fn prefix(id: &InstanceId, stream: Stream) -> Prefix {
        // Names of processes have no characters that JSON would escape.
        let (name, stream) = (&id.name, stream.name());
        Prefix::new(&format!(
            r#"{{"time":"{TIME_MARK}","process":"{id}","type":"{name}","stream":"{stream}","#
        ))
    }

    /// Appends a line to `out`.
    pub(super) fn line(&self, out: &mut Vec<u8>, prefix: &mut Prefix, line: Piece<'_>) {
        out.extend_from_slice(prefix.at(&self.clock));
        if let Ok(text) = std::str::from_utf8(line.bytes) {
            out.extend_from_slice(br#""line":"#);
            json::append_text(out, text);
        } else {
            out.extend_from_slice(br#""line_b64":""#);
            out.extend_from_slice(STANDARD.encode(line.bytes).as_bytes());
            out.push(b'"');
        }
        if line.cut {
            out.extend_from_slice(br#","cut":true"#);
        }
        out.extend_from_slice(b"}\n");
    }

    /// Appends an event to `out`; `tail` are the last lines of the process a report is about.
    pub(super) fn event<'a>(
        &self,
        out: &mut Vec<u8>,
        event: &Event,
        tail: impl Iterator<Item = (Stream, &'a [u8])>,
    ) {
        let mut fields = Map::new();
        fields.insert("time".into(), self.clock.text().into());
        describe_in(&mut fields, event);
        if let Event::Report { .. } = event {
            let lines: Value = tail.map(|(stream, line)| last_line(stream, line)).collect();
            fields.insert("last_lines".into(), lines);
        }
        let message = if let Event::Hint(text) = event { sentence(text) } else { describe(event) };
        fields.insert("message".into(), message.into());
        json::append(out, &fields);
        out.push(b'\n');
    }
}

/// The fields of an event, but for those that all have.
fn describe_in(fields: &mut Map<String, Value>, event: &Event) {
    let mut set = |name: &str, value: Value| drop(fields.insert(name.into(), value));
    match event {
        Event::Started { id, pid, port, .. } => {
            set("event", "started".into());
            whose(fields, id);
            fields.insert("pid".into(), (*pid).into());
            fields.insert("port".into(), port.map(Port::get).into());
        }
        Event::Waiting { id, what } => {
            set("event", "waiting".into());
            whose(fields, id);
            fields.insert("for".into(), what.clone().into());
        }
        Event::Ready { id, after } => {
            set("event", "ready".into());
            whose(fields, id);
            if let Some(after) = after {
                fields.insert("after".into(), seconds(*after));
            }
        }
        Event::Ended { id, end, after, then } => {
            let name = if let Ended::NotStarted(_) = end { "not_started" } else { "exited" };
            set("event", name.into());
            whose(fields, id);
            how(fields, end, *after);
            follows(fields, *then);
        }
        Event::CommandWaiting { program, what } => {
            set("event", "command_waiting".into());
            set("command", program.as_str().into());
            set("for", what.clone().into());
        }
        Event::CommandEnded { program, end, after, then } => {
            set("event", "command_exited".into());
            set("command", program.as_str().into());
            how(fields, end, *after);
            follows(fields, *then);
        }
        Event::Signaled { id, sig } => {
            set("event", "signal_sent".into());
            whose(fields, id);
            fields.insert("signal".into(), signal(*sig).into());
        }
        Event::StopRequested(sig) => {
            set("event", "stop_requested".into());
            set("signal", signal(*sig).into());
        }
        Event::Killed { id, after } => {
            set("event", "killed".into());
            whose(fields, id);
            fields.insert("after".into(), seconds(*after));
        }
        Event::Left { id, programs, what } => {
            let (name, after) = match what {
                LeftTo::Stop => ("left_stopping", None),
                LeftTo::BeWaitedFor => ("left_waiting", None),
                LeftTo::BeKilled(after) => ("left_killed", Some(*after)),
            };
            set("event", name.into());
            whose(fields, id);
            let program = |it: &Leftover| json!({ "name": it.name, "pid": it.pid });
            fields.insert("programs".into(), programs.iter().map(program).collect());
            if let Some(after) = after {
                fields.insert("after".into(), seconds(after));
            }
        }
        Event::Kept { id, programs } => {
            set("event", "kept".into());
            if let Some(id) = id {
                whose(fields, id);
            }
            let program = |Kept { program: it, by }: &Kept| {
                let by = match by {
                    KeptBy::Mark => "GANGER_KEEP",
                    KeptBy::Name => "keep",
                };
                json!({ "name": it.name, "pid": it.pid, "by": by })
            };
            fields.insert("programs".into(), programs.iter().map(program).collect());
        }
        Event::LogLost { id, path, error } => {
            set("event", "log_lost".into());
            whose(fields, id);
            fields.insert("path".into(), path.display().to_string().into());
            fields.insert("error".into(), error.as_str().into());
        }
        Event::OutputLost { id, error } => {
            set("event", "output_lost".into());
            whose(fields, id);
            fields.insert("error".into(), error.as_str().into());
        }
        Event::Hint(_) => set("event", "hint".into()),
        Event::Report { id, end, after } => {
            set("event", "report".into());
            whose(fields, id);
            how(fields, end, *after);
        }
    }
}

/// What follows from an end.
fn follows(fields: &mut Map<String, Value>, then: Consequence) {
    let name = match then {
        Consequence::Nothing => "nothing",
        Consequence::StartsOthers => "start_others",
        Consequence::StopsAll => "stop_all",
        Consequence::GivesUp => "give_up",
        Consequence::StartsAgain(_) => "restart",
    };
    fields.insert("then".into(), name.into());
    if let Consequence::StartsAgain(pause) = then {
        fields.insert("restart_after".into(), seconds(pause));
    }
}

fn whose(fields: &mut Map<String, Value>, id: &InstanceId) {
    fields.insert("process".into(), id.to_string().into());
    fields.insert("type".into(), id.name.as_str().into());
}

fn how(fields: &mut Map<String, Value>, end: &Ended, after: Duration) {
    let (name, value) = match end {
        Ended::Exited(code) => ("code", (*code).into()),
        Ended::Signaled(sig) => ("signal", signal(*sig).into()),
        Ended::NotStarted(error) => ("error", (*error.message).into()),
    };
    fields.insert(name.into(), value);
    fields.insert("after".into(), seconds(after));
}

/// As `--stop-signal` takes it: `TERM`, or a number where there is no name.
fn signal(sig: Sig) -> String {
    sig.name()
}

/// Whole milliseconds: more digits than a reader wants are noise in a log.
fn seconds(duration: Duration) -> Value {
    ((duration.as_secs_f64() * 1000.0).round() / 1000.0).into()
}

fn last_line(stream: Stream, line: &[u8]) -> Value {
    match std::str::from_utf8(line) {
        Ok(text) => json!({ "stream": stream.name(), "line": text }),
        Err(_) => json!({ "stream": stream.name(), "line_b64": STANDARD.encode(line) }),
    }
}

#[cfg(test)]
mod tests;
