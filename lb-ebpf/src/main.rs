//! The kernel programs: XDP for what arrives, tc for what leaves. Entry points only.
//!
//! | module | question it answers |
//! |---|---|
//! | [`ingress`] | what becomes of a packet that arrives? |
//! | [`egress`] | what becomes of a packet that leaves? |
//! | [`steer`] | which service is it for, and which backend takes it? |
//! | [`forward`] | what is done to a packet for its backend? |
//! | [`flows`] | what was recorded of a flow? |
//! | [`reverse`] | is this a reply, and what was it sent to? |
//! | [`translations`] | which port does a flow of `fullnat` have, and whose is it? |
//! | [`transmit`] | how does it get there? |
//! | [`stats`] | how is it counted? |
//! | [`frame`], [`skb`] | how is packet memory touched? |
//! | [`family`], [`maps`] | where is everything kept? |
#![no_std]
#![no_main]
#![expect(unstable_features, reason = "inline assembly for BPF is not stable")]
#![feature(asm_experimental_arch)]

mod egress;
mod family;
mod flows;
mod forward;
mod frame;
mod ingress;
mod maps;
mod reverse;
mod skb;
mod stats;
mod steer;
mod translations;
mod transmit;

use aya_ebpf::{
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};

use crate::{frame::Frame, skb::Skb, transmit::Outcome};

// Inlined into what the attribute makes of it: a call between BPF functions costs as much as a whole stage.
#[xdp]
#[inline(always)]
pub fn shunt_xdp(ctx: XdpContext) -> u32 {
    let mut frame = Frame::new(ctx);
    finish(ingress::handle::<{ ingress::ALL }>(&mut frame))
}

/// Goes on where `shunt_xdp` found no translation: draws a port, and calls `shunt_xdp_open`. A program of its own, because
/// the verifier walks every way from each of the ports that are tried to the end.
#[xdp]
#[inline(always)]
pub fn shunt_xdp_draw(ctx: XdpContext) -> u32 {
    let mut frame = Frame::new(ctx);
    finish(ingress::handle::<{ ingress::DRAW }>(&mut frame))
}

/// Translates the packet, by what was drawn if it opens a flow.
#[xdp]
#[inline(always)]
pub fn shunt_xdp_open(ctx: XdpContext) -> u32 {
    let mut frame = Frame::new(ctx);
    finish(ingress::handle::<{ ingress::OPEN }>(&mut frame))
}

#[inline(always)]
fn finish(outcome: Outcome) -> u32 {
    stats::count(outcome.verdict);
    transmit::action(outcome)
}

#[classifier]
#[inline(always)]
pub fn shunt_egress(ctx: TcContext) -> i32 {
    let skb = Skb::new(ctx);
    let verdict = egress::handle(&skb);
    stats::count(verdict);
    egress::action(verdict)
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
