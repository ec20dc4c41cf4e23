//! Where each option comes from, and who wins: defaults < `ganger.toml` < `GANGER_…` < flags.
//!
//! Owns the order. It knows options as texts by name; what the texts mean say the types that the
//! command line and [`settings`](super::settings) read them into.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::keys::{Key, OPTIONS, Shape};
use super::settings::{Setting, Settings};

/// Where an option comes from; the later ones win.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// Nobody said anything.
    #[default]
    Default,
    /// `ganger.toml`, and the line in it.
    File(PathBuf, usize),
    /// A variable of this name.
    Variable(String),
    /// The command line.
    Flag,
}

impl Origin {
    /// Returns whether this layer wins over the other.
    pub fn is_above(&self, other: &Self) -> bool {
        self.layer() > other.layer()
    }

    fn layer(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(..) => 1,
            Self::Variable(_) => 2,
            Self::Flag => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// An option that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Which.
    pub key: &'static Key,
    /// Its values as texts.
    pub texts: Vec<OsString>,
    /// Who gave it.
    pub origin: Origin,
}

/// All options that count, the strongest first where several speak of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    given: Vec<Given>,
}

impl Options {
    /// Those of the command line and of variables alone.
    pub fn of(given: Vec<Given>) -> Self {
        Self { given }
    }

    /// Puts the file's options under those of the command line and of variables (`above`).
    ///
    /// Each counts as a whole, and with it the option that is the same wish: `-p 7000` is
    /// stronger than a `no-port` of the file. Only where an option differs from type to type the
    /// file is asked for the types that nobody above speaks of; so these are given by both.
    pub fn merged(above: &Self, settings: &Settings) -> Self {
        let is_above = |name: &str| above.given.iter().any(|given| given.key.name == name);
        let is_wish = |name: &str| above.given.iter().any(|it| it.key.name == name && !it.is_no());
        let mut given = above.given.clone();
        for setting in settings.options() {
            let Setting { key, .. } = setting;
            let rival = key.rival().is_some_and(is_wish);
            if key.is_layered() || !(rival || is_above(key.name)) {
                given.push(Given::of_file(setting, settings));
            }
        }
        // Stable: of one option, who is above stays before the file.
        given.sort_by_key(|given| OPTIONS.iter().position(|key| key.name == given.key.name));
        Self { given }
    }

    /// All of them, in the order of the command line.
    pub fn iter(&self) -> impl Iterator<Item = &Given> {
        self.given.iter()
    }

    /// Who gave an option, the strongest of all who did.
    pub fn origin(&self, name: &str) -> &Origin {
        let given = self.given.iter().find(|given| given.key.name == name);
        given.map_or(&Origin::Default, |given| &given.origin)
    }

    /// Whether `ganger.toml` gave it.
    pub fn is_of_file(&self, name: &str) -> bool {
        matches!(self.origin(name), Origin::File(..))
    }

    /// Whether somebody stronger than `ganger.toml` gave it.
    pub fn is_above_file(&self, name: &str) -> bool {
        matches!(self.origin(name), Origin::Variable(_) | Origin::Flag)
    }
}

impl Given {
    fn of_file(setting: &Setting, settings: &Settings) -> Self {
        let Setting { key, texts } = setting;
        let line = texts.first().map_or(0, |text| settings.line(text.span));
        let texts = texts.iter().map(|text| OsString::from(&text.text)).collect();
        Self { key, texts, origin: Origin::File(settings.path().to_owned(), line) }
    }

    /// Whether it is a flag that is taken back: `--with-env`, `GANGER_NO_ENV=0`. That says nothing of `env`.
    fn is_no(&self) -> bool {
        // The words of clap's `FalseyValueParser`.
        let no = |text: &OsString| {
            let text = text.to_string_lossy().to_lowercase();
            ["n", "no", "f", "false", "off", "0"].contains(&text.as_str())
        };
        self.key.shape == Shape::Flag && self.texts.iter().any(no)
    }

    /// Whether it says something of every type, so that nothing weaker counts.
    pub fn is_general(&self) -> bool {
        let has_general = |text: &OsString| {
            let text = text.to_string_lossy();
            text.split(',').any(|item| !item.contains('='))
        };
        match self.key.shape {
            Shape::Scoped => self.texts.iter().any(has_general),
            Shape::Named => false,
            Shape::Flag | Shape::One | Shape::List | Shape::Variables => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Source;

    fn given(name: &str, text: &str, origin: Origin) -> Given {
        Given { key: Key::option(name).expect("a key"), texts: vec![text.into()], origin }
    }

    fn shown(options: &Options) -> Vec<String> {
        let line = |given: &Given| {
            let texts: Vec<_> = given.texts.iter().map(|text| text.to_string_lossy()).collect();
            format!("{} {} {}", given.key.name, texts.join(","), given.origin)
        };
        options.iter().map(line).collect()
    }

    fn merged(above: Vec<Given>, file: &str) -> Options {
        let (settings, problems) = Settings::read(Source::new("ganger.toml", file));
        assert!(problems.is_empty(), "{problems:?}");
        Options::merged(&Options::of(above), &settings)
    }

    #[test]
    fn flags_win_over_variables_and_these_over_the_file() {
        let above = vec![
            given("port", "1", Origin::Flag),
            given("color", "never", Origin::Variable("GANGER_COLOR".into())),
        ];
        let options = merged(above, "color = 'always'\nport = 2\n\nexclude = ['a', 'b']\n");
        assert_eq!(shown(&options), ["port 1 flag", "color never GANGER_COLOR", "exclude a,b ganger.toml:4"]);
        assert!(options.is_above_file("color") && options.is_of_file("exclude"));
        assert_eq!(options.origin("mute"), &Origin::Default);
    }

    #[test]
    fn of_one_wish_only_the_strongest_is_heard() {
        let options = merged(vec![given("port", "1", Origin::Flag)], "no-port = true\nno-env = true\n");
        assert_eq!(shown(&options), ["no-env true ganger.toml:2", "port 1 flag"]);
        let options = merged(vec![given("no-env", "true", Origin::Flag)], "env = 'x'\n");
        assert_eq!(shown(&options), ["no-env true flag"]);
        let options = merged(vec![given("no-env", "false", Origin::Flag)], "env = 'x'\nno-env = true\n");
        assert_eq!(shown(&options), ["env x ganger.toml:1", "no-env false flag"]);
    }

    #[test]
    fn the_file_speaks_of_the_types_that_nobody_above_does() {
        let options = merged(vec![given("timeout", "web=1", Origin::Flag)], "timeout = 5\n");
        assert_eq!(shown(&options), ["timeout web=1 flag", "timeout 5 ganger.toml:1"]);
        assert_eq!(options.origin("timeout"), &Origin::Flag);
        let general = |text| given("timeout", text, Origin::Flag).is_general();
        assert_eq!((general("web=1"), general("web=1,5")), (false, true));
    }
}
