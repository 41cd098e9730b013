//! Addresses between the standard library's types and the words that stand in packets and maps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::address::{Address, V4, V6};

use crate::address::Endpoint;

pub fn v4(address: Ipv4Addr) -> V4 {
    u32::from_ne_bytes(address.octets())
}

pub fn v6(address: Ipv6Addr) -> V6 {
    let octets = address.octets();
    std::array::from_fn(|i| {
        u32::from_ne_bytes([
            octets[4 * i],
            octets[4 * i + 1],
            octets[4 * i + 2],
            octets[4 * i + 3],
        ])
    })
}

/// The family's number and the address in four words, as the backend array holds it.
pub fn words(address: IpAddr) -> (u8, [u32; 4]) {
    match address {
        IpAddr::V4(address) => (V4::FAMILY, v4(address).to_words()),
        IpAddr::V6(address) => (V6::FAMILY, v6(address).to_words()),
    }
}

/// The port in network byte order; 0 for none.
pub fn port(endpoint: Endpoint) -> u16 {
    endpoint.port.unwrap_or_default().to_be()
}

/// The reverse of [`port`] and, for an address, of [`words`].
pub fn endpoint(ip: IpAddr, port: u16) -> Endpoint {
    SocketAddr::new(ip, u16::from_be(port)).into()
}

/// The reverse of [`words`]; `None` for a family that is none.
pub fn address(family: u8, words: [u32; 4]) -> Option<IpAddr> {
    let mut octets = [0; 16];
    for (place, word) in octets.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    match family {
        V4::FAMILY => Some(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).into()),
        V6::FAMILY => Some(Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_there_and_back() {
        for text in ["192.0.2.1", "0.0.0.1", "2001:db8::1:2", "::1"] {
            let ip: IpAddr = text.parse().unwrap();
            let (family, words) = words(ip);
            assert_eq!(address(family, words), Some(ip));
        }
        assert_eq!(address(0, [0; 4]), None);
    }

    #[test]
    fn so_do_endpoints_with_and_without_a_port() {
        for text in ["192.0.2.1:80", "192.0.2.1", "[2001:db8::1]"] {
            let written: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint(written.ip, port(written)), written);
        }
    }
}
