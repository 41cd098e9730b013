use lb_common::{packet::Headers, service::Control, verdict::Verdict};

use crate::{
    answer::Refused,
    family::Family,
    frame::Frame,
    maps::BACKEND_HOPS,
    stats,
    steer::Chosen,
    transmit::{self, Journey, Outcome},
};

/// To the backend's MAC. The kernel cannot do that for us: to it, the destination is the VIP. Checks of the backend keep
/// its neighbour entry fresh.
#[inline(always)]
pub fn forward<A: Family>(
    frame: &Frame,
    headers: &Headers<A>,
    chosen: &Chosen,
    control: &Control,
) -> Result<Outcome, Refused> {
    let Chosen { id, backend, .. } = *chosen;
    let journey = Journey::of(
        frame,
        headers,
        headers.tuple.source,
        A::from_words(&backend.address),
    );
    let Some(hop) = transmit::next_hop(frame, &journey, control, &BACKEND_HOPS, id.index()) else {
        super::too_big(&journey, &BACKEND_HOPS, id.index(), 0, Verdict::NoNextHop)?;
        return Ok(Outcome::stays(Verdict::NoNextHop));
    };
    stats::forwarded(id, headers.frame_length());
    Ok(Outcome::leaves(hop, super::verdict(hop)))
}
