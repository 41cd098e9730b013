//! The tables of `fullnat`: which port a flow has, and whose it is. Layout and lifetimes: [`lb_common::translation`];
//! addresses and ports: [`lb_common::snat`].
//!
//! | step | why it is safe on many CPUs |
//! |---|---|
//! | a port is claimed | its reverse half is inserted only where there is none, which the kernel does atomically |
//! | a translation is taken away | by the holder of the lock of its reverse half alone, who looks again before |
//! | it comes back at that very moment | it starts anew with another port; never do two flows have the same |

use aya_ebpf::bindings::{BPF_EXIST, BPF_NOEXIST};
use lb_common::{
    backend::{Backend, BackendId, Forward},
    flow::{self, Closing, Seen, Tuple},
    hash,
    packet::Headers,
    service::Control,
    snat::{self, Drawn, PROBES},
    translation::{DATAPATH, Life, Return, Side, Translation},
    verdict::{Event, Verdict},
};

use crate::{
    clock::now,
    family::Family,
    loads,
    maps::{BACKENDS, DRAWN, FULLNAT_FILTER},
    reverse,
    schedule::Lack,
    stats, steer,
};

const FULLNAT: u8 = Forward::Fullnat as u8;

/// The translation of a client's packet, and its backend. A SYN is not looked at here, nor is a flow whose backend died.
#[inline(always)]
pub fn find<A: Family>(headers: &Headers<A>) -> Option<(Translation<A>, &'static Backend)> {
    if headers.opens() {
        return None;
    }
    let tuple = &headers.tuple;
    let record = A::translations().get_ptr_mut(tuple)?;
    // SAFETY: a live element of a preallocated map, copied at once.
    let translation = unsafe { *record };
    let backend = BACKENDS.get(translation.backend.index())?;
    if !backend.serves(translation.backend) {
        return None;
    }
    if headers.is_of_flow() {
        // SAFETY: as above. Another packet of the flow may write the same words, and one of two bits be lost, which only
        // keeps the translation for longer.
        let before = unsafe { (*record).client.hear(headers, Closing::Client, now()) };
        if let Some(before) = before {
            client_said(
                tuple,
                &translation,
                backend,
                before,
                headers.closing(Closing::Client),
            );
        }
    }
    Some((translation, backend))
}

/// Counts what a client says that it has not said `before`: its first word, and the last.
#[inline(always)]
fn client_said<A: Family>(
    tuple: &Tuple<A>,
    translation: &Translation<A>,
    backend: &Backend,
    before: u16,
    closing: Option<Closing>,
) {
    if before & Side::SPOKE == 0 {
        loads::opened(translation.backend);
    }
    let Some(closing) = closing else {
        return;
    };
    let Some(other) = A::returns().get_ptr(reply(tuple, translation, backend)) else {
        return;
    };
    // SAFETY: a live element of a preallocated map, read at once.
    let said = before | unsafe { (*other).backend.said };
    if !flow::is_closed(said) && flow::is_closed(said | closing as u16) {
        loads::closed(translation.backend);
    }
}

/// The same of a backend, about a client that has spoken.
#[inline(always)]
fn backend_said<A: Family>(record: &Return<A>, protocol: u8, before: u16, closing: Closing) {
    let Some(other) = A::translations().get_ptr(record.forward(protocol)) else {
        return;
    };
    // SAFETY: a live element of a preallocated map, read at once.
    let other = unsafe { (*other).client.said };
    let said = before | other;
    if other & Side::SPOKE != 0 && !flow::is_closed(said) && flow::is_closed(said | closing as u16)
    {
        loads::closed(record.id);
    }
}

/// The same for a packet that may open a flow. One whose backend died, or that ended before this SYN, starts anew: it is
/// forgotten, and there is none.
#[inline(always)]
pub fn find_opening<A: Family>(headers: &Headers<A>) -> Option<(Translation<A>, &'static Backend)> {
    let tuple = &headers.tuple;
    let record = A::translations().get_ptr_mut(tuple)?;
    // SAFETY: a live element of a preallocated map, copied at once.
    let translation = unsafe { *record };
    let backend = BACKENDS.get(translation.backend.index())?;
    let reply = reply(tuple, &translation, backend);
    // SAFETY: a live element of a preallocated map, read at once.
    let answer = A::returns()
        .get_ptr(reply)
        .map(|known| unsafe { (*known).backend });
    let has_ended = answer.is_none_or(|answer| Life::of(translation.client, answer).is_closed());
    if !backend.serves(translation.backend) || has_ended {
        take_away(tuple, &reply, &translation);
        return None;
    }
    let now = now();
    // A SYN that is sent again after a while had no answer.
    if headers.opens()
        && answer.is_some_and(|answer| answer.said == 0)
        && translation.client.seen != now
    {
        loads::unanswered(translation.backend);
    }
    // SAFETY: as in `find`.
    unsafe { (*record).client.hear(headers, Closing::Client, now) };
    Some((translation, backend))
}

/// The key of the reverse half.
#[inline(always)]
fn reply<A: Family>(tuple: &Tuple<A>, translation: &Translation<A>, backend: &Backend) -> Tuple<A> {
    translation
        .applied(
            tuple,
            A::from_words(&backend.address),
            backend.port_for(tuple.destination_port),
        )
        .reversed()
}

/// The reverse half of a backend's packet, if it is a reply.
#[inline(always)]
pub fn answered<A: Family>(headers: &Headers<A>, control: &Control) -> Option<Return<A>> {
    let tuple = &headers.tuple;
    if !reverse::may_be_backend(&FULLNAT_FILTER, tuple.source, tuple.source_port, control) {
        return None;
    }
    let record = A::returns().get_ptr_mut(tuple)?;
    // SAFETY: as in `find`.
    let (before, copy) = unsafe {
        let before = if headers.is_of_flow() {
            (*record).backend.hear(headers, Closing::Backend, now())
        } else {
            None
        };
        (before, *record)
    };
    if let Some(before) = before {
        if before & Side::SPOKE == 0 {
            if headers.resets() {
                loads::refused(copy.id);
            } else {
                loads::accepted(copy.id);
            }
        }
        if let Some(closing) = headers.closing(Closing::Backend) {
            backend_said(&copy, tuple.protocol, before, closing);
        }
    }
    Some(copy)
}

/// `-E2BIG`: a hash map is full.
const NO_ROOM: i32 = -7;
/// `-EBUSY`: somebody else is at it.
const BUSY: i32 = -16;

/// A translation for a flow that has none, by what was [drawn](draw) for it. Fails where there is no backend, no free port,
/// or no room.
#[inline(always)]
pub fn add<A: Family>(
    headers: &Headers<A>,
    control: &Control,
) -> Result<(Translation<A>, &'static Backend), Verdict> {
    let drawn = DRAWN.get(0).ok_or(Verdict::NoBackend)?;
    if drawn.outcome == Drawn::FULL {
        return Err(Verdict::BackendsFull);
    }
    let id = drawn.backend;
    let backend = match steer::living(id) {
        Some(backend) if drawn.outcome != Drawn::NOBODY && backend.forward == FULLNAT => backend,
        _ => return Err(Verdict::NoBackend),
    };
    stats::event(Event::SelectCurrent);
    match claim(headers, drawn, id, backend, control) {
        Some(translation) => Ok((translation, backend)),
        None => Err(Verdict::NoSnatPort),
    }
}

#[inline(always)]
fn claim<A: Family>(
    headers: &Headers<A>,
    drawn: &Drawn,
    id: BackendId,
    backend: &Backend,
    control: &Control,
) -> Option<Translation<A>> {
    let tuple = &headers.tuple;
    let now = now();
    let mut reply = reverse::reply(tuple, backend);
    reply.destination = A::from_words(&drawn.address);
    reply.destination_port = drawn.port;
    let claim = Return::of(tuple, id, now);
    let claimed = match drawn.outcome {
        Drawn::FREE => A::returns().insert(reply, claim, u64::from(BPF_NOEXIST)),
        Drawn::OVER => reclaim(&reply, &claim, control),
        _ => {
            stats::event(Event::SnatPortsTaken);
            return None;
        }
    };
    if let Err(error) = claimed {
        return instead(tuple, id, error);
    }
    let translation = Translation {
        source: reply.destination,
        source_port: reply.destination_port,
        padding: 0,
        backend: id,
        client: Side::new(headers, Closing::Client, now),
    };
    if let Err(error) = A::translations().insert(tuple, translation, u64::from(BPF_NOEXIST)) {
        // Fresh, and so ours alone.
        let _ = A::returns().remove(reply);
        return instead(tuple, id, error);
    }
    stats::event(Event::TranslationWritten);
    if translation.client.said & Side::SPOKE != 0 {
        loads::opened(id);
    }
    Some(translation)
}

/// What there is where a half could not be inserted: the translation that another CPU wrote for the same flow, if any.
#[inline(always)]
fn instead<A: Family>(tuple: &Tuple<A>, id: BackendId, error: i32) -> Option<Translation<A>> {
    if error == NO_ROOM {
        stats::event(Event::TranslationsFull);
        return None;
    }
    stats::event(Event::TranslationRaced);
    let known = A::translations().get_ptr(tuple)?;
    // SAFETY: a live element of a preallocated map, copied at once.
    let known = unsafe { *known };
    (known.backend == id).then_some(known)
}

/// Keeps which backend was chosen for a new flow, or why none was, in [`DRAWN`].
#[inline(always)]
pub fn keep(id: BackendId, lack: Lack) {
    if let Some(drawn) = DRAWN.get_ptr_mut(0) {
        // SAFETY: this CPU's own element, and programs are not preempted by each other on it.
        unsafe {
            (*drawn).attempts = 0;
            (*drawn).backend = id;
            (*drawn).outcome = match lack {
                Lack::Nobody => Drawn::NOBODY,
                Lack::Full => Drawn::FULL,
            };
        }
    }
}

/// How often a backend was looked for, before this time.
#[inline(always)]
pub fn attempt() -> u32 {
    let Some(drawn) = DRAWN.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: as above.
    unsafe {
        let attempt = (*drawn).attempts;
        (*drawn).attempts = attempt.wrapping_add(1);
        attempt
    }
}

#[inline(always)]
pub fn kept() -> BackendId {
    DRAWN.get(0).map_or(BackendId::NONE, |drawn| drawn.backend)
}

/// Finds an address and a port that can be claimed for a flow to `backend`, and keeps them in [`DRAWN`].
#[inline(always)]
pub fn draw<A: Family>(
    headers: &Headers<A>,
    backend: &Backend,
    hash: u32,
    control: &Control,
) -> Option<()> {
    let drawn = DRAWN.get_ptr_mut(0)?;
    // SAFETY: this CPU's own element, and programs are not preempted by each other on it.
    let drawn = unsafe { &mut *drawn };
    drawn.outcome = Drawn::NONE;
    if backend.snat_count == 0 {
        return None;
    }
    let mut reply = reverse::reply(&headers.tuple, backend);
    let now = now();
    for probe in 0..PROBES {
        let draw = snat::draw(hash, probe);
        let place = hash::scale(draw, u32::from(backend.snat_count));
        let snat = A::snat().get(u32::from(backend.snat_first) + place)?;
        if snat.ports.count() == 0 {
            return None;
        }
        reply.destination = A::from_words(&snat.address.to_words());
        reply.destination_port = snat.port(draw);
        // Replies to a port where clients are served would be taken for theirs. The bitmap also passes over the ports
        // of other addresses: one in 16,384 for each listener there is.
        if steer::may_be_service(reply.destination, reply.destination_port) {
            continue;
        }
        let outcome = look(&reply, now, control);
        if outcome != Drawn::NONE {
            drawn.address = reply.destination.to_words();
            drawn.port = reply.destination_port;
            drawn.outcome = outcome;
            return Some(());
        }
    }
    None
}

/// Whether a reverse half can be claimed.
#[inline(always)]
fn look<A: Family>(reply: &Tuple<A>, now: Seen, control: &Control) -> u16 {
    let Some(known) = A::returns().get_ptr(reply) else {
        return Drawn::FREE;
    };
    // SAFETY: a live element of a preallocated map, copied at once.
    let known = unsafe { *known };
    if is_over(reply, &known, now, control) {
        Drawn::OVER
    } else {
        Drawn::NONE
    }
}

#[inline(always)]
fn is_over<A: Family>(reply: &Tuple<A>, record: &Return<A>, now: Seen, control: &Control) -> bool {
    let limits = control.limits();
    let alone = Life::of(Side::default(), record.backend);
    // Most are fresh, and need no second look.
    if !alone.is_over(reply.protocol, now, limits) {
        return false;
    }
    let tuple = record.forward(reply.protocol);
    let Some(other) = A::translations().get_ptr(tuple) else {
        return true;
    };
    // SAFETY: a live element of a preallocated map, copied at once.
    let other = unsafe { *other };
    Life::of(other.client, record.backend).is_over(reply.protocol, now, limits)
}

/// Takes over the port of a translation that is over.
#[inline(always)]
fn reclaim<A: Family>(reply: &Tuple<A>, claim: &Return<A>, control: &Control) -> Result<(), i32> {
    if !lock(reply) {
        return Err(BUSY);
    }
    let taken = if is_still_over_and_gone(reply, control) {
        A::returns().insert(reply, claim, u64::from(BPF_EXIST))
    } else {
        Err(BUSY)
    };
    unlock(reply);
    if taken.is_ok() {
        stats::event(Event::TranslationReclaimed);
    }
    taken
}

/// Looks again, and takes the forward half away.
#[inline(always)]
fn is_still_over_and_gone<A: Family>(reply: &Tuple<A>, control: &Control) -> bool {
    let Some(known) = A::returns().get_ptr(reply) else {
        return false;
    };
    // SAFETY: a live element of a preallocated map, copied at once.
    let known = unsafe { *known };
    if !is_over(reply, &known, now(), control) {
        return false;
    }
    let tuple = known.forward(reply.protocol);
    remove_forward(&tuple, |other| known.belongs_to(other, reply));
    true
}

/// Takes both halves away, unless another CPU has done so already.
#[inline(always)]
fn take_away<A: Family>(tuple: &Tuple<A>, reply: &Tuple<A>, translation: &Translation<A>) {
    if !lock(reply) {
        return;
    }
    let is_same = |other: &Translation<A>| {
        other.source == translation.source
            && other.source_port == translation.source_port
            && other.backend == translation.backend
    };
    remove_forward(tuple, is_same);
    if let Some(known) = A::returns().get_ptr(reply) {
        // SAFETY: a live element of a preallocated map, copied at once.
        let known = unsafe { *known };
        if known.forward(reply.protocol) == *tuple {
            let _ = A::returns().remove(reply);
        }
    }
    unlock(reply);
}

#[inline(always)]
fn remove_forward<A: Family>(tuple: &Tuple<A>, is_it: impl Fn(&Translation<A>) -> bool) {
    let Some(other) = A::translations().get_ptr(tuple) else {
        return;
    };
    // SAFETY: a live element of a preallocated map, copied at once.
    let other = unsafe { *other };
    if is_it(&other) {
        let _ = A::translations().remove(tuple);
    }
}

/// Nobody waits for it: who does not get it leaves the translation alone.
#[inline(always)]
fn lock<A: Family>(reply: &Tuple<A>) -> bool {
    A::return_locks()
        .insert(reply, DATAPATH, u64::from(BPF_NOEXIST))
        .is_ok()
}

#[inline(always)]
fn unlock<A: Family>(reply: &Tuple<A>) {
    let _ = A::return_locks().remove(reply);
}
