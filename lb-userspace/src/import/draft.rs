//! What the readers of both formats find, before it is known what of it can be written.

use std::{net::IpAddr, time::Duration};

use toml_edit::Value;

use super::{
    check::Check,
    counterpart::{self, Bound, Method},
    notes::Notes,
    place::Excerpt,
};
use crate::{
    address::{Endpoint, Ports},
    desired::Protocol,
};

/// A service to be.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    /// What it comes from.
    pub(super) origin: Excerpt,
    pub(super) protocol: Protocol,
    pub(super) listeners: Vec<Listener>,
    /// Where nothing usable listens.
    pub(super) port: Ports,
    pub(super) method: Method,
    pub(super) slow_start: Option<Duration>,
    pub(super) check: Check,
    /// Whether that was said.
    pub(super) is_checked: bool,
    pub(super) backends: Vec<Backend>,
    /// Why it is not to be used.
    pub(super) off: Option<&'static str>,
}

/// Where clients connect to.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) ip: Ip,
    pub(super) ports: Ports,
    /// Of several services at the same address and port, that with the least takes it.
    pub(super) rank: u8,
    pub(super) said: Excerpt,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ip {
    AnyV4,
    AnyV6,
    One(IpAddr),
}

impl Ip {
    pub(super) const fn is_v4(self) -> bool {
        match self {
            Self::AnyV4 => true,
            Self::AnyV6 => false,
            Self::One(ip) => ip.is_ipv4(),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) name: Option<String>,
    pub(super) target: Target,
    /// Where it is checked, if not at its own address.
    pub(super) check_at: Option<Endpoint>,
    pub(super) weight: u32,
    pub(super) backup: bool,
    /// Takes nothing at present.
    pub(super) down: bool,
    /// Keys that are written as they are.
    pub(super) bounds: Vec<(&'static str, Value)>,
    pub(super) said: Excerpt,
}

#[derive(Clone, Debug)]
pub(super) enum Target {
    At(Endpoint),
    /// Cannot be used as it is written, which has been said.
    Left(String),
}

impl Backend {
    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        match self.target {
            Target::At(endpoint) => Some(endpoint),
            Target::Left(_) => None,
        }
    }

    /// Whether it takes connections before any other backend fails.
    pub(super) fn is_primary(&self) -> bool {
        self.endpoint().is_some() && self.weight > 0 && !self.down && !self.backup
    }

    /// Keeps it out of the service.
    pub(super) fn leave(&mut self) {
        if let Target::At(endpoint) = self.target {
            self.target = Target::Left(endpoint.to_string());
        }
    }
    /// Takes a bound over, as far as there is one like it. `None`: not understood.
    pub(super) fn bound(
        &mut self,
        bound: Bound,
        value: Option<Value>,
        said: &Excerpt,
        notes: &mut Notes,
    ) {
        match value {
            Some(value) => self.bounds.push((counterpart::key(bound), value)),
            None => notes.add(said, "not understood: left out"),
        }
    }
}

/// A whole number, as a configuration has it.
pub(super) fn number(text: &str) -> Option<Value> {
    text.parse::<u32>()
        .ok()
        .map(|number| i64::from(number).into())
}
