//! The IP header of both families, options and extension headers included.

use network_types::ip::IpProto;

use super::{Packet, Skip};
use crate::{
    address::{Address, V4, V6},
    flow::{TCP, UDP},
};

/// What the transport layer needs to know of the IP header.
#[derive(Clone, Copy, Debug)]
pub struct Ip {
    /// Offset of the transport header.
    pub transport: usize,
    /// Bytes from there to the end that the IP header states.
    pub payload: usize,
    pub protocol: u8,
    pub ttl: u8,
}

/// How a family's header is walked to the transport header.
pub trait IpHeader: Address {
    fn walk<P: Packet>(packet: &P, network: usize) -> Result<Ip, Skip>;
}

const MORE_FRAGMENTS_AND_OFFSET: u16 = 0x3fff_u16.to_be();

impl IpHeader for V4 {
    /// RFC 791.
    #[inline(always)]
    fn walk<P: Packet>(packet: &P, network: usize) -> Result<Ip, Skip> {
        let version_and_length: u8 = packet.load(network).ok_or(Skip::Malformed)?;
        // Past the fixed part once: what follows is then known to be readable.
        let _: u32 = packet.load(network + 16).ok_or(Skip::Malformed)?;
        let header = usize::from(version_and_length & 0xf) * 4;
        let total: u16 = packet.load(network + 2).ok_or(Skip::Malformed)?;
        let total = usize::from(u16::from_be(total));
        if version_and_length >> 4 != 4
            || header < 20
            || total < header
            || network + total > packet.length()
        {
            return Err(Skip::Malformed);
        }
        let fragment: u16 = packet.load(network + 6).ok_or(Skip::Malformed)?;
        if fragment & MORE_FRAGMENTS_AND_OFFSET != 0 {
            return Err(Skip::Fragment);
        }
        let protocol: u8 = packet.load(network + 9).ok_or(Skip::Malformed)?;
        if protocol != TCP && protocol != UDP {
            return Err(Skip::NotOurs);
        }
        let ttl = packet
            .load(network + Self::TTL_OFFSET)
            .ok_or(Skip::Malformed)?;
        Ok(Ip {
            transport: P::anchor(network + header),
            payload: total - header,
            protocol,
            ttl,
        })
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
    /// RFC 8200. Jumbograms are left to the kernel.
    #[inline(always)]
    fn walk<P: Packet>(packet: &P, network: usize) -> Result<Ip, Skip> {
        let version: u8 = packet.load(network).ok_or(Skip::Malformed)?;
        let _: [u32; 4] = packet
            .load(network + Self::DESTINATION_OFFSET)
            .ok_or(Skip::Malformed)?;
        let payload: u16 = packet.load(network + 4).ok_or(Skip::Malformed)?;
        let payload = usize::from(u16::from_be(payload));
        if version >> 4 != 6 || network + V6_LENGTH + payload > packet.length() {
            return Err(Skip::Malformed);
        }
        let mut protocol: u8 = packet.load(network + 6).ok_or(Skip::Malformed)?;
        let ttl = packet
            .load(network + Self::TTL_OFFSET)
            .ok_or(Skip::Malformed)?;
        let mut extensions = 0_usize;
        for _ in 0..EXTENSIONS {
            let unit = match protocol {
                // Right behind the IP header and nowhere else (RFC 8200, 4.1).
                HOP_BY_HOP if extensions == 0 => 8,
                ROUTING | DESTINATION_OPTIONS => 8,
                AUTHENTICATION => 4,
                _ => break,
            };
            let header = P::anchor(network + V6_LENGTH + extensions);
            let [next, length]: [u8; 2] = packet.load(header).ok_or(Skip::Malformed)?;
            let [_, segments_left]: [u8; 2] = packet.load(header + 2).ok_or(Skip::Malformed)?;
            // In 8-byte units without the first (RFC 8200); Authentication in 4-byte units without two (RFC 4302).
            extensions += if unit == 8 {
                (usize::from(length) + 1) * 8
            } else {
                (usize::from(length) + 2) * 4
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
            protocol = next;
        }
        match protocol {
            TCP | UDP => Ok(Ip {
                transport: P::anchor(network + V6_LENGTH + extensions),
                payload: payload - extensions,
                protocol,
                ttl,
            }),
            FRAGMENT => Err(Skip::Fragment),
            _ => Err(Skip::NotOurs),
        }
    }
}
