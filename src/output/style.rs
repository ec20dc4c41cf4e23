//! Colours: whether, and which.
//!
//! `colored` decides for the whole process from stdout, and not as SPEC and the users want it:
//! there `CLICOLOR_FORCE` beats `NO_COLOR`, an empty `NO_COLOR` counts, and `TERM=dumb` is not
//! asked. So the decision is made here, once, and handed to it as its override.

use std::ffi::OsStr;

use colored::{Color, Colorize};

use crate::model::ProcessColor;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    /// What the environment and the terminal say.
    #[default]
    Auto,
    /// Colours, also into a pipe or a file.
    Always,
    /// No colours, for the processes too.
    Never,
}

impl ColorChoice {
    /// Whether to colour: the flag first, then `NO_COLOR` (non-empty, no-color.org), then
    /// `CLICOLOR_FORCE` and `FORCE_COLOR` (non-empty and not 0, bixense.com/clicolors), then
    /// whether stdout is a terminal that is not `dumb`.
    pub fn decide<'a>(self, var: impl Fn(&str) -> Option<&'a OsStr>, is_terminal: bool) -> bool {
        let set = |name| var(name).is_some_and(|value| !value.is_empty());
        let forced = |name| set(name) && var(name) != Some(OsStr::new("0"));
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if set("NO_COLOR") => false,
            Self::Auto if forced("CLICOLOR_FORCE") || forced("FORCE_COLOR") => true,
            Self::Auto => is_terminal && var("TERM") != Some(OsStr::new("dumb")),
        }
    }
}

/// The colours of process types, in the order of the Procfile. Red is left to errors.
const PALETTE: [ProcessColor; 10] = [
    ProcessColor::Cyan,
    ProcessColor::Yellow,
    ProcessColor::Green,
    ProcessColor::Magenta,
    ProcessColor::Blue,
    ProcessColor::BrightCyan,
    ProcessColor::BrightYellow,
    ProcessColor::BrightGreen,
    ProcessColor::BrightMagenta,
    ProcessColor::BrightBlue,
];

/// The colour of the type at `index`, if nobody wants another.
pub fn usual(index: usize) -> ProcessColor {
    PALETTE[index % PALETTE.len()]
}

/// The word that `colored` has for it.
fn word(color: ProcessColor) -> Option<Color> {
    Some(match color {
        ProcessColor::None => return None,
        ProcessColor::Black => Color::Black,
        ProcessColor::Red => Color::Red,
        ProcessColor::Green => Color::Green,
        ProcessColor::Yellow => Color::Yellow,
        ProcessColor::Blue => Color::Blue,
        ProcessColor::Magenta => Color::Magenta,
        ProcessColor::Cyan => Color::Cyan,
        ProcessColor::White => Color::White,
        ProcessColor::BrightBlack => Color::BrightBlack,
        ProcessColor::BrightRed => Color::BrightRed,
        ProcessColor::BrightGreen => Color::BrightGreen,
        ProcessColor::BrightYellow => Color::BrightYellow,
        ProcessColor::BrightBlue => Color::BrightBlue,
        ProcessColor::BrightMagenta => Color::BrightMagenta,
        ProcessColor::BrightCyan => Color::BrightCyan,
        ProcessColor::BrightWhite => Color::BrightWhite,
    })
}

/// How text is coloured: a value that is passed on, so that nothing below asks a global.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colors: bool,
}

impl Style {
    /// With colours or without. With them, the one switch of `colored` is set; without, it is
    /// not asked.
    pub fn new(colors: bool) -> Self {
        if colors {
            colored::control::set_override(true);
        }
        Self { colors }
    }

    /// Whether there are colours.
    pub fn has_colors(self) -> bool {
        self.colors
    }

    /// `text` in the colour of a process.
    pub fn process(self, color: ProcessColor, text: &str) -> String {
        match word(color) {
            Some(color) => self.paint(text, |text| text.color(color)),
            None => text.to_owned(),
        }
    }

    /// `text` of ganger itself.
    pub fn system(self, text: &str) -> String {
        self.paint(text, Colorize::bold)
    }

    /// `text` about a failure.
    pub fn failure(self, text: &str) -> String {
        self.paint(text, Colorize::red)
    }

    fn paint<'a>(self, text: &'a str, paint: impl Fn(&'a str) -> colored::ColoredString) -> String {
        if self.colors { paint(text).to_string() } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(choice: ColorChoice, vars: &[(&str, &str)], is_terminal: bool) -> bool {
        let var = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsStr::new(*value));
        choice.decide(var, is_terminal)
    }

    #[test]
    fn flag_then_no_color_then_force_then_terminal() {
        use ColorChoice::{Always, Auto, Never};
        let table = [
            (Always, &[("NO_COLOR", "1")][..], false, true),
            (Never, &[("CLICOLOR_FORCE", "1")], true, false),
            (Auto, &[], true, true),
            (Auto, &[], false, false),
            (Auto, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true, false),
            (Auto, &[("NO_COLOR", "")], true, true),
            (Auto, &[("CLICOLOR_FORCE", "1")], false, true),
            (Auto, &[("CLICOLOR_FORCE", "0")], false, false),
            (Auto, &[("FORCE_COLOR", "1")], false, true),
            (Auto, &[("FORCE_COLOR", "")], false, false),
            (Auto, &[("TERM", "dumb")], true, false),
            (Auto, &[("TERM", "xterm-256color")], true, true),
        ];
        for (choice, vars, terminal, expected) in table {
            assert_eq!(decide(choice, vars, terminal), expected, "{choice:?} {vars:?} {terminal}");
        }
    }
}
