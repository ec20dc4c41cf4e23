//! The program: reads its surroundings and its arguments, runs the command, ends as it says.

use std::process::ExitCode;

use ganger::cli::Cli;
use ganger::cmd;
use ganger::env::Env;
use ganger::error::Error;

fn main() -> ExitCode {
    // Before anything else: threads and file descriptors multiply from here on.
    let cli = Cli::read();
    let status = Env::read()
        .map_err(|source| Error::system("reading the working folder", source))
        .and_then(|env| cmd::run(cli, &env));
    match status {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            cmd::complain_in_lines(&error.render());
            ExitCode::from(error.exit_status())
        }
    }
}
