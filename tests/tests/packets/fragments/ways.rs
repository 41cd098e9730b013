//! Which way fragments go: back to a client, in a tunnel, by MAC, while slots move.

use lb_common::{backend::Forward, slot::Slot, verdict::Verdict};

use super::{BY_FRONT, first, last, middle, went_to, whole};
use crate::{
    forward::to_port,
    reply::{BY_BACK, HERE, opened, reply},
    support::{
        packet::Packet,
        plan::{Family, Host, Kind, Port},
        row::{Program, Row, Step},
    },
    tunnels,
};

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = replies(kind);
    rows.extend(tunnelled(kind));
    rows.extend(moved(kind));
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
