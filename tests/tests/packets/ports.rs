//! Listeners for whole addresses, and backends without a port of their own, which get the one that the client chose.

use lb_common::{
    backend::{BackendState, Forward},
    slot::Slot,
    verdict::{Event, Verdict},
};
use lb_userspace::desired::Protocol;

use crate::{
    forward::{request, to_stack},
    support::{
        packet::{ACK, Packet, SYN},
        plan::{self, EMPTY_POOL, Host, Kind, Port},
        row::{Listens, Program, Row, Step},
    },
};

/// A port of the VIP that nothing listens on by itself.
const ANY_PORT: u16 = 5555;
const HERE: Host = Host::Back;
const BY_BACK: Program = Program::Xdp(Port::Back);

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = whole_addresses(kind);
    rows.extend(kept(kind));
    rows.extend(replies(kind));
    rows.extend(untouched(kind));
    rows.extend(recorded(kind));
    rows
}

fn other(kind: Kind) -> Protocol {
    if kind.is_tcp() {
        Protocol::Udp
    } else {
        Protocol::Tcp
    }
}

/// A client's packet to [`ANY_PORT`].
fn asked(kind: Kind) -> Packet {
    request(kind).to(kind.at(Host::Vip, ANY_PORT))
}

fn whole(protocol: Protocol, pool: u16) -> Listens {
    Listens {
        protocol,
        port: None,
        pool,
    }
}

fn whole_addresses(kind: Kind) -> Vec<Row> {
    let mut rows = served_whole(kind);
    rows.extend(not_whole(kind));
    rows
}

fn served_whole(kind: Kind) -> Vec<Row> {
    let packet = asked(kind);
    let every = whole(kind.protocol, kind.pool());
    let nobody = whole(kind.protocol, EMPTY_POOL);
    vec![
        to_stack(kind, "a port of a whole address", Host::Local, &packet).listening(every),
        to_stack(
            kind,
            "the last port of a whole address",
            Host::Local,
            &packet.clone().to(kind.at(Host::Vip, u16::MAX)),
        )
        .listening(every),
        Row::new(
            kind,
            "a listener that nobody serves comes before the whole address",
            &request(kind).to(kind.at(Host::Vip, plan::EMPTY_PORT)),
            Verdict::NoBackend,
        )
        .listening(every),
        to_stack(
            kind,
            "a port with a listener of its own comes before the whole address",
            Host::Local,
            &request(kind),
        )
        .listening(nobody),
        Row::new(
            kind,
            "a whole address that nobody serves",
            &packet,
            Verdict::NoBackend,
        )
        .listening(nobody),
    ]
}

fn not_whole(kind: Kind) -> Vec<Row> {
    let stays = |description: &str, packet: &Packet, listener: Listens| {
        Row::new(kind, description, packet, Verdict::NotOurs).listening(listener)
    };
    let packet = asked(kind);
    let every = whole(kind.protocol, kind.pool());
    let beside = Listens {
        port: Some(ANY_PORT + 1),
        ..every
    };
    vec![
        stays(
            "another address beside a whole one",
            &packet.clone().to(kind.at(Host::Stranger, ANY_PORT)),
            every,
        ),
        stays(
            "from a whole address, not to it",
            &packet.clone().from(kind.vip()).to(kind.client()),
            every,
        ),
        stays(
            "a whole address of the other protocol",
            &packet,
            whole(other(kind), kind.pool()),
        ),
        stays("a port beside one with a listener", &packet, beside),
    ]
}

/// A row with a backend at [`HERE`] that has no port and serves every port of the VIP.
fn served(kind: Kind, description: &str, packet: &Packet, verdict: Verdict) -> Row {
    Row::new(kind, description, packet, verdict)
        .listening(whole(kind.protocol, kind.pool()))
        .after([
            Step::Portless(kind, HERE, Forward::Nat),
            Step::Table(vec![Slot::stable(kind.portless_id(HERE))]),
        ])
}

fn kept(kind: Kind) -> Vec<Row> {
    let sent = |packet: &Packet, port| {
        let sent = packet.clone().to(kind.at(HERE, port));
        sent.routed(Port::Back, HERE)
    };
    let row = |description: &str, packet: &Packet, port| {
        served(kind, description, packet, Verdict::ForwardOther).becomes(&sent(packet, port))
    };
    let odd = asked(kind).payload(b"odd");
    let mut rows = vec![
        row("the port of a whole address is kept", &odd, ANY_PORT),
        row(
            "the port of a listener is kept",
            &request(kind),
            plan::VIP_PORT,
        ),
        row(
            "a wrong checksum stays wrong where the port is kept",
            &asked(kind).checksum_off_by(0x0101),
            ANY_PORT,
        ),
        served(
            kind,
            "a backend that has its own port again",
            &asked(kind),
            Verdict::ForwardOther,
        )
        .after([
            Step::Backend(HERE, 1, BackendState::Alive),
            Step::Table(vec![Slot::stable(kind.id(HERE))]),
        ])
        .becomes(&sent(&asked(kind), plan::BACKEND_PORT)),
    ];
    if !kind.is_tcp() {
        let bare = asked(kind).without_checksum();
        rows.push(row(
            "no checksum stays none where the port is kept",
            &bare,
            ANY_PORT,
        ));
    }
    rows
}

/// The client's first packet to [`ANY_PORT`].
fn opened(kind: Kind) -> Step {
    let packet = asked(kind).flags(SYN);
    Step::seen(Program::Xdp(Port::Front), packet, Verdict::ForwardOther)
}

/// A packet of the backend to the client.
fn answer(kind: Kind, port: u16) -> Packet {
    Packet::new(kind, kind.at(HERE, port), kind.client()).payload(b"here you are")
}

fn answered(kind: Kind, flags: u8) -> Step {
    let packet = answer(kind, ANY_PORT).flags(flags);
    Step::seen(BY_BACK, packet, Verdict::ReplyOther)
}

fn replies(kind: Kind) -> Vec<Row> {
    let packet = answer(kind, ANY_PORT);
    let rewritten = packet.clone().from(kind.at(Host::Vip, ANY_PORT));
    let routed = rewritten.clone().routed(Port::Front, Host::Client);
    let row = |description: &str, verdict| {
        served(kind, description, &packet, verdict)
            .after([opened(kind)])
            .with(&[Event::ReversePromoted])
    };
    let mut rows = vec![
        row("a reply from a kept port", Verdict::ReplyOther)
            .seen_by(BY_BACK)
            .becomes(&routed),
        row("a reply from a kept port, leaving", Verdict::EgressReply)
            .seen_by(Program::Egress)
            .becomes(&rewritten),
    ];
    if kind.is_tcp() {
        let accepted = packet.clone().flags(SYN | ACK);
        rows.push(
            served(
                kind,
                "accepted from a kept port",
                &accepted,
                Verdict::ReplyOther,
            )
            .after([opened(kind)])
            .seen_by(BY_BACK)
            .becomes(&routed.flags(SYN | ACK)),
        );
    }
    rows
}

fn untouched(kind: Kind) -> Vec<Row> {
    let row = |description: &str, packet: &Packet| {
        served(kind, description, packet, Verdict::NotOurs)
            .after([opened(kind)])
            .seen_by(BY_BACK)
            .with(&[])
    };
    let direct = |flags| {
        let packet = asked(kind).to(kind.at(HERE, ANY_PORT)).flags(flags);
        Step::seen(Program::Xdp(Port::Front), packet, Verdict::NotOurs)
    };
    let mut rows = vec![
        row(
            "from a port of a portless backend that nobody asked",
            &answer(kind, ANY_PORT + 1),
        ),
        row(
            "a portless backend's own request",
            &answer(kind, ANY_PORT).to(kind.at(Host::Client, 53)),
        ),
        row(
            "from another backend's port that was kept",
            &answer(kind, ANY_PORT).from(kind.at(Host::Other, ANY_PORT)),
        ),
    ];
    let last = if kind.is_tcp() {
        row(
            "a direct connection reuses the ports of a portless backend's flow",
            &answer(kind, ANY_PORT).flags(SYN | ACK),
        )
        .after([answered(kind, SYN | ACK), answered(kind, ACK), direct(SYN)])
    } else {
        row(
            "the client has spoken to a portless backend itself since",
            &answer(kind, ANY_PORT),
        )
        .after([answered(kind, 0), direct(0)])
    };
    rows.push(last);
    rows
}

/// While its slot moves, a flow is recorded with the backend, not with the port.
fn recorded(kind: Kind) -> Vec<Row> {
    let moved = Step::Table(vec![Slot {
        current: kind.id(Host::Other),
        previous: kind.portless_id(HERE),
    }]);
    let packet = asked(kind);
    let seen = Step::seen(
        Program::Xdp(Port::Front),
        packet.clone(),
        Verdict::ForwardOther,
    );
    let sent = packet.clone().to(kind.at(HERE, ANY_PORT));
    vec![
        served(
            kind,
            "a flow of a portless backend stays with it",
            &packet,
            Verdict::ForwardOther,
        )
        .after([moved, seen])
        .becomes(&sent.routed(Port::Back, HERE))
        .with(&[Event::SelectRecorded]),
    ]
}
