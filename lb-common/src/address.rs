//! What differs between IPv4 and IPv6. Everything else is written once, generic over [`Address`].

use core::hash::Hash;

use network_types::eth::EtherType;

use crate::csum::halves;

/// An IP address as it stands in the packet: words in network byte order, loaded natively.
pub trait Address: Copy + Eq + Hash + Default + core::fmt::Debug + 'static {
    /// The value of `AF_INET` or `AF_INET6`, as `bpf_fib_lookup` wants it.
    const FAMILY: u8;
    /// The EtherType, in network byte order.
    const ETHERTYPE: u16;
    /// How many words an address has.
    const WORDS: usize;
    /// Where the addresses stand in the IP header.
    const SOURCE_OFFSET: usize;
    const DESTINATION_OFFSET: usize;
    /// Where TTL or hop limit stands in the IP header.
    const TTL_OFFSET: usize;
    /// Where the header checksum stands, for the family that has one.
    const CHECKSUM_OFFSET: Option<usize>;

    /// The address in four words, as the backend array and `bpf_fib_lookup` hold it; IPv4 in the first.
    fn to_words(self) -> [u32; 4];
    /// By reference, and read word by word: the whole would be copied by a call that goes byte by byte.
    fn from_words(words: &[u32; 4]) -> Self;
    /// The same from wherever its words, by number, are read.
    fn read(word: impl Fn(usize) -> u32) -> Self;
    /// Whether these are its words.
    fn is(self, word: impl Fn(usize) -> u32) -> bool;
    /// The address folded to one word; enough for hashing one end of a flow.
    fn fold(self) -> u32;
    /// The same in a larger word and with less effort.
    fn blend(self) -> u64;
    /// `hash` after all of its words went into it, two by two.
    fn absorbed(self, hash: u64, round: impl Fn(u64, u64) -> u64) -> u64;
    /// The one's complement sum of its 16-bit words, unfolded.
    fn sum(self) -> u32;
}

/// An IPv4 address.
pub type V4 = u32;
/// An IPv6 address.
pub type V6 = [u32; 4];

impl Address for V4 {
    const FAMILY: u8 = 2;
    const ETHERTYPE: u16 = EtherType::Ipv4 as u16;
    const WORDS: usize = 1;
    const SOURCE_OFFSET: usize = 12;
    const DESTINATION_OFFSET: usize = 16;
    const TTL_OFFSET: usize = 8;
    const CHECKSUM_OFFSET: Option<usize> = Some(10);

    #[inline(always)]
    fn to_words(self) -> [u32; 4] {
        [self, 0, 0, 0]
    }

    #[inline(always)]
    fn from_words(words: &[u32; 4]) -> Self {
        words[0]
    }

    #[inline(always)]
    fn read(word: impl Fn(usize) -> u32) -> Self {
        word(0)
    }

    #[inline(always)]
    fn is(self, word: impl Fn(usize) -> u32) -> bool {
        word(0) == self
    }

    #[inline(always)]
    fn fold(self) -> u32 {
        self
    }

    #[inline(always)]
    fn blend(self) -> u64 {
        u64::from(self)
    }

    #[inline(always)]
    fn absorbed(self, hash: u64, round: impl Fn(u64, u64) -> u64) -> u64 {
        round(hash, u64::from(self))
    }

    #[inline(always)]
    fn sum(self) -> u32 {
        halves(self)
    }
}

impl Address for V6 {
    const FAMILY: u8 = 10;
    const ETHERTYPE: u16 = EtherType::Ipv6 as u16;
    const WORDS: usize = 4;
    const SOURCE_OFFSET: usize = 8;
    const DESTINATION_OFFSET: usize = 24;
    const TTL_OFFSET: usize = 7;
    const CHECKSUM_OFFSET: Option<usize> = None;

    #[inline(always)]
    fn to_words(self) -> [u32; 4] {
        self
    }

    #[inline(always)]
    fn from_words(words: &[u32; 4]) -> Self {
        [words[0], words[1], words[2], words[3]]
    }

    #[inline(always)]
    fn read(word: impl Fn(usize) -> u32) -> Self {
        [word(0), word(1), word(2), word(3)]
    }

    #[inline(always)]
    fn is(self, word: impl Fn(usize) -> u32) -> bool {
        // One branch, and not by a comparison of memory.
        let [a, b, c, d] = self;
        (word(0) ^ a) | (word(1) ^ b) | (word(2) ^ c) | (word(3) ^ d) == 0
    }

    #[inline(always)]
    fn fold(self) -> u32 {
        // Multiplied between the words, so that swapping two of them matters.
        let mut folded = self[0];
        folded = folded.wrapping_mul(0x9e37_79b1) ^ self[1];
        folded = folded.wrapping_mul(0x9e37_79b1) ^ self[2];
        folded.wrapping_mul(0x9e37_79b1) ^ self[3]
    }

    #[inline(always)]
    fn blend(self) -> u64 {
        pair(self, 0).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ pair(self, 2)
    }

    #[inline(always)]
    fn absorbed(self, hash: u64, round: impl Fn(u64, u64) -> u64) -> u64 {
        round(round(hash, pair(self, 0)), pair(self, 2))
    }

    #[inline(always)]
    fn sum(self) -> u32 {
        halves(self[0]) + halves(self[1]) + halves(self[2]) + halves(self[3])
    }
}

#[inline(always)]
fn pair(address: V6, first: usize) -> u64 {
    u64::from(address[first + 1]) << 32 | u64::from(address[first])
}
