//! Frames larger than a page, of which XDP reads the first buffer only (kernel 5.18).

use lb_common::verdict::Verdict;
use shunt_tests::needs;

use crate::{
    forward::{request, to_port, to_stack},
    support::{
        packet::{Layer, VLAN},
        plan::{Host, Kind, Port},
        row::Row,
    },
};

/// What fits through [`Port::Wide`], with the longest headers that rows make.
const PAYLOAD: usize = 8_900;

pub fn rows(kind: Kind) -> Vec<Row> {
    if needs::kernel("5.18").is_err() {
        return Vec::new();
    }
    let payload: Vec<u8> = (0..PAYLOAD).map(|at| at as u8).collect();
    let packet = request(kind).payload(&payload);
    // The total length, or that of what follows the header.
    let (place, header) = if kind.is_v4() { (2, 0) } else { (4, 40) };
    let length = (packet.length() - header + 1) as u16;
    let lies = packet
        .clone()
        .patched(Layer::Network, place, &length.to_be_bytes());
    vec![
        to_port(kind, "a large frame", Port::Wide, &packet),
        to_stack(
            kind,
            "a large frame, to a process here",
            Host::Local,
            &packet,
        ),
        to_stack(
            kind,
            "a large frame, by a way for small ones",
            Host::Back,
            &packet,
        ),
        to_stack(
            kind,
            "a large frame, out of an interface that takes none of others",
            Host::Linear,
            &packet,
        ),
        Row::new(
            kind,
            "a large frame whose tag goes",
            &packet.clone().tagged(&[VLAN]),
            Verdict::ForwardOther,
        )
        .served_by(Host::Wide)
        .becomes(
            &packet
                .clone()
                .to(kind.backend(Host::Wide))
                .routed(Port::Wide, Host::Wide),
        ),
        Row::new(
            kind,
            "a large frame that is shorter than it says",
            &lies,
            Verdict::Malformed,
        ),
    ]
}
