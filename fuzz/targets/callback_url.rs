//! Any text as a callback URL, and any address in every spelling as its host.
//!
//! Holds: nothing panics; an accepted URL keeps to every rule and reads back as itself; no URL is accepted whose host is
//! an address, however it is spelled, that the table forbids or that the standard library does not call global, nor one
//! that the system's resolver would take for an address; an accepted URL makes a request line and a `host` header; logs
//! show no more than scheme and host.
#![no_main]
#![feature(ip)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use http::uri::Authority;
use http::{HeaderValue, Uri};
use libfuzzer_sys::fuzz_target;
use transak_relay::model::address::{AddressPolicy, special_use};
use transak_relay::model::callback_url::{CallbackUrl, InvalidCallbackUrl, MAX_LENGTH, UrlPolicy};
use url::Host;

static STRICT: LazyLock<UrlPolicy> = LazyLock::new(UrlPolicy::default);
static WITH_HTTP: LazyLock<UrlPolicy> =
    LazyLock::new(|| UrlPolicy { allow_http: true, addresses: AddressPolicy::default() });

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        for policy in [&*STRICT, &*WITH_HTTP] {
            if let Ok(url) = CallbackUrl::parse(text, policy) {
                accepted(&url, policy);
            }
        }
        let host = text.split(['/', '?', '#', ':', '@']).next().unwrap_or_default();
        if let Ok(url) = CallbackUrl::parse(&format!("https://{host}/"), &STRICT) {
            accepted(&url, &STRICT);
        }
    }
    if let Some(bits) = bytes.first_chunk() {
        every_spelling_of_v4(Ipv4Addr::from_bits(u32::from_be_bytes(*bits)));
    }
    if let Some(bits) = bytes.first_chunk() {
        every_spelling_of_v6(Ipv6Addr::from_bits(u128::from_be_bytes(*bits)));
    }
});

fn accepted(url: &CallbackUrl, policy: &UrlPolicy) {
    let text = url.as_str();
    let whole = url.as_url();
    assert!(whole.scheme() == "https" || (policy.allow_http && whole.scheme() == "http"), "{text}");
    assert!(text.len() <= MAX_LENGTH && whole.fragment().is_none() && url.port() != 0, "{text}");
    assert!(whole.username().is_empty() && whole.password().is_none(), "{text}");
    assert_eq!(CallbackUrl::parse(text, policy).as_ref(), Ok(url), "it does not read back");
    assert_eq!(CallbackUrl::from_stored(text).as_ref(), Ok(url), "it does not read back from the table");
    match whole.host().expect("it has a host") {
        Host::Ipv4(ip) => public(ip.into(), text),
        Host::Ipv6(ip) => public(ip.into(), text),
        Host::Domain(name) => {
            assert!(!name.is_empty() && name.is_ascii());
            assert_eq!(numeric(name), None, "{text}: the system's resolver takes this for an address");
            assert!(name.parse::<IpAddr>().is_err(), "{text}");
            let bare = name.trim_end_matches('.');
            assert!(bare != "localhost" && !bare.ends_with(".localhost"), "{text}");
        }
    }
    let authority: Authority = url.authority().parse().expect("an authority");
    HeaderValue::from_str(url.authority()).expect("a host header");
    let uri = Uri::builder().scheme(whole.scheme()).authority(authority).path_and_query(url.path_and_query());
    uri.build().expect("a request line");
    let shown = format!("{url} {url:?}");
    let expected = format!("{}://{}", whole.scheme(), whole.host_str().unwrap_or_default());
    assert_eq!(shown, format!("{expected} CallbackUrl({expected})"), "a log would show more than the host");
}

/// An address that was let through is public by the table and by the standard library's own opinion.
fn public(ip: IpAddr, text: &str) {
    assert_eq!(special_use(ip), None, "{text} was accepted");
    match ip {
        IpAddr::V4(ip) => assert!(is_global_v4(ip), "{text} was accepted"),
        IpAddr::V6(ip) => match ip.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let carried = Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
                assert!(is_global_v4(carried), "{text} was accepted");
            }
            _ => {
                assert!(ip.is_global() && ip.to_ipv4().is_none() && !ip.is_multicast(), "{text} was accepted")
            }
        },
    }
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    ip.is_global() && !ip.is_multicast() && !ip.is_link_local() && !ip.is_private() && !ip.is_loopback()
}

fn every_spelling_of_v4(ip: Ipv4Addr) {
    let [a, b, c, d] = ip.octets().map(u32::from);
    let (all, low, lower) = (ip.to_bits(), (b << 16) | (c << 8) | d, (c << 8) | d);
    let spellings = [
        format!("{ip}"),
        format!("{ip}."),
        format!("{all}"),
        format!("0x{all:x}"),
        format!("0{all:o}"),
        format!("{a}.{low}"),
        format!("0x{a:x}.{low}"),
        format!("{a}.{b}.{lower}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("{a}.0{b:o}.0x{lower:X}"),
        format!("{a}%2e{b}\u{3002}{c}\u{ff0e}{d}"),
        ip.to_string().chars().map(full_width).collect(),
    ];
    for spelling in spellings {
        judged_as(&spelling, ip.into());
    }
    every_spelling_of_v6(ip.to_ipv6_mapped());
    judged_as(&format!("[::ffff:{ip}]"), ip.to_ipv6_mapped().into());
    judged_as(&format!("[64:ff9b::{ip}]"), Ipv6Addr::from_bits((0x64_ff9b << 96) | u128::from(all)).into());
}

fn every_spelling_of_v6(ip: Ipv6Addr) {
    let long = ip.segments().map(|segment| format!("{segment:04X}")).join(":");
    for spelling in [format!("[{ip}]"), format!("[{long}]")] {
        judged_as(&spelling, ip.into());
    }
}

/// A URL with this host is accepted if and only if the address may be called.
fn judged_as(host: &str, ip: IpAddr) {
    match (CallbackUrl::parse(&format!("https://{host}/"), &STRICT), special_use(ip)) {
        (Ok(url), None) => accepted(&url, &STRICT),
        (Err(InvalidCallbackUrl::Refused(refused)), Some(range)) => {
            assert_eq!(refused.range, range, "{host}")
        }
        (read, range) => panic!("{host} is {ip} ({range:?}) and was read as {read:?}"),
    }
}

fn full_width(c: char) -> char {
    char::from_u32(u32::from(c) + 0xfee0).expect("an ASCII character has a full-width form")
}

/// A name as `inet_aton` reads it: one to four numbers, decimal, octal or hexadecimal.
fn numeric(name: &str) -> Option<u32> {
    let parts: Vec<&str> = name.split('.').collect();
    let numbers = parts.iter().map(|part| number(part)).collect::<Option<Vec<u32>>>()?;
    let (last, first) = numbers.split_last()?;
    let room = 4_u32.checked_sub(u32::try_from(first.len()).ok()?).filter(|room| *room > 0)?;
    let fits = first.iter().all(|number| *number < 256) && u64::from(*last) < 1 << (8 * room);
    fits.then_some(*last)
}

fn number(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        None => (&*lower, 10),
    };
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if plain { u32::from_str_radix(digits, radix).ok() } else { None }
}
