//! Packets that reach their backend inside of others, or by its MAC alone. Outer headers are etherparse's, and so are
//! their checksums, computed in full.

use std::net::IpAddr;

use etherparse::{IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, UdpHeader};
use lb_common::{backend::Forward, encap, slot::Slot, verdict::Verdict};

use crate::{
    forward::request,
    support::{
        flow,
        packet::{ETHERNET, Packet, SYN, VLAN},
        plan::{Family, Host, Kind, Port},
        row::{Row, Step},
    },
};

const GUE_PORT: u16 = 6080;

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = by_mac(kind);
    rows.push(without_port(kind, Forward::Dsr, kind.family));
    for forward in [Forward::Ipip, Forward::Gue] {
        for outer in [Family::V4, Family::V6] {
            if kind.is_v4() || outer == Family::V6 {
                rows.extend(inside(kind, forward, outer));
                rows.push(without_port(kind, forward, outer));
            }
        }
    }
    rows
}

/// Served by `host`, which is reached by `forward` at its address of a family.
pub fn served(kind: Kind, host: Host, forward: Forward, family: Family) -> [Step; 2] {
    let backend = Kind { family, ..kind };
    [
        Step::Forward(backend, host, forward),
        Step::Table(vec![Slot::stable(backend.id(host))]),
    ]
}

fn by_mac(kind: Kind) -> Vec<Row> {
    let row = |description: &str, host, packet: &Packet, verdict| {
        let description = format!("dsr: {description}");
        Row::new(kind, &description, packet, verdict).after(served(
            kind,
            host,
            Forward::Dsr,
            kind.family,
        ))
    };
    let packet = request(kind);
    let at = |port, host| {
        let packet = packet.clone().ttl(65);
        packet.routed(port, host)
    };
    vec![
        row(
            "out of another interface",
            Host::Back,
            &packet,
            Verdict::ForwardOther,
        )
        .becomes(&at(Port::Back, Host::Back)),
        row(
            "out of the same interface",
            Host::Front,
            &packet,
            Verdict::ForwardSame,
        )
        .becomes(&at(Port::Front, Host::Front)),
        row(
            "the last hop",
            Host::Back,
            &packet.clone().ttl(1),
            Verdict::ForwardOther,
        )
        .becomes(&packet.clone().ttl(2).routed(Port::Back, Host::Back)),
        row(
            "a SYN",
            Host::Back,
            &packet.clone().flags(SYN),
            Verdict::ForwardOther,
        )
        .becomes(&at(Port::Back, Host::Back).flags(SYN)),
        row(
            "a neighbour not resolved",
            Host::Cold,
            &packet,
            Verdict::NoNextHop,
        ),
        row(
            "behind a closed interface",
            Host::Shut,
            &packet,
            Verdict::NoNextHop,
        ),
        row("on this host", Host::Local, &packet, Verdict::NoNextHop),
        row(
            "a VLAN tag, which goes",
            Host::Back,
            &packet.clone().tagged(&[VLAN]),
            Verdict::ForwardOther,
        )
        .becomes(&at(Port::Back, Host::Back)),
        row(
            "an unknown VLAN's tag",
            Host::Back,
            &packet.clone().tagged(&[VLAN]).control(43),
            Verdict::NoNextHop,
        ),
        row(
            "a VLAN tag, which stays",
            Host::Tagged,
            &packet.clone().tagged(&[VLAN]),
            Verdict::ForwardSame,
        )
        .becomes(&at(Port::Tagged, Host::Tagged).tagged(&[VLAN])),
    ]
}

fn inside(kind: Kind, forward: Forward, outer: Family) -> Vec<Row> {
    let name = format!("{} over {outer:?}", forward.name());
    let row = |description: &str, host: Host, packet: &Packet, verdict| {
        let description = format!("{name}: {description}");
        Row::new(kind, &description, packet, verdict).after(served(kind, host, forward, outer))
    };
    let wrapped =
        |packet: &Packet, host, macs: Option<Port>| wrap(kind, forward, outer, packet, host, macs);
    let packet = request(kind);
    let long = request(kind).payload(&[0x5a; 1001]);
    let padded = request(kind).payload(b"").padded(&[0; 6]);
    let tagged = packet.clone().tagged(&[VLAN, VLAN]);
    [
        (
            "out of another interface",
            Host::Back,
            &packet,
            Some(Port::Back),
            Verdict::ForwardOther,
        ),
        (
            "out of the same interface",
            Host::Front,
            &packet,
            Some(Port::Front),
            Verdict::ForwardSame,
        ),
        (
            "an odd number of bytes",
            Host::Back,
            &long,
            Some(Port::Back),
            Verdict::ForwardOther,
        ),
        (
            "trailing bytes",
            Host::Back,
            &padded,
            Some(Port::Back),
            Verdict::ForwardOther,
        ),
        (
            "a neighbour not resolved",
            Host::Cold,
            &packet,
            None,
            Verdict::ForwardStack,
        ),
        (
            "behind a closed interface",
            Host::Shut,
            &packet,
            None,
            Verdict::ForwardStack,
        ),
        (
            "two VLAN tags",
            Host::Back,
            &tagged,
            None,
            Verdict::ForwardStack,
        ),
    ]
    .into_iter()
    .map(|(description, host, packet, port, verdict)| {
        let mut row = row(description, host, packet, verdict);
        row.output = wrapped(packet, host, port);
        row
    })
    .collect()
}

/// A backend without a port of its own.
fn without_port(kind: Kind, forward: Forward, family: Family) -> Row {
    let description = format!("{} over {family:?}: to no particular port", forward.name());
    let backend = Kind { family, ..kind };
    let packet = request(kind);
    let row = Row::new(kind, &description, &packet, Verdict::ForwardOther).after([
        Step::Portless(backend, Host::Back, forward),
        Step::Table(vec![Slot::stable(backend.portless_id(Host::Back))]),
    ]);
    if forward == Forward::Dsr {
        return row.becomes(&packet.ttl(65).routed(Port::Back, Host::Back));
    }
    let output = wrap(kind, forward, family, &packet, Host::Back, Some(Port::Back));
    Row { output, ..row }
}

/// The packet inside of another to `host`; with new MACs where it leaves by a port.
pub fn wrap(
    kind: Kind,
    forward: Forward,
    outer: Family,
    packet: &Packet,
    host: Host,
    port: Option<Port>,
) -> Vec<u8> {
    let whole = packet.clone().ttl(63).bytes();
    let link = link_length(&whole);
    let (link, inner) = whole.split_at(link);
    let mut frame = link.to_vec();
    if let Some(port) = port {
        frame[..6].copy_from_slice(&host.mac());
        frame[6..12].copy_from_slice(&port.mac());
    }
    let ethertype: u16 = if outer == Family::V4 { 0x0800 } else { 0x86dd };
    let end = frame.len();
    frame[end - 2..].copy_from_slice(&ethertype.to_be_bytes());

    // Trailing bytes are no part of the packet.
    let length = if kind.is_v4() {
        usize::from(u16::from_be_bytes([inner[2], inner[3]]))
    } else {
        40 + usize::from(u16::from_be_bytes([inner[4], inner[5]]))
    };
    let hash = flow::hash(kind.client());
    let is_gue = forward == Forward::Gue;
    let entropy = if is_gue { 0 } else { hash };
    let source: IpAddr = match outer {
        Family::V4 => [172, 16, (entropy >> 24) as u8, (entropy >> 16) as u8].into(),
        Family::V6 => {
            let [high, low] = [(entropy >> 16) as u16, entropy as u16];
            [0x100, 0, 0, 0, 0, 0, high, low].into()
        }
    };
    let destination = host.address(outer);
    let protocol = match (is_gue, kind.family) {
        (true, _) => IpNumber::UDP,
        (false, Family::V4) => IpNumber::IPV4,
        (false, Family::V6) => IpNumber::IPV6,
    };
    let payload = length + if is_gue { 8 } else { 0 };
    let udp = UdpHeader {
        source_port: 0xc000 | hash as u16 & 0x3fff,
        destination_port: GUE_PORT,
        length: payload as u16,
        checksum: 0,
    };
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut ip = Ipv4Header::new(
                payload as u16,
                64,
                protocol,
                source.octets(),
                destination.octets(),
            )
            .unwrap();
            let words = [[inner[4], inner[5]], [inner[6], inner[7]]].map(u16::from_ne_bytes);
            // Which one is no one's business either, if it is none where nobody may fragment.
            ip.identification = u16::from_be(encap::identification(words[0], words[1]));
            ip.dont_fragment = inner[6] & 0x40 != 0;
            ip.header_checksum = ip.calc_header_checksum();
            ip.write(&mut frame).unwrap();
            if is_gue {
                udp.write(&mut frame).unwrap();
            }
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let ip = Ipv6Header {
                traffic_class: 0,
                flow_label: Ipv6FlowLabel::try_new(hash & 0xf_ffff).unwrap(),
                payload_length: payload as u16,
                next_header: protocol,
                hop_limit: 64,
                source: source.octets(),
                destination: destination.octets(),
            };
            ip.write(&mut frame).unwrap();
            if is_gue {
                let mut udp = udp;
                if !packet.is_piece() {
                    udp.checksum = udp.calc_checksum_ipv6(&ip, &inner[..length]).unwrap();
                }
                udp.write(&mut frame).unwrap();
            }
        }
        _ => unreachable!("both are of the outer family"),
    }
    frame.extend(inner);
    frame
}

fn link_length(frame: &[u8]) -> usize {
    let mut end = ETHERNET;
    while frame[end - 2..end] == VLAN.to_be_bytes() {
        end += 4;
    }
    end
}
