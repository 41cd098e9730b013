//! Whether a packet is one of those that another was cut into.

use super::Packet;

/// What the IPv4 header or IPv6's Fragment header says of that.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fragment {
    /// As in the IPv4 header, network byte order: [`MORE`], and the offset in units of 8 bytes.
    field: u16,
    /// What all fragments of one packet share, and others between the same addresses do not: IPv4's identification and
    /// protocol (RFC 791), IPv6's identification (RFC 8200, section 4.5).
    pub identification: u32,
}

const MORE: u16 = 0x2000_u16.to_be();
const OFFSET: u16 = 0x1fff_u16.to_be();

impl Fragment {
    /// From words of the IPv4 header, as they stand there.
    #[inline(always)]
    pub const fn v4(flags_and_offset: u16, identification: u16, protocol: u8) -> Self {
        Self {
            field: flags_and_offset & (MORE | OFFSET),
            identification: (identification as u32) << 8 | protocol as u32,
        }
    }

    /// From words of a Fragment header: offset in the upper 13 bits, "more" in the lowest.
    #[inline(always)]
    pub const fn v6(offset_and_more: u16, identification: u32) -> Self {
        let word = u16::from_be(offset_and_more);
        Self {
            field: (word >> 3 | (word & 1) << 13).to_be(),
            identification,
        }
    }

    /// The same, of which the kernel's verifier knows nothing: see [`Packet::anchor`].
    #[inline(always)]
    pub fn anchored<P: Packet>(self, packet: &P) -> Self {
        Self {
            field: packet.anchor::<0xffff>(usize::from(self.field)) as u16,
            ..self
        }
    }

    /// Whether there are other fragments. An atomic one (RFC 6946) is a whole packet.
    #[inline(always)]
    pub const fn is_part(self) -> bool {
        self.field != 0
    }

    /// Whether it has the transport header, and ends before its payload does.
    #[inline(always)]
    pub const fn is_first(self) -> bool {
        self.field == MORE
    }

    /// Whether it has no transport header.
    #[inline(always)]
    pub const fn is_later(self) -> bool {
        self.field & OFFSET != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_say_the_same() {
        for (v4, v6, is_first, is_later) in [
            (0x0000_u16, 0x0000_u16, false, false),
            // Not to be fragmented; reserved bits.
            (0x4000, 0x0006, false, false),
            (0x2000, 0x0001, true, false),
            (0x2001, 0x0009, false, true),
            (0x0001, 0x0008, false, true),
            (0x1fff, 0xfff8, false, true),
        ] {
            let v4 = Fragment::v4(v4.to_be(), 7, 17);
            let v6 = Fragment::v6(v6.to_be(), 7);
            assert_eq!(v4.field, v6.field);
            assert_eq!(
                (v4.is_first(), v4.is_later(), v4.is_part()),
                (is_first, is_later, is_first || is_later)
            );
        }
    }
}
