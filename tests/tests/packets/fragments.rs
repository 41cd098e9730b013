//! Packets in pieces: the first has the ports, the later ones follow it, whichever way it went.

use std::collections::BTreeMap;

use lb_common::{
    address::{V4, V6},
    backend::Forward,
    fragment::Key,
    packet::{Frame, parse},
    slot::Slot,
    verdict::{Event, Verdict},
};

use crate::{
    forward::{request, to_port, to_stack},
    headers::{DESTINATION_OPTIONS, HOP_BY_HOP, padding},
    reply::{BY_BACK, HERE, opened, reply},
    support::{
        packet::{ETHERNET, Layer, Packet, VLAN},
        plan::{Family, Host, Kind, Port},
        row::{Program, Row, Step},
        world::SEED,
    },
    tunnels,
};

const ID: u32 = 0x4711;
const BY_FRONT: Program = Program::Xdp(Port::Front);

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = in_order(kind);
    rows.extend(unknown(kind));
    rows.extend(not_ours(kind));
    rows.extend(headers(kind));
    rows.extend(replies(kind));
    rows.extend(tunnelled(kind));
    rows.extend(moved(kind));
    rows.extend(full(kind));
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

/// Arriving from another host, and leaving from this one.
fn replies(kind: Kind) -> Vec<Row> {
    let packet = {
        let payload: Vec<u8> = (0..100).rev().collect();
        reply(kind).payload(&payload)
    };
    let ways = [
        ("arriving", BY_BACK, Verdict::ReplyOther),
        ("leaving", Program::Egress, Verdict::EgressReply),
    ];
    ways.into_iter()
        .flat_map(|(way, program, verdict)| {
            let sent = |cut: fn(Packet) -> Packet| {
                let packet = packet.clone().from(kind.vip());
                cut(if program == BY_BACK {
                    packet.routed(Port::Front, Host::Client)
                } else {
                    packet
                })
            };
            let row = |description: &str, cut: fn(Packet) -> Packet| {
                let description = format!("{description}, {way}");
                Row::new(kind, &description, &cut(packet.clone()), verdict)
                    .served_by(HERE)
                    .after([opened(kind)])
                    .seen_by(program)
                    .becomes(&sent(cut))
            };
            let before = Step::seen(program, first(packet.clone()), verdict);
            let unknown = if program == BY_BACK {
                Verdict::Fragment
            } else {
                Verdict::EgressNotOurs
            };
            let alone = format!("a later fragment of a reply alone, {way}");
            let direct = middle(whole(kind).to(kind.backend(HERE)));
            let direct = Step::seen(BY_FRONT, direct, Verdict::NotOurs);
            [
                row("the first fragment of a reply", first),
                row("a middle fragment of a reply", middle).after([before.clone()]),
                row("the last fragment of a reply", last)
                    .after([before.clone()])
                    .with(&[]),
                row(
                    "after a later fragment to the backend itself: a later fragment of a reply",
                    middle,
                )
                .after([before, direct]),
                Row::new(kind, &alone, &middle(packet.clone()), unknown)
                    .served_by(HERE)
                    .after([opened(kind)])
                    .seen_by(program),
            ]
        })
        .collect()
}

/// By MAC, and each fragment inside of a packet of its own.
fn tunnelled(kind: Kind) -> Vec<Row> {
    let mut rows = Vec::new();
    for (forward, outer) in [
        (Forward::Dsr, kind.family),
        (Forward::Ipip, kind.family),
        (Forward::Gue, kind.family),
        (Forward::Ipip, Family::V6),
        (Forward::Gue, Family::V6),
    ] {
        if forward != Forward::Dsr && outer == kind.family && !kind.is_v4() {
            // The same as over IPv6.
            continue;
        }
        let row = |description: &str, packet: &Packet| {
            let description = format!("{} over {outer:?}: {description}", forward.name());
            let served = tunnels::served(kind, Host::Back, forward, outer);
            let mut row = Row::new(kind, &description, packet, Verdict::ForwardOther).after(served);
            row.output = if forward == Forward::Dsr {
                let packet = packet.clone().ttl(65);
                packet.routed(Port::Back, Host::Back).bytes()
            } else {
                tunnels::wrap(kind, forward, outer, packet, Host::Back, Some(Port::Back))
            };
            row
        };
        let packet = whole(kind);
        rows.push(row("the first fragment", &first(packet.clone())));
        rows.push(row("the last fragment", &last(packet)).after([went_to(kind, Host::Back)]));
    }
    rows
}

/// A backend comes between two fragments: the flow, and with it the packet, stays.
fn moved(kind: Kind) -> Vec<Row> {
    let (old, new) = (kind.id(Host::Back), kind.id(Host::Front));
    let moving = Step::Slots(vec![Slot {
        current: new,
        previous: old,
    }]);
    vec![
        to_port(
            kind,
            "a later fragment whose slot has moved since",
            Port::Back,
            &middle(whole(kind)),
        )
        .after([went_to(kind, Host::Back), moving]),
    ]
}

/// Five packets whose entries compete for four places.
fn full(kind: Kind) -> Vec<Row> {
    let piece = |id: u32, range| whole(kind).piece(id, range);
    let mut buckets = BTreeMap::<u32, Vec<u32>>::new();
    let rivals = (0..=0xffff).find_map(|id| {
        let bucket = buckets
            .entry(first_place(kind, &piece(id, 0..40)))
            .or_default();
        bucket.push(id);
        <[u32; 5]>::try_from(bucket.as_slice()).ok()
    });
    let [a, b, c, d, e] = rivals.expect("of 65,536 packets five share one of 16,384 buckets");
    let seen = |id| Step::seen(BY_FRONT, piece(id, 0..40), Verdict::ForwardOther);
    let recorded = [
        Event::SelectStable,
        Event::FragmentRecorded,
        Event::FragmentTableFull,
    ];
    let later = piece(a, 40..64);
    vec![
        to_port(
            kind,
            "the first fragment of more packets than there are places",
            Port::Back,
            &piece(e, 0..40),
        )
        .after([seen(a), seen(b), seen(c), seen(d)])
        .with(&recorded),
        to_port(
            kind,
            "a later fragment of the last of them",
            Port::Back,
            &piece(e, 40..64),
        )
        .after([seen(a), seen(b), seen(c), seen(d), seen(e)]),
        Row::new(
            kind,
            "a later fragment of one that made room",
            &later,
            Verdict::HeldFragment,
        )
        .served_by(Host::Back)
        .after([seen(a), seen(b), seen(c), seen(d), seen(e)]),
    ]
}

/// Where entries stand is no one's business: the datapath's own hash says it.
fn first_place(kind: Kind, packet: &Packet) -> u32 {
    let mut bytes = packet.bytes();
    let frame = Frame(&mut bytes);
    let key = if kind.is_v4() {
        Key::of(&parse::<V4, _>(&frame, ETHERNET).unwrap())
    } else {
        Key::of(&parse::<V6, _>(&frame, ETHERNET).unwrap())
    };
    key.first_place(SEED)
}
