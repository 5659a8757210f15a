//! Who sends a request that came through proxies.
//!
//! Guarantees: a header is believed only as far as proxies that are trusted have written it, so nobody can pass for
//! somebody else; what cannot be read leads to the proxy that brought the request and never to an address of the
//! sender's choice.
//!
//! Source: RFC 7239 (`Forwarded`); `X-Forwarded-For` has none, and is read as nginx, `HAProxy` and Envoy write it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The address a request comes from: the right-most one that is no trusted proxy. `peer` is who made the connection.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let named = [hops(headers, FORWARDED.as_str(), forwarded), hops(headers, X_FORWARDED_FOR, listed)];
    match named.map(|hops| hops.map(|hops| first_stranger(&hops, trusted))) {
        [None, None] => peer,
        [Some(client), None] | [None, Some(client)] => client.unwrap_or(peer),
        // A proxy writes one of the two, and then the sender has written the other: which one is not known.
        [Some(one), Some(other)] => one.filter(|_| one == other).unwrap_or(peer),
    }
}

/// What an address is bounded by: who has one IPv6 address has the 2⁶⁴ of its network.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Whether an address is one of these proxies'.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// Each hop in the order in which it was added; one that cannot be read is `None`.
type Hops = Vec<Option<IpAddr>>;

/// The hops of all lines of a header; `None`: it is not there.
fn hops(headers: &HeaderMap, name: &str, read: fn(&str) -> Hops) -> Option<Hops> {
    let lines = headers.get_all(name).iter();
    let hops: Hops = lines.flat_map(|line| line.to_str().map_or_else(|_| vec![None], read)).collect();
    headers.contains_key(name).then_some(hops)
}

/// From the right, past the proxies that are trusted. If all are, the request comes from the first of them.
fn first_stranger(hops: &Hops, trusted: &[IpNet]) -> Option<IpAddr> {
    for hop in hops.iter().rev() {
        let address = (*hop)?;
        if !is_trusted(address, trusted) {
            return Some(address);
        }
    }
    hops.first().copied().flatten()
}

fn listed(line: &str) -> Hops {
    line.split(',').map(|hop| node(hop.trim().trim_matches('"'))).collect()
}

/// The `for` of each element of a `Forwarded` line. A line that is not well-formed is one hop that cannot be read.
fn forwarded(line: &str) -> Hops {
    let Some(elements) = elements(line) else { return vec![None] };
    let of = |pairs: Vec<(String, String)>| {
        let mut named = pairs.into_iter().filter(|(name, _)| name.eq_ignore_ascii_case("for"));
        match (named.next(), named.next()) {
            (Some((_, value)), None) => node(&value),
            _ => None,
        }
    };
    elements.into_iter().map(of).collect()
}

/// The parameters of each element, with the quotes taken off.
fn elements(line: &str) -> Option<Vec<Vec<(String, String)>>> {
    let mut elements = vec![Vec::new()];
    let mut rest = line.trim();
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_start();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return None;
        }
        let (value, after) = value(after)?;
        elements.last_mut()?.push((name.to_owned(), value));
        let after = after.trim_start();
        let Some(separator) = after.chars().next() else { return Some(elements) };
        match separator {
            ',' => elements.push(Vec::new()),
            ';' => {}
            _ => return None,
        }
        rest = &after[1..];
    }
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, character) in quoted.char_indices() {
        match character {
            _ if escaped => {
                value.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, &quoted[at + 1..])),
            _ => value.push(character),
        }
    }
    None
}

/// An address, with or without a port, IPv6 with or without brackets. What hides its address (`unknown`, `_name`) has
/// none.
fn node(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok().or_else(|| text.parse().ok().map(|at: SocketAddr| at.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    address.or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn seen(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()).into();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        client(peer.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let header = [("x-forwarded-for", "192.0.2.1")];
        assert_eq!(seen("203.0.113.9", &header), "203.0.113.9");
        assert_eq!(seen(PROXY, &header), "192.0.2.1");
        assert_eq!(seen("::ffff:10.0.0.1", &header), "192.0.2.1", "an IPv4 peer of a socket for both");
        assert_eq!(seen(PROXY, &[]), PROXY);
    }

    #[test]
    fn the_right_most_hop_that_is_no_proxy_is_the_client() {
        for (line, client) in [
            ("192.0.2.7, 192.0.2.1", "192.0.2.1"),
            ("192.0.2.7, 192.0.2.1, 10.1.1.1 ,10.2.2.2", "192.0.2.1"),
            ("10.3.3.3, 10.1.1.1", "10.3.3.3"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("unknown, 192.0.2.1, fd00::2", "192.0.2.1"),
        ] {
            assert_eq!(seen(PROXY, &[("x-forwarded-for", line)]), client, "{line}");
        }
        let lines = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(seen(PROXY, &lines), "192.0.2.1", "lines are one list");
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_writes_it() {
        for (line, client) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17"),
            ("for=192.0.2.43,for=10.9.9.9;by=10.0.0.1", "192.0.2.43"),
            ("proto=https ; for=\"192.0.2.60:80\"", "192.0.2.60"),
            ("host=\"a,b;for=192.0.2.9\";for=192.0.2.60", "192.0.2.60"),
            ("for=\"192.0.2\\.60\"", "192.0.2.60"),
        ] {
            assert_eq!(seen(PROXY, &[("forwarded", line)]), client, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_the_proxy_itself() {
        for line in [
            "",
            "for",
            "for=",
            "for=unknown",
            "for=_hidden",
            "for=\"_hidden:_port\"",
            "for=192.0.2.1;for=192.0.2.2",
            "for=\"192.0.2.1",
            "proto=https",
            "for=192.0.2.1,",
            "for=192.0.2.1 for=192.0.2.2",
            "for=192.0.2.7, for=_hidden",
            "for=[fe80::1%eth0]",
        ] {
            assert_eq!(seen(PROXY, &[("forwarded", line)]), PROXY, "{line}");
        }
        for line in ["", "x", "192.0.2.1,", "192.0.2.1, unknown", "300.1.1.1", "192.0.2.1:99999"] {
            assert_eq!(seen(PROXY, &[("x-forwarded-for", line)]), PROXY, "{line}");
        }
    }

    #[test]
    fn two_headers_count_only_if_they_agree() {
        let both =
            |forwarded: &str| seen(PROXY, &[("forwarded", forwarded), ("x-forwarded-for", "192.0.2.1")]);
        assert_eq!(both("for=192.0.2.1"), "192.0.2.1");
        assert_eq!(both("for=192.0.2.2"), PROXY);
        assert_eq!(both("nonsense"), PROXY);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn whatever_a_sender_writes_the_address_that_the_proxy_saw_is_found_or_the_proxy_itself(
            written in "[ -~]{0,60}", is_forwarded: bool,
        ) {
            let (name, added) =
                if is_forwarded { ("forwarded", "for=192.0.2.77") } else { ("x-forwarded-for", "192.0.2.77") };
            let seen = seen(PROXY, &[(name, written.as_str()), (name, added)]);
            prop_assert_eq!(&seen, "192.0.2.77");
            let joined = format!("{written}, {added}");
            let seen = super::tests::seen(PROXY, &[(name, joined.as_str())]);
            prop_assert!(seen == "192.0.2.77" || seen == PROXY, "{seen}");
        }
    }
}
