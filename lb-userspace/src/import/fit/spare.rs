//! Addresses that nobody has: a service that listens there harms no one until it is given a real one.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::claims::Claims;
use crate::{
    address::{Listen, Ports},
    desired::Protocol,
};

/// Of RFC 5737, as far as one needs.
const V4: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];
/// Of RFC 3849.
const V6: [u16; 7] = [0x2001, 0xdb8, 0, 0, 0, 0, 0];
const HOSTS: std::ops::RangeInclusive<u8> = 10..=254;

#[derive(Debug)]
pub(super) struct Spare {
    taken: HashSet<IpAddr>,
}

impl Spare {
    pub(super) fn new(taken: HashSet<IpAddr>) -> Self {
        Self { taken }
    }

    /// The address that stands for "any".
    pub(super) fn vip(&self, is_v4: bool) -> Option<IpAddr> {
        self.all(is_v4).next()
    }

    /// Somewhere that nobody listens.
    pub(super) fn listen(
        &self,
        is_v4: bool,
        ports: Ports,
        protocol: Protocol,
        claims: &Claims,
    ) -> Option<Listen> {
        let mut free = self.all(is_v4).map(|ip| Listen { ip, ports });
        free.find(|&listen| claims.has_room(listen) && claims.any_owner(listen, protocol).is_none())
    }

    fn all(&self, is_v4: bool) -> impl Iterator<Item = IpAddr> {
        let v4 = V4
            .iter()
            .flat_map(|&[a, b, c]| HOSTS.map(move |host| IpAddr::V4(Ipv4Addr::new(a, b, c, host))));
        let v6 = HOSTS.map(|host| {
            let [a, b, c, d, e, f, g] = V6;
            // As it is read: ::10, ::11.
            let low = u16::from_str_radix(&host.to_string(), 16).unwrap_or_default();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, low))
        });
        v4.filter(move |_| is_v4)
            .chain(v6.filter(move |_| !is_v4))
            .filter(|ip| !self.taken.contains(ip))
    }
}
