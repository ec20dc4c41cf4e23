//! The command line over `ganger.toml`: what the file says is read as if it were the command
//! line's defaults, by the same parsers.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};

use super::misuse::visible_in;
use super::read::command;
use super::{Cli, opposites};
use crate::config::diagnostic::Diagnostic;
use crate::config::keys::{Key, OPTIONS, Shape, Value};
use crate::config::options::{Given, Options, Origin};
use crate::config::settings::{Setting, Settings, Text};
use crate::error::Error;
use crate::model::quoted;

impl Cli {
    /// Reads once more what [`Cli::read`] has read.
    pub fn again(words: &[OsString]) -> Result<Self, Error> {
        let mut definition = command();
        let matches = opposites::matches(&mut definition, words).map_err(usage)?;
        let mut cli = Self::of(&matches).map_err(usage)?;
        cli.app.options = given(&definition, &matches);
        Ok(cli)
    }

    /// The same command line with `settings` under it. `words` are those it was read from.
    /// What [`misread`] tells of has no place in it.
    pub fn over(self, settings: Settings, words: &[OsString]) -> Result<Self, Error> {
        let options = Options::merged(&self.app.options, &settings);
        let folder = settings.path().parent().unwrap_or(Path::new(""));
        let mut layered = options.iter().fold(command(), |command, given| under(command, given, folder));
        let matches = opposites::matches(&mut layered, words).map_err(usage)?;
        let mut cli = Self::of(&matches).map_err(usage)?;
        cli.app.options = options;
        cli.app.settings = Arc::new(settings);
        Ok(cli)
    }
}

/// clap's message without the usage below it: a message is one line.
fn usage(error: clap::Error) -> Error {
    let text = visible_in(error).to_string();
    let said = text.split("\n\n").next().unwrap_or_default();
    let message = said.strip_prefix("error: ").unwrap_or(said).replace('\n', " ");
    Error::Usage { message, hint: None }
}

/// The option of this key.
pub(super) fn option<'a>(command: &'a clap::Command, key: &Key) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| arg.get_long() == Some(key.name))
}

/// What the command line and the variables say.
pub(super) fn given(definition: &clap::Command, matches: &ArgMatches) -> Options {
    let start = matches.subcommand().filter(|(name, _)| *name == "start").map(|(_, matches)| matches);
    let found = |key: &'static Key| {
        let arg = option(definition, key)?;
        let id = arg.get_id().as_str();
        let of = |matches: &ArgMatches| {
            // Options of the app are not among those of a subcommand that does not have them.
            let source = matches.try_contains_id(id).ok().and_then(|_| matches.value_source(id))?;
            let origin = match source {
                ValueSource::CommandLine => Origin::Flag,
                ValueSource::EnvVariable => Origin::Variable(arg.get_env()?.to_str()?.to_owned()),
                _ => return None,
            };
            let texts = matches.get_raw(id).map(|texts| texts.map(OsStr::to_owned).collect());
            Some(Given { key, texts: texts.unwrap_or_default(), origin })
        };
        // What stands behind `start` is nearer, and read without variables.
        start.and_then(of).or_else(|| of(matches))
    };
    Options::of(OPTIONS.iter().filter_map(found).collect())
}

/// `command` with an option of the file as the default of the command line's. Paths of the file
/// are from the file's folder.
fn under(command: clap::Command, given: &Given, folder: &Path) -> clap::Command {
    let Given { key, texts, origin: Origin::File(..) } = given else { return command };
    if key.is_layered() {
        return command;
    }
    let Some(id) = option(&command, key).map(|arg| arg.get_id().clone()) else { return command };
    let texts = texts.iter().map(|text| match key.value {
        Value::Path => in_folder(folder, &text.to_string_lossy(), key.shape),
        _ => text.clone(),
    });
    let texts: Vec<clap::builder::OsStr> = texts.map(clap::builder::OsStr::from).collect();
    command.mut_arg(id, |arg| arg.default_values(texts))
}

fn in_folder(folder: &Path, text: &str, shape: Shape) -> OsString {
    match shape {
        Shape::List => {
            let items: Vec<OsString> =
                text.split(',').map(|item| folder.join(item.trim()).into_os_string()).collect();
            items.join(OsStr::new(","))
        }
        _ => folder.join(text).into_os_string(),
    }
}

/// What the parsers of the command line have against values of the file.
pub fn misread(settings: &Settings) -> Vec<Diagnostic> {
    let definition = command();
    settings.options().iter().flat_map(|setting| misread_one(&definition, setting, settings)).collect()
}

/// The settings without the options that the parsers of the command line refuse.
pub fn readable(mut settings: Settings) -> Settings {
    let definition = command();
    let whole = settings.clone();
    settings.retain(|setting| misread_one(&definition, setting, &whole).is_empty());
    settings
}

fn misread_one(definition: &clap::Command, setting: &Setting, settings: &Settings) -> Vec<Diagnostic> {
    let Setting { key, texts } = setting;
    let Some(arg) = option(definition, key).filter(|_| key.shape == Shape::One) else { return Vec::new() };
    let alone = clap::Command::new("file").no_binary_name(true).arg(arg.clone());
    let problem = |text: &Text| {
        let option = format!("--{}={}", key.name, text.text);
        let error = alone.clone().try_get_matches_from([option]).err()?;
        let what = if settings.is_hidden(text.span) { key.name.to_owned() } else { quoted(&text.text) };
        Some(settings.error(text.span, format!("`{what}`: {}", reason(&error))))
    };
    texts.iter().filter_map(problem).collect()
}

/// Why the value is refused, without clap's words round it.
fn reason(error: &clap::Error) -> String {
    if let Some(ContextValue::Strings(words)) = error.get(ContextKind::ValidValue) {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        return match &words[..] {
            [first @ .., last] if !first.is_empty() => format!("it is {} or {last}", first.join(", ")),
            words => format!("it is {}", words.join(", ")),
        };
    }
    let source = std::error::Error::source(error);
    source.map_or_else(|| "it cannot be read".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::config::source::Source;
    use crate::error::{Severity, render_diagnostics};

    /// What only the command line has.
    // The file is that of all instances, and a name is that of one.
    const NO_KEYS: &[&str] = &["help", "version", "name"];

    #[test]
    fn every_option_of_start_is_a_key_and_a_variable() {
        let mut command = command();
        command.build();
        let start = command.find_subcommand("start").expect("a command");
        for arg in start.get_arguments() {
            let Some(name) = arg.get_long().filter(|name| !NO_KEYS.contains(name)) else { continue };
            assert!(Key::option(name).is_some(), "add `{name}` to OPTIONS in src/config/keys.rs");
            let own = option(&command, Key::option(name).expect("a key")).expect("an option");
            let variable = Key::option(name).expect("a key").variable();
            assert_eq!(own.get_env(), variable.as_deref().map(OsStr::new), "--{name}");
        }
    }

    fn variables(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned));
        own.chain(command.get_subcommands().flat_map(variables)).collect()
    }

    #[test]
    fn every_variable_of_an_option_is_known_as_one() {
        use crate::config::keys::{is_option_variable, option_variables};
        let mut of_options: Vec<String> = variables(&Cli::command());
        of_options.sort();
        of_options.dedup();
        let mut known: Vec<String> = option_variables().collect();
        known.sort();
        assert_eq!(known, of_options, "add what is missing to OF_COMMANDS in src/config/keys.rs");
        assert!(known.iter().all(|name| is_option_variable(name)));
        for other in
            ["GANGER_SOCKET", "GANGER_PROCESS_WEB_PORT", "GANGER_port", "GANGER_NO-ENV", "PORT", "GANGER_"]
        {
            assert!(!is_option_variable(other), "{other}");
        }
    }

    #[test]
    fn every_key_is_an_option_that_takes_its_example() {
        for key in OPTIONS {
            assert!(option(&command(), key).is_some(), "there is no --{}", key.name);
            let text = format!("{} = {}\n", key.name, key.example);
            let (settings, _) = Settings::read(Source::new("ganger.toml", text.as_str()));
            assert_eq!(misread(&settings), [], "{text}");
            let words = ["ganger".into()];
            let cli = Cli::again(&words).expect("read").over(settings, &words);
            let cli = cli.unwrap_or_else(|error| panic!("{text}{error}"));
            assert!(cli.app.options.is_of_file(key.name), "{text}");
        }
    }

    #[test]
    fn what_the_parsers_refuse_is_shown_in_the_file() {
        let text = "port = 99999\ncolor = 'alway'\npty = 'x'\nport-step = 0\ntimestamps = 'x'\n";
        let (settings, _) = Settings::read(Source::new("ganger.toml", text));
        insta::assert_snapshot!(render_diagnostics(Severity::Error, &misread(&settings)), @r"
        ganger: error: `99999`: a port is a whole number from 1 to 65535
          --> ganger.toml:1:8
           |
         1 | port = 99999
           |        ^^^^^
        ganger: error: `alway`: it is `auto`, `always` or `never`
          --> ganger.toml:2:9
           |
         2 | color = 'alway'
           |         ^^^^^^^
        ganger: error: `x`: it is `auto`, `always` or `never`
          --> ganger.toml:3:7
           |
         3 | pty = 'x'
           |       ^^^
        ganger: error: `0`: it is a whole number from 1 to 65535
          --> ganger.toml:4:13
           |
         4 | port-step = 0
           |             ^
        ganger: error: `x`: there is no time in it; write one as in `%H:%M:%S`
          --> ganger.toml:5:14
           |
         5 | timestamps = 'x'
           |              ^^^
        ");
    }

    #[test]
    fn paths_are_from_the_folder_of_the_file() {
        let text = "env = ['a.env, b.env', '/c.env']\nlog-dir = 'log'\nprocfile = '../P'\n";
        let (settings, _) = Settings::read(Source::new("app/ganger.toml", text));
        let words = ["ganger".into()];
        let cli = Cli::again(&words).expect("read").over(settings, &words).expect("good");
        assert_eq!(cli.app.env, ["app/a.env,app/b.env", "/c.env"]);
        assert_eq!(cli.start.show.log_dir, Some("app/log".into()));
        assert_eq!(cli.app.procfile, Some("app/../P".into()));
    }
}
