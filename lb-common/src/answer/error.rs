//! ICMP errors that only the load balancer can send: RFC 1812 section 4.3.2, RFC 4443 section 3.

use crate::{
    csum,
    encap::{Outer, Tunnel},
    packet::{Headers, ICMP_CHECKSUM, ICMP_LENGTH, Icmp, PacketMut},
};

/// Network control, as routers mark their errors (RFC 1812, section 4.3.2.5).
const CLASS: u8 = 0xc0;
/// Every link of IPv6 takes so much (RFC 8200, section 5).
const V6_MTU: u32 = 1280;

/// Why a packet cannot go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Problem {
    /// Only packets of so many bytes can.
    TooBig(u32),
    TimeExceeded,
}

/// Bytes of an error's headers.
#[inline(always)]
pub const fn length<A: Tunnel>() -> usize {
    A::LENGTH + ICMP_LENGTH
}

/// Writes the headers of an error about the packet of these `headers`, of which `quoted` bytes with the one's
/// complement sum `sum` follow them. It comes from the packet's own destination, which is a VIP.
#[inline(always)]
pub fn write<A: Icmp + Tunnel, P: PacketMut>(
    packet: &mut P,
    headers: &Headers<A>,
    problem: Problem,
    quoted: usize,
    sum: u32,
) -> Option<()> {
    let outer = Outer {
        source: headers.tuple.destination,
        destination: headers.tuple.source,
        protocol: A::ICMP,
        class: CLASS,
        dont_fragment: true,
        identification: 0,
        payload: ICMP_LENGTH + quoted,
        label: 0,
    };
    A::write_outer(packet, headers.network, &outer)?;
    let has_pseudo_header = A::CHECKSUM_OFFSET.is_none();
    let (kind, code) = match problem {
        Problem::TooBig(_) => A::TOO_BIG,
        Problem::TimeExceeded => A::TIME_EXCEEDED,
    };
    let mtu = match problem {
        Problem::TooBig(mtu) if has_pseudo_header && mtu < V6_MTU => V6_MTU,
        Problem::TooBig(mtu) => mtu,
        Problem::TimeExceeded => 0,
    };
    let kind = u16::from_ne_bytes([kind, code]);
    // IPv4 has 16 bits for it (RFC 1191), the lower ones.
    let mtu = mtu.to_be();
    let mut total = csum::fold(sum) + u32::from(kind) + csum::halves(mtu);
    if has_pseudo_header {
        total += csum::fold(outer.source.sum())
            + csum::fold(outer.destination.sum())
            + u32::from((outer.payload as u16).to_be())
            + u32::from(u16::from(A::ICMP).to_be());
    }
    let mut icmp = packet.view_mut::<ICMP_LENGTH>(headers.network + A::LENGTH)?;
    icmp.store(0, kind);
    icmp.store(ICMP_CHECKSUM, !(csum::fold(total) as u16));
    icmp.store(4, mtu);
    Some(())
}
