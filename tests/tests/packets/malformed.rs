//! Headers that lie or end too early: to the kernel, unchanged.

use lb_common::verdict::Verdict;

use crate::{
    forward::request,
    support::{
        packet::{Layer, Packet, VLAN},
        plan::Kind,
        row::Row,
    },
};

pub fn rows(kind: Kind) -> Vec<Row> {
    let ip = if kind.is_v4() { v4(kind) } else { v6(kind) };
    let transport = if kind.is_tcp() { tcp(kind) } else { udp(kind) };
    [ip, transport, cut(kind)].concat()
}

/// A row for each patch of a good packet.
fn lies(kind: Kind, layer: Layer, cases: &[(&str, usize, &[u8])]) -> Vec<Row> {
    cases
        .iter()
        .map(|&(description, offset, bytes)| {
            let packet = request(kind).patched(layer, offset, bytes);
            Row::new(kind, description, &packet, Verdict::Malformed)
        })
        .collect()
}

fn word(packet: &Packet, difference: isize) -> [u8; 2] {
    let length = packet.length() as isize + difference;
    (length as u16).to_be_bytes()
}

fn v4(kind: Kind) -> Vec<Row> {
    let longer = word(&request(kind), 1);
    lies(
        kind,
        Layer::Network,
        &[
            ("a total length beyond the frame", 2, &longer),
            ("the longest total length", 2, &[0xff, 0xff]),
            ("a total length below the header's", 2, &[0, 19]),
            ("a total length of zero", 2, &[0, 0]),
            ("a total length of the header alone", 2, &[0, 20]),
            ("a total length that cuts the ports off", 2, &[0, 23]),
            (
                "a total length that cuts the transport header off",
                2,
                &[0, 27],
            ),
            ("a header of four words", 0, &[0x44]),
            ("a header of no words", 0, &[0x40]),
            ("a header longer than the packet", 0, &[0x4f, 0, 0, 59]),
            ("version 6 in an IPv4 frame", 0, &[0x65]),
            ("version 5", 0, &[0x55]),
            ("version 0", 0, &[0x05]),
        ],
    )
}

fn v6(kind: Kind) -> Vec<Row> {
    let longer = word(&request(kind), 1 - 40);
    lies(
        kind,
        Layer::Network,
        &[
            ("a payload length beyond the frame", 4, &longer),
            ("the longest payload length", 4, &[0xff, 0xff]),
            ("a payload length of zero", 4, &[0, 0]),
            ("a payload length that cuts the ports off", 4, &[0, 3]),
            (
                "a payload length that cuts the transport header off",
                4,
                &[0, 7],
            ),
            ("version 4 in an IPv6 frame", 0, &[0x40]),
            ("version 0", 0, &[0x00]),
            ("version 15", 0, &[0xf0]),
        ],
    )
}

fn tcp(kind: Kind) -> Vec<Row> {
    lies(
        kind,
        Layer::Transport,
        &[
            ("a data offset of four words", 12, &[0x40]),
            ("a data offset of no words", 12, &[0x00]),
            ("a data offset beyond the payload", 12, &[0xf0]),
        ],
    )
}

fn udp(kind: Kind) -> Vec<Row> {
    let payload = request(kind).bytes().len() - request(kind).transport_offset();
    let longer = (payload as u16 + 1).to_be_bytes();
    lies(
        kind,
        Layer::Transport,
        &[
            ("a datagram of seven bytes", 4, &[0, 7]),
            ("a datagram of no bytes", 4, &[0, 0]),
            ("a datagram beyond the payload", 4, &longer),
            ("the longest datagram", 4, &[0xff, 0xff]),
        ],
    )
}

fn cut(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    let tagged = packet.clone().tagged(&[VLAN]).bytes();
    let (network, transport) = (packet.network_offset(), packet.transport_offset());
    let whole = packet.bytes();
    let until = |description: &str, bytes: &[u8], end: usize| {
        Row::raw(kind, description, bytes[..end].to_vec(), Verdict::Malformed)
    };
    vec![
        until("ends before the IP header", &whole, network),
        until("ends after the version", &whole, network + 1),
        until("ends in the addresses", &whole, transport - 3),
        until("ends before the transport header", &whole, transport),
        until("ends between the ports", &whole, transport + 2),
        until("ends in the payload", &whole, whole.len() - 1),
        until("ends in a VLAN tag", &tagged, network + 2),
        until("ends behind a VLAN tag", &tagged, network + 4),
    ]
}
