//! The two timers that tell a silent peer from a dead one.

use super::*;

const PING: &str = r#"{"event":"pusher:ping","data":{}}"#;

fn greeted(greeting: &str) -> Rig {
    let mut rig = Rig::new(true, 50);
    rig.tell(Input::Tick);
    rig.tell(Input::Opened);
    rig.text(greeting);
    rig
}

#[test]
fn silence_is_measured_by_the_smaller_wish_within_ten_and_120_seconds() {
    for (server, expected) in [(120, 120), (30, 30), (10, 10), (9, 10), (0, 10), (121, 120), (86_400, 120)] {
        let mut rig = greeted(&greeting(server));
        assert!(rig.pass(millis(expected * 1000 - 1)).is_empty(), "server says {server}");
        assert_eq!(rig.pass(millis(1)), [Output::Send(PING.to_owned())], "server says {server}");
    }
    let mut rig = greeted(r#"{"event":"pusher:connection_established"}"#);
    assert_eq!(rig.until_due(), (secs(120), vec![Output::Send(PING.to_owned())]));
}

#[test]
fn by_default_a_mute_connection_is_given_up_after_twenty_seconds() {
    let mut rig = Rig::timed(Timing::default(), true, 50);
    rig.establish();
    assert_eq!(
        rig.until_due(),
        (secs(10), vec![Output::Send(PING.to_owned())]),
        "whatever the server wishes"
    );
    let (time, outputs) = rig.until_due();
    assert_eq!((time, closes(&outputs)), (secs(10), true));
}

#[test]
fn whatever_arrives_starts_the_silence_anew() {
    let noise = [
        Input::Traffic,
        Input::Text("not JSON"),
        Input::Text(r#"{"event":"pusher:pong","data":"{}"}"#),
        Input::Text(r#"{"event":"E","channel":"unknown"}"#),
        Input::Text(r#"{"event":"pusher:error","data":{"code":4301}}"#),
    ];
    for input in noise {
        let mut rig = greeted(&greeting(120));
        rig.pass(secs(119));
        rig.tell(input);
        assert!(rig.pass(secs(119)).is_empty());
        assert_eq!(sent(&rig.pass(secs(1))), [PING]);
    }
}

#[test]
fn an_unanswered_ping_ends_the_connection_after_thirty_seconds() {
    let mut rig = Rig::confirmed(&["A"]);
    let since = rig.now.wall;
    rig.pass(secs(120));
    assert!(rig.pass(millis(29_999)).is_empty());
    let outputs = rig.pass(millis(1));
    let (at, reason) = (rig.now.wall, Reason::PongTimeout);
    let expected = [
        Output::Close,
        Output::Notice(Notice::Lost { channel: channel("A"), since, at, reason }),
        Output::Notice(Notice::State(State::BackingOff { until: at + secs(1), reason })),
    ];
    assert_eq!(outputs, expected, "the gap begins with the last thing heard, not with the timeout");
}

#[test]
fn anything_counts_as_the_answer_to_a_ping() {
    for input in [Input::Traffic, Input::Text("{}"), Input::Text(r#"{"event":"pusher:pong"}"#)] {
        let mut rig = greeted(&greeting(120));
        rig.pass(secs(120));
        rig.pass(secs(29));
        rig.tell(input);
        assert!(rig.pass(secs(119)).is_empty());
        assert_eq!(sent(&rig.pass(secs(1))), [PING]);
    }
}

#[test]
fn something_received_counts_even_if_it_is_handled_after_the_deadline() {
    let mut rig = greeted(&greeting(120));
    rig.pass(secs(120));
    rig.now.mono += secs(31);
    assert!(!closes(&rig.tell(Input::Traffic)));
}

#[test]
fn the_servers_ping_is_answered_with_a_pong_event() {
    let mut rig = greeted(&greeting(120));
    let pong = r#"{"event":"pusher:pong","data":{}}"#;
    for ping in [r#"{"event":"pusher:ping"}"#, r#"{"event":"pusher:ping","data":"{}"}"#] {
        assert_eq!(rig.text(ping), [Output::Counted("ping"), Output::Send(pong.to_owned())]);
    }
}

#[test]
fn what_cannot_be_read_is_handed_over_whole_and_costs_nothing_else() {
    for raw in ["", "hello", "[]", "{}", r#"{"event":1}"#, r#"{"event":"E","data":"x"}"#] {
        let mut rig = greeted(&greeting(120));
        let outputs = rig.text(raw);
        let [Output::Counted("unreadable"), Output::Notice(Notice::Unreadable { raw: kept, .. })] =
            &outputs[..]
        else {
            panic!("{outputs:?}");
        };
        assert_eq!(kept, raw.as_bytes());
    }
}
