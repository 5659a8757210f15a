//! Which channels are wanted, and what becomes of what comes on them.

use super::*;
use crate::intake::QUEUE;
use crate::intake::stream_log::tests::logged;

#[test]
fn a_key_that_is_no_channel_is_told_when_it_comes_and_again_only_after_it_was_away() {
    let (ours, theirs) = (PartnerId::new(), PartnerId::new());
    let with = |key: &str| {
        let mut directory = Directory::default();
        directory.add(ours, "key", Vec::new());
        directory.add(theirs, key, Vec::new());
        directory
    };
    let mut unusable = Unusable::default();
    let mut heard = |key: &str| channels(&with(key), &mut unusable).first.len();
    let told = logged(|| {
        for key in ["not a channel", "not a channel", "a_key", "not a channel"] {
            assert_eq!(heard(key), 1 + usize::from(key == "a_key"));
        }
    });
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains(&theirs.to_string()) && !told[0].contains("not a channel"), "{told:?}");
}
#[test]
fn what_the_intake_has_no_room_for_is_a_loss() {
    let partner = PartnerId::new();
    let mut directory = Directory::default();
    directory.add(partner, "key", Vec::new());
    let picture = watch::Sender::new(Arc::new(directory));
    let (intake, _queue) = Intake::channel(picture.subscribe());
    let (directory, pulse) = (picture.subscribe(), watch::Sender::default().subscribe());
    let feeds = Feeds { directory, intake: intake.clone(), book: Book::default(), pulse };
    let (channel, at) = ("key".parse().unwrap(), DateTime::UNIX_EPOCH);
    (0..=QUEUE).for_each(|_| feeds.hear_event(&channel, "ORDER_CREATED", ("{}", at)));
    assert_eq!(intake.flow.take_lost(), [(partner, (at, at))]);
}

#[test]
fn what_was_last_on_its_way_was_heard_only_where_the_end_was_said() {
    let at = DateTime::UNIX_EPOCH;
    assert_eq!([Reason::Stopped, Reason::Refused].map(|said| heard_until(at, said)), [at, at]);
    assert_eq!(heard_until(at, Reason::Dropped), at - UNREAD);
}
