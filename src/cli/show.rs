//! Answers for people: lists as tables, single things a line a member.

use std::io::Write;

use super::node::Node;
use super::text::{columns, plain, time};

/// A list, with these columns. `name|text` shows that text where there is nothing.
pub(super) fn table(rows: &[Node], names: &[&str], out: &mut impl Write) -> anyhow::Result<()> {
    let names: Vec<(&str, &str)> =
        names.iter().map(|name| name.split_once('|').unwrap_or((name, ""))).collect();
    let head = names.iter().map(|(name, _)| title(name)).collect();
    let lines = rows.iter().map(|row| {
        let cell = |(name, nothing): &(&str, &str)| match row.at(name) {
            Node::Nothing => (*nothing).to_owned(),
            node => cell(node),
        };
        names.iter().map(cell).collect()
    });
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(lines).collect();
    columns(&lines, out)
}

/// Everything there is, a line each: what is deeper has the path of its name. Lists of things are tables behind it.
pub(super) fn one(node: &Node, out: &mut impl Write) -> anyhow::Result<()> {
    let mut found = Found::default();
    found.look("", node);
    columns(&found.lines, out)?;
    for (name, rows) in found.tables {
        writeln!(out, "\n{name}:")?;
        let names: Vec<&str> = members(rows.first()).collect();
        table(rows, &names, out)?;
    }
    Ok(())
}

fn members(node: Option<&Node>) -> impl Iterator<Item = &str> {
    let members = match node {
        Some(Node::Object(members)) => members.as_slice(),
        _ => &[],
    };
    members.iter().map(|(name, _)| name.as_str())
}

/// The lines and tables of something.
#[derive(Default)]
struct Found<'a> {
    lines: Vec<Vec<String>>,
    tables: Vec<(String, &'a [Node])>,
}

impl<'a> Found<'a> {
    fn look(&mut self, path: &str, node: &'a Node) {
        match node {
            Node::Object(members) if !members.is_empty() => {
                for (name, node) in members {
                    let name = plain(name);
                    let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                    self.look(&path, node);
                }
            }
            Node::List(items) if is_table(items) => self.tables.push((path.to_owned(), items)),
            Node::List(items) if !node.is_flat() => {
                for (at, item) in items.iter().enumerate() {
                    self.look(&format!("{path}[{at}]"), item);
                }
            }
            node => self.lines.push(vec![path.to_owned(), cell(node)]),
        }
    }
}

/// Whether these are things of the same members, none of which is deeper than a cell.
fn is_table(items: &[Node]) -> bool {
    let is_row = |item: &Node| match item {
        Node::Object(members) => !members.is_empty() && members.iter().all(|(_, node)| node.is_flat()),
        _ => false,
    };
    let same = |item: &Node| members(Some(item)).eq(members(items.first()));
    !items.is_empty() && items.iter().all(|item| is_row(item) && same(item))
}

fn cell(node: &Node) -> String {
    match node {
        Node::Nothing | Node::Object(_) => String::new(),
        Node::Plain(text) if is_time(text) => time(text),
        Node::Plain(text) => plain(text),
        Node::List(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
    }
}

/// As the interface writes times: `2026-04-04T13:11:48.374Z`.
fn is_time(text: &str) -> bool {
    text.len() == 24
        && text.bytes().zip(*b"dddd-dd-ddTdd:dd:dd.dddZ").all(|(given, form)| match form {
            b'd' => given.is_ascii_digit(),
            form => given == form,
        })
}

/// `accessTokenExpiresAt` as the head of a column: `ACCESS TOKEN EXPIRES AT`.
fn title(name: &str) -> String {
    let mut title = String::with_capacity(name.len() + 4);
    for letter in plain(name).chars() {
        match letter {
            '.' => title.push(' '),
            letter => {
                if letter.is_ascii_uppercase() {
                    title.push(' ');
                }
                title.push(letter.to_ascii_uppercase());
            }
        }
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(show: impl FnOnce(&Node, &mut Vec<u8>), json: &str) -> String {
        let mut out = Vec::new();
        show(&Node::parse(json).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_list_is_a_table_with_a_word_where_there_is_nothing() {
        let table = |node: &Node, out: &mut Vec<u8>| {
            table(std::slice::from_ref(node), &["id", "events|all", "createdAt", "stream.state"], out)
                .unwrap();
        };
        let json = r#"{"id": "ep_1", "events": null, "createdAt": "2026-04-04T13:11:48.374Z", "stream": {"state": "heard"}}"#;
        let expected = "ID    EVENTS  CREATED AT               STREAM STATE\n\
                        ep_1  all     2026-04-04 13:11:48.374  heard\n";
        assert_eq!(shown(table, json), expected);
    }

    #[test]
    fn one_thing_is_a_line_a_member_and_its_lists_of_things_are_tables() {
        let json = r#"{"id": "evt_1", "payload": {"fiatAmount": 30.10, "tags": ["a", "b"]}, "anomaly": null,
            "sightings": [{"source": "stream", "verified": true}, {"source": "webhook", "verified": false}],
            "log": [{"deep": {"at": 1}}]}"#;
        let expected = "id                  evt_1\npayload.fiatAmount  30.10\npayload.tags        a,b\nanomaly\n\
                        log[0].deep.at      1\n\nsightings:\nSOURCE   VERIFIED\nstream   true\nwebhook  false\n";
        assert_eq!(shown(|node, out| one(node, out).unwrap(), json), expected);
    }

    #[test]
    fn no_name_and_no_value_steers_the_terminal() {
        let text = shown(|node, out| one(node, out).unwrap(), "{\"a\\u001b[2J\": \"x\\u001b[31m\\n\"}");
        assert_eq!(text, "a\u{fffd}[2J  x\u{fffd}[31m\u{fffd}\n");
    }
}
