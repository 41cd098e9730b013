//! What the kernel programs and the daemon share: the layout of every map, and the pure logic of the
//! datapath (parsing, hashing, slot selection, checksum arithmetic, header rewriting).
//!
//! | module | question it answers |
//! |---|---|
//! | [`address`] | what differs between IPv4 and IPv6? |
//! | [`backend`] | who may receive packets, and what is its id worth? |
//! | [`slot`] | which backend does a packet of this slot go to, and how does a slot change? |
//! | [`service`] | which service is `VIP:port/protocol`? |
//! | [`flow`] | what is remembered of a flow? |
//! | [`half_open`] | of which flows has only the client spoken? |
//! | [`fresh`] | which UDP flows were noted within this second? |
//! | [`fragment`] | which ports does a fragment without them have? |
//! | [`load`] | what has a backend to do, and how does it answer? |
//! | [`local`] | what is remembered of a socket of this host? |
//! | [`translation`], [`snat`] | how does `fullnat` rewrite a flow, for how long, and by which port? |
//! | [`packet`] | where are the headers, and are they true? |
//! | [`csum`], [`rewrite`], [`encap`] | how does a packet change on its way? |
//! | [`answer`] | what does the load balancer say itself? |
//! | [`hash`] | how do packets spread? |
//! | [`filter`] | is this packet certainly not ours? |
//! | [`port`] | which interface is a frame of, and how does it leave by one? |
//! | [`hop`] | what is cached of the kernel's answer about the next hop? |
//! | [`verdict`] | under which name is a packet counted? |
//! | [`layout`] | how large are the maps, and what are they called? |
//!
//! Addresses and ports are kept as they stand in the packet (network byte order, native loads).
#![cfg_attr(not(test), no_std)]

pub mod address;
pub mod answer;
pub mod backend;
pub mod csum;
pub mod encap;
pub mod filter;
pub mod flow;
pub mod fragment;
pub mod fresh;
pub mod half_open;
pub mod hash;
pub mod hop;
pub mod layout;
pub mod load;
pub mod local;
pub mod packet;
pub mod port;
pub mod rewrite;
pub mod service;
pub mod slot;
pub mod snat;
pub mod translation;
pub mod verdict;

/// Asserts the size and alignment of a map type, and lets the daemon copy it in and out of maps.
macro_rules! map_type {
    ($type:ty, size = $size:expr, align = $align:expr) => {
        const _: () = {
            assert!(core::mem::size_of::<$type>() == $size);
            assert!(core::mem::align_of::<$type>() == $align);
        };
        #[cfg(feature = "user")]
        // SAFETY: repr(C) or repr(transparent), integers only, no implicit padding (size asserted).
        unsafe impl aya::Pod for $type {}
    };
}
pub(crate) use map_type;
