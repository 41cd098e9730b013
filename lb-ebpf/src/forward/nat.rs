use lb_common::{
    packet::Headers,
    rewrite::{self, End},
    service::Control,
    verdict::Verdict,
};

use crate::{
    answer::Refused,
    family::Family,
    frame::Frame,
    maps::BACKEND_HOPS,
    reverse, stats,
    steer::Chosen,
    transmit::{self, Journey, Outcome},
};

#[inline(always)]
pub fn forward<A: Family>(
    frame: &mut Frame,
    headers: &Headers<A>,
    chosen: &Chosen,
    control: &Control,
) -> Result<Outcome, Refused> {
    let Chosen { id, backend, .. } = *chosen;
    let address = A::from_words(&backend.address);
    let journey = Journey::of(frame, headers, headers.tuple.source, address);
    let hop = transmit::next_hop(frame, &journey, control, &BACKEND_HOPS, id.index());
    if hop.is_some() && headers.ttl <= 1 {
        return Err(super::LAST_HOP);
    }
    reverse::expect(headers, id, backend, control);
    stats::forwarded(id, headers.frame_length());
    let port = backend.port_for(headers.tuple.destination_port);
    if rewrite::endpoint(frame, headers, End::Destination, address, port).is_none() {
        return Ok(Outcome::stays(Verdict::RewriteFailed));
    }
    let Some(hop) = hop else {
        return Ok(Outcome::stays(Verdict::ForwardStack));
    };
    Ok(super::route(frame, headers, hop, super::verdict(hop)))
}
