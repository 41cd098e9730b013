//! Which service a packet is for, and which of its backends takes it.

use lb_common::{
    backend::{Backend, BackendId},
    filter,
    flow::{FlowRecord, TCP, Tuple},
    hash::Hashes,
    packet::Headers,
    service::{self, Control, PROBES, PoolEntry},
    slot::{Asks, Reason, Slot},
    verdict::Event,
};

use crate::{
    clock::now,
    family::Family,
    flows,
    maps::{BACKENDS, FORMER_POOLS, POOLS, SLOTS, VIP_FILTER, load_word},
    schedule, stats,
};

/// `false`: nothing listens at this port by itself.
#[inline(always)]
pub fn may_be_service<A: Family>(address: A, port: u16) -> bool {
    let (word, bit) = filter::position(address, port);
    load_word(&VIP_FILTER, word).is_some_and(|word| filter::has(word, bit))
}

/// The pool that serves the destination of `tuple`, its port's own or else the whole address's; `None`: not a service.
#[inline(always)]
pub fn service<A: Family>(tuple: &Tuple<A>, control: &Control) -> Option<u32> {
    // SAFETY: a live element, read once because the daemon replaces it in one store.
    let in_use = unsafe { (&raw const control.listeners[A::INDEX]).read_volatile() };
    let exact = listener(tuple, tuple.destination_port, in_use);
    if exact.is_some() || !service::has_whole_addresses(in_use) {
        return exact;
    }
    listener(tuple, 0, in_use)
}

/// The pool of the listener at a port of the destination.
#[inline(always)]
fn listener<A: Family>(tuple: &Tuple<A>, port: u16, in_use: u64) -> Option<u32> {
    let (half, seed) = service::half(in_use);
    let first = service::place(seed, tuple.destination, port, tuple.protocol);
    for probe in 0..PROBES {
        let place = half + ((first + probe) & (service::PLACES - 1));
        let entry = A::listeners().get(place)?;
        if entry.is(tuple.destination, port, tuple.protocol) {
            return Some(entry.pool);
        }
        // The daemon fills places in this order.
        if entry.is_empty() {
            return None;
        }
    }
    None
}

/// Where a packet stands in its pool's table.
pub struct Place {
    pub table: PoolEntry,
    pub slot: Slot,
    pub hashes: Hashes,
}

/// `None` where there is no table.
#[inline(always)]
pub fn place<A: Family>(headers: &Headers<A>, pool: u32, control: &Control) -> Option<Place> {
    let table = PoolEntry::from_word(load_word(&POOLS, pool)?);
    let tuple = &headers.tuple;
    let hashes = Hashes::of(
        control.seed,
        tuple.source,
        tuple.source_port,
        tuple.destination_port,
    );
    let slot = slot_of(table, hashes)?;
    Some(Place {
        table,
        slot,
        hashes,
    })
}

/// The backend that takes a packet.
pub struct Chosen {
    pub id: BackendId,
    pub backend: &'static Backend,
    /// Of the flow.
    pub hash: u32,
}

/// Why no backend takes a packet.
pub enum Missing {
    Nobody,
    /// It opens a flow for which one has to be chosen.
    New,
}

#[inline(always)]
pub fn backend<A: Family>(
    headers: &Headers<A>,
    pool: u32,
    place: &Place,
) -> Result<Chosen, Missing> {
    let Place {
        table,
        slot,
        hashes,
    } = *place;
    let tuple = &headers.tuple;
    let former = || {
        slot_of(
            PoolEntry::from_word(load_word(&FORMER_POOLS, pool)?),
            hashes,
        )
    };

    let asks = Asks {
        opens: headers.opens(),
        may_open: tuple.protocol != TCP,
        tracks: table.tracks,
    };
    let mut is_half = false;
    let found = if slot.may_have_records(asks) {
        flows::find(headers, &mut is_half)
    } else {
        None
    };
    let choice = slot.choose(asks, found, former, lives);
    if choice.reason == Reason::New {
        // An error is about a flow, and opens none.
        return Err(if headers.is_of_flow() {
            Missing::New
        } else {
            Missing::Nobody
        });
    }
    stats::event(match choice.reason {
        Reason::Stable => Event::SelectStable,
        Reason::Recorded => Event::SelectRecorded,
        Reason::Current => Event::SelectCurrent,
        Reason::Previous => Event::SelectPrevious,
        Reason::New => Event::SelectNew,
    });
    let Some(entry) = living(choice.backend) else {
        return Err(Missing::Nobody);
    };
    if headers.is_of_flow() {
        if choice.record {
            record(tuple, pool, choice.backend, entry);
        } else if table.tracks {
            flows::hear(headers, choice.backend, entry, is_half);
        }
    }
    Ok(Chosen {
        id: choice.backend,
        backend: entry,
        hash: hashes.flow,
    })
}

/// Records that a flow goes to a backend.
#[inline(always)]
pub fn record<A: Family>(tuple: &Tuple<A>, pool: u32, id: BackendId, backend: &Backend) {
    let record = FlowRecord {
        backend: id,
        pool: pool as u16,
        closing: 0,
        seen: now(),
    };
    flows::record(tuple, backend, &record);
}

/// The backend that takes what begins with these, and is to be recorded nowhere.
#[inline(always)]
pub fn beginner(pool: u32, hashes: Hashes) -> Option<(BackendId, &'static Backend)> {
    let table = PoolEntry::from_word(load_word(&POOLS, pool)?);
    if table.tracks {
        let id = schedule::pick_for_socket(pool, table, hashes);
        return Some((id, living(id)?));
    }
    let id = slot_of(table, hashes)?.current;
    Some((id, living(id)?))
}

/// Who owns a slot, counted from the first.
#[inline(always)]
pub fn owner(table: PoolEntry, index: u32) -> BackendId {
    slot_at(table, index).map_or(BackendId::NOBODY, |slot| slot.current)
}

#[inline(always)]
fn slot_of(table: PoolEntry, hashes: Hashes) -> Option<Slot> {
    slot_at(table, table.slot(hashes))
}

/// `None` for a table that is not there: the entry of a pool without one names the first slot of another's.
#[inline(always)]
fn slot_at(table: PoolEntry, index: u32) -> Option<Slot> {
    if table.size == 0 {
        return None;
    }
    load_word(&SLOTS, table.base + index).map(Slot::from_word)
}

#[inline(always)]
fn lives(id: BackendId) -> bool {
    living(id).is_some()
}

/// The backend that `id` means, if it takes packets.
#[inline(always)]
pub fn living(id: BackendId) -> Option<&'static Backend> {
    BACKENDS.get(id.index()).filter(|entry| entry.serves(id))
}
