//! The kernel's interfaces as the programs see them: a VLAN device is a tag on the interface that carries it, and a bond's
//! frames come in by its members.

use crate::{
    map_type,
    packet::{ETHERNET_LENGTH, Packet, SERVICE_VLAN, VLAN},
};

/// Up to two VLAN tags, the outer one in the lower half; without their priority, which says nothing about the network.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Tags(u32);

const TAG: u32 = 1 << 12;
const SERVICE: u32 = 1 << 13;
const ID: u32 = 0xfff;
/// Offset of the first tag in a frame.
pub const TAG_OFFSET: usize = ETHERNET_LENGTH - 2;
/// The bits of a tag that a frame keeps when it gets another one: priority and drop eligibility (IEEE 802.1Q, 9.6).
const PRIORITY: u32 = u32::from_ne_bytes([0, 0, 0xf0, 0]);

impl Tags {
    pub const NONE: Self = Self(0);

    /// One tag, of this EtherType and with this control information, both in network byte order.
    #[inline(always)]
    pub const fn one(protocol: u16, control: u16) -> Self {
        let service = if protocol == SERVICE_VLAN { SERVICE } else { 0 };
        Self(u16::from_be(control) as u32 & ID | TAG | service)
    }

    /// Behind this one tag, another one.
    #[inline(always)]
    #[must_use]
    pub const fn around(self, inner: Self) -> Self {
        Self(self.0 | inner.0 << 16)
    }

    pub const fn count(self) -> usize {
        (self.0 & TAG != 0) as usize + (self.0 >> 16 & TAG != 0) as usize
    }

    /// The tags between the MACs and `network`, where the IP header starts.
    #[inline(always)]
    pub fn read<P: Packet>(packet: &P, network: usize) -> Option<Self> {
        if network == ETHERNET_LENGTH {
            return Some(Self::NONE);
        }
        let outer = packet.view::<4>(TAG_OFFSET)?;
        let outer = Self::one(outer.load(0), outer.load(2));
        if network == ETHERNET_LENGTH + 4 {
            return Some(outer);
        }
        let inner = packet.view::<4>(TAG_OFFSET + 4)?;
        Some(outer.around(Self::one(inner.load(0), inner.load(2))))
    }

    /// The outer tag as it stands in a frame, with the lowest priority.
    #[inline(always)]
    pub const fn word(self) -> u32 {
        let protocol = if self.0 & SERVICE != 0 {
            SERVICE_VLAN
        } else {
            VLAN
        };
        let [a, b] = protocol.to_ne_bytes();
        let [c, d] = ((self.0 & ID) as u16).to_be_bytes();
        u32::from_ne_bytes([a, b, c, d])
    }
}

/// The tag that takes the place of `old`, both as they stand in a frame.
#[inline(always)]
pub const fn replaced(old: u32, new: u32) -> u32 {
    new | old & PRIORITY
}

/// The interface that a frame came in by, and its tags: one word, because every packet's is compared.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Arrival(u64);

map_type!(Arrival, size = 8, align = 8);

impl Arrival {
    #[inline(always)]
    pub const fn new(interface: u32, tags: Tags) -> Self {
        Self((tags.0 as u64) << 32 | interface as u64)
    }

    #[inline(always)]
    pub const fn interface(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    pub const fn tags(self) -> Tags {
        Tags((self.0 >> 32) as u32)
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
    /// A [`Tags`].
    pub tags: u32,
    /// [`Self::REDIRECT`] and [`Self::LARGE`].
    pub flags: u32,
}

map_type!(Port, size = 16, align = 4);

impl Port {
    /// Frames that came in by other interfaces may leave by it.
    pub const REDIRECT: u32 = 1;
    /// So may those of them that are larger than one buffer.
    pub const LARGE: u32 = 2;

    pub const fn with_tags(self, tags: Tags) -> Self {
        Self {
            tags: tags.0,
            ..self
        }
    }

    #[inline(always)]
    pub const fn tags(&self) -> Tags {
        Tags(self.tags)
    }
}

/// What is done to a frame's tags; the first three are followed by the new one.
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
    if (from.0 | to.0) >> 16 != 0 {
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
    use crate::packet::Frame;

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
            [Tags::NONE, S7, S7.around(C42)].map(Tags::count),
            [0, 1, 2]
        );
    }

    #[test]
    fn a_tag_is_written_as_it_was_read() {
        for (protocol, id) in [(VLAN, 0_u16), (VLAN, 1), (SERVICE_VLAN, 4095)] {
            let tags = Tags::one(protocol, id.to_be());
            let mut bytes = [0; 16];
            bytes[12..].copy_from_slice(&tags.word().to_ne_bytes());
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

    #[test]
    fn an_arrival_is_both() {
        let arrival = Arrival::new(3, S7.around(C42));
        assert_eq!((arrival.interface(), arrival.tags()), (3, S7.around(C42)));
        assert_ne!(arrival, Arrival::new(3, S7));
    }
}
