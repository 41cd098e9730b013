//! How a packet gets to its next hop: the kernel's answer, cached per CPU, and the XDP action.

use aya_ebpf::{
    bindings::{bpf_fib_lookup as FibLookup, xdp_action},
    helpers::{bpf_fib_lookup, bpf_redirect},
    maps::PerCpuArray,
};
use lb_common::{
    hop::{self, Hop},
    packet::{ETHERNET_LENGTH, Headers, Packet as _},
    service::Control,
    verdict::{Event, Verdict},
};

use crate::{family::Family, frame::Frame, maps::PORTS, stats};

/// What became of a packet; `interface` is where it leaves, if through another than it came in by.
#[derive(Clone, Copy)]
pub struct Outcome {
    pub verdict: Verdict,
    pub interface: u32,
}

impl Outcome {
    #[inline(always)]
    pub const fn stays(verdict: Verdict) -> Self {
        Self {
            verdict,
            interface: 0,
        }
    }

    /// By `hop`, if the packet could be changed for that.
    #[inline(always)]
    pub const fn leaves(changed: Option<()>, hop: &Hop, verdict: Verdict) -> Self {
        match changed {
            Some(()) => Self {
                verdict,
                interface: hop.interface,
            },
            None => Self::stays(Verdict::RewriteFailed),
        }
    }
}

/// The one place that says what a verdict does.
#[inline(always)]
pub fn action(outcome: Outcome) -> u32 {
    match outcome.verdict {
        Verdict::ForwardSame | Verdict::ReplySame => xdp_action::XDP_TX,
        Verdict::ForwardOther | Verdict::ReplyOther => {
            // SAFETY: a helper without preconditions.
            unsafe { bpf_redirect(outcome.interface, 0) as u32 }
        }
        Verdict::NoBackend | Verdict::NoNextHop | Verdict::NoSnatPort | Verdict::RewriteFailed => {
            xdp_action::XDP_DROP
        }
        _ => xdp_action::XDP_PASS,
    }
}

/// A packet that asks for its next hop.
pub struct Journey<A> {
    pub source: A,
    pub destination: A,
    pub protocol: u8,
    /// Where its headers start: only an untagged frame leaves directly.
    pub network: usize,
    /// Bytes of the IP packet.
    pub length: usize,
}

impl<A: Family> Journey<A> {
    /// The way of the packet itself, once it has these addresses.
    #[inline(always)]
    pub fn of(frame: &Frame, headers: &Headers<A>, source: A, destination: A) -> Self {
        Self {
            source,
            destination,
            protocol: headers.tuple.protocol,
            network: headers.network,
            length: frame.length() - headers.network,
        }
    }
}

/// The next hop. `place` says which entry of `cache` may know it.
#[inline(always)]
pub fn next_hop<A: Family>(
    frame: &Frame,
    journey: &Journey<A>,
    control: &Control,
    cache: &'static PerCpuArray<Hop>,
    place: u32,
) -> Option<&'static Hop> {
    let hop = cache.get_ptr_mut(place & (hop::PLACES - 1))?;
    // SAFETY: this CPU's own element, and programs are not preempted by each other on it.
    let hop = unsafe { &mut *hop };
    let destination = journey.destination.to_words();
    let ingress = frame.ingress();
    if !hop.is_for(destination, ingress, control.hop_epoch) {
        ask(frame, journey, hop);
        hop.destination = destination;
        hop.ingress = ingress;
        hop.epoch = control.hop_epoch;
        hop.left = hop::PACKETS;
    }
    hop.left -= 1;
    let leaves =
        hop.kind != Hop::STACK && journey.network == ETHERNET_LENGTH && hop.takes(journey.length);
    leaves.then_some(hop)
}

/// Asks the kernel. Whatever it cannot say goes up the stack, which resolves neighbours, delivers locally and
/// tells senders about packets too big.
#[inline(always)]
fn ask<A: Family>(frame: &Frame, journey: &Journey<A>, hop: &mut Hop) {
    stats::event(Event::HopAsked);
    // SAFETY: integers only; all zero is a value.
    let mut lookup: FibLookup = unsafe { core::mem::zeroed() };
    lookup.family = A::FAMILY;
    lookup.l4_protocol = journey.protocol;
    lookup.ifindex = frame.ingress();
    lookup.__bindgen_anon_3.ipv6_src = journey.source.to_words();
    lookup.__bindgen_anon_4.ipv6_dst = journey.destination.to_words();
    // Fits any MTU, and makes kernels since 5.12 answer with the one of the way.
    lookup.__bindgen_anon_1.tot_len = 1;
    // SAFETY: the context and a struct of the size given.
    let answer = unsafe {
        bpf_fib_lookup(
            frame.ctx().ctx.cast(),
            &raw mut lookup,
            size_of::<FibLookup>() as i32,
            0,
        )
    };
    hop.kind = Hop::STACK;
    let port_mtu = PORTS.get(lookup.ifindex).copied().unwrap_or_default();
    if answer != 0 || port_mtu == 0 {
        return;
    }
    hop.kind = if lookup.ifindex == frame.ingress() {
        Hop::SAME
    } else {
        Hop::OTHER
    };
    hop.interface = lookup.ifindex;
    // SAFETY: both arms are a u16.
    let mtu = unsafe { lookup.__bindgen_anon_1.mtu_result };
    hop.mtu = if mtu == 1 { port_mtu as u16 } else { mtu };
    let [a, b, c, d, e, f] = lookup.dmac;
    let [g, h, i, j, k, l] = lookup.smac;
    hop.macs = [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_ne_bytes);
}
