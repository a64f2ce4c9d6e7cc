//! Which addresses count as one, and which are proxies.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};

/// What counts as one address: of IPv6 the network of 64 bits, because every subscriber has one.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => leading_bits(address, 64),
    }
}

/// The network of 48 bits around an address of IPv6. A site usually has one, with 65,536 networks
/// of 64 bits in it.
pub(super) fn site_of(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(leading_bits(address, 48)),
    }
}

fn leading_bits(address: Ipv6Addr, bits: u32) -> IpAddr {
    let rest = 128 - bits;
    IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> rest << rest))
}

/// Peers that bring the requests of many clients, and whose `X-Forwarded-For` is believed: this
/// machine, on which a proxy or tunnel may run, and what `--trusted-proxy` names.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies {
    named: Vec<IpNet>,
}

impl TrustedProxies {
    pub(crate) fn new(named: &[IpNet]) -> TrustedProxies {
        TrustedProxies { named: named.to_vec() }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.named.iter().any(|net| net.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn addresses_of_one_subscriber_are_one() {
        assert_eq!(network_of(address("192.0.2.7")), address("192.0.2.7"));
        assert_eq!(network_of(address("2001:db8:1:2:3::4")), address("2001:db8:1:2::"));
        assert_eq!(site_of(address("2001:db8:1:2:3::4")), Some(address("2001:db8:1::")));
        assert_eq!(site_of(address("192.0.2.7")), None);
    }

    #[test]
    fn proxies_are_this_machine_and_those_that_are_named() {
        let named = ["10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32"];
        let proxies =
            TrustedProxies::new(&named.map(|net| net.parse::<IpNet>().expect("a network")));
        for inside in ["127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "192.0.2.7", "2001:db8::7"] {
            assert!(proxies.contains(address(inside)), "{inside}");
        }
        for outside in ["10.2.0.1", "192.0.2.8", "2001:db9::1", "203.0.113.1"] {
            assert!(!proxies.contains(address(outside)), "{outside}");
        }
    }
}
