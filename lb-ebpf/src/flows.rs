//! Recorded flows: the exceptions to what a slot says.

use lb_common::{
    address::Address,
    backend::{Backend, BackendId, Forward},
    flow::{Closing, FlowRecord, TCP, Tuple},
    packet::Headers,
    verdict::Event,
};

use crate::{
    clock::now,
    family::{Family, Flows},
    loads, reverse, stats,
};

/// The backend that was recorded for the flow. A SYN after the end of a connection opens another one.
#[inline(always)]
pub fn find<A: Family>(headers: &Headers<A>, is_half: &mut bool) -> Option<BackendId> {
    let (tuple, opens) = (&headers.tuple, headers.opens());
    touch(A::flows(), tuple, opens)
        .or_else(|| {
            let found = touch(A::flows_half(), tuple, opens);
            *is_half = found.is_some();
            found
        })
        // Perhaps another CPU has just promoted it.
        .or_else(|| touch(A::flows(), tuple, opens))
}

#[inline(always)]
fn touch<A: Address>(flows: &Flows<A>, tuple: &Tuple<A>, opens: bool) -> Option<BackendId> {
    let record = flows.get_ptr_mut(tuple)?;
    let now = now();
    // SAFETY: a live element of a preallocated map. Another packet of the flow may write the same word.
    unsafe {
        if opens && (*record).is_closed() {
            return None;
        }
        if (*record).seen != now {
            (*record).seen = now;
        }
        Some((*record).backend)
    }
}

/// Records the flow, which `find` did not find or found with a dead backend. It counts as established if replies
/// have shown that both sides answered; a flood of packets that look like old flows stays among the half-open.
#[inline(always)]
pub fn record<A: Family>(tuple: &Tuple<A>, backend: &Backend, record: &FlowRecord) {
    let reply = reverse::reply(tuple, backend);
    let inserted = if reverse::is_established(&reply) {
        A::flows().insert(tuple, record, 0)
    } else {
        // An established record would be found first.
        let _ = A::flows().remove(tuple);
        A::flows_half().insert(tuple, record, 0)
    };
    stats::event(match inserted {
        Ok(()) => Event::FlowRecorded,
        Err(_) => Event::FlowLost,
    });
    // Perhaps the answer has just passed on another CPU, which found nothing to promote.
    if reverse::is_established(&reply) {
        promote(tuple);
    }
}

/// Both sides answered: moves a half-open record, if there is one, to the established ones.
#[inline(always)]
pub fn promote<A: Family>(tuple: &Tuple<A>) {
    let Some(record) = A::flows_half().get_ptr(tuple) else {
        return;
    };
    // SAFETY: a live element of a preallocated map, copied at once.
    let record = unsafe { *record };
    // In this order, so that a packet between the two finds it.
    if A::flows().insert(tuple, record, 0).is_ok() {
        let _ = A::flows_half().remove(tuple);
        stats::event(Event::FlowPromoted);
    }
}

/// Takes note of how far a flow has come, where the backend's side does not pass here: what its client says has to do.
#[inline(always)]
pub fn hear<A: Family>(headers: &Headers<A>, id: BackendId, backend: &Backend, is_half: bool) {
    const NAT: u8 = Forward::Nat as u8;
    if backend.forward == NAT || headers.opens() {
        return;
    }
    let tuple = &headers.tuple;
    if is_half {
        promote(tuple);
        loads::opened(id);
    }
    if tuple.protocol == TCP && headers.closing(Closing::Closed).is_some() {
        close(tuple).then(|| loads::closed(id));
    }
}

/// Notes that both sides have said that the connection ends. Whether nobody had noted it.
#[inline(always)]
pub fn close<A: Family>(tuple: &Tuple<A>) -> bool {
    let Some(record) = A::flows().get_ptr_mut(tuple) else {
        return false;
    };
    // SAFETY: a live element of a preallocated map. Another packet of the flow may write the same word.
    unsafe {
        let is_first = !(*record).is_closed();
        if is_first {
            (*record).closing = Closing::Closed as u16;
        }
        is_first
    }
}
