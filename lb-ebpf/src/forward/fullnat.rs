use lb_common::{
    backend::Backend,
    encap::Tunnel,
    hash,
    layout::{CHOOSE, ENTER},
    packet::Headers,
    rewrite,
    service::Control,
    translation::Translation,
    verdict::{Event, Verdict},
};

use super::FULLNAT;
use crate::{
    answer::Refused,
    family::Family,
    frame::Frame,
    maps::{BACKEND_HOPS, BACKENDS, CLIENT_HOPS},
    stats,
    steer::Place,
    translations,
    transmit::{self, Journey, Outcome},
};

/// A packet of a known flow; every other one goes on in the programs that open flows. `None` where this is no flow of `fullnat`.
///
/// A flow stays where its translation says, whatever becomes of its slot: the translation is its record.
#[inline(always)]
pub fn forward<A: Family + Tunnel>(
    frame: &mut Frame,
    headers: &Headers<A>,
    place: &Place,
    control: &Control,
) -> Option<Result<Outcome, Refused>> {
    let id = place.slot.current;
    let owner = BACKENDS.get(id.index())?;
    // Where nobody takes new flows, old ones may still have their translations.
    if id.is_somebody() && owner.forward != FULLNAT {
        return None;
    }
    if let Some((translation, backend)) = translations::find(headers) {
        stats::event(Event::SelectRecorded);
        return Some(send(frame, headers, &translation, backend, control));
    }
    if !id.is_somebody() && !headers.opens() {
        return None;
    }
    if !headers.is_of_flow() {
        // About a flow that there is not.
        return Some(Ok(Outcome::stays(Verdict::NotOurs)));
    }
    let next = if place.table.tracks { CHOOSE } else { ENTER };
    Some(Ok(super::call(frame, next)))
}

/// A packet of any flow; for a new one a backend was chosen, and a port drawn.
#[inline(always)]
pub fn open<A: Family + Tunnel>(
    frame: &mut Frame,
    headers: &Headers<A>,
    control: &Control,
) -> Result<Outcome, Refused> {
    let (translation, backend) = if let Some(known) = translations::find_opening(headers) {
        stats::event(Event::SelectRecorded);
        known
    } else {
        match translations::add(headers, control) {
            Ok(added) => added,
            Err(verdict) => return Ok(Outcome::stays(verdict)),
        }
    };
    send(frame, headers, &translation, backend, control)
}

#[inline(always)]
fn send<A: Family + Tunnel>(
    frame: &mut Frame,
    headers: &Headers<A>,
    translation: &Translation<A>,
    backend: &Backend,
    control: &Control,
) -> Result<Outcome, Refused> {
    let to = translation.applied(
        &headers.tuple,
        A::from_words(&backend.address),
        backend.port_for(headers.tuple.destination_port),
    );
    let journey = Journey::of(frame, headers, to.source, to.destination);
    let place = translation.backend.index();
    let hop = transmit::next_hop(frame, &journey, control, &BACKEND_HOPS, place);
    if hop.is_some() && headers.ttl <= 1 {
        return Err(super::LAST_HOP);
    }
    // The kernel would tell the packet's source, which is this host by then.
    if hop.is_none() && A::inner(frame, headers.network).is_some_and(|inner| inner.dont_fragment) {
        super::too_big(&journey, &BACKEND_HOPS, place, 0, Verdict::NoRoom)?;
    }
    stats::forwarded(translation.backend, headers.frame_length());
    if rewrite::endpoints(frame, headers, &to).is_none() {
        return Ok(Outcome::stays(Verdict::RewriteFailed));
    }
    let Some(hop) = hop else {
        return Ok(Outcome::stays(Verdict::ForwardStack));
    };
    Ok(super::route(frame, headers, hop, super::verdict(hop)))
}

/// Back to the client; `None` where the packet is no reply of ours.
#[inline(always)]
pub fn reply<A: Family + Tunnel>(
    frame: &mut Frame,
    headers: &Headers<A>,
    control: &Control,
) -> Option<Result<Outcome, Refused>> {
    let record = translations::answered(headers, control)?;
    let to = record.forward(headers.tuple.protocol).reversed();
    let journey = Journey::of(frame, headers, to.source, to.destination);
    let place = hash::mix(to.destination.fold());
    let hop = transmit::next_hop(frame, &journey, control, &CLIENT_HOPS, place);
    // The kernel would tell the VIP.
    if hop.is_none()
        && A::inner(frame, headers.network).is_some_and(|inner| inner.dont_fragment)
        && let Err(refused) = super::too_big(&journey, &CLIENT_HOPS, place, 0, Verdict::NoRoom)
    {
        return Some(Err(refused));
    }
    if rewrite::endpoints(frame, headers, &to).is_none() {
        return Some(Ok(Outcome::stays(Verdict::RewriteFailed)));
    }
    // As it came it is addressed to this host, which knows nothing of it: the kernel has to see it rewritten.
    let Some(hop) = hop.filter(|_| headers.ttl > 1) else {
        return Some(Ok(Outcome::stays(Verdict::ReplyStackTranslated)));
    };
    Some(Ok(super::route(
        frame,
        headers,
        hop,
        super::reply_verdict(hop),
    )))
}
