//! The configuration as a document: docs/configuration.md is what this writes.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use super::Cli;
use super::file::SECRETS;

const HEAD: &str = "# Configuration

Every setting is a flag and, where one is named, an environment variable; the flag counts more. This page is what
`transak-relay --help` says, written by `cargo run --example configuration`.

Instead of a secret itself, a variable may name the file it is in, such as `RELAY_MASTER_KEY_FILE=/run/secrets/key`:
";

/// The page, in Markdown.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    let names: Vec<String> = SECRETS.iter().map(|(_, name)| format!("`{name}_FILE`")).collect();
    let _ = writeln!(page, "{}.", names.join(", "));
    let mut cli = Cli::command();
    cli.build();
    let global: Vec<&Arg> = cli.get_arguments().collect();
    section(&mut page, "Every command", "", &global);
    for command in cli.get_subcommands() {
        write(&mut page, command, "");
    }
    page
}

fn write(page: &mut String, command: &Command, parent: &str) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{parent}{}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let own: Vec<&Arg> = command.get_arguments().filter(|arg| !arg.is_global_set()).collect();
    section(page, &format!("`transak-relay {name}`"), &about, &own);
    for inner in command.get_subcommands() {
        write(page, inner, &format!("{name} "));
    }
}

fn section(page: &mut String, title: &str, about: &str, arguments: &[&Arg]) {
    let _ = write!(page, "\n## {title}\n");
    if !about.is_empty() {
        let _ = write!(page, "\n{about}\n");
    }
    let shown = arguments
        .iter()
        .filter(|arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str()));
    let rows: Vec<String> = shown.map(|arg| row(arg)).collect();
    if !rows.is_empty() {
        let _ = write!(page, "\n| variable | flag | default | |\n|---|---|---|---|\n{}\n", rows.join("\n"));
    }
}

fn row(arg: &Arg) -> String {
    let variable = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
    let flag = match arg.get_long() {
        Some(long) => format!("`--{long}`"),
        None => format!("`<{}>`", arg.get_id().as_str().to_uppercase()),
    };
    let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy());
    let default = defaults.collect::<Vec<_>>().join(",");
    let default = match default.as_str() {
        "" if arg.is_required_set() => "must be given".to_owned(),
        "" => String::new(),
        text => format!("`{text}`"),
    };
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    format!("| {variable} | {flag} | {default} | {} |", help.replace('\n', " ").replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_in_the_repository_is_current() {
        let kept = include_str!("../../docs/configuration.md");
        assert!(
            super::markdown() == kept,
            "docs/configuration.md is out of date: run `cargo run --example configuration >docs/configuration.md`"
        );
    }
}
