//! `ganger signal`: sends a signal to processes of the running instance.

use super::print;
use super::remote::Remote;
use crate::cli::{AppArgs, SignalArgs};
use crate::control::proto::{Request, Signaled, Signalee, signal_in_words};
use crate::env::Env;
use crate::error::Error;
use crate::model::visible;

pub(super) fn signal(app: &AppArgs, args: SignalArgs, env: &Env) -> Result<u8, Error> {
    let request = Request::Signal { signal: args.signal.name(), names: args.names, to: args.to };
    let Signaled { signal, processes } = Remote::find(app, env)?.call(&request)?;
    let signal = signal_in_words(&signal);
    let line =
        |it: &Signalee| format!("sent {} to {}, pid {}\n", visible(&signal), visible(&it.name), it.pid);
    print(processes.iter().map(line).collect::<String>().as_bytes())
}
