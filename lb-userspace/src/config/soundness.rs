//! Whether a service makes sense in itself.

use std::{collections::HashMap, net::SocketAddr};

use super::{
    report::{At, Mistake, Place, Report},
    service::Service,
};

pub(super) fn check(service: &Service, report: &Report) {
    unique_backends(service, report);
    // A backend or listener that is left out for being wrong would make these wrong, too.
    if service.complete {
        families(service, report);
        enough_backends(service, report);
    }
}

fn unique_backends(service: &Service, report: &Report) {
    let mut names: HashMap<_, &Place> = HashMap::new();
    let mut addresses: HashMap<_, &Place> = HashMap::new();
    for backend in &service.backends {
        let (value, place) = (&backend.value, &backend.place);
        if let Some(first) = names.get(&value.name) {
            let found = format!("a second backend named {:?}", value.name);
            let help = format!("the first is on line {}", report.line(first));
            report.add(place, Mistake::new(found, "a name of its own").help(help));
        } else if let Some(first) = addresses.get(&value.address) {
            let found = format!("{}, a backend already", value.address);
            let help = format!(
                "it is on line {}: give one backend more weight instead",
                report.line(first)
            );
            report.add(place, Mistake::new(found, "each address once").help(help));
        }
        names.entry(&value.name).or_insert(place);
        addresses.entry(value.address).or_insert(place);
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Family {
    V4,
    V6,
}

impl Family {
    const fn of(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(_) => Self::V4,
            SocketAddr::V6(_) => Self::V6,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// Each family is served by a lookup table of its own, because `nat` does not translate between them.
fn families(service: &Service, report: &Report) {
    const HELP: &str = r#"forward = "nat" does not translate between IPv4 and IPv6"#;
    for family in [Family::V4, Family::V6] {
        let name = family.name();
        let listener = service
            .listen
            .iter()
            .find(|listener| Family::of(listener.value) == family);
        let backends: Vec<_> = service
            .backends
            .iter()
            .filter(|backend| Family::of(backend.value.address) == family)
            .collect();
        match (listener, backends.first()) {
            (None, None) => {}
            (Some(listener), None) => {
                let found = format!("{}, but no {name} backend", listener.value);
                let expected = format!("at least one {name} backend to serve it");
                report.add(&listener.place, Mistake::new(found, expected).help(HELP));
            }
            (None, Some(backend)) => {
                let found = format!("{}, but no {name} listener", backend.value.address);
                let expected = format!("an {name} address in `listen`");
                report.add(&backend.place, Mistake::new(found, expected).help(HELP));
            }
            (Some(_), Some(_)) => {
                let place = service.place.child("backend");
                if backends.iter().all(|backend| backend.value.weight == 0) {
                    let found = format!("weight = 0 on every {name} backend");
                    report.add(&place, Mistake::new(found, "at least one with more"));
                }
                if backends.iter().all(|backend| backend.value.backup) {
                    let found = format!("backup = true on every {name} backend");
                    report.add(&place, Mistake::new(found, "at least one without"));
                }
            }
        }
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
    if let Some(At { value, place }) = &service.table_size
        && (*value as usize) < count
    {
        let expected = format!("at least a slot for each of {count} backends");
        report.add(place, Mistake::new(value.to_string(), expected));
    }
}
