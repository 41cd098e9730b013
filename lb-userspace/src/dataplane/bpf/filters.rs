//! The bitmaps that reject packets which are certainly not ours.

use std::net::IpAddr;

use lb_common::filter;

use super::{mapped::Mapped, wire};
use crate::address::Endpoint;

/// Sets the bits of an endpoint, of port 0 where it has none. Before anything that makes its packets ours.
pub fn add(map: &Mapped<u64>, endpoint: Endpoint) {
    for (word, bit) in positions(endpoint) {
        map.write(word, map.read(word) | 1 << bit);
    }
}

/// Sets the bit of an address alone.
pub fn add_address(map: &Mapped<u64>, address: IpAddr) {
    let (word, bit) = position(address, filter::ANY_PORT);
    map.write(word, map.read(word) | 1 << bit);
}

/// Clears every bit but those of `endpoints` and `addresses`. After what made the others ours is gone.
pub fn keep_only(
    map: &Mapped<u64>,
    endpoints: impl Iterator<Item = Endpoint>,
    addresses: impl Iterator<Item = IpAddr>,
) {
    let mut words = vec![0_u64; filter::WORDS as usize];
    let alone = addresses.map(|address| position(address, filter::ANY_PORT));
    for (word, bit) in endpoints.flat_map(positions).chain(alone) {
        words[word as usize] |= 1 << bit;
    }
    for (index, word) in (0..).zip(words) {
        map.write(index, word);
    }
}

/// Of the endpoint, and of its address with any port.
fn positions(endpoint: Endpoint) -> [(u32, u32); 2] {
    [wire::port(endpoint), filter::ANY_PORT].map(|port| position(endpoint.ip, port))
}

fn position(address: IpAddr, port: u16) -> (u32, u32) {
    match address {
        IpAddr::V4(address) => filter::position(wire::v4(address), port),
        IpAddr::V6(address) => filter::position(wire::v6(address), port),
    }
}
