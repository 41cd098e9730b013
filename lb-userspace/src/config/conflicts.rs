//! Whether all services go together, and into the datapath.

use std::collections::HashMap;

use lb_common::{layout, service as table};

use super::{
    backend::Backend,
    claims::{Claim, Claims},
    report::{At, Mistake, Place, Report},
    service::Service,
};
use crate::{
    address::{Listen, Ports},
    desired::Protocol,
};

/// Backends that the datapath has room for; index 0 names nobody.
const BACKENDS: usize = layout::BACKENDS_CAPACITY as usize - 1;
const LISTENERS: usize = table::LISTENERS as usize;
/// Each lookup table has a listener of its own, so there is room for all of them.
const _: () = assert!(table::POOLS >= 2 * table::LISTENERS);

pub(super) fn check(services: &[Service], report: &Report) {
    unique_names(services, report);
    let claims = unique_listeners(services, report);
    no_chains(services, &claims, report);
    room(services, &claims, report);
}

fn unique_names(services: &[Service], report: &Report) {
    let mut names = HashMap::new();
    for At { value, place } in services.iter().filter_map(|service| service.name.as_ref()) {
        if let Some(first) = names.insert(value, place) {
            let found = format!("a second service named {value:?}");
            let help = format!("the other is on line {}", report.line(first));
            report.add(place, Mistake::new(found, "a name of its own").help(help));
        }
    }
}

fn unique_listeners<'a>(services: &'a [Service], report: &Report) -> Claims<'a> {
    let mut claims = Claims::default();
    for (service, protocol) in with_protocol(services) {
        for at in &service.listen {
            let Err(other) = claims.add(service, protocol, at) else {
                continue;
            };
            let found = format!(
                "{}, where {} listens already",
                at.value, other.service.place.key
            );
            let expected = match at.value.ports {
                Ports::One(_) => "an address and port of its own",
                Ports::Range(..) => "ports of its own",
                Ports::All => "an address of its own",
            };
            let help = format!("{} is on line {}", other.listen, report.line(other.place));
            report.add(&at.place, Mistake::new(found, expected).help(help));
        }
    }
    claims
}

/// Those whose protocol is right.
fn with_protocol(services: &[Service]) -> impl Iterator<Item = (&Service, Protocol)> {
    services
        .iter()
        .filter_map(|service| Some((service, service.protocol?)))
}

/// A packet is rewritten once: a backend that is a listener would never see it.
fn no_chains(services: &[Service], claims: &Claims, report: &Report) {
    for (service, protocol) in with_protocol(services) {
        for backend in &service.backends {
            let Some(claim) = listens_at(backend, service, protocol, claims) else {
                continue;
            };
            let (address, listening) = (backend.settings.address, &claim.service.place.key);
            let found = format!("{address}, where {listening} listens");
            let help = format!(
                "it listens on {} since line {}; one service cannot be the backend of another",
                claim.listen,
                report.line(claim.place)
            );
            let expected = "the address of a server";
            report.add(&backend.address, Mistake::new(found, expected).help(help));
        }
    }
}

/// Who listens where a backend is: at its port, or at those that packets keep.
fn listens_at<'a>(
    backend: &Backend,
    service: &Service,
    protocol: Protocol,
    claims: &Claims<'a>,
) -> Option<Claim<'a>> {
    let address = backend.settings.address;
    if address.port.is_some() {
        return claims.find(address.into(), protocol);
    }
    let mut kept = service.listen.iter().map(|at| Listen {
        ip: address.ip,
        ports: at.value.ports,
    });
    kept.find_map(|listen| claims.find(listen, protocol))
}

fn room(services: &[Service], claims: &Claims, report: &Report) {
    let backends = services.iter().flat_map(|service| &service.backends);
    let backends = backends.map(|backend| (&backend.address, 1));
    beyond(backends, BACKENDS, "backends", None, report);
    let listeners = |is_family: fn(&Listen) -> bool| {
        with_protocol(services).flat_map(move |(service, protocol)| {
            let listen = service.listen.iter().filter(move |at| is_family(&at.value));
            listen.map(move |At { value, place }| (place, entries(*value, protocol, claims)))
        })
    };
    let help = "each port of a range is one: without a port, all of an address are one";
    let v4 = listeners(|listen| listen.ip.is_ipv4());
    beyond(v4, LISTENERS, "IPv4 listeners", Some(help), report);
    let v6 = listeners(|listen| listen.ip.is_ipv6());
    beyond(v6, LISTENERS, "IPv6 listeners", Some(help), report);
}

/// What the datapath has for a listener.
fn entries(listen: Listen, protocol: Protocol, claims: &Claims) -> usize {
    match listen.ports {
        Ports::One(_) if claims.has_in_range(listen, protocol) => 0,
        ports => ports.endpoints(listen.ip).len(),
    }
}

/// Reports the first place that there is no room for, each of which takes some.
fn beyond<'a>(
    places: impl Iterator<Item = (&'a Place, usize)>,
    capacity: usize,
    what: &str,
    help: Option<&str>,
    report: &Report,
) {
    let (mut total, mut first) = (0, None);
    for (place, count) in places {
        total += count;
        if total > capacity && first.is_none() {
            first = Some(place);
        }
    }
    let Some(first) = first else {
        return;
    };
    let mistake = Mistake::new(format!("{total} {what}"), format!("at most {capacity}"));
    report.add(
        first,
        match help {
            Some(help) => mistake.help(help),
            None => mistake,
        },
    );
}
