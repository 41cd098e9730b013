//! Why a driver takes no XDP program. The system call that makes a link knows the error's number only; the older way to
//! attach, over netlink, has the driver's own words.

use std::{io, os::fd::RawFd};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage, LinkXdp},
};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::netlink;

/// `XDP_FLAGS_UPDATE_IF_NOEXIST` and `XDP_FLAGS_DRV_MODE` of linux/if_link.h.
const IF_NONE: u32 = 1;
const NATIVE: u32 = 1 << 2;

/// What the driver of `interface`, which has refused `program` in native mode just before, says about it.
pub fn words(interface: u32, program: RawFd) -> Option<String> {
    match set(interface, program, IF_NONE | NATIVE) {
        Err(error) => Some(error.to_string()),
        Ok(()) => {
            // It has changed its mind: nothing may stay attached that no link holds.
            if let Err(error) = set(interface, -1, NATIVE) {
                tracing::debug!(interface, %error, "a program stays attached");
            }
            None
        }
    }
}

fn set(interface: u32, program: RawFd, flags: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = interface;
    message.attributes = vec![LinkAttribute::Xdp(vec![
        LinkXdp::Fd(program),
        LinkXdp::Flags(flags),
    ])];
    netlink::ask(NETLINK_ROUTE, RouteNetlinkMessage::SetLink(message), 0).map(|_| ())
}
