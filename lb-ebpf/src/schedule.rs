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

/// How often a backend that has room is looked for, each time in another program's run: there may be 33 in a row. Where
/// half of the slots are those of full ones, no other is found once in a million times; the client asks again.
pub const TRIES: u32 = 20;
/// The same of a socket, whose program looks by itself.
const SOCKET_TRIES: u32 = 4;

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

/// The backend of a client that has one and keeps it.
#[inline(always)]
pub fn kept<A: Family>(client: Client<A>, affinity: u32) -> BackendId {
    let Some(known) = A::clients().get_ptr_mut(client) else {
        return BackendId::NONE;
    };
    // SAFETY: a live element of a preallocated map, copied at once.
    let record = unsafe { *known };
    let now = now();
    let keeps = !record.seen.is_older(now, affinity)
        && steer::living(record.backend).is_some()
        && loads::room(record.backend).is_some_and(|(_, weight)| weight != 0);
    if !keeps {
        return BackendId::NONE;
    }
    // SAFETY: as above. Another flow of the client may write the same word.
    unsafe { (*known).seen = now };
    record.backend
}

/// Remembers whose a client is.
#[inline(always)]
pub fn keep<A: Family>(client: Client<A>, backend: BackendId) {
    let record = ClientRecord {
        backend,
        seen: now(),
    };
    // A full map forgets the client that came longest ago.
    let _ = A::clients().insert(client, record, 0);
}

/// For how long a pool's clients keep their backends; 0: they do not.
#[inline(always)]
pub fn affinity(pool: u32) -> u32 {
    load_word(&AFFINITY, pool).unwrap_or_default() as u32
}

/// A backend for a new flow, where it was looked for `attempt` times before.
#[inline(always)]
pub fn pick(pool: u32, table: PoolEntry, hashes: Hashes, attempt: u32) -> Picked {
    let index = match table.by {
        IndexedBy::Turn => turn(pool) % table.size.max(1),
        IndexedBy::Random | IndexedBy::LeastLoaded => hash::scale(random(), table.size),
        // Where its own backend is full, a flow's next one is the same on every node.
        IndexedBy::Flow | IndexedBy::Client => {
            let again = hash::mix(table.hash(hashes) ^ attempt.wrapping_mul(0x9e37_79b1));
            let hash = if attempt == 0 {
                table.hash(hashes)
            } else {
                again
            };
            hash::scale(hash, table.size)
        }
    };
    let first = candidate(steer::owner(table, index));
    if table.by != IndexedBy::LeastLoaded {
        return first.picked;
    }
    let second = candidate(steer::owner(table, hash::scale(random(), table.size)));
    let is_second = second.picked.id.is_somebody()
        && (!first.picked.id.is_somebody()
            || Load::is_less(second.open, second.weight, first.open, first.weight));
    if is_second {
        second.picked
    } else {
        first.picked
    }
}

/// The same for a socket.
#[inline(always)]
pub fn pick_for_socket(pool: u32, table: PoolEntry, hashes: Hashes) -> BackendId {
    for attempt in 0..SOCKET_TRIES {
        let picked = pick(pool, table, hashes, attempt);
        if picked.id.is_somebody() {
            return picked.id;
        }
    }
    BackendId::NONE
}

struct Candidate {
    picked: Picked,
    open: u32,
    weight: u32,
}

/// Whether the owner of a slot may have a flow.
#[inline(always)]
fn candidate(owner: BackendId) -> Candidate {
    let mut candidate = Candidate {
        picked: Picked {
            id: BackendId::NONE,
            lack: Lack::Nobody,
        },
        open: 0,
        weight: 0,
    };
    if steer::living(owner).is_none() {
        return candidate;
    }
    match loads::room(owner) {
        Some((open, weight)) => {
            candidate.picked.id = owner;
            (candidate.open, candidate.weight) = (open, weight);
        }
        None => candidate.picked.lack = Lack::Full,
    }
    candidate
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
