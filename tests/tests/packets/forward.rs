//! Where a client's packet goes, and how it is changed on its way.

use lb_common::verdict::{Event, Verdict};

use crate::support::{
    packet::{ACK, Layer, PSH, Packet, SYN},
    plan::{self, Host, Kind, Port},
    row::Row,
};

/// A packet of a client to the VIP: for TCP, in the middle of a connection.
pub fn request(kind: Kind) -> Packet {
    Packet::new(kind, kind.client(), kind.vip()).flags(ACK | PSH)
}

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = ways(kind);
    rows.extend(sizes(kind));
    rows.extend(hops(kind));
    rows.extend(checksums(kind));
    rows.extend(events(kind));
    rows
}

/// A row about a packet that goes to the backend at `host` through the kernel.
pub fn to_stack(kind: Kind, description: &str, host: Host, packet: &Packet) -> Row {
    Row::new(kind, description, packet, Verdict::ForwardStack)
        .served_by(host)
        .becomes(&packet.clone().to(kind.backend(host)))
}

/// The same for one that leaves straight through `port`.
pub fn to_port(kind: Kind, description: &str, port: Port, packet: &Packet) -> Row {
    let (host, verdict) = match port {
        Port::Front => (Host::Front, Verdict::ForwardSame),
        Port::Back => (Host::Back, Verdict::ForwardOther),
        Port::Wide => (Host::Wide, Verdict::ForwardOther),
        _ => panic!("nothing untagged leaves there"),
    };
    let sent = packet.clone().to(kind.backend(host)).routed(port, host);
    Row::new(kind, description, packet, verdict)
        .served_by(host)
        .becomes(&sent)
}

fn ways(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    vec![
        to_stack(kind, "to a process on this host", Host::Local, &packet),
        to_stack(kind, "to a neighbour not resolved yet", Host::Cold, &packet),
        to_stack(kind, "behind a closed interface", Host::Shut, &packet),
        to_port(kind, "out of the same interface", Port::Front, &packet),
        to_port(kind, "out of another interface", Port::Back, &packet),
        to_stack(
            kind,
            "a listener for this protocol alone",
            Host::Local,
            &packet.clone().to(kind.at(
                Host::Vip,
                if kind.is_tcp() {
                    plan::TCP_PORT
                } else {
                    plan::UDP_PORT
                },
            )),
        ),
        to_port(
            kind,
            "from a client whose neighbour is not resolved",
            Port::Back,
            &packet.from(kind.at(Host::ColdClient, 1)),
        ),
    ]
}

fn sizes(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    let headers = packet.clone().payload(b"").length();
    let fits = vec![0x5a; Port::BACK_MTU - headers];
    let too_long = [fits.as_slice(), b"!"].concat();
    vec![
        to_port(
            kind,
            "no payload",
            Port::Back,
            &packet.clone().payload(b"").padded(&[0; 6]),
        ),
        to_port(
            kind,
            "an odd number of bytes",
            Port::Front,
            &packet.clone().payload(b"odd"),
        ),
        to_port(
            kind,
            "as long as the way takes",
            Port::Back,
            &packet.clone().payload(&fits),
        ),
        to_stack(
            kind,
            "longer than the way takes",
            Host::Back,
            &packet.clone().payload(&too_long),
        ),
        to_stack(
            kind,
            "trailing bytes are kept through the kernel",
            Host::Local,
            &packet.clone().payload(b"x").padded(b"trailer"),
        ),
        to_port(
            kind,
            "trailing bytes are kept straight out",
            Port::Front,
            &packet.payload(b"x").padded(b"trailer"),
        ),
    ]
}

fn hops(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    vec![
        to_port(kind, "two hops left", Port::Back, &packet.clone().ttl(2)),
        to_port(
            kind,
            "as many hops as there can be",
            Port::Back,
            &packet.clone().ttl(255),
        ),
        to_stack(
            kind,
            "one hop left, to a process here",
            Host::Local,
            &packet.clone().ttl(1),
        ),
        to_stack(
            kind,
            "no hop left, to a process here",
            Host::Local,
            &packet.clone().ttl(0),
        ),
    ]
}

fn checksums(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    let mut rows = vec![
        to_stack(
            kind,
            "a wrong checksum stays wrong by as much",
            Host::Local,
            &packet.clone().checksum_off_by(0x0101),
        ),
        becomes_zero(kind),
    ];
    if kind.is_tcp() {
        return rows;
    }
    rows.push(to_port(
        kind,
        "no checksum stays none",
        Port::Back,
        &packet.clone().without_checksum(),
    ));
    rows.push(to_stack(
        kind,
        "a datagram shorter than its IP payload",
        Host::Local,
        &with_slack(&packet),
    ));
    rows
}

/// A packet whose checksum is computed to zero behind the balancer: for UDP it goes out as all ones.
fn becomes_zero(kind: Kind) -> Row {
    let wanted = if kind.is_tcp() { 0 } else { 0xffff };
    let sent = |word: u16| {
        request(kind)
            .payload(&word.to_be_bytes())
            .to(kind.backend(Host::Local))
    };
    let word = (0..=u16::MAX)
        .find(|&word| sent(word).checksum() == wanted)
        .expect("a word of payload reaches every checksum");
    let description = format!("a checksum computed to zero is {wanted:04x}");
    let packet = request(kind).payload(&word.to_be_bytes());
    to_stack(kind, &description, Host::Local, &packet)
}

/// The IP header's payload holds two bytes more than the datagram, which its checksum does not cover.
fn with_slack(packet: &Packet) -> Packet {
    let short = packet.clone().payload(b"four").without_checksum();
    short.patched(Layer::Transport, 4, &10_u16.to_be_bytes())
}

fn events(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    let first = packet.clone().flags(SYN);
    let expected = [Event::SelectStable, Event::ReverseWritten];
    let later: &[Event] = if kind.is_tcp() {
        &expected[..1]
    } else {
        &expected
    };
    vec![
        to_port(kind, "opens a flow: replies expected", Port::Back, &first).with(&expected),
        to_port(kind, "in the middle of a flow", Port::Back, &packet).with(later),
    ]
}
