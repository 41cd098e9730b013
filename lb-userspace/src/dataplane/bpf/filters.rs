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

/// Clears every bit but those of `endpoints`. After what made the others ours is gone.
pub fn keep_only(map: &Mapped<u64>, endpoints: impl Iterator<Item = Endpoint>) {
    let mut words = vec![0_u64; filter::WORDS as usize];
    for endpoint in endpoints {
        for (word, bit) in positions(endpoint) {
            words[word as usize] |= 1 << bit;
        }
    }
    for (index, word) in (0..).zip(words) {
        map.write(index, word);
    }
}

/// Of the endpoint, and of its address with any port.
fn positions(endpoint: Endpoint) -> [(u32, u32); 2] {
    [wire::port(endpoint), filter::ANY_PORT].map(|port| match endpoint.ip {
        IpAddr::V4(address) => filter::position(wire::v4(address), port),
        IpAddr::V6(address) => filter::position(wire::v6(address), port),
    })
}
