//! `server` in an `upstream`: where is it, and when is it used?

use std::time::Duration;

use super::{Module, tree::Directive};
use crate::{
    address::Endpoint,
    import::{
        address::Local,
        counterpart::Bound,
        draft::{Backend, Target, number},
        duration,
        notes::Notes,
        place::Excerpt,
    },
};

pub(super) fn read(
    directive: &Directive,
    module: Module,
    local: Local,
    slow_start: &mut Option<Duration>,
    notes: &mut Notes,
) -> Backend {
    let address = directive.argument();
    let target = match target(address, module, local) {
        Ok(endpoint) => Target::At(endpoint),
        Err(why) => {
            notes.add(&directive.part(&format!("server {address}")), why);
            Target::Left(address.to_owned())
        }
    };
    let mut backend = Backend {
        name: None,
        target,
        check_at: None,
        weight: 1,
        backup: false,
        down: false,
        bounds: Vec::new(),
        said: directive.excerpt(),
    };
    for parameter in directive.arguments.iter().skip(1) {
        let said = directive.part(parameter);
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "weight" => match value.parse() {
                Ok(weight) if weight > 0 => backend.weight = weight,
                _ => notes.add(&said, "no weight: 1 is written"),
            },
            "backup" => backend.backup = true,
            "down" => backend.down = true,
            "max_fails" => backend.bound(Bound::MaxFails, number(value), &said, notes),
            "fail_timeout" => {
                let time = duration::nginx(value);
                let time = duration::within(time, &duration::FAIL_TIMEOUTS, &said, notes);
                if let Some(time) = time.map(duration::value) {
                    backend.bound(Bound::FailTimeout, Some(time), &said, notes);
                }
            }
            "max_conns" => backend.bound(Bound::MaxConnections, number(value), &said, notes),
            "slow_start" => ramp(slow_start, value, &said, notes),
            _ => notes.add(&said, parameter_leftover(name)),
        }
    }
    if backend.down && backend.weight > 1 {
        let why = format!("weight 0 keeps it out; its weight is {}", backend.weight);
        notes.add(&directive.part("down"), why);
    }
    backend
}

fn parameter_leftover(name: &str) -> &'static str {
    match name {
        "resolve" | "service" => "names are not resolved",
        "route" => {
            "cookies are not seen at layer 4: a connection stays with its backend, a client need not"
        }
        "drain" => "an order to a running shunt: `shunt drain SERVICE/BACKEND`",
        _ => "no counterpart: left out",
    }
}

fn target(address: &str, module: Module, local: Local) -> Result<Endpoint, &'static str> {
    if address.starts_with("unix:") {
        return Err("packets cannot be sent to a unix socket: let the server listen on an address");
    }
    let ends_in_bracket = address.ends_with(']');
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !ends_in_bracket => {
            let port = port.parse().ok().filter(|port| *port != 0);
            (host, Some(port.ok_or("no port from 1 to 65535")?))
        }
        // In `stream` each server has to have one.
        _ => (address, (module == Module::Http).then_some(80)),
    };
    let ip = local.backend(host)?;
    Ok(Endpoint { ip, port })
}

/// A service has one; that of the first server is taken.
fn ramp(slow_start: &mut Option<Duration>, value: &str, said: &Excerpt, notes: &mut Notes) {
    let time = duration::within(duration::nginx(value), &duration::SLOW_STARTS, said, notes);
    match (time, &slow_start) {
        (Some(time), None) => *slow_start = Some(time),
        (Some(time), Some(first)) if time != *first => {
            notes.add(
                said,
                "a service has one slow_start, that of its first server",
            );
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{files::Disk, nginx::tree, place::Source};

    fn backend(text: &str) -> (Backend, usize) {
        let source = Source::new("f", format!("server {text};").as_bytes());
        let mut notes = Notes::default();
        let root = tree::parse(&source, &Disk::absolute(), &mut notes).unwrap();
        let backend = read(&root[0], Module::Stream, Local(&[]), &mut None, &mut notes);
        (backend, notes.finish().len())
    }

    #[test]
    fn addresses_and_parameters() {
        // text, address, weight, backup, down, how much is said of it
        for (text, address, weight, backup, down, said) in [
            ("10.0.0.1:53", Some("10.0.0.1:53"), 1, false, false, 0),
            (
                "[2001:db8::1]:53 weight=3",
                Some("[2001:db8::1]:53"),
                3,
                false,
                false,
                0,
            ),
            (
                "10.0.0.1:53 weight=0 backup",
                Some("10.0.0.1:53"),
                1,
                true,
                false,
                1,
            ),
            (
                "10.0.0.1:53 weight=2 down",
                Some("10.0.0.1:53"),
                2,
                false,
                true,
                1,
            ),
            ("10.0.0.1", Some("10.0.0.1"), 1, false, false, 0),
            ("10.0.0.1:0", None, 1, false, false, 1),
            ("2001:db8::1", None, 1, false, false, 1),
            ("app.example:53 resolve", None, 1, false, false, 2),
            ("unix:/run/x", None, 1, false, false, 1),
            ("", None, 1, false, false, 1),
        ] {
            let (backend, notes) = backend(text);
            let found = backend.endpoint().map(|endpoint| endpoint.to_string());
            assert_eq!(
                (
                    found.as_deref(),
                    backend.weight,
                    backend.backup,
                    backend.down,
                    notes
                ),
                (address, weight, backup, down, said),
                "{text}"
            );
        }
    }
}
