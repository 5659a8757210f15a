//! Connecting, close codes, errors and the pauses between attempts.

use super::*;

/// How the end of a connection reaches us.
#[derive(Debug, Clone, Copy)]
enum End {
    CloseBeforeGreeting(u16),
    ErrorInsteadOfGreeting(u16),
    CloseWhenLive(u16),
    ErrorThenDrop(u16),
    ErrorThenPlainClose(u16),
}

fn end(rig: &mut Rig, end: End) -> Vec<Output> {
    rig.tell(Input::Tick);
    rig.tell(Input::Opened);
    if let End::CloseWhenLive(_) | End::ErrorThenDrop(_) | End::ErrorThenPlainClose(_) = end {
        rig.text(&greeting(120));
    }
    match end {
        End::CloseBeforeGreeting(code) | End::CloseWhenLive(code) => rig.tell(Input::Closed(code)),
        End::ErrorInsteadOfGreeting(code) => rig.text(&error(&code.to_string())),
        End::ErrorThenDrop(code) => {
            assert!(!closes(&rig.text(&error(&code.to_string()))), "an error mid-session is not the end");
            rig.tell(Input::Dropped)
        }
        End::ErrorThenPlainClose(code) => {
            rig.text(&error(&code.to_string()));
            rig.tell(Input::Closed(1006))
        }
    }
}

fn all_ends(code: u16) -> [End; 5] {
    [
        End::CloseBeforeGreeting(code),
        End::ErrorInsteadOfGreeting(code),
        End::CloseWhenLive(code),
        End::ErrorThenDrop(code),
        End::ErrorThenPlainClose(code),
    ]
}

#[test]
fn a_code_of_4000_to_4099_is_shown_as_fatal_and_probed_every_minute() {
    for code in [4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007, 4008, 4009, 4010, 4099] {
        for how in all_ends(code) {
            let mut rig = Rig::new(true, 50);
            let outputs = end(&mut rig, how);
            let until = rig.now.wall + secs(60);
            let state = State::Fatal { code, reason: Reason::Code(code), until };
            assert!(notices(&outputs).contains(&&Notice::State(state)), "{how:?}: {outputs:?}");
            assert_eq!(rig.pause(), secs(60), "{how:?}");
            assert!(notices(&end(&mut rig, how)).contains(&&Notice::State(State::Fatal {
                code,
                reason: Reason::Code(code),
                until: rig.now.wall + secs(60)
            })));
            assert_eq!(rig.pause(), secs(60), "{how:?}");
        }
    }
}

#[test]
fn a_fatal_state_stands_until_a_probe_is_greeted() {
    let mut rig = Rig::new(true, 50);
    end(&mut rig, End::CloseWhenLive(4003));
    let (_, outputs) = rig.until_due();
    assert!(notices(&outputs).is_empty(), "{outputs:?}");
    let since = rig.now.wall;
    assert_eq!(notices(&rig.establish()), [&Notice::State(State::Connected { since })]);
}

#[test]
fn a_key_that_is_changed_after_a_refusal_is_tried_at_once_and_a_watch_is_not() {
    let mut rig = Rig::new(true, 50);
    let with = |keys: &[&str], watched: &[&str]| {
        let of = |names: &[&str]| names.iter().map(|name| channel(name)).collect();
        Input::Wanted(Arc::new(Channels { first: of(keys), then: of(watched) }))
    };
    rig.tell(with(&["old"], &[]));
    end(&mut rig, End::CloseWhenLive(4001));
    let connects = |outputs: &[Output]| outputs.iter().any(|out| matches!(out, Output::Connect { .. }));
    assert!(!connects(&rig.tell(with(&["old"], &["order"]))));
    assert!(connects(&rig.tell(with(&["new"], &["order"]))));
    end_of_attempt(&mut rig);
    assert!(!connects(&rig.tell(with(&["new"], &[]))), "nothing but a change of keys");
    assert_eq!(rig.pause(), secs(60));
}

/// The attempt that is under way is refused.
fn end_of_attempt(rig: &mut Rig) {
    rig.tell(Input::Opened);
    rig.tell(Input::Closed(4001));
}

#[test]
fn code_4000_without_tls_is_answered_with_tls_once_and_for_all() {
    for how in all_ends(4000) {
        let mut rig = Rig::new(false, 0);
        let outputs = rig.tell(Input::Tick);
        assert!(outputs.contains(&Output::Connect { secure: false, after: None }));
        let outputs = end(&mut rig, how);
        let again = Output::Connect { secure: true, after: Some(Reason::Code(4000)) };
        assert!(outputs.contains(&again) || rig.until_due().1.contains(&again), "{how:?}");
        let outputs = rig.tell(Input::NotConnected);
        assert!(!outputs.iter().any(|output| matches!(output, Output::Connect { .. })), "{how:?}");
        let (_, outputs) = rig.until_due();
        assert!(outputs.contains(&Output::Connect { secure: true, after: Some(Reason::NotConnected) }));
        end(&mut rig, how);
        assert_eq!(rig.pause(), secs(60), "with TLS it is fatal");
    }
}

#[test]
fn a_code_of_4100_to_4199_and_any_unspecific_end_back_off_at_least_a_second() {
    for code in [4100, 4101, 4199, 1000, 1001, 1005, 1006, 1011, 4300, 4301, 4999] {
        let ends = if code >= 4000 { all_ends(code).to_vec() } else { vec![End::CloseWhenLive(code)] };
        for how in ends {
            let mut rig = Rig::new(true, 0);
            let outputs = end(&mut rig, how);
            let state = State::BackingOff { until: rig.now.wall + secs(1), reason: Reason::Code(code) };
            assert!(notices(&outputs).contains(&&Notice::State(state)), "{how:?}: {outputs:?}");
            assert_eq!(rig.pause(), secs(1), "{how:?}");
        }
    }
    for input in [Input::Dropped, Input::NotConnected] {
        let mut rig = Rig::new(true, 0);
        rig.tell(Input::Tick);
        rig.tell(input);
        assert_eq!(rig.pause(), secs(1));
    }
}

#[test]
fn a_code_of_4200_to_4299_reconnects_within_a_quarter_second_and_then_backs_off() {
    for code in [4200, 4201, 4202, 4250, 4299] {
        for how in all_ends(code) {
            let mut rig = Rig::new(true, 100);
            let mut pauses = Vec::new();
            for _ in 0..8 {
                end(&mut rig, how);
                pauses.push(rig.pause());
            }
            let expected = [millis(250), secs(1), secs(2), secs(4), secs(8), secs(16), secs(30), secs(30)];
            assert_eq!(pauses, expected, "{how:?}");
        }
    }
}

#[test]
fn only_thirty_stable_seconds_make_the_failures_forgotten() {
    for (stood, expected) in [(millis(29_999), secs(2)), (secs(30), millis(250))] {
        let mut rig = Rig::new(true, 100);
        for _ in 0..2 {
            end(&mut rig, End::CloseBeforeGreeting(4200));
            rig.pause();
        }
        rig.establish();
        rig.pass(stood);
        rig.tell(Input::Closed(4200));
        assert_eq!(rig.pause(), expected, "after {stood:?}");
    }
}

#[test]
fn the_back_off_is_spread_between_a_second_and_its_ceiling() {
    for (percent, expected) in [
        (0, [1000, 1000, 1000, 1000, 1000, 1000, 1000]),
        (50, [1000, 1500, 2500, 4500, 8500, 15_500, 15_500]),
    ] {
        let mut rig = Rig::new(true, percent);
        rig.tell(Input::Tick);
        let pauses = expected.map(|_| {
            rig.tell(Input::NotConnected);
            rig.pause()
        });
        assert_eq!(pauses, expected.map(millis));
    }
}

#[test]
fn after_an_outage_of_three_seconds_the_stream_is_back_within_four_more() {
    let outage = millis(2800);
    for percent in 0..=100 {
        let mut rig = Rig::live(&["A"]);
        rig.session.backoff = Backoff::new(dice(percent));
        rig.pass(secs(60));
        rig.tell(Input::Dropped);
        let mut down = rig.pause();
        while down < outage {
            rig.tell(Input::NotConnected);
            down += rig.pause();
        }
        assert!(down <= outage + secs(4), "{percent} %: {down:?}");
    }
}

#[test]
fn an_attempt_and_a_greeting_have_ten_seconds_each() {
    let mut rig = Rig::new(true, 0);
    rig.tell(Input::Tick);
    assert!(!closes(&rig.pass(millis(9_999))));
    assert!(closes(&rig.pass(millis(1))));
    rig.pause();
    rig.tell(Input::Opened);
    rig.tell(Input::Traffic);
    assert!(!closes(&rig.pass(millis(9_999))));
    let outputs = rig.pass(millis(1));
    assert!(closes(&outputs));
    let state = State::BackingOff { until: rig.now.wall + secs(1), reason: Reason::NotEstablished };
    assert_eq!(notices(&outputs), [&Notice::State(state)]);
}

#[test]
fn an_error_mid_session_is_counted_and_nothing_else() {
    for code in ["4001", "4009", "4100", "4200", "4300", "4301", "null"] {
        let mut rig = Rig::confirmed(&["B"]);
        assert_eq!(rig.text(&error(code)), [Output::Counted("error")]);
    }
}

#[test]
fn an_error_explains_a_drop_only_if_it_came_just_before() {
    let mut rig = Rig::live(&["A"]);
    rig.text(&error("4001"));
    rig.pass(millis(1001));
    rig.tell(Input::Dropped);
    assert_eq!(rig.pause(), secs(1), "too long before");

    let mut rig = Rig::live(&["A"]);
    rig.text(&error("4001"));
    rig.text(&confirmation("A"));
    rig.tell(Input::Dropped);
    assert_eq!(rig.pause(), secs(1), "the server carried on");
}

#[test]
fn a_close_code_counts_more_than_the_error_before_it() {
    let mut rig = Rig::live(&["A"]);
    rig.text(&error("4001"));
    rig.tell(Input::Closed(4100));
    assert_eq!(rig.pause(), secs(1));
}

#[test]
fn an_error_without_a_code_instead_of_the_greeting_leaves_time_for_the_greeting() {
    let mut rig = Rig::new(true, 50);
    rig.tell(Input::Tick);
    rig.tell(Input::Opened);
    assert_eq!(rig.text(&error("null")), [Output::Counted("error")]);
    assert_eq!(notices(&rig.text(&greeting(120))).len(), 1);
}

#[test]
fn stopping_closes_and_asks_for_nothing_more() {
    let mut rig = Rig::confirmed(&["A"]);
    let at = rig.now.wall;
    let lost = Notice::Lost { channel: channel("A"), since: at, at, reason: Reason::Stopped };
    let expected = [Output::Close, Output::Notice(lost), Output::Notice(Notice::State(State::Stopped))];
    assert_eq!(rig.tell(Input::Stop), expected);
    assert_eq!(rig.session.deadline(), None);
    assert_eq!(rig.pass(secs(100_000)), []);
    assert_eq!(rig.tell(Input::Dropped), []);
}
