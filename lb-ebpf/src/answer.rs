//! What the load balancer says itself: replies to pings, and errors about packets that cannot go on.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use lb_common::{
    answer::{
        echo,
        error::{self, Problem},
    },
    encap::Tunnel,
    hash,
    hop::Hop,
    packet::Headers,
    service::Control,
    verdict::Verdict,
};

use crate::{
    family::Family,
    frame::Frame,
    maps::{BUDGETS, CLIENT_HOPS},
    transmit::{self, Journey, Outcome},
};

/// Places in [`BUDGETS`].
const ECHOES: u32 = 0;
const ERRORS: u32 = 1;

/// A packet that cannot go on.
pub struct Refused {
    pub problem: Problem,
    /// What becomes of it where its sender cannot be told.
    pub otherwise: Verdict,
}

/// Answers an echo request to a VIP.
#[inline(always)]
pub fn echo<A: Family>(frame: &mut Frame, headers: &Headers<A>, control: &Control) -> Outcome {
    let Some(hop) = way_back(frame, headers, headers.length, control) else {
        // The kernel answers where the VIP is its own.
        return Outcome::stays(Verdict::EchoStack);
    };
    if !has_budget(ECHOES) {
        return Outcome::stays(Verdict::IcmpLimited);
    }
    Outcome::leaves_changed(echo::reply(frame, headers), hop, Verdict::EchoReply)
}

/// Tells the sender of a packet to a VIP why it cannot go on.
#[inline(always)]
pub fn refuse<A: Family + Tunnel>(
    frame: &mut Frame,
    headers: &Headers<A>,
    refused: &Refused,
    control: &Control,
) -> Outcome {
    // Never about an error, nor about a fragment but the first (RFC 1122, section 3.2.2).
    if !headers.is_of_flow() || headers.fragment.is_later() {
        return Outcome::stays(refused.otherwise);
    }
    let Some(hop) = way_back(frame, headers, 0, control) else {
        return Outcome::stays(refused.otherwise);
    };
    if !has_budget(ERRORS) {
        return Outcome::stays(Verdict::IcmpLimited);
    }
    let verdict = match refused.problem {
        Problem::TooBig(_) => Verdict::TooBig,
        Problem::TimeExceeded => Verdict::TimeExceeded,
    };
    // Before Linux 6.6, not of a frame larger than a page in generic mode.
    let Some((quoted, sum)) = frame.quote(headers.network, headers.length) else {
        return Outcome::stays(refused.otherwise);
    };
    let changed = write(frame, headers, refused.problem, quoted, sum);
    Outcome::leaves_changed(changed, hop, verdict)
}

/// No closure: programs that share one would call it, with a stack of its own.
#[inline(always)]
fn write<A: Family + Tunnel>(
    frame: &mut Frame,
    headers: &Headers<A>,
    problem: Problem,
    quoted: usize,
    sum: u32,
) -> Option<()> {
    frame.grow(error::length::<A>(), headers.network, A::ETHERTYPE)?;
    error::write(frame, headers, problem, quoted, sum)
}

/// How an answer of `length` bytes leaves to the sender of a packet.
#[inline(always)]
fn way_back<A: Family>(
    frame: &Frame,
    headers: &Headers<A>,
    length: usize,
    control: &Control,
) -> Option<&'static Hop> {
    let journey = Journey {
        source: headers.tuple.destination,
        destination: headers.tuple.source,
        protocol: A::ICMP,
        network: headers.network,
        length,
        linear: frame.linear_flag(headers.network + length),
    };
    let place = hash::mix(journey.destination.fold());
    transmit::next_hop(frame, &journey, control, &CLIENT_HOPS, place)
}

#[inline(always)]
fn has_budget(place: u32) -> bool {
    let Some(budget) = BUDGETS.get_ptr_mut(place) else {
        return false;
    };
    // SAFETY: this CPU's own element, and programs are not preempted by each other on it; a helper without
    // preconditions.
    unsafe { (*budget).take(bpf_ktime_get_ns()) }
}
