//! The kernel programs: XDP for what arrives, tc for what leaves, cgroup programs for sockets of this host. Entry points only.
//!
//! | module | question it answers |
//! |---|---|
//! | [`ingress`] | what becomes of a packet that arrives? |
//! | [`egress`] | what becomes of a packet that leaves? |
//! | [`local`] | what becomes of a client on this host? |
//! | [`concern`] | may a packet be ours at all, by its addresses? |
//! | [`steer`] | which service is it for, and which backend takes it? |
//! | [`schedule`] | which of them takes a new flow, where its hash does not say so? |
//! | [`loads`] | what have backends to do? |
//! | [`forward`] | what is done to a packet for its backend? |
//! | [`flows`] | what was recorded of a flow? |
//! | [`fresh`] | which of them need no note now? |
//! | [`fragments`] | which ports does a fragment have? |
//! | [`answer`] | what does the load balancer say itself? |
//! | [`reverse`] | is this a reply, and what was it sent to? |
//! | [`half_open`] | of which flows has only the client spoken? |
//! | [`translations`] | which port does a flow of `fullnat` have, and whose is it? |
//! | [`transmit`] | how does it get there? |
//! | [`stats`] | how is it counted? |
//! | [`frame`], [`skb`] | how is packet memory touched? |
//! | [`clock`] | what time is it? |
//! | [`family`], [`maps`] | where is everything kept? |
#![no_std]
#![no_main]
#![expect(unstable_features, reason = "inline assembly for BPF is not stable")]
#![feature(asm_experimental_arch)]

mod answer;
mod clock;
mod concern;
mod egress;
mod family;
mod flows;
mod forward;
mod fragments;
mod frame;
mod fresh;
mod half_open;
mod ingress;
mod loads;
mod local;
mod maps;
mod reverse;
mod schedule;
mod skb;
mod stats;
mod steer;
mod translations;
mod transmit;

use aya_ebpf::{
    macros::{cgroup_sock_addr, classifier, xdp},
    programs::{SockAddrContext, TcContext, XdpContext},
};

use crate::{frame::Frame, local::Socket, skb::Skb};

// Inlined into what the attribute makes of it: a call between BPF functions costs as much as a whole stage.
#[xdp]
#[inline(always)]
pub fn shunt_xdp(ctx: XdpContext) -> u32 {
    arrives::<{ ingress::ALL }>(Frame::new(ctx))
}

/// Goes on where `shunt_xdp` found no record of a flow that has to have one: chooses its backend, and calls
/// `shunt_xdp_enter`. This and those below are programs of their own, because the verifier walks every way from each of the
/// slots and ports that are tried to the end.
#[xdp]
#[inline(always)]
pub fn shunt_xdp_choose(ctx: XdpContext) -> u32 {
    arrives::<{ ingress::CHOOSE }>(Frame::new(ctx))
}

/// Records the flow, and calls `shunt_xdp` again; or draws a port for one of `fullnat`, and calls `shunt_xdp_open`.
#[xdp]
#[inline(always)]
pub fn shunt_xdp_enter(ctx: XdpContext) -> u32 {
    arrives::<{ ingress::ENTER }>(Frame::new(ctx))
}

/// Translates the packet, by what was drawn if it opens a flow.
#[xdp]
#[inline(always)]
pub fn shunt_xdp_open(ctx: XdpContext) -> u32 {
    arrives::<{ ingress::OPEN }>(Frame::new(ctx))
}

/// The same four where the kernel has frames larger than a page (5.18): programs call only their like.
#[xdp(frags)]
#[inline(always)]
pub fn shunt_xdp_frags(ctx: XdpContext) -> u32 {
    arrives::<{ ingress::ALL }>(Frame::in_buffers(ctx))
}

#[xdp(frags)]
#[inline(always)]
pub fn shunt_xdp_choose_frags(ctx: XdpContext) -> u32 {
    arrives::<{ ingress::CHOOSE }>(Frame::in_buffers(ctx))
}

#[xdp(frags)]
#[inline(always)]
pub fn shunt_xdp_enter_frags(ctx: XdpContext) -> u32 {
    arrives::<{ ingress::ENTER }>(Frame::in_buffers(ctx))
}

#[xdp(frags)]
#[inline(always)]
pub fn shunt_xdp_open_frags(ctx: XdpContext) -> u32 {
    arrives::<{ ingress::OPEN }>(Frame::in_buffers(ctx))
}

#[inline(always)]
fn arrives<const STEP: u32>(mut frame: Frame) -> u32 {
    let outcome = ingress::handle::<STEP>(&mut frame);
    let outcome = transmit::depart(&mut frame, outcome);
    stats::count(outcome.verdict);
    transmit::action(outcome)
}

#[classifier]
#[inline(always)]
pub fn shunt_egress(ctx: TcContext) -> i32 {
    let mut skb = Skb::new(ctx);
    let verdict = egress::handle(&mut skb);
    stats::count(verdict);
    egress::action(verdict)
}

macro_rules! socket_programs {
    ($($hook:ident $name:ident = $handle:ident,)*) => {
        $(
            #[cgroup_sock_addr($hook)]
            #[inline(always)]
            pub fn $name(ctx: SockAddrContext) -> i32 {
                local::$handle(&Socket::new(ctx))
            }
        )*
    };
}

socket_programs! {
    connect4 shunt_connect4 = connect4,
    connect6 shunt_connect6 = connect6,
    sendmsg4 shunt_sendmsg4 = sendmsg4,
    sendmsg6 shunt_sendmsg6 = sendmsg6,
    recvmsg4 shunt_recvmsg4 = name4,
    recvmsg6 shunt_recvmsg6 = name6,
    getpeername4 shunt_peername4 = name4,
    getpeername6 shunt_peername6 = name6,
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
