//! Which addresses lead back to the relay: to this process, or to another one of the installation.
//!
//! Guarantees: a port on which a process of the same network stack listens is the relay's on every address of this machine,
//! and no other port of it is. Across machines only public addresses are the relay's: a private one, or 127.0.0.1, may be
//! somebody else there.
//! Does not know what passes requests on, like a load balancer or a published port: what comes around that way is ended by
//! [`hops`](super::hops).

use std::net::{IpAddr, SocketAddr};

use super::address::AddressPolicy;

/// Where a process listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// The network stack it is in.
    pub network: String,
    pub port: u16,
    /// Public addresses of it.
    pub addresses: Vec<IpAddr>,
}

impl Listening {
    /// A process of this network stack that is reached at these addresses, of which the public ones are kept.
    pub fn new(network: &str, port: u16, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let public = AddressPolicy::default();
        let addresses = addresses.into_iter().map(|ip| ip.to_canonical());
        let addresses = addresses.filter(|ip| public.check(*ip).is_ok()).collect();
        Self { network: network.to_owned(), port, addresses }
    }
}

/// Where the processes of the installation listen, as seen from one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    /// The network stack of the one that sees.
    pub network: String,
    pub listening: Vec<Listening>,
}

impl OwnAddresses {
    /// Whether a request to this address would be the relay's own.
    pub fn lead_back(&self, to: SocketAddr, is_this_machine: impl Fn(IpAddr) -> bool) -> bool {
        let on_port = self.listening.iter().filter(|process| process.port == to.port());
        on_port.into_iter().any(|process| {
            let is_here = process.network == self.network && is_this_machine(to.ip());
            is_here || process.addresses.contains(&to.ip().to_canonical())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_port_of_this_machine_is_the_relays_on_all_its_addresses_and_the_next_one_on_none() {
        let neighbour = Listening::new("here", 8080, [ip("127.0.0.1")]);
        let own = OwnAddresses { network: "here".to_owned(), listening: vec![neighbour] };
        let here = |ip: IpAddr| ip.is_loopback() || ip == self::ip("10.0.0.5");
        for address in ["127.0.0.1:8080", "127.9.9.9:8080", "[::1]:8080", "10.0.0.5:8080"] {
            assert!(own.lead_back(address.parse().unwrap(), here), "{address}");
        }
        for address in ["127.0.0.1:8081", "10.0.0.5:8081", "10.0.0.6:8080", "198.41.0.4:8080"] {
            assert!(!own.lead_back(address.parse().unwrap(), here), "{address}");
        }
    }

    #[test]
    fn another_machine_is_known_by_its_public_addresses_alone() {
        let addresses = ["198.41.0.4", "2001:503:ba3e::2:30", "10.0.0.5", "127.0.0.1", "fe80::1"].map(ip);
        let elsewhere = Listening::new("there", 8080, addresses);
        let own = OwnAddresses { network: "here".to_owned(), listening: vec![elsewhere] };
        for address in ["198.41.0.4:8080", "[2001:503:ba3e::2:30]:8080", "[::ffff:198.41.0.4]:8080"] {
            assert!(own.lead_back(address.parse().unwrap(), |_| false), "{address}");
        }
        // A receiver beside this process has the address that the other process has beside another receiver.
        for address in ["10.0.0.5:8080", "127.0.0.1:8080", "198.41.0.4:443"] {
            assert!(!own.lead_back(address.parse().unwrap(), |_| true), "{address}");
        }
    }
}
