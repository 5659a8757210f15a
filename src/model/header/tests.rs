//! What may be added to a callback, and what may not.

use super::*;

fn one(name: &str, value: &str) -> Result<CallbackHeaders, InvalidCallbackHeaders> {
    CallbackHeaders::parse([(name, value)])
}

#[test]
fn credentials_and_plain_headers_are_accepted() {
    for (name, value) in [
        ("Authorization", "Bearer abc.def"),
        ("x-api-key", "k"),
        ("X-Env", ""),
        ("Cookie", "a=b; c=\"d\""),
        ("x~odd!name", "v v"),
        ("CF-Access-Client-Secret", "x"),
    ] {
        assert!(one(name, value).is_ok(), "{name}");
    }
    assert_eq!(CallbackHeaders::parse([]), Ok(CallbackHeaders::default()));
}

#[test]
fn names_that_frame_route_or_sign_the_message_are_reserved_in_any_case() {
    for name in [
        "Host",
        "CONNECTION",
        "Keep-Alive",
        "Proxy-Connection",
        "proxy-authorization",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Expect",
        "Content-Length",
        "content-type",
        "Content-Encoding",
        "Accept-Encoding",
        "User-Agent",
        "webhook-id",
        "Webhook-Signature",
        "webhook-anything",
        "svix-id",
        "traceparent",
        "TraceState",
        "transak-relay-hops",
        "X-Forwarded-For",
        "x-forwarded-host",
        "X-Real-IP",
        "Forwarded",
        "Via",
        "Metadata",
        "Metadata-Flavor",
        "X-aws-ec2-metadata-token",
        "X-HTTP-Method-Override",
        "http2-settings",
        "sec-fetch-site",
        "content_length",
        "Transfer_Encoding",
        "webhook_id",
        "x_forwarded_for",
    ] {
        let refused = one(name, "x");
        assert!(matches!(refused, Err(InvalidCallbackHeaders::Reserved(_))), "{name}: {refused:?}");
    }
}

#[test]
fn names_that_are_no_tokens_are_refused() {
    let long = "x".repeat(MAX_NAME + 1);
    for name in [
        "",
        " ",
        "a b",
        "a:b",
        ":path",
        "a\r\nb",
        "a\0",
        "a\t",
        "n\u{e4}me",
        "a\u{7f}",
        "(a)",
        "a/b",
        " host",
        &long,
    ] {
        assert_eq!(one(name, "x"), Err(InvalidCallbackHeaders::Name), "{name:?}");
    }
}

#[test]
fn values_that_could_end_the_line_are_refused() {
    let long = "v".repeat(MAX_VALUE + 1);
    for value in [
        "a\r\nHost: b",
        "a\nb",
        "a\rb",
        "a\r\n folded",
        "a\n\tfolded",
        "a\0b",
        "\u{7f}",
        "a\tb",
        " a",
        "a ",
        "\u{1b}[0m",
        "\u{e9}",
        "\u{560a}\u{560d}",
        &long,
    ] {
        assert!(matches!(one("x-a", value), Err(InvalidCallbackHeaders::Value(_))), "{value:?}");
    }
    assert!(one("x-a", &"v".repeat(MAX_VALUE)).is_ok());
}

#[test]
fn number_and_size_are_bounded_and_names_unique() {
    let names: Vec<_> = (0..=MAX_COUNT).map(|n| format!("x-{n}")).collect();
    let many = |n: usize, value: &'static str| {
        CallbackHeaders::parse(names.iter().take(n).map(|name| (name.as_str(), value)))
    };
    assert_eq!(many(MAX_COUNT, "v").map(|headers| headers.as_map().len()), Ok(MAX_COUNT));
    assert_eq!(many(MAX_COUNT + 1, "v"), Err(InvalidCallbackHeaders::TooMany));
    let large = "v".repeat(MAX_VALUE);
    let both = CallbackHeaders::parse([("a", large.as_str()), ("b", large.as_str())]);
    assert_eq!(both, Err(InvalidCallbackHeaders::TooLarge));
    let twice = CallbackHeaders::parse([("X-A", "1"), ("x-a", "2")]);
    assert_eq!(twice, Err(InvalidCallbackHeaders::Twice(HeaderName::from_static("x-a"))));
}

#[test]
fn values_show_in_no_debug_output_and_in_no_error() {
    let headers = one("authorization", "s3cret").unwrap();
    assert_eq!(format!("{headers:?}"), "{\"authorization\"}");
    assert!(!format!("{:?}", headers.as_map()).contains("s3cret"));
    assert_eq!(headers.expose().collect::<Vec<_>>(), [("authorization", "s3cret")]);
    let error = one("x-a", "s3cret\n").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}
