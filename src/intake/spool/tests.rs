//! The spool on a real disk: order, crashes, damage, bounds, and who may use which place.

use bytes::Bytes;
use chrono::Utc;

use super::*;
use crate::intake::Form;
use crate::model::event::Source;
use crate::model::hops::Hops;

const ROOMY: u64 = 1 << 20;

fn message(number: usize) -> Heard {
    Heard {
        partner_id: None,
        source: Source::Stream,
        form: Form::Signed,
        channel: None,
        event: None,
        data: Bytes::from(number.to_string()),
        at: Utc::now(),
        hops: Hops::default(),
        trace: None,
    }
}

fn waiting(spool: &mut Spool) -> Vec<String> {
    let (messages, _) = spool.peek(usize::MAX).unwrap();
    messages.iter().map(|heard| String::from_utf8(heard.data.to_vec()).unwrap()).collect()
}

#[test]
fn what_was_appended_waits_in_order_across_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), ROOMY).unwrap();
    spool.append(&[message(1), message(2)]).unwrap();
    spool.append(&[message(3)]).unwrap();
    drop(spool);
    let mut spool = Spool::open(folder.path(), ROOMY).unwrap();
    assert_eq!(waiting(&mut spool), ["1", "2", "3"]);
}

#[test]
fn what_was_committed_is_not_handed_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), ROOMY).unwrap();
    spool.append(&[message(1), message(2), message(3)]).unwrap();
    let (_, end) = spool.peek(2).unwrap();
    spool.advance(end).unwrap();
    drop(spool);
    let mut spool = Spool::open(folder.path(), ROOMY).unwrap();
    assert_eq!(waiting(&mut spool), ["3"]);
    let (_, end) = spool.peek(2).unwrap();
    spool.advance(end).unwrap();
    assert!(spool.is_empty() && spool.bytes() == 0);
}

#[test]
fn a_torn_tail_is_cut_and_the_spool_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), ROOMY).unwrap();
    spool.append(&[message(1)]).unwrap();
    drop(spool);
    let path = folder.path().join("0/messages");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(b"TRs1 torn");
    std::fs::write(&path, bytes).unwrap();
    let mut spool = Spool::open(folder.path(), ROOMY).unwrap();
    let (messages, end) = spool.peek(10).unwrap();
    assert_eq!(messages.len(), 1);
    spool.advance(end).unwrap();
    let (messages, end) = spool.peek(10).unwrap();
    assert!(messages.is_empty());
    spool.advance(end).unwrap();
    assert!(spool.is_empty());
}

#[test]
fn a_full_spool_refuses_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 400).unwrap();
    spool.append(&[message(1)]).unwrap();
    assert!(matches!(spool.append(&[message(2), message(3), message(4)]), Err(SpoolError::Full)));
    assert_eq!(waiting(&mut spool), ["1"]);
}

#[test]
fn two_processes_never_share_a_place_and_the_living_takes_over_from_the_dead() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Spool::open(folder.path(), ROOMY).unwrap();
    let second = Spool::open(folder.path(), ROOMY).unwrap();
    first.append(&[message(1)]).unwrap();
    assert!(second.adopt().unwrap().is_none(), "its owner lives");
    assert!(first.adopt().unwrap().is_none(), "its own place is none that was left");
    drop(first);
    let mut adopted = second.adopt().unwrap().expect("its owner is gone");
    assert_eq!(waiting(&mut adopted), ["1"]);
    assert!(second.is_empty());
}
