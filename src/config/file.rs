//! Secrets from files: `RELAY_MASTER_KEY_FILE=/run/secrets/key` instead of `RELAY_MASTER_KEY`, so that they need not stand
//! in an environment.

use anyhow::{Context as _, bail};
use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _};

use super::Cli;
use super::refusal::refusal;

/// Arguments that may be read from a file, and the variable that gives them directly.
pub(super) const SECRETS: [(&str, &str); 7] = [
    ("database_url", "DATABASE_URL"),
    ("master_key", "RELAY_MASTER_KEY"),
    ("master_key_previous", "RELAY_MASTER_KEY_PREVIOUS"),
    ("admin_token", "RELAY_ADMIN_TOKEN"),
    ("relay_token", "RELAY_TOKEN"),
    ("transak_access_token", "TRANSAK_ACCESS_TOKEN"),
    ("transak_api_secret", "TRANSAK_API_SECRET"),
];

impl Cli {
    /// Reads the command line and the environment of this process. Ends the process if it is asked for help, or for
    /// something that it does not know, as [`clap::Parser::parse`] does.
    ///
    /// # Errors
    /// A setting that is missing or makes no sense, a file that cannot be read, or a secret that is given twice.
    pub fn read() -> anyhow::Result<Self> {
        let variable = |name: &str| std::env::var_os(name);
        let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let command = reading(with_files(Self::command(), text)?, &is_set);
        let matches = command.clone().try_get_matches().map_err(|error| refusal(&Self::command(), &error))?;
        Self::from_arg_matches(&matches).map_err(|error| error.exit())
    }

    /// Reads these words, the program's name first, and no variable at all.
    ///
    /// # Errors
    /// As [`Cli::read`].
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Self> {
        let matches = reading(Self::command(), &|_| false).try_get_matches_from(words);
        let matches = matches.map_err(|error| refusal(&Self::command(), &error))?;
        Ok(Self::from_arg_matches(&matches)?)
    }
}

/// The command line that reads only these variables. An empty one must not be read: compose files and deployments write
/// `NAME=` for what is not set, and no setting has a meaning for the empty text.
fn reading(command: Command, is_read: &dyn Fn(&str) -> bool) -> Command {
    let unread = |arg: &&Arg| arg.get_env().is_some_and(|name| !is_read(&name.to_string_lossy()));
    let ids: Vec<_> = command.get_arguments().filter(unread).map(|arg| arg.get_id().clone()).collect();
    let forget = |command: Command, id| command.mut_arg(id, |arg| arg.env(None::<&str>));
    ids.into_iter().fold(command, forget).mut_subcommands(|inner| reading(inner, is_read))
}

/// What files say stands in for what is given nowhere else.
fn with_files(mut command: Command, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Command> {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    for (argument, name) in SECRETS {
        let Some(path) = given(&format!("{name}_FILE")) else { continue };
        if given(name).is_some() {
            bail!("{name} and {name}_FILE are both given: leave one out");
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {name}_FILE ({path})"))?;
        if text.trim().is_empty() {
            continue;
        }
        // Lives as long as the process, which reads its configuration once.
        let text: &'static str = String::leak(text.trim_end_matches(['\r', '\n']).to_owned());
        command = command.mut_subcommands(|sub| with_default(sub, argument, text));
    }
    Ok(command)
}

/// The command whose argument is this text unless it is given, and so in every command below it.
fn with_default(command: Command, argument: &str, text: &'static str) -> Command {
    let command = command.mut_subcommands(|sub| with_default(sub, argument, text));
    if command.get_arguments().all(|known| known.get_id() != argument) {
        return command;
    }
    // Without its variable, which docker-compose gives as an empty text when it is not set.
    command.mut_arg(argument, |known| {
        known.env(None::<&str>).required(false).default_value(text).hide_default_value(true)
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::config::Command as Chosen;

    const KEY: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";

    #[test]
    fn a_secret_is_read_from_the_file_that_a_variable_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (url, key) = (file("url", "postgres://u:p@h/d\n"), file("key", KEY));
        let variable = |name: &str| match name {
            "DATABASE_URL_FILE" => Some(url.clone()),
            "RELAY_MASTER_KEY_FILE" => Some(key.clone()),
            "RELAY_MASTER_KEY" => Some(String::new()),
            _ => None,
        };
        let command = with_files(Cli::command(), variable).unwrap();
        let matches = command.try_get_matches_from(["x", "serve"]).unwrap();
        let Chosen::Serve(serve) = Cli::from_arg_matches(&matches).unwrap().command else { panic!() };
        assert_eq!(serve.database.database_url.expose_secret(), "postgres://u:p@h/d");
    }

    fn variables(command: &Command) -> usize {
        let own = command.get_arguments().filter(|arg| arg.get_env().is_some()).count();
        own + command.get_subcommands().map(variables).sum::<usize>()
    }

    #[test]
    fn no_setting_of_any_command_is_read_from_a_variable_that_does_not_count() {
        let mut command = Cli::command();
        command.build();
        assert!(variables(&command) > 50, "{}", variables(&command));
        assert_eq!(variables(&reading(command, &|_| false)), 0);
    }

    #[test]
    fn a_secret_that_is_given_twice_or_whose_file_is_missing_is_an_error_that_names_it() {
        let twice = |name: &str| name.starts_with("DATABASE_URL").then(|| "x".to_owned());
        let error = with_files(Cli::command(), twice).unwrap_err().to_string();
        assert_eq!(error, "DATABASE_URL and DATABASE_URL_FILE are both given: leave one out");
        let missing = |name: &str| (name == "RELAY_ADMIN_TOKEN_FILE").then(|| "/nowhere/at/all".to_owned());
        let error = with_files(Cli::command(), missing).unwrap_err().to_string();
        assert!(error.contains("RELAY_ADMIN_TOKEN_FILE (/nowhere/at/all)"), "{error}");
    }
}
