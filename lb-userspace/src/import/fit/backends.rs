//! Which backends a service can have.

use std::collections::HashSet;

use super::{Fitted, claims::Claims};
use crate::{
    address::Listen,
    import::{
        draft::{Backend, Draft},
        notes::Notes,
    },
};

/// Of each address, the first.
pub(super) fn leave_second_ones(draft: &mut Draft, notes: &mut Notes) {
    let mut seen = HashSet::new();
    for backend in &mut draft.backends {
        let Some(endpoint) = backend.endpoint() else {
            continue;
        };
        if !seen.insert(endpoint) {
            let why = format!("{endpoint} is a backend already: give that one more weight");
            notes.add(&backend.said, why);
            backend.leave();
        }
    }
}

/// No way to forward that is written here translates between IPv4 and IPv6.
pub(super) fn leave_unserved(service: &mut Fitted, notes: &mut Notes) {
    let of_listeners = |is_v4| service.listen.iter().any(|at| at.ip.is_ipv4() == is_v4);
    let served = [of_listeners(false), of_listeners(true)];
    for is_v4 in [false, true] {
        let mut backends = service.draft.backends.iter();
        let has_primary = backends.any(|backend| {
            let endpoint = backend.endpoint();
            backend.is_primary() && endpoint.is_some_and(|at| at.ip.is_ipv4() == is_v4)
        });
        if has_primary && served[usize::from(is_v4)] {
            continue;
        }
        for backend in &mut service.draft.backends {
            let endpoint = backend.endpoint();
            if endpoint.is_none_or(|endpoint| endpoint.ip.is_ipv4() != is_v4) {
                continue;
            }
            let (family, other) = if is_v4 {
                ("IPv4", "IPv6")
            } else {
                ("IPv6", "IPv4")
            };
            let why = if has_primary {
                format!(
                    "an {family} backend serves no {other} clients: give the service an {family} address in `listen`"
                )
            } else {
                format!("no {family} backend is in front of it: each family needs its own")
            };
            notes.add(&backend.said, why);
            backend.leave();
        }
    }
}

/// A packet is balanced once.
pub(super) fn leave_listeners(service: &mut Fitted, claims: &Claims, notes: &mut Notes) {
    let protocol = service.draft.protocol;
    let listen = service.listen.clone();
    let owner = |backend: &Backend| {
        let endpoint = backend.endpoint()?;
        if endpoint.port.is_some() {
            return claims.any_owner(Listen::from(endpoint), protocol);
        }
        let ip = endpoint.ip;
        let mut kept = listen.iter().map(|at| Listen { ip, ..*at });
        kept.find_map(|at| claims.any_owner(at, protocol))
    };
    for backend in &mut service.draft.backends {
        if let Some(owner) = owner(backend) {
            let why = format!(
                "the service `{owner}` listens there: one service cannot be the backend of another"
            );
            notes.add(&backend.said, why);
            backend.leave();
        }
    }
}
