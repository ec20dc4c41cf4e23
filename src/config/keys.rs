//! What can stand in `ganger.toml`: one line for each key. The reader, the checks and the JSON
//! schema all go by this; what an option does, and its words, say the command line's definitions.

use crate::model::ProcessColor;

/// How many values a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`.
    Flag,
    /// One.
    One,
    /// One or an array. As on the command line each may be a comma list, and together they are one.
    List,
    /// The same, each item for all processes or, as `NAME=VALUE`, for one type.
    Scoped,
    /// One or an array, each `NAME=VALUE` for one type; in a process's table without the name.
    Named,
    /// Variables by name.
    Variables,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// Any text.
    Text,
    /// A path, from the folder of `ganger.toml`, or in a process's table from the root of the app.
    Path,
    /// One of the words that the option of this name takes.
    Choice,
    /// A port, or `auto`.
    Port,
    /// A port, as a number.
    PinnedPort,
    /// The distance between ports.
    Step,
    /// Names and counts: `web=2,all=1`.
    Counts,
    /// Names of types: `web,worker`.
    Types,
    /// Names of types and instances: `web,worker.2`.
    Names,
    /// Names of programs: `chrome,watchman`.
    Programs,
    /// A time in seconds.
    Seconds,
    /// A signal, by name or number.
    Signal,
    /// Which processes of a group are asked first.
    KillMode,
    /// What an end means.
    OnExit,
    /// Whether there is a terminal.
    Pty,
    /// The colour of a process.
    Color,
    /// What a process waits for.
    Wait,
    /// What says that a process is ready.
    Ready,
}

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// How it is written.
    pub name: &'static str,
    /// How many values it takes.
    pub shape: Shape,
    /// What each is.
    pub value: Value,
    /// What stands behind `=` in an example, as TOML. Read with a Procfile that has `web` and
    /// `worker`.
    pub example: &'static str,
    /// Whether it may stand in `[process.NAME]`, for one type.
    pub in_process: bool,
    /// What it does, if the command line does not say that.
    pub about: &'static str,
}

/// The options: each has the long option of its name on the command line.
pub const OPTIONS: &[Key] = &[
    key("procfile", Shape::One, Value::Path, r#""Procfile.dev""#),
    key("env", Shape::List, Value::Path, r#"[".env", ".env.local?"]"#),
    key("no-env", Shape::Flag, Value::Text, "true"),
    key("root", Shape::One, Value::Path, r#""app""#),
    key("port", Shape::One, Value::Port, "7000"),
    key("port-step", Shape::One, Value::Step, "10"),
    key("no-port", Shape::Flag, Value::Text, "true"),
    key("shell-env-wins", Shape::Flag, Value::Text, "true"),
    key("expand", Shape::Flag, Value::Text, "true"),
    key("color", Shape::One, Value::Choice, r#""never""#),
    key("formation", Shape::List, Value::Counts, r#"["web=2", "worker"]"#),
    key("concurrency", Shape::List, Value::Counts, r#""web=2""#),
    key("exclude", Shape::List, Value::Types, r#"["worker"]"#),
    key("timeout", Shape::Scoped, Value::Seconds, r#"[5, "worker=30"]"#).in_process(),
    key("stop-signal", Shape::Scoped, Value::Signal, r#""worker=QUIT""#).in_process(),
    key("kill-mode", Shape::Scoped, Value::KillMode, r#""worker=group""#).in_process(),
    key("keep", Shape::List, Value::Programs, r#"["chrome", "watchman"]"#),
    key("on-exit", Shape::Scoped, Value::OnExit, r#""worker=restart""#).in_process(),
    key("wait-for", Shape::Named, Value::Wait, r#"["web=tcp:5432", "web=worker"]"#).in_process(),
    key("wait-timeout", Shape::One, Value::Seconds, "90"),
    key("release", Shape::Flag, Value::Text, "true"),
    key("daemon", Shape::Flag, Value::Text, "true"),
    key("attach", Shape::One, Value::Text, r#""web""#),
    key("pty", Shape::One, Value::Pty, r#""never""#).in_process(),
    key("format", Shape::One, Value::Choice, r#""json""#),
    key("timestamps", Shape::One, Value::Text, r#""%H:%M:%S%.3f""#),
    key("no-timestamps", Shape::Flag, Value::Text, "true"),
    key("no-prefix", Shape::Flag, Value::Text, "true"),
    key("mute", Shape::List, Value::Names, r#"["worker", "web.2"]"#),
    key("log-dir", Shape::One, Value::Path, r#""log""#),
    key("log-format", Shape::One, Value::Choice, r#""plain""#),
];

/// What only `[process.NAME]` has.
pub const OF_PROCESS: &[Key] = &[
    key("env", Shape::Variables, Value::Text, r#"{ DEBUG = "1" }"#)
        .about("Variables of this process alone; they win over the env files"),
    key("cwd", Shape::One, Value::Path, r#""frontend""#)
        .about("The folder it runs in, from the root of the app"),
    key("port", Shape::One, Value::PinnedPort, "3000")
        .about("Its port, instead of the one assigned by its place; the second instance gets the next one"),
    key("color", Shape::One, Value::Color, r#""magenta""#)
        .about("The colour of its name before its lines, or `none`"),
    key("mute", Shape::Flag, Value::Text, "true").about("Show none of its lines"),
    key("ready", Shape::One, Value::Ready, r#""http://localhost:5000/health""#)
        .about("What says that it is ready: `port` (it listens on its PORT), or a probe as of `wait-for`"),
];

/// Variables that are options of other commands than `start`.
const OF_COMMANDS: &[&str] = &["GANGER_DETACH_KEY", "GANGER_NAME"];

/// The variables that ganger reads for itself, as options.
pub fn option_variables() -> impl Iterator<Item = String> {
    OPTIONS.iter().filter_map(Key::variable).chain(OF_COMMANDS.iter().map(|name| (*name).to_owned()))
}

/// Returns whether a variable of this name is an option of ganger. Such a variable is not passed on: a
/// ganger in a process would take it for its own option.
pub fn is_option_variable(name: &str) -> bool {
    let of_key = |name: &str| Key::option(&name.to_lowercase().replace('_', "-")).and_then(Key::variable);
    let rest = name.strip_prefix("GANGER_");
    rest.and_then(of_key).is_some_and(|known| known == name) || OF_COMMANDS.contains(&name)
}

/// Options that are one wish: who says one of them says nothing of the other.
const ONE_WISH: &[[&str; 2]] = &[["env", "no-env"], ["port", "no-port"], ["timestamps", "no-timestamps"]];

const fn key(name: &'static str, shape: Shape, value: Value, example: &'static str) -> Key {
    Key { name, shape, value, example, in_process: false, about: "" }
}

impl Key {
    const fn in_process(mut self) -> Self {
        self.in_process = true;
        self
    }

    const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self.in_process = true;
        self
    }

    /// The option of this name.
    pub fn option(name: &str) -> Option<&'static Self> {
        OPTIONS.iter().find(|key| key.name == name)
    }

    /// All that `[process.NAME]` may have.
    pub fn all_of_process() -> impl Iterator<Item = &'static Self> + Clone {
        OPTIONS.iter().filter(|key| key.in_process).chain(OF_PROCESS)
    }

    /// Whether the file has its say for the types that nobody above it speaks of. Any other option
    /// counts as a whole, from the strongest that says it.
    pub fn is_layered(&self) -> bool {
        self.in_process && matches!(self.shape, Shape::One | Shape::Scoped | Shape::Named)
    }

    /// The flag that takes this flag back, without the dashes. `--timestamps` takes `--no-timestamps` back.
    pub fn opposite(&self) -> Option<String> {
        match (self.shape, self.name) {
            (Shape::Flag, "no-timestamps") => None,
            // `--env` and `--port` take values.
            (Shape::Flag, "no-env" | "no-port") => Some(self.name.replacen("no-", "with-", 1)),
            (Shape::Flag, name) => {
                Some(name.strip_prefix("no-").map_or_else(|| format!("no-{name}"), str::to_owned))
            }
            _ => None,
        }
    }

    /// The variable that an option can be given as. `keep` has none: `GANGER_KEEP` is the mark of programs that
    /// are left running.
    pub fn variable(&self) -> Option<String> {
        (self.name != "keep").then(|| format!("GANGER_{}", self.name.to_uppercase().replace('-', "_")))
    }

    /// The other option of the same wish.
    pub fn rival(&self) -> Option<&'static str> {
        let wish = ONE_WISH.iter().find(|wish| wish.contains(&self.name))?;
        wish.iter().find(|name| **name != self.name).copied()
    }
}

impl Value {
    /// The words it can be, where these are no option's of the command line.
    pub fn words(self) -> Vec<&'static str> {
        match self {
            Self::KillMode => vec!["mixed", "group"],
            Self::OnExit => vec!["stop", "ignore", "restart"],
            Self::Color => ProcessColor::NAMES.iter().map(|(name, _)| *name).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether TOML's numbers are read too.
    pub fn may_be_number(self) -> bool {
        matches!(self, Self::Port | Self::PinnedPort | Self::Step | Self::Seconds | Self::Signal)
    }

    /// Whether a text is read.
    pub fn may_be_text(self) -> bool {
        !matches!(self, Self::Step | Self::PinnedPort)
    }
}
