//! The words of the control socket: lines of JSON, of one version. Values only.
//!
//! A client writes a request in one line, `{"v":1,"cmd":"ps"}`, and reads lines until one has
//! `result` or `error`; before that there may be lines with `item`, and one with `accepted` if the
//! client has asked for it ([`Asked`]). Then it may ask again on the same connection. `docs/control-protocol.md` is the description for others; golden files in
//! `tests/fixtures/control` hold each form, in both directions.
//!
//! **A new request** is a variant of [`Request`] with its arguments as fields, and an arm in
//! `Desk::answer`. It answers in one of three ways
//! (`server::Answer`):
//!
//! - `Answer::One`: one result or error. What the client gets out of the result is a struct here.
//! - `Answer::Written`: a bounded channel of lines with [`Reply::Item`]s, and at last a result (`logs`).
//! - `Answer::TakeOver`: a result, and from then on the connection belongs to a function that
//!   reads and writes frames of its own on it (`attach`).
//!
//! In a command, [`Client::call`](super::client::Client::call),
//! [`Client::stream`](super::client::Client::stream) and
//! [`Client::take_over`](super::client::Client::take_over) are the other ends of these. Fields may
//! be added within a version: readers ignore those they do not know. Anything else is a new version.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::frames::Bytes;
use crate::config::formation::FormationError;
use crate::model::{ProcessName, Recipients, Sig, json};

/// The version of everything here.
pub const VERSION: u32 = 1;

/// The longest request, in bytes with its line end. Replies may be longer.
pub const MAX_REQUEST: usize = 64 * 1024;

/// The most bytes that one request types on a terminal: in base64 they have room in it.
pub const MAX_SENT: usize = 32 * 1024;

/// The longest reply that a client reads, likewise. The largest that there can be: a line of a log has
/// 1 MiB, an environment 6 MiB (execve(2)), and in JSON a byte has at most six signs; `ps` has the command
/// of each process, of which Linux takes 128 KiB.
pub const MAX_REPLY: usize = 128 * 1024 * 1024;

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case")]
pub enum Request {
    /// What runs: [`Instance`].
    Ps,
    /// Bring processes up: [`Changes`].
    Up(Which),
    /// Stop processes: [`Changes`].
    Stop(Which),
    /// Start processes anew: [`Changes`].
    Restart(Which),
    /// Have as many of each type as the counts say: [`Changes`].
    Scale {
        /// As in `web=2`.
        counts: Vec<String>,
        /// Answer when it is done, and not at once.
        #[serde(default = "yes")]
        wait: bool,
    },
    /// End the instance, as TERM does. Answered at once, with null; the lock file is free when
    /// nothing of it is left.
    End,
    /// Read the files again and run what they say: [`Changes`].
    Reload {
        /// Answer when it is done, and not at once.
        #[serde(default = "yes")]
        wait: bool,
    },
    /// Send a signal to processes that run: [`Signaled`].
    Signal {
        /// By name or number, as for `--stop-signal`.
        signal: String,
        /// Types and instances, at least one.
        names: Vec<String>,
        /// Which of their processes get it.
        #[serde(default)]
        to: Recipients,
    },
    /// Type on the terminal of a process: [`Sent`].
    Send {
        /// A type or an instance.
        name: String,
        /// What to type, at most [`MAX_SENT`] bytes.
        bytes: Bytes,
    },
    /// Wait until processes are ready: [`Waited`].
    Wait {
        /// Types and instances; none: all, but what was stopped by a command.
        #[serde(default)]
        names: Vec<String>,
        /// How long, in seconds, from 0 to 86400.
        timeout: f64,
    },
    /// The environment of a process: [`Variables`].
    Config {
        /// The instance, as `web.1`.
        name: String,
    },
    /// The last lines, each a [`LogItem`], and with `follow` those that come later.
    Logs {
        /// How many.
        lines: usize,
        /// Whether to go on until the instance ends.
        #[serde(default)]
        follow: bool,
        /// Types and instances; none are all.
        #[serde(default)]
        names: Vec<String>,
    },
    /// Have the terminal of a process: [`Attached`](super::frames::Attached), and then the
    /// connection has [frames](super::frames).
    Attach {
        /// A type or an instance.
        name: String,
        /// The size of the client's terminal.
        rows: u16,
        /// As above.
        columns: u16,
        /// The main view goes on showing the lines of the process.
        #[serde(default)]
        tee: bool,
    },
}

impl Request {
    /// Returns the value of its `cmd`.
    pub fn name(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value.get("cmd").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Returns whether the answer may take longer than a client waits for its first line.
    pub fn takes_long(&self) -> bool {
        match self {
            Self::Up(which) | Self::Stop(which) | Self::Restart(which) => which.wait,
            Self::Scale { wait, .. } => *wait,
            // The files are read in any case, and the process may read slowly.
            Self::Reload { .. } | Self::Wait { .. } | Self::Send { .. } => true,
            Self::Logs { follow, .. } => *follow,
            Self::Ps | Self::End | Self::Signal { .. } | Self::Config { .. } | Self::Attach { .. } => false,
        }
    }
}

/// A request, and which features its client understands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The request.
    #[serde(flatten)]
    pub request: Request,
    /// The client understands [`Reply::Accepted`], and its timeout applies only to the first line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepted: bool,
}

impl From<Request> for Asked {
    /// A request as ganger's own commands make it.
    fn from(request: Request) -> Self {
        Self { accepted: request.takes_long(), request }
    }
}

/// Which processes are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Which {
    /// Types and instances; none: all, but what was stopped by a command.
    #[serde(default)]
    pub names: Vec<String>,
    /// Answer when it is done, and not at once.
    #[serde(default = "yes")]
    pub wait: bool,
}

fn yes() -> bool {
    true
}

/// A line of the instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The request was read, and the answer may take a while. Only for clients that have asked for it.
    Accepted(bool),
    /// One of several; more lines follow.
    Item(Value),
    /// The last line of a request that was carried out.
    Result(Value),
    /// The last line of one that was not.
    Error(Refusal),
}

impl Reply {
    /// An item.
    pub fn item(value: &impl Serialize) -> Self {
        match Self::result(value) {
            Self::Result(value) => Self::Item(value),
            other => other,
        }
    }

    /// A result.
    pub fn result(value: &impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => Self::Result(value),
            Err(error) => Self::Error(Refusal::failed(format!("the answer cannot be written: {error}"))),
        }
    }

    /// The line, with its end.
    pub fn line(&self) -> Vec<u8> {
        to_line(self)
    }
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// Lines to show below it: a place in a file, or further problems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The exit status of the command: 2 for wrong words, 1 for all else.
    pub status: u8,
}

impl Refusal {
    /// Something that did not work.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), details: Vec::new(), hint: None, status: crate::error::FAILURE }
    }

    /// Wrong words.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), details: Vec::new(), hint: None, status: crate::error::USAGE }
    }

    /// The same with what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<FormationError> for Refusal {
    fn from(error: FormationError) -> Self {
        Self { hint: error.hint(), ..Self::usage(error.to_string()) }
    }
}

/// The running instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// The pid to signal: that of the guard.
    pub pid: u32,
    /// The folder of the app.
    pub root: String,
    /// How many there are of each type, in the order of the Procfile.
    pub formation: Vec<Count>,
    /// Its processes, in the order in which they were first started.
    pub processes: Vec<Process>,
}

impl Instance {
    /// Returns the types, in the order of the Procfile.
    pub fn types(&self) -> Vec<ProcessName> {
        self.formation.iter().filter_map(|count| count.kind.parse().ok()).collect()
    }
}

/// How many there are of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
    /// How many.
    pub count: usize,
}

/// What a command has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// With each process that was meant.
    pub processes: Vec<Change>,
    /// How many there are of each type now.
    pub formation: Vec<Count>,
}

/// What was done with a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its name, `web.1`.
    pub name: String,
    /// What.
    pub did: Did,
    /// The pid of its leader, where it is up.
    pub pid: Option<i32>,
    /// Its port.
    pub port: Option<u16>,
    /// How it ended, where it was stopped.
    pub exit: Option<Exit>,
    /// Why it failed.
    pub error: Option<String>,
    /// Nothing went wrong, but a later command wanted something else of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub superseded: bool,
}

/// See [`Change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Did {
    /// It was not up and is now.
    Started,
    /// A new run of it is up.
    Restarted,
    /// It was up already.
    WasUp,
    /// It was up and is not now.
    Stopped,
    /// It was down already.
    WasDown,
    /// It is not as it should be.
    Failed,
    /// It was ordered, and nobody waits for it.
    Ordered,
}

/// Which processes got a signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signaled {
    /// The signal by name, without `SIG`: `HUP`.
    pub signal: String,
    /// In the order in which they were first started.
    pub processes: Vec<Signalee>,
}

/// See [`Signaled`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signalee {
    /// Its name, `web.1`.
    pub name: String,
    /// The pid of its leader, which is also its group.
    pub pid: i32,
}

/// What was typed on a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The instance, `web.1`.
    pub name: String,
    /// The pid of its leader.
    pub pid: i32,
    /// How many bytes the terminal took. Less than all: it has taken no more for a while.
    pub taken: usize,
}

/// An environment, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variables {
    /// Its variables.
    pub variables: Vec<Variable>,
}

/// See [`Variables`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name; what is not UTF-8 in it is U+FFFD.
    pub name: String,
    /// Its value, likewise.
    pub value: String,
    /// Its value in base64, where that is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_b64: Option<String>,
    /// Where it comes from, for people: `shell`, `.env:3`, `ganger (…)`.
    pub from: String,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its name, `web.1`.
    pub name: String,
    /// Its type, `web`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the shell got.
    pub command: String,
    /// The pid of its leader, which is also its group, while it is alive.
    pub pid: Option<i32>,
    /// Its port.
    pub port: Option<u16>,
    /// `waiting`, `starting`, `up`, `stopping`, `stopped` or `crashed`.
    pub state: String,
    /// Since when it is in this state (RFC 3339).
    pub since: String,
    /// How often it was started again.
    pub restarts: u32,
    /// In how many seconds it is started again, while it waits for that.
    #[serde(default)]
    pub restart_in: Option<f64>,
    /// How often it has failed in a row.
    #[serde(default)]
    pub crashes: u32,
    /// How its last run ended.
    pub exit: Option<Exit>,
    /// Whether it is ready; one that has done its work is.
    #[serde(default)]
    pub ready: bool,
    /// What it waits for while it is `waiting`, as it was written.
    #[serde(default)]
    pub waits_for: Vec<String>,
}

/// What has become of a wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// How it ended.
    pub outcome: Outcome,
    /// The processes that were meant.
    pub processes: Vec<Readiness>,
}

/// See [`Waited`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All are ready.
    Ready,
    /// One of them will not be, unless somebody starts it.
    Never,
    /// The time is over.
    OutOfTime,
}

/// Whether a process is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Its name, `web.1`.
    pub name: String,
    /// Whether it is.
    pub ready: bool,
    /// Why it is not, for people.
    pub why: Option<String>,
    /// What the user can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It exited with this code.
    Code(u8),
    /// A signal killed it: `KILL`.
    Signal(String),
    /// It could not be started: why.
    Error(String),
}

/// Returns a signal of [`Exit::Signal`] as messages show it: `SIGKILL`, `signal 32`.
pub fn signal_in_words(name: &str) -> String {
    name.parse::<Sig>().map_or_else(|_| format!("SIG{name}"), |sig| sig.to_string())
}

/// A line that a process wrote, or how many are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LogItem {
    /// Lines that were given up before this reader came to them.
    Skipped {
        /// Whose.
        process: String,
        /// Its type.
        #[serde(rename = "type")]
        kind: String,
        /// How many.
        skipped: u64,
    },
    /// A line.
    Line {
        /// When its end was read (RFC 3339, UTC).
        time: String,
        /// Whose.
        process: String,
        /// Its type.
        #[serde(rename = "type")]
        kind: String,
        /// `stdout` or `stderr`.
        stream: String,
        /// The text, if it is UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<String>,
        /// The bytes in base64, if it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line_b64: Option<String>,
        /// It goes on in the next.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cut: bool,
    },
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    v: u32,
    #[serde(flatten)]
    body: T,
}

impl Asked {
    /// The line, with its end.
    pub fn line(&self) -> Vec<u8> {
        to_line(self)
    }

    /// Reads a line.
    pub fn read(line: &[u8]) -> Result<Self, Invalid> {
        from_line(line)
    }
}

impl Reply {
    /// Reads a line.
    pub fn read(line: &[u8]) -> Result<Self, Invalid> {
        from_line(line)
    }
}

pub(super) fn to_line(body: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::new();
    json::append(&mut line, &Line { v: VERSION, body });
    line.push(b'\n');
    line
}

/// Why a line is not a message of this protocol. What is said about it depends on who sent it.
#[derive(Debug)]
pub enum Invalid {
    /// It is not JSON.
    Json(serde_json::Error),
    /// It has no version.
    NoVersion,
    /// It has this version.
    Version(u64),
    /// It is not a known message, or a field is wrong.
    Message(serde_json::Error),
}

/// What to do about another version, in a client and in the instance.
pub(super) const SAME_VERSION: &str = "use the same ganger for both, or start the app again";

/// As text about a line of the instance.
impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "invalid JSON: {error}"),
            Self::NoVersion => f.write_str("the version is missing"),
            Self::Version(version) => {
                write!(f, "unsupported protocol version {version} (this ganger speaks version {VERSION})")
            }
            Self::Message(error) => error.fmt(f),
        }
    }
}

/// As the answer to a request.
impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        match invalid {
            Invalid::NoVersion => Self::usage("the version is missing, as in {\"v\":1,\"cmd\":\"ps\"}"),
            Invalid::Version(_) => Self::failed(invalid.to_string()).hint(SAME_VERSION),
            Invalid::Json(_) | Invalid::Message(_) => Self::usage(invalid.to_string()),
        }
    }
}

pub(super) fn from_line<T: DeserializeOwned>(line: &[u8]) -> Result<T, Invalid> {
    let value: Value = serde_json::from_slice(line).map_err(Invalid::Json)?;
    match value.get("v").and_then(Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => return Err(Invalid::Version(version)),
        None => return Err(Invalid::NoVersion),
    }
    serde_json::from_value::<Line<T>>(value).map(|line| line.body).map_err(Invalid::Message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line of a golden file, read and written again.
    fn assert_golden<T: DeserializeOwned + Serialize>(lines: &str) {
        for line in lines.lines() {
            let value: T = from_line(line.as_bytes()).expect(line);
            assert_eq!(String::from_utf8(to_line(&value)).expect("text"), format!("{line}\n"));
        }
    }

    #[test]
    fn requests_are_read_and_written_as_in_the_golden_file() {
        assert_golden::<Asked>(include_str!("../../tests/fixtures/control/requests.jsonl"));
    }

    #[test]
    fn replies_are_read_and_written_as_in_the_golden_file() {
        let text = include_str!("../../tests/fixtures/control/replies.jsonl");
        assert_golden::<Reply>(text);
        let Ok(Reply::Result(first)) = Reply::read(text.lines().next().expect("a line").as_bytes()) else {
            panic!("no result")
        };
        let instance: Instance = serde_json::from_value(first.clone()).expect("an instance");
        assert_eq!(serde_json::to_value(instance).expect("a value"), first);
    }

    #[test]
    fn a_request_that_cannot_be_read_says_why() {
        let refused =
            |line: &str| Asked::read(line.as_bytes()).map_err(Refusal::from).expect_err(line).message;
        assert_eq!(refused("{\"cmd\":\"ps\"}"), "the version is missing, as in {\"v\":1,\"cmd\":\"ps\"}");
        assert_eq!(
            refused("{\"v\":2,\"cmd\":\"ps\"}"),
            "unsupported protocol version 2 (this ganger speaks version 1)"
        );
        assert!(refused("{\"v\":1,\"cmd\":\"dance\"}").starts_with("unknown variant `dance`"));
        assert!(refused("{\"v\":1}").starts_with("missing field `cmd`"));
        for garbage in ["", "ps", "{", "\u{0}", "{\"v\":1,\"cmd\":\"ps\"} x"] {
            assert!(refused(garbage).starts_with("invalid JSON: "), "{garbage}");
        }
        let known = Asked::read(b"{\"v\":1,\"cmd\":\"ps\",\"colour\":\"blue\"}");
        assert_eq!(known.expect("fields may be added"), Request::Ps.into());
    }
}
