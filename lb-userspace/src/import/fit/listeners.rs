//! Where each service listens.

use std::net::IpAddr;

use super::{Fitted, claims::Claims, spare::Spare};
use crate::{
    address::{Listen, Ports},
    import::{
        Options,
        draft::{Backend, Ip, Listener},
        notes::Notes,
        place::clip,
    },
};

/// Where a service would listen that is only a comment.
pub(super) fn unclaimed(service: &Fitted, options: &Options, spare: &Spare) -> Vec<Listen> {
    let mut all = Vec::new();
    for listener in &service.draft.listeners {
        let (ips, _) = addresses(listener, options, spare, &mut Notes::default());
        let ports = listener.ports;
        let listen = ips.into_iter().map(|ip| Listen { ip, ports });
        all.extend(listen);
    }
    all
}

pub(super) fn assign(
    services: &mut [Fitted],
    options: &Options,
    claims: &mut Claims,
    spare: &Spare,
    notes: &mut Notes,
) {
    let mut wanted: Vec<(usize, Listener)> = Vec::new();
    for (index, service) in services.iter().enumerate() {
        if service.abandoned.is_none() {
            let listeners = service.draft.listeners.iter().cloned();
            wanted.extend(listeners.map(|listener| (index, listener)));
        }
    }
    wanted.sort_by_key(|(_, listener)| listener.rank);
    for (index, listener) in wanted {
        let service = &mut services[index];
        let is_v4 = listener.ip.is_v4();
        if !has_primary(service, is_v4) {
            let family = if is_v4 { "IPv4" } else { "IPv6" };
            let name = clip(&service.draft.name);
            let why = format!("no {family} backend of `{name}` could serve it: left out");
            notes.add(&listener.said, why);
            continue;
        }
        let (ips, is_example) = addresses(&listener, options, spare, notes);
        for ip in ips {
            let ports = listener.ports;
            let claimed = claim(service, &listener, Listen { ip, ports }, claims, notes);
            service.is_example |= claimed && is_example;
        }
    }
    for service in services {
        if service.abandoned.is_none() && service.listen.is_empty() {
            stand_in(service, claims, spare, notes);
        }
    }
}

/// And whether they are for examples.
fn addresses(
    listener: &Listener,
    options: &Options,
    spare: &Spare,
    notes: &mut Notes,
) -> (Vec<IpAddr>, bool) {
    let is_v4 = listener.ip.is_v4();
    if let Ip::One(ip) = listener.ip {
        return (vec![ip], false);
    }
    let vips = options.vips.iter().filter(|vip| vip.is_ipv4() == is_v4);
    let vips: Vec<_> = vips.copied().collect();
    if !options.vips.is_empty() {
        if vips.is_empty() {
            let why = "no VIP of this family was named with --vip: left out";
            notes.add(&listener.said, why);
        }
        return (vips, false);
    }
    let example = spare.vip(is_v4);
    if let Some(ip) = example {
        let why = format!(
            "every address of the host: {ip}, an address for examples, is written: change it, or name the VIP with --vip"
        );
        notes.add(&listener.said, why);
    }
    (example.into_iter().collect(), true)
}

/// Whether it is the service's now.
fn claim(
    service: &mut Fitted,
    listener: &Listener,
    listen: Listen,
    claims: &mut Claims,
    notes: &mut Notes,
) -> bool {
    let (name, protocol) = (&service.draft.name, service.draft.protocol);
    if service.listen.contains(&listen) {
        return false;
    }
    if let Some(owner) = claims.owner(listen, protocol) {
        let why = format!(
            "{listen} goes to `{}` already, and hosts and paths are not seen at layer 4: `{}` needs an address or \
             port of its own",
            clip(owner),
            clip(name)
        );
        notes.add(&listener.said, why);
        return false;
    }
    if !claims.has_room(listen) {
        let why = format!(
            "{listen}: more ports than shunt has room for: left out; without a port, a whole address is one"
        );
        notes.add(&listener.said, why);
        return false;
    }
    claims.add(listen, protocol, name);
    service.listen.push(listen);
    true
}

pub(super) fn has_primary(service: &Fitted, is_v4: bool) -> bool {
    let mut primaries = service
        .draft
        .backends
        .iter()
        .filter(|backend| backend.is_primary())
        .filter_map(Backend::endpoint);
    primaries.any(|endpoint| endpoint.ip.is_ipv4() == is_v4)
}

/// Leaves those out that lost all of their backends.
pub(super) fn leave_unserved(service: &mut Fitted, notes: &mut Notes) {
    let served = [has_primary(service, false), has_primary(service, true)];
    let origin = &service.draft.origin;
    service.listen.retain(|listen| {
        let is_served = served[usize::from(listen.ip.is_ipv4())];
        if !is_served {
            notes.add(
                origin,
                format!("{listen}: no backend could serve it: left out"),
            );
        }
        is_served
    });
}

/// Gives a service without a listener an address that harms nobody.
fn stand_in(service: &mut Fitted, claims: &mut Claims, spare: &Spare, notes: &mut Notes) {
    let is_v4 = has_primary(service, true);
    let draft = &service.draft;
    let (first, _) = draft.port.bounds();
    let mut ports = [draft.port, Ports::One(first)].into_iter();
    let free = ports.find_map(|ports| spare.listen(is_v4, ports, draft.protocol, claims));
    let Some(listen) = free else {
        let why = "there is no address for it: the service is written as a comment";
        notes.add(&draft.origin, why);
        service.abandoned = Some("there is no address for it");
        return;
    };
    let why = format!(
        "it has no listener of its own: {listen}, an address for examples, is written: change it"
    );
    notes.add(&draft.origin, why);
    claims.add(listen, draft.protocol, &draft.name);
    service.listen.push(listen);
    service.is_example = true;
}
