//! The command line of the table: groups, their commands, and what was given to one.

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, Error, FromArgMatches, Subcommand};
use secrecy::SecretString;

use super::{Input, Kind, Operation, Place, operations};
use crate::config::{Remote, Tail};
use crate::model::moment::Moment;

/// What is about the same thing stands together.
const GROUPS: &[(&str, &str)] = &[
    ("partners", "Ask a running relay about partners: the holders of API keys"),
    ("tokens", "Ask a running relay about tokens: who may call it"),
    ("endpoints", "Ask a running relay about endpoints: the callback URLs that are told"),
    ("deliveries", "Ask a running relay about deliveries: what each endpoint is owed"),
    ("orders", "Ask a running relay about orders"),
    ("events", "Ask a running relay about events, or follow them"),
    ("gaps", "Ask a running relay when the stream was not heard"),
    ("quarantine", "Ask a running relay about messages that were not understood"),
    ("watches", "Ask a running relay about orders whose public channels it listens to"),
    ("recover", "Have a running relay send again what an endpoint missed"),
];

/// A command that asks a running relay.
#[derive(Debug)]
pub enum Call {
    Operation(Asked),
    /// Events as they happen, which is no single answer.
    Tail(Box<Tail>),
}

/// An operation, and what was given to it.
#[derive(Debug)]
pub struct Asked {
    pub operation: &'static Operation,
    pub remote: Remote,
    /// The texts of each input that was given. They may be secrets.
    pub given: Vec<(&'static Input, Vec<SecretString>)>,
    /// Inputs that become null.
    pub cleared: Vec<&'static Input>,
    pub pages: Pages,
}

/// How much of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    First(usize),
    All,
}

impl Subcommand for Call {
    fn augment_subcommands(command: Command) -> Command {
        command.subcommands(GROUPS.iter().map(|(name, about)| group(name).about(*about)))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        GROUPS.iter().any(|(group, _)| *group == name)
    }
}

impl FromArgMatches for Call {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let (group, matches) = matches.subcommand().ok_or_else(unknown)?;
        if let ("events", Some(("tail", given))) = (group, matches.subcommand()) {
            return Ok(Self::Tail(Box::new(Tail::from_arg_matches(given)?)));
        }
        Asked::of(group, matches).map(Self::Operation)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The commands of `tokens`, wherever else they stand.
#[derive(Debug)]
pub struct Tokens(pub Asked);

impl Subcommand for Tokens {
    fn augment_subcommands(command: Command) -> Command {
        command.subcommands(of("tokens").filter_map(|(verb, row)| Some(leaf(Command::new(verb?), row))))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        of("tokens").any(|(verb, _)| verb == Some(name))
    }
}

impl FromArgMatches for Tokens {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Asked::of("tokens", matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The operations of a group, each with its word in it.
fn of(group: &str) -> impl Iterator<Item = (Option<&'static str>, &'static Operation)> {
    operations().filter_map(move |row| {
        let (its, verb) = row.words();
        (its == group).then_some((verb, row))
    })
}

fn group(name: &'static str) -> Command {
    let mut command = Command::new(name);
    let mut is_operation = false;
    for (verb, row) in of(name) {
        command = if let Some(verb) = verb {
            command.subcommand(leaf(Command::new(verb), row))
        } else {
            is_operation = true;
            leaf(command, row)
        };
    }
    if name == "events" {
        let about = "Print events as they happen, until interrupted; what happens while the connection is broken is made up for";
        command = command.subcommand(Tail::augment_args(Command::new("tail")).about(about));
    }
    if is_operation {
        return command.args_conflicts_with_subcommands(true).subcommand_negates_reqs(true);
    }
    command.subcommand_required(true).arg_required_else_help(true)
}

fn leaf(command: Command, row: &'static Operation) -> Command {
    let mut command = Remote::augment_args(command).about(row.about.trim_end_matches('.'));
    // What must be given comes first in the help.
    let (needed, others): (Vec<_>, Vec<_>) = row.inputs.iter().partition(|input| input.needed);
    command = command.next_display_order(0);
    command = command.args(needed.into_iter().chain(others).map(argument));
    if row.is_list() {
        let limit = Arg::new("limit").long("limit").value_name("NUMBER").default_value("50");
        let limit = limit.value_parser(clap::value_parser!(u32).range(1..));
        command = command.arg(limit.help("The most rows; a line on standard error says when there are more"));
        let all = Arg::new("all").long("all").action(ArgAction::SetTrue).conflicts_with("limit");
        command = command.arg(all.help("Every row"));
    }
    if row.is_edit() {
        let names = row.inputs.iter().filter(|input| input.place == Place::Body).map(Input::flag);
        let clear = Arg::new("clear").long("clear").value_name("NAME").value_delimiter(',');
        let clear = clear.action(ArgAction::Append).value_parser(PossibleValuesParser::new(names));
        command = command.arg(clear.help("What is set back to what it is when nobody says: a flag's name"));
    }
    command
}

fn argument(input: &'static Input) -> Arg {
    let mut arg = Arg::new(input.name).help(input.help.trim_end_matches('.')).required(input.needed);
    arg = match input.place {
        Place::Path => arg,
        _ => arg.long(input.flag()),
    };
    if let Some(default) = input.default {
        arg = arg.required(false).default_value(default);
    }
    match input.kind {
        Kind::Id(prefix) => arg.value_name(format!("{prefix}…")),
        Kind::OneOf(known) => arg.value_parser(PossibleValuesParser::new(known)).ignore_case(true),
        Kind::Number => arg.value_name("NUMBER").allow_negative_numbers(true),
        Kind::Switch => arg
            .value_parser(["true", "false"])
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Kind::Words => arg.value_name("A,B").action(ArgAction::Append).value_delimiter(','),
        Kind::Numbers => arg.value_name("1,2").action(ArgAction::Append).value_delimiter(','),
        Kind::Time => {
            arg.value_name("TIME").value_parser(|text: &str| text.parse::<Moment>().map(|_| text.to_owned()))
        }
        Kind::Secret => arg.value_name("@FILE|-|TEXT"),
        Kind::File => arg.value_name("FILE"),
        Kind::Headers => arg.value_name("NAME: VALUE").action(ArgAction::Append),
        Kind::Text => arg.value_name(if input.place == Place::Path { "ID" } else { "TEXT" }),
    }
}

impl Asked {
    /// What was given to the operation of a group that `matches` names.
    fn of(group: &str, matches: &ArgMatches) -> Result<Self, Error> {
        let (verb, matches) = match matches.subcommand() {
            Some((verb, matches)) => (Some(verb), matches),
            None => (None, matches),
        };
        let row = of(group).find(|(its, _)| *its == verb).ok_or_else(unknown)?.1;
        let text = |input: &'static Input| {
            let texts = matches.get_many::<String>(input.name)?;
            Some((input, texts.map(|text| text.as_str().into()).collect()))
        };
        let cleared = row.is_edit().then(|| matches.get_many::<String>("clear")).flatten();
        let cleared: Vec<&String> = cleared.into_iter().flatten().collect();
        let is_all = row.is_list() && matches.get_flag("all");
        let limit = row.is_list().then(|| matches.get_one::<u32>("limit").copied()).flatten();
        Ok(Self {
            operation: row,
            remote: Remote::from_arg_matches(matches)?,
            given: row.inputs.iter().filter_map(text).collect(),
            cleared: row.inputs.iter().filter(|input| cleared.contains(&&input.flag())).collect(),
            pages: match limit {
                Some(limit) if !is_all => Pages::First(limit as usize),
                _ => Pages::All,
            },
        })
    }
}

/// The groups and the table are one: this is never said.
fn unknown() -> Error {
    Error::raw(ErrorKind::InvalidSubcommand, "there is no such command")
}
