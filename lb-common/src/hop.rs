//! The kernel's answer about a next hop, cached per CPU for a few hundred packets.

use crate::map_type;

/// Packets that use an answer before the kernel is asked again.
pub const PACKETS: u32 = 256;

/// Entries of the cache for clients; one hash decides the place, a collision only asks the kernel again.
pub const CLIENT_PLACES: u32 = 4096;

/// What to do with a packet to `destination`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Hop {
    pub destination: [u32; 4],
    /// The value of [`Control::hop_epoch`](crate::service::Control) when it was asked for.
    pub epoch: u32,
    /// Packets left to use it; 0: ask again.
    pub left: u32,
    pub kind: u32,
    /// The interface to leave through.
    pub interface: u32,
    /// Destination and source MAC, as they stand in the frame.
    pub macs: [u8; 12],
    pub ingress: u32,
}

map_type!(Hop, size = 48, align = 4);

impl Hop {
    /// Up the stack: the destination is local, not resolved yet, or behind an interface we do not transmit on.
    pub const STACK: u32 = 0;
    /// Out of the interface it came in by.
    pub const SAME: u32 = 1;
    /// Out of another interface.
    pub const OTHER: u32 = 2;
}
