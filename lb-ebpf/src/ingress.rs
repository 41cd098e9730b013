//! What becomes of a packet that arrives: to a backend, back to a client, or to the kernel untouched.

use lb_common::{
    address::{Address, V4, V6},
    encap::Tunnel,
    hash,
    packet::{Headers, Skip, network_layer, parse},
    rewrite::{self, End},
    service::Control,
    verdict::Verdict,
};

use crate::{
    family::Family,
    forward,
    frame::Frame,
    maps::{self, CLIENT_HOPS},
    reverse, steer,
    transmit::{self, Journey, Outcome},
};

/// What a program does: everything, or a step of opening a flow of `fullnat`.
pub const ALL: u32 = 0;
pub const DRAW: u32 = 1;
pub const OPEN: u32 = 2;

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
    let headers: Headers<A> = match parse(frame, network) {
        Ok(headers) => headers,
        Err(skip) => return skipped(skip),
    };
    let Some(control) = maps::control() else {
        return skipped(Skip::NotOurs);
    };
    let pool = steer::service(&headers.tuple, control);
    if STEP != ALL {
        let place = pool.and_then(|pool| steer::place(&headers, pool, control));
        return place.map_or(Outcome::stays(Verdict::NoBackend), |place| match STEP {
            DRAW => forward::draw(frame, &headers, &place, control),
            _ => forward::open(frame, &headers, &place, control),
        });
    }
    if let Some(pool) = pool {
        return forward::packet(frame, &headers, pool, control);
    }
    if control.has_fullnat != 0
        && let Some(outcome) = forward::translated_reply(frame, &headers, control)
    {
        return outcome;
    }
    reverse::heed_direct(&headers);
    reply(frame, &headers, control)
}

#[inline(always)]
fn reply<A: Family>(frame: &mut Frame, headers: &Headers<A>, control: &Control) -> Outcome {
    let Some(record) = reverse::find(headers, control) else {
        return skipped(Skip::NotOurs);
    };
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
