//! What backends have to do: [`lb_common::load`], counted where flows begin and end.

use core::{arch::asm, mem::offset_of};

use lb_common::{
    backend::BackendId,
    load::{self, Load},
};

use crate::maps::LOADS;

/// Both sides have spoken.
#[inline(always)]
pub fn opened(id: BackendId) {
    count(id, offset_of!(Load, open), 1);
}

/// An [`opened`] flow has ended.
#[inline(always)]
pub fn closed(id: BackendId) {
    count(id, offset_of!(Load, open), u64::MAX);
}

#[inline(always)]
pub fn accepted(id: BackendId) {
    count(id, offset_of!(Load, accepted), 1);
}

#[inline(always)]
pub fn refused(id: BackendId) {
    count(id, offset_of!(Load, refused), 1);
}

#[inline(always)]
pub fn unanswered(id: BackendId) {
    count(id, offset_of!(Load, unanswered), 1);
}

/// Whether a backend may have one flow more, and how it compares: (open, weight).
#[inline(always)]
pub fn room(id: BackendId) -> Option<(u32, u32)> {
    let load = LOADS.get_ptr(id.index())?;
    // SAFETY: words of a live array element, read once each.
    let (open, limit, weight) = unsafe {
        (
            (&raw const (*load).open).read_volatile(),
            (&raw const (*load).limit).read_volatile(),
            (&raw const (*load).weight).read_volatile(),
        )
    };
    let open = load::count(open);
    (!Load::is_full(open, limit)).then_some((open, weight))
}

#[inline(always)]
fn count(id: BackendId, offset: usize, by: u64) {
    let Some(load) = LOADS.get_ptr_mut(id.index()) else {
        return;
    };
    // SAFETY: a word of a live array element, read once.
    let whose = unsafe { (&raw const (*load).id).read_volatile() };
    if whose == id {
        add(load.wrapping_byte_add(offset).cast(), by);
    }
}

/// Adds to what other CPUs, and programs that are preempted, add to. Rust has no instruction for it: the target's atomics
/// end at loads and stores.
#[inline(always)]
pub fn add(counter: *mut u64, by: u64) {
    // SAFETY: callers name live, aligned elements of arrays that others change by the same instruction only, or by a store.
    unsafe {
        asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) by, options(nostack));
    };
}
