//! The commands that ask a running relay, as one table: what each is called, what it asks, what it may be given, and how
//! the answer is shown. The command line ([`mod@line`]) and the requests (`cli`) are made from it; nothing is written for one
//! command alone.
//!
//! Guarantees, by tests/it/commands.rs: each operation of the interface is in the table or is named there as an exception
//! with its reason; a row's inputs are those of the operation, the needed ones needed; its columns exist in the answer.

mod line;
mod table;

pub use line::{Asked, Call, Pages, Tokens};
pub use table::operations;

/// One command, and the operation of the interface that it is.
#[derive(Debug)]
pub struct Operation {
    /// The words of the command line: `endpoints create`.
    pub command: &'static str,
    pub about: &'static str,
    /// The operation's id in the OpenAPI document.
    pub id: &'static str,
    pub method: &'static str,
    /// With the names of its parameters in braces.
    pub path: &'static str,
    pub inputs: &'static [Input],
    pub show: Show,
}

/// Something an operation may be given.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    /// Its name in the interface; in a body, a dot leads into an object.
    pub name: &'static str,
    pub place: Place,
    pub kind: Kind,
    pub help: &'static str,
    pub needed: bool,
    /// What the command gives when the caller does not.
    pub default: Option<&'static str>,
}

/// Where the interface takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Path,
    Query,
    Body,
}

/// What it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// The id of something, which begins so.
    Id(&'static str),
    OneOf(&'static [&'static str]),
    Number,
    Switch,
    /// Texts, with commas between them.
    Words,
    /// Numbers, with commas between them.
    Numbers,
    /// A time, in any of the spellings of [`Moment`](crate::model::moment::Moment).
    Time,
    /// What must not stand in the list of processes: `@file`, or `-` for the standard input.
    Secret,
    /// The name of a file, whose text is given.
    File,
    /// `Name: value`, once for each.
    Headers,
}

/// How the answer is shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// A list, with these columns. `name|text` shows that text where there is nothing.
    Rows(&'static [&'static str]),
    /// Everything there is, a line each.
    One,
    /// One member and nothing else, for scripts.
    Only(&'static str),
    /// What has been done: there is no answer.
    Done(&'static str),
    Timeline,
    Attempt,
    /// A recovery, until it is over.
    Progress,
}

impl Operation {
    /// The words before the last one, and the last one if the operation is not the group itself.
    pub fn words(&self) -> (&'static str, Option<&'static str>) {
        self.command.split_once(' ').map_or((self.command, None), |(group, verb)| (group, Some(verb)))
    }

    /// Whether it is a list, with pages.
    pub fn is_list(&self) -> bool {
        matches!(self.show, Show::Rows(_))
    }

    /// Whether it changes what there is, member by member: what may be null can be cleared.
    pub fn is_edit(&self) -> bool {
        self.method == "PATCH"
    }

    /// Whether it takes a body, be it an empty one.
    pub fn has_body(&self) -> bool {
        self.inputs.iter().any(|input| input.place == Place::Body)
    }
}

impl Input {
    /// Its name on the command line: `partnerId` is `--partner`, `rateLimit.perSecond` is `--rate-limit-per-second`.
    pub fn flag(&self) -> String {
        let name = self.name.strip_suffix("Id").filter(|name| !name.is_empty()).unwrap_or(self.name);
        let name = if self.kind == Kind::Headers { name.trim_end_matches('s') } else { name };
        let mut flag = String::with_capacity(name.len() + 4);
        for letter in name.chars() {
            match letter {
                '.' => flag.push('-'),
                upper if upper.is_ascii_uppercase() => {
                    flag.push('-');
                    flag.push(upper.to_ascii_lowercase());
                }
                other => flag.push(other),
            }
        }
        flag
    }

    const fn new(name: &'static str, place: Place, kind: Kind, help: &'static str) -> Self {
        Self { name, place, kind, help, needed: false, default: None }
    }

    const fn needed(mut self) -> Self {
        self.needed = true;
        self
    }

    const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn flags_are_the_names_of_the_interface_as_a_command_line_writes_them() {
        let flag = |name, kind| Input::new(name, Place::Body, kind, "").flag();
        assert_eq!(flag("partnerId", Kind::Text), "partner");
        assert_eq!(flag("partnerOrderId", Kind::Text), "partner-order");
        assert_eq!(flag("rateLimit.perSecond", Kind::Number), "rate-limit-per-second");
        assert_eq!(flag("headers", Kind::Headers), "header");
    }

    #[test]
    fn a_command_and_an_operation_stand_in_the_table_once() {
        let commands: BTreeSet<_> = operations().map(|row| row.command).collect();
        let ids: BTreeSet<_> = operations().map(|row| row.id).collect();
        assert_eq!((commands.len(), ids.len()), (operations().count(), operations().count()));
    }

    #[test]
    fn nobody_becomes_an_admin_by_saying_nothing() {
        let create = operations().find(|row| row.command == "tokens create").unwrap();
        let scope = create.inputs.iter().find(|input| input.name == "scope").unwrap();
        assert_eq!(scope.default, Some("read"));
    }
}
