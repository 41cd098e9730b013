//! Packets in pieces: the first has the ports, the later ones follow it, whichever way it went.

mod full;
mod ways;

use lb_common::verdict::{Event, Verdict};

use crate::{
    forward::{request, to_port, to_stack},
    headers::{DESTINATION_OPTIONS, HOP_BY_HOP, padding},
    support::{
        packet::{Layer, Packet, VLAN},
        plan::{Host, Kind, Port},
        row::{Program, Row, Step},
    },
};

const ID: u32 = 0x4711;
const BY_FRONT: Program = Program::Xdp(Port::Front);

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = in_order(kind);
    rows.extend(unknown(kind));
    rows.extend(not_ours(kind));
    rows.extend(headers(kind));
    rows.extend(ways::rows(kind));
    rows.extend(full::rows(kind));
    rows
}

/// The packet that is cut.
fn whole(kind: Kind) -> Packet {
    let payload: Vec<u8> = (0..100).collect();
    request(kind).payload(&payload)
}

fn first(packet: Packet) -> Packet {
    packet.piece(ID, 0..40)
}

fn middle(packet: Packet) -> Packet {
    packet.piece(ID, 40..64)
}

fn last(packet: Packet) -> Packet {
    let end = packet.length() - packet.clone().payload(b"").length() + 8;
    packet.piece(ID, 64..end)
}

/// The first fragment has come, and gone to `host`.
fn went_to(kind: Kind, host: Host) -> Step {
    let verdict = match host {
        Host::Local => Verdict::ForwardStack,
        Host::Front => Verdict::ForwardSame,
        _ => Verdict::ForwardOther,
    };
    Step::seen(BY_FRONT, first(whole(kind)), verdict)
}

fn in_order(kind: Kind) -> Vec<Row> {
    let packet = whole(kind);
    let mut recorded = vec![Event::SelectStable, Event::FragmentRecorded];
    if !kind.is_tcp() {
        recorded.push(Event::ReverseWritten);
    }
    let used_up = middle(packet.clone().ttl(1));
    let tagged = middle(packet.clone().tagged(&[VLAN]));
    vec![
        to_port(
            kind,
            "the first fragment",
            Port::Back,
            &first(packet.clone()),
        )
        .with(&recorded),
        to_stack(
            kind,
            "the first fragment, to a process here",
            Host::Local,
            &first(packet.clone()),
        ),
        to_port(
            kind,
            "a middle fragment",
            Port::Back,
            &middle(packet.clone()),
        )
        .after([went_to(kind, Host::Back)])
        .with(&[Event::SelectStable]),
        to_port(
            kind,
            "the last fragment",
            Port::Front,
            &last(packet.clone()),
        )
        .after([went_to(kind, Host::Front)])
        .with(&[Event::SelectStable]),
        to_port(
            kind,
            "a fragment of one byte and trailing ones",
            Port::Back,
            &packet.clone().piece(ID, 96..97).padded(&[0; 30]),
        )
        .after([went_to(kind, Host::Back)]),
        to_stack(
            kind,
            "the last fragment, to a process here",
            Host::Local,
            &last(packet.clone()),
        )
        .after([went_to(kind, Host::Local)]),
        Row::new(
            kind,
            "a later fragment with a VLAN tag, out without one",
            &tagged,
            Verdict::ForwardOther,
        )
        .served_by(Host::Back)
        .becomes(
            &tagged
                .clone()
                .tagged(&[])
                .to(kind.backend(Host::Back))
                .routed(Port::Back, Host::Back),
        )
        .after([went_to(kind, Host::Back)]),
        Row::new(
            kind,
            "a later fragment with one hop left",
            &used_up,
            Verdict::TtlExceeded,
        )
        .served_by(Host::Back)
        .after([went_to(kind, Host::Back)]),
        to_port(
            kind,
            "the same first fragment again",
            Port::Back,
            &first(packet),
        )
        .after([went_to(kind, Host::Back)]),
    ]
}

fn unknown(kind: Kind) -> Vec<Row> {
    let packet = whole(kind);
    let row = |description: &str, packet: Packet| {
        Row::new(kind, description, &packet, Verdict::HeldFragment)
            .served_by(Host::Back)
            .with(&[])
    };
    let mut again = row("the last fragment, put back alone", last(packet.clone()));
    again.verdict = Verdict::Fragment;
    let other_client = packet.clone().from(kind.at(Host::ColdClient, 40_000));
    let short = packet.clone().piece(ID, 0..16);
    let mut rows = vec![
        again.seen_by(Program::PutBack(Port::Front)),
        to_port(
            kind,
            "the last fragment, put back after its first",
            Port::Back,
            &last(packet.clone()),
        )
        .after([went_to(kind, Host::Back)])
        .seen_by(Program::PutBack(Port::Front)),
        Row::new(
            kind,
            "a later fragment alone, longer than what can be put back",
            &packet.clone().payload(&[0x5a; 3200]).piece(ID, 40..3140),
            Verdict::Fragment,
        ),
        row("a middle fragment alone", middle(packet.clone())),
        row("the last fragment alone", last(packet.clone())),
        row(
            "a later fragment of another packet",
            packet.clone().piece(ID + 1, 40..64),
        )
        .after([went_to(kind, Host::Back)])
        .with(&[]),
        row("a later fragment of another client", middle(other_client))
            .after([went_to(kind, Host::Back)]),
    ];
    if kind.is_tcp() {
        rows.push(Row::new(
            kind,
            "a first fragment that cuts the TCP header",
            &short,
            Verdict::Malformed,
        ));
    }
    if kind == Kind::ALL[0] {
        let udp = middle(whole(Kind::ALL[1]));
        rows.push(
            row("a later fragment of another protocol", udp).after([went_to(kind, Host::Back)]),
        );
    }
    rows
}

fn not_ours(kind: Kind) -> Vec<Row> {
    let packet = whole(kind);
    let row = |description: &str, packet: Packet| {
        Row::new(kind, description, &packet, Verdict::NotOurs).with(&[])
    };
    let elsewhere = packet.clone().to(kind.at(Host::Stranger, 80));
    let no_service = packet.clone().to(kind.at(Host::Vip, 79));
    let other = if kind.is_v4() { [1_u8] } else { [58] };
    let other = if kind.is_v4() {
        middle(packet.clone()).patched(Layer::Network, 9, &other)
    } else {
        middle(packet.clone()).patched(Layer::Network, 40, &other)
    };
    vec![
        row(
            "the first fragment to somebody else",
            first(elsewhere.clone()),
        ),
        row("a later fragment to somebody else", middle(elsewhere)),
        row(
            "the first fragment to a port without a service",
            first(no_service.clone()),
        )
        .with(&[Event::FragmentRecorded]),
        row(
            "a later fragment to a port without a service",
            middle(no_service.clone()),
        )
        .after([Step::seen(BY_FRONT, first(no_service), Verdict::NotOurs)]),
        row("a later fragment of ICMP", other),
    ]
}

fn headers(kind: Kind) -> Vec<Row> {
    let with = |cut: fn(Packet) -> Packet| {
        let packet = whole(kind);
        cut(if kind.is_v4() {
            packet.options(&[1, 1, 1, 0])
        } else {
            packet.extensions(vec![padding(HOP_BY_HOP, 8)])
        })
    };
    let mut rows = vec![
        to_port(
            kind,
            "the first fragment behind options",
            Port::Back,
            &with(first),
        ),
        to_port(
            kind,
            "a later fragment behind options",
            Port::Back,
            &with(middle),
        )
        .after([went_to(kind, Host::Back)]),
    ];
    if kind.is_v4() {
        return rows;
    }
    let inside = || whole(kind).fragmentable(vec![padding(DESTINATION_OPTIONS, 16)]);
    let long_first = || inside().piece(ID, 0..56);
    rows.extend([
        to_port(
            kind,
            "the first fragment with options in it",
            Port::Back,
            &long_first(),
        ),
        to_port(
            kind,
            "a later fragment of one with options in it",
            Port::Back,
            &inside().piece(ID, 56..80),
        )
        .after([Step::seen(BY_FRONT, long_first(), Verdict::ForwardOther)]),
    ]);
    rows
}
