//! What is wrong with a setting, in one line that never holds its value: it may be a secret.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

/// The line for a setting that is missing or makes no sense. Whatever else clap has to say, it says itself, and the
/// process ends.
pub(super) fn refusal(command: &Command, error: &Error) -> anyhow::Error {
    let names = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(one)) => vec![name(command, one)],
        Some(ContextValue::Strings(all)) => all.iter().map(|one| name(command, one)).collect(),
        _ => error.exit(),
    };
    let names = names.join(", ");
    let why = error.source().map(ToString::to_string);
    match error.kind() {
        // What may stand in the environment is a setting of `serve`; of another command clap tells the usage.
        ErrorKind::MissingRequiredArgument if names.contains(" (--") => {
            anyhow::anyhow!(
                "{names} must be given; see `transak-relay serve --help` and docs/configuration.md"
            )
        }
        ErrorKind::InvalidValue
            if let Some(ContextValue::Strings(known)) = error.get(ContextKind::ValidValue) =>
        {
            anyhow::anyhow!("{names}: must be one of {}", known.join(", "))
        }
        ErrorKind::ValueValidation => anyhow::anyhow!("{names}: {}", why.unwrap_or_default()),
        _ => error.exit(),
    }
}

/// `RELAY_MASTER_KEY (--master-key)` for `--master-key <BASE64>`.
fn name(command: &Command, usage: &str) -> String {
    let long = usage.split_whitespace().next().unwrap_or(usage);
    let subcommands = command.get_subcommands().flat_map(Command::get_arguments);
    let mut arguments = command.get_arguments().chain(subcommands);
    let known =
        arguments.find(|known| known.get_long().is_some_and(|name| long.strip_prefix("--") == Some(name)));
    match known.and_then(clap::Arg::get_env) {
        Some(variable) => format!("{} ({long})", variable.to_string_lossy()),
        None => long.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::config::Cli;

    fn line(arguments: &[&str]) -> String {
        let command = Cli::command();
        let words = ["transak-relay", "serve"].iter().chain(arguments);
        refusal(&command, &command.clone().try_get_matches_from(words).unwrap_err()).to_string()
    }

    #[test]
    fn what_is_missing_is_named_by_its_variable() {
        let line = line(&[]);
        // Whoever runs the tests may have a DATABASE_URL.
        let line = line.strip_prefix("DATABASE_URL (--database-url), ").unwrap_or(&line);
        assert!(line.starts_with("RELAY_MASTER_KEY (--master-key) must be given"), "{line}");
    }

    #[test]
    fn a_value_that_is_none_of_the_known_ones_is_told_which_those_are() {
        let line = line(&["--roles", "api,cook"]);
        assert_eq!(line, "RELAY_ROLES (--roles): must be one of api, stream, dispatch");
    }

    #[test]
    fn a_secret_that_makes_no_sense_is_named_and_not_shown() {
        let line = line(&["--database-url", "x", "--master-key", "c2hvcnQ="]);
        assert_eq!(
            line,
            "RELAY_MASTER_KEY (--master-key): the master key must be 32 bytes in base64 (make one with `openssl rand -base64 32`)"
        );
    }
}
