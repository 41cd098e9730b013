//! Who listens where.

use std::{
    collections::BTreeMap,
    mem::{Discriminant, discriminant},
    net::IpAddr,
};

use lb_common::service::LISTENERS;

use crate::{
    address::{Listen, Ports},
    desired::Protocol,
};

/// As in a configuration: one port, a range and a whole address go beside each other.
#[derive(Debug, Default)]
pub(super) struct Claims {
    claims: BTreeMap<IpAddr, Vec<Claim>>,
    /// What the datapath holds of IPv6 and IPv4.
    held: [usize; 2],
}

#[derive(Debug)]
struct Claim {
    protocol: Protocol,
    ports: Ports,
    service: String,
}

impl Claims {
    /// The name of the service that has some of it.
    pub(super) fn owner(&self, listen: Listen, protocol: Protocol) -> Option<&str> {
        let kind = discriminant(&listen.ports);
        self.find(listen, protocol, |other| other == kind)
    }

    /// The same, whatever the precedence.
    pub(super) fn any_owner(&self, listen: Listen, protocol: Protocol) -> Option<&str> {
        self.find(listen, protocol, |_| true)
    }

    /// Whether the datapath can hold it with all others of its family.
    pub(super) fn has_room(&self, listen: Listen) -> bool {
        self.held[family(listen)] + entries(listen) <= LISTENERS as usize
    }

    pub(super) fn add(&mut self, listen: Listen, protocol: Protocol, service: &str) {
        self.held[family(listen)] += entries(listen);
        self.claims.entry(listen.ip).or_default().push(Claim {
            protocol,
            ports: listen.ports,
            service: service.to_owned(),
        });
    }

    fn find(
        &self,
        listen: Listen,
        protocol: Protocol,
        is_kind: impl Fn(Discriminant<Ports>) -> bool,
    ) -> Option<&str> {
        let (first, last) = listen.ports.bounds();
        let mut claims = self.claims.get(&listen.ip)?.iter();
        let claim = claims.find(|claim| {
            let (start, end) = claim.ports.bounds();
            let overlaps = start <= last && first <= end;
            claim.protocol == protocol && overlaps && is_kind(discriminant(&claim.ports))
        })?;
        Some(&claim.service)
    }
}

const fn family(listen: Listen) -> usize {
    listen.ip.is_ipv4() as usize
}

fn entries(listen: Listen) -> usize {
    listen.ports.endpoints(listen.ip).len()
}
