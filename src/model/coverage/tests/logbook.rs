//! What is written down of what one process hears.

use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::model::coverage::logbook::{Connection, End, Entries, Logbook, MOST, Subscription};
use crate::model::id::PartnerId;

fn end(second: i64) -> End {
    End { at: at(second), reason: format!("ended at {second}") }
}

fn channel() -> Arc<str> {
    Arc::from("A")
}

/// A connection opened at 0, with channel A confirmed at 1 for a partner.
fn heard_by(partner: PartnerId) -> (Logbook, Uuid) {
    let (mut book, id) = (Logbook::default(), Uuid::now_v7());
    book.opened((id, 3), at(0));
    book.confirmed(&channel(), [partner], at(1));
    (book, id)
}

fn write(book: &mut Logbook) -> Entries {
    let entries = book.entries();
    book.written(&entries, &[]);
    entries
}

/// Partner, from when, until when, why no longer.
type Line = (PartnerId, DateTime<Utc>, Option<DateTime<Utc>>, Option<String>);

fn lines(entries: &Entries) -> Vec<Line> {
    let line = |one: &Subscription| (one.partner, one.confirmed_at, one.ended_at, one.reason.clone());
    entries.subscriptions.iter().map(line).collect()
}

#[test]
fn what_is_confirmed_is_to_be_written_until_it_is() {
    let partner = PartnerId::new();
    let (mut book, id) = heard_by(partner);
    let connection =
        Connection { id, slot: 3, opened_at: at(0), proven_at: at(0), ended_at: None, reason: None };
    assert_eq!(book.entries().connections, std::slice::from_ref(&connection));
    assert_eq!(lines(&book.entries()), [(partner, at(1), None, None)]);
    assert_eq!(lines(&write(&mut book)), [(partner, at(1), None, None)]);
    let entries = book.entries();
    assert_eq!((entries.connections, entries.subscriptions), (vec![connection], vec![]));
    book.confirmed(&channel(), [partner], at(5));
    assert_eq!(book.entries().subscriptions, [], "it is heard already");
}

#[test]
fn what_is_lost_is_over_and_begins_anew() {
    let partner = PartnerId::new();
    let (mut book, _) = heard_by(partner);
    write(&mut book);
    book.lost("B", &end(7));
    assert_eq!(book.entries().subscriptions, []);
    book.lost("A", &end(8));
    let over = (partner, at(1), Some(at(8)), Some("ended at 8".to_owned()));
    assert_eq!(lines(&book.entries()), std::slice::from_ref(&over));
    book.confirmed(&channel(), [partner], at(9));
    assert_eq!(lines(&write(&mut book)), [(partner, at(9), None, None), over]);
    assert_eq!(book.entries().subscriptions, []);
}

#[test]
fn what_ends_while_it_is_being_written_is_written_next() {
    let partner = PartnerId::new();
    let (mut book, _) = heard_by(partner);
    let entries = book.entries();
    book.lost("A", &end(8));
    book.written(&entries, &[]);
    assert_eq!(lines(&book.entries()), [(partner, at(1), Some(at(8)), Some("ended at 8".to_owned()))]);
}

#[test]
fn nothing_ends_before_it_begins() {
    let (mut book, _) = heard_by(PartnerId::new());
    book.closed(&end(-5));
    let entries = book.entries();
    assert_eq!(entries.connections[0].ended_at, Some(at(0)));
    assert_eq!(entries.connections[0].reason.as_deref(), Some("ended at -5"));
    assert_eq!(entries.subscriptions[0].ended_at, Some(at(1)));
}

#[test]
fn a_channel_that_passes_to_others_is_heard_for_them_and_no_longer_for_those_before() {
    let (before, stays, after) = (PartnerId::new(), PartnerId::new(), PartnerId::new());
    let (mut book, _) = heard_by(before);
    book.confirmed(&channel(), [stays], at(2));
    write(&mut book);
    book.owned(|_| [stays, after], at(6));
    let why = "the channel is not the partner's any more".to_owned();
    let expected = [(after, at(6), None, None), (before, at(1), Some(at(6)), Some(why))];
    assert_eq!(lines(&book.entries()), expected);
}

#[test]
fn a_connection_is_proven_until_what_it_showed_and_what_is_safe() {
    let (mut book, _) = heard_by(PartnerId::new());
    let proven = |book: &Logbook| book.entries().connections[0].proven_at;
    book.proven(at(10), None);
    assert_eq!(proven(&book), at(0), "it has shown nothing");
    book.proven(at(10), Some(at(8)));
    assert_eq!(proven(&book), at(8) - UNREAD);
    book.proven(at(9), Some(at(20)));
    assert_eq!(proven(&book), at(9) - UNREAD);
    book.proven(at(3), Some(at(3)));
    assert_eq!(proven(&book), at(9) - UNREAD, "what is proven stays so");
}

#[test]
fn a_connection_that_is_over_is_settled_once_all_that_it_heard_is_safe_and_leaves_when_that_is_written() {
    let (mut book, id) = heard_by(PartnerId::new());
    assert!(!book.is_settled(), "it goes on");
    book.closed(&end(20));
    book.proven(at(19), None);
    assert!(!book.is_settled());
    write(&mut book);
    assert_eq!(book.entries().connections[0].id, id);
    book.proven(at(20), None);
    assert!(book.is_settled());
    assert_eq!(write(&mut book).connections[0].proven_at, at(20));
    assert_eq!(book.entries().connections, []);
}

#[test]
fn a_connection_that_the_tables_have_forgotten_is_written_anew_with_all_that_it_hears() {
    let partner = PartnerId::new();
    let (mut book, id) = heard_by(partner);
    let first = book.entries();
    book.written(&first, &[id]);
    assert_eq!(book.entries().subscriptions, []);
    let again = book.entries();
    book.written(&again, &[id]);
    assert_eq!(lines(&book.entries()), [(partner, at(1), None, None)]);
}

#[test]
fn a_connection_takes_the_place_of_the_one_before() {
    let (mut book, first) = heard_by(PartnerId::new());
    let second = Uuid::now_v7();
    book.opened((second, 4), at(30));
    let connections = book.entries().connections;
    assert_eq!(connections.iter().map(|one| one.id).collect::<Vec<_>>(), [first, second]);
    assert_eq!(connections[0].ended_at, Some(at(30)));
    assert_eq!(book.entries().subscriptions[0].ended_at, Some(at(30)));
}

#[test]
fn the_oldest_connection_is_forgotten_when_too_much_waits_for_the_database_and_no_other() {
    let (mut book, first) = heard_by(PartnerId::new());
    let second = Uuid::now_v7();
    book.opened((second, 0), at(2));
    for number in 0..MOST {
        book.confirmed(&Arc::from(format!("c{number}")), [PartnerId::new()], at(3));
    }
    let ids = |book: &Logbook| book.entries().connections.iter().map(|one| one.id).collect::<Vec<_>>();
    book.closed(&end(4));
    assert_eq!(ids(&book), [first, second]);
    book.opened((Uuid::now_v7(), 0), at(5));
    assert_eq!((ids(&book).len(), ids(&book)[0]), (2, second), "one too many waited");
    book.opened((Uuid::now_v7(), 0), at(6));
    assert_eq!((ids(&book).len(), ids(&book)[0]), (3, second), "as many as may");
}
