//! A bitmap that rejects most packets that are not ours before anything is hashed: one bit for each folded
//! endpoint. A set bit means "perhaps"; a clear one "certainly not".

use crate::address::Address;

/// 64-bit words of one bitmap.
pub const WORDS: u32 = 256;
const BITS: u32 = WORDS * 64;

/// An address that has any endpoint has a bit with this port, too: later fragments have no other.
pub const ANY_PORT: u16 = 0;

/// Where the bit of an endpoint is: (word, bit).
#[inline(always)]
pub fn position<A: Address>(address: A, port: u16) -> (u32, u32) {
    let folded = address.blend();
    let bit = (folded ^ folded >> 16 ^ u32::from(port).wrapping_mul(0x9e37)) & (BITS - 1);
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
