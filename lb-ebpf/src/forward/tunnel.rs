use lb_common::{
    backend::Forward,
    encap::{self, Outer, Tunnel, UDP_LENGTH},
    flow::UDP,
    packet::Headers,
    rewrite,
    service::Control,
    verdict::Verdict,
};

use crate::{
    answer::Refused,
    family::Family,
    frame::Frame,
    maps::BACKEND_HOPS,
    stats,
    steer::Chosen,
    transmit::{self, Journey, Outcome},
};

/// Puts a packet of family `A` into one of family `O`. What cannot leave directly goes up the stack, encapsulated, which
/// routes it like any other packet.
#[inline(always)]
pub fn forward<A: Family + Tunnel, O: Family + Tunnel>(
    frame: &mut Frame,
    headers: &Headers<A>,
    chosen: &Chosen,
    control: &Control,
) -> Result<Outcome, Refused> {
    let is_gue = chosen.backend.forward == Forward::Gue as u8;
    let overhead = O::LENGTH + if is_gue { UDP_LENGTH } else { 0 };
    // The hash spreads either by address or by port, not twice the same bits.
    let source = O::source(if is_gue { 0 } else { chosen.hash });
    let destination = O::from_words(&chosen.backend.address);
    let journey = Journey {
        source,
        destination,
        protocol: if is_gue { UDP } else { A::AS_PAYLOAD },
        network: headers.network,
        length: headers.length + overhead,
        linear: frame.linear_flag(headers.frame_length()),
    };
    let place = chosen.id.index();
    let hop = transmit::next_hop(frame, &journey, control, &BACKEND_HOPS, place);
    if headers.ttl <= 1 {
        return Err(super::LAST_HOP);
    }
    let Some(inner) = A::inner(frame, headers.network) else {
        return Ok(Outcome::stays(Verdict::RewriteFailed));
    };
    if hop.is_none() && inner.dont_fragment {
        super::too_big(
            &journey,
            &BACKEND_HOPS,
            chosen.id.index(),
            overhead,
            Verdict::NoRoom,
        )?;
    }
    stats::forwarded(chosen.id, headers.frame_length());
    let outer = Outer {
        source,
        destination,
        protocol: journey.protocol,
        class: inner.class,
        dont_fragment: inner.dont_fragment,
        identification: inner.identification,
        payload: journey.length - O::LENGTH,
        label: chosen.hash,
    };
    if encapsulate(frame, headers, &outer, chosen.hash, overhead).is_none() {
        return Ok(Outcome::stays(Verdict::RewriteFailed));
    }
    let Some(hop) = hop else {
        return Ok(Outcome::stays(Verdict::ForwardStack));
    };
    Ok(Outcome::leaves(hop, super::verdict(hop)))
}

#[inline(always)]
fn encapsulate<A: Family + Tunnel, O: Family + Tunnel>(
    frame: &mut Frame,
    headers: &Headers<A>,
    outer: &Outer<O>,
    hash: u32,
    overhead: usize,
) -> Option<()> {
    rewrite::decrement_ttl::<A, _>(frame, headers.network, headers.ttl)?;
    let sum = if headers.is_of_flow() {
        A::packet_sum(frame, headers)
    } else {
        None
    };
    frame.grow(overhead, headers.network, O::ETHERTYPE)?;
    O::write_outer(frame, headers.network, outer)?;
    if outer.protocol == UDP {
        let offset = headers.network + O::LENGTH;
        encap::write_udp(frame, offset, outer, hash, sum)?;
    }
    Some(())
}
