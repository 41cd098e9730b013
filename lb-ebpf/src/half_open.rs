//! The half-open part of the reverse table: [`lb_common::half_open`] in memory that all CPUs share.

use lb_common::{
    flow::{ReverseRecord, Tuple},
    half_open::{HalfOpen, Heads, Spot, WAYS},
    service::Control,
};

use crate::{clock, family::Family};

/// An entry, and where it stands.
pub struct Found<A> {
    pub record: ReverseRecord<A>,
    head: u64,
    bucket: u32,
    way: u32,
}

#[inline(always)]
pub fn find<A: Family>(reply: &Tuple<A>, control: &Control) -> Option<Found<A>> {
    let spot = Spot::of(control.seed, reply);
    let heads = A::reverse_half_heads().get_ptr(spot.bucket)?;
    let (way, head) = spot.find(|way| read(heads, way))?;
    let entry = A::reverse_half().get_ptr(spot.place(way))?;
    let record = spot.read(head, reply, clock::ticks(), |i| word(entry, i))?;
    Some(Found {
        record,
        head,
        bucket: spot.bucket,
        way,
    })
}

/// What stood in the place of an entry that was written.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Former {
    Other,
    /// The same.
    Same,
    /// The same, of a SYN that had no answer.
    Unanswered,
}

#[inline(always)]
pub fn write<A: Family>(reply: &Tuple<A>, record: &ReverseRecord<A>, control: &Control) -> Former {
    let spot = Spot::of(control.seed, reply);
    let Some(heads) = A::reverse_half_heads().get_ptr_mut(spot.bucket) else {
        return Former::Same;
    };
    let now = clock::ticks();
    let way = spot.choose(now, |way| read(heads, way));
    let Some(place) = A::reverse_half().get_ptr_mut(spot.place(way)) else {
        return Former::Same;
    };
    let former = read(heads, way & (WAYS - 1));
    let set = |i, word| {
        // SAFETY: a word of a live array element, as in `word`.
        unsafe { place.cast::<u32>().add(i).write_volatile(word) };
    };
    let is_new = spot.write(former, reply, record, |i| word(place, i), set);
    store(heads, way, spot.head(now));
    if is_new {
        Former::Other
    } else if Spot::is_unanswered(former, now) {
        Former::Unanswered
    } else {
        Former::Same
    }
}

/// Notes that the backend has sent a SYN-ACK. Whether it is the first.
#[inline(always)]
pub fn accept<A: Family>(found: &Found<A>) -> bool {
    if Spot::is_accepted(found.head) {
        return false;
    }
    if let Some(heads) = A::reverse_half_heads().get_ptr_mut(found.bucket) {
        store(heads, found.way, Spot::accepted(found.head));
    }
    true
}

/// Whether it has.
#[inline(always)]
pub const fn is_accepted<A>(found: &Found<A>) -> bool {
    Spot::is_accepted(found.head)
}

/// Notes that the client has sent a FIN.
#[inline(always)]
pub fn note_goodbye<A: Family>(reply: &Tuple<A>, control: &Control) {
    let spot = Spot::of(control.seed, reply);
    let Some(heads) = A::reverse_half_heads().get_ptr_mut(spot.bucket) else {
        return;
    };
    if let Some((way, head)) = spot.find(|way| read(heads, way)) {
        store(heads, way, Spot::closed_by_client(head));
    }
}

#[inline(always)]
pub fn remove<A: Family>(found: &Found<A>) {
    if let Some(heads) = A::reverse_half_heads().get_ptr_mut(found.bucket) {
        store(heads, found.way, 0);
    }
}

#[inline(always)]
fn read(heads: *const Heads, way: u32) -> u64 {
    // SAFETY: a live array element; array elements are never freed.
    unsafe { (&raw const (*heads).words[way as usize]).read_volatile() }
}

#[inline(always)]
fn word<A>(entry: *const HalfOpen<A>, i: usize) -> u32 {
    // SAFETY: a word of a live array element. Another CPU may write it too: the digest is what holds them together.
    unsafe { entry.cast::<u32>().add(i).read_volatile() }
}

#[inline(always)]
fn store(heads: *mut Heads, way: u32, head: u64) {
    // SAFETY: as above.
    unsafe { (&raw mut (*heads).words[(way & (WAYS - 1)) as usize]).write_volatile(head) };
}
