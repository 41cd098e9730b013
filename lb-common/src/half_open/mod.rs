//! The half-open part of the reverse table: flows of `nat` in which only the client has spoken.
//!
//! Every SYN of a flood writes to it. So it is an array, where room is found without a lock, a list or a helper: the hash of
//! a flow's ends names a bucket of [`WAYS`] places, whose heads share a cache line. A head says whose place it is, by more
//! of the same hash, and since when. The oldest of a bucket makes room.
//!
//! Nothing is locked. Of two flows that write to a place at once one is lost; what is half of each is no entry, by its
//! digest.

#[cfg(test)]
mod tests;

use crate::{
    address::Address,
    backend::BackendId,
    flow::{Closing, ReverseRecord, Ticks, Tuple},
    hash,
    layout::REVERSE_HALF_CAPACITY,
    map_type,
};

/// Places of a bucket; a power of two.
pub const WAYS: u32 = 8;
/// A power of two.
pub const BUCKETS: u32 = REVERSE_HALF_CAPACITY / WAYS;

/// Set in the tag of every place that is in use.
const OCCUPIED: u32 = 1 << 31;
/// Set beside a tag once the client has sent a FIN: it may say goodbye before the backend has said a word.
const CLIENT_CLOSED: u32 = 1 << 30;
/// The same once the backend has sent a SYN-ACK.
const ACCEPTED: u32 = 1 << 29;
const MARKS: u32 = CLIENT_CLOSED | ACCEPTED;
/// By so much the clocks of two CPUs may differ: 1.07 s. They are read once a jiffy.
const SLACK: u32 = 1 << 8;

/// Half a second.
const RETRY: u32 = 1 << 7;

/// The heads of a bucket: a tag above, and when it was written below, as the low bits of [`Ticks`]. They repeat after 208 days.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Heads {
    pub words: [u64; WAYS as usize],
}

map_type!(Heads, size = 64, align = 8);

/// What stands in a place, in words that are read and written one by one: a copy of all of it would not fit on the programs'
/// stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HalfOpen<A> {
    pub reply: Tuple<A>,
    pub vip: A,
    pub backend: BackendId,
    pub vip_port: u16,
    /// Of all of it.
    pub digest: u16,
}

map_type!(HalfOpen<u32>, size = 28, align = 4);
map_type!(HalfOpen<[u32; 4]>, size = 64, align = 4);

impl<A: Address> HalfOpen<A> {
    /// Words of an entry, and the first of each field but the first.
    pub const WORDS: usize = Self::LAST + 1;
    const DESTINATION: usize = A::WORDS;
    const PORTS: usize = 2 * A::WORDS;
    const PROTOCOL: usize = Self::PORTS + 1;
    const VIP: usize = Self::PROTOCOL + 1;
    const BACKEND: usize = Self::VIP + A::WORDS;
    /// VIP's port, and the digest above it.
    const LAST: usize = Self::BACKEND + 1;
}

const _: () = {
    assert!(size_of::<HalfOpen<u32>>() == 4 * HalfOpen::<u32>::WORDS);
    assert!(size_of::<HalfOpen<[u32; 4]>>() == 4 * HalfOpen::<[u32; 4]>::WORDS);
};

/// Where the entry of a flow may be, and how it is known there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spot {
    pub bucket: u32,
    ends: u64,
}

impl Spot {
    /// `reply`: the tuple of the backend's packets.
    #[inline(always)]
    pub fn of<A: Address>(seed: u32, reply: &Tuple<A>) -> Self {
        let ends = hash::ends(seed.into(), reply);
        Self {
            bucket: (ends >> 32) as u32 & (BUCKETS - 1),
            ends,
        }
    }

    #[inline(always)]
    const fn tag(&self) -> u32 {
        self.ends as u32 & !MARKS | OCCUPIED
    }

    /// Whether a head was written for the flow; another's looks so once in 2^29.
    #[inline(always)]
    pub const fn is_head_of(&self, head: u64) -> bool {
        (head >> 32) as u32 & !MARKS == self.tag()
    }

    /// The head of an entry whose client has sent a FIN.
    #[inline(always)]
    pub const fn closed_by_client(head: u64) -> u64 {
        head | (CLIENT_CLOSED as u64) << 32
    }

    /// The head of an entry whose backend has sent a SYN-ACK.
    #[inline(always)]
    pub const fn accepted(head: u64) -> u64 {
        head | (ACCEPTED as u64) << 32
    }

    #[inline(always)]
    pub const fn is_accepted(head: u64) -> bool {
        (head >> 32) as u32 & ACCEPTED != 0
    }

    /// Whether the SYN that is sent again after the one that `head` was written for had no answer. One that comes at once
    /// does not say so: a client waits for a second (RFC 6298, 2).
    #[inline(always)]
    pub const fn is_unanswered(head: u64, now: Ticks) -> bool {
        !Self::is_accepted(head) && age(head, now) >= SLACK + RETRY
    }

    /// The head of an entry that is written now.
    #[inline(always)]
    pub const fn head(&self, now: Ticks) -> u64 {
        (self.tag() as u64) << 32 | now.bits() & u32::MAX as u64
    }

    /// The place of one of the bucket's ways.
    #[inline(always)]
    pub const fn place(&self, way: u32) -> u32 {
        self.bucket * WAYS + way
    }

    /// The way that has the flow's entry, if any has, and its head.
    #[inline(always)]
    pub fn find(&self, head: impl Fn(u32) -> u64) -> Option<(u32, u64)> {
        for way in 0..WAYS {
            let head = head(way);
            if self.is_head_of(head) {
                return Some((way, head));
            }
        }
        None
    }

    /// The way to write to: its own, an empty one, or that of the oldest entry.
    #[inline(always)]
    pub fn choose(&self, now: Ticks, head: impl Fn(u32) -> u64) -> u32 {
        // Any of those that are equally old: of a flood's, most are.
        let salt = (self.ends >> 60) as u32 & (WAYS - 1);
        let mut oldest = 0;
        for way in 0..WAYS {
            let head = head(way);
            if self.is_head_of(head) {
                return way;
            }
            let rank = (u64::from(age(head, now)) * u64::from(WAYS)) | u64::from(way ^ salt);
            // The larger of the two, without a branch that nobody can predict.
            let difference = rank.wrapping_sub(oldest) as i64;
            oldest = rank.wrapping_sub((difference & (difference >> 63)) as u64);
        }
        (oldest as u32 & (WAYS - 1)) ^ salt
    }

    /// Writes the entry of a flow, of which `word` reads what stood there before. `false` where that said the same.
    #[inline(always)]
    pub fn write<A: Address>(
        &self,
        former_head: u64,
        reply: &Tuple<A>,
        record: &ReverseRecord<A>,
        word: impl Fn(usize) -> u32,
        mut set: impl FnMut(usize, u32),
    ) -> bool {
        let digest = self.digest(record.vip, record.vip_port, record.backend);
        let last = u32::from(record.vip_port) | u32::from(digest) << 16;
        let is_new = !self.is_head_of(former_head) || word(HalfOpen::<A>::LAST) != last;
        write(reply.source, 0, &mut set);
        write(reply.destination, HalfOpen::<A>::DESTINATION, &mut set);
        set(HalfOpen::<A>::PORTS, ports(reply));
        set(HalfOpen::<A>::PROTOCOL, reply.protocol.into());
        write(record.vip, HalfOpen::<A>::VIP, &mut set);
        set(HalfOpen::<A>::BACKEND, record.backend.bits());
        set(HalfOpen::<A>::LAST, last);
        is_new
    }

    #[inline(always)]
    fn digest<A: Address>(&self, vip: A, vip_port: u16, backend: BackendId) -> u16 {
        hash::whole(self.ends, vip, vip_port, backend) as u16
    }

    /// What an entry, of which `word` reads words, says of the flow, if it is the flow's and whole. `head` was read before.
    #[inline(always)]
    pub fn read<A: Address>(
        &self,
        head: u64,
        reply: &Tuple<A>,
        now: Ticks,
        word: impl Fn(usize) -> u32,
    ) -> Option<ReverseRecord<A>> {
        let is_flows = word(HalfOpen::<A>::PORTS) == ports(reply)
            && word(HalfOpen::<A>::PROTOCOL) == u32::from(reply.protocol)
            && reply
                .destination
                .is(|i| word(HalfOpen::<A>::DESTINATION + i))
            && reply.source.is(&word);
        if !is_flows {
            return None;
        }
        let vip = A::read(|i| word(HalfOpen::<A>::VIP + i));
        let backend = BackendId::from_bits(word(HalfOpen::<A>::BACKEND));
        let last = word(HalfOpen::<A>::LAST);
        let vip_port = last as u16;
        if self.digest(vip, vip_port, backend) != (last >> 16) as u16 {
            return None;
        }
        let is_closing = (head >> 32) as u32 & CLIENT_CLOSED != 0;
        Some(ReverseRecord {
            vip,
            vip_port,
            closing: if is_closing {
                Closing::Client as u16
            } else {
                0
            },
            backend,
            seen: now.before(age(head, now).saturating_sub(SLACK)).seen(),
        })
    }
}

#[inline(always)]
fn ports<A>(reply: &Tuple<A>) -> u32 {
    u32::from(reply.source_port) | u32::from(reply.destination_port) << 16
}

#[inline(always)]
fn write<A: Address>(address: A, first: usize, set: &mut impl FnMut(usize, u32)) {
    let words = address.to_words();
    for (i, word) in words.into_iter().enumerate().take(A::WORDS) {
        set(first + i, word);
    }
}

/// Ticks since a head was written, and [`SLACK`]. Who never was is oldest.
#[inline(always)]
const fn age(head: u64, now: Ticks) -> u32 {
    if head == 0 {
        return u32::MAX;
    }
    (now.bits() as u32)
        .wrapping_add(SLACK)
        .wrapping_sub(head as u32)
}
