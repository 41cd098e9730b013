//! The kernel's answer about a next hop, cached per CPU for a few hundred packets.

use crate::{
    map_type,
    port::{Arrival, Tagging},
};

/// Packets that use an answer before the kernel is asked again.
pub const PACKETS: u32 = 256;

/// Entries of each cache, a power of two: one for backends, by index, and one for clients, by hash. A collision
/// only asks the kernel again.
pub const PLACES: u32 = 4096;

/// What to do with a packet to `destination`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Hop {
    pub destination: [u32; 4],
    pub arrival: Arrival,
    /// The value of [`Control::hop_epoch`](crate::service::Control) when it was asked for.
    pub epoch: u32,
    /// Packets left to use it; 0: ask again.
    pub left: u32,
    pub kind: u8,
    pub tagging: Tagging,
    /// The largest IP packet the way takes; that of the interface where the kernel does not say more (before 5.12).
    pub mtu: u16,
    /// The interface to leave through.
    pub interface: u32,
    /// Destination and source MAC, as they stand in the frame; in words, because bytes are copied one by one.
    pub macs: [u32; 3],
    /// The tag that [`Self::tagging`] is about, as it stands in the frame.
    pub tag: u32,
}

map_type!(Hop, size = 64, align = 8);

impl Hop {
    /// Up the stack: the destination is local, not resolved yet, or behind an interface we do not transmit on.
    pub const STACK: u8 = 0;
    /// Not known.
    pub const ANY_MTU: u16 = 0;
    /// Out of the interface it came in by.
    pub const SAME: u8 = 1;
    /// Out of another interface.
    pub const OTHER: u8 = 2;
    /// The same, but not for frames larger than one buffer.
    pub const OTHER_LINEAR: u8 = 3;

    /// Whether the answer still stands for packets to `destination` that came in so.
    #[inline(always)]
    pub fn is_for(&self, destination: [u32; 4], arrival: Arrival, epoch: u32) -> bool {
        self.left != 0
            && self.epoch == epoch
            && self.arrival.tags == arrival.tags
            && self.arrival.interface == arrival.interface
            && self.destination == destination
    }

    /// Whether an IP packet of `length` bytes is no larger than what fits.
    #[inline(always)]
    pub const fn has_room(&self, length: usize) -> bool {
        length <= self.mtu as usize
    }

    /// Whether it takes an IP packet of `length` bytes, which lies in one buffer (`linear` is 1) or not (0). With as
    /// few branches as can be, as each is a way for the kernel's verifier.
    #[inline(always)]
    pub const fn takes(&self, length: usize, linear: usize) -> bool {
        const ANY: usize = 1 << Hop::SAME | 1 << Hop::OTHER;
        let takes = (ANY | linear << Self::OTHER_LINEAR) >> (self.kind & 3);
        takes & 1 != 0 && self.has_room(length)
    }
}
