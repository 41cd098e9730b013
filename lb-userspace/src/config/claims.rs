//! Who listens where.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    report::{At, Place},
    service::Service,
};
use crate::{
    address::{Listen, Ports},
    desired::Protocol,
};

/// What services listen on, without what another one of the same precedence has already.
#[derive(Debug, Default)]
pub(super) struct Claims<'a> {
    /// By the first port: the ports of a kind do not overlap.
    claims: BTreeMap<(IpAddr, Protocol, Kind), BTreeMap<u16, Claim<'a>>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    pub(super) service: &'a Service,
    pub(super) listen: Listen,
    pub(super) place: &'a Place,
}

/// Of the same precedence.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    One,
    Range,
    All,
}

impl Kind {
    const EVERY: [Self; 3] = [Self::One, Self::Range, Self::All];

    const fn of(ports: Ports) -> Self {
        match ports {
            Ports::One(_) => Self::One,
            Ports::Range(..) => Self::Range,
            Ports::All => Self::All,
        }
    }
}

impl<'a> Claims<'a> {
    /// Takes note of a listener, unless some of its ports are another's of the same kind, which is returned.
    pub(super) fn add(
        &mut self,
        service: &'a Service,
        protocol: Protocol,
        at: &'a At<Listen>,
    ) -> Result<(), Claim<'a>> {
        let listen = at.value;
        let kind = Kind::of(listen.ports);
        if let Some(other) = self.overlap(listen, protocol, kind) {
            return Err(other);
        }
        let (first, _) = listen.ports.bounds();
        let claim = Claim {
            service,
            listen,
            place: &at.place,
        };
        let of_kind = self.claims.entry((listen.ip, protocol, kind)).or_default();
        of_kind.insert(first, claim);
        Ok(())
    }

    /// Who listens on some of these ports.
    pub(super) fn find(&self, listen: Listen, protocol: Protocol) -> Option<Claim<'a>> {
        let mut kinds = Kind::EVERY.into_iter();
        kinds.find_map(|kind| self.overlap(listen, protocol, kind))
    }

    /// Whether a range has the port already, so that the datapath holds it once.
    pub(super) fn has_in_range(&self, listen: Listen, protocol: Protocol) -> bool {
        self.overlap(listen, protocol, Kind::Range).is_some()
    }

    fn overlap(&self, listen: Listen, protocol: Protocol, kind: Kind) -> Option<Claim<'a>> {
        let of_kind = self.claims.get(&(listen.ip, protocol, kind))?;
        let (first, last) = listen.ports.bounds();
        // They do not overlap each other: the last one to begin is the last one to end.
        let (_, claim) = of_kind.range(..=last).next_back()?;
        let (_, end) = claim.listen.ports.bounds();
        (end >= first).then_some(*claim)
    }
}
