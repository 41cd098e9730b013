//! The reverse table of `nat`: which packets of a backend are replies to a VIP's clients.
//!
//! | reply | half-open entry | established entry |
//! |---|---|---|
//! | SYN-ACK | it is a reply; the flow starts anew | alone: late or sent twice; or, if a direct connection was seen to reuse the ports, forgotten |
//! | RST | it is a reply, the last one | it is a reply |
//! | other | it is a reply, and proof that both sides answered: promoted | it is a reply |
//!
//! A client that talks to a backend itself, by ports it used through the VIP before, is told apart by its first packet:
//! a SYN ends the entry of a closed connection, whose backend may answer from TIME-WAIT; a UDP packet ends any entry.

use aya_ebpf::maps::Array;
use lb_common::{
    backend::{Backend, BackendId},
    filter,
    flow::{Closing, ReverseRecord, Seen, TCP, Tuple},
    packet::Headers,
    service::Control,
    verdict::Event,
};

use crate::{
    clock::now,
    family::Family,
    flows, fresh,
    half_open::{self, Former, Found},
    loads,
    maps::{BACKEND_FILTER, load_word},
    stats,
};

/// The tuple of the backend's packets, from that of the client's.
#[inline(always)]
pub fn reply<A: Family>(tuple: &Tuple<A>, backend: &Backend) -> Tuple<A> {
    let port = backend.port_for(tuple.destination_port);
    tuple.to(A::from_words(&backend.address), port).reversed()
}

/// Whether an endpoint is perhaps a backend's, by the bitmap of those; `false`: certainly not.
#[inline(always)]
pub fn may_be_backend<A: Family>(
    endpoints: &'static Array<u64>,
    address: A,
    port: u16,
    control: &Control,
) -> bool {
    let has = |port| {
        let (word, bit) = filter::position(address, port);
        load_word(endpoints, word).is_some_and(|word| filter::has(word, bit))
    };
    has(port) || control.has_portless_backends(A::INDEX) && has(0)
}

/// Remembers where replies to a packet that goes to `backend` belong. TCP writes on SYN, FIN and RST only; UDP, which
/// has none, keeps the entry fresh with its first packet in each second.
#[inline(always)]
pub fn expect<A: Family>(
    headers: &Headers<A>,
    id: BackendId,
    backend: &Backend,
    control: &Control,
) {
    // The first fragment has said it all, and an error is no packet of the flow.
    if !headers.is_of_flow() || headers.fragment.is_later() {
        return;
    }
    let tuple = &headers.tuple;
    let is_tcp = tuple.protocol == TCP;
    let closing = if headers.opens() {
        None
    } else {
        headers.closing(Closing::Client)
    };
    if is_tcp && !headers.opens() && closing.is_none() {
        return;
    }
    let reply = reply(tuple, backend);
    if let Some(closing) = closing {
        close(&reply, closing, control);
        return;
    }
    let record = ReverseRecord {
        vip: tuple.destination,
        vip_port: tuple.destination_port,
        closing: 0,
        backend: id,
        seen: now(),
    };
    if !is_tcp {
        let mark = fresh::mark(&reply, &record);
        if fresh::is_noted(mark) {
            return;
        }
        fresh::note(mark);
        if is_renewed(&reply, &record) {
            return;
        }
    }
    let former = half_open::write(&reply, &record, control);
    if is_tcp && former == Former::Unanswered {
        loads::unanswered(id);
    }
    // A SYN says anew what it said before.
    if former == Former::Other || is_tcp {
        stats::event(Event::ReverseWritten);
    }
}

/// Renews a UDP flow's established entry; `false` where it has none that says the same.
#[inline(always)]
fn is_renewed<A: Family>(reply: &Tuple<A>, record: &ReverseRecord<A>) -> bool {
    let Some(known) = A::reverse().get_ptr_mut(reply) else {
        return false;
    };
    // SAFETY: a live element of a preallocated map. It may have become another flow's on another CPU: nothing but its
    // time is written.
    let is_renewed = unsafe { (*known).renew(record) };
    if !is_renewed {
        // It would be found first.
        let _ = A::reverse().remove(reply);
    }
    is_renewed
}

#[inline(always)]
fn close<A: Family>(reply: &Tuple<A>, closing: Closing, control: &Control) {
    if let Some(known) = A::reverse().get_ptr_mut(reply) {
        // SAFETY: a live element of a preallocated map. The other side's packet may set its own bit at the same
        // time and one of them be lost, which only keeps the entry for longer.
        unsafe { note(&mut *known, reply, closing) };
    } else if matches!(closing, Closing::Client) {
        half_open::note_goodbye(reply, control);
    }
}

/// Takes note of a FIN or RST, here and where the flow is recorded.
#[inline(always)]
fn note<A: Family>(known: &mut ReverseRecord<A>, reply: &Tuple<A>, closing: Closing) {
    if known.note(closing) {
        loads::closed(known.backend);
        flows::close(&known.forward(*reply));
    }
}

/// Forgets what a packet to a backend's own address contradicts.
#[inline(always)]
pub fn heed_direct<A: Family>(headers: &Headers<A>, control: &Control) -> Option<()> {
    let tuple = &headers.tuple;
    let is_tcp = tuple.protocol == TCP;
    if !headers.is_of_flow() || headers.fragment.is_later() || is_tcp && !headers.opens() {
        return None;
    }
    if !may_be_backend(
        &BACKEND_FILTER,
        tuple.destination,
        tuple.destination_port,
        control,
    ) {
        return None;
    }
    let reply = tuple.reversed();
    if is_tcp {
        let known = A::reverse().get_ptr_mut(reply)?;
        // SAFETY: a live element of a preallocated map; both sides' bits as in `close`.
        unsafe {
            if !(*known).is_closed() {
                // It may be forged, and then the connection lives on: only a SYN-ACK decides.
                (*known).note(Closing::Contested);
                return None;
            }
        }
    }
    let _ = A::reverse().remove(reply);
    if let Some(half) = half_open::find(&reply, control) {
        half_open::remove(&half);
    }
    if !is_tcp {
        fresh::forget(&reply);
    }
    Some(())
}

/// Whether both sides of the flow with these replies have answered.
#[inline(always)]
pub fn is_established<A: Family>(reply: &Tuple<A>) -> bool {
    A::reverse().get_ptr(reply).is_some()
}

/// What the packet has to be rewritten to, if it is a reply.
#[inline(always)]
pub fn find<A: Family>(headers: &Headers<A>, control: &Control) -> Option<ReverseRecord<A>> {
    let tuple = &headers.tuple;
    if !may_be_backend(&BACKEND_FILTER, tuple.source, tuple.source_port, control) {
        return None;
    }
    if !headers.is_of_flow() {
        return known(tuple, control);
    }
    if headers.accepts() {
        return accepted(tuple, control);
    }
    let now = now();
    let is_fresh = |seen: Seen| tuple.protocol == TCP || !seen.is_older(now, control.udp_timeout);
    if let Some(known) = A::reverse().get_ptr_mut(tuple) {
        // SAFETY: a live element of a preallocated map. Another packet of the flow may write the same word.
        unsafe {
            if !is_fresh((*known).seen) {
                return None;
            }
            if (*known).seen != now {
                (*known).seen = now;
            }
            if let Some(closing) = headers.closing(Closing::Backend) {
                note(&mut *known, tuple, closing);
            }
            return Some(*known);
        }
    }
    let Some(half) = half_open::find(tuple, control) else {
        // Perhaps another CPU has just promoted it.
        return established(tuple);
    };
    if !is_fresh(half.record.seen) {
        return None;
    }
    if headers.resets() {
        if !half_open::is_accepted(&half) {
            loads::refused(half.record.backend);
        }
        half_open::remove(&half);
    } else if !headers.fragment.is_later() {
        promote(tuple, &half, headers.closing(Closing::Backend), now);
    }
    Some(half.record)
}

#[inline(always)]
fn established<A: Family>(tuple: &Tuple<A>) -> Option<ReverseRecord<A>> {
    let known = A::reverse().get_ptr(tuple)?;
    // SAFETY: a live element of a preallocated map, copied at once.
    Some(unsafe { *known })
}

/// An error about a flow says nothing about who answered.
#[inline(always)]
fn known<A: Family>(tuple: &Tuple<A>, control: &Control) -> Option<ReverseRecord<A>> {
    if let Some(half) = half_open::find(tuple, control) {
        return Some(half.record);
    }
    // After the other, from where it may just have come.
    established(tuple)
}

/// A SYN-ACK answers the SYN that went through the VIP, or one that did not.
#[inline(always)]
fn accepted<A: Family>(tuple: &Tuple<A>, control: &Control) -> Option<ReverseRecord<A>> {
    if let Some(half) = half_open::find(tuple, control)
        && !half.record.seen.is_older(now(), control.half_open_timeout)
    {
        if half_open::accept(&half) {
            loads::accepted(half.record.backend);
        }
        // Whatever was established under these ports has ended.
        forget(tuple);
        return Some(half.record);
    }
    let record = established(tuple)?;
    if record.is_doubtful() {
        let _ = A::reverse().remove(tuple);
        return None;
    }
    Some(record)
}

#[inline(always)]
fn forget<A: Family>(tuple: &Tuple<A>) {
    if let Some(known) = established(tuple)
        && A::reverse().remove(tuple).is_ok()
        && !known.is_closed()
    {
        loads::closed(known.backend);
    }
}

#[inline(always)]
fn promote<A: Family>(tuple: &Tuple<A>, half: &Found<A>, closing: Option<Closing>, now: Seen) {
    let mut record = ReverseRecord {
        seen: now,
        ..half.record
    };
    if let Some(closing) = closing {
        record.note(closing);
    }
    // In this order, so that a packet between the two finds it.
    if A::reverse().insert(tuple, record, 0).is_err() {
        stats::event(Event::FlowLost);
        return;
    }
    half_open::remove(half);
    stats::event(Event::ReversePromoted);
    loads::opened(record.backend);
    if record.is_closed() {
        loads::closed(record.backend);
    }
    flows::promote(&record.forward(*tuple));
}
