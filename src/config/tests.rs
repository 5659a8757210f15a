//! The command line is consistent, and keeps secrets to itself.

use super::*;

#[test]
fn the_command_line_is_consistent() {
    use clap::CommandFactory as _;
    Cli::command().debug_assert();
}

#[test]
fn secrets_are_not_shown_when_the_configuration_is_printed() {
    let key = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
    let args = [
        "x",
        "serve",
        "--database-url",
        "postgres://u:hidden1@h/d",
        "--master-key",
        key,
        "--transak-access-token",
        "hidden2",
    ];
    let shown = format!("{:?}", Cli::try_parse_from(args).unwrap());
    assert!(!shown.contains("hidden") && !shown.contains(key), "{shown}");
}
