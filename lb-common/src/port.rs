//! The kernel's interfaces as the programs see them: a VLAN device is a tag on the interface that carries it, and a bond's
//! frames come in by its members.

use crate::{
    map_type,
    packet::{ETHERNET_LENGTH, Packet},
};

/// Up to two VLAN tags as they stand in a frame, without their priority, which says nothing about the network. One tag, or
/// the inner one of two, is in the upper half.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Tags(u64);

/// Offset of the first tag in a frame.
pub const TAG_OFFSET: usize = ETHERNET_LENGTH - 2;
/// The bits of a tag that are no part of [`Tags`]: priority and drop eligibility (IEEE 802.1Q, 9.6).
const PRIORITY: u32 = u32::from_ne_bytes([0, 0, 0xf0, 0]);

impl Tags {
    pub const NONE: Self = Self(0);

    /// One tag, of this EtherType and with this control information, both in network byte order.
    pub const fn one(protocol: u16, control: u16) -> Self {
        let [a, b] = protocol.to_ne_bytes();
        let [c, d] = control.to_ne_bytes();
        let word = u32::from_ne_bytes([a, b, c, d]) & !PRIORITY;
        Self((word as u64) << 32)
    }

    /// Behind this one tag, another one or none.
    #[must_use]
    pub const fn around(self, inner: Self) -> Self {
        if inner.0 == Self::NONE.0 {
            return self;
        }
        Self(self.0 >> 32 | inner.0)
    }

    pub const fn has_two(self) -> bool {
        self.0 as u32 != 0
    }

    /// The tags between the MACs and `network`, where the IP header starts. Without a branch, as what was a branch here
    /// would be one way more for the verifier through all that follows.
    #[inline(always)]
    pub fn read<P: Packet>(packet: &P, network: usize) -> Option<Self> {
        let bytes = packet.view::<8>(TAG_OFFSET)?;
        let (first, second): (u32, u32) = (bytes.load(0), bytes.load(4));
        let both = u64::from(first & !PRIORITY) | u64::from(second & !PRIORITY) << 32;
        // 64 bits for no tag, 32 for one, in two halves: a shift by 64 is none.
        let half = (32 + 4 * ETHERNET_LENGTH as u32).wrapping_sub(4 * network as u32);
        Some(Self(both.wrapping_shl(half).wrapping_shl(half)))
    }

    /// The one tag as it stands in a frame, with the lowest priority.
    #[inline(always)]
    pub const fn word(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The tag that takes the place of `old`, both as they stand in a frame.
#[inline(always)]
pub const fn replaced(old: u32, new: u32) -> u32 {
    new | old & PRIORITY
}

/// The interface that a frame came in by, and its tags.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Arrival {
    pub tags: Tags,
    pub interface: u32,
    pub padding: u32,
}

map_type!(Arrival, size = 16, align = 8);

impl Arrival {
    #[inline(always)]
    pub const fn new(interface: u32, tags: Tags) -> Self {
        Self {
            tags,
            interface,
            padding: 0,
        }
    }
}

/// How frames leave by an interface.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Port {
    /// Bytes of the largest IP packet; 0: nothing is transmitted there.
    pub mtu: u32,
    /// The interface to transmit on: this one, or the one that carries this VLAN device.
    pub through: u32,
    /// Those of the frames that leave.
    pub tags: Tags,
    /// [`Self::REDIRECT`] and [`Self::LARGE`].
    pub flags: u32,
    pub padding: u32,
}

map_type!(Port, size = 24, align = 8);

impl Port {
    /// Frames that came in by other interfaces may leave by it.
    pub const REDIRECT: u32 = 1;
    /// So may those of them that are larger than one buffer.
    pub const LARGE: u32 = 2;
}

/// What is done to a frame's tags for it to leave.
pub type Tagging = u8;
/// They stay, if there are any.
pub const KEEP: Tagging = 0;
/// The one tag becomes another one.
pub const REPLACE: Tagging = 1;
/// An untagged frame gets one.
pub const ADD: Tagging = 2;
/// The one tag goes.
pub const REMOVE: Tagging = 3;

/// What makes a frame with tags `from` one with tags `to`; `None`: left to the kernel.
#[inline(always)]
pub const fn tagging(from: Tags, to: Tags) -> Option<Tagging> {
    if from.0 == to.0 {
        return Some(KEEP);
    }
    if from.has_two() || to.has_two() {
        return None;
    }
    if from.0 == 0 {
        return Some(ADD);
    }
    if to.0 == 0 {
        return Some(REMOVE);
    }
    Some(REPLACE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Frame, SERVICE_VLAN, VLAN};

    const S7: Tags = Tags::one(SERVICE_VLAN, 7_u16.to_be());
    const C42: Tags = Tags::one(VLAN, 42_u16.to_be());

    #[test]
    fn tags_are_read_without_their_priority() {
        let mut bytes = [0; 26];
        bytes[12..20].copy_from_slice(&[0x88, 0xa8, 0xe0, 7, 0x81, 0x00, 0x30, 42]);
        let frame = Frame(&mut bytes);
        assert_eq!(Tags::read(&frame, 14), Some(Tags::NONE));
        assert_eq!(Tags::read(&frame, 18), Some(S7));
        assert_eq!(Tags::read(&frame, 22), Some(S7.around(C42)));
        assert_eq!(
            [Tags::NONE, S7, S7.around(C42)].map(Tags::has_two),
            [false, false, true]
        );
    }

    #[test]
    fn a_tag_is_written_as_it_was_read() {
        for (protocol, id) in [(VLAN, 0_u16), (VLAN, 1), (SERVICE_VLAN, 4095)] {
            let tags = Tags::one(protocol, id.to_be());
            let mut bytes = [0; 20];
            bytes[12..16].copy_from_slice(&tags.word().to_ne_bytes());
            assert_eq!(Tags::read(&Frame(&mut bytes), 18), Some(tags));
        }
        let frame = |bytes| u32::from_ne_bytes(bytes);
        let old = frame([0x81, 0x00, 0xb0, 42]);
        assert_eq!(
            replaced(old, S7.word()),
            frame([0x88, 0xa8, 0xb0, 7]),
            "the priority stays"
        );
    }

    #[test]
    fn one_tag_changes_and_two_stay() {
        let two = S7.around(C42);
        for (from, to, wanted) in [
            (Tags::NONE, Tags::NONE, Some(KEEP)),
            (C42, C42, Some(KEEP)),
            (two, two, Some(KEEP)),
            (S7, C42, Some(REPLACE)),
            (Tags::NONE, C42, Some(ADD)),
            (C42, Tags::NONE, Some(REMOVE)),
            (two, C42, None),
            (two, Tags::NONE, None),
            (C42, two, None),
            (Tags::NONE, two, None),
            (two, C42.around(S7), None),
        ] {
            assert_eq!(tagging(from, to), wanted, "{from:?} to {to:?}");
        }
    }
}
