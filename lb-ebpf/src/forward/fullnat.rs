use lb_common::{
    backend::Backend,
    hash,
    packet::{Headers, Packet as _},
    rewrite,
    service::Control,
    translation::Translation,
    verdict::{Event, Verdict},
};

use super::FULLNAT;
use crate::{
    family::Family,
    frame::Frame,
    maps::{BACKEND_HOPS, BACKENDS, CLIENT_HOPS},
    stats,
    steer::Place,
    translations,
    transmit::{self, Journey, Outcome},
};

/// `None` where this is none of its flows.
///
/// A flow stays where its translation says, whatever becomes of its slot: the translation is its record.
#[inline(always)]
pub fn forward<A: Family>(
    frame: &mut Frame,
    headers: &Headers<A>,
    place: &Place,
    control: &Control,
) -> Option<Outcome> {
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
    if !id.is_somebody() {
        return None;
    }
    stats::event(Event::SelectCurrent);
    if !owner.serves(id) {
        return Some(Outcome::stays(Verdict::NoBackend));
    }
    let Some(translation) = translations::add(headers, id, owner, place.hash, control) else {
        return Some(Outcome::stays(Verdict::NoSnatPort));
    };
    Some(send(frame, headers, &translation, owner, control))
}

#[inline(always)]
fn send<A: Family>(
    frame: &mut Frame,
    headers: &Headers<A>,
    translation: &Translation<A>,
    backend: &Backend,
    control: &Control,
) -> Outcome {
    let to = translation.applied(
        &headers.tuple,
        A::from_words(&backend.address),
        backend.port,
    );
    let journey = Journey::of(frame, headers, to.source, to.destination);
    let place = translation.backend.index();
    let hop = transmit::next_hop(frame, &journey, control, &BACKEND_HOPS, place);
    if hop.is_some() && headers.ttl <= 1 {
        return Outcome::stays(Verdict::TtlExceeded);
    }
    stats::forwarded(translation.backend, frame.length());
    if rewrite::endpoints(frame, headers, &to).is_none() {
        return Outcome::stays(Verdict::RewriteFailed);
    }
    let Some(hop) = hop else {
        return Outcome::stays(Verdict::ForwardStack);
    };
    super::route(frame, headers, hop, super::verdict(hop))
}

/// Back to the client; `None` where the packet is no reply of ours.
#[inline(always)]
pub fn reply<A: Family>(
    frame: &mut Frame,
    headers: &Headers<A>,
    control: &Control,
) -> Option<Outcome> {
    let record = translations::answered(headers)?;
    let to = record.forward(headers.tuple.protocol).reversed();
    let journey = Journey::of(frame, headers, to.source, to.destination);
    let place = hash::mix(to.destination.fold());
    let hop = transmit::next_hop(frame, &journey, control, &CLIENT_HOPS, place);
    if rewrite::endpoints(frame, headers, &to).is_none() {
        return Some(Outcome::stays(Verdict::RewriteFailed));
    }
    // As it came it is addressed to this host, which knows nothing of it: the kernel has to see it rewritten.
    let Some(hop) = hop.filter(|_| headers.ttl > 1) else {
        return Some(Outcome::stays(Verdict::ReplyStackTranslated));
    };
    Some(super::route(
        frame,
        headers,
        hop,
        super::reply_verdict(hop),
    ))
}
