//! What tells that something is there: `tcp:5432`, `http://localhost:9200/`, `cmd:pg_isready`,
//! `log:db:REGEX`, or the name of a process. Pure: it is only read here.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::formation::closest;
use crate::model::{Port, ProcessName, is_secret_parameter, mask_text};

/// See the module. `Display` masks secrets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Probe {
    /// Somebody accepts connections.
    Tcp {
        /// A name or an address, without the brackets of IPv6.
        host: String,
        /// Where.
        port: Port,
    },
    /// A server answers with a status below 400. The address as it was written.
    Http(String),
    /// A shell command exits with 0.
    Command(String),
    /// A line of a process's output matches.
    Log {
        /// Whose output.
        process: ProcessName,
        /// What a line has to have in it.
        pattern: Pattern,
    },
    /// All processes of this type are ready.
    Process(ProcessName),
}

/// What says that a process of one's own is ready: a probe, or its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadyProbe {
    /// Something of its own listens on its `PORT`.
    Port,
    /// Something else.
    Probe(Probe),
}

/// A regular expression; two with the same text are the same.
#[derive(Debug, Clone)]
pub struct Pattern(regex_lite::Regex);

/// Why a text is no probe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseProbeError {
    /// None of the forms.
    #[error("it is none of tcp:PORT, tcp:HOST:PORT, http://…, https://…, cmd:COMMAND, log:NAME:REGEX, NAME")]
    Unknown,
    /// What comes behind `tcp:`.
    #[error("`tcp:` takes a port from 1 to 65535, or HOST:PORT, an IPv6 address in [ ]")]
    Tcp,
    /// What comes behind `http://`.
    #[error(
        "an address has a host, and a port from 1 to 65535 if it has one, as in http://localhost:9200/health"
    )]
    Http,
    /// A URL with credentials whose host is another machine.
    #[error(
        "the address has credentials, but its host is not this machine: \
         they would be sent to an unverified server"
    )]
    Credentials,
    /// What comes behind `cmd:`.
    #[error("there is no command behind `cmd:`")]
    Command,
    /// What comes behind `log:`.
    #[error("`log:` takes the name of a process and a pattern, as in log:db:ready to accept")]
    Log,
    /// A pattern that cannot be read.
    #[error("the pattern cannot be read: {0}")]
    Pattern(String),
}

impl ParseProbeError {
    /// Returns what to do about it, where the message does not say so.
    pub fn hint(&self) -> Option<String> {
        let hint = "use a command that verifies the server, such as `cmd:curl -fsS --netrc https://…`";
        (*self == Self::Credentials).then(|| hint.to_owned())
    }
}

impl Pattern {
    /// Whether it is found in a line.
    pub fn matches(&self, line: &str) -> bool {
        self.0.is_match(line)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

impl Probe {
    /// The type it is about, if it is about one.
    pub fn process(&self) -> Option<&ProcessName> {
        match self {
            Self::Process(name) | Self::Log { process: name, .. } => Some(name),
            Self::Tcp { .. } | Self::Http(_) | Self::Command(_) => None,
        }
    }

    /// What is wrong with the name in it, for a Procfile with these types; and what to do.
    pub fn check(&self, types: &[ProcessName]) -> Result<(), (String, Option<String>)> {
        let Some(name) = self.process().filter(|name| !types.contains(name)) else { return Ok(()) };
        let hint = closest(name.as_str(), types).map(|close| format!("did you mean `{close}`?"));
        Err((format!("`{self}`: no process is called `{name}`"), hint))
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It is shown in the log, to clients and in messages. Names are never masked: a process may be
        // called `auth`.
        let masked = |text: &str| mask_text(text).unwrap_or_else(|| text.to_owned());
        match self {
            Self::Tcp { host, port } if host == LOCALHOST => write!(f, "tcp:{port}"),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
            Self::Http(url) => f.write_str(&masked(url)),
            Self::Command(command) => write!(f, "cmd:{}", masked(command)),
            Self::Log { process, pattern } => write!(f, "log:{process}:{}", masked(pattern.0.as_str())),
            Self::Process(name) => write!(f, "{name}"),
        }
    }
}

/// Returns the text of a probe, valid or not, with its secrets masked.
pub fn shown(text: &str) -> String {
    match text.parse() {
        Ok(ReadyProbe::Probe(probe @ (Probe::Http(_) | Probe::Command(_) | Probe::Log { .. }))) => {
            probe.to_string()
        }
        Ok(ReadyProbe::Port | ReadyProbe::Probe(Probe::Tcp { .. } | Probe::Process(_))) => text.to_owned(),
        Err(_) => mask_text(text).unwrap_or_else(|| text.to_owned()),
    }
}

impl fmt::Display for ReadyProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port => f.write_str("port"),
            Self::Probe(probe) => write!(f, "{probe}"),
        }
    }
}

const LOCALHOST: &str = "localhost";

impl FromStr for Probe {
    type Err = ParseProbeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("tcp:") {
            return tcp(rest).ok_or(ParseProbeError::Tcp);
        }
        let after_scheme = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        if let Some(rest) = after_scheme {
            let good = has_host(rest) && !text.contains(|c: char| c.is_whitespace() || c.is_control());
            return match good {
                false => Err(ParseProbeError::Http),
                true if has_credentials(rest) && !is_loopback(rest) => Err(ParseProbeError::Credentials),
                true => Ok(Self::Http(text.to_owned())),
            };
        }
        if let Some(command) = text.strip_prefix("cmd:") {
            let command = command.trim();
            let good = !command.is_empty() && !command.contains('\0');
            return if good { Ok(Self::Command(command.to_owned())) } else { Err(ParseProbeError::Command) };
        }
        if let Some(rest) = text.strip_prefix("log:") {
            let (name, pattern) = rest.split_once(':').ok_or(ParseProbeError::Log)?;
            let process = name.trim().parse().map_err(|_| ParseProbeError::Log)?;
            if pattern.is_empty() {
                return Err(ParseProbeError::Log);
            }
            let read = regex_lite::Regex::new(pattern);
            let pattern = read.map_err(|error| ParseProbeError::Pattern(error.to_string()))?;
            return Ok(Self::Log { process, pattern: Pattern(pattern) });
        }
        text.parse().map(Self::Process).map_err(|_| ParseProbeError::Unknown)
    }
}

/// Whether what comes behind `http://` begins with a host that can be asked, and a port if there is one.
fn has_host(text: &str) -> bool {
    let authority = authority(text);
    let address = authority.rsplit_once('@').map_or(authority, |(_user, address)| address);
    let (host, port) = match address.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((v6, rest))) if v6.parse::<Ipv6Addr>().is_ok() => (v6, rest),
        Some(_) => return false,
        None => address.split_at(address.find(':').unwrap_or(address.len())),
    };
    let good_port = port.is_empty() || port.strip_prefix(':').is_some_and(|it| it.parse::<Port>().is_ok());
    !host.is_empty() && good_port
}

/// Returns the part after `http://`, up to the path.
fn authority(text: &str) -> &str {
    text.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Returns whether a URL (without `http://`) has a user, or a secret in its query.
fn has_credentials(text: &str) -> bool {
    let address = text.split('#').next().unwrap_or_default();
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let is_secret = |pair: &str| {
        pair.split_once('=').is_some_and(|(name, value)| !value.is_empty() && is_secret_parameter(name))
    };
    authority(text).contains('@') || query.split(['&', ';']).any(is_secret)
}

/// Returns whether a URL (without `http://`) can only mean this machine. Names other than `localhost`
/// depend on the resolver.
fn is_loopback(text: &str) -> bool {
    let authority = authority(text);
    let address = authority.rsplit_once('@').map_or(authority, |(_user, address)| address);
    if let Some(v6) = address.strip_prefix('[') {
        return v6.split(']').next().is_some_and(|it| it.parse() == Ok(Ipv6Addr::LOCALHOST));
    }
    let host = address.split(':').next().unwrap_or_default();
    host == LOCALHOST || host.parse::<Ipv4Addr>().is_ok_and(|it| it.is_loopback())
}

fn tcp(text: &str) -> Option<Probe> {
    let text = text.trim();
    let (host, port) = match text.rsplit_once(':') {
        None => (LOCALHOST, text),
        Some((host, port)) => match host.strip_prefix('[') {
            Some(address) => {
                let address = address.strip_suffix(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (address, port)
            }
            // `::1:5432` can be read in two ways.
            None if host.contains(':') => return None,
            None => (host, port),
        },
    };
    let good = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/');
    let port = port.parse().ok().filter(|_| good)?;
    Some(Probe::Tcp { host: host.to_owned(), port })
}

impl FromStr for ReadyProbe {
    type Err = ParseProbeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "port" => Ok(Self::Port),
            other => other.parse().map(Self::Probe),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_read_and_shown_as_they_were_written() {
        let table = [
            "tcp:5432",
            "tcp:db.local:5432",
            "tcp:127.0.0.1:80",
            "tcp:[::1]:80",
            "http://localhost:9200/_cluster/health?wait=1",
            "https://localhost/",
            "http://[::1]:80/",
            "http://[::1]?a=b:c",
            "cmd:pg_isready -q && echo 'a, b=c'",
            "log:db:ready to accept (connections|anything), x=1:2",
            "db",
            "web-api_2",
        ];
        for text in table {
            let probe: Probe = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(probe.to_string(), text);
            let ready: ReadyProbe = text.parse().expect(text);
            assert_eq!(ready, ReadyProbe::Probe(probe), "{text}");
        }
        assert_eq!("tcp:localhost:1".parse::<Probe>().map(|it| it.to_string()), Ok("tcp:1".to_owned()));
        assert_eq!("port".parse::<ReadyProbe>(), Ok(ReadyProbe::Port));
    }

    #[test]
    fn secrets_are_masked() {
        let table = [
            ("http://elastic:hunter2@localhost:9200/", "http://elastic:********@localhost:9200/"),
            ("https://u:p@127.0.0.2/", "https://u:********@127.0.0.2/"),
            ("http://u:p@[::1]:80/", "http://u:********@[::1]:80/"),
            ("http://localhost/?a=1&api_key=x&b=2", "http://localhost/?a=1&api_key=********&b=2"),
            ("cmd:PGPASSWORD=x psql -h db", "cmd:PGPASSWORD=******** psql -h db"),
            ("cmd:curl -u bob:x http://localhost/", "cmd:curl -u bob:******** http://localhost/"),
            ("log:auth:password=(.*)", "log:auth:password=********"),
            ("log:auth:ready", "log:auth:ready"),
            ("tcp:auth:80", "tcp:auth:80"),
        ];
        for (text, shown) in table {
            let probe: Probe = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(probe.to_string(), shown);
        }
        // Probes that look the same when masked are not equal.
        assert_ne!("log:db:key=a".parse::<Probe>(), "log:db:key=b".parse::<Probe>());
    }

    #[test]
    fn credentials_are_accepted_only_for_this_machine() {
        for text in [
            "http://u:p@db/",
            "https://token@db.local:9200/",
            "http://u:p@localhost.example.com/",
            "http://u:p@127.0.0.1.example.com/",
            "http://u:p@128.0.0.1/",
            "http://u:p@[::2]/",
            "http://u:p@LOCALHOST/",
            "http://localhost:80@db/",
            "https://db/health?a=1&api_key=x",
            "https://db?token=x#y",
        ] {
            assert_eq!(text.parse::<Probe>(), Err(ParseProbeError::Credentials), "{text}");
        }
        for text in ["https://db/@x", "https://db/?q=a@b", "https://db/#token=x", "https://db/?token=&a=1"] {
            assert!(text.parse::<Probe>().is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_probe_says_why() {
        use ParseProbeError::{Command, Http, Log, Tcp, Unknown};
        let table = [
            ("", Unknown),
            ("a b", Unknown),
            ("udp:53", Unknown),
            ("/health", Unknown),
            ("tcp:", Tcp),
            ("tcp:0", Tcp),
            ("tcp:65536", Tcp),
            ("tcp::1", Tcp),
            ("tcp:::1:80", Tcp),
            ("tcp:[::1]", Tcp),
            ("tcp:[x]:1", Tcp),
            ("tcp:http://x:80", Tcp),
            ("http://", Http),
            ("http:///x", Http),
            ("http://:80/", Http),
            ("http://a b/", Http),
            ("http://localhost:99999/", Http),
            ("http://localhost:0/", Http),
            ("http://localhost:port", Http),
            ("http://localhost:/", Http),
            ("http://[::1/", Http),
            ("http://[::1]80/", Http),
            ("http://::1/", Http),
            ("https://user@/", Http),
            ("cmd:", Command),
            ("cmd:  ", Command),
            ("log:db", Log),
            ("log::x", Log),
            ("log:db:", Log),
            ("log:a b:x", Log),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Probe>(), Err(expected), "{text}");
        }
        assert!(matches!("log:db:(".parse::<Probe>(), Err(ParseProbeError::Pattern(_))));
    }

    #[test]
    fn a_stranger_in_a_probe_is_told() {
        let types = ["db".parse().expect("a name")];
        let check = |text: &str| text.parse::<Probe>().expect(text).check(&types);
        assert_eq!(check("log:db:x"), Ok(()));
        assert_eq!(check("tcp:1"), Ok(()));
        let (message, hint) = check("bd").expect_err("a stranger");
        assert_eq!(message, "`bd`: no process is called `bd`");
        assert_eq!(hint.as_deref(), Some("did you mean `db`?"));
    }
}
