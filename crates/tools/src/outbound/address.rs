//! Classifies IP addresses: those in the IANA special-purpose registries are not public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// An address or a block of them: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        match (self.address, plain(address)) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same_bits(own.to_bits().into(), other.to_bits().into(), 32, self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same_bits(own.to_bits(), other.to_bits(), 128, self.prefix),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(widest), |prefix| prefix.parse().ok())?;
        (prefix <= widest).then_some(Self { address, prefix })
    }
}

impl<'de> Deserialize<'de> for IpNetwork {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is no address; write `10.1.2.3` or `10.0.0.0/8`")))
    }
}

fn same_bits(one: u128, other: u128, width: u8, prefix: u8) -> bool {
    let rest = width - prefix;
    prefix == 0 || one >> rest == other >> rest
}

/// Converts an IPv4 address inside an IPv6 one to that IPv4 address.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Returns whether an address is a public internet address, and not this machine, a private network, a cloud metadata
/// service or unassigned.
pub(super) fn is_public(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // These prefixes contain an IPv4 address, by translation (RFC 6052) or tunnel (RFC 3056).
    let embedded = |at: usize| {
        let octets = address.octets();
        Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3])
    };
    match (first, second) {
        (0x0064, 0xff9b) => address.segments()[2..6] == [0; 4] && is_public_v4(embedded(12)),
        (0x2002, _) => is_public_v4(embedded(2)),
        // Teredo, ORCHID, benchmarks and other protocol reservations; documentation.
        (0x2001, 0x0000..=0x01ff | 0x0db8) | (0x3fff, 0x0000..=0x0fff) => false,
        // Everything assigned as global unicast.
        (0x2000..=0x3fff, _) => true,
        _ => false,
    }
}

/// Returns whether a cloud serves secrets to its own machines at an address: link-local addresses, and others that
/// clouds have chosen.
pub(super) fn is_of_a_cloud(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(v4) => is_of_a_cloud_v4(v4),
        IpAddr::V6(v6) => match v6.segments() {
            // Amazon's, and any link-local address; by translation and tunnel too.
            [0xfd00, 0x0ec2, ..] | [0xfe80..=0xfebf, ..] => true,
            [0x0064, 0xff9b, .., high, low] | [0x2002, high, low, ..] => {
                is_of_a_cloud_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
            }
            _ => false,
        },
    }
}

/// Any link-local address; Alibaba's and Oracle's.
fn is_of_a_cloud_v4(address: Ipv4Addr) -> bool {
    address.is_link_local() || matches!(address.octets(), [100, 100, 100, 200] | [192, 0, 0, 192])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clouds_tell_their_machines_is_known_in_every_form() {
        for (address, expect) in [
            ("169.254.169.254", true),
            ("169.254.170.2", true),
            ("::ffff:169.254.169.254", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("2002:a9fe:a9fe::", true),
            ("fd00:ec2::254", true),
            ("fe80::a9fe:a9fe", true),
            ("100.100.100.200", true),
            ("127.0.0.1", false),
            ("10.0.0.1", false),
            ("fd00::1", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(is_of_a_cloud(address.parse().unwrap()), expect, "{address}");
        }
    }

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for public in ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2002:808:808::1", "64:ff9b::808:808"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "192.0.0.170",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "192.88.99.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "100::1",
            "3fff::1",
            "4000::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn a_network_holds_what_shares_its_prefix() {
        let holds = |network: &str, address: &str| IpNetwork::parse(network).unwrap().holds(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.200.1.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("127.0.0.1", "::ffff:127.0.0.1"));
        assert!(!holds("127.0.0.1", "127.0.0.2"));
        assert!(holds("fd00::/8", "fd12::1"));
        assert!(holds("0.0.0.0/0", "1.2.3.4"));
        assert!(!holds("0.0.0.0/0", "::1"));
        assert_eq!(IpNetwork::parse("10.0.0.0/33"), None);
        assert_eq!(IpNetwork::parse("localhost"), None);
    }
}
