//! `server` and `default-server`.

use std::{net::IpAddr, time::Duration};

use super::{address, parameters, sections::Line};
use crate::{
    address::Endpoint,
    import::{
        address::{Local, usable},
        check::{Check, Tls},
        counterpart::Bound,
        draft::{Backend, Target, number},
        duration,
        notes::Notes,
        place::Excerpt,
    },
};

/// What shunt takes for `rise` and `fall`.
const COUNTS: std::ops::RangeInclusive<u32> = 1..=1000;

/// What is said of a server behind its address.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    weight: Option<u32>,
    backup: bool,
    down: bool,
    pub(super) encrypted: bool,
    pub(super) is_checked: bool,
    /// Whether checks speak TLS, also where nothing else does.
    checks_tls: bool,
    pub(super) trusts_anybody: bool,
    pub(super) tls: Tls,
    /// Where it is checked, in place of its own address or port.
    check_ip: Option<IpAddr>,
    check_port: Option<u16>,
    pub(super) check: Check,
    pub(super) slow_start: Option<Duration>,
    max_connections: Option<(String, Excerpt)>,
}

/// One server of a proxy.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) backend: Backend,
    pub(super) parameters: Parameters,
}

impl Parameters {
    pub(super) const fn checks_encrypted(&self) -> bool {
        self.encrypted || self.checks_tls
    }

    /// The port of its own address that it is checked at, where that is said.
    pub(super) fn own_check_port(&self) -> Option<u16> {
        self.check_port.filter(|_| self.check_ip.is_none())
    }

    fn check_at(&self, own: Endpoint) -> Option<Endpoint> {
        (self.check_ip.is_some() || self.check_port.is_some()).then(|| Endpoint {
            ip: self.check_ip.unwrap_or(own.ip),
            port: self.check_port.or(own.port),
        })
    }

    /// Reads words over what was said before.
    pub(super) fn read(&mut self, words: &[String], line: &Line, notes: &mut Notes) {
        let mut rest = words;
        while let [name, behind @ ..] = rest {
            let takes = parameters::values(name).min(behind.len());
            let (values, behind) = behind.split_at(takes);
            let said = line.part(&rest[..=takes]);
            let value = values.first().map_or("", String::as_str);
            self.one(name, value, &said, notes);
            rest = behind;
        }
    }

    fn one(&mut self, name: &str, value: &str, said: &Excerpt, notes: &mut Notes) {
        let time = |notes: &mut Notes| {
            duration::within(duration::haproxy(value), &duration::CHECKS, said, notes)
        };
        match name {
            "weight" => match value.parse() {
                Ok(weight) if weight <= 256 => self.weight = Some(weight),
                _ => notes.add(said, "no weight from 0 to 256: 1 is written"),
            },
            "backup" => self.backup = true,
            "no-backup" => self.backup = false,
            "disabled" => self.down = true,
            "enabled" => self.down = false,
            "check" => self.is_checked = true,
            "no-check" => self.is_checked = false,
            "ssl" => self.encrypted = true,
            "no-ssl" => self.encrypted = false,
            "inter" => self.check.interval = time(notes),
            "fastinter" => self.check.fast_interval = time(notes),
            "downinter" => self.check.down_interval = time(notes),
            "rise" => self.check.rise = count(value, said, notes),
            "fall" => self.check.fall = count(value, said, notes),
            "port" => self.check_port = value.parse().ok().filter(|port| *port != 0),
            "addr" => match usable(value) {
                Ok(ip) => self.check_ip = Some(ip),
                Err(why) => notes.add(said, why),
            },
            "check-ssl" => self.checks_tls = true,
            "no-check-ssl" => self.checks_tls = false,
            "check-sni" => {
                if let Err(why) = self.tls.set_sni(value) {
                    notes.add(said, why);
                }
            }
            "slowstart" => {
                let time = duration::haproxy(value);
                self.slow_start = duration::within(time, &duration::SLOW_STARTS, said, notes);
            }
            "maxconn" => self.max_connections = Some((value.to_owned(), said.clone())),
            _ => {
                if name == "verify" {
                    self.trusts_anybody = value == "none";
                }
                if let Some(why) = parameters::leftover(name) {
                    notes.add(said, why);
                }
            }
        }
    }
}

fn count(value: &str, said: &Excerpt, notes: &mut Notes) -> Option<u32> {
    let count = value.parse().ok().filter(|count| COUNTS.contains(count));
    if count.is_none() {
        notes.add(said, "no number from 1 to 1000: left out");
    }
    count
}

/// `server NAME ADDRESS …`, after what `default-server` said.
pub(super) fn read(
    line: &Line,
    defaults: &Parameters,
    local: Local,
    notes: &mut Notes,
) -> Option<Server> {
    let [_, name, at, rest @ ..] = &line.words[..] else {
        notes.add(
            &line.excerpt(),
            "a server has a name and an address: left out",
        );
        return None;
    };
    let target = address::server(at, local);
    if let Err(why) = target {
        notes.add(&line.part(&line.words[..3]), why);
    }
    let mut parameters = defaults.clone();
    parameters.read(rest, line, notes);
    let mut backend = Backend {
        name: Some(name.clone()),
        check_at: target
            .as_ref()
            .ok()
            .and_then(|own| parameters.check_at(*own)),
        target: match target {
            Ok(endpoint) => Target::At(endpoint),
            Err(_) => Target::Left(at.clone()),
        },
        weight: parameters.weight.unwrap_or(1),
        backup: parameters.backup,
        down: parameters.down,
        bounds: Vec::new(),
        said: line.excerpt(),
    };
    if let Some((most, said)) = &parameters.max_connections {
        backend.bound(Bound::MaxConnections, number(most), said, notes);
    }
    if backend.down && backend.weight > 1 {
        let why = format!("weight 0 keeps it out; its weight is {}", backend.weight);
        notes.add(&line.part(&["disabled".to_owned()]), why);
    }
    Some(Server {
        backend,
        parameters,
    })
}
