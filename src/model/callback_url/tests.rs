//! The ways to write a host that must not be reached, and what else a callback URL may not hold.

use proptest::prelude::*;

use super::spellings::SPELLINGS;
use super::*;

fn strict() -> UrlPolicy {
    UrlPolicy { allow_http: true, addresses: AddressPolicy::default() }
}

fn parse(text: &str) -> Result<CallbackUrl, InvalidCallbackUrl> {
    CallbackUrl::parse(text, &UrlPolicy::default())
}

#[test]
fn no_spelling_of_a_special_host_is_accepted() {
    for host in SPELLINGS {
        for text in [format!("https://{host}/x"), format!("HTTPS://{host}:8443"), format!("http://{host}?q")]
        {
            let refused = CallbackUrl::parse(&text, &strict());
            assert!(matches!(refused, Err(InvalidCallbackUrl::Refused(_))), "{text}: {refused:?}");
        }
    }
}

#[test]
fn hosts_that_mean_nothing_are_not_urls() {
    let hosts = [
        "256.0.0.1",
        "127.0.0.256",
        "1.2.3.4.5",
        "0x100000000",
        "4294967296",
        "127.0.0.1.1",
        "383.256.256.257",
        "08.0.0.1",
        "127..1",
        "[::1",
        "::1",
        "[::1%25lo]",
        "[::g]",
        "a b",
        "a<b",
        "a^b",
        "a|b",
        "a%00b",
        "%00",
        "xn--",
        "xn--a",
        "...",
        "\u{2026}",
        "xn--127-0-0-1-.",
        "example.com:99999",
        "example.com:x",
        ":80",
        "a%40b%2f",
        "xn--localhost-",
        "{a}",
        "*.example.com",
        "a;b",
        "o'b.example",
    ];
    for host in hosts {
        assert!(parse(&format!("https://{host}/")).is_err(), "{host}");
    }
}

#[test]
fn what_parsers_disagree_on_is_refused_before_parsing() {
    use InvalidCallbackUrl::{ForbiddenCharacter, NotAUrl, UserInfo};
    let cases = [
        ("https://good.example\\@127.0.0.1/", ForbiddenCharacter),
        ("https:\\\\127.0.0.1/", ForbiddenCharacter),
        ("https://exa\tmple.com/", ForbiddenCharacter),
        ("https://example.com/\r\nHost: a", ForbiddenCharacter),
        ("https://example.com/\n", ForbiddenCharacter),
        (" https://example.com/", ForbiddenCharacter),
        ("https://example.com/ ", ForbiddenCharacter),
        ("https://example.com/a b", ForbiddenCharacter),
        ("https://example.com/\0", ForbiddenCharacter),
        ("https://example.com/\u{7f}", ForbiddenCharacter),
        ("https://example.com/\u{85}", ForbiddenCharacter),
        ("https://example.com/\u{2028}", ForbiddenCharacter),
        ("https:example.com", NotAUrl),
        ("https:/example.com", NotAUrl),
        ("https:///example.com", NotAUrl),
        ("https://", NotAUrl),
        ("https://?q", NotAUrl),
        ("//example.com/", NotAUrl),
        ("example.com/hook", NotAUrl),
        ("", NotAUrl),
        ("https://user@example.com/", UserInfo),
        ("https://user:secret@example.com/", UserInfo),
        ("https://@example.com/", UserInfo),
        ("https://:@example.com/", UserInfo),
        ("https://a:80+&@b:22/", UserInfo),
        ("https://example.com@127.0.0.1/", UserInfo),
    ];
    for (text, why) in cases {
        assert_eq!(parse(text), Err(why), "{text:?}");
    }
}

#[test]
fn fragments_other_schemes_and_port_zero_are_refused() {
    use InvalidCallbackUrl::{Fragment, Port, Scheme};
    let cases = [
        ("https://example.com/#", Fragment),
        ("https://example.com#@127.0.0.1/", Fragment),
        ("https://example.com/?a#b", Fragment),
        ("http://example.com/", Scheme),
        ("ftp://example.com/", Scheme),
        ("file:///etc/passwd", Scheme),
        ("gopher://example.com/", Scheme),
        ("javascript://example.com/", Scheme),
        ("httpss://example.com/", Scheme),
        ("https://example.com:0/", Port),
    ];
    for (text, why) in cases {
        assert_eq!(parse(text), Err(why), "{text:?}");
    }
}

#[test]
fn length_is_judged_as_written_and_as_sent() {
    let at_limit = format!("https://example.com/{}", "a".repeat(MAX_LENGTH - 20));
    assert_eq!(at_limit.len(), MAX_LENGTH);
    assert!(parse(&at_limit).is_ok());
    assert_eq!(parse(&format!("{at_limit}a")), Err(InvalidCallbackUrl::TooLong));
    assert_eq!(
        parse(&format!("https://example.com/{}", "\u{e4}".repeat(400))),
        Err(InvalidCallbackUrl::TooLong)
    );
}

#[test]
fn ordinary_urls_are_accepted() {
    for text in [
        "https://example.com",
        "https://example.com/",
        "HTTPS://Example.com:8443/a?b=c&d=@e",
        "https://b\u{fc}cher.example/",
        "https://example.com./x",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
        "https://localhost.example.com/",
        "https://notlocalhost/",
        "https://127.0.0.1.nip.io/",
        "https://a_b.example.com/",
    ] {
        assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
    }
}

#[test]
fn exceptions_open_addresses_and_the_names_that_always_mean_them() {
    let policy =
        UrlPolicy { allow_http: true, addresses: AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]) };
    for text in ["http://127.0.0.1:8080/", "http://localhost:8080/", "https://0x7f.1/"] {
        assert!(CallbackUrl::parse(text, &policy).is_ok(), "{text}");
    }
    for text in ["http://10.0.0.1/", "http://metadata.google.internal/", "http://[::1]/"] {
        assert!(CallbackUrl::parse(text, &policy).is_err(), "{text}");
    }
}

#[test]
fn shown_in_a_log_it_is_scheme_and_host_only() {
    let url = parse("https://hooks.example.com:8443/T0K3N?key=s3cret").unwrap();
    assert_eq!(url.to_string(), "https://hooks.example.com");
    assert_eq!(format!("{url:?}"), "CallbackUrl(https://hooks.example.com)");
    assert_eq!(url.as_str(), "https://hooks.example.com:8443/T0K3N?key=s3cret");
}

#[test]
fn no_refusal_repeats_the_url() {
    for text in
        ["https://s3cret@x/", "https://10.0.0.1/s3cret", "ftp://s3cret/", "https://x/#s3cret", "s3cret"]
    {
        let said = parse(text).unwrap_err().to_string();
        assert!(!said.contains("s3cret") && !said.contains("10.0"), "{said}");
    }
}

proptest! {
    /// Whatever is accepted reads back as the same URL, and its host was judged.
    #[test]
    fn an_accepted_url_reads_back_and_is_never_special(text in "https?://[a-z0-9.%\\[\\]:xX\u{ff10}-\u{ff19}@/?#\\\\]{0,40}") {
        if let Ok(url) = CallbackUrl::parse(&text, &strict()) {
            prop_assert_eq!(CallbackUrl::from_stored(url.as_str()), Ok(url.clone()));
            let literal = match url.as_url().host() {
                Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
                Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
                _ => None,
            };
            prop_assert!(literal.is_none_or(|ip| crate::model::address::special_use(ip).is_none()));
            prop_assert!(url.path_and_query().as_str().starts_with('/'));
            prop_assert!(url.as_url().username().is_empty() && url.as_url().password().is_none());
        }
    }
}
