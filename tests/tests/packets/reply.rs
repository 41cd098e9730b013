//! A backend's packets: replies of flows through the VIP get its source, everything else is left alone. Each case is
//! a row for the program on arrival and one for the program on leaving.

use lb_common::verdict::{Event, Verdict};

use crate::{
    forward::request,
    support::{
        packet::{ACK, FIN, PSH, Packet, RST, SYN, VLAN},
        plan::{Host, Kind, Port},
        row::{Program, Row, Step},
    },
};

pub const HERE: Host = Host::Back;
pub const BY_BACK: Program = Program::Xdp(Port::Back);

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = both(kind, &untouched(kind), false);
    rows.extend(both(kind, &replies(kind), true));
    rows.extend(ways(kind));
    rows
}

/// A backend's packet, and what was seen before it.
struct Case {
    description: &'static str,
    before: Vec<Step>,
    packet: Packet,
    events: Option<Vec<Event>>,
}

impl Case {
    fn new(description: &'static str, before: impl Into<Vec<Step>>, packet: &Packet) -> Self {
        Self {
            description,
            before: before.into(),
            packet: packet.clone(),
            events: None,
        }
    }

    fn with(self, events: &[Event]) -> Self {
        Self {
            events: Some(events.to_vec()),
            ..self
        }
    }
}

/// A packet of the backend to the client.
pub fn reply(kind: Kind) -> Packet {
    reply_of(kind, HERE)
}

pub fn reply_of(kind: Kind, host: Host) -> Packet {
    Packet::new(kind, kind.backend(host), kind.client())
        .flags(ACK | PSH)
        .payload(b"here you are")
}

/// The client's first packet to the VIP.
pub fn opened(kind: Kind) -> Step {
    opened_by(kind, Verdict::ForwardOther)
}

/// The same, of a backend that is reached so.
pub fn opened_by(kind: Kind, verdict: Verdict) -> Step {
    let packet = request(kind).flags(SYN);
    Step::seen(Program::Xdp(Port::Front), packet, verdict)
}

/// A reply of the backend.
fn answered(kind: Kind, flags: u8) -> Step {
    Step::seen(BY_BACK, reply(kind).flags(flags), Verdict::ReplyOther)
}

/// A packet of the client to the VIP, on an open connection.
fn said(kind: Kind, flags: u8) -> Step {
    let packet = request(kind).flags(flags);
    Step::seen(Program::Xdp(Port::Front), packet, Verdict::ForwardOther)
}

/// A packet of the client to the backend itself.
fn direct(kind: Kind, flags: u8) -> Step {
    let packet = request(kind).to(kind.backend(HERE)).flags(flags);
    Step::seen(Program::Xdp(Port::Front), packet, Verdict::NotOurs)
}

fn both(kind: Kind, cases: &[Case], is_reply: bool) -> Vec<Row> {
    let row = |case: &Case, program, name: &str, verdict| {
        let description = format!("{}, {name}", case.description);
        let row = Row::new(kind, &description, &case.packet, verdict)
            .served_by(HERE)
            .after(case.before.clone())
            .seen_by(program);
        match &case.events {
            Some(events) => row.with(events),
            None => row,
        }
    };
    cases
        .iter()
        .flat_map(|case| {
            if !is_reply {
                return [
                    row(case, BY_BACK, "arriving", Verdict::NotOurs),
                    row(case, Program::Egress, "leaving", Verdict::EgressNotOurs),
                ];
            }
            let rewritten = case.packet.clone().from(kind.vip());
            let routed = rewritten.clone().routed(Port::Front, Host::Client);
            [
                row(case, BY_BACK, "arriving", Verdict::ReplyOther).becomes(&routed),
                row(case, Program::Egress, "leaving", Verdict::EgressReply).becomes(&rewritten),
            ]
        })
        .collect()
}

fn untouched(kind: Kind) -> Vec<Case> {
    let packet = reply(kind);
    let open = opened(kind);
    let mut cases = vec![
        Case::new("nothing went through the VIP", [], &packet).with(&[]),
        Case::new(
            "to the daemon's own check",
            [open.clone()],
            &packet.clone().to(kind.at(Host::Local, 50_000)),
        )
        .with(&[]),
        Case::new(
            "to another port of the client",
            [open.clone()],
            &packet.clone().to(kind.at(Host::Client, 40_001)),
        )
        .with(&[]),
        Case::new(
            "to another client",
            [open.clone()],
            &packet.clone().to(kind.at(Host::NearClient, 40_000)),
        ),
        Case::new(
            "from another port of the backend",
            [open.clone()],
            &packet.clone().from(kind.at(HERE, 8002)),
        ),
        Case::new(
            "from another backend",
            [open.clone()],
            &packet.clone().from(kind.backend(Host::Other)),
        ),
    ];
    if kind.is_tcp() {
        cases.extend(untouched_connections(kind));
    } else {
        cases.extend([
            Case::new("later than the timeout", [open.clone(), Step::Age], &packet),
            Case::new(
                "established, later than the timeout",
                [open.clone(), answered(kind, 0), Step::Age],
                &packet,
            ),
            Case::new(
                "the client has spoken to the backend itself since",
                [open, answered(kind, 0), direct(kind, 0)],
                &packet,
            )
            .with(&[]),
        ]);
    }
    cases
}

fn untouched_connections(kind: Kind) -> Vec<Case> {
    let packet = reply(kind);
    let direct_accept = Step::seen(BY_BACK, packet.clone().flags(SYN | ACK), Verdict::NotOurs);
    let old = [opened(kind), answered(kind, SYN | ACK), answered(kind, ACK)];
    let data = Step::seen(
        Program::Xdp(Port::Front),
        request(kind),
        Verdict::ForwardOther,
    );
    vec![
        Case::new(
            "a connection accepted without the VIP",
            [],
            &packet.clone().flags(SYN | ACK),
        ),
        Case::new("no SYN was seen, only data", [data], &packet),
        Case::new(
            "a direct connection reuses an old flow's ports",
            [old.as_slice(), &[direct(kind, SYN)]].concat(),
            &packet.clone().flags(SYN | ACK),
        )
        .with(&[]),
        Case::new(
            "a direct connection has reused them",
            [old.as_slice(), &[direct(kind, SYN), direct_accept]].concat(),
            &packet,
        )
        .with(&[]),
        Case::new(
            "from TIME-WAIT, to a direct connection by a closed one's ports",
            [
                old.as_slice(),
                &[
                    answered(kind, FIN | ACK),
                    said(kind, FIN | ACK),
                    direct(kind, SYN),
                ],
            ]
            .concat(),
            &packet.clone().flags(ACK),
        )
        .with(&[]),
        Case::new(
            "to a direct connection by the ports of one that its client ended before anything was said",
            [
                opened(kind),
                answered(kind, SYN | ACK),
                said(kind, FIN | ACK),
                answered(kind, FIN | ACK),
                direct(kind, SYN),
            ],
            &packet.clone().flags(ACK),
        )
        .with(&[]),
        Case::new(
            "to a direct connection by the ports of one that its backend ended at once",
            [
                opened(kind),
                answered(kind, FIN | ACK),
                said(kind, FIN | ACK),
                direct(kind, SYN),
            ],
            &packet.clone().flags(ACK),
        )
        .with(&[]),
        Case::new(
            "to a direct connection by the ports of one that was reset",
            [old.as_slice(), &[said(kind, RST), direct(kind, SYN)]].concat(),
            &packet.clone().flags(ACK),
        )
        .with(&[]),
        Case::new(
            "to a direct connection after the backend refused one through the VIP",
            [opened(kind), answered(kind, RST | ACK)],
            &packet.clone().flags(SYN | ACK),
        )
        .with(&[]),
        Case::new(
            "accepted later than the half-open timeout",
            [opened(kind), Step::Age],
            &packet.flags(SYN | ACK),
        ),
    ]
}

fn replies(kind: Kind) -> Vec<Case> {
    let packet = reply(kind);
    let open = opened(kind);
    let mut cases = vec![
        Case::new("the first answer with data", [open.clone()], &packet)
            .with(&[Event::ReversePromoted]),
        Case::new(
            "with trailing bytes",
            [open.clone()],
            &packet.clone().payload(b"").padded(&[0; 6]),
        ),
        Case::new(
            "with a wrong checksum, which stays wrong",
            [open.clone()],
            &packet.clone().checksum_off_by(0x2020),
        ),
    ];
    cases.extend(if kind.is_v4() {
        Some(Case::new(
            "with options",
            [open.clone()],
            &packet.clone().options(&[1, 1, 1, 0]),
        ))
    } else {
        None
    });
    if kind.is_tcp() {
        cases.extend(tcp_replies(kind));
        return cases;
    }
    let renewed = request(kind);
    let renewed = Step::seen(Program::Xdp(Port::Front), renewed, Verdict::ForwardOther);
    cases.extend([
        Case::new(
            "the second answer",
            [open.clone(), answered(kind, 0)],
            &packet,
        )
        .with(&[]),
        Case::new(
            "renewed by the client after the timeout",
            [open.clone(), answered(kind, 0), Step::Age, renewed.clone()],
            &packet,
        ),
        Case::new(
            "within a second the client spoke to the backend itself, and came back",
            [open.clone(), direct(kind, 0), renewed],
            &packet,
        ),
        Case::new(
            "without a checksum",
            [open.clone()],
            &packet.clone().without_checksum(),
        ),
        Case::new(
            "with a checksum computed to zero",
            [open],
            &zero_behind_the_balancer(kind),
        ),
    ]);
    cases
}

/// A reply whose UDP checksum is computed to zero once its source is the VIP.
fn zero_behind_the_balancer(kind: Kind) -> Packet {
    (0..=u16::MAX)
        .map(|word| reply(kind).payload(&word.to_be_bytes()))
        .find(|packet| packet.clone().from(kind.vip()).checksum() == 0xffff)
        .expect("a word of payload reaches every checksum")
}

fn tcp_replies(kind: Kind) -> Vec<Case> {
    let packet = reply(kind);
    let open = opened(kind);
    let old = [open.clone(), answered(kind, SYN | ACK), answered(kind, ACK)];
    vec![
        Case::new(
            "the connection is accepted",
            [open.clone()],
            &packet.clone().flags(SYN | ACK),
        )
        .with(&[]),
        Case::new(
            "the connection is refused",
            [open.clone()],
            &packet.clone().flags(RST | ACK),
        )
        .with(&[]),
        Case::new(
            "data after the connection was accepted",
            [open.clone(), answered(kind, SYN | ACK)],
            &packet,
        )
        .with(&[Event::ReversePromoted]),
        Case::new("more data", old.clone(), &packet).with(&[]),
        Case::new(
            "accepted, but late: data came first",
            old.clone(),
            &packet.clone().flags(SYN | ACK),
        )
        .with(&[]),
        Case::new(
            "data, long after",
            [old.as_slice(), &[Step::Age]].concat(),
            &packet,
        ),
        Case::new("the end", old.clone(), &packet.clone().flags(FIN | ACK)),
        Case::new(
            "after a forged SYN to the backend itself",
            [old.as_slice(), &[direct(kind, SYN)]].concat(),
            &packet,
        ),
        Case::new(
            "half closed, after a forged SYN to the backend itself",
            [old.as_slice(), &[said(kind, FIN | ACK), direct(kind, SYN)]].concat(),
            &packet,
        ),
        Case::new(
            "the last one of a closed connection",
            [
                old.as_slice(),
                &[said(kind, FIN | ACK), answered(kind, FIN | ACK)],
            ]
            .concat(),
            &packet.clone().flags(ACK),
        ),
        Case::new(
            "an established connection is reset",
            old.clone(),
            &packet.clone().flags(RST),
        ),
        Case::new(
            "a new connection through the VIP reuses an old one's ports",
            [old.as_slice(), &[open]].concat(),
            &packet.flags(SYN | ACK),
        ),
    ]
}

/// Which way a reply takes; tags and hops.
fn ways(kind: Kind) -> Vec<Row> {
    let packet = reply(kind);
    let row = |description: &str, packet: &Packet, verdict| {
        Row::new(kind, description, packet, verdict)
            .served_by(HERE)
            .after([opened(kind)])
            .seen_by(BY_BACK)
    };
    let behind = |host| {
        let client = kind.at(host, 40_000);
        let first = request(kind).from(client).flags(SYN);
        let step = Step::seen(Program::Xdp(Port::Front), first, Verdict::ForwardOther);
        (reply(kind).to(client), step)
    };
    let (near, near_open) = behind(Host::NearClient);
    let (cold, cold_open) = behind(Host::ColdClient);
    let tagged = packet.clone().tagged(&[VLAN]);
    let out = near
        .clone()
        .from(kind.vip())
        .routed(Port::Back, Host::NearClient);
    vec![
        row(
            "a reply out of the same interface",
            &near,
            Verdict::ReplySame,
        )
        .after([near_open])
        .becomes(&out),
        row(
            "a reply to a neighbour not resolved yet",
            &cold,
            Verdict::ReplyStack,
        )
        .after([cold_open]),
        row("a reply with a VLAN tag", &tagged, Verdict::ReplyStack),
        row(
            "a reply with a VLAN tag, leaving",
            &tagged,
            Verdict::EgressReply,
        )
        .seen_by(Program::Egress)
        .becomes(&tagged.clone().from(kind.vip())),
        row(
            "a reply with one hop left",
            &packet.clone().ttl(1),
            Verdict::TtlExceeded,
        ),
        row(
            "a reply with one hop left, leaving",
            &packet.clone().ttl(1),
            Verdict::EgressReply,
        )
        .seen_by(Program::Egress)
        .becomes(&packet.ttl(1).from(kind.vip())),
    ]
}
