//! How a packet is handed to its backend.
//!
//! | module | what it does to the packet |
//! |---|---|
//! | [`nat`] | rewrites its destination; replies come back through here |
//! | [`fullnat`] | rewrites its destination and its source; replies come to us by themselves |
//! | [`dsr`] | rewrites its MAC |
//! | [`tunnel`] | puts it into another packet: `ipip` and `gue` |

mod dsr;
mod fullnat;
mod nat;
mod tunnel;

use aya_ebpf::maps::PerCpuArray;
use aya_log_ebpf::{debug, trace};
use lb_common::{
    address::{Address, V4, V6},
    answer::error::Problem,
    backend::Forward,
    encap::Tunnel,
    flow::Client,
    hop::Hop,
    layout::{ALL, CHOOSE, ENTER, OPEN},
    packet::Headers,
    rewrite,
    service::Control,
    verdict::{Event, Verdict},
};

pub use fullnat::{open, reply as translated_reply};

use crate::{
    answer::Refused,
    family::Family,
    frame::Frame,
    maps::PROGRAMS,
    schedule::{self, Lack, Picked},
    stats,
    steer::{self, Missing, Place},
    translations,
    transmit::{self, Journey, Outcome},
};

const DSR: u8 = Forward::Dsr as u8;
const IPIP: u8 = Forward::Ipip as u8;
const GUE: u8 = Forward::Gue as u8;
const FULLNAT: u8 = Forward::Fullnat as u8;

#[inline(always)]
pub fn packet<A: Family + Tunnel>(
    frame: &mut Frame,
    headers: &Headers<A>,
    pool: u32,
    control: &Control,
) -> Result<Outcome, Refused> {
    let client_port = u16::from_be(headers.tuple.source_port);
    let place = steer::place(headers, pool, control);
    if control.has_fullnat != 0
        && let Some(place) = &place
        && let Some(outcome) = fullnat::forward(frame, headers, place, control)
    {
        return outcome;
    }
    // No closure, as it would become a function with a stack of its own.
    let chosen = match &place {
        Some(place) => steer::backend(headers, pool, place),
        None => Err(Missing::Nobody),
    };
    let chosen = match chosen {
        Ok(chosen) => chosen,
        Err(Missing::New) => return Ok(call(frame, CHOOSE)),
        Err(Missing::Nobody) => {
            debug!(
                frame.ctx(),
                "pool {}: no backend for the client at port {}", pool, client_port
            );
            return Ok(Outcome::stays(Verdict::NoBackend));
        }
    };
    if headers.opens() {
        trace!(
            frame.ctx(),
            "pool {}: client port {} opens a flow to backend {}",
            pool,
            client_port,
            chosen.id.index()
        );
    }
    match chosen.backend.forward {
        DSR => dsr::forward(frame, headers, &chosen, control),
        IPIP | GUE if chosen.backend.family == V4::FAMILY => {
            tunnel::forward::<A, V4>(frame, headers, &chosen, control)
        }
        IPIP | GUE => tunnel::forward::<A, V6>(frame, headers, &chosen, control),
        // It owns no slot any more, and only flows that have a translation are still its own.
        FULLNAT => Ok(Outcome::stays(Verdict::NoBackend)),
        _ => nat::forward(frame, headers, &chosen, control),
    }
}

/// Goes on in another program. It only returns where the daemon has not put that there yet.
#[inline(always)]
fn call(frame: &Frame, program: u32) -> Outcome {
    // SAFETY: nothing is left to be dropped.
    unsafe { PROGRAMS.tail_call(frame.ctx(), program) };
    Outcome::stays(Verdict::NoBackend)
}

/// Chooses a backend for a new flow, and goes on with [`enter`]; or here again, where the one that it came upon has no room.
#[inline(always)]
pub fn choose<A: Family>(frame: &Frame, headers: &Headers<A>, pool: u32, place: &Place) -> Outcome {
    let affinity = schedule::affinity(pool);
    let client = Client {
        address: headers.tuple.source,
        pool,
    };
    if affinity != 0 {
        let id = schedule::kept(client, affinity);
        if id.is_somebody() {
            translations::keep(id, Lack::Nobody);
            return call(frame, ENTER);
        }
    }
    let attempt = translations::attempt();
    let Picked { id, lack } = schedule::pick(pool, place.table, place.hashes, attempt);
    if id.is_somebody() {
        if affinity != 0 {
            schedule::keep(client, id);
        }
    } else if attempt < schedule::TRIES {
        return call(frame, CHOOSE);
    }
    translations::keep(id, lack);
    call(frame, ENTER)
}

/// Records a flow that is new, or draws a port for one that may be, and goes on from there.
#[inline(always)]
pub fn enter<A: Family>(
    frame: &Frame,
    headers: &Headers<A>,
    pool: u32,
    place: &Place,
    control: &Control,
) -> Outcome {
    let id = if place.table.tracks {
        translations::kept()
    } else {
        translations::keep(place.slot.current, Lack::Nobody);
        place.slot.current
    };
    match steer::living(id) {
        Some(backend) if backend.forward != FULLNAT => {
            stats::event(Event::SelectNew);
            steer::record(&headers.tuple, pool, id, backend);
            call(frame, ALL)
        }
        Some(backend) => {
            // Where nothing is found, the flow may still have a port.
            let _ = translations::draw(headers, backend, place.hashes.flow, control);
            call(frame, OPEN)
        }
        // A flow of `fullnat` that is known needs none.
        None => call(frame, OPEN),
    }
}

/// The name of a packet's way to a backend.
#[inline(always)]
fn verdict(hop: &Hop) -> Verdict {
    if hop.kind == Hop::SAME {
        Verdict::ForwardSame
    } else {
        Verdict::ForwardOther
    }
}

/// The same for a way to a client.
#[inline(always)]
pub fn reply_verdict(hop: &Hop) -> Verdict {
    if hop.kind == Hop::SAME {
        Verdict::ReplySame
    } else {
        Verdict::ReplyOther
    }
}

/// Out of an interface, as a router would send it.
#[inline(always)]
pub fn route<A: Family>(
    frame: &mut Frame,
    headers: &Headers<A>,
    hop: &'static Hop,
    verdict: Verdict,
) -> Outcome {
    let changed = rewrite::decrement_ttl::<A, _>(frame, headers.network, headers.ttl);
    Outcome::leaves_changed(changed, hop, verdict)
}

/// To the sender of a packet on its last hop.
const LAST_HOP: Refused = Refused {
    problem: Problem::TimeExceeded,
    otherwise: Verdict::TtlExceeded,
};

/// To the sender of a packet that is larger, by `overhead` on its way, than the way takes that was looked up in a place of
/// `hops`, if it is; as far as is known.
#[inline(always)]
fn too_big<A: Family>(
    journey: &Journey<A>,
    hops: &'static PerCpuArray<Hop>,
    place: u32,
    overhead: usize,
    otherwise: Verdict,
) -> Result<(), Refused> {
    let Some(room) = transmit::lack_of_room(journey, hops, place) else {
        return Ok(());
    };
    Err(Refused {
        problem: Problem::TooBig(room.saturating_sub(overhead) as u32),
        otherwise,
    })
}
