//! ICMP and ICMPv6 messages; headers and checksums are etherparse's, computed in full.

use std::net::IpAddr;

use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpNumber, Ipv4Header, Ipv6Header,
};

use super::plan::{Host, Port};

/// Types and codes, for IPv4 and for IPv6.
pub const ECHO_REQUEST: [(u8, u8); 2] = [(8, 0), (128, 0)];
pub const ECHO_REPLY: [(u8, u8); 2] = [(0, 0), (129, 0)];
pub const PORT_UNREACHABLE: [(u8, u8); 2] = [(3, 3), (1, 4)];
pub const TOO_BIG: [(u8, u8); 2] = [(3, 4), (2, 0)];
pub const TIME_EXCEEDED: [(u8, u8); 2] = [(11, 0), (3, 0)];

/// A description of a message, from which its frame is made.
#[derive(Clone, Debug)]
pub struct Message {
    kind: [(u8, u8); 2],
    source: IpAddr,
    destination: IpAddr,
    macs: [[u8; 6]; 2],
    ttl: u8,
    /// What follows type, code and checksum.
    rest: [u8; 4],
    payload: Vec<u8>,
    /// Of a router's own message: marked as network control, never fragmented.
    is_control: bool,
}

impl Message {
    /// Of a type, by family, as it arrives.
    pub fn new(kind: [(u8, u8); 2], source: IpAddr, destination: IpAddr) -> Self {
        Self {
            kind,
            source,
            destination,
            macs: [[2, 0, 0, 0, 9, 1], [2, 0, 0, 0, 9, 2]],
            ttl: 64,
            rest: [0; 4],
            payload: Vec::new(),
            is_control: false,
        }
    }

    pub fn rest(self, rest: u32) -> Self {
        let rest = rest.to_be_bytes();
        Self { rest, ..self }
    }

    /// With a payload, or with the packet that it quotes.
    pub fn payload(self, payload: &[u8]) -> Self {
        let payload = payload.to_vec();
        Self { payload, ..self }
    }

    pub fn from(self, source: IpAddr) -> Self {
        Self { source, ..self }
    }

    pub fn to(self, destination: IpAddr) -> Self {
        Self {
            destination,
            ..self
        }
    }

    /// As a router sends it out of `port` to its neighbour `host`.
    pub fn routed(self, port: Port, host: Host) -> Self {
        let ttl = self.ttl - 1;
        Self { ttl, ..self }.sent(port, host)
    }

    /// As this host itself sends it.
    pub fn sent(self, port: Port, host: Host) -> Self {
        Self {
            macs: [host.mac(), port.mac()],
            ..self
        }
    }

    pub fn marked_as_control(self) -> Self {
        Self {
            is_control: true,
            ..self
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.macs.concat();
        let [v4, v6] = self.kind;
        let length = 8 + self.payload.len();
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                bytes.extend([0x08, 0x00]);
                let mut header = Ipv4Header::new(
                    length as u16,
                    self.ttl,
                    IpNumber::ICMP,
                    source.octets(),
                    destination.octets(),
                )
                .unwrap();
                header.identification = 0x4321;
                if self.is_control {
                    header.identification = 0;
                    header.dscp = 48.try_into().unwrap();
                }
                header.header_checksum = header.calc_header_checksum();
                bytes.extend(header.to_bytes());
                let kind = Icmpv4Type::Unknown {
                    type_u8: v4.0,
                    code_u8: v4.1,
                    bytes5to8: self.rest,
                };
                bytes.extend(Icmpv4Header::with_checksum(kind, &self.payload).to_bytes());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                bytes.extend([0x86, 0xdd]);
                let header = Ipv6Header {
                    traffic_class: if self.is_control { 0xc0 } else { 0 },
                    payload_length: length as u16,
                    next_header: IpNumber::IPV6_ICMP,
                    hop_limit: self.ttl,
                    source: source.octets(),
                    destination: destination.octets(),
                    ..Ipv6Header::default()
                };
                bytes.extend(header.to_bytes());
                let kind = Icmpv6Type::Unknown {
                    type_u8: v6.0,
                    code_u8: v6.1,
                    bytes5to8: self.rest,
                };
                let (source, destination) = (source.octets(), destination.octets());
                let message = Icmpv6Header::with_checksum(kind, source, destination, &self.payload);
                bytes.extend(message.unwrap().to_bytes());
            }
            (source, destination) => panic!("{source} and {destination} are of two families"),
        }
        bytes.extend(&self.payload);
        bytes
    }
}
