//! `ganger wait`: until processes of the running instance are ready.

use super::remote::Remote;
use super::{complain, print};
use crate::cli::{AppArgs, WaitArgs};
use crate::control::client::Failure;
use crate::control::proto::{Outcome, Readiness, Request, Waited};
use crate::env::Env;
use crate::error::{Error, FAILURE};
use crate::model::{Sig, visible};

/// As timeout(1) says that the time is over.
const OUT_OF_TIME: u8 = 124;

pub(super) fn wait(app: &AppArgs, args: WaitArgs, env: &Env) -> Result<u8, Error> {
    let seconds = args.timeout.0.as_secs_f64();
    let request = Request::Wait { names: args.names, timeout: seconds };
    let mut remote = Remote::find(app, env)?;
    remote.client.wait_while_read();
    let Waited { outcome, processes } = match remote.client.call(&request) {
        Err(Failure::Unread) => return Ok(Sig::PIPE.exit_status()),
        waited => waited.map_err(|failure| Remote::failed(failure, &remote.root))?,
    };
    let ready = processes.iter().filter(|it| it.ready).map(|it| format!("{} is ready\n", visible(&it.name)));
    let status = print(ready.collect::<String>().as_bytes())?;
    let late = |after: &str| {
        for Readiness { name, why, hint, .. } in processes.iter().filter(|it| !it.ready) {
            let why = why.clone().unwrap_or_else(|| format!("{name} is not ready"));
            complain(&format!("ganger: error: {why}{after}"));
            if let Some(hint) = hint {
                complain(&format!("  hint: {hint}"));
            }
        }
    };
    Ok(match outcome {
        Outcome::Ready => status,
        Outcome::Never => {
            late("");
            FAILURE
        }
        Outcome::OutOfTime => {
            late(&format!(", after {seconds} s"));
            OUT_OF_TIME
        }
    })
}
