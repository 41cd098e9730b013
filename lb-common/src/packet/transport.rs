//! The TCP and UDP headers.

use super::{Packet, Skip, View};
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
    if protocol == TCP {
        // RFC 9293: the data offset counts 32-bit words, five at least.
        let tcp = packet.view::<20>(offset).ok_or(Skip::Malformed)?;
        let header = usize::from(tcp.load::<u8>(12) >> 4) * 4;
        if header < 20 || header > payload {
            return Err(Skip::Malformed);
        }
        return Ok((Ports::of(&tcp), tcp.load(13)));
    }
    let udp = packet.view::<8>(offset).ok_or(Skip::Malformed)?;
    let length = usize::from(u16::from_be(udp.load(4)));
    if length < 8 || length > payload {
        return Err(Skip::Malformed);
    }
    Ok((Ports::of(&udp), 0))
}

impl Ports {
    #[inline(always)]
    fn of<const N: usize>(header: &View<'_, N>) -> Self {
        Self {
            source: header.load(0),
            destination: header.load(2),
        }
    }
}
