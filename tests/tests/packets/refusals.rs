//! ICMP errors that only the load balancer can send: about packets that cannot go on.

use lb_common::{backend::Forward, verdict::Verdict};

use crate::{
    forward::request,
    fullnat,
    icmp::{ip, message, quoted, to},
    support::{
        flow,
        icmp::{Message, TIME_EXCEEDED, TOO_BIG},
        packet::Packet,
        plan::{Family, Host, Kind, Port},
        row::Row,
    },
};

pub fn rows(kind: Kind) -> Vec<Row> {
    let (client, vip) = (ip(kind, Host::Client), ip(kind, Host::Vip));
    let cold = kind.at(Host::ColdClient, 1);
    let last = request(kind).ttl(1);
    let error = |what, mtu, packet: &Packet, length| {
        Message::new(what, vip, client)
            .rest(mtu)
            .payload(&quoted(packet, length))
            .marked_as_control()
            .sent(Port::Front, Host::Client)
    };
    let new = |description: &str, packet: &Packet, verdict| {
        Row::new(kind, &format!("ICMP: {description}"), packet, verdict)
    };
    // The sizes that are quoted are steps: 28, 48, 68, 128, 256 and 512 bytes.
    let short = |length| {
        [28, 48, 68]
            .into_iter()
            .rfind(|&step| step <= length)
            .unwrap()
    };
    let mut rows = vec![
        message(
            new("no hop left", &last, Verdict::TimeExceeded).served_by(Host::Back),
            &error(TIME_EXCEEDED, 0, &last, short(last.length())),
        ),
        message(
            new("no hop left for fullnat", &last, Verdict::TimeExceeded).after(to(
                kind,
                Host::Back,
                Forward::Fullnat,
                kind.family,
            )),
            &error(TIME_EXCEEDED, 0, &last, short(last.length())),
        ),
        new(
            "no hop left, and no way to say so",
            &last.clone().from(cold),
            Verdict::TtlExceeded,
        )
        .served_by(Host::Back),
    ];
    let base = request(kind).payload(b"").length();
    let sized = |length: usize| request(kind).payload(&vec![0x5a; length - base]);
    let mut narrow = vec![(Forward::Dsr, kind.family, 0)];
    for (forward, overhead) in [(Forward::Ipip, 0), (Forward::Gue, 8)] {
        narrow.push((forward, Family::V6, 40 + overhead));
        if kind.is_v4() {
            narrow.push((forward, Family::V4, 20 + overhead));
        }
    }
    for (forward, outer, overhead) in narrow {
        let room = Port::BACK_MTU - overhead;
        let packet = sized(room + 1);
        let name = format!("{} over {outer:?}", forward.name());
        let otherwise = if forward == Forward::Dsr {
            Verdict::NoNextHop
        } else {
            Verdict::NoRoom
        };
        rows.push(message(
            new(&format!("too big for {name}"), &packet, Verdict::TooBig).after(to(
                kind,
                Host::Back,
                forward,
                outer,
            )),
            &error(TOO_BIG, room as u32, &packet, 512),
        ));
        rows.push(
            new(
                &format!("too big for {name}, and no way to say so"),
                &packet.clone().from(cold),
                otherwise,
            )
            .after(to(kind, Host::Back, forward, outer)),
        );
    }
    rows.extend(sent_to_a_backend(kind));
    rows
}

/// About a reply of `fullnat`, whose sender talks to the load balancer.
fn sent_to_a_backend(kind: Kind) -> [Row; 1] {
    let room = Port::Front.mtu();
    let reply = fullnat::reply(kind).payload(b"");
    let missing = room + 1 - reply.length();
    let reply = reply.payload(&vec![0x5a; missing]);
    let source = flow::source(kind.client()).ip();
    let error = Message::new(TOO_BIG, source, ip(kind, fullnat::HERE))
        .rest(room as u32)
        .payload(&quoted(&reply, 512))
        .marked_as_control()
        .sent(Port::Back, fullnat::HERE);
    let description = "ICMP: a reply of fullnat too big for its client";
    let row = Row::new(kind, description, &reply, Verdict::TooBig)
        .after(fullnat::served(kind, fullnat::HERE))
        .after([fullnat::opened(kind)])
        .seen_by(fullnat::BY_FRONT);
    [message(row, &error)]
}
