//! The table itself, a file for each half: who is told ([`telling`]) and what was heard ([`hearing`]).

mod hearing;
mod telling;

use super::{Input, Kind, Operation, Place, Show};

/// Every command that is one operation.
pub fn operations() -> impl Iterator<Item = &'static Operation> + Clone {
    telling::ROWS.iter().chain(hearing::ROWS)
}

const fn operation(
    method: &'static str,
    command: &'static str,
    (id, path): (&'static str, &'static str),
    about: &'static str,
) -> Operation {
    Operation { command, about, id, method, path, inputs: &[], show: Show::One }
}

const fn get(command: &'static str, id: &'static str, path: &'static str, about: &'static str) -> Operation {
    operation("GET", command, (id, path), about)
}

const fn post(command: &'static str, id: &'static str, path: &'static str, about: &'static str) -> Operation {
    operation("POST", command, (id, path), about)
}

const fn patch(
    command: &'static str,
    id: &'static str,
    path: &'static str,
    about: &'static str,
) -> Operation {
    operation("PATCH", command, (id, path), about)
}

const fn delete(
    command: &'static str,
    id: &'static str,
    path: &'static str,
    about: &'static str,
) -> Operation {
    operation("DELETE", command, (id, path), about)
}

impl Operation {
    const fn takes(mut self, inputs: &'static [Input]) -> Self {
        self.inputs = inputs;
        self
    }

    const fn shows(mut self, show: Show) -> Self {
        self.show = show;
        self
    }
}

const fn path(name: &'static str, kind: Kind, help: &'static str) -> Input {
    Input::new(name, Place::Path, kind, help).needed()
}

const fn query(name: &'static str, kind: Kind, help: &'static str) -> Input {
    Input::new(name, Place::Query, kind, help)
}

const fn body(name: &'static str, kind: Kind, help: &'static str) -> Input {
    Input::new(name, Place::Body, kind, help)
}

/// With a token that opens all partners.
const PARTNER: Input = query("partnerId", Kind::Id("ptr_"), "Only of this partner.");
const OWNER: Input = body("partnerId", Kind::Id("ptr_"), "Whose it is; needed with an admin token.");
