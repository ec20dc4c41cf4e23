//! For whom the output is: people or programs.

use jiff::Timestamp;

use super::json::Json;
use super::prefix::Prefix;
use super::render::Renderer;
use super::source::Stream;
use crate::model::InstanceId;
use crate::supervisor::event::Event;

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum FormatChoice {
    /// Lines with time and name, for people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// How lines and events are written.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum Format {
    /// Lines with time and name.
    Text(Renderer),
    /// One JSON object a line.
    Json(Json),
}

impl Format {
    pub(super) fn set_time(&mut self, time: Timestamp) {
        match self {
            Self::Text(renderer) => renderer.set_time(time),
            Self::Json(json) => json.set_time(time),
        }
    }

    /// What stands before each line of this stream.
    pub(super) fn prefix(&self, id: &InstanceId, stream: Stream) -> Prefix {
        match self {
            Self::Text(renderer) => renderer.prefix(id),
            Self::Json(_) => Json::prefix(id, stream),
        }
    }

    /// One more process, if it is a new one. Answers whether the voices of all are to be asked for
    /// again.
    pub(super) fn join(&mut self, id: &InstanceId) -> bool {
        match self {
            Self::Text(renderer) => renderer.join(id),
            Self::Json(_) => false,
        }
    }

    /// Appends a line of ganger's own that is no event; in JSON there is none.
    pub(super) fn notice(&mut self, text: &str, out: &mut Vec<u8>) {
        match self {
            Self::Text(renderer) => renderer.notice(out, text),
            Self::Json(_) => {}
        }
    }

    /// Appends an event to `out`; `tail` are the last lines of the process a report is about.
    pub(super) fn event<'a>(
        &mut self,
        out: &mut Vec<u8>,
        event: &Event,
        tail: impl Iterator<Item = (Stream, &'a [u8])>,
    ) {
        match self {
            Self::Text(renderer) => renderer.event(out, event, tail.map(|(_, line)| line)),
            Self::Json(json) => json.event(out, event, tail),
        }
    }
}
