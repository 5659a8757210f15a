//! The table, spelled out: every range with both its ends, and the neighbours just outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// First and last address of each refused range, with the name it is refused by.
const REFUSED: &[(&str, &str, &str)] = &[
    ("0.0.0.0", "0.255.255.255", "this network"),
    ("10.0.0.0", "10.255.255.255", "private"),
    ("100.64.0.0", "100.127.255.255", "carrier-grade NAT"),
    ("127.0.0.0", "127.255.255.255", "loopback"),
    ("169.254.0.0", "169.254.255.255", "link-local"),
    ("172.16.0.0", "172.31.255.255", "private"),
    ("192.0.0.0", "192.0.0.255", "IETF protocol assignments"),
    ("192.0.2.0", "192.0.2.255", "documentation"),
    ("192.31.196.0", "192.31.196.255", "AS112"),
    ("192.52.193.0", "192.52.193.255", "AMT"),
    ("192.88.99.0", "192.88.99.255", "6to4 relay"),
    ("192.168.0.0", "192.168.255.255", "private"),
    ("192.175.48.0", "192.175.48.255", "AS112"),
    ("198.18.0.0", "198.19.255.255", "benchmarking"),
    ("198.51.100.0", "198.51.100.255", "documentation"),
    ("203.0.113.0", "203.0.113.255", "documentation"),
    ("224.0.0.0", "239.255.255.255", "multicast"),
    ("240.0.0.0", "255.255.255.254", "reserved"),
    ("255.255.255.255", "255.255.255.255", "broadcast"),
    ("169.254.169.254", "169.254.169.254", "cloud metadata"),
    ("169.254.170.2", "169.254.170.2", "cloud metadata"),
    ("100.100.100.200", "100.100.100.200", "cloud metadata"),
    ("168.63.129.16", "168.63.129.16", "cloud metadata"),
    ("192.0.0.192", "192.0.0.192", "cloud metadata"),
    ("::", "::", "unspecified"),
    ("::1", "::1", "loopback"),
    ("::2", "::ffff:ffff", "IPv4-compatible"),
    ("::ffff:0:0", "::ffff:ffff:ffff", "IPv4-mapped"),
    ("::ffff:0:0:0", "::ffff:0:ffff:ffff", "IPv4-translated"),
    ("::5efe:0:0", "::5efe:ffff:ffff", "ISATAP"),
    ("2a00:1450::200:5efe:0:0", "2a00:1450::200:5efe:ffff:ffff", "ISATAP"),
    ("fe80::5efe:0:0", "fe80::5efe:ffff:ffff", "ISATAP"),
    ("64:ff9b::7f00:0", "64:ff9b::7fff:ffff", "loopback"),
    ("64:ff9b::a00:0", "64:ff9b::aff:ffff", "private"),
    ("64:ff9b::a9fe:a9fe", "64:ff9b::a9fe:a9fe", "cloud metadata"),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "local NAT64"),
    ("64:ff9b:2::", "64:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("ff:ffff::", "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"),
    ("100::", "100::ffff:ffff:ffff:ffff", "discard-only"),
    ("100:0:0:1::", "100::1:ffff:ffff:ffff:ffff", "dummy prefix"),
    ("100:0:0:2::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not global unicast"),
    ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "Teredo"),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "benchmarking"),
    ("2001:1::1", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "IETF protocol assignments"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6to4"),
    ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "AS112"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
    ("4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not global unicast"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "segment routing"),
    ("5f01::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "not global unicast"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique local"),
    ("fd00:ec2::254", "fd00:ec2::254", "cloud metadata"),
    ("fd20:ce::254", "fd20:ce::254", "cloud metadata"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
];

/// Ordinary public addresses, most of them next door to a refused range.
const PUBLIC: &[&str] = &[
    "1.0.0.0",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.254",
    "100.63.255.255",
    "100.128.0.0",
    "100.128.0.1",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.1.255",
    "192.0.3.0",
    "192.31.195.255",
    "192.31.197.0",
    "192.52.192.255",
    "192.52.194.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "192.175.47.255",
    "192.175.49.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "64:ff9b::808:808",
    "64:ff9b::b00:0",
    "2000::",
    "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:200::1",
    "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db9::",
    "2001:4860:4860::8888",
    "2003::",
    "2606:4700:4700::1111",
    "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff",
    "2620:4f:8001::",
    "2a00:1450::5eff:7f00:1",
    "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "3fff:1000::",
    "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];

#[test]
fn both_ends_of_every_special_range_are_refused_by_name() {
    for (first, last, name) in REFUSED {
        assert_eq!(special_use(ip(first)), Some(*name), "{first}");
        assert_eq!(special_use(ip(last)), Some(*name), "{last}");
    }
}

#[test]
fn public_addresses_next_to_special_ranges_pass() {
    for address in PUBLIC {
        assert_eq!(special_use(ip(address)), None, "{address}");
    }
}

#[test]
fn every_way_to_write_loopback_and_metadata_in_ipv6_is_refused() {
    for carried in ["127.0.0.1", "169.254.169.254", "10.0.0.1", "0.0.0.0"] {
        let bits = u128::from(carried.parse::<Ipv4Addr>().unwrap().to_bits());
        let forms = [
            bits,
            (0xffff << 32) | bits,
            (0xffff << 48) | bits,
            (0x5efe << 32) | bits,
            (0x0064_ff9b << 96) | bits,
            (0x0064_ff9b_0001 << 80) | bits,
            (0x2002 << 112) | (bits << 80),
            (0x2001 << 112) | (!bits & 0xffff_ffff),
        ];
        for form in forms.map(Ipv6Addr::from_bits) {
            assert!(special_use(form.into()).is_some(), "{form} carries {carried}");
        }
    }
}

#[test]
fn an_exception_opens_its_network_and_nothing_beside_it() {
    let policy = AddressPolicy::new(vec!["10.1.0.0/16".parse().unwrap(), "fd00:1::/32".parse().unwrap()]);
    for open in ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::7", "8.8.8.8"] {
        assert_eq!(policy.check(ip(open)), Ok(()), "{open}");
    }
    for shut in ["10.2.0.0", "10.0.255.255", "::ffff:10.2.0.0", "64:ff9b::a01:203", "fd00:2::7", "127.0.0.1"]
    {
        assert!(policy.check(ip(shut)).is_err(), "{shut}");
    }
}

#[test]
fn a_refusal_names_the_range_and_not_the_address() {
    let said = AddressPolicy::default().check(ip("10.11.12.13")).unwrap_err().to_string();
    assert!(said.contains("(private)") && !said.contains("10.11"), "{said}");
}

proptest! {
    /// The standard library's own predicates, written by others, must never call something special that passes here.
    #[test]
    fn nothing_the_standard_library_calls_special_passes(bits: u32) {
        let ip = Ipv4Addr::from_bits(bits);
        if ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_documentation()
            || ip.is_broadcast() || ip.is_unspecified()
        {
            prop_assert!(special_use(ip.into()).is_some());
        }
    }

    #[test]
    fn nothing_outside_global_unicast_passes_but_nat64(bits: u128) {
        let ip = Ipv6Addr::from_bits(bits);
        if special_use(ip.into()).is_none() {
            prop_assert_eq!(bits >> 125, 1);
        }
    }

    #[test]
    fn nat64_is_judged_by_the_address_it_carries(bits: u32) {
        let carrier = Ipv6Addr::from_bits((0x0064_ff9b << 96) | u128::from(bits));
        prop_assert_eq!(special_use(carrier.into()), special_use(Ipv4Addr::from_bits(bits).into()));
    }
}
