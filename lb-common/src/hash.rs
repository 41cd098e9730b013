//! How packets spread over slots and buckets.

use crate::{address::Address, backend::BackendId, flow::Tuple};

/// The finaliser of MurmurHash3 (Appleby, 2011), 32 bits: every input bit reaches every output bit.
#[inline(always)]
pub const fn mix(mut word: u32) -> u32 {
    word ^= word >> 16;
    word = word.wrapping_mul(0x85eb_ca6b);
    word ^= word >> 13;
    word = word.wrapping_mul(0xc2b2_ae35);
    word ^ (word >> 16)
}

/// Of the client's end of a flow to a service, for choosing its slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hashes {
    /// Of the client's address alone.
    pub client: u32,
    /// Of its port and the VIP's, too.
    pub flow: u32,
}

impl Hashes {
    /// The same on every node with the same `seed`. The VIP side is not hashed but for its port: a service's VIPs share one
    /// table.
    #[inline(always)]
    pub fn of<A: Address>(seed: u32, client: A, client_port: u16, vip_port: u16) -> Self {
        let client = mix(client.fold() ^ seed);
        let ports = u32::from(client_port) << 16 | u32::from(vip_port);
        Self {
            client,
            flow: mix(client.wrapping_add(ports)),
        }
    }
}

/// Scales a hash to `0..size` (Lemire, "Fast random integer generation in an interval", 2019).
#[inline(always)]
pub const fn scale(hash: u32, size: u32) -> u32 {
    ((hash as u64 * size as u64) >> 32) as u32
}

/// Hashes a socket address and a protocol, for finding a service. The seed goes in first: endpoints that collide
/// with one seed do not with another.
#[inline(always)]
pub fn endpoint<A: Address>(seed: u32, address: A, port: u16, protocol: u8) -> u32 {
    mix(mix(address.fold() ^ seed).wrapping_add(u32::from(port) << 8 | u32::from(protocol)))
}

/// Hashes both ends of a flow of `nat`, given the tuple of its replies: all of the client's end, which others choose, and
/// the backend's address folded, which they do not.
#[inline(always)]
pub fn ends<A: Address>(secret: u64, reply: &Tuple<A>) -> u64 {
    let ports = u32::from(reply.source_port) << 16 | u32::from(reply.destination_port);
    let hash = reply.destination.absorbed(secret, round);
    round(
        hash,
        u64::from(reply.source.fold()) << 32 | u64::from(ports),
    )
}

/// Goes on from the hash of a flow's [`ends`] with the VIP that it goes through, and the name of its backend.
#[inline(always)]
pub fn whole<A: Address>(ends: u64, vip: A, vip_port: u16, backend: BackendId) -> u64 {
    let target = u64::from(vip.fold()) << 32 | u64::from(backend.bits());
    round(ends, target ^ u64::from(vip_port) << 16)
}

/// A multiplication and a shift, after SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[inline(always)]
const fn round(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: usize = 64;
    const FLOWS: u32 = 64_000;

    /// `hash` of the flow with a number, in slots.
    fn spreads_evenly(hash: impl Fn(u32) -> u32) {
        let mut counts = [0_u32; SLOTS];
        for i in 0..FLOWS {
            counts[scale(hash(i), SLOTS as u32) as usize] += 1;
        }
        let expected = f64::from(FLOWS) / SLOTS as f64;
        let chi2: f64 = counts
            .iter()
            .map(|&c| (f64::from(c) - expected).powi(2) / expected)
            .sum();
        // 63 degrees of freedom: 0.1 % of random tables exceed 103.
        assert!(chi2 < 103.0, "chi² {chi2}");
    }

    #[test]
    fn sequential_clients_and_ports_spread_evenly() {
        for seed in [0, 7, 0xdead_beef] {
            spreads_evenly(|i| {
                let client = (0x0a00_0000 + i / 1000).to_be();
                let port = (30_000 + (i % 1000) as u16).to_be();
                Hashes::of::<u32>(seed, client, port, 80_u16.to_be()).flow
            });
        }
    }

    #[test]
    fn sequential_clients_spread_evenly_by_their_addresses_alone() {
        for seed in [0, 7, 0xdead_beef] {
            spreads_evenly(|i| {
                let of = |port| Hashes::of::<u32>(seed, (0x0a00_0000 + i).to_be(), port, 80);
                let (one, other) = (of(i as u16), of(!i as u16));
                assert_eq!(one.client, other.client);
                assert_ne!(one.flow, other.flow);
                one.client
            });
        }
    }

    #[test]
    fn scale_stays_below_its_bound() {
        assert_eq!(scale(u32::MAX, 65_537), 65_536);
        assert_eq!(scale(0, 65_537), 0);
        assert_eq!(scale(u32::MAX, 1), 0);
    }
}
