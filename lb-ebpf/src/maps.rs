//! Every map that is the same for both families. Names and sizes: [`lb_common::layout`].

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, PerCpuArray, ProgramArray},
};
use lb_common::{
    answer::budget::Budget,
    backend::Backend,
    filter,
    fragment::{self, FragmentEntry},
    hop,
    hop::Hop,
    layout::{
        self, BACKENDS_CAPACITY, DEVICES_CAPACITY, PORTS_CAPACITY, SLOTS_CAPACITY, TrafficEntry,
    },
    load::Load,
    port::{Arrival, Port},
    service::{self, Control},
    snat::Drawn,
    verdict::{Event, Verdict},
};

#[map]
pub static CONTROL: Array<Control> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// [`lb_common::service::PoolEntry`] as one word.
#[map]
pub static POOLS: Array<u64> = Array::with_max_entries(service::POOLS, BPF_F_MMAPABLE);
#[map]
pub static FORMER_POOLS: Array<u64> = Array::with_max_entries(service::POOLS, BPF_F_MMAPABLE);
/// [`lb_common::slot::Slot`] as one word.
#[map]
pub static SLOTS: Array<u64> = Array::with_max_entries(SLOTS_CAPACITY, BPF_F_MMAPABLE);
#[map]
pub static BACKENDS: Array<Backend> = Array::with_max_entries(BACKENDS_CAPACITY, BPF_F_MMAPABLE);
#[map]
pub static LOADS: Array<Load> = Array::with_max_entries(BACKENDS_CAPACITY, BPF_F_MMAPABLE);
#[map]
pub static TURNS: Array<u64> = Array::with_max_entries(service::POOLS, 0);
/// In the unit of [`Seen`](lb_common::flow::Seen).
#[map]
pub static AFFINITY: Array<u64> = Array::with_max_entries(service::POOLS, BPF_F_MMAPABLE);
#[map]
pub static VIP_FILTER: Array<u64> = Array::with_max_entries(filter::WORDS, BPF_F_MMAPABLE);
#[map]
pub static BACKEND_FILTER: Array<u64> = Array::with_max_entries(filter::WORDS, BPF_F_MMAPABLE);
#[map]
pub static FULLNAT_FILTER: Array<u64> = Array::with_max_entries(filter::WORDS, BPF_F_MMAPABLE);
/// Of a new flow of `fullnat`.
#[map]
pub static DRAWN: PerCpuArray<Drawn> = PerCpuArray::with_max_entries(1, 0);
/// Programs that go on where another ends, by the indices of [`lb_common::layout`].
#[map]
pub static PROGRAMS: ProgramArray = ProgramArray::with_max_entries(layout::PROGRAMS_CAPACITY, 0);
#[map]
pub static FRAGMENTS: Array<FragmentEntry> =
    Array::with_max_entries(fragment::PLACES, BPF_F_MMAPABLE);
/// By interface index.
#[map]
pub static PORTS: Array<Port> = Array::with_max_entries(PORTS_CAPACITY, BPF_F_MMAPABLE);
/// The interface that a frame counts as having come in by, where that is another one; 0: not known.
#[map]
pub static DEVICES: HashMap<Arrival, u32> = HashMap::with_max_entries(DEVICES_CAPACITY, 0);
#[map]
pub static BACKEND_HOPS: PerCpuArray<Hop> = PerCpuArray::with_max_entries(hop::PLACES, 0);
#[map]
pub static CLIENT_HOPS: PerCpuArray<Hop> = PerCpuArray::with_max_entries(hop::PLACES, 0);
/// What may still be said: by ping replies, and by errors.
#[map]
pub static BUDGETS: PerCpuArray<Budget> = PerCpuArray::with_max_entries(2, 0);
#[map]
pub static VERDICTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Verdict::COUNT, 0);
#[map]
pub static EVENTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Event::COUNT, 0);
#[map]
pub static BACKEND_TRAFFIC: PerCpuArray<TrafficEntry> =
    PerCpuArray::with_max_entries(BACKENDS_CAPACITY, 0);

/// The daemon's words, if the map is there at all, which it always is.
#[inline(always)]
pub fn control() -> Option<&'static Control> {
    CONTROL.get(0)
}

/// Reads a word that the daemon may replace at any moment, once.
#[inline(always)]
pub fn load_word(map: &'static Array<u64>, index: u32) -> Option<u64> {
    let word = map.get_ptr(index)?;
    // SAFETY: a live array element; array elements are never freed.
    Some(unsafe { word.read_volatile() })
}
