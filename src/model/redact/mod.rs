//! Taking values out of an order before it is sent on, at the places a partner names.
//!
//! Places are JSON pointers (RFC 6901) into the order, with one addition: a token that is only `*` stands for every
//! element of an array and every member of an object, as in `/statusHistories/*/message`.
//!
//! A value is replaced by `null`, not removed and not replaced by a text: the key stays, so that a receiver sees that
//! there is such a field, and `null` is what typed receivers accept in place of a number or an object as well.
//!
//! Guarantees: every occurrence of a named place is replaced, a key that stands twice included; all other bytes stay
//! exactly as they came, numbers, spacing and order too. What cannot be read is an error and never passes unredacted.
//! Does not guarantee: that the same fact does not stand elsewhere in the order under a name nobody gave.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize as _;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::model::members::Members;

/// Most pointers an endpoint may have.
pub const MAX_POINTERS: usize = 50;
/// Longest pointer, in bytes.
pub const MAX_LENGTH: usize = 256;
/// Most tokens in a pointer; an order is four levels deep.
pub const MAX_DEPTH: usize = 16;

const REPLACEMENT: &[u8] = b"null";

/// A checked set of places to redact. The default redacts nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redaction {
    pointers: Vec<String>,
    root: Node,
}

/// Why a list of texts is not a set of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidRedaction {
    /// More than [`MAX_POINTERS`].
    #[error("must be at most {MAX_POINTERS} pointers")]
    TooMany,
    /// Longer than [`MAX_LENGTH`] or deeper than [`MAX_DEPTH`].
    #[error("a pointer must be at most {MAX_LENGTH} bytes long and {MAX_DEPTH} levels deep")]
    TooLong,
    /// Does not begin with `/`, or has a `~` that is no escape.
    #[error("must be a JSON pointer, like /ipAddress, with ~0 for ~ and ~1 for /")]
    NotAPointer,
    /// Holds a NUL, which the database does not keep.
    #[error("must not hold NUL (\\u0000)")]
    Nul,
    /// The empty pointer, or `/*`: nothing would be left to send.
    #[error("must not name the whole order")]
    Everything,
    /// `-` names the element after the last, where nothing ever is.
    #[error("the token - names no element: use * for every element")]
    PastTheEnd,
}

/// The order is not JSON, so nothing in it can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the order is not valid JSON and cannot be redacted")]
pub struct NotJson;

impl Redaction {
    /// Checks a list of pointers. None at all is fine.
    pub fn parse<T: AsRef<str>>(pointers: &[T]) -> Result<Self, InvalidRedaction> {
        if pointers.len() > MAX_POINTERS {
            return Err(InvalidRedaction::TooMany);
        }
        let mut root = Node::default();
        for pointer in pointers {
            root.add(&tokens(pointer.as_ref())?);
        }
        Ok(Self { pointers: pointers.iter().map(|pointer| pointer.as_ref().to_owned()).collect(), root })
    }

    /// The pointers as they were given.
    pub fn pointers(&self) -> &[String] {
        &self.pointers
    }

    /// The order with `null` at the named places, or the very same bytes if there is nothing to redact.
    pub fn apply<'a>(&self, raw_order: &'a [u8]) -> Result<Cow<'a, [u8]>, NotJson> {
        if self.pointers.is_empty() {
            return Ok(Cow::Borrowed(raw_order));
        }
        let text = std::str::from_utf8(raw_order).map_err(|_| NotJson)?;
        let whole: &RawValue = serde_json::from_str(text).map_err(|_| NotJson)?;
        let mut places = Vec::new();
        find(&[&self.root], whole.get(), whole.get().as_ptr().addr() - text.as_ptr().addr(), &mut places)?;
        Ok(replace(raw_order, &places))
    }
}

/// One level of the pointers, all of them merged, so that each object on the way is read once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    redact: bool,
    named: BTreeMap<String, Node>,
    every: Option<Box<Node>>,
}

impl Node {
    fn add(&mut self, tokens: &[String]) {
        let Some((first, rest)) = tokens.split_first() else {
            self.redact = true;
            return;
        };
        let child = match first.as_str() {
            "*" => &mut **self.every.get_or_insert_default(),
            name => self.named.entry(name.to_owned()).or_default(),
        };
        child.add(rest);
    }

    fn children(&self, token: &str) -> impl Iterator<Item = &Self> {
        self.named.get(token).into_iter().chain(self.every.as_deref())
    }
}

fn tokens(pointer: &str) -> Result<Vec<String>, InvalidRedaction> {
    if pointer.is_empty() || pointer == "/*" {
        return Err(InvalidRedaction::Everything);
    }
    if pointer.contains('\0') {
        return Err(InvalidRedaction::Nul);
    }
    let path = pointer.strip_prefix('/').ok_or(InvalidRedaction::NotAPointer)?;
    let tokens = path.split('/').map(unescape).collect::<Result<Vec<_>, _>>()?;
    if pointer.len() > MAX_LENGTH || tokens.len() > MAX_DEPTH {
        return Err(InvalidRedaction::TooLong);
    }
    Ok(tokens)
}

fn unescape(token: &str) -> Result<String, InvalidRedaction> {
    if token == "-" {
        return Err(InvalidRedaction::PastTheEnd);
    }
    let stray = token.split('~').skip(1).any(|after| !after.starts_with(['0', '1']));
    if stray { Err(InvalidRedaction::NotAPointer) } else { Ok(token.replace("~1", "/").replace("~0", "~")) }
}

/// Collects where in the text the values are that `nodes` name. `value` begins at byte `offset` of the text.
fn find(nodes: &[&Node], value: &str, offset: usize, places: &mut Vec<Range<usize>>) -> Result<(), NotJson> {
    for (token, member) in members(value)? {
        let reached: Vec<&Node> = nodes.iter().flat_map(|node| node.children(&token)).collect();
        let member = member.get();
        // Both borrow from the same text, so the distance between them is the place of the one within the other.
        let start = offset + (member.as_ptr().addr() - value.as_ptr().addr());
        if reached.iter().any(|node| node.redact) {
            places.push(start..start + member.len());
        } else if !reached.is_empty() {
            find(&reached, member, start, places)?;
        }
    }
    Ok(())
}

/// The members of an object or the elements of an array, in the order they stand, each with its token.
fn members(value: &str) -> Result<Vec<(String, &RawValue)>, NotJson> {
    match value.as_bytes().first() {
        Some(b'{') => {
            let mut json = serde_json::Deserializer::from_str(value);
            Members::deserialize(&mut json).map(|Members(members)| members).map_err(|_| NotJson)
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(value).map_err(|_| NotJson)?;
            Ok(elements
                .into_iter()
                .enumerate()
                .map(|(index, element)| (index.to_string(), element))
                .collect())
        }
        _ => Ok(Vec::new()),
    }
}

fn replace<'a>(text: &'a [u8], places: &[Range<usize>]) -> Cow<'a, [u8]> {
    if places.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut redacted = Vec::with_capacity(text.len());
    let mut kept = 0;
    for place in places {
        redacted.extend_from_slice(&text[kept..place.start]);
        redacted.extend_from_slice(REPLACEMENT);
        kept = place.end;
    }
    redacted.extend_from_slice(&text[kept..]);
    Cow::Owned(redacted)
}
