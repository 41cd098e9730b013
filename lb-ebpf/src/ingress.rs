//! What becomes of a packet that arrives: to a backend, back to a client, or to the kernel untouched.

use aya_log_ebpf::{debug, trace};
use lb_common::{
    address::{Address, V4, V6},
    hash,
    hop::Hop,
    packet::{Headers, Packet, Skip, network_layer, parse},
    rewrite::{self, End},
    service::Control,
    verdict::Verdict,
};

use crate::{
    family::Family,
    frame::Frame,
    maps::{self, BACKEND_HOPS, CLIENT_HOPS},
    reverse, stats, steer,
    transmit::{self, Journey, Outcome},
};

#[inline(always)]
pub fn handle(frame: &mut Frame) -> Outcome {
    let (ethertype, network) = match network_layer(frame) {
        Ok(found) => found,
        Err(skip) => return skipped(skip),
    };
    if ethertype == V4::ETHERTYPE {
        return packet::<V4>(frame, network);
    }
    if ethertype == V6::ETHERTYPE {
        return packet::<V6>(frame, network);
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
fn packet<A: Family>(frame: &mut Frame, network: usize) -> Outcome {
    let headers: Headers<A> = match parse(frame, network) {
        Ok(headers) => headers,
        Err(skip) => return skipped(skip),
    };
    let Some(control) = maps::control() else {
        return skipped(Skip::NotOurs);
    };
    if let Some(pool) = steer::service(&headers.tuple, control) {
        return forward(frame, &headers, pool, control);
    }
    reverse::heed_direct(&headers);
    reply(frame, &headers, control)
}

#[inline(always)]
fn forward<A: Family>(
    frame: &mut Frame,
    headers: &Headers<A>,
    pool: u32,
    control: &Control,
) -> Outcome {
    let client_port = u16::from_be(headers.tuple.source_port);
    let Some((id, backend)) = steer::backend(headers, pool, control) else {
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
            id.index()
        );
    }
    let address = A::from_words(&backend.address);
    let journey = Journey {
        source: headers.tuple.source,
        destination: address,
        protocol: headers.tuple.protocol,
        network: headers.network,
        length: frame.length() - headers.network,
    };
    let hop = transmit::next_hop(frame, &journey, control, &BACKEND_HOPS, id.index());
    if hop.is_some() && headers.ttl <= 1 {
        return Outcome::stays(Verdict::TtlExceeded);
    }
    reverse::expect(headers, id, backend);
    stats::forwarded(id, frame.length());
    if rewrite::endpoint(frame, headers, End::Destination, address, backend.port).is_none() {
        return Outcome::stays(Verdict::RewriteFailed);
    }
    let Some(hop) = hop else {
        return Outcome::stays(Verdict::ForwardStack);
    };
    let verdict = if hop.kind == Hop::SAME {
        Verdict::ForwardSame
    } else {
        Verdict::ForwardOther
    };
    leave(frame, headers, hop, verdict)
}

#[inline(always)]
fn reply<A: Family>(frame: &mut Frame, headers: &Headers<A>, control: &Control) -> Outcome {
    let Some(record) = reverse::find(headers, control) else {
        return skipped(Skip::NotOurs);
    };
    let journey = Journey {
        source: record.vip,
        destination: headers.tuple.destination,
        protocol: headers.tuple.protocol,
        network: headers.network,
        length: frame.length() - headers.network,
    };
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
    let verdict = if hop.kind == Hop::SAME {
        Verdict::ReplySame
    } else {
        Verdict::ReplyOther
    };
    leave(frame, headers, hop, verdict)
}

/// Out of an interface, as a router would send it.
#[inline(always)]
fn leave<A: Family>(
    frame: &mut Frame,
    headers: &Headers<A>,
    hop: &Hop,
    verdict: Verdict,
) -> Outcome {
    let changed = rewrite::decrement_ttl::<A, _>(frame, headers.network, headers.ttl)
        .and_then(|()| rewrite::macs(frame, &hop.macs));
    match changed {
        Some(()) => Outcome {
            verdict,
            interface: hop.interface,
        },
        None => Outcome::stays(Verdict::RewriteFailed),
    }
}
