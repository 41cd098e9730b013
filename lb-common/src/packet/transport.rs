//! The TCP and UDP headers.

use super::{Packet, Skip};
use crate::flow::TCP;

/// In network byte order.
pub struct Ports {
    pub source: u16,
    pub destination: u16,
}

/// Ports and TCP flags. `payload` is what the IP header leaves for the transport layer.
#[inline(always)]
pub fn read<P: Packet>(
    packet: &P,
    offset: usize,
    protocol: u8,
    payload: usize,
) -> Result<(Ports, u8), Skip> {
    let source: u16 = packet.load(offset).ok_or(Skip::Malformed)?;
    let destination: u16 = packet.load(offset + 2).ok_or(Skip::Malformed)?;
    let ports = Ports {
        source,
        destination,
    };
    if protocol == TCP {
        // RFC 9293: the data offset counts 32-bit words, five at least.
        let data_offset: u8 = packet.load(offset + 12).ok_or(Skip::Malformed)?;
        let flags: u8 = packet.load(offset + 13).ok_or(Skip::Malformed)?;
        let _: u16 = packet.load(offset + 18).ok_or(Skip::Malformed)?;
        let header = usize::from(data_offset >> 4) * 4;
        if header < 20 || header > payload {
            return Err(Skip::Malformed);
        }
        return Ok((ports, flags));
    }
    let length: u16 = packet.load(offset + 4).ok_or(Skip::Malformed)?;
    let _: u16 = packet.load(offset + 6).ok_or(Skip::Malformed)?;
    let length = usize::from(u16::from_be(length));
    if length < 8 || length > payload {
        return Err(Skip::Malformed);
    }
    Ok((ports, 0))
}
