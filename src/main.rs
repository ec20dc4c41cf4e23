//! The program: reads its surroundings and its arguments, runs the command, ends as it says.

use std::process::ExitCode;

use ganger::cli::Cli;
use ganger::cmd;
use ganger::env::Env;

fn main() -> ExitCode {
    // Before anything else: threads and file descriptors multiply from here on.
    let cli = Cli::read();
    match cmd::run(cli, &Env::read()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            cmd::complain_in_lines(&error.render());
            ExitCode::from(error.exit_status())
        }
    }
}
