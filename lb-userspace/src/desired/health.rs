//! `[service.health]`: how backends are checked.

use std::{net::IpAddr, time::Duration};

use domain::base::{Name, Rtype};

use super::Protocol;
use crate::{health::schedule::Intervals, statuses::Statuses, trust::Trust};

#[derive(Clone, Debug, PartialEq)]
pub struct HealthSettings {
    pub check: Check,
    /// The address that is checked in place of the backend's own.
    pub address: Option<IpAddr>,
    /// The port that is checked; `None`: the backend's own. Never `None` where one without a port is checked.
    pub port: Option<u16>,
    pub intervals: Intervals,
    pub timeout: Duration,
    /// Passes in a row that make a backend healthy again; the very first pass is enough.
    pub rise: u32,
    /// Failures in a row that make it unhealthy.
    pub fall: u32,
    /// A backend that fails within that time after it came back needs twice as many passes each time; zero: not so.
    pub flap_window: Duration,
    /// Whether a new backend counts as healthy until its checks say otherwise.
    pub starts_up: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// Always healthy.
    None,
    /// A connection is accepted.
    Tcp,
    /// A `GET` is answered as it should be.
    Http(HttpCheck),
    /// `grpc.health.v1.Health/Check` answers `SERVING`.
    Grpc(GrpcCheck),
    /// A query is answered.
    Dns(DnsCheck),
    /// A datagram is answered, or at least not refused.
    Udp(UdpCheck),
}

impl Check {
    /// Whether it takes anybody for the backend.
    pub fn is_blind(&self) -> bool {
        let tls = match self {
            Self::Http(how) => how.tls.as_ref(),
            Self::Grpc(how) => how.tls.as_ref(),
            Self::None | Self::Tcp | Self::Dns(_) | Self::Udp(_) => None,
        };
        tls.is_some_and(|tls| tls.trust.is_blind())
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpCheck {
    /// Begins with a slash.
    pub path: String,
    /// What the `Host` header says; `None`: the address that is checked.
    pub host: Option<String>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    pub statuses: Statuses,
    /// What the body has to contain.
    pub body: Option<String>,
    /// `None`: in the clear.
    pub tls: Option<Tls>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct GrpcCheck {
    /// Whose health is asked for; empty: the whole server's.
    pub service: String,
    /// `None`: in the clear.
    pub tls: Option<Tls>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// The name that the server is asked for (SNI) and has to prove; `None`: the address that is checked.
    pub name: Option<String>,
    pub trust: Trust,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DnsCheck {
    /// As the service's own.
    pub protocol: Protocol,
    pub name: Name<Vec<u8>>,
    pub record: Rtype,
    /// Whether the answer has to have a record; otherwise all but SERVFAIL will do.
    pub must_resolve: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct UdpCheck {
    pub send: Vec<u8>,
    /// What a reply has to contain; `None`: there need be none.
    pub expect: Option<Vec<u8>>,
}
