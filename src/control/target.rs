//! Which process a client that attaches means, and why it cannot have that one's terminal. Pure.

use super::proto::Refusal;
use crate::config::names::Names;
use crate::model::{InstanceId, ProcessName};
use crate::supervisor::command::{Stage, Status};

/// Which process is meant; it has to be one that runs. With it comes its pid.
pub(super) fn which(name: &str, types: &[ProcessName], all: &[Status]) -> Result<(InstanceId, i32), Refusal> {
    let names = Names::parse([name], types)?;
    let found: Vec<&Status> = all.iter().filter(|status| names.contains(&status.id)).collect();
    let is_one = names.types().len() + names.instances().len() == 1;
    let status = match found[..] {
        [status] if is_one => status,
        [] => {
            let missing = names.instances().first().cloned();
            let missing = missing.or_else(|| Some(InstanceId::new(names.types().first()?.clone(), 1)));
            let refusal = Refusal::usage(format!("no process `{name}` is there"));
            return Err(match missing {
                Some(InstanceId { name, number }) => refusal.hint(format!(
                    "`ganger scale {name}={number}` starts it, `ganger ps` shows what there is"
                )),
                None => refusal,
            });
        }
        _ => {
            let there: Vec<String> = found.iter().map(|status| format!("`{}`", status.id)).collect();
            // Of several names only one may be there now.
            let count = if found.len() > 1 { found.len().to_string() } else { "more than one".to_owned() };
            let refusal = Refusal::usage(format!("`{name}` is {count} processes"));
            return Err(refusal.hint(format!("name one of them: {}", there.join(", "))));
        }
    };
    let id = &status.id;
    if let Some(pid) = status.pid {
        return Ok((id.clone(), pid));
    }
    let refusal = Refusal::failed(format!("{id} does not run, it is {}", status.state.as_str()));
    Err(match status.state {
        Stage::Waiting => refusal.hint("`ganger logs -f` shows what it waits for"),
        Stage::Starting => refusal.hint(format!("try again when it is up, or `ganger restart {id}`")),
        Stage::Up | Stage::Stopping | Stage::Stopped | Stage::Crashed => {
            refusal.hint(format!("`ganger up {id}` starts it"))
        }
    })
}

/// Why nothing can be done with the terminal of a process that has only a pipe. `what` it was wanted for.
pub(super) fn without_terminal(id: &InstanceId, what: &str) -> Refusal {
    let name = &id.name;
    Refusal::failed(format!("{id} has no terminal (pty) {what}")).hint(format!(
        "start ganger with `--pty always`, or write `pty = \"always\"` below `[process.{name}]` in ganger.toml"
    ))
}
