//! Packet memory in XDP: the one place that does pointer arithmetic on it.

use core::arch::asm;

use aya_ebpf::{
    helpers::{bpf_csum_diff, bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len},
    programs::XdpContext,
};
use lb_common::{
    csum,
    packet::{Packet, PacketMut, View, ViewMut},
};

/// Bytes of two MACs and two VLAN tags.
const LINK: usize = 20;

pub struct Frame {
    ctx: XdpContext,
    /// Whether it may continue in further buffers, of which only the first can be read. Known when this is compiled: older
    /// kernels refuse the helper that tells how long all are.
    has_buffers: bool,
}

impl Frame {
    /// One that lies in one buffer.
    #[inline(always)]
    pub const fn new(ctx: XdpContext) -> Self {
        Self {
            ctx,
            has_buffers: false,
        }
    }

    /// One that may lie in several.
    #[inline(always)]
    pub const fn in_buffers(ctx: XdpContext) -> Self {
        Self {
            ctx,
            has_buffers: true,
        }
    }

    #[inline(always)]
    pub fn ctx(&self) -> &XdpContext {
        &self.ctx
    }

    #[inline(always)]
    pub fn ingress(&self) -> u32 {
        self.ctx.ingress_ifindex() as u32
    }

    /// Whether the daemon put it back, which it says by metadata.
    #[inline(always)]
    pub fn is_put_back(&self) -> bool {
        self.ctx.metadata() != self.ctx.data()
    }

    /// Whether its first `bytes` lie in one buffer.
    #[inline(always)]
    pub fn is_linear(&self, bytes: usize) -> bool {
        self.linear_flag(bytes) != 0
    }

    /// The same as 1 or 0, without a branch, which would be two ways for the verifier.
    #[inline(always)]
    pub fn linear_flag(&self, bytes: usize) -> usize {
        if !self.has_buffers {
            return 1;
        }
        // Opaque, or the compiler would add the bytes to a pointer. All ones where some are missing.
        let missing = opaque(self.linear()).wrapping_sub(bytes).cast_signed() >> (usize::BITS - 1);
        missing.cast_unsigned().wrapping_add(1)
    }

    #[inline(always)]
    fn linear(&self) -> usize {
        self.ctx.data_end() - self.ctx.data()
    }

    /// Bytes of all buffers.
    #[inline(always)]
    fn length(&self) -> usize {
        if self.has_buffers {
            // SAFETY: the program's own context.
            return unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) } as usize;
        }
        self.linear()
    }

    /// Cuts bytes off the front, or adds some where `bytes` is negative.
    #[inline(always)]
    pub fn move_start(&mut self, bytes: i32) -> Option<()> {
        // SAFETY: the program's own context; no view of the packet is left.
        let answer = unsafe { bpf_xdp_adjust_head(self.ctx.ctx, bytes) };
        (answer == 0).then_some(())
    }

    /// Makes room for `bytes` between the link header, of `network` bytes, and what follows it; the link header then
    /// says that `ethertype` follows.
    #[inline(always)]
    pub fn grow(&mut self, bytes: usize, network: usize, ethertype: u16) -> Option<()> {
        // MACs and two tags; what of it are no tags, the next header is written over.
        let old = self.view::<LINK>(0)?;
        let words: [u32; 5] = [
            old.load(0),
            old.load(4),
            old.load(8),
            old.load(12),
            old.load(16),
        ];
        self.move_start(-(bytes as i32))?;
        let mut new = self.view_mut::<LINK>(0)?;
        new.store(0, words[0]);
        new.store(4, words[1]);
        new.store(8, words[2]);
        new.store(12, words[3]);
        new.store(16, words[4]);
        let place = self.anchor::<31>(network - 2);
        self.view_mut::<2>(place)?.store(0, ethertype);
        Some(())
    }

    /// Cuts off all of the IP packet at `network`, of `length` bytes, but its start. Returns how much that is, and the
    /// one's complement sum of it; `None` where that cannot be done, and nothing was.
    #[inline(always)]
    pub fn quote(&mut self, network: usize, length: usize) -> Option<(usize, u32)> {
        // Sizes that the program text names: the kernel sums no others, and at most 512 bytes.
        match length {
            512.. => self.cut::<512>(network),
            256.. => self.cut::<256>(network),
            128.. => self.cut::<128>(network),
            // A header with all its options, and 8 bytes more.
            68.. => self.cut::<68>(network),
            48.. => self.cut::<48>(network),
            _ => self.cut::<28>(network),
        }
    }

    #[inline(always)]
    fn cut<const N: usize>(&mut self, network: usize) -> Option<(usize, u32)> {
        readable::<N>(self.ctx.data(), self.ctx.data_end(), network)?;
        // Opaque, or the compiler would subtract from a pointer to the end, which the verifier does not have.
        let excess = opaque(self.length()) - network - N;
        // SAFETY: the program's own context; no view of the packet is left.
        if unsafe { bpf_xdp_adjust_tail(self.ctx.ctx, -(excess as i32)) } != 0 {
            return None;
        }
        let bytes = readable::<N>(self.ctx.data(), self.ctx.data_end(), network)?;
        // SAFETY: N readable bytes, and nothing to subtract.
        let sum = unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, bytes.cast(), N as u32, 0) };
        Some((N, csum::halves(sum as u32)))
    }
}

impl Packet for Frame {
    #[inline(always)]
    fn has(&self, bytes: usize) -> bool {
        if bytes <= self.linear() {
            return true;
        }
        self.has_buffers && bytes <= self.length()
    }

    #[inline(always)]
    fn view<const N: usize>(&self, offset: usize) -> Option<View<'_, N>> {
        let bytes = readable(self.ctx.data(), self.ctx.data_end(), offset)?;
        // SAFETY: within the packet, for as long as nothing resizes it, which takes it mutably.
        Some(View::new(unsafe { &*bytes }))
    }

    #[inline(always)]
    fn anchor<const MASK: usize>(&self, offset: usize) -> usize {
        unknown(offset, self.linear()) & MASK
    }
}

impl PacketMut for Frame {
    #[inline(always)]
    fn view_mut<const N: usize>(&mut self, offset: usize) -> Option<ViewMut<'_, N>> {
        let bytes = readable(self.ctx.data(), self.ctx.data_end(), offset)?;
        // SAFETY: as above, and taken mutably.
        Some(ViewMut::new(unsafe { &mut *bytes }))
    }
}

/// The address of `N` bytes at `offset`, if all of them lie before `end`.
#[inline(always)]
pub fn readable<const N: usize>(start: usize, end: usize, offset: usize) -> Option<*mut [u8; N]> {
    // Both opaque: the verifier has to see one base, checked and used, and the compiler would split it up.
    let place = opaque(start + offset);
    if opaque(place + N) > end {
        return None;
    }
    Some(place as *mut [u8; N])
}

/// The same value, about which the compiler knows nothing: it computes it once, here.
#[inline(always)]
fn opaque(mut value: usize) -> usize {
    // SAFETY: touches no memory. An instruction, because two line records at one place are refused by the kernel.
    unsafe { asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack)) };
    value
}

/// The same value, about which the verifier knows nothing: it does not know that the difference of a packet's pointers
/// fits in 32 bits.
#[inline(always)]
pub fn unknown(value: usize, length: usize) -> usize {
    opaque(value ^ opaque(length) >> 32)
}
