//! Packet memory in tc: read directly, changed through helpers, which keep offloaded checksums right.

use aya_ebpf::{
    bindings::{BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR},
    programs::TcContext,
};
use lb_common::{
    flow::UDP,
    packet::{Carries, Headers, Icmp, Packet, View, Word},
    rewrite::{self, End, Patch},
};

use crate::frame;

/// Bytes that the headers we read take, IPv6 extension headers other than Fragment aside.
const HEADERS: usize = 14 + 40 + 8 + 20;

pub struct Skb {
    ctx: TcContext,
}

impl Skb {
    /// Makes sure that the headers lie in the part that can be read directly.
    #[inline(always)]
    pub fn new(ctx: TcContext) -> Self {
        let skb = Self { ctx };
        skb.reach(HEADERS);
        skb
    }

    /// Replaces address and port of the source; every checksum over them follows.
    #[inline(always)]
    pub fn rewrite_source<A: Icmp>(
        &mut self,
        headers: &Headers<A>,
        address: A,
        port: u16,
    ) -> Option<()> {
        if headers.carries == Carries::QUOTE {
            // Computed in full by whoever made it: no hardware is asked to.
            return rewrite::quoted_endpoint(self, headers, End::Source, address, port);
        }
        let old = headers.tuple.source;
        let mangled = if headers.tuple.protocol == UDP {
            u64::from(BPF_F_MARK_MANGLED_0)
        } else {
            0
        };
        let checksum = headers.transport + rewrite::checksum_offset(headers.tuple.protocol);
        let mut difference: u64 = 0;
        let (old_words, new_words) = (old.to_words(), address.to_words());
        for i in 0..size_of::<A>() / 4 {
            difference += u64::from(!old_words[i]) + u64::from(new_words[i]);
        }
        // Folded to the 32 bits of the kernel's __wsum.
        let difference = (difference & 0xffff_ffff) + (difference >> 32);
        let difference = (difference & 0xffff_ffff) + (difference >> 32);
        if !headers.fragment.is_later() {
            self.ctx
                .l4_csum_replace(
                    checksum,
                    0,
                    difference,
                    u64::from(BPF_F_PSEUDO_HDR) | mangled,
                )
                .ok()?;
            self.ctx
                .l4_csum_replace(
                    checksum,
                    u64::from(headers.tuple.source_port),
                    u64::from(port),
                    mangled | size_of::<u16>() as u64,
                )
                .ok()?;
            self.ctx
                .store(headers.transport + End::Source.port_offset(), &port, 0)
                .ok()?;
        }
        if let Some(offset) = A::CHECKSUM_OFFSET {
            self.ctx
                .l3_csum_replace(headers.network + offset, 0, difference, 0)
                .ok()?;
        }
        self.ctx
            .store(
                headers.network + End::Source.address_offset::<A>(),
                &address,
                0,
            )
            .ok()
    }
}

impl Packet for Skb {
    #[inline(always)]
    fn has(&self, bytes: usize) -> bool {
        bytes <= self.ctx.len() as usize
    }

    #[inline(always)]
    fn view<const N: usize>(&self, offset: usize) -> Option<View<'_, N>> {
        let bytes = frame::readable(self.ctx.data(), self.ctx.data_end(), offset)?;
        // SAFETY: within the packet, which is changed through helpers only, when no view is left.
        Some(View::new(unsafe { &*bytes }))
    }

    #[inline(always)]
    fn anchor<const MASK: usize>(&self, offset: usize) -> usize {
        frame::unknown(offset, self.ctx.data_end() - self.ctx.data()) & MASK
    }

    #[inline(always)]
    fn reach(&self, bytes: usize) {
        let length = self.ctx.len() as usize;
        let wanted = if length < bytes { length } else { bytes };
        if self.ctx.data() + wanted > self.ctx.data_end() {
            // What stays out of reach is then found malformed and left alone.
            let _ = self.ctx.pull_data(wanted as u32);
        }
    }
}

impl Patch for Skb {
    #[inline(always)]
    fn patch<T: Word>(&mut self, offset: usize, value: T) -> Option<()> {
        self.ctx.store(offset, &value, 0).ok()
    }
}
