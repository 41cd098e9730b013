//! Replies to echo requests: RFC 792, RFC 4443 section 4.2.

use super::TTL;
use crate::{
    csum::Delta,
    packet::{Headers, ICMP_CHECKSUM, ICMP_LENGTH, Icmp, PacketMut},
    rewrite::{self, Patch as _},
};

/// Turns an echo request into its reply. Swapped addresses sum to the same.
#[inline(always)]
pub fn reply<A: Icmp, P: PacketMut>(packet: &mut P, headers: &Headers<A>) -> Option<()> {
    packet.patch(
        headers.network + A::SOURCE_OFFSET,
        headers.tuple.destination,
    )?;
    packet.patch(
        headers.network + A::DESTINATION_OFFSET,
        headers.tuple.source,
    )?;
    rewrite::set_ttl::<A, _>(packet, headers.network, headers.ttl, TTL)?;
    let mut icmp = packet.view_mut::<ICMP_LENGTH>(headers.transport)?;
    let (old, new) = (
        u16::from_ne_bytes([A::ECHO_REQUEST, 0]),
        u16::from_ne_bytes([A::ECHO_REPLY, 0]),
    );
    let change = Delta::default().replace(u32::from(old), u32::from(new));
    icmp.store(ICMP_CHECKSUM, change.apply(icmp.load(ICMP_CHECKSUM)));
    icmp.store(0, A::ECHO_REPLY);
    Some(())
}
