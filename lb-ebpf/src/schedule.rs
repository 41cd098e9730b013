//! Which backend does a new flow go to, where that is no matter of its hash alone?

use aya_ebpf::helpers::bpf_get_prandom_u32;
use lb_common::{
    backend::BackendId,
    flow::{Client, ClientRecord},
    hash::{self, Hashes},
    load::Load,
    service::{IndexedBy, PoolEntry},
};

use crate::{
    clock::now,
    family::Family,
    loads,
    maps::{AFFINITY, TURNS, load_word},
    steer,
};

/// Slots that are tried for a backend that has room. Where half of them are full ones', no other is found once in 65,000
/// times; the client asks again.
const TRIES: u32 = 16;

/// Why there is no backend.
#[derive(Clone, Copy)]
pub enum Lack {
    /// Nobody takes new flows.
    Nobody,
    /// Every one that was tried has as many as it may have.
    Full,
}

/// A backend with room; [`BackendId::NONE`] where there is none. Both words are always there: the verifier refuses to copy
/// what one variant of an enum leaves unset.
#[derive(Clone, Copy)]
pub struct Picked {
    pub id: BackendId,
    pub lack: Lack,
}

/// The backend for a new flow. A client that has one keeps it, where the pool wants that.
#[inline(always)]
pub fn pick<A: Family>(pool: u32, table: PoolEntry, hashes: Hashes, address: A) -> Picked {
    let affinity = load_word(&AFFINITY, pool).unwrap_or_default() as u32;
    if affinity == 0 {
        return from_table(pool, table, hashes);
    }
    let client = Client { address, pool };
    let now = now();
    if let Some(known) = A::clients().get_ptr_mut(client) {
        // SAFETY: a live element of a preallocated map, copied at once.
        let record = unsafe { *known };
        if !record.seen.is_older(now, affinity)
            && steer::living(record.backend).is_some()
            && loads::room(record.backend).is_some_and(|(_, weight)| weight != 0)
        {
            // SAFETY: as above. Another flow of the client may write the same word.
            unsafe { (*known).seen = now };
            return Picked {
                id: record.backend,
                lack: Lack::Nobody,
            };
        }
    }
    let picked = from_table(pool, table, hashes);
    if picked.id.is_somebody() {
        let record = ClientRecord {
            backend: picked.id,
            seen: now,
        };
        // A full map forgets the client that came longest ago.
        let _ = A::clients().insert(client, record, 0);
    }
    picked
}

/// The same without regard to who asks.
#[inline(always)]
pub fn from_table(pool: u32, table: PoolEntry, hashes: Hashes) -> Picked {
    let mut best = Picked {
        id: BackendId::NONE,
        lack: Lack::Nobody,
    };
    let (mut best_open, mut best_weight) = (0, 0);
    let first = match table.by {
        IndexedBy::Turn => turn(pool),
        _ => 0,
    };
    for attempt in 0..TRIES {
        let index = match table.by {
            IndexedBy::Turn => first.wrapping_add(attempt) % table.size.max(1),
            IndexedBy::Random | IndexedBy::LeastLoaded => hash::scale(random(), table.size),
            IndexedBy::Flow | IndexedBy::Client if attempt == 0 => table.slot(hashes),
            // Where its own backend is full, a flow's next one is the same on every node.
            IndexedBy::Flow | IndexedBy::Client => {
                let hash = hash::mix(table.hash(hashes) ^ attempt.wrapping_mul(0x9e37_79b1));
                hash::scale(hash, table.size)
            }
        };
        let id = steer::owner(table, index);
        if steer::living(id).is_none() {
            continue;
        }
        let Some((open, weight)) = loads::room(id) else {
            best.lack = Lack::Full;
            continue;
        };
        let is_second = best.id.is_somebody();
        if !is_second || Load::is_less(open, weight, best_open, best_weight) {
            best.id = id;
            (best_open, best_weight) = (open, weight);
        }
        if is_second || table.by != IndexedBy::LeastLoaded {
            break;
        }
    }
    best
}

/// A number that no other new flow of the pool has, but for two that come at the same moment: then one may be left out,
/// and another given twice.
#[inline(always)]
fn turn(pool: u32) -> u32 {
    let Some(turn) = TURNS.get_ptr_mut(pool) else {
        return 0;
    };
    loads::add(turn, 1);
    // SAFETY: a word of a live array element.
    (unsafe { turn.read_volatile() }) as u32
}

#[inline(always)]
fn random() -> u32 {
    // SAFETY: a helper without preconditions.
    unsafe { bpf_get_prandom_u32() }
}
