//! Subscriptions: who is sent, confirmed, sent again, given up, and heard.

use super::*;
use crate::pusher::frame::{subscribe, unsubscribe};

fn subscribes(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| subscribe(&channel(name))).collect()
}

fn confirmed_notice(name: &str, at: DateTime<Utc>) -> Output {
    Output::Notice(Notice::Confirmed { channel: channel(name), at })
}

#[test]
fn everything_wanted_is_subscribed_after_each_greeting_and_not_before() {
    let mut rig = Rig::new(true, 50);
    assert_eq!(sent(&rig.tell(Input::Wanted(set(["A", "B"])))), [""; 0]);
    rig.tell(Input::Tick);
    assert_eq!(sent(&rig.tell(Input::Opened)), [""; 0]);
    for _ in 0..3 {
        assert_eq!(sent(&rig.text(&greeting(120))), subscribes(&["A", "B"]));
        rig.text(&confirmation("A"));
        rig.tell(Input::Dropped);
        rig.pause();
        rig.tell(Input::Opened);
    }
}

#[test]
fn a_channel_is_confirmed_once_by_any_of_the_known_answers() {
    for answer in [confirmation("A"), error("null")] {
        let mut rig = Rig::live(&["A"]);
        let at = rig.now.wall;
        assert!(rig.text(&answer).contains(&confirmed_notice("A", at)));
        for again in [confirmation("A"), error("null"), confirmation("unknown")] {
            assert_eq!(notices(&rig.text(&again)), [&Notice::State(State::Stopped); 0]);
        }
        assert_eq!(rig.until_due().0, secs(120), "no confirmation is waited for any more");
    }
}

#[test]
fn a_changed_set_sends_only_the_difference() {
    let mut rig = Rig::confirmed(&["A", "B"]);
    let outputs = rig.tell(Input::Wanted(set(["B", "C"])));
    assert_eq!(sent(&outputs), [unsubscribe(&channel("A")), subscribe(&channel("C"))]);
    let left = Notice::Left { channel: channel("A"), at: rig.now.wall };
    assert_eq!(notices(&outputs), [&left], "a channel that is not wanted is not lost");
    assert_eq!(rig.tell(Input::Wanted(set(["B", "C"]))), []);
    let at = rig.now.wall;
    assert!(rig.text(&confirmation("C")).contains(&confirmed_notice("C", at)));
    assert_eq!(rig.text(&confirmation("A")), [Output::Counted("subscription_succeeded")]);
}

#[test]
fn messages_are_handed_over_as_they_came_and_only_for_wanted_channels() {
    let mut rig = Rig::confirmed(&["A"]);
    let event = Notice::Event {
        channel: channel("A"),
        event: "ORDER_CREATED".to_owned(),
        data: crate::pusher::Data::Text("d".to_owned()),
        at: rig.now.wall,
    };
    assert_eq!(rig.text(&message("A")), [Output::Counted("ORDER_CREATED"), Output::Notice(event)]);
    assert_eq!(rig.text(&message("B")), [Output::Counted("not_subscribed")]);
    rig.tell(Input::Wanted(set([""; 0])));
    assert_eq!(rig.text(&message("A")), [Output::Counted("not_subscribed")]);
}

#[test]
fn protocol_events_on_a_wanted_channel_are_no_messages() {
    let mut rig = Rig::confirmed(&["A"]);
    for name in ["pusher_internal:subscription_count", "pusher:cache_miss"] {
        let text = format!(r#"{{"event":"{name}","channel":"A","data":"{{}}"}}"#);
        assert_eq!(rig.text(&text), [Output::Counted("protocol")]);
    }
}

/// A rig that hears B and has sent these, which are never answered.
fn beside_b(first: &[&str], then: &[&str]) -> Rig {
    let mut rig = Rig::new(true, 50);
    let first = first.iter().chain(&["B"]).map(|name| channel(name)).collect();
    let then = then.iter().map(|name| channel(name)).collect();
    rig.tell(Input::Wanted(Arc::new(Channels { first, then })));
    rig.establish();
    rig.text(&confirmation("B"));
    rig
}

#[test]
fn a_channel_that_is_never_confirmed_costs_no_connection_that_serves_another() {
    for mut rig in [beside_b(&["A"], &[]), beside_b(&[], &["A"])] {
        for _ in 0..3 {
            let (time, outputs) = rig.until_due();
            assert_eq!((time, sent(&outputs)), (secs(10), vec![subscribe(&channel("A")).as_str()]));
        }
        let (time, outputs) = rig.until_due();
        let refused = Notice::Refused { channel: channel("A"), at: rig.now.wall };
        assert_eq!((time, outputs), (secs(10), vec![Output::Notice(refused.clone())]));
        rig.tell(Input::Traffic);
        let (time, outputs) = rig.until_due();
        assert_eq!((time, sent(&outputs).len()), (secs(60), 1), "tried again after a minute");
        let (time, outputs) = rig.until_due();
        let refused = Notice::Refused { at: rig.now.wall, channel: channel("A") };
        assert_eq!((time, outputs), (secs(10), vec![Output::Notice(refused)]), "and that only once");
        assert!(
            rig.text(&confirmation("A")).contains(&confirmed_notice("A", rig.now.wall)),
            "late is not too late"
        );
    }
}

#[test]
fn watched_channels_that_are_never_confirmed_cost_no_connection_even_if_nothing_else_is() {
    let mut rig = Rig::new(true, 50);
    let then = (0..9).map(|number| channel(&format!("watched-{number}"))).collect();
    rig.tell(Input::Wanted(Arc::new(Channels { then, ..Channels::default() })));
    rig.establish();
    for _ in 0..20 {
        rig.tell(Input::Traffic);
        assert!(!closes(&rig.until_due().1));
    }
}

#[test]
fn a_partners_channel_waits_for_no_watched_one_however_many_are_unanswered() {
    let mut rig = Rig::new(true, 50);
    let then: BTreeSet<_> = (0..2_000).map(|number| channel(&format!("a-{number:04}"))).collect();
    rig.tell(Input::Wanted(Arc::new(Channels { then: then.clone(), ..Channels::default() })));
    assert_eq!(sent(&rig.establish()).len(), 250, "half of the places at most");
    let first = BTreeSet::from([channel("partner")]);
    let outputs = rig.tell(Input::Wanted(Arc::new(Channels { first: first.clone(), then: then.clone() })));
    assert_eq!(sent(&outputs), subscribes(&["partner"]));
    rig.tell(Input::Dropped);
    rig.pause();
    rig.tell(Input::Opened);
    assert_eq!(
        sent(&rig.text(&greeting(120)))[0],
        subscribe(&channel("partner")),
        "also on the next connection"
    );
    let promoted = Channels { first: first.into_iter().chain([channel("a-1999")]).collect(), then };
    let outputs = rig.tell(Input::Wanted(Arc::new(promoted)));
    assert_eq!(sent(&outputs), subscribes(&["a-1999"]), "what becomes a partner's passes the others");
}

#[test]
fn a_channel_that_was_not_confirmed_comes_last_on_the_next_connection() {
    let mut rig = beside_b(&["A"], &[]);
    for _ in 0..4 {
        rig.until_due();
    }
    rig.tell(Input::Dropped);
    rig.pause();
    rig.tell(Input::Opened);
    assert_eq!(sent(&rig.text(&greeting(120))), subscribes(&["B", "A"]));
}

#[test]
fn a_connection_that_confirms_nothing_is_always_replaced() {
    let mut rig = Rig::live(&["A"]);
    for _ in 0..3 {
        for _ in 0..3 {
            assert!(!closes(&rig.until_due().1));
        }
        assert!(closes(&rig.until_due().1));
        rig.pause();
        rig.establish();
    }
}

#[test]
fn a_spoken_refusal_is_shown_at_once_and_costs_no_connection() {
    for name in ["pusher:subscription_error", "pusher_internal:subscription_error"] {
        let refusal = format!(r#"{{"event":"{name}","channel":"A","data":{{"status":401}}}}"#);
        let mut rig = Rig::live(&["A", "B"]);
        let at = rig.now.wall;
        let refused = Output::Notice(Notice::Refused { channel: channel("A"), at });
        assert_eq!(rig.text(&refusal), [Output::Counted("subscription_error"), refused.clone()]);
        assert_eq!(rig.text(&refusal), [Output::Counted("subscription_error")]);

        let mut rig = Rig::confirmed(&["A"]);
        let lost = Notice::Lost { channel: channel("A"), since: at, at, reason: Reason::Refused };
        assert_eq!(rig.text(&refusal)[1..], [Output::Notice(lost), refused]);
    }
}

#[test]
fn ten_thousand_channels_are_sent_in_bursts_as_the_answers_come() {
    let names: Vec<_> = (0..10_000).map(|n| format!("channel-{n:05}")).collect();
    let mut rig = Rig::new(true, 50);
    rig.tell(Input::Wanted(set(&names)));
    let mut in_flight: std::collections::VecDeque<_> =
        sent(&rig.establish()).into_iter().map(str::to_owned).collect();
    assert_eq!(in_flight.len(), 500);
    for name in &names {
        let asked = in_flight.pop_front().expect("a subscription in flight");
        assert_eq!(asked, subscribe(&channel(name)));
        let outputs = rig.text(&confirmation(name));
        in_flight.extend(sent(&outputs).into_iter().map(str::to_owned));
        assert!(in_flight.len() <= 500);
        rig.now.mono += millis(5);
    }
    assert_eq!(in_flight.len(), 0);
    assert_eq!(rig.until_due().0, millis(119_995), "nothing was sent twice although it took 50 s");
    let lost = notices(&rig.tell(Input::Dropped)).iter().filter(|n| matches!(n, Notice::Lost { .. })).count();
    assert_eq!(lost, 10_000);
}

#[test]
fn a_channel_taken_off_while_waiting_frees_its_place() {
    let names: Vec<_> = (0..501).map(|n| format!("c{n:03}")).collect();
    let mut rig = Rig::new(true, 50);
    rig.tell(Input::Wanted(set(&names)));
    assert_eq!(sent(&rig.establish()).len(), 500);
    let outputs = rig.tell(Input::Wanted(set(&names[1..])));
    assert_eq!(sent(&outputs), [unsubscribe(&channel("c000")), subscribe(&channel("c500"))]);
}

#[test]
fn a_watched_channel_waits_while_partners_have_every_place() {
    let first = (0..500).map(|n| channel(&format!("c{n:03}"))).collect();
    let mut rig = Rig::new(true, 50);
    rig.tell(Input::Wanted(Arc::new(Channels { first, then: BTreeSet::from([channel("watched")]) })));
    assert_eq!(sent(&rig.establish()).len(), 500);
    assert_eq!(sent(&rig.text(&confirmation("c000"))), subscribes(&["watched"]));
}

#[test]
fn a_spoken_refusal_frees_a_place() {
    let names: Vec<_> = (0..501).map(|n| format!("c{n:03}")).collect();
    let mut rig = Rig::new(true, 50);
    rig.tell(Input::Wanted(set(&names)));
    rig.establish();
    let refusal = r#"{"event":"pusher:subscription_error","channel":"c000","data":{"status":401}}"#;
    assert_eq!(sent(&rig.text(refusal)), subscribes(&["c500"]));
}

#[test]
fn a_connection_whose_only_confirmed_channel_is_refused_is_replaced() {
    let mut rig = beside_b(&["A"], &[]);
    rig.text(r#"{"event":"pusher:subscription_error","channel":"B","data":{"status":401}}"#);
    for _ in 0..3 {
        assert!(!closes(&rig.until_due().1));
    }
    assert!(closes(&rig.until_due().1), "nothing is heard on it");
}

#[test]
fn a_connection_whose_only_confirmed_channel_is_wanted_no_more_is_replaced() {
    let mut rig = beside_b(&["A"], &[]);
    rig.tell(Input::Wanted(set(["A"])));
    for _ in 0..3 {
        assert!(!closes(&rig.until_due().1));
    }
    assert!(closes(&rig.until_due().1), "nothing is heard on it");
}

#[test]
fn a_channel_that_is_wanted_again_has_the_whole_time_to_be_confirmed() {
    let mut rig = Rig::live(&["A"]);
    rig.pass(secs(5));
    rig.tell(Input::Wanted(set([""; 0])));
    assert_eq!(sent(&rig.tell(Input::Wanted(set(["A"])))), subscribes(&["A"]));
    assert_eq!(sent(&rig.pass(secs(5))), [""; 0], "that was the time of the first subscription");
    assert_eq!(sent(&rig.pass(secs(5))), subscribes(&["A"]));
}

#[test]
fn the_answer_to_a_subscription_that_was_taken_back_confirms_nothing() {
    for both in [true, false] {
        let mut rig = Rig::live(&["A"]);
        rig.tell(Input::Wanted(set([""; 0])));
        assert_eq!(sent(&rig.tell(Input::Wanted(set(["A"])))), subscribes(&["A"]));
        assert_eq!(notices(&rig.text(&confirmation("A"))).len(), 0, "the server takes it back next");
        if !both {
            // It answers the second subscription alone: then that is asked for once more.
            assert_eq!(sent(&rig.pass(secs(10))), subscribes(&["A"]));
        }
        let at = rig.now.wall;
        assert!(rig.text(&confirmation("A")).contains(&confirmed_notice("A", at)));
    }
}

#[test]
fn of_a_subscription_that_was_sent_twice_and_taken_back_two_answers_may_come_until_they_were_due() {
    for late in [false, true] {
        let mut rig = Rig::live(&["A"]);
        rig.until_due();
        rig.tell(Input::Wanted(set([""; 0])));
        rig.tell(Input::Wanted(set(["A"])));
        rig.pass(if late { secs(10) } else { secs(9) });
        for _ in 0..if late { 0 } else { 2 } {
            assert_eq!(notices(&rig.text(&confirmation("A"))).len(), 0);
        }
        assert_eq!(notices(&rig.text(&confirmation("A"))).len(), 1, "{late}");
    }
}
