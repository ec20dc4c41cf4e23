//! `ganger logs`: what the processes wrote last, as the main view would show it here.

use std::io::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::remote::Remote;
use super::show::{allowed, paint};
use super::zone;
use crate::cli::{AppArgs, LogsArgs};
use crate::control::client::Failure;
use crate::control::proto::{Instance, LogItem, Request};
use crate::env::Env;
use crate::error::Error;
use crate::model::{InstanceId, Sig, json};
use crate::os::pty::Size;
use crate::output::Stream;
use crate::output::format::Format;
use crate::output::json::Json;
use crate::output::render::{Layout, Renderer};
use crate::output::replay::{Replay, Told};
use crate::output::style::Style;

/// How much is written at once.
const FULL: usize = 64 * 1024;

pub(super) fn logs(app: &AppArgs, args: &LogsArgs, env: &Env) -> Result<u8, Error> {
    let mut remote = Remote::find(app, env)?;
    let instance: Instance = remote.call(&Request::Ps)?;
    let ids: Vec<InstanceId> =
        instance.processes.iter().filter_map(|process| process.name.parse().ok()).collect();
    let layout = Layout { zone: zone::local(env.var("TZ")), ..Layout::default() };
    // A process may have a terminal of its own, which this one is not.
    let columns = || Size::of(io::stdout()).unwrap_or(Size::USUAL).columns;
    let terminal = env.stdout_is_terminal.then(|| (allowed(app.color, env), columns()));
    let format = if args.json {
        Format::Json(Json::new(layout.zone))
    } else {
        let style = Style::new(app.color.decide(|name| env.var(name), env.stdout_is_terminal));
        let mut renderer = Renderer::new(style, layout, ids.iter());
        paint(&mut renderer, &app.settings);
        Format::Text(renderer)
    };
    remote.client.wait_while_read();
    let mut replay = Replay::new(format, terminal);
    let mut out = Out { json: args.json, buffer: Vec::new(), failed: None };
    let request = Request::Logs { lines: args.lines, follow: args.follow, names: args.names.clone() };
    let ended = remote.client.stream(&request, |item, more| out.write(&mut replay, item, more));
    replay.finish(&mut out.buffer);
    // What came just before the end. A failure is noted.
    let _ = out.flush();
    match (ended, out.failed) {
        // As `… | head` of every other program ends.
        (_, Some(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Sig::PIPE.exit_status()),
        (_, Some(error)) => Err(Error::system("writing to stdout", error)),
        (Err(Failure::Unread), None) => Ok(Sig::PIPE.exit_status()),
        (Ok(_), None) => Ok(0),
        // Who follows an instance to its end has seen all of it.
        (Err(Failure::Broken(_)), None) if args.follow => Ok(0),
        (Err(failure), None) => Err(Remote::failed(failure, &remote.root)),
    }
}

struct Out {
    json: bool,
    buffer: Vec<u8>,
    /// Why stdout cannot be written.
    failed: Option<io::Error>,
}

impl Out {
    fn write(&mut self, replay: &mut Replay, item: Value, more: bool) -> io::Result<()> {
        match serde_json::from_value(item) {
            Ok(LogItem::Skipped { process, kind, skipped }) if self.json => {
                let notice = json!({"event": "skipped", "process": process, "type": kind, "lines": skipped});
                json::append(&mut self.buffer, &notice);
                self.buffer.push(b'\n');
            }
            Ok(LogItem::Skipped { process, skipped, .. }) => {
                replay
                    .notice(&format!("{skipped} lines of {process} are not kept any more"), &mut self.buffer);
            }
            Ok(item) => {
                if let Some(line) = told(item) {
                    replay.line(&line, &mut self.buffer);
                }
            }
            // Of a later version: there may be more kinds of items.
            Err(_) => {}
        }
        if more && self.buffer.len() < FULL { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.buffer).and_then(|()| stdout.flush());
        self.buffer.clear();
        written.inspect_err(|error| self.failed = Some(io::Error::new(error.kind(), error.to_string())))
    }
}

fn told(item: LogItem) -> Option<Told> {
    let LogItem::Line { time, process, stream, line, line_b64, cut, .. } = item else { return None };
    Some(Told {
        time: time.parse::<Timestamp>().ok()?,
        id: process.parse().ok()?,
        stream: Stream::ALL.into_iter().find(|known| known.name() == stream)?,
        bytes: match line {
            Some(text) => text.into_bytes(),
            None => STANDARD.decode(line_b64?).ok()?,
        },
        cut,
    })
}
