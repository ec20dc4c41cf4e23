//! One file for each command: it wires the parts together and reports.
//!
//! Output of commands goes to stdout and everything about ganger itself to stderr, through `say`.

mod again;
mod attach;
mod background;
mod batch;
mod belongings;
mod beside;
mod check;
mod children;
mod config;
mod daemon;
mod detach_key;
mod explain;
mod front;
mod inbox;
mod listen;
mod logs;
mod man;
mod open;
mod orders;
mod passable;
mod prober;
mod program;
mod project;
mod ps;
mod reach;
mod remote;
mod run;
mod say;
mod scanner;
mod send;
mod show;
mod signal;
mod start;
mod terminals;
mod wait;
mod wishes;
mod zone;

use clap::CommandFactory as _;

use crate::cli::{self, Cli, Command, ConfigArgs, StartArgs};
use crate::env::Env;
use crate::error::Error;
use crate::model::json;
pub use say::{complain, complain_in_lines};
use say::{print, print_raw};

/// Runs the command and answers the exit status. A run of processes that a signal ended does
/// not return: it ends by that signal.
pub fn run(cli: Cli, env: &Env) -> Result<u8, Error> {
    let cli = match cli.command {
        Some(Command::Completions { .. } | Command::Man | Command::Schema) => cli,
        _ if !project::is_found(&cli.app, env) => return Err(Error::no_directory()),
        Some(
            Command::Ps(_)
            | Command::Scale(_)
            | Command::Restart(_)
            | Command::Stop(_)
            | Command::Up(_)
            | Command::Reload(_)
            | Command::Signal(_)
            | Command::Logs(_)
            | Command::Attach(_)
            | Command::Send(_)
            | Command::Open(_)
            | Command::Wait(_)
            | Command::Config(ConfigArgs { running: true, .. }),
        ) => project::with_good_settings(cli, env)?,
        Some(Command::Start(_) | Command::Run(_) | Command::Check(_) | Command::Config(_)) | None => {
            project::with_settings(cli, env)?
        }
    };
    let Cli { app, start: outer, command } = cli;
    match command.unwrap_or_else(|| Command::Start(StartArgs::default())) {
        Command::Start(args) => {
            start::start(&app, &StartArgs { options: args.options.clone().or(outer), ..args }, env)
        }
        Command::Run(args) => run::run(&app, &args, env),
        Command::Check(args) => {
            let start = StartArgs { options: outer, ..StartArgs::default() };
            check::check(&app, &args, &start, env)
        }
        Command::Config(args) => config::config(&app, &args, env),
        Command::Ps(args) => ps::ps(&app, &args, env),
        Command::Scale(args) => orders::scale(&app, args, env),
        Command::Restart(args) => orders::restart(&app, args, env),
        Command::Stop(args) => orders::stop(&app, args, env),
        Command::Up(args) => orders::up(&app, args, env),
        Command::Reload(args) => orders::reload(&app, &args, env),
        Command::Signal(args) => signal::signal(&app, args, env),
        Command::Logs(args) => logs::logs(&app, &args, env),
        Command::Attach(args) => attach::attach(&app, args, env),
        Command::Send(args) => send::send(&app, args, env),
        Command::Open(args) => open::open(&app, &args, env),
        Command::Wait(args) => wait::wait(&app, args, env),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ganger", &mut text);
            print_raw(&text)
        }
        Command::Schema => print_raw(&json::pretty(&cli::schema())),
        Command::Man => {
            let page = man::page(Cli::command());
            print_raw(&page.map_err(|source| Error::system("writing the man page", source))?)
        }
    }
}
