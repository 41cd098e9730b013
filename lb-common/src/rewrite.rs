//! How a packet changes on its way: one end's address and port, the TTL, the MACs.

use crate::{
    address::Address,
    csum::Delta,
    flow::TCP,
    packet::{Headers, PacketMut, Word},
};

/// Which end of a packet is rewritten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    Source,
    Destination,
}

impl End {
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

/// Offset of the checksum in the transport header.
#[inline(always)]
pub const fn checksum_offset(protocol: u8) -> usize {
    if protocol == TCP { 16 } else { 6 }
}

/// Replaces address and port of one end; every checksum over them follows. A UDP checksum of zero (none) stays.
#[inline(always)]
pub fn endpoint<A: Address + Word, P: PacketMut>(
    packet: &mut P,
    headers: &Headers<A>,
    end: End,
    address: A,
    port: u16,
) -> Option<()> {
    let (old_address, old_port) = match end {
        End::Source => (headers.tuple.source, headers.tuple.source_port),
        End::Destination => (headers.tuple.destination, headers.tuple.destination_port),
    };
    let addresses = Delta::default().replace(old_address.sum(), address.sum());
    if let Some(offset) = A::CHECKSUM_OFFSET {
        let checksum: u16 = packet.load(headers.network + offset)?;
        packet.store(headers.network + offset, addresses.apply(checksum))?;
    }
    packet.store(headers.network + end.address_offset::<A>(), address)?;

    let both = addresses.replace(u32::from(old_port), u32::from(port));
    let offset = headers.transport + checksum_offset(headers.tuple.protocol);
    let checksum: u16 = packet.load(offset)?;
    if headers.tuple.protocol == TCP {
        packet.store(offset, both.apply(checksum))?;
    } else if checksum != 0 {
        packet.store(offset, both.apply_udp(checksum))?;
    }
    packet.store(headers.transport + end.port_offset(), port)
}

/// Takes one off TTL or hop limit, which must not be 0.
#[inline(always)]
pub fn decrement_ttl<A: Address, P: PacketMut>(
    packet: &mut P,
    network: usize,
    ttl: u8,
) -> Option<()> {
    let ttl_offset = network + A::TTL_OFFSET;
    packet.store(ttl_offset, ttl - 1)?;
    let Some(offset) = A::CHECKSUM_OFFSET else {
        return Some(());
    };
    // TTL is the first byte of its 16-bit word; the second does not change and cancels out.
    let (old, new) = (
        u16::from_ne_bytes([ttl, 0]),
        u16::from_ne_bytes([ttl - 1, 0]),
    );
    let checksum: u16 = packet.load(network + offset)?;
    packet.store(
        network + offset,
        Delta::default()
            .replace(u32::from(old), u32::from(new))
            .apply(checksum),
    )
}

/// Replaces destination and source MAC.
#[inline(always)]
pub fn macs<P: PacketMut>(packet: &mut P, macs: [u8; 12]) -> Option<()> {
    packet.store(0, macs)
}
