//! Tables whose slots follow from the client's address alone.

use lb_common::{
    hash,
    service::IndexedBy,
    slot::Slot,
    verdict::{Event, Verdict},
};

use crate::{
    forward::request,
    support::{
        flow,
        packet::{Packet, SYN},
        plan::{Host, Kind, Port},
        row::{Row, Step},
    },
};

const HOSTS: [Host; 2] = [Host::Back, Host::Other];
/// Which slot is whose is then decided by more than chance.
const PORTS: [u16; 6] = [1024, 20_000, 40_000, 40_001, 50_123, 65_535];

pub fn rows(kind: Kind) -> Vec<Row> {
    let by_client = |slots| Step::Indexed(IndexedBy::Client, slots);
    let both = || by_client(HOSTS.map(|host| Slot::stable(kind.id(host))).to_vec());
    let own = HOSTS[hash::scale(flow::hashes(kind.client()).client, 2) as usize];
    let mut rows: Vec<Row> = PORTS
        .iter()
        .map(|&port| {
            let packet = request(kind).from(kind.at(Host::Client, port));
            let description = format!("by the client alone: its port {port}");
            to(kind, &description, own, &packet).after([both()])
        })
        .collect();

    let packet = request(kind);
    let [old, new] = HOSTS;
    let before = Step::Table(vec![Slot::stable(kind.id(old))]);
    let after = by_client(vec![Slot::resized(kind.id(new))]);
    let mut recorded = vec![Event::SelectPrevious, Event::FlowRecorded];
    if !kind.is_tcp() {
        recorded.push(Event::ReverseWritten);
    }
    rows.push(
        to(
            kind,
            "by the client from now on: an old flow stays",
            old,
            &packet,
        )
        .after([before.clone(), after.clone()])
        .with(&recorded),
    );
    if kind.is_tcp() {
        let description = "by the client from now on: a new flow goes to its owner";
        rows.push(
            to(kind, description, new, &packet.flags(SYN))
                .after([before, after])
                .with(&[
                    Event::SelectCurrent,
                    Event::FlowRecorded,
                    Event::ReverseWritten,
                ]),
        );
    }
    rows
}

fn to(kind: Kind, description: &str, host: Host, packet: &Packet) -> Row {
    let sent = packet.clone().to(kind.backend(host));
    Row::new(kind, description, packet, Verdict::ForwardOther)
        .becomes(&sent.routed(Port::Back, host))
}
