//! One test per cell of what real servers are known to send.

use super::*;

fn parsed(text: &str) -> Frame<'_> {
    Frame::parse(text).unwrap_or_else(|reason| panic!("{reason}: {text}"))
}

fn established(seconds: u64) -> Frame<'static> {
    Frame::Established { activity_timeout: Some(Duration::from_secs(seconds)) }
}

fn data_of(frame: Frame<'_>) -> Data {
    match frame {
        Frame::Event { data, .. } => data,
        other => panic!("not an event: {other:?}"),
    }
}

#[test]
fn the_greeting_is_read_from_a_string_in_any_key_order_and_from_an_object() {
    let string = r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":120}"}"#;
    let turned = r#"{"data":"{\"activity_timeout\":30,\"socket_id\":\"1.2\"}","event":"pusher:connection_established"}"#;
    let object =
        r#"{"event":"pusher:connection_established","data":{"socket_id":"1.2","activity_timeout":30.0}}"#;
    assert_eq!(parsed(string), established(120));
    assert_eq!(parsed(turned), established(30));
    assert_eq!(parsed(object), established(30));
}

#[test]
fn a_greeting_with_unreadable_details_is_still_a_greeting() {
    for data in
        ["", r#","data":"""#, r#","data":null"#, r#","data":"{\"activity_timeout\":-1}""#, r#","data":[]"#]
    {
        let text = format!(r#"{{"event":"pusher:connection_established"{data}}}"#);
        assert_eq!(parsed(&text), Frame::Established { activity_timeout: None }, "{text}");
    }
}

#[test]
fn a_confirmation_needs_no_data() {
    for data in ["", r#","data":"{}""#, r#","data":{}"#] {
        let text = format!(r#"{{"event":"pusher_internal:subscription_succeeded"{data},"channel":"KEY_1"}}"#);
        assert_eq!(parsed(&text), Frame::Subscribed { channel: "KEY_1".into() });
    }
}

#[test]
fn both_spellings_of_a_subscription_error_are_read() {
    let internal = r#"{"event":"pusher_internal:subscription_error","data":"{}","channel":"private-x"}"#;
    let plain = r#"{"event":"pusher:subscription_error","channel":"private-x","data":{"type":"AuthError","status":401}}"#;
    for text in [internal, plain] {
        assert_eq!(parsed(text), Frame::SubscriptionError { channel: "private-x".into() });
    }
}

#[test]
fn ping_and_pong_are_read_whatever_their_data() {
    for data in ["", r#","data":"{}""#, r#","data":{}"#, r#","data":"""#] {
        assert_eq!(parsed(&format!(r#"{{"event":"pusher:ping"{data}}}"#)), Frame::Ping);
        assert_eq!(parsed(&format!(r#"{{"event":"pusher:pong"{data}}}"#)), Frame::Pong);
    }
}

#[test]
fn an_error_is_read_from_an_object_and_from_a_string_with_or_without_a_code() {
    let cases = [
        (r#"{"code":4001,"message":"m"}"#, Some(4001), "m"),
        (r#""{\"code\":4001,\"message\":\"m\"}""#, Some(4001), "m"),
        (
            r#"{"code":null,"message":"Existing subscription to channel X"}"#,
            None,
            "Existing subscription to channel X",
        ),
        (r#"{"message":"m"}"#, None, "m"),
        (r#"{"code":70000}"#, None, ""),
        (r#""words""#, None, ""),
        ("null", None, ""),
    ];
    for (data, code, message) in cases {
        let text = format!(r#"{{"event":"pusher:error","data":{data}}}"#);
        assert_eq!(parsed(&text), Frame::Error { code, message: message.to_owned() }, "{text}");
    }
    assert_eq!(parsed(r#"{"event":"pusher:error"}"#), Frame::Error { code: None, message: String::new() });
}

#[test]
fn other_protocol_events_are_never_messages() {
    for name in
        ["pusher:cache_miss", "pusher:signin_success", "pusher_internal:subscription_count", "pusher:new"]
    {
        let text = format!(r#"{{"event":"{name}","channel":"KEY","data":"null"}}"#);
        assert_eq!(parsed(&text), Frame::Protocol);
    }
    assert_eq!(parsed(r#"{"event":"pusher_internal:subscription_succeeded"}"#), Frame::Protocol);
}

#[test]
fn a_string_is_decoded_once_and_kept_byte_for_byte() {
    let json = r#"{"event":"ORDER_COMPLETED","channel":"KEY_1","data":"{\"id\": \"o1\",\n \"n\":2, \"é\":\"\\u00e9\\/\"}"}"#;
    assert_eq!(
        data_of(parsed(json)),
        Data::Text("{\"id\": \"o1\",\n \"n\":2, \"é\":\"\\u00e9\\/\"}".to_owned())
    );
    let jwt = r#"{"event":"ORDER_COMPLETED","channel":"KEY","data":"eyJhbGciOi.e30.x-_"}"#;
    assert_eq!(data_of(parsed(jwt)), Data::Text("eyJhbGciOi.e30.x-_".to_owned()));
}

#[test]
fn what_is_not_a_string_keeps_its_own_text() {
    for raw in [r#"{"b":1.10, "a" :[ ] ,"b":2}"#, "[1,  2]", "1.50", "true", "null"] {
        let text = format!(r#"{{"event":"E","channel":"KEY","data": {raw} }}"#);
        assert_eq!(data_of(parsed(&text)), Data::Json(raw.to_owned()));
    }
    assert_eq!(data_of(parsed(r#"{"event":"E","channel":"KEY"}"#)), Data::Absent);
}

#[test]
fn unknown_fields_and_a_trailing_newline_do_not_matter() {
    let text = "{\"event\":\"E\",\"user_id\":\"u\",\"x\":{\"y\":[1]},\"channel\":\"KEY\",\"data\":\"d\"}\n";
    let expected =
        Frame::Event { channel: "KEY".into(), event: "E".into(), data: Data::Text("d".to_owned()) };
    assert_eq!(parsed(text), expected);
}

#[test]
fn what_is_not_a_frame_is_named_and_not_repeated() {
    let cases = [
        ("", "not JSON"),
        ("hello", "not JSON"),
        (r#"{"event":"E","channel":"C","data":"#, "not JSON"),
        ("[]", "not a frame: `event` is missing or a field has the wrong type"),
        ("{}", "not a frame: `event` is missing or a field has the wrong type"),
        (r#"{"event":7}"#, "not a frame: `event` is missing or a field has the wrong type"),
        (r#"{"event":"E","channel":5}"#, "not a frame: `event` is missing or a field has the wrong type"),
        (r#"{"event":"E","data":"d"}"#, "an event without a channel"),
        (r#"{"event":"E","channel":null,"data":"d"}"#, "an event without a channel"),
        (r#"{"event":"E","channel":"C","data":"\ud800"}"#, "`data` is a string that is not Unicode"),
    ];
    for (text, reason) in cases {
        assert_eq!(Frame::parse(text), Err(reason), "{text}");
    }
}

#[test]
fn an_unknown_event_name_never_becomes_a_label() {
    let event = |name: &str| format!(r#"{{"event":"{name}","channel":"C"}}"#);
    assert_eq!(parsed(&event("ORDER_CREATED")).label(), "ORDER_CREATED");
    assert_eq!(parsed(&event("9151faa1-e69b-4a36-b959-3c4f894afb68")).label(), "other");
}

#[test]
fn deep_nesting_in_data_is_carried_and_not_walked() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let text = format!(r#"{{"event":"E","channel":"C","data":{deep}}}"#);
    assert_eq!(data_of(parsed(&text)), Data::Json(deep));
}

#[test]
fn subscribing_sends_what_the_protocol_documents() {
    let channel: Channel = "KEY_1=@,.;-".parse().unwrap();
    assert_eq!(subscribe(&channel), r#"{"event":"pusher:subscribe","data":{"channel":"KEY_1=@,.;-"}}"#);
    assert_eq!(unsubscribe(&channel), r#"{"event":"pusher:unsubscribe","data":{"channel":"KEY_1=@,.;-"}}"#);
}

#[test]
fn what_is_no_whole_frame_may_still_name_its_channel() {
    for (raw, named) in [
        (r#"{"event":"ORDER_CREATED","channel":"KEY","data":"ey"#, Some("KEY")),
        (r#"{"event":"x", "channel" : "KEY" garbage"#, Some("KEY")),
        (r#"{"data":"{\"channel\":\"OTHER\"}","channel":"KEY","#, Some("KEY")),
        (r#"{"event":"channel","channel":7,"data":{"channel":"INNER"}"#, Some("INNER")),
        (r#"{"event":"x","channel":"KE"#, None),
        ("garbage", None),
        ("", None),
    ] {
        assert_eq!(super::named_channel(raw.as_bytes()).as_deref(), named, "{raw}");
    }
}
