//! Which packets are sent: frames of 64 bytes, or of 74, the shortest that hold TCP over IPv6.

use std::net::{IpAddr, SocketAddr};

use anyhow::bail;
use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, IpHeaders, PacketBuilder, PacketBuilderStep,
};
use shunt_tests::{Family, Protocol};

use crate::{
    cases::{Case, Side, Traffic},
    plan,
};

const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 9, 1], [2, 0, 0, 0, 9, 2]];
const TTL: u8 = 64;
const WINDOW: u16 = 0xfaf0;

/// A frame, and which of its words the walk over flows changes, counted from the IP header.
#[derive(Clone, Debug)]
pub struct Frame {
    pub bytes: Vec<u8>,
    pub walk: Option<Walk>,
    /// Words of IP and TCP header.
    pub words: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// The last word of the address.
    pub address: u32,
    /// The word with both ports.
    pub port: u32,
    pub is_destination: bool,
}

/// The packet of a case.
pub fn of(case: &Case) -> anyhow::Result<Frame> {
    let (client, vip) = (plan::clients(case.family), plan::vip(0, case.family));
    match case.traffic {
        Traffic::Arp => arp(),
        Traffic::Data | Traffic::Nothing => transport(case, client, vip, false),
        Traffic::Syn => transport(case, client, vip, true),
        Traffic::Elsewhere => transport(case, client, plan::stranger(case.family), false),
        Traffic::Reply => {
            let backend = plan::backend(Side::Same, 0, case.family);
            transport(case, backend, client, false)
        }
    }
}

fn transport(
    case: &Case,
    source: SocketAddr,
    destination: SocketAddr,
    opens: bool,
) -> anyhow::Result<Frame> {
    let ethernet = PacketBuilder::ethernet2(MACS[0], MACS[1]);
    let ip = match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from.octets(), to.octets(), TTL),
        (IpAddr::V6(from), IpAddr::V6(to)) => ethernet.ipv6(from.octets(), to.octets(), TTL),
        (from, to) => bail!("{from} and {to} are of two families"),
    };
    let (words, source_word, destination_word) = match case.family {
        Family::V4 => (10, 3, 4),
        Family::V6 => (15, 5, 9),
    };
    let is_destination = case.walks_services || case.traffic == Traffic::Reply;
    let walk = Walk {
        address: if is_destination {
            destination_word
        } else {
            source_word
        },
        // The first behind the IP header.
        port: words - 5,
        is_destination,
    };
    Ok(Frame {
        bytes: with_ports(ip, case, source.port(), destination.port(), opens)?,
        walk: Some(walk),
        words,
    })
}

fn with_ports(
    ip: PacketBuilderStep<IpHeaders>,
    case: &Case,
    source: u16,
    destination: u16,
    opens: bool,
) -> anyhow::Result<Vec<u8>> {
    // TCP has 12 bytes more of header, IPv6 20.
    let payload = match (case.protocol, case.family) {
        (Protocol::Tcp, Family::V4) => 10,
        (Protocol::Tcp, Family::V6) => 0,
        (Protocol::Udp, Family::V4) => 22,
        (Protocol::Udp, Family::V6) => 12,
    };
    let payload = vec![0x5a; payload];
    let mut bytes = Vec::new();
    match case.protocol {
        Protocol::Udp => ip.udp(source, destination).write(&mut bytes, &payload)?,
        Protocol::Tcp => {
            let tcp = ip.tcp(source, destination, 1, WINDOW);
            let tcp = if opens { tcp.syn() } else { tcp.ack(1) };
            tcp.write(&mut bytes, &payload)?;
        }
    }
    Ok(bytes)
}

fn arp() -> anyhow::Result<Frame> {
    let packet = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        ArpOperation::REQUEST,
        &MACS[0],
        &[198, 18, 10, 2],
        &[0; 6],
        &[198, 18, 10, 1],
    )?;
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(MACS[0], [0xff; 6])
        .arp(packet)
        .write(&mut bytes)?;
    bytes.resize(64, 0);
    Ok(Frame {
        bytes,
        walk: None,
        words: 10,
    })
}
