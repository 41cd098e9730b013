//! Removing the clsact qdisc that a filter needed, where we made it.

use std::io;

use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcHandle, TcHeader, TcMessage},
};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::netlink;

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
    let request = RouteNetlinkMessage::DelQueueDiscipline(message);
    netlink::ask(NETLINK_ROUTE, request, 0).map(|_| ())
}
