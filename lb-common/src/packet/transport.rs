//! The TCP and UDP headers.

use super::{Packet, Skip, View, ip::Ip};
use crate::flow::TCP;

/// In network byte order.
#[derive(Default)]
pub struct Ports {
    pub source: u16,
    pub destination: u16,
}

/// Ports and TCP flags. A first fragment has the whole header (RFC 7112, RFC 1858), but not all of a datagram.
#[inline(always)]
pub fn read<A, P: Packet>(packet: &P, ip: &Ip<A>) -> Result<(Ports, u8), Skip> {
    let (offset, payload) = (ip.transport, ip.payload);
    if ip.protocol == TCP {
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
    let is_cut = length > payload;
    if length < 8 || is_cut && !(ip.fragment.is_first() && payload >= 8) {
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
