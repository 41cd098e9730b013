//! Where the headers are, and whether they are true.
//!
//! Pure over [`Packet`]: the kernel programs implement it on packet memory, tests on byte slices.

mod fragment;
mod icmp;
mod ip;
mod link;
mod transport;
mod view;

pub use fragment::Fragment;
pub(crate) use icmp::{ICMP_CHECKSUM, quote};
pub use icmp::{ICMP_LENGTH, Icmp, Quoted};
pub use ip::{Ends, IpHeader};
pub use link::{ETHERNET_LENGTH, SERVICE_VLAN, VLAN, network_layer};
pub use view::{View, ViewMut, Word};

use self::transport::Ports;
use crate::flow::{Closing, Tuple};

/// A packet's bytes. Offsets count from the start of the frame.
pub trait Packet {
    /// Whether the packet has this many bytes, of which not all need be readable.
    fn has(&self, bytes: usize) -> bool;
    /// The `N` bytes at `offset`, checked once for all that is read of them; `None` past the readable end.
    fn view<const N: usize>(&self, offset: usize) -> Option<View<'_, N>>;
    /// The same offset, at most `MASK`, of which the kernel's verifier knows no more than that.
    ///
    /// Call it on offsets that depend on the packet: the ways that led to one look the same from there on, and the
    /// verifier does not walk the rest of the program once for each.
    #[inline(always)]
    fn anchor<const MASK: usize>(&self, offset: usize) -> usize {
        offset & MASK
    }
    /// Brings the first `bytes`, where there are so many, into reach of [`Self::view`].
    #[inline(always)]
    fn reach(&self, _bytes: usize) {}
}

/// A packet that can be changed in place.
pub trait PacketMut: Packet {
    fn view_mut<const N: usize>(&mut self, offset: usize) -> Option<ViewMut<'_, N>>;
}

/// What is behind the IP header. A number, not an enumeration: [`Packet::anchor`] makes it one of which nothing is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Carries(u8);

impl Carries {
    /// A TCP or UDP packet, or a fragment of one.
    pub const TRANSPORT: Self = Self(0);
    /// An ICMP error about a TCP or UDP packet that went the other way, whose start it quotes.
    pub const QUOTE: Self = Self(1);
    /// An ICMP echo request.
    pub const ECHO: Self = Self(2);
}

/// A packet whose headers are whole and agree with its length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Headers<A> {
    /// Offset of the IP header.
    pub network: usize,
    pub carries: Carries,
    /// Offset of the TCP, UDP or ICMP header, if it has one.
    pub transport: usize,
    /// Bytes of the IP packet; the frame may have more.
    pub length: usize,
    /// Bytes of IPv4 options or IPv6 extension headers.
    pub extensions: usize,
    pub fragment: Fragment,
    /// The flow that it belongs to, in its own direction. A later fragment's ports are those of its first one, and 0
    /// until they are looked up; an echo request has none.
    pub tuple: Tuple<A>,
    /// TCP's flags byte; 0 for everything else, and for later fragments.
    pub flags: u8,
    /// TTL or hop limit.
    pub ttl: u8,
}

impl<A> Headers<A> {
    /// Bytes of the frame, without what follows the IP packet.
    #[inline(always)]
    pub const fn frame_length(&self) -> usize {
        self.network + self.length
    }
}

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

impl<A> Headers<A> {
    /// Whether it is a packet of the flow itself.
    #[inline(always)]
    pub const fn is_of_flow(&self) -> bool {
        self.carries.0 == Carries::TRANSPORT.0
    }

    /// Whether the packet opens a TCP connection.
    #[inline(always)]
    pub const fn opens(&self) -> bool {
        self.flags & (SYN | ACK | RST) == SYN
    }

    /// Whether the packet accepts a TCP connection.
    #[inline(always)]
    pub const fn accepts(&self) -> bool {
        self.flags & (SYN | ACK) == SYN | ACK
    }

    #[inline(always)]
    pub const fn resets(&self) -> bool {
        self.flags & RST != 0
    }

    /// What a TCP packet says about the end of its connection, sent by the side that says `fin`.
    #[inline(always)]
    pub const fn closing(&self, fin: Closing) -> Option<Closing> {
        if self.resets() {
            return Some(Closing::Closed);
        }
        if self.flags & FIN != 0 {
            return Some(fin);
        }
        None
    }
}

/// Why a packet is not looked at further.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Skip {
    /// Well-formed as far as we read, but nothing we balance.
    NotOurs,
    /// A fragment whose ports are not known.
    Fragment,
    /// Lengths, versions or header sizes that cannot be.
    Malformed,
}

/// Reads the headers of an IP packet that starts at `network`.
#[inline(always)]
pub fn parse<A: Icmp, P: Packet>(packet: &P, network: usize) -> Result<Headers<A>, Skip> {
    let start = A::start(packet, network).ok_or(Skip::Malformed)?;
    parse_on(packet, network, start)
}

/// The same for a packet of which the start was looked at before.
#[inline(always)]
pub fn parse_on<A: Icmp, P: Packet>(
    packet: &P,
    network: usize,
    start: A::Start<'_>,
) -> Result<Headers<A>, Skip> {
    let ip = A::walk(packet, network, start)?;
    let (carries, tuple, flags) = if ip.protocol == A::ICMP {
        if ip.fragment.is_part() {
            return Err(Skip::NotOurs);
        }
        let (carries, tuple) = icmp::read(packet, &ip)?;
        (carries, tuple, 0)
    } else {
        let (ports, flags) = if ip.fragment.is_later() {
            (Ports::default(), 0)
        } else {
            transport::read(packet, &ip)?
        };
        let tuple = Tuple {
            source: ip.source,
            destination: ip.destination,
            source_port: ports.source,
            destination_port: ports.destination,
            protocol: ip.protocol,
            padding: 0,
            more_padding: 0,
        };
        (Carries::TRANSPORT, tuple, flags)
    };
    // The ways that led here differ in these, and in nothing else that matters from here on.
    let anchored = |byte: u8| packet.anchor::<0xff>(usize::from(byte)) as u8;
    let tuple = Tuple {
        protocol: anchored(tuple.protocol),
        ..tuple
    };
    Ok(Headers {
        network,
        carries: Carries(anchored(carries.0)),
        transport: ip.transport,
        length: ip.length,
        extensions: packet.anchor::<1023>(ip.extensions),
        fragment: ip.fragment,
        tuple,
        flags: anchored(flags),
        ttl: ip.ttl,
    })
}

/// A frame in memory, for the host's tests and tools.
#[derive(Debug)]
pub struct Frame<'a>(pub &'a mut [u8]);

impl Packet for Frame<'_> {
    fn has(&self, bytes: usize) -> bool {
        bytes <= self.0.len()
    }

    fn view<const N: usize>(&self, offset: usize) -> Option<View<'_, N>> {
        let bytes: &[u8; N] = self
            .0
            .get(offset..offset.checked_add(N)?)?
            .try_into()
            .ok()?;
        Some(View::new(bytes))
    }
}

impl PacketMut for Frame<'_> {
    fn view_mut<const N: usize>(&mut self, offset: usize) -> Option<ViewMut<'_, N>> {
        let bytes = self.0.get_mut(offset..offset.checked_add(N)?)?;
        Some(ViewMut::new(bytes.try_into().ok()?))
    }
}
