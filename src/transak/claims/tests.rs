//! Claims in every shape that they come in.

use super::*;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

const ORDER: &str = r#"{"id":"o","status":"COMPLETED", "x":[1]}"#;
const KYC: &str = r#"{"kycStatus":"SUBMITTED","eventID":"KYC_SUBMITTED","partnerUserId":"u"}"#;

#[test]
fn the_order_is_found_in_each_wrapping() {
    let quoted = serde_json::Value::from(ORDER).to_string();
    let twice = serde_json::Value::from(quoted.as_str()).to_string();
    for (claims, event) in [
        (ORDER.to_owned(), None),
        (format!(r#"{{"webhookData":{ORDER},"eventID":"ORDER_CREATED"}}"#), Some("ORDER_CREATED")),
        (format!(r#"{{"data":{ORDER}}}"#), None),
        (format!(r#"{{"event":"ORDER_COMPLETED","data":{ORDER}}}"#), Some("ORDER_COMPLETED")),
        (format!(r#"{{"payload":{ORDER}}}"#), None),
        (
            format!(r#"{{"data":{{"data":{{"order":{ORDER}}}}},"eventID":"ORDER_CREATED"}}"#),
            Some("ORDER_CREATED"),
        ),
        (
            format!(
                r#"{{"id":"row","webhookResponse":{{"body":{{"id":1,"status":"ok"}}}},"webhookData":{ORDER}}}"#
            ),
            None,
        ),
        (format!(r#"{{"data":{quoted}}}"#), None),
        (quoted, None),
        (format!(r#"{{"webhookData":{twice}}}"#), None),
    ] {
        let claims = raw(&claims);
        let message = read(&claims).unwrap();
        assert_eq!(message.body.get(), ORDER, "{claims}");
        assert_eq!((message.event.as_deref(), message.about), (event, About::Order), "{claims}");
    }
}

#[test]
fn what_an_order_contains_is_part_of_it() {
    for claims in [
        r#"{"id":"o","status":"COMPLETED","data":"x"}"#,
        r#"{"id":"o","status":"COMPLETED","data":{"id":"p","status":"PAID"}}"#,
        r#"{"id":"o","status":"COMPLETED","kycStatus":"APPROVED"}"#,
    ] {
        let claims = raw(claims);
        let message = read(&claims).unwrap();
        assert_eq!((message.body.get(), message.about), (claims.get(), About::Order));
    }
}

#[test]
fn a_kyc_event_belongs_to_no_order_and_is_found_in_each_wrapping() {
    let inside = r#"{"kycStatus":"SUBMITTED","partnerUserId":"u"}"#;
    for (claims, body) in [
        (KYC.to_owned(), KYC),
        (format!(r#"{{"data":{KYC}}}"#), KYC),
        (format!(r#"{{"webhookData":{KYC},"eventID":"KYC_SUBMITTED"}}"#), KYC),
        (format!(r#"{{"data":{inside},"eventID":"KYC_SUBMITTED"}}"#), inside),
    ] {
        let claims = raw(&claims);
        let message = read(&claims).unwrap();
        assert_eq!((message.body.get(), message.about), (body, About::Kyc), "{claims}");
        assert_eq!(message.event.as_deref(), Some("KYC_SUBMITTED"), "{claims}");
    }
}

#[test]
fn a_kyc_event_that_only_its_name_tells_is_kept_whole() {
    let claims = raw(r#"{"eventID":"KYC_APPROVED","partnerUserId":"u"}"#);
    let message = read(&claims).unwrap();
    assert_eq!((message.body.get(), message.about), (claims.get(), About::Kyc));
}

#[test]
fn a_kyc_event_that_nothing_names_is_known_by_its_status_and_named_after_it() {
    let body = r#"{"kycStatus":"submitted","partnerUserId":"u"}"#;
    for claims in [body.to_owned(), format!(r#"{{"data":{body},"createdAt":"2023-08-02T07:02:53.249Z"}}"#)] {
        let claims = raw(&claims);
        let message = read(&claims).unwrap();
        assert_eq!(
            (message.body.get(), message.about, &message.event),
            (body, About::Kyc, &None),
            "{claims}"
        );
        assert_eq!(kyc_name(&message.body).as_deref(), Some("KYC_SUBMITTED"));
    }
}

#[test]
fn the_time_of_the_trigger_is_that_of_what_is_around_the_body() {
    let time = "2023-08-02T07:02:53.249Z";
    let at = super::super::time::parse(time);
    for (claims, triggered_at) in [
        (format!(r#"{{"data":{KYC},"createdAt":"{time}"}}"#), at),
        (format!(r#"{{"data":{{"data":{KYC}}},"createdAt":"{time}"}}"#), at),
        (format!(r#"{{"id":"o","status":"S","createdAt":"{time}"}}"#), None),
    ] {
        let claims = raw(&claims);
        assert_eq!(read(&claims).unwrap().triggered_at, triggered_at, "{claims}");
    }
}

#[test]
fn what_holds_no_order_says_what_is_lacking() {
    for (claims, lacking) in [
        ("[]", Unreadable::NotAnObject),
        ("\"text\"", Unreadable::NotAnObject),
        ("{}", Unreadable::NoOrder),
        (r#"{"data":{"a":[{"id":"o","status":"S"}]}}"#, Unreadable::NoOrder),
        (r#"{"webhookData":{"id":"o"}}"#, Unreadable::NoStatus),
        (r#"{"data":{"status":"S"}}"#, Unreadable::NoOrderId),
    ] {
        assert_eq!(read(&raw(claims)).err(), Some(lacking), "{claims}");
    }
}

#[test]
fn a_message_made_to_be_slow_is_given_up() {
    let wide = format!(
        "{{{}}}",
        (0..300).map(|n| format!(r#""m{n}":{{"n":{{"o":{{"p":{{}}}}}}}}"#)).collect::<Vec<_>>().join(",")
    );
    assert_eq!(read(&raw(&wide)).err(), Some(Unreadable::NoOrder));
    let deep = format!("{}1{}", r#"{"a":"#.repeat(5000), "}".repeat(5000));
    assert_eq!(read(&raw(&deep)).err(), Some(Unreadable::NoOrder));
}
