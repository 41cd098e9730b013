//! Whether all services go together, and into the datapath.

use std::{collections::HashMap, net::SocketAddr};

use lb_common::{layout, service as table};

use super::{
    report::{At, Mistake, Place, Report},
    service::Service,
};
use crate::desired::Protocol;

/// Backends that the datapath has room for; index 0 names nobody.
const BACKENDS: usize = layout::BACKENDS_CAPACITY as usize - 1;
const LISTENERS: usize = table::LISTENERS as usize;
/// Each lookup table has a listener of its own, so there is room for all of them.
const _: () = assert!(table::POOLS >= 2 * table::LISTENERS);

type Listeners<'a> = HashMap<(SocketAddr, Protocol), (&'a Service, &'a Place)>;

pub(super) fn check(services: &[Service], report: &Report) {
    unique_names(services, report);
    let listeners = unique_listeners(services, report);
    no_chains(services, &listeners, report);
    room(services, report);
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

fn unique_listeners<'a>(services: &'a [Service], report: &Report) -> Listeners<'a> {
    let mut listeners = Listeners::new();
    for service in services {
        let Some(protocol) = service.protocol else {
            continue;
        };
        for At { value, place } in &service.listen {
            let Some((other, first)) = listeners.insert((*value, protocol), (service, place))
            else {
                continue;
            };
            let found = format!("{value}, where {} listens already", other.place.key);
            let help = format!("it is on line {}", report.line(first));
            let expected = "an address and port of its own";
            report.add(place, Mistake::new(found, expected).help(help));
        }
    }
    listeners
}

/// A packet is rewritten once: a backend that is a listener would never see it.
fn no_chains(services: &[Service], listeners: &Listeners, report: &Report) {
    for service in services {
        let Some(protocol) = service.protocol else {
            continue;
        };
        for backend in &service.backends {
            let address = backend.settings.address;
            let Some((listening, at)) = listeners.get(&(address, protocol)) else {
                continue;
            };
            let found = format!("{address}, where {} listens", listening.place.key);
            let help = format!(
                "it listens there since line {}; one service cannot be the backend of another",
                report.line(at)
            );
            let expected = "the address of a server";
            report.add(&backend.address, Mistake::new(found, expected).help(help));
        }
    }
}

fn room(services: &[Service], report: &Report) {
    let backends = services.iter().flat_map(|service| &service.backends);
    let backends = backends.map(|backend| &backend.address);
    beyond(backends, BACKENDS, "backends", report);
    let listeners = || services.iter().flat_map(|service| &service.listen);
    let v4 = listeners()
        .filter(|at| at.value.is_ipv4())
        .map(|at| &at.place);
    beyond(v4, LISTENERS, "IPv4 listeners", report);
    let v6 = listeners()
        .filter(|at| at.value.is_ipv6())
        .map(|at| &at.place);
    beyond(v6, LISTENERS, "IPv6 listeners", report);
}

/// Reports the first of `places` that there is no room for.
fn beyond<'a>(
    places: impl Iterator<Item = &'a Place>,
    capacity: usize,
    what: &str,
    report: &Report,
) {
    let mut rest = places.skip(capacity);
    let Some(first) = rest.next() else {
        return;
    };
    let found = format!("{} {what}", capacity + 1 + rest.count());
    report.add(first, Mistake::new(found, format!("at most {capacity}")));
}
