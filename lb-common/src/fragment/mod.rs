//! Where the ports of a fragmented packet are remembered: only its first fragment has them.
//!
//! A table of fixed size in an array, shared by all CPUs, because the fragments of one packet may come in on several. A
//! packet has [`WAYS`] places; what is recorded there takes that of the oldest. Nothing is locked: an entry carries a
//! digest of itself, so that one that is half of one writer and half of another is no entry.
//!
//! A sender that uses an identification again starts over with the first fragment.

#[cfg(test)]
mod tests;

use crate::{address::Address, flow::Seen, hash, map_type, packet::Headers};

/// Places of the table, a power of two; 4 MiB.
pub const PLACES: u32 = 1 << 16;
/// Consecutive places in which a packet's entry may be.
pub const WAYS: u32 = 4;

/// How long an entry holds. Receivers wait at least that long for the rest of a packet: 30 s in Linux over IPv4, 60 s over
/// IPv6 (RFC 8200, section 4.5).
const LIFETIME: u32 = Seen::units(30);
/// Fragments of a packet may still be on their way for about that long: 2 s.
const YOUNG: u32 = 1;

const KEY_WORDS: usize = 5;
const PORTS: usize = 5;
const SEEN: usize = 6;
const DIGEST: usize = 7;

/// An entry, in words that are read and written one by one.
///
/// Source and destination in two each; identification below, family above; source port, destination port and protocol from
/// the lowest bits on; [`Seen`]; the digest of those.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FragmentEntry {
    pub words: [u64; 8],
}

map_type!(FragmentEntry, size = 64, align = 8);

/// What the fragments of one packet have in common.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key([u64; KEY_WORDS]);

/// What a first fragment says of the later ones; ports in network byte order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ports {
    pub source: u16,
    pub destination: u16,
    pub protocol: u8,
}

impl Key {
    #[inline(always)]
    pub fn of<A: Address>(headers: &Headers<A>) -> Self {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let source = headers.tuple.source.to_words();
        let destination = headers.tuple.destination.to_words();
        Self([
            pair(source[0], source[1]),
            pair(source[2], source[3]),
            pair(destination[0], destination[1]),
            pair(destination[2], destination[3]),
            pair(headers.fragment.identification, A::FAMILY.into()),
        ])
    }

    /// The first of the places in which its entry may be.
    #[inline(always)]
    pub const fn first_place(&self, seed: u32) -> u32 {
        let mut digest = seed as u64;
        let mut i = 0;
        while i < KEY_WORDS {
            digest = digested(digest, self.0[i]);
            i += 1;
        }
        hash::mix((digest >> 32) as u32) & (PLACES - 1) & !(WAYS - 1)
    }
}

impl FragmentEntry {
    #[inline(always)]
    pub fn new(key: &Key, ports: Ports, now: Seen) -> Self {
        let Key([a, b, c, d, e]) = *key;
        let mut words = [a, b, c, d, e, ports.to_word(), now.bits().into(), 0];
        words[DIGEST] = words[..DIGEST]
            .iter()
            .fold(0, |sum, &word| digested(sum, word));
        Self { words }
    }
}

impl Ports {
    #[inline(always)]
    const fn to_word(self) -> u64 {
        self.source as u64 | (self.destination as u64) << 16 | (self.protocol as u64) << 32
    }

    #[inline(always)]
    const fn from_word(word: u64) -> Self {
        Self {
            source: word as u16,
            destination: (word >> 16) as u16,
            protocol: (word >> 32) as u8,
        }
    }
}

/// What stands in a place, as far as one packet is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    ports: Ports,
    /// `None`: no entry.
    age: Option<u32>,
    is_same: bool,
}

impl Reading {
    /// Reads each word once: another CPU may write at the same time.
    #[inline(always)]
    pub fn of(key: &Key, now: Seen, word: impl Fn(usize) -> u64) -> Self {
        let (mut digest, mut difference) = (0, 0);
        for (i, expected) in key.0.into_iter().enumerate() {
            let found = word(i);
            difference |= found ^ expected;
            digest = digested(digest, found);
        }
        let (ports, seen) = (word(PORTS), word(SEEN));
        digest = digested(digested(digest, ports), seen);
        let age = now.since(Seen::from_bits(seen as u32));
        Self {
            ports: Ports::from_word(ports),
            age: (digest == word(DIGEST) && age <= LIFETIME).then_some(age),
            is_same: difference == 0,
        }
    }

    /// The ports, if it is the packet's entry.
    #[inline(always)]
    pub const fn ports(&self) -> Option<Ports> {
        if self.is_same && self.age.is_some() {
            Some(self.ports)
        } else {
            None
        }
    }

    /// The place with the lowest is written to: the packet's own, an empty one, the oldest.
    #[inline(always)]
    pub const fn worth(&self) -> u32 {
        match self.age {
            _ if self.is_same => 0,
            None => 1,
            Some(age) => 2 + LIFETIME - age,
        }
    }
}

/// Whether writing to a place of this worth takes the ports from fragments that may still come.
#[inline(always)]
pub const fn is_loss(worth: u32) -> bool {
    worth >= 2 + LIFETIME - YOUNG
}

/// Multiplied with 2^64 / phi, so that every bit reaches all above it, and folded so that these reach those below.
#[inline(always)]
const fn digested(digest: u64, word: u64) -> u64 {
    let product = (digest ^ word ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 29
}

/// A fragment that is handed to the daemon, before the bytes of its frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HeldFragment {
    /// The index of the interface it came in by.
    pub ingress: u32,
    /// Bytes of the frame.
    pub length: u32,
}

map_type!(HeldFragment, size = 8, align = 4);

/// Bytes of a frame that the kernel takes back: a page without what it keeps in it itself (`bpf_test_run_xdp_live`).
pub const HELD_LENGTH: usize = 3072;
