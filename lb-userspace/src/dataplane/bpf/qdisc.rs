//! Removing the clsact qdisc that a filter needed, where we made it.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcHandle, TcHeader, TcMessage},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// `TC_H_CLSACT` of linux/pkt_sched.h: where a clsact qdisc hangs, and its handle.
const CLSACT_PARENT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;

/// Removes the clsact qdisc of an interface, with every filter on it.
pub fn remove_clsact(interface: u32) -> io::Result<()> {
    let index = i32::try_from(interface).map_err(io::Error::other)?;
    let mut message = TcMessage::default();
    message.header = TcHeader {
        index,
        handle: TcHandle::from(CLSACT_HANDLE),
        parent: TcHandle::from(CLSACT_PARENT),
        ..TcHeader::default()
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let payload = RouteNetlinkMessage::DelQueueDiscipline(message);
    let mut request = NetlinkMessage::new(header, payload.into());
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);

    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer =
        NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        _ => Ok(()),
    }
}
