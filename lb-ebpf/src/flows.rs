//! Recorded flows: the exceptions to what a slot says.

use lb_common::{
    address::Address,
    backend::{Backend, BackendId},
    flow::{FlowRecord, Tuple},
    verdict::Event,
};

use crate::{
    clock::now,
    family::{Family, Flows},
    reverse, stats,
};

/// The backend that was recorded for the flow.
#[inline(always)]
pub fn find<A: Family>(tuple: &Tuple<A>) -> Option<BackendId> {
    touch(A::flows(), tuple)
        .or_else(|| touch(A::flows_half(), tuple))
        // Perhaps another CPU has just promoted it.
        .or_else(|| touch(A::flows(), tuple))
}

#[inline(always)]
fn touch<A: Address>(flows: &Flows<A>, tuple: &Tuple<A>) -> Option<BackendId> {
    let record = flows.get_ptr_mut(tuple)?;
    let now = now();
    // SAFETY: a live element of a preallocated map. Another packet of the flow may write the same word.
    unsafe {
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
