//! Reading the app's files once more, as this start has read them: `ganger reload`.

use std::path::Path;

use super::listen::ReadAgain;
use super::project::{Project, port_wish, with_settings};
use super::wishes::wishes;
use crate::cli::Cli;
use crate::config::formation::count_of;
use crate::control::proto::Refusal;
use crate::env::Env;
use crate::error::Error;
use crate::model::ProcessName;
use crate::plan::{Planner, PortWish, Ports};

/// How the files are read for a run in `root`. With `-p auto` the ports stay those that were found.
pub(super) fn read_again(env: &Env, root: &Path, ports: Option<Ports>) -> ReadAgain {
    let (env, root) = (env.clone(), root.to_owned());
    Box::new(move || {
        read(&env, &root, ports).map_err(|error| {
            let text = error.render();
            let mut lines = text.trim_start_matches("ganger: error: ").lines().map(str::to_owned);
            let message = lines.next().unwrap_or_default();
            Refusal { message, details: lines.collect(), hint: None, status: error.exit_status() }
        })
    })
}

fn read(env: &Env, root: &Path, found: Option<Ports>) -> Result<Planner, Error> {
    // What `ganger.toml` says stands under the same command line.
    let (args, start) = with_settings(Cli::again(&env.args)?, env)?.of_start();
    let project = Project::load_again(&args, env)?;
    if project.root != root {
        let message = format!("the root is {} now, and a running app cannot move", project.root.display());
        return Err(Error::usage(message, "stop it and start it anew"));
    }
    let types: Vec<ProcessName> = project.procfile.names().cloned().collect();
    let wishes = wishes(&args, &start, &types)?;
    project.check_folders(types.iter().filter(|name| count_of(name, &wishes.selection) > 0))?;
    let ports = match port_wish(&args) {
        Some(PortWish::Auto) => found,
        Some(PortWish::At(_)) | None => project.app(&args, |_| Ok(true))?.ports,
    };
    let Project { procfile, environment, settings, .. } = project;
    Ok(Planner { procfile, environment, settings, ports, wishes })
}
