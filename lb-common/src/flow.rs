//! What is remembered of flows.
//!
//! Two kinds of tables, each in two parts, half-open and established:
//! - recorded flows: exceptions to what a slot says, keyed by the tuple of the client's packets;
//! - the reverse table of `nat`: which replies to rewrite, and to what, keyed by the tuple of the backend's packets.

use network_types::ip::IpProto;

use crate::{address::Address, backend::BackendId, map_type};

/// TCP and UDP, as the IP header numbers them.
pub const TCP: u8 = IpProto::Tcp as u8;
pub const UDP: u8 = IpProto::Udp as u8;

/// Source and destination of a packet, exactly as they stand in it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Tuple<A> {
    pub source: A,
    pub destination: A,
    pub source_port: u16,
    pub destination_port: u16,
    pub protocol: u8,
    // Two integers: an array of three bytes would be filled by a call, for every packet.
    pub padding: u8,
    pub more_padding: u16,
}

map_type!(Tuple<u32>, size = 16, align = 4);
map_type!(Tuple<[u32; 4]>, size = 40, align = 4);

impl<A: Address> Tuple<A> {
    /// The tuple of a packet that answers this one.
    #[inline(always)]
    pub fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            ..self
        }
    }

    /// The same packet, sent to another endpoint.
    #[inline(always)]
    pub fn to(self, destination: A, destination_port: u16) -> Self {
        Self {
            destination,
            destination_port,
            ..self
        }
    }
}

/// When a flow was last seen: `CLOCK_MONOTONIC` in units of 2^30 ns (1.07 s).
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Seen(u32);

impl Seen {
    #[inline(always)]
    pub const fn at(nanoseconds: u64) -> Self {
        Self((nanoseconds >> 30) as u32)
    }

    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// What lies between `earlier` and this, in the same unit.
    #[inline(always)]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whether more than `timeout` (same unit) lies between the two.
    #[inline(always)]
    pub const fn is_older(self, now: Self, timeout: u32) -> bool {
        // Not by the difference, which may be none: that is a branch more.
        now.0 as u64 > self.0 as u64 + timeout as u64
    }

    /// A duration in the unit of [`Seen`], rounded up, at least 1.
    pub const fn units(seconds: u64) -> u32 {
        let units = (seconds.saturating_mul(1_000_000_000) >> 30) + 1;
        if units > u32::MAX as u64 {
            u32::MAX
        } else {
            units as u32
        }
    }
}

/// `CLOCK_MONOTONIC` in units of 2^22 ns (4.2 ms), of which 256 are one of [`Seen`].
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ticks(u64);

impl Ticks {
    #[inline(always)]
    pub const fn at(nanoseconds: u64) -> Self {
        Self(nanoseconds >> 22)
    }

    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline(always)]
    pub const fn bits(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub const fn seen(self) -> Seen {
        Seen((self.0 >> 8) as u32)
    }

    /// So many ticks ago.
    #[inline(always)]
    pub const fn before(self, ticks: u32) -> Self {
        Self(self.0.saturating_sub(ticks as u64))
    }
}

/// A recorded flow, keyed by the [`Tuple`] of the client's packets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FlowRecord {
    pub backend: BackendId,
    /// Whose slot it is an exception to; which slot follows from the tuple.
    pub pool: u16,
    /// TCP: bits of [`Closing`].
    pub closing: u16,
    pub seen: Seen,
}

map_type!(FlowRecord, size = 12, align = 4);

impl FlowRecord {
    /// Whether the connection has ended. Late packets may still come.
    #[inline(always)]
    pub const fn is_closed(&self) -> bool {
        is_closed(self.closing)
    }
}

/// A client of a pool whose clients keep their backends.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Client<A> {
    pub address: A,
    pub pool: u32,
}

map_type!(Client<u32>, size = 8, align = 4);
map_type!(Client<[u32; 4]>, size = 20, align = 4);

/// The backend of a [`Client`]'s last flow, and when that began.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ClientRecord {
    pub backend: BackendId,
    pub seen: Seen,
}

map_type!(ClientRecord, size = 8, align = 4);

/// What a reply is rewritten to: its source becomes the VIP that the client talks to. Keyed by the
/// [`Tuple`] of the backend's packets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReverseRecord<A> {
    pub vip: A,
    pub vip_port: u16,
    /// TCP: bits of [`Closing`].
    pub closing: u16,
    pub backend: BackendId,
    pub seen: Seen,
}

map_type!(ReverseRecord<u32>, size = 16, align = 4);
map_type!(ReverseRecord<[u32; 4]>, size = 28, align = 4);

/// What speaks for the end of a TCP connection, as bits of [`ReverseRecord::closing`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closing {
    /// The client sent a FIN.
    Client = 1,
    /// The backend sent a FIN.
    Backend = 2,
    /// Both did, or one sent a RST. Late packets may still come: the side that closed first answers for a while
    /// (RFC 9293, TIME-WAIT).
    Closed = 3,
    /// The client sent a SYN to the backend itself by the same ports: a SYN-ACK to come may be the answer to that.
    Contested = 4,
}

/// Whether bits of [`Closing`] say that a connection has ended.
#[inline(always)]
pub const fn is_closed(said: u16) -> bool {
    said & Closing::Closed as u16 == Closing::Closed as u16
}

impl<A: Address> ReverseRecord<A> {
    /// Takes note of a packet's FIN or RST. Whether the connection ends by it.
    #[inline(always)]
    pub fn note(&mut self, closing: Closing) -> bool {
        if self.closing & closing as u16 == closing as u16 {
            return false;
        }
        let was_closed = self.is_closed();
        self.closing |= closing as u16;
        !was_closed && self.is_closed()
    }

    /// Takes over the time of a record that says the same; `false` where it does not.
    #[inline(always)]
    pub fn renew(&mut self, now: &Self) -> bool {
        let is_same =
            self.vip == now.vip && self.vip_port == now.vip_port && self.backend == now.backend;
        if is_same && self.seen != now.seen {
            self.seen = now.seen;
        }
        is_same
    }

    #[inline(always)]
    pub const fn is_closed(&self) -> bool {
        is_closed(self.closing)
    }

    /// Whether a SYN-ACK under these ports belongs to another connection.
    #[inline(always)]
    pub const fn is_doubtful(&self) -> bool {
        self.closing & Closing::Contested as u16 != 0 || self.is_closed()
    }

    /// The tuple of the client's packets, from that of the backend's.
    #[inline(always)]
    pub fn forward(&self, reply: Tuple<A>) -> Tuple<A> {
        reply.reversed().to(self.vip, self.vip_port)
    }
}
