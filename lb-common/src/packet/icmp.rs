//! ICMP (RFC 792) and ICMPv6 (RFC 4443), as far as flows are concerned: echo requests, and errors that quote a packet.

use super::{Carries, IpHeader, Packet, Skip, Word, ip::Ip};
use crate::{
    address::{Address, V4, V6},
    flow::{TCP, Tuple, UDP},
};

/// Bytes of a header, all that a quoted packet follows.
pub const ICMP_LENGTH: usize = 8;
/// Offset of the checksum in it.
pub(crate) const ICMP_CHECKSUM: usize = 2;
/// What every error quotes of the transport layer at least (RFC 792): the ports, of UDP all.
const QUOTED: usize = 8;
/// Bytes of a frame that hold all that is read of it, options and extension headers aside.
const REACH: usize = 14 + 40 + ICMP_LENGTH + 40 + 20;

/// A family's own ICMP.
pub trait Icmp: IpHeader + Word {
    const ECHO_REQUEST: u8;
    const ECHO_REPLY: u8;
    /// Type and code.
    const TOO_BIG: (u8, u8);
    const TIME_EXCEEDED: (u8, u8);

    /// Whether messages of this type quote the packet that caused them.
    fn quotes(kind: u8) -> bool;
    /// What a quoted header says. The packet behind it may end early.
    fn quoted<P: Packet>(packet: &P, network: usize) -> Option<Quoted<Self>>;
}

/// A quoted IP header.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<A> {
    pub source: A,
    pub destination: A,
    pub protocol: u8,
    /// Offset of the transport header.
    pub transport: usize,
}

impl Icmp for V4 {
    const ECHO_REQUEST: u8 = 8;
    const ECHO_REPLY: u8 = 0;
    /// Destination unreachable, fragmentation needed.
    const TOO_BIG: (u8, u8) = (3, 4);
    const TIME_EXCEEDED: (u8, u8) = (11, 0);

    /// Destination unreachable, time exceeded, parameter problem.
    #[inline(always)]
    fn quotes(kind: u8) -> bool {
        matches!(kind, 3 | 11 | 12)
    }

    #[inline(always)]
    fn quoted<P: Packet>(packet: &P, network: usize) -> Option<Quoted<Self>> {
        const OFFSET: u16 = 0x1fff_u16.to_be();
        let ip = packet.view::<20>(network)?;
        let first: u8 = ip.load(0);
        let header = usize::from(first & 0xf) * 4;
        let is_later_fragment = ip.load::<u16>(6) & OFFSET != 0;
        if first >> 4 != 4 || header < 20 || is_later_fragment {
            return None;
        }
        Some(Quoted {
            source: ip.load(Self::SOURCE_OFFSET),
            destination: ip.load(Self::DESTINATION_OFFSET),
            protocol: ip.load(9),
            transport: packet.anchor::<255>(network + header),
        })
    }
}

impl Icmp for V6 {
    const ECHO_REQUEST: u8 = 128;
    const ECHO_REPLY: u8 = 129;
    const TOO_BIG: (u8, u8) = (2, 0);
    const TIME_EXCEEDED: (u8, u8) = (3, 0);

    /// Destination unreachable, packet too big, time exceeded, parameter problem.
    #[inline(always)]
    fn quotes(kind: u8) -> bool {
        matches!(kind, 1..=4)
    }

    /// Extension headers of a quoted packet are not walked.
    #[inline(always)]
    fn quoted<P: Packet>(packet: &P, network: usize) -> Option<Quoted<Self>> {
        let ip = packet.view::<40>(network)?;
        if ip.load::<u8>(0) >> 4 != 6 {
            return None;
        }
        Some(Quoted {
            source: ip.load(Self::SOURCE_OFFSET),
            destination: ip.load(Self::DESTINATION_OFFSET),
            protocol: ip.load(6),
            transport: packet.anchor::<2047>(network + 40),
        })
    }
}

/// What an ICMP message is about. An error takes the way of packets that answer the quoted one, so its tuple is theirs.
#[inline(always)]
pub(super) fn read<A: Icmp, P: Packet>(
    packet: &P,
    ip: &Ip<A>,
) -> Result<(Carries, Tuple<A>), Skip> {
    if ip.payload < ICMP_LENGTH {
        return Err(Skip::Malformed);
    }
    packet.reach(REACH);
    let icmp = packet
        .view::<ICMP_LENGTH>(ip.transport)
        .ok_or(Skip::Malformed)?;
    let (kind, code): (u8, u8) = (icmp.load(0), icmp.load(1));
    let ends = Tuple {
        source: ip.source,
        destination: ip.destination,
        source_port: 0,
        destination_port: 0,
        protocol: ip.protocol,
        padding: 0,
        more_padding: 0,
    };
    if kind == A::ECHO_REQUEST && code == 0 {
        return Ok((Carries::ECHO, ends));
    }
    if !A::quotes(kind) {
        return Err(Skip::NotOurs);
    }
    let quoted = A::quoted(packet, quote(packet, ip.transport)).ok_or(Skip::NotOurs)?;
    // To somebody else than the sender of what it quotes: no business of that flow.
    if quoted.source != ip.destination || !matches!(quoted.protocol, TCP | UDP) {
        return Err(Skip::NotOurs);
    }
    let ports = packet
        .view::<QUOTED>(quoted.transport)
        .ok_or(Skip::NotOurs)?;
    let tuple = Tuple {
        source: quoted.destination,
        source_port: ports.load(2),
        destination_port: ports.load(0),
        protocol: quoted.protocol,
        ..ends
    };
    Ok((Carries::QUOTE, tuple))
}

/// Where the packet starts that is quoted by the ICMP message at `transport`.
#[inline(always)]
pub(crate) fn quote<P: Packet>(packet: &P, transport: usize) -> usize {
    packet.anchor::<2047>(transport + ICMP_LENGTH)
}
