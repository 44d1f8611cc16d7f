//! The command line reference, generated from the parser.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use crate::cli::BatonCli;

const OPENING: &str = "\
# Command line

Written by `baton reference cli`. `baton COMMAND --help` says the same.

| exit code | means |
| --- | --- |
| 0 | The run completed; the check passed; the question was answered |
| 1 | It failed, or was refused |
| 2 | Wrong usage, or a definition that cannot be used |
| 3 | The run waits: for a person, a message, a timer |
| 4 | Stopped before everything was given back: another process takes it over |
| 130 | Stopped by hand (Ctrl-C); what was recorded is recorded, and `baton runs work` goes on |

Every command takes `-C FOLDER` (`--project`), the project folder; without it, the current one. Settings are in
`baton.toml`; every key is also a variable: `BATON_` and its path in upper case, with two underscores between tables.
Text goes to standard output, errors to standard error; `NO_COLOR` is heeded, `BATON_LOG=info` tells more, and `BATON_LOG_FORMAT=json` writes logs as an object a line.
";

pub fn page() -> String {
    let mut root = BatonCli::command();
    root.build();
    let mut page = OPENING.to_owned();
    for command in visible(&mut root) {
        section(&mut page, command, 2);
    }
    page
}

fn visible(command: &mut Command) -> impl Iterator<Item = &mut Command> {
    command.get_subcommands_mut().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
}

fn section(page: &mut String, command: &mut Command, depth: usize) {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    // Writing to a string cannot fail.
    let _ = writeln!(page, "\n{} `{name}`\n", "#".repeat(depth));
    if let Some(about) = command.get_about() {
        let _ = writeln!(page, "{}", sentence(&about.to_string()));
    }
    let own = |arg: &&Arg| {
        !arg.is_hide_set() && !arg.is_global_set() && !["help", "version"].contains(&arg.get_id().as_str())
    };
    let rows: Vec<String> = command.get_arguments().filter(own).map(row).collect();
    // A command with subcommands may be a command itself.
    if !command.has_subcommands() || !rows.is_empty() {
        let usage = usage.lines().next().filter(|_| command.has_subcommands()).unwrap_or(usage);
        let _ = writeln!(page, "\n```text\n{usage}\n```");
    }
    if !rows.is_empty() {
        let _ = writeln!(page, "\n| argument | meaning |\n| --- | --- |\n{}", rows.join("\n"));
    }
    for inner in visible(command) {
        section(page, inner, depth + 1);
    }
}

fn row(arg: &Arg) -> String {
    let mut help = arg.get_help().map(|help| sentence(&help.to_string())).unwrap_or_default();
    let mut add = |text: String| {
        if !help.is_empty() {
            help.push(' ');
        }
        help.push_str(&text);
    };
    if takes_value(arg) {
        let choices: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !choices.is_empty() {
            add(format!("One of {}.", choices.join(", ")));
        }
        let default: Vec<String> =
            arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        if !default.is_empty() && !default.concat().is_empty() {
            add(format!("Default: `{}`.", default.join(" ")));
        }
        if let Some(variable) = arg.get_env() {
            add(format!("Also `{}`.", variable.to_string_lossy()));
        }
    }
    format!("| {} | {} |", signature(arg).replace('|', "\\|"), help.replace('|', "\\|"))
}

fn takes_value(arg: &Arg) -> bool {
    arg.is_positional() || arg.get_action().takes_values()
}

fn signature(arg: &Arg) -> String {
    let values = arg.get_value_names().map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let value = values.filter(|_| takes_value(arg)).unwrap_or_default();
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = [short, long].into_iter().flatten().collect();
    let shown = [names.join(", "), value].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    format!("`{shown}`")
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '?', '!']) { text.to_owned() } else { format!("{text}.") }
}
