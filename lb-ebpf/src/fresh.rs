//! Which UDP flows were noted within this second: [`lb_common::fresh`] in memory that all CPUs share.

use aya_ebpf::{Global, bindings::BPF_F_MMAPABLE, macros::map, maps::Array};
use lb_common::{
    flow::{ReverseRecord, Tuple},
    fresh::{self, Mark, PLACES},
};

use crate::{family::Family, maps::load_word};

#[map]
static FRESH: Array<u64> = Array::with_max_entries(PLACES, BPF_F_MMAPABLE);

/// Drawn anew by whoever loads this: marks of another secret are nobody's.
#[unsafe(no_mangle)]
static FRESH_SECRET: Global<u64> = Global::new(0);

#[inline(always)]
pub fn mark<A: Family>(reply: &Tuple<A>, record: &ReverseRecord<A>) -> Mark {
    let vip = (record.vip, record.vip_port);
    Mark::of(FRESH_SECRET.load(), reply, vip, record.backend, record.seen)
}

#[inline(always)]
pub fn is_noted(mark: Mark) -> bool {
    load_word(&FRESH, mark.place) == Some(mark.word)
}

#[inline(always)]
pub fn note(mark: Mark) {
    store(mark.place, mark.word);
}

/// Whatever was noted of flows between these ends.
#[inline(always)]
pub fn forget<A: Family>(reply: &Tuple<A>) {
    store(fresh::place(FRESH_SECRET.load(), reply), 0);
}

#[inline(always)]
fn store(place: u32, word: u64) {
    if let Some(noted) = FRESH.get_ptr_mut(place) {
        // SAFETY: a live array element, written at once.
        unsafe { noted.write_volatile(word) };
    }
}
