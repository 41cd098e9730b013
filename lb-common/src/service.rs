//! Services as the datapath finds them: an exact-match table in an array, because an array lookup is inlined
//! by the JIT where a hash map's is a call.
//!
//! The table has two halves; the daemon writes the one not in use and switches by one store. In a half, an
//! entry stands in one of the [`PROBES`] places that follow its hash; the daemon leaves out nothing, because
//! it chooses a seed for which every entry finds such a place.

use crate::{address::Address, hash, map_type, translation::Limits};

/// Consecutive places that a lookup reads at most.
pub const PROBES: u32 = 4;
/// Places in one half; a power of two.
pub const PLACES: u32 = 1 << 17;
/// Listeners of one family at most, so that a seed is found at once.
pub const LISTENERS: u32 = PLACES / 8;
/// Pools at most; each is a service in one family, and has a listener.
pub const POOLS: u32 = 2 * LISTENERS;

/// `VIP:port/protocol` and the pool that serves it. `protocol` 0: an empty place.
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
}

/// The first place of an endpoint in a half whose hash is seeded with `seed`.
#[inline(always)]
pub fn place<A: Address>(seed: u32, vip: A, port: u16, protocol: u8) -> u32 {
    hash::endpoint(seed, vip, port, protocol) & (PLACES - 1)
}

/// Where a pool's slots are. One 64-bit word, so that a table is switched by one store.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PoolEntry {
    /// Index of the first slot.
    pub base: u32,
    /// Number of slots; 0: no such pool.
    pub size: u32,
}

map_type!(PoolEntry, size = 8, align = 8);

impl PoolEntry {
    pub const fn to_word(self) -> u64 {
        (self.size as u64) << 32 | self.base as u64
    }

    pub const fn from_word(word: u64) -> Self {
        Self {
            base: word as u32,
            size: (word >> 32) as u32,
        }
    }
}

/// What the daemon tells the programs while they run. One entry.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Control {
    /// Which half of the listener tables is in use and its hash seed: for IPv4, then IPv6. One word each: half
    /// in bit 32, seed below.
    pub listeners: [u64; 2],
    /// Raised whenever routes or neighbours changed.
    pub hop_epoch: u32,
    /// Seeds the choice of slots.
    pub seed: u32,
    /// Idle timeouts in the unit of [`Seen`](crate::flow::Seen).
    pub half_open_timeout: u32,
    pub udp_timeout: u32,
    pub tcp_timeout: u32,
    /// Whether there is a `fullnat` backend at all: 0 or 1.
    pub has_fullnat: u32,
}

map_type!(Control, size = 40, align = 8);

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

/// A word of [`Control::listeners`], taken apart: (index of the half's first place, seed).
#[inline(always)]
pub const fn half(word: u64) -> (u32, u32) {
    (((word >> 32) as u32 & 1) * PLACES, word as u32)
}
