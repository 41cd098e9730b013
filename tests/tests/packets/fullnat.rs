//! Flows both of whose ends are translated, and their replies.

use std::net::SocketAddr;

use lb_common::{
    backend::{BackendState, Forward},
    slot::Slot,
    verdict::{Event, Verdict},
};

use crate::{
    forward::request,
    support::{
        flow,
        packet::{ACK, FIN, PSH, Packet, RST, SYN, VLAN},
        plan::{self, Host, Kind, Port},
        row::{Program, Row, Step},
        world::NOBODY,
    },
};

pub const HERE: Host = Host::Back;
pub const BY_FRONT: Program = Program::Xdp(Port::Front);
const BY_BACK: Program = Program::Xdp(Port::Back);

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = requests(kind);
    rows.extend(known_flows(kind));
    rows.extend(replies(kind));
    rows.extend(strangers(kind));
    rows
}

/// Served by `host`.
pub fn served(kind: Kind, host: Host) -> [Step; 2] {
    [
        Step::Forward(kind, host, Forward::Fullnat),
        Step::Table(vec![Slot::stable(kind.id(host))]),
    ]
}

pub fn row(kind: Kind, description: &str, packet: &Packet, verdict: Verdict) -> Row {
    Row::new(kind, &format!("fullnat: {description}"), packet, verdict)
}

/// A client's packet as its backend gets it, through the kernel.
fn translated(kind: Kind, packet: &Packet, host: Host) -> Packet {
    packet
        .clone()
        .from(flow::source(kind.client()))
        .to(kind.backend(host))
}

fn requests(kind: Kind) -> Vec<Row> {
    let packet = request(kind).flags(SYN);
    let to = |description: &str, host: Host, packet: &Packet, verdict| {
        let sent = translated(kind, packet, host);
        let sent = match (verdict, host.port()) {
            (Verdict::ForwardSame | Verdict::ForwardOther, Some(port)) => sent.routed(port, host),
            _ => sent,
        };
        row(kind, description, packet, verdict)
            .after(served(kind, host))
            .becomes(&sent)
    };
    let (other, same, stack) = (
        Verdict::ForwardOther,
        Verdict::ForwardSame,
        Verdict::ForwardStack,
    );
    let first = [Event::SelectCurrent, Event::TranslationWritten];
    let mut rows = vec![
        to("out of another interface", HERE, &packet, other).with(&first),
        to("out of the same interface", Host::Front, &packet, same),
        to("a neighbour not resolved yet", Host::Cold, &packet, stack),
        to("behind a closed interface", Host::Shut, &packet, stack),
        row(
            kind,
            "a VLAN tag, out without one",
            &packet.clone().tagged(&[VLAN]),
            other,
        )
        .after(served(kind, HERE))
        .becomes(&translated(kind, &packet, HERE).routed(Port::Back, HERE)),
        to("no record of a flow", HERE, &request(kind), other).with(&first),
        to("no payload", HERE, &packet.clone().payload(b""), other),
        to(
            "an odd length",
            HERE,
            &packet.clone().payload(b"odd"),
            other,
        ),
        to(
            "a wrong checksum stays wrong by as much",
            HERE,
            &packet.clone().checksum_off_by(0x0101),
            other,
        ),
        to("two hops left", HERE, &packet.clone().ttl(2), other),
    ];
    if kind.is_v4() {
        // Router alert (RFC 2113).
        let options = packet.clone().options(&[148, 4, 0, 0]);
        rows.push(to("options", HERE, &options, other));
    }
    if !kind.is_tcp() {
        let without = packet.without_checksum();
        rows.push(to("no checksum stays none", HERE, &without, other));
    }
    rows
}

/// The client's first packet to the VIP.
pub fn opened(kind: Kind) -> Step {
    Step::seen(BY_FRONT, request(kind).flags(SYN), Verdict::ForwardOther)
}

/// A later one.
fn said(kind: Kind, flags: u8) -> Step {
    Step::seen(BY_FRONT, request(kind).flags(flags), Verdict::ForwardOther)
}

/// A packet of the backend to the flow's source.
pub fn reply(kind: Kind) -> Packet {
    Packet::new(kind, kind.backend(HERE), flow::source(kind.client()))
        .flags(ACK | PSH)
        .payload(b"here you are")
}

fn answered(kind: Kind, flags: u8) -> Step {
    Step::seen(BY_BACK, reply(kind).flags(flags), Verdict::ReplyOther)
}

/// The other backend takes over the only slot.
fn moved(kind: Kind) -> [Step; 2] {
    [
        Step::Forward(kind, Host::Other, Forward::Fullnat),
        Step::Table(vec![Slot::stable(kind.id(Host::Other))]),
    ]
}

fn known_flows(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    let open: Vec<Step> = served(kind, HERE)
        .into_iter()
        .chain([opened(kind)])
        .collect();
    let goes_to = |description: &str, steps: &[Step], packet: &Packet, host: Host| {
        let sent = translated(kind, packet, host).routed(Port::Back, host);
        row(kind, description, packet, Verdict::ForwardOther)
            .after(open.clone())
            .after(steps.to_vec())
            .becomes(&sent)
    };
    let down = Step::Backend(HERE, 1, BackendState::Down);
    let written = [Event::SelectCurrent, Event::TranslationWritten];
    let mut rows = vec![
        goes_to("a known flow", &[], &packet, HERE).with(&[Event::SelectRecorded]),
        goes_to("a known flow stays", &moved(kind), &packet, HERE).with(&[Event::SelectRecorded]),
        goes_to(
            "a known flow stays where no new ones go",
            &[Step::Table(vec![NOBODY])],
            &packet,
            HERE,
        ),
        goes_to(
            "a known flow whose backend died",
            &[moved(kind).as_slice(), &[down]].concat(),
            &packet,
            Host::Other,
        )
        .with(&written),
        row(kind, "no new flow to nobody", &packet, Verdict::NoBackend)
            .after(served(kind, HERE))
            .after([Step::Table(vec![NOBODY])]),
    ];
    if kind.is_tcp() {
        let ended = [
            said(kind, ACK),
            answered(kind, SYN | ACK),
            said(kind, FIN | ACK),
            answered(kind, FIN | ACK),
        ];
        let syn = packet.clone().flags(SYN);
        let ended_and_moved = [ended.as_slice(), &moved(kind)].concat();
        rows.extend([
            goes_to(
                "a SYN of a closed connection",
                &ended_and_moved,
                &syn,
                Host::Other,
            )
            .with(&written),
            goes_to(
                "a late packet of a closed connection",
                &ended_and_moved,
                &packet.clone().flags(ACK),
                HERE,
            ),
            goes_to("a SYN once more", &moved(kind), &syn, HERE),
        ]);
    }
    rows
}

fn replies(kind: Kind) -> Vec<Row> {
    let reply = reply(kind);
    let back = |description: &str, packet: &Packet, verdict| {
        let sent = packet.clone().from(kind.vip()).to(kind.client());
        let sent = if verdict == Verdict::ReplyOther {
            sent.routed(Port::Front, Host::Client)
        } else {
            sent
        };
        row(kind, description, packet, verdict)
            .after(served(kind, HERE))
            .after([opened(kind)])
            .seen_by(BY_BACK)
            .becomes(&sent)
    };
    let (other, stack) = (Verdict::ReplyOther, Verdict::ReplyStackTranslated);
    let mut rows = vec![
        back("a reply", &reply, other).with(&[]),
        back(
            "a reply that refuses",
            &reply.clone().flags(RST | ACK),
            other,
        ),
        back(
            "a reply with a VLAN tag",
            &reply.clone().tagged(&[VLAN]),
            stack,
        ),
        back("a reply with one hop left", &reply.clone().ttl(1), stack),
        back(
            "a reply's wrong checksum",
            &reply.clone().checksum_off_by(7),
            other,
        ),
        back("a reply later than the timeout", &reply, other).after([Step::Age]),
        from_elsewhere(kind, Host::ColdClient, None),
        from_elsewhere(kind, Host::NearClient, Some(Port::Back)),
    ];
    if !kind.is_v4() {
        return rows;
    }
    let options = reply.options(&[148, 4, 0, 0]);
    rows.push(back("a reply with options", &options, other));
    rows
}

/// A reply to a client at `host`: by which interface it leaves, if not through the kernel.
fn from_elsewhere(kind: Kind, host: Host, port: Option<Port>) -> Row {
    let client = kind.at(host, plan::CLIENT_PORT);
    let source = flow::source(client);
    let packet = reply(kind).to(source);
    let sent = packet.clone().from(kind.vip()).to(client);
    let (verdict, sent) = match port {
        Some(port) => (Verdict::ReplySame, sent.routed(port, host)),
        None => (Verdict::ReplyStackTranslated, sent),
    };
    let first = request(kind).from(client);
    row(kind, &format!("a reply to {host:?}"), &packet, verdict)
        .after(served(kind, HERE))
        .after([Step::seen(BY_FRONT, first, Verdict::ForwardOther)])
        .seen_by(BY_BACK)
        .becomes(&sent)
}

/// Packets that are no replies.
fn strangers(kind: Kind) -> Vec<Row> {
    let reply = reply(kind);
    let source = flow::source(kind.client());
    let next = SocketAddr::new(source.ip(), source.port() ^ 1);
    let untouched = |description: &str, packet: &Packet| {
        row(kind, description, packet, Verdict::NotOurs)
            .after(served(kind, HERE))
            .after([opened(kind)])
            .seen_by(BY_BACK)
            .with(&[])
    };
    vec![
        untouched("to another port", &reply.clone().to(next)),
        untouched(
            "from another backend",
            &reply.clone().from(kind.backend(Host::Other)),
        ),
        untouched(
            "from another port",
            &reply.clone().from(kind.at(HERE, 8002)),
        ),
        untouched("to the client itself", &reply.to(kind.client())),
    ]
}
