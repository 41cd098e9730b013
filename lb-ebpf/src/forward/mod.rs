//! How a packet is handed to its backend.
//!
//! | module | what it does to the packet |
//! |---|---|
//! | [`nat`] | rewrites its destination; replies come back through here |
//! | [`dsr`] | rewrites its MAC |
//! | [`tunnel`] | puts it into another packet: `ipip` and `gue` |

mod dsr;
mod nat;
mod tunnel;

use aya_log_ebpf::{debug, trace};
use lb_common::{
    address::{Address, V4, V6},
    backend::Forward,
    encap::Tunnel,
    hop::Hop,
    packet::Headers,
    rewrite,
    service::Control,
    verdict::Verdict,
};

use crate::{family::Family, frame::Frame, steer, transmit::Outcome};

const DSR: u8 = Forward::Dsr as u8;
const IPIP: u8 = Forward::Ipip as u8;
const GUE: u8 = Forward::Gue as u8;

#[inline(always)]
pub fn packet<A: Family + Tunnel>(
    frame: &mut Frame,
    headers: &Headers<A>,
    pool: u32,
    control: &Control,
) -> Outcome {
    let client_port = u16::from_be(headers.tuple.source_port);
    let Some(chosen) = steer::backend(headers, pool, control) else {
        debug!(
            frame.ctx(),
            "pool {}: no backend for the client at port {}", pool, client_port
        );
        return Outcome::stays(Verdict::NoBackend);
    };
    if headers.opens() {
        trace!(
            frame.ctx(),
            "pool {}: client port {} opens a flow to backend {}",
            pool,
            client_port,
            chosen.id.index()
        );
    }
    match chosen.backend.forward {
        DSR => dsr::forward(frame, headers, &chosen, control),
        IPIP | GUE if chosen.backend.family == V4::FAMILY => {
            tunnel::forward::<A, V4>(frame, headers, &chosen, control)
        }
        IPIP | GUE => tunnel::forward::<A, V6>(frame, headers, &chosen, control),
        _ => nat::forward(frame, headers, &chosen, control),
    }
}

/// The name of a packet's way to a backend.
#[inline(always)]
fn verdict(hop: &Hop) -> Verdict {
    if hop.kind == Hop::SAME {
        Verdict::ForwardSame
    } else {
        Verdict::ForwardOther
    }
}

/// Out of an interface, as a router would send it.
#[inline(always)]
pub fn route<A: Family>(
    frame: &mut Frame,
    headers: &Headers<A>,
    hop: &'static Hop,
    verdict: Verdict,
) -> Outcome {
    match rewrite::decrement_ttl::<A, _>(frame, headers.network, headers.ttl) {
        Some(()) => Outcome::leaves(hop, verdict),
        None => Outcome::stays(Verdict::RewriteFailed),
    }
}
