//! `ganger open`: waits until a process listens on its port, then shows it in the browser.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::config::wanted;
use super::remote::Remote;
use super::{complain, print};
use crate::cli::{AppArgs, OpenArgs};
use crate::config::formation::main_type;
use crate::control::proto::{Instance, Process, Refusal, Request};
use crate::env::Env;
use crate::error::Error;
use crate::model::{InstanceId, Port, ProcessName};
use crate::os::ports::{self, Expected};
use crate::plan::pin_hint;

/// How often we look. Nothing in the system tells that somebody begins to listen, so whoever wants
/// to know has to ask again and again: here, in the command that waits, and not in the instance,
/// which sleeps while nothing happens.
const PAUSE: Duration = Duration::from_millis(100);

/// What opens an address, the best first.
const OPENERS: [&str; 2] =
    if cfg!(target_os = "macos") { ["open", "xdg-open"] } else { ["xdg-open", "open"] };

pub(super) fn open(app: &AppArgs, args: &OpenArgs, env: &Env) -> Result<u8, Error> {
    let mut remote = Remote::find(app, env)?;
    let (until, mut told) = (Instant::now() + args.timeout.0, false);
    let port = loop {
        let instance: Instance = remote.call(&Request::Ps)?;
        let process = the_one(&instance, args.name.as_deref())?;
        let port = may_listen(process)?;
        if process.state == "up" && ports::is_listening(port) {
            break port;
        }
        if !told {
            complain(&format!("ganger: waiting until {} listens on port {port}", process.name));
            told = true;
        }
        if Instant::now() >= until {
            let is_main = process.kind == main_type(&instance.types()).map_or("", ProcessName::as_str);
            return Err(out_of_time(process, port, args.timeout.0, is_main));
        }
        std::thread::sleep(PAUSE.min(until.saturating_duration_since(Instant::now())));
    };
    let url = format!("http://localhost:{port}");
    let status = print(format!("{url}\n").as_bytes())?;
    if args.print { Ok(status) } else { show(&url, env) }
}

/// The process that is meant: the main type where none is named, and the first instance of a type.
fn the_one<'a>(instance: &'a Instance, name: Option<&str>) -> Result<&'a Process, Error> {
    let id = wanted(name, &instance.types())?.ok_or_else(|| refused("no process runs", "see `ganger ps`"))?;
    let is_meant = |process: &&Process| process.name.parse().is_ok_and(|known: InstanceId| known == id);
    instance.processes.iter().find(is_meant).ok_or_else(|| {
        let InstanceId { name, number } = &id;
        refused(format!("there is no {id}"), format!("`ganger scale {name}={number}` starts it"))
    })
}

/// The port it listens on, now or some time; an error if it will not.
fn may_listen(process: &Process) -> Result<Port, Error> {
    let Process { name, state, .. } = process;
    match state.as_str() {
        "stopped" => Err(refused(format!("{name} is stopped"), format!("`ganger up {name}` starts it"))),
        "crashed" => {
            let hint =
                format!("`ganger logs {name}` shows its last lines, `ganger restart {name}` tries again");
            Err(refused(format!("{name} has crashed"), hint))
        }
        _ => process.port.and_then(|port| Port::new(port.into())).ok_or_else(|| {
            refused(
                format!("{name} has no port"),
                "ganger was started with --no-port; open the address that the app says",
            )
        }),
    }
}

fn out_of_time(process: &Process, port: Port, limit: Duration, is_main: bool) -> Error {
    let Process { name, state, pid, .. } = process;
    if let (Some(leader), Ok(id)) = (*pid, name.parse()) {
        let expected = Expected { port, leader, name: name.clone() };
        if let Some(other) = ports::listened_by(&expected).first() {
            let message =
                format!("{name} listens on {other}, not on its PORT {port}, after {} s", limit.as_secs_f64());
            return refused(message, pin_hint(&id, *other, is_main));
        }
    }
    let message =
        format!("{name} is {state}, and nothing listens on its port {port} after {} s", limit.as_secs_f64());
    let hint = format!("does its command listen on $PORT? `ganger logs {name}` shows what it wrote");
    refused(message, hint)
}

fn refused(message: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Refused(Refusal::failed(message).hint(hint))
}

/// Has a browser show it. It has our terminal, as some browsers need it, and we wait for it, as for
/// some it is over when they are.
fn show(url: &str, env: &Env) -> Result<u8, Error> {
    let mut failed = None;
    for argv in openers(url, env) {
        let Some((program, arguments)) = argv.split_first() else { continue };
        let Some(path) = find(program, env) else { continue };
        match Command::new(&path).args(arguments).status() {
            Ok(status) if status.success() => return Ok(0),
            Ok(status) => failed = Some(format!("{}: {status}", path.display())),
            Err(error) => failed = Some(format!("{}: {error}", path.display())),
        }
    }
    let message = match failed {
        Some(how) => format!("no browser has opened {url}: {how}"),
        None => format!("there is no browser for {url}: neither $BROWSER nor xdg-open nor open was found"),
    };
    Err(refused(message, "open the address yourself, or set BROWSER to a program that opens it"))
}

/// The commands that may open it, the best first. `BROWSER` is, as for other programs, a list with
/// colons, and `%s` in it is the address.
fn openers(url: &str, env: &Env) -> Vec<Vec<OsString>> {
    let own = env.var("BROWSER").and_then(|value| value.to_str()).unwrap_or_default();
    let own = own.split(':').filter(|command| !command.trim().is_empty()).map(|command| {
        let mut argv: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if argv.iter().any(|word| word.contains("%s")) {
            argv = argv.iter().map(|word| word.replace("%s", url)).collect();
        } else {
            argv.push(url.to_owned());
        }
        argv.into_iter().map(OsString::from).collect()
    });
    own.chain(OPENERS.map(|opener| vec![opener.into(), url.into()])).collect()
}

/// Where a program is on the `PATH`.
fn find(program: &OsString, env: &Env) -> Option<PathBuf> {
    which::which_in(program, env.var("PATH"), &env.cwd).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_a_list_of_commands() {
        let vars = vec![("BROWSER".into(), "firefox -P dev:: w3m %s -v".into())];
        let env = Env {
            vars,
            cwd: "/".into(),
            stdin_is_terminal: false,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            args: Vec::new(),
        };
        let all: Vec<String> = openers("URL", &env)
            .iter()
            .map(|argv| argv.join(" ".as_ref()).to_string_lossy().into())
            .collect();
        let [first, second] = OPENERS.map(|opener| format!("{opener} URL"));
        assert_eq!(all, ["firefox -P dev URL", "w3m URL -v", &first, &second]);
    }
}
