//! What times a program on one packet, again and again: undoes what the last run did to it, then calls the program.
//!
//! `BPF_PROG_TEST_RUN` does not reset the packet between repeats. The bench runs [`shunt_bench`] before the program under
//! test and before [`shunt_stub`] in alternation; the difference is the price of the program.
#![no_std]
#![no_main]

use aya_ebpf::{
    EbpfContext as _, Global,
    bindings::xdp_action::{XDP_ABORTED, XDP_TX},
    helpers::bpf_xdp_adjust_head,
    macros::{map, xdp},
    maps::{Array, ProgramArray},
    programs::XdpContext,
};

/// Bytes of the frame as it is given to the program.
#[unsafe(no_mangle)]
static LENGTH: Global<u32> = Global::new(0);
/// Bytes by which the program grows the head.
#[unsafe(no_mangle)]
static GROWTH: Global<u32> = Global::new(0);
/// Words from the start of the IP header to the end of the TCP header: [`V4_WORDS`] or [`V6_WORDS`].
#[unsafe(no_mangle)]
static WORDS: Global<u32> = Global::new(0);
/// The flows that are walked over: 2 to the power of this.
#[unsafe(no_mangle)]
static FLOW_BITS: Global<u32> = Global::new(0);
/// The lower bits of a flow's number go into its port, the others into its address.
#[unsafe(no_mangle)]
static PORT_BITS: Global<u32> = Global::new(0);
/// The word that is the address walked over, and the one with the port.
#[unsafe(no_mangle)]
static ADDRESS: Global<u32> = Global::new(u32::MAX);
#[unsafe(no_mangle)]
static PORT: Global<u32> = Global::new(u32::MAX);
/// Whether the port is the second in its word: the destination's.
#[unsafe(no_mangle)]
static IS_DESTINATION: Global<u32> = Global::new(0);

const ETHERNET: usize = 14;
/// The MACs, the EtherType, which a tunnel's header covers, and two bytes more.
const LINK_WORDS: usize = 4;
const V4_WORDS: usize = 10;
const V6_WORDS: usize = 15;

/// The Ethernet header and two bytes more, then the words of the headers behind it.
#[map]
static TEMPLATE: Array<[u32; LINK_WORDS + V6_WORDS]> = Array::with_max_entries(1, 0);
/// Runs so far, and how often the head was found grown.
#[map]
static RUNS: Array<[u32; 2]> = Array::with_max_entries(1, 0);
/// The program that is called. All in it, and the caller, have to agree on `xdp.frags`, which the datapath is loaded with
/// (kernel 5.18).
#[map]
static PROGRAM: ProgramArray = ProgramArray::with_max_entries(1, 0);

#[xdp(frags)]
#[inline(always)]
#[expect(clippy::needless_pass_by_value, reason = "the attribute's signature")]
pub fn shunt_bench(ctx: XdpContext) -> u32 {
    if reset(&ctx).is_some() {
        // SAFETY: nothing is left to be dropped.
        unsafe { PROGRAM.tail_call(&ctx, 0) };
    }
    XDP_ABORTED
}

/// Does nothing but grow the head, where that is asked for.
#[xdp(frags)]
#[inline(always)]
#[expect(clippy::needless_pass_by_value, reason = "the attribute's signature")]
pub fn shunt_stub(ctx: XdpContext) -> u32 {
    let growth = GROWTH.load() as i32;
    if growth != 0 && adjust_head(&ctx, -growth).is_none() {
        return XDP_ABORTED;
    }
    XDP_TX
}

#[inline(always)]
fn reset(ctx: &XdpContext) -> Option<()> {
    let runs = RUNS.get_ptr_mut(0)?;
    // SAFETY: a live array element, and one CPU runs this.
    let [run, grown] = unsafe { &mut *runs };
    shrink(ctx, grown)?;
    let flow = permuted(*run);
    *run += 1;
    if WORDS.load() as usize == V6_WORDS {
        return restore::<V6_WORDS>(ctx, flow);
    }
    restore::<V4_WORDS>(ctx, flow)
}

#[inline(always)]
fn shrink(ctx: &XdpContext, grown: &mut u32) -> Option<()> {
    let growth = GROWTH.load();
    if growth == 0 || ctx.data_end() - ctx.data() == LENGTH.load() as usize {
        return Some(());
    }
    *grown += 1;
    adjust_head(ctx, growth as i32)
}

#[inline(always)]
fn adjust_head(ctx: &XdpContext, bytes: i32) -> Option<()> {
    // SAFETY: the context, whose packet pointers are read anew afterwards.
    let answer = unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast(), bytes) };
    (answer == 0).then_some(())
}

/// A permutation of the flows' numbers, so that their order says nothing to a prefetcher: multiplying by an odd number
/// and folding the upper half into the lower one can both be undone.
#[inline(always)]
fn permuted(run: u32) -> u32 {
    let bits = FLOW_BITS.load() & 31;
    let mask = (1 << bits) - 1;
    let mut flow = run.wrapping_mul(0x9e37_79b1) & mask;
    flow ^= flow >> (bits / 2 + 1);
    flow.wrapping_mul(0x85eb_ca6b) & mask
}

#[inline(always)]
fn restore<const N: usize>(ctx: &XdpContext, flow: u32) -> Option<()> {
    let template = TEMPLATE.get(0)?;
    let start = ctx.data();
    if start + ETHERNET + 4 * N > ctx.data_end() {
        return None;
    }
    let port_bits = PORT_BITS.load() & 15;
    let address = (flow >> port_bits).to_be();
    let port = (flow & ((1 << port_bits) - 1)) as u16;
    let shift = if IS_DESTINATION.load() == 0 { 0 } else { 16 };
    let port = u32::from(port.to_be()) << shift;
    let (address_word, port_word) = (ADDRESS.load() as usize, PORT.load() as usize);

    for (i, &word) in template[..LINK_WORDS].iter().enumerate() {
        // SAFETY: within the packet, checked above; the BPF machine needs no alignment.
        unsafe { *((start + 4 * i) as *mut u32) = word };
    }
    for i in 0..N {
        let mut word = template[LINK_WORDS + i];
        // Read-only: the verifier leaves one of each comparison's ways.
        if i == address_word {
            word ^= address;
        }
        if i == port_word {
            word ^= port;
        }
        // SAFETY: as above.
        unsafe { *((start + ETHERNET + 4 * i) as *mut u32) = word };
    }
    Some(())
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // The verifier refuses what could reach this.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
