//! Services as the datapath finds them: an exact-match table in an array, because an array lookup is inlined
//! by the JIT where a hash map's is a call.
//!
//! The table has two halves; the daemon writes the one not in use and switches by one store. In a half, an
//! entry stands in the first of the [`PROBES`] places from its hash on that was free; the daemon leaves out nothing,
//! because it chooses a seed for which every entry finds such a place. A lookup ends at an empty place.

use crate::{
    address::Address,
    hash::{self, Hashes},
    map_type,
    translation::Limits,
};

/// Consecutive places that a lookup reads at most.
pub const PROBES: u32 = 4;
/// Places in one half; a power of two.
pub const PLACES: u32 = 1 << 18;
/// Entries in one half at most, so that a seed is found at once.
pub const ENTRIES: u32 = PLACES / 8;
/// Listeners of one family at most. Each has an entry, and so has its VIP, for pings.
pub const LISTENERS: u32 = ENTRIES / 2;
/// Pools at most; each is a service in one family, and has a listener.
pub const POOLS: u32 = 2 * LISTENERS;

/// `VIP:port/protocol` and the pool that serves it. `port` 0: every port without an entry of its own. `protocol` 0: an
/// empty place.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ListenerEntry<A> {
    pub vip: A,
    pub port: u16,
    pub protocol: u8,
    pub padding: u8,
    pub pool: u32,
}

map_type!(ListenerEntry<u32>, size = 12, align = 4);
map_type!(ListenerEntry<[u32; 4]>, size = 24, align = 4);

impl<A: Address> ListenerEntry<A> {
    #[inline(always)]
    pub fn is(&self, vip: A, port: u16, protocol: u8) -> bool {
        self.vip == vip && self.port == port && self.protocol == protocol
    }

    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.protocol == 0
    }
}

/// The first place of an endpoint in a half whose hash is seeded with `seed`.
#[inline(always)]
pub fn place<A: Address>(seed: u32, vip: A, port: u16, protocol: u8) -> u32 {
    hash::endpoint(seed, vip, port, protocol) & (PLACES - 1)
}

/// Which slot's owner a new flow goes to.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IndexedBy {
    /// The slot of the flow's hash.
    #[default]
    Flow = 0,
    /// That of its client's address alone.
    Client = 1,
    /// One slot after the other.
    Turn = 2,
    /// Any.
    Random = 3,
    /// Any two: the owner with less load for its weight.
    LeastLoaded = 4,
}

impl IndexedBy {
    pub const ALL: [Self; 5] = [
        Self::Flow,
        Self::Client,
        Self::Turn,
        Self::Random,
        Self::LeastLoaded,
    ];

    /// Whether a flow's hash says its slot, so that no flow has to be remembered while the table stays.
    #[inline(always)]
    pub const fn is_by_hash(self) -> bool {
        matches!(self, Self::Flow | Self::Client)
    }

    #[inline(always)]
    const fn from_bits(bits: u8) -> Self {
        match bits {
            1 => Self::Client,
            2 => Self::Turn,
            3 => Self::Random,
            4 => Self::LeastLoaded,
            _ => Self::Flow,
        }
    }
}

/// How a pool gives out its flows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Discipline {
    pub by: IndexedBy,
    /// Whether every flow is recorded.
    pub tracks: bool,
    /// For how long a client's new flows go to the backend of its last, in the unit of [`Seen`](crate::flow::Seen); 0: no
    /// longer than anybody's. Needs `tracks`.
    pub affinity: u32,
}

impl From<IndexedBy> for Discipline {
    fn from(by: IndexedBy) -> Self {
        Self {
            by,
            tracks: !by.is_by_hash(),
            affinity: 0,
        }
    }
}

impl Discipline {
    /// Whether a flow that nobody recorded is found by one as by the other.
    pub fn agrees(&self, other: &Self) -> bool {
        self.by == other.by && self.tracks == other.tracks
    }
}

/// Where a pool's slots are. In maps it is one 64-bit word, so that a table is switched by one store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PoolEntry {
    /// Index of the first slot.
    pub base: u32,
    /// Number of slots, less than 2^24; 0: no such pool.
    pub size: u32,
    pub by: IndexedBy,
    /// Whether every flow is recorded.
    pub tracks: bool,
}

const BY: u32 = 56;
const TRACKS: u64 = 1 << 63;

impl PoolEntry {
    pub const fn to_word(self) -> u64 {
        let tracks = if self.tracks { TRACKS } else { 0 };
        tracks | (self.by as u64) << BY | (self.size as u64) << 32 | self.base as u64
    }

    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            base: word as u32,
            size: (word >> 32) as u32 & 0x00ff_ffff,
            by: IndexedBy::from_bits((word >> BY) as u8 & 7),
            tracks: word & TRACKS != 0,
        }
    }

    /// The slot of a flow, counted from the first, as far as its hash says it.
    #[inline(always)]
    pub const fn slot(&self, hashes: Hashes) -> u32 {
        hash::scale(self.hash(hashes), self.size)
    }

    /// The hash that says it.
    #[inline(always)]
    pub const fn hash(&self, hashes: Hashes) -> u32 {
        match self.by {
            IndexedBy::Client => hashes.client,
            _ => hashes.flow,
        }
    }
}

/// What the daemon tells the programs while they run. One entry.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Control {
    /// Which half of the listener tables is in use, for IPv4, then IPv6. One word each, made by [`in_use`].
    pub listeners: [u64; 2],
    /// Raised whenever routes or neighbours changed.
    pub hop_epoch: u32,
    /// Seeds the choice of slots.
    pub seed: u32,
    /// Idle timeouts in the unit of [`Seen`](crate::flow::Seen).
    pub half_open_timeout: u32,
    pub udp_timeout: u32,
    pub tcp_timeout: u32,
    /// In which families a backend without a port of its own may answer from any: bit 0 for IPv4, bit 1 for IPv6.
    pub portless_backends: u32,
    /// Whether there is a `fullnat` backend at all: 0 or 1.
    pub has_fullnat: u32,
    pub padding: u32,
}

map_type!(Control, size = 48, align = 8);

impl Control {
    #[inline(always)]
    pub const fn limits(&self) -> Limits {
        Limits {
            half_open: self.half_open_timeout,
            tcp: self.tcp_timeout,
            udp: self.udp_timeout,
        }
    }
}

impl Control {
    /// Whether replies may come from every port of a backend.
    #[inline(always)]
    pub const fn has_portless_backends(&self, family: usize) -> bool {
        self.portless_backends >> family & 1 == 1
    }
}

const WHOLE_ADDRESSES: u64 = 1 << 33;

/// A word of [`Control::listeners`]: the seed, the half in bit 32, and in bit 33 whether it has entries for whole
/// addresses.
pub const fn in_use(half: u64, seed: u32, has_whole_addresses: bool) -> u64 {
    let flag = if has_whole_addresses {
        WHOLE_ADDRESSES
    } else {
        0
    };
    flag | (half & 1) << 32 | seed as u64
}

/// Such a word, taken apart: (index of the half's first place, seed).
#[inline(always)]
pub const fn half(word: u64) -> (u32, u32) {
    (((word >> 32) as u32 & 1) * PLACES, word as u32)
}

/// The half that is not in use.
pub const fn other_half(word: u64) -> u64 {
    word >> 32 & 1 ^ 1
}

#[inline(always)]
pub const fn has_whole_addresses(word: u64) -> bool {
    word & WHOLE_ADDRESSES != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_one_word() {
        for by in IndexedBy::ALL {
            for tracks in [false, true] {
                let entry = PoolEntry {
                    base: u32::MAX,
                    size: (1 << 24) - 1,
                    by,
                    tracks,
                };
                assert_eq!(PoolEntry::from_word(entry.to_word()), entry);
            }
        }
        assert_eq!(PoolEntry::from_word(0), PoolEntry::default());
    }

    #[test]
    fn the_word_of_a_half_is_taken_apart_as_it_was_made() {
        for (number, first) in [(0, 0), (1, PLACES)] {
            for flag in [false, true] {
                let word = in_use(number, u32::MAX, flag);
                assert_eq!(half(word), (first, u32::MAX));
                assert_eq!(other_half(word), number ^ 1);
                assert_eq!(has_whole_addresses(word), flag);
            }
        }
    }
}
