//! What runs: Procfile, environment, formation and options turned into a list of processes,
//! each with its command, port, environment and policy. Pure.

mod firsts;
mod ports;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

pub use firsts::pin_hint;
use firsts::{Address, FirstPorts};
pub use ports::{PortWish, Ports, base};

use crate::config::environment::{Environment, Origin};
use crate::config::formation::{self, Selection};
use crate::config::probe::{Probe, ReadyProbe};
use crate::config::procfile::{Entry, Procfile};
use crate::config::scoped::{Scoped, Seconds};
use crate::config::settings::{ProcessTable, Settings, Variable};
use crate::config::waits::Wait;
use crate::error::Error;
use crate::model::{InstanceId, Port, ProcessName, PtyChoice, Sig};
use crate::supervisor::event::{KillMode, OnExit, Policy};

/// One process to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSpec {
    /// Its name.
    pub id: InstanceId,
    /// What the shell gets.
    pub command: OsString,
    /// Its port, unless it has none.
    pub port: Option<Port>,
    /// Whether `ganger.toml` says which.
    pub port_is_pinned: bool,
    /// Whether it is of the main type, whose port is shown as a URL.
    pub is_main: bool,
    /// Everything in its environment.
    pub environment: Environment,
    /// How it is stopped and what its end means.
    pub policy: Policy,
    /// Where it runs, from the root of the app; empty: there.
    pub cwd: PathBuf,
    /// Whether it has a terminal of its own.
    pub pty: PtyChoice,
    /// What it waits for before it starts.
    pub waits: Vec<Probe>,
    /// How long it may wait.
    pub wait_limit: Duration,
    /// What says that it is ready; nothing: that it has started.
    pub ready: Option<ReadyProbe>,
    /// Whether `ganger.toml` says what that is.
    pub ready_is_said: bool,
}

impl ProcessSpec {
    /// Where it runs, for an app in `root`.
    pub fn folder(&self, root: &Path) -> PathBuf {
        // Joining an empty path would add a slash.
        if self.cwd.as_os_str().is_empty() { root.to_owned() } else { root.join(&self.cwd) }
    }

    /// Whether a process that runs as this says would have to be started again to run as `new`
    /// says. That a type came or went is no reason: only its variable with its port did. One that
    /// has another port is.
    pub fn differs(&self, new: &Self) -> bool {
        let is_address = |key: &OsString| {
            let key = key.to_string_lossy();
            key.starts_with("GANGER_PROCESS_") && key.ends_with("_PORT")
        };
        let value = |spec: &Self, key: &OsString| Some(spec.environment.get(key.to_str()?)?.value.clone());
        let keys = self.environment.iter().chain(new.environment.iter()).map(|(key, _)| key);
        let mut changed = keys.filter(|key| match (value(self, key), value(new, key)) {
            (Some(old), Some(new)) => old != new,
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => !is_address(key),
        });
        let same = self.command == new.command
            && self.port == new.port
            && self.cwd == new.cwd
            && self.pty == new.pty;
        !same || changed.next().is_some()
    }
}

/// What the user wants beside the files.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Which types and how many.
    pub selection: Selection,
    /// `--timeout`.
    pub timeout: Scoped<Seconds>,
    /// `--stop-signal`.
    pub stop_signal: Scoped<Sig>,
    /// `--kill-mode`.
    pub kill_mode: Scoped<KillMode>,
    /// `--on-exit`.
    pub on_exit: Scoped<OnExit>,
    /// `--pty`.
    pub pty: Scoped<PtyChoice>,
    /// Who waits for what.
    pub waits: Vec<Wait>,
    /// `--wait-timeout`.
    pub wait_timeout: Option<Seconds>,
    /// `--release`: the entry of this name runs once, before all others.
    pub release: bool,
}

/// How long a process may wait if nobody says anything else.
pub const WAIT_LIMIT: Duration = Duration::from_mins(1);

/// The most processes of an app. No usual system allows that many in all (`pid_max`, see `proc_sys_kernel(5)`).
pub const MOST_PROCESSES: usize = 32_768;

/// Fails if an app would have more processes than that.
pub fn check_count(counts: impl IntoIterator<Item = u16>) -> Result<(), Error> {
    let count: usize = counts.into_iter().map(usize::from).sum();
    if count <= MOST_PROCESSES {
        return Ok(());
    }
    Err(Error::usage(
        format!("too many processes: {count} (an app can have at most {MOST_PROCESSES})"),
        "start fewer, as in `ganger start web=2 worker`",
    ))
}

/// An app: what it consists of and what all its processes share.
#[derive(Debug)]
pub struct App<'a> {
    /// The types and their commands.
    pub procfile: &'a Procfile,
    /// The environment without anything of ganger's.
    pub environment: &'a Environment,
    /// What `ganger.toml` says of single types.
    pub settings: &'a Settings,
    /// The ports, or `None` with `--no-port`.
    pub ports: Option<Ports>,
}

/// An app with what the user wants of it: plans processes for as long as ganger runs.
#[derive(Debug, Clone, Default)]
pub struct Planner {
    /// The types and their commands.
    pub procfile: Procfile,
    /// The environment without anything of ganger's.
    pub environment: Environment,
    /// What `ganger.toml` says of single types.
    pub settings: Arc<Settings>,
    /// The ports, or `None` with `--no-port`.
    pub ports: Option<Ports>,
    /// How processes are stopped, and what starts.
    pub wishes: Wishes,
}

impl Planner {
    /// The app.
    pub fn app(&self) -> App<'_> {
        let Self { procfile, environment, settings, ports, .. } = self;
        App { procfile, environment, settings, ports: *ports }
    }

    /// All types, in file order.
    pub fn types(&self) -> Vec<ProcessName> {
        self.procfile.names().cloned().collect()
    }

    /// One process, started or not, as [`App::plan`] plans it; `None` if there is no such type.
    pub fn instance(&self, id: &InstanceId) -> Result<Option<ProcessSpec>, Error> {
        let Some(entry) = self.procfile.entries.iter().find(|entry| entry.name == id.name) else {
            return Ok(None);
        };
        let (app, types) = (self.app(), self.types());
        let ports = app.first_ports(&types);
        let address = ports.at(id)?;
        ports.check_one(address.port, id, &self.wishes.selection)?;
        let common = app.environment_with(&ports);
        Ok(Some(app.spec(&self.wishes, entry, id.clone(), address, common)))
    }
}

impl App<'_> {
    /// The processes to start, in the order of the Procfile; the release, where it is to run, first.
    pub fn plan(&self, wishes: &Wishes) -> Result<Vec<ProcessSpec>, Error> {
        let types = self.types();
        let mut counts: HashMap<ProcessName, u16> =
            formation::resolve(&types, &wishes.selection)?.into_iter().collect();
        let mut entries: Vec<&Entry> = self.procfile.entries.iter().collect();
        if wishes.release {
            let Some(place) = entries.iter().position(|entry| is_release(entry)) else {
                return Err(no_release());
            };
            entries[..=place].rotate_right(1);
            counts.insert(entries[0].name.clone(), 1);
        }
        check_count(counts.values().copied())?;
        let ports = self.first_ports(&types);
        // All ports before the first environment: with thousands of types these are large, and
        // most likely the ports do not work out.
        let mut instances = Vec::new();
        for entry in entries {
            for number in 1..=counts.get(&entry.name).copied().unwrap_or(0) {
                let id = InstanceId::new(entry.name.clone(), number);
                instances.push((ports.at(&id)?, id, entry));
            }
        }
        ports.check(instances.iter().map(|(address, id, _)| (address.port, id)))?;
        let mut common = self.environment_with(&ports);
        common.share();
        let spec = |(address, id, entry)| self.spec(wishes, entry, id, address, common.clone());
        Ok(instances.into_iter().map(spec).collect())
    }

    /// Where a type runs, from the root of the app; empty: there.
    pub fn folder_of(&self, name: &ProcessName) -> PathBuf {
        let cwd = self.settings.process(name).and_then(ProcessTable::cwd);
        cwd.map(|(folder, _)| folder).unwrap_or_default()
    }

    /// The process `id`; `common` is the environment of all.
    fn spec(
        &self,
        wishes: &Wishes,
        entry: &Entry,
        id: InstanceId,
        Address { port, is_pinned, is_main }: Address,
        common: Environment,
    ) -> ProcessSpec {
        let mut policy = wishes.policy(&entry.name);
        if is_release(entry) {
            policy.is_task = true;
            // Its end with 0 is what everyone waits for, with `--release` before the others start; any other
            // ends everything. A value for all types is not meant for it.
            let own = wishes.on_exit.own(&entry.name).filter(|_| !wishes.release);
            policy.on_exit = own.unwrap_or(OnExit::Ignore);
        }
        ProcessSpec {
            port,
            port_is_pinned: is_pinned,
            is_main,
            environment: self.with_own(common, port, &id),
            command: entry.command.clone(),
            policy,
            cwd: self.folder_of(&entry.name),
            pty: wishes.pty.of(&entry.name).unwrap_or_default(),
            waits: wishes.waits_of(&entry.name),
            wait_limit: wishes.wait_limit(),
            ready: self.ready(wishes, &entry.name, port),
            ready_is_said: self.ready_of(&entry.name).is_some(),
            id,
        }
    }

    /// What says that a process is ready: what `ganger.toml` says, or, of `web` and of a type that
    /// another waits for, its port. Without a port it is ready when it has started.
    fn ready(&self, wishes: &Wishes, name: &ProcessName, port: Option<Port>) -> Option<ReadyProbe> {
        let is_awaited = || wishes.waits.iter().any(|wait| wait.probe == Probe::Process(name.clone()));
        let ready = match self.ready_of(name) {
            None if name.as_str() == ProcessName::WEB || is_awaited() => ReadyProbe::Port,
            said => said?,
        };
        (ready != ReadyProbe::Port || port.is_some()).then_some(ready)
    }

    fn ready_of(&self, name: &ProcessName) -> Option<ReadyProbe> {
        self.settings.process(name).and_then(ProcessTable::ready)
    }

    /// The environment of a command that is no process of the Procfile: it has no port of its
    /// own, but finds those of the others.
    pub fn environment_of_command(&self) -> Environment {
        self.environment_with(&self.first_ports(&self.types()))
    }

    fn environment_with(&self, ports: &FirstPorts<'_>) -> Environment {
        let mut environment = self.environment.clone();
        for (name, port) in ports.all() {
            let why = Origin::Ganger("the port of its first instance");
            environment.set(name.port_variable(), port.to_string(), why);
        }
        environment
    }

    /// The environment of an instance, started or not.
    pub fn environment_of(&self, id: &InstanceId) -> Result<Environment, Error> {
        let types = self.types();
        let ports = self.first_ports(&types);
        Ok(self.with_own(self.environment_with(&ports), ports.at(id)?.port, id))
    }

    /// Returns the environments of many; what they have in common is built once.
    pub fn environments<'a>(
        &'a self,
        types: &'a [ProcessName],
    ) -> impl Fn(&InstanceId) -> Result<Environment, Error> + 'a {
        let ports = self.first_ports(types);
        let mut common = self.environment_with(&ports);
        common.share();
        move |id| Ok(self.with_own(common.clone(), ports.at(id)?.port, id))
    }

    /// Returns the ports of all first instances, for looking up those of many.
    fn first_ports<'a>(&'a self, types: &'a [ProcessName]) -> FirstPorts<'a> {
        FirstPorts::of(self.ports, types, self.settings)
    }

    /// `environment` with what only the process `id` has.
    fn with_own(&self, mut environment: Environment, port: Option<Port>, id: &InstanceId) -> Environment {
        let table = self.settings.process(&id.name);
        for Variable { name, value, line } in table.into_iter().flat_map(ProcessTable::variables) {
            environment.overlay(name.text.as_ref(), value.as_ref(), self.settings.path(), *line);
        }
        if let Some(port) = port {
            environment.set("PORT", port.to_string(), Origin::Ganger("the port of this process"));
        }
        for key in ["PS", "FOREMAN_WORKER_NAME"] {
            environment.set(key, id.to_string(), Origin::Ganger("the name of this process"));
        }
        environment
    }

    fn types(&self) -> Vec<ProcessName> {
        self.procfile.names().cloned().collect()
    }
}

fn is_release(entry: &Entry) -> bool {
    entry.name.as_str() == ProcessName::RELEASE
}

fn no_release() -> Error {
    Error::usage(
        "--release: the Procfile has no `release`",
        "add a line such as `release: bin/migrate`, or leave the option out",
    )
}

impl Wishes {
    /// How long this one is given to stop.
    pub fn grace(&self, name: &ProcessName) -> Duration {
        self.timeout.of(name).map_or(Policy::default().grace, |seconds| seconds.0)
    }

    /// How long each process may wait.
    pub fn wait_limit(&self) -> Duration {
        self.wait_timeout.map_or(WAIT_LIMIT, |seconds| seconds.0)
    }

    fn waits_of(&self, name: &ProcessName) -> Vec<Probe> {
        self.waits.iter().filter(|wait| wait.who == *name).map(|wait| wait.probe.clone()).collect()
    }

    fn policy(&self, name: &ProcessName) -> Policy {
        let default = Policy::default();
        Policy {
            stop_signal: self.stop_signal.of(name).unwrap_or(default.stop_signal),
            kill_mode: self.kill_mode.of(name).unwrap_or(default.kill_mode),
            grace: self.grace(name),
            on_exit: self.on_exit.of(name).unwrap_or(default.on_exit),
            is_task: default.is_task,
        }
    }
}

impl FromStr for KillMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "mixed" => Ok(Self::Mixed),
            "group" => Ok(Self::Group),
            _ => Err("expected `mixed` or `group`"),
        }
    }
}

impl FromStr for OnExit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "stop" => Ok(Self::Stop),
            "ignore" => Ok(Self::Ignore),
            "restart" => Ok(Self::Restart),
            _ => Err("it is `stop`, `ignore` or `restart`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Precedence;
    use crate::config::formation::Formation;
    use crate::config::procfile;
    use crate::config::source::Source;

    fn procfile(text: &str) -> Procfile {
        procfile::parse(&Source::new("Procfile", text)).expect("a good Procfile")
    }

    fn plan(text: &str, ports: Option<Ports>, wishes: &Wishes) -> Vec<ProcessSpec> {
        let shell = [("PORT".into(), "7".into()), ("PS".into(), "mine".into())];
        let environment = Environment::layered(&shell, [], Precedence::Files);
        let settings = Settings::default();
        let app = App { procfile: &procfile(text), environment: &environment, settings: &settings, ports };
        app.plan(wishes).expect("a plan")
    }

    const PORTS: Option<Ports> = Some(Ports { base: Port::DEFAULT, step: 100 });

    #[test]
    fn each_process_gets_its_port_its_name_and_the_ports_of_all_types() {
        let selection =
            Selection { processes: Formation::parse(["web-api=2"]).expect("good"), ..Selection::default() };
        let wishes = Wishes { selection, ..Wishes::default() };
        let specs = plan("clock: c\nweb-api: w $PORT\nweb: x\n", PORTS, &wishes);
        let ids: Vec<String> = specs.iter().map(|spec| spec.id.to_string()).collect();
        assert_eq!(ids, ["web-api.1", "web-api.2"]);
        let value = |key: &str| specs[1].environment.value(key).and_then(|it| it.to_str()).unwrap_or("-");
        assert_eq!(value("PORT"), "5201");
        assert_eq!((value("PS"), value("FOREMAN_WORKER_NAME")), ("web-api.2", "web-api.2"));
        assert_eq!(value("GANGER_PROCESS_WEB_PORT"), "5000");
        assert_eq!(value("GANGER_PROCESS_CLOCK_PORT"), "5100");
        assert_eq!(value("GANGER_PROCESS_WEB_API_PORT"), "5200");
    }

    #[test]
    fn without_ports_the_shells_port_passes() {
        let specs = plan("web: x\n", None, &Wishes::default());
        assert_eq!(specs[0].port, None);
        assert_eq!(specs[0].environment.value("PORT"), Some(std::ffi::OsStr::new("7")));
        assert_eq!(specs[0].environment.get("GANGER_PROCESS_WEB_PORT"), None);
    }

    #[test]
    fn thousands_of_types_are_refused_at_once() {
        use std::fmt::Write as _;
        let mut text = String::new();
        for number in 0..10_000 {
            writeln!(text, "p{number}: x").expect("written");
        }
        let (procfile, environment) = (procfile(&text), Environment::default());
        let settings = Settings::default();
        let app = App { procfile: &procfile, environment: &environment, settings: &settings, ports: PORTS };
        let error = app.plan(&Wishes::default()).expect_err("no ports for so many");
        assert!(error.to_string().contains("the port of p606.1 would be over 65535"), "{error}");
    }

    #[test]
    fn thousands_of_processes_share_their_common_variables() {
        use std::fmt::Write as _;
        let mut text = String::new();
        for number in 0..20_000 {
            writeln!(text, "p{number}: x").expect("written");
        }
        let ports = Some(Ports { base: Port::DEFAULT, step: 1 });
        let specs = plan(&text, ports, &Wishes::default());
        // With a copy each this would take 60 GB.
        assert_eq!(specs[19_999].environment.iter().count(), 20_003);
        assert_eq!(specs[19_999].environment.value("PORT"), Some(std::ffi::OsStr::new("24999")));
    }

    #[test]
    fn too_many_processes_are_refused() {
        let environment = Environment::layered(&[], [], Precedence::Files);
        let (procfile, settings) = (procfile("web: x\nworker: y\n"), Settings::default());
        let app = App { procfile: &procfile, environment: &environment, settings: &settings, ports: None };
        let wishes = |text| Wishes {
            selection: Selection {
                processes: Formation::parse([text]).expect("good"),
                ..Selection::default()
            },
            ..Wishes::default()
        };
        assert_eq!(app.plan(&wishes("web=32768")).expect("a plan").len(), 32_768);
        let error = app.plan(&wishes("all=65535")).expect_err("too many").render();
        insta::assert_snapshot!(error, @r"
        ganger: error: too many processes: 131070 (an app can have at most 32768)
          hint: start fewer, as in `ganger start web=2 worker`
        ");
    }

    #[test]
    fn policies_are_by_type() {
        let types: Vec<ProcessName> = procfile("web: x\nworker: y\n").names().cloned().collect();
        let wishes = Wishes {
            timeout: Scoped::parse(["worker=30,2"], &types).expect("good"),
            stop_signal: Scoped::parse(["worker=QUIT"], &types).expect("good"),
            kill_mode: Scoped::parse(["worker=group"], &types).expect("good"),
            on_exit: Scoped::parse(["web=restart"], &types).expect("good"),
            ..Wishes::default()
        };
        let specs = plan("web: x\nworker: y\n", PORTS, &wishes);
        let policy = |stop_signal, kill_mode, secs, on_exit| Policy {
            stop_signal,
            kill_mode,
            grace: Duration::from_secs(secs),
            on_exit,
            is_task: false,
        };
        assert_eq!(specs[0].policy, policy(Sig::TERM, KillMode::Mixed, 2, OnExit::Restart));
        assert_eq!(specs[1].policy, policy(Sig::QUIT, KillMode::Group, 30, OnExit::Stop));
    }

    #[test]
    fn the_release_is_first_and_once() {
        let wishes = |processes: &[&str]| Wishes {
            selection: Selection {
                processes: Formation::parse(processes).expect("good"),
                ..Selection::default()
            },
            on_exit: Scoped::parse(["restart"], &[]).expect("good"),
            release: true,
            ..Wishes::default()
        };
        let text = "web: x\nrelease: y\nworker: z\n";
        for processes in [&[][..], &["web,worker,release=2"]] {
            let plan = plan(text, None, &wishes(processes));
            let all: Vec<_> = plan.iter().map(|spec| (spec.id.to_string(), spec.policy.on_exit)).collect();
            let again = |id: &str| (id.to_owned(), OnExit::Restart);
            let expected = [("release.1".to_owned(), OnExit::Ignore), again("web.1"), again("worker.1")];
            assert_eq!(all, expected);
        }
        let environment = Environment::layered(&[], [], Precedence::Files);
        let (procfile, settings) = (procfile("web: x\n"), Settings::default());
        let app = App { procfile: &procfile, environment: &environment, settings: &settings, ports: None };
        let error = app.plan(&wishes(&[])).expect_err("no release");
        assert_eq!(
            (error.to_string().as_str(), error.exit_status()),
            ("--release: the Procfile has no `release`", 2)
        );
    }
}
