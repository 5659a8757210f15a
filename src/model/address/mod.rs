//! Which addresses a callback may reach: the table against server-side request forgery.
//!
//! A callback URL is written by a stranger, and the relay stands inside a network the stranger cannot reach. So every
//! address is judged here, when the URL is registered (if its host is an address) and again when it is dialled.
//!
//! Guarantees: nothing in the IANA special-purpose registries for IPv4 and IPv6 passes, nor any IPv6 form that carries
//! an IPv4 address (mapped, compatible, SIIT, ISATAP, 6to4, Teredo, local NAT64), nor anything outside `2000::/3`, nor
//! the known metadata addresses of the clouds. The NAT64 well-known prefix `64:ff9b::/96` is judged by the address it
//! carries, because behind NAT64 every IPv4-only receiver is reached through it.
//! Does not guarantee: that a public address is not routed inwards. A network's own NAT64 prefix, or public addresses
//! used inside, look like any other.

mod table;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use thiserror::Error;

use table::{GLOBAL_UNICAST, V4, V6};

/// The name of the range that keeps `ip` from being a callback address, or nothing for an ordinary public address.
pub fn special_use(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => special_v4(ip),
        IpAddr::V6(ip) => special_v6(ip),
    }
}

fn special_v4(ip: Ipv4Addr) -> Option<&'static str> {
    V4.iter().find(|(net, _)| net.contains(&ip)).map(|(_, name)| *name)
}

fn special_v6(ip: Ipv6Addr) -> Option<&'static str> {
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = ip.segments() {
        return special_v4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)));
    }
    // An interface identifier of ISATAP names an IPv4 address behind any prefix; tunnels are no place for a receiver.
    if matches!(ip.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, _, _]) {
        return Some("ISATAP");
    }
    let listed = V6.iter().find(|(net, _)| net.contains(&ip)).map(|(_, name)| *name);
    listed.or_else(|| (!GLOBAL_UNICAST.contains(&ip)).then_some("not global unicast"))
}

/// Which special addresses this installation lets callbacks reach all the same. None by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    allow: Vec<IpNet>,
}

impl AddressPolicy {
    /// A policy with these exceptions. An IPv4 network also opens its IPv4-mapped form, which dials the same host.
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self { allow }
    }

    /// Whether a callback may be sent to `ip`.
    ///
    /// # Errors
    /// [`Refused`] with the range when the address is special and not opened by an exception.
    pub fn check(&self, ip: IpAddr) -> Result<(), Refused> {
        match special_use(ip) {
            Some(range) if !self.opens(ip) => Err(Refused { range }),
            _ => Ok(()),
        }
    }

    fn opens(&self, ip: IpAddr) -> bool {
        let plain = ip.to_canonical();
        self.allow.iter().any(|net| net.contains(&ip) || net.contains(&plain))
    }
}

/// An address no callback may reach. It names the range only: which address an inner name resolves to is nothing a
/// stranger should learn from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the callback host has an address that callbacks may not reach ({range}): use a host with public addresses, or have \
     whoever runs this relay allow its range with RELAY_ALLOW_CALLBACK_CIDRS"
)]
pub struct Refused {
    /// The name of the range, as [`special_use`] gives it.
    pub range: &'static str,
}
