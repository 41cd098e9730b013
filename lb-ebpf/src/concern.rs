//! Whom may a packet concern, by its addresses alone? Most of what a host receives is none of ours, and ends here.

use lb_common::{
    filter::{self, ANY_PORT},
    flow::{TCP, UDP},
    packet::{Ends, Packet},
};

use crate::{
    family::Family,
    maps::{BACKEND_FILTER, VIP_FILTER, load_word},
};

/// What the addresses of a packet say, as numbers of 0 ("certainly not") or 1 ("perhaps"): of a bool the verifier would
/// walk both ways to their ends.
#[derive(Clone, Copy)]
pub struct Concern {
    /// Its destination is a VIP.
    vip: u64,
    /// Its source is a backend that answers through here. Not looked at for what goes to a VIP.
    reply: u64,
}

impl Concern {
    /// `None`: nobody of ours, and so not of what may carry another packet, whose flow can be between others.
    #[inline(always)]
    pub fn of<A: Family, P: Packet>(packet: &P, ends: &Ends<A>) -> Option<Self> {
        let (to, to_bit) = filter::position(ends.destination, ANY_PORT);
        let vip = filter::bit(load_word(&VIP_FILTER, to)?, to_bit);
        let concern = |reply| Self {
            vip: packet.anchor::<1>(vip as usize) as u64,
            reply: packet.anchor::<1>(reply as usize) as u64,
        };
        if vip != 0 {
            return Some(concern(0));
        }
        let (from, from_bit) = filter::position(ends.source, ANY_PORT);
        let reply = filter::bit(load_word(&BACKEND_FILTER, from)?, from_bit);
        // A client may talk to a backend itself, and by that end what is known of a flow.
        let direct = filter::bit(load_word(&BACKEND_FILTER, to)?, to_bit);
        if reply | direct == 0 && matches!(ends.protocol, TCP | UDP) {
            return None;
        }
        Some(concern(reply))
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
