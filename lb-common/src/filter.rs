//! A bitmap that rejects most packets that are not ours before anything is hashed: one bit for each folded
//! endpoint. A set bit means "perhaps"; a clear one "certainly not".

use crate::address::Address;

/// 64-bit words of one bitmap.
pub const WORDS: u32 = 256;
const BITS: u32 = WORDS * 64;

/// An address that has any endpoint has a bit with this port, too: later fragments have no other.
pub const ANY_PORT: u16 = 0;

/// Where the bit of an endpoint is: (word, bit). Multiplicative hashing (Knuth, The Art of Computer Programming, volume 3,
/// section 6.4): its upper bits depend on all of the endpoint.
#[inline(always)]
pub fn position<A: Address>(address: A, port: u16) -> (u32, u32) {
    let hash = (address.blend() ^ u64::from(port) << 8).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bit = (hash >> (u64::BITS - BITS.trailing_zeros())) as u32;
    (bit >> 6, bit & 63)
}

/// The bit, as 0 or 1, of a `word` read from the place that [`position`] says.
#[inline(always)]
pub const fn bit(word: u64, bit: u32) -> u64 {
    word >> (bit & 63) & 1
}

/// Whether the word has it.
#[inline(always)]
pub const fn has(word: u64, bit: u32) -> bool {
    self::bit(word, bit) == 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Hosts of one network, as they stand beside a VIP or a backend.
    #[test]
    fn neighbours_have_bits_of_their_own() {
        let v4: BTreeSet<_> = (0..256_u32)
            .map(|host| position((0x0a02_0000 + host).to_be(), ANY_PORT))
            .collect();
        let v6: BTreeSet<_> = (0..256_u32)
            .map(|host| [0xfd00_0002, 0, 0, host].map(u32::to_be))
            .map(|address| position(address, ANY_PORT))
            .collect();
        // Of 256 thrown at random, 2 would share a bit with another.
        assert!(v4.len() >= 252, "{}", v4.len());
        assert!(v6.len() >= 252, "{}", v6.len());
    }

    #[test]
    fn ports_have_bits_of_their_own() {
        let bits: BTreeSet<_> = (8000..8256_u16)
            .map(|port| position(0x0a02_000b_u32.to_be(), port.to_be()))
            .collect();
        assert!(bits.len() >= 252, "{}", bits.len());
    }
}
