//! Whom may a packet concern, by its addresses alone? Most of what a host receives is none of ours, and ends here.

use lb_common::{
    filter::{self, ANY_PORT},
    flow::{TCP, UDP},
    packet::Ends,
};

use crate::{
    family::Family,
    maps::{BACKEND_FILTER, VIP_FILTER, load_word},
};

/// Numbers of 0 ("certainly not") or 1 ("perhaps"). Of a bool the verifier would walk both ways to their ends.
#[derive(Clone, Copy)]
pub struct Concern {
    /// Its destination is a VIP.
    vip: u64,
    /// Its source is a backend that answers through here.
    reply: u64,
    /// Its destination is such a backend.
    direct: u64,
}

impl Concern {
    #[inline(always)]
    pub fn of<A: Family>(source: A, destination: A) -> Option<Self> {
        let (to, to_bit) = filter::position(destination, ANY_PORT);
        let (from, from_bit) = filter::position(source, ANY_PORT);
        Some(Self {
            vip: filter::bit(load_word(&VIP_FILTER, to)?, to_bit),
            reply: filter::bit(load_word(&BACKEND_FILTER, from)?, from_bit),
            direct: filter::bit(load_word(&BACKEND_FILTER, to)?, to_bit),
        })
    }

    /// Whether the packet is nobody's of ours. Not of what may carry another packet, whose flow can be between others.
    #[inline(always)]
    pub fn is_none<A>(self, ends: &Ends<A>) -> bool {
        self.vip | self.reply | self.direct == 0 && matches!(ends.protocol, TCP | UDP)
    }

    #[inline(always)]
    pub fn is_to_vip(self) -> bool {
        self.vip != 0
    }

    /// Whether a fragment may be for a service or of a reply, whatever its ports.
    #[inline(always)]
    pub fn has_ports(self) -> bool {
        self.vip | self.reply != 0
    }
}
