//! How a run's output is to look: from options and surroundings to what the pump and the
//! processes get.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::terminals::Terminals;
use super::wishes::muted;
use super::zone;
use crate::cli::{AppArgs, ShowOptions, StartArgs, StartOptions};
use crate::config::names::Names;
use crate::config::settings::Settings;
use crate::env::Env;
use crate::error::Error;
use crate::model::{ProcessName, mask_path};
use crate::output::format::{Format, FormatChoice};
use crate::output::json::Json;
use crate::output::log::{self, LogFile};
use crate::output::modes::Colors;
use crate::output::pump::Setup;
use crate::output::render::Renderer;
use crate::output::sanitize::Allowed;
use crate::output::screen::Abilities;
use crate::output::style::{ColorChoice, Style};
use crate::plan::ProcessSpec;

/// What the user wants, checked as far as it can be before it is known what runs.
#[derive(Debug)]
pub(super) struct Look<'a> {
    args: &'a AppArgs,
    show: &'a ShowOptions,
    muted: Names,
    /// The run leaves the terminal.
    daemon: bool,
    env: &'a Env,
}

/// How the time is written before the lines of a daemon.
const DATED: &str = "%F %T";

const ELSEWHERE: &str = "name a folder that you may write to";

/// What is made of it.
#[derive(Debug)]
pub(super) struct Show {
    pub(super) setup: Setup,
    pub(super) terminals: Terminals,
    /// Stdout and stderr are to be told apart.
    pub(super) apart: bool,
    /// The folder of `--log-dir`.
    pub(super) log_folder: Option<PathBuf>,
    /// The run leaves the terminal.
    pub(super) daemon: bool,
    /// Where ganger's own lines go then.
    pub(super) own: Option<File>,
}

impl<'a> Look<'a> {
    pub(super) fn wanted(
        args: &'a AppArgs,
        start: &'a StartArgs,
        types: &[ProcessName],
        env: &'a Env,
    ) -> Result<Self, Error> {
        let StartOptions { show, daemon, .. } = &start.options;
        // Nobody sees the lines of a daemon's processes where they come.
        let muted = muted(args, start, types)?;
        let muted = if *daemon { Names::all() } else { muted };
        Ok(Self { args, show, muted, daemon: *daemon, env })
    }

    /// Opens the log files, for one.
    pub(super) fn show(self, specs: &[ProcessSpec]) -> Result<Show, Error> {
        let ids = specs.iter().map(|spec| &spec.id);
        let mut layout = self.show.layout(zone::local(self.env.var("TZ")));
        // A file is read on another day.
        if self.daemon && self.show.timestamps.is_none() && !self.show.no_timestamps {
            layout.time = DATED.parse().ok();
        }
        let on_terminal = self.env.stdout_is_terminal && !self.daemon;
        let (format, margin) = match self.show.format.unwrap_or_default() {
            FormatChoice::Json => (Format::Json(Json::new(layout.zone)), None),
            FormatChoice::Text => {
                let style = Style::new(self.args.color.decide(|name| self.env.var(name), on_terminal));
                let mut renderer = Renderer::new(style, layout, ids);
                paint(&mut renderer, &self.args.settings);
                let margin = renderer.margin();
                (Format::Text(renderer), Some(margin))
            }
        };
        // The terminal that a daemon is started from counts as that of its processes: whoever comes
        // back to attach to one finds what a start without -D would have given.
        let terminals = Terminals::new(self.env.stdout_is_terminal, margin.unwrap_or_default());
        let screen = (on_terminal && margin.is_some()).then(|| self.abilities(terminals.ours().columns));
        let logs = logs(self.args, self.show, specs, self.env)?;
        let log_folder = self.show.log_dir.as_ref().map(|named| self.env.cwd.join(named));
        let own = log_folder
            .as_deref()
            .filter(|_| self.daemon)
            .map(|folder| own_log(self.args, folder))
            .transpose()?;
        let log_format = self.show.log_format.unwrap_or_default();
        let colors = Colors::read(self.env.var("COLORFGBG"));
        let setup = Setup { format, muted: self.muted, logs, log_format, screen, colors };
        Ok(Show { setup, terminals, apart: margin.is_none(), log_folder, daemon: self.daemon, own })
    }

    /// What the terminal can do and what the user allows.
    fn abilities(&self, columns: u16) -> Abilities {
        Abilities { allowed: allowed(self.args.color, self.env), rewrites: !is_dumb(self.env), columns }
    }
}

/// Gives processes the colours that `ganger.toml` has for them.
pub(super) fn paint(renderer: &mut Renderer, settings: &Settings) {
    for table in settings.processes() {
        if let (Ok(name), Some(color)) = (table.name().text.parse(), table.color()) {
            renderer.paint(name, color);
        }
    }
}

/// What of a process's sequences passes to our terminal.
pub(super) fn allowed(color: ColorChoice, env: &Env) -> Allowed {
    let dumb = is_dumb(env);
    let sgr = match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => !dumb,
    };
    Allowed { sgr, links: !dumb, utf8: env.is_utf8() }
}

fn is_dumb(env: &Env) -> bool {
    env.var("TERM").is_some_and(|term| term == "dumb")
}

/// The file in `--log-dir` that takes a daemon's own lines. No process has its name.
fn own_log(args: &AppArgs, folder: &Path) -> Result<File, Error> {
    let path = folder.join("system.log");
    let refused =
        |error| args.refuse("log-dir", &format!("{}: {error}", mask_path(&path)), Some(ELSEWHERE.to_owned()));
    log::open(&path).map_err(refused)
}

/// The files of `--log-dir`, one for each process.
fn logs(args: &AppArgs, show: &ShowOptions, specs: &[ProcessSpec], env: &Env) -> Result<Vec<LogFile>, Error> {
    let Some(named) = &show.log_dir else { return Ok(Vec::new()) };
    let unusable = |path: &Path, error: &io::Error, hint: &str| {
        let hint = if error.kind() == io::ErrorKind::PermissionDenied { ELSEWHERE } else { hint };
        let what = match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => "it is no folder".to_owned(),
            io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        args.refuse("log-dir", &format!("{}: {what}", mask_path(path)), Some(hint.to_owned()))
    };
    let folder = env.cwd.join(named);
    // The output of processes may contain secrets.
    let created = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    created.map_err(|error| unusable(named, &error, ELSEWHERE))?;
    let open = |spec: &ProcessSpec| {
        let name = named.join(LogFile::name(&spec.id));
        LogFile::open(&folder, &spec.id)
            .map_err(|error| unusable(&name, &error, "move it away, or name another folder"))
    };
    specs.iter().map(open).collect()
}
