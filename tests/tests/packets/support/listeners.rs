//! Who listens at the VIP.

use std::collections::BTreeMap;

use lb_userspace::{dataplane::Listener, desired::Protocol};

use super::{
    plan::{self, Host, Kind},
    row::Row,
};

/// The listeners while a row is run, with their pools: those of every row, and its own.
pub fn of(row: &Row) -> BTreeMap<Listener, u16> {
    let mut listeners = every();
    for listens in &row.listeners {
        let listener = Listener {
            address: row.kind.at(Host::Vip, listens.port.unwrap_or(0)).into(),
            protocol: listens.protocol,
        };
        listeners.insert(listener, listens.pool);
    }
    listeners
}

fn every() -> BTreeMap<Listener, u16> {
    let mut listeners = BTreeMap::new();
    for kind in Kind::ALL {
        let own_port = match kind.protocol {
            Protocol::Tcp => plan::TCP_PORT,
            Protocol::Udp => plan::UDP_PORT,
        };
        for (port, pool) in [
            (plan::VIP_PORT, kind.pool()),
            (own_port, kind.pool()),
            (plan::EMPTY_PORT, plan::EMPTY_POOL),
        ] {
            let listener = Listener {
                address: kind.at(Host::Vip, port).into(),
                protocol: kind.protocol,
            };
            listeners.insert(listener, pool);
        }
    }
    listeners
}
