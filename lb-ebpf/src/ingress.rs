//! What becomes of a packet that arrives: to a backend, back to a client, or to the kernel untouched.

use lb_common::{
    address::{Address, V4, V6},
    encap::Tunnel,
    hash,
    packet::{Carries, Headers, Skip, network_layer, parse_on},
    rewrite::{self, End},
    service::Control,
    verdict::{Event, Verdict},
};

use crate::{
    answer::{self, Refused},
    concern::Concern,
    family::Family,
    forward, fragments,
    frame::Frame,
    maps::{self, CLIENT_HOPS},
    reverse, stats, steer,
    transmit::{self, Journey, Outcome},
};

/// What a program does: everything, or a step of opening a flow that needs more than a hash.
pub const ALL: u32 = 0;
pub const CHOOSE: u32 = 1;
pub const ENTER: u32 = 2;
pub const OPEN: u32 = 3;

#[inline(always)]
pub fn handle<const STEP: u32>(frame: &mut Frame) -> Outcome {
    let (ethertype, network) = match network_layer(frame) {
        Ok(found) => found,
        Err(skip) => return skipped(skip),
    };
    if ethertype == V4::ETHERTYPE {
        return packet::<V4, STEP>(frame, network);
    }
    if ethertype == V6::ETHERTYPE {
        return packet::<V6, STEP>(frame, network);
    }
    skipped(Skip::NotOurs)
}

#[inline(always)]
fn skipped(skip: Skip) -> Outcome {
    Outcome::stays(match skip {
        Skip::NotOurs => Verdict::NotOurs,
        Skip::Fragment => Verdict::Fragment,
        Skip::Malformed => Verdict::Malformed,
    })
}

#[inline(always)]
fn packet<A: Family + Tunnel, const STEP: u32>(frame: &mut Frame, network: usize) -> Outcome {
    let Some(start) = A::start(frame, network) else {
        return skipped(Skip::Malformed);
    };
    let Some(concern) = Concern::of(frame, &A::ends(start)) else {
        return skipped(Skip::NotOurs);
    };
    let mut headers: Headers<A> = match parse_on(frame, network, start) {
        Ok(headers) => headers,
        Err(skip) => return skipped(skip),
    };
    let Some(control) = maps::control() else {
        return skipped(Skip::NotOurs);
    };
    if let Err(skip) = fragments::follow(frame, &mut headers, concern, control) {
        if STEP == ALL && skip == Skip::Fragment && fragments::hold(frame, &headers, concern) {
            return Outcome::stays(Verdict::HeldFragment);
        }
        return skipped(skip);
    }
    let pool = if concern.is_to_vip() {
        steer::service(&headers.tuple, control)
    } else {
        None
    };
    if STEP != ALL {
        let Some(pool) = pool else {
            return Outcome::stays(Verdict::NoBackend);
        };
        if STEP != OPEN {
            let Some(place) = steer::place(&headers, pool, control) else {
                return Outcome::stays(Verdict::NoBackend);
            };
            if STEP == CHOOSE {
                return forward::choose(frame, &headers, pool, &place);
            }
            return forward::enter(frame, &headers, pool, &place, control);
        }
        let result = forward::open(frame, &headers, control);
        return settled(frame, &headers, result, control);
    }
    let result = if let Some(pool) = pool {
        if headers.carries == Carries::ECHO {
            return answer::echo(frame, &headers, control);
        }
        quoted(&headers);
        forward::packet(frame, &headers, pool, control)
    } else {
        if headers.carries == Carries::ECHO {
            return skipped(Skip::NotOurs);
        }
        if control.has_fullnat != 0
            && let Some(result) = forward::translated_reply(frame, &headers, control)
        {
            quoted(&headers);
            result
        } else {
            reverse::heed_direct(&headers, control);
            return reply(frame, &headers, control);
        }
    };
    settled(frame, &headers, result, control)
}

/// No closure: programs that share one would call it, with a stack of its own.
#[inline(always)]
fn settled<A: Family + Tunnel>(
    frame: &mut Frame,
    headers: &Headers<A>,
    result: Result<Outcome, Refused>,
    control: &Control,
) -> Outcome {
    match result {
        Ok(outcome) => outcome,
        Err(refused) => answer::refuse(frame, headers, &refused, control),
    }
}

#[inline(always)]
fn quoted<A>(headers: &Headers<A>) {
    if headers.carries == Carries::QUOTE {
        stats::event(Event::ErrorForwarded);
    }
}

#[inline(always)]
fn reply<A: Family>(frame: &mut Frame, headers: &Headers<A>, control: &Control) -> Outcome {
    let Some(record) = reverse::find(headers, control) else {
        return skipped(Skip::NotOurs);
    };
    quoted(headers);
    let journey = Journey::of(frame, headers, record.vip, headers.tuple.destination);
    let place = hash::mix(headers.tuple.destination.fold());
    let Some(hop) = transmit::next_hop(frame, &journey, control, &CLIENT_HOPS, place) else {
        // Untouched: the kernel would refuse a source that is its own address. tc egress rewrites it.
        return Outcome::stays(Verdict::ReplyStack);
    };
    if headers.ttl <= 1 {
        return Outcome::stays(Verdict::TtlExceeded);
    }
    if rewrite::endpoint(frame, headers, End::Source, record.vip, record.vip_port).is_none() {
        return Outcome::stays(Verdict::RewriteFailed);
    }
    forward::route(frame, headers, hop, forward::reply_verdict(hop))
}
