//! Outer headers of packets that travel inside of others: IP in IP (RFC 2003, RFC 2473), and Generic UDP Encapsulation,
//! variant 1, where the inner IP header follows the UDP header at once (draft-ietf-intarea-gue, section 4).

use network_types::ip::IpProto;

use crate::{
    address::{Address, V4, V6},
    csum,
    flow::UDP,
    hash,
    packet::{Headers, IpHeader, PacketMut},
};

/// The port that Linux' `fou` and others use for GUE.
pub const GUE_PORT: u16 = 6080_u16.to_be();
pub const UDP_LENGTH: usize = 8;
/// For the way to the backend only (RFC 2003, section 3.1).
const TTL: u8 = 64;

/// What the outer header takes over from the inner one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Inner {
    /// DSCP and ECN: copied, as a tunnel's ingress does (RFC 6040, section 4.1).
    pub class: u8,
    /// Copied where there is one (RFC 2003, section 3.1); IPv6 has no other way.
    pub dont_fragment: bool,
    /// See [`identification`].
    pub identification: u16,
}

/// An outer IP header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outer<A> {
    pub source: A,
    pub destination: A,
    pub protocol: u8,
    pub class: u8,
    pub dont_fragment: bool,
    pub identification: u16,
    /// Bytes after it.
    pub payload: usize,
    /// IPv6: 20 bits of the flow's hash (RFC 6438).
    pub label: u32,
}

/// A family as the inside or the outside of a tunnel.
pub trait Tunnel: IpHeader {
    /// Bytes of an outer header.
    const LENGTH: usize;
    /// What the protocol field of an outer header says of an inner packet of this family.
    const AS_PAYLOAD: u8;

    /// A source that differs with the flow, so that the backend's NIC spreads packets over its queues. Nothing is ever
    /// sent to it: the prefixes that Katran uses, 172.16.0.0/16 and 100::/64 (RFC 6666, discard-only).
    fn source(hash: u32) -> Self;
    fn inner<P: PacketMut>(packet: &P, network: usize) -> Option<Inner>;
    fn write_outer<P: PacketMut>(packet: &mut P, network: usize, outer: &Outer<Self>)
    -> Option<()>;
    /// The one's complement sum of the inner packet, of TCP or UDP, unfolded, from its header alone, where its own
    /// checksums are right: they make most of it cancel out (local checksum offload). `None`: not known, as of a
    /// fragment.
    fn packet_sum<P: PacketMut>(packet: &P, headers: &Headers<Self>) -> Option<u32>;
}

const DONT_FRAGMENT: u16 = 0x4000_u16.to_be();

/// The identification of an outer IPv4 header, from words of the inner one: 0 where nobody may fragment it (RFC 6864); else
/// one that differs between packets of a flow, and between the fragments of one.
#[inline(always)]
pub const fn identification(inner: u16, flags_and_offset: u16) -> u16 {
    if flags_and_offset & DONT_FRAGMENT != 0 {
        return 0;
    }
    hash::mix((inner as u32) << 16 | flags_and_offset as u32) as u16
}

impl Tunnel for V4 {
    const LENGTH: usize = 20;
    const AS_PAYLOAD: u8 = IpProto::Ipv4 as u8;

    #[inline(always)]
    fn source(hash: u32) -> Self {
        (0xac10_0000 | hash >> 16).to_be()
    }

    #[inline(always)]
    fn inner<P: PacketMut>(packet: &P, network: usize) -> Option<Inner> {
        let ip = packet.view::<8>(network)?;
        let flags_and_offset: u16 = ip.load(6);
        Some(Inner {
            class: ip.load(1),
            dont_fragment: flags_and_offset & DONT_FRAGMENT != 0,
            identification: identification(ip.load(4), flags_and_offset),
        })
    }

    #[inline(always)]
    fn write_outer<P: PacketMut>(
        packet: &mut P,
        network: usize,
        outer: &Outer<Self>,
    ) -> Option<()> {
        let length = (Self::LENGTH + outer.payload) as u16;
        let first = u16::from_ne_bytes([0x45, outer.class]);
        let flags = if outer.dont_fragment {
            DONT_FRAGMENT
        } else {
            0
        };
        let life = u16::from_ne_bytes([TTL, outer.protocol]);
        let sum = u32::from(first)
            + u32::from(length.to_be())
            + u32::from(outer.identification)
            + u32::from(flags)
            + u32::from(life)
            + outer.source.sum()
            + outer.destination.sum();
        let mut ip = packet.view_mut::<20>(network)?;
        ip.store(0, first);
        ip.store(2, length.to_be());
        ip.store(4, outer.identification);
        ip.store(6, flags);
        ip.store(8, life);
        ip.store(10, !(csum::fold(sum) as u16));
        ip.store(Self::SOURCE_OFFSET, outer.source);
        ip.store(Self::DESTINATION_OFFSET, outer.destination);
        Some(())
    }

    /// The header sums to zero with its checksum, the transport layer to the complement of its pseudo-header.
    #[inline(always)]
    fn packet_sum<P: PacketMut>(_: &P, headers: &Headers<Self>) -> Option<u32> {
        if headers.fragment.is_part() {
            return None;
        }
        let tuple = &headers.tuple;
        let length = (headers.length - (headers.transport - headers.network)) as u16;
        let pseudo = tuple.source.sum()
            + tuple.destination.sum()
            + u32::from(u16::from(tuple.protocol).to_be())
            + u32::from(length.to_be());
        Some(!csum::fold(pseudo) & 0xffff)
    }
}

impl Tunnel for V6 {
    const LENGTH: usize = 40;
    const AS_PAYLOAD: u8 = IpProto::Ipv6 as u8;

    #[inline(always)]
    fn source(hash: u32) -> Self {
        [0x0100_0000_u32.to_be(), 0, 0, hash.to_be()]
    }

    #[inline(always)]
    fn inner<P: PacketMut>(packet: &P, network: usize) -> Option<Inner> {
        let first = u32::from_be(packet.view::<4>(network)?.load(0));
        Some(Inner {
            class: (first >> 20) as u8,
            dont_fragment: true,
            identification: 0,
        })
    }

    #[inline(always)]
    fn write_outer<P: PacketMut>(
        packet: &mut P,
        network: usize,
        outer: &Outer<Self>,
    ) -> Option<()> {
        let first = 0x6000_0000 | u32::from(outer.class) << 20 | outer.label & 0xf_ffff;
        let mut ip = packet.view_mut::<40>(network)?;
        ip.store(0, first.to_be());
        ip.store(4, (outer.payload as u16).to_be());
        ip.store(6, outer.protocol);
        ip.store(7, TTL);
        ip.store(Self::SOURCE_OFFSET, outer.source);
        ip.store(Self::DESTINATION_OFFSET, outer.destination);
        Some(())
    }

    /// The addresses of header and pseudo-header cancel out; so do the lengths.
    #[inline(always)]
    fn packet_sum<P: PacketMut>(packet: &P, headers: &Headers<Self>) -> Option<u32> {
        if headers.extensions != 0 {
            return None;
        }
        let ip = packet.view::<8>(headers.network)?;
        let words: [u16; 2] = [ip.load(0), ip.load(2)];
        let limit: u16 = ip.load(6);
        let pseudo = u32::from(u16::from(headers.tuple.protocol).to_be());
        Some(
            u32::from(words[0])
                + u32::from(words[1])
                + u32::from(limit)
                + (!csum::fold(pseudo) & 0xffff),
        )
    }
}

/// The UDP header of GUE. `sum` is that of the inner packet; where it is not known, or over IPv4, there is no
/// checksum (RFC 768; RFC 6935 for tunnels over IPv6).
#[inline(always)]
pub fn write_udp<O: Tunnel, P: PacketMut>(
    packet: &mut P,
    offset: usize,
    outer: &Outer<O>,
    hash: u32,
    sum: Option<u32>,
) -> Option<()> {
    // From the dynamic ports (RFC 6335), so that what spreads by ports spreads flows.
    let source = (0xc000 | hash as u16 & 0x3fff).to_be();
    let length = (outer.payload as u16).to_be();
    let checksum = match sum {
        Some(sum) if O::CHECKSUM_OFFSET.is_none() => {
            let pseudo = outer.source.sum()
                + outer.destination.sum()
                + u32::from(length)
                + u32::from(u16::from(UDP).to_be());
            let header = u32::from(source) + u32::from(GUE_PORT) + u32::from(length);
            let sum = csum::fold(csum::fold(pseudo) + csum::fold(header) + csum::fold(sum));
            match !(sum as u16) {
                0 => 0xffff,
                checksum => checksum,
            }
        }
        _ => 0,
    };
    let mut udp = packet.view_mut::<UDP_LENGTH>(offset)?;
    udp.store(0, source);
    udp.store(2, GUE_PORT);
    udp.store(4, length);
    udp.store(6, checksum);
    Some(())
}
