//! ICMP: pings of a VIP, and errors about flows.

use std::net::IpAddr;

use lb_common::{
    backend::Forward,
    slot::Slot,
    verdict::{Event, Verdict},
};

use crate::{
    forward::request,
    support::{
        flow,
        icmp::{ECHO_REPLY, ECHO_REQUEST, Message, PORT_UNREACHABLE, TIME_EXCEEDED, TOO_BIG},
        packet::{Packet, SYN},
        plan::{Family, Host, Kind, Port},
        row::{Program, Row, Step},
    },
};

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = about_replies(kind);
    rows.extend(about_requests(kind));
    rows.extend(about_translated(kind));
    rows.extend(about_nothing(kind));
    if kind.is_tcp() {
        rows.extend(pings(kind));
    }
    rows
}

pub fn ip(kind: Kind, host: Host) -> IpAddr {
    host.address(kind.family)
}

/// The IP packet without its link header, as errors quote it.
pub fn quoted(packet: &Packet, length: usize) -> Vec<u8> {
    let bytes = packet.bytes();
    let start = packet.network_offset();
    bytes[start..bytes.len().min(start + length)].to_vec()
}

const WHOLE: usize = usize::MAX - 100;

/// Just as much as RFC 792 asks for.
fn least(kind: Kind) -> usize {
    if kind.is_v4() { 28 } else { 48 }
}

pub fn message(row: Row, message: &Message) -> Row {
    Row {
        output: message.bytes(),
        ..row
    }
}

fn row(kind: Kind, description: &str, input: &Message, verdict: Verdict) -> Row {
    Row::raw(
        kind,
        &format!("ICMP: {description}"),
        input.bytes(),
        verdict,
    )
}

/// Errors to the VIP, by a router that could not send a reply on.
fn about_replies(kind: Kind) -> Vec<Row> {
    let reply = Packet::new(kind, kind.vip(), kind.client());
    let from_backend = |host| reply.clone().from(kind.backend(host));
    let router = ip(kind, Host::Stranger);
    let error = |packet: &Packet, length| {
        Message::new(TOO_BIG, router, ip(kind, Host::Vip))
            .rest(1280)
            .payload(&quoted(packet, length))
    };
    let to = |description: &str, host: Host, length, verdict| {
        let row = row(kind, description, &error(&reply, length), verdict)
            .served_by(host)
            .with(&[Event::SelectStable, Event::ErrorForwarded]);
        let translated = error(&from_backend(host), length).to(ip(kind, host));
        (row, translated)
    };
    let mut rows = vec![
        {
            let (row, sent) = to("too big, whole", Host::Back, WHOLE, Verdict::ForwardOther);
            message(row, &sent.routed(Port::Back, Host::Back))
        },
        {
            let (row, sent) = to(
                "too big, in short",
                Host::Back,
                least(kind),
                Verdict::ForwardOther,
            );
            message(
                row,
                &patch_short(kind, sent, &reply, Host::Back).routed(Port::Back, Host::Back),
            )
        },
        {
            let (row, sent) = to(
                "to a process here",
                Host::Local,
                WHOLE,
                Verdict::ForwardStack,
            );
            message(row, &sent)
        },
        {
            let (row, sent) = to(
                "out of the same interface",
                Host::Front,
                WHOLE,
                Verdict::ForwardSame,
            );
            message(row, &sent.routed(Port::Front, Host::Front))
        },
    ];
    let id = kind.id(Host::Back);
    let by_mac = error(&reply, WHOLE);
    rows.push(message(
        row(kind, "too big, by MAC", &by_mac, Verdict::ForwardOther).after([
            Step::Forward(kind, Host::Back, Forward::Dsr),
            Step::Table(vec![Slot::stable(id)]),
        ]),
        &by_mac.clone().sent(Port::Back, Host::Back),
    ));
    if kind.is_tcp() {
        return rows;
    }
    let bare = reply.clone().without_checksum();
    rows.push(message(
        row(
            kind,
            "no checksum stays none",
            &error(&bare, WHOLE),
            Verdict::ForwardOther,
        )
        .served_by(Host::Back),
        &error(&bare.from(kind.backend(Host::Back)), WHOLE)
            .to(ip(kind, Host::Back))
            .routed(Port::Back, Host::Back),
    ));
    rows
}

/// A quoted TCP checksum that is not quoted does not follow: the row's own bytes are those of the quoted start.
fn patch_short(kind: Kind, message: Message, reply: &Packet, host: Host) -> Message {
    let start = quoted(&reply.clone().from(kind.backend(host)), least(kind));
    message.payload(&start)
}

/// Errors to the client, by its backend or by a router on the way there.
fn about_requests(kind: Kind) -> Vec<Row> {
    let opening = request(kind).flags(SYN);
    let at_backend = |host| opening.clone().to(kind.backend(host));
    let client = ip(kind, Host::Client);
    let error = |packet: &Packet, from: IpAddr| {
        Message::new(PORT_UNREACHABLE, from, client).payload(&quoted(packet, WHOLE))
    };
    let opened = |host, verdict| {
        [
            Step::Table(vec![Slot::stable(kind.id(host))]),
            Step::seen(Program::Xdp(Port::Front), opening.clone(), verdict),
        ]
    };
    let back = ip(kind, Host::Back);
    let router = ip(kind, Host::Other);
    let vip = ip(kind, Host::Vip);
    let forwarded = [Event::ErrorForwarded];
    let leaves = |description: &str, input: &Message, output: &Message| {
        message(
            row(kind, description, input, Verdict::ReplyOther)
                .seen_by(Program::Xdp(Port::Back))
                .after(opened(Host::Back, Verdict::ForwardOther))
                .with(&forwarded),
            &output.clone().routed(Port::Front, Host::Client),
        )
    };
    let of_backend = error(&at_backend(Host::Back), back);
    let of_router = error(&at_backend(Host::Back), router);
    let local = error(&at_backend(Host::Local), ip(kind, Host::Local));
    vec![
        leaves("refused by the backend", &of_backend, &error(&opening, vip)),
        leaves("refused on the way", &of_router, &error(&opening, router)),
        message(
            row(kind, "refused here, leaving", &local, Verdict::EgressReply)
                .seen_by(Program::Egress)
                .after(opened(Host::Local, Verdict::ForwardStack)),
            &error(&opening, vip),
        ),
        message(
            row(
                kind,
                "refused on the way, leaving",
                &of_router,
                Verdict::EgressReply,
            )
            .seen_by(Program::Egress)
            .after(opened(Host::Back, Verdict::ForwardOther)),
            &error(&opening, router),
        ),
        row(
            kind,
            "refused, but not through the VIP",
            &of_backend,
            Verdict::NotOurs,
        )
        .seen_by(Program::Xdp(Port::Back))
        .served_by(Host::Back),
        row(
            kind,
            "the same, leaving",
            &of_backend,
            Verdict::EgressNotOurs,
        )
        .seen_by(Program::Egress)
        .served_by(Host::Back),
    ]
}

/// The same both ways for `fullnat`, where neither side knows the other.
fn about_translated(kind: Kind) -> Vec<Row> {
    const HERE: Host = Host::Back;
    let (client, vip, backend) = (kind.client(), kind.vip(), kind.backend(HERE));
    let source = flow::source(client);
    let router = ip(kind, Host::Stranger);
    let row = |description: &str, input: &Message, verdict| {
        row(kind, &format!("fullnat: {description}"), input, verdict).after(to(
            kind,
            HERE,
            Forward::Fullnat,
            kind.family,
        ))
    };
    let opened = || {
        Step::seen(
            Program::Xdp(Port::Front),
            request(kind).flags(SYN),
            Verdict::ForwardOther,
        )
    };
    let reply = Packet::new(kind, vip, client);
    let too_big = |packet: &Packet, destination| {
        Message::new(TOO_BIG, router, destination)
            .rest(1280)
            .payload(&quoted(packet, WHOLE))
    };
    let to_vip = too_big(&reply, vip.ip());
    let to_backend = too_big(&reply.clone().from(backend).to(source), backend.ip());
    let sent = Packet::new(kind, source, backend).flags(SYN);
    let refused = |packet: &Packet, from, to| {
        Message::new(PORT_UNREACHABLE, from, to).payload(&quoted(packet, WHOLE))
    };
    let seen = sent.clone().from(client).to(vip);
    let back = |description: &str, from, from_then| {
        let input = refused(&sent, from, source.ip());
        let output = refused(&seen, from_then, client.ip()).routed(Port::Front, Host::Client);
        message(
            row(description, &input, Verdict::ReplyOther)
                .seen_by(Program::Xdp(Port::Back))
                .after([opened()])
                .with(&[Event::ErrorForwarded]),
            &output,
        )
    };
    vec![
        message(
            row("too big", &to_vip, Verdict::ForwardOther).after([opened()]),
            &to_backend.routed(Port::Back, HERE),
        ),
        row("too big, no such flow", &to_vip, Verdict::NotOurs),
        back("refused by the backend", backend.ip(), vip.ip()),
        back(
            "refused on the way",
            ip(kind, Host::Other),
            ip(kind, Host::Other),
        ),
    ]
}

/// Served by `host`, which is reached by `forward` at its address of a family.
pub fn to(kind: Kind, host: Host, forward: Forward, outer: Family) -> [Step; 2] {
    let backend = Kind {
        family: outer,
        ..kind
    };
    [
        Step::Forward(backend, host, forward),
        Step::Table(vec![Slot::stable(backend.id(host))]),
    ]
}

/// Errors that concern no flow.
fn about_nothing(kind: Kind) -> Vec<Row> {
    let reply = Packet::new(kind, kind.vip(), kind.client());
    let router = ip(kind, Host::Stranger);
    let vip = ip(kind, Host::Vip);
    let start = quoted(&reply, WHOLE);
    let pass = |description: &str, input: &Message, verdict| {
        row(kind, description, input, verdict).served_by(Host::Back)
    };
    let about = |payload: &[u8]| Message::new(TIME_EXCEEDED, router, vip).payload(payload);
    let changed = |offset: usize, value: u8| {
        let mut start = start.clone();
        start[offset] = value;
        about(&start)
    };
    let mut rows = vec![
        pass(
            "to another than who sent the quoted packet",
            &about(&start).to(ip(kind, Host::Local)),
            Verdict::NotOurs,
        ),
        pass("quoting nothing", &about(&[]), Verdict::NotOurs),
        pass(
            "quoting a header alone",
            &about(&quoted(&reply, least(kind) - 8)),
            Verdict::NotOurs,
        ),
        pass(
            "quoting too little",
            &about(&quoted(&reply, least(kind) - 1)),
            Verdict::NotOurs,
        ),
        pass(
            "quoting another protocol",
            &changed(if kind.is_v4() { 9 } else { 6 }, 132),
            Verdict::NotOurs,
        ),
        pass(
            "quoting another version",
            &changed(0, 0x55),
            Verdict::NotOurs,
        ),
        pass(
            "no error",
            &Message::new([(9, 0), (134, 0)], router, vip).payload(&start),
            Verdict::NotOurs,
        ),
        pass(
            "about another port of the VIP",
            &about(&quoted(
                &reply.clone().from(kind.at(Host::Vip, 8080)),
                WHOLE,
            )),
            Verdict::NotOurs,
        ),
    ];
    if kind.is_v4() {
        rows.push(pass(
            "quoting a later fragment",
            &changed(7, 0x40),
            Verdict::NotOurs,
        ));
        rows.push(pass(
            "quoting a header too short",
            &changed(0, 0x44),
            Verdict::NotOurs,
        ));
    }
    rows
}

fn pings(kind: Kind) -> Vec<Row> {
    let (client, vip) = (ip(kind, Host::Client), ip(kind, Host::Vip));
    let ping = |payload: &[u8]| {
        Message::new(ECHO_REQUEST, client, vip)
            .rest(0x1234_0001)
            .payload(payload)
    };
    let pong = |payload: &[u8]| {
        Message::new(ECHO_REPLY, vip, client)
            .rest(0x1234_0001)
            .payload(payload)
            .sent(Port::Front, Host::Client)
    };
    let answered = |description: &str, payload: &[u8]| {
        message(
            row(kind, description, &ping(payload), Verdict::EchoReply).with(&[]),
            &pong(payload),
        )
    };
    let pass = |description: &str, input: &Message, verdict| row(kind, description, input, verdict);
    vec![
        answered("a ping", &[0x5a; 56]),
        answered("a ping of an odd size", &[0x5a; 33]),
        answered("a ping without a payload", &[]),
        answered("a large ping", &[0xa5; 1400]),
        pass(
            "a ping from where no answer leaves",
            &ping(&[0; 8]).from(ip(kind, Host::ColdClient)),
            Verdict::EchoStack,
        ),
        pass(
            "a ping of a backend",
            &ping(&[0; 8]).to(ip(kind, Host::Back)),
            Verdict::NotOurs,
        ),
        pass(
            "a ping of another",
            &ping(&[0; 8]).to(ip(kind, Host::Stranger)),
            Verdict::NotOurs,
        ),
        pass(
            "a ping with a code",
            &Message::new([(8, 1), (128, 1)], client, vip).payload(&[0; 8]),
            Verdict::NotOurs,
        ),
        pass(
            "a reply to a ping",
            &Message::new(ECHO_REPLY, client, vip).payload(&[0; 8]),
            Verdict::NotOurs,
        ),
    ]
}
