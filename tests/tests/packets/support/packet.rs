//! Packets, made by code that shares nothing with what is tested: headers and checksums are etherparse's, computed
//! in full.

use std::{
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader};
use lb_userspace::desired::Protocol;

pub use super::extension::Extension;
use super::{
    extension::chained,
    plan::{Host, Kind, Port},
};

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;
pub const URG: u8 = 0x20;

const TTL: u8 = 64;
pub const ETHERNET: usize = 14;
pub const VLAN: u16 = 0x8100;
pub const SERVICE_VLAN: u16 = 0x88a8;

/// A description of a TCP or UDP packet, from which its bytes are made.
#[derive(Clone, Debug)]
pub struct Packet {
    protocol: Protocol,
    source: SocketAddr,
    destination: SocketAddr,
    macs: [[u8; 6]; 2],
    tags: Vec<u16>,
    control: u16,
    ttl: u8,
    options: Vec<u8>,
    extensions: Vec<Extension>,
    fragmentable: Vec<Extension>,
    piece: Option<Piece>,
    flags: u8,
    has_checksum: bool,
    checksum_error: u16,
    payload: Vec<u8>,
    padding: Vec<u8>,
    patches: Vec<(Layer, usize, Vec<u8>)>,
}

/// Which bytes of what can be fragmented a fragment has.
#[derive(Clone, Debug)]
struct Piece {
    identification: u32,
    range: Range<usize>,
}

pub const FRAGMENT: u8 = 44;

/// What an offset counts from.
#[derive(Clone, Copy, Debug)]
pub enum Layer {
    Network,
    Transport,
}

impl Packet {
    pub fn new(kind: Kind, source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            protocol: kind.protocol,
            source,
            destination,
            macs: [[2, 0, 0, 0, 9, 1], [2, 0, 0, 0, 9, 2]],
            tags: Vec::new(),
            // Priority 1, VLAN 42.
            control: 0x202a,
            ttl: TTL,
            options: Vec::new(),
            extensions: Vec::new(),
            fragmentable: Vec::new(),
            piece: None,
            flags: ACK,
            has_checksum: true,
            checksum_error: 0,
            payload: b"hello, balancer".to_vec(),
            padding: Vec::new(),
            patches: Vec::new(),
        }
    }

    pub fn from(self, source: SocketAddr) -> Self {
        Self { source, ..self }
    }

    pub fn to(self, destination: SocketAddr) -> Self {
        Self {
            destination,
            ..self
        }
    }

    pub fn flags(self, flags: u8) -> Self {
        Self { flags, ..self }
    }

    pub fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }

    /// As a router sends it out of `port` to its neighbour `host`.
    pub fn routed(self, port: Port, host: Host) -> Self {
        Self {
            macs: [host.mac(), port.mac()],
            ttl: self.ttl - 1,
            ..self
        }
    }

    /// With VLAN tags of these types, the outermost first.
    pub fn tagged(self, tags: &[u16]) -> Self {
        Self {
            tags: tags.to_vec(),
            ..self
        }
    }

    /// With this in each of its tags: three bits of priority, one of drop eligibility, twelve of the VLAN.
    pub fn control(self, control: u16) -> Self {
        Self { control, ..self }
    }

    /// With IPv4 options.
    pub fn options(self, options: &[u8]) -> Self {
        Self {
            options: options.to_vec(),
            ..self
        }
    }

    /// With IPv6 extension headers.
    pub fn extensions(self, extensions: Vec<Extension>) -> Self {
        Self { extensions, ..self }
    }

    /// With IPv6 extension headers behind the Fragment header of [`Self::piece`].
    pub fn fragmentable(self, fragmentable: Vec<Extension>) -> Self {
        Self {
            fragmentable,
            ..self
        }
    }

    /// The fragment with these bytes of the transport header and payload.
    pub fn piece(self, identification: u32, range: Range<usize>) -> Self {
        Self {
            piece: Some(Piece {
                identification,
                range,
            }),
            ..self
        }
    }

    /// UDP's way to say that there is no checksum.
    pub fn without_checksum(self) -> Self {
        Self {
            has_checksum: false,
            ..self
        }
    }

    /// With a checksum that is wrong by `error`, in one's complement.
    pub fn checksum_off_by(self, error: u16) -> Self {
        Self {
            checksum_error: error,
            ..self
        }
    }

    pub fn payload(self, payload: &[u8]) -> Self {
        Self {
            payload: payload.to_vec(),
            ..self
        }
    }

    /// With bytes behind the end that the IP header states.
    pub fn padded(self, padding: &[u8]) -> Self {
        Self {
            padding: padding.to_vec(),
            ..self
        }
    }

    /// With bytes overwritten once everything was computed.
    pub fn patched(mut self, layer: Layer, offset: usize, bytes: &[u8]) -> Self {
        self.patches.push((layer, offset, bytes.to_vec()));
        self
    }

    /// Whether it is a fragment.
    pub fn is_piece(&self) -> bool {
        self.piece.is_some()
    }

    /// The whole packet's checksum of the transport layer.
    pub fn checksum(&self) -> u16 {
        let segment = self.segment();
        let offset = match self.protocol {
            Protocol::Tcp => 16,
            Protocol::Udp => 6,
        };
        u16::from_be_bytes([segment[offset], segment[offset + 1]])
    }

    /// Bytes of the IP packet.
    pub fn length(&self) -> usize {
        self.bytes().len() - self.network_offset() - self.padding.len()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.macs.concat();
        for tag in &self.tags {
            bytes.extend(tag.to_be_bytes());
            bytes.extend(self.control.to_be_bytes());
        }
        let whole = self.fragmentable_part();
        let range = self
            .piece
            .as_ref()
            .map_or(0..whole.len(), |piece| piece.range.clone());
        let more = range.end < whole.len();
        let segment = &whole[range.clone()];
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                bytes.extend([0x08, 0x00]);
                let mut header = Ipv4Header::new(
                    segment.len() as u16,
                    self.ttl,
                    self.number(),
                    source.octets(),
                    destination.octets(),
                )
                .unwrap();
                header.options = self.options.as_slice().try_into().unwrap();
                header.set_payload_len(segment.len()).unwrap();
                header.identification = 0x1234;
                if let Some(piece) = &self.piece {
                    header.identification = piece.identification as u16;
                    header.dont_fragment = false;
                    header.more_fragments = more;
                    header.fragment_offset =
                        IpFragOffset::try_new((range.start / 8) as u16).unwrap();
                }
                header.header_checksum = header.calc_header_checksum();
                bytes.extend(header.to_bytes());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                bytes.extend([0x86, 0xdd]);
                let extensions = self.extension_bytes();
                let first = self.chain().first().map(|first| first.number);
                let header = Ipv6Header {
                    payload_length: (extensions.len() + segment.len()) as u16,
                    next_header: first.map_or(self.number(), IpNumber),
                    hop_limit: self.ttl,
                    source: source.octets(),
                    destination: destination.octets(),
                    ..Ipv6Header::default()
                };
                bytes.extend(header.to_bytes());
                bytes.extend(extensions);
            }
            (source, destination) => panic!("{source} and {destination} are of two families"),
        }
        bytes.extend(segment);
        bytes.extend(&self.padding);
        for (layer, offset, patch) in &self.patches {
            let start = match layer {
                Layer::Network => self.network_offset(),
                Layer::Transport => self.transport_offset(),
            } + offset;
            bytes[start..start + patch.len()].copy_from_slice(patch);
        }
        bytes
    }

    fn number(&self) -> IpNumber {
        match self.protocol {
            Protocol::Tcp => IpNumber::TCP,
            Protocol::Udp => IpNumber::UDP,
        }
    }

    pub fn network_offset(&self) -> usize {
        ETHERNET + 4 * self.tags.len()
    }

    pub fn transport_offset(&self) -> usize {
        let header = match self.source {
            SocketAddr::V4(_) => 20 + self.options.len(),
            SocketAddr::V6(_) => 40 + self.extension_bytes().len(),
        };
        self.network_offset() + header
    }

    /// The headers of every fragment.
    fn chain(&self) -> Vec<Extension> {
        let mut chain = self.extensions.clone();
        if let Some(piece) = &self.piece {
            let more = piece.range.end < self.fragmentable_part().len();
            let offset = piece.range.start as u16 | u16::from(more);
            let mut bytes = vec![0, 0];
            bytes.extend(offset.to_be_bytes());
            bytes.extend(piece.identification.to_be_bytes());
            chain.push(Extension {
                number: FRAGMENT,
                bytes,
            });
        }
        chain
    }

    fn extension_bytes(&self) -> Vec<u8> {
        let next = self.fragmentable.first().map(|first| first.number);
        chained(&self.chain(), next.unwrap_or(self.number().0))
    }

    /// What fragments share among them.
    fn fragmentable_part(&self) -> Vec<u8> {
        let mut bytes = chained(&self.fragmentable, self.number().0);
        bytes.extend(self.segment());
        bytes
    }

    /// Transport header and payload.
    fn segment(&self) -> Vec<u8> {
        let (source, destination) = (self.source.port(), self.destination.port());
        let header = match self.protocol {
            Protocol::Tcp => {
                let mut header = TcpHeader::new(source, destination, 0x0102_0304, 0xfaf0);
                header.acknowledgment_number = 0x0506_0708;
                header.fin = self.flags & FIN != 0;
                header.syn = self.flags & SYN != 0;
                header.rst = self.flags & RST != 0;
                header.psh = self.flags & PSH != 0;
                header.ack = self.flags & ACK != 0;
                header.urg = self.flags & URG != 0;
                let right = match (self.source.ip(), self.destination.ip()) {
                    (IpAddr::V4(from), IpAddr::V4(to)) => {
                        header.calc_checksum_ipv4_raw(from.octets(), to.octets(), &self.payload)
                    }
                    (IpAddr::V6(from), IpAddr::V6(to)) => {
                        header.calc_checksum_ipv6_raw(from.octets(), to.octets(), &self.payload)
                    }
                    (from, to) => panic!("{from} and {to} are of two families"),
                };
                header.checksum = self.distorted(right.unwrap());
                header.to_bytes().to_vec()
            }
            Protocol::Udp => {
                let mut header = UdpHeader {
                    source_port: source,
                    destination_port: destination,
                    length: (UdpHeader::LEN + self.payload.len()) as u16,
                    checksum: 0,
                };
                let right = match (self.source.ip(), self.destination.ip()) {
                    (IpAddr::V4(from), IpAddr::V4(to)) => {
                        header.calc_checksum_ipv4_raw(from.octets(), to.octets(), &self.payload)
                    }
                    (IpAddr::V6(from), IpAddr::V6(to)) => {
                        header.calc_checksum_ipv6_raw(from.octets(), to.octets(), &self.payload)
                    }
                    (from, to) => panic!("{from} and {to} are of two families"),
                };
                if self.has_checksum {
                    header.checksum = self.distorted(right.unwrap());
                }
                header.to_bytes().to_vec()
            }
        };
        [header.as_slice(), &self.payload].concat()
    }

    fn distorted(&self, right: u16) -> u16 {
        let (sum, carried) = right.overflowing_add(self.checksum_error);
        sum + u16::from(carried)
    }
}
