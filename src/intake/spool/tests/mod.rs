//! The spool on a real disk: order, crashes, damage, bounds, and who may use which place.

mod crash;
mod disk;

use bytes::Bytes;
use chrono::DateTime;

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
        at: DateTime::UNIX_EPOCH,
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
fn what_a_version_before_noted_in_a_file_of_its_own_skips_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), ROOMY).unwrap();
    for number in 0..6 {
        spool.append(&[message(number)]).unwrap();
    }
    drop(spool);
    // It was killed between giving back the space of what this note was about and writing the note anew.
    let place = folder.path().join("0");
    let all = std::fs::metadata(place.join("messages")).unwrap().len();
    std::fs::write(place.join("done"), (all / 6 * 5).to_string()).unwrap();
    let mut spool = Spool::open(folder.path(), ROOMY).unwrap();
    assert_eq!(waiting(&mut spool), ["0", "1", "2", "3", "4", "5"]);
    assert!(!place.join("done").exists(), "nobody shall believe it later");
}

#[test]
fn what_is_settled_counts_no_longer_and_gives_its_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut probe = Spool::open(folder.path(), ROOMY).unwrap();
    probe.append(&[message(0)]).unwrap();
    let one = probe.bytes();
    drop(probe);
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), one * 4).unwrap();
    spool.append(&[message(0), message(1)]).unwrap();
    for number in 2..20_000 {
        spool.append(&[message(number % 10)]).unwrap();
        let (_, end) = spool.peek(1).unwrap();
        spool.advance(end).unwrap();
    }
    assert_eq!(waiting(&mut spool).len(), 2);
    let length = std::fs::metadata(folder.path().join("0/messages")).unwrap().len();
    assert!(length < 2 * super::log::WORTH_A_FILE, "{length}");
}

#[test]
fn what_waits_on_goes_to_the_end_and_the_rest_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), ROOMY).unwrap();
    spool.append(&[message(1), message(2), message(3)]).unwrap();
    let (messages, end) = spool.peek(2).unwrap();
    spool.turn(end, &messages[..1]).unwrap();
    drop(spool);
    let mut spool = Spool::open(folder.path(), ROOMY).unwrap();
    assert_eq!(waiting(&mut spool), ["3", "1"]);
}

#[test]
fn all_places_of_a_process_share_one_bound() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 400).unwrap();
    let mut second = spool.beside().unwrap();
    spool.append(&[message(1)]).unwrap();
    assert!(matches!(second.append(&[message(2), message(3)]), Err(SpoolError::Full)));
    let (_, end) = spool.peek(1).unwrap();
    spool.advance(end).unwrap();
    second.append(&[message(2), message(3)]).unwrap();
    assert!(matches!(spool.append(&[message(4)]), Err(SpoolError::Full)));
    drop(second);
    spool.append(&[message(4)]).unwrap();
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
