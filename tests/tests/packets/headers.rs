//! Options, extension headers, and what is neither TCP nor UDP.

use lb_common::verdict::Verdict;

use crate::{
    forward::{request, to_port, to_stack},
    support::{
        packet::{ETHERNET, Extension, FRAGMENT, Layer, Packet},
        plan::{Host, Kind, Port},
        row::Row,
    },
};

pub const HOP_BY_HOP: u8 = 0;
pub const ROUTING: u8 = 43;
const ENCAPSULATING_SECURITY: u8 = 50;
pub const AUTHENTICATION: u8 = 51;
pub const NO_NEXT_HEADER: u8 = 59;
pub const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = if kind.is_v4() {
        options(kind)
    } else {
        [
            extensions(kind),
            too_much(kind),
            routing(kind),
            atomic_fragments(kind),
        ]
        .concat()
    };
    rows.extend(other_protocols(kind));
    // Once is enough for what has no protocol.
    if kind == Kind::ALL[0] {
        rows.extend(no_ip(kind));
    }
    rows
}

fn options(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    let (short, long) = ([1, 1, 1, 0], [1; 40]);
    vec![
        to_stack(
            kind,
            "options",
            Host::Local,
            &packet.clone().options(&short),
        ),
        to_port(
            kind,
            "as many options as there can be",
            Port::Back,
            &packet.clone().options(&long),
        ),
        to_port(
            kind,
            "options and trailing bytes",
            Port::Front,
            &packet.options(&short).padded(&[0; 9]),
        ),
    ]
}

/// An options header of `bytes`, a multiple of 8: one padding option after another.
pub fn padding(number: u8, bytes: usize) -> Extension {
    let mut content = vec![0, (bytes / 8 - 1) as u8];
    content.resize(bytes, 0);
    Extension {
        number,
        bytes: content,
    }
}

/// RFC 4302 with an integrity check value of 12 bytes.
fn authentication() -> Extension {
    let mut bytes = vec![0, 4, 0, 0];
    bytes.resize(24, 0xa5);
    Extension {
        number: AUTHENTICATION,
        bytes,
    }
}

fn routing_header(segments_left: u8) -> Extension {
    let mut bytes = vec![0, 2, 4, segments_left, 0, 0, 0, 0];
    bytes.resize(24, 0x20);
    Extension {
        number: ROUTING,
        bytes,
    }
}

fn extensions(kind: Kind) -> Vec<Row> {
    let with = |extensions: Vec<Extension>| request(kind).extensions(extensions);
    let chain = || {
        vec![
            padding(HOP_BY_HOP, 8),
            padding(DESTINATION_OPTIONS, 16),
            routing_header(0),
            authentication(),
            padding(DESTINATION_OPTIONS, 24),
        ]
    };
    let seven = vec![padding(DESTINATION_OPTIONS, 8); 7];
    vec![
        to_stack(
            kind,
            "hop-by-hop options",
            Host::Local,
            &with(vec![padding(HOP_BY_HOP, 8)]),
        ),
        to_port(
            kind,
            "destination options",
            Port::Back,
            &with(vec![padding(DESTINATION_OPTIONS, 16)]),
        ),
        to_stack(
            kind,
            "an authentication header",
            Host::Local,
            &with(vec![authentication()]),
        ),
        to_port(
            kind,
            "a chain of five in the recommended order",
            Port::Back,
            &with(chain()),
        ),
        to_port(
            kind,
            "seven, as many as are read, and trailing bytes",
            Port::Front,
            &with(seven).padded(&[7; 5]),
        ),
        to_stack(
            kind,
            "512 bytes, as many as are read",
            Host::Local,
            &with(vec![
                padding(HOP_BY_HOP, 256),
                padding(DESTINATION_OPTIONS, 256),
            ]),
        ),
    ]
}

fn too_much(kind: Kind) -> Vec<Row> {
    let pass = |description: &str, extensions: Vec<Extension>, verdict| {
        let packet = request(kind).extensions(extensions);
        Row::new(kind, description, &packet, verdict)
    };
    let lies = Extension {
        number: HOP_BY_HOP,
        bytes: vec![0, 200, 0, 0, 0, 0, 0, 0],
    };
    vec![
        pass(
            "eight extension headers",
            vec![padding(DESTINATION_OPTIONS, 8); 8],
            Verdict::NotOurs,
        ),
        pass(
            "520 bytes of them",
            vec![padding(HOP_BY_HOP, 256), padding(DESTINATION_OPTIONS, 264)],
            Verdict::NotOurs,
        ),
        pass(
            "hop-by-hop options that are not the first header",
            vec![padding(DESTINATION_OPTIONS, 8), padding(HOP_BY_HOP, 8)],
            Verdict::NotOurs,
        ),
        pass("one longer than the packet", vec![lies], Verdict::Malformed),
    ]
}

fn routing(kind: Kind) -> Vec<Row> {
    let with = |segments_left| request(kind).extensions(vec![routing_header(segments_left)]);
    vec![
        to_stack(kind, "a routing header at its end", Host::Local, &with(0)),
        // The destination is not the final one, over which the checksum is.
        Row::new(
            kind,
            "a routing header with segments left",
            &with(1),
            Verdict::NotOurs,
        ),
    ]
}

fn atomic_fragments(kind: Kind) -> Vec<Row> {
    let with = |extensions: Vec<Extension>| request(kind).extensions(extensions);
    let fragment = |offset_and_more: u16| {
        let [high, low] = offset_and_more.to_be_bytes();
        Extension {
            number: FRAGMENT,
            bytes: vec![0, 0, high, low, 1, 2, 3, 4],
        }
    };
    let eighth = [vec![padding(DESTINATION_OPTIONS, 8); 7], vec![fragment(1)]].concat();
    vec![
        to_port(
            kind,
            "an atomic fragment",
            Port::Back,
            &with(vec![fragment(0)]),
        ),
        to_stack(
            kind,
            "an atomic fragment between options",
            Host::Local,
            &with(vec![
                padding(HOP_BY_HOP, 8),
                fragment(0),
                padding(DESTINATION_OPTIONS, 16),
            ]),
        ),
        Row::new(
            kind,
            "a fragment behind seven headers",
            &with(eighth),
            Verdict::Fragment,
        ),
        Row::new(
            kind,
            "a fragment of a fragment",
            &with(vec![fragment(1), fragment(1)]),
            Verdict::Fragment,
        ),
    ]
}

fn other_protocols(kind: Kind) -> Vec<Row> {
    let numbers: &[(&str, u8)] = if kind.is_v4() {
        &[
            ("ICMP", 1),
            ("IPv4 in IPv4", 4),
            ("SCTP", 132),
            ("ESP", ENCAPSULATING_SECURITY),
        ]
    } else {
        &[
            ("ICMPv6", 58),
            ("SCTP", 132),
            ("ESP", ENCAPSULATING_SECURITY),
            ("nothing (59)", NO_NEXT_HEADER),
            ("a mobility header", MOBILITY),
        ]
    };
    let offset = if kind.is_v4() { 9 } else { 6 };
    numbers
        .iter()
        .map(|&(name, number)| {
            let packet = request(kind).patched(Layer::Network, offset, &[number]);
            let description = format!("{name} to the VIP");
            Row::new(kind, &description, &packet, Verdict::NotOurs)
        })
        .collect()
}

fn no_ip(kind: Kind) -> Vec<Row> {
    let frame = |ethertype: u16, content: &[u8]| {
        let macs = &request(kind).bytes()[..ETHERNET - 2];
        [macs, &ethertype.to_be_bytes(), content].concat()
    };
    let arp = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &[0; 38]].concat();
    let lldp = [&[0x02, 0x07, 0x04][..], &[0; 43]].concat();
    let packet: Packet = request(kind);
    let whole = packet.bytes();
    let pass = |description: &str, bytes| Row::raw(kind, description, bytes, Verdict::NotOurs);
    vec![
        pass("ARP", frame(0x0806, &arp)),
        pass("LLDP", frame(0x88cc, &lldp)),
        pass("802.3 with LLC", frame(46, &[0x42; 46])),
        pass("MPLS before IP", frame(0x8847, &whole[ETHERNET..])),
        pass("a header alone", frame(0x0806, &[])),
    ]
}
