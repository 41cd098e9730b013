//! How a packet gets to its next hop: the kernel's answer, cached per CPU, and the XDP action.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{bpf_fib_lookup as FibLookup, xdp_action},
    helpers::{bpf_fib_lookup, bpf_redirect},
    maps::PerCpuArray,
};
use lb_common::{
    hop::{self, Hop},
    packet::{Headers, PacketMut as _},
    port::{self, Arrival, Port, TAG_OFFSET, Tags},
    rewrite,
    service::Control,
    verdict::{Event, Verdict},
};

use crate::{
    family::Family,
    frame::Frame,
    maps::{DEVICES, PORTS},
    stats,
};

/// What became of a packet, and its way if it leaves by one.
#[derive(Clone, Copy)]
pub struct Outcome {
    pub verdict: Verdict,
    hop: Option<&'static Hop>,
}

impl Outcome {
    #[inline(always)]
    pub const fn stays(verdict: Verdict) -> Self {
        Self { verdict, hop: None }
    }

    #[inline(always)]
    pub const fn leaves(hop: &'static Hop, verdict: Verdict) -> Self {
        Self {
            verdict,
            hop: Some(hop),
        }
    }

    /// The same, if the packet could be changed for that.
    #[inline(always)]
    pub const fn leaves_changed(changed: Option<()>, hop: &'static Hop, verdict: Verdict) -> Self {
        match changed {
            Some(()) => Self::leaves(hop, verdict),
            None => Self::stays(Verdict::RewriteFailed),
        }
    }
}

/// Gives a frame that leaves the MACs and tags of its way. In one place for all of them, which each program has once.
#[inline(always)]
pub fn depart(frame: &mut Frame, outcome: Outcome) -> Outcome {
    match outcome.hop {
        Some(hop) if address(frame, hop).is_none() => Outcome::stays(Verdict::RewriteFailed),
        _ => outcome,
    }
}

#[inline(always)]
fn address(frame: &mut Frame, hop: &Hop) -> Option<()> {
    match hop.tagging {
        port::KEEP => {}
        port::REPLACE => {
            let mut tag = frame.view_mut::<4>(TAG_OFFSET)?;
            tag.store(0, port::replaced(tag.load(0), hop.tag));
        }
        port::ADD => {
            frame.move_start(-4)?;
            frame.view_mut::<4>(TAG_OFFSET)?.store(0, hop.tag);
        }
        // The EtherType behind the tag is then where an untagged frame has it.
        _ => frame.move_start(4)?,
    }
    rewrite::macs(frame, &hop.macs)
}

/// The one place that says what a verdict does.
#[inline(always)]
pub fn action(outcome: Outcome) -> u32 {
    match outcome.verdict {
        Verdict::ForwardSame | Verdict::ReplySame => xdp_action::XDP_TX,
        Verdict::ForwardOther
        | Verdict::ReplyOther
        | Verdict::EchoReply
        | Verdict::TooBig
        | Verdict::TimeExceeded => {
            let interface = outcome.hop.map_or(0, |hop| hop.interface);
            // SAFETY: a helper without preconditions.
            unsafe { bpf_redirect(interface, 0) as u32 }
        }
        Verdict::NoBackend
        | Verdict::NoNextHop
        | Verdict::NoRoom
        | Verdict::NoSnatPort
        | Verdict::BackendsFull
        | Verdict::RewriteFailed
        | Verdict::HeldFragment
        | Verdict::IcmpLimited => xdp_action::XDP_DROP,
        _ => xdp_action::XDP_PASS,
    }
}

/// A packet that asks for its next hop.
pub struct Journey<A> {
    pub source: A,
    pub destination: A,
    pub protocol: u8,
    /// Where its headers start.
    pub network: usize,
    /// Bytes of the IP packet.
    pub length: usize,
    /// 1 if the frame lies in one buffer, else 0.
    pub linear: usize,
}

impl<A: Family> Journey<A> {
    /// The way of the packet itself, once it has these addresses.
    #[inline(always)]
    pub fn of(frame: &Frame, headers: &Headers<A>, source: A, destination: A) -> Self {
        Self {
            source,
            destination,
            protocol: headers.tuple.protocol,
            network: headers.network,
            length: headers.length,
            linear: frame.linear_flag(headers.frame_length()),
        }
    }
}

/// The next hop. `place` says which entry of `cache` may know it.
#[inline(always)]
pub fn next_hop<A: Family>(
    frame: &Frame,
    journey: &Journey<A>,
    control: &Control,
    cache: &'static PerCpuArray<Hop>,
    place: u32,
) -> Option<&'static Hop> {
    let hop = cache.get_ptr_mut(place & (hop::PLACES - 1))?;
    // SAFETY: this CPU's own element, and programs are not preempted by each other on it.
    let hop = unsafe { &mut *hop };
    let destination = journey.destination.to_words();
    let arrival = Arrival::new(frame.ingress(), Tags::read(frame, journey.network)?);
    if !hop.is_for(destination, arrival, control.hop_epoch) {
        hop.destination = destination;
        hop.arrival = arrival;
        hop.epoch = control.hop_epoch;
        hop.left = hop::PACKETS;
        hop.mtu = Hop::ANY_MTU;
        hop.kind = Hop::STACK;
        ask(frame, journey, arrival, hop);
    }
    hop.left -= 1;
    hop.takes(journey.length, journey.linear).then_some(hop)
}

/// What the way that [`next_hop`] has just looked up takes, if that is less than the packet has.
#[inline(always)]
pub fn lack_of_room<A: Family>(
    journey: &Journey<A>,
    cache: &'static PerCpuArray<Hop>,
    place: u32,
) -> Option<usize> {
    let hop = cache.get(place & (hop::PLACES - 1))?;
    let is_narrow = hop.mtu != Hop::ANY_MTU && !hop.has_room(journey.length);
    is_narrow.then_some(usize::from(hop.mtu))
}

/// Asks the kernel. Whatever it cannot say goes up the stack, which resolves neighbours, delivers locally and
/// tells senders about packets too big.
#[inline(always)]
fn ask<A: Family>(
    frame: &Frame,
    journey: &Journey<A>,
    arrival: Arrival,
    hop: &mut Hop,
) -> Option<()> {
    stats::event(Event::HopAsked);
    let device = device(arrival)?;
    let mut room = Room(MaybeUninit::uninit());
    let lookup = room.cleared();
    lookup.family = A::FAMILY;
    lookup.l4_protocol = journey.protocol;
    lookup.ifindex = device;
    lookup.__bindgen_anon_3.ipv6_src = journey.source.to_words();
    lookup.__bindgen_anon_4.ipv6_dst = journey.destination.to_words();
    // Fits any MTU, and makes kernels since 5.12 answer with the one of the way.
    lookup.__bindgen_anon_1.tot_len = 1;
    // SAFETY: the context and a struct of the size given.
    let answer = unsafe {
        bpf_fib_lookup(
            frame.ctx().ctx.cast(),
            &raw mut *lookup,
            size_of::<FibLookup>() as i32,
            0,
        )
    };
    if answer != 0 {
        return None;
    }
    // What has no branches comes first: the verifier walks the rest of this once for each.
    hop.macs = macs(&lookup.dmac, &lookup.smac);
    let (port, home) = (PORTS.get(lookup.ifindex)?, PORTS.get(device)?);
    hop.tag = port.tags.word();
    hop.interface = port.through;
    // SAFETY: both arms are a u16.
    let mtu = unsafe { lookup.__bindgen_anon_1.mtu_result };
    hop.mtu = if mtu == 1 { port.mtu as u16 } else { mtu };
    hop.tagging = port::tagging(arrival.tags, port.tags)?;
    hop.kind = kind(port, home);
    Some(())
}

/// The MACs of a frame, in halves of words, because bytes are read one by one.
#[inline(always)]
fn macs(destination: &[u8; 6], source: &[u8; 6]) -> [u32; 3] {
    let half = |mac: &[u8; 6], i| {
        // SAFETY: within the six bytes; the BPF machine needs no alignment.
        u32::from(unsafe { mac.as_ptr().cast::<u16>().add(i).read_unaligned() })
    };
    let word = |first: u32, second: u32| {
        if cfg!(target_endian = "little") {
            first | second << 16
        } else {
            first << 16 | second
        }
    };
    [
        word(half(destination, 0), half(destination, 1)),
        word(half(destination, 2), half(source, 0)),
        word(half(source, 1), half(source, 2)),
    ]
}

/// Room for a lookup, aligned for words.
#[repr(C, align(8))]
struct Room(MaybeUninit<FibLookup>);

impl Room {
    /// A lookup of nothing but zeros, in whole words and in place: a call would write or copy byte by byte, which the
    /// verifier walks for every way that leads here.
    #[inline(always)]
    fn cleared(&mut self) -> &mut FibLookup {
        const WORDS: usize = size_of::<FibLookup>() / size_of::<u64>();
        let words = self.0.as_mut_ptr().cast::<u64>();
        for i in 0..WORDS {
            // SAFETY: within the struct, which is aligned for words. Volatile, or the compiler makes it a call again.
            unsafe { words.add(i).write_volatile(0) };
        }
        // SAFETY: integers only; all zero is a value.
        unsafe { self.0.assume_init_mut() }
    }
}

const _: () = assert!(size_of::<FibLookup>().is_multiple_of(size_of::<u64>()));

/// The interface that a frame counts as having come in by.
#[inline(always)]
fn device(arrival: Arrival) -> Option<u32> {
    if let Some(device) = DEVICES.get_ptr(arrival) {
        // SAFETY: a live element of a preallocated map, copied at once.
        return Some(unsafe { *device });
    }
    (arrival.tags == Tags::NONE).then_some(arrival.interface)
}

#[inline(always)]
fn kind(port: &Port, home: &Port) -> u8 {
    if port.mtu == 0 {
        Hop::STACK
    } else if port.through == home.through {
        Hop::SAME
    } else if port.flags & Port::REDIRECT == 0 {
        Hop::STACK
    } else if port.flags & Port::LARGE == 0 {
        Hop::OTHER_LINEAR
    } else {
        Hop::OTHER
    }
}
