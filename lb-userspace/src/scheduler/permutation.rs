//! What a backend's identity decides: its place in a turn and its ways through the slots.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// The second half of the hash's key: keeps these hashes apart from others made with the same seed.
const PURPOSE: u64 = u64::from_le_bytes(*b"maglev 1");
/// Hashed in place of a walk's number; no weight reaches it.
const ORDER: u16 = u16::MAX;

/// Where a backend stands in each turn, in relation to others.
pub fn order(seed: u64, identity: &str) -> u64 {
    hash(seed, identity, ORDER).0
}

/// First slot and distance between slots of a backend's walk: 0..size and 1..size.
pub fn start(seed: u64, identity: &str, walk: u16, size: u32) -> (u32, u32) {
    let (first, second) = hash(seed, identity, walk);
    (
        scale(first, size),
        1 + scale(second, size.saturating_sub(1)),
    )
}

/// 128 bits of SipHash-1-3 over the identity and a number of fixed length.
fn hash(seed: u64, identity: &str, number: u16) -> (u64, u64) {
    let mut hasher = SipHasher13::new_with_keys(seed, PURPOSE);
    hasher.write(identity.as_bytes());
    hasher.write(&number.to_le_bytes());
    let hash = hasher.finish128();
    (hash.h1, hash.h2)
}

/// Scales a hash to `0..bound` (Lemire, "Fast random integer generation in an interval", 2019).
const fn scale(hash: u64, bound: u32) -> u32 {
    ((hash as u128 * bound as u128) >> 64) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables of nodes that run different builds agree only while these stay what they are.
    #[test]
    fn hashes_are_part_of_the_contract() {
        assert_eq!(order(0, "10.0.0.11:8001"), 14_122_639_676_360_440_891);
        assert_eq!(start(0, "10.0.0.11:8001", 0, 65_537), (56_137, 56_011));
        assert_eq!(start(7, "api1", 1, 1021), (27, 559));
    }

    #[test]
    fn identity_and_number_do_not_run_together() {
        let number = u16::from_le_bytes(*b"bc");
        let other = u16::from_le_bytes(*b"cd");
        assert_ne!(hash(0, "a", number), hash(0, "ab", other));
        assert_ne!(hash(0, "a", 0), hash(0, "a", 1));
        assert_ne!(hash(0, "a", 0), hash(1, "a", 0));
    }

    #[test]
    fn scale_reaches_both_ends_and_no_further() {
        assert_eq!(scale(0, 65_537), 0);
        assert_eq!(scale(u64::MAX, 65_537), 65_536);
        assert_eq!(scale(u64::MAX, 0), 0);
    }
}
