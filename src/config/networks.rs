//! Networks as settings.

use std::net::IpAddr;

use ipnet::IpNet;

/// A network, or a single address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| "must be networks or addresses with commas between, such as 10.0.0.0/8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_single_addresses_are_read() {
        for (text, read) in [("10.0.0.0/8", "10.0.0.0/8"), (" 2001:db8::7 ", "2001:db8::7/128")] {
            assert_eq!(network(text).unwrap().to_string(), read);
        }
        for wrong in ["", "10.0.0.0/33", "proxy.example.com", "10.0.0.0-10.0.0.9"] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
    }
}
