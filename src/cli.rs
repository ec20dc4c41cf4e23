//! The command line: clap structures and their help, and nothing that acts on them. Help, man page and
//! completions all come from here.

mod layers;
mod misuse;
mod opposites;
mod read;
mod said;
mod schema;
mod start;

pub use layers::{misread, readable};
pub use schema::schema;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};

use crate::config::options::Options;
use crate::config::scoped::Seconds;
use crate::config::settings::Settings;
use crate::model::{ControlKey, ProcessName, PtyChoice, Recipients, Sig};
use crate::output::clock::TimeFormat;
use crate::output::format::FormatChoice;
use crate::output::log::LogFormat;
use crate::output::style::ColorChoice;
use crate::plan::PortWish;

/// Run the processes of a Procfile on your machine.
///
/// Without a command, `ganger` is `ganger start`: every process of the Procfile runs, on its
/// port and with the variables of .env, until one ends or you press Ctrl-C. Nothing it started
/// outlives it.
#[derive(Debug, Parser)]
#[command(
    version,
    bin_name = "ganger",
    max_term_width = 100,
    propagate_version = true,
    args_override_self = true,
    after_help = "Each option but --keep can be given as a variable too: GANGER_PORT for --port. A flag is taken \
                  back with its opposite: --no-daemon. See `ganger man`."
)]
pub struct Cli {
    /// What every command needs to know of the app.
    #[command(flatten)]
    pub app: AppArgs,
    /// Options of `start`, for when it is left out.
    #[command(flatten)]
    pub start: StartOptions,
    /// The command.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What every command needs to know of the app.
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The app")]
pub struct AppArgs {
    /// The Procfile; without -d, its folder is the root [default: Procfile]
    #[arg(short = 'f', long, global = true, value_name = "FILE", env = "GANGER_PROCFILE", hide_env = true)]
    pub procfile: Option<PathBuf>,
    /// Env files, later ones win; repeat it or give a comma list; `FILE?` may be missing [default: .env?]
    #[arg(short, long, global = true, value_name = "FILE", env = "GANGER_ENV", hide_env = true)]
    pub env: Vec<OsString>,
    /// Read no env file
    #[arg(long, global = true, env = "GANGER_NO_ENV", hide_env = true, value_parser = FalseyValueParser::new())]
    pub no_env: bool,
    /// The folder the app is in and every process runs in
    #[arg(short = 'd', long, global = true, value_name = "DIR", env = "GANGER_ROOT", hide_env = true)]
    pub root: Option<PathBuf>,
    /// Name this instance, to run several in the same directory; each has its own socket and ports
    // Some commands have an argument with the id `name`.
    #[arg(
        id = "instance",
        long = "name",
        global = true,
        value_name = "NAME",
        env = "GANGER_NAME",
        hide_env = true,
        value_parser = parse_instance_name
    )]
    pub name: Option<String>,
    /// The base port, of web or, without a web, of the first type but release; `auto` picks a free block of ports
    /// [default: PORT of the env files, of the shell, or 5000]
    #[arg(
        short,
        long,
        global = true,
        value_name = "N|auto",
        env = "GANGER_PORT",
        hide_env = true,
        allow_hyphen_values = true
    )]
    pub port: Option<PortWish>,
    /// The distance between the ports of two types, and the most instances of one
    #[arg(
        long,
        global = true,
        value_name = "N",
        env = "GANGER_PORT_STEP",
        hide_env = true,
        default_value_t = 100,
        allow_negative_numbers = true,
        value_parser = parse_port_step
    )]
    pub port_step: u16,
    /// Set no PORT; one of the shell or the env files passes
    #[arg(long, global = true, env = "GANGER_NO_PORT", hide_env = true, value_parser = FalseyValueParser::new())]
    pub no_port: bool,
    /// Let the shell's variables win over the env files
    #[arg(long, global = true, env = "GANGER_SHELL_ENV_WINS", hide_env = true, value_parser = FalseyValueParser::new())]
    pub shell_env_wins: bool,
    /// Expand $NAME and ${NAME} in the values of env files
    #[arg(long, global = true, env = "GANGER_EXPAND", hide_env = true, value_parser = FalseyValueParser::new())]
    pub expand: bool,
    /// When to use colours; `never` asks the processes for none too
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        env = "GANGER_COLOR",
        hide_env = true,
        default_value = "auto"
    )]
    pub color: ColorChoice,
    /// What `ganger.toml` says.
    #[arg(skip)]
    pub settings: Arc<Settings>,
    /// Who said which option.
    #[arg(skip)]
    pub options: Options,
}

/// The commands.
#[allow(clippy::large_enum_variant, reason = "there is one of it, and it is taken apart at once")]
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the processes of the Procfile until one ends or Ctrl-C
    #[command(alias = "local")]
    Start(StartArgs),
    /// Run one command, or one entry of the Procfile, with the app's environment
    Run(RunArgs),
    /// Check the Procfile and the env files; start nothing
    Check(CheckArgs),
    /// Show the environment a process gets
    #[command(alias = "env")]
    Config(ConfigArgs),
    /// Show what the running instance runs
    Ps(PsArgs),
    /// Change how many of each type run; without arguments, show it
    #[command(alias = "ps:scale")]
    Scale(ScaleArgs),
    /// Start processes anew
    #[command(alias = "ps:restart")]
    Restart(WhichArgs),
    /// Stop processes; without a name, end the running instance
    #[command(alias = "ps:stop")]
    Stop(WhichArgs),
    /// Bring processes up that were stopped
    Up(UpArgs),
    /// Read the Procfile and the env files again, and restart what they change
    Reload(ReloadArgs),
    /// Send a signal to processes, e.g. HUP to reload a server's configuration
    Signal(SignalArgs),
    /// Show what the processes of the running instance wrote last
    Logs(LogsArgs),
    /// Have the terminal of a process: for its debugger or prompt
    #[command(alias = "connect")]
    Attach(AttachArgs),
    /// Type text into the terminal of a process
    Send(SendArgs),
    /// Open a process in the browser, once it listens on its port
    Open(OpenArgs),
    /// Wait until processes are ready
    Wait(WaitArgs),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the man page
    Man,
    /// Print the JSON schema of ganger.toml, for editors
    Schema,
}

/// `ganger start`.
#[derive(Debug, Clone, Default, Args)]
pub struct StartArgs {
    /// What to start, and how often: `web`, `web=2`, `web,worker`, `all=1,css=0`
    /// [default: every type but `release`, once]
    #[arg(value_name = "PROCESS", allow_negative_numbers = true)]
    pub processes: Vec<String>,
    /// A command to run with the terminal once all are ready; then everything stops, and its exit
    /// status is ganger's
    #[arg(value_name = "CMD", last = true)]
    pub command: Vec<OsString>,
    /// The rest.
    #[command(flatten)]
    pub options: StartOptions,
}

/// Options of `ganger start`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What runs")]
pub struct StartOptions {
    /// What to start, as an option: types not named do not start, unless `all` is
    #[arg(short = 'm', long, value_name = "NAME=N,…", env = "GANGER_FORMATION", hide_env = true)]
    pub formation: Vec<String>,
    /// How many of a type; types not named start once
    #[arg(short, long, value_name = "NAME=N,…", env = "GANGER_CONCURRENCY", hide_env = true)]
    pub concurrency: Vec<String>,
    /// What not to start
    #[arg(short = 'x', long, value_name = "NAME,…", env = "GANGER_EXCLUDE", hide_env = true)]
    pub exclude: Vec<String>,
    /// How long a process may take to stop before it is killed [default: 10]
    #[arg(
        short,
        long,
        value_name = "[NAME=]SECS",
        env = "GANGER_TIMEOUT",
        hide_env = true,
        allow_hyphen_values = true
    )]
    pub timeout: Vec<String>,
    /// The signal that asks a process to stop [default: TERM]
    #[arg(long, value_name = "[NAME=]SIG", env = "GANGER_STOP_SIGNAL", hide_env = true)]
    pub stop_signal: Vec<String>,
    /// How a process is stopped: `mixed` signals the program itself first and its children later, `group`
    /// signals all of them at once [default: mixed]
    #[arg(long, value_name = "[NAME=]MODE", env = "GANGER_KILL_MODE", hide_env = true)]
    pub kill_mode: Vec<String>,
    /// Programs to leave running: browsers, daemons and others that have left the session of their process.
    /// A single one can be marked with `GANGER_KEEP=1` in its environment; this option has no variable
    #[arg(long, value_name = "NAME,…")]
    pub keep: Vec<String>,
    /// What happens when a process ends: `stop` everything, `ignore` an end with 0, `restart` it
    /// [default: stop]
    #[arg(long, value_name = "[NAME=]WHAT", env = "GANGER_ON_EXIT", hide_env = true)]
    pub on_exit: Vec<String>,
    /// What a process waits for before it starts: `tcp:PORT`, `tcp:HOST:PORT`, `http://…`, `https://…`,
    /// `cmd:COMMAND`, `log:NAME:REGEX` (in NAME's output), or `NAME`: that it is ready. Repeat it for more
    #[arg(long, value_name = "NAME=PROBE", env = "GANGER_WAIT_FOR", hide_env = true)]
    pub wait_for: Vec<String>,
    /// How long a process may wait; then everything stops [default: 60]
    #[arg(
        long,
        value_name = "SECS",
        env = "GANGER_WAIT_TIMEOUT",
        hide_env = true,
        allow_hyphen_values = true
    )]
    pub wait_timeout: Option<Seconds>,
    /// Run the Procfile's `release` first; if it fails, nothing else starts
    #[arg(long, env = "GANGER_RELEASE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub release: bool,
    /// Leave the terminal: return when all are up, and run on without it
    #[arg(short = 'D', long, env = "GANGER_DAEMON", hide_env = true, value_parser = FalseyValueParser::new())]
    pub daemon: bool,
    /// Give this process the terminal from its start on, until Ctrl-] is pressed there
    #[arg(long, value_name = "NAME", env = "GANGER_ATTACH", hide_env = true)]
    pub attach: Option<String>,
    /// When each process has a terminal (pty) of its own instead of a pipe; `auto`: if stdout is
    /// a terminal [default: auto]
    #[arg(long, value_name = "WHEN", env = "GANGER_PTY", hide_env = true)]
    pub pty: Option<PtyChoice>,
    /// How it looks.
    #[command(flatten)]
    pub show: ShowOptions,
}

/// What of the processes' output is shown, and how.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What is shown")]
pub struct ShowOptions {
    /// For whom the output is: `text` for people, `json` for programs, one object a line
    /// [default: text]
    #[arg(long, value_name = "FORMAT", env = "GANGER_FORMAT", hide_env = true, hide_possible_values = true)]
    pub format: Option<FormatChoice>,
    /// How the time before each line is written, as for `strftime` [default: %H:%M:%S]
    #[arg(
        long,
        value_name = "FMT",
        env = "GANGER_TIMESTAMPS",
        hide_env = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = TimeFormat::DEFAULT
    )]
    pub timestamps: Option<TimeFormat>,
    /// Show no time before a line
    #[arg(long, env = "GANGER_NO_TIMESTAMPS", hide_env = true, value_parser = FalseyValueParser::new())]
    pub no_timestamps: bool,
    /// Show the lines of processes as they are, without time and name
    #[arg(long, env = "GANGER_NO_PREFIX", hide_env = true, value_parser = FalseyValueParser::new())]
    pub no_prefix: bool,
    /// Show no lines of these types or instances
    #[arg(long, value_name = "NAME,…", env = "GANGER_MUTE", hide_env = true)]
    pub mute: Vec<String>,
    /// Append what each process writes to a file of its own in this folder: web.1.log
    #[arg(long, value_name = "DIR", env = "GANGER_LOG_DIR", hide_env = true)]
    pub log_dir: Option<PathBuf>,
    /// Contents of the log files: `raw` for every byte, or `plain` for lines of text without escape sequences,
    /// each in its final state [default: raw]
    #[arg(
        long,
        value_name = "FORMAT",
        env = "GANGER_LOG_FORMAT",
        hide_env = true,
        hide_possible_values = true
    )]
    pub log_format: Option<LogFormat>,
}

/// The most characters of a name: the path of a socket may have about a hundred.
const LONGEST_NAME: usize = 32;

fn parse_instance_name(text: &str) -> Result<String, String> {
    if text.len() > LONGEST_NAME {
        return Err(format!("a name has at most {LONGEST_NAME} characters"));
    }
    let is_allowed = !text.is_empty() && text.bytes().all(ProcessName::allows);
    if is_allowed {
        Ok(text.to_owned())
    } else {
        Err("a name has only letters, digits, `_` and `-`".to_owned())
    }
}

fn parse_port_step(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(step @ 1..) => Ok(step),
        _ => Err("it is a whole number from 1 to 65535".to_owned()),
    }
}

fn parse_lines(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "expected a whole number of lines, as in `100`".to_owned())
}

/// `ganger run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A command and its arguments, passed on as they are; or the name of a Procfile entry.
    /// After `--` it is always a command
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub argv: Vec<OsString>,
}

/// `ganger check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Take warnings for errors
    #[arg(long)]
    pub strict: bool,
}

/// `ganger ps`.
#[derive(Debug, Args)]
pub struct PsArgs {
    /// As a JSON array
    #[arg(long)]
    pub json: bool,
}

/// `ganger scale`.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// How many of each type: `web=2 worker=0`, `all=1`; types not named stay as they are
    #[arg(value_name = "NAME=N")]
    pub counts: Vec<String>,
    /// Do not wait until it is done
    #[arg(long)]
    pub no_wait: bool,
}

/// `ganger restart` and `ganger stop`.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// Types or instances: `web`, `worker.2` [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Do not wait until it is done
    #[arg(long)]
    pub no_wait: bool,
}

/// `ganger up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Types or instances: `web`, `worker.2`
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Do not wait until it is done
    #[arg(long)]
    pub no_wait: bool,
}

/// `ganger reload`.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// Do not wait until it is done
    #[arg(long)]
    pub no_wait: bool,
}

/// `ganger signal`.
#[derive(Debug, Args)]
pub struct SignalArgs {
    /// The signal: `HUP`, `SIGHUP`, `RTMIN+1` or a number
    #[arg(value_name = "SIG")]
    pub signal: Sig,
    /// Types or instances: `web`, `worker.2`
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Where to send it: every process in the `group`, or only the `program` that the command line runs
    #[arg(long, value_name = "WHICH", default_value = "group", hide_possible_values = true)]
    pub to: Recipients,
}

/// `ganger logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Types or instances, repeated or as a comma list [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// How many lines, of all these together
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        default_value_t = 100,
        allow_negative_numbers = true,
        value_parser = parse_lines
    )]
    pub lines: usize,
    /// Go on with what comes, until the instance ends
    #[arg(short, long)]
    pub follow: bool,
    /// The Procfile of the instance; here `-f` is something else
    // The id of the option that all commands have, in whose place it stands.
    #[arg(id = "procfile", long = "procfile", value_name = "FILE", help_heading = "The app")]
    pub of_procfile: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// `ganger attach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// The process: an instance, or a type that runs once
    pub name: String,
    /// Where ganger runs, go on showing its lines meanwhile
    #[arg(long)]
    pub tee: bool,
    /// The key that detaches: `ctrl-` and a letter, `]`, `\`, `^`, `_`, `@` or a digit from 4 to 7
    #[arg(long, value_name = "KEY", env = "GANGER_DETACH_KEY", hide_env = true, default_value = "ctrl-]")]
    pub detach_key: ControlKey,
}

/// `ganger send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// The process: an instance, or a type that runs once
    pub name: String,
    /// What to type, with the escapes `\n`, `\r` (Enter), `\t`, `\e`, `\xHH` and `\\`; `-` for stdin as it is
    #[arg(value_name = "TEXT")]
    pub text: OsString,
    /// Type the text as it is, without escapes
    #[arg(long)]
    pub raw: bool,
}

/// `ganger open`.
#[derive(Debug, Args)]
pub struct OpenArgs {
    /// The process: a type or an instance [default: web, else the first]
    pub name: Option<String>,
    /// How long to wait until it listens
    #[arg(short, long, value_name = "SECS", default_value = "60", allow_negative_numbers = true)]
    pub timeout: Seconds,
    /// Only print the address
    #[arg(long)]
    pub print: bool,
}

/// `ganger wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Types or instances: `web`, `worker.2` [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// How long to wait; then the exit status is 124
    #[arg(short, long, value_name = "SECS", default_value = "60", allow_negative_numbers = true)]
    pub timeout: Seconds,
}

/// `ganger config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The process: a type or an instance [default: web, else the first]
    pub name: Option<String>,
    /// Of the running instance: what the process was started with
    #[arg(long)]
    pub running: bool,
    /// How to show it.
    #[command(flatten)]
    pub form: ConfigForm,
    /// Show secrets in full
    #[arg(long)]
    pub show_secrets: bool,
}

/// How `ganger config` shows the environment; without one of these, as lines of an env file.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct ConfigForm {
    /// As a JSON object
    #[arg(long)]
    pub json: bool,
    /// As `export` lines for a shell
    #[arg(long)]
    pub shell: bool,
    /// With the place each variable comes from
    #[arg(long)]
    pub explain: bool,
}
