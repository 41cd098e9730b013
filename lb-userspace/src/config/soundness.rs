//! Whether a service makes sense in itself.

use std::{collections::HashMap, net::IpAddr};

use super::{
    backend::Backend,
    report::{At, Mistake, Place, Report},
    service::Service,
};
use crate::{
    address::Ports,
    desired::{Check, Forward, Protocol},
};

pub(super) fn check(service: &Service, report: &Report) {
    unique_backends(service, report);
    // A backend or listener that is left out for being wrong would make these wrong, too.
    if service.complete {
        families(service, report);
        kept_ports(service, report);
        enough_backends(service, report);
    }
    checked_ports(service, report);
    heard_answers(service, report);
}

/// Whether a backend fails is seen where its answers to SYNs pass.
fn heard_answers(service: &Service, report: &Report) {
    let answers_pass = service.forward.changes_ports();
    if answers_pass && service.protocol != Some(Protocol::Udp) {
        return;
    }
    let backends = service.backends.iter();
    for (backend, place) in
        backends.filter_map(|backend| Some((backend, backend.max_fails.as_ref()?)))
    {
        let max_fails = backend.settings.passive.max_fails;
        if max_fails == 0 {
            continue;
        }
        let expected = "0: its answers to new TCP connections do not pass here";
        let help =
            "let [service.health] find out, or use forward = \"nat\" or \"fullnat\", and TCP";
        report.add(
            place,
            Mistake::new(max_fails.to_string(), expected).help(help),
        );
    }
}

fn unique_backends(service: &Service, report: &Report) {
    let mut names: HashMap<_, &Place> = HashMap::new();
    let mut addresses: HashMap<_, &Place> = HashMap::new();
    for backend in &service.backends {
        let Backend {
            settings,
            name,
            address,
            ..
        } = backend;
        if let Some(first) = names.get(&settings.name) {
            let found = format!("a second backend named {:?}", settings.name);
            let help = format!("the first is on line {}", report.line(first));
            report.add(name, Mistake::new(found, "a name of its own").help(help));
        } else if let Some(first) = addresses.get(&settings.address) {
            let found = format!("{}, a backend already", settings.address);
            let help = format!(
                "it is on line {}: give one backend more weight instead",
                report.line(first)
            );
            report.add(address, Mistake::new(found, "each address once").help(help));
        }
        names.entry(&settings.name).or_insert(name);
        addresses.entry(settings.address).or_insert(address);
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Family {
    V4,
    V6,
}

impl Family {
    const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// Each family has a lookup table of its own, because nothing translates between them: each has to make sense in
/// itself. Only tunnels take IPv4 to IPv6 backends, of services that have no others.
fn families(service: &Service, report: &Report) {
    for family in [Family::V4, Family::V6] {
        let mut listeners = service.listen.iter();
        let listener = listeners.find(|listener| Family::of(listener.value.ip) == family);
        let of = |family| -> Vec<&Backend> {
            let all = service.backends.iter();
            all.filter(|backend| Family::of(backend.settings.address.ip) == family)
                .collect()
        };
        let is_4in6 = service.forward.is_tunnel() && of(Family::V4).is_empty();
        let mut backends = of(family);
        if is_4in6 && family == Family::V4 && listener.is_some() {
            backends = of(Family::V6);
        }
        if is_4in6 && family == Family::V6 && listener.is_none() {
            continue;
        }
        match (listener, backends.first()) {
            (None, None) => {}
            (Some(_), Some(_)) => shares(service, family, &backends, report),
            (Some(listener), None) => {
                let expected = format!("at least one {} backend to serve it", family.name());
                let found = format!("{}, but no {} backend", listener.value, family.name());
                unserved(service.forward, &listener.place, found, expected, report);
            }
            (None, Some(backend)) => {
                let address = backend.settings.address;
                let expected = format!("an {} address in `listen`", family.name());
                let found = format!("{address}, but no {} listener", family.name());
                unserved(service.forward, &backend.address, found, expected, report);
            }
        }
    }
}

fn unserved(forward: Forward, place: &Place, found: String, expected: String, report: &Report) {
    let name = forward.name();
    let help = format!("forward = \"{name}\" does not translate between IPv4 and IPv6");
    report.add(place, Mistake::new(found, expected).help(help));
}

/// Where ports are not changed, the backend listens where the clients think that the VIP does.
fn kept_ports(service: &Service, report: &Report) {
    let forward = service.forward;
    if forward.changes_ports() {
        return;
    }
    for backend in &service.backends {
        let Some(port) = backend.settings.address.port else {
            continue;
        };
        let mut ports = service.listen.iter().map(|listener| listener.value.ports);
        let Some(other) = ports.find(|&ports| ports != Ports::One(port)) else {
            continue;
        };
        let expected = match other {
            Ports::One(other) => format!("port {other}, as in `listen`, or none"),
            Ports::Range(..) | Ports::All => "none, as `listen` has more than one".to_owned(),
        };
        let help = format!("forward = \"{}\" does not change ports", forward.name());
        let mistake = Mistake::new(format!("port {port}"), expected).help(help);
        report.add(&backend.address, mistake);
    }
}

/// A check needs a port.
fn checked_ports(service: &Service, report: &Report) {
    if service.health.check == Check::None || service.health.port.is_some() {
        return;
    }
    for backend in &service.backends {
        let settings = &backend.settings;
        let checked = settings.check_address.and_then(|address| address.port);
        let address = settings.address;
        if checked.or(address.port).is_none() {
            let help = "write which one in [service.health]: port = N; or check nothing there: type = \"none\"";
            let mistake = Mistake::new(format!("{address}, without a port"), "a port to check");
            report.add(&backend.address, mistake.help(help));
        }
    }
}

/// Whether somebody takes new flows, and the table has room for all who may.
fn shares(service: &Service, family: Family, backends: &[&Backend], report: &Report) {
    let (name, place) = (family.name(), service.place.child("backend"));
    if backends.iter().all(|backend| backend.settings.weight == 0) {
        let found = format!("weight = 0 on every {name} backend");
        let expected = "at least one with weight 1 or more";
        report.add(&place, Mistake::new(found, expected));
    }
    if backends.iter().all(|backend| backend.settings.backup) {
        let found = format!("backup = true on every {name} backend");
        let expected = "at least one primary, with backup = false";
        report.add(&place, Mistake::new(found, expected));
    }
    let count = backends.len();
    if let Some(At { value, place }) = &service.table_size
        && (*value as usize) < count
    {
        let expected = format!("a slot for each of {count} {name} backends");
        report.add(place, Mistake::new(format!("{value} slots"), expected));
    }
}

fn enough_backends(service: &Service, report: &Report) {
    let count = service.backends.len();
    if let Some(At { value, place }) = &service.min_active
        && *value > count
    {
        let expected = format!("at most {count}, the number of backends");
        report.add(place, Mistake::new(value.to_string(), expected));
    }
}
