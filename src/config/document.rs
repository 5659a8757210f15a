//! The command line as documents: docs/configuration.md and docs/cli.md are what this writes.

use std::fmt::Write as _;

use clap::{Arg, Args as _, Command, CommandFactory as _, Subcommand as _};

use super::file::SECRETS;
use super::operation::{Call, Input, Kind, Operation, Place, operations};
use super::{Cli, Remote};

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
    for command in cli.get_subcommands().filter(|command| !Call::has_subcommand(command.get_name())) {
        write(&mut page, command, "");
    }
    let remote = Remote::augment_args(Command::new("asks"));
    let about = "Which commands these are, and what else each may be given: [cli.md](cli.md).";
    section(
        &mut page,
        "Every command that asks a running relay",
        about,
        &remote.get_arguments().collect::<Vec<_>>(),
    );
    page
}

/// The page of the commands that ask a running relay, in Markdown.
pub fn commands() -> String {
    let mut page = include_str!("document.md").to_owned();
    let mut group = "";
    for row in operations() {
        let (name, _) = row.words();
        if name != group {
            let _ = write!(page, "\n## {name}\n\n| command | |\n|---|---|\n");
            group = name;
        }
        let _ = writeln!(page, "| `{}` | {} |", usage(row).replace('|', "\\|"), row.about);
    }
    page
}

/// `partners edit <ptr_…> [--name …] …`: what must be given, then what may be.
fn usage(row: &Operation) -> String {
    let word = |input: &Input| match (input.place, input.kind) {
        (Place::Path, Kind::Id(prefix)) => format!("<{prefix}…>"),
        (Place::Path, _) => "<ID>".to_owned(),
        (_, Kind::Switch) => format!("--{}", input.flag()),
        (_, Kind::OneOf(known)) => format!("--{} {}", input.flag(), known.join("|")),
        _ => format!("--{} …", input.flag()),
    };
    let mut usage = row.command.to_owned();
    for input in row.inputs.iter().filter(|input| input.needed && input.default.is_none()) {
        let _ = write!(usage, " {}", word(input));
    }
    for input in row.inputs.iter().filter(|input| !input.needed || input.default.is_some()) {
        let _ = write!(usage, " [{}]", word(input));
    }
    usage
}

fn write(page: &mut String, command: &Command, parent: &str) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{parent}{}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let own: Vec<&Arg> = command.get_arguments().filter(|arg| !arg.is_global_set()).collect();
    section(page, &format!("`transak-relay {name}`"), &about, &own);
    // What follows `token` is what follows `tokens`.
    for inner in command.get_subcommands().filter(|_| command.get_name() != "token") {
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
        assert!(super::markdown() == kept, "docs/configuration.md is out of date: run `make configuration`");
    }

    #[test]
    fn the_page_of_the_commands_is_current() {
        let kept = include_str!("../../docs/cli.md");
        assert!(super::commands() == kept, "docs/cli.md is out of date: run `make configuration`");
    }
}
