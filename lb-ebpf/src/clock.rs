//! What time is it? To a jiffy, which the kernel puts into the program as a load (5.6); its clock is a call, as dear as the
//! lookup of a flow.

use aya_ebpf::{
    helpers::{bpf_jiffies64, bpf_ktime_get_ns},
    macros::map,
    maps::PerCpuArray,
};
use lb_common::flow::{Seen, Ticks};

/// What the clock said in a jiffy.
#[repr(C)]
struct Reading {
    jiffy: u64,
    ticks: u64,
}

#[map]
static CLOCK: PerCpuArray<Reading> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
pub fn now() -> Seen {
    ticks().seen()
}

#[inline(always)]
pub fn ticks() -> Ticks {
    // SAFETY: a helper without preconditions.
    let jiffy = unsafe { bpf_jiffies64() };
    let Some(reading) = CLOCK.get_ptr_mut(0) else {
        return Ticks::at(nanoseconds());
    };
    // SAFETY: this CPU's own element, and programs are not preempted by each other on it.
    unsafe {
        if (*reading).jiffy != jiffy {
            (*reading).ticks = Ticks::at(nanoseconds()).bits();
            (*reading).jiffy = jiffy;
        }
        Ticks::from_bits((*reading).ticks)
    }
}

#[inline(always)]
fn nanoseconds() -> u64 {
    // SAFETY: a helper without preconditions.
    unsafe { bpf_ktime_get_ns() }
}
