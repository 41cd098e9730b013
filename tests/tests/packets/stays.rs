//! Packets of clients that are not forwarded.

use std::net::SocketAddr;

use lb_common::{backend::BackendState, filter, verdict::Verdict};

use crate::{
    forward::{request, to_stack},
    support::{
        packet::Packet,
        plan::{self, Host, Kind, Port},
        row::{Program, Row, Step},
        world::NOBODY,
    },
};

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = not_ours(kind);
    rows.extend(nobody_there(kind));
    rows
}

fn not_ours(kind: Kind) -> Vec<Row> {
    let pass = |description: &str, destination: SocketAddr| {
        let packet = request(kind).to(destination);
        Row::new(kind, description, &packet, Verdict::NotOurs)
    };
    let other_protocol = if kind.is_tcp() {
        plan::UDP_PORT
    } else {
        plan::TCP_PORT
    };
    vec![
        pass("another port of the VIP", kind.at(Host::Vip, 8080)),
        pass("port 0 of the VIP", kind.at(Host::Vip, 0)),
        pass(
            "a listener for the other protocol alone",
            kind.at(Host::Vip, other_protocol),
        ),
        pass("another address", kind.at(Host::Stranger, plan::VIP_PORT)),
        pass(
            "a backend's own address, past the VIP",
            kind.backend(Host::Back),
        ),
        pass(
            "a filter bit of the VIP, but no listener",
            neighbour_bit(kind),
        ),
        Row::new(
            kind,
            "from the VIP, not to it",
            &request(kind).from(kind.vip()).to(kind.client()),
            Verdict::NotOurs,
        ),
    ]
}

/// Another endpoint with the VIP's bit in the filter.
fn neighbour_bit(kind: Kind) -> SocketAddr {
    let vip = position(kind.vip());
    let address = Host::Stranger.address(kind.family);
    (0..=u16::MAX)
        .map(|port| SocketAddr::new(address, port))
        .find(|&endpoint| position(endpoint) == vip)
        .expect("ports reach every bit")
}

fn position(endpoint: SocketAddr) -> (u32, u32) {
    let port = endpoint.port().to_be();
    match endpoint {
        SocketAddr::V4(v4) => filter::position(u32::from_ne_bytes(v4.ip().octets()), port),
        SocketAddr::V6(v6) => {
            let words: [u32; 4] = std::array::from_fn(|i| {
                let octets = v6.ip().octets();
                u32::from_ne_bytes(octets[4 * i..4 * i + 4].try_into().unwrap())
            });
            filter::position(words, port)
        }
    }
}

fn nobody_there(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    let dropped = |description: &str, packet: &Packet| {
        Row::new(kind, description, packet, Verdict::NoBackend)
    };
    let mut rows = vec![
        dropped("nobody owns the slot", &packet).after([Step::Table(vec![NOBODY])]),
        dropped("the owner is down", &packet)
            .served_by(Host::Back)
            .after([Step::Backend(Host::Back, 1, BackendState::Down)]),
        dropped("the owner's place was given to another", &packet)
            .served_by(Host::Back)
            .after([Step::Backend(Host::Back, 2, BackendState::Alive)]),
        dropped(
            "the service has no table",
            &packet.clone().to(kind.at(Host::Vip, plan::EMPTY_PORT)),
        ),
        dropped("nobody, and no hop left", &packet.clone().ttl(0))
            .after([Step::Table(vec![NOBODY])]),
    ];
    rows.push(
        to_stack(kind, "the owner is back", Host::Local, &packet).after([
            Step::Backend(Host::Local, 1, BackendState::Down),
            Step::seen(
                Program::Xdp(Port::Front),
                packet.clone(),
                Verdict::NoBackend,
            ),
            Step::Backend(Host::Local, 1, BackendState::Alive),
        ]),
    );
    rows
}
