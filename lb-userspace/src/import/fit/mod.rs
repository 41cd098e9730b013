//! Which parts of the drafts make a configuration that shunt takes.

mod backends;
mod claims;
mod listeners;
mod names;
mod spare;

use std::{collections::HashSet, net::IpAddr};

use self::{claims::Claims, spare::Spare};
use super::{
    Options,
    check::{Check, Kind},
    counterpart,
    draft::{Backend, Draft, Ip},
    notes::Notes,
};
use crate::{
    address::{Endpoint, Listen, Ports},
    desired::{HEAVIEST, Protocol},
};

/// A service as it is written, or only commented, where it is abandoned.
#[derive(Debug)]
pub(super) struct Fitted {
    pub(super) draft: Draft,
    pub(super) listen: Vec<Listen>,
    /// Whether it listens at an address for examples.
    pub(super) is_example: bool,
    pub(super) scheduler: &'static str,
    pub(super) abandoned: Option<&'static str>,
}

pub(super) fn fit(drafts: Vec<Draft>, options: &Options, notes: &mut Notes) -> Vec<Fitted> {
    let mut services: Vec<_> = drafts.into_iter().map(Fitted::new).collect();
    names::make_unique(&mut services, notes);
    for service in &mut services {
        if let Some(why) = service.abandoned {
            let why = format!("{why}: the service is written as a comment");
            notes.add(&service.draft.origin, why);
        }
        backends::leave_second_ones(&mut service.draft, notes);
        abandon(service, notes);
    }
    let spare = Spare::new(taken(&services, options));
    let mut claims = Claims::default();
    listeners::assign(&mut services, options, &mut claims, &spare, notes);
    for service in &mut services {
        if service.abandoned.is_some() {
            service.listen = listeners::unclaimed(service, options, &spare);
            continue;
        }
        backends::leave_listeners(service, &claims, notes);
        listeners::leave_unserved(service, notes);
        backends::leave_unserved(service, notes);
        abandon(service, notes);
        scale_weights(&mut service.draft, notes);
        count_failures_of_tcp(&mut service.draft, notes);
        check_a_port(service, notes);
    }
    services
}

impl Fitted {
    fn new(draft: Draft) -> Self {
        let scheduler = counterpart::scheduler(draft.method);
        Self {
            abandoned: draft.off,
            draft,
            listen: Vec::new(),
            is_example: false,
            scheduler,
        }
    }
}

/// Addresses that no placeholder may be.
fn taken(services: &[Fitted], options: &Options) -> HashSet<IpAddr> {
    let endpoints = services.iter().flat_map(|service| &service.draft.backends);
    let backends = endpoints.filter_map(Backend::endpoint);
    let listeners = services.iter().flat_map(|service| &service.draft.listeners);
    let listeners = listeners.filter_map(|listener| match listener.ip {
        Ip::One(ip) => Some(ip),
        _ => None,
    });
    let addresses = backends.map(|backend| backend.ip).chain(listeners);
    addresses.chain(options.vips.iter().copied()).collect()
}

fn abandon(service: &mut Fitted, notes: &mut Notes) {
    if service.abandoned.is_some() || service.draft.backends.iter().any(Backend::is_primary) {
        return;
    }
    let why = "no backend is left that takes connections: the service is written as a comment";
    notes.add(&service.draft.origin, why);
    service.abandoned = Some("no backend is left");
}

/// A datagram has no answer that everybody sends.
fn count_failures_of_tcp(draft: &mut Draft, notes: &mut Notes) {
    if draft.protocol != Protocol::Udp {
        return;
    }
    for backend in &mut draft.backends {
        let before = backend.bounds.len();
        backend
            .bounds
            .retain(|(key, _)| !["max_fails", "fail_timeout"].contains(key));
        if backend.bounds.len() < before {
            let why = "failures of UDP are not counted: checks find them, see [service.health]";
            notes.add(&backend.said, why);
        }
    }
}

/// Shunt takes less than nginx.
fn scale_weights(draft: &mut Draft, notes: &mut Notes) {
    let most = u32::from(HEAVIEST);
    let heaviest = draft.backends.iter().map(|backend| backend.weight).max();
    let Some(heaviest) = heaviest.filter(|&heaviest| heaviest > most) else {
        return;
    };
    for backend in &mut draft.backends {
        let scaled = u64::from(backend.weight) * u64::from(most) / u64::from(heaviest);
        let least = u32::from(backend.weight > 0);
        // No more than `most`, because no weight is more than the heaviest.
        backend.weight = u32::try_from(scaled).unwrap_or(most).max(least);
    }
    let why = format!("weights are scaled to at most {most}");
    notes.add(&draft.origin, why);
}

/// A check needs a port where a backend has none.
fn check_a_port(service: &mut Fitted, notes: &mut Notes) {
    let draft = &mut service.draft;
    if draft.protocol == Protocol::Udp {
        let why =
            "backends of UDP are not checked: [service.health] type = \"dns\" or \"udp\" does that";
        notes.add(&draft.origin, why);
        return;
    }
    let has_ports = draft.backends.iter().all(|backend| {
        let checked = backend.check_at.and_then(|at| at.port);
        let own = |endpoint: Endpoint| checked.or(endpoint.port).is_some();
        backend.endpoint().is_none_or(own)
    });
    if !has_ports && draft.check.port.is_none() {
        draft.check.port = only_port(&service.listen);
        if draft.check.port.is_none() {
            draft.check = Check {
                kind: Kind::None,
                ..Check::default()
            };
            let why = "backends without a port are not checked: say which one in [service.health], port = N";
            notes.add(&draft.origin, why);
            return;
        }
    }
    if !draft.is_checked {
        let why =
            "no server has `check`: shunt checks them; [service.health] type = \"none\" ends that";
        notes.add(&draft.origin, why);
    }
}

fn only_port(listen: &[Listen]) -> Option<u16> {
    match listen {
        [
            Listen {
                ports: Ports::One(port),
                ..
            },
        ] => Some(*port),
        _ => None,
    }
}
