//! The manual page: one for all commands, as no other is installed that it could point to.

use std::io;

use clap::Command;
use clap_mangen::Man;

/// The page of `program`, in roff.
pub(super) fn page(program: Command) -> io::Result<Vec<u8>> {
    // Taken before the page is made: that gives each command the options of the program.
    let commands: Vec<Command> =
        program.get_subcommands().map(|it| without_options_of(it, &program)).collect();
    let name = program.get_name().to_owned();
    let man = Man::new(program);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    page.extend(b".SH COMMANDS\n");
    for command in commands {
        let usage = format!("{name} {}", command.get_name());
        let usage = command.clone().bin_name(usage).render_usage().to_string();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        page.extend(
            format!(".SS {}\n{}\n", escape(usage.trim_start_matches("Usage: ")), escape(&about)).bytes(),
        );
        page.extend(options(command)?);
    }
    man.render_extra_section(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// `command` with nothing but what it alone takes: the rest is told once, for the program.
fn without_options_of(command: &Command, program: &Command) -> Command {
    let known: Vec<_> = program.get_arguments().map(clap::Arg::get_id).collect();
    let hide = |arg: clap::Arg| {
        let is_known = known.contains(&arg.get_id());
        arg.hide(is_known)
    };
    command.clone().disable_help_flag(true).mut_args(hide)
}

/// The list of the arguments of `command`, without the head of its section.
fn options(command: Command) -> io::Result<Vec<u8>> {
    let mut section = Vec::new();
    Man::new(command).render_options_section(&mut section)?;
    let head = b".SH OPTIONS\n";
    let list = section.windows(head.len()).position(|window| window == head).map(|at| at + head.len());
    Ok(list.map_or_else(Vec::new, |at| section.split_off(at)))
}

/// Text as roff shows it.
fn escape(text: &str) -> String {
    text.replace('\\', r"\e").replace('-', r"\-").replace('\'', r"\(aq")
}
