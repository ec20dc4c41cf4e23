//! `ganger config`: the environment a process gets, and why.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::explain::explain_options;
use super::project::{Need, Project};
use super::remote::Remote;
use super::{complain, print_raw};
use crate::cli::{AppArgs, ConfigArgs, ConfigForm};
use crate::config::environment::{Origin, Variable};
use crate::config::formation::{closest, main_type};
use crate::control::proto::{self, Instance, Request, Variables};
use crate::env::Env;
use crate::error::Error;
use crate::model::{InstanceId, ProcessName, hides, hides_any, json, mask_variable, visible_bytes};

pub(super) fn config(app: &AppArgs, args: &ConfigArgs, env: &Env) -> Result<u8, Error> {
    let name = args.name.as_deref();
    let (id, all) = if args.running { running(app, name, env)? } else { planned(app, name, env)? };
    let sight = if env.stdout_is_terminal { Sight::Terminal } else { Sight::Bytes };
    let shown = Shown::new(all, args.show_secrets, sight);
    if shown.masked > 0 {
        let them = if shown.masked == 1 { "1 secret is" } else { &format!("{} secrets are", shown.masked) };
        complain(&format!("ganger: note: {them} masked; --show-secrets shows them"));
    }
    let text = match args.form {
        ConfigForm { json: true, .. } => shown.json(),
        ConfigForm { shell: true, .. } => shown.shell(),
        ConfigForm { explain: true, .. } => {
            let id = id.as_ref();
            let name = id.map(|id| &id.name);
            [shown.explain(), explain_options(app, name, args.show_secrets, sight)].concat()
        }
        ConfigForm { .. } => shown.plain(),
    };
    print_raw(&text)
}

/// Where the text goes. A pipe gets names and values byte for byte; on a terminal, bytes that could
/// drive it, or hide, are shown as escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    Terminal,
    Bytes,
}

impl Sight {
    pub(super) fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Terminal => visible_bytes(bytes).into_bytes(),
            Self::Bytes => bytes.to_vec(),
        }
    }

    fn hides(self, bytes: &[u8]) -> bool {
        self == Self::Terminal && hides_any(bytes)
    }
}

/// What the files of the app say.
fn planned(app: &AppArgs, name: Option<&str>, env: &Env) -> Result<(Option<InstanceId>, Vec<Seen>), Error> {
    let project = Project::load(app, env, Need::Nothing)?;
    project.warn();
    let types: Vec<ProcessName> = project.procfile.names().cloned().collect();
    let plan = project.app(app, |_| Ok(true))?;
    let id = wanted(name, &types)?;
    let environment = if let Some(id) = &id {
        plan.environment_of(id)?
    } else {
        let mut environment = plan.environment_of_command();
        if let Some(ports) = plan.ports {
            environment.set("PORT", ports.base.to_string(), Origin::Ganger("the base port"));
        }
        environment
    };
    let seen = |(key, variable): (&OsString, &Variable)| Seen {
        key: key.clone(),
        value: variable.value.clone(),
        from: variable.origin.to_string(),
    };
    Ok((id, environment.iter().map(seen).collect()))
}

/// What the process of the running instance was started with.
fn running(app: &AppArgs, name: Option<&str>, env: &Env) -> Result<(Option<InstanceId>, Vec<Seen>), Error> {
    let mut remote = Remote::find(app, env)?;
    let instance: Instance = remote.call(&Request::Ps)?;
    let Some(id) = wanted(name, &instance.types())? else { return Ok((None, Vec::new())) };
    let Variables { variables } = remote.call(&Request::Config { name: id.to_string() })?;
    let seen = |it: proto::Variable| {
        let bytes = it.value_b64.and_then(|text| STANDARD.decode(text).ok());
        let value = bytes.map_or_else(|| it.value.into(), OsString::from_vec);
        Seen { key: it.name.into(), value, from: it.from }
    };
    Ok((Some(id), variables.into_iter().map(seen).collect()))
}

/// The instance that is asked for: `web`, `web.2`, or the first that makes sense.
pub(super) fn wanted(name: Option<&str>, types: &[ProcessName]) -> Result<Option<InstanceId>, Error> {
    let first = |name: &ProcessName| InstanceId::new(name.clone(), 1);
    let Some(text) = name else {
        return Ok(main_type(types).or(types.first()).map(first));
    };
    let id = text.parse().or_else(|_| text.parse().map(|name: ProcessName| first(&name)));
    match id {
        Ok(id) if types.contains(&id.name) => Ok(Some(id)),
        _ => {
            let hint = match closest(text, types) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "the names are those of the Procfile, as in `web` or `web.2`".to_owned(),
            };
            Err(Error::usage(format!("no process is called `{text}`"), hint))
        }
    }
}

/// A variable and where it comes from, in words.
struct Seen {
    key: OsString,
    value: OsString,
    from: String,
}

/// Variables as they may be seen.
struct Shown {
    variables: Vec<(OsString, Vec<u8>, String)>,
    masked: usize,
    sight: Sight,
}

impl Shown {
    fn new(all: Vec<Seen>, show_secrets: bool, sight: Sight) -> Self {
        let mut masked = 0;
        let show = |Seen { key, value, from }: Seen| {
            let open = show_secrets || Origin::is_ganger(&from);
            let mask = || mask_variable(&key.to_string_lossy(), &value.to_string_lossy());
            let secret = if open { None } else { mask() };
            masked += usize::from(secret.is_some());
            let value = secret.map_or_else(|| value.into_vec(), String::into_bytes);
            (key, value, from)
        };
        let variables = all.into_iter().map(show).collect();
        Self { variables, masked, sight }
    }

    fn json(&self) -> Vec<u8> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut object = serde_json::Map::new();
        for (key, value, _) in &self.variables {
            let name = visible_bytes(key.as_bytes());
            if key.to_str().is_none() {
                complain(&format!(
                    "ganger: note: the name `{name}` is not UTF-8 and is altered here; `ganger config` without \
                     --json keeps it"
                ));
            }
            if std::str::from_utf8(value).is_err() {
                complain(&format!("ganger: note: {name} is not UTF-8; JSON cannot hold it, --shell can"));
            }
            object.insert(text(key.as_bytes()), text(value).into());
        }
        json::pretty(&object)
    }

    fn shell(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut escaped = 0;
        for (key, value, _) in &self.variables {
            if !is_shell_name(key) {
                let name = visible_bytes(key.as_bytes());
                complain(&format!("ganger: note: {name} is no name for a shell, left out"));
                continue;
            }
            let value = if self.sight.hides(value) {
                escaped += 1;
                quote_with_escapes(value)
            } else {
                quote(value)
            };
            out.extend([b"export ", key.as_bytes(), b"=", &value, b"\n"].concat());
        }
        note_escapes(escaped, "$'\\x1b'");
        out
    }

    fn plain(&self) -> Vec<u8> {
        let rows = self.rows();
        rows.into_iter()
            .flat_map(|[key, value, _]| [key, b"=".into(), value, b"\n".into()].concat())
            .collect()
    }

    fn explain(&self) -> Vec<u8> {
        let rows = self.rows();
        let width = rows.iter().map(|[key, ..]| key.len()).max().unwrap_or(0);
        let line = |[key, value, origin]: &[Vec<u8>; 3]| {
            let blanks = vec![b' '; width - key.len()];
            [key, &blanks, &b"  "[..], value, b"  <- ", origin, b"\n"].concat()
        };
        rows.iter().flat_map(line).collect()
    }

    /// Returns name, quoted value and origin of each, as they are written.
    fn rows(&self) -> Vec<[Vec<u8>; 3]> {
        let mut escaped = 0;
        let row = |(key, value, origin): &(OsString, Vec<u8>, String)| {
            let value = quote_for_env_file(value);
            escaped += usize::from(self.sight.hides(key.as_bytes()) || self.sight.hides(&value));
            [key.as_bytes(), &value, origin.as_bytes()].map(|bytes| self.sight.of(bytes))
        };
        let rows = self.variables.iter().map(row).collect();
        note_escapes(escaped, r"\u{1b}");
        rows
    }
}

/// Notes that the terminal does not show exactly what a program would get.
fn note_escapes(variables: usize, example: &str) {
    if variables > 0 {
        let of = if variables == 1 { "1 variable" } else { &format!("{variables} variables") };
        complain(&format!(
            "ganger: note: control and hidden characters of {of} are shown as escapes such as {example}; a pipe \
             gets them as they are"
        ));
    }
}

fn is_shell_name(key: &OsStr) -> bool {
    let bytes = key.as_bytes();
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    bytes.iter().all(in_name) && !bytes.first().is_none_or(u8::is_ascii_digit)
}

/// In single quotes, which hold anything but themselves.
fn quote(value: &[u8]) -> Vec<u8> {
    let mut out = vec![b'\''];
    for byte in value {
        match byte {
            b'\'' => out.extend(br"'\''"),
            other => out.push(*other),
        }
    }
    out.push(b'\'');
    out
}

/// Quotes a value that a terminal cannot show with the escapes of bash, zsh and ksh (`$'…'`).
fn quote_with_escapes(value: &[u8]) -> Vec<u8> {
    let mut out = b"$'".to_vec();
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => out.extend(br"\n"),
                '\'' | '\\' => out.extend([b'\\', character as u8]),
                _ if hides(character) => hex(&mut out, character.encode_utf8(&mut [0; 4]).as_bytes()),
                _ => out.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        hex(&mut out, chunk.invalid());
    }
    out.push(b'\'');
    out
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes.iter().flat_map(|byte| format!("\\x{byte:02x}").into_bytes()));
}

/// As an env file has it, in one line: bare where that is enough, else in quotes that are
/// literal, else in quotes with escapes.
pub(super) fn quote_for_env_file(value: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:=,@%+*".contains(byte);
    if !value.is_empty() && value.iter().all(plain) {
        return value.to_vec();
    }
    if !value.iter().any(|byte| matches!(byte, b'\'' | b'\n')) {
        return [b"'", value, b"'"].concat();
    }
    let mut out = vec![b'"'];
    for byte in value {
        match byte {
            b'\n' => out.extend(br"\n"),
            b'"' | b'\\' | b'$' => out.extend([b'\\', *byte]),
            other => out.push(*other),
        }
    }
    out.push(b'"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_quotes_hold_anything() {
        assert_eq!(quote(b"it's $HOME\n"), b"'it'\\''s $HOME\n'");
    }

    #[test]
    fn shells_read_the_escapes_back() {
        let value = b"it's\\ $HOME\n\x1b]0;t\x07 caf\xe9 \xc2\x9b31m \xe2\x80\xae \xe6\xbc\xa2";
        let quoted = quote_with_escapes(value);
        assert!(!hides_any(&quoted), "{}", quoted.escape_ascii());
        let script = [b"printf %s ", &quoted[..]].concat();
        let output = std::process::Command::new("bash")
            .args([OsStr::new("-c"), OsStr::from_bytes(&script)])
            .output()
            .expect("bash runs");
        assert_eq!(output.stdout, value);
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_reads_back(value in proptest::collection::vec(1..=255_u8, 0..40)) {
            // In quotes a carriage return before a newline is the file's, not the value's.
            let value = String::from_utf8_lossy(&value).replace('\r', "").into_bytes();
            let line = [b"KEY=", &quote_for_env_file(&value)[..], b"\n"].concat();
            let read = crate::config::dotenv::parse(&crate::config::source::Source::new(".env", line), None);
            let read = read.expect("a good file");
            proptest::prop_assert!(read.warnings.is_empty());
            proptest::prop_assert_eq!(read.assignments[0].value.as_bytes(), value);
        }
    }
}
