//! The options of `start` stand in front of it or behind it, and some of them are one wish.

use std::cmp::Ordering;

use clap::parser::ValueSource;
use jiff::tz::TimeZone;

use super::{AppArgs, Cli, Command, ShowOptions, StartArgs, StartOptions};
use crate::output::render::Layout;

impl Cli {
    /// What `start` gets, with the options in front of it.
    pub fn of_start(self) -> (AppArgs, StartArgs) {
        let start = match self.command {
            Some(Command::Start(start)) => start,
            _ => StartArgs::default(),
        };
        (self.app, StartArgs { options: start.options.or(self.start), ..start })
    }
}

impl StartOptions {
    /// Takes over the flags that `inner` is given, also those that are taken back there.
    pub(super) fn yield_to(&mut self, inner: &Self, is_given: impl Fn(&str) -> bool) {
        for (id, own, inner) in [
            ("release", &mut self.release, inner.release),
            ("daemon", &mut self.daemon, inner.daemon),
            ("no_prefix", &mut self.show.no_prefix, inner.show.no_prefix),
        ] {
            if is_given(id) {
                *own = inner;
            }
        }
    }

    /// These options, and `outer` where one is not given: `ganger -t 5 start` is
    /// `ganger start -t 5`.
    #[must_use]
    pub fn or(self, outer: Self) -> Self {
        let or = |inner: Vec<String>, outer| if inner.is_empty() { outer } else { inner };
        Self {
            formation: or(self.formation, outer.formation),
            concurrency: or(self.concurrency, outer.concurrency),
            exclude: or(self.exclude, outer.exclude),
            timeout: or(self.timeout, outer.timeout),
            stop_signal: or(self.stop_signal, outer.stop_signal),
            kill_mode: or(self.kill_mode, outer.kill_mode),
            keep: or(self.keep, outer.keep),
            on_exit: or(self.on_exit, outer.on_exit),
            wait_for: or(self.wait_for, outer.wait_for),
            wait_timeout: self.wait_timeout.or(outer.wait_timeout),
            release: self.release || outer.release,
            daemon: self.daemon || outer.daemon,
            attach: self.attach.or(outer.attach),
            pty: self.pty.or(outer.pty),
            show: self.show.or(outer.show),
        }
    }
}

impl ShowOptions {
    /// `--timestamps` and `--no-timestamps` are one wish, and the last on the command line says
    /// it. clap would do that by itself (`overrides_with`), but not if one of them is a variable:
    /// that is a conflict for it.
    pub(super) fn settle(&mut self, matches: &clap::ArgMatches) {
        let place = |id| {
            let is_option = matches.value_source(id) == Some(ValueSource::CommandLine);
            if is_option { matches.index_of(id) } else { None }
        };
        // `None`, of a variable, is before all others.
        match place("timestamps").cmp(&place("no_timestamps")) {
            Ordering::Greater => self.no_timestamps = false,
            Ordering::Less => self.timestamps = None,
            Ordering::Equal => {}
        }
    }

    fn or(self, outer: Self) -> Self {
        // The two are one wish, and what stands nearer says it.
        let inner = self.timestamps.is_some() || self.no_timestamps;
        let (timestamps, no_timestamps) = if inner {
            (self.timestamps, self.no_timestamps)
        } else {
            (outer.timestamps, outer.no_timestamps)
        };
        Self {
            format: self.format.or(outer.format),
            timestamps,
            no_timestamps,
            no_prefix: self.no_prefix || outer.no_prefix,
            mute: if self.mute.is_empty() { outer.mute } else { self.mute },
            log_dir: self.log_dir.or(outer.log_dir),
            log_format: self.log_format.or(outer.log_format),
        }
    }

    /// What stands before a line, with the times of `zone`.
    pub fn layout(&self, zone: TimeZone) -> Layout {
        let mut layout = Layout { zone, prefix: !self.no_prefix, ..Layout::default() };
        if let Some(format) = &self.timestamps {
            layout.time = Some(format.clone());
        }
        if self.no_timestamps {
            layout.time = None;
        }
        layout
    }
}
