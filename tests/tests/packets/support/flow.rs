//! What the datapath derives from a flow. Which bits spread it is no one's business: the datapath's own hash says it.

use std::net::{IpAddr, SocketAddr};

use lb_common::{
    hash::Hashes,
    snat::{self, Ports, SnatAddress},
};

use super::{
    plan::{self, Family, VIP_PORT},
    world::SEED,
};

/// The hash of a client's flow to the VIP.
pub fn hash(client: SocketAddr) -> u32 {
    hashes(client).flow
}

/// The hashes of a client's flow to the VIP.
pub fn hashes(client: SocketAddr) -> Hashes {
    let (client_port, vip_port) = (client.port().to_be(), VIP_PORT.to_be());
    match client.ip() {
        IpAddr::V4(ip) => {
            let client = u32::from_ne_bytes(ip.octets());
            Hashes::of(SEED, client, client_port, vip_port)
        }
        IpAddr::V6(ip) => {
            let octets = ip.octets();
            let client: [u32; 4] = std::array::from_fn(|i| {
                let word = &octets[4 * i..4 * i + 4];
                u32::from_ne_bytes([word[0], word[1], word[2], word[3]])
            });
            Hashes::of(SEED, client, client_port, vip_port)
        }
    }
}

/// The source that `fullnat` gives a client's flow, where its first draw is free.
pub fn source(client: SocketAddr) -> SocketAddr {
    let family = if client.is_ipv4() {
        Family::V4
    } else {
        Family::V6
    };
    let address = SnatAddress {
        address: (),
        ports: Ports::ALL,
    };
    let port = address.port(snat::draw(hash(client), 0));
    SocketAddr::new(plan::snat(family), u16::from_be(port))
}
