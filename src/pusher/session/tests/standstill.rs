//! A process that stood still reads what had waited for it, and cannot tell by that what was sent meanwhile.

use super::*;

const PING: &str = r#"{"event":"pusher:ping","data":{}}"#;
const PONG: &str = r#"{"event":"pusher:pong","data":"{}"}"#;

/// Channel A is confirmed, and the session is told something twice a second.
fn attentive() -> Rig {
    attentive_after(Rig::confirmed(&["A"]))
}

fn attentive_after(mut rig: Rig) -> Rig {
    rig.session.timing.standstill = secs(1);
    rig.text(&message("A"));
    rig
}

impl Rig {
    /// Answers when it began.
    fn stand_still(&mut self, time: Duration) -> Now {
        let began = self.now;
        self.now = Now { mono: began.mono + time, wall: began.wall + time };
        began
    }

    fn live_for(&mut self, halves_of_a_second: usize) -> Vec<Output> {
        (0..halves_of_a_second).flat_map(|_| self.pass(millis(500))).collect()
    }

    fn lost_since(&mut self, input: Input<'_>) -> DateTime<Utc> {
        let outputs = self.tell(input);
        let Some(Notice::Lost { since, .. }) = notices(&outputs).first().copied().cloned() else {
            panic!("no channel was lost: {outputs:?}");
        };
        since
    }
}

#[test]
fn what_is_read_after_a_standstill_proves_nothing_of_what_was_sent_meanwhile() {
    for end in [Input::Closed(1006), Input::Dropped, Input::Closed(4200)] {
        let mut rig = attentive();
        let began = rig.stand_still(secs(14));
        assert_eq!(sent(&rig.text(&message("A"))), [PING]);
        rig.text(&message("A"));
        rig.tell(Input::Traffic);
        assert_eq!(rig.session.proven(), Some(began.mono), "{end:?}");
        assert_eq!(rig.lost_since(end), began.wall);
    }
}

#[test]
fn the_answer_to_the_ping_proves_that_nothing_was_lost_before_it_was_sent() {
    let mut rig = attentive();
    rig.stand_still(secs(14));
    rig.text(&message("A"));
    let asked = rig.now;
    assert_eq!(rig.live_for(4), []);
    rig.text(PONG);
    assert_eq!(rig.session.proven(), Some(asked.mono));
    rig.text(&message("A"));
    assert_eq!(rig.session.proven(), Some(rig.now.mono), "what is read in time proves itself again");
}

#[test]
fn the_answer_to_an_older_ping_is_not_taken_for_that_to_the_last() {
    let mut rig = attentive();
    assert_eq!(sent(&rig.live_for(240)), [PING], "of two minutes of silence");
    let began = rig.stand_still(secs(14));
    assert_eq!(sent(&rig.text(PONG)), [PING]);
    assert!(rig.session.is_in_doubt());
    assert!(rig.session.proven().unwrap() <= began.mono);
    let asked = rig.now;
    rig.live_for(1);
    rig.text(PONG);
    assert_eq!((rig.session.is_in_doubt(), rig.session.proven()), (false, Some(asked.mono)));
}

#[test]
fn a_connection_that_does_not_answer_after_a_standstill_is_given_up_whatever_else_arrives() {
    let mut rig = attentive();
    let began = rig.stand_still(secs(14));
    rig.tell(Input::Tick);
    for _ in 0..29 {
        assert_eq!(rig.live_for(2), []);
        rig.text(&message("A"));
    }
    let given_up = rig.live_for(2);
    assert!(closes(&given_up));
    let lost = notices(&given_up).into_iter().find_map(|notice| match notice {
        Notice::Lost { since, .. } => Some(*since),
        _ => None,
    });
    assert_eq!(lost, Some(began.wall));
}

#[test]
fn a_turn_each_half_second_is_no_standstill() {
    let mut rig = attentive();
    assert_eq!(rig.live_for(239), []);
    assert!(!rig.session.is_in_doubt());
}

#[test]
fn silence_after_a_standstill_is_asked_about_while_the_answer_is_still_waited_for() {
    let timing = Timing { activity: secs(5), pong: secs(30), ..Timing::default() };
    let mut rig = Rig::timed(timing, true, 50);
    rig.tell(Input::Wanted(set(["A"])));
    rig.establish();
    rig.text(&confirmation("A"));
    let mut rig = attentive_after(rig);
    rig.stand_still(secs(14));
    rig.tell(Input::Tick);
    rig.text(&message("A"));
    let quiet = rig.live_for(10);
    assert_eq!((sent(&quiet), closes(&quiet)), (vec![PING], false));
}
