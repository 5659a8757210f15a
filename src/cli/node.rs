//! An answer as it came: members in their order, numbers digit for digit.

use serde_json::value::RawValue;

use crate::model::members::Members;

/// A value of JSON. Amounts of money are among them, so no number passes a binary float.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Nothing,
    /// A text, a number or a truth value, as people read it.
    Plain(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Reads one value.
    pub(super) fn parse(text: &str) -> serde_json::Result<Self> {
        let text = text.trim();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let Members(members): Members<Box<RawValue>> = serde_json::from_str(text)?;
                let read = |(name, raw): (String, Box<RawValue>)| Ok((name, Self::parse(raw.get())?));
                Self::Object(members.into_iter().map(read).collect::<serde_json::Result<_>>()?)
            }
            Some(b'[') => {
                let items: Vec<Box<RawValue>> = serde_json::from_str(text)?;
                Self::List(items.iter().map(|raw| Self::parse(raw.get())).collect::<serde_json::Result<_>>()?)
            }
            Some(b'"') => Self::Plain(serde_json::from_str(text)?),
            Some(b'n') | None => Self::Nothing,
            Some(_) => Self::Plain(text.to_owned()),
        })
    }

    /// A member, however deep: `stream.state`.
    pub(super) fn at(&self, path: &str) -> &Self {
        path.split('.').fold(self, |node, name| match node {
            Self::Object(members) => {
                members.iter().find(|(known, _)| known == name).map_or(&Self::Nothing, |(_, node)| node)
            }
            _ => &Self::Nothing,
        })
    }

    /// Whether it fits into a cell.
    pub(super) fn is_flat(&self) -> bool {
        match self {
            Self::Nothing | Self::Plain(_) => true,
            Self::List(items) => items.iter().all(|item| matches!(item, Self::Plain(_))),
            Self::Object(members) => members.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_shown_digit_for_digit_and_members_in_their_order() {
        let node =
            Node::parse(r#"{"b": 30.10, "a": {"deep": 0.1000000000000000055511151231257827}, "c": null}"#);
        let node = node.unwrap();
        assert_eq!(node.at("b"), &Node::Plain("30.10".to_owned()));
        assert_eq!(node.at("a.deep"), &Node::Plain("0.1000000000000000055511151231257827".to_owned()));
        let Node::Object(members) = &node else { panic!("{node:?}") };
        assert_eq!(members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(
            (node.at("c"), node.at("a.none"), node.at("b.none")),
            (&Node::Nothing, &Node::Nothing, &Node::Nothing)
        );
    }
}
