//! Fragments: the ports of the first one are those of the later ones.

use aya_ebpf::{
    bindings::BPF_F_CURRENT_CPU, helpers::bpf_perf_event_output, macros::map, maps::PerfEventArray,
};
use lb_common::{
    fragment::{self, FragmentEntry, HELD_LENGTH, HeldFragment, Key, PLACES, Ports, Reading, WAYS},
    packet::{Headers, Packet, Skip},
    service::Control,
    verdict::Event,
};

use crate::{clock::now, concern::Concern, family::Family, frame::Frame, maps::FRAGMENTS, stats};

/// Nobody reads it unless the kernel can put packets back, and the daemon lives.
#[map]
static HELD_FRAGMENTS: PerfEventArray<HeldFragment> = PerfEventArray::new(0);

/// Records the ports of a first fragment, and gives a later one those of its first.
#[inline(always)]
pub fn follow<A: Family, P: Packet>(
    packet: &P,
    headers: &mut Headers<A>,
    concern: Concern,
    control: &Control,
) -> Result<(), Skip> {
    if headers.fragment.is_part() {
        join(headers, concern, control)?;
    }
    // The ways that led here differ in this, and in nothing else that matters from here on.
    headers.fragment = headers.fragment.anchored(packet);
    Ok(())
}

#[inline(always)]
fn join<A: Family>(
    headers: &mut Headers<A>,
    concern: Concern,
    control: &Control,
) -> Result<(), Skip> {
    let is_later = headers.fragment.is_later();
    if !concern.has_ports() {
        return if is_later { Err(Skip::NotOurs) } else { Ok(()) };
    }
    let key = Key::of(headers);
    let first = key.first_place(control.seed);
    if !is_later {
        record(headers, &key, first);
        return Ok(());
    }
    let now = now();
    for way in 0..WAYS {
        let Some(place) = FRAGMENTS.get_ptr((first + way) & (PLACES - 1)) else {
            continue;
        };
        let reading = Reading::of(&key, now, |i| read(place, i));
        if let Some(ports) = reading.ports() {
            headers.tuple.source_port = ports.source;
            headers.tuple.destination_port = ports.destination;
            headers.tuple.protocol = ports.protocol;
            return Ok(());
        }
    }
    Err(Skip::Fragment)
}

#[inline(always)]
fn record<A: Family>(headers: &Headers<A>, key: &Key, first: u32) {
    let now = now();
    let (mut chosen, mut lowest) = (first, u32::MAX);
    for way in 0..WAYS {
        let index = (first + way) & (PLACES - 1);
        let Some(place) = FRAGMENTS.get_ptr(index) else {
            continue;
        };
        let worth = Reading::of(key, now, |i| read(place, i)).worth();
        if worth < lowest {
            (chosen, lowest) = (index, worth);
        }
    }
    let ports = Ports {
        source: headers.tuple.source_port,
        destination: headers.tuple.destination_port,
        protocol: headers.tuple.protocol,
    };
    let entry = FragmentEntry::new(key, ports, now);
    let Some(place) = FRAGMENTS.get_ptr_mut(chosen) else {
        return;
    };
    for (i, word) in entry.words.into_iter().enumerate() {
        // SAFETY: a live array element. Another CPU may write it too: the digest is what holds it together.
        unsafe { (&raw mut (*place).words[i]).write_volatile(word) };
    }
    stats::event(Event::FragmentRecorded);
    if fragment::is_loss(lowest) {
        stats::event(Event::FragmentTableFull);
    }
}

#[inline(always)]
fn read(place: *const FragmentEntry, i: usize) -> u64 {
    // SAFETY: a live array element; array elements are never freed.
    unsafe { (&raw const (*place).words[i]).read_volatile() }
}

/// Hands a fragment for a VIP that came before its first one to the daemon. `false`: it was there, or nobody takes it.
#[inline(always)]
pub fn hold<A: Family>(frame: &Frame, headers: &Headers<A>, concern: Concern) -> bool {
    let length = headers.frame_length();
    if length > HELD_LENGTH
        || !frame.is_linear(length)
        || frame.is_put_back()
        || !concern.is_to_vip()
    {
        return false;
    }
    let held = HeldFragment {
        ingress: frame.ingress(),
        length: length as u32,
    };
    // The upper half says how many bytes of the packet follow.
    let flags = BPF_F_CURRENT_CPU | (length as u64) << 32;
    // SAFETY: the program's own context, a map of the kind that the helper takes, and a struct of the size given.
    let answer = unsafe {
        bpf_perf_event_output(
            frame.ctx().ctx.cast(),
            (&raw const HELD_FRAGMENTS).cast_mut().cast(),
            flags,
            (&raw const held).cast_mut().cast(),
            size_of::<HeldFragment>() as u64,
        )
    };
    answer == 0
}
