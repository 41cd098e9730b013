//! Pools that record every flow: their new flows are given out by the scheduler, and stay where they are.

use lb_common::{
    backend::BackendState,
    service::IndexedBy,
    slot::Slot,
    verdict::{Event, Verdict},
};

use crate::{
    forward::request,
    support::{
        packet::{Packet, SYN},
        plan::{Host, Kind, Port},
        row::{Program, Row, Step},
    },
};

const SCHEDULERS: [(IndexedBy, &str); 3] = [
    (IndexedBy::Turn, "by turns"),
    (IndexedBy::Random, "at random"),
    (IndexedBy::LeastLoaded, "by load"),
];
const FIRST: Host = Host::Back;
const SECOND: Host = Host::Other;

pub fn rows(kind: Kind) -> Vec<Row> {
    let each = SCHEDULERS.iter();
    each.flat_map(|&(by, name)| scheduled(kind, by, name))
        .collect()
}

fn scheduled(kind: Kind, by: IndexedBy, name: &str) -> Vec<Row> {
    let table = |host: Host| Step::Indexed(by, vec![Slot::stable(kind.id(host)); 3]);
    let opening = if kind.is_tcp() {
        request(kind).flags(SYN)
    } else {
        request(kind)
    };
    let seen =
        |packet: Packet| Step::seen(Program::Xdp(Port::Front), packet, Verdict::ForwardOther);
    let row =
        |what: &str, host, packet: &Packet| to(kind, &format!("{name}: {what}"), host, packet);
    let opened = [
        Event::SelectRecorded,
        Event::SelectNew,
        Event::FlowRecorded,
        Event::ReverseWritten,
    ];
    let mut rows = vec![
        row("a new flow is recorded", FIRST, &opening)
            .after([table(FIRST)])
            .with(&opened),
        row(
            "it stays when the table gives new ones to another",
            FIRST,
            &request(kind),
        )
        .after([table(FIRST), seen(opening.clone()), table(SECOND)])
        .with(&[Event::SelectRecorded]),
        row("its backend is down: another takes it", SECOND, &opening)
            .after([table(FIRST), seen(opening.clone()), table(SECOND)])
            .after([Step::Backend(FIRST, 1, BackendState::Down)])
            .with(&opened),
        Row::new(
            kind,
            &format!("{name}: nobody takes new flows"),
            &opening,
            Verdict::NoBackend,
        )
        .after([Step::Indexed(by, vec![Slot::EMPTY; 3])]),
    ];
    if kind.is_tcp() {
        let data = request(kind);
        rows.push(
            row(
                "what opens no flow and is none goes where its hash says",
                FIRST,
                &data,
            )
            .after([table(FIRST)])
            .with(&[Event::SelectCurrent]),
        );
        rows.push(
            row("a SYN sent again goes to the same backend", FIRST, &opening)
                .after([table(FIRST), seen(opening.clone()), table(SECOND)])
                .with(&[Event::SelectRecorded, Event::ReverseWritten]),
        );
    }
    rows
}

fn to(kind: Kind, description: &str, host: Host, packet: &Packet) -> Row {
    let sent = packet.clone().to(kind.backend(host));
    Row::new(kind, description, packet, Verdict::ForwardOther)
        .becomes(&sent.routed(Port::Back, host))
}
