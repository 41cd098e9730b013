//! How a packet changes on its way: addresses and ports of one end or both, the TTL, the MACs.

mod quote;

pub use quote::{Patch, endpoint as quoted_endpoint};

use crate::{
    address::Address,
    csum::Delta,
    flow::{TCP, Tuple},
    packet::{Carries, Headers, Icmp, PacketMut, Word},
};

/// Which end of a packet is rewritten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    Source,
    Destination,
}

impl End {
    #[inline(always)]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }

    /// Offset of the address in the IP header.
    #[inline(always)]
    pub const fn address_offset<A: Address>(self) -> usize {
        match self {
            Self::Source => A::SOURCE_OFFSET,
            Self::Destination => A::DESTINATION_OFFSET,
        }
    }

    /// Offset of the port in the transport header.
    #[inline(always)]
    pub const fn port_offset(self) -> usize {
        match self {
            Self::Source => 0,
            Self::Destination => 2,
        }
    }
}

const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;

/// Offset of the checksum in the transport header.
#[inline(always)]
pub const fn checksum_offset(protocol: u8) -> usize {
    if protocol == TCP {
        TCP_CHECKSUM
    } else {
        UDP_CHECKSUM
    }
}

impl<A: Copy> Headers<A> {
    /// Address and port of one end of the flow.
    #[inline(always)]
    pub const fn end(&self, end: End) -> (A, u16) {
        match end {
            End::Source => (self.tuple.source, self.tuple.source_port),
            End::Destination => (self.tuple.destination, self.tuple.destination_port),
        }
    }
}

/// Replaces address and port of one end; every checksum over them follows. A UDP checksum of zero (none) stays.
#[inline(always)]
pub fn endpoint<A: Icmp, P: PacketMut>(
    packet: &mut P,
    headers: &Headers<A>,
    end: End,
    address: A,
    port: u16,
) -> Option<()> {
    if headers.carries == Carries::QUOTE {
        return quote::endpoint(packet, headers, end, address, port);
    }
    let (old_address, old_port) = headers.end(end);
    let addresses = Delta::default().replace(old_address.sum(), address.sum());
    A::replace_address(packet, headers.network, end, address, addresses)?;
    let both = addresses.replace(u32::from(old_port), u32::from(port));
    ports(packet, headers, both, &[(end, port)])
}

/// The same for both ends, in one pass over each header.
#[inline(always)]
pub fn endpoints<A: Icmp, P: PacketMut>(
    packet: &mut P,
    headers: &Headers<A>,
    to: &Tuple<A>,
) -> Option<()> {
    if headers.carries == Carries::QUOTE {
        let Tuple {
            source,
            source_port,
            destination,
            destination_port,
            ..
        } = *to;
        quote::endpoint(packet, headers, End::Source, source, source_port)?;
        return quote::endpoint(
            packet,
            headers,
            End::Destination,
            destination,
            destination_port,
        );
    }
    let from = &headers.tuple;
    let addresses = Delta::default()
        .replace(from.source.sum(), to.source.sum())
        .replace(from.destination.sum(), to.destination.sum());
    A::replace_addresses(packet, headers.network, to, addresses)?;
    let all = addresses
        .replace(u32::from(from.source_port), u32::from(to.source_port))
        .replace(
            u32::from(from.destination_port),
            u32::from(to.destination_port),
        );
    let new = [
        (End::Source, to.source_port),
        (End::Destination, to.destination_port),
    ];
    ports(packet, headers, all, &new)
}

/// Replaces ports; `change` is what all that is replaced does to the transport layer's checksum.
#[inline(always)]
fn ports<A, P: PacketMut, const N: usize>(
    packet: &mut P,
    headers: &Headers<A>,
    change: Delta,
    new: &[(End, u16); N],
) -> Option<()> {
    if headers.fragment.is_later() {
        // The first one has the ports, and the checksum over all of them.
        return Some(());
    }
    if headers.tuple.protocol == TCP {
        let mut tcp = packet.view_mut::<18>(headers.transport)?;
        tcp.store(TCP_CHECKSUM, change.apply(tcp.load(TCP_CHECKSUM)));
        for &(end, port) in new {
            tcp.store(end.port_offset(), port);
        }
        return Some(());
    }
    let mut udp = packet.view_mut::<8>(headers.transport)?;
    let checksum: u16 = udp.load(UDP_CHECKSUM);
    if checksum != 0 {
        udp.store(UDP_CHECKSUM, change.apply_udp(checksum));
    }
    for &(end, port) in new {
        udp.store(end.port_offset(), port);
    }
    Some(())
}

/// Replaces an address in an IP header of `N` bytes; `change` is what that does to its checksum, if it has one.
#[inline(always)]
pub fn address<A: Address + Word, P: PacketMut, const N: usize>(
    packet: &mut P,
    network: usize,
    end: End,
    address: A,
    change: Delta,
) -> Option<()> {
    let mut ip = packet.view_mut::<N>(network)?;
    if let Some(offset) = A::CHECKSUM_OFFSET {
        ip.store(offset, change.apply(ip.load(offset)));
    }
    ip.store(end.address_offset::<A>(), address);
    Some(())
}

/// The same for both addresses.
#[inline(always)]
pub fn addresses<A: Address + Word, P: PacketMut, const N: usize>(
    packet: &mut P,
    network: usize,
    to: &Tuple<A>,
    change: Delta,
) -> Option<()> {
    let mut ip = packet.view_mut::<N>(network)?;
    if let Some(offset) = A::CHECKSUM_OFFSET {
        ip.store(offset, change.apply(ip.load(offset)));
    }
    ip.store(A::SOURCE_OFFSET, to.source);
    ip.store(A::DESTINATION_OFFSET, to.destination);
    Some(())
}

/// Takes one off TTL or hop limit, which must not be 0.
#[inline(always)]
pub fn decrement_ttl<A: Address, P: PacketMut>(
    packet: &mut P,
    network: usize,
    ttl: u8,
) -> Option<()> {
    set_ttl::<A, _>(packet, network, ttl, ttl - 1)
}

/// Makes TTL or hop limit, which is `old`, `new`.
#[inline(always)]
pub fn set_ttl<A: Address, P: PacketMut>(
    packet: &mut P,
    network: usize,
    old: u8,
    new: u8,
) -> Option<()> {
    // As far as the checksum of the family that has one.
    let mut ip = packet.view_mut::<12>(network)?;
    ip.store(A::TTL_OFFSET, new);
    if let Some(offset) = A::CHECKSUM_OFFSET {
        // TTL is the first byte of its 16-bit word; the second does not change and cancels out.
        let (old, new) = (u16::from_ne_bytes([old, 0]), u16::from_ne_bytes([new, 0]));
        let change = Delta::default().replace(u32::from(old), u32::from(new));
        ip.store(offset, change.apply(ip.load(offset)));
    }
    Some(())
}

/// Replaces destination and source MAC.
#[inline(always)]
pub fn macs<P: PacketMut>(packet: &mut P, macs: &[u32; 3]) -> Option<()> {
    let mut ethernet = packet.view_mut::<12>(0)?;
    ethernet.store(0, macs[0]);
    ethernet.store(4, macs[1]);
    ethernet.store(8, macs[2]);
    Some(())
}
