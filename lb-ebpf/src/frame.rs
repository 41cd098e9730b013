//! Packet memory in XDP: the one place that does pointer arithmetic on it.

use core::arch::asm;

use aya_ebpf::programs::XdpContext;
use lb_common::packet::{Packet, PacketMut, Word};

pub struct Frame {
    ctx: XdpContext,
}

impl Frame {
    #[inline(always)]
    pub fn new(ctx: XdpContext) -> Self {
        Self { ctx }
    }

    #[inline(always)]
    pub fn ctx(&self) -> &XdpContext {
        &self.ctx
    }

    #[inline(always)]
    pub fn ingress(&self) -> u32 {
        self.ctx.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<*mut T> {
        readable(self.ctx.data(), self.ctx.data_end(), offset)
    }
}

impl Packet for Frame {
    #[inline(always)]
    fn length(&self) -> usize {
        self.ctx.data_end() - self.ctx.data()
    }

    #[inline(always)]
    fn load<T: Word>(&self, offset: usize) -> Option<T> {
        // SAFETY: within the packet, and any bytes are a T. A plain load: LLVM would split an unaligned one into
        // bytes, which BPF does not need.
        self.at(offset).map(|place: *mut T| unsafe { *place })
    }

    #[inline(always)]
    fn anchor(offset: usize) -> usize {
        opaque(offset)
    }
}

impl PacketMut for Frame {
    #[inline(always)]
    fn store<T: Word>(&mut self, offset: usize, value: T) -> Option<()> {
        let place: *mut T = self.at(offset)?;
        // SAFETY: within the packet; a plain store for the reason above.
        unsafe { *place = value };
        Some(())
    }
}

/// The same value, about which the compiler knows nothing: it computes it once, here.
#[inline(always)]
pub fn opaque(mut value: usize) -> usize {
    // SAFETY: touches no memory. An instruction, because two line records at one place are refused by the kernel.
    unsafe { asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack)) };
    value
}

/// The address of a `T` at `offset`, if all of it lies before `end`.
#[inline(always)]
pub fn readable<T>(start: usize, end: usize, offset: usize) -> Option<*mut T> {
    let place = start + offset;
    if place + size_of::<T>() > end {
        return None;
    }
    Some(place as *mut T)
}
