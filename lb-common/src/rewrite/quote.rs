//! ICMP errors on their way: what they quote becomes the packet that its sender knows (RFC 5508, section 4.2).

use super::{End, checksum_offset};
use crate::{
    csum::Delta,
    packet::{Headers, ICMP_CHECKSUM, Icmp, Packet, PacketMut, Quoted, Word, quote},
};

/// A packet of which single values can be replaced, by whatever means.
pub trait Patch: Packet {
    fn patch<T: Word>(&mut self, offset: usize, value: T) -> Option<()>;
}

impl<P: PacketMut> Patch for P {
    #[inline(always)]
    fn patch<T: Word>(&mut self, offset: usize, value: T) -> Option<()> {
        match size_of::<T>() {
            2 => self.view_mut::<2>(offset)?.store(0, value),
            4 => self.view_mut::<4>(offset)?.store(0, value),
            _ => self.view_mut::<16>(offset)?.store(0, value),
        }
        Some(())
    }
}

/// Replaces address and port of one end of the flow that an ICMP error is about: in the quoted packet, which went the
/// other way, and in the error's own header, unless it came from somebody on the way. Every checksum follows, that of
/// a quoted TCP header where it is quoted.
#[inline(always)]
pub fn endpoint<A: Icmp, P: Patch>(
    packet: &mut P,
    headers: &Headers<A>,
    end: End,
    address: A,
    port: u16,
) -> Option<()> {
    let (old_address, old_port) = headers.end(end);
    let addresses = Delta::default().replace(old_address.sum(), address.sum());
    let own = headers.network + end.address_offset::<A>();
    // What the checksum of ICMPv6 covers of the headers; an IPv4 header sums to the same with its checksum.
    let mut change = Delta::default();
    if load::<A, _>(packet, own)? == old_address {
        packet.patch(own, address)?;
        change = follow::<A, _>(packet, headers.network, addresses, change)?;
    }
    let network = quote(packet, headers.transport);
    let Quoted { transport, .. } = A::quoted(packet, network)?;
    let quoted_end = end.opposite();
    packet.patch(network + quoted_end.address_offset::<A>(), address)?;
    change = follow::<A, _>(packet, network, addresses, change)?;

    packet.patch(transport + quoted_end.port_offset(), port)?;
    change = change.replace(u32::from(old_port), u32::from(port));
    let place = transport + checksum_offset(headers.tuple.protocol);
    if let Some(checksum) = load::<u16, _>(packet, place)
        && checksum != 0
    {
        let both = addresses.replace(u32::from(old_port), u32::from(port));
        let changed = both.apply_udp(checksum);
        packet.patch(place, changed)?;
        change = change.replace(u32::from(checksum), u32::from(changed));
    }
    let place = headers.transport + ICMP_CHECKSUM;
    let checksum = change.apply(load(packet, place)?);
    packet.patch(place, checksum)
}

/// Changes the checksum of the IP header at `network` by `addresses`; where there is none, they are added to `change`.
#[inline(always)]
fn follow<A: Icmp, P: Patch>(
    packet: &mut P,
    network: usize,
    addresses: Delta,
    change: Delta,
) -> Option<Delta> {
    let Some(offset) = A::CHECKSUM_OFFSET else {
        return Some(change.and(addresses));
    };
    let checksum = addresses.apply(load(packet, network + offset)?);
    packet.patch(network + offset, checksum)?;
    Some(change)
}

#[inline(always)]
fn load<T: Word, P: Packet>(packet: &P, offset: usize) -> Option<T> {
    Some(match size_of::<T>() {
        2 => packet.view::<2>(offset)?.load(0),
        4 => packet.view::<4>(offset)?.load(0),
        _ => packet.view::<16>(offset)?.load(0),
    })
}
