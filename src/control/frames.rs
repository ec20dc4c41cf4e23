//! What is said on a connection that was taken over by `attach`: lines of JSON as before, of the
//! same version, in both directions at any time. Values only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::proto::{Exit, Invalid, from_line, to_line};

/// How many typed bytes may be on their way: a client sends no more before it was told that some
/// were [taken](ToClient::Taken). What comes beside them (a new size, its end) is always heard.
pub const WINDOW: usize = 16 * 1024;

/// The most bytes in one frame of a client.
pub const MAX_INPUT: usize = 4096;

/// The longest frame that a client reads, in bytes with its line end. The largest possible frame has
/// 64 KiB of output, doubled by a CR before each line end, in base64.
pub const MAX_FRAME: usize = 4 * 1024 * 1024;

/// Bytes of a terminal, in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// The result of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// The instance, `web.1`.
    pub name: String,
    /// The pid of its leader.
    pub pid: i32,
}

/// Who types and whose size the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// The client that is told so. What any other sends is dropped.
    pub you: bool,
    /// The pid of the client that types, where the system tells.
    pub pid: Option<i32>,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    /// How it ended.
    pub exit: Exit,
    /// In how many seconds the next one begins; null: there is none, and this is the last frame.
    pub again_in: Option<f64>,
}

/// What a client says. Its end is the end of the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToInstance {
    /// Typed, at most [`MAX_INPUT`] bytes.
    Input(Bytes),
    /// Its terminal has another size.
    Size {
        /// Lines.
        rows: u16,
        /// Characters of one.
        columns: u16,
    },
}

/// What the instance says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToClient {
    /// For the client's terminal.
    Output(Bytes),
    /// So many bytes of output are left out here, as the client did not read them in time.
    Skipped(u64),
    /// So many typed bytes have gone to the process.
    Taken(usize),
    /// Who types from now on.
    Writer(Writer),
    /// A run of the process has ended.
    End(RunEnd),
    /// Another run began; the pid of its leader.
    Run(i32),
}

impl ToInstance {
    /// The line, with its end.
    pub fn line(&self) -> Vec<u8> {
        to_line(self)
    }

    /// Reads a line.
    pub fn read(line: &[u8]) -> Result<Self, Invalid> {
        from_line(line)
    }
}

impl ToClient {
    /// The line, with its end.
    pub fn line(&self) -> Vec<u8> {
        to_line(self)
    }

    /// Reads a line.
    pub fn read(line: &[u8]) -> Result<Self, Invalid> {
        from_line(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_and_written_as_in_the_golden_files() {
        for line in include_str!("../../tests/fixtures/control/frames-to-instance.jsonl").lines() {
            let frame = ToInstance::read(line.as_bytes()).expect(line);
            assert_eq!(String::from_utf8(frame.line()).expect("text"), format!("{line}\n"));
        }
        for line in include_str!("../../tests/fixtures/control/frames-to-client.jsonl").lines() {
            let frame = ToClient::read(line.as_bytes()).expect(line);
            assert_eq!(String::from_utf8(frame.line()).expect("text"), format!("{line}\n"));
        }
    }
}
