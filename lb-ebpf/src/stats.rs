//! Counters, per CPU.

use lb_common::{
    backend::BackendId,
    verdict::{Event, Verdict},
};

use crate::{
    loads,
    maps::{BACKEND_TRAFFIC, EVENTS, VERDICTS},
};

/// Counts a packet; the entry points call it, once.
#[inline(always)]
pub fn count(verdict: Verdict) {
    if let Some(counter) = VERDICTS.get_ptr_mut(verdict.index()) {
        // SAFETY: this CPU's own element, and programs are not preempted by each other on it.
        unsafe { *counter += 1 };
    }
}

#[inline(always)]
pub fn event(event: Event) {
    if let Some(counter) = EVENTS.get_ptr_mut(event.index()) {
        // SAFETY: as above.
        unsafe { *counter += 1 };
    }
}

/// The same where programs are preempted: those for sockets run in the calling process. Their events are theirs alone.
#[inline(always)]
pub fn shared_event(event: Event) {
    if let Some(counter) = EVENTS.get_ptr_mut(event.index()) {
        loads::add(counter, 1);
    }
}

/// Counts a packet of `bytes` on its way to a backend.
#[inline(always)]
pub fn forwarded(backend: BackendId, bytes: usize) {
    if let Some(traffic) = BACKEND_TRAFFIC.get_ptr_mut(backend.index()) {
        // SAFETY: as above.
        unsafe {
            (*traffic).packets += 1;
            (*traffic).bytes += bytes as u64;
        }
    }
}
