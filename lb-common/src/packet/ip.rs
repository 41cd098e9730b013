//! The IP header of both families, options and extension headers included.

use network_types::ip::IpProto;

use super::{Fragment, Packet, PacketMut, Skip, View, Word};
use crate::{
    address::{Address, V4, V6},
    csum::Delta,
    flow::{TCP, Tuple, UDP},
    rewrite::{self, End},
};

/// What the transport layer needs to know of the IP header.
#[derive(Clone, Copy, Debug)]
pub struct Ip<A> {
    /// Offset of the transport header.
    pub transport: usize,
    /// Bytes from there to the end that the IP header states.
    pub payload: usize,
    /// Bytes of the whole packet.
    pub length: usize,
    /// Bytes of options or extension headers.
    pub extensions: usize,
    pub fragment: Fragment,
    pub source: A,
    pub destination: A,
    pub protocol: u8,
    pub ttl: u8,
}

/// Between whom a packet goes, by the start of its header alone: nothing of it is checked yet.
#[derive(Clone, Copy, Debug)]
pub struct Ends<A> {
    pub source: A,
    pub destination: A,
    /// What follows the IP header, which may be an extension header.
    pub protocol: u8,
}

/// How a family's header is walked to the transport header.
pub trait IpHeader: Address {
    /// The protocol number of the family's ICMP.
    const ICMP: u8;
    /// The header without options or extension headers.
    type Start<'a>: Copy;

    /// `None` where the packet ends before.
    fn start<P: Packet>(packet: &P, network: usize) -> Option<Self::Start<'_>>;
    fn ends(start: Self::Start<'_>) -> Ends<Self>;
    fn walk<P: Packet>(
        packet: &P,
        network: usize,
        start: Self::Start<'_>,
    ) -> Result<Ip<Self>, Skip>;
    /// [`rewrite::address`] in this family's header.
    fn replace_address<P: PacketMut>(
        packet: &mut P,
        network: usize,
        end: End,
        address: Self,
        change: Delta,
    ) -> Option<()>;
    /// [`rewrite::addresses`] in this family's header.
    fn replace_addresses<P: PacketMut>(
        packet: &mut P,
        network: usize,
        to: &Tuple<Self>,
        change: Delta,
    ) -> Option<()>;
}

/// Of a header that says at `protocol` what follows it.
#[inline(always)]
fn ends<A: Address + Word, const N: usize>(ip: View<'_, N>, protocol: usize) -> Ends<A> {
    Ends {
        source: ip.load(A::SOURCE_OFFSET),
        destination: ip.load(A::DESTINATION_OFFSET),
        protocol: ip.load(protocol),
    }
}

/// Bytes of a header without options.
const V4_LENGTH: usize = 20;

impl IpHeader for V4 {
    const ICMP: u8 = IpProto::Icmp as u8;
    type Start<'a> = View<'a, V4_LENGTH>;

    #[inline(always)]
    fn start<P: Packet>(packet: &P, network: usize) -> Option<Self::Start<'_>> {
        packet.view(network)
    }

    #[inline(always)]
    fn ends(ip: Self::Start<'_>) -> Ends<Self> {
        ends(ip, 9)
    }

    /// RFC 791.
    #[inline(always)]
    fn walk<P: Packet>(packet: &P, network: usize, ip: Self::Start<'_>) -> Result<Ip<Self>, Skip> {
        let Ends {
            source,
            destination,
            protocol,
        } = Self::ends(ip);
        let version_and_length: u8 = ip.load(0);
        let header = usize::from(version_and_length & 0xf) * 4;
        let total = usize::from(u16::from_be(ip.load(2)));
        if version_and_length >> 4 != 4
            || header < V4_LENGTH
            || total < header
            || !packet.has(network + total)
        {
            return Err(Skip::Malformed);
        }
        if protocol != TCP && protocol != UDP && protocol != Self::ICMP {
            return Err(Skip::NotOurs);
        }
        Ok(Ip {
            transport: packet.anchor::<127>(network + header),
            payload: total - header,
            length: total,
            extensions: header - V4_LENGTH,
            fragment: Fragment::v4(ip.load(6), ip.load(4), protocol),
            source,
            destination,
            protocol,
            ttl: ip.load(Self::TTL_OFFSET),
        })
    }

    #[inline(always)]
    fn replace_address<P: PacketMut>(
        packet: &mut P,
        network: usize,
        end: End,
        address: Self,
        change: Delta,
    ) -> Option<()> {
        rewrite::address::<_, _, V4_LENGTH>(packet, network, end, address, change)
    }

    #[inline(always)]
    fn replace_addresses<P: PacketMut>(
        packet: &mut P,
        network: usize,
        to: &Tuple<Self>,
        change: Delta,
    ) -> Option<()> {
        rewrite::addresses::<_, _, V4_LENGTH>(packet, network, to, change)
    }
}

const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
const ROUTING: u8 = IpProto::Ipv6Route as u8;
const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
const AUTHENTICATION: u8 = IpProto::Ah as u8;
const DESTINATION_OPTIONS: u8 = IpProto::Ipv6Opts as u8;
/// RFC 8200, section 4.1, names seven in its recommended order, Destination Options twice.
const EXTENSIONS: usize = 7;
/// What the extension headers may take together; more is left to the kernel.
const EXTENSIONS_LENGTH: usize = 512;
const V6_LENGTH: usize = 40;

impl IpHeader for V6 {
    const ICMP: u8 = IpProto::Ipv6Icmp as u8;
    type Start<'a> = View<'a, V6_LENGTH>;

    #[inline(always)]
    fn start<P: Packet>(packet: &P, network: usize) -> Option<Self::Start<'_>> {
        packet.view(network)
    }

    #[inline(always)]
    fn ends(ip: Self::Start<'_>) -> Ends<Self> {
        ends(ip, 6)
    }

    /// RFC 8200. Jumbograms are left to the kernel.
    #[inline(always)]
    fn walk<P: Packet>(packet: &P, network: usize, ip: Self::Start<'_>) -> Result<Ip<Self>, Skip> {
        let Ends {
            source,
            destination,
            protocol,
        } = Self::ends(ip);
        let payload = usize::from(u16::from_be(ip.load(4)));
        if ip.load::<u8>(0) >> 4 != 6 || !packet.has(network + V6_LENGTH + payload) {
            return Err(Skip::Malformed);
        }
        let mut protocol = protocol;
        let mut extensions = 0_usize;
        let mut fragment = Fragment::default();
        for _ in 0..EXTENSIONS {
            let unit = match protocol {
                // Right behind the IP header and nowhere else (RFC 8200, 4.1).
                HOP_BY_HOP if extensions == 0 => 8,
                ROUTING | DESTINATION_OPTIONS => 8,
                AUTHENTICATION => 4,
                FRAGMENT if !fragment.is_part() => 0,
                _ => break,
            };
            let header = packet.anchor::<1023>(network + V6_LENGTH + extensions);
            let header = packet.view::<8>(header).ok_or(Skip::Malformed)?;
            let (next, length): (u8, u8) = (header.load(0), header.load(1));
            let segments_left: u8 = header.load(3);
            // In 8-byte units without the first (RFC 8200); Authentication in 4-byte units without two (RFC 4302); Fragment
            // has no length.
            extensions += match unit {
                8 => (usize::from(length) + 1) * 8,
                4 => (usize::from(length) + 2) * 4,
                _ => 8,
            };
            if extensions > payload {
                return Err(Skip::Malformed);
            }
            if extensions > EXTENSIONS_LENGTH {
                return Err(Skip::NotOurs);
            }
            // On its way to another destination, which is also the one that the checksum is over (RFC 8200, 8.1).
            if protocol == ROUTING && segments_left != 0 {
                return Err(Skip::NotOurs);
            }
            extensions = packet.anchor::<1023>(extensions);
            let is_fragment = protocol == FRAGMENT;
            protocol = next;
            if is_fragment {
                fragment = Fragment::v6(header.load(2), header.load(4));
                // What follows is not the header it names.
                if fragment.is_later() {
                    break;
                }
            }
        }
        match protocol {
            TCP | UDP | Self::ICMP => {}
            // Headers that only the first fragment has; it says what is behind them.
            DESTINATION_OPTIONS | AUTHENTICATION if fragment.is_later() => {}
            FRAGMENT => return Err(Skip::Fragment),
            _ => return Err(Skip::NotOurs),
        }
        Ok(Ip {
            transport: packet.anchor::<1023>(network + V6_LENGTH + extensions),
            payload: payload - extensions,
            length: V6_LENGTH + payload,
            extensions,
            fragment,
            source,
            destination,
            protocol,
            ttl: ip.load(Self::TTL_OFFSET),
        })
    }

    #[inline(always)]
    fn replace_address<P: PacketMut>(
        packet: &mut P,
        network: usize,
        end: End,
        address: Self,
        change: Delta,
    ) -> Option<()> {
        rewrite::address::<_, _, V6_LENGTH>(packet, network, end, address, change)
    }

    #[inline(always)]
    fn replace_addresses<P: PacketMut>(
        packet: &mut P,
        network: usize,
        to: &Tuple<Self>,
        change: Delta,
    ) -> Option<()> {
        rewrite::addresses::<_, _, V6_LENGTH>(packet, network, to, change)
    }
}
